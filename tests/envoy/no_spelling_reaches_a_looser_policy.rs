//! Policies are chosen by path, and servers differ in how they read one. However a path is spelled, what
//! reaches the upstream satisfies the policy of every resource that the upstream may take it for.

use serde_json::{Value, json};
use std::fmt::Write as _;
use support::client::{Connection, Request};
use support::config::Config;
use support::gateway::{Builder, Gateway};
use support::http2;
use support::records;
use support::upstream::Arrived;

/// Spellings of `/admin/secret` that Envoy, or some upstream behind it, reads as that.
const ADMIN: [&str; 57] = [
    "/admin/secret",
    "/admin/secret/",
    "/admin/secret?x=/public/x",
    "/admin/secret#/public/x",
    "/admin/secret?#",
    "/admin",
    "/admin/",
    "/admin?",
    "//admin/secret",
    "///admin//secret",
    "/./admin/secret",
    "/admin/./secret",
    "/x/../admin/secret",
    "/../admin/secret",
    "/admin/x/../secret",
    "/x/%2e%2e/admin/secret",
    "/x/%2E./admin/secret",
    "/%2e/admin/secret",
    "/x/..%2fadmin/secret",
    "/x%2F..%2Fadmin%2Fsecret",
    "/%2Fadmin/secret",
    "/admin%2Fsecret",
    "/x/..%5Cadmin/secret",
    "/x\\..\\admin\\secret",
    "\\admin\\secret",
    "/\\admin/secret",
    "/%5cadmin/secret",
    "/admin;v=1/secret",
    "/admin;/secret;a=b",
    "/admin%3Bv=1/secret",
    "/;/admin/secret",
    "/x/..;/admin/secret",
    "/x/..;a=b/admin/secret",
    "/x/%2e%2e;/admin/secret",
    "/Admin/secret",
    "/ADMIN/SECRET",
    "/%61dmin/secret",
    "/%41DMIN/secret",
    // An upstream may ignore case or drop parameters, and yet take these dots for a name.
    "/ADMIN/%2e%2e;/x",
    "/Admin/%2e%2e;x",
    "/admin;v/%2e%2e;/x",
    // It may resolve some of these dots, and take the others for names.
    "/a/%2e%2e;/admin/users/..%3b/%2e%2e;",
    "/x/..%3b/admin/secret",
    "/x/%2e%2e%3B/admin/secret",
    "/x/%252e%252e/admin/secret",
    "/x/%252e%252e%253b/admin/secret",
    "/x/..%252fadmin/secret",
    "/x/..%255cadmin/secret",
    "/x/..%20/admin/secret",
    "/x/..+/admin/secret",
    "/x/.../admin/secret",
    "/x/%c0%ae%c0%ae/admin/secret",
    "/x/%EF%BC%8E%EF%BC%8E/admin/secret",
    "/x/.%09./admin/secret",
    "/%2561dmin/secret",
    "/admin%3Bv=1;w/secret",
    "/admin%20/secret",
];

/// The same from within `/public`, and what only looks as if it were there.
const FROM_PUBLIC: [&str; 34] = [
    "/public/../admin/secret",
    "/public/./../admin/secret",
    "/public/x/../../admin/secret",
    "/public/%2e%2e/admin/secret",
    "/public/%2E%2E/admin/secret",
    "/public/.%2e/admin/secret",
    "/public/..%2Fadmin/secret",
    "/public%2f..%2fadmin/secret",
    "/public/..%5cadmin/secret",
    "/public/..\\admin/secret",
    "/public\\..\\admin\\secret",
    "/public/..;/admin/secret",
    "/public/..;x=1/admin/secret",
    "/public/%2e%2e;/admin/secret",
    "/public/x/..;/..;/admin/secret",
    "/public;/../admin/secret",
    "/public;x/..;y/ADMIN/secret",
    "/public/../../admin",
    "/public/..",
    "/public2",
    "/publi",
    "/Public/x",
    "/public;x/y",
    "/public;",
    "/%70ublic;/x",
    "//",
    "/?/public/x",
    "/;/public2",
    "/public/%2e%2e;/admin/..%3b/%2e%2e;/public/x",
    "/public/..%3b/admin",
    "/public/..%252fadmin",
    "/public/%252e%252e%3b/admin",
    "/public/..%20/admin",
    "/public;%2F..%2Fadmin",
];

/// Everything is open but what is below `/admin`.
fn strict_admin() -> Builder {
    Gateway::scripted().settings(json!({
        "policies": {"admin": {"scopes": {"all": ["admin"]}}, "open": {"authentication": "none"}},
        "routes": [{"match": {"prefix": "/admin"}, "policy": "admin"}],
        "default_policy": "open",
    }))
}

/// Nothing is open but what is below `/public`.
fn loose_public() -> Builder {
    Gateway::scripted().settings(json!({
        "policies": {"open": {"authentication": "none"}},
        "routes": [{"match": {"prefix": "/public"}, "policy": "open"}],
        "default_policy": {"scopes": {"all": ["admin"]}},
    }))
}

/// What came through without the scope, sent in all ways.
async fn leaks(gateway: &Gateway, targets: impl IntoIterator<Item = &str>) -> Vec<String> {
    let weak = gateway.knows(records::active("weak"));
    let before = gateway.upstream.arrived().len();
    let mut leaked = Vec::new();
    for target in targets {
        for request in [
            Request::get(target),
            Request::get(target).header("x-api-key", &weak),
            Request::head(target),
            Request::post(target, "body"),
            Request::get(format!("http://gateway.example{target}")),
        ] {
            let answer = gateway.send(&request).await;
            let code = answer.header("x-keybound-code");
            // Refused by the filter, or by Envoy itself before it.
            if !matches!(code, Some("key_missing" | "scope_missing"))
                && !matches!(answer.status, 301 | 400 | 404)
            {
                leaked.push(format!("{target}: {} {code:?}", answer.status));
            }
        }
    }
    leaked.extend(
        gateway.upstream.arrived()[before..]
            .iter()
            .map(|arrived| format!("at the upstream: {} {}", arrived.method, arrived.path)),
    );
    leaked
}

/// With the scope each spelling gets what Envoy makes of it: what the upstream is asked for, or nothing
/// where Envoy refuses.
async fn with_the_scope<'a>(
    gateway: &Gateway,
    targets: impl IntoIterator<Item = &'a str>,
) -> Vec<(&'a str, Option<String>)> {
    let strong = gateway.knows(records::active("strong").key("scopes", json!(["admin"])));
    let mut seen = Vec::new();
    for target in targets {
        let answer = gateway.get(target, &[("x-api-key", &strong)]).await;
        assert_eq!(answer.header("x-keybound-code"), None, "{target}");
        let path =
            (answer.status == 200).then(|| answer.json()["path"].as_str().map(str::to_owned));
        seen.push((target, path.flatten()));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_strict_route_to_a_loose_default() {
    let gateway = strict_admin().start().await;

    let leaked = leaks(&gateway, ADMIN).await;

    assert!(leaked.is_empty(), "{leaked:#?}");
    // What else there is, is open, and the key opens the rest.
    for path in ["/", "/x", "/administrators", "/x/admin", "/x?/admin"] {
        assert_eq!(gateway.passed(&Request::get(path)).await.path, path);
    }
    let seen = with_the_scope(&gateway, ADMIN).await;
    let passed = seen.iter().filter(|(_, path)| path.is_some()).count();
    assert!(passed >= 25, "too many are refused by Envoy: {seen:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_loose_route_to_a_strict_default() {
    let gateway = loose_public().start().await;
    let all = || ADMIN.into_iter().chain(FROM_PUBLIC);

    let leaked = leaks(&gateway, all()).await;

    assert!(leaked.is_empty(), "{leaked:#?}");
    for path in [
        "/public",
        "/public/",
        "/public/x",
        "/public?a=../admin",
        "/public/X/y;z/.well",
    ] {
        assert_eq!(gateway.passed(&Request::get(path)).await.path, path);
    }
    // Where Envoy resolves what looks like a way out, what the upstream gets is a path like any other. Older
    // ones do not, and then it is refused.
    for path in ["/public//../admin", "/public/;/..;/admin"] {
        let answer = gateway.send(&Request::get(path)).await;
        if answer.status != 401 {
            let arrived: Arrived = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(arrived.path, "/public/admin", "{path}");
        }
    }
    let seen = with_the_scope(&gateway, all()).await;
    let passed = seen.iter().filter(|(_, path)| path.is_some()).count();
    assert!(passed >= 50, "too many are refused by Envoy: {seen:#?}");
}

/// What the shipped configuration switches on is a second line of defence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn even_where_envoy_normalises_nothing() {
    let raw = |config: &mut Config| {
        let manager = config.http_manager();
        manager["normalize_path"] = json!(false);
        manager["merge_slashes"] = json!(false);
        manager["path_with_escaped_slashes_action"] = json!("KEEP_UNCHANGED");
    };

    let gateway = strict_admin().configure(raw).workers(1).start().await;
    let leaked = leaks(&gateway, ADMIN).await;
    assert!(leaked.is_empty(), "{leaked:#?}");
    drop(gateway);

    let gateway = loose_public().configure(raw).workers(1).start().await;
    let leaked = leaks(&gateway, FROM_PUBLIC).await;
    assert!(leaked.is_empty(), "{leaked:#?}");
    let seen = with_the_scope(&gateway, FROM_PUBLIC).await;
    assert!(
        seen.iter()
            .any(|(target, path)| path.as_deref() == Some(target) && target.contains("..")),
        "Envoy hands dot segments on: {seen:#?}"
    );
}

/// An exact path, and a policy that asks the path whose it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_another_tenants_resource() {
    let gateway = Gateway::scripted()
        .settings(json!({
            "policies": {
                "mine": {"tenant": {"path_segment": 1}},
                "admin": {"scopes": {"all": ["admin"]}},
            },
            "routes": [
                {"match": {"path": "/tenants/ten_one/keys"}, "policy": "admin"},
                {"match": {"prefix": "/tenants"}, "policy": "mine"},
            ],
            "default_policy": {"scopes": {"all": ["admin"]}},
        }))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let request = |target: &str| Request::get(target).header("x-api-key", &key);
    for path in [
        "/tenants/ten_one",
        "/tenants/ten_one/orders/7",
        "/tenants/ten_one/KEYS/7",
    ] {
        assert_eq!(gateway.passed(&request(path)).await.path, path);
    }
    let before = gateway.upstream.arrived().len();

    for target in [
        "/tenants/ten_two/orders",
        "/tenants/ten_one/../ten_two/orders",
        "/tenants/ten_one/..;/ten_two/orders",
        "/tenants/ten_one/..;x/ten_two/orders",
        "/tenants/ten_one%2F..%2Ften_two/orders",
        "/tenants/ten_one/..%5cten_two/orders",
        "/tenants;/ten_two/orders",
        "/tenants/x/..;/ten_two/orders",
        "/x/..;/tenants/ten_two/orders",
        "/;/tenants/ten_two",
        "/TENANTS/ten_two",
        "/tenants/",
        "/tenants/ten_one/keys",
        "/tenants/ten_one/keys/",
        "/tenants/ten_one/Keys",
        "/tenants/ten_one/keys;x",
        "/tenants/ten_one//keys",
        "/tenants/ten_one/x/..;/keys",
        "/tenants/ten_one/%6beys",
        "/z/%2e%2e;/tenants/ten_two/orders/..%3b/%2e%2e;/..%3b/%2e%2e;",
        "/tenants/ten_one/%252e%252e/ten_two",
        "/tenants/ten_one/..%20/ten_two",
        "/tenants/ten_one%3B/ten_two",
        "/tenants;/ten_two/..%3b/ten_one",
    ] {
        let answer = gateway.send(&request(target)).await;
        let code = answer.header("x-keybound-code");
        assert!(
            matches!(code, Some("tenant_mismatch" | "scope_missing")) || answer.status == 400,
            "{target}: {} {code:?}",
            answer.status
        );
    }
    assert_eq!(gateway.upstream.arrived().len(), before);
}

/// CONNECT and `OPTIONS *` have no path, so they are below no folder, not even below the root.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_path_has_the_default() {
    let gateway = Gateway::scripted()
        .settings(json!({
            "policies": {"open": {"authentication": "none"}},
            "routes": [{"match": {"prefix": "/"}, "policy": "open"}],
            "preflight": "check",
        }))
        .configure(|config| {
            let manager = config.http_manager();
            manager["upgrade_configs"] = json!([{"upgrade_type": "CONNECT"}]);
            let routes = config.routes();
            let mut route = routes[0].clone();
            route["match"] = json!({"connect_matcher": {}});
            routes.insert(0, route);
        })
        .start()
        .await;
    assert_eq!(gateway.get("/open", &[]).await.status, 200);

    let connect = gateway
        .send(&Request::new("CONNECT", "gateway.example:443"))
        .await;
    assert_eq!(connect.header("x-keybound-code"), Some("key_missing"));
    let options = gateway.send(&Request::new("OPTIONS", "*")).await;
    assert!(
        options.header("x-keybound-code") == Some("key_missing") || options.status == 404,
        "{} {}",
        options.status,
        options.text()
    );
    assert_eq!(gateway.upstream.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_long_it_is() {
    let gateway = strict_admin().start().await;
    // Envoy takes 60 KiB of headers altogether.
    let mut segments = String::new();
    while segments.len() < 59_000 {
        let _ = write!(segments, "/{}", segments.len());
    }
    let up = "/..;".repeat(10_000);
    let long = [
        format!("/admin{segments}"),
        format!("/Admin;{}", "x".repeat(58_000)),
        format!("{}/x{up}/admin", "/x".repeat(9_999)),
        format!("/{}/admin", ";".repeat(58_000)),
        format!("/admin?{}", "/public".repeat(8_000)),
        format!("{}admin", "/".repeat(58_000)),
        format!("/%61dmin{}", "/%61".repeat(14_000)),
    ];

    let leaked = leaks(&gateway, long.iter().map(String::as_str)).await;
    assert!(
        leaked.is_empty(),
        "{}",
        leaked.join("\n").chars().take(2000).collect::<String>()
    );

    let open = format!("/open{segments}");
    assert_eq!(gateway.passed(&Request::get(&open)).await.path, open);
    let too_long = gateway
        .get(&format!("/admin{}", "/x".repeat(40_000)), &[])
        .await;
    assert_eq!(too_long.status, 431);

    let connection = http2::Connection::open(gateway.port()).await.unwrap();
    let answer = connection
        .send(hyper::Method::GET, &long[0], &[], b"")
        .await
        .unwrap();
    assert_eq!(answer.headers["x-keybound-code"], "key_missing");
    // Afterwards it still works, on both workers.
    let mut connection = Connection::open(gateway.port()).await.unwrap();
    for path in ["/x", "/y"] {
        let answer = connection.send(&Request::get(path)).await.unwrap();
        assert_eq!(answer.json()["path"], Value::from(path));
    }
}
