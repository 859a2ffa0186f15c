//! `key-service explain` on what a real Envoy has written, in the format of envoy.yaml and in those that Istio and
//! Envoy Gateway have by default.

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::key_service::CreatedKey;
use support::{access_log, wait};

/// What Istio writes with `accessLogEncoding: JSON`.
fn istio() -> Value {
    json!({
        "start_time": "%START_TIME%", "route_name": "%ROUTE_NAME%", "method": "%REQ(:METHOD)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "protocol": "%PROTOCOL%", "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%", "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%", "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%", "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
        "user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%", "authority": "%REQ(:AUTHORITY)%",
        "upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    })
}

/// What Envoy Gateway writes.
fn envoy_gateway() -> Value {
    json!({
        "start_time": "%START_TIME%", "method": "%REQ(:METHOD)%",
        "x-envoy-origin-path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "protocol": "%PROTOCOL%",
        "response_code": "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%", "duration": "%DURATION%",
        "x-forwarded-for": "%REQ(X-FORWARDED-FOR)%", "user-agent": "%REQ(USER-AGENT)%",
        "x-request-id": "%REQ(X-REQUEST-ID)%", ":authority": "%REQ(:AUTHORITY)%",
        "upstream_host": "%UPSTREAM_HOST%", "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    })
}

/// A gateway with this format, whose key passed once and was then refused, since its user was suspended.
async fn refused_once(format: Option<Value>) -> (Gateway, CreatedKey, String) {
    // One worker: where it refuses, none allows any more.
    let mut gateway = Gateway::real()
        .workers(1)
        .settings(json!({"key_service": {"timeout": "5s"}}))
        .configure(move |config| {
            if let Some(format) = format {
                let log = &mut config.http_manager()["access_log"][0]["typed_config"]["log_format"];
                log["json_format"] = format;
            }
        })
        .start()
        .await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "ann").await.unwrap();
    let key = service.key(&user, &json!({})).await.unwrap();
    gateway.secret(&key.key);
    let call = |path: &str| Request::get(path).header("x-api-key", &key.key);
    gateway.passed(&call("/allowed")).await;
    let path = format!("/users/{user}");
    gateway
        .key_service()
        .set_status(&path, "suspended")
        .await
        .unwrap();
    wait::until("the suspension to be obeyed", async || {
        let answer = gateway.send(&call("/until")).await;
        match answer.header("x-keybound-code") {
            Some("user_suspended") => Ok(()),
            _ => Err(answer.text()),
        }
    })
    .await
    .unwrap();
    gateway.send(&call("/refused")).await;
    (gateway, key, user)
}

/// The access log as a file, once it has the line for a path, and the request id of that.
async fn logged(gateway: &Gateway, path: &str) -> (tempfile::NamedTempFile, String) {
    let (log, id) = wait::until(&format!("the line for {path}"), async || {
        let log = gateway.envoy.access_log();
        let of = |line: &Value, names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| Some(line[*name].as_str()?.to_owned()))
        };
        let id = access_log::entries(&log)
            .iter()
            .find(|line| of(line, ["path", "x-envoy-origin-path"]).as_deref() == Some(path))
            .and_then(|line| of(line, ["request_id", "x-request-id"]));
        id.map(|id| (log, id)).ok_or_else(|| "none".to_owned())
    })
    .await
    .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), log).unwrap();
    (file, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_formats_of_istio_and_envoy_gateway() {
    for format in [istio(), envoy_gateway()] {
        let (mut gateway, key, _) = refused_once(Some(format)).await;
        for (path, code, headline) in [
            (
                "/refused",
                "user_suspended",
                "refused: user_suspended - the key's user",
            ),
            (
                "/allowed",
                "allowed",
                "was allowed then, would be refused now: user_suspended",
            ),
        ] {
            let (file, id) = logged(&gateway, path).await;
            let file = file.path().to_str().unwrap();
            let line = ["explain", "--access-log", file, "--request-id", &id];
            let (told, error) = gateway.key_service().asked(&line).unwrap();
            // These formats name no key.
            assert!(
                error.contains(&format!("names no key ({code})")),
                "{told}{error}"
            );
            let named = [&line[..], &["--key-id", &key.id]].concat();
            let (told, error) = gateway.key_service().asked(&named).unwrap();
            assert!(told.starts_with(headline), "{told}{error}");
            assert!(told.contains("status active -> suspended"), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_repair_it_says_who_stopped_the_user_and_who_let_it_on() {
    let (mut gateway, _, user) = refused_once(None).await;
    let (file, id) = logged(&gateway, "/refused").await;
    let path = format!("/users/{user}");
    gateway
        .key_service()
        .set_status(&path, "active")
        .await
        .unwrap();

    let file = file.path().to_str().unwrap();
    let line = ["explain", "--access-log", file, "--request-id", &id];
    let (told, error) = gateway.key_service().asked(&line).unwrap();
    assert!(
        told.starts_with("was refused then (user_suspended), would be allowed now"),
        "{told}{error}"
    );
    for part in [
        "status active -> suspended",
        "status suspended -> active",
        "by admin-from-environment",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("Nothing is to be done"), "{told}");
}
