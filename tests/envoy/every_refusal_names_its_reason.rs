//! What an operator sees of each refusal, what else leads to it, and what does not. How it is told to the
//! client stands in `every_refusal_at_every_level.rs`.

use crate::now;
use crate::situations::{self, Situation, of_known, sent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::client::Request;
use support::gateway::Gateway;
use support::http2;
use support::records::{self, Known};

/// More ways to a refusal than the one that `situations` has for each.
fn further(gateway: &Gateway) -> Vec<Situation> {
    let long = "x".repeat(513);
    let known = |code, name: &str, change| of_known(gateway, "/any", code, name, change);
    vec![
        sent("key_missing", &[""]),
        sent("key_duplicated", &["one-credential", "one-credential"]),
        sent("key_malformed", &[&long]),
        known("key_disabled", "key-of-unknown-status", |it| {
            it.key_status("sleeping")
        }),
        known("user_missing", "no-such-user", Known::without_user_record),
        known("user_suspended", "user-of-unknown-status", |it| {
            it.user_status("sleeping")
        }),
        known("tenant_missing", "two-tenants", |it| {
            it.user("tenant_id", "ten_other")
        }),
        known("tenant_suspended", "tenant-of-unknown-status", |it| {
            it.tenant_status("sleeping")
        }),
        known("address_not_allowed", "elsewhere", |it| {
            it.key("networks", json!(["10.0.0.0/8", "2001:db8::/32"]))
        }),
        known("address_not_allowed", "nowhere", |it| {
            it.key("networks", json!([]))
        }),
        known("address_not_allowed", "no-network", |it| {
            it.key("networks", json!(["not a network"]))
        }),
        known("outside_hours", "hour-25", |it| {
            it.key(
                "hours",
                json!({"days": ["mon"], "from": "25:00", "to": "26:00"}),
            )
        }),
    ]
}

/// What the body of a refusal must not hold.
fn private(situation: &Situation) -> Vec<String> {
    let sent = situation.credentials.iter().filter(|it| !it.is_empty());
    let mut private: Vec<String> = sent
        .flat_map(|it| [it.clone(), records::digest(it)])
        .collect();
    if let Some(name) = &situation.name {
        private.extend(["key", "usr", "ten"].map(|kind| format!("{kind}_{name}")));
    }
    private
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_the_operator_and_nothing_private_to_the_client() {
    let gateway = Gateway::scripted()
        .settings(situations::settings())
        .configure(situations::route_of_a_typing_error)
        .start()
        .await;
    let mut all = situations::all(&gateway);
    all.extend(further(&gateway));
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();

    for (number, situation) in all.iter().enumerate() {
        let path = format!("{}/{number}", situation.path);
        let mut request = Request::get(&path);
        for credential in &situation.credentials {
            request = request.header("x-api-key", credential);
        }
        let answer = gateway.send(&request).await;
        let entry = gateway.logged(&path).await;
        let mut expect = |what: &str, seen: &Value, expected: Value| {
            if *seen != expected {
                let row = format!("{} {:?}", situation.code, situation.name);
                let fault = format!("{what} is {seen}, not {expected}");
                wrong.entry(row).or_default().push(fault);
            }
        };

        let told = json!(answer.header("x-keybound-code"));
        expect("x-keybound-code", &told, json!(situation.code));
        // Where the policy is not known, nothing is looked up.
        let looked_up = situation.code != "policy_unknown";
        let orphan = situation.name.as_deref() == Some("user-missing");
        let id = |kind: &str, named: bool| match &situation.name {
            Some(name) if named && looked_up => json!(format!("{kind}_{name}")),
            _ => json!(null),
        };
        for (field, expected) in [
            ("code", json!(situation.code)),
            ("status", json!(answer.status)),
            ("refused_key_id", id("key", true)),
            ("refused_user_id", id("usr", !orphan)),
            ("refused_tenant_id", id("ten", true)),
            ("key_id", json!(null)),
        ] {
            expect(field, &entry[field], expected);
        }
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        expect(
            "request_id",
            &problem["request_id"],
            entry["request_id"].clone(),
        );
        for private in private(situation) {
            let found = json!(answer.text().contains(&private));
            expect(&format!("{private} in the body"), &found, json!(false));
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        gateway.upstream.arrived().is_empty(),
        "a refused request reached the upstream"
    );
    gateway.counted("allowed", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_request_is_counted_and_logged_with_its_identity() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("good"));

    for number in 0..5 {
        assert_eq!(
            gateway
                .get(&format!("/good/{number}"), &[("x-api-key", &key)])
                .await
                .status,
            200
        );
    }

    gateway.counted("allowed", 5).await;
    let entry = gateway.logged("/good/4").await;
    assert_eq!(entry["code"], json!(null));
    assert_eq!(entry["refused_key_id"], json!(null));
    assert_eq!(
        (&entry["key_id"], &entry["user_id"], &entry["tenant_id"]),
        (&json!("key_good"), &json!("usr_good"), &json!("ten_good"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_at_the_edge_of_a_refusal_are_allowed() {
    let gateway = Gateway::scripted().start().await;
    let today_and_all = json!(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
    let allowed = [
        records::active("no-tenants").without_tenants(),
        records::active("began").key("not_before", now() - 60),
        records::active("in-grace")
            .key("expires_at", now() + 3600)
            .key("replaced_by", "key_newer"),
        records::active("loopback").key("networks", json!(["10.0.0.0/8", "127.0.0.0/8"])),
        records::active("exact-address").key("networks", json!(["127.0.0.1/32"])),
        records::active("over-midnight").key(
            "hours",
            json!({"days": today_and_all, "from": "00:00", "to": "00:00"}),
        ),
        records::active("no-fields")
            .key("scopes", json!(null))
            .key("environment", json!(null)),
        records::active("unknown-field")
            .key("colour", "green")
            .user("shoe_size", 43),
    ];
    for known in allowed {
        let name = known.credential.clone();
        let key = gateway.knows(known);
        let answer = gateway.get("/", &[("x-api-key", &key)]).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_failed_check_decides() {
    let gateway = Gateway::scripted().start().await;
    let all = |name| {
        records::active(name)
            .key("expires_at", now() - 60)
            .user_status("suspended")
            .tenant_status("suspended")
            .key("networks", json!([]))
    };
    for (code, known) in [
        ("key_revoked", all("a").key_status("revoked")),
        ("key_expired", all("b")),
        ("user_suspended", all("c").key("expires_at", json!(null))),
        (
            "tenant_suspended",
            all("d")
                .key("expires_at", json!(null))
                .user_status("active"),
        ),
        (
            "address_not_allowed",
            records::active("e").key("networks", json!([])),
        ),
    ] {
        let key = gateway.knows(known);
        let answer = gateway.get("/", &[("x-api-key", &key)]).await;
        assert_eq!(answer.header("x-keybound-code"), Some(code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_format_refuses_without_a_look_up() {
    let gateway = Gateway::scripted()
        .settings(
            json!({"key_format": {"prefixes": ["kb_live_", "kb_test_"], "checksum": "crc32"}}),
        )
        .start()
        .await;
    // The last six characters are the base62 CRC-32 of the others.
    let good = "kb_live_0123456789abcdefghijABCDEFGHIJxy";
    let good = format!("{good}{}", base62_crc32(good.as_bytes()));
    let other_prefix = format!("kb_prod_{}", &good[8..]);
    let mistyped = good.replacen("0123", "0132", 1);
    let cut_off = good[..good.len() - 1].to_owned();

    for bad in [
        &other_prefix,
        &mistyped,
        &cut_off,
        &good.to_uppercase(),
        "kb_live_",
    ] {
        let answer = gateway.get("/", &[("x-api-key", bad)]).await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("key_malformed"),
            "{bad}"
        );
    }
    assert!(
        gateway.service.resolves().is_empty(),
        "a look-up for a key that cannot exist"
    );
    let answer = gateway.get("/", &[("x-api-key", &good)]).await;
    assert_eq!(
        answer.header("x-keybound-code"),
        Some("key_unknown"),
        "well-formed, and nobody's"
    );
}

fn base62_crc32(bytes: &[u8]) -> String {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut rest = !crc;
    let mut text = [b'0'; 6];
    for place in text.iter_mut().rev() {
        *place =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[rest as usize % 62];
        rest /= 62;
    }
    String::from_utf8(text.to_vec()).expect("ASCII")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn challenges_name_each_kind_of_location() {
    let gateway = Gateway::scripted()
        .settings(json!({
            "credentials": [{"header": "x-api-key"}, {"bearer": "authorization"}],
            "rejection": {"realm": "stock \"A\""},
        }))
        .start()
        .await;
    let stranger = gateway.stranger();

    let missing = gateway
        .get("/", &[])
        .await
        .header_values("www-authenticate")
        .join(", ");
    let unknown = gateway
        .get("/", &[("authorization", &format!("Bearer {stranger}"))])
        .await
        .header_values("www-authenticate")
        .join(", ");

    for challenges in [&missing, &unknown] {
        assert!(
            challenges.contains(r#"ApiKey realm="stock \"A\"""#),
            "{challenges}"
        );
        assert!(
            challenges.contains(r#"Bearer realm="stock \"A\"""#),
            "{challenges}"
        );
    }
    assert!(!missing.contains("error="), "{missing}");
    assert!(unknown.contains(r#"error="invalid_token""#), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_allowed_follows_one_that_is_not() {
    let gateway = Gateway::scripted().start().await;
    let good = gateway.knows(records::active("good"));
    let locked = gateway.knows(records::active("locked").user_status("locked"));
    let mut connection = support::client::Connection::open(gateway.port())
        .await
        .unwrap();

    // On one connection: a body that should not be there would be taken for the next answer.
    for (key, status) in [(&locked, 403), (&good, 200), (&locked, 403), (&good, 200)] {
        let request = Request::head("/").header("x-api-key", key);
        let answer = connection.send(&request).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (status, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_answered_alike() {
    let gateway = Gateway::scripted().start().await;
    let good = gateway.knows(records::active("good"));
    let connection = http2::Connection::open(gateway.port()).await.unwrap();

    let allowed = connection
        .send(
            hyper::Method::GET,
            "/",
            &[("x-api-key", good.as_bytes())],
            b"",
        )
        .await
        .unwrap();
    let refused = connection
        .send(hyper::Method::GET, "/", &[], b"")
        .await
        .unwrap();

    assert_eq!(allowed.status, 200);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["x-keybound-code"], "key_missing");
}
