//! docs/protocol.md, "What the operator sees": whatever becomes of a request, no log and no trace of Envoy
//! shows its credential, nor an identity that the client made up.

use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use support::client::{Connection, Request};
use support::config::Config;
use support::gateway::{Builder, Gateway};
use support::records;
use support::scripted::{Answer, Latch};
use support::wait;
use tokio::net::TcpListener;

/// A log of everything in which a client can hide something, as careless operators write it, with a name of
/// a field for each.
fn log_everything(config: &mut Config) {
    let format =
        &mut config.http_manager()["access_log"][0]["typed_config"]["log_format"]["json_format"];
    for (field, value) in [
        ("target", "%REQ(:path)%"),
        ("original", "%REQ(x-envoy-original-path?:path)%"),
        ("header", "%REQ(x-api-key)%"),
        ("bearer", "%REQ(authorization)%"),
        ("cookie", "%REQ(cookie)%"),
        ("alias", "%REQ(x.user.id)%"),
        ("sent_key_id", "%REQ(x-key-id)%"),
        ("sent_user_id", "%REQ(x-user-id)%"),
    ] {
        format[field] = json!(value);
    }
}

fn everywhere() -> Builder {
    Gateway::scripted()
        .settings(json!({
            "credentials": [
                {"header": "x-api-key"},
                {"bearer": "authorization"},
                {"query": "api_key"},
                {"cookie": "api_key"},
            ],
            "key_service": {"timeout": "20s"},
            "default_policy": {"scopes": {"all": ["orders:read"]}},
        }))
        .configure(log_everything)
}

/// A request with the key in each place at once and with an identity of the client's own.
fn with(path: &str, key: &str) -> Request {
    Request::get(format!("{path}?a=1&api_key={key}&b=2"))
        .header("x-api-key", key)
        .header("authorization", format!("Bearer {key}"))
        .header("cookie", format!("a=1; api_key={key}"))
        .headers(&[
            ("x-key-id", "spoofed"),
            ("x-user-id", "spoofed"),
            ("x.user.id", "spoofed"),
        ])
}

/// That no key is in the line, the gateway sees to when it is dropped.
fn shows_nothing(entry: &Value) {
    for field in [
        "header",
        "bearer",
        "alias",
        "sent_key_id",
        "sent_user_id",
        "key_id",
        "user_id",
        "tenant_id",
    ] {
        assert_eq!(entry[field], Value::Null, "{field} of {entry}");
    }
    let path = entry["path"].as_str().unwrap_or_default();
    assert_eq!(entry["target"], format!("{path}?a=1&b=2"));
    assert_eq!(entry["original"], format!("{path}?a=1&b=2"));
    assert_eq!(entry["cookie"], "a=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_refused_request() {
    let gateway = everywhere()
        .configure(|config| {
            let mut route = config.routes()[0].clone();
            route["match"] = json!({"prefix": "/typing-error"});
            route["metadata"] = json!({"filter_metadata": {"keybound": {"policy": "opne"}}});
            config.routes().insert(0, route);
        })
        .start()
        .await;
    let poor = gateway.knows(records::active("poor").key("scopes", json!([])));
    let stranger = gateway.stranger();
    for (path, key, code) in [
        ("/cold", &poor, "scope_missing"),
        ("/warm", &poor, "scope_missing"),
        ("/stranger", &stranger, "key_unknown"),
        ("/typing-error", &poor, "policy_unknown"),
    ] {
        let answer = gateway.send(&with(path, key)).await;
        assert_eq!(answer.header("x-keybound-code"), Some(code));
        shows_nothing(&gateway.logged(path).await);
    }
    gateway.service.answers(Answer::marked(500, "{}"));
    let answer = gateway.send(&with("/outage", &gateway.stranger())).await;
    assert_eq!(answer.status, 503);
    shows_nothing(&gateway.logged("/outage").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_client_that_hangs_up_while_it_waits() {
    let gateway = everywhere().start().await;
    let key = gateway.knows(records::active("one"));
    let latch = Latch::default();
    gateway
        .service
        .answers(Answer::Held(latch.clone(), Box::new(Answer::Records)));
    let mut connection = Connection::open(gateway.port()).await.unwrap();
    connection
        .write(&with("/gone", &key).bytes())
        .await
        .unwrap();
    wait::until("the key service to be asked", async || {
        match gateway.service.asked_for(&key) {
            0 => Err("it was not".to_owned()),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();

    drop(connection);

    shows_nothing(&gateway.logged("/gone").await);
    latch.open();
    // The next one goes through all the same, with what the key service has said.
    let arrived = gateway.passed(&with("/next", &key)).await;
    assert_eq!(arrived.path, "/next?a=1&b=2");
    assert_eq!(arrived.header_values("x-key-id"), ["key_one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_envoy_itself_refuses() {
    let gateway = Gateway::scripted().start().await;
    let spoofed = |request: Request| {
        request.headers(&[
            ("x-key-id", "spoofed"),
            ("x-user-id", "spoofed"),
            ("x-tenant-id", "spoofed"),
        ])
    };
    let upgrade =
        Request::get("/upgrade").headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
    let requests = [
        (400, "/a/b", Request::get("/a%2Fb")),
        (400, "/fragment#x", Request::get("/fragment#x")),
        (403, "/upgrade", upgrade),
    ];
    for (status, path, request) in requests {
        let answer = gateway.send(&spoofed(request)).await;
        assert_eq!(answer.status, status, "{path}");
        let entry = gateway.logged(path).await;
        for field in ["key_id", "user_id", "tenant_id"] {
            assert_eq!(entry[field], Value::Null, "{entry}");
        }
    }
    assert!(gateway.upstream.arrived().is_empty());
}

/// What a collector of traces has been sent.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<String>>);

impl Collected {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    /// Takes whatever is posted to it.
    async fn listen(&self) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let collected = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collected = collected.clone();
                tokio::spawn(async move {
                    let mut connection = Connection::over(stream);
                    while let Ok(Some(call)) = connection.next_call().await {
                        let text = String::from_utf8_lossy(&call.body).into_owned();
                        collected.0.lock().unwrap().push_str(&text);
                        let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
                        if connection.write(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_no_span_does() {
    let collected = Collected::default();
    let port = collected.listen().await;
    let gateway = everywhere()
        .configure(move |config| {
            config.http_manager()["tracing"] = json!({
                "random_sampling": {"value": 100.0},
                "provider": {
                    "name": "envoy.tracers.zipkin",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
                        "collector_cluster": "collector",
                        "collector_endpoint": "/api/v2/spans",
                        "collector_endpoint_version": "HTTP_JSON",
                    },
                },
            });
            let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
            let endpoint = json!({"endpoint": {"address": address}});
            config.clusters().push(json!({
                "name": "collector",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": "collector",
                    "endpoints": [{"lb_endpoints": [endpoint]}],
                },
            }));
        })
        .start()
        .await;
    let good = gateway.knows(records::active("good"));
    let poor = gateway.knows(records::active("poor").key("scopes", json!([])));
    let stranger = gateway.stranger();
    let requests = [
        ("/good", &good, 200),
        ("/poor-cold", &poor, 403),
        ("/poor-warm", &poor, 403),
        ("/stranger", &stranger, 401),
    ];
    for (path, key, status) in requests {
        assert_eq!(gateway.send(&with(path, key)).await.status, status);
    }
    gateway.service.answers(Answer::marked(500, "{}"));
    let other = gateway.stranger();
    assert_eq!(gateway.send(&with("/outage", &other)).await.status, 503);

    // Envoy sends its spans every few seconds.
    let spans = wait::until("a span of each request", async || {
        let text = collected.text();
        let there = |path: &str| text.contains(&format!("{path}?a=1&b=2"));
        let paths = requests.map(|(path, ..)| path);
        match paths
            .into_iter()
            .chain(["/outage"])
            .find(|path| !there(path))
        {
            None => Ok(text),
            Some(path) => Err(format!("{path} is not in {text}")),
        }
    })
    .await
    .unwrap();
    for key in [&good, &poor, &stranger, &other] {
        assert!(!spans.contains(key.as_str()), "{spans}");
    }
    assert!(!spans.contains("spoofed"), "{spans}");
}
