//! Messages for webhooks, from the outbox on: given to one of several services that sends them, and taken out as soon as
//! the receiver has taken them.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::columns::json;
use super::database::Store;
use super::error::StoreError;
use super::page::{Page, PageRequest};
use super::queue::Urgency;
use super::shown::select;
use super::sql::{Row, Statement};
use super::stored::Stored as _;
use super::view::View;
use super::webhooks::wants;
use super::write::Write;
use crate::domain::key::Key;
use crate::domain::time::DAY;
use crate::domain::webhook::{EXPIRES_WITHIN, Event, EventKind};

/// Messages that are sent at a time.
const AT_A_TIME: i64 = 16;
/// Of those, for one receiver: one that does not answer keeps no others waiting.
const OF_ONE_AT_A_TIME: i64 = 4;
/// How long a service that is sending a message has it for itself: longer than any try takes.
const LEASE: i64 = 60;
/// Tries before nobody tries any more.
const MOST_ATTEMPTS: i64 = 8;
/// Seconds after the first try; then five times as many each time, up to the longest.
const FIRST_PAUSE: i64 = 5;
const LONGEST_PAUSE: i64 = 12 * 3600;
/// How long a message that nobody tries any more is kept.
const DEAD_KEPT: i64 = 30 * DAY;
/// Keys of one write that somebody is told of.
const PART: i64 = 100;

/// A message that is to be sent now, by whoever was given it.
#[derive(Debug, Clone)]
pub struct Due {
    place: i64,
    /// Its id, the same at each try.
    pub event_id: String,
    /// To whom.
    pub webhook_id: String,
    /// What is sent.
    pub payload: String,
    /// Which try it is, from 1.
    pub attempt: i64,
}

/// A message that nobody tries to send any more.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeadMessage {
    /// Its id.
    pub event_id: String,
    /// What it tells of.
    #[schema(example = "key.revoked")]
    pub event: String,
    /// When that happened, in Unix seconds.
    pub created_at: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// What was sent.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
}

/// How many messages there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageCounts {
    /// Those that are tried.
    pub pending: i64,
    /// Those that nobody tries any more.
    pub dead: i64,
}

/// Seconds until the next try after this one.
fn pause(attempt: i64) -> i64 {
    let exponent = u32::try_from(attempt.max(1) - 1).unwrap_or(u32::MAX);
    let factor = 5_i64.checked_pow(exponent).unwrap_or(i64::MAX);
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

impl Write {
    /// Lets messages that nobody tries any more be tried again: the one of this id, else all of a webhook. Gives how
    /// many they are.
    pub async fn redeliver(
        &mut self,
        webhook: &str,
        event: Option<&str>,
    ) -> Result<u64, StoreError> {
        let now = self.now();
        let mut sql = Statement::new(
            "UPDATE webhook_messages SET state = 'pending', attempts = 0, next_at = ",
        );
        sql.push_bind(now)
            .push(" WHERE state = 'dead' AND webhook_id = ");
        sql.push_bind(webhook.to_owned());
        if let Some(event) = event {
            sql.push(" AND event_id = ").push_bind(event.to_owned());
        }
        sql.execute(self.on().await?).await
    }

    /// The keys that expire soon of which nobody was told on this day, some of them.
    async fn expiring(&mut self) -> Result<Vec<Key>, StoreError> {
        let now = self.now();
        let rows = expiring(now).fetch_all(self.on().await?).await?;
        rows.iter().map(Key::read).collect()
    }
}

/// The keys that expire soon, of which nobody was told on the day of this time; none where nobody wants to be told.
fn expiring(now: i64) -> Statement {
    let mut sql = select::<Key>("");
    sql.push("keys.status = 'active' AND keys.replaced_by IS NULL AND keys.expires_at > ")
        .push_bind(now);
    sql.push(" AND keys.expires_at <= ")
        .push_bind(now + EXPIRES_WITHIN);
    sql.push(" AND NOT EXISTS (SELECT 1 FROM webhook_expiring WHERE key_id = keys.id AND day = ")
        .push_bind(now / DAY);
    sql.push(") AND EXISTS (SELECT 1 FROM webhooks WHERE events LIKE ")
        .push_bind(wants(EventKind::KeyExpiring));
    sql.push(") ORDER BY keys.place LIMIT ").push_bind(PART);
    sql
}

impl Store {
    /// Takes messages that are due: nobody else is given them for a while. Empty where there are none.
    pub async fn due_messages(&self, now: i64) -> Result<Vec<Due>, StoreError> {
        // Most of the time there are none, and then nobody writes.
        let any = Statement::new(
            "SELECT 1 FROM webhook_messages WHERE state = 'pending' AND next_at <= $1 LIMIT 1",
        );
        let any = any.bind(now).fetch_optional(&self.readers).await?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        let mut write = self.write_as(Urgency::Usage, "webhooks", now).await?;
        let taken = Statement::each(
            "UPDATE webhook_messages SET next_at = $1, attempts = attempts + 1 WHERE place IN \
             (SELECT place FROM (SELECT place, next_at, row_number() OVER (PARTITION BY webhook_id ORDER BY next_at, place) \
             AS turn FROM webhook_messages WHERE state = 'pending' AND next_at <= $2) AS queued \
             WHERE turn <= $3 ORDER BY turn, next_at LIMIT $4) \
             RETURNING place, event_id, webhook_id, payload, attempts",
            "UPDATE webhook_messages SET next_at = $1, attempts = attempts + 1 WHERE place = ANY (ARRAY \
             (SELECT due.place FROM webhook_messages AS due JOIN \
             (SELECT place, row_number() OVER (PARTITION BY webhook_id ORDER BY next_at, place) \
             AS turn FROM webhook_messages WHERE state = 'pending' AND next_at <= $2) AS queued ON queued.place = due.place \
             WHERE turn <= $3 AND due.state = 'pending' AND due.next_at <= $2 ORDER BY turn, due.next_at LIMIT $4 \
             FOR UPDATE OF due SKIP LOCKED)) \
             RETURNING place, event_id, webhook_id, payload, attempts",
        );
        let rows = taken
            .bind(now + LEASE)
            .bind(now)
            .bind(OF_ONE_AT_A_TIME)
            .bind(AT_A_TIME)
            .fetch_all(write.on().await?)
            .await?;
        write.commit().await?;
        let due = |row: &Row| {
            Ok(Due {
                place: row.get("place")?,
                event_id: row.get("event_id")?,
                webhook_id: row.get("webhook_id")?,
                payload: row.get("payload")?,
                attempt: row.get("attempts")?,
            })
        };
        rows.iter().map(due).collect()
    }

    /// Takes a message out that was taken.
    pub async fn message_was_taken(&self, due: &Due, now: i64) -> Result<(), StoreError> {
        let mut write = self.write_as(Urgency::Usage, "webhooks", now).await?;
        Statement::new("DELETE FROM webhook_messages WHERE place = $1")
            .bind(due.place)
            .execute(write.on().await?)
            .await?;
        write.commit().await
    }

    /// Lets a message be tried again later, or by nobody where that was the last try. Gives whether it was.
    pub async fn message_failed(
        &self,
        due: &Due,
        error: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let is_dead = due.attempt >= MOST_ATTEMPTS;
        let (state, next_at) = match is_dead {
            true => ("dead", now),
            false => ("pending", now + pause(due.attempt)),
        };
        let mut write = self.write_as(Urgency::Usage, "webhooks", now).await?;
        Statement::new(
            "UPDATE webhook_messages SET state = $1, next_at = $2, last_error = $3 WHERE place = $4",
        )
        .bind(state)
        .bind(next_at)
        .bind(error)
        .bind(due.place)
        .execute(write.on().await?)
        .await?;
        write.commit().await?;
        Ok(is_dead)
    }

    /// Writes messages of the keys that expire soon, once a day for each, and takes out what is long dead.
    pub async fn tell_of_expiring_keys(&self, now: i64) -> Result<(), StoreError> {
        loop {
            let any = expiring(now).fetch_optional(&self.readers).await?;
            if any.is_none() {
                break;
            }
            let mut write = self.write_as(Urgency::Import, "webhooks", now).await?;
            // As they are in the turn of this write: another service may have told of them.
            for key in write.expiring().await? {
                let told = "INSERT INTO webhook_expiring (key_id, day) VALUES ($1, $2) \
                            ON CONFLICT (key_id) DO UPDATE SET day = excluded.day";
                Statement::new(told)
                    .bind(&key.id)
                    .bind(now / DAY)
                    .execute(write.on().await?)
                    .await?;
                write.tell(Event::about_key(EventKind::KeyExpiring, &key));
            }
            write.commit().await?;
        }
        let old = [
            ("DELETE FROM webhook_expiring WHERE day < $1", now / DAY),
            (
                "DELETE FROM webhook_messages WHERE state = 'dead' AND next_at < $1",
                now - DEAD_KEPT,
            ),
        ];
        let mut write = self.write_as(Urgency::Usage, "webhooks", now).await?;
        for (sql, before) in old {
            let statement = Statement::new(sql).bind(before);
            statement.execute(write.on().await?).await?;
        }
        write.commit().await
    }

    /// How many messages there are.
    pub async fn message_counts(&self) -> Result<MessageCounts, StoreError> {
        let sql = "SELECT state, count(*) AS count FROM webhook_messages GROUP BY state";
        let mut counts = MessageCounts::default();
        for row in Statement::new(sql).fetch_all(&self.readers).await? {
            let count = row.get("count")?;
            match row.get::<&str>("state")? {
                "dead" => counts.dead = count,
                _ => counts.pending = count,
            }
        }
        Ok(counts)
    }
}

impl View {
    /// A page of the messages for a webhook within reach that nobody tries any more, oldest first.
    pub async fn dead_messages(
        &self,
        webhook: &str,
        page: PageRequest,
    ) -> Result<Page<DeadMessage>, StoreError> {
        let mut sql = Statement::new(
            "SELECT place, event_id, event, payload, created_at, attempts, last_error FROM webhook_messages \
             WHERE state = 'dead' AND webhook_id = ",
        );
        sql.push_bind(webhook.to_owned()).push(" AND place > ");
        sql.push_bind(page.after.unwrap_or(0))
            .push(" ORDER BY place LIMIT ");
        sql.push_bind(page.limit_and_one());
        let rows = sql.fetch_all(&self.store().readers).await?;
        let entry = |row: &Row| {
            let dead = DeadMessage {
                event_id: row.get("event_id")?,
                event: row.get("event")?,
                created_at: row.get("created_at")?,
                attempts: row.get("attempts")?,
                last_error: row.get("last_error")?,
                payload: json(row, "payload")?,
            };
            Ok((row.get("place")?, dead))
        };
        let entries: Result<Vec<_>, StoreError> = rows.iter().map(entry).collect();
        Ok(Page::cut(entries?, page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_further_and_further_apart_for_most_of_a_day() {
        let pauses: Vec<i64> = (1..=MOST_ATTEMPTS).map(pause).collect();
        assert_eq!(pauses, [5, 25, 125, 625, 3125, 15_625, 43_200, 43_200]);
        let whole: i64 = pauses[..7].iter().sum();
        assert!(whole > 17 * 3600, "{whole}");
        assert_eq!(pause(i64::MAX), LONGEST_PAUSE);
        assert_eq!(pause(0), FIRST_PAUSE);
    }
}
