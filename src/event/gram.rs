//! What a datagram endpoint tells, and counts.

use core::fmt;

use bytes::Bytes;

use crate::error::Cause;
use crate::net::Addr;
use crate::tyme::Tyme;

/// A datagram that came in.
#[derive(Debug)]
#[non_exhaustive]
pub struct RxGram {
    /// Its bytes; an empty datagram has none.
    pub data: Bytes,
    /// Who sent it. A Unix socket without a name is [`Addr::Unnamed`] and cannot be answered.
    pub from: Addr,
    /// Whether it was longer than `max_gram` and its rest is lost.
    pub truncated: bool,
    /// Descriptors that came along.
    #[cfg(all(unix, feature = "uds"))]
    pub files: Vec<std::os::fd::OwnedFd>,
}

/// Something that happened at a datagram endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GramEvent {
    /// Datagrams have come in; [take](crate::Endpoint::take) them. At most one of these waits.
    Received,
    /// All that was queued has been handed to the network, after a time when it could not be. At most one of these waits.
    Drained,
    /// A datagram could not be sent and was dropped: longer than this network carries, no route, no such socket, broadcast that was not
    /// enabled, or not taken in time (`TimedOut`).
    Unsent {
        /// Whom it was for.
        to: Addr,
        /// Its length.
        len: usize,
        /// Why.
        error: Cause,
    },
    /// The network reports (by ICMP, mostly) that an earlier datagram did not arrive. Most never are reported. On Linux and macOS only a socket in connected
    /// mode ([`Bind::peer`](crate::net::Bind::peer)) hears of it at all: one that is not connected gets no report. On Windows both do.
    Unreachable {
        /// Why: `ConnectionRefused` where nobody listens.
        error: Cause,
    },
    /// Only errors come: receiving rests until then. At most one of these waits, the first; [`GramCounters::pauses`] counts all.
    Paused {
        /// The last error.
        error: Cause,
        /// When it goes on.
        until: Tyme,
    },
    /// The socket is dead and was closed.
    Lost {
        /// Why.
        error: Cause,
    },
    /// The poller itself has failed (told by a [`Peer`](crate::Peer); a server has an event of its own).
    NetFailed {
        /// Why.
        error: Cause,
    },
}

/// Why a datagram was not queued. What the network has against it comes later, as an event.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GramError {
    /// `tx_grams` or `tx_bytes` are queued; `Drained` tells when to offer more.
    Full,
    /// Longer than `max_gram`.
    TooLarge,
    /// An unnamed socket cannot be sent to; or without an address, where the endpoint has no peer.
    NoAddress,
    /// In connected mode only the peer can be sent to.
    NotThePeer,
    /// More than 253 descriptors.
    TooManyFiles,
    /// The endpoint is not open.
    Closed,
}

impl fmt::Display for GramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GramError::Full => {
                "as much is queued as GramConfig::tx_grams and tx_bytes allow: wait for `Drained`"
            }
            GramError::TooLarge => "the datagram is longer than GramConfig::max_gram",
            GramError::NoAddress => {
                "there is nobody to send it to: an unnamed socket, or no Bind::peer"
            }
            GramError::NotThePeer => {
                "this endpoint is connected, and can send to its peer only: bind another for others"
            }
            GramError::TooManyFiles => "more than 253 descriptors with one datagram: send several",
            GramError::Closed => "the endpoint is not open: reopen it",
        })
    }
}

impl std::error::Error for GramError {}

/// What a datagram endpoint has done so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GramCounters {
    /// Datagrams received, those dropped for want of room included.
    pub grams_in: u64,
    /// Their bytes, as far as they were not cut off.
    pub bytes_in: u64,
    /// Datagrams that the network took.
    pub grams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams received that were longer than `max_gram`.
    pub truncated: u64,
    /// Datagrams received and dropped because the queue was full.
    pub rx_dropped: u64,
    /// Datagrams of others than the peer, dropped in connected mode. The kernel drops most before.
    pub strangers: u64,
    /// Datagrams not queued because the queue was full.
    pub tx_refused: u64,
    /// Datagrams that could not be sent and were dropped.
    pub unsent: u64,
    /// Times that a datagram had to be kept because there was no room for it.
    pub tx_blocked: u64,
    /// Errors reported of earlier datagrams.
    pub unreachable: u64,
    /// Times that receiving had to rest.
    pub pauses: u64,
    /// Events that were only counted, not told.
    pub events_dropped: u64,
    /// Ticks in which a budget ended before the work did.
    pub budget: u64,
}
