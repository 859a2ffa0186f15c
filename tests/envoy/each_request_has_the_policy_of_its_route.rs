//! docs/configuration.md, "Choosing the policy": metadata, then `routes`, then the default; and the
//! policies that let requests through without a key.

use serde_json::{Value, json};
use support::client::Request;
use support::config::Config;
use support::gateway::{Builder, Gateway};
use support::http2;
use support::records;
use support::wait;

const IDENTITY: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

/// A route of Envoy for a prefix, with metadata that name a policy.
fn route_with_policy(config: &mut Config, prefix: &str, policy: Value) {
    let routes = config.routes();
    let mut route = routes[0].clone();
    route["match"] = json!({"prefix": prefix});
    route["metadata"] = json!({"filter_metadata": {"keybound": {"policy": policy}}});
    routes.insert(0, route);
}

/// Each policy asks for the environment of its name, so that a key of another one learns which was chosen:
/// it passes that one alone.
fn by_environment(settings: Value) -> Builder {
    let policy = |name: &str| json!({"environment": name});
    Gateway::scripted().settings(settings).settings(json!({
        "policies": {"one": policy("one"), "two": policy("two"), "three": policy("three")},
        "default_policy": policy("default"),
    }))
}

async fn chosen(gateway: &Gateway, request: &Request) -> Vec<&'static str> {
    let mut passed = Vec::new();
    for environment in ["one", "two", "three", "default"] {
        let key = gateway.knows(records::active(environment).key("environment", environment));
        let answer = gateway
            .send(&request.clone().header("x-api-key", &key))
            .await;
        match answer.header("x-keybound-code") {
            None if answer.status == 200 => passed.push(environment),
            Some("environment_mismatch") => {}
            _ => panic!("{} {}", answer.status, answer.text()),
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_before_routes_before_the_default() {
    let gateway = by_environment(json!({"routes": [
        {"match": {"path": "/exact"}, "policy": "one"},
        {"match": {"prefix": "/v1/orders"}, "policy": "one"},
        {"match": {"prefix": "/v1"}, "policy": "two"},
        {"match": {"prefix": "/write", "methods": ["POST", "PUT"]}, "policy": "one"},
        {"match": {"hosts": ["*.Example.org", "api.example.net"]}, "policy": "three"},
    ]}))
    .configure(|config| {
        route_with_policy(config, "/v1/orders/special", json!("three"));
        // An empty name is the name of no policy.
        route_with_policy(config, "/v1/nothing", json!(""));
    })
    .start()
    .await;
    let get = |path: &str| Request::get(path);
    let at = |host: &str| Request::get("/").header("host", host);

    for (request, policy) in [
        (get("/v1/orders/special"), "three"),
        (get("/v1/orders/special/7?x=1"), "three"),
        (get("/v1/orders"), "one"),
        (get("/v1/orders?prefix=/v1"), "one"),
        (get("/v1/orders/7"), "one"),
        (get("/v1/orders2"), "two"),
        (get("/v1"), "two"),
        (get("/v1?"), "two"),
        (get("/v12"), "default"),
        (get("/exact"), "one"),
        (get("/exact?a=b"), "one"),
        (get("/exactly"), "default"),
        (get("/exact/7"), "default"),
        (Request::post("/write", "x"), "one"),
        (get("/write"), "default"),
        (at("api.example.net"), "three"),
        (at("API.example.net:8080"), "three"),
        (at("a.b.example.org"), "three"),
        (at("example.org"), "default"),
        (at("api.example.net.evil.example"), "default"),
    ] {
        assert_eq!(chosen(&gateway, &request).await, [policy], "{request:?}");
    }
    let key = gateway.knows(records::active("any"));
    let answer = gateway.get("/v1/nothing", &[("x-api-key", &key)]).await;
    assert_eq!(answer.header("x-keybound-code"), Some("policy_unknown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_a_name_that_does_not_exist_opens_nothing() {
    let gateway = Gateway::scripted()
        .settings(json!({
            "policies": {"open": {"authentication": "none"}},
            "routes": [{"match": {"prefix": "/"}, "policy": "open"}],
            "default_policy": "open",
        }))
        .configure(|config| {
            route_with_policy(config, "/typing-error", json!("Open"));
            route_with_policy(config, "/open", json!("open"));
        })
        .workers(1)
        .start()
        .await;
    let key = gateway.knows(records::active("good"));
    assert_eq!(gateway.get("/open", &[]).await.status, 200);
    assert_eq!(gateway.get("/else", &[]).await.status, 200);

    let mut asked = 0;
    for _ in 0..20 {
        for headers in [&[][..], &[("x-api-key", key.as_str())]] {
            let answer = gateway.get("/typing-error/1", headers).await;
            assert_eq!(answer.status, 500);
            assert_eq!(answer.header("x-keybound-code"), Some("policy_unknown"));
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(answer.header("www-authenticate"), None);
            assert_eq!(answer.json()["status"], 500);
            assert!(!answer.text().contains("Open"), "{}", answer.text());
            asked += 1;
        }
    }
    let connection = http2::Connection::open(gateway.port()).await.unwrap();
    let answer = connection.grpc("/typing-error/Call", &[]).await.unwrap();
    assert_eq!(answer.trailers["grpc-status"], "13");
    assert_eq!(answer.trailers["x-keybound-code"], "policy_unknown");

    assert_eq!(gateway.upstream.arrived().len(), 2);
    assert!(gateway.service.resolves().is_empty(), "no check is made");
    gateway.counted("rejected.policy_unknown", asked + 1).await;
    let warnings = || {
        let log = gateway.envoy.log();
        log.lines()
            .filter(|line| line.contains("[warning]") && line.contains(r#"no policy "Open""#))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let first = warnings();
    assert!(!first.is_empty(), "no warning");
    // Envoy writes the second in front: [2026-11-22 01:57:48.882]
    let mut seconds: Vec<&str> = first.iter().filter_map(|line| line.get(..20)).collect();
    seconds.dedup();
    assert!(
        first.len() <= seconds.len() + 1,
        "more than one a second: {first:#?}"
    );
    wait::until("another warning, a second later", async || {
        gateway.get("/typing-error/2", &[]).await;
        match warnings().len() {
            count if count > first.len() => Ok(()),
            count => Err(format!("{count}")),
        }
    })
    .await
    .unwrap();
}

/// Routes of Envoy that a client's header or parameter chooses, each with a policy of its own.
fn steered_routes(config: &mut Config) {
    let header = |name: &str, value: Value| json!({"prefix": "/h", "headers": [{"name": name, "string_match": value}]});
    let routes = [
        ("strict", json!({"prefix": "/"}), json!("strict")),
        (
            "parameter",
            json!({"prefix": "/q", "query_parameters": [{"name": "k", "present_match": true}]}),
            json!("trial"),
        ),
        (
            "open",
            header("x-user-id", json!({"exact": "usr_1"})),
            json!("open"),
        ),
        (
            "trial",
            header("x-tenant-id", json!({"exact": "ten_trial"})),
            json!("trial"),
        ),
    ];
    let template = config.routes()[0].clone();
    config.routes().clear();
    for (name, matches, policy) in routes {
        let mut route = template.clone();
        route["match"] = matches;
        route["metadata"] = json!({"filter_metadata": {"keybound": {"policy": policy}}});
        route["request_headers_to_add"] = json!([{"header": {"key": "x-route", "value": name}}]);
        config.routes().insert(0, route);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_header_of_the_clients_own_chooses_the_policy_of_a_route_that_does_not_serve_it() {
    let gateway = Gateway::scripted()
        .settings(json!({
            "credentials": [{"header": "x-api-key"}, {"query": "k"}, {"cookie": "key"}],
            "policies": {
                "trial": {},
                "open": {"authentication": "none"},
                "strict": {"scopes": {"all": ["admin"]}},
            },
        }))
        .configure(steered_routes)
        .workers(1)
        .start()
        .await;
    let poor = gateway.knows(records::active("poor"));
    let admin = gateway.knows(records::active("admin").key("scopes", json!(["admin"])));
    let steered = |key: &str| {
        let with_key = |path: &str| Request::get(path).header("x-api-key", key);
        [
            with_key("/h").header("x-tenant-id", "ten_trial"),
            with_key("/h").header("x-user-id", "usr_1"),
            with_key("/q?k=1"),
            with_key("/q?k"),
            with_key("/q?k=1").header("cookie", "key=1"),
        ]
    };

    // Once from the key service, then from the cache.
    for _ in 0..2 {
        for request in steered(&poor) {
            let answer = gateway.send(&request).await;
            assert_eq!(answer.header("x-keybound-code"), Some("scope_missing"));
        }
        for request in steered(&admin) {
            let arrived = gateway.passed(&request).await;
            assert_eq!(arrived.header_values("x-route"), ["strict"]);
        }
        let without_key = Request::get("/h").header("x-user-id", "usr_1");
        let answer = gateway.send(&without_key).await;
        assert_eq!(answer.header("x-keybound-code"), Some("key_missing"));
    }
    let before = gateway.upstream.arrived().len();
    assert_eq!(before, 10, "nothing but the admin's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_tenant_still_chooses_its_route() {
    let gateway = Gateway::scripted()
        .configure(|config| {
            let mut route = config.routes()[0].clone();
            route["match"] = json!({
                "prefix": "/",
                "headers": [{"name": "x-tenant-id", "string_match": {"exact": "ten_trial"}}],
            });
            route["request_headers_to_add"] =
                json!([{"header": {"key": "x-route", "value": "trial"}}]);
            config.routes().insert(0, route);
        })
        .start()
        .await;
    let trial = gateway.knows(records::active("trial"));
    let other = gateway.knows(records::active("other"));
    for _ in 0..2 {
        for (key, route) in [(&trial, &["trial"][..]), (&other, &[])] {
            let request = Request::get("/")
                .header("x-api-key", key)
                .header("x-tenant-id", "ten_trial");
            let arrived = gateway.passed(&request).await;
            assert_eq!(arrived.header_values("x-route"), route);
        }
    }
}

fn spoofed(request: Request) -> Request {
    IDENTITY
        .into_iter()
        .fold(request, |request, name| request.header(name, "spoofed"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_optional_key_is_judged_when_it_is_there() {
    let gateway = Gateway::scripted()
        .settings(json!({"default_policy": {
            "authentication": "optional", "scopes": {"all": ["orders:read"]},
        }}))
        .start()
        .await;
    let good = gateway.knows(records::active("good"));
    let locked = gateway.knows(records::active("locked").user_status("locked"));
    let poor = gateway.knows(records::active("poor").key("scopes", json!([])));
    let stranger = gateway.stranger();

    for anonymous in [
        spoofed(Request::get("/anonymous")),
        spoofed(Request::get("/anonymous")).header("x-api-key", ""),
    ] {
        let arrived = gateway.passed(&anonymous).await;
        for name in IDENTITY {
            assert!(arrived.header_values(name).is_empty(), "{name}");
        }
    }
    let arrived = gateway
        .passed(&spoofed(Request::get("/known")).header("x-api-key", &good))
        .await;
    assert_eq!(arrived.header_values("x-key-id"), ["key_good"]);
    assert!(!arrived.everything().contains("spoofed"));

    for (key, code) in [
        (&stranger, "key_unknown"),
        (&locked, "user_locked"),
        (&poor, "scope_missing"),
        (&"two words".to_owned(), "key_malformed"),
    ] {
        let answer = gateway.get("/refused", &[("x-api-key", key)]).await;
        assert_eq!(answer.header("x-keybound-code"), Some(code));
    }
    let twice = gateway
        .get("/refused", &[("x-api-key", &good), ("x-api-key", &good)])
        .await;
    assert_eq!(twice.header("x-keybound-code"), Some("key_duplicated"));

    assert_eq!(gateway.upstream.arrived().len(), 3);
    gateway.counted("anonymous", 2).await;
    gateway.counted("allowed", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_none_is_asked_for_nothing_is_looked_at() {
    let gateway = Gateway::scripted()
        .settings(json!({
            "default_policy": {"authentication": "none"},
            "credentials": [{"header": "x-api-key"}, {"bearer": "authorization"}, {"query": "key"}],
        }))
        .start()
        .await;
    let locked = gateway.knows(records::active("locked").user_status("locked"));
    let stranger = gateway.stranger();

    for key in [&locked, &stranger] {
        let arrived = gateway
            .passed(
                &spoofed(Request::get(format!("/?key={key}")))
                    .header("x-api-key", key)
                    .header("authorization", format!("Bearer {key}")),
            )
            .await;
        assert_eq!(arrived.path, format!("/?key={key}"), "it may be another's");
        assert_eq!(arrived.header_values("x-api-key"), [key.as_str()]);
        assert_eq!(
            arrived.header_values("authorization"),
            [format!("Bearer {key}")]
        );
        for name in IDENTITY {
            assert!(arrived.header_values(name).is_empty(), "{name}");
        }
    }
    let twice = [("x-api-key", "a b"), ("x-api-key", "c")];
    assert_eq!(gateway.get("/", &twice).await.status, 200);
    assert!(gateway.service.resolves().is_empty());
    gateway.counted("anonymous", 3).await;
    gateway.counted("allowed", 0).await;
}
