//! A mistake is found when Envoy starts, with a message that names its place; never by the first request.

use serde_json::json;
use support::gateway::Gateway;
use support::home::Home;

async fn refused_with(settings: &str) -> String {
    let settings = settings.to_owned();
    let (status, log) = Gateway::scripted()
        .configure(move |config| config.set_settings(&settings))
        .refused()
        .await;
    assert!(!status.success(), "Envoy ended as if all were well");
    log
}

/// The line that the operator reads.
fn error_line(log: &str) -> String {
    log.lines()
        .filter(|line| line.contains("[error]"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_field_and_what_is_wrong() {
    let rows: [(&str, &[&str]); 12] = [
        ("", &[]),
        ("{", &[]),
        ("[]", &[]),
        ("{}", &["key_service"]),
        (
            r#"{"key_servce": {"cluster": "c"}}"#,
            &[
                "key_servce",
                "unknown field",
                "did you mean \"key_service\"?",
            ],
        ),
        (
            r#"{"key_service": {"cluster": "c", "timout": "1s"}}"#,
            &["key_service.timout", "did you mean \"timeout\"?"],
        ),
        (
            r#"{"key_service": {"cluster": "c", "timeout": 5}}"#,
            &["key_service.timeout"],
        ),
        (
            r#"{"key_service": {"cluster": "c", "timeout": "soon"}}"#,
            &["key_service.timeout"],
        ),
        (
            r#"{"key_service": {"cluster": "c"}, "credentials": []}"#,
            &["credentials"],
        ),
        (
            r#"{"key_service": {"cluster": "c"}, "credentials": [{"heeder": "x"}]}"#,
            &["credentials[0]", "heeder"],
        ),
        (
            r#"{"key_service": {"cluster": "c", "token": "a-token-of-the-operator", "token_env": "T"}}"#,
            &["key_service.token"],
        ),
        (
            r#"{"key_service": {"cluster": "c"}, "enforcement": "maybe"}"#,
            &["enforcement"],
        ),
    ];
    for (settings, expected) in rows {
        let log = refused_with(settings).await;
        let line = error_line(&log);
        assert!(!line.is_empty(), "{settings}: no line at error\n{log}");
        for expected in expected {
            assert!(
                line.contains(expected),
                "{settings}: no {expected:?} in\n{line}"
            );
        }
        assert!(
            !log.contains("a-token-of-the-operator"),
            "a token in the log\n{log}"
        );
        assert!(
            support::envoy::crashes(&log)
                .iter()
                .all(|line| !line.contains("panicked")),
            "{log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_variable_that_is_not_set() {
    let (_, log) = Gateway::scripted()
        .environment("KEYBOUND_GATEWAY_TOKEN", None)
        .refused()
        .await;

    let line = error_line(&log);
    assert!(line.contains("key_service.token_env"), "{line}");
    assert!(line.contains("KEYBOUND_GATEWAY_TOKEN"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_struct_where_a_string_value_belongs() {
    let gateway = Gateway::scripted().configure(|config| {
        config.plugin()["configuration"] = json!({
            "@type": "type.googleapis.com/google.protobuf.Struct",
            "value": {"key_service": {"cluster": "key_service"}},
        });
    });
    // To a dynamic module Envoy hands a Struct over as JSON.
    if Home::chosen() == Home::Native {
        let gateway = gateway.start().await;
        assert_eq!(gateway.get("/", &[]).await.status, 401);
        return;
    }
    let (_, log) = gateway.refused().await;

    assert!(error_line(&log).contains("StringValue"), "{log}");
}
