//! `/admin/v1/webhooks`: who is told of what, how it is signed, and what becomes of what nobody takes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_service::domain::audit::Action;
use key_service::domain::key::{Key, KeyStatus};
use key_service::domain::time::{DAY, now};
use key_service::http::Settings;
use key_service::store::Write;
use key_service::store::messages::Due;
use key_service::webhooks::{MasterKey, Webhooks};
use serde_json::{Value, json};

use crate::engine::{is_postgresql, run_in};
use crate::program::{Running, run, text};
use crate::support::{Answer, Service, assert_holds};

const PATH: &str = "/admin/v1/webhooks";
const MASTER: &str = "a-key-for-webhooks-that-is-long-enough";
const ADMIN: &str = "admin-token-number-one";

/// With the records that most tests need, and a key to sign messages with.
pub fn furnished() -> Service {
    let service = Service::start_with(Settings {
        webhooks: Some(Arc::new(Webhooks {
            master: MasterKey::new(MASTER).unwrap(),
            allow_private: false,
        })),
        ..Settings::default()
    });
    let tenant = json!({"id": "ten_a"});
    service.post("/admin/v1/tenants", &tenant).expect(201);
    let user = json!({"id": "usr_a", "tenant_id": "ten_a"});
    service.post("/admin/v1/users", &user).expect(201);
    service
}

fn create(service: &Service, fields: &Value) -> Answer {
    let mut body = json!({"url": "https://hooks.example.com/keybound", "events": ["key.created"]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    service.post(PATH, &body)
}

fn made(service: &Service, fields: &Value) -> String {
    let made = create(service, fields).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// What is to be sent now. Whoever is given it has it alone for a while.
fn due(service: &Service) -> Vec<Due> {
    service
        .wait_for(async || service.store.due_messages(now()).await)
        .unwrap()
}

/// Makes so many messages for the first webhook, due from this time on.
fn waiting(count: usize, next_at: i64) -> String {
    format!(
        "INSERT INTO webhook_messages (event_id, webhook_id, event, payload, created_at, attempts, next_at, state) \
         WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count}) \
         SELECT 'msg_' || number, webhooks.id, 'key.created', '{{}}', 0, 0, {next_at}, 'pending' \
         FROM numbers CROSS JOIN webhooks WHERE webhooks.place = 1"
    )
}

/// The webhooks and the types of messages that are to be sent now.
fn told(service: &Service) -> BTreeSet<(String, String)> {
    let mut told = BTreeSet::new();
    loop {
        let part = due(service);
        if part.is_empty() {
            return told;
        }
        for due in part {
            let message: Value = serde_json::from_str(&due.payload).unwrap();
            told.insert((due.webhook_id, message["type"].as_str().unwrap().to_owned()));
        }
    }
}

#[test]
fn a_webhook_is_made_listed_and_deleted_and_its_secret_is_told_once() {
    let service = furnished();
    let body = json!({"events": ["key.revoked", "key.created", "key.revoked"]});
    let answer = create(&service, &body).expect(201);
    let secret = answer["secret"].as_str().unwrap();
    let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
    assert_eq!(bytes.unwrap().len(), 32);
    let fields = json!({"url": "https://hooks.example.com/keybound", "tenant_id": null,
        "events": ["key.created", "key.revoked"]});
    assert_holds(&answer, &fields);
    let id = answer["id"].as_str().unwrap();
    let other = create(&service, &json!({"tenant_id": "ten_a"})).expect(201);
    assert_ne!(other["secret"], secret);
    let shown = service.get(&format!("{PATH}/{id}"));
    assert_holds(&shown.expect(200), &fields);
    let list = service.get(PATH);
    assert_eq!(list.expect(200)["items"].as_array().unwrap().len(), 2);
    let of_tenant = service.get(&format!("{PATH}?tenant=ten_a")).expect(200);
    assert_eq!(of_tenant["items"][0]["id"], other["id"]);
    let audit = service.get("/admin/v1/audit?kind=webhook");
    assert_eq!(audit.expect(200)["items"][1]["entity_id"], id);
    let kept = crate::secrets::stored(&service);
    assert!(crate::secrets::holds(&kept, id));
    for answer in [&shown.text, &list.text, &audit.text] {
        assert!(!answer.contains("whsec_") && !answer.contains("secret"));
    }
    for hidden in [secret, &secret[6..], MASTER] {
        assert!(!crate::secrets::holds(&kept, hidden));
    }
    let gone = service.delete(&format!("{PATH}/{id}")).expect(200);
    assert_eq!(gone["id"], id);
    service.get(&format!("{PATH}/{id}")).problem(404);
    service.delete(&format!("{PATH}/{id}")).problem(404);
    let audit = service
        .get("/admin/v1/audit?kind=webhook&limit=1")
        .expect(200);
    assert_holds(
        &audit["items"][0],
        &json!({"action": "delete", "entity_id": id}),
    );
}

#[test]
fn what_cannot_be_told_to_anybody_is_refused() {
    let service = furnished();
    for (fields, field) in [
        (json!({"url": "http://hooks.example.com"}), "url"),
        (
            json!({"url": "https://anna:secret@hooks.example.com"}),
            "url",
        ),
        (json!({"url": "hooks.example.com"}), "url"),
        (json!({"events": []}), "events"),
        (json!({"events": ["key.stolen"]}), "events[0]"),
        (json!({"tenant_id": "ten_none"}), "tenant_id"),
    ] {
        assert_eq!(create(&service, &fields).problem(400), [field], "{fields}");
    }
    let without = Service::furnished();
    let refused = create(&without, &json!({}));
    refused.problem(409);
    assert!(
        refused.text.contains("--webhook-key-env"),
        "{}",
        refused.text
    );
}

#[test]
fn everybody_who_wants_it_is_told_of_what_happens_and_nobody_else() {
    let service = furnished();
    let tenant = json!({"id": "ten_b"});
    service.post("/admin/v1/tenants", &tenant).expect(201);
    let user = json!({"id": "usr_b", "tenant_id": "ten_b"});
    service.post("/admin/v1/users", &user).expect(201);
    let every = json!([
        "key.created",
        "key.rotated",
        "key.expiring",
        "key.revoked",
        "key.leaked",
        "user.stopped"
    ]);
    let all = made(&service, &json!({"events": every}));
    let of_a = made(&service, &json!({"events": every, "tenant_id": "ten_a"}));
    let some = made(
        &service,
        &json!({"events": ["user.stopped"], "tenant_id": "ten_b"}),
    );
    let expect = |events: &[(&String, &str)]| {
        let events = events
            .iter()
            .map(|(id, event)| ((*id).clone(), (*event).to_owned()));
        assert_eq!(told(&service), events.collect());
    };
    service.make_key(&json!({"id": "key_a"}));
    expect(&[(&all, "key.created"), (&of_a, "key.created")]);
    let rotate = "/admin/v1/keys/key_a/rotate";
    let new = service.post(rotate, &json!({"grace": "1h"})).expect(201);
    expect(&[(&all, "key.rotated"), (&of_a, "key.rotated")]);
    let found = json!({"keys": [new["secret"]]});
    service.post("/admin/v1/leaks", &found).expect(200);
    expect(&[
        (&all, "key.leaked"),
        (&of_a, "key.leaked"),
        (&all, "key.revoked"),
        (&of_a, "key.revoked"),
    ]);
    service
        .post("/admin/v1/keys/key_a/revoke", &json!({}))
        .expect(200);
    expect(&[(&all, "key.revoked"), (&of_a, "key.revoked")]);
    service
        .post("/admin/v1/keys/key_a/revoke", &json!({}))
        .expect(200);
    expect(&[]);
    let body = json!({"user_id": "usr_b", "id": "key_b"});
    service.post("/admin/v1/keys", &body).expect(201);
    expect(&[(&all, "key.created")]);
    let stop = |status: &str| {
        let path = "/admin/v1/users/usr_b?force=true";
        service.patch(path, &json!({"status": status})).expect(200);
    };
    stop("suspended");
    expect(&[(&all, "user.stopped"), (&some, "user.stopped")]);
    stop("active");
    service
        .patch("/admin/v1/users/usr_b", &json!({"name": "another"}))
        .expect(200);
    let line = json!({"key": "an-imported-key-that-is-new", "user_id": "usr_b"});
    service.import(&line.to_string()).expect(200);
    expect(&[]);
}

#[test]
fn a_message_is_that_of_the_standard_and_holds_no_key() {
    let service = furnished();
    made(&service, &json!({"tenant_id": "ten_a"}));
    let key = service.make_key(&json!({"id": "key_a", "contact": "team-stock"}));
    let due = due(&service);
    let [due] = &due[..] else {
        panic!("{due:?}");
    };
    assert!(due.event_id.starts_with("msg_"));
    let message: Value = serde_json::from_str(&due.payload).unwrap();
    assert_eq!(message["type"], "key.created");
    let at = message["timestamp"].as_str().unwrap();
    assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
    assert_holds(
        &message["data"]["key"],
        &json!({"id": "key_a", "tenant_id": "ten_a", "contact": "team-stock"}),
    );
    assert!(!due.payload.contains(key["secret"].as_str().unwrap()));
    let digest = crate::support::digest(&key["secret"]);
    assert!(!due.payload.contains(&digest));
}

#[test]
fn what_is_not_written_is_told_to_nobody() {
    let service = furnished();
    let id = made(&service, &json!({"events": ["key.revoked"]}));
    service.make_key(&json!({"id": "key_a"}));
    let revoke = async |write: &mut Write| {
        let before = write.by_id::<Key>("key_a").await.unwrap().unwrap();
        let after = Key {
            status: KeyStatus::Revoked,
            ..before.clone()
        };
        let revoked = write.put(Action::Revoke, Some(&before), after).await;
        revoked.unwrap();
        // The database has seen it.
        let seen = write.by_id::<Key>("key_a").await.unwrap().unwrap();
        assert_eq!(seen.status, KeyStatus::Revoked);
    };
    service.wait_for(async || {
        let mut write = service.store.write("test", now()).await.unwrap();
        revoke(&mut write).await;
    });
    assert!(told(&service).is_empty());
    service.write(revoke);
    assert_eq!(
        told(&service),
        BTreeSet::from([(id, "key.revoked".to_owned())])
    );
}

#[test]
fn a_message_of_which_nobody_noted_what_became_is_sent_again() {
    let service = furnished();
    made(&service, &json!({}));
    service.make_key(&json!({"id": "key_a"}));
    let sent = due(&service).remove(0);
    assert!(due(&service).is_empty());
    let later = async || service.store.due_messages(now() + 60).await;
    let again = service.wait_for(later).unwrap().remove(0);
    assert_eq!(
        (again.event_id, again.payload, again.attempt),
        (sent.event_id, sent.payload, 2)
    );
}

#[test]
fn one_of_several_senders_is_given_a_message() {
    let service = furnished();
    made(&service, &json!({}));
    service.execute(&waiting(400, 0));
    let replica = is_postgresql().then(|| service.replica());
    let services = [&service, replica.as_ref().unwrap_or(&service)];
    let taken = std::thread::scope(|scope| {
        let takers: Vec<_> = [services, services]
            .concat()
            .into_iter()
            .map(|service| {
                scope.spawn(|| {
                    let mut taken = Vec::new();
                    loop {
                        let part = due(service);
                        if part.is_empty() {
                            return taken;
                        }
                        taken.extend(part.into_iter().map(|due| due.event_id));
                    }
                })
            })
            .collect();
        let taken = takers.into_iter().map(|taker| taker.join().unwrap());
        taken.flatten().collect::<Vec<_>>()
    });
    // Who finds others at work looks again later.
    let mut taken = taken;
    taken.extend(due(&service).into_iter().map(|due| due.event_id));
    let different: BTreeSet<&String> = taken.iter().collect();
    assert_eq!((taken.len(), different.len()), (400, 400));
}

#[test]
fn what_nobody_takes_is_dead_in_the_end_and_can_be_sent_again() {
    let service = furnished();
    let id = made(&service, &json!({}));
    service.make_key(&json!({"id": "key_a"}));
    let mut message = due(&service).remove(0);
    let dead = |message: &Due| {
        let error = "answered 500";
        let failed = async || service.store.message_failed(message, error, now()).await;
        service.wait_for(failed).unwrap()
    };
    assert!(!dead(&message));
    assert!(due(&service).is_empty(), "it is tried again later");
    let path = format!("{PATH}/{id}/dead");
    let list = service.get(&path).expect(200);
    assert_eq!(list["items"], json!([]));
    for attempt in 2..=8 {
        service.execute("UPDATE webhook_messages SET next_at = 0");
        message = due(&service).remove(0);
        assert_eq!(message.attempt, attempt);
        assert_eq!(dead(&message), attempt == 8);
    }
    service.execute("UPDATE webhook_messages SET next_at = 0");
    assert!(due(&service).is_empty(), "nobody tries any more");
    let list = service.get(&path).expect(200);
    let entry = &list["items"][0];
    let fields = json!({"event_id": message.event_id, "event": "key.created", "attempts": 8, "last_error": "answered 500"});
    assert_holds(entry, &fields);
    assert_eq!(entry["payload"]["data"]["key"]["id"], "key_a");
    let metrics = service.send("GET", "/metrics", None, None).text;
    let line = r#"keybound_service_webhook_messages{state="dead"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    let redeliver = format!("{PATH}/{id}/redeliver");
    let none = json!({"event_id": "msg_none"});
    service.post(&redeliver, &none).problem(404);
    let again = service.post(&redeliver, &json!({"event_id": message.event_id}));
    assert_eq!(again.expect(200)["redelivered"], 1);
    let message = due(&service).remove(0);
    assert_eq!(message.attempt, 1);
    let taken = async || service.store.message_was_taken(&message, now()).await;
    service.wait_for(taken).unwrap();
    service.execute("UPDATE webhook_messages SET next_at = 0");
    assert!(due(&service).is_empty());
    assert_eq!(
        service.post(&redeliver, &json!({})).expect(200)["redelivered"],
        0
    );
    // With the webhook, what was for it goes.
    service.make_key(&json!({"id": "key_b"}));
    service.delete(&format!("{PATH}/{id}")).expect(200);
    assert!(due(&service).is_empty());
}

#[test]
fn somebody_is_told_once_a_day_of_each_key_that_expires_soon() {
    let service = furnished();
    let id = made(&service, &json!({"events": ["key.expiring"]}));
    for (key, days) in [("soon", 3), ("later", 8), ("rotated", 3), ("revoked", 3)] {
        service.make_key(&json!({"id": key, "expires_at": now() + days * DAY}));
    }
    service
        .post("/admin/v1/keys/rotated/rotate", &json!({"grace": "2d"}))
        .expect(201);
    // The new one lives as long as the old one was meant to.
    let revoke = |id: &str| {
        let path = format!("/admin/v1/keys/{id}/revoke");
        service.post(&path, &json!({})).expect(200);
    };
    revoke("revoked");
    let list = service.get("/admin/v1/keys").expect(200);
    for key in list["items"].as_array().unwrap() {
        if key["id"].as_str().unwrap().starts_with("key_") {
            revoke(key["id"].as_str().unwrap());
        }
    }
    let look = |at: i64| {
        let tell = async || service.store.tell_of_expiring_keys(at).await;
        service.wait_for(tell).unwrap();
        let mut keys: Vec<String> = service
            .wait_for(async || service.store.due_messages(at).await)
            .unwrap()
            .iter()
            .map(|due| {
                assert_eq!(due.webhook_id, id);
                let message: Value = serde_json::from_str(&due.payload).unwrap();
                assert_eq!(message["type"], "key.expiring");
                message["data"]["key"]["id"].as_str().unwrap().to_owned()
            })
            .collect();
        service.execute("DELETE FROM webhook_messages");
        keys.sort_unstable();
        keys
    };
    let today = now();
    assert_eq!(look(today), ["soon"]);
    assert!(look(today).is_empty(), "once a day");
    assert_eq!(look(today + DAY + 60), ["later", "soon"]);
}

/// What a receiver was sent.
#[derive(Debug)]
struct Received {
    headers: Vec<(String, String)>,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Answers each request with the next of these, and tells what came.
fn receiver(answers: &'static [&'static str]) -> (u16, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for (stream, answer) in listener.incoming().zip(answers) {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut headers = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if let Some((name, value)) = line.trim().split_once(": ") {
                    headers.push((name.to_lowercase(), value.to_owned()));
                }
            }
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            let head =
                format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let body = text(&body);
            if sender.send(Received { headers, body }).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

/// A running service that sends messages, and its commands.
struct Shop {
    folder: tempfile::TempDir,
    service: Running,
}

impl Shop {
    fn open(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = [
            ("KEYBOUND_ADMIN_TOKEN", ADMIN),
            ("KEYBOUND_WEBHOOK_KEY_ENV", "MASTER"),
            ("MASTER", MASTER),
        ];
        let service = Running::start(folder.path(), &[&environment[..], more].concat());
        let shop = Self { folder, service };
        shop.json(&["tenant", "create", "--id", "ten_a"]);
        shop.json(&["user", "create", "--id", "usr_a", "--tenant", "ten_a"]);
        shop
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let environment = [
            ("KEYBOUND_TOKEN", ADMIN),
            ("KEYBOUND_SERVER", self.service.url.as_str()),
        ];
        let output = run(
            self.folder.path(),
            &environment,
            &[arguments, &["--json"]].concat(),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_running_service_sends_signed_messages_until_they_are_taken() {
    let shop = Shop::open(&[("KEYBOUND_WEBHOOK_ALLOW_PRIVATE", "true")]);
    let (port, received) = receiver(&["500 No", "307 Elsewhere\r\nlocation: /other", "204 Taken"]);
    let url = format!("http://127.0.0.1:{port}/hook");
    let made = shop.json(&["webhook", "create", "--url", &url, "--event", "key.created"]);
    shop.json(&["key", "create", "--user", "usr_a", "--id", "key_a"]);
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let message = received.recv_timeout(PATIENCE).unwrap();
        let (id, at) = (
            message.header("webhook-id"),
            message.header("webhook-timestamp"),
        );
        ids.insert(id.to_owned());
        assert!((now() - at.parse::<i64>().unwrap()).abs() < 120, "{at}");
        let secret = made["secret"]
            .as_str()
            .unwrap()
            .strip_prefix("whsec_")
            .unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
        let signed = format!("{id}.{at}.{}", message.body);
        let tag = ring::hmac::sign(&key, signed.as_bytes());
        assert_eq!(
            message.header("webhook-signature"),
            format!("v1,{}", STANDARD.encode(tag))
        );
        assert_eq!(message.header("content-type"), "application/json");
        assert!(message.body.contains("key_a"), "{}", message.body);
        // The next try is some seconds off.
        run_in(
            shop.folder.path(),
            "UPDATE webhook_messages SET next_at = 0 WHERE last_error IS NOT NULL",
        );
    }
    let log = std::fs::read_to_string(shop.folder.path().join("log")).unwrap();
    let id = made["id"].as_str().unwrap();
    assert!(log.contains("answered 500") && log.contains(id), "{log}");
    let secret = made["secret"].as_str().unwrap();
    for hidden in [MASTER, secret, &secret[6..]] {
        assert!(!log.contains(hidden), "{log}");
    }
    assert_eq!(
        ids.len(),
        1,
        "a message has one id, however often it is sent"
    );
}

#[test]
fn a_service_that_lacks_the_key_of_its_webhooks_says_so_and_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    for (more, told) in [
        (&[][..], "is not set"),
        (&[("MASTER", "too-short-a-key")], "32 characters or more"),
    ] {
        let named = [("KEYBOUND_WEBHOOK_KEY_ENV", "MASTER")];
        let environment = [&named[..], more].concat();
        let arguments = ["serve", "--listen", "127.0.0.1:0"];
        let output = run(folder.path(), &environment, &arguments);
        assert_eq!(output.status.code(), Some(2));
        let error = text(&output.stderr);
        assert!(
            error.contains("--webhook-key-env") && error.contains(told),
            "{error}"
        );
        assert!(!error.contains("too-short-a-key"), "{error}");
    }
}

#[test]
fn nothing_is_sent_to_an_address_that_not_everybody_can_reach() {
    let shop = Shop::open(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut ids = Vec::new();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("https://{host}:{port}/hook");
        let made = shop.json(&["webhook", "create", "--url", &url, "--event", "key.created"]);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    shop.json(&["key", "create", "--user", "usr_a", "--id", "key_a"]);
    // As if the tries before had failed.
    run_in(
        shop.folder.path(),
        "UPDATE webhook_messages SET attempts = 7, next_at = 0",
    );
    for id in ids {
        let end = std::time::Instant::now() + PATIENCE;
        let error = loop {
            let dead = shop.json(&["webhook", "dead", &id]);
            if let Some(error) = dead["items"][0]["last_error"].as_str() {
                break error.to_owned();
            }
            assert!(std::time::Instant::now() < end, "{dead}");
            run_in(
                shop.folder.path(),
                "UPDATE webhook_messages SET attempts = 7, next_at = 0 WHERE state = 'pending'",
            );
            std::thread::sleep(Duration::from_millis(200));
        };
        assert_eq!(error, "the host has no address that everybody can reach");
    }
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn there_are_no_more_webhooks_than_one_may_have_nor_than_all_may() {
    let service = furnished();
    for number in 0..20 {
        made(
            &service,
            &json!({"url": format!("https://hooks.example.com/{number}")}),
        );
    }
    create(&service, &json!({})).problem(409);
    let of_tenant = json!({"tenant_id": "ten_a"});
    let id = made(&service, &of_tenant);
    service.execute(
        "INSERT INTO webhooks (id, url, events, created_at) WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL \
         SELECT number + 1 FROM numbers WHERE number < 979) SELECT 'whk_' || number, 'https://hooks.example.com', ',', 0 \
         FROM numbers",
    );
    create(&service, &of_tenant).problem(409);
    service.delete(&format!("{PATH}/{id}")).expect(200);
    made(&service, &of_tenant);
}

#[test]
fn whoever_does_not_answer_keeps_no_others_waiting() {
    let service = furnished();
    let slow = made(&service, &json!({}));
    for number in 0..20 {
        service.make_key(&json!({"id": format!("key_{number}")}));
    }
    let other = made(&service, &json!({}));
    service.make_key(&json!({"id": "key_of_both"}));
    let part = due(&service);
    let of = |id: &String| part.iter().filter(|due| due.webhook_id == *id).count();
    assert_eq!([of(&slow), of(&other)], [4, 1]);
}

#[test]
fn no_more_messages_wait_for_a_webhook_than_may_and_no_write_fails_for_it() {
    let service = furnished();
    let full = made(&service, &json!({}));
    let other = made(&service, &json!({}));
    service.execute(&waiting(9999, 9_000_000_000));
    let told_to = || {
        service.make_key(&json!({}));
        let told = due(&service);
        let told: BTreeSet<String> = told.into_iter().map(|due| due.webhook_id).collect();
        told
    };
    assert_eq!(told_to(), BTreeSet::from([full, other.clone()]));
    assert_eq!(told_to(), BTreeSet::from([other]));
}

#[test]
fn what_nobody_takes_is_kept_for_thirty_days() {
    let service = furnished();
    let id = made(&service, &json!({}));
    service.make_key(&json!({}));
    let mut last = due(&service).remove(0);
    last.attempt = 8;
    let today = now();
    let failed = async || {
        service
            .store
            .message_failed(&last, "answered 500", today)
            .await
    };
    assert!(service.wait_for(failed).unwrap());
    let kept_at = |at: i64| {
        let look = async || service.store.tell_of_expiring_keys(at).await;
        service.wait_for(look).unwrap();
        let list = service.get(&format!("{PATH}/{id}/dead")).expect(200);
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(kept_at(today + 30 * DAY), 1);
    assert_eq!(kept_at(today + 31 * DAY), 0);
}
