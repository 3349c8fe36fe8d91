//! Who a connection is: its name, its ends, its numbers.

use std::io;

use super::{Phase, Remoter};
use crate::counters::RemoterCounters;
use crate::id::{AcceptorId, Id};
use crate::net::{Addr, BufferSizes};
use crate::tyme::Tyme;

/// # Who it is
impl Remoter {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The acceptor it came in by; `None` for a stream that was adopted or dialled.
    #[must_use]
    pub fn acceptor(&self) -> Option<AcceptorId> {
        self.acceptor.map(|number| AcceptorId(number.get() - 1))
    }

    /// Whether it was made from here, by `connect`.
    #[must_use]
    pub fn is_dialled(&self) -> bool {
        self.dial.is_some()
    }

    /// Our end; [`Addr::Unnamed`] before the first time that a dialled connection is up.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        self.stream.local_addr()
    }

    /// The peer's end; [`Addr::Unnamed`] before the first time that a dialled connection is up. Of one that came through a proxy that its acceptor
    /// trusts, the end of whom it is for.
    #[must_use]
    pub fn peer_addr(&self) -> &Addr {
        self.stream.peer_addr()
    }

    /// Our end and the peer's, while the transport is up; `None` while a dialled connection is still to be made, or to be made again.
    #[must_use]
    pub fn ends(&self) -> Option<(&Addr, &Addr)> {
        self.is_up().then(|| (self.local_addr(), self.peer_addr()))
    }

    /// Whether the transport is up, be its handshake done or not (hio's `accepted`).
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.up && self.state.phase != Phase::Closed
    }

    /// Whether it is usable: up, with its handshake done (hio's `connected`), and not closed.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_live()
    }

    /// The tyme at which it became usable (or, before that, came in).
    #[must_use]
    pub fn opened_at(&self) -> Tyme {
        self.opened_at
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &RemoterCounters {
        &self.counters
    }

    /// Sizes of the socket's kernel buffers. Asks the network now.
    ///
    /// # Errors
    /// What the network says; `NotConnected` once closed.
    pub fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.stream.buffer_sizes()
    }
}
