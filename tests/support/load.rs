//! Clients that send requests without end on connections that they keep, and note what became of each.

use crate::client::{Connection, Request, Response};
use crate::failure::{Failure, Result};
use crate::wait;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What the next request of a client is; none ends the client.
pub type Source<K> = Box<dyn FnMut() -> Option<(K, Request)> + Send>;

/// One of the clients of a load.
pub struct Client<K> {
    /// What it sends.
    pub source: Source<K>,
    /// How often; without, as soon as it has the answer to the one before.
    pub every: Option<Duration>,
}

impl<K> fmt::Debug for Client<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Sample<K> {
    /// What kind of request it was.
    pub kind: K,
    /// When it was sent.
    pub sent: Instant,
    /// How long it took until its whole answer was there, or until it was lost.
    pub took: Duration,
    /// The answer.
    pub outcome: Outcome,
}

impl<K> Sample<K> {
    /// When its end was known.
    pub fn ended(&self) -> Instant {
        self.sent + self.took
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It reached the upstream, or what stands for it.
    Allowed,
    /// The filter refused it.
    Refused {
        /// The status.
        status: u16,
        /// The verdict.
        code: String,
        /// Whether the answer says when to try again.
        retry_after: bool,
    },
    /// An answer that is neither.
    Strange(String),
    /// No whole answer came: the connection could not be opened, was closed or reset, or stayed silent.
    Lost(String),
}

impl Outcome {
    /// Whether it is a refusal with this code; whether it was allowed, without one.
    pub fn is(&self, code: Option<&str>) -> bool {
        match code {
            None => *self == Self::Allowed,
            code => self.code() == code,
        }
    }

    /// The verdict, where it is a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    fn of(answer: Result<Response>) -> Self {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Self::Lost(error.to_string()),
        };
        match answer.header("x-keybound-code") {
            Some(code) => Self::Refused {
                status: answer.status,
                code: code.to_owned(),
                retry_after: answer.header("retry-after").is_some(),
            },
            None if answer.status == 200 => Self::Allowed,
            None => Self::Strange(format!("{} {}", answer.status, answer.text())),
        }
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Load<K> {
    samples: Arc<Mutex<Vec<Sample<K>>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl<K: Clone + Send + 'static> Load<K> {
    /// Starts the clients, each on a connection of its own to a port of 127.0.0.1.
    pub async fn start(port: u16, clients: Vec<Client<K>>) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in &clients {
            connections.push(Connection::open(port).await?);
        }
        Ok(Self::over(port, connections, clients))
    }

    /// Starts the clients on connections that are open.
    pub fn over(port: u16, connections: Vec<Connection>, clients: Vec<Client<K>>) -> Self {
        let samples = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let clients = clients
            .into_iter()
            .zip(connections)
            .map(|(client, connection)| {
                let (samples, stop) = (Arc::clone(&samples), Arc::clone(&stop));
                tokio::spawn(run(port, connection, client, samples, stop))
            })
            .collect();
        Self {
            samples,
            stop,
            clients,
        }
    }

    /// What has ended until now.
    pub fn samples(&self) -> Vec<Sample<K>> {
        lock(&self.samples).clone()
    }

    /// How much has ended until now.
    pub fn count(&self) -> usize {
        lock(&self.samples).len()
    }

    /// What has ended since there were `count`.
    pub fn since(&self, count: usize) -> Vec<Sample<K>> {
        lock(&self.samples)
            .get(count..)
            .map(<[_]>::to_vec)
            .unwrap_or_default()
    }

    /// Waits until what has ended since there were `count` is enough.
    pub async fn until(
        &self,
        what: &str,
        count: usize,
        mut enough: impl FnMut(&[Sample<K>]) -> bool,
    ) -> Result<()> {
        wait::until(what, async || {
            let since = self.since(count);
            if enough(&since) {
                Ok(())
            } else {
                Err(format!("{} requests", since.len()))
            }
        })
        .await
    }

    /// Clients that have not run out of requests.
    pub fn active(&self) -> usize {
        let running = |client: &&JoinHandle<()>| !client.is_finished();
        self.clients.iter().filter(running).count()
    }

    /// Lets every client send until it has run out of requests, and gives everything.
    pub async fn run_out(self) -> Result<Vec<Sample<K>>> {
        self.finish().await
    }

    /// Lets each client finish what it has under way, and gives everything.
    pub async fn stop(self) -> Result<Vec<Sample<K>>> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }

    async fn finish(self) -> Result<Vec<Sample<K>>> {
        for client in self.clients {
            client
                .await
                .map_err(|error| Failure::new(format!("a client of the load: {error}")))?;
        }
        Ok(std::mem::take(&mut *lock(&self.samples)))
    }
}

async fn run<K>(
    port: u16,
    connection: Connection,
    mut client: Client<K>,
    samples: Arc<Mutex<Vec<Sample<K>>>>,
    stop: Arc<AtomicBool>,
) {
    let mut connection = Some(connection);
    let mut next = tokio::time::Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let Some((kind, request)) = (client.source)() else {
            return;
        };
        if let Some(every) = client.every {
            tokio::time::sleep_until(next).await;
            next = tokio::time::Instant::now().max(next + every);
        }
        let sent = Instant::now();
        let answer = exchange(port, &mut connection, &request).await;
        let took = sent.elapsed();
        let sample = Sample {
            kind,
            sent,
            took,
            outcome: Outcome::of(answer),
        };
        lock(&samples).push(sample);
    }
}

/// One request and its answer. A connection of which the answer says that it is the last is not used again;
/// nothing is tried twice.
async fn exchange(
    port: u16,
    connection: &mut Option<Connection>,
    request: &Request,
) -> Result<Response> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(port).await?,
    };
    let answer = open.send(request).await?;
    if answer.header("connection") != Some("close") {
        *connection = Some(open);
    }
    Ok(answer)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
