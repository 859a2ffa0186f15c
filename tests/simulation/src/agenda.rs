//! Virtual time and what is to happen.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Milliseconds since the start of the simulation.
pub type Time = u64;

/// What is to happen, by time. Of what happens in the same millisecond, chance decides what is first.
#[derive(Debug)]
pub struct Agenda<E> {
    now: Time,
    serial: u64,
    entries: BinaryHeap<Reverse<Entry<E>>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: Time,
    tie: u64,
    serial: u64,
    event: E,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self {
            now: 0,
            serial: 0,
            entries: BinaryHeap::new(),
        }
    }
}

impl<E> Agenda<E> {
    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Notes an event; `tie` decides among those of the same time.
    pub fn add(&mut self, at: Time, tie: u64, event: E) {
        self.serial += 1;
        self.entries.push(Reverse(Entry {
            at: at.max(self.now),
            tie,
            serial: self.serial,
            event,
        }));
    }

    /// Moves to the next event up to a time, or else to that time.
    pub fn next(&mut self, until: Time) -> Option<E> {
        let due = self
            .entries
            .peek()
            .is_some_and(|Reverse(entry)| entry.at <= until);
        if !due {
            self.now = self.now.max(until);
            return None;
        }
        let Reverse(entry) = self.entries.pop()?;
        self.now = self.now.max(entry.at);
        Some(entry.event)
    }
}

impl<E> Entry<E> {
    fn order(&self) -> (Time, u64, u64) {
        (self.at, self.tie, self.serial)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}
