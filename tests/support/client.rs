//! An HTTP/1.1 client that sends exactly the bytes it is told to.
//!
//! Ordinary clients refuse, merge or re-encode what a hostile or careless client sends. This one does
//! not, and gives the answer's headers as they came.

use crate::failure::{Failure, Result};
use crate::scripted::Call;
use crate::wait::PATIENCE;
use serde_json::Value;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request, byte by byte.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// Any method and target. The target is sent as it is.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A GET.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// A HEAD.
    pub fn head(target: impl AsRef<[u8]>) -> Self {
        Self::new("HEAD", target)
    }

    /// A POST with a body.
    pub fn post(target: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", target).with_body(body)
    }

    /// Adds a header, beside those of the same name.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Adds several headers.
    #[must_use]
    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        for (name, value) in headers {
            self = self.header(name, value);
        }
        self
    }

    /// The same request with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_owned();
        self
    }

    /// The bytes on the wire. `host` and `content-length` are added where they are needed and not given.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The bytes up to the end of the headers.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(self.method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let has = |wanted: &str| {
            self.headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
        };
        if !has("host") {
            bytes.extend_from_slice(b"host: gateway.example\r\n");
        }
        if !has("content-length")
            && !has("transfer-encoding")
            && (!self.body.is_empty() || self.method == "POST")
        {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Sends it on a connection of its own to a port of 127.0.0.1.
    pub async fn send(&self, port: u16) -> Result<Response> {
        Connection::open(port).await?.send(self).await
    }

    /// Sends it on a connection of its own to any address.
    pub async fn send_to(&self, address: SocketAddr) -> Result<Response> {
        Connection::open_to(address).await?.send(self).await
    }
}

/// An answer, as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Every header in the order of arrival; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The only value of a header, or none.
    ///
    /// # Panics
    /// When the header is there more than once, or is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.header_values(name);
        assert!(
            values.len() < 2,
            "{name} is there {} times: {values:?}",
            values.len()
        );
        values.first().copied()
    }

    /// Every value of a header.
    ///
    /// # Panics
    /// When a value is not text.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(found, _)| found == name)
            .map(|(_, value)| std::str::from_utf8(value).expect("a header of an answer is text"))
            .collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!(
                "status {}, and the body is not JSON ({error}): {}",
                self.status,
                self.text()
            ),
        }
    }
}

/// A connection that is kept open.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to a port of 127.0.0.1.
    pub async fn open(port: u16) -> Result<Self> {
        Self::open_to((Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// Connects to any address.
    pub async fn open_to(address: SocketAddr) -> Result<Self> {
        let stream = patiently("connecting", TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// Speaks over this stream.
    pub fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends a request and reads its answer.
    pub async fn send(&mut self, request: &Request) -> Result<Response> {
        self.write(&request.bytes()).await?;
        self.read(request.method == "HEAD").await
    }

    /// Sends any bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        patiently("writing", self.stream.write_all(bytes)).await
    }

    /// Reads one answer; one to HEAD has no body whatever its headers say.
    pub async fn read(&mut self, to_head: bool) -> Result<Response> {
        let (status, headers) = self.read_head().await?;
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        let find = |name: &str| {
            response
                .headers
                .iter()
                .find(|(found, _)| found == name)
                .map(|(_, value)| String::from_utf8_lossy(value))
        };
        response.body = if to_head || status == 204 || status == 304 {
            Vec::new()
        } else if find("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            self.read_chunks().await?
        } else if let Some(length) = find("content-length") {
            let length = length
                .parse()
                .map_err(|_| Failure::new(format!("content-length is {length:?}")))?;
            self.read_exactly(length).await?
        } else {
            self.read_to_end().await?
        };
        Ok(response)
    }

    /// The other side of a connection: reads the next request, or learns that there is none. The wait
    /// for its first byte has no end.
    pub async fn next_call(&mut self) -> Result<Option<Call>> {
        if self.buffer.is_empty() && self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Ok(None);
        }
        let mut call = loop {
            let mut slots = [httparse::EMPTY_HEADER; 128];
            let mut parsed = httparse::Request::new(&mut slots);
            let outcome = parsed
                .parse(&self.buffer)
                .map_err(|error| Failure::new(format!("the request is not HTTP: {error}")))?;
            if let httparse::Status::Complete(length) = outcome {
                let call = Call {
                    method: parsed.method.unwrap_or_default().to_owned(),
                    target: parsed.path.unwrap_or_default().to_owned(),
                    headers: owned(parsed.headers),
                    body: Vec::new(),
                };
                self.buffer.drain(..length);
                break call;
            }
            self.more("the request's headers").await?;
        };
        call.body = if call.header("transfer-encoding").is_some() {
            self.read_chunks().await?
        } else {
            let length = call
                .header("content-length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0);
            self.read_exactly(length).await?
        };
        Ok(Some(call))
    }

    /// Waits until what has come holds a text, of an answer that may not be whole yet.
    pub async fn saw(&mut self, text: &str) -> Result<()> {
        while !String::from_utf8_lossy(&self.buffer).contains(text) {
            self.more(text).await?;
        }
        Ok(())
    }

    /// Whether the other side closes the connection without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill().await, Ok(0) | Err(_))
    }

    async fn read_head(&mut self) -> Result<(u16, Vec<(String, Vec<u8>)>)> {
        loop {
            let mut slots = [httparse::EMPTY_HEADER; 128];
            let mut parsed = httparse::Response::new(&mut slots);
            let outcome = parsed
                .parse(&self.buffer)
                .map_err(|error| Failure::new(format!("the answer is not HTTP: {error}")))?;
            if let httparse::Status::Complete(length) = outcome {
                let status = parsed.code.unwrap_or_default();
                let headers = owned(parsed.headers);
                self.buffer.drain(..length);
                if (100..200).contains(&status) && status != 101 {
                    continue;
                }
                return Ok((status, headers));
            }
            self.more("the headers").await?;
        }
    }

    async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more("the body").await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.read_line().await?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| Failure::new(format!("chunk size {size:?}")))?;
            if size == 0 {
                while !self.read_line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.read_exactly(size).await?);
            self.read_line().await?;
        }
    }

    async fn read_line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.more("a line").await?;
        }
    }

    async fn read_to_end(&mut self) -> Result<Vec<u8>> {
        while self.fill().await? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn more(&mut self, wanted: &str) -> Result<()> {
        match self.fill().await? {
            0 => Err(Failure::new(format!(
                "the connection closed before the end of {wanted}, after {:?}",
                String::from_utf8_lossy(&self.buffer)
            ))),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self) -> Result<usize> {
        patiently("reading", self.stream.read_buf(&mut self.buffer)).await
    }
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), header.value.to_owned()))
        .collect()
}

async fn patiently<T>(what: &str, work: impl Future<Output = std::io::Result<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(|error| Failure::from(error).during(what)),
        Err(_) => Err(Failure::new(format!(
            "{what}: nothing happened for {} s",
            PATIENCE.as_secs()
        ))),
    }
}
