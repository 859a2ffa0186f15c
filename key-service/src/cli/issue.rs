//! New keys, whose text is in one answer and nowhere else: what nobody has got is revoked again.

use serde_json::{Value, json};
use ureq::http::Method;

use super::client::{Remote, encoded};
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

/// Creates a key and prints it.
pub fn create(remote: &Remote, body: Value) -> Outcome {
    let answer = remote.call(&Method::POST, "/keys", Some(body))?;
    hand_over(remote, &answer).map_err(|error| {
        let taken_back = withdraw(remote, &answer);
        Failure::Refused(format!("{} {taken_back}", unseen(&error)))
    })
}

/// Rotates the key at this path and prints the new one.
pub fn rotate(remote: &Remote, path: &str, body: Value) -> Outcome {
    let before = remote.call(&Method::GET, path, None)?;
    let answer = remote.call(&Method::POST, &format!("{path}/rotate"), Some(body))?;
    hand_over(remote, &answer).map_err(|error| {
        let taken_back = withdraw(remote, &answer);
        let as_before = restore(remote, path, &before);
        Failure::Refused(format!("{} {taken_back} {as_before}", unseen(&error)))
    })
}

fn hand_over(remote: &Remote, answer: &Value) -> std::io::Result<()> {
    let text = match remote.json {
        true => output::json_text(answer),
        false => output::record_text(answer, ISSUED),
    };
    output::deliver(&text)?;
    if !remote.json {
        output::note("Keep the secret now: it is not stored and cannot be shown again.");
    }
    Ok(())
}

fn unseen(error: &std::io::Error) -> String {
    format!("the new key could not be written to standard output ({error}).")
}

/// Revokes a key that nobody has got, and says what became of that.
fn withdraw(remote: &Remote, answer: &Value) -> String {
    let id = id_of(answer);
    let path = format!("/keys/{}/revoke", encoded(id));
    let reason = json!({"reason": "nobody got it: its text could not be written"});
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
