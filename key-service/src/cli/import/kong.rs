//! Kong: what `deck gateway dump` writes, YAML or JSON.

use serde_json::{Value, json};

use super::converted::{Converted, entries, text, user_of};

/// What consumers have beside keys.
const OTHERS: [(&str, &str); 6] = [
    (
        "keyauth_enc_credentials",
        "keys of key-auth-enc are exported encrypted",
    ),
    ("basicauth_credentials", "no keys of key-auth"),
    ("hmacauth_credentials", "no keys of key-auth"),
    ("jwt_secrets", "no keys of key-auth"),
    ("oauth2_credentials", "no keys of key-auth"),
    ("mtls_auth_credentials", "no keys of key-auth"),
];

/// What stands in the place of a key that is elsewhere.
const REFERENCES: [&str; 2] = ["{vault://", "${{"];

/// Reads the consumers of a file.
pub fn convert(documents: &[Value], now: i64) -> Result<Converted, String> {
    let mut converted = Converted::default();
    let mut consumers = 0;
    for document in documents {
        if entries(document, "keyauth_credentials").next().is_some() {
            return Err(
                "has keys beside its consumers, as \"kong config db_export\" writes them: export it with \
                 \"deck gateway dump\""
                    .to_owned(),
            );
        }
        for consumer in entries(document, "consumers") {
            consumers += 1;
            add(&mut converted, consumer, now);
        }
    }
    match consumers {
        0 => Err("has no consumers: is it what \"deck gateway dump\" wrote?".to_owned()),
        _ => Ok(converted),
    }
}

fn add(converted: &mut Converted, consumer: &Value, now: i64) {
    let Some(name) = text(consumer, "username").or_else(|| text(consumer, "custom_id")) else {
        converted.leave_out("a consumer", "has neither username nor custom_id");
        return;
    };
    let label = format!("consumer {name}");
    let groups: Vec<&str> = entries(consumer, "acls")
        .filter_map(|acl| text(acl, "group"))
        .collect();
    let mut keys = 0;
    for credential in entries(consumer, "keyauth_credentials") {
        keys += 1;
        let Some(key) = text(credential, "key") else {
            converted.leave_out(&label, "a key is no text: put it into quotes");
            continue;
        };
        if REFERENCES.iter().any(|begin| key.starts_with(begin)) {
            let why = format!("{key} refers to a key that is elsewhere: put the key in its place");
            converted.leave_out(&label, &why);
            continue;
        }
        let mut line =
            json!({"key": key, "user_id": user_of(name), "name": name, "scopes": groups});
        if let Some(end) = end(credential, now) {
            line["expires_at"] = end.into();
        }
        converted.add(label.clone(), &line);
    }
    for (field, why) in OTHERS {
        let count = entries(consumer, field).count();
        keys += count;
        if count > 0 {
            converted.leave_out(&label, &format!("{count} {field}: {why}"));
        }
    }
    if keys == 0 {
        converted.leave_out(&label, "has no key");
    }
}

/// A life is counted from when the key was made, where the file says when that was. Without it, it is what was left of
/// it when the file was written.
fn end(credential: &Value, now: i64) -> Option<i64> {
    let number = |name| credential.get(name).and_then(Value::as_i64);
    let ttl = number("ttl").filter(|ttl| *ttl > 0)?;
    Some(number("created_at").unwrap_or(now).saturating_add(ttl))
}
