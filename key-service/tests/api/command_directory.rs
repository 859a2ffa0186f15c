//! The commands for tokens that are bound, and for who users are and what keys are for.

use serde_json::{Value, json};

use crate::program::{Running, run, text};
use crate::support::assert_holds;

const ADMIN: &str = "admin-token-number-one";

struct Shop {
    folder: tempfile::TempDir,
    service: Running,
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = Running::start(folder.path(), &[("KEYBOUND_ADMIN_TOKEN", ADMIN)]);
        let shop = Self { folder, service };
        shop.out(&["tenant", "create", "--id", "ten_a"]);
        shop
    }

    fn run_as(&self, token: &str, arguments: &[&str]) -> std::process::Output {
        let environment = [
            ("KEYBOUND_TOKEN", token),
            ("KEYBOUND_SERVER", &self.service.url),
        ];
        run(self.folder.path(), &environment, arguments)
    }

    fn out(&self, arguments: &[&str]) -> String {
        let output = self.run_as(ADMIN, arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.out(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// What a command says that fails with this exit code.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run_as(ADMIN, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        text(&output.stderr)
    }
}

#[test]
fn users_and_keys_are_made_and_changed_with_what_there_is_to_say_of_them() {
    let shop = Shop::open();
    let who = [
        "--kind",
        "system",
        "--login",
        "batch@shop",
        "--external-id",
        "ext-1",
        "--display-name",
        "The batch",
        "--contact",
        "team-stock",
    ];
    let made = shop.json(
        &[
            &["user", "create", "--id", "usr_a", "--tenant", "ten_a"][..],
            &who,
        ]
        .concat(),
    );
    let fields = json!({"kind": "system", "login": "batch@shop", "external_id": "ext-1",
        "display_name": "The batch", "contact": "team-stock"});
    assert_holds(&made, &fields);
    let shown = shop.out(&["user", "show", "usr_a"]);
    assert!(
        shown.contains("batch@shop") && shown.contains("system"),
        "{shown}"
    );
    let cleared = [
        "user",
        "update",
        "usr_a",
        "--kind",
        "person",
        "--clear",
        "external-id",
        "--clear",
        "contact",
    ];
    let changed = shop.json(&cleared);
    assert_holds(
        &changed,
        &json!({"kind": "person", "external_id": null, "contact": null, "login": "batch@shop"}),
    );
    let what = [
        "--purpose",
        "Nightly",
        "--contact",
        "team-stock",
        "--rotate-every",
        "90d",
    ];
    let key = shop.json(
        &[
            &["key", "create", "--user", "usr_a", "--id", "key_a"][..],
            &what,
        ]
        .concat(),
    );
    assert_holds(
        &key,
        &json!({"purpose": "Nightly", "contact": "team-stock", "rotate_every": "90d"}),
    );
    let changed = shop.json(&["key", "update", "key_a", "--clear", "rotate-every"]);
    assert_eq!(changed["rotate_every"], Value::Null);
    for (kind, count) in [("person", 1), ("system", 0)] {
        for list in ["key", "user"] {
            let listed = shop.json(&[list, "list", "--kind", kind]);
            assert_eq!(
                listed["items"].as_array().unwrap().len(),
                count,
                "{list} {kind}"
            );
        }
    }
}

fn create<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["token", "create"][..], more].concat()
}

#[test]
fn tokens_are_bound_to_what_there_is_and_end() {
    let shop = Shop::open();
    shop.out(&["tenant", "create", "--id", "ten_b"]);
    shop.out(&["user", "create", "--id", "usr_a", "--tenant", "ten_a"]);
    for (wrong, why) in [
        (
            &["--role", "scim", "--name", "x"][..],
            "--tenant must be given",
        ),
        (
            &["--role", "developer", "--name", "x"],
            "--user must be given",
        ),
        (
            &[
                "--role",
                "developer",
                "--name",
                "x",
                "--user",
                "u",
                "--tenant",
                "t",
            ],
            "--tenant must be left out",
        ),
        (
            &["--role", "gateway", "--name", "x", "--tenant", "ten_a"],
            "--tenant must be left out",
        ),
        (
            &["--role", "admin", "--name", "x", "--user", "usr_a"],
            "developer alone",
        ),
        (&["--role", "admin", "--name", "scim:x"], "scim:"),
        (
            &["--role", "admin", "--name", "x", "--expires", "0s"],
            "longer than 0s",
        ),
    ] {
        let said = shop.fails(2, &create(wrong));
        assert!(said.contains(why), "{said}");
    }
    for (wrong, why) in [
        (
            &["--role", "scim", "--name", "x", "--tenant", "ten_x"][..],
            "there is no tenant of this id: see key-service tenant list",
        ),
        (
            &["--role", "developer", "--name", "x", "--user", "usr_x"],
            "there is no user of this id: see key-service user list",
        ),
    ] {
        let said = shop.fails(1, &create(wrong));
        assert!(said.contains(why), "{said}");
    }
    let of_a = shop.out(&create(&[
        "--role",
        "viewer",
        "--name",
        "of-a",
        "--tenant",
        "ten_a",
        "--expires",
        "30d",
    ]));
    let list = shop.run_as(of_a.trim(), &["tenant", "list", "--json"]);
    let list: Value = serde_json::from_str(&text(&list.stdout)).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["id"], "ten_a");
    let made = shop.json(&create(&[
        "--role",
        "developer",
        "--name",
        "ben",
        "--user",
        "usr_a",
    ]));
    assert_holds(
        &made,
        &json!({"role": "developer", "user_id": "usr_a", "tenant_id": null, "expires_at": null}),
    );
    let key = shop.run_as(
        made["token"].as_str().unwrap(),
        &["key", "create", "--user", "usr_a"],
    );
    assert!(key.status.success(), "{}", text(&key.stderr));
    let tokens = shop.json(&["token", "list"]);
    let of_a = tokens
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "of-a")
        .unwrap();
    assert_holds(of_a, &json!({"role": "viewer", "tenant_id": "ten_a"}));
    let span = of_a["expires_at"].as_i64().unwrap() - of_a["created_at"].as_i64().unwrap();
    assert_eq!(span, 30 * 86_400);
}

#[test]
fn requests_for_apis_are_made_listed_and_decided() {
    let shop = Shop::open();
    let user = ["user", "create", "--id", "usr_a", "--tenant", "ten_a"];
    shop.out(&[&user[..], &["--api", "stock"]].concat());
    let ask = |api: &str| {
        let request = ["approval", "request", "--user", "usr_a", "--api", api];
        let made = shop.json(&[&request[..], &["--reason", "for the report"]].concat());
        made["id"].as_str().unwrap().to_owned()
    };
    let (orders, billing) = (ask("orders"), ask("billing"));
    let list = shop.out(&["approval", "list", "--status", "pending"]);
    assert!(
        list.contains(&orders) && list.contains(&billing) && list.contains("pending"),
        "{list}"
    );
    assert!(
        list.lines().all(|line| line.chars().count() <= 80),
        "{list}"
    );
    let approved = shop.out(&["approval", "approve", &orders, "--reason", "as agreed"]);
    assert!(
        approved.contains("approved") && approved.contains("as agreed"),
        "{approved}"
    );
    shop.out(&["approval", "deny", &billing]);
    let again = shop.fails(1, &["approval", "approve", &billing]);
    assert!(again.contains("denied already"), "{again}");
    let user = shop.json(&["user", "show", "usr_a"]);
    assert_eq!(user["apis"], json!(["stock", "orders"]));
    let denied = shop.json(&[
        "approval", "list", "--status", "denied", "--user", "usr_a", "--api", "billing",
    ]);
    assert_eq!(denied["items"][0]["id"], billing.as_str());
}

#[test]
fn keys_that_were_found_are_reported_from_a_file_or_standard_input() {
    let shop = Shop::open();
    shop.out(&["user", "create", "--id", "usr_a", "--tenant", "ten_a"]);
    let make = |id: &str| {
        let key = shop.json(&["key", "create", "--user", "usr_a", "--id", id]);
        key["secret"].as_str().unwrap().to_owned()
    };
    let (first, second) = (make("key_1"), make("key_2"));
    let file = shop.folder.path().join("found");
    std::fs::write(&file, format!("{first}\n\n  a-key-of-nobody \n{second}\n")).unwrap();
    let report = ["leak", "report", "--key-file", "found"];
    let told = shop.out(&[&report[..], &["--found-at", "a ticket"]].concat());
    let rows: Vec<Vec<&str>> = told
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [
            ["1", "revoked", "key_1"],
            ["3", "unknown", "-"],
            ["4", "revoked", "key_2"]
        ]
    );
    assert!(!told.contains(&first), "{told}");
    let shown = shop.json(&["key", "show", "key_1"]);
    assert_eq!(shown["revoked_reason"], "leaked, found at a ticket");
    let again = shop.json(&report);
    assert_eq!(again["results"][0]["outcome"], "revoked_before");
    std::fs::write(&file, "\n").unwrap();
    assert!(shop.fails(2, &report).contains("holds no keys"));
    let missing = ["leak", "report", "--key-file", "nowhere"];
    assert!(shop.fails(2, &missing).contains("cannot read nowhere"));
}
