use super::{refusal, refused, refused_within_key_service};
use crate::config::parse;
use crate::config::tests::{environment, with};
use crate::test_util::test;

#[test]
fn secrets() {
    refused_within_key_service(&[
        (
            r#""token": "hush", "token_env": "TOKEN""#,
            "key_service.token_env: given together with \"token\": keep one of the two",
        ),
        (
            r#""token": "two words""#,
            "key_service.token: must be visible ASCII without spaces, at least one character",
        ),
        (
            r#""token_env": "NOT_SET""#,
            "key_service.token_env: the environment variable NOT_SET is not set: add it to the plugin's \
             vm_config.environment_variables",
        ),
        (
            r#""token_env": "TWO_LINES""#,
            "key_service.token_env: the variable's value must be visible ASCII: it has a space, a line break \
             or another character that cannot be sent",
        ),
    ]);
    refused(&[
        (
            r#""digest": {"pepper_env": "EMPTY"}"#,
            "digest.pepper_env: the environment variable EMPTY is empty: add it to the plugin's \
             vm_config.environment_variables",
        ),
        (
            r#""digest": {"pepper_env": ""}"#,
            "digest.pepper_env: must be the name of an environment variable: letters, digits and \"_\", no \
             digit first",
        ),
    ]);
}

#[test]
fn a_secret_in_a_wrong_place_is_not_told() {
    let secret = "c2FsdA9hush";
    for text in [
        format!(r#"{{"key_service": {{"cluster": "c", "token": "{secret} "}}}}"#),
        format!(r#"{{"key_service": {{"cluster": "c", "token": ["{secret}"]}}}}"#),
        format!(r#"{{"key_service": {{"cluster": "c", "token": "{secret}", "token_env": "A"}}}}"#),
        format!(r#"{{"key_service": {{"cluster": "c", "token_env": "{secret}"}}}}"#),
        format!(r#"{{"key_service": {{"cluster": "c", "token_env": "{secret}=="}}}}"#),
        format!(r#"{{"key_service": {{"cluster": "c", "token": "{secret}\x"}}}}"#),
        with(&format!(r#""digest": {{"pepper_env": "{secret}"}}"#)),
        with(&format!(r#""digest": "{secret}""#)),
    ] {
        let message = refusal(&text);
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn credentials() {
    let one = "credentials[0]: must have exactly one of \"header\", \"bearer\", \"basic\", \"query\" or \"cookie\"";
    let name = "must be the name of a header: letters, digits and any of !#$%&'*+-.^_`|~";
    refused(&[
        (
            r#""credentials": []"#,
            "credentials: an empty list: give at least one, or leave the field out",
        ),
        (r#""credentials": [{}]"#, one),
        (r#""credentials": [{"scheme": "ApiKey"}]"#, one),
        (r#""credentials": [{"header": "a", "query": "b"}]"#, one),
        (
            r#""credentials": [{"query": "a"}, {"bearer": "b", "scheme": "c"}]"#,
            "credentials[1].scheme: goes with \"header\" only, not with \"bearer\"",
        ),
        (
            r#""credentials": [{"query": "a"}, {"header": "x key"}]"#,
            &format!("credentials[1].header: {name}"),
        ),
        (
            r#""credentials": [{"bearer": ":authority"}]"#,
            &format!("credentials[0].bearer: {name}"),
        ),
        (
            r#""credentials": [{"header": ""}]"#,
            &format!("credentials[0].header: {name}"),
        ),
        (
            r#""credentials": [{"header": "Host"}]"#,
            "credentials[0].header: \"host\" is needed to carry the request and cannot be used: choose \
             another header",
        ),
        (
            r#""credentials": [{"header": "a", "scheme": "Api Key"}]"#,
            "credentials[0].scheme: must be an authentication scheme: one word, such as \"ApiKey\"",
        ),
        (
            r#""credentials": [{"query": ""}]"#,
            "credentials[0].query: must be text that is not empty",
        ),
        (
            r#""credentials": [{"cookie": "a=b"}]"#,
            "credentials[0].cookie: must be the name of a cookie: letters, digits and any of \
             !#$%&'*+-.^_`|~",
        ),
    ]);
    for twice in [
        r#"{"header": "X-Key"}, {"header": "x-key"}"#,
        r#"{"bearer": "a"}, {"header": "A", "scheme": "bearer"}"#,
        r#"{"query": "a"}, {"query": "a"}"#,
        r#"{"cookie": "a"}, {"cookie": "a"}"#,
    ] {
        assert_eq!(
            refusal(with(&format!(r#""credentials": [{twice}]"#))),
            "credentials[1]: names the same place as an entry before: remove one"
        );
    }
    for different in [
        r#"{"header": "a"}, {"bearer": "a"}, {"header": "a", "scheme": "b"}"#,
        r#"{"query": "a"}, {"query": "A"}, {"cookie": "a"}, {"cookie": "A"}"#,
    ] {
        let text = with(&format!(r#""credentials": [{different}]"#));
        assert!(parse(text.as_bytes(), &environment).is_ok());
    }
}

#[test]
fn formats_of_keys() {
    let visible = "must be visible ASCII without spaces, at least one character";
    refused(&[
        (
            r#""key_format": {"prefixes": []}"#,
            "key_format.prefixes: an empty list: give at least one, or leave the field out",
        ),
        (
            r#""key_format": {"prefixes": ["kb_", ""]}"#,
            &format!("key_format.prefixes[1]: {visible}"),
        ),
        (
            r#""key_format": {"prefixes": ["ключ"]}"#,
            &format!("key_format.prefixes[0]: {visible}"),
        ),
        (
            r#""key_format": {"foreign": "absent"}"#,
            "key_format.foreign: needs key_format.prefixes: nothing else tells a key from a token of another kind",
        ),
        (
            r#""credentials": [{"basic": "password"}]"#,
            r#"credentials[0].basic: must be "username", not "password""#,
        ),
        (
            r#""credentials": [{"basic": "username"}, {"header": "Authorization", "scheme": "basic"}]"#,
            "credentials[1]: names the same place as an entry before: remove one",
        ),
        (
            r#""key_format": {"prefixes": ["123456"], "max_length": 5}"#,
            "key_format.prefixes[0]: longer than key_format.max_length (5): no key fits",
        ),
        (
            r#""key_format": {"min_length": 513}"#,
            "key_format.min_length: 513 is more than key_format.max_length (512): no key fits",
        ),
    ]);
}

#[test]
fn identity_headers() {
    refused(&[
        (
            r#""identity_headers": {"scope": "x"}"#,
            "identity_headers.scope: unknown field, did you mean \"scopes\"?",
        ),
        (
            r#""identity_headers": {"user_id": "x user"}"#,
            "identity_headers.user_id: must be the name of a header: letters, digits and any of \
             !#$%&'*+-.^_`|~",
        ),
        (
            r#""identity_headers": {"scopes": "Content-Length"}"#,
            "identity_headers.scopes: \"content-length\" is needed to carry the request and cannot be used: \
             choose another header",
        ),
        (
            r#""identity_headers": {"environment": "X-Key-Id"}"#,
            "identity_headers.environment: \"x-key-id\" is also the header of key_id: choose another name, \
             or null",
        ),
        (
            r#""credentials": [{"header": "x-user-id"}]"#,
            "identity_headers.user_id: \"x-user-id\" is also the header of one of the \"credentials\": \
             choose another name, or null",
        ),
        (
            r#""credentials": [{"bearer": "a"}], "identity_headers": {"tenant_id": "A"}"#,
            "identity_headers.tenant_id: \"a\" is also the header of one of the \"credentials\": choose \
             another name, or null",
        ),
        (
            r#""credentials": [{"cookie": "a"}], "identity_headers": {"key_id": "cookie"}"#,
            "identity_headers.key_id: \"cookie\" is also the header of one of the \"credentials\": choose \
             another name, or null",
        ),
    ]);
}
