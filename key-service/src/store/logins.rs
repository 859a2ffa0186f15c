//! Finding users by what their directory calls them.

use super::database::Store;
use super::error::StoreError;
use super::shown::select;
use super::sql::Statement;
use super::stored::Stored as _;
use super::write::Write;
use crate::domain::user::{User, UserStatus, login_key};

impl Store {
    /// The active users whose external id or login is one of these names, whatever their tenant: two at most, which is
    /// one too many for whoever wants to know who it is.
    pub async fn active_users_called(&self, names: &[&str]) -> Result<Vec<User>, StoreError> {
        let mut sql = select::<User>("");
        sql.push("users.status = 'active' AND (");
        for (place, name) in names.iter().enumerate() {
            sql.push(if place == 0 { "" } else { " OR " });
            sql.push("users.external_id = ")
                .push_bind((*name).to_owned());
            sql.push(" OR users.login_key = ")
                .push_bind(login_key(name));
        }
        // Of no name there is nobody.
        sql.push(if names.is_empty() { "1 = 0" } else { "" });
        sql.push(") ORDER BY users.place LIMIT 2");
        let rows = sql.fetch_all(&self.readers).await?;
        rows.iter().map(User::read).collect()
    }
}

impl Write {
    /// The id of another user of the same tenant who has the login of this one.
    pub async fn other_of_login(&mut self, user: &User) -> Result<Option<String>, StoreError> {
        let Some(login) = user.login_key.as_deref() else {
            return Ok(None);
        };
        if user.status == UserStatus::Deleted {
            return Ok(None);
        }
        let sql = "SELECT id FROM users WHERE coalesce(tenant_id, '') = $1 AND login_key = $2 \
                   AND login_key IS NOT NULL AND status <> 'deleted' AND id <> $3";
        let row = Statement::new(sql)
            .bind(user.tenant_id.as_deref().unwrap_or_default())
            .bind(login)
            .bind(&user.id)
            .fetch_optional(self.on().await?)
            .await?;
        row.map(|row| row.get(0)).transpose()
    }
}
