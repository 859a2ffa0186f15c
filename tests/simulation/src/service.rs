//! The key service: the protocol of version 1, answered from the truth.

use std::collections::{BTreeSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::agenda::Time;
use crate::truth::{Entity, Key, Record, Truth};

/// Bytes of a digest.
pub type Digest = [u8; 32];

/// The service.
#[derive(Debug)]
pub struct Service {
    /// What it holds.
    pub truth: Truth,
    /// The last changes: sequence, entity, commit.
    log: VecDeque<(u64, Entity, u64)>,
    /// Changes that are kept.
    retention: usize,
    /// The cursor up to which changes are no longer kept.
    forgotten: u64,
    /// Whether only the last change of an entity is given.
    only_last: bool,
}

/// A body, and what it says.
#[derive(Debug, Clone)]
pub struct Answer {
    /// JSON.
    pub body: Vec<u8>,
    /// What it says, for the oracle.
    pub evidence: Evidence,
}

/// What an answer of the service says.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// Of these credentials, what was true after a commit; known to be so at a time.
    Resolved {
        /// After which commit.
        commit: u64,
        /// When that was the truth's last commit, or the service's replica believed so.
        at: Time,
        /// Of which credentials.
        credentials: Vec<u64>,
    },
    /// Changes up to a commit.
    Changes {
        /// Up to which commit.
        commit: u64,
        /// When the answer was made.
        at: Time,
        /// Whether nothing older counts any more.
        reset: bool,
        /// What changed, and with which commit.
        changes: Vec<(Entity, u64)>,
    },
    /// A report of usage was taken.
    Usage,
}

/// What is asked of the change feed.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// After which cursor.
    pub after: Option<u64>,
    /// Milliseconds to wait for a change.
    pub wait: Time,
    /// Changes in an answer at most.
    pub limit: usize,
}

impl Service {
    /// A service of which nothing is known yet.
    pub fn new(retention: usize, only_last: bool) -> Self {
        Self {
            truth: Truth::default(),
            log: VecDeque::new(),
            retention,
            forgotten: 0,
            only_last,
        }
    }

    /// Writes an entity.
    pub fn write(&mut self, entity: Entity, record: Option<Record>, now: Time) {
        let sequence = self.truth.write(entity, record, now);
        self.log.push_back((sequence, entity, self.truth.commit()));
        while self.log.len() > self.retention {
            if let Some((sequence, _, _)) = self.log.pop_front() {
                self.forgotten = sequence;
            }
        }
    }

    /// Comes back with what it held after an earlier commit.
    pub fn restore(&mut self, earlier: u64, now: Time) {
        self.truth.restore(earlier, now);
        self.forget_changes();
    }

    /// Loses the changes that it kept for the feed.
    pub fn forget_changes(&mut self) {
        self.log.clear();
        self.forgotten = self.truth.sequence_after(self.truth.commit());
    }

    /// Answers `/v1/resolve` with what was true after a commit.
    pub fn resolve(&self, asked: &[(Digest, Option<u64>)], commit: u64, at: Time) -> Answer {
        let results: Vec<String> = asked
            .iter()
            .map(|(digest, credential)| {
                let key =
                    credential.and_then(|number| Some((number, self.truth.key(number, commit)?)));
                let digest = URL_SAFE_NO_PAD.encode(digest);
                match key {
                    None => format!(r#"{{"digest":"{digest}","key":null}}"#),
                    Some((number, key)) => {
                        let user = self.member("user", key.user.map(Entity::User), commit);
                        let tenant = self.member("tenant", key.tenant.map(Entity::Tenant), commit);
                        let key = self.json(Entity::Key(number), commit);
                        format!(r#"{{"digest":"{digest}","key":{key}{user}{tenant}}}"#)
                    }
                }
            })
            .collect();
        let as_of = self.truth.sequence_after(commit);
        Answer {
            body: format!(r#"{{"as_of":{as_of},"results":[{}]}}"#, results.join(",")).into_bytes(),
            evidence: Evidence::Resolved {
                commit,
                at,
                credentials: asked
                    .iter()
                    .filter_map(|(_, credential)| *credential)
                    .collect(),
            },
        }
    }

    fn member(&self, name: &str, entity: Option<Entity>, commit: u64) -> String {
        entity.map_or_else(String::new, |entity| {
            format!(r#","{name}":{}"#, self.json(entity, commit))
        })
    }

    /// Answers `/v1/changes`; nothing where it has to wait for a change.
    pub fn changes(
        &self,
        poll: Poll,
        waited: bool,
        digest: impl Fn(u64) -> Digest,
        now: Time,
    ) -> Option<Answer> {
        let last = self.truth.commit();
        let end = self.truth.sequence_after(last);
        let after = poll.after.filter(|after| {
            (self.forgotten..=end).contains(after) && self.truth.is_of_this_life(*after)
        });
        let Some(after) = after else {
            return Some(Answer {
                body: format!(r#"{{"cursor":{end},"reset":true,"changes":[]}}"#).into_bytes(),
                evidence: Evidence::Changes {
                    commit: last,
                    at: now,
                    reset: true,
                    changes: Vec::new(),
                },
            });
        };
        let from = self
            .log
            .partition_point(|(sequence, _, _)| *sequence <= after);
        let given = self.given(from, poll.limit);
        if given.is_empty() && !waited {
            return None;
        }
        let all = given.last().is_none_or(|at| at + 1 == self.log.len());
        let (cursor, commit) = match given.last() {
            Some(at) if !all => (self.log[*at].0, self.log[*at].2),
            _ => (end, last),
        };
        let changes: Vec<(Entity, u64)> = given
            .iter()
            .map(|at| (self.log[*at].1, self.log[*at].2))
            .collect();
        let texts: Vec<String> = given
            .iter()
            .map(|at| {
                let (sequence, entity, commit) = self.log[*at];
                let json = self.json(entity, commit);
                match entity {
                    Entity::Key(number) => {
                        let digest = URL_SAFE_NO_PAD.encode(digest(number));
                        format!(r#"{{"seq":{sequence},"kind":"key","id":"key_{number}","digest":"{digest}","key":{json}}}"#)
                    }
                    Entity::User(number) => format!(r#"{{"seq":{sequence},"kind":"user","id":"usr_{number}","user":{json}}}"#),
                    Entity::Tenant(number) => format!(r#"{{"seq":{sequence},"kind":"tenant","id":"ten_{number}","tenant":{json}}}"#),
                }
            })
            .collect();
        Some(Answer {
            body: format!(
                r#"{{"cursor":{cursor},"reset":false,"changes":[{}]}}"#,
                texts.join(",")
            )
            .into_bytes(),
            evidence: Evidence::Changes {
                commit,
                at: now,
                reset: false,
                changes,
            },
        })
    }

    /// Which changes of the log are given, from a place on.
    fn given(&self, from: usize, limit: usize) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut given: Vec<usize> = (from..self.log.len())
            .rev()
            .filter(|at| seen.insert(self.log[*at].1) || !self.only_last)
            .collect();
        given.reverse();
        given.truncate(limit);
        given
    }

    fn json(&self, entity: Entity, commit: u64) -> String {
        let version = self.truth.after(entity, commit);
        let sequence = version.sequence;
        match (entity, version.record) {
            (_, None) => "null".to_owned(),
            (Entity::Key(number), Some(Record::Key(key))) => key_json(number, sequence, &key),
            (Entity::User(number), Some(Record::User(user))) => format!(
                r#"{{"id":"usr_{number}","version":{sequence},"tenant_id":{},"status":"{}"}}"#,
                id("ten", user.tenant),
                user.status
            ),
            (Entity::Tenant(number), Some(Record::Tenant(tenant))) => format!(
                r#"{{"id":"ten_{number}","version":{sequence},"status":"{}"}}"#,
                tenant.status
            ),
            (entity, Some(record)) => panic!("{entity:?} is written as {record:?}"),
        }
    }
}

fn key_json(number: u64, version: u64, key: &Key) -> String {
    let time = |time: Option<u64>| time.map_or("null".to_owned(), |time| time.to_string());
    format!(
        r#"{{"id":"key_{number}","version":{version},"user_id":{},"tenant_id":{},"environment":"live","status":"{}","not_before":{},"expires_at":{},"replaced_by":{},"replaced_at":null,"scopes":["scope:{}"]}}"#,
        id("usr", key.user),
        id("ten", key.tenant),
        key.status,
        time(key.not_before),
        time(key.expires_at),
        id("key", key.replaced_by),
        key.scope
    )
}

fn id(kind: &str, number: Option<u64>) -> String {
    number.map_or_else(
        || "null".to_owned(),
        |number| format!("\"{kind}_{number}\""),
    )
}
