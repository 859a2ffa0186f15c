//! From an answer of the change feed to what this worker, and all others, no longer believe.

use super::{CallEnd, Gate};
use crate::host::Store;
use crate::knowledge::cache::EntityId;
use crate::knowledge::feed::{Failure, News, Outdated, Poll};
use crate::protocol::LONGEST_BODY;
use crate::record::parse_changes;
use crate::telemetry::{Plain, Warning};
use crate::time::Now;

/// An answer of so many bytes may have been cut by its length. A service that does so leaves little room unused:
/// no change is nearly as long.
const LEAST_CUT: usize = LONGEST_BODY / 4;

impl Gate {
    /// This worker has been rung: something has changed.
    pub fn rung(&mut self, now: Now, store: &impl Store) {
        self.waiting.pass();
        self.obey_changes(now, store);
    }

    /// Looks at how far the feed is, and forgets what is outdated.
    pub(super) fn obey_changes(&mut self, now: Now, store: &impl Store) {
        let outdated = self.feed.look(store);
        match &outdated {
            None => {}
            Some(Outdated::All) => self.cache.clear(self.feed.believed_from()),
            Some(Outdated::Changed(changed, heard)) => {
                changed.iter().for_each(|id| self.cache.forget(id));
                let took = now.instant.since(*heard).as_millis();
                if !changed.is_empty() {
                    self.telemetry
                        .propagation_took(u64::try_from(took).unwrap_or(u64::MAX));
                }
            }
        }
        self.cache.follow(self.feed.continuity());
        self.fetcher.heard(self.feed.heard());
        if let Some(outdated) = outdated {
            self.waiting.outdate(&outdated);
        }
    }

    pub(super) fn poll_ended(
        &mut self,
        poll: &Poll,
        end: &CallEnd<'_>,
        now: Now,
        store: &impl Store,
    ) {
        let body = match *end {
            CallEnd::Answered {
                status: 200,
                marked: true,
                body,
                ..
            } => body,
            CallEnd::Answered { status: 404, .. } => {
                return self.feed_failed(Failure::Unsupported, now, store);
            }
            _ => {
                // Envoy breaks off what is longer than it takes, and does not say so.
                if matches!(end, CallEnd::Broken) {
                    self.feed.ask_for_fewer(poll, now.instant, store);
                }
                return self.feed_failed(Failure::Broken(end.retry_after()), now, store);
            }
        };
        let Some(body) = body else {
            return self.poll_in_vain(poll, "is longer than the protocol allows", now, store);
        };
        let news = match parse_changes(body, poll.after.unwrap_or_default()) {
            Ok(news) => news,
            Err(malformed) => {
                let problem = format!("is not well-formed: {malformed}");
                return self.poll_in_vain(poll, &problem, now, store);
            }
        };
        if let Some(doubt) = news.doubts.first() {
            self.warnings
                .warn(Warning::RecordDoubtful, now.instant, || {
                    format!("key service: change feed: {doubt}")
                });
        }
        let reconnected = if news.reset || poll.after.is_none() {
            if poll.after.is_some() {
                self.telemetry.count(Plain::ChangesReset);
            }
            self.feed.restart(poll, news.cursor, now.instant, store)
        } else {
            // What comes later in the same answer, or after a full one, may change it again: only what is
            // published confirms it.
            let confirmed = self.feed.continuity().confirmed;
            let mut changes = Vec::with_capacity(news.changes.len());
            for change in &news.changes {
                let (sequence, changed) = (change.sequence, &change.changed);
                if !self
                    .cache
                    .apply(changed, sequence, confirmed, poll.epoch, store)
                {
                    return self.feed_failed(Failure::Broken(None), now, store);
                }
                changes.push((sequence, EntityId::of(changed)));
            }
            self.telemetry.add(
                Plain::ChangesApplied,
                u64::try_from(changes.len()).unwrap_or_default(),
            );
            let news = News {
                cursor: news.cursor,
                cut: news.given >= poll.limit || body.len() >= LEAST_CUT,
                small: body.len() < LONGEST_BODY / 8,
                changes: &changes,
            };
            self.feed.publish(poll, news, now.instant, store)
        };
        if reconnected {
            log::info!("change feed: connected");
        }
        self.obey_changes(now, store);
    }

    /// An answer of the feed is of no use. Where it spoke of several changes, fewer are asked for: what is wrong
    /// may be the size of all, or one of them.
    fn poll_in_vain(&mut self, poll: &Poll, problem: &str, now: Now, store: &impl Store) {
        if self.feed.ask_for_fewer(poll, now.instant, store) {
            log::info!(
                "change feed: the answer for up to {} changes {problem}: fewer are asked for",
                poll.limit
            );
            return self.obey_changes(now, store);
        }
        self.warnings.warn(Warning::AnswerUnusable, now.instant, || match poll.after {
            Some(after) => format!(
                "change feed: the change that comes after number {after} cannot be taken, for its answer {problem}: \
                 mend or remove it at the key service, since no later change is heard of before"
            ),
            None => format!("change feed: its answer {problem}"),
        });
        self.feed_failed(Failure::Broken(None), now, store);
    }

    pub(super) fn feed_failed(&mut self, failure: Failure, now: Now, store: &impl Store) {
        if self.feed.failed(failure, now.instant, store) {
            let why = match failure {
                Failure::Unsupported => "the key service has none (404 at its path)",
                Failure::Broken(_) => "the key service does not answer it",
            };
            log::warn!(
                "change feed: not connected, for {why}: until it is, records are asked for again after \
                 freshness.fresh_for"
            );
        }
        self.obey_changes(now, store);
    }
}
