//! Connections that we make: rounds of tries, several addresses side by side, and coming again.
//!
//! All streams of a connection, one after the other and those that race each other, report under the token of its id. Readiness being a
//! hint, news of one that is gone costs a look and nothing else.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use super::{Core, Engine};
use crate::connect::{Connect, Target};
use crate::error::{Cause, CloseReason, Deadline, Gone};
use crate::event::{Event, Refusal};
use crate::id::{Id, REMOTER};
use crate::net::{Addr, Stream};
use crate::random::SplitMix;
use crate::remoter::{Attempt, Dialled, Fin, Phase, Remoter, Slot, Step};

/// Addresses tried in a round; a name may have hundreds.
pub(super) const MOST_ADDRS: usize = 16;

impl Remoter {
    /// Starts the wait before the next address or round.
    fn arm_dial(&mut self, core: &mut Core, pause: Duration) {
        if let Some(dial) = &mut self.dial {
            dial.pause = pause;
            dial.due = pause.is_zero();
        }
        self.arm(core, Slot::Dial);
    }

    /// Forgets what was queued, and asked for, on a connection that is over.
    fn forget_wishes(&mut self, core: &mut Core) {
        core.shared.sub(self.tx.clear());
        self.state.fin = Fin::No;
        self.state.backlogged = false;
        self.state.receive_shut = false;
    }

    /// Makes everything but its queue and its settings new, for another connection.
    fn renew(&mut self, core: &mut Core) {
        core.shared.sub(self.rx.take().len());
        self.state.renew();
        self.arm(core, Slot::Connect);
    }
}

impl Core {
    /// Tells that one address failed.
    fn tell_failure(&mut self, id: Id, addr: Addr, error: Cause) {
        self.counters.dial_failures += 1;
        self.events.push(Event::ConnectFailed { id, addr, error });
    }
}

/// A socket that has met itself, as happens when its own port is picked from the same range as the other's: nobody listens there.
fn is_connected_to_itself(stream: &dyn Stream) -> bool {
    stream.local_addr() == stream.peer_addr() && stream.local_addr().is_named()
}

impl Engine {
    /// Makes a connection that is still to be made; the next tick begins with it.
    pub(crate) fn connect(&mut self, connect: Connect) -> Result<Id, Refusal> {
        let refused = |engine: &mut Self| {
            engine.core.counters.refused.count(Refusal::Remoters);
            Err(Refusal::Remoters)
        };
        if self.taken() >= self.core.config.limits.remoters {
            return refused(self);
        }
        let Some(id) = self.slots.reserve() else { return refused(self) };
        let given = self.core.config.seed.or(self.seed);
        let seed = given.unwrap_or_else(|| self.net.seed());
        self.seed = Some(seed);
        let dial = Dialled::new(connect, SplitMix::named(seed, id.as_u64()));
        let core = &self.core;
        let remoter = Remoter::dialled(id, dial, &core.config, Arc::clone(&core.shared), core.now);
        self.slots.fill(id, Box::new(remoter));
        self.dialling += 1;
        self.enqueue_dial(id);
        Ok(id)
    }

    /// Ends what there is of a dialled connection and makes a new one.
    pub(crate) fn redial(&mut self, id: Id) -> Result<(), Gone> {
        let remoter = self.slots.get_mut(id).filter(|it| it.state.phase != Phase::Closed);
        let Some(remoter) = remoter.filter(|it| it.is_dialled()) else { return Err(Gone) };
        if remoter.state.doomed && !remoter.state.opened {
            remoter.forget_wishes(&mut self.core); // They were for what its user has ended since.
        }
        let Some(dial) = &mut remoter.dial else { return Err(Gone) };
        dial.redial = true;
        if remoter.state.doomed && matches!(dial.step, Step::Begin | Step::Resting) {
            // There is nothing to be ended, and nobody was told.
            dial.let_go = false;
            remoter.state.doomed = false;
            remoter.state.reason = None;
            remoter.state.phase = Phase::Dialling;
        }
        match dial.step {
            Step::Begin => {
                dial.redial = false;
                self.enqueue_dial(id); // It may have left the line meanwhile.
            }
            Step::Resting => {
                dial.redial = false;
                dial.due = true;
                dial.failures = 0;
                remoter.disarm(Slot::Dial);
                self.enqueue_dial(id);
            }
            Step::Looking | Step::Trying | Step::Up => self.cut(id, CloseReason::Local),
        }
        Ok(())
    }

    /// Nothing comes again by itself from now on; what waits to do so ends.
    pub(crate) fn stop_reconnecting(&mut self) {
        for id in self.ids() {
            if let Some(remoter) = self.slots.get_mut(id)
                && let Some(dial) = &mut remoter.dial
            {
                dial.connect.reconnect = None;
                if dial.step == Step::Resting {
                    self.cut(id, CloseReason::ServerClosed);
                }
            }
        }
    }

    /// Puts a dialled connection in line if it has a round to begin.
    pub(super) fn enqueue_dial(&mut self, id: Id) {
        if let Some(remoter) = self.slots.get_mut(id)
            && let Some(dial) = &mut remoter.dial
            && (dial.may_begin() || dial.step == Step::Trying)
            && !core::mem::replace(&mut dial.in_line, true)
        {
            self.dials_due.push_back(id);
        }
    }

    /// Begins the rounds and tries the addresses whose turn it is, within the budget.
    #[inline]
    pub(crate) fn dial(&mut self) {
        if self.names.is_used() || !self.dials_due.is_empty() {
            self.dial_due();
        }
    }

    #[inline(never)]
    fn dial_due(&mut self) {
        if self.names.is_used() {
            self.take_answers();
        }
        for _ in 0..self.dials_due.len() {
            if self.core.connects_left == 0 {
                break;
            }
            let Some(id) = self.dials_due.pop_front() else { break };
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            let Some(dial) = &mut remoter.dial else { continue };
            dial.in_line = false;
            if remoter.state.phase != Phase::Dialling {
                continue; // It is being closed.
            }
            if dial.may_begin() {
                self.begin_round(id);
            } else if dial.step == Step::Trying {
                self.try_next(id);
            }
        }
        if self.core.connects_left == 0 && !self.dials_due.is_empty() {
            self.core.counters.budget.connects += 1;
            self.core.serviced.more = true;
        }
    }

    fn begin_round(&mut self, id: Id) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        remoter.renew(&mut self.core);
        let Some(dial) = &mut remoter.dial else { return };
        dial.error = io::ErrorKind::InvalidInput.into();
        dial.due = false;
        dial.ticket = dial.ticket.wrapping_add(1);
        if let Target::Addrs(addrs) = &dial.connect.to {
            dial.left = addrs.iter().take(MOST_ADDRS).cloned().collect();
            dial.step = Step::Trying;
            self.try_next(id);
        } else {
            dial.step = Step::Looking;
            self.look_up(id);
        }
    }

    /// Tries the next address; if that fails at once, the one after it, within the budget.
    fn try_next(&mut self, id: Id) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        remoter.disarm(Slot::Dial);
        let Some(dial) = &mut remoter.dial else { return };
        dial.due = false;
        while self.core.connects_left > 0
            && let Some(addr) = dial.left.pop_front()
        {
            self.core.counters.dialled += 1;
            self.core.connects_left -= 1;
            let dialled = self.net.connect(&dial.connect.dial(addr.clone()));
            let registered = dialled.and_then(|mut stream| {
                stream.register(id.token(REMOTER))?;
                Ok(stream)
            });
            match registered {
                Ok(stream) => {
                    dial.attempts.push(Attempt { addr, stream });
                    if !dial.left.is_empty() {
                        let stagger = dial.connect.stagger;
                        remoter.arm_dial(&mut self.core, stagger);
                        if stagger.is_zero() {
                            self.enqueue_dial(id);
                        }
                    }
                    return;
                }
                Err(error) => {
                    dial.error = (&error).into();
                    self.core.tell_failure(id, addr, dial.error);
                }
            }
        }
        if !dial.left.is_empty() {
            self.enqueue_dial(id); // The rest in the next tick.
        } else if dial.attempts.is_empty() {
            let reason = CloseReason::Connect(dial.error);
            self.cut(id, reason);
        }
    }

    /// Asks those whose attempts have news whether one is up, within the budget; returns how many connections became usable.
    #[inline]
    pub(crate) fn poll_dials(&mut self) -> usize {
        if self.dials_latched.is_empty() { 0 } else { self.poll_latched() }
    }

    #[inline(never)]
    fn poll_latched(&mut self) -> usize {
        let mut opened = 0;
        let budget = self.core.config.limits.connects_per_tick.max(1);
        for turn in 0..self.dials_latched.len() {
            if turn == budget {
                self.core.counters.budget.connects += 1;
                self.core.serviced.more = true;
                break;
            }
            let Some(id) = self.dials_latched.pop_front() else { break };
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            let Some(dial) = &mut remoter.dial else { continue };
            dial.latched = false;
            if remoter.state.phase == Phase::Dialling && dial.step == Step::Trying {
                opened += usize::from(self.poll_attempts(id));
            }
        }
        opened
    }

    /// Asks each attempt how it is; the first that is up becomes the connection. Returns whether that is usable at once.
    fn poll_attempts(&mut self, id: Id) -> bool {
        let Some(remoter) = self.slots.get_mut(id) else { return false };
        let Some(dial) = &mut remoter.dial else { return false };
        let before = dial.attempts.len();
        let mut at = 0;
        while let Some(attempt) = dial.attempts.get_mut(at) {
            let error = match attempt.stream.connected() {
                Ok(true) if is_connected_to_itself(&*attempt.stream) => {
                    // Its close would end in TIME_WAIT on the very port that somebody may want to listen on.
                    let _ = attempt.stream.set_abortive();
                    io::ErrorKind::ConnectionRefused.into()
                }
                Ok(true) => {
                    let stream = dial.attempts.swap_remove(at).stream;
                    return self.transport_up(id, stream);
                }
                Ok(false) => {
                    at += 1;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    at += 1;
                    continue;
                }
                Err(error) => error,
            };
            dial.error = (&error).into();
            let failed = dial.attempts.remove(at);
            self.core.tell_failure(id, failed.addr, dial.error);
        }
        if dial.attempts.len() < before {
            if !dial.left.is_empty() {
                self.enqueue_dial(id); // The next address, without waiting for its turn.
            } else if dial.attempts.is_empty() {
                let reason = CloseReason::Connect(dial.error);
                self.cut(id, reason);
            }
        }
        false
    }

    /// The transport of a dialled connection is up.
    fn transport_up(&mut self, id: Id, stream: Box<dyn Stream>) -> bool {
        let Some(remoter) = self.slots.get_mut(id) else { return false };
        remoter.forget_deadlines(&mut self.core);
        let Some(dial) = &mut remoter.dial else { return false };
        dial.attempts = Vec::new();
        dial.left = std::collections::VecDeque::new();
        dial.step = Step::Up;
        dial.redial = false;
        dial.received_before = remoter.counters.bytes_in;
        let handshake = dial.connect.has_handshake();
        let stream = dial.connect.wrap(stream);
        remoter.stream = self.core.tapped(stream);
        remoter.state.up = true;
        remoter.state.phase = Phase::Handshaking;
        self.dialling -= 1;
        self.handshaking += 1;
        self.core.serviced.connected += 1;
        self.begin_handshake(id, handshake);
        !handshake
    }

    /// Makes a dialled connection that has ended one that is to be made again.
    pub(super) fn retry_later(&mut self, id: Id, reason: CloseReason) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        remoter.forget_deadlines(&mut self.core);
        let stale = remoter.state.opened || reason == CloseReason::TxFull;
        if stale {
            // Some of it may have arrived: what to say again only the caller can know.
            remoter.forget_wishes(&mut self.core);
        }
        remoter.state.phase = Phase::Dialling;
        remoter.state.up = false;
        remoter.state.opened = false;
        remoter.state.doomed = false;
        remoter.state.broken_off = false;
        let Some(dial) = &mut remoter.dial else { return };
        let pause = dial.wait(remoter.counters.bytes_in);
        dial.step = Step::Resting;
        (dial.redial, dial.let_go) = (false, false);
        (dial.told, dial.stale) = (false, stale);
        remoter.arm_dial(&mut self.core, pause);
        self.dialling += 1;
        let retry_at = self.core.now + pause;
        self.core.events.push(Event::Disconnected { id, reason, retry_at });
    }

    /// Its `Disconnected` was taken.
    pub(super) fn disconnected_taken(&mut self, id: Id) {
        if let Some(remoter) = self.slots.get_mut(id)
            && let Some(dial) = &mut remoter.dial
        {
            (dial.told, dial.stale) = (true, false);
            self.enqueue_dial(id);
        }
    }

    /// Lets go of what a round that has not come up still has under way.
    pub(super) fn end_round(&mut self, id: Id, reason: CloseReason) {
        let ended = self.stop_looking(id);
        let Some(remoter) = self.slots.get_mut(id) else { return };
        let Some(dial) = &mut remoter.dial else { return };
        let late = reason == CloseReason::Expired(Deadline::Connect);
        if late && dial.step == Step::Looking {
            self.core.counters.lookup_failures += u64::from(ended);
            let host = dial.host();
            let why = "no answer within the connect time-out".into();
            self.core.events.push(Event::Unresolved { id, host, why });
        }
        for attempt in core::mem::take(&mut dial.attempts) {
            if late {
                self.core.tell_failure(id, attempt.addr, io::ErrorKind::TimedOut.into());
            }
        }
        dial.left.clear();
    }
}
