//! A key service that does what the test says: answers well, badly, late, or not at all. It counts what
//! it is asked.
//!
//! It speaks HTTP/1.1 over bare sockets, because half a body or a line that is no HTTP cannot be had
//! from a server that is made to be correct.

use crate::client::{Connection, Request};
use crate::failure::{Failure, Result};
use crate::records::{Known, digest, unknown};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// The digests that it asks for, if it is a well-formed `/v1/resolve`.
    pub fn digests(&self) -> Vec<String> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let digests = body["digests"].as_array().cloned().unwrap_or_default();
        digests
            .iter()
            .filter_map(|digest| digest.as_str().map(str::to_owned))
            .collect()
    }

    /// A header's first value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok()
    }

    fn is_resolve(&self) -> bool {
        self.method == "POST" && self.target == "/v1/resolve"
    }
}

/// What to do with a call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What a correct service would say, from what the test taught it.
    Records,
    /// What the service behind says.
    Forward,
    /// A whole, well-formed HTTP answer.
    Full {
        /// The status.
        status: u16,
        /// Headers beside content-length. The protocol's marker is among them only if it is put there.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, one at a time with this pause before each, and then the end of the connection.
    Drip(Vec<u8>, Duration),
    /// The first bytes, and then the others again and again, for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// The end of the connection, without a byte.
    Close,
    /// Nothing, for ever.
    Hang,
    /// The other answer, but not before the latch is opened.
    Held(Latch, Box<Answer>),
    /// The other answer, after a while.
    Late(Duration, Box<Answer>),
}

impl Answer {
    /// An answer with the protocol's marker.
    pub fn marked(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![
            ("x-keybound-protocol".to_owned(), "1".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        Self::Full {
            status,
            headers,
            body: body.into(),
        }
    }

    /// An answer without it, as a proxy in between would give.
    pub fn unmarked(status: u16, body: impl Into<String>) -> Self {
        Self::Full {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// The same answer with another header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// What holds answers back until a test opens it.
#[derive(Clone, Debug)]
pub struct Latch(Arc<Semaphore>);

impl Default for Latch {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Latch {
    /// Lets everything through, now and later.
    pub fn open(&self) {
        self.0.close();
    }

    async fn passed(&self) {
        // The only end of this wait is that the semaphore is closed.
        let _ = self.0.acquire().await;
    }
}

type Script = Arc<dyn Fn(&Call) -> Answer + Send + Sync>;

struct State {
    script: Script,
    changes: Script,
    known: HashMap<String, Known>,
    sequence: u64,
    calls: Vec<Call>,
    behind: Option<u16>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

/// A running scripted service.
#[derive(Debug)]
pub struct Scripted {
    port: u16,
    state: Arc<Mutex<State>>,
    server: Option<JoinHandle<()>>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Scripted {
    /// Listens on this port of 127.0.0.1. With a port `behind` it, it passes calls on to there; without,
    /// it answers from what it is taught.
    pub async fn start(port: u16, behind: Option<u16>) -> Result<Self> {
        let usual = if behind.is_some() {
            Answer::Forward
        } else {
            Answer::Records
        };
        let changes = if behind.is_some() {
            Answer::Forward
        } else {
            Answer::unmarked(404, "no change feed here")
        };
        let state = State {
            script: Arc::new(move |_| usual.clone()),
            changes: Arc::new(move |_| changes.clone()),
            known: HashMap::new(),
            sequence: 1,
            calls: Vec::new(),
            behind,
        };
        let mut service = Self {
            port,
            state: Arc::new(Mutex::new(state)),
            server: None,
            connections: Arc::default(),
        };
        service.listen().await?;
        Ok(service)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Teaches it a key, or another state of one.
    pub fn knows(&self, known: &Known) {
        let mut state = self.state();
        state.sequence += 1;
        state.known.insert(digest(&known.credential), known.clone());
    }

    /// From now on every `/v1/resolve` gets this answer.
    pub fn answers(&self, answer: Answer) {
        self.decides(move |_| answer.clone());
    }

    /// From now on every `/v1/resolve` gets the answer that this function chooses.
    pub fn decides(&self, script: impl Fn(&Call) -> Answer + Send + Sync + 'static) {
        self.state().script = Arc::new(script);
    }

    /// From now on every other call gets this answer.
    pub fn answers_changes(&self, answer: Answer) {
        self.decides_changes(move |_| answer.clone());
    }

    /// From now on every other call gets the answer that this function chooses.
    pub fn decides_changes(&self, script: impl Fn(&Call) -> Answer + Send + Sync + 'static) {
        self.state().changes = Arc::new(script);
    }

    /// Every call until now.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Every `/v1/resolve` until now.
    pub fn resolves(&self) -> Vec<Call> {
        self.state()
            .calls
            .iter()
            .filter(|call| call.is_resolve())
            .cloned()
            .collect()
    }

    /// Every `/v1/changes` until now.
    pub fn polls(&self) -> Vec<Call> {
        self.state()
            .calls
            .iter()
            .filter(|call| call.target.starts_with("/v1/changes"))
            .cloned()
            .collect()
    }

    /// How often a credential was asked for.
    pub fn asked_for(&self, credential: &str) -> usize {
        let wanted = digest(credential);
        self.resolves()
            .iter()
            .flat_map(Call::digests)
            .filter(|digest| *digest == wanted)
            .count()
    }

    /// Stops listening and cuts every connection.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
        for connection in lock(&self.connections).drain(..) {
            connection.abort();
        }
    }

    /// Listens again after a stop.
    pub async fn listen(&mut self) -> Result<()> {
        self.stop();
        let listener = crate::wait::until("the scripted key service's port", async || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
                .await
                .map_err(|error| error.to_string())
        })
        .await?;
        let state = Arc::clone(&self.state);
        let connections = Arc::clone(&self.connections);
        self.server = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = tokio::spawn(serve(stream, Arc::clone(&state)));
                let mut connections = lock(&connections);
                connections.retain(|connection| !connection.is_finished());
                connections.push(connection);
            }
        }));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let _ = stream.set_nodelay(true);
    let mut connection = Connection::over(stream);
    while let Ok(Some(call)) = connection.next_call().await {
        let mut answer = {
            let mut state = lock(&state);
            state.calls.push(call.clone());
            if call.is_resolve() {
                (state.script)(&call)
            } else {
                (state.changes)(&call)
            }
        };
        let bytes = loop {
            match answer {
                Answer::Held(latch, then) => {
                    latch.passed().await;
                    answer = *then;
                }
                Answer::Late(pause, then) => {
                    tokio::time::sleep(pause).await;
                    answer = *then;
                }
                Answer::Hang => std::future::pending().await,
                Answer::Close => return,
                Answer::Bytes(bytes) => {
                    let _ = connection.write(&bytes).await;
                    return;
                }
                Answer::Drip(bytes, pause) => {
                    for byte in bytes {
                        tokio::time::sleep(pause).await;
                        if connection.write(&[byte]).await.is_err() {
                            return;
                        }
                    }
                    return;
                }
                Answer::Endless(first, others) => {
                    let mut open = connection.write(&first).await.is_ok();
                    while open {
                        open = connection.write(&others).await.is_ok();
                    }
                    return;
                }
                Answer::Full {
                    status,
                    headers,
                    body,
                } => break http_answer(status, &headers, body.as_bytes()),
                Answer::Records => answer = from_records(&call, &lock(&state)),
                Answer::Forward => {
                    let behind = lock(&state).behind;
                    match forward(&call, behind).await {
                        Ok(bytes) => break bytes,
                        // What a client sees of a service that is gone: a connection that ends.
                        Err(_) => return,
                    }
                }
            }
        };
        if connection.write(&bytes).await.is_err() {
            return;
        }
    }
}

fn from_records(call: &Call, state: &State) -> Answer {
    let results: Vec<Value> = call
        .digests()
        .iter()
        .map(|digest| {
            state
                .known
                .get(digest)
                .map_or_else(|| unknown(digest), Known::result)
        })
        .collect();
    Answer::marked(
        200,
        json!({"as_of": state.sequence, "results": results}).to_string(),
    )
}

async fn forward(call: &Call, behind: Option<u16>) -> Result<Vec<u8>> {
    let behind = behind.ok_or_else(|| Failure::new("there is no service behind"))?;
    let mut request = Request::new(&call.method, &call.target).with_body(&call.body);
    for (name, value) in &call.headers {
        if !matches!(
            name.as_str(),
            "content-length" | "transfer-encoding" | "connection"
        ) {
            request = request.header(name, value);
        }
    }
    let response = request.send(behind).await?;
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .filter(|(name, _)| {
            !matches!(
                name.as_str(),
                "content-length" | "transfer-encoding" | "connection"
            )
        })
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    Ok(http_answer(response.status, &headers, &response.body))
}

/// The bytes of an HTTP/1.1 answer.
pub fn http_answer(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n",
        body.len()
    )
    .into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}
