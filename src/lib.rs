//! Keybound: an API-key authentication filter for Envoy.
//!
//! The way of the data, one direction and one place each; the modules below stand in this order:
//!
//! ```text
//! request headers -> credential -> digest -> lookup -> verdict -> edits to the request | local reply
//!                                              |  ^
//!                                         miss v  | records
//!                                      waiting -> fetch (batched) -> answer
//!
//! change feed, followed by one VM of the process ----> records -> every VM
//! ```
//!
//! Everything here is ordinary code without host calls, but for the folder `proxy`, which exists on
//! `wasm32-wasip1` alone: time, shared data and calls come in and go out as values or through one narrow
//! trait. So it runs in Envoy, under `cargo test`, under Node, and wherever a verdict is to be explained.

// The outside world: what was configured, what was sent.
mod alike;
pub mod config;
pub mod headers;
pub mod json;
mod lookalike;
pub mod path;
pub mod percent;
pub mod request;
pub mod time;

// Who it is.
pub mod credential;
pub mod digest;
pub mod record;

// What is known.
pub mod backoff;
pub mod cache;
pub mod feed;
pub mod fetch;

// What follows from it.
pub mod policy;
pub mod statement;
pub mod verdict;

// What is done about it.
pub mod edit;
pub mod identity;
pub mod reply;
pub mod reserved;

// What joins them.
pub mod gate;
pub mod telemetry;
pub mod usage;

// What people are told about it, outside the filter.
#[cfg(not(target_os = "wasi"))]
pub mod explain;

#[cfg(target_os = "wasi")]
mod proxy;

#[cfg(test)]
mod tests;

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod documentation_tests;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod fuzz_seeds;
