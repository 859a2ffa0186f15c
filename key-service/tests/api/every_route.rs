//! What holds on every route: who may enter, what a wrong request is answered.

use key_service::domain::time::{DAY, now};
use serde_json::json;

use crate::support::Service;

const PROTOCOL: &[(&str, &str)] = &[
    ("POST", "/v1/resolve"),
    ("GET", "/v1/changes"),
    ("POST", "/v1/usage"),
];

const ADMIN_READS: &[&str] = &[
    "/admin/v1/tenants",
    "/admin/v1/tenants/x",
    "/admin/v1/users",
    "/admin/v1/users/x",
    "/admin/v1/keys",
    "/admin/v1/keys/x",
    "/admin/v1/audit",
];

const ADMIN_WRITES: &[(&str, &str)] = &[
    ("POST", "/admin/v1/tenants"),
    ("PATCH", "/admin/v1/tenants/x"),
    ("POST", "/admin/v1/users"),
    ("PATCH", "/admin/v1/users/x"),
    ("DELETE", "/admin/v1/users/x"),
    ("POST", "/admin/v1/keys"),
    ("PATCH", "/admin/v1/keys/x"),
    ("POST", "/admin/v1/keys/import"),
    ("POST", "/admin/v1/keys/x/rotate"),
    ("POST", "/admin/v1/keys/x/revoke"),
];

/// Calls with a body that write nothing.
const ADMIN_QUESTIONS: &[(&str, &str)] = &[("POST", "/admin/v1/explain")];

fn admin_routes() -> Vec<(&'static str, &'static str)> {
    let reads = ADMIN_READS.iter().map(|path| ("GET", *path));
    let bodies = ADMIN_WRITES.iter().chain(ADMIN_QUESTIONS).copied();
    reads.chain(bodies).collect()
}

#[test]
fn without_a_known_token_nothing_is_reached_not_even_a_404() {
    let service = Service::start();
    let mut routes = admin_routes();
    routes.extend(PROTOCOL);
    routes.extend([
        ("GET", "/v1/nothing"),
        ("GET", "/admin/nothing"),
        ("PUT", "/v1/resolve"),
        ("GET", "/v1"),
    ]);
    for (method, path) in routes {
        for authorization in [
            None,
            Some("Bearer wrong-wrong-wrong-wrong"),
            Some("Basic YTpi"),
            Some("Bearer"),
        ] {
            let headers: Vec<_> = authorization
                .map(|value| ("authorization", value))
                .into_iter()
                .collect();
            let answer = service.send_with(method, path, &headers, Some(b"{}"));
            answer.problem(401);
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"keybound\""
            );
        }
    }
    let twice = format!("Bearer {}", service.admin.reveal());
    let headers = [
        ("authorization", twice.as_str()),
        ("authorization", twice.as_str()),
    ];
    service
        .send_with("GET", "/admin/v1/keys", &headers, None)
        .problem(401);
}

#[test]
fn a_token_opens_only_what_its_role_is_for() {
    let service = Service::start();
    for (method, path) in admin_routes() {
        service
            .send(method, path, Some(&service.gateway), Some(b"{}"))
            .problem(403);
    }
    for (method, path) in ADMIN_WRITES {
        service
            .send(method, path, Some(&service.viewer), Some(b"{}"))
            .problem(403);
    }
    for path in ADMIN_READS {
        let status = service
            .send("GET", path, Some(&service.viewer), None)
            .status;
        assert!(status == 200 || status == 404, "{path}: {status}");
    }
    for (method, path) in PROTOCOL {
        for token in [&service.admin, &service.viewer] {
            service
                .send(method, path, Some(token), Some(b"{}"))
                .problem(403);
        }
    }
}

#[test]
fn a_revoked_token_is_refused_from_the_next_request_on() {
    let service = Service::start();
    service.get("/admin/v1/keys").expect(200);
    service.write(async |write| {
        let token = write.token("anna").await.unwrap().unwrap();
        write.revoke_token(&token).await.unwrap();
    });
    service.get("/admin/v1/keys").problem(401);
}

#[test]
fn every_answer_of_the_protocol_bears_the_marker() {
    let service = Service::start();
    let gateway = Some(&service.gateway);
    let large = vec![b' '; 1024 * 1024 + 1];
    let answers = [
        service.send("POST", "/v1/resolve", gateway, Some(br#"{"digests":[]}"#)),
        service.send("POST", "/v1/resolve", None, None),
        service.send("POST", "/v1/resolve", Some(&service.admin), None),
        service.send("POST", "/v1/resolve", gateway, Some(&large)),
        service.send("GET", "/v1/resolve", gateway, None),
        service.send("GET", "/v1/nothing", gateway, None),
        service.send("GET", "/v1/changes", gateway, None),
        service.send("GET", "/v1/changes?after=x", gateway, None),
    ];
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [400, 401, 403, 413, 405, 404, 200, 400]);
    for answer in &answers {
        assert_eq!(answer.header("x-keybound-protocol"), "1", "{answer:?}");
    }
    assert_eq!(
        service.get("/admin/v1/keys").header("x-keybound-protocol"),
        ""
    );
}

#[test]
fn wrong_paths_and_methods_are_problems() {
    let service = Service::start();
    service.get("/nothing").problem(404);
    service.get("/admin/v1/nothing").problem(404);
    service.get("/admin/v1/keys/%FF").problem(404);
    let answer = service.send("PUT", "/admin/v1/keys", Some(&service.admin), None);
    answer.problem(405);
    let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[test]
fn wrong_bodies_are_problems() {
    let service = Service::start();
    let bodies = ADMIN_WRITES
        .iter()
        .chain(ADMIN_QUESTIONS)
        .filter(|(method, path)| *method != "DELETE" && !path.ends_with("/import"));
    for (method, path) in bodies {
        let send = |body: &[u8]| service.send(method, path, Some(&service.admin), Some(body));
        assert_eq!(send(&vec![b'x'; 1024 * 1024 + 1]).problem(413), [""; 0]);
        assert_eq!(send(b"{\"a\":").problem(400), [""]);
        assert_eq!(send(b"[]").problem(400), [""]);
        assert_eq!(send(b"\"text\"").problem(400), [""]);
        assert_eq!(send(b"{\"a\xff\":1}").problem(400), [""]);
        assert!(
            send(br#"{"nonsense": 1}"#)
                .problem(400)
                .contains(&"nonsense".to_owned())
        );
        let authorization = format!("Bearer {}", service.admin.reveal());
        for media in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
        ] {
            let headers = [
                ("authorization", authorization.as_str()),
                ("content-type", media),
            ];
            service
                .send_with(method, path, &headers, Some(b"{}"))
                .problem(415);
        }
    }
}

#[test]
fn wrong_queries_name_every_parameter() {
    let service = Service::start();
    for path in ["/admin/v1/tenants", "/admin/v1/users", "/admin/v1/keys"] {
        let wrong = "?limit=0&statu=active&page_token=zz&status=actve";
        let mut fields = service.get(&format!("{path}{wrong}")).problem(400);
        fields.sort_unstable();
        assert_eq!(fields, ["limit", "page_token", "statu", "status"]);
        for limit in ["0", "501", "-1", "+1", "x", ""] {
            assert_eq!(
                service.get(&format!("{path}?limit={limit}")).problem(400),
                ["limit"]
            );
        }
        assert_eq!(
            service.get(&format!("{path}?limit=1&limit=1")).problem(400),
            ["limit"]
        );
        service.get(&format!("{path}?limit=500")).expect(200);
    }
    assert_eq!(
        service.get("/admin/v1/audit?kind=kee").problem(400),
        ["kind"]
    );
}

#[test]
fn health_needs_no_token() {
    let service = Service::start();
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(service.send("GET", path, None, None).status, 200, "{path}");
    }
    service.stop.send(true).unwrap();
    service.send("GET", "/readyz", None, None).problem(503);
    assert_eq!(service.send("GET", "/healthz", None, None).status, 200);
}

#[test]
fn metrics_count_by_route_and_never_by_path() {
    let service = Service::furnished();
    let key = service.make_key(&json!({}));
    service
        .get(&format!("/admin/v1/keys/{}", key["id"].as_str().unwrap()))
        .expect(200);
    service.resolve(&[&crate::support::digest(&key["secret"]), &"A".repeat(43)]);
    let metrics = service.send("GET", "/metrics", None, None).text;
    for line in [
        r#"keybound_service_http_requests_total{method="GET",route="/admin/v1/keys/{id}",status="200"} 1"#,
        r#"keybound_service_resolve_digests_total{result="known"} 1"#,
        r#"keybound_service_resolve_digests_total{result="unknown"} 1"#,
        r#"keybound_service_database_errors_total{error="busy"} 0"#,
        "keybound_service_followers 0",
        "keybound_service_sequence 3",
        concat!(
            r#"keybound_service_build_info{version=""#,
            env!("CARGO_PKG_VERSION"),
            r#""} 1"#
        ),
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(!metrics.contains(key["id"].as_str().unwrap()));
}

#[test]
fn metrics_tell_how_many_keys_there_are_and_how_many_expire() {
    let service = Service::furnished();
    let make = |id: &str, days: Option<i64>| {
        let end = days.map(|days| now() + days * DAY - 100);
        service.make_key(&json!({"id": id, "expires_at": end}));
    };
    make("key_day", Some(1));
    make("key_week", Some(7));
    make("key_month", Some(30));
    make("key_later", Some(31));
    make("key_for_ever", None);
    make("key_revoked", Some(1));
    make("key_disabled", Some(1));
    make("key_rotated", Some(5));
    service
        .post("/admin/v1/keys/key_revoked/revoke", &json!({}))
        .expect(200);
    service
        .patch(
            "/admin/v1/keys/key_disabled?force=true",
            &json!({"status": "disabled"}),
        )
        .expect(200);
    // Its end is meant to come: another key is there already, which lives as long as this one did.
    service
        .post("/admin/v1/keys/key_rotated/rotate", &json!({"grace": "1h"}))
        .expect(201);
    let metrics = service.send("GET", "/metrics", None, None).text;
    for line in [
        r#"keybound_service_keys{status="active"} 7"#,
        r#"keybound_service_keys{status="disabled"} 1"#,
        r#"keybound_service_keys{status="revoked"} 1"#,
        r#"keybound_service_keys_expiring{within="1d"} 1"#,
        r#"keybound_service_keys_expiring{within="7d"} 3"#,
        r#"keybound_service_keys_expiring{within="30d"} 4"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    service
        .patch(
            "/admin/v1/keys/key_day?force=true",
            &json!({"status": "disabled"}),
        )
        .expect(200);
    let metrics = service.send("GET", "/metrics", None, None).text;
    assert!(metrics.contains(r#"keybound_service_keys_expiring{within="1d"} 0"#));
}

#[test]
fn the_description_names_every_route_and_every_field() {
    let service = Service::start();
    let description = service.get("/openapi.json").expect(200);
    let mut routes = admin_routes();
    routes.extend(PROTOCOL);
    for (method, path) in routes {
        let path = path.replace("/x", "/{id}");
        let operation = &description["paths"][&path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path}");
    }
    // A field that is described is a field that is read: none of them may be called unknown.
    for (schema, path) in [
        ("TenantDraft", "/admin/v1/tenants"),
        ("UserDraft", "/admin/v1/users"),
        ("KeyDraft", "/admin/v1/keys"),
        ("ExplainQuestion", "/admin/v1/explain"),
    ] {
        let fields = description["components"]["schemas"][schema]["properties"]
            .as_object()
            .unwrap();
        let body = fields
            .keys()
            .map(|name| (name.clone(), json!({})))
            .collect::<serde_json::Map<_, _>>();
        let answer = service.post(path, &body.clone().into());
        let mut wrong = answer.problem(400);
        wrong.retain(|field| !field.contains('.'));
        assert!(!answer.text.contains("unknown field"), "{}", answer.text);
        assert!(wrong.len() >= body.len() - 1, "{wrong:?}");
    }
}
