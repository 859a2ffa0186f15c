//! The reference key service of Keybound: keys, users and tenants in a SQLite file, the protocol
//! that gateways speak, an admin API, and the command line for both.
//!
//! ```text
//! cli ── http ── domain ── store
//! ```
//!
//! [`domain`] holds the rules, [`store`] what is written, [`http`] the routes, [`cli`] the
//! commands; [`filter`] is the gateway's configuration, by which [`explain`] says why a request gets its verdict. A write goes: read the record, ask the domain for the next one, write it down with
//! the next sequence number and an audit entry, commit, wake whoever follows the changes.

#![forbid(unsafe_code)]

pub mod cli;
pub mod domain;
pub mod explain;
pub mod filter;
pub mod http;
pub mod store;
