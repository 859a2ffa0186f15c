//! `key-service key import --from` with the built program: what of an export is a key, what is not, and who owns it.

use std::process::Output;

use serde_json::{Value, json};

use crate::program::text;
use crate::support::{Service, digest};

struct It {
    service: Service,
    folder: tempfile::TempDir,
}

impl It {
    fn start() -> Self {
        Self {
            service: Service::start(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn import(&self, system: &str, export: &str, more: &[&str]) -> Output {
        std::fs::write(self.folder.path().join("export"), export).unwrap();
        let arguments = ["key", "import", "export", "--from", system];
        crate::program::program(self.folder.path())
            .env("KEYBOUND_SERVER", &self.service.url)
            .env("KEYBOUND_TOKEN", self.service.admin.reveal())
            .args(arguments)
            .args(more)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn imported(&self, system: &str, export: &str, more: &[&str]) -> Value {
        let output = self.import(system, export, &[&["--json"], more].concat());
        assert!(
            output.status.success(),
            "{} {}",
            text(&output.stdout),
            text(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a gateway gets for a key.
    fn known(&self, key: &str) -> Value {
        self.service.resolve(&[&digest(&json!(key))])["results"][0].clone()
    }
}

#[test]
fn users_are_made_once_in_the_tenant_of_their_first_key_and_those_that_are_there_stay() {
    let it = It::start();
    it.service
        .post("/admin/v1/tenants", &json!({"id": "ten_a"}))
        .expect(201);
    let there = json!({"id": "usr_there", "tenant_id": "ten_a", "status": "suspended"});
    it.service.post("/admin/v1/users", &there).expect(201);
    let table = "key,user_id,tenant_id\nkey-number-1,usr_new,\nkey-number-2,usr_new,\n\
                 key-number-3,usr_there,\nkey-number-4,usr_other,ten_b\nkey-number-5,,\n";
    let without = it.imported("csv", table, &["--dry-run", "--tenant", "ten_a"]);
    let warnings = |report: &Value, line: usize| report["lines"][line - 1]["warnings"].clone();
    assert_eq!(
        warnings(&without, 1),
        json!(["there is no user of this id"])
    );
    let options = ["--tenant", "ten_a", "--create-users"];
    it.imported("csv", table, &[&options[..], &["--dry-run"]].concat());
    assert_eq!(
        it.service.get("/admin/v1/users").expect(200)["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let report = it.imported("csv", table, &options);
    let made: Vec<bool> = report["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["user_created"] == true)
        .collect();
    assert_eq!(made, [true, false, false, true, false]);
    assert_eq!(warnings(&report, 2), Value::Null);
    assert_eq!(
        warnings(&report, 4),
        json!(["there is no tenant of this id"])
    );
    for (key, user, tenant) in [
        ("key-number-1", json!("usr_new"), "ten_a"),
        ("key-number-2", json!("usr_new"), "ten_a"),
        ("key-number-3", json!("usr_there"), "ten_a"),
        ("key-number-4", json!("usr_other"), "ten_b"),
        ("key-number-5", Value::Null, "ten_a"),
    ] {
        let known = it.known(key);
        assert_eq!(known["key"]["user_id"], user, "{key}");
        assert_eq!(known["key"]["tenant_id"], tenant, "{key}");
        assert_eq!(
            known["user"]["tenant_id"],
            if user.is_null() {
                Value::Null
            } else {
                json!(tenant)
            }
        );
    }
    assert_eq!(it.known("key-number-3")["user"]["status"], "suspended");
    let again = it.imported("csv", table, &options);
    assert_eq!(
        (&again["existing"], &again["imported"]),
        (&json!(5), &json!(0))
    );
    let history = it.service.get("/admin/v1/audit?kind=user").expect(200);
    assert_eq!(history["items"].as_array().unwrap().len(), 3);
}

#[test]
fn an_export_of_any_size_is_sent_in_batches() {
    let it = It::start();
    let consumers: Vec<Value> = (0..1_300)
        .map(|n| json!({"username": format!("c{n}"), "keyauth_credentials": [{"key": format!("kong-key-number-{n:05}")}]}))
        .collect();
    let export = json!({"consumers": consumers}).to_string();
    let report = it.imported("kong", &export, &["--create-users"]);
    assert_eq!(report["imported"], 1_300);
    assert_eq!(report["lines"][1_299]["line"], 1_300);
    assert_eq!(report["lines"][1_299]["of"], "consumer c1299");
    assert_eq!(
        it.known("kong-key-number-01299")["user"]["status"],
        "active"
    );
}

#[test]
fn a_life_of_kong_is_counted_from_when_the_key_was_made_where_that_is_known() {
    let it = It::start();
    let begin = key_service::domain::time::now() - 100;
    let export = format!(
        "consumers:\n- custom_id: '7'\n  keyauth_credentials:\n  - key: kong-key-of-no-end\n    ttl: 0\n  - key: kong-key-of-an-end\n    \
         ttl: 5000\n    created_at: {begin}\n"
    );
    it.imported("kong", &export, &["--create-users"]);
    assert_eq!(
        it.known("kong-key-of-no-end")["key"]["expires_at"],
        Value::Null
    );
    let known = it.known("kong-key-of-an-end");
    assert_eq!(known["key"]["expires_at"], begin + 5000);
    assert_eq!(known["user"]["id"], "usr_7");
}

#[test]
fn what_is_no_key_is_named_and_no_export_shows_one() {
    let it = It::start();
    let kong = "_format_version: '3.0'\nconsumers:\n- {username: a, keyauth_credentials: [{key: 4711}, {key: '${{ env \"DECK_A\" }}'}]}\n\
                - {username: b}\n- {keyauth_credentials: [{key: secret-of-nobody}]}\n\
                - {username: c, keyauth_enc_credentials: [{key: AAAA}], jwt_secrets: [{key: x}, {key: y}]}\n";
    let left_out = it.imported("kong", kong, &[])["left_out"].clone();
    let left_out: Vec<&str> = left_out
        .as_array()
        .unwrap()
        .iter()
        .map(|what| what.as_str().unwrap())
        .collect();
    let begins = [
        "consumer a: a key is no text",
        "consumer a: ${{ env",
        "consumer b: has no key",
        "a consumer: has neither username",
        "consumer c: 1 keyauth_enc_credentials: keys of key-auth-enc are exported encrypted",
        "consumer c: 2 jwt_secrets",
    ];
    assert_eq!(left_out.len(), begins.len(), "{left_out:?}");
    for (what, begin) in left_out.iter().zip(begins) {
        assert!(what.starts_with(begin), "{what}");
        assert!(!what.contains("secret-of-nobody"));
    }
    let gateway = "kind: Secret\nmetadata: {name: s}\ndata: {one: b25lLWtleS1vZi1h, two: '4711'}\nstringData: {two: two-key-of-a, three: 7}\n\
                   ---\nkind: SealedSecret\nmetadata: {name: t}\nspec: {encryptedData: {one: AgBy}}\n---\nkind: ConfigMap\n";
    let report = it.imported("envoy-gateway", gateway, &[]);
    assert_eq!(
        report["left_out"],
        json!([
            "Secret s, client three: its value is no text: put it into quotes",
            "Secret t: is sealed: export the Secret that it becomes"
        ])
    );
    assert!(it.known("one-key-of-a")["key"].is_object());
    assert!(it.known("two-key-of-a")["key"].is_object());
    let apisix = r#"{"list": [{"key": "/apisix/consumers/a", "value": {"username": "a", "plugins": {"key-auth": {"key": "$ENV://A"}, "jwt-auth": {}}}}, {"value": {}}]}"#;
    let report = it.imported("apisix", apisix, &[]);
    assert_eq!(report["left_out"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(report["imported"], 0);
}

#[test]
fn a_wrong_line_is_named_by_where_it_came_from_and_keeps_all_out() {
    let it = It::start();
    let kong = "consumers:\n- {username: good, keyauth_credentials: [{key: a-good-key}]}\n\
                - {username: 'no id', keyauth_credentials: [{key: a-key-of-a-blank}]}\n";
    let refused = it.import("kong", kong, &["--create-users"]);
    assert_eq!(refused.status.code(), Some(1));
    let out = text(&refused.stdout);
    assert!(
        out.contains("consumer no id: user_id may hold only visible ASCII"),
        "{out}"
    );
    let keys = it.service.get("/admin/v1/keys").expect(200);
    assert_eq!(keys["items"], json!([]));
    // The number is that of the file's line, also behind one with a line break in it.
    let table = "key,name,expires_at\na-good-key,\"two\nlines\",\n\nanother-key,n,soon\n";
    let refused = it.import("csv", table, &[]);
    let out = text(&refused.stdout);
    assert!(
        out.contains("       5  failed    -                     expires_at must be a time"),
        "{out}"
    );
}

#[test]
fn what_is_no_export_is_a_usage_error_that_shows_nothing_of_it() {
    let it = It::start();
    for (system, export, why) in [
        ("kong", "services: []", "has no consumers"),
        (
            "kong",
            "keyauth_credentials: [{key: secret-key, consumer: a}]",
            "deck gateway dump",
        ),
        (
            "kong",
            "consumers: [{key: \"secret-key",
            "neither JSON nor YAML",
        ),
        ("kong", "", "there is nothing in it"),
        (
            "apisix",
            "{\"username\": \"secret-key\"}",
            "has no list of consumers",
        ),
        (
            "envoy-gateway",
            "kind: ConfigMap\ndata: {a: secret-key}",
            "has no Secret",
        ),
        ("csv", "secret-key,usr_a\n", "has no column key or digest"),
        (
            "csv",
            "key,user_id\nsecret-key\n",
            "line 2 has 1 cells, and the first line 2",
        ),
    ] {
        let output = it.import(system, export, &[]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{system} {export}: {error}");
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("secret-key"), "{error}");
    }
}
