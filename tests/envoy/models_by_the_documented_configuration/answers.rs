//! What is read of answers, and that streams stay streams.

use super::{asks, gateway, is_for_this_envoy, names, with_scopes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::client::Connection;
use support::ports;
use tokio::net::TcpListener;

/// What an answer says of its tokens, in each form; each is asked for at a path of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn model_and_tokens_are_in_the_access_log() {
    if !is_for_this_envoy() {
        return;
    }
    let gateway = gateway().start().await;
    let key = with_scopes(&gateway, "one", json!(["model:a"]));
    let json_type = "application/json";
    let stream = "text/event-stream";
    let delta = r#"data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}"#;

    for (path, content_type, body, tokens) in [
        (
            "/v1/chat",
            json_type,
            r#"{"usage":{"prompt_tokens":11,"completion_tokens":31}}"#.to_owned(),
            json!([11, 31]),
        ),
        (
            "/v1/messages",
            "application/json; charset=utf-8",
            r#"{"usage":{"input_tokens":12,"output_tokens":32}}"#.to_owned(),
            json!([12, 32]),
        ),
        (
            "/v1/embeddings",
            json_type,
            format!(
                r#"{{"data":"{}","usage":{{"prompt_tokens":13}}}}"#,
                "y".repeat(40_000)
            ),
            json!([13, null]),
        ),
        (
            "/v1/silent",
            json_type,
            "{}".to_owned(),
            json!([null, null]),
        ),
        (
            "/v1/chat-stream",
            stream,
            format!(
                "{delta}\n\n{delta}\n\ndata: {}\n\ndata: [DONE]\n\n",
                r#"{"choices":[],"usage":{"prompt_tokens":14,"completion_tokens":34}}"#
            ),
            json!([14, 34]),
        ),
        (
            "/v1/silent-stream",
            stream,
            format!("{delta}\n\ndata: [DONE]\n\n"),
            json!([null, null]),
        ),
        (
            "/v1/messages-stream",
            stream,
            format!(
                "event: message_start\ndata: {}\n\nevent: message_delta\ndata: {}\n\n",
                r#"{"type":"message_start","message":{"usage":{"input_tokens":15,"output_tokens":1}}}"#,
                r#"{"type":"message_delta","usage":{"output_tokens":35}}"#
            ),
            json!([15, 35]),
        ),
        (
            "/v1/responses-stream",
            stream,
            format!(
                "event: response.completed\ndata: {}\n\n",
                r#"{"response":{"usage":{"input_tokens":16,"output_tokens":36}}}"#
            ),
            json!([16, 36]),
        ),
    ] {
        let request = asks(path, &key, names("a"))
            .header("answer-content-type", content_type)
            .header("answer-body", STANDARD.encode(&body));
        let answer = gateway.send(&request).await;
        assert_eq!((answer.status, answer.text()), (200, body), "{path}");
        let entry = gateway.logged(path).await;
        assert_eq!(entry["model"], "a", "{path}");
        assert_eq!(entry["key_id"], "key_one", "{path}");
        assert_eq!(
            json!([entry["input_tokens"], entry["output_tokens"]]),
            tokens,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_pass_event_by_event() {
    if !is_for_this_envoy() {
        return;
    }
    let port = ports::reserve();
    let number = port.number();
    let listener = TcpListener::bind(("127.0.0.1", number))
        .await
        .expect("a port");
    let gateway = gateway()
        .configure(move |config| {
            let cluster = config
                .clusters()
                .iter_mut()
                .find(|cluster| cluster["name"] == "models")
                .expect("the page's cluster");
            let address =
                "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
            let address = cluster.pointer_mut(address).expect("an address");
            address["port_value"] = json!(number);
        })
        .start()
        .await;
    let key = with_scopes(&gateway, "one", json!(["model:a"]));

    let mut client = Connection::open(gateway.port())
        .await
        .expect("a connection");
    client
        .write(&asks("/v1/stream", &key, names("a")).bytes())
        .await
        .expect("a request");
    let (stream, _) = listener.accept().await.expect("Envoy's connection");
    let mut upstream = Connection::over(stream);
    upstream.next_call().await.expect("a call").expect("a call");
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let event = |number: u32| {
        let event = format!(
            "data: {{\"usage\":{{\"prompt_tokens\":{number},\"completion_tokens\":2}}}}\n\n"
        );
        format!("{:x}\r\n{event}\r\n", event.len())
    };
    upstream
        .write(format!("{head}{}", event(1)).as_bytes())
        .await
        .expect("a first event");
    // The second one is not sent before the first has come through.
    client
        .saw("\"prompt_tokens\":1")
        .await
        .expect("the first event");
    upstream
        .write(format!("{}0\r\n\r\n", event(7)).as_bytes())
        .await
        .expect("the end");
    client
        .saw("\"prompt_tokens\":7")
        .await
        .expect("the second event");

    assert_eq!(gateway.logged("/v1/stream").await["input_tokens"], 7);
}
