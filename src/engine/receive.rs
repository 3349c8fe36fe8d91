//! Receiving, within budgets.

use std::io;

use super::Core;
use super::work::{TOO_MUCH, count_u32};
use crate::error::CloseReason;
use crate::event::Event;
use crate::remoter::{HalfOpen, Phase, Remoter, Slot};

/// What a read after the first of a turn counts as at least: where it is dear to find out whether there is more, a peer must not make it many.
const AGAIN: usize = 1024;

impl Remoter {
    /// Reads until there is no more, a budget ends, or the cap of unread bytes is reached; `once`: one read at the most.
    #[inline]
    pub(super) fn receive(&mut self, core: &mut Core, once: bool) {
        self.begin_tick(core);
        self.look_for_loss();
        // At the cap when this turn began, not only by what it reads.
        self.state.at_rx_cap &= self.rx.len() >= self.rx_limit();
        let mut again = false;
        while self.state.readable && self.may_read(core) {
            let thrown_away = self.throws_away();
            let mut want = core.scratch.len().min(core.tick_left);
            if !thrown_away {
                // At the cap one byte is asked for, to see whether there is more (`RxFull::Close`). It is not kept.
                let room = self.rx_limit().saturating_sub(self.rx.len());
                want = want.min(if room == 0 { 1 } else { room.min(self.room_to_read(core)) });
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
            let read = if thrown_away { self.read_away(buf) } else { self.stream.read(buf) };
            let short = match &read {
                Ok(count) if again => AGAIN.saturating_sub(*count),
                _ => 0,
            };
            match read {
                Ok(0) => self.on_eof(core),
                Ok(count) if count > want => self.doom(TOO_MUCH),
                Ok(count) => self.on_bytes(core, count, want, thrown_away),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state.readable = false;
                    self.state.ending = false;
                }
                // The latch stays, so it is tried again; but not here and now for ever.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
                // What a layer makes of that end: as little the peer's word as the end itself.
                Err(error)
                    if self.state.eof_untrusted && error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    self.state.readable = false;
                }
                Err(error) => self.break_off(core, CloseReason::of(&error)),
            }
            if !self.state.short_read_drains {
                self.charge_overhead(core, short);
            }
            if once {
                break;
            }
            again = true;
        }
        self.state.at_rx_cap = self.rx.len() >= self.rx_limit();
        self.look_for_loss();
        // A layer may have had to answer something, or have sent on what it held.
        self.note_held_anew(core);
    }

    /// Takes off the budgets what the last read cost beyond its bytes.
    #[inline(never)]
    fn charge_overhead(&mut self, core: &mut Core, short: usize) {
        let overhead = self.stream.overhead().saturating_add(short);
        core.tick_left = core.tick_left.saturating_sub(overhead);
        self.state.spent_in = self.state.spent_in.saturating_add(count_u32(overhead));
    }

    /// Reads what nobody wants, and lets go of the descriptors that came along.
    #[inline(never)]
    fn read_away(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(all(unix, feature = "uds"))]
        let kept = self.stream.files().map_or(0, |files| files.inbox.len());
        let read =
            if self.state.broken_off { self.stream.discard(buf) } else { self.stream.read(buf) };
        #[cfg(all(unix, feature = "uds"))]
        if let Some(files) = self.stream.files() {
            files.drop_beyond(kept);
        }
        read
    }

    /// Asks whether the connection is lost, where no read tells it: after the peer's end they all say just that.
    #[inline]
    fn look_for_loss(&mut self) {
        if self.may_be_lost() {
            self.state.ending = false;
            if let Err(error) = self.stream.connected() {
                self.doom(CloseReason::of(&error));
            }
        }
    }

    /// Takes note of what the stream keeps back after a call that was no write: what waits now has its deadline, and what has left is told.
    #[inline]
    pub(super) fn note_held_anew(&mut self, core: &mut Core) {
        self.note_held_since(self.state.holding, core);
    }

    /// The same where it was looked at meanwhile; `before` is whether it kept something back before the call.
    #[inline]
    pub(super) fn note_held_since(&mut self, before: bool, core: &mut Core) {
        self.note_held();
        if before || self.state.holding {
            self.go_by_held(before, core);
        }
    }

    #[inline(never)]
    fn go_by_held(&mut self, before: bool, core: &mut Core) {
        if !self.is_live() || self.state.doomed {
            return; // What it may have held is gone.
        }
        if self.state.holding && !self.is_armed(Slot::WriteStall) {
            self.arm(core, Slot::WriteStall);
        } else if before && !self.state.holding {
            self.after_send(core, 0);
        }
    }

    #[inline]
    fn on_bytes(&mut self, core: &mut Core, count: usize, want: usize, thrown_away: bool) {
        if count < want && self.state.short_read_drains && !self.state.ending {
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
        self.rx.take_in(&mut core.scratch, count, &mut core.pool);
        self.note_raw_in(count);
        core.shared.add(count);
        if !core::mem::replace(&mut self.state.received, true) {
            core.events.push(Event::Received(self.id));
        }
    }

    #[inline(never)]
    fn on_eof(&mut self, core: &mut Core) {
        self.state.readable = false;
        if self.state.eof_untrusted {
            return;
        }
        self.state.eof = true;
        // A reset may have been reported along with it. Who closes now need not know.
        self.state.ending &= self.state.half_open != HalfOpen::No;
        if self.state.phase == Phase::Live {
            core.events.push(Event::Eof(self.id));
        }
    }

    /// Takes in what the peer said before it went, as far as there is room for it. Once an error was told, the system says "end" where
    /// it was a reset: that is not passed on as one.
    pub(super) fn last_words(&mut self, core: &mut Core) {
        self.state.eof_untrusted = true;
        self.state.readable = true;
        self.state.ending = true;
        self.receive(core, false);
    }
}
