//! What load balancers, other filters and Envoy's own settings make of keys and refusals, and that the settings
//! that docs/security.md and docs/installation.md advise do what is said there.

use serde_json::{Value, json};
use std::net::Ipv4Addr;
use support::client::{Connection, Request};
use support::config::Config;
use support::gateway::Gateway;
use support::records;
use support::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const IDENTITY: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

fn spoofed(request: Request) -> Request {
    IDENTITY
        .into_iter()
        .fold(request, |request, name| request.header(name, "spoofed"))
}

fn behind_a_load_balancer(config: &mut Config) {
    config.http_manager()["xff_num_trusted_hops"] = json!(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_x_forwarded_for_makes_the_load_balancer_the_client() {
    let gateway = Gateway::scripted()
        .configure(behind_a_load_balancer)
        .start()
        .await;
    let client = gateway.knows(records::active("one").key("networks", json!(["203.0.113.0/24"])));
    let balancer = gateway.knows(records::active("two").key("networks", json!(["127.0.0.1"])));
    let from = |path: &str, key: &str, address: &str| {
        Request::get(path)
            .header("x-api-key", key)
            .header("x-forwarded-for", address)
    };

    gateway.passed(&from("/", &client, "203.0.113.7")).await;
    for with_port in ["203.0.113.7:50123", "[2001:db8::7]:50123"] {
        let answer = gateway.send(&from("/", &client, with_port)).await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("address_not_allowed")
        );
        gateway.passed(&from("/", &balancer, with_port)).await;
    }
    gateway
        .send(&from("/port", &client, "203.0.113.7:50123"))
        .await;
    let address = gateway.logged("/port").await["source_address"].to_string();
    assert!(address.contains("127.0.0.1:"), "{address}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_the_proxy_protocol_tells_the_client_whatever_is_in_the_header() {
    let gateway = Gateway::scripted()
        .configure(|config| {
            config.at("/static_resources/listeners/0")["listener_filters"] = json!([{
                "name": "envoy.filters.listener.proxy_protocol",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"},
            }]);
        })
        .start()
        .await;
    let key = gateway.knows(records::active("one").key("networks", json!(["203.0.113.0/24"])));

    for (address, code) in [
        ("203.0.113.7", None),
        ("198.51.100.7", Some("address_not_allowed")),
    ] {
        let mut connection = Connection::open(gateway.port()).await.unwrap();
        let line = format!(
            "PROXY TCP4 {address} 127.0.0.1 50123 {}\r\n",
            gateway.port()
        );
        connection.write(line.as_bytes()).await.unwrap();
        let request = Request::get("/")
            .header("x-api-key", &key)
            .header("x-forwarded-for", "203.0.113.7:50123");
        let answer = connection.send(&request).await.unwrap();
        assert_eq!(answer.header("x-keybound-code"), code, "{address}");
    }
}

/// Accepts any upgrade and sends back what it gets.
async fn echoing_upstream() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                stream
                    .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n")
                    .await?;
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    port
}

/// A gateway for WebSockets that asks for each key anew.
async fn websockets(change: impl FnOnce(&mut Config) + 'static) -> Gateway {
    let port = echoing_upstream().await;
    Gateway::scripted()
        .settings(json!({
            "key_service": {"changes": {"enabled": false}},
            "freshness": {"fresh_for": "1ms"},
        }))
        .configure(move |config| {
            config.http_manager()["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
            config.clusters()[0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
                ["address"]["socket_address"]["port_value"] = json!(port);
            change(config);
        })
        .start()
        .await
}

fn upgrade(key: &str) -> Request {
    Request::get("/").headers(&[
        ("x-api-key", key),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ])
}

/// Asks for a WebSocket, and gives the answer's head and what comes after it.
async fn ask(gateway: &Gateway, key: &str) -> (String, TcpStream) {
    let address = (Ipv4Addr::LOCALHOST, gateway.port());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&upgrade(key).bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8_lossy(&head).into_owned(), stream)
}

async fn open(gateway: &Gateway, key: &str) -> TcpStream {
    let (head, stream) = ask(gateway, key).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_outlives_the_revocation_of_its_key() {
    let gateway = websockets(|_| {}).await;
    let record = records::active("one");
    let key = gateway.knows(record.clone());
    let mut socket = open(&gateway, &key).await;

    gateway.knows(record.key_status("revoked").key("version", 2));

    // The first request after it may be the one that asks.
    let refused = wait::until("the revocation to be obeyed", async || {
        let (head, _) = ask(&gateway, &key).await;
        match head.contains("x-keybound-code: key_revoked") {
            true => Ok(()),
            false => Err(head),
        }
    })
    .await;
    refused.unwrap();
    let mut echoed = [0; 4];
    socket.write_all(b"ping").await.unwrap();
    socket.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_ends_when_the_longest_time_of_a_stream_is_over_though_it_is_busy() {
    let gateway = websockets(|config| {
        config.routes()[0]["route"]["max_stream_duration"] = json!({"max_stream_duration": "1s"});
    })
    .await;
    let key = gateway.knows(records::active("one"));
    let mut socket = open(&gateway, &key).await;

    // It is used without a pause, so that no idle time ends it.
    let mut echoed = [0; 4];
    while socket.write_all(b"ping").await.is_ok() {
        if socket.read_exact(&mut echoed).await.is_err() {
            break;
        }
    }
}

fn on_route(config: &mut Config, prefix: &str, change: &Value) {
    let mut route = config.routes()[0].clone();
    route["match"]["prefix"] = json!(prefix);
    for (name, value) in change.as_object().into_iter().flatten() {
        route[name] = value.clone();
    }
    config.routes().insert(0, route);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_without_the_filter_hands_on_what_the_client_makes_up() {
    let disabled = json!({"keybound": {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "disabled": true,
    }});
    let gateway = Gateway::scripted()
        .settings(json!({
            "policies": {"open": {"authentication": "none"}},
            "routes": [{"match": {"prefix": "/open"}, "policy": "open"}],
        }))
        .configure(move |config| {
            on_route(
                config,
                "/disabled",
                &json!({"typed_per_filter_config": disabled}),
            );
            let removed = [&IDENTITY[..], &["x-api-key"]].concat();
            on_route(
                config,
                "/disabled/clean",
                &json!({
                    "typed_per_filter_config": disabled,
                    "request_headers_to_remove": removed,
                }),
            );
        })
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let to = |path: &str| spoofed(Request::get(path)).header("x-api-key", &key);

    let arrived = gateway.passed(&to("/disabled")).await;
    assert!(arrived.everything().contains("spoofed"));
    assert!(arrived.everything().contains(&key));
    let arrived = gateway.passed(&to("/disabled/clean")).await;
    assert!(!arrived.everything().contains("spoofed"));
    assert!(!arrived.everything().contains(&key));
    // What the docs advise instead.
    let arrived = gateway.passed(&to("/open")).await;
    assert!(!arrived.everything().contains("spoofed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn require_tls_redirects_nobody_but_whom_the_filter_lets_through_and_without_the_key() {
    let gateway = Gateway::scripted()
        .settings(json!({"credentials": [{"query": "api_key"}]}))
        .configure(|config| {
            config.http_manager()["route_config"]["virtual_hosts"][0]["require_tls"] = json!("ALL");
        })
        .start()
        .await;
    let key = gateway.knows(records::active("one"));

    let answer = gateway
        .get(&format!("/orders?api_key={key}&a=1"), &[])
        .await;
    assert_eq!(answer.status, 301);
    assert_eq!(
        answer.header("location"),
        Some("https://gateway.example/orders?a=1")
    );
    let answer = gateway.get("/orders", &[]).await;
    assert_eq!(answer.header("x-keybound-code"), Some("key_missing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_its_own_redirects_to_tls_and_repeats_no_query() {
    let redirect = |strip: bool| json!({"https_redirect": true, "strip_query": strip});
    let gateway = Gateway::scripted()
        .without_filter()
        .configure(move |config| {
            config.routes()[0] = json!({"match": {"prefix": "/"}, "redirect": redirect(true)});
            config.routes().insert(
                0,
                json!({"match": {"prefix": "/kept"}, "redirect": redirect(false)}),
            );
        })
        .start()
        .await;

    let answer = gateway.get("/orders?api_key=K", &[]).await;
    assert_eq!(
        answer.header("location"),
        Some("https://gateway.example/orders")
    );
    let answer = gateway.get("/kept?api_key=K", &[]).await;
    assert_eq!(
        answer.header("location"),
        Some("https://gateway.example/kept?api_key=K")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_counts_with_and_without_quotes() {
    let gateway = Gateway::scripted()
        .settings(json!({"credentials": [{"cookie": "key"}]}))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));

    for cookie in [
        format!("a=1; key=\"{key}\"; b=\"2\""),
        format!("a=1; key={key}; b=\"2\""),
    ] {
        let arrived = gateway
            .passed(&Request::get("/").header("cookie", &cookie))
            .await;
        assert_eq!(
            arrived.header_values("cookie"),
            ["a=1; b=\"2\""],
            "{cookie}"
        );
        assert_eq!(arrived.header_values("x-user-id"), ["usr_one"]);
    }
    let answer = gateway.get("/", &[("cookie", "key=\"\"")]).await;
    assert_eq!(answer.header("x-keybound-code"), Some("key_missing"));
}
