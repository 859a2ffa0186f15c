//! Which configuration of a plugin is the newest that runs in this process.
//!
//! Where Envoy gets a new configuration, the old one goes on until its listener has drained, in the same worker or in
//! another. Each update would keep all that the former one knows. So each worker says in the store that all share which
//! configuration it runs, and one that sees a newer one of the same plugin lets its own cache go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::number;
use crate::host::Store;
use crate::knowledge::swap;
use crate::time::Instant;

/// How often a worker looks.
const LOOK: Duration = Duration::from_millis(500);

/// How often somebody says that a configuration runs.
const SAY: Duration = Duration::from_secs(1);

/// For how long a configuration that was said to run counts as one that does.
const RUNS: Duration = Duration::from_secs(3);

/// The configuration that a worker runs.
#[derive(Debug)]
pub struct Edition {
    /// Under what the store keeps which configurations of the plugin run.
    name: String,
    /// Stands for the configuration.
    number: u64,
    /// When this worker took it over.
    since: Instant,
    looked: Option<Instant>,
    superseded: bool,
}

/// A configuration that runs, in whichever worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Running {
    number: u64,
    since: Instant,
    seen: Instant,
}

impl Edition {
    /// A configuration of a plugin, taken over now. The plugin is known by some texts, its configuration by others.
    pub fn new(plugin: &[&str], configuration: &[&str], now: Instant) -> Self {
        Self {
            name: format!("keybound/editions/1/{:016x}", number(plugin)),
            number: number(configuration),
            since: now,
            looked: None,
            superseded: false,
        }
    }

    /// Says that this configuration runs, and looks whether a newer one does: where that is no longer as it was,
    /// gives how it is. To be called regularly.
    pub(super) fn look(&mut self, now: Instant, store: &impl Store) -> Option<bool> {
        if self.looked.is_some_and(|looked| now.since(looked) < LOOK) {
            return None;
        }
        self.looked = Some(now);
        let (bytes, _) = store.get(&self.name).unwrap_or_default();
        let mut running = read(&bytes, now);
        let known = running.iter().find(|other| other.number == self.number);
        if known.is_none_or(|known| now.since(known.seen) >= SAY) {
            swap::change(store, &self.name, |bytes| {
                running = self.said(read(bytes, now), now);
                postcard::to_allocvec(&running).ok()
            });
        }
        let me = running.iter().find(|other| other.number == self.number);
        let me = me.map_or((self.since, self.number), age);
        let superseded = running.iter().any(|other| age(other) > me);
        let changed = std::mem::replace(&mut self.superseded, superseded) != superseded;
        changed.then_some(superseded)
    }

    /// What runs, this one among it. It is as old as it is in the worker that has it longest.
    fn said(&self, mut running: Vec<Running>, now: Instant) -> Vec<Running> {
        match running.iter_mut().find(|other| other.number == self.number) {
            Some(known) => known.seen = known.seen.max(now),
            None => running.push(Running {
                number: self.number,
                since: self.since,
                seen: now,
            }),
        }
        running
    }
}

/// What orders configurations by age.
fn age(running: &Running) -> (Instant, u64) {
    (running.since, running.number)
}

fn read(bytes: &[u8], now: Instant) -> Vec<Running> {
    let mut running: Vec<Running> = postcard::from_bytes(bytes).unwrap_or_default();
    running.retain(|other| now.since(other.seen) < RUNS);
    running
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::{SharedData, test};

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    #[test]
    fn the_older_configuration_learns_of_the_newer_and_of_its_end() {
        let store = SharedData::default();
        let mut first = Edition::new(&["keybound"], &["{1}"], at(0));
        let mut beside = Edition::new(&["keybound"], &["{1}"], at(10));
        let mut other = Edition::new(&["another"], &["{3}"], at(20));
        let tick = |edition: &mut Edition, millis| edition.look(at(millis), &store);
        assert_eq!(tick(&mut first, 0), None);
        assert_eq!(tick(&mut beside, 10), None);
        assert_eq!(tick(&mut other, 20), None);
        let mut second = Edition::new(&["keybound"], &["{2}"], at(5_000));
        for millis in (100..10_000).step_by(100) {
            if (5_000..8_000).contains(&millis) {
                assert_eq!(tick(&mut second, millis), None);
            }
            for older in [&mut first, &mut beside] {
                let changed = tick(older, millis);
                if changed == Some(true) {
                    assert!((5_000..=5_500).contains(&millis), "{millis}");
                }
                if changed == Some(false) {
                    assert!(millis >= 8_000 + 2_000, "{millis}");
                }
                assert_eq!(
                    older.superseded,
                    (older.looked.unwrap() >= at(5_000)) && millis < 10_500,
                    "{millis}"
                );
            }
            assert_eq!(tick(&mut other, millis), None);
        }
        for millis in (10_000..13_000).step_by(100) {
            tick(&mut first, millis);
            tick(&mut beside, millis);
        }
        assert!(!first.superseded && !beside.superseded);
    }

    #[test]
    fn a_virtual_machine_that_is_started_anew_is_not_newer_for_that() {
        let store = SharedData::default();
        let mut first = Edition::new(&["keybound"], &["{1}"], at(0));
        let mut second = Edition::new(&["keybound"], &["{2}"], at(100));
        first.look(at(0), &store);
        second.look(at(100), &store);
        let mut again = Edition::new(&["keybound"], &["{1}"], at(1_000));
        assert_eq!(again.look(at(1_000), &store), Some(true));
        assert_eq!(second.look(at(1_000), &store), None);
    }
}
