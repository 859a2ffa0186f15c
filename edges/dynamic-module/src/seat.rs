//! A value that one thread uses nearly always, and another one while that one has nothing to do: who sits uses it.
//! For its own thread that is two writes to memory that nobody else touches; nothing is ever waited for but the few
//! microseconds in which the other one is about to stand up. What a panic may have left half changed nobody uses again.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

/// How often a thread looks whether the seat is free before it lets others run.
const LOOKS: u32 = 100;

/// See above.
#[derive(Debug)]
pub struct Seat<T> {
    /// How often somebody has sat down or stood up: odd while somebody sits.
    moves: AtomicU64,
    is_broken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: whoever gets at the value has made `moves` odd by an exchange that acquires what the last one released, and
// no other can until it is even again. The value need not be `Send`: nothing that it hands out outlives the sitting,
// since what `act` returns is `'static` and `Send`, or is used by the same thread alone.
unsafe impl<T> Sync for Seat<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Seat<T> {}

impl<T> Seat<T> {
    /// A free seat.
    pub fn new(value: T) -> Self {
        Self {
            moves: AtomicU64::new(0),
            is_broken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Sits down, as soon as the seat is free, for as long as `act` takes; nothing where it is broken. It must not sit
    /// down again within.
    pub fn sit<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut looks = 0;
        loop {
            let moves = self.moves.load(Relaxed);
            if moves.is_multiple_of(2) && self.takes(moves) {
                return self.act(act);
            }
            looks += 1;
            if looks < LOOKS {
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }

    /// Nobody uses it again.
    pub fn breaks(&self) {
        self.is_broken.store(true, Relaxed);
    }

    /// Whether nobody uses it again.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    /// Sits down if nobody has sat here since the caller looked last.
    pub fn sit_if_idle<R>(&self, seen: &mut u64, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        let moves = self.moves.load(Relaxed);
        let was_idle = std::mem::replace(seen, moves) == moves;
        if !was_idle || !moves.is_multiple_of(2) || !self.takes(moves) {
            return None;
        }
        let result = self.act(act);
        *seen = self.moves.load(Relaxed);
        result
    }

    fn takes(&self, moves: u64) -> bool {
        let next = moves.wrapping_add(1);
        self.moves
            .compare_exchange(moves, next, Acquire, Relaxed)
            .is_ok()
    }

    fn act<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        /// Stands up, after a panic too.
        struct StandsUp<'a, T>(&'a Seat<T>);
        impl<T> Drop for StandsUp<'_, T> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.breaks();
                }
                let moves = self.0.moves.load(Relaxed);
                self.0.moves.store(moves.wrapping_add(1), Release);
            }
        }
        let _stands_up = StandsUp(self);
        if self.is_broken() {
            return None;
        }
        // SAFETY: this thread sits, and no other can.
        Some(act(unsafe { &mut *self.value.get() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn two_threads_never_sit_at_once() {
        let seat = Arc::new(Seat::new((0_u64, false)));
        let other = Arc::clone(&seat);
        let main = thread::spawn(move || {
            let (mut seen, mut sat) = (0, 0_u64);
            for _ in 0..100_000 {
                let counted = other.sit_if_idle(&mut seen, |(count, inside)| {
                    assert!(!std::mem::replace(inside, true));
                    *count += 1;
                    *inside = false;
                });
                sat += u64::from(counted.is_some());
            }
            sat
        });
        for _ in 0..100_000 {
            seat.sit(|(count, inside)| {
                assert!(!std::mem::replace(inside, true));
                *count += 1;
                *inside = false;
            });
        }
        let sat = main.join().unwrap();
        assert_eq!(seat.sit(|(count, _)| *count), Some(100_000 + sat));
    }

    #[test]
    fn who_was_there_meanwhile_is_seen() {
        let seat = Seat::new(0);
        let mut seen = 1;
        assert_eq!(seat.sit_if_idle(&mut seen, |value| *value), None);
        assert_eq!(seat.sit_if_idle(&mut seen, |value| *value), Some(0));
        seat.sit(|value| *value = 1);
        assert_eq!(seat.sit_if_idle(&mut seen, |value| *value), None);
        assert_eq!(seat.sit_if_idle(&mut seen, |value| *value), Some(1));
    }

    #[test]
    fn who_panics_stands_up_and_nobody_sits_there_again() {
        let seat = Seat::new(0);
        let panics = std::panic::AssertUnwindSafe(|| seat.sit(|_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(seat.is_broken());
        let mut seen = 2;
        assert_eq!(seat.sit_if_idle(&mut seen, |value| *value), None);
        assert_eq!(seat.sit(|value| *value), None);
    }
}
