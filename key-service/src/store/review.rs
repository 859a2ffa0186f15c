//! What a review looks at, a part at a time, in the order of creation.

use std::collections::HashMap;

use super::columns::word;
use super::database::Store;
use super::error::StoreError;
use super::shown::Shown as _;
use super::sql::{Row, Statement};
use super::stored::Stored as _;
use crate::domain::key::Key;
use crate::domain::key_rules::Checks;
use crate::domain::reach::Reach;
use crate::domain::review::{Candidate, Review, ReviewReason};
use crate::domain::time::DAY;
use crate::domain::user::{UserKind, UserStatus};
use crate::domain::words::Status as _;

/// Keys that are read at once, at first: where most ask for a look, that is a page.
const FIRST_PART: i64 = 64;
/// And at most.
const PART: i64 = 2000;

/// A key that asks for a look.
#[derive(Debug)]
pub struct Found {
    /// Its place in lists.
    pub place: i64,
    /// The key.
    pub of: Candidate,
    /// Why.
    pub reasons: Vec<ReviewReason>,
}

/// A review under way.
#[derive(Debug)]
pub struct Reviewing<'s> {
    store: &'s Store,
    review: Review,
    reach: Reach,
    tenant: Option<String>,
    rules: HashMap<String, Checks>,
    /// The place of the last key that was looked at.
    after: i64,
    /// Keys that are read next.
    part: i64,
    done: bool,
}

impl Store {
    /// Since when gateways report use; none where none has yet.
    pub async fn usage_reported_since(&self) -> Result<Option<i64>, StoreError> {
        let row = Statement::new("SELECT since FROM usage_reporting")
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| row.get("since")).transpose()
    }

    /// Begins a review of the keys within reach, or of those of one tenant, behind this place.
    pub async fn review(
        &self,
        review: Review,
        reach: Reach,
        tenant: Option<String>,
        after: i64,
    ) -> Result<Reviewing<'_>, StoreError> {
        let rules = self.all_key_rules().await?.into_iter();
        Ok(Reviewing {
            store: self,
            review,
            reach,
            tenant,
            rules: rules
                .map(|(tenant, rules)| (tenant, rules.checks()))
                .collect(),
            after,
            part: FIRST_PART,
            done: false,
        })
    }
}

impl Reviewing<'_> {
    /// The place of the last key that was looked at.
    pub fn after(&self) -> i64 {
        self.after
    }

    /// The keys of the next part that ask for a look; nothing where all were looked at.
    pub async fn next(&mut self) -> Result<Option<Vec<Found>>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let part = self.part;
        self.part = PART.min(2 * part);
        let (columns, used_daily) = (Key::columns(), used_daily(self.review.now / DAY));
        let mut sql = Statement::new(format!(
            "SELECT keys.place AS place, key_last_use.at AS last_used_at, users.status AS owner_status, \
             users.kind AS owner_kind, {used_daily} AS used_daily, {columns} FROM keys LEFT JOIN users ON users.id = keys.user_id \
             LEFT JOIN key_last_use ON key_last_use.key_id = keys.id WHERE keys.place > "
        ));
        sql.push_bind(self.after);
        if let Some(tenant) = &self.tenant {
            sql.push(" AND keys.tenant_id = ").push_bind(tenant);
        }
        self.reach.narrow::<Key>(&mut sql);
        self.leave_out(&mut sql);
        sql.push(" ORDER BY keys.place LIMIT ").push_bind(part);
        let rows = sql.fetch_all(&self.store.readers).await?;
        self.done = i64::try_from(rows.len()).is_ok_and(|count| count < part);
        let mut found = Vec::new();
        for row in &rows {
            self.after = row.get("place")?;
            let of = candidate(row)?;
            let rules = of.key.tenant_id.as_ref().and_then(|id| self.rules.get(id));
            let reasons = self.review.reasons(&of, rules);
            if self.review.is_about(&reasons) {
                found.push(Found {
                    place: self.after,
                    of,
                    reasons,
                });
            }
        }
        Ok(Some(found))
    }

    /// Leaves out keys that cannot have the reason that is looked for: those that have it may be few among many.
    fn leave_out(&self, sql: &mut Statement) {
        let Some(only) = self.review.only else {
            return;
        };
        let now = self.review.now;
        sql.push(" AND keys.status <> 'revoked' AND ");
        match only {
            ReviewReason::Orphaned => sql.push("users.id IS NULL"),
            ReviewReason::OwnerInactive => sql.push("users.status <> 'active'"),
            ReviewReason::Dormant => sql
                .push("key_last_use.at < ")
                .push_bind(now - self.review.dormant_after),
            ReviewReason::NeverUsed => sql.push("key_last_use.at IS NULL"),
            ReviewReason::NoExpiry => sql.push("keys.expires_at IS NULL"),
            ReviewReason::ExpiresSoon => sql
                .push("keys.expires_at <= ")
                .push_bind(now + self.review.expires_within),
            ReviewReason::RotationDue => sql
                .push("keys.created_at + keys.rotate_every <= ")
                .push_bind(now),
            ReviewReason::BreaksRules => {
                sql.push("keys.tenant_id IN (SELECT tenant_id FROM key_rules)")
            }
            ReviewReason::EverythingAllowed => sql.push("keys.scopes LIKE '%\"*\"%'"),
            ReviewReason::Leaked => sql.push("keys.leaked_at IS NOT NULL"),
            ReviewReason::PersonOwned => sql.push(&used_daily(now / DAY)),
        };
    }
}

/// Whether a person's key was used on each of the last seven days, from more than one network. Of today it is not known
/// yet: where the key was not used today, the day a week ago counts in its place.
fn used_daily(today: i64) -> String {
    let (yesterday, first, before) = (today - 1, today - 6, today - 7);
    format!(
        "(users.kind = 'person' \
         AND (SELECT count(*) FROM key_usage AS used WHERE used.key_id = keys.id AND used.allowed > 0 \
             AND used.day BETWEEN {first} AND {yesterday}) = 6 \
         AND EXISTS (SELECT 1 FROM key_usage AS used WHERE used.key_id = keys.id AND used.allowed > 0 \
             AND used.day IN ({before}, {today})) \
         AND (SELECT count(DISTINCT seen.network) FROM key_networks AS seen WHERE seen.key_id = keys.id \
             AND seen.day BETWEEN {before} AND {today}) > 1)"
    )
}

fn candidate(row: &Row) -> Result<Candidate, StoreError> {
    let owner = match row.get::<Option<&str>>("owner_status")? {
        Some(_) => Some((
            word(row, "owner_status", UserStatus::parse)?,
            word(row, "owner_kind", UserKind::parse)?,
        )),
        None => None,
    };
    Ok(Candidate {
        key: Key::read(row)?,
        owner,
        last_used_at: row.get("last_used_at")?,
        // None where there is no user.
        used_daily: row.get::<Option<bool>>("used_daily")? == Some(true),
    })
}
