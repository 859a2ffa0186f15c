//! Several services on one database of PostgreSQL.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ::support::postgres::Server;
use serde_json::{Value, json};

use crate::engine::{self, Database, is_postgresql};
use crate::program::{Running, text};
use crate::support::{Service, digest};

/// Waits for what happens by itself a moment later.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Another session that has locked the sequence and does not end.
pub struct Held<'a> {
    server: &'a Server,
    database: &'a str,
    session: Child,
}

impl<'a> Held<'a> {
    pub fn take(server: &'a Server, database: &'a str) -> Self {
        let sql = "BEGIN; SELECT value FROM sequence FOR UPDATE; SELECT pg_sleep(600)";
        let session = server
            .client("psql", database)
            .args(["--command", sql])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let held = Self {
            server,
            database,
            session,
        };
        until("it is held", || {
            held.sessions("wait_event = 'PgSleep'") == 1
        });
        held
    }

    /// How many sessions on the database are in this state.
    pub fn sessions(&self, state: &str) -> usize {
        let name = self.database;
        let sql =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND {state}");
        self.server.ask("postgres", &sql).unwrap().parse().unwrap()
    }

    pub fn release(mut self) {
        let name = self.database;
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'PgSleep'"
        );
        self.server.ask("postgres", &sql).unwrap();
        self.session.wait().unwrap();
    }
}

fn metric(service: &Service, name: &str) -> u64 {
    let text = service.send("GET", "/metrics", None, None).text;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
        .parse()
        .unwrap()
}

fn heard(service: &Service, by: &str) -> u64 {
    metric(
        service,
        &format!("keybound_service_wakeups_total{{by=\"{by}\"}}"),
    )
}

fn listens(service: &Service) -> bool {
    let ready = service.send("GET", "/readyz", None, None).expect(200);
    assert_eq!(ready["database"], "postgresql");
    ready["listening"] == true
}

fn sequences(page: &Value) -> impl Iterator<Item = i64> {
    let changes = page["changes"].as_array().unwrap().clone();
    changes
        .into_iter()
        .map(|change| change["seq"].as_i64().unwrap())
}

#[test]
fn followers_of_two_services_find_each_number_once_while_eight_write() {
    if !is_postgresql() {
        return;
    }
    const WRITERS: usize = 8;
    const WRITES: usize = 40;
    let first = Service::furnished();
    let second = first.replica();
    let follow = |service: &Service| {
        let (mut seen, mut cursor) = (Vec::new(), 2);
        while seen.len() < WRITERS * WRITES {
            let page = service.changes(&format!("?after={cursor}&wait=20&limit=7"));
            assert_eq!(page["reset"], false);
            let before = seen.len();
            seen.extend(sequences(&page));
            // Nobody writes any more: what was not seen is lost.
            if seen.len() == before {
                break;
            }
            cursor = page["cursor"].as_i64().unwrap();
        }
        seen
    };
    let (mut given, seen) = std::thread::scope(|scope| {
        let services = [&first, &second];
        let followers = services.map(|service| scope.spawn(move || follow(service)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                scope.spawn(move || {
                    let service = services[number % 2];
                    let write = |_| {
                        let made = service.post("/admin/v1/tenants", &json!({})).expect(201);
                        made["version"].as_i64().unwrap()
                    };
                    (0..WRITES).map(write).collect::<Vec<_>>()
                })
            })
            .collect();
        let given: Vec<i64> = writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect();
        (given, followers.map(|follower| follower.join().unwrap()))
    });
    given.sort_unstable();
    let every: Vec<i64> = (3..3 + (WRITERS * WRITES) as i64).collect();
    assert_eq!(given, every, "no number is given twice or left out");
    for seen in seen {
        assert_eq!(seen, every, "each number once, in order");
    }
    let chain = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async { format!("{:?}", first.store.verify_audit().await.unwrap()) });
    assert!(chain.starts_with("Whole"), "{chain}");
}

#[test]
fn a_write_on_one_service_wakes_the_followers_of_the_other() {
    if !is_postgresql() {
        return;
    }
    let first = Service::furnished();
    let second = first.replica();
    until("the second listens", || listens(&second));
    let before = heard(&second, "notify");
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| second.changes("?after=2&wait=60"));
        until("it waits", || {
            metric(&second, "keybound_service_followers") == 1
        });
        first
            .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
            .expect(201);
        assert_eq!(follower.join().unwrap()["changes"][0]["id"], "ten_b");
    });
    // The followers are woken before it is counted.
    until("it is counted", || {
        heard(&second, "notify") + heard(&second, "poll") > before
    });
    // Told of many more, nearly all by the database itself.
    for _ in 0..20 {
        let version = first.post("/admin/v1/tenants", &json!({})).expect(201)["version"]
            .as_i64()
            .unwrap();
        let page = second.changes(&format!("?after={}&wait=60", version - 1));
        assert_eq!(sequences(&page).collect::<Vec<_>>(), [version]);
    }
    assert!(heard(&second, "notify") > before);
}

#[test]
fn where_nobody_tells_of_writes_asking_now_and_then_finds_them() {
    if !is_postgresql() {
        return;
    }
    let (first, server) = (Service::furnished(), engine::server().unwrap());
    let second = first.replica();
    until("both listen", || listens(&first) && listens(&second));
    let name = &first.database().name;
    let deafen = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'LISTEN%'"
    );
    let ended: i64 = server.ask("postgres", &deafen).unwrap().parse().unwrap();
    assert_eq!(ended, 2);
    until("it is noticed", || !listens(&second));
    until("the poll finds a write", || {
        server.ask("postgres", &deafen).unwrap();
        let version = first.post("/admin/v1/tenants", &json!({})).expect(201)["version"]
            .as_i64()
            .unwrap();
        let page = second.changes(&format!("?after={}&wait=60", version - 1));
        assert_eq!(sequences(&page).collect::<Vec<_>>(), [version]);
        heard(&second, "poll") > 0
    });
    until("both listen again", || listens(&first) && listens(&second));
}

#[test]
fn reports_of_the_same_keys_on_two_services_do_not_wait_for_each_other_in_a_circle() {
    if !is_postgresql() {
        return;
    }
    const KEYS: usize = 300;
    const REPORTS: usize = 30;
    let first = Service::furnished();
    for number in 0..KEYS {
        first.make_key(&json!({"id": format!("key_{number}")}));
    }
    let second = first.replica();
    until("the second knows of them", || {
        second.store.sequence() > KEYS as i64
    });
    let at = key_service::domain::time::now();
    std::thread::scope(|scope| {
        for reporter in 0..4_usize {
            let service = [&first, &second][reporter % 2];
            scope.spawn(move || {
                for batch in 0..REPORTS {
                    // On one service in the order of their ids, on the other against it.
                    let keys: Vec<Value> = (0..KEYS)
                        .map(|number| if reporter % 2 == 0 { number } else { KEYS - 1 - number })
                        .map(|number| json!({"id": format!("key_{number}"), "allowed": 1, "rejected": 0, "last_at": at}))
                        .collect();
                    let body = json!({
                        "reporter": format!("vm-{reporter}"), "batch": batch, "from": at - 10, "to": at, "keys": keys,
                    })
                    .to_string();
                    let answer = service.send("POST", "/v1/usage", Some(&service.gateway), Some(body.as_bytes()));
                    assert_eq!(answer.status, 204, "{}", answer.text);
                }
            });
        }
    });
    let name = &first.database().name;
    let sql = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{name}'");
    let deadlocks = engine::server().unwrap().ask("postgres", &sql).unwrap();
    assert_eq!(deadlocks, "0");
    let used = first.get("/admin/v1/users/usr_a").expect(200);
    assert_eq!(used["usage"][0]["allowed"], (4 * REPORTS * KEYS) as i64);
}

#[test]
fn services_that_start_at_once_make_the_tables_and_the_first_token_once() {
    if !is_postgresql() {
        return;
    }
    let server = engine::server().unwrap();
    server.create("together").unwrap();
    let start = |url: &str| {
        let folder = tempfile::tempdir().unwrap();
        let service = Running::start(folder.path(), &[("KEYBOUND_DATABASE", url)]);
        service.first_lines.clone()
    };
    let told_once = |lines: Vec<String>| {
        let told = lines.iter().filter(|lines| lines.contains("kbt_admin_"));
        assert_eq!(told.count(), 1, "{lines:?}");
    };
    let url = server.url("together");
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(|| start(&url))).collect();
        told_once(
            started
                .into_iter()
                .map(|lines| lines.join().unwrap())
                .collect(),
        );
    });
    // Each has looked for a token, and found none, before one of them makes it.
    let ready = Database::new();
    let url = ready.url();
    let held = Held::take(server, &ready.name);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..2).map(|_| scope.spawn(|| start(&url))).collect();
        until("both wait to write", || {
            held.sessions("wait_event_type = 'Lock'") == 2
        });
        held.release();
        told_once(
            started
                .into_iter()
                .map(|lines| lines.join().unwrap())
                .collect(),
        );
    });
    server.remove("together").unwrap();
}

const ADMIN: &str = "admin-token-number-one";

/// Makes a tenant, and says whether that was acknowledged.
fn make(url: &str, id: &str) -> bool {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into();
    let request = agent
        .post(format!("{url}/admin/v1/tenants"))
        .header("authorization", format!("Bearer {ADMIN}"));
    matches!(request.send_json(json!({"id": id})), Ok(answer) if answer.status() == 201)
}

#[test]
fn what_a_service_acknowledged_outlives_its_end_in_the_middle_of_a_write() {
    if !is_postgresql() {
        return;
    }
    let database = Database::new();
    let url = database.url();
    let environment = [
        ("KEYBOUND_DATABASE", url.as_str()),
        ("KEYBOUND_ADMIN_TOKEN", ADMIN),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..5 {
        let service = Running::start(folder.path(), &environment);
        let address = service.url.clone();
        let (sender, made) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (sender, address) = (sender.clone(), &address);
                scope.spawn(move || {
                    for number in 0.. {
                        let id = format!("ten_{round}_{writer}_{number}");
                        if !make(address, &id) {
                            return;
                        }
                        sender.send(id).unwrap();
                    }
                });
            }
            drop(sender);
            // In the middle of it, each time at another moment.
            let enough = 5 + 7 * round;
            let early: Vec<String> = made.iter().take(enough).collect();
            let kill = std::process::Command::new("kill")
                .args(["-KILL", &service.id().to_string()])
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(kill.success());
            acknowledged.extend(early);
            acknowledged.extend(made.iter());
        });
    }
    let sql = "SELECT id FROM tenants";
    let kept = engine::server().unwrap().ask(&database.name, sql).unwrap();
    let kept: BTreeSet<&str> = kept.lines().collect();
    for id in &acknowledged {
        assert!(kept.contains(id.as_str()), "{id} was acknowledged");
    }
    assert!(acknowledged.len() >= 95);
    // No number was left out by those that were cut off.
    let sql = "SELECT value, (SELECT count(*) FROM tenants) FROM sequence";
    let numbers = engine::server().unwrap().ask(&database.name, sql).unwrap();
    assert_eq!(numbers, format!("{0}|{0}", kept.len()));
}

#[test]
fn everything_of_a_file_is_copied_and_gateways_start_over() {
    if !is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let database = Database::new();
    let run = |arguments: &[&str]| {
        let output = crate::program::run(folder, &[("KEYBOUND_DATABASE", "old.db")], arguments);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    assert_eq!(run(&["demo"]).0, Some(0));
    assert_eq!(
        run(&["token", "create", "--role", "viewer", "--name", "one"]).0,
        Some(0)
    );
    let url = database.url();
    let migrate = ["migrate-store", "--from", "old.db", "--to", &url];

    let running = Running::start(
        folder,
        &[
            ("KEYBOUND_DATABASE", "old.db"),
            ("KEYBOUND_ADMIN_TOKEN", ADMIN),
        ],
    );
    let (code, _, error) = run(&migrate);
    assert_eq!(code, Some(1));
    assert!(error.contains("stop the key service first"), "{error}");
    assert!(make(&running.url, "ten_last"));
    let listed = |of: &Running| {
        let agent: ureq::Agent = ureq::Agent::new_with_defaults();
        ["tenants", "users", "keys", "audit"].map(|what| {
            let request = agent
                .get(format!("{}/admin/v1/{what}?limit=500", of.url))
                .header("authorization", format!("Bearer {ADMIN}"));
            request
                .call()
                .unwrap()
                .body_mut()
                .read_json::<Value>()
                .unwrap()["items"]
                .clone()
        })
    };
    let before = listed(&running);
    running.stop();

    let (code, output, error) = run(&migrate);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        output.contains("keys: ") && output.contains("numbers go on from"),
        "{output}"
    );
    let (code, _, error) = run(&migrate);
    assert_eq!(code, Some(1));
    assert!(error.contains("not empty"), "{error}");
    let (code, _, error) = run(&["migrate-store", "--from", "none.db", "--to", &url]);
    assert_eq!(
        (code, error.contains("check --from")),
        (Some(1), true),
        "{error}"
    );
    assert_eq!(
        run(&["migrate-store", "--from", "old.db", "--to", "new.db"]).0,
        Some(2)
    );

    let moved = Running::start(
        folder,
        &[("KEYBOUND_DATABASE", &url), ("KEYBOUND_ADMIN_TOKEN", ADMIN)],
    );
    let after = listed(&moved);
    assert_eq!(before[..3], after[..3]);
    let (old, new) = (before[3].as_array().unwrap(), after[3].as_array().unwrap());
    assert_eq!(new[0]["action"], "restore", "the move is an entry");
    assert_eq!(new[1..], old[..]);
    assert!(make(&moved.url, "ten_new"));
    let server = engine::server().unwrap();
    let number = server
        .ask(
            &database.name,
            "SELECT version FROM tenants WHERE id = 'ten_new'",
        )
        .unwrap();
    assert!(number.parse::<i64>().unwrap() > 1_000_000_000, "{number}");
    moved.stop();
    let output = crate::program::run(folder, &[("KEYBOUND_DATABASE", &url)], &["audit", "verify"]);
    assert!(
        text(&output.stdout).contains("all as they were written"),
        "{}",
        text(&output.stderr)
    );
    let tokens = crate::program::run(folder, &[("KEYBOUND_DATABASE", &url)], &["token", "list"]);
    assert!(text(&tokens.stdout).contains("one"));
}

#[test]
fn backup_and_restore_name_the_tools_of_postgresql() {
    if !is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (arguments, tool) in [
        (["backup", "saved"], "pg_dump"),
        (["restore", "saved"], "pg_restore"),
    ] {
        let output = crate::program::run(folder.path(), &[], &arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(tool),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn an_import_takes_the_same_lines_and_its_keys_are_found() {
    if !is_postgresql() {
        return;
    }
    let (first, lines) = (Service::furnished(), 500);
    let second = first.replica();
    let text: String = (0..lines)
        .map(|number| {
            json!({"key": format!("key-of-some-length-{number}"), "user_id": "usr_a"}).to_string()
                + "\n"
        })
        .collect();
    let report = first.import(&text).expect(200);
    assert_eq!(report["imported"], lines);
    let found = second.resolve(&[&digest(&json!("key-of-some-length-499"))]);
    assert_eq!(found["results"][0]["user"]["id"], "usr_a");
    assert_eq!(found["results"][0]["key"]["tenant_id"], "ten_a");
}

#[test]
fn the_tables_have_the_columns_that_are_written() {
    if !is_postgresql() {
        return;
    }
    let database = Database::new();
    let server = engine::server().unwrap();
    let ask = |sql: &str| server.ask(&database.name, sql).unwrap();
    let versioned = ask(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'version' \
         AND table_name <> '_sqlx_migrations' ORDER BY table_name",
    );
    let mut known: Vec<_> = key_service::store::stored::tables()
        .into_iter()
        .map(|table| {
            let sql = format!(
                "SELECT column_name FROM information_schema.columns WHERE table_name = '{}' AND column_name <> 'place' \
                 ORDER BY ordinal_position",
                table.name
            );
            assert_eq!(ask(&sql).lines().collect::<Vec<_>>(), table.columns);
            table.name
        })
        .collect();
    known.sort_unstable();
    assert_eq!(versioned.lines().collect::<Vec<_>>(), known);
    // What is ordered by its bytes in the program is so in the database.
    let ordered = ask(
        "SELECT count(*) FROM pg_index, unnest(indkey) WITH ORDINALITY AS part (at, number), pg_attribute, pg_class \
         WHERE pg_class.oid = indrelid AND relnamespace = 'public'::regnamespace AND attrelid = indrelid \
         AND attnum = part.at AND atttypid = 'text'::regtype AND attcollation <> '\"C\"'::regcollation",
    );
    assert_eq!(ordered, "0");
}
