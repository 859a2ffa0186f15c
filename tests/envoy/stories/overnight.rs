//! An integration ran for two years. At night an administrator, or the directory, deactivates its user as dormant. All
//! gateways obey, without a restart and without a new configuration, and obey again when the user is back.

use super::{Directory, INVALID_USER, explained, on, patient, refused, until_answered, with_key};
use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::key_service::KeyService;
use support::postgres::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_user_that_looked_dormant() {
    at_night(None, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_user_that_looked_dormant_where_records_are_in_postgresql() {
    let server = Server::start("18").unwrap();
    at_night(None, Some(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_looked_dormant_in_okta() {
    at_night(Some("okta"), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_looked_dormant_in_entra_where_records_are_in_postgresql() {
    let server = Server::start("18").unwrap();
    at_night(Some("entra"), Some(&server)).await;
}

/// Who says whether the user is active.
enum By {
    Administrator,
    Directory(Directory),
}

impl By {
    async fn set(&self, service: &KeyService, user: &str, active: bool) {
        match (self, active) {
            (Self::Administrator, _) => {
                let status = if active { "active" } else { "deactivated" };
                let path = format!("/users/{user}");
                service.set_status(&path, status).await.unwrap();
            }
            (Self::Directory(directory), false) => {
                directory.leaves(service, user).await.unwrap();
            }
            (Self::Directory(directory), true) => {
                directory.comes_back(service, user).await.unwrap();
            }
        }
    }
}

async fn at_night(directory: Option<&'static str>, server: Option<&Server>) {
    let bearer = json!({"credentials": [{"bearer": "authorization"}]});
    let mut first = on(Gateway::real(), server)
        .settings(patient())
        .settings(bearer.clone())
        .start()
        .await;
    let port = first.key_service().port();
    let token = first.token().to_owned();
    let second = Gateway::scripted()
        .settings(patient())
        .settings(bearer)
        .environment("KEYBOUND_GATEWAY_TOKEN", Some(&token))
        .configure(move |config| {
            let clusters = config.clusters();
            let cluster = clusters
                .iter_mut()
                .find(|cluster| cluster["name"] == "key_service")
                .expect("the cluster of the key service");
            let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
            cluster
                .pointer_mut(endpoint)
                .expect("its only endpoint")["socket_address"]["port_value"] = json!(port);
        })
        .start()
        .await;
    let service = first.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "integration").await.unwrap();
    let by = match directory {
        None => By::Administrator,
        Some(name) => By::Directory(Directory::of(service, name, &tenant).unwrap()),
    };
    let key = service
        .key(&user, &json!({"scopes": ["orders:read"]}))
        .await
        .unwrap();
    for gateway in [&first, &second] {
        gateway.secret(&key.key);
        gateway.secret(&token);
        if let By::Directory(directory) = &by {
            gateway.secret(&directory.token);
        }
    }
    let call = with_key(Request::get("/orders"), &key.key);
    for gateway in [&first, &second] {
        let arrived = gateway.passed(&call).await;
        assert_eq!(arrived.header_values("x-user-id"), [user.as_str()]);
    }
    let started = [epoch(&first).await, epoch(&second).await];

    // Nobody is stopped by mistake: an administrator who deactivates the user is shown what it does.
    report_use(&mut first, &key.id).await;
    let service = first.key_service();
    let path = format!("/users/{user}");
    let deactivated = json!({"status": "deactivated"});
    let answer = service
        .admin("PATCH", &path, Some(&deactivated))
        .await
        .unwrap();
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains(&key.id), "{}", answer.text());
    for gateway in [&first, &second] {
        gateway.passed(&call).await;
    }

    // It is done all the same, at night.
    by.set(first.key_service(), &user, false).await;
    for gateway in [&first, &second] {
        let answer = until_answered(gateway, &call, Some("user_deactivated")).await;
        refused(&answer, 403, "user_deactivated", INVALID_USER);
        let night = with_key(Request::get("/orders/night"), &key.key);
        let answer = gateway.send(&night).await;
        refused(&answer, 403, "user_deactivated", INVALID_USER);
        let entry = gateway.logged("/orders/night").await;
        assert_eq!(entry["refused_user_id"], user.as_str());
        assert_eq!(entry["refused_key_id"], key.id.as_str());
    }

    let entry = first.logged("/orders/night").await;
    let actor = match &by {
        By::Administrator => String::new(),
        By::Directory(directory) => format!("deactivated by scim:{}", directory.name),
    };
    let about = [user.as_str(), "deactivated", &actor];
    explained(&mut first, &entry, "user_deactivated", &about).await;

    // The repair, with the same key.
    by.set(first.key_service(), &user, true).await;
    for gateway in [&first, &second] {
        until_answered(gateway, &call, None).await;
        let arrived = gateway.passed(&call).await;
        assert_eq!(arrived.header_values("x-key-id"), [key.id.as_str()]);
    }
    assert_eq!(
        started,
        [epoch(&first).await, epoch(&second).await],
        "neither was started again or configured anew"
    );
}

/// What changes when an Envoy is started again or gets another configuration.
async fn epoch(gateway: &Gateway) -> Vec<(String, u64)> {
    let stats = gateway.envoy.stats("").await.unwrap();
    [
        "listener_manager.listener_create_success",
        "listener_manager.listener_modified",
        "http.gateway.rds.config_reload",
        "wasm.envoy.wasm.runtime.v8.created",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), stats.get(name).copied().unwrap_or(0)))
    .collect()
}

/// Reports that the key was used, as a gateway does.
async fn report_use(gateway: &mut Gateway, key: &str) {
    let now = crate::now();
    let report = json!({
        "reporter": "a-gateway", "batch": 1, "from": now - 10, "to": now,
        "keys": [{"id": key, "allowed": 2, "rejected": 0, "last_at": now - 1}],
    });
    let request = Request::post("/v1/usage", report.to_string())
        .header("authorization", format!("Bearer {}", gateway.token()))
        .header("content-type", "application/json");
    let answer = request.send(gateway.key_service().port()).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
    let used: Value = gateway
        .key_service()
        .must("GET", &format!("/keys/{key}"), None)
        .await
        .unwrap();
    assert!(used.to_string().contains(&(now - 1).to_string()), "{used}");
}
