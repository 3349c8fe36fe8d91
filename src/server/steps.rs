//! The steps of a tick one by one, for those who drive them by hand as in hio.
//!
//! Each samples the clock and, where it does input, asks the network who is ready (one system call). `service()` does them all, in
//! order, at the cost of one. A step is a tick of its own to the budgets, with the `wait()` before it.

use super::Server;
use crate::acceptor::{Accepted, Fitted};
use crate::config::OverLimit;
use crate::engine::Origin;
use crate::error::Gone;
use crate::event::Event;
use crate::id::ENDPOINT;
use crate::id::Id;

impl Server {
    /// Takes new connections from the listeners into their deques (`axes`); returns how many.
    pub fn service_accepts(&mut self) -> usize {
        self.step_in();
        self.accept_pass();
        self.engine.core.serviced.accepted
    }

    /// Makes remoters of the connections in the deques, in the order they were accepted; those that must shake hands first begin to. Returns how
    /// many are usable at once.
    pub fn service_axes(&mut self) -> usize {
        self.step();
        self.admit_pass()
    }

    /// Advances the handshakes, each by a step; returns how many were completed.
    pub fn service_cxes(&mut self) -> usize {
        self.step_in();
        self.engine.shake()
    }

    /// Accepts, admits, dials, and shakes hands; returns how many connections became usable.
    pub fn service_connects(&mut self) -> usize {
        self.step();
        self.engine.dial();
        self.harvest();
        self.accept_pass();
        self.admit_pass() + self.engine.come_up() + self.engine.shake()
    }

    /// Lets every ready connection and endpoint send what was blocked and receive, within the budgets; returns the bytes received.
    pub fn service_receives(&mut self) -> u64 {
        self.step_in();
        self.turns();
        self.engine.core.serviced.bytes_in
    }

    /// The same for one connection.
    ///
    /// # Errors
    /// [`Gone`] if the id names no live connection.
    pub fn service_receives_of(&mut self, id: Id) -> Result<u64, Gone> {
        self.step_in();
        self.engine.receive_of(id, false).then_some(self.engine.core.serviced.bytes_in).ok_or(Gone)
    }

    /// Reads exactly once from one connection, if it is ready.
    ///
    /// # Errors
    /// [`Gone`] if the id names no live connection.
    pub fn service_receive_once(&mut self, id: Id) -> Result<u64, Gone> {
        self.step_in();
        self.engine.receive_of(id, true).then_some(self.engine.core.serviced.bytes_in).ok_or(Gone)
    }

    /// Sends what was queued, and ends what was asked to end, since the last tick; returns the bytes sent. No look at readiness: what is
    /// blocked waits for `service`.
    pub fn service_sends(&mut self) -> u64 {
        self.step();
        self.flush();
        self.engine.core.serviced.bytes_out
    }

    /// The same for one connection.
    ///
    /// # Errors
    /// [`Gone`] if the id names no live connection.
    pub fn service_sends_of(&mut self, id: Id) -> Result<u64, Gone> {
        self.step();
        self.engine.send_of(id).then_some(self.engine.core.serviced.bytes_out).ok_or(Gone)
    }

    /// Closes what is due at the current tyme; tries again to connect what is due to that.
    pub fn service_deadlines(&mut self) {
        self.step();
        self.engine.expire_and_dial();
        #[cfg(feature = "tls")]
        self.tls_pass();
        self.drain_pass();
    }

    /// Begins a step, which is a tick of its own, or the rest of one that a wait has begun.
    fn step(&mut self) {
        self.engine.step();
    }

    /// Begins a step that does input.
    fn step_in(&mut self) {
        self.step();
        self.harvest();
    }

    fn harvest(&mut self) {
        self.engine.harvest_once();
        self.latch();
    }

    /// Sends what was queued, and does what was asked of connections.
    pub(super) fn flush(&mut self) {
        self.engine.flush();
        self.endpoints.flush(&mut self.engine.core);
    }

    /// Gives a turn to whoever has something to send or receive.
    pub(super) fn turns(&mut self) {
        self.engine.turns();
        self.endpoints.turns(&mut self.engine.core);
    }

    /// Sets latches from what was harvested.
    pub(super) fn latch(&mut self) {
        let (acceptors, endpoints) = (&mut self.acceptors, &mut self.endpoints);
        self.engine.latch(|readiness| {
            if readiness.token.kind() == usize::from(ENDPOINT) {
                return endpoints.latch(readiness);
            }
            // Few, and rarely reported: no look-up table is worth its upkeep.
            if let Some(acceptor) =
                acceptors.iter_mut().find(|acceptor| acceptor.id().token() == readiness.token)
            {
                acceptor.ready = true;
            }
        });
    }

    /// Whether connections may be accepted at all now.
    pub(super) fn takes_connections(&self) -> bool {
        self.engine.core.events.len() < self.engine.core.config.limits.events.max(1)
    }

    /// Accepts round robin over the acceptors, starting with another one each tick, within the budget.
    pub(super) fn accept_pass(&mut self) {
        let core = &mut self.engine.core;
        let now = core.now;
        // Each has one event at least: no more of them than may wait.
        let room = core.config.limits.events.max(1).saturating_sub(core.events.len());
        let deque = core.config.limits.accept_deque.max(1);
        let pause = core.config.timeouts.accept_pause;
        let ready = self.acceptors.iter().filter(|acceptor| acceptor.can_accept(now, deque));
        let mut going = ready.count();
        if going == 0 || room == 0 {
            return;
        }
        let count = self.acceptors.len();
        self.turn = (self.turn + 1) % count;
        let allowed = core.config.limits.accepts_per_tick.max(1);
        let mut budget = allowed.min(room);
        let mut at = self.turn;
        while going > 0 && budget > 0 {
            let acceptor = &mut self.acceptors[at % count];
            at += 1;
            if !acceptor.can_accept(now, deque) {
                continue;
            }
            let result = acceptor.accept(now, deque, pause);
            match result {
                Accepted::Done => {}
                Accepted::One => {
                    budget -= 1;
                    core.counters.accepted += 1;
                    core.serviced.accepted += 1;
                }
                Accepted::Skipped => {
                    budget -= 1;
                    core.counters.accept_skipped += 1;
                }
                Accepted::Trouble(event) => {
                    match event {
                        Event::ListenerLost { .. } => core.counters.listeners_lost += 1,
                        _ => core.counters.accept_pauses += 1,
                    }
                    core.events.push(event);
                }
            }
            if !acceptor.can_accept(now, deque) {
                going -= 1;
            }
        }
        if going > 0 {
            core.counters.budget.accepts += u64::from(allowed <= room);
            core.serviced.more = true;
        }
    }

    /// Admits from the deques, in order; returns how many connections became usable at once.
    pub(super) fn admit_pass(&mut self) -> usize {
        let mut opened = 0;
        for at in 0..self.acceptors.len() {
            while self.takes_connections() && self.may_admit(at) {
                let acceptor = &mut self.acceptors[at];
                let Some(stream) = acceptor.axes.pop_front() else { break };
                let id = acceptor.id();
                let Fitted { stream, proxied } = match acceptor.fit(stream) {
                    Ok(fitted) => fitted,
                    Err((stream, why)) => {
                        self.engine.refuse(id, stream.peer_addr().clone(), why);
                        continue;
                    }
                };
                let handshake = acceptor.handshake || proxied;
                match self.engine.admit(stream, Origin { acceptor: Some(id), handshake, proxied }) {
                    Ok(_) => {
                        opened += usize::from(!handshake);
                        self.acceptors[at].take_room();
                    }
                    Err((stream, why)) => {
                        self.engine.refuse(id, stream.peer_addr().clone(), why);
                    }
                }
            }
        }
        opened
    }

    /// Whether the first in that acceptor's deque may come in (or be refused) now.
    pub(super) fn may_admit(&self, at: usize) -> bool {
        let acceptor = &self.acceptors[at];
        let config = &self.engine.core.config;
        let full = self.engine.taken() >= config.limits.remoters;
        let must_wait = full && config.over_limit == OverLimit::Wait;
        let crowded = self.engine.handshaking() >= config.limits.handshakes.max(1);
        let must_wait = must_wait || (acceptor.has_handshakes() && crowded);
        !acceptor.axes.is_empty() && !must_wait && acceptor.room > 0
    }
}
