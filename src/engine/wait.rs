//! A whole tick, when the next one is due, and sleeping until then: what all engines do alike.

use core::time::Duration;

use super::Engine;
use crate::event::Wake;
use crate::spin::{Sample, Work};
use crate::tyme::Tyme;

impl Engine {
    /// The first part of a tick, up to the harvest.
    #[inline]
    pub(crate) fn before_harvest(&mut self) {
        self.core.counters.ticks += 1;
        self.forget_closed();
        self.begin_tick();
        self.flush();
        self.dial();
    }

    /// What is done for connections once they are latched and let in.
    #[inline]
    pub(crate) fn serve_connections(&mut self) {
        self.poll_dials();
        self.shake();
        self.turns();
    }

    /// What time has brought, after all that has arrived.
    #[inline]
    pub(crate) fn expire_and_dial(&mut self) {
        self.expire();
        self.dial();
    }

    /// Begins a step, which is a tick of its own, or the rest of one that a wait has begun.
    pub(crate) fn step(&mut self) {
        self.forget_closed();
        self.begin_tick();
        self.end_tick();
    }

    /// Whether it wants to be called at once, at a tyme, or when the network has something. `pending` and `deadline` are those of the owner; its
    /// `NEVER` is none.
    #[inline]
    pub(crate) fn wake(&self, pending: bool, deadline: Tyme) -> Wake {
        if pending || self.is_pending() {
            return Wake::Now;
        }
        let net = self.net.due_in().map_or(Tyme::NEVER, |time| self.core.now + time);
        let own = self.next_deadline().unwrap_or(Tyme::NEVER);
        Wake::by(own.min(deadline).min(net), self.core.now)
    }

    /// What is done before a wait: what the caller has asked for goes out.
    #[inline]
    pub(crate) fn before_wait(&mut self) {
        self.begin_tick();
        self.core.begin_burst();
        self.flush();
        self.dial();
    }

    /// Sleeps until `wake`, `limit`, or the network; not at all where `wake` is now. `others`: what the owner has got done beside the connections.
    #[inline]
    pub(crate) fn sleep(&mut self, wake: Wake, limit: Option<Duration>, others: &Work) {
        if wake == Wake::Now {
            return;
        }
        let timeout = wake.timeout(self.core.now).into_iter().chain(limit).min();
        let (net, counters) = (&self.net, &self.core.counters);
        let look = self.spin.begin(self.core.now, self.core.config.spin, || {
            let work = Work {
                calls: counters.reads + others.calls,
                bytes: counters.bytes_in + others.bytes,
            };
            Some(Sample::new(net.cpu_time()?, work))
        });
        if look == Duration::ZERO {
            self.harvest(timeout);
        } else {
            self.look(timeout, look);
        }
    }
}
