//! Ending a server gently: no new connections, time for the old ones, then the cut.

use core::time::Duration;

use super::Server;
use crate::error::{CloseReason, Deadline};
use crate::event::Event;
use crate::tyme::{Tyme, Tymer};

/// How far draining has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Draining {
    /// Connections left, handshaking and dialling ones included.
    pub left: usize,
    /// When those still left are cut; [`Tyme::NEVER`] if they are not.
    pub deadline: Tyme,
}

/// A drain under way.
#[derive(Debug)]
pub(super) struct State {
    /// `None`: no deadline.
    tymer: Option<Tymer>,
    /// What was last told to be left.
    told: Option<usize>,
}

impl State {
    pub(super) fn deadline(&self) -> Tyme {
        self.tymer.map_or(Tyme::NEVER, |tymer| tymer.stop())
    }

    pub(super) fn rebase(&mut self, now: Tyme) {
        if let Some(tymer) = &mut self.tymer {
            tymer.refresh(now);
        }
    }
}

/// # Draining
impl Server {
    /// Stops accepting and lets the connections that are there finish: takes in what the kernel has already queued (up to the budget of a tick),
    /// closes the listeners, and then waits for the connections to end, by themselves or by your [`close`](crate::Remoter::close). `Draining` events
    /// tell how many are left. When none is, or after `within` (zero: in the next tick; `None`: [`Timeouts::drain`](crate::Timeouts::drain)), those left are
    /// cut with the reason `Expired(Drain)`. Dialled connections, those made meanwhile among them, do not come again by themselves any more. At the end
    /// `DrainEnded` is told, and the server is closed; [`reopen`](Server::reopen) opens it again.
    ///
    /// Calling it again changes the deadline.
    pub fn drain(&mut self, within: Option<Duration>) {
        let now = self.engine.sample();
        if self.draining.is_none() {
            self.service_accepts();
            for acceptor in &mut self.acceptors {
                acceptor.close_listener();
            }
            self.engine.stop_reconnecting();
        }
        // Only among the timeouts zero means never.
        let configured = self.config().timeouts.drain.filter(|within| !within.is_zero());
        let within = within.or(configured);
        let told = self.draining.take().and_then(|state| state.told);
        self.draining = Some(State { tymer: within.map(|within| Tymer::new(now, within)), told });
    }

    /// How far draining has come; `None` if the server does not drain.
    #[must_use]
    pub fn draining(&self) -> Option<Draining> {
        let state = self.draining.as_ref()?;
        Some(Draining { left: self.left(), deadline: state.deadline() })
    }

    fn left(&self) -> usize {
        self.engine.live() + self.engine.handshaking() + self.engine.dialling() + self.axes()
    }

    /// Whether the next tick has something to tell of it.
    #[inline]
    pub(super) fn drain_is_pending(&self) -> bool {
        self.draining.as_ref().is_some_and(|state| {
            let left = self.left();
            left == 0 || state.told != Some(left)
        })
    }

    /// Tells how draining goes on, and ends it.
    #[inline]
    pub(super) fn drain_pass(&mut self) {
        if self.draining.is_some() {
            self.go_on_draining();
        }
    }

    #[inline(never)]
    fn go_on_draining(&mut self) {
        let left = self.left();
        let now = self.engine.core.now;
        let Some(state) = &mut self.draining else { return };
        let over = state.deadline().has_come(now);
        if left > 0 && !over {
            if state.told != Some(left) {
                state.told = Some(left);
                self.engine.core.events.push(Event::Draining { left });
            }
            return;
        }
        let waiting = self.axes();
        let cut = waiting + self.shut(CloseReason::Expired(Deadline::Drain));
        self.engine.core.events.push(Event::DrainEnded { cut });
        self.draining = None;
    }
}
