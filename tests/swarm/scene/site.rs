//! All that runs on a server's host.

use std::time::Duration;

use tymist::doing::{DoError, Doer, Recur, ServerDoer};
use tymist::tyme::Tyme;
use tymist::{Config, Wake};

use super::relay::Relay;
use super::service::Service;

pub(crate) struct Site {
    pub(crate) service: ServerDoer<Service>,
    pub(crate) relay: Option<ServerDoer<Relay>>,
}

impl Site {
    /// From now on every caller must get what it asks for; `calm` makes settings such that it can.
    pub(crate) fn heal(&mut self, calm: impl Fn(&Config) -> Config) {
        let service = &mut self.service;
        let config = calm(service.server.config());
        service.service.heal(&mut service.server, config);
        if let Some(relay) = &mut self.relay {
            let config = without_ends(calm(relay.server.config()));
            relay.service.heal(&mut relay.server, config);
        }
    }

    /// The end: closes all, takes what that has told, and a tick more to forget it.
    pub(crate) fn close(&mut self, now: Tyme) {
        self.service.server.close();
        self.service.service.watch.closed();
        if let Some(relay) = &mut self.relay {
            relay.server.close();
            relay.service.watch.closed();
        }
        let _ = self.recur(now);
        let _ = self.recur(now);
    }

    /// The end of some: what is there may go on for a while.
    pub(crate) fn drain(&mut self, within: Option<Duration>) {
        let ServerDoer { server, service } = &mut self.service;
        service.drain(server, within);
    }

    pub(crate) fn left(&self) -> Result<(), String> {
        self.service.service.watch.left(&self.service.server)?;
        let talks = self.service.service.talks();
        let mut legs = 0;
        if let Some(relay) = &self.relay {
            relay.service.watch.left(&relay.server)?;
            legs = relay.service.legs();
        }
        if talks + legs > 0 {
            return Err(format!("{talks} talks and {legs} sides of connections that are gone"));
        }
        Ok(())
    }
}

/// Settings for a forwarder: none of its own deadlines may end in order what its peers have not ended.
pub(crate) fn without_ends(mut config: Config) -> Config {
    let whole = Config::new();
    let timeouts = &mut config.timeouts;
    (timeouts.first_byte, timeouts.idle, timeouts.lifetime) = (None, None, None);
    timeouts.min_rate = None;
    config.half_open = true;
    (config.rx_full, config.tx_full) = (whole.rx_full, whole.tx_full);
    // With one store for both ways, what waits for one way could fill it, and the other be waited for.
    config.limits.buffered = whole.limits.buffered;
    config
}

impl Doer for Site {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        let _ = self.service.recur(now)?;
        if let Some(relay) = &mut self.relay {
            let _ = relay.recur(now)?;
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        let service = self.service.wake();
        self.relay.as_ref().map_or(service, |relay| service.min(relay.wake()))
    }
}
