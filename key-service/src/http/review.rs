//! `/admin/v1/review`: every key that asks for a look, and how many there are.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::body::Query;
use super::page::{List, PAGE_TOKEN};
use super::problem::Problem;
use crate::domain::input::input;
use crate::domain::input::rules::digits;
use crate::domain::reach::Reach;
use crate::domain::review::{Counts, DORMANT_AFTER, EXPIRES_WITHIN, Review, ReviewReason};
use crate::domain::text::ID;
use crate::domain::time::{DURATION, now};
use crate::store::page::Page;
use crate::store::review::Found;
use crate::store::{StoreError, View};

/// Entries of a page, unless the request says otherwise, and at most: a review is read as a whole.
const DEFAULT_LIMIT: i64 = 100;
const HIGHEST_LIMIT: i64 = 5000;
/// Parts that are looked at for one page, also where few keys ask for a look: no request takes for ever.
const MOST_PARTS: usize = 50;

input! {
    /// Which keys to review, and how.
    ReviewQuery {
        /// Only those of this tenant.
        tenant: Option<String> = optional(ID),
        /// How long a key is unused before it is `dormant`. Default `90d`.
        dormant_after: Option<i64> = optional(DURATION),
        /// Only keys that have this reason; all reasons of each are told.
        reason: Option<ReviewReason> = optional(ReviewReason::RULE),
        /// Within which time an end is `expires_soon`. Default `30d`.
        expires_within: Option<i64> = optional(DURATION),
        /// Entries at most, 1 to 5000. Default 100. There may be fewer, and a next page.
        limit: Option<i64> = optional(digits(1, HIGHEST_LIMIT)),
        /// `next_page_token` of the page before.
        page_token: Option<i64> = optional(PAGE_TOKEN),
    }
}

/// A key that asks for a look.
#[derive(Serialize, ToSchema)]
pub struct ReviewItem {
    /// Id of the key.
    key_id: String,
    /// Its user.
    user_id: Option<String>,
    /// Its tenant.
    tenant_id: Option<String>,
    /// What people call it.
    name: Option<String>,
    /// Why it asks for a look.
    reasons: Vec<ReviewReason>,
    /// When a request with it last passed, in Unix seconds; null is never, as far as use is reported.
    last_used_at: Option<i64>,
    /// Whether any gateway has reported use yet. Until then nobody knows whether the key is used.
    usage_reported: bool,
    /// Second after its last, in Unix seconds; null is never.
    expires_at: Option<i64>,
}

/// A part of a review.
#[derive(Serialize, ToSchema)]
pub struct ReviewList {
    #[serde(flatten)]
    list: List<ReviewItem>,
    /// Whether any gateway has reported use yet; until then nobody knows which keys are used.
    usage_reported: bool,
}

/// Lists the keys that ask for a look, oldest first, each with every reason.
#[utoipa::path(
    get, path = "/admin/v1/review", tag = "review", params(ReviewQuery),
    responses(
        (status = 200, body = ReviewList),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn review(
    Extension(view): Extension<View>,
    Query(query): Query<ReviewQuery>,
) -> Result<Json<ReviewList>, Problem> {
    let reported_since = view.usage_reported_since().await?;
    let review = Review {
        now: now(),
        dormant_after: query.dormant_after.unwrap_or(DORMANT_AFTER),
        expires_within: query.expires_within.unwrap_or(EXPIRES_WITHIN),
        reported_since,
        only: query.reason,
    };
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let limit = usize::try_from(limit).unwrap_or_default();
    let after = query.page_token.unwrap_or(0);
    let mut reviewing = view.review(review, query.tenant, after).await?;
    let (mut found, mut parts) = (Vec::new(), 0);
    let mut next = None;
    while let Some(part) = reviewing.next().await? {
        found.extend(part);
        parts += 1;
        if found.len() > limit {
            found.truncate(limit);
            next = found.last().map(|last| last.place);
            break;
        }
        if parts == MOST_PARTS {
            next = Some(reviewing.after());
            break;
        }
    }
    let usage_reported = reported_since.is_some();
    let item = |found: Found| {
        let key = found.of.key;
        ReviewItem {
            key_id: key.id,
            user_id: key.user_id,
            tenant_id: key.tenant_id,
            name: key.name,
            reasons: found.reasons,
            last_used_at: found.of.last_used_at,
            usage_reported,
            expires_at: key.expires_at,
        }
    };
    let page = Page {
        items: found.into_iter().map(item).collect(),
        next,
    };
    Ok(Json(ReviewList {
        list: page.into(),
        usage_reported,
    }))
}

input! {
    /// Of which keys to tell how many ask for a look.
    ReviewCountsQuery {
        /// Only those of this tenant.
        tenant: Option<String> = optional(ID),
    }
}

/// How many keys ask for a look.
#[derive(Serialize, ToSchema)]
pub struct ReviewCount {
    /// By reason; a key may have several. Null where they are being counted for the first time: ask again.
    counts: Option<BTreeMap<&'static str, i64>>,
    /// When they were counted, in Unix seconds.
    counted_at: Option<i64>,
    /// Whether any gateway has reported use yet; until then nobody knows which keys are used.
    usage_reported: bool,
}

/// Tells how many keys ask for a look, by reason, as they were counted not long ago: to count is to look at all of them.
#[utoipa::path(
    get, path = "/admin/v1/review/counts", tag = "review", operation_id = "counts", params(ReviewCountsQuery),
    responses(
        (status = 200, body = ReviewCount),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn counts(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Query(ReviewCountsQuery { tenant }): Query<ReviewCountsQuery>,
) -> Result<Json<ReviewCount>, Problem> {
    let usage_reported = view.usage_reported().await?;
    let (at, counts) = match (view.reach(), &tenant) {
        // Those of one user are few.
        (Reach::User { .. }, _) => {
            let at = now();
            (Some(at), Some(count(&view, tenant, at).await?))
        }
        (Reach::Tenant(own), Some(asked)) if own != asked => (Some(now()), Some(Counts::default())),
        (reach, _) => {
            let counted = app.metrics.review.latest().await;
            let tenant = reach.tenant().or(tenant.as_deref());
            let counts = counted.as_ref().map(|counted| counted.of(tenant));
            (counted.map(|counted| counted.at), counts)
        }
    };
    Ok(Json(ReviewCount {
        counts: counts.map(|counts| counts.by_reason().collect()),
        counted_at: at,
        usage_reported,
    }))
}

async fn count(view: &View, tenant: Option<String>, at: i64) -> Result<Counts, StoreError> {
    let review = Review::usual(at, view.usage_reported_since().await?);
    let mut reviewing = view.review(review, tenant, 0).await?;
    let mut counts = Counts::default();
    while let Some(part) = reviewing.next().await? {
        part.iter().for_each(|found| counts.add(&found.reasons));
    }
    Ok(counts)
}
