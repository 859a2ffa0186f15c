//! What is to be changed in a request, kept until its headers are given back to Envoy; and headers that are copied, for
//! whoever has to change them while they are read.

use keybound::host::Header;
use smallvec::SmallVec;

use crate::abi::REQUEST_HEADERS;
use crate::envoy::{Filter, Lent};

/// Bytes that are kept for the edits of the next request. Those of nearly all take less.
const KEPT: usize = 4096;

/// Edits of a request, in order.
#[derive(Default)]
pub struct Edits {
    bytes: Vec<u8>,
    list: Vec<Edit>,
}

/// One edit: what is done, and where its name and its value end.
struct Edit {
    kind: Kind,
    name_end: usize,
    value_end: usize,
}

enum Kind {
    Set,
    Add,
    Remove,
}

/// Shows nothing: they hold what a client has sent.
impl std::fmt::Debug for Edits {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Edits(…)")
    }
}

impl Edits {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A header gets this one value.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        self.push(Kind::Set, name, value);
    }

    /// A header comes to others.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.push(Kind::Add, name, value);
    }

    /// A header goes.
    pub fn remove(&mut self, name: &str) {
        self.push(Kind::Remove, name, &[]);
    }

    fn push(&mut self, kind: Kind, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.list.push(Edit {
            kind,
            name_end,
            value_end: self.bytes.len(),
        });
    }

    /// Does them all. None is left.
    pub fn act(&mut self, filter: &mut Filter<'_>) {
        let mut begin = 0;
        for edit in &self.list {
            let name = self.bytes.get(begin..edit.name_end).unwrap_or_default();
            let value = self.bytes.get(edit.name_end..edit.value_end);
            let value = value.unwrap_or_default();
            match edit.kind {
                Kind::Set => filter.set(REQUEST_HEADERS, name, Some(value)),
                Kind::Add => filter.add(name, value),
                Kind::Remove => filter.set(REQUEST_HEADERS, name, None),
            }
            begin = edit.value_end;
        }
        self.list.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }
}

/// Headers, and bytes of them together, for which a copy needs no memory of its own.
const USUAL_HEADERS: usize = 32;
const USUAL_BYTES: usize = 2048;

/// A list of headers that is ours.
#[derive(Default)]
pub struct Copied {
    bytes: SmallVec<[u8; USUAL_BYTES]>,
    /// Where the name ends and where the value ends, of each.
    ends: SmallVec<[(usize, usize); USUAL_HEADERS]>,
}

impl Copied {
    /// A copy of what Envoy has lent.
    pub fn of(lent: &Lent<'_>) -> Self {
        let mut copied = Self::default();
        for (name, value) in lent {
            copied.bytes.extend_from_slice(name);
            let end = copied.bytes.len();
            copied.bytes.extend_from_slice(value);
            copied.ends.push((end, copied.bytes.len()));
        }
        copied
    }

    /// The headers.
    pub fn list(&self) -> SmallVec<[Header<'_>; USUAL_HEADERS]> {
        let mut begin = 0;
        self.ends
            .iter()
            .map(|(middle, end)| {
                let name = self.bytes.get(begin..*middle).unwrap_or_default();
                begin = *end;
                (name, self.bytes.get(*middle..*end).unwrap_or_default())
            })
            .collect()
    }
}
