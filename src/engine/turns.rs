//! The line of connections that have something to do, and whether there is anything to do at all.

use core::sync::atomic::Ordering;

use super::{Core, Engine};
use crate::error::Gone;
use crate::event::Event;
use crate::id::Id;
use crate::remoter::{Fin, Phase, Queued, Room, Shared};

impl Engine {
    /// Tells those whose queue has run empty, as soon as there is room to queue more, or they have nothing more to queue.
    #[inline]
    pub(super) fn tell_drained(&mut self) {
        let room = self.core.shared.room() > 0;
        if self.core.drained_owed.is_empty() {
            self.core.owes_ended = false; // Who was told already may have ended since.
        } else if room || self.core.owes_ended {
            self.tell_owed(room);
        }
    }

    #[inline(never)]
    fn tell_owed(&mut self, room: bool) {
        let Core { drained_owed, owes_ended, events, .. } = &mut self.core;
        *owes_ended = false;
        drained_owed.retain(|id| {
            let Some(remoter) = self.slots.get_mut(*id) else { return false };
            let live = remoter.state.phase == Phase::Live;
            let waits = (live && remoter.has_output()) || remoter.is_upgrading();
            if live && !waits && !room && remoter.state.fin == Fin::No {
                return true;
            }
            remoter.state.drained_owed = live && !waits;
            if remoter.state.drained_owed {
                events.push(Event::Drained(*id));
            }
            // It is told once what was queued since has left, or it has gone over.
            remoter.state.backlogged |= waits;
            false
        });
    }

    /// Gives everybody in line one turn: send, then receive, each within its budget. Who has more to do goes to the back of the line.
    /// Who lacked room to read, or budget to send, is first the next time.
    #[inline]
    pub(crate) fn turns(&mut self) {
        let mut denied = None;
        let mut cut_out = None;
        let mut cut_turns = false;
        self.core.turned_at = self.core.tick;
        let turns = self.core.config.limits.turns_per_tick.max(1);
        // Those who had theirs, and those who had none.
        let (mut turn, mut beyond) = (0, 0);
        for left in (1..=self.ready.len()).rev() {
            if self.core.tick_left == 0 {
                break;
            }
            if turn == turns {
                cut_turns = true;
                beyond = left;
                break;
            }
            let Some(id) = self.ready.pop_front() else { break };
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            remoter.state.queued = Queued::No;
            let left_out = self.core.tick_left_out;
            if remoter.state.phase == Phase::Handshaking {
                self.enqueue(id); // A new connection under the old id, or one that went over to TLS: it belongs elsewhere.
                continue;
            }
            if !(self.core.filtered && remoter.has_raw_out()) {
                remoter.send(&mut self.core);
            }
            // Who was first in line and could send something is not put first again.
            let in_turn = turn > 0 || self.core.tick_left_out == left_out;
            if cut_out.is_none() && in_turn && remoter.is_cut_out(&self.core) {
                cut_out = Some(id);
            }
            if denied.is_none() && remoter.waits_for_room(&self.core) {
                denied = Some(id);
            }
            remoter.receive(&mut self.core, false);
            if remoter.after_pass(&mut self.core, &mut self.ready) {
                self.release(id);
            } else {
                remoter.had_turn();
            }
            // Cut short by what others took before it, it is first in the next tick; who was first in this one is not.
            if self.core.tick_left == 0 && turn > 0 && self.was_cut_short(id) {
                self.ready.rotate_right(1);
            }
            turn += 1;
        }
        // Without this the first in line would take all the room there comes to be, for ever. Costs a look at those before it.
        self.behind = cut_out.is_some();
        if let Some(id) = cut_out.or(denied) {
            // Whoever had no turn at all stays before them.
            if let Some(at) = self.ready.iter().skip(beyond).position(|it| *it == id) {
                self.ready.make_contiguous()[beyond..].rotate_left(at);
            }
        }
        self.tell_drained();
        if self.ready.is_empty() {
            return;
        }
        self.core.counters.budget.tick_bytes +=
            u64::from(self.core.tick_left == 0 && !self.core.burst.bytes);
        let room = self.core.shared.room_now();
        self.core.counters.budget.buffered += u64::from(room != Room::All);
        let more = self.can_line_move(room);
        self.core.serviced.more |= more;
        self.core.counters.budget.turns += u64::from(cut_turns && more);
    }

    /// Whether it is last in line with some of its own budget left.
    #[inline(never)]
    fn was_cut_short(&self, id: Id) -> bool {
        self.ready.back() == Some(&id)
            && self.slots.get(id).is_some_and(|remoter| remoter.has_budget(&self.core))
    }

    /// Whether somebody in line can do something. Where there is no room for all only those can who send, throw away or hold nothing, and they
    /// are looked for.
    fn can_line_move(&self, room: Room) -> bool {
        if room == Room::All {
            return !self.ready.is_empty();
        }
        self.ready
            .iter()
            .any(|id| self.slots.get(*id).is_some_and(|it| it.can_go_on(&self.core, room)))
    }

    /// One live connection's turn to receive, outside the line; `once` for a single read. The bytes received in this tick.
    pub(crate) fn receive_of(&mut self, id: Id, once: bool) -> Result<u64, Gone> {
        let remoter = self.slots.get_mut(id).filter(|remoter| remoter.is_live()).ok_or(Gone)?;
        remoter.receive(&mut self.core, once);
        remoter.had_turn();
        self.after_pass(id);
        Ok(self.core.serviced.bytes_in)
    }

    /// One live connection's turn to send, outside the line. The bytes sent in this tick.
    pub(crate) fn send_of(&mut self, id: Id) -> Result<u64, Gone> {
        let remoter = self.slots.get_mut(id).filter(|remoter| remoter.is_live()).ok_or(Gone)?;
        if !(self.core.filtered && remoter.has_raw_out()) {
            remoter.send(&mut self.core);
        }
        self.after_pass(id);
        Ok(self.core.serviced.bytes_out)
    }

    /// Whether there is work that needs no news from the network.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        !self.core.events.is_empty()
            || !self.harvested.is_empty()
            || self.core.heard_until.is_some()
            || !self.shaking.is_empty()
            || !self.dials_due.is_empty()
            || !self.dials_latched.is_empty()
            || self.has_upgrades()
            || (self.names.is_used() && self.names.is_pending(self.core.config.limits.lookups))
            || self.is_turn_pending()
    }

    /// Whether somebody could do something, with the room that the next tick begins with.
    #[inline]
    fn is_turn_pending(&self) -> bool {
        let nobody =
            self.ready.is_empty() && self.touched.is_empty() && self.core.drained_owed.is_empty();
        !nobody && self.is_turn_possible()
    }

    #[inline(never)]
    fn is_turn_possible(&self) -> bool {
        let limit = self.core.config.limits.buffered.max(1);
        let buffered = self.will_be_buffered();
        let (room, to_send) = (Shared::room_below(limit, buffered), buffered < limit);
        self.can_line_move(room)
            || (!self.core.drained_owed.is_empty() && (to_send || self.core.owes_ended))
            || self.touched.iter().any(|id| {
                self.slots.get(*id).is_some_and(|remoter| {
                    let is_told = to_send || remoter.state.fin != Fin::No;
                    remoter.wants_turn(&self.core, room) || (is_told && remoter.will_owe_drained())
                })
            })
    }

    /// What the next tick begins with: all but what it will forget.
    fn will_be_buffered(&self) -> usize {
        let told = self.to_forget.iter().filter_map(|id| self.slots.get(*id));
        let freed: usize = told.map(|remoter| remoter.rx.len()).sum();
        let buffered = self.core.shared.buffered.load(Ordering::Relaxed);
        buffered - freed
    }
}
