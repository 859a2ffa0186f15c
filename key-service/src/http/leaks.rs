//! `/admin/v1/leaks`, and what becomes of a key that was found where everybody can read it, whoever reports it.

use std::collections::{BTreeSet, HashMap};

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::body::Body;
use super::problem::Problem;
use crate::domain::audit::Action;
use crate::domain::credential::Digest;
use crate::domain::key::{Key, KeyStatus};
use crate::domain::leak::{LeakOutcome, LeakReport, ReportedKey, place};
use crate::domain::time::now;
use crate::store::{Note, Urgency, View};

/// Keys that are looked at, and revoked, at a time: others write in between.
const PART: usize = 100;

/// What became of the keys of a report.
#[derive(Serialize, ToSchema)]
pub struct LeakResults {
    /// One a key, in the order of the report: those of `keys`, then those of `digests`.
    results: Vec<ReportedKey>,
}

/// A key that was found.
pub struct Found {
    /// Its digest; nothing for what cannot be a key.
    pub digest: Option<Digest>,
    /// Where.
    pub at: Option<String>,
}

/// Reports keys that were found somewhere: each is revoked at once and for good, or flagged where the rules of its
/// tenant say so. Reporting one again changes nothing.
#[utoipa::path(
    post, path = "/admin/v1/leaks", tag = "leaks", request_body = LeakReport,
    responses(
        (status = 200, description = "What became of each", body = LeakResults),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn report(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Body(report): Body<LeakReport>,
) -> Result<Json<LeakResults>, Problem> {
    report.check()?;
    let at = report.found_at.as_deref().and_then(place);
    let of_keys = report
        .keys
        .iter()
        .map(|key| app.settings.digester.digest(key));
    let found: Vec<Found> = of_keys
        .chain(report.digests.iter().cloned())
        .map(|digest| Found {
            digest: Some(digest),
            at: at.clone(),
        })
        .collect();
    let results = stop(&app, &view, &found).await?;
    Ok(Json(LeakResults { results }))
}

/// Revokes or flags what was found, a part at a time, and gives what became of each, in order.
pub async fn stop(app: &App, view: &View, found: &[Found]) -> Result<Vec<ReportedKey>, Problem> {
    let mut results = Vec::with_capacity(found.len());
    for part in found.chunks(PART) {
        let outcomes = stop_part(view, part).await?;
        for leaked in outcomes.values() {
            app.metrics.leaked(leaked.outcome);
        }
        for found in part {
            let digest = found.digest.as_ref().map(Digest::as_str);
            let outcome = digest.and_then(|digest| outcomes.get(digest));
            results.push(outcome.cloned().unwrap_or_else(|| {
                app.metrics.leaked(LeakOutcome::Unknown);
                ReportedKey::UNKNOWN
            }));
        }
    }
    Ok(results)
}

/// What became of those keys that there are, by their digests.
async fn stop_part(view: &View, part: &[Found]) -> Result<HashMap<String, ReportedKey>, Problem> {
    let places: HashMap<&str, Option<&str>> = part
        .iter()
        .filter_map(|found| Some((found.digest.as_ref()?.as_str(), found.at.as_deref())))
        .collect();
    let digests: Vec<&str> = places.keys().copied().collect();
    // Before a write is begun: whoever reports what nobody knows holds up nobody.
    let taken = view.taken_keys(&digests, &[]).await?;
    let known: Vec<Key> = taken
        .into_iter()
        .filter(|taken| taken.seen)
        .map(|taken| taken.key)
        .collect();
    let mut outcomes = HashMap::new();
    let mut tell = |key: &Key, outcome| {
        let leaked = ReportedKey {
            outcome,
            key_id: Some(key.id.clone()),
        };
        outcomes.insert(key.digest.as_str().to_owned(), leaked);
    };
    let (over, alive): (Vec<Key>, Vec<Key>) = known
        .into_iter()
        .partition(|key| key.status == KeyStatus::Revoked);
    for key in &over {
        tell(key, LeakOutcome::RevokedBefore);
    }
    if alive.is_empty() {
        return Ok(outcomes);
    }
    let mut write = view.write_as(Urgency::Stop, now()).await?;
    let tenants: BTreeSet<&str> = alive
        .iter()
        .filter_map(|key| key.tenant_id.as_deref())
        .collect();
    let tenants: Vec<&str> = tenants.into_iter().collect();
    let rules = write.key_rules_of(&tenants).await?;
    let ids: Vec<&str> = alive.iter().map(|key| key.id.as_str()).collect();
    // As they are in the turn of this write.
    for before in write.by_ids::<Key>(&ids).await? {
        let of_tenant = before.tenant_id.as_ref().and_then(|id| rules.get(id));
        let on_leak = of_tenant
            .and_then(|rules| rules.on_leak)
            .unwrap_or_default();
        let at = places.get(before.digest.as_str()).copied().flatten();
        let (outcome, after) = before.leaked(on_leak, at, write.now());
        tell(&before, outcome);
        if let Some(after) = after {
            let action = match outcome {
                LeakOutcome::Revoked => Action::Revoke,
                _ => Action::Update,
            };
            let note = at.map(|at| ("found_at", at.into()));
            let note = Note::from_iter(note);
            write.put_noting(action, &before, after, note).await?;
            tracing::warn!(
                key = before.id,
                outcome = outcome.as_str(),
                "a key was reported to be public"
            );
        }
    }
    write.commit().await?;
    Ok(outcomes)
}
