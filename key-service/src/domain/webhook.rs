//! Whom to tell of what becomes of keys, and of what.

use serde::Serialize;
use serde_json::{Value, json};
use ureq::http::Uri;
use utoipa::ToSchema;

use super::audit::Action;
use super::input::input;
use super::input::rules::{List, Text, Word};
use super::key::{Key, KeyStatus};
use super::text::{ID, new_id};
use super::time;
use super::user::User;
use super::words::words;

words! {
    /// What somebody is told of.
    #[derive(PartialOrd, Ord)]
    EventKind {
        /// A key was made, but by an import.
        #[serde(rename = "key.created")]
        KeyCreated = "key.created",
        /// A key was replaced by a new one.
        #[serde(rename = "key.rotated")]
        KeyRotated = "key.rotated",
        /// A key without a successor expires within 7 days. Told once a day.
        #[serde(rename = "key.expiring")]
        KeyExpiring = "key.expiring",
        /// A key was revoked.
        #[serde(rename = "key.revoked")]
        KeyRevoked = "key.revoked",
        /// A key was reported to be public.
        #[serde(rename = "key.leaked")]
        KeyLeaked = "key.leaked",
        /// A user was suspended, locked, deactivated, deleted or set to pending: its keys are refused.
        #[serde(rename = "user.stopped")]
        UserStopped = "user.stopped",
    }
}

/// What expires within this time is told of.
pub const EXPIRES_WITHIN: i64 = 7 * time::DAY;
/// Webhooks at most: each write asks which of them want to be told.
pub const MOST_WEBHOOKS: i64 = 1000;
/// Webhooks of one tenant at most, and those of none: each message is written for every one that wants it.
pub const MOST_OF_ONE: i64 = 20;

/// Where messages are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    #[schema(example = "whk_0aB1cD2eF3gH4iJ5")]
    pub id: String,
    /// The tenant whose keys and users it is told of alone; null is all.
    pub tenant_id: Option<String>,
    /// Where messages are sent.
    #[schema(example = "https://hooks.example.com/keybound")]
    pub url: String,
    /// What it is told of.
    pub events: Vec<EventKind>,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
}

input! {
    /// Where to send messages of what.
    WebhookDraft {
        /// `https`, without a user or password in it.
        url: String = required(URL; "https://hooks.example.com/keybound"),
        /// What to tell of.
        events: Vec<EventKind> = required(EVENTS; json!(["key.expiring", "key.revoked"])),
        /// The tenant whose keys and users to tell of; missing is all, or the one of the token.
        tenant_id: Option<String> = optional(ID),
    }
}

input! {
    /// Which messages to send again.
    Redelivery {
        /// The id of one; all that nobody tries any more where it is missing.
        event_id: Option<String> = optional(ID),
    }
}

const EVENTS: List<Word<EventKind>> = List {
    items: EventKind::RULE,
    least: 1,
    most: EventKind::WORDS.len(),
};

const LONGEST_URL: usize = 500;

const URL: Text<String> = Text {
    parse: url,
    bounds: || json!({"minLength": 1, "maxLength": LONGEST_URL, "format": "uri"}),
};

/// A URL to which messages can be sent.
fn url(text: &str) -> Result<String, String> {
    const WRONG: &str = "must be a URL such as https://hooks.example.com/keybound, without a user, a password or a fragment";
    let uri: Uri = text.parse().map_err(|_| WRONG.to_owned())?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let fits = text.len() <= LONGEST_URL
        && ["https", "http"].contains(&scheme)
        && uri.host().is_some_and(|host| !host.is_empty())
        && !authority.contains('@')
        && !text.contains('#');
    match fits {
        true => Ok(text.to_owned()),
        false => Err(WRONG.to_owned()),
    }
}

impl Webhook {
    /// A new one.
    pub fn create(draft: WebhookDraft, now: i64) -> Self {
        let mut events = draft.events;
        events.sort_unstable();
        events.dedup();
        Self {
            id: new_id("whk_"),
            tenant_id: draft.tenant_id,
            url: draft.url,
            events,
            created_at: now,
        }
    }
}

/// Something that somebody may want to be told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Of whose key or user.
    pub tenant_id: Option<String>,
    /// The record, as the API shows it.
    pub data: Value,
}

impl Event {
    /// What somebody is told where a key is written.
    pub fn of_key(action: Action, before: Option<&Key>, after: &Key) -> Vec<Self> {
        let is_new = before.is_none() && action == Action::Create;
        let was = |is: fn(&Key) -> bool| before.is_some_and(|before| !is(before) && is(after));
        let kinds = [
            (EventKind::KeyCreated, is_new),
            (EventKind::KeyRotated, was(|key| key.replaced_by.is_some())),
            (EventKind::KeyLeaked, was(|key| key.leaked_at.is_some())),
            (
                EventKind::KeyRevoked,
                was(|key| key.status == KeyStatus::Revoked),
            ),
        ];
        let told = kinds.into_iter().filter(|(_, is_so)| *is_so);
        told.map(|(kind, _)| Self::about_key(kind, after)).collect()
    }

    /// What somebody is told of a key.
    pub fn about_key(kind: EventKind, key: &Key) -> Self {
        Self {
            kind,
            tenant_id: key.tenant_id.clone(),
            data: json!({ "key": key }),
        }
    }

    /// What somebody is told where a user is written.
    pub fn of_user(before: Option<&User>, after: &User) -> Option<Self> {
        before.filter(|before| before.is_stopped_by(after))?;
        Some(Self {
            kind: EventKind::UserStopped,
            tenant_id: after.tenant_id.clone(),
            data: json!({ "user": after }),
        })
    }

    /// The message, as it is signed and sent. `now` is when it happened.
    pub fn message(&self, now: i64) -> String {
        json!({"type": self.kind.as_str(), "timestamp": time::shown(now), "data": self.data})
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_that_messages_can_be_sent_to() {
        for good in [
            "https://hooks.example.com",
            "https://hooks.example.com:8443/a?b=c",
            "http://127.0.0.1:9/x",
            "https://[2606:4700::1]/",
        ] {
            assert!(url(good).is_ok(), "{good}");
        }
        let long = format!("https://a/{}", "x".repeat(500));
        for bad in [
            "",
            "/path",
            "hooks.example.com",
            "ftp://hooks.example.com",
            "https://anna:secret@hooks.example.com",
            "https://hooks.example.com/#part",
            "https:///path",
            "https://a b",
            &long,
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
