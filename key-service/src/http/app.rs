//! What all handlers share: the database, the settings, what is counted, and who asks.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;

use super::attempts::Attempts;
use super::metrics::Metrics;
use super::scanner_keys::ScannerKeys;
use crate::console;
use crate::domain::credential::Digester;
use crate::domain::token::{TokenDigest, TokenEntry};
use crate::filter::Filter;
use crate::store::Store;
use crate::webhooks::Webhooks;

/// How the service behaves towards its callers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How credentials become digests.
    pub digester: Digester,
    /// By what gateways decide, for explanations.
    pub filter: Arc<Filter>,
    /// By whose signatures scanners may report leaked keys; without any, nobody without a token may.
    pub scanner_keys: Option<Arc<ScannerKeys>>,
    /// What it takes to send messages to webhooks; without it, none can be made.
    pub webhooks: Option<Arc<Webhooks>>,
    /// The pages for people; none where they are off.
    pub console: Option<console::Settings>,
    /// How long the head of a request may take to arrive, counted from the answer before: a connection that
    /// is idle for longer is closed. More than the idle timeout of Envoy's cluster (30 s in envoy.yaml), or
    /// Envoy sends a request on a connection that is just being closed.
    pub head_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// A request that takes longer is answered 503. A long poll has its own bound on top.
    pub request_timeout: Duration,
    /// A gateway that is further behind than this many changes starts over instead of replaying.
    pub changes_kept: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            digester: Digester::default(),
            filter: Arc::default(),
            scanner_keys: None,
            webhooks: None,
            console: Some(console::Settings::default()),
            head_timeout: Duration::from_secs(40),
            body_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            changes_kept: 100_000,
        }
    }
}

/// What every handler shares.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What is in it.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// How the service behaves.
    pub settings: Settings,
    /// What is counted.
    pub metrics: Metrics,
    /// Wrong tokens that came lately.
    pub attempts: Attempts,
    /// Wrong tokens with which somebody tried to sign in lately.
    pub sign_ins: Attempts,
    /// Wrong signatures that came lately.
    pub signatures: Attempts,
    /// True as soon as the service is to end.
    pub stopping: watch::Receiver<bool>,
    /// A gateway has followed changes that a database without any does not hold.
    pub missed: AtomicBool,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// What every handler shares from now on.
    pub fn new(store: Store, settings: Settings, stopping: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Parts {
            metrics: Metrics::new(&store),
            store,
            settings,
            attempts: Attempts::default(),
            sign_ins: Attempts::of_people(),
            signatures: Attempts::default(),
            stopping,
            missed: AtomicBool::new(false),
        }))
    }
}

/// Name of the token that a request came with: the actor in the audit log.
#[derive(Debug, Clone)]
pub struct Actor(pub String);

/// Who asks, where that is known already: the console's requests come from within the process and carry no token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What they may do, as a token says it.
    pub entry: TokenEntry,
    /// Tells them from all others.
    pub digest: TokenDigest,
}
