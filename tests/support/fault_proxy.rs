//! A TCP proxy that damages what passes through it, as networks, proxies and dying processes do. It
//! knows nothing of HTTP.

use crate::failure::{Failure, Result};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::ReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to connections and to what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: all passes.
    None,
    /// Each piece of an answer comes this much later.
    Delay(Duration),
    /// Connections are taken and closed at once; those that are open are closed.
    Cut,
    /// A connection is reset after this many bytes of an answer.
    ResetAfter(usize),
    /// A connection is closed in order after this many bytes of an answer.
    Truncate(usize),
    /// Once a request has passed, the answer's direction is closed; the other stays open.
    HalfClose,
    /// The top bit of every 16th byte of an answer is another.
    Corrupt,
    /// Nothing arrives any more, in either direction, and nobody is told. A connection that lost
    /// something so stays dead afterwards.
    BlackHole,
    /// Nobody listens; connections that are open are closed.
    Refuse,
}

impl Fault {
    const fn closes_all(self) -> bool {
        matches!(self, Self::Cut | Self::Refuse)
    }
}

/// A running proxy. Dropping it closes everything.
#[derive(Debug)]
pub struct FaultProxy {
    fault: watch::Sender<Fault>,
    behind: Arc<AtomicU16>,
    server: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on one port of 127.0.0.1 and passes on to another.
    pub async fn start(port: u16, behind: u16) -> Result<Self> {
        let (fault, seen) = watch::channel(Fault::None);
        let listener = listen(port).await?;
        let behind = Arc::new(AtomicU16::new(behind));
        let server = tokio::spawn(serve(listener, port, Arc::clone(&behind), seen));
        Ok(Self {
            fault,
            behind,
            server,
        })
    }

    /// From now on this happens.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Connections that are opened from now on lead to this port.
    pub fn lead_to(&self, behind: u16) {
        self.behind.store(behind, Ordering::Relaxed);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| {
            Failure::from(error).during(&format!("the fault proxy cannot listen on port {port}"))
        })
}

async fn serve(
    listener: TcpListener,
    port: u16,
    behind: Arc<AtomicU16>,
    mut fault: watch::Receiver<Fault>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Refuse {
            listener = None;
        } else if listener.is_none() {
            // Nobody else can have the port meanwhile: it is reserved.
            listener = listen(port).await.ok();
        }
        let Some(open) = &listener else {
            if fault.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            changed = fault.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                connections.spawn(carry(client, behind.load(Ordering::Relaxed), fault.clone()));
            },
        }
    }
}

/// How a connection ends.
enum End {
    InOrder,
    Reset,
}

async fn carry(mut client: TcpStream, behind: u16, mut fault: watch::Receiver<Fault>) {
    if fault.borrow_and_update().closes_all() {
        return;
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, behind)).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    if matches!(pump(&mut client, &mut server, &mut fault).await, End::Reset) {
        let _ = client.set_zero_linger();
    }
}

async fn pump(
    client: &mut TcpStream,
    server: &mut TcpStream,
    fault: &mut watch::Receiver<Fault>,
) -> End {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut request, mut answer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    // Bytes of the answer to the last request.
    let mut answered = 0;
    loop {
        tokio::select! {
            changed = fault.changed() => {
                if changed.is_err() || fault.borrow_and_update().closes_all() {
                    return End::InOrder;
                }
            }
            read = from_client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return End::InOrder };
                if *fault.borrow() == Fault::BlackHole {
                    return swallow(&mut from_client).await;
                }
                answered = 0;
                if to_server.write_all(&request[..length]).await.is_err() {
                    return End::InOrder;
                }
                if *fault.borrow() == Fault::HalfClose && to_client.shutdown().await.is_err() {
                    return End::InOrder;
                }
            }
            read = from_server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return End::InOrder };
                let now = *fault.borrow();
                if now == Fault::BlackHole {
                    return swallow(&mut from_client).await;
                }
                let piece = &mut answer[..length];
                let mut last = None;
                let mut passed = length;
                match now {
                    Fault::Delay(pause) => tokio::time::sleep(pause).await,
                    Fault::ResetAfter(limit) if answered + length >= limit => {
                        (last, passed) = (Some(End::Reset), limit.saturating_sub(answered));
                    }
                    Fault::Truncate(limit) if answered + length >= limit => {
                        (last, passed) = (Some(End::InOrder), limit.saturating_sub(answered));
                    }
                    Fault::Corrupt => {
                        for byte in piece.iter_mut().skip(15 - answered % 16).step_by(16) {
                            *byte ^= 0x80;
                        }
                    }
                    _ => {}
                }
                if to_client.write_all(&piece[..passed]).await.is_err() {
                    return End::InOrder;
                }
                answered += length;
                if let Some(end) = last {
                    return end;
                }
            }
        }
    }
}

/// Takes what the client sends until it gives up.
async fn swallow(from_client: &mut ReadHalf<'_>) -> End {
    let mut bytes = [0; 1024];
    while matches!(from_client.read(&mut bytes).await, Ok(1..)) {}
    End::InOrder
}
