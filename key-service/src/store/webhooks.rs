//! Webhooks: whom to tell of what becomes of keys. Their messages are in [`super::messages`].

use super::belongs::Belongs;
use super::database::Store;
use super::error::StoreError;
use super::page::{Filter, Narrowing};
use super::shown::{Shown, select};
use super::sql::{On, Row, Statement};
use super::view::View;
use super::write::Write;
use crate::domain::audit::{Action, Kind};
use crate::domain::reach::Whose;
use crate::domain::webhook::{EventKind, Webhook};

/// Which webhooks to list.
#[derive(Debug, Clone, Default)]
pub struct WebhookFilter {
    /// Only those of this tenant.
    pub tenant: Option<String>,
}

impl Belongs for Webhook {
    const TENANT: &'static str = "webhooks.tenant_id";
    // Of no user: a URL may hold what opens the receiver.
    const USER: Option<&'static str> = Some("NULL");

    fn whose(&self) -> Whose<'_> {
        Whose {
            tenant: self.tenant_id.as_deref(),
            user: Some(None),
        }
    }
}

impl Shown for Webhook {
    type Record = Self;

    fn place() -> &'static str {
        "webhooks.place"
    }

    fn columns() -> &'static str {
        "id, tenant_id, url, events, created_at"
    }

    fn from() -> &'static str {
        "webhooks"
    }

    fn of_row(row: &Row) -> Result<Self, StoreError> {
        let events: &str = row.get("events")?;
        let names = events.split(',').filter(|name| !name.is_empty());
        // One that a newer service knows is not this one's to tell of.
        let events = names.filter_map(|name| EventKind::parse(name).ok());
        Ok(Self {
            id: row.get("id")?,
            tenant_id: row.get("tenant_id")?,
            url: row.get("url")?,
            events: events.collect(),
            created_at: row.get("created_at")?,
        })
    }
}

impl Filter for WebhookFilter {
    type Item = Webhook;

    fn narrow(&self, list: &mut Narrowing) {
        list.equal("webhooks.tenant_id", self.tenant.clone());
    }
}

/// How the list of a webhook's events is stored, so that one of them is found in it by its name.
fn listed(events: &[EventKind]) -> String {
    let names = events.iter().map(|event| event.as_str());
    names.fold(",".to_owned(), |list, name| list + name + ",")
}

/// What the list of those who want to be told of an event looks like.
pub(super) fn wants(event: EventKind) -> String {
    format!("%,{},%", event.as_str())
}

async fn by_id(id: &str, on: impl Into<On<'_>>) -> Result<Option<Webhook>, StoreError> {
    let mut sql = select::<Webhook>("");
    sql.push("id = ").push_bind(id.to_owned());
    let row = sql.fetch_optional(on).await?;
    row.as_ref().map(Webhook::of_row).transpose()
}

impl Store {
    /// The webhook of this id.
    pub async fn webhook(&self, id: &str) -> Result<Option<Webhook>, StoreError> {
        by_id(id, &self.readers).await
    }
}

impl View {
    /// The webhook of this id.
    pub async fn webhook(&self, id: &str) -> Result<Option<Webhook>, StoreError> {
        let found = self.store().webhook(id).await?;
        Ok(found.filter(|found| self.reach().sees(found)))
    }
}

impl Write {
    /// The webhook of this id.
    pub async fn webhook(&mut self, id: &str) -> Result<Option<Webhook>, StoreError> {
        let found = by_id(id, self.on().await?).await?;
        Ok(found.filter(|found| self.reach().sees(found)))
    }

    /// How many webhooks there are, whoever they belong to, and how many of this tenant, or of none.
    pub async fn count_webhooks(&mut self, tenant: Option<&str>) -> Result<[i64; 2], StoreError> {
        let sql = "SELECT count(*) AS whole, count(CASE WHEN coalesce(tenant_id, '') = $1 THEN 1 END) AS part FROM webhooks";
        let count = Statement::new(sql).bind(tenant.unwrap_or_default());
        let row = count.fetch_one(self.on().await?).await?;
        Ok([row.get("whole")?, row.get("part")?])
    }

    /// Adds a webhook.
    pub async fn add_webhook(&mut self, webhook: &Webhook) -> Result<(), StoreError> {
        if !self.reach().sees(webhook) {
            return Err(StoreError::OutOfReach);
        }
        Statement::new(
            "INSERT INTO webhooks (id, tenant_id, url, events, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&webhook.id)
        .bind(webhook.tenant_id.clone())
        .bind(&webhook.url)
        .bind(listed(&webhook.events))
        .bind(webhook.created_at)
        .execute(self.on().await?)
        .await?;
        let before = None::<&Webhook>;
        self.audit(
            Action::Create,
            Kind::Webhook,
            &webhook.id,
            None,
            before,
            webhook,
        )
        .await
    }

    /// Takes a webhook out, and every message for it.
    pub async fn remove_webhook(&mut self, webhook: &Webhook) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM webhook_messages WHERE webhook_id = $1",
            "DELETE FROM webhooks WHERE id = $1",
        ] {
            let statement = Statement::new(sql).bind(&webhook.id);
            statement.execute(self.on().await?).await?;
        }
        let before = Some(webhook);
        self.audit(
            Action::Delete,
            Kind::Webhook,
            &webhook.id,
            None,
            before,
            webhook,
        )
        .await
    }
}
