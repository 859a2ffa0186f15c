//! What happened, for people to read.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::agenda::Time;

/// Events that are kept for the report of a failure.
const KEPT: usize = 80;

/// How much of a run is written down. Text costs more than the events themselves, so a run that has not
/// failed yet writes none: the same seed is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Nothing,
    /// The last events.
    Last,
    /// All events, at once.
    All,
}

/// The events of a run.
#[derive(Debug)]
pub struct Trace {
    detail: Detail,
    last: RefCell<VecDeque<String>>,
    /// Stands for everything that has happened: two runs of a seed must have the same.
    fingerprint: Cell<u64>,
}

impl Trace {
    /// Nothing has happened yet.
    pub fn new(detail: Detail) -> Self {
        Self {
            detail,
            last: RefCell::default(),
            fingerprint: Cell::new(0),
        }
    }

    /// Notes an event.
    pub fn note(&self, now: Time, text: impl FnOnce() -> String) {
        if self.detail == Detail::Nothing {
            return;
        }
        let line = format!("{:>9.3} s  {}", now as f64 / 1000.0, text());
        if self.detail == Detail::All {
            println!("{line}");
        }
        let mut last = self.last.borrow_mut();
        last.push_back(line);
        if last.len() > KEPT {
            last.pop_front();
        }
    }

    /// Mixes a number into the fingerprint.
    pub fn mix(&self, number: u64) {
        let mixed = (self.fingerprint.get() ^ number).wrapping_mul(0x0100_0000_01b3);
        self.fingerprint.set(mixed.rotate_left(5));
    }

    /// The fingerprint.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint.get()
    }

    /// The last events.
    pub fn last(&self) -> Vec<String> {
        self.last.borrow().iter().cloned().collect()
    }
}
