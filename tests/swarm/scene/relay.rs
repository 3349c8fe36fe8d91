//! A forwarder: takes connections in, makes one for each to a service, and moves bytes both ways; with back pressure, so that it never holds more
//! than its caps, and with each half ended only when all before its end has been passed on. What breaks on one side is reset on the other.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tymist::net::Addr;
use tymist::tyme::Tyme;
use tymist::{Backoff, CloseReason, Config, Connect, Event, Id, Server, Service, Wake};

use super::Bug;
use super::ledger::Ledger;
use super::watch::Watch;

/// One side of a pair.
struct Leg {
    other: Id,
    /// Taken here and not yet queued there.
    pending: Bytes,
    /// The peer here has ended its half, and that was passed on.
    eof: bool,
    ended: bool,
    /// It can be used.
    up: bool,
    /// It is gone; what is pending may still go out there.
    over: bool,
}

impl Leg {
    fn new(other: Id, up: bool) -> Leg {
        Leg { other, pending: Bytes::new(), eof: false, ended: false, up, over: false }
    }
}

pub(crate) struct Relay {
    to: Addr,
    pub(crate) watch: Watch,
    ledger: Ledger,
    legs: BTreeMap<Id, Leg>,
    bug: Bug,
    lost: Option<Tyme>,
}

impl Relay {
    pub(crate) fn new(config: Config, to: Addr, ledger: Ledger, bug: Bug) -> Self {
        let watch = Watch::new(config, ledger.clone());
        Relay { to, watch, ledger, legs: BTreeMap::new(), bug, lost: None }
    }

    pub(crate) fn heal(&mut self, server: &mut Server, config: Config) {
        *server.config_mut() = config.clone();
        self.watch.change(config);
    }

    /// Sides that it still knows of.
    pub(crate) fn legs(&self) -> usize {
        self.legs.len()
    }

    fn begin(&mut self, server: &mut Server, inbound: Id) {
        let mut connect = Connect::new(self.to.clone());
        let wait = Duration::from_millis(100);
        connect.reconnect = Some(Backoff::every(wait));
        let now = server.tyme();
        match server.connect(connect) {
            Ok(outbound) => {
                self.watch.dialled(outbound, now, false, Some(wait));
                self.legs.insert(inbound, Leg::new(outbound, true));
                self.legs.insert(outbound, Leg::new(inbound, false));
            }
            Err(_) => {
                if let Some(remoter) = server.remoter_mut(inbound) {
                    remoter.abort();
                }
            }
        }
    }

    /// Moves what has come in on one side to the other, as much as that takes.
    fn pump(&mut self, server: &mut Server, from: Id) {
        let Some(leg) = self.legs.get_mut(&from) else { return };
        loop {
            if !leg.pending.is_empty() {
                let Some(to) = server.remoter_mut(leg.other) else { return };
                if to.tx_bytes(&mut leg.pending).is_err() || !leg.pending.is_empty() {
                    return; // `Drained` goes on, or the other side is ending.
                }
            }
            let Some(remoter) = server.remoter_mut(from).filter(|_| !leg.over) else { break };
            leg.pending = remoter.take();
            if leg.pending.is_empty() {
                break;
            }
        }
        let early = self.bug == Bug::EndsEarly && leg.up;
        if (leg.eof || early) && !leg.ended {
            leg.ended = true;
            if let Some(to) = server.remoter_mut(leg.other) {
                to.shutdown_send();
            }
        }
        self.forget(from);
    }

    /// Forgets a side that is gone and has nothing left to pass on.
    fn forget(&mut self, id: Id) {
        if self.legs.get(&id).is_some_and(|leg| leg.over && leg.pending.is_empty() && leg.ended) {
            self.legs.remove(&id);
        }
    }

    /// One side is over.
    fn ends(&mut self, server: &mut Server, id: Id, reason: CloseReason) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if std::mem::replace(&mut leg.over, true) {
            return;
        }
        // What was still on its way here from a side that is gone is for nobody.
        let other = leg.other;
        if self.legs.get(&other).is_none_or(|it| it.over) {
            self.legs.remove(&other);
            self.legs.remove(&id);
            return;
        }
        let Some(leg) = self.legs.get(&id) else { return };
        if reason == CloseReason::Eof && leg.ended {
            return self.forget(id);
        }
        if reason == CloseReason::Eof && leg.eof {
            return; // What is pending goes out first.
        }
        let leg = self.legs.remove(&id);
        if let Some(other) = leg.and_then(|leg| server.remoter_mut(leg.other)) {
            other.abort();
        }
    }
}

impl Service for Relay {
    fn filters(&self) -> bool {
        false
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        self.watch.event(server, &event);
        match event {
            Event::Accepted(id) => {
                self.begin(server, id);
                self.pump(server, id);
            }
            Event::Connected(id) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.up = true;
                }
                self.pump(server, id);
            }
            Event::Received(id) => self.pump(server, id),
            Event::Eof(id) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.eof = true;
                }
                self.pump(server, id);
            }
            Event::Drained(id) => {
                if let Some(other) = self.legs.get(&id).map(|leg| leg.other) {
                    self.pump(server, other);
                }
            }
            // One that was not up is tried again, as long as somebody waits for it.
            Event::Disconnected { id, reason, .. } => {
                let waited_for = self.legs.get(&id).is_some_and(|leg| {
                    !leg.up && self.legs.get(&leg.other).is_some_and(|other| !other.over)
                });
                if !waited_for {
                    self.ends(server, id, reason);
                    if let Some(remoter) = server.remoter_mut(id) {
                        remoter.close();
                    }
                }
            }
            Event::Closed(id, reason) => self.ends(server, id, reason),
            Event::ListenerLost { .. } => self.lost = Some(server.tyme()),
            _ => {}
        }
    }

    fn tick(&mut self, server: &mut Server) {
        if self.lost.is_some_and(|at| at <= server.tyme()) {
            let again = server.tyme() + Duration::from_millis(10);
            self.lost = server.reopen().is_err().then_some(again);
        }
        let most = server.config().limits.rx_bytes.max(1);
        if let Some(leg) = self.legs.values().find(|leg| leg.pending.len() > most) {
            self.ledger.wrong(|| format!("a forwarder holds {} of {most}", leg.pending.len()));
        }
        server.service_sends();
        self.watch.turn_ends(server);
    }

    fn wake(&self) -> Wake {
        self.lost.map_or(Wake::OnIo, Wake::At)
    }
}
