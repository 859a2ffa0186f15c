//! A key service for the tests of the edge: it knows active keys, and which were revoked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::calls::{Answer, Call, Ending, Handling};
use crate::stream::headers;
use crate::threads::lock;

/// See above. Clones are the same service.
#[derive(Clone, Default)]
pub struct KeyService(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// By digest: name, version, whether it is active.
    keys: BTreeMap<String, (String, u64, bool)>,
    sequence: u64,
    changes: Vec<Value>,
    asked: usize,
}

impl KeyService {
    /// Makes a key of a user and a tenant of the same name, or makes it active or not.
    pub fn has(&self, credential: &str, name: &str, is_active: bool) {
        let mut known = lock(&self.0);
        known.sequence += 1;
        let (digest, sequence) = (digest(credential), known.sequence);
        known
            .keys
            .insert(digest.clone(), (name.to_owned(), sequence, is_active));
        let key = known.record(&digest)["key"].take();
        known.changes.push(json!({
            "seq": sequence, "kind": "key", "id": format!("key_{name}"), "digest": digest, "key": key,
        }));
    }

    /// How many digests it was asked about.
    pub fn asked(&self) -> usize {
        lock(&self.0).asked
    }

    /// What it answers to a call. Nothing to a poll that waits for changes.
    pub fn answer(&self, call: &Call) -> Option<Ending> {
        let mut known = lock(&self.0);
        let path = call.header(":path");
        let body = if path.ends_with("/resolve") {
            let asked: Value = serde_json::from_slice(&call.body).expect("JSON");
            let digests = asked["digests"].as_array().expect("digests").clone();
            known.asked += digests.len();
            let digests = digests.iter().filter_map(Value::as_str);
            let results: Vec<Value> = digests.map(|digest| known.record(digest)).collect();
            json!({"as_of": known.sequence, "results": results})
        } else if path.contains("/changes?") {
            let after = path
                .split(['?', '&'])
                .find_map(|part| part.strip_prefix("after="));
            let Some(after) = after.and_then(|after| after.parse::<u64>().ok()) else {
                return Some(marked(
                    &json!({"cursor": known.sequence, "reset": true, "changes": []}),
                ));
            };
            let is_new = |change: &&Value| change["seq"].as_u64() > Some(after);
            let changes: Vec<&Value> = known.changes.iter().filter(is_new).collect();
            if changes.is_empty() {
                return None;
            }
            json!({"cursor": known.sequence, "reset": false, "changes": changes})
        } else {
            return Some(status("204"));
        };
        Some(marked(&body))
    }

    /// What Envoy does with a call: answers it by what is known, and lets a poll wait.
    pub fn handles(&self, call: &Call) -> Handling {
        self.answer(call).map_or(Handling::Takes, Handling::Soon)
    }
}

impl Known {
    fn record(&self, digest: &str) -> Value {
        let Some((name, version, is_active)) = self.keys.get(digest) else {
            return json!({"digest": digest, "key": null});
        };
        let status = if *is_active { "active" } else { "revoked" };
        let (key, user, tenant) = (
            format!("key_{name}"),
            format!("usr_{name}"),
            format!("ten_{name}"),
        );
        json!({
            "digest": digest,
            "key": {"id": key, "version": version, "user_id": user, "tenant_id": tenant, "environment": "live",
                "status": status, "scopes": ["orders:read"]},
            "user": {"id": user, "version": 1, "tenant_id": tenant, "status": "active"},
            "tenant": {"id": tenant, "version": 1, "status": "active"},
        })
    }
}

fn digest(credential: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(credential))
}

fn status(status: &str) -> Ending {
    let headers = headers(&[(":status", status), ("x-keybound-protocol", "1")]);
    Ending::Answered(Answer {
        headers,
        body: Vec::new(),
    })
}

/// A body comes in pieces, and one of them is empty.
fn marked(body: &Value) -> Ending {
    let Ending::Answered(mut answer) = status("200") else {
        return Ending::Broken;
    };
    let body = body.to_string().into_bytes();
    let (first, second) = body.split_at(body.len() / 2);
    answer.body = vec![first.to_vec(), Vec::new(), second.to_vec()];
    Ending::Answered(answer)
}
