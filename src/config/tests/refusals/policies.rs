use super::{refusal, refused};
use crate::config::tests::with;
use crate::test_util::test;

#[test]
fn policies() {
    let visible = "must be visible ASCII without spaces, at least one character";
    refused(&[
        (
            r#""policies": {"a b": {}}"#,
            &format!("policies[\"a b\"]: its name {visible}"),
        ),
        (
            r#""policies": {"a": "required"}"#,
            "policies.a: must be an object, not a string",
        ),
        (
            r#""policies": {"a": {"environment": ""}}"#,
            &format!("policies.a.environment: {visible}"),
        ),
        (
            r#""policies": {"a": {"api": ""}}"#,
            "policies.a.api: must be text that is not empty",
        ),
        (
            r#""policies": {"a": {"scopes": ["a"]}}"#,
            "policies.a.scopes: must be an object, not a list",
        ),
        (
            r#""policies": {"a": {"scopes": {}}}"#,
            "policies.a.scopes: must have exactly one of \"all\" or \"any\"",
        ),
        (
            r#""policies": {"a": {"scopes": {"all": ["a"], "any": ["b"]}}}"#,
            "policies.a.scopes: must have exactly one of \"all\" or \"any\"",
        ),
        (
            r#""policies": {"a": {"scopes": {"any": []}}}"#,
            "policies.a.scopes.any: an empty list: give at least one, or leave the field out",
        ),
        (
            r#""policies": {"a": {"scopes": {"all": ["a", "b", "c d"]}}}"#,
            &format!("policies.a.scopes.all[2]: {visible}"),
        ),
        (
            r#""policies": {"a": {"scopes": {"all": "a"}}}"#,
            "policies.a.scopes.all: must be a list, not a string",
        ),
        (
            r#""policies": {"a": {"user": {}}}"#,
            "policies.a.user: must have exactly one of \"header\", \"path_segment\", \"query\", \
             \"host_label\" or \"value\"",
        ),
        (
            r#""policies": {"a": {"user": {"header": ":path"}}}"#,
            "policies.a.user.header: must be the name of a header: letters, digits and any of \
             !#$%&'*+-.^_`|~",
        ),
        (
            r#""policies": {"a": {"tenant": {"query": ""}}}"#,
            "policies.a.tenant.query: must be text that is not empty",
        ),
        (
            r#""policies": {"a": {"tenant": {"value": "ten 1"}}}"#,
            &format!("policies.a.tenant.value: {visible}"),
        ),
        (
            r#""policies": {"a": {"authentication": "none", "api": "orders"}}"#,
            "policies.a: asks something of a key although its \"authentication\" is \"none\", which looks at \
             no key: remove what it asks, or use \"required\" or \"optional\"",
        ),
    ]);
}

#[test]
fn policies_that_do_not_exist() {
    refused(&[
        (
            r#""policies": {"orders": {}}, "default_policy": "order""#,
            r#"default_policy: there is no policy "order", did you mean "orders"?"#,
        ),
        (
            r#""default_policy": "orders""#,
            r#"default_policy: there is no policy "orders", define it in "policies""#,
        ),
        (
            r#""policies": {"a": {}}, "routes": [{"match": {}, "policy": "a"}, {"match": {}, "policy": "zz"}]"#,
            r#"routes[1].policy: there is no policy "zz", define it in "policies""#,
        ),
        (
            r#""policies": {"orders": {}}, "routes": [{"match": {}, "policy": "Orders"}]"#,
            r#"routes[0].policy: there is no policy "Orders", did you mean "orders"?"#,
        ),
        (
            r#""routes": [{"match": {}, "policy": {}}]"#,
            "routes[0].policy: must be the name of a policy, not an object",
        ),
    ]);
}

#[test]
fn routes() {
    let path = "must be a path that starts with \"/\": visible ASCII (anything else percent-encoded) without \
                \"?\" and \"#\"";
    let host = "is no host such as \"api.example.com\", \"*.example.com\" or \"[2001:db8::1]\": give it \
                without a port (ports of requests are ignored), other alphabets as \"xn--\", and for any \
                host leave \"hosts\" out";
    for (matches, message) in [
        (r#""path": "v1""#, format!("path: {path}")),
        (r#""path": """#, format!("path: {path}")),
        (r#""path": "/a?b""#, format!("path: {path}")),
        (r#""prefix": "/a b""#, format!("prefix: {path}")),
        (r##""prefix": "/a#b""##, format!("prefix: {path}")),
        (
            r#""methods": []"#,
            "methods: an empty list: give at least one, or leave the field out".to_owned(),
        ),
        (
            r#""methods": ["GET", "G T"]"#,
            "methods[1]: must be a method: one word, such as \"GET\"".to_owned(),
        ),
        (
            r#""hosts": []"#,
            "hosts: an empty list: give at least one, or leave the field out".to_owned(),
        ),
        (
            r#""hosts": ["a.example", ""]"#,
            "hosts[1]: must be text that is not empty".to_owned(),
        ),
    ] {
        let text = with(&format!(
            r#""policies": {{"a": {{}}}}, "routes": [{{"match": {{{matches}}}, "policy": "a"}}]"#
        ));
        assert_eq!(refusal(text), format!("routes[0].match.{message}"));
    }
    for wrong in [
        "*",
        "*.",
        "*example.com",
        "api.*.com",
        "example.com:8080",
        "*.example.com:443",
        "[::1]:80",
        "[::g]",
        "::1",
        "a..b",
        "example.com.",
        "https://example.com",
        "exämple.com",
        "a b",
    ] {
        let text = with(&format!(
            r#""policies": {{"a": {{}}}}, "routes": [{{"match": {{"hosts": ["{wrong}"]}}, "policy": "a"}}]"#
        ));
        assert_eq!(
            refusal(text),
            format!("routes[0].match.hosts[0]: \"{wrong}\" {host}")
        );
    }
}
