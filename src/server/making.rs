//! Making a server: its network, its settings, its clock.

use super::Server;
use super::endpoints::Endpoints;
use crate::acceptor::Acceptor;
use crate::config::Config;
use crate::engine::Engine;
use crate::net::Net;
use crate::tyme::{Tyme, Tymth};
use crate::wire::WireLog;

/// # Making one, and its clock
impl Server {
    /// A server on the operating system's network, with nothing open.
    #[cfg(feature = "os")]
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_net(config, Box::new(crate::net::os::OsNet::new()))
    }

    /// A server on another network, with nothing open.
    #[must_use]
    pub fn with_net(config: Config, net: Box<dyn Net>) -> Self {
        Server {
            engine: Engine::new(config, net),
            acceptors: Vec::new(),
            endpoints: Endpoints::new(),
            next_acceptor: 0,
            first: 0,
            draining: None,
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.engine.core.config
    }

    /// Changes the settings. Limits count from the next tick on; timeouts for what starts, or is started anew by traffic, from then on (an
    /// idle timeout or least rate that a connection has none of does not begin with traffic: [`Remoter::set_timeouts`](crate::Remoter::set_timeouts) gives it
    /// one); what is set per connection for new connections.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.engine.core.config
    }

    /// Winds the server, with all its connections and deadlines, to a clock. Whatever runs starts anew there: `elapsed` is zero and
    /// the full duration lies ahead; only an acceptor's rest is over. Without a clock it goes by its network's monotonic time.
    pub fn wind(&mut self, tymth: Tymth) {
        let now = self.engine.wind(Some(tymth));
        self.acceptors.iter_mut().for_each(Acceptor::rebase);
        self.endpoints.rebase(now);
        if let Some(draining) = &mut self.draining {
            draining.rebase(now);
        }
    }

    /// Whether it is wound to a clock.
    #[must_use]
    pub fn is_wound(&self) -> bool {
        self.engine.is_wound()
    }

    /// The tyme of the current (or else the last) tick. Between ticks it stands still, also where the server goes by the machine's clock, but for calls that
    /// begin or end something: [`wait`](Server::wait) and the steps of a tick, [`adopt_stream`](Server::adopt_stream), [`bind`](Server::bind),
    /// [`drain`](Server::drain), [`close`](Server::close) and [`wind`](Server::wind) read the clock, too.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.engine.core.now
    }

    /// Logs what moves on each connection admitted, adopted or connected from now on; `None`: no more of them. Connections that are there keep what they
    /// have, see [`Remoter::set_wire_log`](crate::Remoter::set_wire_log).
    pub fn set_wire_log(&mut self, log: Option<WireLog>) {
        self.engine.core.wire_log = log;
    }
}
