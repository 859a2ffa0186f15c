//! The client that sends messages: within a bound of time, to vetted addresses, following nobody elsewhere.

use std::fmt;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use super::Webhooks;
use super::address::is_public;
use crate::domain::webhook::Webhook;
use crate::store::messages::Due;

/// How long a try takes at most.
const LONGEST: Duration = Duration::from_secs(10);

/// Sends messages.
#[derive(Debug, Clone)]
pub struct Client(Agent);

/// Finds the addresses of a host, and leaves out those that are not everybody's: what is vetted is what is connected to.
#[derive(Debug)]
struct Vetted {
    allow_private: bool,
}

impl Resolver for Vetted {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut vetted = self.empty();
        for address in found.iter() {
            if self.allow_private || is_public(address.ip()) {
                vetted.push(*address);
            }
        }
        match vetted.is_empty() {
            true => Err(Error::HostNotFound),
            false => Ok(vetted),
        }
    }
}

/// Why a message was not taken, for people.
#[derive(Debug)]
pub struct NotTaken(String);

impl fmt::Display for NotTaken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Client {
    /// A client that trusts these authorities.
    pub fn new(webhooks: &Webhooks, tls: ureq::tls::TlsConfig) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Who is sent elsewhere could be sent anywhere.
            .max_redirects(0)
            .https_only(!webhooks.allow_private)
            // A proxy would look the host up itself.
            .proxy(None)
            .timeout_global(Some(LONGEST))
            // Each try looks the host up, and no connection that a receiver has closed since is used.
            .max_idle_connections(0)
            .tls_config(tls)
            .build();
        let vetted = Vetted {
            allow_private: webhooks.allow_private,
        };
        Self(Agent::with_parts(
            config,
            DefaultConnector::default(),
            vetted,
        ))
    }

    /// Sends a message. Blocks until it is taken or not.
    pub fn send(
        &self,
        webhooks: &Webhooks,
        webhook: &Webhook,
        due: &Due,
        now: i64,
    ) -> Result<(), NotTaken> {
        let secret = webhooks.master.secret(&webhook.id);
        let signature = secret.signature(&due.event_id, now, &due.payload);
        let sent = self
            .0
            .post(&webhook.url)
            .header("content-type", "application/json")
            .header(
                "user-agent",
                concat!("keybound/", env!("CARGO_PKG_VERSION")),
            )
            .header("webhook-id", &due.event_id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", signature)
            .send(&due.payload);
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(NotTaken(format!("answered {}", answer.status().as_u16()))),
            Err(Error::HostNotFound) => Err(NotTaken(
                "the host has no address that everybody can reach".to_owned(),
            )),
            Err(error) => Err(NotTaken(format!("not reached: {error}"))),
        }
    }
}
