//! The way of a call: from a VM over the network to the service and back.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybound::protocol::LONGEST_BODY;

use crate::agenda::Time;
use crate::oracle::Kind;
use crate::outgoing::{Asked, End};
use crate::scenario::Feed;
use crate::service::{Answer, Digest, Evidence, Manner, Poll};
use crate::weather::{Fate, Fault};
use crate::world::{Event, World};

impl World {
    /// Whether the host takes a call at all.
    pub fn is_taken(&self, kind: Kind) -> bool {
        let now = self.now();
        let weather = self.weather.borrow();
        !weather
            .faults(kind == Kind::Changes, now)
            .any(|fault| fault == Fault::NotSent)
    }

    /// A call leaves the host.
    pub fn departs(&self, call: u64, kind: Kind, timeout: Time) {
        match self.fate(kind) {
            Fate::Arrives(delay) => self.add(delay, Event::Reaches(call)),
            Fate::Refused(delay) => self.add(delay, Event::Ends(call, by_host(503))),
            Fate::Lost => {}
            Fate::Breaks(delay) => self.add(delay, Event::Ends(call, End::Broken)),
        }
        self.add(timeout, Event::Ends(call, by_host(504)));
    }

    fn fate(&self, kind: Kind) -> Fate {
        let now = self.now();
        let mut random = self.random.borrow_mut();
        self.weather
            .borrow()
            .fate(kind == Kind::Changes, &self.scenario, now, &mut random)
    }

    /// A call reaches the service.
    pub fn reaches(&self, call: u64) {
        let Some(flight) = self.flights.borrow().get(&call).cloned() else {
            return;
        };
        let now = self.now();
        let busy = {
            let weather = self.weather.borrow();
            weather
                .faults(flight.kind == Kind::Changes, now)
                .find_map(|fault| match fault {
                    Fault::Busy(status, retry_after) => Some((status, retry_after)),
                    _ => None,
                })
        };
        if let Some((status, retry_after)) = busy {
            self.answers(call, flight.kind, own(status, retry_after));
            return;
        }
        match &flight.asked {
            Asked::Resolve(digests) => {
                let commit = self.visible_commit(now);
                let manner = self.manner(false);
                let answer = self.service.borrow().resolve(digests, manner, commit, now);
                self.answers(call, flight.kind, whole(answer));
            }
            Asked::Changes(_) if self.scenario.feed == Feed::Unsupported => {
                self.answers(call, flight.kind, own(404, None));
            }
            Asked::Changes(poll) => {
                self.parked.borrow_mut().insert(call, *poll);
                self.add(poll.wait, Event::PollIsUp(call));
                self.answer_poll(call, false);
            }
            Asked::Usage => {
                let end = End::Answer {
                    status: 204,
                    marked: true,
                    body: Rc::from(&b""[..]),
                    retry_after: None,
                    evidence: Some(Rc::new(Evidence::Usage)),
                };
                self.answers(call, flight.kind, end);
            }
        }
    }

    /// How the service answers at the moment.
    fn manner(&self, feed: bool) -> Manner {
        let weather = self.weather.borrow();
        let extreme = weather
            .faults(feed, self.now())
            .any(|fault| fault == Fault::Extreme);
        if extreme {
            Manner::Extreme
        } else {
            Manner::Right
        }
    }

    /// The commit that the service answers by: an earlier one where a replica lags.
    fn visible_commit(&self, now: Time) -> u64 {
        let lag = {
            let weather = self.weather.borrow();
            weather.faults(false, now).find_map(|fault| match fault {
                Fault::Lagging(writes) => Some(writes),
                _ => None,
            })
        };
        let service = self.service.borrow();
        let commit = service.truth.commit();
        let behind = lag.map_or(0, |lag| self.between(0, lag));
        // A replica does not outlive a restored service.
        (service.truth.restored_at()..=commit)
            .rev()
            .nth(behind as usize)
            .unwrap_or(service.truth.restored_at())
    }

    /// Answers a poll that waits, where there is something to say or its time is up.
    pub fn answer_poll(&self, call: u64, waited: bool) {
        let Some(poll) = self.parked.borrow().get(&call).copied() else {
            return;
        };
        let now = self.now();
        let manner = self.manner(true);
        let answer = self.service.borrow().changes(
            poll,
            waited,
            manner,
            |number| self.credential(number).1,
            now,
        );
        if let Some(answer) = answer {
            self.parked.borrow_mut().remove(&call);
            self.answers(call, Kind::Changes, whole(answer));
        }
    }

    /// Something was written: polls that wait are answered.
    pub fn wake_polls(&self) {
        let parked: Vec<u64> = self.parked.borrow().keys().copied().collect();
        for call in parked {
            self.answer_poll(call, false);
        }
    }

    /// The service breaks every connection, as it does when it stops.
    pub fn break_polls(&self) {
        for call in std::mem::take(&mut *self.parked.borrow_mut()).into_keys() {
            self.add(0, Event::Ends(call, End::Broken));
        }
    }

    /// An answer leaves the service.
    fn answers(&self, call: u64, kind: Kind, end: End) {
        let end = self.damaged(kind, end);
        match self.fate(kind) {
            Fate::Arrives(delay) => self.add(delay, Event::Ends(call, end)),
            Fate::Lost => {}
            Fate::Refused(delay) | Fate::Breaks(delay) => {
                self.add(delay, Event::Ends(call, End::Broken));
            }
        }
    }

    fn damaged(&self, kind: Kind, end: End) -> End {
        let now = self.now();
        let End::Answer {
            status,
            marked,
            body,
            retry_after,
            evidence,
        } = end
        else {
            return end;
        };
        let faults: Vec<Fault> = self
            .weather
            .borrow()
            .faults(kind == Kind::Changes, now)
            .collect();
        let cut = faults.contains(&Fault::Corrupt) && !body.is_empty();
        let unmarked = faults.contains(&Fault::Unmarked);
        let body = match cut {
            true => {
                let length = self.below(body.len() as u64) as usize;
                Rc::from(&body[..length])
            }
            false => body,
        };
        End::Answer {
            status,
            marked: marked && !unmarked,
            body,
            retry_after,
            evidence: evidence.filter(|_| !cut && !unmarked),
        }
    }

    /// What a call asks, read from its path and body as the service reads it.
    pub fn asked(&self, path: &str, body: Option<&[u8]>) -> Option<Asked> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match (path, body) {
            ("/v1/usage", Some(_)) => Some(Asked::Usage),
            ("/v1/changes", None) => {
                let number = |name: &str| {
                    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                    pairs
                        .find(|(known, _)| *known == name)?
                        .1
                        .parse::<u64>()
                        .ok()
                };
                Some(Asked::Changes(Poll {
                    after: number("after"),
                    wait: number("wait").unwrap_or(0) * 1000,
                    limit: number("limit").unwrap_or(500) as usize,
                }))
            }
            ("/v1/resolve", Some(body)) => {
                let json: serde_json::Value = serde_json::from_slice(body).ok()?;
                let digests = json.get("digests")?.as_array()?;
                let digests: Option<Vec<(Digest, Option<u64>)>> = digests
                    .iter()
                    .map(|digest| {
                        let bytes = URL_SAFE_NO_PAD.decode(digest.as_str()?).ok()?;
                        let digest: Digest = bytes.try_into().ok()?;
                        Some((digest, self.digests.borrow().get(&digest).copied()))
                    })
                    .collect();
                Some(Asked::Resolve(digests?.into()))
            }
            _ => None,
        }
    }
}

/// An answer of the host itself.
fn by_host(status: u16) -> End {
    End::Answer {
        status,
        marked: false,
        body: Rc::from(&b"upstream connect error or request timeout"[..]),
        retry_after: None,
        evidence: None,
    }
}

/// An answer of the service that says nothing.
fn own(status: u16, retry_after: Option<u64>) -> End {
    End::Answer {
        status,
        marked: true,
        body: Rc::from(&br#"{"title":"no"}"#[..]),
        retry_after,
        evidence: None,
    }
}

fn whole(answer: Answer) -> End {
    End::Answer {
        status: 200,
        marked: true,
        // What is too long is not read.
        evidence: (answer.body.len() <= LONGEST_BODY).then(|| Rc::new(answer.evidence)),
        body: Rc::from(answer.body),
        retry_after: None,
    }
}
