//! What is known of keys: what the caches hold, what is being asked, and what has changed.

pub mod backoff;
pub mod cache;
pub mod feed;
pub mod fetch;
mod spread;
pub mod swap;

pub use spread::Spread;
