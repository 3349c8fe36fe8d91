//! Echoes, ready-made.

use super::PeerDoer;
use crate::event::Event;
use crate::peer::{GramEvent, Peer};
use crate::server::Server;
use crate::service::Service;

/// Sends back what comes in on a server's connections, in the same tick.
///
/// What a connection has no room for stays unread, which holds its peer back, until there is. [`PeerDoer::echo`] does the same with datagrams.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// Bytes sent back so far.
    pub bytes: u64,
}

impl Echo {
    /// One that has sent nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Echo::default()
    }
}

impl Service for Echo {
    fn filters(&self) -> bool {
        false
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        if let Event::Received(id) | Event::Drained(id) = event
            && let Some(remoter) = server.remoter_mut(id)
        {
            let mut data = remoter.take();
            // An error says that the connection is closing: nobody is left to echo to.
            let sent = remoter.tx_bytes(&mut data).unwrap_or(0);
            self.bytes += sent as u64;
            remoter.unread(data);
        }
    }
}

impl PeerDoer<fn(&mut Peer, GramEvent)> {
    /// Sends datagrams back to where they came from, in the same tick; the peer's [counters](crate::Endpoint::counters) have how many, and their bytes. Those
    /// that find no room are dropped, as a network does.
    ///
    /// ```
    /// # #[cfg(feature = "os")] {
    /// use tymist::doing::{Doist, PeerDoer};
    /// use tymist::{GramConfig, Peer};
    ///
    /// let mut peer = Peer::new(GramConfig::new());
    /// peer.open(([127, 0, 0, 1], 0))?;
    /// let mut doist = Doist::new();
    /// doist.add(PeerDoer::echo(peer));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn echo(peer: Peer) -> Self {
        PeerDoer::new(peer, |peer, _| {
            while let Some(gram) = peer.take() {
                // No room: it is dropped, and the peer counts it.
                let _ = peer.tx_bytes(gram.data, gram.from);
            }
        })
    }
}
