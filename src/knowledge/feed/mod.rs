//! The change feed: one worker of the process follows it by long polls, all obey.
//!
//! The leader takes changes into the shared cache, then tells of them in the shared [`state`], then rings the
//! other workers. In this order nobody who knows of a change can find an older record in the shared cache: each
//! drops from its own cache what has changed and reads it again. Ringing spares waiting for the next tick and
//! nothing else: who is not rung looks at the state on its tick.

mod lease;
mod state;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::{BellId, Store};
use crate::knowledge::backoff::{self, Random};
use crate::knowledge::cache::{Continuity, EntityId, Epoch};
use crate::knowledge::swap;
use crate::time::Instant;
use lease::Leadership;
use state::{Head, Link, State};

/// Time that a long poll's answer may take beyond what it waits for a change, at least.
const ANSWER: Duration = Duration::from_secs(1);

/// Time from an answer until the last worker knows of it, at most: several ticks.
const SPREAD: Duration = Duration::from_millis(500);

/// How often a worker says that it is there.
const ANNOUNCE: Duration = Duration::from_secs(2);

/// For how long a worker that has said so is rung.
const PRESENT: Duration = Duration::from_secs(10);

/// How long a key service without a change feed is left alone.
const UNSUPPORTED: Duration = Duration::from_secs(60);

/// Least time between a poll that brought nothing at once and the next.
const PACE: Duration = Duration::from_millis(500);

/// Least time between two polls that each brought something, in the long run.
const STEP: Duration = Duration::from_millis(5);

/// By how much such polls may be ahead of that.
const AHEAD: Duration = Duration::from_secs(1);

/// Beginnings in a row, of which the first is followed by the next poll at once and each other one later.
const RESTARTS: u32 = 6;

/// Whether and how the change feed is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Whether it is followed at all.
    pub enabled: bool,
    /// Length of a long poll.
    pub wait: Duration,
}

/// What a feed is followed by.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether and how.
    pub changes: Changes,
    /// No request is allowed on a record that has not been confirmed for this long.
    pub max_staleness: Duration,
    /// Time that the key service has for an answer that waits for nothing.
    pub timeout: Duration,
}

/// One worker's view of the change feed, and its part in following it.
#[derive(Debug)]
pub struct Feed {
    enabled: bool,
    /// Whether this worker may follow it for all.
    may_lead: bool,
    /// Seconds that a long poll waits for a change.
    wait: u64,
    /// Time that a long poll may take.
    timeout: Duration,
    state_name: String,
    bells_name: String,
    leadership: Leadership,
    random: Random,
    /// What this worker has last seen, and obeys.
    view: State,
    /// Whether it has looked at all.
    seen: bool,
    bell: Option<BellId>,
    announced: Option<Instant>,
    /// What is under way.
    poll: Option<Poll>,
    /// Before this the next poll is not sent.
    next_poll: Instant,
    /// When the polls that brought something would be over, had each taken one [`STEP`].
    stepped: Instant,
    /// Times in a row that the feed had to begin anew.
    restarts: u32,
    rings: Vec<BellId>,
}

/// A long poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// It asks for what came after this sequence; without one, for where the feed is.
    pub after: Option<u64>,
    /// The epoch that it continues.
    pub epoch: u64,
    /// How many changes it asks for at most.
    pub limit: usize,
    /// When it was sent.
    pub asked: Instant,
}

/// What a poll brought.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// The sequence up to which it told everything.
    pub cursor: u64,
    /// Whether the service may have cut it short, so that more may have come before it was made.
    pub cut: bool,
    /// Whether an answer of four times as many changes would fit, too.
    pub small: bool,
    /// What has changed, in order, each with its sequence.
    pub changes: &'a [(u64, EntityId)],
}

/// What this worker has to forget of what it alone knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Outdated {
    /// These entities, changed by a batch that came at a time.
    Changed(Vec<EntityId>, Instant),
    /// Everything.
    All,
}

/// Why a poll brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no change feed.
    Unsupported,
    /// It did not work, this time; the service may have asked to be left alone for a while.
    Broken(Option<Duration>),
}

/// A worker that can be rung.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Present {
    bell: BellId,
    seen: Instant,
}

impl Feed {
    /// A view of nothing. `me` tells this worker from all others; `namespace` is where all that share a key
    /// service and a cache meet.
    pub fn new(settings: &Settings, namespace: &str, me: u64) -> Self {
        let changes = settings.changes;
        // An answer confirms what was true when it was asked for: with a longer wait, records would get too
        // old to be used before the next one.
        let wait = changes.wait.min(settings.max_staleness / 3);
        let wait = Duration::from_secs(wait.as_secs());
        Self {
            enabled: changes.enabled,
            may_lead: true,
            wait: wait.as_secs(),
            timeout: wait + settings.timeout.max(ANSWER),
            state_name: format!("{namespace}/feed"),
            bells_name: format!("{namespace}/queues"),
            leadership: Leadership::new(namespace, me),
            random: Random::new(me),
            view: State::default(),
            seen: false,
            bell: None,
            announced: None,
            poll: None,
            next_poll: Instant::default(),
            stepped: Instant::default(),
            restarts: 0,
            rings: Vec::new(),
        }
    }

    /// This worker never follows the feed itself: another one of the process does.
    pub fn never_leads(&mut self) {
        self.may_lead = false;
    }

    /// This worker is woken by a bell.
    pub fn reachable_by(&mut self, bell: BellId) {
        self.bell = Some(bell);
    }

    /// Does what is due: says that this worker is there, and takes or keeps the lead.
    pub fn tick(&mut self, now: Instant, store: &impl Store) {
        if !self.enabled {
            return;
        }
        let due = self
            .announced
            .is_none_or(|announced| now.since(announced) >= ANNOUNCE);
        if let Some(bell) = self.bell.filter(|_| due) {
            self.announced = Some(now);
            self.announce(bell, now, store);
        }
        if self
            .poll
            .is_some_and(|poll| now.since(poll.asked) > self.timeout + ANSWER)
        {
            self.poll = None;
        }
        if self.may_lead {
            self.leadership.renew(now, store);
        }
    }

    fn announce(&self, bell: BellId, now: Instant, store: &impl Store) {
        swap::change(store, &self.bells_name, |bytes| {
            let mut present: Vec<Present> = postcard::from_bytes(bytes).unwrap_or_default();
            present.retain(|worker| worker.bell != bell && now.since(worker.seen) < PRESENT);
            present.push(Present { bell, seen: now });
            postcard::to_allocvec(&present).ok()
        });
    }

    /// Looks at how far the feed is, and says what this worker has to forget before it goes on.
    pub fn look(&mut self, store: &impl Store) -> Option<Outdated> {
        if !self.enabled {
            return None;
        }
        let first = !std::mem::replace(&mut self.seen, true);
        let (bytes, _) = store.get(&self.state_name)?;
        let head = Head::read(&bytes);
        let known = self.view.head;
        if (head.epoch, head.applied) == (known.epoch, known.applied) {
            self.view.head = head;
            return None;
        }
        self.view = State::read(&bytes);
        if first {
            return None;
        }
        if head.epoch != known.epoch {
            return Some(Outdated::All);
        }
        match self.view.since(known.applied) {
            Some(changes) => {
                let changed = changes.iter().map(|(_, id)| *id).collect();
                Some(Outdated::Changed(changed, head.heard))
            }
            None => Some(Outdated::All),
        }
    }

    /// Whether this worker has not looked yet.
    pub fn is_new(&self) -> bool {
        self.enabled && !self.seen
    }

    /// What the feed says of everything in the caches.
    pub fn continuity(&self) -> Continuity {
        let head = &self.view.head;
        Continuity {
            epoch: Epoch {
                number: head.epoch,
                began: head.began,
            },
            confirmed: head.confirmed,
            until: head.until,
        }
    }

    /// When the feed was last heard of.
    pub fn heard(&self) -> Instant {
        self.view.head.heard
    }

    /// The epoch that this worker is in.
    pub fn epoch(&self) -> u64 {
        self.view.head.epoch
    }

    /// Whether what was asked for in an epoch belongs to this one, as of a sequence.
    pub fn continues(&self, epoch: u64, as_of: u64) -> bool {
        let head = &self.view.head;
        epoch == head.epoch || (epoch == 0 && head.began.is_some_and(|began| as_of >= began))
    }

    /// From which sequence on all that is known is as new as the changes that this worker obeys, whenever it was
    /// learned; nothing where a sequence says nothing about that.
    pub fn believed_from(&self) -> Option<u64> {
        let head = &self.view.head;
        Some(head.began?.max(head.applied))
    }

    /// Whether knowledge of some entities as of a sequence is as new as all changes that this worker obeys.
    pub fn vouches(&self, as_of: u64, ids: &[EntityId]) -> bool {
        self.view.head.epoch == 0
            || as_of >= self.view.head.applied
            || self
                .view
                .since(as_of)
                .is_some_and(|changes| !changes.iter().any(|(_, id)| ids.contains(id)))
    }

    /// The next poll to send, where this worker leads and none is under way.
    pub fn next_poll(&self, now: Instant) -> Option<Poll> {
        let due = self.leadership.leads(now) && self.poll.is_none() && now >= self.next_poll;
        let head = &self.view.head;
        due.then(|| Poll {
            after: (head.epoch > 0).then_some(head.applied),
            epoch: head.epoch,
            limit: head.limit(),
            asked: now,
        })
    }

    /// What a poll asks for, after the prefix of the protocol's paths.
    pub fn path(&self, poll: &Poll) -> String {
        let limit = poll.limit;
        match poll.after {
            Some(after) => format!("/changes?after={after}&wait={}&limit={limit}", self.wait),
            None => format!("/changes?limit={limit}"),
        }
    }

    /// Time that a poll may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A poll is under way.
    pub fn sent(&mut self, poll: Poll) {
        self.poll = Some(poll);
    }

    /// A poll has ended. False where it was given up before.
    pub fn ended(&mut self, poll: &Poll) -> bool {
        self.poll.take_if(|known| known == poll).is_some()
    }

    /// The changes after a poll's sequence are in the shared cache up to a cursor: lets all workers know. An answer
    /// that was cut confirms nothing, for the next change may be one of long ago. True where the operator is to
    /// be told that the feed works.
    pub fn publish(
        &mut self,
        poll: &Poll,
        news: News<'_>,
        now: Instant,
        store: &impl Store,
    ) -> bool {
        self.restarts = 0;
        self.pace(poll, news, now);
        if !news.changes.is_empty() {
            self.ring_others(now, store);
        }
        self.take_in(poll, !news.cut, now, store, |state| {
            let continues = Some(state.head.applied) == poll.after;
            if continues && news.small {
                state.head.fewer = state.head.fewer.saturating_sub(1);
            }
            if continues {
                state.append(news.changes, news.cursor);
            }
            continues
        })
    }

    /// What brings something is followed by the next poll at once, as long as it does not go on so without end;
    /// what brings nothing is not. Where the cursor alone has moved, the next change may be there already.
    fn pace(&mut self, poll: &Poll, news: News<'_>, now: Instant) {
        if news.changes.is_empty() && Some(news.cursor) == poll.after {
            self.next_poll = poll.asked + PACE;
        } else {
            self.stepped = self.stepped.max(now) + STEP;
            self.next_poll = now + self.stepped.since(now).saturating_sub(AHEAD);
        }
    }

    /// An answer was too large, or could not be read: the next poll asks for fewer changes. False where there
    /// are no fewer.
    pub fn ask_for_fewer(&mut self, poll: &Poll, now: Instant, store: &impl Store) -> bool {
        if poll.limit <= 1 || poll.after.is_none() {
            return false;
        }
        self.next_poll = now;
        swap::change(store, &self.state_name, |bytes| {
            let mut state = State::read(bytes);
            // Another worker may have found out meanwhile.
            if state.head.limit() < poll.limit {
                return None;
            }
            state.head.fewer = state.head.fewer.saturating_add(1);
            Some(state.write())
        })
    }

    /// The feed began anew: lets all workers know. True where the operator is to be told that the feed works.
    pub fn restart(&mut self, poll: &Poll, cursor: u64, now: Instant, store: &impl Store) -> bool {
        // Once is a restored backup. Again and again is a fault that must not keep emptying the caches; but who
        // waits long falls behind again, so that it is tried without a delay now and then.
        self.restarts = self.restarts % RESTARTS + 1;
        let delay = backoff::delay(self.restarts, None, self.random.number());
        self.next_poll = now + delay.min(PACE);
        self.ring_others(now, store);
        self.take_in(poll, true, now, store, |state| {
            state.restart(cursor);
            true
        })
    }

    fn take_in(
        &mut self,
        poll: &Poll,
        confirms: bool,
        now: Instant,
        store: &impl Store,
        advance: impl Fn(&mut State) -> bool,
    ) -> bool {
        let mut reconnected = false;
        let until = now + self.timeout + SPREAD;
        let published = swap::change(store, &self.state_name, |bytes| {
            reconnected = false;
            let mut state = State::read(bytes);
            if state.head.epoch != poll.epoch || !advance(&mut state) {
                return None;
            }
            let head = &mut state.head;
            head.heard = now;
            if confirms {
                reconnected = head.link != Link::Connected;
                head.link = Link::Connected;
                head.confirmed = head.confirmed.max(poll.asked);
                head.until = until;
            }
            Some(state.write())
        });
        self.leadership.succeeded(store);
        published && reconnected
    }

    /// A poll brought nothing: lets all workers know, and another one try. True where the operator is to be told
    /// that the feed does not work.
    pub fn failed(&mut self, failure: Failure, now: Instant, store: &impl Store) -> bool {
        let random = self.random.number();
        let led = self
            .leadership
            .failed(now, store, |failures| match failure {
                Failure::Unsupported => UNSUPPORTED,
                Failure::Broken(asked) => backoff::delay(failures, asked, random),
            });
        if !led {
            return false;
        }
        let mut told = true;
        swap::change(store, &self.state_name, |bytes| {
            let mut state = State::read(bytes);
            told = state.head.link == Link::Broken;
            if told {
                return None;
            }
            state.head.link = Link::Broken;
            state.head.until = state.head.until.min(now);
            Some(state.write())
        });
        !told
    }

    fn ring_others(&mut self, now: Instant, store: &impl Store) {
        let (present, _) = store.get(&self.bells_name).unwrap_or_default();
        let present: Vec<Present> = postcard::from_bytes(&present).unwrap_or_default();
        let others = present
            .iter()
            .filter(|worker| Some(worker.bell) != self.bell && now.since(worker.seen) < PRESENT);
        self.rings.extend(others.map(|worker| worker.bell));
    }

    /// The bells of the workers to be woken.
    pub fn take_rings(&mut self) -> Vec<BellId> {
        std::mem::take(&mut self.rings)
    }

    /// Whether the feed is followed without a gap, and how long ago it was last heard of; nothing where it is
    /// not followed at all.
    pub fn link(&self, now: Instant) -> Option<(bool, Duration)> {
        let head = &self.view.head;
        self.enabled.then(|| {
            let connected = head.link == Link::Connected && now < head.until;
            (connected, now.since(head.heard))
        })
    }
}
