//! The connections of a server.

use super::Server;
use crate::id::Id;
use crate::net::Addr;
use crate::remoter::{Detached, Remoter};

/// # Connections
impl Server {
    /// The connection of this id. One that has closed is still found until the tick after its `Closed` was taken.
    #[must_use]
    pub fn remoter(&self, id: Id) -> Option<&Remoter> {
        self.engine.get(id)
    }

    /// The connection of this id, to do something with.
    #[inline]
    pub fn remoter_mut(&mut self, id: Id) -> Option<&mut Remoter> {
        self.engine.get_mut(id)
    }

    /// The live connection with this peer; the oldest, where several acceptors have one of the same, or several Unix sockets one name. An IPv4 address may be
    /// written as such also where the acceptor is one for both.
    #[must_use]
    pub fn at(&self, peer: &Addr) -> Option<Id> {
        self.engine.at(peer)
    }

    /// Live connections, in the order of their places.
    pub fn remoters(&self) -> impl Iterator<Item = &Remoter> {
        self.engine.iter().filter(|remoter| remoter.is_live())
    }

    /// Ids of live connections (`ixes`), in the order of their places. Collected, so that you can work on them meanwhile.
    #[must_use]
    pub fn ixes(&self) -> Vec<Id> {
        self.remoters().map(Remoter::id).collect()
    }

    /// Takes a connection out of the server without closing it (hio's `removeIx(close=False)`): its stream, still registered with this
    /// network, and the bytes that were on their way through it. `Closed` with the reason `Detached` is told. `None` if there is no such
    /// live connection, or it is being cut: aborted, or broken by its TLS.
    pub fn detach(&mut self, id: Id) -> Option<Detached> {
        self.engine.detach(id)
    }
}
