use serde_json::json;
use support::client::{Connection, Request};
use support::ports;
use support::records;
use support::scripted::{Answer, Latch, Scripted};

fn resolve(credential: &str) -> Request {
    Request::post(
        "/v1/resolve",
        json!({"digests": [records::digest(credential)]}).to_string(),
    )
}

#[tokio::test]
async fn it_answers_from_what_it_was_taught_and_counts() {
    let port = ports::reserve();
    let service = Scripted::start(port.number(), None).await.unwrap();
    let known = records::active("one").user_status("locked");
    service.knows(&known);

    let mut connection = Connection::open(port.number()).await.unwrap();
    let hit = connection.send(&resolve(&known.credential)).await.unwrap();
    let miss = connection.send(&resolve("nobody")).await.unwrap();

    assert_eq!(hit.header("x-keybound-protocol"), Some("1"));
    assert_eq!(hit.json()["results"][0]["user"]["status"], "locked");
    assert_eq!(miss.json()["results"][0]["key"], json!(null));
    assert_eq!(
        (
            service.asked_for(&known.credential),
            service.resolves().len()
        ),
        (1, 2)
    );
}

#[tokio::test]
async fn it_passes_on_to_a_service_behind() {
    let (front, back) = (ports::reserve(), ports::reserve());
    let behind = Scripted::start(back.number(), None).await.unwrap();
    let service = Scripted::start(front.number(), Some(back.number()))
        .await
        .unwrap();
    let known = records::active("one");
    behind.knows(&known);

    let answer = resolve(&known.credential)
        .send(front.number())
        .await
        .unwrap();

    assert_eq!(answer.header("x-keybound-protocol"), Some("1"));
    assert_eq!(answer.json()["results"][0]["key"]["id"], "key_one");
    assert_eq!((service.resolves().len(), behind.resolves().len()), (1, 1));
}

#[tokio::test]
async fn it_misbehaves_as_it_is_told() {
    let port = ports::reserve();
    let mut service = Scripted::start(port.number(), None).await.unwrap();

    service.answers(Answer::Close);
    assert!(resolve("x").send(port.number()).await.is_err());
    service.answers(Answer::Bytes(
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(),
    ));
    assert!(resolve("x").send(port.number()).await.is_err());
    service.answers(Answer::unmarked(500, "broken"));
    assert_eq!(resolve("x").send(port.number()).await.unwrap().status, 500);

    let latch = Latch::default();
    service.answers(Answer::Held(latch.clone(), Box::new(Answer::Records)));
    let number = port.number();
    let waiting = tokio::spawn(async move { resolve("x").send(number).await });
    support::wait::until("the call", async || {
        if service.resolves().len() == 4 {
            Ok(())
        } else {
            Err(format!("{}", service.resolves().len()))
        }
    })
    .await
    .unwrap();
    assert!(!waiting.is_finished());
    latch.open();
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);

    service.stop();
    assert!(resolve("x").send(port.number()).await.is_err());
    service.listen().await.unwrap();
    assert_eq!(resolve("x").send(port.number()).await.unwrap().status, 200);
}
