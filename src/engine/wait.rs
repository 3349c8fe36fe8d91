//! A whole tick, when the next one is due, and sleeping until then: what all engines do alike.

use core::time::Duration;

use super::Engine;
use crate::event::Wake;
use crate::tyme::Tyme;

impl Engine {
    /// The first part of a tick, up to the harvest.
    pub(crate) fn open_tick(&mut self) {
        self.core.counters.ticks += 1;
        self.bury_told();
        self.begin();
        self.flush();
        self.dial();
    }

    /// What is done for connections once they are latched and let in.
    pub(crate) fn serve(&mut self) {
        self.come_up();
        self.shake();
        self.turns();
    }

    /// What time has brought, after all that has arrived.
    pub(crate) fn expire_and_dial(&mut self) {
        self.expire();
        self.dial();
    }

    /// Begins a step, which is a tick of its own, or the rest of one that a wait has begun.
    pub(crate) fn step(&mut self) {
        self.bury_told();
        self.begin();
        self.end();
    }

    /// Whether it wants to be called at once, at a tyme, or when the network has something. `pending` and `deadline` are those of the owner.
    pub(crate) fn wake(&self, pending: bool, deadline: Option<Tyme>) -> Wake {
        if pending || self.is_pending() {
            return Wake::Now;
        }
        let net = self.net.due_in().map(|time| self.core.now + time);
        let next = self.next_deadline().into_iter().chain(deadline).chain(net).min();
        match next.filter(|tyme| *tyme != Tyme::NEVER) {
            Some(tyme) if tyme <= self.core.now => Wake::Now,
            Some(tyme) => Wake::At(tyme),
            None => Wake::OnIo,
        }
    }

    /// What is done before a wait: what the caller has asked for goes out.
    pub(crate) fn before_wait(&mut self) {
        self.begin();
        let core = &mut self.core;
        let burst = core.config.limits.burst_bytes.max(1);
        if burst < core.tick_left {
            (core.tick_left, core.burst.bytes) = (burst, true);
        }
        let burst = core.config.limits.burst_grams.max(1);
        if burst < core.grams_left {
            (core.grams_left, core.burst.grams) = (burst, true);
        }
        self.flush();
        self.dial();
    }

    /// Sleeps until `wake`, `limit`, or the network; not at all where `wake` is now.
    pub(crate) fn sleep(&mut self, wake: Wake, limit: Option<Duration>) {
        let until = match wake {
            Wake::Now => return,
            Wake::At(tyme) => Some(tyme - self.core.now),
            Wake::OnIo => None,
        };
        let sleep = match (until, limit) {
            (Some(until), Some(limit)) => Some(until.min(limit)),
            (until, limit) => until.or(limit),
        };
        self.harvest(sleep);
    }
}
