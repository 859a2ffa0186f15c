//! docs/protocol.md, "The answer to the client": each verdict at each level of detail over HTTP, as
//! HEAD and over gRPC.

use crate::situations::{self, Class, Situation};
use keybound::verdict::Reason;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::http2;
use support::scripted::{Answer, Latch};
use support::wait;

/// What the client is told of a verdict.
struct Told {
    status: u16,
    code: &'static str,
    /// None where docs/protocol.md leaves the title open.
    title: Option<&'static str>,
    /// Whether the challenge of a bearer location says that the credential is wrong.
    invalid_token: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Precise,
    Class,
    Opaque,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Precise => "precise",
            Self::Class => "class",
            Self::Opaque => "opaque",
        }
    }

    /// Another base at one of the levels, which also shows `type_base`.
    const fn type_base(self) -> Option<&'static str> {
        match self {
            Self::Class => Some("https://errors.example/keys#"),
            _ => None,
        }
    }

    fn told(self, situation: &Situation) -> Told {
        let precise = situation.code;
        let class = situation.class();
        let by_class = [
            (401, "invalid_credential", "Invalid API key"),
            (403, "invalid_user", "Invalid user associated with this key"),
            (403, "not_permitted", "Not permitted for this key"),
            (503, "unavailable", "Key verification unavailable"),
            (500, "policy_unknown", ""),
        ];
        let (status, code, title) = by_class[class as usize];
        let title = (!title.is_empty()).then_some(title);
        let invalid_token = precise != "key_missing";
        match self {
            Self::Precise => Told {
                status,
                code: precise,
                title: match precise {
                    "key_missing" => Some("API key missing"),
                    _ => title,
                },
                invalid_token,
            },
            Self::Class => Told {
                status,
                code,
                title,
                invalid_token,
            },
            Self::Opaque => {
                let (status, code) = match class {
                    Class::Credential | Class::User => (401, "unauthorized"),
                    Class::Permission => (403, "forbidden"),
                    Class::Unavailable | Class::Configuration => (status, code),
                };
                Told {
                    status,
                    code,
                    title: None,
                    invalid_token: false,
                }
            }
        }
    }
}

/// What is wrong with answers. Every row is looked at before the test fails.
#[derive(Default)]
struct Wrong(BTreeMap<String, Vec<String>>);

impl Wrong {
    fn expect<T: PartialEq + std::fmt::Debug>(
        &mut self,
        row: &str,
        what: &str,
        seen: T,
        wanted: T,
    ) {
        if seen != wanted {
            self.0
                .entry(row.to_owned())
                .or_default()
                .push(format!("{what} is {seen:?}, not {wanted:?}"));
        }
    }

    fn headers(&mut self, row: &str, answer: &Response, told: &Told) {
        let bearer = if told.invalid_token {
            r#"Bearer realm="api", error="invalid_token""#
        } else {
            r#"Bearer realm="api""#
        };
        let challenges = match told.status {
            401 => vec![r#"ApiKey realm="api""#, bearer],
            _ => Vec::new(),
        };
        self.expect(row, "status", answer.status, told.status);
        for (name, wanted) in [
            ("x-keybound-code", Some(told.code)),
            ("content-type", Some("application/problem+json")),
            ("cache-control", Some("no-store")),
            ("retry-after", (told.status == 503).then_some("7")),
        ] {
            self.expect(row, name, answer.header(name), wanted);
        }
        let seen = answer.header_values("www-authenticate");
        self.expect(row, "www-authenticate", seen, challenges);
    }

    fn problem(&mut self, row: &str, answer: &Response, told: &Told, level: Level) {
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let base = level.type_base().unwrap_or("urn:keybound:problem:");
        for (field, wanted) in [
            ("type", json!(format!("{base}{}", told.code))),
            ("status", json!(told.status)),
            ("code", json!(told.code)),
        ] {
            self.expect(row, field, &problem[field], &wanted);
        }
        match told.title {
            Some(title) => self.expect(row, "title", &problem["title"], &json!(title)),
            None => self.expect(row, "a title", problem["title"].is_string(), true),
        }
        let long = |field: &str| problem[field].as_str().unwrap_or_default().len() > 20;
        self.expect(row, "a detail", long("detail"), true);
        self.expect(row, "a request id", long("request_id"), true);
    }

    fn grpc(&mut self, row: &str, answer: &http2::Response, told: &Told) {
        let header = |name: &str| {
            answer
                .trailers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default().to_owned())
        };
        let status = match told.status {
            401 => "16",
            403 => "7",
            503 => "14",
            _ => "13",
        };
        self.expect(row, "status", answer.status, 200);
        self.expect(row, "the body's length", answer.body.len(), 0);
        for (name, wanted) in [
            ("grpc-status", status),
            ("x-keybound-code", told.code),
            ("content-type", "application/grpc"),
            ("cache-control", "no-store"),
        ] {
            self.expect(row, name, header(name), Some(wanted.to_owned()));
        }
        let message = header("grpc-message").unwrap_or_default();
        match told.title {
            Some(title) => self.expect(row, "grpc-message", message.as_str(), title),
            None => self.expect(row, "a grpc-message", message.is_empty(), false),
        }
    }
}

/// Everything in an answer but its date and request id, in order.
fn bytes_of(answer: &Response) -> String {
    let mut text = format!("{}\n", answer.status);
    for (name, value) in &answer.headers {
        if name != "date" {
            text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value)));
        }
    }
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let id = problem["request_id"].as_str().unwrap_or("no request id");
    text.push_str(&answer.text().replace(id, "ID"));
    text
}

fn grpc_bytes_of(answer: &http2::Response) -> String {
    let mut headers = answer.trailers.clone();
    headers.remove("date");
    format!("{} {headers:?} {:?}", answer.status, answer.body)
}

/// A gateway at one level, and what all its answers so far were.
struct Table {
    gateway: Gateway,
    level: Level,
    wrong: Wrong,
    /// The different answers of a class, by how they were asked for.
    answers: BTreeMap<(Class, &'static str), BTreeMap<String, Vec<&'static str>>>,
}

impl Table {
    async fn ask(&mut self, situation: &Situation) {
        let told = self.level.told(situation);
        let with_credentials = |mut request: Request| {
            for credential in &situation.credentials {
                request = request.header("x-api-key", credential);
            }
            request
        };
        let row = |how: &str| format!("{} {} {how}", self.level.name(), situation.code);

        let answer = self
            .gateway
            .send(&with_credentials(Request::get(&situation.path)))
            .await;
        self.wrong.headers(&row("HTTP"), &answer, &told);
        self.wrong.problem(&row("HTTP"), &answer, &told, self.level);
        self.note(situation, "HTTP", bytes_of(&answer));

        // On a connection that goes on: a body that should not be there would be the next answer.
        let mut connection = support::client::Connection::open(self.gateway.port())
            .await
            .unwrap();
        for _ in 0..2 {
            let row = format!("{} {} HEAD", self.level.name(), situation.code);
            match connection
                .send(&with_credentials(Request::head(&situation.path)))
                .await
            {
                Ok(answer) => {
                    self.wrong.headers(&row, &answer, &told);
                    self.note(situation, "HEAD", bytes_of(&answer));
                }
                Err(error) => self
                    .wrong
                    .expect(&row, "", error.to_string(), String::new()),
            }
        }

        let connection = http2::Connection::open(self.gateway.port()).await.unwrap();
        let credentials: Vec<(&str, &[u8])> = situation
            .credentials
            .iter()
            .map(|credential| ("x-api-key", credential.as_bytes()))
            .collect();
        let answer = connection
            .grpc(&situation.path, &credentials)
            .await
            .unwrap();
        let row = format!("{} {} gRPC", self.level.name(), situation.code);
        self.wrong.grpc(&row, &answer, &told);
        self.note(situation, "gRPC", grpc_bytes_of(&answer));
    }

    fn note(&mut self, situation: &Situation, how: &'static str, answer: String) {
        let class = match situation.class() {
            // One class to the client.
            Class::User => Class::Credential,
            class => class,
        };
        self.answers
            .entry((class, how))
            .or_default()
            .entry(answer)
            .or_default()
            .push(situation.code);
    }
}

async fn table(level: Level) {
    let mut rejection = json!({"detail": level.name(), "retry_after": "7s"});
    if let Some(base) = level.type_base() {
        rejection["type_base"] = json!(base);
    }
    let gateway = Gateway::scripted()
        // One worker, so that a single waiting request fills what it may hold.
        .workers(1)
        .settings(situations::settings())
        .settings(json!({
            "rejection": rejection,
            "credentials": [{"header": "x-api-key"}, {"bearer": "authorization"}],
            "limits": {"waiting_requests": 1},
            "key_service": {"timeout": "20s"},
        }))
        .configure(situations::route_of_a_typing_error)
        .start()
        .await;
    let known = situations::all(&gateway);
    let mut table = Table {
        gateway,
        level,
        wrong: Wrong::default(),
        answers: BTreeMap::new(),
    };
    for situation in &known {
        table.ask(situation).await;
    }
    let of_a_stranger = |table: &Table, code| situations::sent(code, &[&table.gateway.stranger()]);

    let latch = Latch::default();
    let held = Answer::Held(latch.clone(), Box::new(Answer::Records));
    table.gateway.service.answers(held);
    let waiting = table.gateway.stranger();
    let request = Request::get("/any").header("x-api-key", &waiting);
    let port = table.gateway.port();
    let client = tokio::spawn(async move { request.send(port).await });
    wait::until("one request to wait", async || {
        match table.gateway.service.asked_for(&waiting) {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
    let overloaded = of_a_stranger(&table, "overloaded");
    table.ask(&overloaded).await;
    latch.open();
    client.await.unwrap().unwrap();

    table.gateway.service.answers(Answer::marked(500, "{}"));
    let unavailable = of_a_stranger(&table, "key_service_unavailable");
    table.ask(&unavailable).await;

    let Table {
        gateway,
        wrong,
        answers,
        ..
    } = table;
    assert!(wrong.0.is_empty(), "{:#?}", wrong.0);
    assert_eq!(known.len() + 2, Reason::ALL.len());
    assert!(
        gateway.upstream.arrived().is_empty(),
        "a refused request reached the upstream"
    );
    if level == Level::Opaque {
        for ((class, how), different) in answers {
            assert_eq!(different.len(), 1, "{class:?} over {how}: {different:#?}");
        }
    }
    // Whatever the client is told, the operator is told precisely.
    for situation in &known {
        // The stranger that waited was refused in the end as well.
        let waited = u64::from(situation.code == "key_unknown");
        gateway
            .counted(&format!("rejected.{}", situation.code), 4 + waited)
            .await;
    }
    gateway.counted("rejected.overloaded", 4).await;
    gateway.counted("rejected.key_service_unavailable", 4).await;
    gateway
        .log_says(r#"there is no policy "oders"; its requests are refused"#)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn precise() {
    table(Level::Precise).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_class() {
    table(Level::Class).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opaque_and_the_same_bytes_for_all_of_a_class() {
    table(Level::Opaque).await;
}
