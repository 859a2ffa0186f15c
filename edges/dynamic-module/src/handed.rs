//! A request in the hands of the filter, within one of its events.

use keybound::host::{Circumstances, EditRequest, LocalAnswer, RemoveHeader, Stream};
use keybound::worker::Fate;

use crate::abi::{REQUEST_HEADERS, REQUEST_TRAILERS};
use crate::edits::Edits;
use crate::envoy::Filter;

/// What becomes of a request once all else is done with it.
#[derive(Debug)]
pub enum Last {
    /// Nothing: it goes on by itself, or waits.
    Nothing,
    /// It goes on.
    GoesOn,
    /// It is answered.
    Answered(Box<Reply>),
}

/// An answer in place of the upstream's.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    details: String,
}

impl Last {
    /// Where a fault has ended a request.
    pub fn fault() -> (Fate, Self) {
        let reply = Reply {
            status: 500,
            headers: Vec::new(),
            body: Vec::new(),
            details: "keybound_fault".to_owned(),
        };
        (Fate::Answered, Self::Answered(Box::new(reply)))
    }

    /// Does it. Envoy may end the request within.
    pub fn act(self, filter: Filter<'_>) {
        match self {
            Self::Nothing => {}
            Self::GoesOn => filter.go_on(),
            Self::Answered(reply) => {
                let headers: Vec<(&str, &str)> = reply
                    .headers
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                filter.answer(reply.status, &headers, &reply.body, &reply.details);
            }
        }
    }
}

/// A request within its event. What ends the event is kept for last.
#[derive(Debug)]
pub struct Handed<'event> {
    access: Access<'event>,
    last: Last,
}

/// How a request is edited.
#[derive(Debug)]
enum Access<'event> {
    /// Once its headers are given back, which Envoy has lent.
    Later(&'event Filter<'event>, Edits),
    /// At once: who reads its headers has a copy. Whether that was done.
    AtOnce(Filter<'event>, bool),
}

impl<'event> Handed<'event> {
    /// One whose headers are lent: it is edited by what is kept, with [`finish`].
    pub fn later(filter: &'event Filter<'event>, edits: Edits) -> Self {
        Self {
            access: Access::Later(filter, edits),
            last: Last::Nothing,
        }
    }

    /// One that is edited at once.
    pub fn at_once(filter: Filter<'event>) -> Self {
        Self {
            access: Access::AtOnce(filter, false),
            last: Last::Nothing,
        }
    }

    /// All else is done with it, but for the edits that were kept.
    pub fn done(mut self) -> (Last, Edits) {
        if !matches!(self.last, Last::Answered(_)) {
            self.clear_route();
        }
        let edits = match self.access {
            Access::Later(_, edits) => edits,
            Access::AtOnce(..) => Edits::default(),
        };
        (self.last, edits)
    }

    /// The route is chosen once more by what the upstream gets, as in the other home.
    fn clear_route(&mut self) {
        if let Access::AtOnce(filter, is_edited) = &mut self.access
            && std::mem::take(is_edited)
        {
            filter.clear_route_cache();
        }
    }

    fn filter(&self) -> &Filter<'event> {
        match &self.access {
            Access::Later(filter, _) => filter,
            Access::AtOnce(filter, _) => filter,
        }
    }
}

/// Edits a request whose headers were lent, as [`Handed::done`] has left it.
pub fn finish(filter: &mut Filter<'_>, last: &Last, edits: &mut Edits) {
    let is_edited = !edits.is_empty();
    edits.act(filter);
    if is_edited && !matches!(last, Last::Answered(_)) {
        filter.clear_route_cache();
    }
}

impl Circumstances for Handed<'_> {
    fn source_address(&self) -> Option<Vec<u8>> {
        self.filter().source_address()
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        self.filter().route_metadata("keybound", "policy")
    }
}

impl RemoveHeader for Handed<'_> {
    fn remove(&mut self, name: &str) {
        match &mut self.access {
            Access::Later(_, edits) => edits.remove(name),
            Access::AtOnce(filter, is_edited) => {
                *is_edited = true;
                filter.set(REQUEST_HEADERS, name.as_bytes(), None);
            }
        }
    }
}

impl EditRequest for Handed<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        match &mut self.access {
            Access::Later(_, edits) => edits.set(name, value),
            Access::AtOnce(filter, is_edited) => {
                *is_edited = true;
                filter.set(REQUEST_HEADERS, name.as_bytes(), Some(value));
            }
        }
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        match &mut self.access {
            Access::Later(_, edits) => edits.add(name, value),
            Access::AtOnce(filter, is_edited) => {
                *is_edited = true;
                filter.add(name.as_bytes(), value);
            }
        }
    }
}

impl Stream for Handed<'_> {
    fn serving_policy(&mut self) -> Option<Option<Vec<u8>>> {
        self.clear_route();
        match &self.access {
            // Who asks has a copy of the headers; otherwise it is no policy's name, which refuses.
            Access::Later(..) => Some(Some(Vec::new())),
            Access::AtOnce(filter, _) => {
                filter.choose_route();
                Some(self.route_policy())
            }
        }
    }

    fn set_filter_state(&mut self, name: &str, value: &str) {
        self.filter()
            .set_filter_state(&format!("wasm.{name}"), value.as_bytes());
    }

    fn resume(&mut self) {
        self.last = Last::GoesOn;
    }

    fn answer(&mut self, answer: &LocalAnswer<'_>) {
        let mut headers = answer.headers.to_vec();
        // Envoy's own call would say 0, which means that all is well.
        if let Some(status) = answer.grpc_status {
            headers.push(("grpc-status", status.to_string()));
        }
        self.last = Last::Answered(Box::new(Reply {
            status: answer.status,
            headers,
            body: answer.body.to_vec(),
            details: answer.details.to_owned(),
        }));
    }
}

/// The trailers of a request, within their event.
pub struct Trailers<'event>(pub Filter<'event>);

impl RemoveHeader for Trailers<'_> {
    fn remove(&mut self, name: &str) {
        self.0.set(REQUEST_TRAILERS, name.as_bytes(), None);
    }
}
