//! A forwarder: takes connections in, makes one for each to a service, and lets the library's `Relay` do the rest: bytes, back pressure, ends and breaks.

use std::collections::BTreeSet;
use std::time::Duration;

use tymist::net::Addr;
use tymist::tyme::Tyme;
use tymist::{Backoff, Config, Connect, Event, Id, Server, Service, Wake};

use super::Bug;
use super::ledger::Ledger;
use super::tally::Shakes;
use super::watch::Watch;

pub(crate) struct Relay {
    to: Addr,
    pub(crate) watch: Watch,
    pairs: tymist::Relay,
    /// Dialled and not up yet.
    coming: BTreeSet<Id>,
    bug: Bug,
    lost: Option<Tyme>,
}

impl Relay {
    pub(crate) fn new(config: Config, to: Addr, ledger: Ledger, bug: Bug) -> Self {
        let watch = Watch::new(config, ledger, Shakes::default());
        let (pairs, coming) = (tymist::Relay::new(), BTreeSet::new());
        Relay { to, watch, pairs, coming, bug, lost: None }
    }

    pub(crate) fn heal(&mut self, server: &mut Server, config: Config) {
        for id in self.watch.live() {
            if let Some(remoter) = server.remoter_mut(id) {
                remoter.set_timeouts(config.timeouts.clone());
            }
        }
        *server.config_mut() = config.clone();
        self.watch.change(config);
    }

    /// Lets those that are there end, for so long.
    pub(crate) fn drain(&mut self, server: &mut Server, within: Duration) {
        self.lost = None;
        server.drain(Some(within));
        self.watch.drains(server, server.tyme() + within);
    }

    /// Sides that it still knows of.
    pub(crate) fn legs(&self) -> usize {
        2 * self.pairs.len()
    }

    fn begin(&mut self, server: &mut Server, inbound: Id) {
        let now = server.tyme();
        let mut connect = Connect::new(self.to.clone());
        let wait = Duration::from_millis(100);
        connect.reconnect = Some(Backoff::every(wait));
        match self.pairs.dial(server, inbound, connect) {
            Ok(outbound) => {
                self.watch.dialled(outbound, now, false, Some(wait));
                self.coming.insert(outbound);
            }
            Err(_) => {
                if let Some(remoter) = server.remoter_mut(inbound) {
                    remoter.abort();
                }
            }
        }
    }
}

impl Service for Relay {
    fn filters(&self) -> bool {
        false
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        self.watch.event(server, &event);
        if let Event::Accepted(id) = event {
            self.begin(server, id);
        }
        // One that was not up is tried again, as long as somebody waits for it: the pair is not told.
        let again = matches!(event, Event::Disconnected { id, .. } if self.coming.contains(&id));
        if !again {
            self.pairs.handle(server, &event);
        }
        match event {
            Event::Connected(id) | Event::Closed(id, _) => {
                self.coming.remove(&id);
            }
            Event::Received(id) if self.bug == Bug::EndsEarly => {
                let other = self.pairs.partner(id);
                if let Some(other) = other.and_then(|other| server.remoter_mut(other)) {
                    other.shutdown_send();
                }
            }
            Event::ListenerLost { .. } => self.lost = Some(server.tyme()),
            _ => {}
        }
    }

    fn tick(&mut self, server: &mut Server) {
        if self.lost.is_some_and(|at| at <= server.tyme()) {
            let again = server.tyme() + Duration::from_millis(10);
            self.lost = server.reopen().is_err().then_some(again);
        }
        self.watch.send(server);
        self.watch.turn_ends(server);
    }

    fn wake(&self) -> Wake {
        self.lost.map_or(Wake::OnIo, Wake::At)
    }
}
