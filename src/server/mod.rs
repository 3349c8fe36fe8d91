//! The server: acceptors that take connections, remoters that live them, one tick that serves all.
//!
//! One file for each section on the page of [`Server`]; [`accept`] lets connections in, [`keep`] is for tasks. Which connections there are, and what a tick
//! does with them, is the engine's.

// In the order of those sections.
mod making;
mod listen;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "proxy-protocol")]
mod proxy;
mod adopt;
mod tick;
mod events;
mod connections;
mod dial;
mod sending;
mod endpoints;
mod closing;
mod drain;
mod numbers;
mod steps;

mod accept;
mod keep;

use core::fmt;

use crate::acceptor::Acceptor;
use crate::engine::Engine;
use crate::id::AcceptorId;
use crate::net::Net;
use crate::remoter::Remoter;
use endpoints::Endpoints;

pub use drain::Draining;
pub use sending::Broadcast;

/// A nonblocking stream server, driven by ticks.
///
/// Making one opens nothing. [`listen`](Server::listen) opens a port, as many as you like, at any time. Then call
/// [`service`](Server::service) once per tick and take the [events](Server::poll_event); between ticks [`wait`](Server::wait) sleeps until
/// there is something to do, or do what you like instead.
///
/// To drop it is to give up: nothing more is tried, and who is still owed something is reset. [`close`](Server::close) it first, which gives all that is queued
/// one try, or [`drain`](Server::drain) it.
///
/// ```
/// use std::net::TcpStream;
/// use std::io::{Read, Write};
/// use tymist::{Config, Event, Server};
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
///
/// let mut client = TcpStream::connect(addr)?;
/// client.write_all(b"hello")?;
/// let mut echoed = false;
/// while !echoed {
///     server.wait(None);
///     server.service();
///     while let Some(event) = server.poll_event() {
///         if let Event::Received(id) | Event::Drained(id) = event
///             && let Some(remoter) = server.remoter_mut(id)
///         {
///             let mut data = remoter.take();
///             let _ = remoter.tx_bytes(&mut data); // takes what fits; an error: it is closing
///             remoter.unread(data); // the rest holds the peer back, until `Drained`
///             echoed = true;
///         }
///     }
/// }
/// server.service_sends();
/// let mut reply = [0; 5];
/// client.read_exact(&mut reply)?;
/// assert_eq!(&reply, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    engine: Engine,
    acceptors: Vec<Acceptor>,
    endpoints: Endpoints,
    /// Number of the next acceptor.
    next_acceptor: u32,
    /// Which acceptor was first in the last round.
    first: usize,
    draining: Option<drain::State>,
}

impl Server {
    /// The acceptors of those who shake hands for the first time; one for each. Looks at all there are, if anybody does.
    pub(crate) fn shaking_at(&self) -> impl Iterator<Item = AcceptorId> {
        let all = (self.cxes() > 0).then(|| self.engine.iter()).into_iter().flatten();
        all.filter(|remoter| remoter.is_coming()).filter_map(Remoter::acceptor)
    }

    /// The engine, for what is built on a server.
    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The network it is on.
    pub(crate) fn net_mut(&mut self) -> &mut dyn Net {
        &mut *self.engine.net
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("tyme", &self.tyme())
            .field("acceptors", &self.acceptors)
            .field("live", &self.len())
            .finish_non_exhaustive()
    }
}
