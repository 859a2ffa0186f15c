//! What holds on every route: who may enter, what a wrong request is answered.

use key_service::domain::time::{DAY, now};
use serde_json::{Value, json};

use crate::routes::{Area, routes, routes_of};
use crate::support::Service;

#[test]
fn without_a_known_token_nothing_is_reached_not_even_a_404() {
    let service = Service::start();
    let there = routes(&service).into_iter();
    let there = there.filter(|route| route.area != Area::Open);
    let mut asked: Vec<_> = there
        .map(|route| (route.method.clone(), route.path()))
        .collect();
    let nothing = [
        ("GET", "/v1/nothing"),
        ("GET", "/admin/nothing"),
        ("PUT", "/v1/resolve"),
        ("GET", "/v1"),
    ];
    asked.extend(nothing.map(|(method, path)| (method.to_owned(), path.to_owned())));
    for (method, path) in &asked {
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
    for route in routes(&service) {
        let path = route.path();
        let status = |token| {
            let body = route.body.as_ref().map(|_| &b"{}"[..]);
            service.send(&route.method, &path, Some(token), body).status
        };
        let (admin, viewer, gateway) = (
            status(&service.admin),
            status(&service.viewer),
            status(&service.gateway),
        );
        match route.area {
            Area::Admin => {
                assert_ne!(admin, 403, "{route:?}");
                assert_eq!(viewer != 403, route.is_for_viewers(), "{route:?}: {viewer}");
                assert_eq!(gateway, 403, "{route:?}");
            }
            Area::Protocol => {
                assert_eq!((admin, viewer), (403, 403), "{route:?}");
                assert_ne!(gateway, 403, "{route:?}");
            }
            Area::Open => assert_eq!((admin, viewer, gateway), (200, 200, 200), "{route:?}"),
            Area::Scim | Area::Signed => unreachable!("{route:?}"),
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
    for route in routes(&service) {
        let Some(body) = &route.body else {
            continue;
        };
        let (path, token) = (route.path(), route.token(&service));
        let authorization = format!("Bearer {}", token.reveal());
        let send_as = |media: &str, body: Option<&[u8]>| {
            let headers = [
                ("authorization", authorization.as_str()),
                ("content-type", media),
            ];
            service.send_with(&route.method, &path, &headers, body)
        };
        for media in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
        ] {
            send_as(media, Some(b"{}")).problem(415);
        }
        let send = |text: &[u8]| send_as(&body.media, Some(text));
        assert_eq!(send(&vec![b'x'; route.largest() + 1]).problem(413), [""; 0]);
        assert_ne!(send(&vec![b'x'; route.largest()]).status, 413, "{route:?}");
        if body.media != "application/json" {
            continue;
        }
        assert_eq!(send(b"{\"a\":").problem(400), [""], "{route:?}");
        assert_eq!(send(b"[]").problem(400), [""]);
        assert_eq!(send(b"\"text\"").problem(400), [""]);
        assert_eq!(send(b"{\"a\xff\":1}").problem(400), [""]);
        assert_eq!(send(br#"{"a": 1, "a": 2}"#).problem(400), ["a"]);
        assert_eq!(body.extensible, route.area == Area::Protocol, "{route:?}");
        let unknown = send(br#"{"nonsense": 1}"#);
        let names_it = unknown.text.contains("nonsense: unknown field");
        assert_eq!(names_it, !body.extensible, "{route:?}: {}", unknown.text);
        // A field that is described is a field that is read: what no field can be is wrong with each.
        assert!(!body.fields.is_empty(), "{route:?}");
        let wrong = body.fields.iter().map(|name| (name.clone(), json!(0.5)));
        let wrong = Value::Object(wrong.collect()).to_string();
        let mut named = send(wrong.as_bytes()).problem(400);
        let mut described = body.fields.clone();
        named.sort_unstable();
        described.sort_unstable();
        assert_eq!(named, described, "{route:?}");
    }
}

#[test]
fn a_body_that_must_be_there_is_asked_for() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_a"}));
    for route in routes(&service) {
        let Some(body) = &route.body else {
            continue;
        };
        let authorization = format!("Bearer {}", route.token(&service).reveal());
        let path = route.template.replace("{id}", "key_a");
        for nothing in [None, Some(&b""[..])] {
            let headers = [("authorization", authorization.as_str())];
            let answer = service.send_with(&route.method, &path, &headers, nothing);
            assert_eq!(answer.status == 400, body.required, "{route:?}");
            assert_eq!(
                answer.text.contains("the body "),
                body.required,
                "{route:?}"
            );
        }
    }
    let path = "/admin/v1/keys/key_a/revoke";
    service
        .send("POST", path, Some(&service.admin), None)
        .expect(200);
}

#[test]
fn wrong_queries_name_every_parameter() {
    let service = Service::start();
    for route in routes(&service) {
        let ask = |query: &str| {
            let path = format!("{}?{query}", route.path());
            let body = route.body.as_ref().map(|_| &b"{}"[..]);
            service.send(&route.method, &path, Some(route.token(&service)), body)
        };
        for name in &route.query {
            let twice = ask(&format!("{name}=1&{name}=1"));
            assert!(
                twice.problem(400).contains(name),
                "{route:?}: {}",
                twice.text
            );
        }
        if route.area == Area::Admin && !route.query.is_empty() {
            let mut named = ask("nonsense=1").problem(400);
            // What must be there is named as well.
            named.retain(|name| !route.query.contains(name));
            assert_eq!(named, ["nonsense"], "{route:?}");
        }
    }
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
    let open = routes_of(&service, Area::Open);
    let open: Vec<&str> = open.iter().map(|route| route.template.as_str()).collect();
    assert_eq!(open, ["/healthz", "/metrics", "/readyz"]);
    for path in open.into_iter().chain(["/openapi.json"]) {
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
fn every_route_is_described_but_for_the_description_and_the_pages() {
    let assembled = include_str!("../../src/http/mod.rs");
    assert_eq!(assembled.matches(".route(").count(), 1);
    assert!(assembled.contains(".route(\"/openapi.json\""));
    assert_eq!(assembled.matches(".merge(").count(), 1);
    assert!(assembled.contains(".merge(console::pages("));
    for other in [".nest(", "route_service(", "fallback_service("] {
        assert!(!assembled.contains(other), "{other}");
    }
}

#[test]
fn whatever_the_description_refers_to_is_there() {
    fn look(description: &Value, part: &Value) {
        if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
            let pointer = reference.trim_start_matches('#');
            assert!(description.pointer(pointer).is_some(), "{reference}");
        }
        let members = part
            .as_object()
            .into_iter()
            .flat_map(|object| object.values());
        let items = part.as_array().into_iter().flatten();
        for part in members.chain(items) {
            look(description, part);
        }
    }
    let service = Service::start();
    let description = service.get("/openapi.json").expect(200);
    look(&description, &description);
}
