//! `GET /v1/changes`: the change feed, a long poll.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keybound::protocol::MOST_CHANGES;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::app::App;
use super::body::Query;
use super::problem::Problem;
use super::record::{KeyRecord, TenantRecord, UserRecord, fitting};
use crate::domain::input::input;
use crate::domain::input::rules::digits;
use crate::store::StoreError;
use crate::store::changes::Changes;
use crate::store::stored::Change;

/// The path, whose requests may take as long as they ask for.
pub const PATH: &str = "/v1/changes";

/// No poll waits longer, whatever it asks for: proxies between us would cut it off.
const LONGEST_WAIT: i64 = 60;

input! {
    /// What to give.
    @extensible
    ChangesQuery {
        /// The cursor of the answer before; without it, the answer is where to begin.
        after: Option<i64> = optional(digits(0, i64::MAX)),
        /// Seconds to wait for a change if there is none, 0 to 60. Default 0.
        // A longer wait is no mistake of the caller: it is answered sooner than it hoped.
        wait: Option<i64> = optional(digits(0, i64::MAX)),
        /// Changes at most, 1 to 500. Default 500.
        limit: Option<i64> = optional(digits(1, i64::MAX)),
    }
}

/// What was written since.
#[derive(Serialize, ToSchema)]
pub struct ChangesAnswer {
    /// What to ask after next.
    cursor: i64,
    /// True: trust nothing that you held before.
    reset: bool,
    #[schema(value_type = Vec<ChangeRecord<'static>>)]
    changes: Vec<Box<RawValue>>,
}

#[derive(Serialize, ToSchema)]
struct ChangeRecord<'a> {
    seq: i64,
    id: &'a str,
    #[serde(flatten)]
    #[schema(inline)]
    body: Body<'a>,
}

#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Body<'a> {
    Tenant {
        tenant: TenantRecord<'a>,
    },
    User {
        user: UserRecord<'a>,
    },
    Key {
        digest: &'a str,
        key: Box<KeyRecord<'a>>,
    },
}

/// Follows the changes of tenants, users and keys.
#[utoipa::path(
    get, path = "/v1/changes", tag = "protocol", params(ChangesQuery),
    responses(
        (status = 200, body = ChangesAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn changes(
    State(app): State<App>,
    Query(query): Query<ChangesQuery>,
) -> Result<Response, Problem> {
    let wait = query.wait.unwrap_or(0).min(LONGEST_WAIT).unsigned_abs();
    // Large ones end an answer before.
    let limit = query.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(MOST_CHANGES).min(MOST_CHANGES);
    let Some(after) = query.after else {
        let now = app.store.refresh_sequence().await?;
        return Ok(Json(ChangesAnswer {
            cursor: now,
            reset: true,
            changes: Vec::new(),
        })
        .into_response());
    };
    let deadline = Instant::now() + Duration::from_secs(wait);
    let found = wait_for_changes(&app, after, limit, deadline).await?;
    if found.as_of == 0 && after > 0 {
        if !app.missed.swap(true, Ordering::Relaxed) {
            tracing::error!(
                cursor = after,
                "a gateway has followed changes that are not here: nothing was ever written to this database, \
                 so its volume is not mounted, or it is the wrong one. Gateways are answered 503"
            );
        }
        return Err(Problem::never_written());
    }
    // A cursor from the future comes from before a backup was restored; one from too far behind
    // would be replayed at more cost than starting over.
    let reset = after > found.as_of || found.as_of - after > app.settings.changes_kept;
    let answer = if reset {
        ChangesAnswer {
            cursor: found.as_of,
            reset,
            changes: Vec::new(),
        }
    } else {
        let changes = fitting(found.changes.iter().map(record))?;
        let found = if changes.len() < found.changes.len() {
            found.first(changes.len())
        } else {
            found
        };
        ChangesAnswer {
            cursor: found.cursor,
            reset,
            changes,
        }
    };
    Ok(Json(answer).into_response())
}

async fn wait_for_changes(
    app: &App,
    after: i64,
    limit: usize,
    deadline: Instant,
) -> Result<Changes, StoreError> {
    let mut sequence = app.store.watch_sequence();
    let mut stopping = app.stopping.clone();
    loop {
        // Marked as seen before the database is read: a commit in between wakes us again.
        sequence.borrow_and_update();
        let found = app.store.changes(after, limit).await?;
        if after != found.as_of || *stopping.borrow() {
            return Ok(found);
        }
        let _follower = app.metrics.follower();
        tokio::select! {
            changed = sequence.changed() => match changed {
                Ok(()) => if let Some(found) = app.store.recent_changes(after, limit) {
                    return Ok(found);
                },
                Err(_) => return Ok(found),
            },
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(found),
            () = tokio::time::sleep_until(deadline) => return Ok(found),
        }
    }
}

fn record(change: &Change) -> ChangeRecord<'_> {
    let (id, body) = match change {
        Change::Tenant(tenant) => (
            &tenant.id,
            Body::Tenant {
                tenant: tenant.as_ref().into(),
            },
        ),
        Change::User(user) => (
            &user.id,
            Body::User {
                user: user.as_ref().into(),
            },
        ),
        Change::Key(key) => (
            &key.id,
            Body::Key {
                digest: key.digest.as_str(),
                key: Box::new(key.as_ref().into()),
            },
        ),
    };
    ChangeRecord {
        seq: change.seq(),
        id,
        body,
    }
}
