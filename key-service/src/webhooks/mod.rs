//! Sending messages to webhooks: signed as Standard Webhooks has it, to addresses that everybody can reach, tried again
//! where the receiver does not take them. No write waits for any of it.

mod address;
mod client;
mod secret;
mod sender;

pub use client::Client;
pub use secret::{MasterKey, Secret};
pub use sender::run;

/// What it takes to send messages.
#[derive(Debug)]
pub struct Webhooks {
    /// What the secrets are made of.
    pub master: MasterKey,
    /// Whether messages may be sent to private addresses, and without TLS.
    pub allow_private: bool,
}
