mod credentials;
mod policies;
mod values;

use super::{environment, with};
use crate::config::parse;
use crate::test_util::test;

fn refusal(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    match parse(text, &environment) {
        Ok(_) => panic!("accepted: {}", String::from_utf8_lossy(text)),
        Err(error) => {
            let message = error.to_string();
            #[cfg(not(target_family = "wasm"))]
            super::schema::refuses(text, &message);
            message
        }
    }
}

/// Each of `(fields, message)`, the fields beside the smallest configuration.
fn refused(cases: &[(&str, &str)]) {
    for (fields, message) in cases {
        assert_eq!(refusal(with(fields)), *message, "{fields}");
    }
}

/// Likewise, the fields within `key_service`.
fn refused_within_key_service(cases: &[(&str, &str)]) {
    for (fields, message) in cases {
        let text = format!(r#"{{"key_service": {{"cluster": "c", {fields}}}}}"#);
        assert_eq!(refusal(text), *message, "{fields}");
    }
}

#[test]
fn text_that_holds_no_configuration() {
    let empty = "configuration: empty: the smallest that works is {\"key_service\": {\"cluster\": \
                 \"key_service\"}}, as text of a google.protobuf.StringValue";
    let binary = "configuration: a google.protobuf.Struct, which arrives in binary form: write it as JSON \
                  text in a google.protobuf.StringValue";
    // {"key_service": {"cluster": "c"}} as a Struct, and one whose first entry is longer than 127 bytes.
    let short =
        b"\x0a\x21\x0a\x0bkey_service\x12\x12\x2a\x10\x0a\x0e\x0a\x07cluster\x12\x03\x1a\x01c";
    let long = [
        &b"\x0a\xd0\x01\x0a\x01k\x12\xca\x01\x1a\xc7\x01"[..],
        &[b'x'; 199],
    ]
    .concat();
    for (text, message) in [
        (&b""[..], empty),
        (b" \n", empty),
        (short, binary),
        (&long, binary),
        (
            b"key_service: {}",
            "configuration: not JSON: expected value at line 1 column 1",
        ),
        (
            b"\n\x0c{",
            "configuration: not JSON: expected value at line 2 column 1",
        ),
        (
            b"\x0a\x03\x0a\x01k",
            "configuration: not JSON: expected value at line 2 column 1",
        ),
        (
            b"{\n  \"key_service\": {\"cluster\": \"c\"},\n}",
            "configuration: not JSON: trailing comma at line 3 column 1",
        ),
        (
            b"{\"key_service\": ",
            "configuration: not JSON: EOF while parsing a value at line 1 column 16",
        ),
        (b"[]", "configuration: must be an object, not a list"),
        (b"\"{}\"", "configuration: must be an object, not a string"),
        (b"{}", "key_service: required, and not given"),
    ] {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn names_that_are_not_known() {
    refused(&[
        (
            r#""routs": []"#,
            r#"routs: unknown field, did you mean "routes"?"#,
        ),
        (
            r#""Key-Format": {}"#,
            r#"Key-Format: unknown field, did you mean "key_format"?"#,
        ),
        (
            r#""policies": {"orders": {"scope": {"all": ["a"]}}}"#,
            r#"policies.orders.scope: unknown field, did you mean "scopes"?"#,
        ),
        (
            r#""policies": {"v1.orders": {"scopes": {"al": []}}}"#,
            r#"policies["v1.orders"].scopes.al: unknown field, did you mean "all"?"#,
        ),
        (
            r#""rejection": {"x\ny": 1}"#,
            "rejection[\"x\\ny\"]: unknown field, known here: \"detail\", \"realm\", \"type_base\" or \
             \"retry_after\"",
        ),
        (
            r#""routes": [{"match": {"paths": "/"}, "policy": "a"}]"#,
            r#"routes[0].match.paths: unknown field, did you mean "path"?"#,
        ),
    ]);
}

#[test]
fn fields_given_twice() {
    refused(&[
        (
            r#""key_service": {"cluster": "d"}"#,
            "key_service: given twice: keep one",
        ),
        (
            r#""policies": {"a": {}, "b": {}, "a": {}}"#,
            "policies.a: given twice: keep one",
        ),
        (
            r#""usage": {"every": "1s", "every": "2s"}"#,
            "usage.every: given twice: keep one",
        ),
    ]);
}

#[test]
fn the_key_service() {
    let visible = "must be visible ASCII without spaces, at least one character";
    refused_within_key_service(&[
        (
            r#""authority": "key service""#,
            &format!("key_service.authority: {visible}"),
        ),
        (
            r#""path": "v1""#,
            "key_service.path: must be a path that starts with \"/\": visible ASCII (anything else \
             percent-encoded) without \"?\" and \"#\"",
        ),
        (
            r#""path": "/v1?a=b""#,
            "key_service.path: must be a path that starts with \"/\": visible ASCII (anything else \
             percent-encoded) without \"?\" and \"#\"",
        ),
        (
            r#""changes": true"#,
            "key_service.changes: must be an object, not a boolean",
        ),
    ]);
    for (text, message) in [
        (
            r#"{"key_service": {}}"#,
            "key_service.cluster: required, and not given",
        ),
        (
            r#"{"key_service": {"cluster": ""}}"#,
            "key_service.cluster: must be text that is not empty",
        ),
        (
            r#"{"key_service": {"cluster": "key service"}}"#,
            "key_service: the cluster's name cannot serve as \"authority\", which must be visible ASCII: give \
             one",
        ),
    ] {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn rejections() {
    refused(&[
        (
            r#""rejection": {"realm": "a\tb"}"#,
            "rejection.realm: must be printable ASCII",
        ),
        (
            r#""rejection": {"realm": "Schlüssel"}"#,
            "rejection.realm: must be printable ASCII",
        ),
        (
            r#""rejection": {"type_base": ""}"#,
            "rejection.type_base: must be visible ASCII without spaces, at least one character",
        ),
    ]);
}
