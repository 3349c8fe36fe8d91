//! A [`Server`] as the program of a host.

use super::{Host, Program};
use crate::config::Config;
use crate::event::{Event, Wake};
use crate::server::Server;
use crate::tyme::Tyme;

/// What you write to make a [`Server`] do something: the same for real sockets and for a world.
///
/// Any `FnMut(&mut Server, Event)` is one that needs no time of its own. On real sockets the loop around it is
///
/// ```
/// # #[cfg(feature = "os")] {
/// use std::net::TcpStream;
/// use tymist::sim::Handler;
/// use tymist::{Config, Event, Server};
///
/// fn tick(server: &mut Server, handler: &mut impl Handler) {
///     server.wait(None);
///     server.service();
///     while let Some(event) = server.poll_event() {
///         handler.event(server, event);
///     }
///     handler.tick(server);
/// }
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let target = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
/// let _client = TcpStream::connect(target)?;
/// let mut hang_up = |server: &mut Server, event: Event| {
///     if let Event::Accepted(id) = event {
///         server.remoter_mut(id).unwrap().abort();
///     }
/// };
/// while server.counters().closed.aborted == 0 {
///     tick(&mut server, &mut hang_up);
/// }
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// and in a world [`ServerProgram`] is that loop.
pub trait Handler: 'static {
    /// Deals with an event.
    fn event(&mut self, server: &mut Server, event: Event);

    /// Called once per tick, after its events. `server.tyme()` says when. Default: nothing.
    fn tick(&mut self, server: &mut Server) {
        let _ = server;
    }

    /// When the handler itself wants its next tick, if the server has no reason for an earlier one. Default: it does not.
    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

impl<F: FnMut(&mut Server, Event) + 'static> Handler for F {
    fn event(&mut self, server: &mut Server, event: Event) {
        self(server, event);
    }
}

/// A [`Server`] and its [`Handler`] on a host of a world.
///
/// A turn is a tick: `service()`, then the events, then what was queued leaves, as it does at the start of a `wait()` on real sockets.
///
/// ```
/// use tymist::sim::{ServerProgram, World};
/// use tymist::{Config, Event, Server};
///
/// let mut world = World::new(1);
/// world.add("echo", |host| {
///     let echo = |server: &mut Server, event: Event| {
///         if let Event::Received(id) = event
///             && let Some(remoter) = server.remoter_mut(id)
///         {
///             let mut data = remoter.take();
///             // What does not fit is lost here; a real handler keeps it until `Drained`.
///             let _ = remoter.tx_bytes(&mut data);
///         }
///     };
///     let mut program = ServerProgram::new(host, Config::new(), echo);
///     program.server.listen(([0, 0, 0, 0], 7)).expect("a fresh host has all its ports");
///     program
/// });
/// ```
#[derive(Debug)]
pub struct ServerProgram<H> {
    /// The server, wound to the clock of its host.
    pub server: Server,
    /// What deals with its events.
    pub handler: H,
}

impl<H: Handler> ServerProgram<H> {
    /// A server on `host` with nothing open yet.
    #[must_use]
    pub fn new(host: &Host, config: Config, handler: H) -> Self {
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        ServerProgram { server, handler }
    }
}

impl<H: Handler> Program for ServerProgram<H> {
    fn turn(&mut self, _: Tyme) {
        self.server.service();
        while let Some(event) = self.server.poll_event() {
            self.handler.event(&mut self.server, event);
        }
        self.handler.tick(&mut self.server);
        self.server.service_sends();
    }

    fn wake(&self) -> Wake {
        self.server.wake().min(self.handler.wake())
    }
}
