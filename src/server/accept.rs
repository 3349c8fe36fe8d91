//! From the kernel's queue into an acceptor's deque, and from there into the engine.

use super::Server;
use crate::acceptor::{Accepted, Acceptor, Fitted, Waiting};
use crate::config::OverLimit;
use crate::engine::Origin;
use crate::event::Event;

impl Server {
    /// How many more events may wait, and so connections come in: each has one event at least.
    #[inline]
    fn event_room(&self) -> usize {
        let core = &self.engine.core;
        core.config.limits.events.max(1).saturating_sub(core.events.len())
    }

    /// How many accepted connections each acceptor may hold.
    #[inline]
    pub(super) fn deque(&self) -> usize {
        self.engine.core.config.limits.accept_deque.max(1)
    }

    /// Whether one could be accepted or admitted now.
    #[inline]
    pub(super) fn can_accept_now(&self) -> bool {
        let (now, deque) = (self.engine.core.now, self.deque());
        self.acceptors.iter().any(Acceptor::has_some)
            && self.event_room() > 0
            && (0..self.acceptors.len())
                .any(|at| self.acceptors[at].can_accept(now, deque) || self.may_admit(at))
    }

    /// Accepts and admits.
    #[inline]
    pub(super) fn take_in(&mut self) {
        if self.acceptors.iter().any(Acceptor::has_some) {
            self.accept_pass();
            self.admit_pass();
        }
    }

    /// Accepts round robin over the acceptors, starting with another one each tick, within the budget.
    #[inline]
    pub(super) fn accept_pass(&mut self) {
        if self.acceptors.iter().any(|acceptor| acceptor.ready) {
            self.accept_ready();
        }
    }

    #[inline(never)]
    fn accept_ready(&mut self) {
        let (room, deque) = (self.event_room(), self.deque());
        let core = &mut self.engine.core;
        let now = core.now;
        let pause = core.config.timeouts.accept_pause;
        let ready = self.acceptors.iter().filter(|acceptor| acceptor.can_accept(now, deque));
        let mut going = ready.count();
        if going == 0 || room == 0 {
            return;
        }
        let count = self.acceptors.len();
        self.first = (self.first + 1) % count;
        let allowed = core.config.limits.accepts_per_tick.max(1);
        let mut budget = allowed.min(room);
        let mut at = self.first;
        while going > 0 && budget > 0 {
            let acceptor = &mut self.acceptors[at % count];
            at += 1;
            if !acceptor.can_accept(now, deque) {
                continue;
            }
            let result = acceptor.accept(core.counters.accepted, now, deque, pause);
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

    /// Admits from the deques, in the order in which they were accepted; returns how many connections became usable at once.
    #[inline]
    pub(super) fn admit_pass(&mut self) -> usize {
        let none = self.acceptors.iter().all(|acceptor| acceptor.axes.is_empty());
        if none { 0 } else { self.admit_axes() }
    }

    #[inline(never)]
    fn admit_axes(&mut self) -> usize {
        let mut opened = 0;
        while self.event_room() > 0
            && let Some(at) = self.next_to_admit()
        {
            let acceptor = &mut self.acceptors[at];
            let Some(Waiting { stream, .. }) = acceptor.axes.pop_front() else { break };
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
                    self.engine.rooms.take(id);
                }
                Err((stream, why)) => {
                    self.engine.refuse(id, stream.peer_addr().clone(), why);
                }
            }
        }
        opened
    }

    /// Of which acceptor the first one has waited longest, among those that may come in (or be refused) now.
    fn next_to_admit(&self) -> Option<usize> {
        let may = (0..self.acceptors.len()).filter(|at| self.may_admit(*at));
        may.min_by_key(|at| self.acceptors[*at].axes.front().map(|first| first.number))
    }

    /// Whether the first in that acceptor's deque may come in (or be refused) now.
    fn may_admit(&self, at: usize) -> bool {
        let acceptor = &self.acceptors[at];
        if acceptor.axes.is_empty() || !self.engine.rooms.has_some(acceptor.id()) {
            return false;
        }
        let config = &self.engine.core.config;
        let full = self.engine.taken() >= config.limits.remoters;
        let must_wait = full && config.over_limit == OverLimit::Wait;
        let crowded = self.engine.handshaking() >= config.limits.handshakes.max(1);
        let must_wait = must_wait || (acceptor.has_handshakes() && crowded);
        !must_wait
    }
}
