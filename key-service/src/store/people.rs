//! Users as a directory asks for them: by what it calls them, from one place of the list on.

use super::database::Store;
use super::error::StoreError;
use super::shown::select;
use super::sql::Statement;
use super::stored::Stored;
use super::view::View;
use super::write::Write;
use crate::domain::reach::Reach;
use crate::domain::usage::RECENTLY;
use crate::domain::user::{User, login_key};

/// Which users to list. None that is deleted is among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleFilter {
    /// Only the one of this id.
    pub id: Option<String>,
    /// Only the one of this login, in any case of its letters.
    pub login: Option<String>,
    /// Only those of this id in their directory.
    pub external_id: Option<String>,
    /// Only those who are active, or only those who are not.
    pub active: Option<bool>,
}

/// A part of a list.
#[derive(Debug)]
pub struct People {
    /// How many there are in all.
    pub total: i64,
    /// Those of this part.
    pub users: Vec<User>,
}

impl PeopleFilter {
    fn narrow(&self, reach: &Reach, sql: &mut Statement) {
        sql.push("users.status <> 'deleted'");
        let equal = [
            (" AND users.id = ", self.id.clone()),
            (
                " AND users.login_key = ",
                self.login.as_deref().map(login_key),
            ),
            (" AND users.external_id = ", self.external_id.clone()),
        ];
        for (column, value) in equal {
            if let Some(value) = value {
                sql.push(column).push_bind(value);
            }
        }
        match self.active {
            None => {}
            Some(true) => {
                sql.push(" AND users.status = 'active'");
            }
            Some(false) => {
                sql.push(" AND users.status <> 'active'");
            }
        }
        reach.narrow::<User>(sql);
    }
}

impl Store {
    /// A part of the users that this lets through, oldest first: at most so many, behind the first `skipped`.
    async fn people(
        &self,
        filter: &PeopleFilter,
        reach: &Reach,
        skipped: i64,
        most: i64,
    ) -> Result<People, StoreError> {
        let mut count = Statement::new("SELECT count(*) FROM users WHERE ");
        filter.narrow(reach, &mut count);
        let total = count.scalar(&self.readers).await?;
        let mut list = select::<User>("");
        filter.narrow(reach, &mut list);
        list.push(" ORDER BY users.place LIMIT ").push_bind(most);
        list.push(" OFFSET ").push_bind(skipped);
        let rows = list.fetch_all(&self.readers).await?;
        let users = rows.iter().map(User::read);
        Ok(People {
            total,
            users: users.collect::<Result<_, _>>()?,
        })
    }
}

impl View {
    /// A part of the users that this lets through, oldest first: at most so many, behind the first `skipped`.
    pub async fn people(
        &self,
        filter: &PeopleFilter,
        skipped: i64,
        most: i64,
    ) -> Result<People, StoreError> {
        let store = self.store();
        store.people(filter, self.reach(), skipped, most).await
    }
}

/// The working keys of a user that were used lately.
#[derive(Debug, Default)]
pub struct LeftInUse {
    /// How many there are.
    pub count: i64,
    /// The ids of some, the last used first.
    pub ids: Vec<String>,
}

/// Keys that are named.
const MOST_NAMED: i64 = 20;

impl Write {
    /// The working keys of a user that were used lately, as far as use is reported.
    pub async fn left_in_use(&mut self, user: &str) -> Result<LeftInUse, StoreError> {
        let now = self.now();
        let mut sql = Statement::new(
            "SELECT keys.id AS id, count(*) OVER () AS count FROM keys \
             JOIN key_last_use ON key_last_use.key_id = keys.id \
             WHERE keys.status = 'active' AND (keys.expires_at IS NULL OR keys.expires_at > ",
        );
        sql.push_bind(now).push(") AND keys.user_id = ");
        sql.push_bind(user.to_owned());
        sql.push(" AND key_last_use.at >= ")
            .push_bind(now - RECENTLY);
        sql.push(" ORDER BY key_last_use.at DESC, keys.place LIMIT ")
            .push_bind(MOST_NAMED);
        let rows = sql.fetch_all(self.on().await?).await?;
        let mut found = LeftInUse::default();
        for row in &rows {
            found.count = row.get("count")?;
            found.ids.push(row.get("id")?);
        }
        Ok(found)
    }
}
