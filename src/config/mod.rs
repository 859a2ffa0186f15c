//! Text to validated settings.

mod settings;

pub use settings::*;
