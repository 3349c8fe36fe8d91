//! What a tick tells: a summary at once, events on asking, and when it wants to be called again.

use core::fmt;
use std::io;

use crate::acceptor::AcceptorId;
use crate::error::{CloseReason, Deadline};
use crate::id::Id;
use crate::net::Addr;
use crate::peer::GramEvent;
use crate::server::EndpointId;
use crate::tyme::Tyme;

/// Something that happened. Owned, so that nothing stays borrowed while you deal with it.
///
/// For one connection they come in this order: `Accepted`, then any of `Received`, `Drained`, at most one `Eof`, at most one `Expired`,
/// and last, always, one `Closed`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is there and usable (its handshake, if any, is done).
    Accepted(Id),
    /// Bytes have come in; look at the remoter's `rx`. At most one per connection waits to be taken.
    Received(Id),
    /// All that was queued has been handed to the network, after a time when it could not be.
    Drained(Id),
    /// The peer has ended its half: nothing more comes in, but you can still send.
    Eof(Id),
    /// A deadline has passed; `Closed` follows.
    Expired(Id, Deadline),
    /// The connection is over. Until the next `service()` (or one of its steps) after you took this event you can still look at the remoter, its
    /// unread bytes, counters and data.
    Closed(Id, CloseReason),
    /// A connection was closed before it became one.
    Refused {
        /// Where it came in.
        acceptor: AcceptorId,
        /// Who it was.
        peer: Addr,
        /// Why.
        why: Refusal,
    },
    /// A connection ended before its handshake was done; it was never usable.
    HandshakeFailed {
        /// Where it came in; `None` for a stream that was adopted or dialled.
        acceptor: Option<AcceptorId>,
        /// Who it was.
        peer: Addr,
        /// Why.
        reason: CloseReason,
    },
    /// Descriptors or memory have run out: this acceptor rests until the given tyme, then tries again. Connections wait in the backlog.
    AcceptPaused {
        /// Which.
        acceptor: AcceptorId,
        /// Kind of the error.
        error: io::ErrorKind,
        /// The number of the error, if it came from the operating system.
        errno: Option<i32>,
        /// When it goes on.
        until: Tyme,
    },
    /// This acceptor's socket is dead and was closed; the rest goes on.
    ListenerLost {
        /// Which.
        acceptor: AcceptorId,
        /// Kind of the error.
        error: io::ErrorKind,
        /// The number of the error, if it came from the operating system.
        errno: Option<i32>,
    },
    /// Draining goes on with so many connections left; told when that changes.
    Draining {
        /// Connections left.
        left: usize,
    },
    /// Draining is over and the server closed.
    DrainEnded {
        /// Connections that had to be cut.
        cut: usize,
    },
    /// Something happened at a datagram endpoint.
    Gram(EndpointId, GramEvent),
    /// The poller itself has failed; without it nothing becomes ready any more.
    NetFailed {
        /// Kind of the error.
        error: io::ErrorKind,
        /// The number of the error, if it came from the operating system.
        errno: Option<i32>,
    },
}

impl Event {
    /// The connection it is about, if it is about one.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        match self {
            Event::Accepted(id)
            | Event::Received(id)
            | Event::Drained(id)
            | Event::Eof(id)
            | Event::Expired(id, _)
            | Event::Closed(id, _) => Some(*id),
            _ => None,
        }
    }
}

/// Why a connection was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `Limits::remoters` are there.
    Remoters,
    /// `Limits::remoters_per_ip` are there from this address.
    PerIp,
    /// The poller would not take it (it has a limit of its own, or no memory).
    Register,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Remoters => "as many connections as Limits::remoters allows",
            Refusal::PerIp => {
                "as many connections from this address as Limits::remoters_per_ip allows"
            }
            Refusal::Register => "the poller would not take it",
        })
    }
}

/// What one `service()` did, with what the `wait()` before it has sent.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Serviced {
    /// Connections taken from listeners.
    pub accepted: usize,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections closed.
    pub closed: usize,
    /// Datagrams received; their bytes are among `bytes_in`.
    pub grams_in: usize,
    /// Datagrams sent; their bytes are among `bytes_out`.
    pub grams_out: usize,
    /// Whether a budget ended the tick before the work did: call again soon.
    pub more: bool,
}

/// When an engine wants to be called again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// At once: something is pending.
    Now,
    /// At this tyme, or when the network has something, whichever is first. Never later than the next deadline; earlier by the time
    /// that traffic has since put it off, since a refresh costs nothing and is only noticed then.
    At(Tyme),
    /// When the network has something; until then there is nothing to do.
    OnIo,
}
