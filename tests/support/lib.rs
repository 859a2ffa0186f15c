//! What the tests and the demonstration share: real processes, scripted ones, and clients that control
//! every byte.
//!
//! Start with [`gateway::Gateway`], which joins the others. A test reads like this:
//!
//! ```no_run
//! # use support::{gateway::Gateway, records};
//! # #[tokio::main]
//! # async fn main() {
//! let gateway = Gateway::scripted().start().await;
//! let key = gateway.knows(records::active("one").user_status("suspended"));
//!
//! let answer = gateway.get("/orders", &[("x-api-key", &key)]).await;
//!
//! assert_eq!(answer.status, 403);
//! assert_eq!(answer.json()["code"], "user_suspended");
//! gateway.counted("rejected.user_suspended", 1).await;
//! # }
//! ```
//!
//! When it goes out of scope everything that it started is stopped, and Envoy's log is searched for
//! crashes and for the secrets that the test used.

pub mod access_log;
pub mod browser;
pub mod client;
pub mod clock;
pub mod config;
pub mod documented;
pub mod envoy;
pub mod failure;
pub mod fault_proxy;
pub mod fault_trials;
pub mod gateway;
pub mod home;
pub mod http2;
pub mod key_service;
pub mod load;
pub mod manifests;
pub mod needs;
pub mod paths;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod records;
pub mod scripted;
pub mod servlet;
pub mod upstream;
pub mod wait;
