//! Closing connections, and all of a server.

use super::Server;
use crate::acceptor::Acceptor;
use crate::error::CloseReason;

/// # Closing
impl Server {
    /// Closes all live connections gracefully; see [`Remoter::close`](crate::Remoter::close). Costs a look at every connection.
    pub fn close_remoters(&mut self) {
        for id in self.ixes() {
            if let Some(remoter) = self.remoter_mut(id) {
                remoter.close();
            }
        }
    }

    /// Closes everything at once: listeners, endpoints, connections waiting, handshaking and live. What is queued gets one try to leave, and where all has
    /// left TLS ends in order, by a close_notify. Idempotent. Events, `Closed` of each connection among them, stay to be taken, and
    /// [`reopen`](Server::reopen) opens it again. A drain under way is over with it, without a `DrainEnded`.
    pub fn close(&mut self) {
        self.engine.close();
        self.close_acceptors();
        self.endpoints.close(&mut self.engine.core);
        self.draining = None;
    }
}

impl Server {
    /// Closes the sockets that belong to nobody and cuts all connections; returns how many there were.
    pub(super) fn shut(&mut self, reason: CloseReason) -> usize {
        self.close_acceptors();
        self.endpoints.close(&mut self.engine.core);
        self.engine.cut_all(reason)
    }

    fn close_acceptors(&mut self) {
        let dropped = self.axes() as u64;
        self.engine.core.counters.refused.dropped += dropped;
        self.acceptors.iter_mut().for_each(Acceptor::close);
    }
}
