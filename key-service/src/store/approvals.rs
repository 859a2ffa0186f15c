//! Requests for APIs. Gateways do not follow them: what follows from one is a change of its user.

use super::belongs::Belongs;
use super::columns::word;
use super::error::StoreError;
use super::page::{Filter, Narrowing};
use super::shown::{Shown, select};
use super::sql::{On, Row, Statement};
use super::view::View;
use super::write::Write;
use crate::domain::approval::{Approval, ApprovalStatus};
use crate::domain::audit::{Action, Kind};
use crate::domain::reach::Whose;

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// Only those that stand so.
    pub status: Option<ApprovalStatus>,
    /// Only those of users of this tenant.
    pub tenant: Option<String>,
    /// Only those of this user.
    pub user: Option<String>,
    /// Only those for this API.
    pub api: Option<String>,
}

impl Belongs for Approval {
    const TENANT: &'static str = "approvals.tenant_id";
    const USER: Option<&'static str> = Some("approvals.user_id");

    fn whose(&self) -> Whose<'_> {
        Whose {
            tenant: self.tenant_id.as_deref(),
            user: Some(Some(&self.user_id)),
        }
    }
}

impl Shown for Approval {
    type Record = Self;

    fn place() -> &'static str {
        "approvals.place"
    }

    fn columns() -> &'static str {
        COLUMNS
    }

    fn from() -> &'static str {
        "approvals"
    }

    fn of_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            tenant_id: row.get("tenant_id")?,
            api: row.get("api")?,
            reason: row.get("reason")?,
            status: word(row, "status", ApprovalStatus::parse)?,
            requested_by: row.get("requested_by")?,
            created_at: row.get("created_at")?,
            decided_by: row.get("decided_by")?,
            decided_at: row.get("decided_at")?,
            decision_reason: row.get("decision_reason")?,
        })
    }
}

/// All of them but for the place.
const COLUMNS: &str = "id, user_id, tenant_id, api, reason, status, requested_by, created_at, decided_by, decided_at, decision_reason";

impl Filter for ApprovalFilter {
    type Item = Approval;

    fn narrow(&self, list: &mut Narrowing) {
        list.equal("approvals.status", self.status.map(ApprovalStatus::as_str));
        list.equal("approvals.tenant_id", self.tenant.clone());
        list.equal("approvals.user_id", self.user.clone());
        list.equal("approvals.api", self.api.clone());
    }
}

impl View {
    /// The last requests of a user, newest first, at most so many.
    pub async fn last_approvals(&self, user: &str, most: i64) -> Result<Vec<Approval>, StoreError> {
        let mut sql = select::<Approval>("");
        sql.push("user_id = ").push_bind(user.to_owned());
        self.reach().narrow::<Approval>(&mut sql);
        sql.push(" ORDER BY place DESC LIMIT ").push_bind(most);
        let rows = sql.fetch_all(&self.store().readers).await?;
        rows.iter().map(Approval::of_row).collect()
    }
}

impl Write {
    /// The request of this id.
    pub async fn approval(&mut self, id: &str) -> Result<Option<Approval>, StoreError> {
        let mut sql = select::<Approval>("");
        sql.push("id = ").push_bind(id.to_owned());
        let found = first(sql, self.on().await?).await?;
        Ok(found.filter(|found| self.reach().sees(found)))
    }

    /// The request of a user for an API that nobody has decided.
    pub async fn pending_approval(
        &mut self,
        user: &str,
        api: &str,
    ) -> Result<Option<Approval>, StoreError> {
        let mut sql = select::<Approval>("");
        sql.push("status = 'pending' AND user_id = ")
            .push_bind(user.to_owned());
        sql.push(" AND api = ").push_bind(api.to_owned());
        first(sql, self.on().await?).await
    }

    /// How many requests of a user nobody has decided.
    pub async fn count_pending_approvals(&mut self, user: &str) -> Result<i64, StoreError> {
        Statement::new("SELECT count(*) FROM approvals WHERE status = 'pending' AND user_id = $1")
            .bind(user)
            .scalar(self.on().await?)
            .await
    }

    /// Puts a request in the place of `before`.
    pub async fn put_approval(
        &mut self,
        before: Option<&Approval>,
        after: &Approval,
    ) -> Result<(), StoreError> {
        if !before
            .into_iter()
            .chain([after])
            .all(|approval| self.reach().sees(approval))
        {
            return Err(StoreError::OutOfReach);
        }
        let sql = "INSERT INTO approvals (id, user_id, tenant_id, api, reason, status, requested_by, created_at, decided_by, \
                   decided_at, decision_reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                   ON CONFLICT (id) DO UPDATE SET status = excluded.status, decided_by = excluded.decided_by, \
                   decided_at = excluded.decided_at, decision_reason = excluded.decision_reason";
        Statement::new(sql)
            .bind(&after.id)
            .bind(&after.user_id)
            .bind(after.tenant_id.clone())
            .bind(&after.api)
            .bind(after.reason.clone())
            .bind(after.status.as_str())
            .bind(&after.requested_by)
            .bind(after.created_at)
            .bind(after.decided_by.clone())
            .bind(after.decided_at)
            .bind(after.decision_reason.clone())
            .execute(self.on().await?)
            .await?;
        let action = match before {
            Some(_) => Action::Update,
            None => Action::Create,
        };
        self.audit(action, Kind::Approval, &after.id, None, before, after)
            .await
    }
}

async fn first(sql: Statement, on: On<'_>) -> Result<Option<Approval>, StoreError> {
    let row = sql.fetch_optional(on).await?;
    row.as_ref().map(Approval::of_row).transpose()
}
