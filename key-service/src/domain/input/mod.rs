//! What callers send, bodies and queries: each is described once, by `input!`, and from that one table come its
//! type, its reader and its part of the OpenAPI description. What the table says of a field is what is asked of it.
//!
//! - `table`: how it is written
//! - `json`: reads the text
//! - `fields`: reads, so that everything wrong is told at once
//! - `description`: describes
//! - `rules`: what may stand in a field, both read and described

mod description;
mod fields;
mod json;
pub mod rules;
mod table;

pub use description::{Description, body, parameters, referenced};
pub use fields::{Fields, read, read_query};
pub use json::parse;
pub use table::{Input, Schemas};
pub(crate) use table::{input, is_given};
