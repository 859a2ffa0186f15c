//! Records in a SQLite file. Nothing of SQL leaves this folder: another database would be
//! another folder with the same methods.

pub mod audit;
pub mod backup;
pub mod chain;
pub mod changes;
mod columns;
pub mod counts;
mod database;
mod error;
mod feed;
mod file;
mod open;
pub mod page;
mod probe;
mod queue;
mod recent;
pub mod resolve;
mod schema;
mod shown;
pub mod stored;
pub mod tokens;
pub mod usage;
mod writable;
mod write;

pub use database::{Missing, Store};
pub use error::{Failure, StoreError};
pub use queue::Urgency;
pub use writable::Refused;
pub use write::Write;
