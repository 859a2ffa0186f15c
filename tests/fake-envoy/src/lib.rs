//! A double of Envoy for the dynamic module: it has the functions that the module calls, and calls the module's own as
//! Envoy does, on threads as Envoy's. So all of the edge runs in a test, under a sanitizer and in the fuzzer.
//!
//! It holds the module to Envoy's rules, and stricter than Envoy does: a broken rule is a panic, which ends the process,
//! since it cannot leave a function of C. What it lends is valid no longer than Envoy promises: behind that the bytes
//! are overwritten and given back, so that whoever still reads them is seen by a sanitizer.

mod abi;
mod bytes;
mod callbacks;
mod calls;
mod clock;
mod configuration;
mod envoy;
mod inside;
mod key_service;
mod stream;
mod threads;

// What is tested.
use keybound_dynamic_module as _;

pub use callbacks::{most_verbose, take_log};
pub use calls::{Answer, Call, Ending, Handling};
pub use configuration::Configuration;
pub use envoy::{Envoy, Worker};
pub use inside::{Calls, counted, is_inside, lies_about_headers};
pub use key_service::KeyService;
pub use stream::{Exchange, Fate, Headers, Request, Response, headers};
