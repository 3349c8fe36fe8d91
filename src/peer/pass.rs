//! What a tick does with an endpoint besides [sending](super::send) and [receiving](super::receive): budgets, rests, and what is told.

use std::io;

use super::endpoint::Spent;
use super::{Endpoint, GramEvent};
use crate::net::Datagram;
use crate::tyme::Tyme;

impl Endpoint {
    /// Begins a tick, once: fills the budgets.
    #[inline]
    pub(crate) fn begin(&mut self, now: Tyme, tick: u32) {
        self.now = now;
        if self.tick != tick {
            self.tick = tick;
            self.spent = Spent::default();
            self.tx_rest = None;
        }
    }

    /// Goes by another clock from now on.
    pub(crate) fn rebase(&mut self, now: Tyme) {
        self.now = now;
        (self.tx_rest, self.rx_rest) = (None, None);
        self.rebase_held(now);
    }

    /// A budget has ended before the work did: counted once a tick.
    pub(super) fn count_budget(&mut self) {
        let counted = core::mem::replace(&mut self.spent.counted, true);
        self.counters.budget += u64::from(!counted);
    }

    /// Whether a pass would do something with the latches as they are.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        (self.can_receive() && !self.in_doubt) || self.can_send()
    }

    /// Whether a harvest would tell it nothing that it does not know. What cannot be received yet, it may know too, but somebody may be woken by it until then.
    #[inline]
    pub(crate) fn knows_readiness(&self) -> bool {
        self.can_receive() && self.writable
    }

    #[inline]
    pub(crate) fn latch(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// The end of a pass, for which the socket was taken out.
    #[inline]
    pub(super) fn put_back(&mut self, socket: Box<dyn Datagram>) {
        if self.dead {
            self.close();
        } else {
            self.socket = Some(socket);
        }
    }

    /// The socket is dead.
    pub(super) fn lose(&mut self, error: &io::Error) {
        self.dead = true;
        self.tell(GramEvent::Lost { error: error.into() });
    }

    /// When a rest, or a wait for room, is over; the earliest.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Tyme> {
        let tx_rest = self.tx_rest.filter(|_| self.tx.len() > 0);
        [self.stall_due(), tx_rest, self.rx_rest].into_iter().flatten().min()
    }

    #[inline]
    pub(super) fn tell(&mut self, event: GramEvent) {
        let told = self.outbox.push(event, self.config.events.max(1));
        self.counters.events_dropped += u64::from(!told);
    }

    /// Has `Drained` told once all that is queued is out.
    pub(crate) fn want_drained(&mut self) {
        self.backlogged = true;
    }

    /// Hands on what is to tell.
    pub(crate) fn drain_events(&mut self) -> impl Iterator<Item = GramEvent> {
        self.outbox.hand_on()
    }

    /// One of those was taken by who is told.
    pub(crate) fn taken(&mut self, event: &GramEvent) {
        self.outbox.taken(event);
    }
}
