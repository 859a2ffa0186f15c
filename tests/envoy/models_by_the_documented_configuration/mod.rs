//! docs/ai-routes.md: its configuration lets a key use the models that its scopes name, reads no body before the key was
//! checked, and logs model and tokens.

mod answers;
mod bodies;

use serde_json::{Value, json};
use support::client::{Request, Response};
use support::gateway::{Builder, Gateway};
use support::{needs, records};

/// The page is for this Envoy and later ones.
fn is_for_this_envoy() -> bool {
    needs::envoy((1, 40), "the page is for Envoy 1.40")
}

fn gateway() -> Builder {
    Gateway::scripted().documented("ai-routes.md", Some("The configuration"))
}

fn with_scopes(gateway: &Gateway, name: &str, scopes: Value) -> String {
    gateway.knows(records::active(name).key("scopes", scopes))
}

fn asks(path: &str, key: &str, body: impl AsRef<[u8]>) -> Request {
    Request::post(path, body)
        .header("x-api-key", key)
        .header("content-type", "application/json")
}

fn names(model: &str) -> String {
    json!({"model": model, "messages": []}).to_string()
}

const CHAT: &str = "/v1/chat/completions";

fn code(answer: &Response) -> Option<&str> {
    answer.header("x-keybound-code")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_uses_the_models_that_its_scopes_name() {
    if !is_for_this_envoy() {
        return;
    }
    let gateway = gateway().start().await;
    let one = with_scopes(&gateway, "one", json!(["orders:read", "model:gpt-4o-mini"]));
    let group = with_scopes(&gateway, "group", json!(["model:openai:*"]));
    let any = with_scopes(&gateway, "any", json!(["model:*"]));
    let everything = with_scopes(&gateway, "everything", json!(["*"]));
    let start = with_scopes(
        &gateway,
        "start",
        json!(["model:gpt-4*", "model", "model:"]),
    );
    let none = with_scopes(&gateway, "none", json!(null));
    let narrowed = gateway.knows(
        records::active("narrowed")
            .key("scopes", json!(["model:*"]))
            .user("scopes", json!(["orders:*"])),
    );

    for (key, model, allowed) in [
        (&one, "gpt-4o-mini", true),
        (&one, "gpt-4o", false),
        (&one, "gpt-4o-mini-2", false),
        (&one, "GPT-4o-mini", false),
        (&group, "openai:gpt-4o", true),
        (&group, "openai:", true),
        (&group, "openai", false),
        (&group, "anthropic:claude", false),
        (&any, "gpt-4o", true),
        (&everything, "gpt-4o", true),
        (&start, "gpt-4o", false),
        (&none, "gpt-4o", false),
        (&narrowed, "gpt-4o", false),
    ] {
        // The client's own scopes count for nothing.
        let request = asks(CHAT, key, names(model)).header("x-key-scopes", "model:* *");
        let answer = gateway.send(&request).await;
        let wanted = if allowed {
            (200, None)
        } else {
            (403, Some("model_not_allowed"))
        };
        assert_eq!(
            (answer.status, code(&answer)),
            wanted,
            "{key} asks for {model}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_a_problem_like_all_others_and_in_the_log() {
    if !is_for_this_envoy() {
        return;
    }
    let gateway = gateway().start().await;
    let key = with_scopes(&gateway, "one", json!(["model:gpt-4o-mini"]));

    for (path, body, status, code, model) in [
        (
            "/v1/refused",
            names("gpt-4o"),
            403,
            "model_not_allowed",
            json!("gpt-4o"),
        ),
        (
            "/v1/none",
            "{}".to_owned(),
            400,
            "model_missing",
            json!(null),
        ),
    ] {
        // A request id that a client made up cannot break out of the answer.
        let request = asks(path, &key, body).header("x-request-id", r#"","status":200,"x":""#);
        let answer = gateway.send(&request).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let problem = answer.json();
        assert_eq!(problem["type"], format!("urn:keybound:problem:{code}"));
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], status);
        let entry = gateway.logged(path).await;
        assert_eq!(problem["request_id"], entry["request_id"]);
        let told = ["status", "code", "model_code", "model"].map(|name| entry[name].clone());
        assert_eq!(
            Value::from(told.to_vec()),
            json!([status, null, code, model])
        );
    }
    assert!(gateway.upstream.arrived().is_empty());
}
