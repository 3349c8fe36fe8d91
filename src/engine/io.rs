//! Receiving and sending, within budgets.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use super::Core;
use crate::config::RxFull;
use crate::error::{Cause, CloseReason};
use crate::event::Event;
use crate::id::Id;
use crate::remoter::{Fin, Phase, Remoter, Slot};

/// Pieces handed to one write.
const PIECES: usize = 16;
/// A stream, somebody's middleware, says that it moved more than it was given: no number of it can be trusted.
const TOO_MUCH: CloseReason = CloseReason::Io(Cause::new(io::ErrorKind::InvalidData));

impl Remoter {
    /// Whether reading may go on: somebody wants the bytes, or they are thrown away.
    fn may_read(&self, core: &Core) -> bool {
        if self.state.eof || self.state.doomed {
            return false;
        }
        match self.state.phase {
            // What comes now is TLS, and not for us.
            #[cfg(feature = "tls")]
            Phase::Live if self.upgrade.is_some() => false,
            Phase::Live if self.state.deaf => true,
            Phase::Live => {
                let at_cap = self.rx.len() >= self.rx_limit();
                !at_cap || (self.state.stuffed && core.config.rx_full == RxFull::Close)
            }
            Phase::Flushing | Phase::Lingering => true,
            Phase::Dialling | Phase::Handshaking | Phase::Closed => false,
        }
    }

    /// Whether bytes wait to go out, here or in the stream.
    pub(crate) fn has_output(&self) -> bool {
        !self.tx.is_empty() || self.state.holding
    }

    /// Takes note of whether the stream keeps bytes back. Asked once after its calls, since asking is a virtual call.
    pub(super) fn note_held(&mut self) {
        self.state.holding = self.stream.held() > 0;
    }

    /// Whether a turn would do something with the latches as they are.
    pub(super) fn has_work(&self, core: &Core) -> bool {
        self.can_go_on(core, true)
    }

    /// Whether something ended after the peer's half had: all that can is the rest of the connection.
    fn may_be_lost(&self) -> bool {
        let open = matches!(self.state.phase, Phase::Live | Phase::Flushing);
        open && self.state.eof && self.state.ending && self.state.fin != Fin::Sent
    }

    /// Asks whether the connection is lost, where no read tells it: after the peer's end they all say just that.
    fn look_for_loss(&mut self) {
        if self.may_be_lost() {
            self.state.ending = false;
            if let Err(error) = self.stream.connected() {
                self.doom(CloseReason::of(&error));
            }
        }
    }

    /// Whether it would also do something while there is no room for anybody's bytes.
    pub(super) fn can_go_on(&self, core: &Core, room: bool) -> bool {
        match self.state.phase {
            Phase::Dialling => return false,
            // A new connection under the old id, which is still in the line of the old one.
            Phase::Handshaking => return true,
            _ => {}
        }
        let takes = self.state.readable && self.may_read(core);
        (takes && (room || self.throws_away()))
            || (self.state.writable && self.has_output())
            || self.may_be_lost()
    }

    /// Whether it is in line with something to read, in a tick that can read no more.
    pub(super) fn waits_to_be_read(&self, core: &Core) -> bool {
        core.tick_left == 0 && self.state.queued && self.state.readable && self.may_read(core)
    }

    /// Whether it is in line with something to send, in a tick that can send no more.
    pub(super) fn waits_to_send(&self, core: &Core) -> bool {
        core.tick_left_out == 0 && self.state.queued && self.state.writable && self.has_output()
    }

    /// Whether the tick's budget ended before its own while it was sending.
    pub(super) fn is_cut_out(&self, core: &Core) -> bool {
        core.tick_left_out == 0
            && self.state.writable
            && !self.tx.is_empty()
            && Self::budget_left(core, self.state.spent_out) > 0
    }

    /// Whether it has something to read for which there is no room in the whole engine.
    pub(super) fn waits_for_room(&self, core: &Core) -> bool {
        core.shared.room_to_read() == 0
            && self.state.readable
            && !self.throws_away()
            && self.may_read(core)
    }

    /// Whether what comes in is wanted by nobody.
    fn throws_away(&self) -> bool {
        self.state.deaf || self.state.phase != Phase::Live
    }

    /// Gets in the line it belongs to if it has something to do and is in none yet.
    pub(super) fn fall_in(
        &mut self,
        core: &Core,
        ready: &mut VecDeque<Id>,
        shaking: &mut VecDeque<Id>,
    ) {
        if self.state.queued {
            return;
        }
        if self.state.phase == Phase::Handshaking {
            self.state.queued = true;
            shaking.push_back(self.id);
        } else if self.has_work(core) {
            self.state.queued = true;
            ready.push_back(self.id);
        }
    }

    /// Whether what the caller did to it calls for a turn.
    pub(super) fn wants_turn(&self, core: &Core, room: bool) -> bool {
        if self.state.phase == Phase::Closed {
            return false;
        }
        #[cfg(feature = "tls")]
        if self.upgrade.is_some() && self.tx.is_empty() {
            return true;
        }
        self.state.doomed
            || self.state.retime
            || (self.state.shaken && self.wants_turn_live(core, room))
    }

    /// Whether its next turn would owe a `Drained`.
    pub(super) fn owes_drained(&self) -> bool {
        self.state.backlogged
            && self.state.phase == Phase::Live
            && self.is_live()
            && !self.has_output()
    }

    fn wants_turn_live(&self, core: &Core, room: bool) -> bool {
        self.can_go_on(core, room)
            || (self.tx.is_empty()
                && (self.state.fin == Fin::Asked
                    || self.state.phase == Phase::Flushing
                    || self.is_finished()))
    }

    fn begin_tick(&mut self, core: &Core) {
        if self.state.spent_at != core.tick {
            self.state.spent_at = core.tick;
            self.state.exhausted = false;
            self.state.spent_in = 0;
            self.state.spent_out = 0;
        }
    }

    /// What is left of a budget of which `spent` is gone.
    fn budget_left(core: &Core, spent: u32) -> usize {
        core.config.limits.remoter_tick_bytes.max(1).saturating_sub(spent as usize)
    }

    pub(super) fn has_budget(&self, core: &Core) -> bool {
        Self::budget_left(core, self.state.spent_in) > 0
    }

    fn count_exhausted(&mut self, core: &mut Core) {
        if core::mem::replace(&mut self.state.exhausted, true) {
            return;
        }
        self.counters.budget += 1;
        core.counters.budget.remoter_bytes += 1;
    }

    /// Reads until there is no more, a budget ends, or the cap of unread bytes is reached; `once`: one read at the most.
    pub(super) fn receive(&mut self, core: &mut Core, once: bool) {
        self.begin_tick(core);
        self.look_for_loss();
        // At the cap when this turn began, not only by what it reads.
        self.state.stuffed &= self.rx.len() >= self.rx_limit();
        while self.state.readable && self.may_read(core) {
            let thrown_away = self.throws_away();
            let mut want = core.scratch.len().min(core.tick_left);
            if !thrown_away {
                // At the cap one byte is asked for, to see whether there is more (`RxFull::Close`).
                let room = (self.rx_limit() - self.rx.len().min(self.rx_limit())).max(1);
                want = want.min(room).min(core.shared.room_to_read());
            }
            let budget = Self::budget_left(core, self.state.spent_in);
            if budget == 0 {
                self.count_exhausted(core);
                break;
            }
            want = want.min(budget);
            if want == 0 {
                break; // The whole engine's budget or memory; the caller counts it.
            }
            self.counters.reads += 1;
            core.counters.reads += 1;
            let buf = &mut core.scratch[..want];
            let read =
                if self.state.parting { self.stream.discard(buf) } else { self.stream.read(buf) };
            match read {
                Ok(0) => self.met_eof(core),
                Ok(count) if count > want => self.doom(TOO_MUCH),
                Ok(count) => self.met_bytes(core, count, want, thrown_away),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state.readable = false;
                    self.state.ending = false;
                }
                // The latch stays, so it is tried again; but not here and now for ever.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
                Err(error) => self.break_off(core, CloseReason::of(&error)),
            }
            if once {
                break;
            }
        }
        self.state.stuffed = self.rx.len() >= self.rx_limit();
        // A layer may have had to answer something, or have sent on what it held.
        self.note_held_anew(core);
    }

    /// Takes note of what the stream keeps back after a call that was no write: what waits now has its deadline, and what has left is told.
    pub(super) fn note_held_anew(&mut self, core: &mut Core) {
        let before = self.state.holding;
        self.note_held();
        if !self.is_live() || self.state.doomed {
            return; // What it may have held is gone.
        }
        if self.state.holding && !self.is_armed(Slot::WriteStall) {
            self.arm(core, Slot::WriteStall);
        } else if before && !self.state.holding {
            self.after_send(core, 0);
        }
    }

    fn met_bytes(&mut self, core: &mut Core, count: usize, want: usize, thrown_away: bool) {
        if count < want && self.state.short_reads && !self.state.ending {
            self.state.readable = false;
        }
        core.tick_left -= count;
        self.state.spent_in = self.state.spent_in.saturating_add(count_u32(count));
        self.counters.bytes_in += count as u64;
        core.counters.bytes_in += count as u64;
        core.serviced.bytes_in += count as u64;
        self.disarm(Slot::FirstByte);
        self.refresh_idle(core);
        if thrown_away {
            return;
        }
        if self.rx.len() >= self.rx_limit() {
            return self.doom(CloseReason::RxFull);
        }
        self.take_in(core, count);
        self.note_raw_in(count);
        core.shared.add(count);
        if !core::mem::replace(&mut self.state.received, true) {
            core.events.push(Event::Received(self.id));
        }
    }

    /// Puts what was read into the rx queue: a copy, or the buffer itself where it is well filled and another one is at hand.
    fn take_in(&mut self, core: &mut Core, count: usize) {
        let size = core.scratch.len();
        let well_filled = self.rx.is_empty() && count >= size - size / 4;
        match well_filled.then(|| core.pool.spare(size)).flatten() {
            Some(spare) => {
                let mut filled = core::mem::replace(&mut core.scratch, spare);
                filled.truncate(count);
                self.rx.adopt(filled);
            }
            None => self.rx.push(&core.scratch[..count], &mut core.pool),
        }
    }

    fn met_eof(&mut self, core: &mut Core) {
        self.state.readable = false;
        if self.state.broken {
            return;
        }
        self.state.eof = true;
        self.state.ending = false;
        if self.state.phase == Phase::Live {
            core.events.push(Event::Eof(self.id));
        }
    }

    /// Takes in what the peer said before it went, as far as there is room for it. Once an error was told, the system says "end" where
    /// it was a reset: that is not passed on as one.
    pub(super) fn last_words(&mut self, core: &mut Core) {
        self.state.broken = true;
        self.state.readable = true;
        self.state.ending = true;
        self.receive(core, false);
    }

    /// Writes what is queued until nothing is left, the network takes no more, or the budget ends.
    pub(super) fn send(&mut self, core: &mut Core) {
        // The usual case first: nothing to send, and nothing owed.
        if self.tx.is_empty() && !self.state.backlogged && !self.state.holding {
            return;
        }
        if !self.is_live() || self.state.doomed {
            return;
        }
        self.begin_tick(core);
        let mut moved = 0;
        while self.state.writable && !self.tx.is_empty() {
            let budget = Self::budget_left(core, self.state.spent_out);
            if budget == 0 {
                self.count_exhausted(core);
                break;
            }
            let budget = budget.min(core.tick_left_out);
            if budget == 0 {
                core.count_cut_out();
                break;
            }
            self.counters.writes += 1;
            core.counters.writes += 1;
            let written = match self.tx.only() {
                Some(piece) => {
                    let piece = &piece[..piece.len().min(budget)];
                    self.stream.write(&[IoSlice::new(piece)])
                }
                None => {
                    let mut pieces = [IoSlice::new(&[]); PIECES];
                    let count = self.tx.slices(&mut pieces, budget);
                    self.stream.write(&pieces[..count])
                }
            };
            match written {
                Ok(0) => {
                    self.met_refusal(core, &io::ErrorKind::WriteZero.into());
                    break;
                }
                Ok(count) if count > budget.min(self.tx.len()) => {
                    self.doom(TOO_MUCH);
                    break;
                }
                Ok(count) => {
                    moved += count;
                    self.met_room(core, count);
                }
                Err(error) => {
                    self.met_refusal(core, &error);
                    break;
                }
            }
        }
        self.note_held();
        if self.tx.is_empty() {
            self.flush_held(core);
        }
        self.after_send(core, moved);
    }

    fn met_room(&mut self, core: &mut Core, count: usize) {
        self.tx.consume(count, &mut core.pool);
        core.shared.sub(count);
        core.tick_left_out -= count;
        self.state.spent_out = self.state.spent_out.saturating_add(count_u32(count));
        self.counters.bytes_out += count as u64;
        core.counters.bytes_out += count as u64;
        core.serviced.bytes_out += count as u64;
    }

    /// Lets the stream send what it still holds.
    pub(super) fn flush_held(&mut self, core: &mut Core) {
        if self.state.writable && self.state.holding {
            let flushed = self.stream.flush();
            self.note_held();
            if let Err(error) = flushed {
                self.met_refusal(core, &error);
            }
        }
    }

    /// Takes note of why a write did nothing.
    fn met_refusal(&mut self, core: &mut Core, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.state.writable = false,
            io::ErrorKind::Interrupted => {}
            _ => {
                self.last_words(core);
                self.break_off(core, CloseReason::of(error));
            }
        }
    }

    fn after_send(&mut self, core: &mut Core, moved: usize) {
        if moved > 0 {
            self.refresh_idle(core);
        }
        if self.state.doomed {
            return;
        }
        if self.has_output() {
            self.state.backlogged = true;
            if moved > 0 || !self.is_armed(Slot::WriteStall) {
                self.arm(core, Slot::WriteStall);
            }
            return;
        }
        self.disarm(Slot::WriteStall);
        if self.state.backlogged && self.state.phase == Phase::Live {
            // Where there is no room for anybody, it is told once there is.
            if !core::mem::replace(&mut self.state.starved, true) {
                core.starved.push(self.id);
            }
        }
        self.state.backlogged = false;
    }
}

fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
