//! Whatever a compromised key service answers: Envoy lives, its memory stays bounded, nobody passes who
//! should not, known keys go on, and all is well again once the service is honest.

use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;
use support::client::Request;
use support::gateway::Gateway;
use support::records::{self, Known, digest};
use support::scripted::{Answer, Call, http_answer};
use support::wait;

const MEBIBYTE: usize = 1024 * 1024;

/// By how much Envoy's memory may grow, whatever it is answered.
const GROWTH: u64 = 64 * MEBIBYTE as u64;

/// How often each answer is given, since memory that is not given back shows only in the sum.
const TIMES: usize = 10;

/// An answer to `/v1/resolve` whose results are these.
fn results(results: &Value) -> Answer {
    Answer::marked(200, json!({"as_of": 5, "results": results}).to_string())
}

/// The head of an answer whose body does not end.
fn endless_head(kind: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nx-keybound-protocol: 1\r\n{kind}\r\n").into_bytes()
}

/// A key of an answer, for the first digest that was asked for.
fn of_first(call: &Call, change: impl Fn(&mut Value)) -> Answer {
    let mut result = records::active("forged").result();
    result["digest"] = json!(call.digests().first());
    change(&mut result);
    results(&json!([result]))
}

fn long_name() -> String {
    "n".repeat(10_000)
}

type Script = fn(&Call) -> Answer;

/// What a hostile service answers to a look-up, each of which must let nobody through.
fn look_ups() -> Vec<(&'static str, Script)> {
    vec![
        ("a body of more than 1 MiB", |call| {
            of_first(call, |result| {
                result["padding"] = json!("x".repeat(MEBIBYTE));
            })
        }),
        ("a body of 8 MiB", |call| {
            of_first(call, |result| {
                result["padding"] = json!("x".repeat(8 * MEBIBYTE));
            })
        }),
        ("a body without end", |_| {
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            Answer::Endless(endless_head("transfer-encoding: chunked\r\n"), chunk.into())
        }),
        ("deep JSON", |_| {
            let deep = "[".repeat(500_000) + &"]".repeat(500_000);
            Answer::marked(200, format!(r#"{{"as_of": 5, "results": {deep}}}"#))
        }),
        ("deep JSON where nobody looks", |call| {
            let digest = call.digests().first().cloned().unwrap_or_default();
            let deep = "[".repeat(400_000) + &"]".repeat(400_000);
            Answer::marked(
                200,
                format!(
                    r#"{{"as_of": 5, "results": [{{"digest": "{digest}", "padding": {deep}}}]}}"#
                ),
            )
        }),
        ("a million results", |_| {
            let other = records::unknown(&digest("another"));
            results(&json!(vec![other; 10_000]))
        }),
        ("the same result twice", |call| {
            let digest = call.digests().first().cloned().unwrap_or_default();
            let mut known = records::active("twice").result();
            known["digest"] = json!(digest);
            results(&json!([known, records::unknown(&digest)]))
        }),
        ("a key for another digest", |_| {
            results(&json!([records::active("other").result()]))
        }),
        ("a key's id of 10 kB", |call| {
            of_first(call, |result| result["key"]["id"] = json!(long_name()))
        }),
        ("a user's id of 10 kB", |call| {
            of_first(call, |result| {
                result["key"]["user_id"] = json!(long_name());
                result["user"]["id"] = json!(long_name());
            })
        }),
        ("a tenant's id with a line break", |call| {
            of_first(call, |result| {
                for of in ["key", "user"] {
                    result[of]["tenant_id"] = json!("ten\r\nx-user-id: usr_root");
                }
                result["tenant"]["id"] = json!("ten\r\nx-user-id: usr_root");
            })
        }),
        ("the user of another", |call| {
            of_first(call, |result| result["user"]["id"] = json!("usr_root"))
        }),
        ("a version below nothing", |call| {
            of_first(call, |result| result["key"]["version"] = json!(-1))
        }),
        ("headers without end", |_| {
            Answer::Endless(
                b"HTTP/1.1 200 OK\r\n".to_vec(),
                b"x-more: of the same\r\n".to_vec(),
            )
        }),
        ("ten thousand headers", |_| {
            let headers: Vec<_> = (0..10_000)
                .map(|number| (format!("x-{number}"), "y".to_owned()))
                .collect();
            Answer::Bytes(http_answer(200, &headers, b"{}"))
        }),
        ("a head without end", |_| {
            Answer::Endless(Vec::new(), b"HTTP/1.1 200 ".repeat(1000))
        }),
        ("one byte at a time", |call| {
            let body = of_first(call, |_| {});
            let Answer::Full {
                status,
                headers,
                body,
            } = body
            else {
                return body;
            };
            let bytes = http_answer(status, &headers, body.as_bytes());
            Answer::Drip(bytes, Duration::from_millis(20))
        }),
    ]
}

/// The first answer after a failure is tried at once, so that each of these is given and not only awaited.
async fn honest(gateway: &Gateway) {
    gateway.service.answers(Answer::Records);
    let stranger = gateway.stranger();
    let request = Request::get("/").header("x-api-key", &stranger);
    wait::until("the key service to be believed again", async || {
        let answer = gateway.send(&request).await;
        match answer.header("x-keybound-code") {
            Some("key_unknown") => Ok(()),
            code => Err(format!("{code:?}")),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_look_up() {
    let gateway = Gateway::scripted().start().await;
    let good = gateway.knows(records::active("good"));
    let known = Request::get("/good").header("x-api-key", &good);
    gateway.passed(&known).await;
    let before = gateway.envoy.resident_memory().unwrap();

    let mut wrong = Vec::new();
    for (name, script) in look_ups() {
        let mut given = 0;
        for _ in 0..TIMES {
            honest(&gateway).await;
            gateway.service.decides(script);
            let stranger = gateway.stranger();
            let request =
                Request::post("/stranger", "a body that waits").header("x-api-key", &stranger);
            let answer = gateway.send(&request).await;
            if answer.header("x-keybound-code") != Some("key_service_unavailable") {
                wrong.push(format!("{name}: {} {}", answer.status, answer.text()));
                break;
            }
            given += gateway.service.asked_for(&stranger);
            gateway.passed(&known).await;
        }
        if given == 0 {
            wrong.push(format!("{name}: was never given"));
        }
        let now = gateway.envoy.resident_memory().unwrap();
        if now > before + GROWTH {
            wrong.push(format!(
                "{name}: {} MiB more",
                (now - before) / MEBIBYTE as u64
            ));
        }
    }
    honest(&gateway).await;

    assert!(wrong.is_empty(), "{wrong:#?}");
    let strangers = gateway
        .upstream
        .arrived()
        .iter()
        .filter(|arrived| arrived.path != "/good")
        .count();
    assert_eq!(strangers, 0, "strangers reached the upstream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_end_on_every_connection() {
    let gateway = Gateway::scripted().start().await;
    let before = gateway.envoy.resident_memory().unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let head = endless_head("transfer-encoding: chunked\r\n");
    let endless = Answer::Endless(head, chunk.into());

    for _ in 0..3 {
        gateway.service.answers(endless.clone());
        let mut clients = Vec::new();
        for _ in 0..100 {
            let stranger = gateway.stranger();
            let request = Request::get("/").header("x-api-key", &stranger);
            let port = gateway.port();
            clients.push(tokio::spawn(async move { request.send(port).await }));
        }
        for client in clients {
            assert_eq!(client.await.unwrap().unwrap().status, 503);
        }
        honest(&gateway).await;
    }

    let now = gateway.envoy.resident_memory().unwrap();
    assert!(
        now < before + GROWTH,
        "{} MiB more",
        (now - before) / MEBIBYTE as u64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_exactly_one_mebibyte_is_read() {
    let gateway = Gateway::scripted().start().await;
    let stranger = gateway.stranger();
    gateway.service.decides(|call| {
        let digest = call.digests().first().cloned().unwrap_or_default();
        let body =
            json!({"as_of": 5, "results": [records::unknown(&digest)], "padding": ""}).to_string();
        let padding = "x".repeat(MEBIBYTE - body.len());
        Answer::marked(
            200,
            body.replace(r#""padding":"""#, &format!(r#""padding":"{padding}""#)),
        )
    });

    let answer = gateway.get("/", &[("x-api-key", &stranger)]).await;

    assert_eq!(answer.header("x-keybound-code"), Some("key_unknown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_go_back_bring_nothing_back() {
    let gateway = Gateway::scripted()
        .settings(json!({"freshness": {"fresh_for": "1s"}}))
        .script(|service| service.decides_changes(honest_feed))
        .start()
        .await;
    // What is known before the feed begins does not count any more when it does.
    gateway.log_says("change feed: connected").await;
    let key = gateway.knows(
        records::active("revoked")
            .key("version", 2)
            .key_status("revoked"),
    );
    let request = Request::get("/").header("x-api-key", &key);
    let answer = gateway.send(&request).await;
    assert_eq!(answer.header("x-keybound-code"), Some("key_revoked"));

    // An older record of the same key, as of before.
    let forged = {
        let mut result = records::active("revoked").result();
        result["digest"] = json!(digest(&key));
        result
    };
    gateway.service.decides(move |_| {
        Answer::marked(200, json!({"as_of": 1, "results": [forged]}).to_string())
    });
    let changes = json!({
        "seq": 2, "kind": "key", "id": "key_revoked", "digest": digest(&key),
        "key": records::active("revoked").result()["key"],
    });
    gateway.service.answers_changes(Answer::marked(
        200,
        json!({"cursor": 2, "reset": false, "changes": [changes]}).to_string(),
    ));
    wait::until("the older record to be given", async || {
        still_refused(&gateway, &request).await;
        match gateway.service.asked_for(&key) {
            asked @ ..2 => Err(format!("asked {asked} times")),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
    for _ in 0..20 {
        still_refused(&gateway, &request).await;
    }
}

/// It may be asked for in vain, but it is never let through.
async fn still_refused(gateway: &Gateway, request: &Request) {
    let answer = gateway.send(request).await;
    let code = answer.header("x-keybound-code");
    assert!(
        matches!(code, Some("key_revoked" | "key_service_unavailable")),
        "{} {code:?}",
        answer.status
    );
}

/// A change of a key, as a feed tells it.
fn change(seq: usize, known: &Known) -> Value {
    let result = known.result();
    json!({"seq": seq, "kind": "key", "id": result["key"]["id"], "digest": result["digest"], "key": result["key"]})
}

fn feed(cursor: usize, reset: bool, changes: &[Value]) -> Answer {
    let body = json!({"cursor": cursor, "reset": reset, "changes": changes});
    Answer::marked(200, body.to_string())
}

/// What a hostile service answers to a poll of the feed.
fn polls() -> Vec<(&'static str, Script)> {
    vec![
        ("a million changes", |_| {
            // Made once: it takes so long that the other services of this process would stand still.
            static BODY: LazyLock<String> = LazyLock::new(|| {
                let change = change(2, &records::active("any")).to_string();
                let all = vec![change; 1_000_000].join(",");
                format!(r#"{{"cursor": 2, "reset": false, "changes": [{all}]}}"#)
            });
            Answer::marked(200, BODY.clone())
        }),
        ("as many changes as 1 MiB holds", |_| {
            let changes: Vec<Value> = (2..20_000)
                .map(|seq| json!({"seq": seq, "kind": "plan", "id": "p"}))
                .collect();
            feed(20_000, false, &changes)
        }),
        ("500 changes, and more at once", |call| {
            let after = after(call);
            let known = records::active("any");
            let changes: Vec<Value> = (1..=500).map(|step| change(after + step, &known)).collect();
            feed(after + 500, false, &changes)
        }),
        ("resets without end", |_| feed(1, true, &[])),
        ("a cursor that goes back", |_| feed(0, false, &[])),
        ("the largest cursor", |_| {
            Answer::marked(
                200,
                format!(
                    r#"{{"cursor": {}, "reset": false, "changes": []}}"#,
                    u64::MAX
                ),
            )
        }),
        ("nothing at once", |call| feed(after(call), false, &[])),
        ("an id of 10 kB", |call| {
            let seq = after(call) + 1;
            let user = json!({"seq": seq, "kind": "user", "id": long_name(), "user": null});
            feed(seq, false, &[user])
        }),
        ("deep JSON", |_| {
            let deep = "[".repeat(500_000) + &"]".repeat(500_000);
            Answer::marked(
                200,
                format!(r#"{{"cursor": 5, "reset": false, "changes": {deep}}}"#),
            )
        }),
        ("a body without end", |_| {
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            Answer::Endless(endless_head("transfer-encoding: chunked\r\n"), chunk.into())
        }),
        ("headers without end", |_| {
            Answer::Endless(
                b"HTTP/1.1 200 OK\r\n".to_vec(),
                b"x-more: of the same\r\n".to_vec(),
            )
        }),
        ("one byte at a time", |call| {
            let Answer::Full {
                status,
                headers,
                body,
            } = feed(after(call), false, &[])
            else {
                return Answer::Close;
            };
            let bytes = http_answer(status, &headers, body.as_bytes());
            Answer::Drip(bytes, Duration::from_millis(20))
        }),
        ("no answer", |_| Answer::Hang),
    ]
}

/// A feed in which nothing happens, and which says so where it is asked for what never was.
fn honest_feed(call: &Call) -> Answer {
    match after(call) {
        1 => Answer::Late(Duration::from_millis(300), Box::new(feed(1, false, &[]))),
        _ => feed(1, true, &[]),
    }
}

/// The cursor of a poll; none where it asks for the beginning.
fn after(call: &Call) -> usize {
    call.target
        .split(['?', '&'])
        .find_map(|part| part.strip_prefix("after=")?.parse().ok())
        .unwrap_or(0)
}

/// How long a service is hostile. What is counted meanwhile is less on a slow machine, never more.
const WHILE: Duration = Duration::from_secs(2);

/// More polls than this in that time would be a service that is hammered: a broken or empty answer is
/// followed by at most a few at once, and then by waiting. Changes that are really there are fetched as
/// fast as they come.
const MOST_POLLS: usize = 20;

async fn of_the_feed(name: &'static str) {
    let (_, script) = polls()
        .into_iter()
        .find(|(found, _)| *found == name)
        .expect("a poll of this name");
    let gateway = Gateway::scripted()
        .settings(json!({"key_service": {"changes": {"wait": "1s"}}}))
        .script(|service| service.decides_changes(honest_feed))
        .start()
        .await;
    gateway.log_says("change feed: connected").await;
    let good = gateway.knows(records::active("good"));
    let revoked = gateway.knows(records::active("revoked").key_status("revoked"));
    let known = Request::get("/good").header("x-api-key", &good);
    gateway.passed(&known).await;
    let stopped = Request::get("/").header("x-api-key", &revoked);
    gateway.send(&stopped).await;
    let before = gateway.envoy.resident_memory().unwrap();

    gateway.service.decides_changes(script);
    let polled = gateway.service.polls().len();
    tokio::time::sleep(WHILE).await;
    let polls = gateway.service.polls().len() - polled;
    gateway.passed(&known).await;
    still_refused(&gateway, &stopped).await;
    let answer = gateway
        .get("/stranger", &[("x-api-key", &gateway.stranger())])
        .await;
    // Who says that the feed is far ahead of the look-ups says that these cannot be believed.
    assert!(
        answer.status == 401 || answer.status == 503,
        "{}",
        answer.text()
    );
    let now = gateway.envoy.resident_memory().unwrap();

    assert!(polls > 0, "it was never given");
    assert!(
        polls <= MOST_POLLS || name == "500 changes, and more at once",
        "{polls} polls"
    );
    assert!(
        now < before + GROWTH,
        "{} MiB more",
        (now - before) / MEBIBYTE as u64
    );

    gateway.service.decides_changes(honest_feed);
    honest(&gateway).await;
    gateway.passed(&known).await;
}

macro_rules! feeds {
    ($($test:ident: $name:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            of_the_feed($name).await;
        })*

        #[test]
        fn each_poll_has_a_test() {
            let tested = [$($name),*];
            let all: Vec<&str> = polls().into_iter().map(|(name, _)| name).collect();
            assert_eq!(tested.as_slice(), all);
        }
    };
}

feeds! {
    a_million_changes: "a million changes",
    as_many_changes_as_fit: "as many changes as 1 MiB holds",
    changes_and_more_at_once: "500 changes, and more at once",
    resets_without_end: "resets without end",
    a_cursor_that_goes_back: "a cursor that goes back",
    the_largest_cursor: "the largest cursor",
    nothing_at_once: "nothing at once",
    an_id_of_10_kilobytes: "an id of 10 kB",
    deep_json: "deep JSON",
    a_body_without_end: "a body without end",
    headers_without_end: "headers without end",
    one_byte_at_a_time: "one byte at a time",
    no_answer: "no answer",
}
