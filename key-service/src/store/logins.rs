//! Finding users by what their directory calls them.

use super::error::StoreError;
use super::sql::Statement;
use super::write::Write;
use crate::domain::user::{User, UserStatus};

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
