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
//! change feed, followed by one worker of the process ----> records -> every worker
//! ```
//!
//! Everything here is ordinary code without host calls, but for the folder `proxy_wasm`: what a host does goes through
//! [`host`], and [`worker`] drives the rest by it. So it runs in Envoy, under `cargo test`, under Node, in the
//! simulation, and wherever a verdict is to be explained. A module imports those above it in this list.

mod closed;

// The outside world: what a host offers.
pub mod host;
pub mod time;

// What is agreed with the key service.
pub mod protocol;

// What was sent.
pub mod request;

// Who it is.
pub mod credential;
pub mod record;

// What is asked, and what follows from it.
pub mod policy;
pub mod verdict;

// What is known.
pub mod knowledge;

// What is done about it.
pub mod edit;
pub mod reply;
pub mod telemetry;

// What joins them.
pub mod gate;

// What was configured.
pub mod config;

// Who drives it.
pub mod worker;

// Where.
pub mod proxy_wasm;

#[cfg(any(test, feature = "test-util"))]
pub mod test_util;

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod documentation_tests;
