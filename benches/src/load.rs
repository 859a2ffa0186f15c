//! The load generator: one thread, prepared requests, and either as many as are answered or a fixed rate.
//!
//! At a fixed rate each request has a time at which it is due, and its latency counts from then, whether or
//! not a connection was free: a stall of the server is seen by every request that was due meanwhile
//! (Gil Tene, "How NOT to Measure Latency": coordinated omission). The common generators do that too, but
//! none gives each request a key of its own, and their timers of a millisecond are coarser than what is
//! measured here.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use support::failure::{Failure, Result};

/// A server that does not answer for this long is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who has not looked for this long did not run.
const STANDSTILL: Duration = Duration::from_secs(2);

/// The longest latency that is told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// Prepared requests of one length, and the order in which they are sent, over and over.
#[derive(Debug, Clone)]
pub struct Requests {
    bytes: Arc<[u8]>,
    length: usize,
    order: Vec<u32>,
    next: usize,
}

/// How fast requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// One more on each connection as soon as the last is answered.
    Saturating,
    /// This many a second.
    Rate(f64),
}

/// When no more requests are sent.
#[derive(Debug, Clone, Copy)]
enum Until {
    Time(Instant),
    Count(usize),
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Requests, all of which were answered.
    pub answers: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Nanoseconds from when a request was due to its answer.
    pub latency: Histogram<u64>,
}

/// Connections to one port, and what is sent on them.
#[derive(Debug)]
pub struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    requests: Requests,
    status: u16,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// When the request that is under way was due.
    due: Option<Instant>,
}

impl Requests {
    /// Takes over requests, all of one length.
    pub fn new(requests: impl IntoIterator<Item = Vec<u8>>, order: Vec<u32>) -> Self {
        let mut bytes = Vec::new();
        let mut length = 0;
        for request in requests {
            assert!(
                length == 0 || length == request.len(),
                "requests differ in length"
            );
            length = request.len();
            bytes.extend(request);
        }
        Self {
            bytes: bytes.into(),
            length,
            order,
            next: 0,
        }
    }

    /// The same requests in another order.
    pub fn in_order(&self, order: Vec<u32>) -> Self {
        Self {
            bytes: Arc::clone(&self.bytes),
            length: self.length,
            order,
            next: 0,
        }
    }

    fn next(&mut self) -> &[u8] {
        let number = self.order[self.next] as usize;
        self.next = (self.next + 1) % self.order.len();
        &self.bytes[number * self.length..(number + 1) * self.length]
    }
}

impl Load {
    /// Connects. Every answer must have this status.
    pub fn connect(port: u16, connections: usize, requests: Requests, status: u16) -> Result<Self> {
        let poll = Poll::new()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let connections = (0..connections)
            .map(|index| {
                let stream = std::net::TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                poll.registry()
                    .register(&mut stream, Token(index), Interest::READABLE)?;
                Ok(Connection {
                    stream,
                    received: Vec::with_capacity(4096),
                    due: None,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            poll,
            connections,
            requests,
            status,
        })
    }

    /// Sends each of these requests once, in their order, and gives how long that took.
    pub fn once(&mut self, requests: Requests) -> Result<Duration> {
        let count = requests.order.len();
        self.requests = requests;
        let begin = Instant::now();
        self.exchange(Pace::Saturating, Until::Count(count))?;
        Ok(begin.elapsed())
    }

    /// Sends requests for this long, and waits for every answer.
    pub fn run(&mut self, pace: Pace, duration: Duration) -> Result<Outcome> {
        self.exchange(pace, Until::Time(Instant::now() + duration))
    }

    fn exchange(&mut self, pace: Pace, until: Until) -> Result<Outcome> {
        let mut outcome = Outcome {
            answers: 0,
            elapsed: Duration::ZERO,
            latency: Histogram::new_with_max(LONGEST, 3)
                .map_err(|error| Failure::new(format!("histogram: {error}")))?,
        };
        let mut idle: Vec<usize> = (0..self.connections.len()).collect();
        let mut events = Events::with_capacity(self.connections.len());
        let begin = Instant::now();
        let mut due = begin;
        let mut sent = 0;
        let mut heard = begin;
        let mut looked = begin;
        loop {
            let now = Instant::now();
            // A machine that stood still answers nobody: that is no time in which an answer could have come.
            if now > looked + STANDSTILL {
                heard += now - looked;
            }
            looked = now;
            let more = |due: Instant, sent: usize| match until {
                Until::Time(end) => due < end,
                Until::Count(count) => sent < count,
            };
            match pace {
                Pace::Saturating => {
                    due = now;
                    while more(now, sent)
                        && let Some(index) = idle.pop()
                    {
                        self.send(index, now)?;
                        sent += 1;
                    }
                }
                Pace::Rate(rate) => {
                    while more(due, sent)
                        && due <= now
                        && let Some(index) = idle.pop()
                    {
                        self.send(index, due)?;
                        sent += 1;
                        due += Duration::from_secs_f64(1.0 / rate);
                    }
                }
            }
            let waiting = self.connections.len() - idle.len();
            if waiting == 0 && !more(due, sent) {
                outcome.elapsed = begin.elapsed();
                return Ok(outcome);
            }
            if waiting > 0 && now > heard + PATIENCE {
                return Err(Failure::new(format!(
                    "{waiting} requests were not answered"
                )));
            }
            let wait = match pace {
                Pace::Saturating => STANDSTILL / 2,
                // The next request is due within microseconds; who else needs this processor gets it.
                Pace::Rate(_) => {
                    std::thread::yield_now();
                    Duration::ZERO
                }
            };
            self.poll.poll(&mut events, Some(wait))?;
            for event in &events {
                let Token(index) = event.token();
                if let Some(since) = self.receive(index)? {
                    let nanoseconds = u64::try_from(since.elapsed().as_nanos()).unwrap_or(LONGEST);
                    outcome.latency.saturating_record(nanoseconds);
                    outcome.answers += 1;
                    idle.push(index);
                    heard = now;
                }
            }
        }
    }

    fn send(&mut self, index: usize, due: Instant) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.due = Some(due);
        // An idle connection always has room for one request.
        Ok(connection.stream.write_all(self.requests.next())?)
    }

    /// Reads what has come; when the answer is whole, gives when its request was due.
    fn receive(&mut self, index: usize) -> Result<Option<Instant>> {
        let connection = &mut self.connections[index];
        let mut buffer = [0; 4096];
        loop {
            match connection.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::new("the server closed a connection")),
                Ok(length) => connection.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        match status(&connection.received)? {
            None => Ok(None),
            Some(status) if status == self.status => {
                connection.received.clear();
                Ok(connection.due.take())
            }
            Some(_) => Err(Failure::new(format!(
                "the answer should have had the status {}: {}",
                self.status,
                String::from_utf8_lossy(&connection.received)
            ))),
        }
    }
}

/// The status of an answer, once it is whole.
fn status(received: &[u8]) -> Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response
        .parse(received)
        .map_err(|error| Failure::new(format!("the answer is not HTTP: {error}")))?
    {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let body = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .unwrap_or(0);
    let whole = received.len() >= head + body;
    Ok(response.code.filter(|_| whole))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    /// Answers on one connection, once after a pause.
    fn server(pause: Duration, at: usize) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            let mut count = 0;
            while stream.read_exact(&mut request).is_ok() {
                count += 1;
                if count == at {
                    std::thread::sleep(pause);
                }
                stream.write_all(ANSWER).unwrap();
            }
        });
        port
    }

    fn load(port: u16) -> Load {
        let requests = Requests::new([b"abcd".to_vec(), b"efgh".to_vec()], vec![0, 1, 1]);
        Load::connect(port, 1, requests, 200).unwrap()
    }

    #[test]
    fn a_stall_is_seen_by_every_request_that_was_due_meanwhile() {
        let pause = Duration::from_millis(500);
        let mut load = load(server(pause, 100));

        let outcome = load
            .run(Pace::Rate(1000.0), Duration::from_secs(1))
            .unwrap();

        assert_eq!(outcome.answers, 1000);
        let half = u64::try_from(pause.as_nanos()).unwrap() / 2;
        let late = outcome.latency.count_between(half, u64::MAX);
        assert!(late >= 200, "{late} of the 250 that were due");
    }

    #[test]
    fn an_answer_is_whole_with_its_body() {
        for end in 0..ANSWER.len() {
            assert_eq!(status(&ANSWER[..end]).unwrap(), None);
        }
        assert_eq!(status(ANSWER).unwrap(), Some(200));
        assert!(status(b"nonsense").is_err());
    }

    #[test]
    fn requests_are_sent_in_the_given_order() {
        let mut requests = Requests::new([b"abcd".to_vec(), b"efgh".to_vec()], vec![0, 1, 1]);
        let sent: Vec<u8> = (0..4).map(|_| requests.next()[0]).collect();
        assert_eq!(sent, b"aeea");
    }
}
