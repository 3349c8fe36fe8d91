//! What an error of a datagram socket is about.
//!
//! An error of a call may be about an *earlier* datagram (ICMP came back), so it neither stops the socket nor, at once, the datagram at hand.

use std::io::{self, ErrorKind};

use crate::net::errno;

/// Whom it concerns, and so what to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing there, or no room; readiness will tell.
    None,
    /// A signal came.
    Interrupted,
    /// No memory or no place in a queue for now; nothing will tell.
    NoRoom,
    /// A datagram that did not arrive, maybe an earlier one.
    Report,
    /// The socket itself.
    Dead,
    /// Anything else.
    Unknown,
}

impl Trouble {
    pub(super) fn of(error: &io::Error) -> Trouble {
        match error.kind() {
            ErrorKind::WouldBlock => Trouble::None,
            ErrorKind::Interrupted => Trouble::Interrupted,
            ErrorKind::OutOfMemory => Trouble::NoRoom,
            // Windows reports with a connection reset (and a network reset, for TTL expired) what others call refused.
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::TimedOut => Trouble::Report,
            _ if errno::is_no_buffers(error) => Trouble::NoRoom,
            _ if errno::is_net_reset(error) || errno::is_peer_trouble(error) => Trouble::Report,
            _ if errno::is_dead_socket(error) => Trouble::Dead,
            _ => Trouble::Unknown,
        }
    }
}
