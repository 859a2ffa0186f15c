//! docs/security.md, "Routes that the filter's changes choose": with its guard, the policy of the route that serves
//! is asked, whatever chose that route.

use serde_json::{Value, json};
use support::client::{Request, Response};
use support::config::Config;
use support::gateway::{Builder, Gateway};
use support::home::Home;
use support::http2;
use support::needs;
use support::records::{self, Known};
use support::wait;

const HEADING: &str = "Routes that the filter's changes choose";

/// A route before all others, which tells its name to the upstream.
fn route(config: &mut Config, name: &str, matches: Value, policy: Option<&str>) {
    let mut route = config
        .routes()
        .last()
        .cloned()
        .expect("the shipped file has a route");
    route["match"] = matches;
    route["request_headers_to_add"] = json!([{"header": {"key": "x-route", "value": name}}]);
    if let Some(policy) = policy {
        route["metadata"] = json!({"filter_metadata": {"keybound": {"policy": policy}}});
    }
    config.routes().insert(0, route);
}

/// Below `/tenants` the verified tenant chooses, at `/reports` and `/plain` a parameter in which a key may be sent,
/// and at `/claimed` an identity that a client made up.
fn routes(config: &mut Config) {
    let below = |path: &str| json!({"prefix": path});
    let with_key = |path: &str| json!({"prefix": path, "query_parameters": [{"name": "k", "present_match": true}]});
    let header = |path: &str, matches: Value| json!({"prefix": path, "headers": [matches]});
    let tenant = json!({"name": "x-tenant-id", "string_match": {"exact": "ten_strict"}});
    let claims = json!({"name": "x-user-id", "present_match": true});

    route(config, "tenants", below("/tenants"), Some("trial"));
    let of_tenant = header("/tenants", tenant);
    route(config, "strict tenant", of_tenant, Some("strict"));
    route(config, "reports", below("/reports"), Some("strict"));
    route(config, "open reports", with_key("/reports"), Some("trial"));
    route(config, "open plain", with_key("/plain"), Some("trial"));
    route(config, "claimed", below("/claimed"), Some("strict"));
    let open = header("/claimed", claims);
    route(config, "open claimed", open, None);
    route(config, "forgotten", below("/forgotten"), Some("forgotten"));
}

fn gateway() -> Builder {
    routed(Gateway::scripted().documented("security.md", Some(HEADING)))
}

fn routed(gateway: Builder) -> Builder {
    gateway
        .settings(json!({
            "credentials": [{"header": "x-api-key"}, {"query": "k"}],
            "policies": {
                "open": {"authentication": "optional"},
                "forgotten": {},
            },
            // Every policy is one of these, as if no route of Envoy's named any.
            "routes": [
                {"match": {"prefix": "/claimed"}, "policy": "open"},
                {"match": {"prefix": "/a"}, "policy": "trial"},
                {"match": {"prefix": "/b"}, "policy": "strict"},
                {"match": {"prefix": "/c"}, "policy": "forgotten"},
            ],
            "default_policy": {"environment": "live"},
        }))
        .configure(routes)
        .workers(1)
}

fn key(name: &str, tenant: &str, scopes: Value) -> Known {
    records::active(name)
        .key("scopes", scopes)
        .key("tenant_id", tenant)
        .user("tenant_id", tenant)
        .tenant("id", tenant)
}

fn poor(name: &str) -> Known {
    key(name, "ten_strict", json!([]))
}

fn admin(name: &str) -> Known {
    key(name, "ten_strict", json!(["admin"]))
}

/// The code of a refusal by the guard's filter.
const GUARD: &str = "not_permitted";

/// Who asks the policy of the route that serves: the guard's filter, or the dynamic module itself, which tells why.
fn by_the_route(code: &str) -> &str {
    match Home::chosen() {
        Home::Wasm => GUARD,
        Home::Native => code,
    }
}

fn is_refused(answer: &Response, code: &str) {
    let status = if code == "key_missing" { 401 } else { 403 };
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("x-keybound-code"), Some(code));
}

/// Sends a request with a key that nobody has seen yet, and once more.
async fn cold_and_warm(
    gateway: &Gateway,
    known: Known,
    request: impl Fn(&str) -> Request,
) -> Vec<Response> {
    let key = gateway.knows(known);
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(gateway.send(&request(&key)).await);
    }
    assert_eq!(gateway.service.asked_for(&key), 1);
    answers
}

async fn refused(gateway: &Gateway, known: Known, request: impl Fn(&str) -> Request, code: &str) {
    for answer in cold_and_warm(gateway, known, request).await {
        is_refused(&answer, code);
    }
}

async fn served(
    gateway: &Gateway,
    known: Known,
    request: impl Fn(&str) -> Request,
    route: &[&str],
) {
    for answer in cold_and_warm(gateway, known, request).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let arrived = serde_json::from_slice::<support::upstream::Arrived>(&answer.body)
            .expect("the upstream's answer");
        assert_eq!(arrived.header_values("x-route"), route);
    }
}

fn at(path: &'static str) -> impl Fn(&str) -> Request {
    move |key| Request::get(path).header("x-api-key", key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_of_a_verified_tenants_route_is_asked() {
    let gateway = gateway().start().await;
    let tenants = || at("/tenants");

    let code = by_the_route("scope_missing");
    refused(&gateway, poor("poor"), tenants(), code).await;
    served(&gateway, admin("admin"), tenants(), &["strict tenant"]).await;
    let other = key("other", "ten_other", json!([]));
    served(&gateway, other, tenants(), &["tenants"]).await;

    // What the client says of it counts for nothing.
    let claims = |key: &str| at("/tenants")(key).header("x-tenant-id", "ten_other");
    for answer in cold_and_warm(&gateway, poor("claims"), claims).await {
        assert_eq!(answer.header("x-keybound-code"), Some("scope_missing"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_key_is_sent_chooses_no_looser_policy() {
    let gateway = gateway().start().await;
    let reports = |key: &str| Request::get(format!("/reports?k={key}"));
    let plain = |key: &str| Request::get(format!("/plain?k={key}"));

    let code = by_the_route("scope_missing");
    refused(&gateway, poor("poor"), reports, code).await;
    served(&gateway, admin("admin"), reports, &["reports"]).await;
    // Behind the other there is no policy of a route, and the default one asks for another environment.
    let test = records::active("test").key("environment", "test");
    let code = by_the_route("environment_mismatch");
    refused(&gateway, test, plain, code).await;
    served(&gateway, poor("live"), plain, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_the_serving_route_alone_names_is_asked() {
    let gateway = gateway().start().await;

    let claims = |request: Request| request.header("x-user-id", "usr_1");
    for _ in 0..2 {
        let anonymous = gateway.send(&claims(Request::get("/claimed"))).await;
        is_refused(&anonymous, by_the_route("key_missing"));
    }
    // With a key there is a verified user, so the open route serves.
    let claimed = |key: &str| claims(at("/claimed")(key));
    served(&gateway, poor("poor"), claimed, &["open claimed"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_rule_allows_is_refused() {
    let forgotten = gateway().start().await;
    refused(&forgotten, admin("admin"), at("/forgotten"), GUARD).await;
    served(&forgotten, poor("poor"), at("/else"), &[]).await;

    let untold = gateway()
        .configure(|config| config.merge_settings(&json!({"guarded_routes": false})))
        .start()
        .await;
    for path in ["/tenants", "/else"] {
        refused(&untold, admin(path.trim_matches('/')), at(path), GUARD).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_without_a_verdict_passes_the_guard() {
    let mut gateway = gateway()
        .settings(json!({"unavailable": "allow"}))
        .start()
        .await;
    let preflight = || {
        Request::new("OPTIONS", "/reports")
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
    };
    gateway.passed(&preflight()).await;
    gateway
        .passed(&preflight().header("x-user-id", "usr_1"))
        .await;

    gateway.service.stop();
    let stranger = gateway.stranger();
    let request = Request::get(format!("/reports?k={stranger}"));
    let arrived = gateway.passed(&request).await;
    assert_eq!(arrived.header_values("x-route"), ["reports"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_shadow_nothing_is_refused() {
    let gateway = gateway()
        .settings(json!({"enforcement": "shadow"}))
        .start()
        .await;
    served(&gateway, poor("poor"), at("/tenants"), &["tenants"]).await;
    let stranger = gateway.stranger();
    gateway.passed(&at("/reports")(&stranger)).await;
    gateway.passed(&Request::get("/reports")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_envoy_begins_anew_is_guarded_anew() {
    if !needs::sandbox("internal_redirects") {
        return;
    }
    let gateway = gateway()
        .settings(json!({"internal_redirects": true}))
        .configure(|config| {
            for route in config.routes() {
                route["route"]["internal_redirect_policy"] = json!({});
            }
        })
        .start()
        .await;
    let key = gateway.knows(admin("admin").key("environment", "live"));
    let to = |path: &str| {
        let to = format!("http://localhost{path}");
        at("/302")(&key).header("answer-location", to)
    };
    for _ in 0..2 {
        let arrived = gateway.passed(&to("/tenants")).await;
        assert_eq!(arrived.header_values("x-route"), ["strict tenant"]);
        is_refused(&gateway.send(&to("/forgotten")).await, GUARD);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_a_problem_like_all_others() {
    let gateway = gateway().start().await;
    let key = gateway.knows(admin("admin"));

    let refused = gateway.send(&at("/forgotten/1")(&key)).await;
    is_refused(&refused, GUARD);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let problem = refused.json();
    assert_eq!(problem["type"], "urn:keybound:problem:not_permitted");
    assert_eq!(problem["title"], "Not permitted for this key");
    assert_eq!(problem["status"], 403);
    let entry = gateway.logged("/forgotten/1").await;
    assert_eq!(problem["request_id"], entry["request_id"]);
    assert_eq!(entry["details"], "rbac_access_denied_matched_policy[none]");
    assert_eq!(entry["code"], Value::Null);
    assert_eq!(entry["guarded_key_id"], "key_admin");

    // Those of Keybound stay its own.
    let own = gateway.knows(poor("poor"));
    let own = gateway.send(&at("/reports/1")(&own)).await;
    assert_eq!(own.json()["code"], "scope_missing");
    gateway.passed(&at("/else")(&key)).await;
    assert_eq!(gateway.logged("/else").await["guarded_key_id"], "");

    let connection = http2::Connection::open(gateway.port()).await.unwrap();
    let answer = connection
        .grpc("/forgotten/Call", &[("x-api-key", key.as_bytes())])
        .await
        .unwrap();
    assert_eq!(answer.trailers["grpc-status"], "7");
    wait::until("the refusals to be counted", async || {
        let stats = gateway.envoy.stats("http.gateway.rbac.denied").await;
        match stats.unwrap_or_default().get("http.gateway.rbac.denied") {
            Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dynamic_module_is_its_own_guard() {
    if !needs::native("a view of the route that serves") {
        return;
    }
    let gateway = routed(Gateway::scripted().settings(json!({
        "guarded_routes": true,
        "policies": {"trial": {}, "strict": {"scopes": {"all": ["admin"]}}},
    })))
    .configure(|config| {
        route(
            config,
            "nowhere",
            json!({"prefix": "/nowhere", "headers": [
        {"name": "x-user-id", "string_match": {"exact": "usr_lost"}}]}),
            Some("nowhere"),
        )
    })
    .start()
    .await;

    refused(&gateway, poor("poor"), at("/tenants"), "scope_missing").await;
    let key = gateway.knows(poor("logged"));
    let own = gateway.send(&at("/tenants/logged")(&key)).await;
    is_refused(&own, "scope_missing");
    let entry = gateway.logged("/tenants/logged").await;
    assert_eq!(entry["details"], "keybound_scope_missing");
    assert_eq!(entry["refused_key_id"], "key_logged");
    served(&gateway, admin("admin"), at("/tenants"), &["strict tenant"]).await;
    let reports = |key: &str| Request::get(format!("/reports?k={key}"));
    refused(&gateway, poor("other"), reports, "scope_missing").await;
    let claims = |path: &str| Request::get(path).header("x-user-id", "usr_1");
    is_refused(&gateway.send(&claims("/claimed")).await, "key_missing");

    let lost = records::active("lost")
        .key("user_id", "usr_lost")
        .user("id", "usr_lost");
    for answer in cold_and_warm(&gateway, lost, at("/nowhere")).await {
        assert_eq!(answer.status, 500);
        assert_eq!(answer.header("x-keybound-code"), Some("policy_unknown"));
    }

    let connection = http2::Connection::open(gateway.port()).await.unwrap();
    let key = gateway.knows(poor("remote"));
    for _ in 0..2 {
        let answer = connection
            .grpc("/tenants/Call", &[("x-api-key", key.as_bytes())])
            .await
            .unwrap();
        assert_eq!(answer.trailers["grpc-status"], "7");
    }
    // Each is counted once, as what became of it.
    gateway.counted("rejected.scope_missing", 7).await;
    gateway.counted("rejected.key_missing", 1).await;
    gateway.counted("rejected.policy_unknown", 2).await;
    gateway.counted("allowed", 2).await;
    gateway.counted("anonymous", 0).await;
}
