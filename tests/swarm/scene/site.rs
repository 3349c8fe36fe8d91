//! All that runs on a server's host.

use std::time::Duration;

use tymist::doing::{DoError, Doer, Recur, ServerDoer};
use tymist::tyme::Tyme;
use tymist::{Config, Draining, Wake};

use super::caller::Caller;
use super::relay::Relay;
use super::service::{GONE, Service};

pub(crate) struct Site {
    pub(crate) service: ServerDoer<Service>,
    pub(crate) relay: Option<ServerDoer<Relay>>,
    /// Calls the service from its own host, over a Unix socket.
    pub(crate) neighbour: Option<Caller>,
    /// Each turn begins with a wait.
    pub(crate) waits: bool,
}

impl Site {
    /// From now on every caller must get what it asks for; `calm` makes settings such that it can. `small`: it has few sockets.
    pub(crate) fn heal(
        &mut self,
        small: bool,
        calm: impl Fn(&Config) -> Config,
        patient: impl Fn(&Config) -> Config,
    ) {
        if let Some(neighbour) = &mut self.neighbour {
            neighbour.heal(patient(neighbour.clients.config()));
        }
        let service = &mut self.service;
        let mut config = calm(service.server.config());
        if small {
            // Peers that vanished before wait in the kernel's queue, and each lot of them holds all the room until it is let go: a caller's patience
            // must outlast some lots.
            config.timeouts.idle = Some(GONE);
        }
        service.service.heal(&mut service.server, config);
        if let Some(relay) = &mut self.relay {
            let mut config = without_ends(calm(relay.server.config()));
            // A service with room for hardly a byte may let one caller wait for the end of another's call.
            config.timeouts.write_stall = Some(Duration::from_secs(250));
            relay.service.heal(&mut relay.server, config);
        }
    }

    /// The end: closes all, takes what that has told, and a tick more to forget it.
    pub(crate) fn close(&mut self, now: Tyme) {
        self.neighbour.iter_mut().for_each(Caller::close);
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
    pub(crate) fn drain(&mut self, within: Duration) {
        self.neighbour.iter_mut().for_each(Caller::outlast);
        let ServerDoer { server, service } = &mut self.service;
        service.drain(server, within);
        if let Some(ServerDoer { server, service }) = &mut self.relay {
            service.drain(server, within);
        }
    }

    /// What drains still, though it is time.
    pub(crate) fn draining(&self) -> Option<Draining> {
        let relay = self.relay.as_ref().and_then(|relay| relay.server.draining());
        self.service.server.draining().or(relay)
    }

    pub(crate) fn left(&self) -> Result<(), String> {
        self.service.service.watch.left(&self.service.server)?;
        let talks = self.service.service.talks();
        let mut legs = 0;
        if let Some(relay) = &self.relay {
            relay.service.watch.left(&relay.server)?;
            legs = relay.service.legs();
        }
        if let Some(neighbour) = &self.neighbour {
            neighbour.watch.left(&neighbour.clients)?;
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
        if self.waits {
            self.service.server.wait(Some(Duration::ZERO));
        }
        let _ = self.service.recur(now)?;
        if let Some(relay) = &mut self.relay {
            if self.waits {
                relay.server.wait(Some(Duration::ZERO));
            }
            let _ = relay.recur(now)?;
        }
        if let Some(neighbour) = &mut self.neighbour {
            neighbour.turn(now);
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        let relay = self.relay.as_ref().map(Doer::wake);
        let neighbour = self.neighbour.as_ref().map(Caller::wake);
        relay.into_iter().chain(neighbour).fold(self.service.wake(), Wake::min)
    }
}
