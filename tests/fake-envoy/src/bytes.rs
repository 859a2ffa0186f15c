//! Bytes that are lent to the module: when the loan is over they are overwritten and given back.

use std::hint::black_box;
use std::ptr::null;

use crate::abi::{Buffer, HttpHeader};
use crate::stream::Headers;

/// See above.
#[derive(Debug, Default, Clone)]
pub struct Bytes(Box<[u8]>);

impl Bytes {
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub fn get(&self) -> &[u8] {
        &self.0
    }

    /// As Envoy hands them over: a null pointer where there are none.
    pub fn lent(&self) -> Buffer {
        Buffer {
            pointer: if self.0.is_empty() {
                null()
            } else {
                self.0.as_ptr()
            },
            length: self.0.len(),
        }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.fill(0xdd);
        black_box(&self.0);
    }
}

/// A list of headers that is lent.
#[derive(Debug, Default, Clone)]
pub struct List(Vec<(Bytes, Bytes)>);

impl List {
    pub fn new(headers: &Headers) -> Self {
        let lent =
            |(name, value): &(String, Vec<u8>)| (Bytes::new(name.as_bytes()), Bytes::new(value));
        Self(headers.iter().map(lent).collect())
    }

    pub fn headers(&self) -> Headers {
        let owned = |(name, value): &(Bytes, Bytes)| {
            let name = String::from_utf8_lossy(name.get()).into_owned();
            (name, value.get().to_vec())
        };
        self.0.iter().map(owned).collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn lent(&self) -> Vec<HttpHeader> {
        let lent = |(name, value): &(Bytes, Bytes)| {
            let (name, value) = (name.lent(), value.lent());
            HttpHeader {
                name: name.pointer,
                name_length: name.length,
                value: value.pointer,
                value_length: value.length,
            }
        };
        self.0.iter().map(lent).collect()
    }

    pub fn remove(&mut self, name: &[u8]) {
        self.0.retain(|(known, _)| known.get() != name);
        self.moves();
    }

    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.0.push((Bytes::new(name), Bytes::new(value)));
        self.moves();
    }

    /// All loans are over. Without debug assertions the bytes stay, so that a profiler sees the module and not this.
    pub fn moves(&mut self) {
        if cfg!(debug_assertions) {
            self.0 = self.0.clone();
        }
    }
}
