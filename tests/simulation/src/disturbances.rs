//! What goes wrong in a storm, at random.

use crate::agenda::Time;
use crate::scenario::Feed;
use crate::weather::{Fault, Reach};
use crate::world::{Event, World};

impl World {
    /// Something goes wrong, and something else will until the storm is over.
    pub fn disturb(&self) {
        let now = self.now();
        let Some(storm) = self.scenario.storm(now).cloned() else {
            return;
        };
        let recovery = self.recovery();
        self.oracle.borrow_mut().disturbed(storm.end, recovery);
        let next = self.between(100, 2_000);
        self.add(next, Event::Disturb);
        let left = storm.end - now;
        let kind = self.below(20);
        match kind {
            0..=9 => self.fault(left),
            10..=12 => self.kill_one(),
            13 => self.update_configuration(),
            14 => {
                let span = self.between(50, 4_000).min(left);
                self.count("process stands still", || {
                    format!("the process stands still for {span} ms")
                });
                self.paused_until.set(now + span);
            }
            15 => self.jump(),
            16 => self.flood(),
            17 => {
                self.count("service restarts", || "the service restarts".to_owned());
                if self.chance(0.5) {
                    self.service.borrow_mut().forget_changes();
                }
                self.break_polls();
            }
            // Where no feed is followed, nobody tells the filter of it: a known limit.
            18 if self.scenario.feed == Feed::Followed => self.restore(),
            _ => self.import(),
        }
    }

    fn count(&self, what: &'static str, text: impl FnOnce() -> String) {
        self.oracle.borrow_mut().count(what);
        self.note(|| format!("   ** {}", text()));
    }

    fn fault(&self, left: Time) {
        let (fault, reach, span) = {
            let mut random = self.random.borrow_mut();
            let fault = Fault::any(&mut random);
            let reach = random.pick(&[Reach::All, Reach::All, Reach::Changes, Reach::Others]);
            (fault, reach, random.between(50, 6_000).min(left))
        };
        self.count("network faults", || {
            format!("{fault:?} for {span} ms, {reach:?}")
        });
        if matches!(fault, Fault::Refused | Fault::Swallowed) {
            self.break_polls();
        }
        self.weather
            .borrow_mut()
            .add(fault, reach, self.now() + span);
    }

    /// One VM is gone: mostly one that follows the feed.
    fn kill_one(&self) {
        let living: Vec<usize> = {
            let vms = self.vms.borrow();
            vms.iter()
                .filter(|vm| !vm.is_gone())
                .map(|vm| vm.id)
                .collect()
        };
        if living.is_empty() {
            return;
        }
        let mut victim = self.pick(&living);
        if self.chance(0.6) {
            let flights = self.flights.borrow();
            let leader = flights
                .values()
                .find(|flight| flight.kind == crate::oracle::Kind::Changes)
                .map(|flight| flight.vm);
            victim = leader.unwrap_or(victim);
        }
        self.add(0, Event::Kill(victim));
    }

    /// New VMs come beside the old ones, which go when they have nothing left to do.
    fn update_configuration(&self) {
        self.count("configuration updates", || {
            "a configuration update".to_owned()
        });
        for thread in 0..=self.scenario.workers {
            let old = self.threads.borrow()[thread];
            self.start_vm(thread);
            if let Ok(old) = old {
                let drained = self.between(0, 3_000);
                self.add(drained, Event::Remove(old));
            }
        }
    }

    /// Much changes at once, at times more than the filter's journal of changes can hold: most of that are new keys
    /// then, which nobody uses yet.
    fn import(&self) {
        let new = if self.chance(0.2) { 1_470 } else { 0 };
        self.count("bursts of changes", || {
            format!("{} changes at once", 30 + new)
        });
        for _ in 0..30 {
            self.administer_once();
        }
        for number in 0..new {
            self.administer_unused(number);
        }
        self.wake_polls();
    }

    /// The wall clock is set.
    fn jump(&self) {
        let by = {
            let mut random = self.random.borrow_mut();
            let by = random.pick(&[1_000, 3_000, 60_000, 90_000_000]);
            if random.chance(0.5) { by } else { -by }
        };
        self.count("jumps of the wall clock", || {
            format!("the wall clock jumps by {by} ms")
        });
        self.wall_jumped.set(self.wall_jumped.get() + by);
        let now = self.now();
        self.oracle.borrow_mut().clock_jumped(by, now);
    }

    /// Many requests with made-up keys come at once.
    fn flood(&self) {
        self.count("floods of made-up keys", || {
            "a flood of made-up keys".to_owned()
        });
        for thread in 1..=self.scenario.workers {
            let Some(vm) = self.serving(thread) else {
                continue;
            };
            for _ in 0..100 {
                let credential = self.made_up();
                let delay = self.between(0, 200);
                self.add(delay, Event::Request(vm, credential));
            }
        }
    }

    /// The service comes back with an older backup.
    fn restore(&self) {
        let now = self.now();
        let mut service = self.service.borrow_mut();
        let commit = service.truth.commit();
        let back = self.between(0, 30.min(commit - service.truth.restored_at()));
        service.restore(commit - back, now);
        drop(service);
        self.count("restored backups", || {
            format!("the service is restored to commit {}", commit - back)
        });
        self.break_polls();
    }
}
