//! Envoy Gateway: the Secrets of a SecurityPolicy's `apiKeyAuth`, as `kubectl get -o yaml` writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::converted::{Converted, entries, text, user_of};

/// Reads the Secrets of a file.
pub fn convert(documents: &[Value]) -> Result<Converted, String> {
    let mut converted = Converted::default();
    let mut secrets = 0;
    for document in documents {
        secrets += match text(document, "kind") {
            Some("List" | "SecretList") => entries(document, "items")
                .map(|item| add(&mut converted, item))
                .sum(),
            _ => add(&mut converted, document),
        };
    }
    match secrets {
        0 => Err("has no Secret: is it what \"kubectl get secret -o yaml\" wrote?".to_owned()),
        _ => Ok(converted),
    }
}

/// How many Secrets that was.
fn add(converted: &mut Converted, object: &Value) -> usize {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    let secret = format!("Secret {}", name.unwrap_or("without a name"));
    match text(object, "kind") {
        Some("Secret") => {}
        Some("SealedSecret") => {
            converted.leave_out(&secret, "is sealed: export the Secret that it becomes");
            return 1;
        }
        _ => return 0,
    }
    let clients = |field| {
        object
            .get(field)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    };
    let plain = object.get("stringData").and_then(Value::as_object);
    for (client, value) in clients("data") {
        // In the cluster it would be replaced by the plain one.
        if plain.is_some_and(|plain| plain.contains_key(client)) {
            continue;
        }
        let decoded = value
            .as_str()
            .and_then(|value| STANDARD.decode(value.trim()).ok());
        match decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(key) => add_key(converted, &secret, client, &key),
            None => converted.leave_out(
                &format!("{secret}, client {client}"),
                "its value is not base64 of a text: is it encrypted?",
            ),
        }
    }
    for (client, value) in clients("stringData") {
        match value.as_str() {
            Some(key) => add_key(converted, &secret, client, key),
            None => converted.leave_out(
                &format!("{secret}, client {client}"),
                "its value is no text: put it into quotes",
            ),
        }
    }
    1
}

fn add_key(converted: &mut Converted, secret: &str, client: &str, key: &str) {
    let line = json!({"key": key, "user_id": user_of(client), "name": client});
    converted.add(format!("{secret}, client {client}"), &line);
}
