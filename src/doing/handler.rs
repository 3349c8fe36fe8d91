//! What you write to make an engine do something.

use crate::event::{Event, Wake};
use crate::peer::GramEvent;
use crate::{Peer, Server};

/// What you write to make an engine do something: the same for real sockets and for a simulated world.
///
/// For a [`Server`] by default; `Handler<Clients>`, `Handler<Client>` and `Handler<Peer, GramEvent>` are those of the others. Any
/// `FnMut(&mut Server, Event)` is one that needs no time of its own. [`ServerDoer`](super::ServerDoer) and its like are the loop around it.
///
/// ```
/// use tymist::doing::Handler;
/// use tymist::{Event, Server, Wake};
///
/// /// Counts who came, and ends after ten.
/// struct Ten(usize);
///
/// impl Handler for Ten {
///     fn event(&mut self, server: &mut Server, event: Event) {
///         if let Event::Accepted(id) = event
///             && let Some(remoter) = server.remoter_mut(id)
///         {
///             self.0 += 1;
///             remoter.close();
///         }
///     }
///
///     fn is_done(&self) -> bool {
///         self.0 == 10
///     }
/// }
/// ```
pub trait Handler<E = Server, V = Event>: 'static {
    /// Deals with an event.
    fn event(&mut self, engine: &mut E, event: V);

    /// Called once per tick, after its events. `engine.tyme()` says when. Default: nothing.
    fn tick(&mut self, engine: &mut E) {
        let _ = engine;
    }

    /// When the handler itself wants its next tick, if the engine has no reason for an earlier one. Default: it does not.
    fn wake(&self) -> Wake {
        Wake::OnIo
    }

    /// Whether the engine is not needed any more, asked after each tick. Default: never.
    fn is_done(&self) -> bool {
        false
    }
}

impl<E, V, F: FnMut(&mut E, V) + 'static> Handler<E, V> for F {
    fn event(&mut self, engine: &mut E, event: V) {
        self(engine, event);
    }
}

/// Sends back what comes in, in the same tick: bytes of a server's connections, datagrams of a peer.
///
/// What a connection has no room for stays unread, which holds its peer back, until there is. Datagrams that find no room are dropped, as a network does.
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

impl Handler for Echo {
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

impl Handler<Peer, GramEvent> for Echo {
    fn event(&mut self, peer: &mut Peer, _: GramEvent) {
        while let Some(gram) = peer.take() {
            let len = gram.data.len() as u64;
            if peer.tx_bytes(gram.data, gram.from).is_ok() {
                self.bytes += len;
            }
        }
    }
}
