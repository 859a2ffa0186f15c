//! What keys, users and tenants are, and the rules they obey. No SQL and no HTTP: the store
//! writes down what this module allows, the HTTP layer says what it refused.

pub mod approval;
pub mod audit;
pub mod credential;
pub mod directory;
pub mod entry;
pub mod fence;
pub mod input;
pub mod key;
pub mod key_rules;
pub mod leak;
mod near;
mod patch;
pub mod reach;
pub mod refusal;
pub mod review;
pub mod session;
pub mod tenant;
pub mod text;
pub mod time;
pub mod token;
pub mod traffic;
pub mod usage;
pub mod user;
pub mod webhook;
pub mod when;
pub mod words;

pub use patch::Patch;
