//! Who writes next: what stops somebody goes first, what can wait goes last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long a write waits for its turn before its caller is told that the service is overloaded.
const TURN: Duration = Duration::from_secs(5);
/// Writes of one urgency that wait at a time. Each holds the body of its request.
const MOST_WAITING: usize = 256;

/// How much a write matters, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It stops a key, a user or a tenant.
    Stop,
    /// Any other write of a person or a program that waits for it.
    Change,
    /// A part of something large.
    Import,
    /// Counts that gateways send again until they are taken.
    Usage,
}

impl Urgency {
    /// That of a change that may stop somebody.
    pub fn of_change(stops: bool) -> Self {
        if stops { Self::Stop } else { Self::Change }
    }
}

const URGENCIES: usize = 4;

/// The right to write goes from one write to the next.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    taken: bool,
    waiting: [VecDeque<oneshot::Sender<Turn>>; URGENCIES],
}

/// The right to write, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Queue>>);

impl Queue {
    /// Waits for the right to write. `None` where others were before for too long.
    pub(super) async fn turn(self: &Arc<Self>, urgency: Urgency) -> Option<Turn> {
        let receiver = {
            let mut state = self.state();
            if !state.taken {
                state.taken = true;
                return Some(Turn(Some(Arc::clone(self))));
            }
            let waiting = state.waiting.get_mut(urgency as usize)?;
            waiting.retain(|sender| !sender.is_closed());
            if waiting.len() >= MOST_WAITING {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            waiting.push_back(sender);
            receiver
        };
        tokio::time::timeout(TURN, receiver).await.ok()?.ok()
    }

    /// The one who waits for the most urgent write, and longest of those. Without one, nobody writes.
    fn next(&self) -> Option<oneshot::Sender<Turn>> {
        let mut state = self.state();
        let next = state.waiting.iter_mut().find_map(VecDeque::pop_front);
        state.taken = next.is_some();
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether somebody waits who is more urgent than this.
    pub(super) fn is_wanted(&self, than: Urgency) -> bool {
        self.0.as_ref().is_some_and(|queue| {
            let mut state = queue.state();
            let mut before = state.waiting.iter_mut().take(than as usize);
            before.any(|waiting| {
                waiting.retain(|sender| !sender.is_closed());
                !waiting.is_empty()
            })
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        while let Some(next) = queue.next() {
            match next.send(Turn(Some(Arc::clone(&queue)))) {
                Ok(()) => return,
                // It has gone: the right comes back, and goes to the one after it.
                Err(mut refused) => refused.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_stops_somebody_goes_first_and_who_has_gone_is_passed_over() {
        let queue = Arc::new(Queue::default());
        let first = queue.turn(Urgency::Usage).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for urgency in [
            Urgency::Usage,
            Urgency::Import,
            Urgency::Stop,
            Urgency::Change,
            Urgency::Stop,
        ] {
            let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let turn = queue.turn(urgency).await.unwrap();
                order.lock().unwrap().push(urgency);
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        let gone = {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.turn(Urgency::Stop).await.is_some() })
        };
        tokio::task::yield_now().await;
        gone.abort();
        let _ = gone.await;
        assert!(first.is_wanted(Urgency::Usage) && first.is_wanted(Urgency::Change));
        assert!(!first.is_wanted(Urgency::Stop), "nothing is more urgent");
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(
            *order.lock().unwrap(),
            [
                Urgency::Stop,
                Urgency::Stop,
                Urgency::Change,
                Urgency::Import,
                Urgency::Usage
            ]
        );
        let free = queue.turn(Urgency::Usage).await.unwrap();
        assert!(!free.is_wanted(Urgency::Usage));
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let queue = Arc::new(Queue::default());
        let first = queue.turn(Urgency::Usage).await.unwrap();
        let mut tasks = Vec::new();
        for _ in 0..MOST_WAITING {
            let queue = Arc::clone(&queue);
            tasks.push(tokio::spawn(async move {
                queue.turn(Urgency::Usage).await.is_some()
            }));
        }
        while queue.state().waiting[Urgency::Usage as usize].len() < MOST_WAITING {
            tokio::task::yield_now().await;
        }
        assert!(queue.turn(Urgency::Usage).await.is_none());
        drop(first);
        for task in tasks {
            assert!(task.await.unwrap());
        }
        assert!(queue.turn(Urgency::Usage).await.is_some());
    }
}
