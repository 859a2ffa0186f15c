//! New keys, whose text is in one answer and nowhere else: what nobody has got is revoked again.

use serde_json::{Value, json};
use ureq::http::Method;

use super::client::{Remote, encoded};
use super::deliver::Destination;
use super::outcome::{Failure, Outcome};
use super::output::{self, Column};

const ISSUED: &[Column] = &[
    Column::text("SECRET", "/secret"),
    Column::text("ID", "/id"),
    Column::text("USER", "/user_id"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("SCOPES", "/scopes"),
    Column::time("EXPIRES", "/expires_at"),
];

/// The same of a key that somebody else keeps.
const DELIVERED: &[Column] = ISSUED.split_at(1).1;

/// Creates a key and hands it over.
pub fn create(remote: &Remote, body: Value, to: &Destination) -> Outcome {
    to.check().map_err(Failure::Refused)?;
    let answer = remote.call(&Method::POST, "/keys", Some(body))?;
    hand_over(remote, &answer, to).map_err(|why| {
        let taken_back = withdraw(remote, &answer);
        Failure::Refused(format!("{why}. {taken_back}"))
    })
}

/// Rotates the key at this path and hands the new one over.
pub fn rotate(remote: &Remote, path: &str, body: Value, to: &Destination) -> Outcome {
    to.check().map_err(Failure::Refused)?;
    let before = remote.call(&Method::GET, path, None)?;
    let answer = remote.call(&Method::POST, &format!("{path}/rotate"), Some(body))?;
    hand_over(remote, &answer, to).map_err(|why| {
        let taken_back = withdraw(remote, &answer);
        let as_before = restore(remote, path, &before);
        Failure::Refused(format!("{why}. {taken_back} {as_before}"))
    })
}

/// An error says why nobody has the key.
fn hand_over(remote: &Remote, answer: &Value, to: &Destination) -> Result<(), String> {
    if to.is_elsewhere() {
        let key = answer.get("secret").and_then(Value::as_str);
        to.deliver(key.ok_or("the service answered without a key")?)?;
        let mut shown = answer.clone();
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("secret");
        }
        remote.print(&shown, DELIVERED);
        return Ok(());
    }
    let text = match remote.json {
        true => output::json_text(answer),
        false => output::record_text(answer, ISSUED),
    };
    output::deliver(&text).map_err(|error| {
        format!("the new key could not be written to standard output ({error})")
    })?;
    if !remote.json {
        output::note("Keep the secret now: it is not stored and cannot be shown again.");
    }
    Ok(())
}

/// Revokes a key that nobody has got, and says what became of that.
fn withdraw(remote: &Remote, answer: &Value) -> String {
    let id = id_of(answer);
    let path = format!("/keys/{}/revoke", encoded(id));
    let reason = json!({"reason": "nobody got it: it could not be handed over"});
    match remote.call(&Method::POST, &path, Some(reason)) {
        Ok(_) => format!("Nobody has it: {id} is revoked again."),
        Err(failure) => format!(
            "It could not be revoked again ({}): key-service key revoke {id}.",
            failure.parts().1
        ),
    }
}

/// Gives a key whose successor was withdrawn its life back, and says what became of that.
fn restore(remote: &Remote, path: &str, before: &Value) -> String {
    let id = id_of(before);
    let body = json!({"replaced_by": null, "expires_at": before.get("expires_at")});
    match remote.call(&Method::PATCH, path, Some(body)) {
        Ok(_) => format!("{id} is as it was."),
        Err(failure) => format!(
            "{id} could not be given its life back ({}): it ends as if it had been rotated.",
            failure.parts().1
        ),
    }
}

fn id_of(record: &Value) -> &str {
    record.get("id").and_then(Value::as_str).unwrap_or_default()
}
