//! Ports that nobody else gets.
//!
//! Envoy listens with SO_REUSEPORT, so two of them started on one port share it without a word, and a
//! test then talks to another test's Envoy. A port is therefore taken from below the range from which
//! the system gives out ephemeral ones, and is reserved machine-wide for as long as the [`Port`] lives:
//! by holding the UDP port of the same number, which nothing here uses, and which the system frees
//! however the process ends.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 15_000;
const LAST: u16 = 31_999;

/// A TCP port of 127.0.0.1 that is reserved while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: UdpSocket,
}

impl Port {
    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Reserves a port on which nothing listens.
///
/// # Panics
/// When every port of the range is taken.
pub fn reserve() -> Port {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let size = LAST - FIRST + 1;
    // Processes begin at different places, only to meet each other's reservations less often.
    let begin = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(size)).unwrap_or(0);
    for _ in 0..size {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % size;
        let number = FIRST + (begin + step) % size;
        if let Some(port) = try_reserve(number) {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST}");
}

/// Whether nothing listens on this port of 127.0.0.1. The standard library's listener does not set
/// SO_REUSEPORT, so that this also sees listeners that would share.
pub fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

fn try_reserve(number: u16) -> Option<Port> {
    let reservation = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
    is_free(number).then_some(Port {
        number,
        _reservation: reservation,
    })
}
