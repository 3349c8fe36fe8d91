//! A [`Server`] as the program of a host.

use super::{Host, Program};
use crate::config::Config;
use crate::event::Wake;
use crate::server::Server;
use crate::service::Service;
use crate::tyme::Tyme;

/// A [`Server`] and its [`Service`] on a host of a world.
///
/// A turn is a tick: [`serve`](Server::serve), then what was queued leaves, as it does at the start of a `wait()` on real sockets.
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
    /// What deals with its events, as it would on real sockets.
    pub handler: H,
}

impl<H: Service> ServerProgram<H> {
    /// A server on `host` with nothing open yet.
    #[must_use]
    pub fn new(host: &Host, config: Config, handler: H) -> Self {
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        ServerProgram { server, handler }
    }
}

impl<H: Service> Program for ServerProgram<H> {
    fn turn(&mut self, _: Tyme) {
        self.server.serve(&mut self.handler);
        self.server.service_sends();
    }

    fn wake(&self) -> Wake {
        self.server.wake().min(self.handler.wake())
    }
}
