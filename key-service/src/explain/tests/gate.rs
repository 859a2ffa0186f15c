//! The explanation is what the gate does, from its first look at the request on.

use std::collections::BTreeSet;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{KEY, explain, known, settings};
use crate::explain::Subject;
use keybound::credential::digest::Digester;
use keybound::gate::Settings;
use keybound::gate::{CallEnd, Decision, Gate, Passage};
use keybound::record::Chain;
use keybound::record::{Resolved, parse_answer};
use keybound::test_util::{Sent, SharedData, at};
use keybound::verdict::Reason;

/// What the gate makes of a request, with a key service that knows this record.
fn gates_verdict(settings: Settings, sent: &Sent, record: &str) -> Result<bool, Reason> {
    let (mut gate, store) = (Gate::new(settings, "vm".to_owned()), SharedData::default());
    let store = &store;
    let mut decision = gate.request(&sent.request(), 1, at(0), store);
    if matches!(decision, Decision::Wait) {
        let purpose = gate.next_call(at(0)).unwrap().purpose;
        gate.sent(2, purpose);
        let answered = CallEnd::Answered {
            retry_after: None,
            status: 200,
            marked: true,
            body: Some(record.as_bytes()),
        };
        gate.ended(2, &answered, at(1), store);
        let waiter = gate.next_ready().unwrap();
        decision = gate.resume(waiter, &sent.request(), at(0), store);
    }
    match decision {
        Decision::Proceed(Passage { identity, .. }) => Ok(identity.is_some()),
        Decision::Refuse(refusal) => Err(refusal.reason),
        Decision::Wait => panic!("it waits twice"),
    }
}

fn record_of(json: &str) -> Option<Chain> {
    let mut answer = parse_answer(json.as_bytes()).unwrap();
    match answer.results.pop().unwrap().1.unwrap() {
        Resolved::Unknown => None,
        Resolved::Known { key, user, tenant } => Some(Chain {
            key: Rc::new(*key),
            user: user.map(Rc::new),
            tenant: tenant.map(Rc::new),
        }),
    }
}

/// Not the checks alone, but everything before them: preflight, policy, no key asked for, no key sent.
#[test]
fn the_explanation_is_what_the_gate_does() {
    let configurations = [
        json!({}),
        json!({"preflight": "check"}),
        json!({"default_policy": {"authentication": "optional", "environment": "live"}}),
        json!({"default_policy": {"authentication": "none"}}),
        json!({
            "policies": {"open": {"authentication": "none"}, "live": {"environment": "live"}, "any": {}},
            "routes": [{"match": {"prefix": "/open"}, "policy": "open"}, {"match": {"prefix": "/l"}, "policy": "live"}],
            "default_policy": "any",
        }),
    ];
    let digest = Digester::plain().digest(KEY.as_bytes());
    let digest = URL_SAFE_NO_PAD.encode(digest.bytes());
    let answer = |result: serde_json::Value| {
        let mut result = result;
        result["digest"] = json!(digest);
        json!({"as_of": 9, "results": [result]}).to_string()
    };
    let record = |status: &str, environment: &str| {
        answer(json!({
            "key": {"id": "key_1", "version": 1, "user_id": "usr_1", "status": "active", "environment": environment},
            "user": {"id": "usr_1", "version": 1, "status": status},
        }))
    };
    let records = [
        answer(json!({"key": null})),
        record("active", "live"),
        record("active", "test"),
        record("locked", "live"),
    ];
    let mut outcomes = BTreeSet::new();
    for configuration in &configurations {
        for (method, path) in [
            ("GET", "/"),
            ("OPTIONS", "/"),
            ("GET", "/open/7"),
            ("GET", "/OPEN"),
            ("PUT", "/l"),
        ] {
            for credential in [None, Some(KEY), Some(""), Some("a b")] {
                for policy in [None, Some("open"), Some("live"), Some("nothing")] {
                    for record in &records {
                        let mut headers = vec![
                            (":method", method),
                            (":path", path),
                            ("origin", "x"),
                            ("access-control-request-method", "PUT"),
                        ];
                        headers.extend(credential.map(|value| ("x-api-key", value)));
                        let mut sent = Sent::new(&headers);
                        sent.handed.policy = policy.map(str::to_owned);
                        let chain = record_of(record);
                        let ours = settings(configuration.clone());
                        let told =
                            explain(&ours, &sent, Subject::Carried, chain.as_ref().map(known));
                        let gate = gates_verdict(ours, &sent, record);
                        assert_eq!(
                            told.verdict,
                            gate.err(),
                            "{configuration} {headers:?} {record}"
                        );
                        let without = told.summary.contains("without identity");
                        assert_eq!(
                            gate.is_ok_and(|identity| !identity),
                            without,
                            "{}",
                            told.summary
                        );
                        outcomes.insert(format!("{} {without}", told.code()));
                    }
                }
            }
        }
    }
    // A false pass would be all of them ending in the same way.
    assert_eq!(outcomes.len(), 8, "{outcomes:?}");
}
