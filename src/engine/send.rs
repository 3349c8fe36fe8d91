//! Sending, within budgets.

use std::io::{self, IoSlice};

use super::Core;
use super::work::{TOO_MUCH, count_u32};
use crate::error::CloseReason;
use crate::remoter::{Fin, Phase, Remoter, Slot};

/// Pieces handed to one write.
const PIECES: usize = 16;
/// What a system takes whole, as a rule. Of more it would report room too seldom again for who reads slowly.
const LAST: usize = 1 << 20;

impl Remoter {
    /// Writes what is queued until nothing is left, the network takes no more, or the budget ends.
    #[inline]
    pub(super) fn send(&mut self, core: &mut Core) {
        // The usual case first: nothing to send, and nothing owed.
        if self.tx.is_empty() && !self.state.backlogged && !self.state.holding {
            return;
        }
        self.send_queued(core);
    }

    #[inline]
    fn send_queued(&mut self, core: &mut Core) {
        if self.state.doomed {
            return;
        }
        if !self.is_live() {
            if self.state.broken_off {
                self.flush_held(core); // What its layer says of a handshake that failed.
            }
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
            let (given, written) = match self.tx.only() {
                Some(piece) => {
                    let piece = &piece[..piece.len().min(budget)];
                    (piece.len(), self.stream.write(&[IoSlice::new(piece)]))
                }
                None => self.write_pieces(budget),
            };
            match written {
                Ok(0) => {
                    self.on_write_error(core, &io::ErrorKind::WriteZero.into());
                    break;
                }
                Ok(count) if count > given => {
                    self.doom(TOO_MUCH);
                    break;
                }
                Ok(count) => {
                    moved += count;
                    self.on_written(core, count);
                }
                Err(error) => {
                    self.on_write_error(core, &error);
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

    #[inline(never)]
    fn write_pieces(&mut self, budget: usize) -> (usize, io::Result<usize>) {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = self.tx.slices(&mut pieces, budget);
        let pieces = &pieces[..count];
        (pieces.iter().map(|piece| piece.len()).sum(), self.stream.write(pieces))
    }

    #[inline]
    fn on_written(&mut self, core: &mut Core, count: usize) {
        self.tx.consume(count, &mut core.pool);
        core.shared.sub(count);
        core.tick_left_out -= count;
        self.state.spent_out = self.state.spent_out.saturating_add(count_u32(count));
        self.counters.bytes_out += count as u64;
        core.counters.bytes_out += count as u64;
        core.serviced.bytes_out += count as u64;
    }

    /// Lets the stream send what it still holds.
    #[inline]
    pub(super) fn flush_held(&mut self, core: &mut Core) {
        if self.state.writable && self.state.holding {
            let flushed = self.stream.flush();
            self.note_held();
            if let Err(error) = flushed {
                self.on_write_error(core, &error);
            }
        }
    }

    /// Takes note of why a write did nothing.
    #[inline(never)]
    fn on_write_error(&mut self, core: &mut Core, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.state.writable = self.finds_room_for_the_last(),
            io::ErrorKind::Interrupted => {}
            _ => {
                self.last_words(core);
                self.break_off(core, CloseReason::of(error));
            }
        }
    }

    /// Whether there may be room for more after all, as what is queued is the last.
    pub(crate) fn finds_room_for_the_last(&mut self) -> bool {
        let is_last = self.state.phase == Phase::Flushing && self.state.fin != Fin::Cut;
        is_last && self.tx.len() <= LAST && self.stream.lift_unsent()
    }

    #[inline]
    pub(super) fn after_send(&mut self, core: &mut Core, moved: usize) {
        if moved > 0 {
            self.refresh_idle(core);
            // Who answers piece by piece has nothing queued in between.
            if self.state.eof && self.state.phase == Phase::Live && self.is_armed(Slot::Linger) {
                self.arm(core, Slot::Linger);
            }
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
            if self.is_upgrading() {
                return; // On the way there is no room: it is told once it has gone over.
            }
            // Where there is no room for anybody, it is told once there is; who can queue nothing more needs none.
            core.owes_ended |= self.state.fin != Fin::No;
            if !core::mem::replace(&mut self.state.drained_owed, true) {
                core.drained_owed.push(self.id);
            }
        }
        self.state.backlogged = false;
    }
}
