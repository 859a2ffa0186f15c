//! The outbox: messages for webhooks, written in the transaction of the change that they are about. What is acknowledged
//! is told, and what was not done is not.

use serde::Serialize;

use super::columns::json_text;
use super::database::Engine;
use super::error::StoreError;
use super::sql::Statement;
use super::stored::Change;
use crate::domain::audit::Action;
use crate::domain::text::new_id;
use crate::domain::webhook::Event;

/// Messages that wait for one receiver at most; later ones are not written until some are taken.
const MOST_WAITING: i64 = 10_000;

/// What somebody may want to be told of a write.
pub(super) fn events(action: Action, before: Option<Change>, after: &Change) -> Vec<Event> {
    match (before, after) {
        (None, Change::Key(after)) => Event::of_key(action, None, after),
        (Some(Change::Key(before)), Change::Key(after)) => {
            Event::of_key(action, Some(&before), after)
        }
        (Some(Change::User(before)), Change::User(after)) => {
            Event::of_user(Some(&before), after).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// An event, as it is sent to the database.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    event: &'static str,
    tenant_id: Option<&'a str>,
    payload: String,
}

/// Writes messages of these to everybody who wants them, all at once: over a network, each way counts.
pub(super) fn messages(
    events: &[Event],
    engine: &Engine,
    now: i64,
) -> Result<Statement, StoreError> {
    let told = events.iter().map(|event| Told {
        id: new_id("msg_"),
        event: event.kind.as_str(),
        tenant_id: event.tenant_id.as_deref(),
        payload: event.message(now),
    });
    let told = json_text(&told.collect::<Vec<_>>())?;
    let rows = match engine {
        Engine::Sqlite(_) => "json_each($1)",
        Engine::Postgres(_) => "json_array_elements($1::json)",
    };
    let sql = format!(
        "INSERT INTO webhook_messages (event_id, webhook_id, event, payload, created_at, attempts, next_at, state) \
         SELECT told.value ->> 'id', ready.id, told.value ->> 'event', told.value ->> 'payload', $2, 0, $2, 'pending' \
         FROM {rows} AS told CROSS JOIN (SELECT id, tenant_id, events FROM webhooks WHERE \
         (SELECT count(*) FROM webhook_messages WHERE webhook_id = webhooks.id) < $3) AS ready \
         WHERE ready.events LIKE '%,' || (told.value ->> 'event') || ',%' \
         AND (ready.tenant_id IS NULL OR ready.tenant_id = (told.value ->> 'tenant_id'))"
    );
    Ok(Statement::new(sql).bind(told).bind(now).bind(MOST_WAITING))
}
