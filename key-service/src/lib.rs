//! The reference key service of Keybound: keys, users and tenants in a SQLite file or a PostgreSQL database, the protocol
//! that gateways speak, an admin API, and the command line for both.
//!
//! ```text
//! cli ── console ── http ── domain ── store
//! ```
//!
//! [`domain`] holds the rules, [`store`] what is written, [`http`] the routes, [`console`] the pages, which ask those
//! routes, [`cli`] the commands; [`filter`] is the gateway's configuration, by which [`explain`] says why a request gets its verdict.
//! [`webhooks`] sends what writes leave for those who want to be told.
//! A write goes: read the record, ask the domain for the next one, write it down with the next sequence number and
//! an audit entry, commit, wake whoever follows the changes.
//!
//! # Another resource
//! 1. `domain/`: the record, its rules, and with `input!` what may be sent to make and to change it; a word in
//!    [`domain::audit::Kind`].
//! 2. A migration for each database, and a line in the table of `store/stored.rs`: it can be written, read, followed and restored. Its
//!    filter is in `store/page.rs`.
//! 3. `http/`: a file with its routes, named in `http/mod.rs`; its record of the protocol in `http/record.rs`, where
//!    `http/changes.rs` does not compile without.
//! 4. `cli/`: a file with its commands.
//! 5. `tests/api/`: a file named as its URL. The tests of every route and of every table have it already.

#![forbid(unsafe_code)]

pub mod cli;
pub mod console;
pub mod domain;
pub mod explain;
pub mod filter;
pub mod http;
pub mod store;
pub mod webhooks;
