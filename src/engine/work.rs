//! Whether a connection has something to do, and how much of it this tick lets it.

use std::collections::VecDeque;

use super::Core;
use crate::config::RxFull;
use crate::error::{Cause, CloseReason};
use crate::id::Id;
use crate::remoter::{Fin, Phase, Queued, Remoter, Room, Slot};

/// A stream, somebody's middleware, says that it moved more than it was given: no number of it can be trusted.
pub(super) const TOO_MUCH: CloseReason =
    CloseReason::Io(Cause::new(std::io::ErrorKind::InvalidData));

impl Remoter {
    /// Whether reading may go on: somebody wants the bytes, or they are thrown away.
    #[inline]
    pub(super) fn may_read(&self, core: &Core) -> bool {
        if self.state.eof || self.state.doomed {
            return false;
        }
        match self.state.phase {
            // What comes now is TLS, and not for us.
            #[cfg(feature = "tls")]
            Phase::Live if self.upgrade.is_some() => false,
            Phase::Live if self.state.receive_shut => true,
            Phase::Live => {
                let at_cap = self.rx.len() >= self.rx_limit();
                let closes = core.config.rx_full == RxFull::Close;
                let closes = closes && !self.state.half_open.holds_back();
                !at_cap || (self.state.at_rx_cap && closes)
            }
            Phase::Flushing | Phase::Lingering => true,
            Phase::Dialling | Phase::Handshaking | Phase::Closed => false,
        }
    }

    /// Whether what comes in is wanted by nobody.
    #[inline]
    pub(super) fn throws_away(&self) -> bool {
        self.state.receive_shut || self.state.phase != Phase::Live
    }

    /// Whether bytes wait to go out, here or in the stream.
    #[inline]
    pub(crate) fn has_output(&self) -> bool {
        !self.tx.is_empty() || self.state.holding
    }

    /// Takes note of whether the stream keeps bytes back. Asked once after its calls, since asking is a virtual call.
    #[inline]
    pub(super) fn note_held(&mut self) {
        self.state.holding = self.stream.held() > 0;
    }

    /// Whether a turn would do something with the latches as they are.
    #[inline]
    pub(super) fn has_work(&self, core: &Core) -> bool {
        self.can_go_on(core, Room::All)
    }

    /// The same where there may be no room for everybody's bytes.
    #[inline]
    pub(super) fn can_go_on(&self, core: &Core, room: Room) -> bool {
        match self.state.phase {
            Phase::Dialling => return false,
            // A new connection under the old id, which is still in the line of the old one.
            Phase::Handshaking => return true,
            _ => {}
        }
        let takes = self.state.readable && self.may_read(core);
        (takes && (self.has_room(room) || self.keeps_nothing()))
            || (self.state.writable && self.has_output())
            || self.may_be_lost()
    }

    /// Whether one with no end in sight has something to read or to send.
    #[inline]
    pub(super) fn moves_on(&self, core: &Core) -> bool {
        (self.state.readable && self.may_read(core)) || (self.state.writable && self.has_output())
    }

    /// Whether it may hold more where there is room for so many.
    #[inline]
    fn has_room(&self, room: Room) -> bool {
        room == Room::All || (room == Room::InNeed && self.rx.is_empty() && self.tx.is_empty())
    }

    /// Whether something ended after the peer's half had: all that can is the rest of the connection.
    #[inline]
    pub(super) fn may_be_lost(&self) -> bool {
        let open = matches!(self.state.phase, Phase::Live | Phase::Flushing);
        self.state.ending && self.state.eof && open && self.state.fin != Fin::Sent
    }

    /// Whether it is in line and the last pass over that, in the tick `pass`, ended before its turn. A step is a tick of its own, so that may
    /// have been some ticks ago.
    #[inline]
    fn is_passed_over(&self, pass: u32) -> bool {
        match self.state.queued {
            Queued::No => false,
            Queued::Waiting => true,
            Queued::Again => self.state.spent_at.wrapping_sub(pass) > u32::MAX / 2,
        }
    }

    /// Takes note that it had its turn, where it is in line for another.
    #[inline]
    pub(super) fn had_turn(&mut self) {
        if self.state.queued == Queued::Waiting {
            self.state.queued = Queued::Again;
        }
    }

    /// Whether it has something to read for which there was no turn.
    fn waits_to_be_read(&self, core: &Core) -> bool {
        self.is_passed_over(core.turned_at) && self.state.readable && self.may_read(core)
    }

    /// Whether it has something to send for which there was no turn, or nothing left in the tick.
    fn waits_to_send(&self, core: &Core) -> bool {
        let over = core.tick_left_out == 0 || self.is_passed_over(core.turned_at);
        over && self.state.queued != Queued::No && self.state.writable && self.has_output()
    }

    /// Whether the tick's budgets ended before something that this deadline waits for.
    pub(super) fn is_kept_waiting(&self, core: &Core, slot: Slot) -> bool {
        match slot {
            Slot::Handshake => self.is_passed_over(core.shook_at),
            Slot::Connect => self.dial.as_ref().is_some_and(|dial| dial.latched),
            Slot::FirstByte | Slot::Linger => self.waits_to_be_read(core),
            Slot::WriteStall => self.waits_to_send(core),
            Slot::Idle if !self.state.refreshable => false,
            Slot::Rate if !self.is_slow(core) => false,
            Slot::Idle | Slot::Rate => self.waits_to_be_read(core) || self.waits_to_send(core),
            Slot::Lifetime | Slot::Dial => false,
        }
    }

    /// Whether the tick's budget ended before its own while it was sending.
    #[inline]
    pub(super) fn is_cut_out(&self, core: &Core) -> bool {
        core.tick_left_out == 0
            && self.state.writable
            && !self.tx.is_empty()
            && Self::budget_left(core, self.state.spent_out) > 0
    }

    /// Whether what is read is not kept, so that it needs no room.
    #[inline]
    fn keeps_nothing(&self) -> bool {
        self.throws_away() || self.rx.len() >= self.rx_limit()
    }

    /// What it may hold more of, for all that the engine holds.
    #[inline]
    pub(super) fn room_to_read(&self, core: &Core) -> usize {
        let room = core.shared.room_to_read();
        if room == 0 && self.rx.is_empty() && self.tx.is_empty() {
            return core.shared.room_in_need();
        }
        room
    }

    /// Whether it has something to read for which there is no room in the whole engine.
    #[inline]
    pub(super) fn waits_for_room(&self, core: &Core) -> bool {
        self.room_to_read(core) == 0
            && self.state.readable
            && !self.keeps_nothing()
            && self.may_read(core)
    }

    /// Gets in the line it belongs to if it has something to do and is in none yet.
    #[inline]
    pub(super) fn enqueue(
        &mut self,
        core: &Core,
        ready: &mut VecDeque<Id>,
        shaking: &mut VecDeque<Id>,
    ) {
        if self.state.phase == Phase::Handshaking {
            self.line_up(shaking);
        } else if self.has_work(core) {
            self.line_up(ready);
        }
    }

    /// Gets in a line, unless it is in one.
    #[inline]
    pub(super) fn line_up(&mut self, line: &mut VecDeque<Id>) {
        if self.state.queued == Queued::No {
            self.state.queued = Queued::Waiting;
            line.push_back(self.id);
        }
    }

    /// Whether what the caller did to it calls for a turn.
    pub(super) fn wants_turn(&self, core: &Core, room: Room) -> bool {
        if self.state.phase == Phase::Closed {
            return false;
        }
        #[cfg(feature = "tls")]
        if self.upgrade.is_some() && self.tx.is_empty() {
            return true;
        }
        self.state.doomed
            || self.state.changed
            || (self.state.opened && self.wants_turn_live(core, room))
    }

    fn wants_turn_live(&self, core: &Core, room: Room) -> bool {
        self.can_go_on(core, room)
            || self.lingers_in_vain(core)
            || (self.begins_to_wait_for_user() && self.would_arm(core, Slot::Linger))
            || (self.tx.is_empty()
                && (self.state.fin == Fin::Asked
                    || self.state.phase == Phase::Flushing
                    || self.is_finished()))
    }

    /// Whether its next turn, or its coming up, would owe a `Drained`.
    pub(super) fn will_owe_drained(&self) -> bool {
        self.state.backlogged
            && self.state.phase == Phase::Live
            && self.is_live()
            && !self.has_output()
            && !self.is_upgrading()
    }

    #[inline]
    pub(super) fn begin_tick(&mut self, core: &Core) {
        if self.state.spent_at != core.tick {
            self.state.spent_at = core.tick;
            self.state.exhausted = false;
            if self.state.queued == Queued::Again {
                self.state.queued = Queued::Waiting;
            }
            self.state.spent_in = 0;
            self.state.spent_out = 0;
        }
    }

    /// What is left of a budget of which `spent` is gone.
    #[inline]
    pub(super) fn budget_left(core: &Core, spent: u32) -> usize {
        core.config.limits.remoter_tick_bytes.max(1).saturating_sub(spent as usize)
    }

    #[inline]
    pub(super) fn has_budget(&self, core: &Core) -> bool {
        Self::budget_left(core, self.state.spent_in) > 0
    }

    pub(super) fn count_exhausted(&mut self, core: &mut Core) {
        if core::mem::replace(&mut self.state.exhausted, true) {
            return;
        }
        self.counters.budget += 1;
        core.counters.budget.remoter_bytes += 1;
    }
}

/// A count as the budgets keep it. More than there can be is as good as all.
#[inline]
pub(super) fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
