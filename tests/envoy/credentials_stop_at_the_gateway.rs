//! Where a credential may be, and that it goes no further, while every other byte does.

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::records;

fn all_locations() -> Value {
    json!({"credentials": [
        {"header": "x-api-key"},
        {"bearer": "authorization"},
        {"header": "x-auth", "scheme": "ApiKey"},
        {"query": "api_key"},
        {"cookie": "api_key"},
    ]})
}

/// A request with the credential in each location, by name.
fn one_each(key: &str) -> Vec<(&'static str, Request)> {
    vec![
        ("header", Request::get("/").header("x-api-key", key)),
        (
            "header in another case",
            Request::get("/").header("X-API-Key", key),
        ),
        (
            "bearer",
            Request::get("/").header("authorization", format!("Bearer {key}")),
        ),
        (
            "bearer in another case",
            Request::get("/").header("authorization", format!("bEARER {key}")),
        ),
        (
            "scheme",
            Request::get("/").header("x-auth", format!("apikey {key}")),
        ),
        ("query", Request::get(format!("/?api_key={key}"))),
        (
            "cookie",
            Request::get("/").header("cookie", format!("api_key={key}")),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_each_location() {
    let gateway = Gateway::scripted().settings(all_locations()).start().await;
    let key = gateway.knows(records::active("one"));

    for (name, request) in one_each(&key) {
        let arrived = gateway.passed(&request).await;
        assert!(
            !arrived.everything().contains(&key),
            "{name}: {}",
            arrived.everything()
        );
        assert_eq!(arrived.header_values("x-key-id"), ["key_one"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_all_locations_at_once_whichever_was_used() {
    let gateway = Gateway::scripted().settings(all_locations()).start().await;
    let key = gateway.knows(records::active("one"));
    let other = gateway.stranger();

    // The first location that is present decides; what stands in the others is removed unread.
    let arrived = gateway
        .passed(
            &Request::get(format!("/?api_key={other}"))
                .header("x-api-key", &key)
                .header("authorization", format!("Bearer {other}"))
                .header("x-auth", format!("ApiKey {other}"))
                .header("cookie", format!("api_key={other}")),
        )
        .await;

    assert!(
        !arrived.everything().contains(&key),
        "{}",
        arrived.everything()
    );
    assert!(
        !arrived.everything().contains(&other),
        "{}",
        arrived.everything()
    );
    assert_eq!(gateway.service.asked_for(&other), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_bytes_of_path_query_and_cookies_stay_as_they_came() {
    let gateway = Gateway::scripted().settings(all_locations()).start().await;
    let key = gateway.knows(records::active("one"));

    for (sent, left) in [
        ("/p?a=1&api_key=@&b=2", "/p?a=1&b=2"),
        ("/p?api_key=@&b=%7e+%20&&=&c", "/p?b=%7e+%20&&=&c"),
        (
            "/p;v=1/%C3%A9/q+?a=%7E%c3%a9&api_key=@",
            "/p;v=1/%C3%A9/q+?a=%7E%c3%a9",
        ),
        (
            "/p?xapi_key=1&api_key=@&api_keyx=2&API_KEY=3",
            "/p?xapi_key=1&api_keyx=2&API_KEY=3",
        ),
    ] {
        let arrived = gateway.passed(&Request::get(sent.replace('@', &key))).await;
        assert_eq!(arrived.path, left, "sent {sent}");
    }
    for (sent, left) in [
        ("a=1; api_key=@; b=2", "a=1; b=2"),
        ("a=\"x y\"; b==%3B; api_key=@", "a=\"x y\"; b==%3B"),
        ("api_key=@; xapi_key=1", "xapi_key=1"),
    ] {
        let arrived = gateway
            .passed(&Request::get("/").header("cookie", sent.replace('@', &key)))
            .await;
        assert_eq!(arrived.header_values("cookie"), [left], "sent {sent}");
    }
    let arrived = gateway
        .passed(&Request::get(format!("/p?api_key={key}")))
        .await;
    assert!(
        ["/p", "/p?"].contains(&arrived.path.as_str()),
        "{}",
        arrived.path
    );
    let arrived = gateway
        .passed(
            &Request::get("/")
                .header("cookie", "a=1")
                .header("cookie", format!("api_key={key}; b=2")),
        )
        .await;
    assert!(!arrived.everything().contains(&key));
    assert!(arrived.everything().contains("a=1") && arrived.everything().contains("b=2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_percent_encoded_credential_is_read_and_removed() {
    let gateway = Gateway::scripted().settings(all_locations()).start().await;
    let key = gateway.knows(records::active("one"));
    let encoded = key.replacen("secret", "%73ecre%74", 1);
    gateway.secret(&encoded);

    let arrived = gateway
        .passed(&Request::get(format!("/p?a=%61&api_key={encoded}")))
        .await;

    assert_eq!(arrived.path, "/p?a=%61");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_in_a_location_is_a_refusal() {
    let gateway = Gateway::scripted().settings(all_locations()).start().await;
    let key = gateway.knows(records::active("one"));
    let bearer = format!("Bearer {key}");
    let apikey = format!("ApiKey {key}");
    let cookie = format!("api_key={key}");

    for (name, request) in [
        (
            "header",
            Request::get("/")
                .header("x-api-key", &key)
                .header("x-api-key", &key),
        ),
        (
            "bearer",
            Request::get("/")
                .header("authorization", &bearer)
                .header("authorization", &bearer),
        ),
        (
            "scheme",
            Request::get("/")
                .header("x-auth", &apikey)
                .header("x-auth", &apikey),
        ),
        (
            "query",
            Request::get(format!("/?api_key={key}&api_key={key}")),
        ),
        (
            "cookie",
            Request::get("/").header("cookie", format!("{cookie}; {cookie}")),
        ),
        (
            "cookie headers",
            Request::get("/")
                .header("cookie", &cookie)
                .header("cookie", &cookie),
        ),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("key_duplicated"),
            "{name}: {}",
            answer.text()
        );
    }
    assert!(gateway.upstream.arrived().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_scheme_counts_as_absent() {
    let gateway = Gateway::scripted().settings(all_locations()).start().await;
    let key = gateway.knows(records::active("one"));

    for (name, value) in [
        ("authorization", format!("Basic {key}")),
        ("authorization", key.clone()),
        ("x-auth", format!("Bearer {key}")),
        ("x-auth", key.clone()),
    ] {
        let answer = gateway.get("/", &[(name, &value)]).await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("key_missing"),
            "{name}: {value}"
        );
    }
    let arrived = gateway
        .passed(
            &Request::get("/")
                .header("authorization", "Basic dXNlcjpwYXNz")
                .header("x-auth", format!("ApiKey {key}")),
        )
        .await;
    assert_eq!(
        arrived.header_values("authorization"),
        ["Basic dXNlcjpwYXNz"],
        "that is no credential of ours"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_authorizations_each_stands_for_itself() {
    let gateway = Gateway::scripted().settings(all_locations()).start().await;
    let key = gateway.knows(records::active("one"));
    let other = gateway.stranger();
    let bearer = |key: &str| format!("Bearer {key}");
    let sent = |values: &[String]| {
        values.iter().fold(Request::get("/"), |request, value| {
            request.header("authorization", value)
        })
    };
    let basic = || "Basic dXNlcjpwYXNz".to_owned();

    // In lines of their own, which Envoy joins, or joined already.
    for values in [
        vec![basic(), bearer(&key)],
        vec![bearer(&key), basic()],
        vec![format!("{}, {}", bearer(&key), basic())],
        vec![format!("{},{}", basic(), bearer(&key))],
    ] {
        let arrived = gateway.passed(&sent(&values)).await;
        assert_eq!(arrived.header_values("authorization"), [basic()]);
        assert_eq!(arrived.header_values("x-key-id"), ["key_one"]);
    }
    for values in [
        vec![bearer(&key), basic(), bearer(&other)],
        vec![basic(), bearer(&key), bearer(&key)],
        vec![format!("{}, {}", bearer(&other), bearer(&key))],
    ] {
        let answer = gateway.send(&sent(&values)).await;
        assert_eq!(answer.header("x-keybound-code"), Some("key_duplicated"));
    }
    assert_eq!(gateway.service.asked_for(&other), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unless_the_operator_lets_it_pass() {
    let mut settings = all_locations();
    settings["strip_credential"] = json!(false);
    let gateway = Gateway::scripted().settings(settings).start().await;
    let key = gateway.knows(records::active("one"));

    for (name, request) in one_each(&key) {
        let arrived = gateway.passed(&request).await;
        assert!(
            arrived.everything().contains(&key),
            "{name}: {}",
            arrived.everything()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_service_is_told_a_digest_and_never_the_credential() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("one"));

    gateway
        .passed(&Request::get("/").header("x-api-key", &key))
        .await;

    let calls = gateway.service.resolves();
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(call.digests(), [records::digest(&key)]);
    assert_eq!(
        call.header("authorization"),
        Some(format!("Bearer {}", gateway.token()).as_str())
    );
    assert!(!String::from_utf8_lossy(&call.body).contains(&key));
    assert!(
        call.headers
            .iter()
            .all(|(_, value)| !String::from_utf8_lossy(value).contains(&key))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_pepper_the_digest_is_keyed() {
    let gateway = Gateway::scripted()
        .settings(json!({"digest": {"pepper_env": "PEPPER"}}))
        .environment("PEPPER", Some("a pepper of the operator's own"))
        .configure(|config| {
            config.plugin()["vm_config"]["environment_variables"]["host_env_keys"] =
                json!(["KEYBOUND_GATEWAY_TOKEN", "PEPPER"]);
        })
        .start()
        .await;
    gateway.secret("a pepper of the operator's own");
    let key = gateway.stranger();

    let answer = gateway.get("/", &[("x-api-key", &key)]).await;

    assert_eq!(answer.header("x-keybound-code"), Some("key_unknown"));
    let digests = gateway.service.resolves()[0].digests();
    assert_eq!(digests.len(), 1);
    assert_eq!(digests[0].len(), 43, "32 bytes");
    assert_ne!(digests[0], records::digest(&key));
}
