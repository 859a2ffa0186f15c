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
mod tests {
    //! One attribute for unit tests that run natively and, as wasm32, under Node.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub use core::prelude::v1::test;
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    pub use wasm_bindgen_test::wasm_bindgen_test as test;
}
