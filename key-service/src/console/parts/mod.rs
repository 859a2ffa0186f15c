//! The pieces that pages are made of. Each escapes what it shows, and is put into a page as it is.

mod badge;
mod cell;
mod chain;
mod chart;
mod field;
mod table;
mod time;

pub use badge::Badge;
pub use cell::{Action, Cell};
pub use chain::{Chain, Link, Mend, State};
pub use chart::{Chart, Series};
pub use field::Field;
pub use table::{Column, Order, Table};
pub use time::Time;
