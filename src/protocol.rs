//! What filter and key service have agreed on, in names and numbers: both take it from here. The words are in
//! `docs/protocol.md`, which is held to this.

/// The header that marks an answer of a key service, with the version of the protocol.
pub const MARKER: (&str, &str) = ("x-keybound-protocol", "1");

/// Most bytes of an answer, and of a body that the reference takes.
pub const LONGEST_BODY: usize = 1024 * 1024;

/// Most digests of a call to `/v1/resolve`.
pub const MOST_DIGESTS: usize = 64;

/// Most changes of an answer (`limit` of `/v1/changes`).
pub const MOST_CHANGES: usize = 500;

/// Most keys of a report to `/v1/usage`.
pub const MOST_REPORTED: usize = 1000;

/// Most entries of a list of a record.
pub const MOST_ENTRIES: usize = 256;

/// Most bytes of an entry of such a list, of an id and of an environment.
pub const LONGEST_NAME: usize = 128;

/// Whether text may be an id, an environment or a scope: such values become values of headers.
pub fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
