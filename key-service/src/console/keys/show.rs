//! `/console/keys/{id}`: a key, its chain, its fences, its use, and what became of it.

use axum::http::Method;
use serde_json::json;

use crate::console::api::{List, of};
use crate::console::chain::{chain, without_request};
use crate::console::error::Stop;
use crate::console::links::{self, encoded};
use crate::console::list::Asked;
use crate::console::page::Section;
use crate::console::parts::{Badge, Cell};
use crate::console::record::{Deed, Id, Piece, RecordPage, audit, usage};
use crate::console::records::{AuditEntry, Explanation, Hours, Key};
use crate::console::visit::{Staff, Visit};

/// The page.
pub async fn show(Staff(visit): Staff, Id(id): Id, asked: Asked) -> Result<RecordPage, Stop> {
    let path = of("keys", &id);
    let key: Key = visit.api.get(&path).await?;
    let title = format!("Key {}", key.name.as_ref().unwrap_or(&key.id));
    let frame = visit.page(Section::Keys, title).after(asked.done());
    let badges = vec![Badge::status(&key.status), Badge::verdict(&key.verdict)];
    let mut page = RecordPage::new(frame, badges);
    deeds(&mut page, &key);
    page.tell("chain", "The chain", why(&visit, &key).await?);
    let predecessor = predecessor(&visit, &key).await?;
    page.tell(
        "facts",
        "The key",
        vec![Piece::Facts(facts(&key, predecessor))],
    );
    page.tell("fences", "Fences", vec![Piece::Facts(fences(&key))]);
    page.tell(
        "used",
        "Use",
        usage(&visit, &format!("{path}/usage")).await?,
    );
    page.tell("audit", "Changes", audit(&visit, "key", &key.id).await?);
    Ok(page)
}

fn deeds(page: &mut RecordPage, key: &Key) {
    let at = |what: &str| format!("{}/{what}", links::key(&key.id));
    page.deeds.push(Deed::page(
        format!("/console/why?key_id={}", encoded(&key.id)),
        "Why?",
    ));
    if key.status == "revoked" {
        if let Some(user) = &key.user_id {
            let href = format!("/console/keys/new?user={}", encoded(user));
            page.can(Deed::page(href, "New key"));
        }
        return;
    }
    page.can(Deed::page(at("change"), "Change"));
    if key.replaced_by.is_none() {
        page.can(Deed::page(at("rotate"), "Rotate"));
    }
    match key.status.as_str() {
        "disabled" => page.can(Deed::at_once(at("enable"), "Enable", &key.id)),
        _ => page.can(Deed::stop(at("disable"), "Disable")),
    }
    page.can(Deed::stop(at("revoke"), "Revoke"));
}

/// The chain, and what to do where it breaks.
async fn why(visit: &Visit, key: &Key) -> Result<Vec<Piece>, Stop> {
    let question = json!({"key_id": key.id});
    let answer = visit
        .api
        .send(Method::POST, "explain", Some(question))
        .await;
    let explanation: Explanation = match answer.map(serde_json::from_value) {
        Ok(Ok(explanation)) => explanation,
        Ok(Err(_)) => return Ok(vec![Piece::Text("The chain cannot be read.".to_owned())]),
        // The page tells all else of the key.
        Err(problem) => return Ok(vec![Piece::Text(problem.detail)]),
    };
    let next_step = explanation.next_step.clone();
    let asked_of_requests = explanation.verdict.clone();
    let explanation = without_request(explanation);
    let mut pieces = vec![Piece::Chain(chain(&explanation, Some(key), visit))];
    if explanation.verdict != "allowed" && explanation.verdict == asked_of_requests {
        pieces.push(Piece::Text(format!("Next step: {next_step}")));
    }
    Ok(pieces)
}

/// The key that this one replaces. Both are written in the same second, when a key is rotated.
async fn predecessor(visit: &Visit, key: &Key) -> Result<Option<String>, Stop> {
    let (since, until) = (key.created_at, key.created_at + 1);
    let path = format!("audit?kind=key&since={since}&until={until}&limit=500");
    let written: List<AuditEntry> = visit.api.get(&path).await?;
    let replaces = |entry: &AuditEntry| {
        let after = entry.after.as_ref();
        after.is_some_and(|after| after["replaced_by"] == key.id.as_str())
    };
    let mut written = written.items.into_iter();
    Ok(written.find(replaces).map(|entry| entry.entity_id))
}

fn facts(key: &Key, predecessor: Option<String>) -> Vec<(&'static str, Cell)> {
    let text = |text: &Option<String>| Cell::text_or(text.as_deref(), "none");
    let mut facts = vec![
        ("Id", Cell::Code(key.id.clone())),
        ("Name", text(&key.name)),
        (
            "Hint",
            key.hint.clone().map_or(Cell::None("none"), Cell::Code),
        ),
        ("User", Cell::record(key.user_id.as_deref(), links::user)),
        (
            "Tenant",
            Cell::record(key.tenant_id.as_deref(), links::tenant),
        ),
        ("Purpose", text(&key.purpose)),
        ("Contact", text(&key.contact)),
        ("Made", Cell::time_or(Some(key.created_at), "")),
        (
            "Rotate every",
            Cell::text_or(key.rotate_every.as_deref(), "never"),
        ),
    ];
    if let Some(old) = predecessor {
        facts.push(("Replaces", Cell::record(Some(&old), links::key)));
    }
    if let Some(new) = &key.replaced_by {
        let cells = vec![
            Cell::record(Some(new), links::key),
            Cell::time_or(key.replaced_at, ""),
        ];
        facts.push(("Replaced by", Cell::Several(cells)));
    }
    if let Some(at) = key.revoked_at {
        facts.push(("Revoked", Cell::time_or(Some(at), "")));
        facts.push((
            "Reason",
            Cell::text_or(key.revoked_reason.as_deref(), "none given"),
        ));
    }
    if let Some(at) = key.leaked_at {
        facts.push(("Reported to be public", Cell::time_or(Some(at), "")));
    }
    facts
}

/// What narrows a key.
pub fn fences(key: &Key) -> Vec<(&'static str, Cell)> {
    vec![
        ("Scopes", Cell::words(Some(&key.scopes), "none", "none")),
        (
            "Networks",
            Cell::words(key.networks.as_deref(), "anywhere", "nowhere"),
        ),
        ("Hours (UTC)", hours(key.hours.as_ref())),
        (
            "Environment",
            Cell::text_or(key.environment.as_deref(), "none"),
        ),
        ("Not before", Cell::time_or(key.not_before, "no bound")),
        ("Expires", Cell::time_or(key.expires_at, "never")),
    ]
}

fn hours(hours: Option<&Hours>) -> Cell {
    match hours {
        None => Cell::None("always"),
        Some(hours) if hours.days.is_empty() => Cell::None("never: no day is named"),
        Some(hours) => Cell::Text(format!(
            "{}, {} to {}",
            hours.days.join(", "),
            hours.from,
            hours.to
        )),
    }
}
