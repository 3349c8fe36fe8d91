//! Who is ready: asked of the network, and set as latches.

use core::time::Duration;
use std::io;

use super::{Engine, REMOTER};
use crate::event::Event;
use crate::net::Readiness;
use crate::remoter::Phase;
use crate::tyme::Tyme;

/// Listeners, datagram sockets and second tries to connect, which report too and have no place in the slab.
const OTHERS: usize = 1024;

/// Harvests in a row of which each left some for the next. Who is reported gets to the back of the network's queue; so once there were as many reports
/// as there are sources, all that was there when it began has been heard.
#[derive(Debug)]
pub(super) struct Sweep {
    began: Tyme,
    left: usize,
}

impl Engine {
    /// Asks the network who is ready, unless the wait just before has done so. Where a deadline has come since then, so may have what it waits
    /// for, and it is asked once more.
    #[inline]
    pub(crate) fn harvest_once(&mut self) {
        let is_due = || self.next_deadline().is_some_and(|next| next <= self.core.now);
        if !self.fresh || is_due() {
            self.harvest_anew();
        }
    }

    /// Asks the network who is ready by now, whatever a wait has found.
    pub(crate) fn harvest_anew(&mut self) {
        self.harvest(Some(Duration::ZERO));
    }

    /// Asks the network who is ready.
    #[inline]
    pub(crate) fn harvest(&mut self, wait: Option<Duration>) {
        let before = self.harvested.len();
        let harvested = self.net.harvest(wait, &mut self.harvested);
        self.after_harvest(harvested, before);
    }

    /// The same, where the network is to look for so long before it sleeps.
    #[inline(never)]
    pub(super) fn look(&mut self, wait: Option<Duration>, look: Duration) {
        let before = self.harvested.len();
        let harvested = self.net.harvest_looking(wait, look, &mut self.harvested);
        self.after_harvest(harvested, before);
    }

    #[inline]
    fn after_harvest(&mut self, harvested: io::Result<()>, before: usize) {
        if let Err(error) = harvested {
            let event = Event::NetFailed { error: (&error).into() };
            self.core.events.push_once(event);
        }
        self.fresh = true;
        if self.net.left_more() {
            self.sweep_on(self.harvested.len() - before);
        } else {
            self.sweep = None;
            self.core.heard_until = None;
        }
    }

    /// There was more than one harvest takes.
    #[inline(never)]
    fn sweep_on(&mut self, taken: usize) {
        self.core.counters.budget.harvests += 1;
        self.core.serviced.more = true;
        let (now, sources) = (self.core.now, self.slots.len() + OTHERS);
        let sweep = self.sweep.get_or_insert(Sweep { began: now, left: sources });
        sweep.left = sweep.left.saturating_sub(taken);
        let heard = self.core.heard_until.get_or_insert(Tyme::ZERO);
        if sweep.left == 0 {
            *heard = sweep.began;
            *sweep = Sweep { began: now, left: sources };
        }
    }

    /// Sets the latches of those who became ready; what is not a connection's goes to `other`.
    #[inline]
    pub(crate) fn latch(&mut self, mut other: impl FnMut(Readiness)) {
        self.fresh = false;
        for at in 0..self.harvested.len() {
            let readiness = self.harvested[at];
            if readiness.token.kind() == usize::from(REMOTER) {
                self.latch_one(readiness);
            } else {
                other(readiness);
            }
        }
        self.harvested.clear();
    }

    #[inline]
    fn latch_one(&mut self, readiness: Readiness) {
        let Some((id, remoter)) = self.slots.by_token_mut(readiness.token, REMOTER) else { return };
        remoter.state.readable |= readiness.readable;
        remoter.state.writable |= readiness.writable;
        remoter.state.ending |= readiness.ending;
        if remoter.state.phase != Phase::Dialling {
            remoter.enqueue(&self.core, &mut self.ready, &mut self.shaking);
        } else if let Some(dial) = &mut remoter.dial
            && !core::mem::replace(&mut dial.latched, true)
        {
            self.dials_latched.push_back(id);
        }
    }
}
