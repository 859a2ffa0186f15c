//! What stops somebody does not wait behind what can wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use key_service::domain::time::now;
use serde_json::json;

use crate::support::Service;

/// Tells reporters to end, also where the test fails before.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Lines of many parts.
fn lines(name: &str) -> String {
    let mut lines = String::new();
    let mut number = 0;
    while lines.len() < 900_000 {
        let line = json!({"key": format!("{name}-key-of-some-length-{number}"), "user_id": "usr_a", "scopes": ["a:b"]});
        lines.push_str(&format!("{line}\n"));
        number += 1;
    }
    lines
}

#[test]
fn a_revocation_overtakes_imports_and_reports_of_use() {
    let service = Service::furnished();
    let victims: Vec<String> = (0..10).map(|number| format!("victim_{number}")).collect();
    for id in &victims {
        service.make_key(&json!({"id": id}));
    }
    let begin = service.changes("")["cursor"].as_i64().unwrap();
    let (imports, done) = (AtomicUsize::new(2), AtomicBool::new(false));
    let counts: Vec<_> = (0..1000)
        .map(|number| json!({"id": victims[number % 10], "allowed": 1, "rejected": 0, "last_at": now()}))
        .collect();
    std::thread::scope(|scope| {
        let _done = Done(&done);
        for name in ["first", "second"] {
            let (service, imports) = (&service, &imports);
            scope.spawn(move || {
                service.import(&lines(name)).expect(200);
                imports.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for reporter in 0..12 {
            let (service, counts, done) = (&service, &counts, &done);
            scope.spawn(move || {
                let mut batch = 0;
                while !done.load(Ordering::SeqCst) {
                    batch += 1;
                    let body = json!({
                        "reporter": format!("vm-{reporter}"), "batch": batch, "from": 0, "to": now(), "keys": counts,
                    });
                    let body = body.to_string();
                    let answer = service.send("POST", "/v1/usage", Some(&service.gateway), Some(body.as_bytes()));
                    // Told to come again, at worst.
                    assert!([204, 503].contains(&answer.status), "{}", answer.text);
                }
            });
        }
        // Both are under way.
        while service.store.sequence() < begin + 200 {
            std::thread::yield_now();
        }
        for id in &victims {
            let revoked = service.post(&format!("/admin/v1/keys/{id}/revoke"), &json!({}));
            revoked.expect(200);
        }
        let suspended = service.patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "suspended"}),
        );
        suspended.expect(200);
        assert_eq!(imports.load(Ordering::SeqCst), 2, "they are not done yet");
    });
    let last = service.changes("")["cursor"].as_i64().unwrap();
    let suspended = service.get("/admin/v1/users/usr_a").expect(200)["version"]
        .as_i64()
        .unwrap();
    assert!(suspended < last, "{suspended} of {last}");
}

#[test]
fn a_report_that_is_too_long_counts_nothing() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    let send = |keys: usize| {
        let keys: Vec<_> = (0..keys)
            .map(|_| json!({"id": "key_1", "allowed": 1, "rejected": 0, "last_at": now()}))
            .collect();
        let body =
            json!({"reporter": "vm", "batch": 1, "from": 0, "to": now(), "keys": keys}).to_string();
        service.send(
            "POST",
            "/v1/usage",
            Some(&service.gateway),
            Some(body.as_bytes()),
        )
    };
    let refused = send(1001);
    assert_eq!(refused.problem(400), ["keys"]);
    assert!(refused.text.contains("at most 1000"), "{}", refused.text);
    assert_eq!(send(1000).status, 204);
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(key["usage"][0]["allowed"], 1000);
}

#[test]
fn lines_that_are_wrong_beside_each_other_keep_all_out_however_many_parts_they_are() {
    let service = Service::furnished();
    let line = |key: usize, id: usize| {
        json!({"key": format!("a-key-of-some-length-{key}"), "id": format!("key_{id}"), "user_id": "usr_a"}).to_string()
            + "\n"
    };
    let good: String = (0..250).map(|number| line(number, number)).collect();
    let wrong = format!("{good}{}{}", line(999, 3), line(3, 999));
    assert_eq!(
        service.import(&wrong).problem(400),
        ["line 251.id", "line 252.id"]
    );
    assert_eq!(service.store.sequence(), 2, "nothing was written");
    let twice = format!("{good}{}", line(3, 3));
    let report = service.import(&twice).expect(200);
    assert_eq!(
        (&report["imported"], &report["existing"]),
        (&json!(250), &json!(1))
    );
}
