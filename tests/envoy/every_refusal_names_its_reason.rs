//! contract/reasons.md: codes 1 to 17, 23 and 24, each as the client, the access log and the counters
//! tell it. 25 has a file of its own.

use crate::{in_three_days, now};
use serde_json::json;
use std::collections::BTreeMap;
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::http2;
use support::records::{self, Known};

struct Row {
    code: &'static str,
    request: Request,
    /// Ids that the access log must show; none where the key is not known.
    logged: Option<&'static str>,
    credential: Option<String>,
}

fn of_known(
    gateway: &Gateway,
    code: &'static str,
    name: &'static str,
    change: fn(Known) -> Known,
) -> Row {
    let credential = gateway.knows(change(records::active(name)));
    Row {
        code,
        request: Request::get(format!("/{name}")).header("x-api-key", &credential),
        logged: Some(name),
        credential: Some(credential),
    }
}

fn of_bytes(code: &'static str, name: &str, values: &[&str]) -> Row {
    let mut request = Request::get(format!("/{name}"));
    for value in values {
        request = request.header("x-api-key", value);
    }
    Row {
        code,
        request,
        logged: None,
        credential: values.first().map(|value| (*value).to_owned()),
    }
}

fn rows(gateway: &Gateway) -> Vec<(&'static str, Row)> {
    let long = "x".repeat(513);
    let known = |name: &'static str, code, change| (name, of_known(gateway, code, name, change));
    let bytes = |name: &'static str, code, values: &[&str]| (name, of_bytes(code, name, values));
    vec![
        bytes("no-key", "key_missing", &[]),
        bytes("empty-key", "key_missing", &[""]),
        bytes(
            "two-keys",
            "key_duplicated",
            &["one-credential", "another-credential"],
        ),
        bytes(
            "one-key-twice",
            "key_duplicated",
            &["one-credential", "one-credential"],
        ),
        bytes("space-inside", "key_malformed", &["two words-here"]),
        bytes("too-long", "key_malformed", &[&long]),
        bytes("unknown", "key_unknown", &[&gateway.stranger()]),
        known("revoked-key", "key_revoked", |it| it.key_status("revoked")),
        known("disabled-key", "key_disabled", |it| {
            it.key_status("disabled")
        }),
        known("key-of-unknown-status", "key_disabled", |it| {
            it.key_status("sleeping")
        }),
        known("not-yet", "key_not_yet_valid", |it| {
            it.key("not_before", now() + 3600)
        }),
        known("replaced-key", "key_replaced", |it| {
            it.key("expires_at", now() - 60)
                .key("replaced_by", "key_newer")
                .key("replaced_at", now() - 600)
        }),
        known("expired-key", "key_expired", |it| {
            it.key("expires_at", now() - 60)
        }),
        known("orphaned", "user_missing", Known::orphaned),
        known("no-such-user", "user_missing", Known::without_user_record),
        known("deleted", "user_deleted", |it| it.user_status("deleted")),
        known("deactivated", "user_deactivated", |it| {
            it.user_status("deactivated")
        }),
        known("suspended", "user_suspended", |it| {
            it.user_status("suspended")
        }),
        known("user-of-unknown-status", "user_suspended", |it| {
            it.user_status("sleeping")
        }),
        known("locked", "user_locked", |it| it.user_status("locked")),
        known("pending", "user_pending", |it| it.user_status("pending")),
        known(
            "no-such-tenant",
            "tenant_missing",
            Known::without_tenant_record,
        ),
        known("two-tenants", "tenant_missing", |it| {
            it.user("tenant_id", "ten_other")
        }),
        known("tenant-suspended", "tenant_suspended", |it| {
            it.tenant_status("suspended")
        }),
        known("tenant-of-unknown-status", "tenant_suspended", |it| {
            it.tenant_status("sleeping")
        }),
        known("elsewhere", "address_not_allowed", |it| {
            it.key("networks", json!(["10.0.0.0/8", "2001:db8::/32"]))
        }),
        known("nowhere", "address_not_allowed", |it| {
            it.key("networks", json!([]))
        }),
        known("no-network", "address_not_allowed", |it| {
            it.key("networks", json!(["not a network"]))
        }),
        known("another-day", "outside_hours", |it| {
            it.key(
                "hours",
                json!({"days": [in_three_days()], "from": "00:00", "to": "12:00"}),
            )
        }),
        known("hour-25", "outside_hours", |it| {
            it.key(
                "hours",
                json!({"days": ["mon"], "from": "25:00", "to": "26:00"}),
            )
        }),
    ]
}

fn expected_status(code: &str) -> u16 {
    if code.starts_with("key_") { 401 } else { 403 }
}

fn expected_title(code: &str) -> &'static str {
    match code {
        "key_missing" => "API key missing",
        code if code.starts_with("key_") => "Invalid API key",
        "address_not_allowed" | "outside_hours" => "Not permitted for this key",
        _ => "Invalid user associated with this key",
    }
}

/// What is wrong with an answer. Every row is looked at before the test fails.
fn wrong_with(answer: &Response, row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, seen: String, expected: String| {
        if seen != expected {
            wrong.push(format!("{what} is {seen}, not {expected}"));
        }
    };
    let text = |value: Option<&str>| format!("{value:?}");
    let status = expected_status(row.code);
    expect("status", answer.status.to_string(), status.to_string());
    expect(
        "x-keybound-code",
        text(answer.header("x-keybound-code")),
        text(Some(row.code)),
    );
    expect(
        "content-type",
        text(answer.header("content-type")),
        text(Some("application/problem+json")),
    );
    expect(
        "cache-control",
        text(answer.header("cache-control")),
        text(Some("no-store")),
    );
    expect(
        "retry-after",
        text(answer.header("retry-after")),
        text(None),
    );
    let challenge = (status == 401).then_some("ApiKey realm=\"api\"");
    expect(
        "www-authenticate",
        text(answer.header("www-authenticate")),
        text(challenge),
    );

    let problem = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
    expect(
        "type",
        problem["type"].to_string(),
        json!(format!("urn:keybound:problem:{}", row.code)).to_string(),
    );
    expect(
        "title",
        problem["title"].to_string(),
        json!(expected_title(row.code)).to_string(),
    );
    expect(
        "status in the body",
        problem["status"].to_string(),
        status.to_string(),
    );
    expect(
        "code",
        problem["code"].to_string(),
        json!(row.code).to_string(),
    );
    let detail = problem["detail"].as_str().unwrap_or_default();
    expect(
        "a detail in the body",
        (detail.len() > 20).to_string(),
        "true".to_owned(),
    );

    let mut private: Vec<String> = row
        .credential
        .iter()
        .filter(|it| !it.is_empty())
        .cloned()
        .collect();
    private.extend(private.clone().iter().map(records::digest));
    if let Some(name) = row.logged {
        private.extend([
            format!("key_{name}"),
            format!("usr_{name}"),
            format!("ten_{name}"),
        ]);
    }
    for private in private {
        expect(
            &format!("{private} in the body"),
            answer.text().contains(&private).to_string(),
            "false".to_owned(),
        );
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_the_client_in_the_access_log_and_in_the_counters() {
    let gateway = Gateway::scripted().start().await;
    let rows = rows(&gateway);
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();

    for (name, row) in &rows {
        let answer = gateway.send(&row.request).await;
        let mut faults = wrong_with(&answer, row);
        let entry = gateway.logged(&format!("/{name}")).await;
        let id = |kind: &str, known: bool| match row.logged {
            Some(name) if known => json!(format!("{kind}_{name}")),
            _ => json!(null),
        };
        let names_a_user = *name != "orphaned";
        for (field, expected) in [
            ("code", json!(row.code)),
            ("status", json!(expected_status(row.code))),
            ("refused_key_id", id("key", true)),
            ("refused_user_id", id("usr", names_a_user)),
            ("refused_tenant_id", id("ten", true)),
            ("key_id", json!(null)),
        ] {
            if entry[field] != expected {
                faults.push(format!(
                    "access log: {field} is {}, not {expected}",
                    entry[field]
                ));
            }
        }
        let told = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
        if told["request_id"] != entry["request_id"] || told["request_id"].is_null() {
            faults.push(format!(
                "request_id is {}, logged is {}",
                told["request_id"], entry["request_id"]
            ));
        }
        if !faults.is_empty() {
            wrong.insert(name, faults);
        }
        *counts.entry(row.code).or_default() += 1;
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        gateway.upstream.arrived().is_empty(),
        "a refused request reached the upstream"
    );
    for (code, count) in counts {
        gateway.counted(&format!("rejected.{code}"), count).await;
    }
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
async fn head_gets_the_headers_and_no_body() {
    let gateway = Gateway::scripted().start().await;
    let good = gateway.knows(records::active("good"));
    let locked = gateway.knows(records::active("locked").user_status("locked"));
    let mut connection = support::client::Connection::open(gateway.port())
        .await
        .unwrap();

    // On one connection: a body that should not be there would be taken for the next answer.
    for _ in 0..2 {
        let refused = connection
            .send(&Request::head("/").header("x-api-key", &locked))
            .await
            .unwrap();
        assert_eq!(
            (refused.status, refused.header("x-keybound-code")),
            (403, Some("user_locked"))
        );
        let missing = connection.send(&Request::head("/")).await.unwrap();
        assert_eq!(missing.status, 401);
        assert_eq!(
            missing.header("www-authenticate"),
            Some("ApiKey realm=\"api\"")
        );
        let allowed = connection
            .send(&Request::head("/").header("x-api-key", &good))
            .await
            .unwrap();
        assert_eq!((allowed.status, allowed.body.len()), (200, 0));
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
