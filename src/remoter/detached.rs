//! A connection that was taken out of its engine.

use core::fmt;

use bytes::Bytes;

use crate::net::Stream;

/// What [`Server::detach`](crate::Server::detach) took out.
pub struct Detached {
    /// The connection.
    pub stream: Box<dyn Stream>,
    /// What came in and was not taken, an upgrade to TLS that waits included.
    pub unread: Bytes,
    /// What was queued and not sent.
    pub unsent: Bytes,
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached")
            .field("peer_addr", self.stream.peer_addr())
            .field("unread", &self.unread.len())
            .field("unsent", &self.unsent.len())
            .finish_non_exhaustive()
    }
}
