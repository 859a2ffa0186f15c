//! What all workers of the process know of the change feed, in the shared store.

use serde::{Deserialize, Serialize};

use crate::knowledge::cache::EntityId;
use crate::protocol::MOST_CHANGES;
use crate::time::Instant;

/// Changes that the journal keeps. A worker that has missed more empties its own cache.
const JOURNAL: usize = 1024;

/// How far the feed has been followed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) head: Head,
    /// The last changes: their sequence and what has changed, in order. How it is now stands in the shared
    /// cache.
    pub(super) journal: Vec<(u64, EntityId)>,
}

/// All but the journal: it stands first, so that it can be read alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// How often the feed had to begin anew.
    pub(super) epoch: u64,
    /// The sequence up to which all changes are in the shared cache.
    pub(super) applied: u64,
    /// The journal holds all changes after this one.
    pub(super) journal_from: u64,
    /// The sequence at which the first epoch began; nothing in later ones.
    pub(super) began: Option<u64>,
    /// When the last answer was asked for: all that it left unchanged was true after that.
    pub(super) confirmed: Instant,
    /// When the last answer came.
    pub(super) heard: Instant,
    /// Until when the feed counts as followed without a gap: the long poll under way ends before.
    pub(super) until: Instant,
    pub(super) link: Link,
    /// How often fewer changes were asked for, since an answer was of no use.
    pub(super) fewer: u8,
}

/// Whether the feed works, as the operator was last told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Link {
    #[default]
    Unknown,
    Connected,
    Broken,
}

impl State {
    /// The state of the store; that of a feed that was never followed where there is none.
    pub(super) fn read(bytes: &[u8]) -> Self {
        postcard::from_bytes(bytes).unwrap_or_default()
    }

    pub(super) fn write(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Appends changes, in order, up to a sequence.
    pub(super) fn append(&mut self, changes: &[(u64, EntityId)], cursor: u64) {
        self.journal.extend(changes);
        let over = self.journal.len().saturating_sub(JOURNAL);
        if let Some((last, _)) = self.journal.drain(..over).next_back() {
            self.head.journal_from = last;
        }
        self.head.applied = cursor;
    }

    /// Begins anew at a sequence.
    pub(super) fn restart(&mut self, cursor: u64) {
        // Where it was tried in vain for long, a backup may have been restored meanwhile.
        let first = self.head.epoch == 0 && self.head.link == Link::Unknown;
        self.head.began = first.then_some(cursor);
        self.journal.clear();
        self.head.epoch = self.head.epoch.saturating_add(1);
        self.head.applied = cursor;
        self.head.journal_from = cursor;
    }

    /// The changes after a sequence; nothing where the journal no longer holds them all.
    pub(super) fn since(&self, sequence: u64) -> Option<&[(u64, EntityId)]> {
        if sequence < self.head.journal_from {
            return None;
        }
        let known = self
            .journal
            .partition_point(|(changed, _)| *changed <= sequence);
        self.journal.get(known..)
    }
}

impl Head {
    /// How many changes are asked for at once.
    pub(super) fn limit(&self) -> usize {
        (MOST_CHANGES >> u32::from(self.fewer).saturating_mul(2).min(usize::BITS - 1)).max(1)
    }

    /// The head of a state in the store.
    pub(super) fn read(bytes: &[u8]) -> Self {
        postcard::take_from_bytes(bytes).map_or_else(|_| Self::default(), |(head, _)| head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    fn id(number: u64) -> EntityId {
        EntityId::user(&number.to_string())
    }

    #[test]
    fn the_journal_holds_the_last_changes_and_knows_from_where_on() {
        let mut state = State::default();
        state.restart(10);
        assert_eq!(state.since(10), Some(&[][..]));
        assert_eq!(state.since(9), None);
        state.append(&[(11, id(1)), (13, id(2))], 14);
        assert_eq!((state.head.epoch, state.head.applied), (1, 14));
        assert_eq!(state.since(10).map(<[_]>::len), Some(2));
        assert_eq!(state.since(11), Some(&[(13, id(2))][..]));
        assert_eq!(state.since(13), Some(&[][..]));
        let more: Vec<_> = (0..1023).map(|number| (100 + number, id(number))).collect();
        state.append(&more, 2000);
        assert_eq!((state.journal.len(), state.head.journal_from), (1024, 11));
        assert_eq!(state.since(10), None);
        assert_eq!(state.since(11).map(<[_]>::len), Some(1024));
    }

    #[test]
    fn what_was_written_is_read_and_the_head_alone() {
        let mut state = State::default();
        state.restart(10);
        state.append(&[(11, id(1))], 11);
        state.head.link = Link::Broken;
        let bytes = state.write();
        assert_eq!(State::read(&bytes), state);
        assert_eq!(Head::read(&bytes), state.head);
        for bytes in [&b""[..], b"\xff", &[0xff; 100]] {
            assert_eq!(State::read(bytes), State::default());
            assert_eq!(Head::read(bytes), Head::default());
        }
    }
}
