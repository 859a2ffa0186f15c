//! The edge to Envoy's dynamic modules: the filter as a shared library that Envoy loads.
//!
//! Each worker thread of Envoy has a [`local`] worker of its own, and no lock is met on a hit. The main thread has
//! one more, which follows the change feed and sends every call ([`main_thread`]), since Envoy takes calls that belong
//! to no request from there alone. What both say to each other goes through a [`mailbox`]. A request is touched in
//! its own events alone, and to let it go on or to answer it is the last act of an event: Envoy may end it there.
//!
//! Unsafe code is in five files: the functions of Envoy ([`abi`]), what is safe to do with them ([`envoy`]), the
//! functions that Envoy calls ([`hooks`]), who uses a worker at the moment ([`seat`]), and the memory that all workers
//! read ([`pages`]).

mod abi;
mod edits;
mod envoy;
mod guarded;
mod handed;
mod hooks;
mod local;
mod logger;
mod mailbox;
mod main_thread;
mod pages;
mod plugin;
mod requests;
mod seat;
mod shared_memory;

// For the double of Envoy that tests have.
pub use abi::{Buffer, HttpHeader};
