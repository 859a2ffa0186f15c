//! The use of a key, or of all keys of a user, day by day.

use std::collections::BTreeMap;

use super::database::Store;
use super::error::StoreError;
use super::sql::{Row, Statement};
use crate::domain::key::Key;
use crate::domain::reach::Reach;
use crate::domain::time::DAY;
use crate::domain::usage::{DayOfUse, NETWORKS_OF_A_DAY, OTHER, Requests, Use};

/// Whose use it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    /// That of the key of this id.
    Key(&'a str),
    /// That of all keys of the user of this id.
    User(&'a str),
}

impl Of<'_> {
    /// Adds which keys these are, as far as they are within reach.
    fn narrow(self, sql: &mut Statement, reach: &Reach) {
        let (column, id) = match self {
            Self::Key(id) => ("keys.id = ", id),
            Self::User(id) => ("keys.user_id = ", id),
        };
        sql.push(column).push_bind(id);
        reach.narrow::<Key>(sql);
    }

    /// `SELECT … FROM` the keys with a table of theirs, from a day on.
    fn select(self, what: &str, table: &str, since: i64, reach: &Reach) -> Statement {
        let mut sql = Statement::new(format!(
            "SELECT {what} FROM keys JOIN {table} AS counted ON counted.key_id = keys.id WHERE counted.day >= "
        ));
        sql.push_bind(since / DAY).push(" AND ");
        self.narrow(&mut sql, reach);
        sql
    }

    /// When it last came to something.
    fn last(self, table: &str, reach: &Reach) -> Statement {
        let mut sql = Statement::new(format!(
            "SELECT max(last.at) FROM keys JOIN {table} AS last ON last.key_id = keys.id WHERE "
        ));
        self.narrow(&mut sql, reach);
        sql
    }
}

impl Store {
    /// The use since a time, from the begin of its day on.
    pub(super) async fn use_of_days(
        &self,
        of: Of<'_>,
        since: i64,
        reach: &Reach,
    ) -> Result<Use, StoreError> {
        let mut days: BTreeMap<i64, Requests> = BTreeMap::new();
        let mut sums = of.select(
            "counted.day AS day, CAST(sum(counted.allowed) AS BIGINT) AS allowed, \
             CAST(sum(counted.rejected) AS BIGINT) AS rejected",
            "key_usage",
            since,
            reach,
        );
        sums.push(" GROUP BY counted.day");
        for row in sums.fetch_all(&self.readers).await? {
            let day = days.entry(row.get("day")?).or_default();
            day.allowed = row.get("allowed")?;
            day.rejected = row.get("rejected")?;
        }
        let mut refusals = of.select(
            "counted.day AS day, counted.code AS name, CAST(sum(counted.requests) AS BIGINT) AS requests",
            "key_refusals",
            since,
            reach,
        );
        refusals.push(" GROUP BY counted.day, counted.code");
        for row in refusals.fetch_all(&self.readers).await? {
            let (day, name, requests) = named(&row)?;
            days.entry(day)
                .or_default()
                .rejected_by
                .insert(name, requests);
        }
        for row in self.networks(of, since, reach).await? {
            let (day, name, requests) = named(&row)?;
            days.entry(day).or_default().networks.insert(name, requests);
        }
        let mut total = Requests::default();
        days.values().for_each(|day| total.add(day));
        let days = days.into_iter().map(|(day, requests)| DayOfUse {
            day: day * DAY,
            requests,
        });
        Ok(Use {
            usage_reported: self.usage_reported().await?,
            last_used_at: of.last("key_last_use", reach).scalar(&self.readers).await?,
            last_rejected_at: of
                .last("key_last_refusal", reach)
                .scalar(&self.readers)
                .await?,
            total,
            days: days.collect(),
        })
    }

    /// The networks of each day from which most requests came, and all others together: a user may have many keys, each
    /// with networks of its own.
    async fn networks(
        &self,
        of: Of<'_>,
        since: i64,
        reach: &Reach,
    ) -> Result<Vec<Row>, StoreError> {
        let mut sql = Statement::new("SELECT day, CASE WHEN place <= ");
        sql.push_bind(NETWORKS_OF_A_DAY).push(" THEN network ELSE ");
        sql.push_bind(OTHER).push(
            " END AS name, CAST(sum(requests) AS BIGINT) AS requests FROM (SELECT counted.day AS day, \
             counted.network AS network, sum(counted.requests) AS requests, \
             row_number() OVER (PARTITION BY counted.day ORDER BY sum(counted.requests) DESC, counted.network) AS place \
             FROM keys JOIN key_networks AS counted ON counted.key_id = keys.id WHERE counted.day >= ",
        );
        sql.push_bind(since / DAY).push(" AND ");
        of.narrow(&mut sql, reach);
        sql.push(" GROUP BY counted.day, counted.network) AS ranked GROUP BY day, name");
        sql.fetch_all(&self.readers).await
    }
}

fn named(row: &Row) -> Result<(i64, String, i64), StoreError> {
    Ok((row.get("day")?, row.get("name")?, row.get("requests")?))
}
