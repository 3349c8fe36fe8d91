//! A [`Server`] as the program of a host.

use super::Host;
use crate::config::Config;
use crate::doing::{Handler, ServerDoer};
use crate::server::Server;

impl<H: Handler> ServerDoer<H> {
    /// A server on `host`, wound to its clock, with nothing open yet.
    ///
    /// ```
    /// use tymist::Config;
    /// use tymist::doing::{Echo, ServerDoer};
    /// use tymist::sim::World;
    ///
    /// let mut world = World::new(1);
    /// world.add("echo", |host| {
    ///     let mut doer = ServerDoer::on_host(host, Config::new(), Echo::new());
    ///     doer.server.listen(([0, 0, 0, 0], 7)).expect("a fresh host has all its ports");
    ///     doer
    /// });
    /// ```
    #[must_use]
    pub fn on_host(host: &Host, config: Config, handler: H) -> Self {
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        ServerDoer::new(server, handler)
    }
}
