//! What commands show of lists, and how they are asked for.

use serde_json::{Value, json};

use crate::engine::is_postgresql;
use crate::program::{Running, run, text};

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
        shop.out(&["tenant", "create", "--id", "ten_a", "--name", "The shop"]);
        shop.out(&["user", "create", "--id", "usr_a", "--tenant", "ten_a"]);
        shop
    }

    fn run(&self, arguments: &[&str]) -> std::process::Output {
        let environment = [
            ("KEYBOUND_TOKEN", ADMIN),
            ("KEYBOUND_SERVER", &self.service.url),
        ];
        run(self.folder.path(), &environment, arguments)
    }

    fn out(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
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

    fn key(&self, id: &str, more: &[&str]) {
        self.out(&[&["key", "create", "--user", "usr_a", "--id", id], more].concat());
    }
}

fn row<'a>(table: &'a str, id: &str) -> &'a str {
    let mut rows = table.lines();
    rows.find(|line| line.starts_with(id))
        .unwrap_or_else(|| panic!("no {id} in {table}"))
}

#[test]
fn a_list_of_keys_says_which_work_and_why_others_do_not() {
    let shop = Shop::open();
    shop.out(&["user", "create", "--id", "usr_b", "--tenant", "ten_a"]);
    shop.key("k_good", &[]);
    shop.key("k_ends", &["--expires", "2999-01-30"]);
    shop.key("k_later", &["--not-before", "2999-01-01"]);
    shop.key("k_off", &[]);
    shop.key("k_gone", &[]);
    shop.out(&["key", "create", "--user", "usr_b", "--id", "k_of_b"]);
    shop.out(&["key", "disable", "k_off", "--force"]);
    shop.out(&["key", "revoke", "k_gone"]);
    shop.out(&["user", "delete", "usr_b", "--force"]);
    let lines = json!({"key": "an-old-key-that-expired", "id": "k_old", "user_id": "usr_a", "expires_at": 5});
    std::fs::write(shop.folder.path().join("old"), lines.to_string()).unwrap();
    shop.out(&["key", "import", "old", "--allow-expired"]);

    for more in [&[][..], &["--wide"]] {
        let table = shop.out(&[&["key", "list"], more].concat());
        for (id, works) in [
            ("k_good", "yes"),
            ("k_ends", "yes, until 2999-01-30"),
            ("k_later", "no, key_not_yet_valid"),
            ("k_off", "no, key_disabled"),
            ("k_gone", "no, key_revoked"),
            ("k_of_b", "no, user_deleted"),
            ("k_old", "no, key_expired"),
        ] {
            assert!(row(&table, id).contains(works), "{id}: {table}");
        }
    }
    let shown = shop.out(&["key", "show", "k_of_b"]);
    assert!(row(&shown, "WORKS").contains("no, user_deleted"), "{shown}");
    let list = shop.json(&["key", "list", "--search", "k_of_b"]);
    assert_eq!(list["items"][0]["verdict"], "user_deleted");
    shop.out(&["tenant", "suspend", "ten_a", "--force"]);
    let table = shop.out(&["key", "list"]);
    assert!(
        row(&table, "k_good").contains("no, tenant_suspended"),
        "{table}"
    );
}

#[test]
fn tables_fit_80_columns_unless_wide_is_asked_for() {
    let shop = Shop::open();
    let name = "A user with a name that is far too long for a row of a table on a terminal";
    shop.out(&["user", "create", "--tenant", "ten_a", "--name", name]);
    let users = shop.json(&["user", "list", "--search", "far too long"]);
    let user = users["items"][0]["id"].as_str().unwrap();
    let create = [
        "key",
        "create",
        "--user",
        user,
        "--environment",
        "live",
        "--name",
        name,
    ];
    shop.out(&create);
    shop.out(
        &[
            &create[..],
            &["--expires", "2999-01-01", "--scope", "orders:read"],
        ]
        .concat(),
    );
    shop.out(&["user", "deactivate", user, "--force"]);
    for list in ["key", "user", "tenant"] {
        let narrow = shop.out(&[list, "list"]);
        for line in narrow.lines() {
            assert!(line.chars().count() <= 80, "{list}: {line}");
        }
        assert!(!narrow.contains(name), "{narrow}");
        let wide = shop.out(&[list, "list", "--wide"]);
        assert!(list == "tenant" || wide.contains(name), "{wide}");
    }
}

#[test]
fn lists_are_searched_by_what_people_know_of_an_entry() {
    let shop = Shop::open();
    let secret = shop.json(&[
        "key",
        "create",
        "--user",
        "usr_a",
        "--id",
        "k1",
        "--environment",
        "live",
    ]);
    shop.key("k2", &["--name", "Nightly 100%_run"]);
    let secret = secret["secret"].as_str().unwrap();
    let end = &secret[secret.len() - 4..];
    let found = |text: &str| {
        let list = shop.json(&["key", "list", "--search", text]);
        let ids = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(found(end), ["k1"]);
    assert_eq!(found(&format!("kb_live_...{end}")), ["k1"]);
    assert_eq!(found("NIGHTLY"), ["k2"]);
    assert_eq!(
        found("100%_"),
        ["k2"],
        "letters with a meaning in SQL have none here"
    );
    assert_eq!(found("%"), ["k2"]);
    assert_eq!(found("usr_a"), ["k1", "k2"]);
    assert!(found("usrXa").is_empty());
    let tenants = shop.json(&["tenant", "list", "--search", "shop"]);
    assert_eq!(tenants["items"][0]["id"], "ten_a");
    let refused = shop.run(&["key", "list", "--search", secret]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!text(&refused.stderr).contains(secret));
    assert!(text(&refused.stderr).contains("never by the key itself"));
}

#[test]
fn all_pages_come_where_all_is_asked_for() {
    let shop = Shop::open();
    let lines: String = (0..620)
        .map(|number| {
            format!(
                "{}\n",
                json!({"key": format!("an-old-key-{number:06}"), "user_id": "usr_a"})
            )
        })
        .collect();
    std::fs::write(shop.folder.path().join("keys"), lines).unwrap();
    shop.out(&["key", "import", "keys"]);
    let first = shop.run(&["key", "list"]);
    assert_eq!(text(&first.stdout).lines().count(), 101);
    assert!(
        text(&first.stderr).contains("add --all"),
        "{}",
        text(&first.stderr)
    );
    let all = shop.run(&["key", "list", "--all"]);
    assert_eq!(text(&all.stdout).lines().count(), 621);
    assert!(!text(&all.stderr).contains("There are more"));
    let all = shop.json(&["key", "list", "--all"]);
    assert_eq!(all["items"].as_array().unwrap().len(), 620);
    assert!(all["next_page_token"].is_null());
}

#[test]
fn the_audit_log_says_what_changed_and_who_did_it_when() {
    let shop = Shop::open();
    shop.key(
        "k1",
        &[
            "--scope",
            "orders:read",
            "--expires",
            "2999-01-30",
            "--network",
            "10.0.0.0/8",
        ],
    );
    shop.out(&[
        "key",
        "update",
        "k1",
        "--scope",
        "orders:*",
        "--scope",
        "stock:read",
        "--clear",
        "networks",
    ]);
    shop.out(&[
        "key",
        "update",
        "k1",
        "--clear",
        "expires-at",
        "--hours",
        "mon-fri 09:00-17:00",
    ]);
    let log = shop.out(&["audit", "list", "--entity", "k1"]);
    for part in [
        "scopes: orders:read -> orders:* stock:read",
        "networks: 10.0.0.0/8 -> -",
        "expires_at: 2999-01-31T00:00:00Z -> -",
        "hours: - -> mon,tue,wed,thu,fri 09:00-17:00 UTC",
        "admin-from-environment  update   key       k1",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert!(!log.contains("version"), "{log}");
    assert_eq!(log.matches("  k1\n").count(), 3, "{log}");

    let count = |more: &[&str]| {
        let list = shop.json(&[&["audit", "list"], more].concat());
        list["items"].as_array().unwrap().len()
    };
    let all = count(&[]);
    assert!(all >= 5);
    let actor = "admin-from-environment";
    assert_eq!(
        count(&["--actor", actor]) + count(&["--actor", "environment"]),
        all
    );
    assert_eq!(count(&["--actor", "nobody"]), 0);
    assert_eq!(count(&["--since", "1h"]), all);
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(
        count(&["--since", "2000-01-01", "--until", "2998-12-31"]),
        all
    );
    assert_eq!(count(&["--since", "2998-12-31"]), 0);
    let wrong = shop.run(&["audit", "list", "--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));
    let wide = shop.out(&["audit", "list", "--id", "k1", "--wide"]);
    assert!(
        wide.contains("networks: 10.0.0.0/8 -> -; scopes:"),
        "{wide}"
    );
}

#[test]
fn json_has_its_times_in_both_forms_wherever_the_option_stands() {
    let shop = Shop::open();
    shop.key("k1", &["--expires", "2999-01-30"]);
    let before = shop.out(&["--json", "key", "show", "k1"]);
    assert_eq!(before, shop.out(&["key", "--json", "show", "k1"]));
    assert_eq!(before, shop.out(&["key", "show", "k1", "--json"]));
    let key: Value = serde_json::from_str(&before).unwrap();
    assert_eq!(key["expires_at_utc"], "2999-01-31T00:00:00Z");
    assert_eq!(key["expires_at"], 32_474_736_000_i64);
    assert!(key.get("not_before_utc").is_none());
    let folder = shop.folder.path();
    let made = run(
        folder,
        &[],
        &[
            "--json", "token", "create", "--role", "viewer", "--name", "v",
        ],
    );
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("kbt_viewer_"));
    if is_postgresql() {
        return;
    }
    let saved = run(folder, &[], &["backup", "saved.db", "--json"]);
    let saved: Value = serde_json::from_slice(&saved.stdout).unwrap();
    assert_eq!(saved["keys"], 1);
}

#[test]
fn a_user_without_a_tenant_is_warned_of_where_there_are_tenants() {
    let shop = Shop::open();
    let with = shop.run(&["user", "create", "--id", "usr_b", "--tenant", "ten_a"]);
    assert_eq!(text(&with.stderr), "");
    let without = shop.run(&["user", "create", "--id", "usr_c"]);
    assert!(without.status.success());
    assert!(
        text(&without.stderr).contains("belongs to no tenant"),
        "{}",
        text(&without.stderr)
    );

    let folder = tempfile::tempdir().unwrap();
    let service = Running::start(folder.path(), &[("KEYBOUND_ADMIN_TOKEN", ADMIN)]);
    let environment = [("KEYBOUND_TOKEN", ADMIN), ("KEYBOUND_SERVER", &service.url)];
    let alone = run(folder.path(), &environment, &["user", "create"]);
    assert_eq!(text(&alone.stderr), "", "a system without tenants");
}

#[test]
fn a_reason_that_is_not_kept_is_said_to_be_dropped() {
    let shop = Shop::open();
    shop.key("k1", &[]);
    shop.out(&["key", "revoke", "k1"]);
    let kept = shop.run(&["key", "revoke", "k1", "--reason", "leaked"]);
    assert_eq!(text(&kept.stderr), "");
    assert!(row(&text(&kept.stdout), "REASON").contains("leaked"));
    let dropped = shop.run(&["key", "revoke", "k1", "--reason", "another"]);
    assert!(dropped.status.success());
    assert!(text(&dropped.stderr).contains("was revoked before, because of \"leaked\""));
}

#[test]
fn shells_and_manuals_get_what_they_want() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(folder.path(), &[], &["completions", shell]);
        assert!(script.status.success());
        assert!(text(&script.stdout).contains("key-service"), "{shell}");
        assert!(text(&script.stdout).contains("deactivate"), "{shell}");
    }
    let bash = text(&run(folder.path(), &[], &["completions", "bash"]).stdout);
    std::fs::write(folder.path().join("script"), bash).unwrap();
    let ask = "source ./script; COMP_WORDS=(key-service key rev); COMP_CWORD=2; \
               _key__service key-service rev key; echo ${COMPREPLY[@]}";
    let mut shell = std::process::Command::new("bash");
    let completed = shell
        .current_dir(folder.path())
        .args(["-c", ask])
        .output()
        .unwrap();
    assert_eq!(
        text(&completed.stdout).trim(),
        "revoke",
        "{}",
        text(&completed.stderr)
    );
    let man = run(folder.path(), &[], &["man", "."]);
    assert!(man.status.success(), "{}", text(&man.stderr));
    let page = std::fs::read_to_string(folder.path().join("key-service-key-create.1")).unwrap();
    assert!(page.contains("expires"), "{page}");
}

#[test]
fn a_service_listens_where_people_say_it_should() {
    let folder = tempfile::tempdir().unwrap();
    for (listen, begin) in [
        ("localhost:0", "http://127.0.0.1:"),
        ("0", "http://127.0.0.1:"),
        (":0", "http://0.0.0.0:"),
    ] {
        let service = Running::start_on(folder.path(), listen, &[("KEYBOUND_ADMIN_TOKEN", ADMIN)]);
        assert!(service.url.starts_with(begin), "{listen}: {}", service.url);
        service.stop();
    }
    for wrong in ["localhost", "127.0.0.1", "99999", "http://localhost:8081"] {
        let output = run(folder.path(), &[], &["serve", "--listen", wrong]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains("localhost:8081, a port alone"),
            "{wrong}"
        );
    }
}
