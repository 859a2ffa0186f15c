//! What is true at the key service, and what was true at any time before.
//!
//! Every write has a *commit*, a number that never goes back, not even when the service is restored from an
//! older backup, and a *sequence*, which is what the service shows. So each version of an entity was true
//! from one commit to another, and anything that a gate decides can be held against that.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::agenda::Time;

/// A key (by the number of its credential), a user or a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The key that a credential stands for.
    Key(u64),
    /// A user.
    User(u64),
    /// A tenant.
    Tenant(u64),
}

/// What is written of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A key.
    Key(Key),
    /// A user.
    User(User),
    /// A tenant.
    Tenant(Tenant),
}

/// A key. Its id follows from its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its user.
    pub user: Option<u64>,
    /// Its tenant.
    pub tenant: Option<u64>,
    /// As the protocol writes it.
    pub status: &'static str,
    /// Unix seconds.
    pub not_before: Option<u64>,
    /// Unix seconds.
    pub expires_at: Option<u64>,
    /// The credential that replaces it.
    pub replaced_by: Option<u64>,
    /// Stands for its scopes.
    pub scope: u64,
}

/// A user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Its tenant.
    pub tenant: Option<u64>,
    /// As the protocol writes it.
    pub status: &'static str,
}

/// A tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// As the protocol writes it.
    pub status: &'static str,
}

/// What was true of an entity from a commit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Since when, as a commit.
    pub commit: u64,
    /// Since when, as a time.
    pub at: Time,
    /// The number that the service gives it.
    pub sequence: u64,
    /// Nothing where there is no such entity.
    pub record: Option<Record>,
}

/// All that was ever true.
#[derive(Debug)]
pub struct Truth {
    histories: BTreeMap<Entity, Vec<Version>>,
    /// The service's sequence after each commit.
    sequences: Vec<u64>,
    /// The commits by which the service was restored.
    restores: Vec<u64>,
}

static NEVER_WRITTEN: [Version; 1] = [Version {
    commit: 0,
    at: 0,
    sequence: 0,
    record: None,
}];

/// Sequences of one life of the service leave the same remainder: numbers of two lives never coincide, as
/// they would in a service that cannot tell a cursor of a lost future from one of its own.
const LIVES: u64 = 64;

impl Default for Truth {
    fn default() -> Self {
        Self {
            histories: BTreeMap::new(),
            sequences: vec![0],
            restores: Vec::new(),
        }
    }
}

impl Truth {
    /// The last commit.
    pub fn commit(&self) -> u64 {
        self.sequences.len() as u64 - 1
    }

    /// The service's sequence after a commit.
    pub fn sequence_after(&self, commit: u64) -> u64 {
        self.sequences[commit as usize]
    }

    /// The commit by which the service was last restored.
    pub fn restored_at(&self) -> u64 {
        self.restores.last().copied().unwrap_or(0)
    }

    /// How often the service had been restored when it made a commit.
    pub fn life(&self, commit: u64) -> usize {
        self.restores.partition_point(|restore| *restore <= commit)
    }

    /// Whether a cursor was given out since the service was last restored.
    pub fn is_of_this_life(&self, sequence: u64) -> bool {
        let life = self.restores.len() as u64;
        sequence == 0 && life == 0 || sequence % LIVES == life % LIVES
    }

    /// Writes an entity, and gives its sequence.
    pub fn write(&mut self, entity: Entity, record: Option<Record>, at: Time) -> u64 {
        let sequence = self.next_sequence(self.sequence_after(self.commit()));
        self.sequences.push(sequence);
        let version = Version {
            commit: self.commit(),
            at,
            sequence,
            record,
        };
        self.histories
            .entry(entity)
            .or_insert_with(|| NEVER_WRITTEN.to_vec())
            .push(version);
        sequence
    }

    /// Something is written that is neither key nor user nor tenant.
    pub fn write_other(&mut self) {
        let sequence = self.next_sequence(self.sequence_after(self.commit()));
        self.sequences.push(sequence);
    }

    /// Makes true again what was true after an earlier commit.
    pub fn restore(&mut self, earlier: u64, at: Time) {
        self.restores.push(self.commit() + 1);
        self.sequences
            .push(self.next_sequence(self.sequence_after(earlier)));
        let commit = self.commit();
        for history in self.histories.values_mut() {
            let then = history[position(history, earlier)];
            if history.last() != Some(&then) {
                history.push(Version { commit, at, ..then });
            }
        }
    }

    fn next_sequence(&self, sequence: u64) -> u64 {
        let life = self.restores.len() as u64 % LIVES;
        let lowest = sequence + 1;
        lowest + (life + LIVES - lowest % LIVES) % LIVES
    }

    /// Everything that was ever true of an entity; its first version is that there is none.
    pub fn history(&self, entity: Entity) -> &[Version] {
        self.histories
            .get(&entity)
            .map_or(&NEVER_WRITTEN, Vec::as_slice)
    }

    /// What was true of an entity after a commit.
    pub fn after(&self, entity: Entity, commit: u64) -> Version {
        let history = self.history(entity);
        history[position(history, commit)]
    }

    /// What is true of a key.
    pub fn key(&self, credential: u64, commit: u64) -> Option<Key> {
        match self.after(Entity::Key(credential), commit).record? {
            Record::Key(key) => Some(key),
            Record::User(_) | Record::Tenant(_) => None,
        }
    }
}

/// Where in a history the version is that was true after a commit.
pub fn position(history: &[Version], commit: u64) -> usize {
    history.partition_point(|version| version.commit <= commit) - 1
}

/// The status words that stop a record of this kind, in the order of the contract, each with its verdict: not from
/// the core, but from the contract's own table.
pub fn stopping(kind: &str) -> impl DoubleEndedIterator<Item = (&'static str, &'static str)> {
    static TABLE: LazyLock<Vec<[&str; 3]>> = LazyLock::new(|| {
        let contract = include_str!("../../../docs/protocol.md");
        let (_, table) = contract.split_once("### Status words").unwrap();
        let rows = table
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'));
        rows.filter_map(|row| match row.split('|').collect::<Vec<_>>()[..] {
            [_, kind, status, verdict, _] => {
                Some([kind, status, verdict].map(|cell| cell.trim().trim_matches('`')))
            }
            _ => None,
        })
        .collect()
    });
    TABLE
        .iter()
        .filter(move |row| row[0] == kind && row[1] != "active")
        .map(|row| (row[1], row[2]))
}

fn of_status(kind: &str, status: &str) -> Option<&'static str> {
    let mut stopping = stopping(kind);
    stopping.find_map(|(word, verdict)| (word == status).then_some(verdict))
}

/// The verdict that contract and domain ask for: the code of a refusal, or none. Written apart from the
/// core, from the contract's table of reasons.
pub fn verdict(
    key: &Key,
    user: Option<&User>,
    tenant: Option<&Tenant>,
    unix: u64,
) -> Option<&'static str> {
    if key.status != "active" {
        return Some(of_status("key", key.status).unwrap_or("key_disabled"));
    }
    if key.not_before.is_some_and(|start| unix < start) {
        return Some("key_not_yet_valid");
    }
    if key.expires_at.is_some_and(|end| unix >= end) {
        return Some(match key.replaced_by {
            Some(_) => "key_replaced",
            None => "key_expired",
        });
    }
    let Some(user) = user else {
        return Some("user_missing");
    };
    if user.status != "active" {
        return Some(of_status("user", user.status).unwrap_or("user_suspended"));
    }
    key.tenant?;
    let Some(tenant) = tenant else {
        return Some("tenant_missing");
    };
    if user.tenant.is_some() && user.tenant != key.tenant {
        return Some("tenant_missing");
    }
    (tenant.status != "active").then_some("tenant_suspended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_contract() {
        let words = |kind| stopping(kind).collect::<Vec<_>>();
        assert!(words("key").contains(&("revoked", "key_revoked")));
        assert_eq!(words("user").len(), 5);
        assert_eq!(words("tenant"), [("suspended", "tenant_suspended")]);
    }

    #[test]
    fn what_was_true_stays_known_when_an_older_backup_is_restored() {
        let mut truth = Truth::default();
        let tenant = |status| Some(Record::Tenant(Tenant { status }));
        truth.write(Entity::Tenant(1), tenant("active"), 10);
        truth.write(Entity::Tenant(1), tenant("suspended"), 20);
        truth.write(Entity::Tenant(2), tenant("active"), 30);
        truth.restore(1, 40);
        let states = |entity| -> Vec<_> {
            let history = truth.history(entity).iter();
            history
                .map(|version| (version.commit, version.record))
                .collect()
        };
        assert_eq!(
            states(Entity::Tenant(1)),
            [
                (0, None),
                (1, tenant("active")),
                (2, tenant("suspended")),
                (4, tenant("active"))
            ]
        );
        assert_eq!(
            states(Entity::Tenant(2)),
            [(0, None), (3, tenant("active")), (4, None)]
        );
        assert_eq!(
            truth.after(Entity::Tenant(1), 3).record,
            tenant("suspended")
        );
        let cursor = truth.sequence_after(4);
        assert!(cursor > truth.sequence_after(1) && cursor < truth.sequence_after(2));
        assert!(truth.is_of_this_life(cursor) && !truth.is_of_this_life(truth.sequence_after(3)));
    }
}
