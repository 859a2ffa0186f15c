//! Keybound: an API-key authentication filter for Envoy.

pub mod cache;
pub mod config;
pub mod credential;
pub mod digest;
pub mod edit;
pub mod fetch;
pub mod gate;
pub mod headers;
pub mod identity;
pub mod json;
pub mod percent;
pub mod policy;
pub mod record;
pub mod reply;
pub mod request;
pub mod telemetry;
pub mod time;
pub mod verdict;

#[cfg(target_os = "wasi")]
mod proxy;

#[cfg(test)]
mod tests;
