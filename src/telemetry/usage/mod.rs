//! Counts per key, reported to the key service now and then.
//!
//! A report that was not taken is kept and sent again under its number, so that the key service counts it
//! once however often it arrives. What is counted meanwhile goes into the next one.
//!
//! Where a request comes from only the host knows, and to ask is one more call. So it is asked for the first request of
//! a key in a report and for each seventeenth after it; those between count for the network that was seen last.

mod network;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashTable;

use self::network::Network;
use crate::knowledge::cache::EntityId;
use crate::protocol::{LONGEST_BODY, MOST_REPORTED};
use crate::record::json::quoted;
use crate::record::{Key, Text};
use crate::time::{Instant, Now};
use crate::verdict::Reason;

/// Keys that are counted at most, while reports are not taken. Those that come then are not counted.
const COUNTED: usize = 100_000;

/// Of so many requests of a key one is looked at. A prime: of senders that take turns each has its turn to be seen.
const LOOKED_AT: u64 = 17;

/// Bytes after which no further key is put into a report, so that none has more than a key service takes.
const FULL: usize = LONGEST_BODY / 2;

/// Time before a report that was not taken is sent again, and between two where much is to be reported.
const RETRY: Duration = Duration::from_secs(1);

/// How long a key service that takes no reports is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(600);

/// Reports of usage per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether usage is counted and reported.
    pub enabled: bool,
    /// Time between two reports.
    pub every: Duration,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// It was not, and is sent again.
    NotTaken,
    /// The key service takes none.
    Unsupported,
}

/// Counts per key, and the report under way.
#[derive(Debug)]
pub struct Usage {
    every: Option<Duration>,
    reporter: String,
    batch: u64,
    /// By what stands for their keys in the caches, which is a hash already.
    counts: HashTable<Counted>,
    /// Unix seconds since which the counts were collected.
    from: u64,
    report: Option<Vec<u8>>,
    /// Whether a report is under way.
    sent: bool,
    /// When the next report may be sent.
    due: Option<Instant>,
    /// Until when nothing is counted, for nobody would take it.
    left_alone: Option<Instant>,
}

/// What was counted of a key. It holds no record, which would stay in memory with it.
#[derive(Debug)]
struct Counted {
    /// What stands for the key, and the number of the last write that was seen of it.
    hash: u64,
    version: u64,
    id: Text,
    /// Requests, allowed or not.
    requests: u64,
    last_at: u64,
    /// Where the request came from that was looked at last.
    network: Network,
    /// Requests of which it is noted where they came from.
    noted: u64,
    more: Option<Box<More>>,
}

/// What is counted of few keys only, until they are reported.
#[derive(Debug, Default)]
struct More {
    refusals: Vec<(Reason, u64)>,
    last_rejected_at: u64,
    networks: Vec<(Network, u64)>,
}

impl Counted {
    fn new(hash: u64, key: &Key) -> Self {
        Self {
            hash,
            version: key.version,
            id: key.id.clone(),
            requests: 0,
            last_at: 0,
            network: Network::Other,
            noted: 0,
            more: None,
        }
    }

    #[inline]
    fn is_of(&self, hash: u64, key: &Key) -> bool {
        self.hash == hash && (self.version == key.version || self.id == key.id)
    }

    /// Whether the next request is looked at.
    #[inline]
    fn looks(&self) -> bool {
        self.requests.is_multiple_of(LOOKED_AT)
    }

    #[inline]
    fn add(&mut self, refused: Option<Reason>, at: u64, source: &dyn Fn() -> Option<IpAddr>) {
        if self.looks() {
            self.look(source());
        }
        self.requests = self.requests.saturating_add(1);
        self.last_at = at;
        if let Some(reason) = refused {
            self.refuse(reason, at);
        }
    }

    #[cold]
    fn look(&mut self, source: Option<IpAddr>) {
        let network = Network::of(source);
        if network != self.network {
            self.note();
            self.network = network;
        }
    }

    #[cold]
    fn refuse(&mut self, reason: Reason, at: u64) {
        let more = self.more.get_or_insert_default();
        add(&mut more.refusals, reason, 1);
        more.last_rejected_at = at;
    }

    /// Notes where the requests came from since that was done last.
    fn note(&mut self) {
        let came = self.requests.saturating_sub(self.noted);
        if came > 0 {
            let more = self.more.get_or_insert_default();
            self.network.count(came, &mut more.networks);
            self.noted = self.requests;
        }
    }

    fn write(&mut self, body: &mut String) {
        self.note();
        let more = self.more.get_or_insert_default();
        let rejected = more
            .refusals
            .iter()
            .fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
        let Self {
            id,
            requests,
            last_at,
            ..
        } = self;
        let allowed = requests.saturating_sub(rejected);
        let id = quoted(id);
        body.push_str(&format!(
            r#"{{"id":{id},"allowed":{allowed},"rejected":{rejected},"last_at":{last_at}"#
        ));
        if rejected > 0 {
            let at = more.last_rejected_at;
            body.push_str(&format!(r#","last_rejected_at":{at},"rejected_by":{{"#));
            for (reason, count) in &more.refusals {
                write_count(body, reason.code(), *count);
            }
            body.push('}');
        }
        body.push_str(r#","networks":{"#);
        for (network, count) in &more.networks {
            write_count(body, &network.text(), *count);
        }
        body.push_str("}}");
    }
}

/// Adds to one of several counts.
fn add<T: PartialEq>(counts: &mut Vec<(T, u64)>, of: T, more: u64) {
    match counts.iter_mut().find(|(known, _)| *known == of) {
        Some((_, count)) => *count = count.saturating_add(more),
        None => counts.push((of, more)),
    }
}

/// Writes a count, behind the others of its object. No name needs to be quoted.
fn write_count(body: &mut String, name: &str, count: u64) {
    let before = if body.ends_with('{') { "" } else { "," };
    body.push_str(&format!(r#"{before}"{name}":{count}"#));
}

impl Usage {
    /// Nothing counted yet. `reporter` tells this worker from all others.
    pub fn new(settings: Settings, reporter: String) -> Self {
        Self {
            every: settings.enabled.then_some(settings.every),
            reporter,
            batch: 0,
            counts: HashTable::new(),
            from: 0,
            report: None,
            sent: false,
            due: None,
            left_alone: None,
        }
    }

    /// What was counted of a key, most likely: it is not looked at, so that this waits for no memory.
    #[cfg(target_pointer_width = "64")]
    pub fn expected(&self, id: &EntityId) -> Option<&impl Sized> {
        self.counts.iter_hash(id.spread()).next()
    }

    /// Counts a verdict on a key. A key that was seen before costs no allocation. `source` is asked now and then for
    /// the address of the client.
    pub fn count(
        &mut self,
        id: EntityId,
        key: &Key,
        refused: Option<Reason>,
        now: Now,
        source: &dyn Fn() -> Option<IpAddr>,
    ) {
        let hash = id.spread();
        let known = self.counts.find_mut(hash, |known| known.is_of(hash, key));
        match known {
            Some(counted) => counted.add(refused, now.unix, source),
            None => self.count_first((hash, key), refused, now, source),
        }
    }

    /// Counts the first verdict on a key since the last report.
    #[cold]
    fn count_first(
        &mut self,
        (hash, key): (u64, &Key),
        refused: Option<Reason>,
        now: Now,
        source: &dyn Fn() -> Option<IpAddr>,
    ) {
        let Some(every) = self.every else { return };
        if self.counts.is_empty() {
            if self.left_alone.is_some_and(|until| now.instant < until) {
                return;
            }
            self.from = now.unix;
            self.due.get_or_insert(now.instant + every);
        }
        if self.counts.len() < COUNTED {
            let mut counted = Counted::new(hash, key);
            counted.add(refused, now.unix, source);
            self.counts.insert_unique(hash, counted, |known| known.hash);
        }
    }

    /// Whether [`Self::count`] asks where the next request of a key comes from.
    pub fn looks(&self, id: EntityId, key: &Key) -> bool {
        let hash = id.spread();
        let known = self.counts.find(hash, |known| known.is_of(hash, key));
        self.every.is_some() && known.is_none_or(Counted::looks)
    }

    /// The body of the next report, if one is due and none is under way.
    pub fn next_report(&mut self, now: Now) -> Option<Vec<u8>> {
        if self.sent || self.due.is_none_or(|due| due > now.instant) {
            return None;
        }
        if self.report.is_none() {
            self.report = Some(self.collect(now));
        }
        self.report.clone()
    }

    fn collect(&mut self, now: Now) -> Vec<u8> {
        self.batch = self.batch.saturating_add(1);
        let mut body = format!(
            r#"{{"reporter":{},"batch":{},"from":{},"to":{},"keys":["#,
            quoted(&self.reporter),
            self.batch,
            self.from,
            now.unix
        );
        let mut reported: usize = 0;
        self.counts.retain(|counted| {
            if reported == MOST_REPORTED || body.len() > FULL {
                return true;
            }
            if reported > 0 {
                body.push(',');
            }
            reported = reported.saturating_add(1);
            counted.write(&mut body);
            false
        });
        body.push_str("]}");
        body.into_bytes()
    }

    /// The report is under way.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// The report has come to this.
    pub fn ended(&mut self, outcome: Outcome, now: Now) {
        self.sent = false;
        match outcome {
            Outcome::Taken => {
                self.report = None;
                let soon = match self.every {
                    Some(every) if self.counts.len() < MOST_REPORTED => every,
                    // Much is left.
                    _ => RETRY,
                };
                self.due = (!self.counts.is_empty()).then(|| now.instant + soon);
            }
            // The same again, but not at once: the key service may be overloaded.
            Outcome::NotTaken => self.due = Some(now.instant + RETRY),
            Outcome::Unsupported => {
                self.report = None;
                self.counts.clear();
                self.due = None;
                self.left_alone = Some(now.instant + LEFT_ALONE);
            }
        }
    }
}
