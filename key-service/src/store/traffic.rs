//! Requests with keys over time: sums by hour, over all keys and over those of each tenant, as reports of use bring them.

use super::belongs::Belongs;
use super::database::Store;
use super::error::StoreError;
use super::sql::{Row, Statement};
use super::view::View;
use crate::domain::key::Key;
use crate::domain::reach::Reach;
use crate::domain::time::{DAY, HOUR};
use crate::domain::traffic::{Steps, Traffic};

/// What stands for all keys, where a tenant has its id: no id is empty.
const ALL: &str = "";

/// The code of what passed.
pub(super) const PASSED: &str = "";

/// Adds to the sums of an hour, the second value. One report after the other: they come behind all that a report writes of
/// single keys, in one order.
pub(super) fn add_to_hour() -> Statement {
    Statement::each(
        "WITH counted AS ( \
             SELECT keys.tenant_id AS tenant_id, told.value ->> 1 AS code, told.value ->> 2 AS requests \
             FROM json_each($1) AS told CROSS JOIN keys ON keys.id = told.value ->> 0 \
         ) INSERT INTO use_by_hour (tenant_id, hour, code, requests) \
         SELECT '', $2, code, sum(requests) FROM counted GROUP BY code UNION ALL \
         SELECT tenant_id, $2, code, sum(requests) FROM counted WHERE tenant_id IS NOT NULL GROUP BY tenant_id, code \
         ON CONFLICT (tenant_id, hour, code) DO UPDATE SET requests = requests + excluded.requests",
        "WITH counted AS ( \
             SELECT keys.tenant_id AS tenant_id, told.value ->> 1 AS code, (told.value ->> 2)::bigint AS requests \
             FROM json_array_elements($1::json) AS told (value) JOIN keys ON keys.id = told.value ->> 0 \
         ), sums AS ( \
             SELECT '' COLLATE \"C\" AS tenant_id, code, sum(requests)::bigint AS requests FROM counted GROUP BY code \
             UNION ALL SELECT tenant_id, code, sum(requests)::bigint FROM counted WHERE tenant_id IS NOT NULL \
             GROUP BY tenant_id, code \
         ) INSERT INTO use_by_hour AS known (tenant_id, hour, code, requests) \
         SELECT tenant_id, $2::bigint, code, requests FROM sums ORDER BY tenant_id, code COLLATE \"C\" \
         ON CONFLICT (tenant_id, hour, code) DO UPDATE SET requests = known.requests + excluded.requests",
    )
}

impl View {
    /// The requests of all keys within reach, or of those of one tenant. Of a single user there are no sums by hour: it is
    /// told of days, from what is known of each key.
    pub async fn traffic(&self, steps: Steps, tenant: Option<&str>) -> Result<Traffic, StoreError> {
        let store = self.store();
        let mut traffic = match (self.reach(), tenant) {
            (Reach::Everything, tenant) => store.hours(steps, tenant.unwrap_or(ALL)).await?,
            (Reach::Tenant(id), tenant) if tenant.is_none_or(|tenant| tenant == id) => {
                store.hours(steps, id).await?
            }
            (Reach::Tenant(_), _) => Traffic::none(steps),
            (reach @ Reach::User { .. }, tenant) => {
                store.days_of_keys(steps.as_days(), reach, tenant).await?
            }
        };
        traffic.usage_reported = store.usage_reported().await?;
        Ok(traffic)
    }
}

impl Store {
    async fn hours(&self, steps: Steps, tenant: &str) -> Result<Traffic, StoreError> {
        let rows = Statement::new(
            "SELECT hour * 3600 AS begin_at, code, requests FROM use_by_hour \
             WHERE tenant_id = $1 AND hour >= $2 AND hour < $3",
        )
        .bind(tenant)
        .bind(steps.from() / HOUR)
        .bind(steps.to() / HOUR)
        .fetch_all(&self.readers)
        .await?;
        let mut traffic = Traffic::none(steps);
        for row in &rows {
            add(&mut traffic, row)?;
        }
        Ok(traffic)
    }

    async fn days_of_keys(
        &self,
        days: Steps,
        reach: &Reach,
        tenant: Option<&str>,
    ) -> Result<Traffic, StoreError> {
        let mut traffic = Traffic::none(days);
        for (table, what) in [
            (
                "key_usage",
                "'' AS code, CAST(sum(counted.allowed) AS BIGINT)",
            ),
            // What is refused for a reason that was told is told by the next.
            (
                "key_usage",
                "'other' AS code, CAST(sum(counted.rejected - coalesce((SELECT sum(told.requests) FROM key_refusals AS told \
                 WHERE told.key_id = counted.key_id AND told.day = counted.day), 0)) AS BIGINT)",
            ),
            (
                "key_refusals",
                "counted.code AS code, CAST(sum(counted.requests) AS BIGINT)",
            ),
        ] {
            let mut sql = Statement::new(format!(
                "SELECT counted.day * 86400 AS begin_at, {what} AS requests \
                 FROM keys JOIN {table} AS counted ON counted.key_id = keys.id WHERE counted.day >= "
            ));
            sql.push_bind(days.from() / DAY);
            sql.push(" AND counted.day < ").push_bind(days.to() / DAY);
            reach.narrow::<Key>(&mut sql);
            if let Some(tenant) = tenant {
                sql.push(" AND ").push(Key::TENANT).push(" = ");
                sql.push_bind(tenant);
            }
            sql.push(" GROUP BY counted.day");
            if table == "key_refusals" {
                sql.push(", counted.code");
            }
            for row in sql.fetch_all(&self.readers).await? {
                add(&mut traffic, &row)?;
            }
        }
        Ok(traffic)
    }
}

fn add(traffic: &mut Traffic, row: &Row) -> Result<(), StoreError> {
    let code: &str = row.get("code")?;
    let refused = (code != PASSED).then_some(code);
    traffic.add(row.get("begin_at")?, refused, row.get("requests")?);
    Ok(())
}
