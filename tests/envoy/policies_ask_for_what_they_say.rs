//! docs/configuration.md, "A policy": what each field asks of a key and of the request.

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::records::{self, Known};

/// Policies, each for the prefix of its name.
fn settings(policies: Value) -> Value {
    let routes: Vec<Value> = policies
        .as_object()
        .expect("policies")
        .keys()
        .map(|name| json!({"match": {"prefix": format!("/{name}")}, "policy": name}))
        .collect();
    json!({"policies": policies, "routes": routes})
}

/// A request with a key, and the code it is refused with, or none.
type Row = (Request, Known, Option<&'static str>);

/// What is not as its row says. Every row is tried, and must have reached the upstream or not.
async fn wrong(gateway: &Gateway, rows: Vec<Row>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, (request, known, code)) in rows.into_iter().enumerate() {
        let key = gateway.knows(known);
        let before = gateway.upstream.arrived().len();
        let answer = gateway.send(&request.header("x-api-key", &key)).await;
        let arrived = gateway.upstream.arrived().len() - before;
        if answer.header("x-keybound-code") != code
            || answer.status != if code.is_some() { 403 } else { 200 }
            || arrived != usize::from(code.is_none())
        {
            wrong.push(format!(
                "row {number}, {key}: {}, {arrived} arrived, not {code:?}: {}",
                answer.status,
                answer.text()
            ));
        }
    }
    wrong
}

fn get(path: &str) -> Request {
    Request::get(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_key_and_its_user() {
    let gateway = Gateway::scripted()
        .settings(settings(json!({
            "live": {"environment": "live"},
            "orders": {"api": "orders"},
            "all": {"scopes": {"all": ["orders:read", "stock:read:own"]}},
            "any": {"scopes": {"any": ["orders:read", "stock:read:own"]}},
            "everything": {"environment": "live", "api": "orders", "scopes": {"all": ["orders:read"]}},
        })))
        .start()
        .await;
    let key = |name: &str, field: &str, value: Value| records::active(name).key(field, value);
    let scopes = |scopes: &[&str]| key("scopes", "scopes", json!(scopes));
    let of_user = |scopes: &[&str], user: Value| {
        key("narrowed", "scopes", json!(scopes)).user("scopes", user)
    };
    let apis = |apis: Value| records::active("apis").user("apis", apis);
    const ENVIRONMENT: Option<&str> = Some("environment_mismatch");
    const API: Option<&str> = Some("api_not_approved");
    const SCOPE: Option<&str> = Some("scope_missing");

    let rows = vec![
        (
            get("/live"),
            key("live", "environment", json!("live")),
            None,
        ),
        (
            get("/live"),
            key("test", "environment", json!("test")),
            ENVIRONMENT,
        ),
        (
            get("/live"),
            key("cased", "environment", json!("LIVE")),
            ENVIRONMENT,
        ),
        (
            get("/live"),
            key("none", "environment", json!(null)),
            ENVIRONMENT,
        ),
        (get("/orders"), apis(json!(["stock", "orders"])), None),
        (get("/orders"), apis(json!(null)), None),
        (get("/orders"), apis(json!(["orders2"])), API),
        (get("/orders"), apis(json!(["*"])), API),
        (get("/orders"), apis(json!([])), API),
        (
            get("/all"),
            scopes(&["orders:read", "stock:read:own"]),
            None,
        ),
        (get("/all"), scopes(&["orders:*", "stock:*"]), None),
        (get("/all"), scopes(&["orders:read", "stock:read:*"]), None),
        (get("/all"), scopes(&["*"]), None),
        (get("/all"), scopes(&["orders:read"]), SCOPE),
        (get("/all"), scopes(&["orders:read", "stock:read"]), SCOPE),
        (get("/all"), scopes(&["orders:read", "stock"]), SCOPE),
        (
            get("/all"),
            scopes(&["orders:read", "stock:write:*"]),
            SCOPE,
        ),
        (get("/all"), scopes(&["orders:read", "sto*"]), SCOPE),
        (get("/all"), scopes(&[]), SCOPE),
        (get("/all"), key("no-scopes", "scopes", json!(null)), SCOPE),
        (get("/any"), scopes(&["orders:read"]), None),
        (get("/any"), scopes(&["stock:*"]), None),
        (get("/any"), scopes(&["Orders:read"]), SCOPE),
        (get("/any"), scopes(&["orders:write"]), SCOPE),
        (
            get("/all"),
            of_user(&["*"], json!(["orders:*", "stock:*"])),
            None,
        ),
        (
            get("/all"),
            of_user(&["orders:*", "stock:*"], json!(["*"])),
            None,
        ),
        (get("/all"), of_user(&["*"], json!(["orders:*"])), SCOPE),
        (get("/all"), of_user(&["orders:*"], json!(["*"])), SCOPE),
        (get("/any"), of_user(&["*"], json!(["orders:*"])), None),
        (get("/any"), of_user(&["*"], json!([])), SCOPE),
        // Neither of the two is covered by both.
        (
            get("/any"),
            of_user(&["orders:*"], json!(["stock:*"])),
            SCOPE,
        ),
        (get("/everything"), records::active("good"), None),
        // The order of the checks is that of docs/protocol.md.
        (
            get("/everything"),
            apis(json!([]))
                .key("environment", "test")
                .key("scopes", json!([])),
            ENVIRONMENT,
        ),
        (
            get("/everything"),
            apis(json!([])).key("scopes", json!([])),
            API,
        ),
        (
            get("/everything"),
            scopes(&[]).key("networks", json!([])),
            SCOPE,
        ),
    ];
    let wrong = wrong(&gateway, rows).await;

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_request_that_says_whose_it_is() {
    let gateway = Gateway::scripted()
        .settings(settings(json!({
            "user-header": {"user": {"header": "X-Account"}},
            "user-value": {"user": {"value": "usr_one"}},
            "header": {"tenant": {"header": "x-account"}},
            "segment": {"tenant": {"path_segment": 1}},
            "query": {"tenant": {"query": "account"}},
            "host": {"tenant": {"host_label": 0}},
            "value": {"tenant": {"value": "ten_one"}},
            "both": {"user": {"path_segment": 1}, "tenant": {"host_label": 0}},
        })))
        .start()
        .await;
    const USER: Option<&str> = Some("user_mismatch");
    const TENANT: Option<&str> = Some("tenant_mismatch");
    let one = || records::active("one");
    let other = || records::active("other");
    let nowhere = || records::active("one").without_tenants();
    let with = |path: &str, value: &str| get(path).header("x-account", value);
    let at = |path: &str, host: &str| get(path).header("host", host);

    let rows = vec![
        (with("/user-header", "usr_one"), one(), None),
        (with("/user-header", "usr_two"), one(), USER),
        (with("/user-header", "USR_ONE"), one(), USER),
        (with("/user-header", ""), one(), USER),
        (with("/user-header", "usr_one, usr_two"), one(), USER),
        (get("/user-header"), one(), USER),
        (
            with("/user-header", "usr_one").header("X-ACCOUNT", "usr_two"),
            one(),
            USER,
        ),
        (get("/user-value"), one(), None),
        (get("/user-value"), other(), USER),
        (with("/header", "ten_one"), one(), None),
        (with("/header", "ten_other"), one(), TENANT),
        (get("/header"), one(), TENANT),
        (with("/header", "ten_one"), nowhere(), TENANT),
        (with("/header", ""), nowhere(), TENANT),
        (get("/segment/ten_one/orders"), one(), None),
        (get("/segment/ten_one?account=ten_other"), one(), None),
        (get("/segment/ten%5Fone"), one(), None),
        (get("/segment/ten_other"), one(), TENANT),
        (get("/segment/ten_one2"), one(), TENANT),
        (get("/segment/orders/ten_one"), one(), TENANT),
        (get("/segment"), one(), TENANT),
        (get("/segment?x=/ten_one"), one(), TENANT),
        (get("/segment/"), nowhere(), TENANT),
        (get("/query?account=ten_one"), one(), None),
        (get("/query?a=1&account=ten%5fone&b"), one(), None),
        (get("/query?account=ten_other"), one(), TENANT),
        (
            get("/query?account=ten_one&account=ten_other"),
            one(),
            TENANT,
        ),
        (
            get("/query?account=ten_other&account=ten_one"),
            one(),
            TENANT,
        ),
        (get("/query?Account=ten_one"), one(), TENANT),
        (get("/query?account"), one(), TENANT),
        (get("/query"), one(), TENANT),
        (get("/query?account="), nowhere(), TENANT),
        (
            at("/host", "ten-one.api.example"),
            of_tenant("ten-one"),
            None,
        ),
        (
            at("/host", "TEN-ONE.api.example:8443"),
            of_tenant("ten-one"),
            None,
        ),
        (
            at("/host", "ten-two.api.example"),
            of_tenant("ten-one"),
            TENANT,
        ),
        (
            at("/host", "api.ten-one.example"),
            of_tenant("ten-one"),
            TENANT,
        ),
        (get("/value"), one(), None),
        (get("/value"), other(), TENANT),
        (get("/value"), nowhere(), TENANT),
        (
            at("/both/usr_both", "ten-one.api"),
            of_tenant("ten-one"),
            None,
        ),
        (
            at("/both/usr_both", "ten-two.api"),
            of_tenant("ten-one"),
            TENANT,
        ),
        // The user is checked before the tenant.
        (
            at("/both/usr_else", "ten-two.api"),
            of_tenant("ten-one"),
            USER,
        ),
    ];
    let wrong = wrong(&gateway, rows).await;

    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// PHP, Rack, ASP.NET, CGI servers and parsers of nested parameters take these for the name that the policy asks
/// for, and believe one of the two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_says_it_under_no_other_name_again() {
    let gateway = Gateway::scripted()
        .settings(settings(json!({
            "query": {"tenant": {"query": "tenant_id"}},
            "header": {"tenant": {"header": "x-tenant"}},
        })))
        .settings(json!({"key_service": {"timeout": "5s"}}))
        .start()
        .await;
    let one = || records::active("one");
    const TENANT: Option<&str> = Some("tenant_mismatch");
    let mut rows = vec![
        (get("/query?tenant_id=ten_one"), one(), None),
        (
            get("/query?te%6Eant_id=ten_one&tenant=ten_two&q=a+b%26"),
            one(),
            None,
        ),
        (get("/header").header("x-tenant", "ten_one"), one(), None),
        (get("/query?tenant_id=ten_one;a=1"), one(), TENANT),
        (get("/query?tenant_id[]=ten_one"), one(), TENANT),
    ];
    for other in [
        "+tenant_id",
        "%20tenant_id",
        "tenant_id[]",
        "tenant_id%5B%5D",
        "tenant_id[0]",
        "[tenant_id]",
        "tenant[id",
        "tenant_id%00x",
        "tenant.id",
        "tenant+id",
        "tenant-id",
        "te%6Eant_id",
        "te%256Eant_id",
        "Tenant_Id",
        "tenantId",
        "a=1;tenant_id",
        ";tenant_id",
        "a%26tenant_id",
        "%EF%BD%94enant_id",
    ] {
        for query in [
            format!("tenant_id=ten_one&{other}=ten_two"),
            format!("{other}=ten_two&tenant_id=ten_one"),
        ] {
            rows.push((get(&format!("/query?{query}")), one(), TENANT));
        }
    }
    for other in ["x-tenant", "X-TENANT", "x.tenant", "x~tenant", "xtenant"] {
        let both = [("x-tenant", "ten_one"), (other, "ten_two")];
        rows.push((get("/header").headers(&both), one(), TENANT));
    }
    rows.push((
        get("/header").header("x-tenant", "ten_one, ten_two"),
        one(),
        TENANT,
    ));
    let wrong = wrong(&gateway, rows).await;

    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn of_tenant(tenant: &str) -> Known {
    records::active("both")
        .key("tenant_id", tenant)
        .user("tenant_id", tenant)
        .tenant("id", tenant)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_the_answer_names_no_other_user_or_tenant() {
    let gateway = Gateway::scripted()
        .settings(settings(json!({
            "users": {"user": {"path_segment": 1}},
            "tenants": {"tenant": {"path_segment": 1}},
        })))
        .start()
        .await;
    let key = gateway.knows(records::active("mine"));

    for path in ["/users/usr_theirs", "/tenants/ten_theirs"] {
        let answer = gateway.get(path, &[("x-api-key", &key)]).await;
        assert_eq!(answer.status, 403);
        for id in [
            "usr_mine",
            "ten_mine",
            "key_mine",
            "usr_theirs",
            "ten_theirs",
        ] {
            assert!(!answer.text().contains(id), "{path}: {}", answer.text());
        }
        // The operator is told whose key it was.
        let entry = gateway.logged(path).await;
        assert_eq!(entry["refused_key_id"], "key_mine");
        assert_eq!(entry["refused_user_id"], "usr_mine");
        assert_eq!(entry["refused_tenant_id"], "ten_mine");
    }
}
