//! Times, lists and answers have bounds. What is beyond them is that key's trouble or that change's, and nobody
//! else's; what is too much at once is asked for in parts.

use serde_json::{Value, json};
use std::time::Duration;
use support::client::Request;
use support::gateway::Gateway;
use support::records::{self, Known, digest};
use support::scripted::{Answer, Call, Latch};
use support::wait;

const MEBIBYTE: usize = 1024 * 1024;

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

fn names(count: usize, length: usize) -> Value {
    let name = |number: usize| format!("{number:x<length$}");
    json!((0..count).map(name).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_ends_beyond_all_dates_harms_nobody_else() {
    let gateway = Gateway::scripted().start().await;
    let good = gateway.knows(records::active("good"));
    let good = Request::get("/").header("x-api-key", &good);
    let replaced = |name: &str, end: u64| {
        records::active(name)
            .key("replaced_by", "key_newer")
            .key("expires_at", end)
    };
    gateway.passed(&good).await;

    for (number, end) in [LAST + 1, 1_790_000_000_000, u64::MAX]
        .into_iter()
        .enumerate()
    {
        let key = gateway.knows(replaced(&format!("beyond-{number}"), end));
        let answer = gateway.get("/", &[("x-api-key", &key)]).await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("key_service_unavailable"),
            "{end}"
        );
        for _ in 0..10 {
            gateway.passed(&good).await;
        }
    }
    gateway
        .log_says("key.expires_at: must be Unix seconds")
        .await;
    let last = gateway.knows(replaced("last", LAST));
    let answer = gateway.get("/", &[("x-api-key", &last)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("sunset"),
        Some("Fri, 31 Dec 9999 23:59:59 GMT")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_too_long_harms_nobody_else() {
    let gateway = Gateway::scripted().start().await;
    let good = gateway.knows(records::active("good"));
    let good = Request::get("/").header("x-api-key", &good);
    for (name, known) in [
        (
            "scopes",
            records::active("scopes").key("scopes", names(257, 8)),
        ),
        (
            "a scope",
            records::active("scope").key("scopes", names(1, 129)),
        ),
        (
            "networks",
            records::active("networks").key("networks", json!(vec!["10.0.0.0/8"; 257])),
        ),
        ("apis", records::active("apis").user("apis", names(257, 8))),
        ("an api", records::active("api").user("apis", names(1, 129))),
    ] {
        let key = gateway.knows(known);
        let answer = gateway.get("/", &[("x-api-key", &key)]).await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("key_service_unavailable"),
            "{name}"
        );
        gateway.passed(&good).await;
    }
    let longest = records::active("longest")
        .key("scopes", names(256, 128))
        .user("apis", names(256, 128));
    let longest = gateway.knows(longest);
    let arrived = gateway
        .passed(&Request::get("/").header("x-api-key", &longest))
        .await;
    let scopes = arrived.header_values("x-key-scopes");
    assert_eq!(scopes[0].split(' ').count(), 256);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_records_of_a_worker_take_no_more_than_they_may() {
    const KEYS: usize = 100;
    let gateway = Gateway::scripted()
        .workers(1)
        .settings(json!({"limits": {"local_bytes": "1MiB", "shared_entries": 1}}))
        .start()
        .await;
    let mut keys = Vec::new();
    for number in 0..KEYS {
        let known = records::active(&format!("long-{number}")).key("scopes", names(256, 128));
        let key = gateway.knows(known);
        gateway
            .passed(&Request::get("/").header("x-api-key", &key))
            .await;
        keys.push(key);
    }
    // Of each a key of 33 kB, a user and a tenant: some 30 of them fit.
    wait::until("entries to have made room", async || {
        let counters = gateway.counters().await;
        let count = |name| counters.get(name).copied().unwrap_or(0);
        let (entries, evicted) = (count("cache.entries"), count("cache.evicted"));
        match (30..=100).contains(&entries) && evicted > 150 {
            true => Ok(()),
            false => Err(format!("{counters:?}")),
        }
    })
    .await
    .unwrap();
    let last = keys.pop().unwrap();
    gateway
        .passed(&Request::get("/").header("x-api-key", &last))
        .await;
    assert_eq!(gateway.service.asked_for(&last), 1);
}

/// Answers as from the records, but of so many at most in one call.
fn at_most(known: Vec<Known>, most: usize, leave_out: bool) -> impl Fn(&Call) -> Answer {
    move |call| {
        let asked = call.digests();
        if asked.len() > most && !leave_out {
            let padding = "x".repeat(MEBIBYTE);
            return Answer::marked(
                200,
                json!({"as_of": 5, "results": [], "padding": padding}).to_string(),
            );
        }
        let results: Vec<Value> = asked
            .iter()
            .take(most)
            .map(|asked| {
                let known = known
                    .iter()
                    .find(|known| digest(&known.credential) == *asked);
                known.map_or_else(|| records::unknown(asked), Known::result)
            })
            .collect();
        Answer::marked(200, json!({"as_of": 5, "results": results}).to_string())
    }
}

async fn many_at_once(leave_out: bool) {
    const KEYS: usize = 40;
    let gateway = Gateway::scripted()
        .workers(1)
        .settings(json!({"key_service": {"timeout": "20s"}, "limits": {"lookups_in_flight": 1}}))
        .start()
        .await;
    let known: Vec<Known> = (0..KEYS)
        .map(|number| records::active(&format!("many-{number}")))
        .collect();
    for known in &known {
        gateway.secret(&known.credential);
    }
    // The first call is held, so that all others gather behind it.
    let latch = Latch::default();
    let held = Answer::Held(latch.clone(), Box::new(Answer::Records));
    gateway.service.answers(held);
    let send = |credential: &str| {
        let request = Request::get("/").header("x-api-key", credential);
        let port = gateway.port();
        tokio::spawn(async move { request.send(port).await.unwrap().status })
    };
    let first = send(&gateway.stranger());
    wait::until("the first call", async || {
        match gateway.service.resolves().len() {
            1 => Ok(()),
            calls => Err(format!("{calls} calls")),
        }
    })
    .await
    .unwrap();
    let others: Vec<_> = known.iter().map(|known| send(&known.credential)).collect();
    gateway.counted("waiting", 1 + KEYS as u64).await;
    gateway.service.decides(at_most(known, 3, leave_out));
    latch.open();

    assert_eq!(first.await.unwrap(), 401);
    for other in others {
        assert_eq!(other.await.unwrap(), 200);
    }
    let asked: Vec<usize> = gateway
        .service
        .resolves()
        .iter()
        .map(|call| call.digests().len())
        .collect();
    assert_eq!(asked[1], KEYS, "{asked:?}");
    assert!(asked.len() <= 2 + KEYS, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_left_out_of_an_answer_are_asked_for_again() {
    many_at_once(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_whose_answer_is_too_long_are_asked_for_in_parts() {
    many_at_once(false).await;
}

fn parameter(call: &Call, name: &str) -> usize {
    call.target
        .split(['?', '&'])
        .find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        .unwrap_or(0)
}

fn feed(cursor: usize, changes: &[Value]) -> Answer {
    let body = json!({"cursor": cursor, "reset": false, "changes": changes});
    Answer::marked(200, body.to_string())
}

/// A feed that begins at 1.
fn begins() -> Answer {
    Answer::marked(200, r#"{"cursor": 1, "reset": true, "changes": []}"#)
}

/// The suspension of a key's user.
fn suspension(seq: usize, known: &Known) -> Value {
    let user = known.clone().user_status("suspended").user("version", seq);
    let result = user.result();
    let user = &result["user"];
    json!({"seq": seq, "kind": "user", "id": user["id"], "user": user})
}

/// A gateway that follows a feed which says nothing but what a script says after it has begun.
async fn following(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> (Gateway, Known) {
    let gateway = Gateway::scripted()
        .settings(json!({"freshness": {"fresh_for": "4m"}}))
        .script(|service| {
            service.decides_changes(|call| match parameter(call, "after") {
                0 => begins(),
                _ => Answer::Late(Duration::from_millis(200), Box::new(feed(1, &[]))),
            });
        })
        .start()
        .await;
    gateway.log_says("change feed: connected").await;
    let known = records::active("one");
    let key = gateway.knows(known.clone());
    let request = Request::get("/").header("x-api-key", &key);
    for _ in 0..16 {
        gateway.passed(&request).await;
    }
    gateway.service.decides_changes(script);
    (gateway, known)
}

async fn refused_everywhere(gateway: &Gateway, known: &Known) {
    let request = Request::get("/").header("x-api-key", &known.credential);
    wait::until("all workers to refuse the key", async || {
        for _ in 0..16 {
            let answer = gateway.send(&request).await;
            if answer.header("x-keybound-code") != Some("user_suspended") {
                return Err(format!("{}", answer.status));
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_are_too_long_together_are_asked_for_in_parts() {
    let suspended = records::active("one");
    let (gateway, known) = following(move |call| {
        let (after, limit) = (parameter(call, "after"), parameter(call, "limit"));
        let last = (after + limit).min(600);
        let changes: Vec<Value> = (after + 1..=last)
            .map(|seq| match seq {
                600 => suspension(seq, &suspended),
                _ => json!({"seq": seq, "kind": "user", "id": format!("usr_{seq}"), "user": {
                    "id": format!("usr_{seq}"), "version": seq, "status": "active",
                    "scopes": names(40, 128),
                }}),
            })
            .collect();
        match changes.is_empty() {
            true => Answer::Late(Duration::from_millis(200), Box::new(feed(last, &[]))),
            false => feed(last, &changes),
        }
    })
    .await;
    refused_everywhere(&gateway, &known).await;
    let limits: Vec<usize> = gateway
        .service
        .polls()
        .iter()
        .map(|poll| parameter(poll, "limit"))
        .collect();
    assert!(limits.contains(&500) && limits.contains(&125), "{limits:?}");
    gateway.counted("changes.connected", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_cannot_be_taken_alone_is_named_in_the_log() {
    let (gateway, known) = following(|call| {
        let seq = parameter(call, "after") + 1;
        let padding = "x".repeat(MEBIBYTE);
        feed(
            seq,
            &[json!({"seq": seq, "kind": "user", "id": "usr_7", "user": null, "padding": padding})],
        )
    })
    .await;
    gateway
        .log_says("the change that comes after number 1 cannot be taken")
        .await;
    // What is known goes on meanwhile, and when the change has been mended so does the feed.
    let key = Request::get("/").header("x-api-key", &known.credential);
    gateway.passed(&key).await;
    let suspended = known.clone();
    gateway
        .service
        .decides_changes(move |call| match parameter(call, "after") {
            1 => feed(2, &[suspension(2, &suspended)]),
            _ => Answer::Hang,
        });
    refused_everywhere(&gateway, &known).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_heard_of_however_often_the_cursor_moved_without_one() {
    // Each of these would be waited for, were it taken for one that brought nothing: half a minute together.
    const MOVES: usize = 100;
    let suspended = records::active("one");
    let (gateway, known) = following(move |call| match parameter(call, "after") {
        after @ ..MOVES => feed(after + 1, &[]),
        MOVES => feed(MOVES + 1, &[suspension(MOVES + 1, &suspended)]),
        _ => Answer::Hang,
    })
    .await;
    refused_everywhere(&gateway, &known).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_learned_before_the_feed_has_begun_is_not_asked_for_again() {
    let latch = Latch::default();
    let held = latch.clone();
    let gateway = Gateway::scripted()
        .settings(json!({"freshness": {"fresh_for": "4m"}}))
        .script(move |service| {
            service.decides_changes(move |call| match parameter(call, "after") {
                0 => Answer::Held(held.clone(), Box::new(begins())),
                _ => Answer::Hang,
            });
        })
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let request = Request::get("/").header("x-api-key", &key);
    gateway.passed(&request).await;
    latch.open();
    gateway.log_says("change feed: connected").await;
    gateway.counted("changes.connected", 1).await;
    for _ in 0..20 {
        gateway.passed(&request).await;
    }
    assert_eq!(gateway.service.asked_for(&key), 1);
}
