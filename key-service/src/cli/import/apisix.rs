//! APISIX: consumers and credentials as its Admin API lists them, one list behind the other.

use serde_json::{Value, json};

use super::converted::{Converted, entries, text, user_of};

/// What stands in the place of a key that is elsewhere.
const REFERENCES: [&str; 2] = ["$secret://", "$env://"];

/// Reads the lists of a file.
pub fn convert(documents: &[Value]) -> Result<Converted, String> {
    let mut converted = Converted::default();
    let mut seen = 0;
    for document in documents {
        for item in entries(document, "list") {
            seen += 1;
            let path = text(item, "key").unwrap_or_default();
            let value = item.get("value").unwrap_or(&Value::Null);
            add(&mut converted, path, value);
        }
    }
    match seen {
        0 => Err(
            "has no list of consumers: is it what the Admin API answered to GET \
             /apisix/admin/consumers?"
                .to_owned(),
        ),
        _ => Ok(converted),
    }
}

fn add(converted: &mut Converted, path: &str, value: &Value) {
    // /apisix/consumers/NAME, or /apisix/consumers/NAME/credentials/ID, whatever stands before.
    let mut parts = path
        .rsplit("/consumers/")
        .next()
        .unwrap_or_default()
        .split('/');
    let in_path = parts.next().filter(|name| !name.is_empty());
    let credential = match (parts.next(), parts.next()) {
        (Some("credentials"), Some(id)) => Some(id),
        _ => None,
    };
    let Some(name) = text(value, "username").or(in_path) else {
        converted.leave_out("an entry of the list", "names no consumer");
        return;
    };
    let label = match credential {
        Some(id) => format!("consumer {name}, credential {id}"),
        None => format!("consumer {name}"),
    };
    for (plugin, settings) in value
        .get("plugins")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        match plugin.as_str() {
            "key-auth" => {}
            plugin if plugin.ends_with("-auth") => {
                converted.leave_out(&label, &format!("{plugin}: no key of key-auth"));
                continue;
            }
            _ => continue,
        }
        match text(settings, "key") {
            None => converted.leave_out(&label, "key-auth without a key"),
            Some(key)
                if REFERENCES
                    .iter()
                    .any(|begin| key.to_ascii_lowercase().starts_with(begin)) =>
            {
                let why =
                    format!("{key} refers to a key that is elsewhere: put the key in its place");
                converted.leave_out(&label, &why);
            }
            Some(key) => {
                let line = json!({
                    "key": key, "user_id": user_of(name), "name": credential.unwrap_or(name),
                });
                converted.add(label.clone(), &line);
            }
        }
    }
}
