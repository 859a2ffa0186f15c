//! docs/configuration.md, `enforcement`, `preflight` and `unavailable`: what passes without a verdict
//! that allows it, and that it never passes with an identity.

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::http2;
use support::records;
use support::scripted::{Answer, Latch};
use support::upstream::Arrived;
use support::wait;

const IDENTITY: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

fn spoofed(request: Request) -> Request {
    IDENTITY
        .into_iter()
        .fold(request, |request, name| request.header(name, "spoofed"))
}

/// What shadow leaves: the client's own headers.
fn is_spoofed(arrived: &Arrived) {
    for name in IDENTITY {
        assert_eq!(arrived.header_values(name), ["spoofed"], "{arrived:?}");
    }
}

fn is_anonymous(arrived: &Arrived) {
    for name in IDENTITY {
        assert!(arrived.header_values(name).is_empty(), "{arrived:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_refuses_nobody_and_tells_whom_it_would_have() {
    let gateway = Gateway::scripted()
        .settings(json!({
            "enforcement": "shadow",
            "credentials": [{"header": "x-api-key"}, {"query": "key"}],
            "default_policy": {"scopes": {"all": ["orders:read"]}},
        }))
        .start()
        .await;
    let good = gateway.knows(records::active("good"));
    let locked = gateway.knows(records::active("locked").user_status("locked"));
    let poor = gateway.knows(records::active("poor").key("scopes", json!([])));
    let revoked = gateway.knows(records::active("revoked").key_status("revoked"));
    let stranger = gateway.stranger();

    for (path, key, code, whose) in [
        ("/none", "", "key_missing", None),
        ("/malformed", "two words", "key_malformed", None),
        ("/stranger", &stranger, "key_unknown", None),
        ("/revoked", &revoked, "key_revoked", Some("revoked")),
        ("/locked", &locked, "user_locked", Some("locked")),
        ("/poor", &poor, "scope_missing", Some("poor")),
    ] {
        let sent = spoofed(Request::get(format!("{path}?a=1&key=another-one&b")))
            .header("x.user.id", "alias")
            .header("x-api-key", key);
        let arrived = gateway.passed(&sent).await;
        // To the byte what a service that checks keys itself has always seen.
        assert_eq!(arrived.path, format!("{path}?a=1&key=another-one&b"));
        assert_eq!(arrived.header_values("x-api-key"), [key], "{path}");
        assert_eq!(arrived.header_values("x.user.id"), ["alias"], "{path}");
        is_spoofed(&arrived);

        let entry = gateway.logged(path).await;
        let id = |kind: &str| whose.map_or(Value::Null, |name| json!(format!("{kind}_{name}")));
        assert_eq!(entry["status"], 200);
        // The query held another credential.
        let code = if code == "key_missing" {
            "key_unknown"
        } else {
            code
        };
        assert_eq!(entry["code"], code);
        assert_eq!(entry["refused_key_id"], id("key"));
        assert_eq!(entry["refused_user_id"], id("usr"));
        assert_eq!(entry["refused_tenant_id"], id("ten"));
    }
    is_spoofed(&gateway.passed(&spoofed(Request::get("/nothing"))).await);

    // Once from the key service, then from the cache.
    for path in ["/good", "/good-again"] {
        let arrived = gateway
            .passed(&spoofed(Request::get(path)).header("x-api-key", &good))
            .await;
        is_spoofed(&arrived);
        assert_eq!(arrived.header_values("x-api-key"), [good.as_str()]);
        assert_eq!(gateway.logged(path).await["code"], Value::Null);
    }

    for (code, count) in [
        ("key_missing", 1),
        ("key_malformed", 1),
        ("key_unknown", 2),
        ("key_revoked", 1),
        ("user_locked", 1),
        ("scope_missing", 1),
    ] {
        gateway.counted(&format!("shadowed.{code}"), count).await;
    }
    gateway.counted("allowed", 2).await;
    let counters = gateway.counters().await;
    assert!(
        !counters
            .iter()
            .any(|(name, count)| name.starts_with("rejected.") && *count > 0),
        "{counters:?}"
    );

    // Trouble with the key service stops nobody either.
    gateway.service.answers(Answer::marked(500, "{}"));
    let request = Request::get("/outage").header("x-api-key", gateway.stranger());
    is_spoofed(&gateway.passed(&spoofed(request)).await);
    assert_eq!(
        gateway.logged("/outage").await["code"],
        "key_service_unavailable"
    );
    gateway.counted("shadowed.key_service_unavailable", 1).await;
}

/// A CORS preflight, and what is none: it lacks a part of one, or is something else besides.
fn preflights() -> (Request, Vec<Request>) {
    let with = |method: &str, headers: &[(&str, &str)]| {
        spoofed(Request::new(method, "/orders")).headers(headers)
    };
    let origin = ("origin", "https://shop.example");
    let asks = ("access-control-request-method", "POST");
    let preflight = || with("OPTIONS", &[origin, asks]);
    let mut others = vec![
        with("OPTIONS", &[origin]),
        with("OPTIONS", &[asks]),
        with("GET", &[origin, asks]),
        with("OPTIONS", &[("origin", ""), asks]),
        with("OPTIONS", &[origin, ("access-control-request-method", "")]),
        preflight().with_body("{}"),
        preflight()
            .header("transfer-encoding", "chunked")
            .with_body("2\r\n{}\r\n0\r\n\r\n"),
    ];
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("content-type", "application/grpc"),
        ("content-type", "application/grpc-web+proto"),
    ] {
        others.push(preflight().header(name, value));
    }
    (preflight(), others)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_passes_without_a_key() {
    let gateway = Gateway::scripted().start().await;
    let (preflight, others) = preflights();

    let arrived = gateway.passed(&preflight).await;
    is_anonymous(&arrived);
    assert_eq!(arrived.method, "OPTIONS");
    // A browser sends no key with it; whoever does gets no identity for it.
    let stranger = gateway.stranger();
    let arrived = gateway
        .passed(&preflight.clone().header("x-api-key", &stranger))
        .await;
    is_anonymous(&arrived);
    assert!(arrived.header_values("x-api-key").is_empty());

    for request in others {
        let answer = gateway.send(&request).await;
        assert_eq!(answer.header("x-keybound-code"), Some("key_missing"));
    }
    assert!(gateway.service.resolves().is_empty());
    assert_eq!(gateway.upstream.arrived().len(), 2);
    gateway.counted("anonymous", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_that_opens_a_tunnel_or_goes_on_is_none() {
    let gateway = Gateway::scripted()
        .configure(|config| {
            config.http_manager()["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        })
        .start()
        .await;
    let (preflight, _) = preflights();
    let upgrade = preflight
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let answer = gateway.send(&upgrade).await;
    assert_eq!(answer.header("x-keybound-code"), Some("key_missing"));

    // On HTTP/2 nothing but the end of the stream says that there is no body.
    let connection = http2::Connection::open(gateway.port()).await.unwrap();
    let headers: [(&str, &[u8]); 2] = [
        ("origin", b"https://shop.example"),
        ("access-control-request-method", b"POST"),
    ];
    for (body, status) in [(&b""[..], 200), (b"{}", 401)] {
        let answer = connection
            .send(hyper::Method::OPTIONS, "/orders", &headers, body)
            .await
            .unwrap();
        assert_eq!(answer.status, status);
    }
    assert_eq!(gateway.upstream.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_is_checked_where_the_operator_wants_it() {
    let gateway = Gateway::scripted()
        .settings(json!({"preflight": "check"}))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let (preflight, _) = preflights();

    let answer = gateway.send(&preflight).await;
    assert_eq!(answer.header("x-keybound-code"), Some("key_missing"));
    let arrived = gateway.passed(&preflight.header("x-api-key", &key)).await;
    assert_eq!(arrived.header_values("x-key-id"), ["key_one"]);
    gateway.counted("anonymous", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_lets_through_where_the_operator_wants_it() {
    let mut gateway = Gateway::scripted()
        .settings(json!({
            "unavailable": "allow",
            "freshness": {"fresh_for": "100ms", "max_staleness": "500ms", "negative_for": "100ms"},
        }))
        .start()
        .await;
    let good = gateway.knows(records::active("good"));
    let refused = [
        (
            "key_revoked",
            records::active("revoked").key_status("revoked"),
        ),
        (
            "user_suspended",
            records::active("suspended").user_status("suspended"),
        ),
        (
            "address_not_allowed",
            records::active("elsewhere").key("networks", json!([])),
        ),
    ]
    .map(|(code, known)| (code, gateway.knows(known)));
    let with = |key: &str| spoofed(Request::get("/")).header("x-api-key", key);
    gateway.passed(&with(&good)).await;
    for (code, key) in &refused {
        let answer = gateway.send(&with(key)).await;
        assert_eq!(answer.header("x-keybound-code"), Some(*code));
    }
    gateway.counted("failed_open", 0).await;

    gateway.service.stop();

    // Nobody knows: let through, and told to be nobody.
    let arrived = gateway.passed(&with(&gateway.stranger())).await;
    is_anonymous(&arrived);
    assert!(arrived.header_values("x-api-key").is_empty());
    // What was confirmed too long ago has no identity either, and is still let through.
    wait::until("the good key to be too old to believe", async || {
        let arrived = gateway.passed(&with(&good)).await;
        assert!(!arrived.everything().contains("spoofed"));
        match arrived.header_values("x-key-id")[..] {
            [] => Ok(()),
            _ => Err("believed".to_owned()),
        }
    })
    .await
    .unwrap();
    // By now everything is too old. What once said no goes on saying it, for each worker.
    let before = gateway.upstream.arrived().len();
    for _ in 0..5 {
        for (code, key) in &refused {
            let answer = gateway.send(&with(key)).await;
            assert_eq!(answer.header("x-keybound-code"), Some(*code));
        }
    }
    // What needs no key service is refused as ever.
    let missing = gateway.get("/", &[]).await;
    assert_eq!(missing.header("x-keybound-code"), Some("key_missing"));
    let malformed = gateway.get("/", &[("x-api-key", "two words")]).await;
    assert_eq!(malformed.header("x-keybound-code"), Some("key_malformed"));
    assert_eq!(gateway.upstream.arrived().len(), before);

    wait::until("what passed to be counted", async || {
        let counters = gateway.counters().await;
        if counters["failed_open"] >= 2 && counters["trusted_stale_refused"] >= 1 {
            Ok(())
        } else {
            Err(format!("{counters:?}"))
        }
    })
    .await
    .unwrap();
    gateway.counted("rejected.key_service_unavailable", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_so_does_a_queue_that_is_full() {
    let gateway = Gateway::scripted()
        .workers(1)
        .settings(json!({
            "unavailable": "allow",
            "limits": {"waiting_requests": 1},
            "key_service": {"timeout": "20s"},
        }))
        .start()
        .await;
    let latch = Latch::default();
    let held = Answer::Held(latch.clone(), Box::new(Answer::Records));
    gateway.service.answers(held);
    let first = gateway.stranger();
    let request = Request::get("/first").header("x-api-key", &first);
    let port = gateway.port();
    let client = tokio::spawn(async move { request.send(port).await });
    wait::until("one request to wait", async || {
        match gateway.service.asked_for(&first) {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();

    let request = Request::get("/second").header("x-api-key", gateway.stranger());
    is_anonymous(&gateway.passed(&spoofed(request)).await);

    latch.open();
    let answer = client.await.unwrap().unwrap();
    assert_eq!(answer.header("x-keybound-code"), Some("key_unknown"));
    gateway.counted("failed_open", 1).await;
    gateway.counted("rejected.overloaded", 0).await;
}
