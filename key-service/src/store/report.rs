//! Counts of use, written as gateways report them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::columns::json_text;
use super::error::StoreError;
use super::sql::{Statement, Value};
use super::traffic::{PASSED, add_to_hour};
use super::write::Write;
use crate::domain::time::{DAY, HOUR};
use crate::domain::usage::{NETWORKS_OF_A_DAY, OTHER, UsageOfKey, UsageReport};

/// Adds to the counts of days.
fn add_days() -> Statement {
    Statement::each(
        "INSERT INTO key_usage (key_id, day, allowed, rejected) \
         SELECT keys.id, counted.value ->> 1, counted.value ->> 2, counted.value ->> 3 \
         FROM json_each($1) AS counted CROSS JOIN keys ON keys.id = counted.value ->> 0 WHERE true \
         ON CONFLICT (key_id, day) DO UPDATE SET \
         allowed = allowed + excluded.allowed, rejected = rejected + excluded.rejected",
        "INSERT INTO key_usage AS known (key_id, day, allowed, rejected) \
         SELECT keys.id, (counted.value ->> 1)::bigint, (counted.value ->> 2)::bigint, (counted.value ->> 3)::bigint \
         FROM json_array_elements($1::json) WITH ORDINALITY AS counted (value, place) \
         JOIN keys ON keys.id = counted.value ->> 0 ORDER BY counted.place \
         ON CONFLICT (key_id, day) DO UPDATE SET \
         allowed = known.allowed + excluded.allowed, rejected = known.rejected + excluded.rejected",
    )
}

/// Remembers in a table when something last happened to keys.
macro_rules! remember {
    ($table:literal) => {
        Statement::each(
            concat!(
                "INSERT INTO ",
                $table,
                " (key_id, at) SELECT keys.id, counted.value ->> 1 \
                 FROM json_each($1) AS counted CROSS JOIN keys ON keys.id = counted.value ->> 0 WHERE true \
                 ON CONFLICT (key_id) DO UPDATE SET at = max(at, excluded.at)",
            ),
            concat!(
                "INSERT INTO ",
                $table,
                " AS known (key_id, at) SELECT keys.id, (counted.value ->> 1)::bigint \
                 FROM json_array_elements($1::json) WITH ORDINALITY AS counted (value, place) \
                 JOIN keys ON keys.id = counted.value ->> 0 ORDER BY counted.place \
                 ON CONFLICT (key_id) DO UPDATE SET at = greatest(known.at, excluded.at)",
            ),
        )
    };
}

/// Adds to the counts of refusals.
fn add_refusals() -> Statement {
    Statement::each(
        "INSERT INTO key_refusals (key_id, day, code, requests) \
         SELECT keys.id, counted.value ->> 1, counted.value ->> 2, counted.value ->> 3 \
         FROM json_each($1) AS counted CROSS JOIN keys ON keys.id = counted.value ->> 0 WHERE true \
         ON CONFLICT (key_id, day, code) DO UPDATE SET requests = requests + excluded.requests",
        "INSERT INTO key_refusals AS known (key_id, day, code, requests) \
         SELECT keys.id, (counted.value ->> 1)::bigint, counted.value ->> 2, (counted.value ->> 3)::bigint \
         FROM json_array_elements($1::json) WITH ORDINALITY AS counted (value, place) \
         JOIN keys ON keys.id = counted.value ->> 0 ORDER BY counted.place \
         ON CONFLICT (key_id, day, code) DO UPDATE SET requests = known.requests + excluded.requests",
    )
}

/// Adds to the counts of networks: to those of a day that are known or for which there is room, and else to the one for
/// all others. What one report brings is not counted against itself, so there may be a few more.
fn add_networks() -> Statement {
    Statement::each(
        "INSERT INTO key_networks (key_id, day, network, requests) \
         SELECT id, day, CASE WHEN is_told_apart THEN network ELSE $3 END AS name, sum(requests) FROM ( \
             SELECT keys.id AS id, counted.value ->> 1 AS day, counted.value ->> 2 AS network, \
             counted.value ->> 3 AS requests, \
             EXISTS (SELECT 1 FROM key_networks AS known WHERE known.key_id = keys.id \
                 AND known.day = counted.value ->> 1 AND known.network = counted.value ->> 2) \
             OR $2 > (SELECT count(*) FROM key_networks AS known WHERE known.key_id = keys.id \
                 AND known.day = counted.value ->> 1) AS is_told_apart \
             FROM json_each($1) AS counted CROSS JOIN keys ON keys.id = counted.value ->> 0 \
         ) AS counted WHERE true GROUP BY id, day, name \
         ON CONFLICT (key_id, day, network) DO UPDATE SET requests = requests + excluded.requests",
        "INSERT INTO key_networks AS known (key_id, day, network, requests) \
         SELECT id, day, CASE WHEN is_told_apart THEN network ELSE $3 END AS name, sum(requests)::bigint FROM ( \
             SELECT keys.id AS id, day, network, requests, \
             EXISTS (SELECT 1 FROM key_networks AS known WHERE known.key_id = keys.id \
                 AND known.day = counted.day AND known.network = counted.network) \
             OR $2 > (SELECT count(*) FROM key_networks AS known WHERE known.key_id = keys.id \
                 AND known.day = counted.day) AS is_told_apart \
             FROM (SELECT value ->> 0 AS id, (value ->> 1)::bigint AS day, value ->> 2 AS network, \
                 (value ->> 3)::bigint AS requests FROM json_array_elements($1::json)) AS counted \
             JOIN keys ON keys.id = counted.id \
         ) AS counted GROUP BY id, day, name ORDER BY id, day, name \
         ON CONFLICT (key_id, day, network) DO UPDATE SET requests = known.requests + excluded.requests",
    )
}

/// What a report adds, in the order of ids: two reports of the same keys then wait for each other, and never each for the
/// other.
#[derive(Default)]
struct Sums<'r> {
    days: BTreeMap<(&'r str, i64), (i64, i64)>,
    last_uses: BTreeMap<&'r str, i64>,
    refusals: BTreeMap<(&'r str, i64, &'r str), i64>,
    last_refusals: BTreeMap<&'r str, i64>,
    networks: BTreeMap<(&'r str, i64, &'r str), i64>,
    /// By code, as [`super::traffic`] has them.
    hour: BTreeMap<(&'r str, &'r str), i64>,
}

impl<'r> Sums<'r> {
    /// A gateway's clock may be ahead, but nothing was used in the future.
    fn of(report: &'r UsageReport, now: i64) -> Self {
        let mut sums = Self::default();
        for count in &report.keys {
            let id = count.id.as_str();
            let at = count.last_at.min(now);
            let day = at / DAY;
            let (allowed, rejected) = sums.days.entry((id, day)).or_default();
            *allowed = allowed.saturating_add(count.allowed);
            *rejected = rejected.saturating_add(count.rejected);
            sums.add_to_hour(count);
            if count.allowed > 0 {
                latest(&mut sums.last_uses, id, at);
            }
            if let Some(at) = count.last_rejected_at {
                latest(&mut sums.last_refusals, id, at.min(now));
            }
            let named = [
                (&mut sums.refusals, &count.rejected_by),
                (&mut sums.networks, &count.networks),
            ];
            for (sums, counts) in named {
                for (name, requests) in counts.iter().filter(|(_, requests)| *requests > 0) {
                    let sum = sums.entry((id, day, name.as_str())).or_default();
                    *sum = sum.saturating_add(*requests);
                }
            }
        }
        sums
    }

    /// What is refused without a reason counts as `other`.
    fn add_to_hour(&mut self, count: &'r UsageOfKey) {
        let reasons = count.rejected_by.iter();
        let told = reasons.clone().map(|(_, requests)| *requests);
        let untold = (count.rejected - told.sum::<i64>()).max(0);
        let others = [(PASSED, count.allowed), (OTHER, untold)];
        let reasons = reasons.map(|(code, requests)| (code.as_str(), *requests));
        for (code, requests) in reasons.chain(others).filter(|(_, requests)| *requests > 0) {
            let sum = self.hour.entry((&count.id, code)).or_default();
            *sum = sum.saturating_add(requests);
        }
    }
}

fn latest<'r>(times: &mut BTreeMap<&'r str, i64>, id: &'r str, at: i64) {
    let last = times.entry(id).or_default();
    *last = at.max(*last);
}

impl Write {
    /// Counts a report, unless it was counted before. Keys that do not exist are left out.
    pub async fn count(&mut self, report: &UsageReport) -> Result<(), StoreError> {
        let now = self.now();
        let new = Statement::new(
            "INSERT INTO usage_reports (reporter, batch, received_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(&report.reporter)
        .bind(report.batch)
        .bind(now)
        .execute(self.on().await?)
        .await?;
        if new == 0 {
            return Ok(());
        }
        Statement::new(
            "INSERT INTO usage_reporting (only_row, since) VALUES (1, $1) ON CONFLICT DO NOTHING",
        )
        .bind(now)
        .execute(self.on().await?)
        .await?;
        let sums = Sums::of(report, now);
        let days = sums
            .days
            .iter()
            .map(|((id, day), (allowed, rejected))| (id, day, allowed, rejected));
        self.add(add_days(), days.collect(), &[]).await?;
        self.add(
            remember!("key_last_use"),
            sums.last_uses.iter().collect(),
            &[],
        )
        .await?;
        self.add(add_refusals(), named(&sums.refusals), &[]).await?;
        let last_refusals = sums.last_refusals.iter().collect();
        self.add(remember!("key_last_refusal"), last_refusals, &[])
            .await?;
        let bounds = [NETWORKS_OF_A_DAY.into(), OTHER.into()];
        self.add(add_networks(), named(&sums.networks), &bounds)
            .await?;
        let hour = report.to.min(now) / HOUR;
        let rows = sums.hour.iter();
        let rows = rows.map(|((id, code), requests)| (id, code, requests));
        self.add(add_to_hour(), rows.collect(), &[hour.into()])
            .await
    }

    /// Runs a statement with all of these as its first value, unless there are none. One for all keys: every other
    /// write waits meanwhile.
    async fn add(
        &mut self,
        statement: Statement,
        rows: Vec<impl Serialize>,
        more: &[Value],
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let values = [&[json_text(&rows)?.into()][..], more].concat();
        statement.bind_all(values).execute(self.on().await?).await?;
        Ok(())
    }
}

fn named<'r>(sums: &BTreeMap<(&'r str, i64, &'r str), i64>) -> Vec<(&'r str, i64, &'r str, i64)> {
    let rows = sums.iter();
    rows.map(|((id, day, name), requests)| (*id, *day, *name, *requests))
        .collect()
}
