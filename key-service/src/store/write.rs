//! The writer: records, their sequence numbers and the audit log change together or not at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::belongs::{Taken, taken};
use super::chain::{self, End, Entry};
use super::columns::json_text;
use super::database::{Engine, MOVED_ON, Store, announce};
use super::error::StoreError;
use super::measures::Measures;
use super::outbox::{events, messages};
use super::pool::Transaction;
use super::queue::{Turn, Urgency};
use super::recent::Recent;
use super::server::{CHANNEL, Sequence};
use super::sql::{On, Statement, Value};
use super::stored::{self, Change, Stored, Table};
use super::writable::Writable;
use crate::domain::audit::{Action, Kind};
use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::reach::Reach;
use crate::domain::webhook::Event;

/// What the audit log says beside a record, by name.
pub type Note = HashMap<&'static str, serde_json::Value>;

/// A write under way. Dropped without [`Write::commit`], it has not happened.
#[derive(Debug)]
pub struct Write {
    transaction: Transaction,
    engine: Engine,
    sequence: watch::Sender<i64>,
    recent: Arc<Recent>,
    writable: Arc<Writable>,
    measures: Measures,
    actor: String,
    reach: Reach,
    now: i64,
    head: Option<Head>,
    records: Vec<Pending>,
    entries: Vec<(Entry, String)>,
    changes: Vec<Change>,
    events: Vec<Event>,
    /// Behind the transaction: whoever comes next finds the connection free.
    turn: Turn,
}

/// The last numbers that were given.
#[derive(Debug)]
struct Head {
    /// That of the database.
    begin: i64,
    /// Those of this write included.
    value: i64,
    audit: End,
    /// The history in which they are given, with PostgreSQL.
    origin: Option<String>,
    /// It is another one than that of the last write.
    moved: bool,
    written: bool,
}

/// A record that is written with the next ones: over a network, each way counts.
#[derive(Debug)]
struct Pending {
    table: &'static Table,
    id: String,
    values: Vec<Value>,
}

impl Store {
    /// Begins the only write there is at a time. `actor` is named in the audit log.
    pub async fn write(&self, actor: &str, now: i64) -> Result<Write, StoreError> {
        self.write_as(Urgency::Change, actor, now).await
    }

    /// The same, before or behind others that wait.
    pub async fn write_as(
        &self,
        urgency: Urgency,
        actor: &str,
        now: i64,
    ) -> Result<Write, StoreError> {
        let asked = Instant::now();
        let queue = match urgency {
            Urgency::Usage => &self.reports,
            _ => &self.queue,
        };
        let turn = queue.turn(urgency).await.ok_or(StoreError::Queue)?;
        let begun = async {
            self.engine.check()?;
            let mut write = Write::new(self.writer.write().await?, turn, self, actor, now);
            // Counts of use need no number, and must not wait for those that do.
            if urgency != Urgency::Usage {
                write.tell_of_another_history().await?;
            }
            Ok(write)
        };
        let begun = begun.await;
        match &begun {
            Ok(_) => {
                let waited = asked.elapsed().as_secs_f64();
                self.measures.write_wait.observe(waited);
            }
            Err(error) => self.writable.failed(error),
        }
        begun
    }
}

impl Write {
    fn new(transaction: Transaction, turn: Turn, store: &Store, actor: &str, now: i64) -> Self {
        Self {
            transaction,
            engine: store.engine.clone(),
            sequence: store.sequence.clone(),
            recent: Arc::clone(&store.recent),
            writable: Arc::clone(&store.writable),
            measures: store.measures.clone(),
            actor: actor.to_owned(),
            reach: Reach::Everything,
            now,
            head: None,
            records: Vec::new(),
            entries: Vec::new(),
            changes: Vec::new(),
            events: Vec::new(),
            turn,
        }
    }

    /// The same write, of somebody who reaches no further than this.
    pub(super) fn within(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// How far it reaches.
    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Where statements of this write run, behind what it has written.
    pub(super) async fn on(&mut self) -> Result<On<'_>, StoreError> {
        self.flush().await?;
        self.transaction.on()
    }

    /// The time of this write, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Whether something more urgent than an import waits for this write to end.
    pub fn is_waited_for(&self) -> bool {
        self.turn.is_wanted(Urgency::Import)
    }

    /// The record of this id.
    pub async fn by_id<T: Stored>(&mut self, id: &str) -> Result<Option<T>, StoreError> {
        let found = stored::by_id::<T>(self.on().await?, id).await?;
        Ok(found.filter(|record| self.reach.sees(record)))
    }

    /// Whether there is a record of this id, be it out of reach.
    pub async fn is_taken<T: Stored>(&mut self, id: &str) -> Result<bool, StoreError> {
        let found = stored::by_id::<T>(self.on().await?, id).await?;
        Ok(found.is_some())
    }

    /// The key of this digest.
    pub async fn key_by_digest(&mut self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        let found = stored::key_by_digest(self.on().await?, digest).await?;
        Ok(found.filter(|key| self.reach.sees(key)))
    }

    /// The records of these ids, as far as there are any.
    pub async fn by_ids<T: Stored>(&mut self, ids: &[&str]) -> Result<Vec<T>, StoreError> {
        let mut found = stored::by_ids::<T>(self.on().await?, ids).await?;
        found.retain(|record| self.reach.sees(record));
        Ok(found)
    }

    /// The keys that have one of these digests, or one of these ids, as [`super::view::View::taken_keys`] tells of
    /// them.
    pub async fn taken_keys(
        &mut self,
        digests: &[&str],
        ids: &[&str],
    ) -> Result<Vec<Taken>, StoreError> {
        let mut keys = stored::keys_by_digests(self.on().await?, digests).await?;
        keys.extend(stored::by_ids::<Key>(self.on().await?, ids).await?);
        Ok(taken(&self.reach, keys))
    }

    /// Puts a record in the place of `before`. Where nothing differs, nothing is written.
    pub async fn put<T: Stored>(
        &mut self,
        action: Action,
        before: Option<&T>,
        after: T,
    ) -> Result<T, StoreError> {
        self.put_with(action, before, after, Note::new()).await
    }

    /// The same, with something beside the record in the audit log.
    pub async fn put_noting<T: Stored>(
        &mut self,
        action: Action,
        before: &T,
        after: T,
        note: Note,
    ) -> Result<T, StoreError> {
        self.put_with(action, Some(before), after, note).await
    }

    async fn put_with<T: Stored>(
        &mut self,
        action: Action,
        before: Option<&T>,
        mut after: T,
        note: Note,
    ) -> Result<T, StoreError> {
        if before == Some(&after) {
            return Ok(after);
        }
        if !before
            .into_iter()
            .chain([&after])
            .all(|record| self.reach.sees(record))
        {
            return Err(StoreError::OutOfReach);
        }
        after.stamp(self.skip(1).await?, self.now);
        let table = T::table();
        self.records.push(Pending {
            table,
            id: after.id().to_owned(),
            values: after.values()?,
        });
        let seq = Some(after.version());
        let noted = Noted {
            record: &after,
            note,
        };
        self.audit(action, table.kind, after.id(), seq, before, &noted)
            .await?;
        let change = after.clone().into_change();
        let before = before.cloned().map(Stored::into_change);
        self.events.extend(events(action, before, &change));
        self.changes.push(change);
        Ok(after)
    }

    /// Makes it true, and wakes whoever follows the changes.
    pub async fn commit(self) -> Result<(), StoreError> {
        // In a task of its own: a client that leaves now must not keep the announcement back.
        match tokio::spawn(self.commit_now()).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Database(sqlx::Error::WorkerCrashed)),
        }
    }

    async fn commit_now(mut self) -> Result<(), StoreError> {
        if let Err(error) = self.finish().await {
            self.writable.failed(&error);
            return Err(error);
        }
        // Until the end, also of what is told of it.
        let _turn = self.turn;
        if let Err(error) = self.transaction.commit().await {
            self.writable.failed(&error);
            return Err(error);
        }
        if self.head.as_ref().is_some_and(|head| head.moved) {
            self.measures.origin_changes.inc();
            tracing::warn!(
                "the database has another history: what was written last before may be lost, and gateways start over"
            );
        }
        let first = self.changes.first().map(Change::seq);
        if let (Some(first), Some(last)) = (first, self.changes.last().map(Change::seq)) {
            let range = (first - 1, last);
            match &self.engine {
                Engine::Sqlite(_) => {
                    // Another process wrote in between.
                    self.recent.begin_after(first - 1);
                    self.recent.add(range, self.changes);
                    announce(&self.sequence, last);
                }
                Engine::Postgres(server) => {
                    if self.recent.add(range, self.changes) {
                        announce(&self.sequence, last);
                    } else {
                        server.is_behind();
                    }
                }
            }
        }
        // Obeyed, but perhaps not kept: whoever asked for it must not believe that it is.
        if let Engine::Sqlite(_) = self.engine
            && let Err(error) = self.engine.check()
        {
            self.writable.failed(&error);
            return Err(error);
        }
        self.writable.succeeded();
        Ok(())
    }

    /// Adds to the number of the last write, and gives what it is then.
    pub(super) async fn skip(&mut self, by: i64) -> Result<i64, StoreError> {
        let head = self.head().await?;
        head.value += by;
        head.written = true;
        Ok(head.value)
    }

    /// The next audit entry comes after this one, of another database.
    pub(super) async fn take_over(&mut self, end: End) -> Result<(), StoreError> {
        self.head().await?.audit = end;
        Ok(())
    }

    /// Lets everybody who wants to be told of this be told, if it becomes true.
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(super) async fn audit(
        &mut self,
        action: Action,
        kind: Kind,
        entity_id: &str,
        seq: Option<i64>,
        before: Option<&impl Serialize>,
        after: &impl Serialize,
    ) -> Result<(), StoreError> {
        let (actor, now) = (self.actor.clone(), self.now);
        let head = self.head().await?;
        let entry = Entry {
            previous_hash: head.audit.hash.take(),
            id: head.audit.id + 1,
            at: now,
            actor,
            action: action.as_str().to_owned(),
            kind: kind.as_str().to_owned(),
            entity_id: entity_id.to_owned(),
            seq,
            before: before.map(json_text).transpose()?,
            after: Some(json_text(after)?),
        };
        let hash = entry.hash()?;
        head.audit = End {
            id: entry.id,
            hash: Some(hash.clone()),
        };
        head.written = true;
        self.entries.push((entry, hash));
        Ok(())
    }

    /// The last numbers that were given. With PostgreSQL nobody else gives any from now on.
    async fn head(&mut self) -> Result<&mut Head, StoreError> {
        let head = match self.head.take() {
            Some(head) => head,
            None => match (&mut self.transaction, &self.engine) {
                (Transaction::Postgres(lent), Engine::Postgres(server)) => {
                    Head::of(server.lock(lent).await?)
                }
                (transaction, _) => {
                    let value = Statement::new("SELECT value FROM sequence")
                        .scalar(transaction.on()?)
                        .await?;
                    Head {
                        begin: value,
                        value,
                        audit: chain::end(transaction).await?,
                        origin: None,
                        moved: false,
                        written: false,
                    }
                }
            },
        };
        Ok(self.head.insert(head))
    }

    /// Where the server has another history, what it has lost may be known to those who follow: they start over.
    async fn tell_of_another_history(&mut self) -> Result<(), StoreError> {
        let head = self.head().await?;
        if !head.moved {
            return Ok(());
        }
        let (begin, value) = (head.begin, head.value);
        let actor = std::mem::replace(&mut self.actor, "key-service".to_owned());
        let [before, after] = [begin, value].map(|value| serde_json::json!({"sequence": value}));
        self.audit(
            Action::Restore,
            Kind::Database,
            "keybound",
            Some(value),
            Some(&before),
            &after,
        )
        .await?;
        self.actor = actor;
        Ok(())
    }

    /// Sends what is to be written.
    async fn flush(&mut self) -> Result<(), StoreError> {
        let records = std::mem::take(&mut self.records);
        let entries = std::mem::take(&mut self.entries);
        match &self.engine {
            Engine::Sqlite(_) => {
                for record in records {
                    Statement::new(record.table.sql.put.as_str())
                        .bind_all(record.values)
                        .execute(self.transaction.on()?)
                        .await?;
                }
                for (entry, hash) in entries {
                    let on = self.transaction.on()?;
                    insert_entry(entry, hash).execute(on).await?;
                }
            }
            Engine::Postgres(_) => {
                for table in stored::tables() {
                    if let Some(rows) = rows_of(table, &records)? {
                        Statement::new(table.sql.put_all.as_str())
                            .bind(rows)
                            .execute(self.transaction.on()?)
                            .await?;
                    }
                }
                if !entries.is_empty() {
                    let rows: Vec<_> = entries
                        .iter()
                        .map(|(entry, hash)| Row { entry, hash })
                        .collect();
                    Statement::new(INSERT_ENTRIES)
                        .bind(json_text(&rows)?)
                        .execute(self.transaction.on()?)
                        .await?;
                }
            }
        }
        let events = std::mem::take(&mut self.events);
        if !events.is_empty() {
            let messages = messages(&events, &self.engine, self.now)?;
            messages.execute(self.transaction.on()?).await?;
        }
        Ok(())
    }

    /// Sends the rest, and the numbers.
    async fn finish(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        let Some(head) = self.head.as_ref().filter(|head| head.written) else {
            return Ok(());
        };
        let statement = match self.engine {
            Engine::Sqlite(_) => Statement::new("UPDATE sequence SET value = $1").bind(head.value),
            Engine::Postgres(_) => Statement::new(
                "UPDATE sequence SET value = $1, origin = $2, audit_id = $3, audit_hash = $4 \
                 RETURNING CASE WHEN $5 = 1 THEN pg_notify($6, $1::text) END IS NULL",
            )
            .bind(head.value)
            .bind(head.origin.clone())
            .bind(head.audit.id)
            .bind(head.audit.hash.clone())
            .bind(i64::from(head.value != head.begin))
            .bind(CHANNEL),
        };
        statement.execute(self.transaction.on()?).await?;
        Ok(())
    }
}

impl Head {
    fn of(sequence: Sequence) -> Self {
        let moved = sequence.is_of_another_history();
        let origin = sequence.origin();
        Self {
            begin: sequence.value,
            value: sequence.value + if moved { MOVED_ON } else { 0 },
            audit: End {
                id: sequence.audit_id,
                hash: sequence.audit_hash,
            },
            origin,
            moved,
            written: false,
        }
    }
}

/// A record, and what the audit log notes beside it.
#[derive(Serialize)]
struct Noted<'a, T> {
    #[serde(flatten)]
    record: &'a T,
    #[serde(flatten)]
    note: Note,
}

/// An audit entry as a row.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    hash: &'a str,
}

const INSERT_ENTRIES: &str = "INSERT INTO audit (id, at, actor, action, kind, entity_id, seq, before, after, previous_hash, hash) \
     SELECT id, at, actor, action, kind, entity_id, seq, before, after, previous_hash, hash \
     FROM json_populate_recordset(NULL::audit, $1::json)";

fn insert_entry(entry: Entry, hash: String) -> Statement {
    Statement::new(
        "INSERT INTO audit (id, at, actor, action, kind, entity_id, seq, before, after, previous_hash, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(entry.id)
    .bind(entry.at)
    .bind(entry.actor)
    .bind(entry.action)
    .bind(entry.kind)
    .bind(entry.entity_id)
    .bind(entry.seq)
    .bind(entry.before)
    .bind(entry.after)
    .bind(entry.previous_hash)
    .bind(hash)
}

/// The last of each record of a table, as a JSON list: PostgreSQL writes no row twice in one statement.
fn rows_of(table: &Table, records: &[Pending]) -> Result<Option<String>, StoreError> {
    let mut seen = HashSet::new();
    let mut rows: Vec<serde_json::Map<String, serde_json::Value>> = records
        .iter()
        .rev()
        .filter(|record| record.table.name == table.name && seen.insert(record.id.as_str()))
        .map(|record| {
            let names = table.columns.iter().map(|name| (*name).to_owned());
            names.zip(record.values.iter().map(Into::into)).collect()
        })
        .collect();
    rows.reverse();
    match rows.is_empty() {
        true => Ok(None),
        false => json_text(&rows).map(Some),
    }
}
