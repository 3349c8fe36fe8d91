//! Deadlines: nine to a connection, one place in the wheel for all of them.
//!
//! The wheel holds the earliest that a connection had when it was last armed. Putting a deadline off, as every byte of
//! traffic does, only changes the number in the connection; when the wheel fires too early, it is armed again for what is then
//! the earliest. Only a deadline earlier than the armed one moves the place in the wheel.

use core::time::Duration;

use super::{Core, Engine};
use crate::config::{MinRate, Timeouts};
use crate::error::{CloseReason, Deadline};
use crate::event::Event;
use crate::id::Id;
use crate::remoter::{HalfOpen, Phase, Remoter, SLOTS, Slot};
use crate::tyme::{Tyme, nanos};

#[inline]
fn duration_of(timeouts: &Timeouts, slot: Slot) -> Option<Duration> {
    let duration = match slot {
        Slot::Handshake => timeouts.handshake,
        Slot::FirstByte => timeouts.first_byte,
        Slot::Idle => timeouts.idle,
        Slot::Lifetime => timeouts.lifetime,
        Slot::WriteStall => timeouts.write_stall,
        Slot::Linger => timeouts.linger,
        // No connection is slower than 0 bytes: windows of those would only wake the loop.
        Slot::Rate => timeouts.min_rate.filter(|rate| rate.bytes > 0).map(|rate| rate.window),
        Slot::Connect => timeouts.connect,
        Slot::Dial => None, // Each has its own.
    };
    duration.filter(|duration| !duration.is_zero())
}

impl Remoter {
    #[inline]
    pub(super) fn duration(&self, core: &Core, slot: Slot) -> Option<Duration> {
        if let (Slot::Dial, Some(dial)) = (slot, &self.dial) {
            return Some(dial.pause).filter(|pause| !pause.is_zero());
        }
        duration_of(self.timeouts().unwrap_or(&core.config.timeouts), slot)
    }

    /// Whether arming it would change something: a deadline beyond all time is never armed.
    pub(super) fn would_arm(&self, core: &Core, slot: Slot) -> bool {
        self.duration(core, slot).is_some_and(|duration| core.now + duration != Tyme::NEVER)
    }

    /// Starts a deadline from now; returns false if there is none of that kind.
    pub(super) fn arm(&mut self, core: &mut Core, slot: Slot) -> bool {
        match self.duration(core, slot) {
            Some(duration) => {
                self.deadlines[slot as usize] = core.now + duration;
                self.arm_wheel(core);
                true
            }
            None => {
                self.disarm(slot);
                false
            }
        }
    }

    /// Sees that the wheel fires no later than the earliest deadline.
    #[inline(never)]
    pub(super) fn arm_wheel(&mut self, core: &mut Core) {
        let earliest = self.deadlines.iter().copied().min().unwrap_or(Tyme::NEVER);
        if earliest == Tyme::NEVER {
            return;
        }
        match self.timer {
            Some(timer) => {
                if core.wheel.deadline(timer).is_some_and(|armed| earliest < armed) {
                    core.wheel.rearm(timer, earliest);
                }
            }
            None => self.timer = Some(core.wheel.arm(earliest, self.id)),
        }
    }

    /// Disarms all, and gives the place in the wheel back.
    pub(super) fn forget_deadlines(&mut self, core: &mut Core) {
        self.disarm_all();
        if let Some(timer) = self.timer.take() {
            core.wheel.cancel(timer);
        }
    }

    /// There was traffic: the silence begins anew. The wheel is not touched, unless the timeout has become shorter meanwhile.
    #[inline]
    pub(super) fn refresh_idle(&mut self, core: &mut Core) {
        let old = self.deadlines[Slot::Idle as usize];
        if !self.state.refreshable || old == Tyme::NEVER {
            return;
        }
        let idle = self.duration(core, Slot::Idle);
        let new = idle.map_or(Tyme::NEVER, |idle| core.now + idle);
        self.deadlines[Slot::Idle as usize] = new;
        if new < old {
            self.arm_wheel(core);
        }
    }

    /// Starts what runs from the beginning of a usable connection, or of one that is usable `again`.
    pub(super) fn arm_opened(&mut self, core: &mut Core, again: bool) {
        self.disarm(Slot::Handshake);
        let from_start = [Slot::FirstByte, Slot::Lifetime].into_iter().filter(|_| !again);
        for slot in from_start.chain([Slot::Idle, Slot::Rate]) {
            self.arm(core, slot);
        }
        self.window_start = self.moved();
    }

    /// Starts all that runs anew, because the clock (`rewound`) or the durations have changed. The wait before a new try is none of the
    /// latter, and its end was told.
    pub(super) fn restart_deadlines(&mut self, core: &mut Core, rewound: bool) {
        self.take_timeouts();
        if let Some(timer) = self.timer.take() {
            core.wheel.cancel(timer);
        }
        let dial = self.deadlines[Slot::Dial as usize];
        let mut ran = self.deadlines.map(|deadline| deadline != Tyme::NEVER);
        self.disarm_all();
        if !rewound {
            ran[Slot::Dial as usize] = false;
            self.deadlines[Slot::Dial as usize] = dial;
            self.arm_wheel(core);
        }
        let fresh: &[Slot] = match self.state.phase {
            Phase::Live if self.received() == 0 => {
                &[Slot::FirstByte, Slot::Idle, Slot::Lifetime, Slot::Rate]
            }
            Phase::Live => &[Slot::Idle, Slot::Lifetime, Slot::Rate],
            Phase::Flushing if self.state.opened => &[Slot::Lifetime],
            // It may have been beyond all time.
            Phase::Lingering if self.state.opened => &[Slot::Lifetime, Slot::Linger],
            Phase::Dialling if self.is_trying() => &[Slot::Connect],
            Phase::Handshaking => &[Slot::Handshake],
            _ => &[],
        };
        let again = Slot::ALL.iter().filter(|slot| ran[**slot as usize]);
        for &slot in fresh.iter().chain(again) {
            self.arm(core, slot);
        }
        if self.is_armed(Slot::Lifetime)
            && let Some(lifetime) = self.duration(core, Slot::Lifetime)
        {
            self.deadlines[Slot::Lifetime as usize] = self.opened_at + lifetime;
            self.arm_wheel(core);
        }
        self.window_start = self.moved();
    }

    /// Bytes received on this connection; the counters of a dialled one go on through all of its connections.
    fn received(&self) -> u64 {
        self.counters.bytes_in - self.dial.as_ref().map_or(0, |dial| dial.received_before)
    }

    fn moved(&self) -> u64 {
        self.counters.bytes_in + self.counters.bytes_out
    }

    /// Does what is due, but for that which cannot be judged yet; it stays due.
    fn expire_judged(&mut self, core: &mut Core) {
        let mut put_off = [Tyme::NEVER; SLOTS];
        for slot in Slot::ALL {
            let deadline = self.deadlines[slot as usize];
            if deadline <= core.now && deadline != Tyme::NEVER && !self.can_judge(core, slot) {
                put_off[slot as usize] = deadline;
                self.disarm(slot);
            }
        }
        self.expire(core);
        if self.state.doomed {
            return;
        }
        for (deadline, put_off) in self.deadlines.iter_mut().zip(put_off) {
            *deadline = put_off.min(*deadline);
        }
    }

    /// Whether what the deadline waits for has not come: neither to the network, of which not all may have been heard, nor to a line whose turns were over
    /// before its own.
    fn can_judge(&self, core: &Core, slot: Slot) -> bool {
        let breakable = match slot {
            Slot::FirstByte => true,
            Slot::Idle => self.state.refreshable,
            _ => false,
        };
        let deadline = self.deadlines[slot as usize];
        let unheard = breakable && core.heard_until.is_some_and(|heard| deadline > heard);
        !unheard && !self.is_kept_waiting(core, slot)
    }

    /// Does what is due, the earliest first.
    #[inline]
    fn expire(&mut self, core: &mut Core) {
        loop {
            let first = Slot::ALL.into_iter().min_by_key(|slot| self.deadlines[*slot as usize]);
            // At the end of all time, too, what is not armed is not due.
            let is_due =
                |slot: &Slot| self.deadlines[*slot as usize] <= core.now && self.is_armed(*slot);
            let Some(slot) = first.filter(is_due) else { return };
            let end = self.deadlines[slot as usize];
            self.disarm(slot);
            let which = match slot {
                Slot::Rate => {
                    self.end_window(core, end);
                    if self.state.doomed {
                        return; // That is why it ends, and no other deadline of the same tick.
                    }
                    continue;
                }
                // It may stay half open by now.
                Slot::Linger
                    if self.state.phase == Phase::Live && self.state.half_open != HalfOpen::No =>
                {
                    continue;
                }
                // The peer's end has come and ours is still on its way out: there is a deadline for that.
                Slot::Linger if self.state.phase == Phase::Live && self.has_output() => {
                    self.arm(core, slot);
                    continue;
                }
                Slot::Dial => {
                    if let Some(dial) = &mut self.dial {
                        dial.due = true;
                    }
                    continue;
                }
                Slot::Connect => Deadline::Connect,
                Slot::Linger => Deadline::Linger,
                Slot::Handshake => Deadline::Handshake,
                Slot::FirstByte => Deadline::FirstByte,
                Slot::Idle => Deadline::Idle,
                Slot::Lifetime => Deadline::Lifetime,
                Slot::WriteStall => Deadline::WriteStall,
            };
            if self.is_known() && !self.state.broken_off {
                core.events.push(Event::Expired(self.id, which));
            }
            return self.doom(CloseReason::Expired(which));
        }
    }

    /// Whether too little has moved in this window by now.
    fn is_below(&self, rate: MinRate) -> bool {
        self.moved() - self.window_start < rate.bytes
    }

    /// Whether that is so of the least rate it must show.
    pub(super) fn is_slow(&self, core: &Core) -> bool {
        let timeouts = self.timeouts().unwrap_or(&core.config.timeouts);
        timeouts.min_rate.is_some_and(|rate| self.is_below(rate))
    }

    /// The window of the least rate that was to end at `end` is over. The next one begins there and not now: else a silence could hide between two because a
    /// tick came late.
    fn end_window(&mut self, core: &mut Core, end: Tyme) {
        let timeouts = self.timeouts().unwrap_or(&core.config.timeouts);
        let Some(rate) = timeouts.min_rate else { return };
        if self.is_below(rate) {
            return self.doom(CloseReason::TooSlow);
        }
        self.window_start = self.moved();
        let Some(window) = self.duration(core, Slot::Rate).map(nanos) else { return };
        let into = nanos(core.now - end) % window;
        self.deadlines[Slot::Rate as usize] = core.now + Duration::from_nanos(window - into);
    }
}

impl Engine {
    /// Expires what is due at this tick's tyme.
    #[inline]
    pub(crate) fn expire(&mut self) {
        self.core.wheel.advance(self.core.now, &mut self.due);
        if self.due.is_empty() {
            return;
        }
        let mut due = core::mem::take(&mut self.due);
        for (_, id) in due.drain(..) {
            self.expire_one(id);
        }
        self.due = due;
    }

    #[inline(never)]
    fn expire_one(&mut self, id: Id) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        remoter.timer = None;
        // What the caller has asked for since the last flush comes first.
        if remoter.has_new_timeouts() {
            remoter.restart_deadlines(&mut self.core, false);
        }
        if !remoter.state.doomed {
            remoter.expire_judged(&mut self.core);
        }
        if remoter.state.doomed {
            self.release(id);
        } else {
            remoter.arm_wheel(&mut self.core);
            if remoter.dial.as_ref().is_some_and(|dial| dial.due) {
                self.enqueue_dial(id);
            }
        }
    }
}
