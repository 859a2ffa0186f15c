//! The key service: the protocol of version 1, answered from the truth.

use std::collections::{BTreeSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::agenda::Time;
use crate::scenario::Scenario;
use crate::truth::{Entity, Key, Record, Truth};

/// Bytes of an answer at most, with some room for what stands around its items.
const MOST_BYTES: usize = 1024 * 1024 - 200;

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
    /// Whether records are as long as they may be.
    long_records: bool,
    /// Whether an answer that would be too long is cut.
    cuts: bool,
}

/// How the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As the protocol says.
    Right,
    /// Of keys that do not expire, it says that they do, in milliseconds.
    Extreme,
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
        /// Whether the cursor is another than before.
        moved: bool,
        /// Whether it tells of everything up to then.
        whole: bool,
        /// What changed, and with which commit.
        changes: Vec<(Entity, u64)>,
        /// Credentials whose keys it tells in a form that is not well-formed: whoever hears of it knows them no more.
        unreadable: Vec<u64>,
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
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            truth: Truth::default(),
            log: VecDeque::new(),
            retention: scenario.retention,
            forgotten: 0,
            only_last: scenario.only_last,
            long_records: scenario.long_records,
            cuts: scenario.cuts,
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
    pub fn resolve(
        &self,
        asked: &[(Digest, Option<u64>)],
        manner: Manner,
        commit: u64,
        at: Time,
    ) -> Answer {
        let mut credentials = Vec::new();
        let mut results = Vec::new();
        let mut length = 0;
        for (digest, credential) in asked {
            let key = credential.and_then(|number| Some((number, self.truth.key(number, commit)?)));
            let digest = URL_SAFE_NO_PAD.encode(digest);
            let result = match key {
                None => format!(r#"{{"digest":"{digest}","key":null}}"#),
                Some((number, key)) => {
                    let user = self.member("user", key.user.map(Entity::User), commit);
                    let tenant = self.member("tenant", key.tenant.map(Entity::Tenant), commit);
                    let key = self.json(Entity::Key(number), manner, commit);
                    format!(r#"{{"digest":"{digest}","key":{key}{user}{tenant}}}"#)
                }
            };
            length += result.len() + 1;
            if self.cuts && length > MOST_BYTES && !results.is_empty() {
                length -= result.len() + 1;
                continue;
            }
            results.push(result);
            // What is not well-formed tells nobody anything.
            let told = key.is_none_or(|(_, key)| !is_extreme(&key, manner));
            credentials.extend(credential.filter(|_| told));
        }
        let as_of = self.truth.sequence_after(commit);
        Answer {
            body: format!(r#"{{"as_of":{as_of},"results":[{}]}}"#, results.join(",")).into_bytes(),
            evidence: Evidence::Resolved {
                commit,
                at,
                credentials,
            },
        }
    }

    fn member(&self, name: &str, entity: Option<Entity>, commit: u64) -> String {
        entity.map_or_else(String::new, |entity| {
            format!(r#","{name}":{}"#, self.json(entity, Manner::Right, commit))
        })
    }

    /// Answers `/v1/changes`; nothing where it has to wait for a change.
    pub fn changes(
        &self,
        poll: Poll,
        waited: bool,
        manner: Manner,
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
                    moved: true,
                    whole: true,
                    changes: Vec::new(),
                    unreadable: Vec::new(),
                },
            });
        };
        let from = self
            .log
            .partition_point(|(sequence, _, _)| *sequence <= after);
        let mut given = self.given(from, poll.limit);
        if given.is_empty() && end == after && !waited {
            return None;
        }
        let mut texts = Vec::new();
        let mut length = 0;
        for at in &given {
            let text = self.change(*at, manner, &digest);
            length += text.len() + 1;
            if self.cuts && length > MOST_BYTES && !texts.is_empty() {
                break;
            }
            texts.push(text);
        }
        given.truncate(texts.len());
        let all = given.last().is_none_or(|at| at + 1 == self.log.len());
        let (cursor, commit) = match given.last() {
            Some(at) if !all => (self.log[*at].0, self.log[*at].2),
            _ => (end, last),
        };
        let changes: Vec<(Entity, u64)> = given
            .iter()
            .map(|at| (self.log[*at].1, self.log[*at].2))
            .collect();
        let unreadable = changes.iter().filter_map(|(entity, commit)| {
            let Entity::Key(credential) = *entity else {
                return None;
            };
            let key = self.truth.key(credential, *commit)?;
            is_extreme(&key, manner).then_some(credential)
        });
        let unreadable = unreadable.collect();
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
                moved: cursor != after,
                whole: all,
                changes,
                unreadable,
            },
        })
    }

    /// A change of the log.
    fn change(&self, at: usize, manner: Manner, digest: impl Fn(u64) -> Digest) -> String {
        let (sequence, entity, commit) = self.log[at];
        let json = self.json(entity, manner, commit);
        match entity {
            Entity::Key(number) => {
                let digest = URL_SAFE_NO_PAD.encode(digest(number));
                format!(
                    r#"{{"seq":{sequence},"kind":"key","id":"key_{number}","digest":"{digest}","key":{json}}}"#
                )
            }
            Entity::User(number) => {
                format!(r#"{{"seq":{sequence},"kind":"user","id":"usr_{number}","user":{json}}}"#)
            }
            Entity::Tenant(number) => format!(
                r#"{{"seq":{sequence},"kind":"tenant","id":"ten_{number}","tenant":{json}}}"#
            ),
        }
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

    fn json(&self, entity: Entity, manner: Manner, commit: u64) -> String {
        let version = self.truth.after(entity, commit);
        let sequence = version.sequence;
        match (entity, version.record) {
            (_, None) => "null".to_owned(),
            (Entity::Key(number), Some(Record::Key(key))) => {
                let more = if self.long_records {
                    &*filling(255)
                } else {
                    ""
                };
                key_json(number, sequence, &key, manner, more)
            }
            (Entity::User(number), Some(Record::User(user))) => {
                let lists = match self.long_records {
                    true => format!(r#","scopes":["*"{0}],"apis":["any"{0}]"#, filling(255)),
                    false => String::new(),
                };
                format!(
                    r#"{{"id":"usr_{number}","version":{sequence},"tenant_id":{},"status":"{}"{lists}}}"#,
                    id("ten", user.tenant),
                    user.status
                )
            }
            (Entity::Tenant(number), Some(Record::Tenant(tenant))) => format!(
                r#"{{"id":"ten_{number}","version":{sequence},"status":"{}"}}"#,
                tenant.status
            ),
            (entity, Some(record)) => panic!("{entity:?} is written as {record:?}"),
        }
    }
}

/// More entries of a list, each as long as it may be.
pub fn filling(entries: usize) -> String {
    format!(r#","{:x<128}""#, "long:").repeat(entries)
}

/// Whether a key is told in a manner in which it is not well-formed.
fn is_extreme(key: &Key, manner: Manner) -> bool {
    manner == Manner::Extreme && key.expires_at.is_none()
}

fn key_json(number: u64, version: u64, key: &Key, manner: Manner, more_scopes: &str) -> String {
    let time = |time: Option<u64>| time.map_or("null".to_owned(), |time| time.to_string());
    let expires_at = match is_extreme(key, manner) {
        true => Some(1_790_000_000_000),
        false => key.expires_at,
    };
    format!(
        r#"{{"id":"key_{number}","version":{version},"user_id":{},"tenant_id":{},"environment":"live","status":"{}","not_before":{},"expires_at":{},"replaced_by":{},"replaced_at":null,"scopes":["scope:{}"{more_scopes}]}}"#,
        id("usr", key.user),
        id("ten", key.tenant),
        key.status,
        time(key.not_before),
        time(expires_at),
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
