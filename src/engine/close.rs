//! How a connection ends: mark, flush and linger, release. One path for all reasons.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;

use bytes::BytesMut;

use super::{Core, Engine};
use crate::buf::Pool;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::Id;
use crate::remoter::{Detached, Fin, HalfOpen, Phase, Remoter, Slot};

impl Remoter {
    /// Whether both halves are over and everything was taken and sent. Whoever waits for `Drained` has more to send.
    pub(super) fn is_finished(&self) -> bool {
        let state = &self.state;
        state.phase == Phase::Live
            && state.eof_told
            && (state.fin == Fin::Sent || state.half_open == HalfOpen::No)
            && self.rx.is_empty()
            && self.tx.is_empty()
            && !self.state.drained_owed
            && !self.state.holding
    }

    /// What comes after a pass: takes the steps towards its end that can be taken, and gets in line again if there is more to do.
    /// Returns whether it is to be released.
    #[inline]
    pub(super) fn after_pass(&mut self, core: &mut Core, ready: &mut VecDeque<Id>) -> bool {
        let going_on = self.state.phase == Phase::Live && self.state.fin == Fin::No;
        let settled = going_on && !self.state.eof;
        // The usual case first: no end in sight.
        if !settled || self.is_upgrading() {
            return self.after_pass_of_some(settled, core, ready);
        }
        if self.moves_on(core) {
            self.line_up(ready);
        }
        false
    }

    #[inline(never)]
    fn after_pass_of_some(
        &mut self,
        settled: bool,
        core: &mut Core,
        ready: &mut VecDeque<Id>,
    ) -> bool {
        if matches!(self.state.phase, Phase::Dialling | Phase::Handshaking | Phase::Closed) {
            return false;
        }
        #[cfg(feature = "tls")]
        self.enqueue_upgrade(core);
        if !settled && self.step_to_end(core) {
            return true;
        }
        if self.has_work(core) {
            self.line_up(ready);
        }
        false
    }

    /// Takes the steps towards its end that can be taken now; returns whether it is to be released.
    fn step_to_end(&mut self, core: &mut Core) -> bool {
        if self.state.doomed {
            return true;
        }
        if self.state.fin == Fin::Cut {
            return !self.has_output(); // Without an end before the reset.
        }
        if self.state.fin == Fin::Asked && self.tx.is_empty() {
            self.end_send(core);
        }
        if self.is_finished() {
            self.begin_close(CloseReason::Eof);
        }
        if self.state.phase == Phase::Flushing && self.tx.is_empty() {
            if self.state.eof && !self.stream.says_goodbye() {
                return true; // Dropping the socket sends our end; a system call saved.
            }
            self.end_send(core);
            let out = !self.state.holding && !self.state.doomed;
            if out && (self.state.eof || !self.begin_linger(core)) {
                return true;
            }
        }
        if self.begins_to_wait_for_user() {
            self.arm(core, Slot::Linger);
        }
        let ended = self.state.phase == Phase::Lingering && self.state.eof;
        self.state.doomed || ended || self.lingers_in_vain(core)
    }

    /// Whether there is no deadline any more for the peer's end that it waits for, not even one beyond all time.
    pub(super) fn lingers_in_vain(&self, core: &Core) -> bool {
        let unarmed = self.state.phase == Phase::Lingering && !self.is_armed(Slot::Linger);
        unarmed && self.duration(core, Slot::Linger).is_none()
    }

    /// Whether the peer's end has come, and the time that its user has to answer does not run yet.
    pub(super) fn begins_to_wait_for_user(&self) -> bool {
        let waits = self.state.phase == Phase::Live && self.state.eof;
        waits && self.state.half_open == HalfOpen::No && !self.is_armed(Slot::Linger)
    }

    /// Ends it for what a read or write met. Where a layer broke it off over what the peer said, the peer is there and to be told: what the
    /// layer has to say goes out, then our end, then the peer's is waited for, so that no reset destroys the alert.
    pub(super) fn break_off(&mut self, core: &mut Core, reason: CloseReason) {
        if !reason.is_ours() {
            return self.doom(reason);
        }
        if self.state.broken_off || self.state.doomed || self.state.phase == Phase::Closed {
            return;
        }
        if self.is_dialled() && !self.state.opened {
            // It may come again, and what is queued with it; the alert gets its one try.
            let _ = self.stream.shutdown(Shutdown::Write);
            return self.doom(reason);
        }
        self.state.broken_off = true;
        self.state.phase = Phase::Flushing;
        self.state.reason = Some(reason);
        core.shared.sub(self.tx.clear());
        self.disarm_all();
        self.arm(core, Slot::Linger);
        self.note_held();
        if self.state.holding {
            self.arm(core, Slot::WriteStall);
        }
    }

    /// Sends our end, once.
    fn end_send(&mut self, core: &mut Core) {
        if self.state.fin == Fin::Sent {
            return;
        }
        self.state.fin = Fin::Sent;
        core.owes_ended |= self.state.drained_owed;
        let before = self.state.holding;
        let shut = self.stream.shutdown(Shutdown::Write);
        self.note_held();
        match shut {
            Ok(()) => {
                self.flush_held(core);
                // A farewell for which there is no room is waited for as long as bytes are; what has left with it is waited for no more.
                self.note_held_since(before, core);
            }
            // The peer is gone; the next read says how.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => self.doom(CloseReason::of(&error)),
        }
    }

    /// Ends a layer in order before its socket is closed, if it has a word for that: all has left, and the peer is not to take that for a torso. Where there
    /// is no room for it any more, no reset follows, which would destroy what is on its way.
    fn say_goodbye(&mut self) {
        if self.is_live() && self.stream.says_goodbye() {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    /// Starts to wait for the peer's end; returns false if that is not wanted.
    fn begin_linger(&mut self, core: &mut Core) -> bool {
        self.disarm_traffic();
        self.state.phase = Phase::Lingering;
        self.arm(core, Slot::Linger)
    }
}

/// Dropped without a `close`: who is still owed bytes must not take their lack for a clean end.
impl Drop for Engine {
    fn drop(&mut self) {
        for remoter in self.slots.iter_mut() {
            if remoter.is_live() && remoter.has_output() {
                // The network says no: then it ends as it will.
                let _ = remoter.stream.set_abortive();
            }
        }
    }
}

impl Engine {
    /// Sees after a pass what became of a connection: released, in line again, or at rest.
    #[inline]
    pub(super) fn after_pass(&mut self, id: Id) {
        if let Some(remoter) = self.slots.get_mut(id)
            && remoter.after_pass(&mut self.core, &mut self.ready)
        {
            self.release(id);
        }
    }

    /// Lets go of a connection: closes the socket, by reset where something was cut off, and tells why.
    ///
    /// Its place stays taken, with what is unread in it, until `Closed` was told; one that nobody knew of is forgotten at once; one that comes
    /// again by itself keeps its place.
    pub(crate) fn release(&mut self, id: Id) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        if remoter.state.phase == Phase::Closed {
            return;
        }
        let reason = *remoter.state.reason.get_or_insert(CloseReason::Local);
        // What waits for a handshake, or for the next connection, was not begun.
        let begun = remoter.state.opened && !remoter.tx.is_empty();
        let torn = remoter.state.half_open == HalfOpen::Joined && !reason.is_clean();
        let cut = begun || torn || remoter.state.fin == Fin::Cut || remoter.stream.held() > 0;
        if !cut && reason == CloseReason::ServerClosed {
            remoter.say_goodbye();
        }
        let shaking = core::mem::take(&mut remoter.state.shaking);
        self.index.forget(remoter, shaking);
        remoter.drop_stream(cut);
        // One that was going over to TLS is among the handshaking ones.
        match (remoter.state.up, remoter.state.opened && !shaking) {
            (_, true) => self.live -= 1,
            (true, false) => self.handshaking -= 1,
            (false, false) => self.dialling -= 1,
        }
        self.core.counters.closed.count(reason);
        self.core.serviced.closed += 1;
        if remoter.comes_again(reason) {
            self.end_round(id, reason);
            self.retry_later(id, reason);
        } else {
            self.end_for_good(id, reason);
        }
    }

    fn end_for_good(&mut self, id: Id, reason: CloseReason) {
        self.end_round(id, reason);
        let Some(remoter) = self.slots.get_mut(id) else { return };
        self.core.shared.sub(remoter.tx.clear());
        remoter.forget_deadlines(&mut self.core);
        remoter.state.phase = Phase::Closed;
        self.leave_lookup_line(id);
        let Some(remoter) = self.slots.get_mut(id) else { return };
        if remoter.is_known() {
            self.core.events.push(Event::Closed(id, reason));
        } else {
            let peer = remoter.peer_addr().clone();
            let acceptor = remoter.acceptor();
            if let Some(acceptor) = acceptor {
                self.rooms.give_back(acceptor);
            }
            self.core.events.push(Event::HandshakeFailed { acceptor, peer, reason });
            self.forget(id);
        }
    }

    /// Releases at once, for a reason of the engine's own.
    pub(crate) fn cut(&mut self, id: Id, reason: CloseReason) {
        if let Some(remoter) = self.slots.get_mut(id) {
            remoter.doom(reason);
            self.release(id);
        }
    }

    /// Takes a live connection out without closing it.
    pub(crate) fn detach(&mut self, id: Id) -> Option<Detached> {
        // What is being cut or broken off has no stream that anybody could go on with, and a reason of its own.
        let sound = |it: &&mut Remoter| it.is_live() && !it.state.doomed && !it.state.broken_off;
        let remoter = self.get_mut(id).filter(sound)?;
        let detached = remoter.detach();
        self.release(id);
        Some(detached)
    }

    /// Gives what is queued of each one try to leave, also where nobody has asked for it since the last tick, and releases all; returns how many there were.
    pub(crate) fn close(&mut self) -> usize {
        self.end_tick(); // Whatever a wait has spent already, there is a tick's budget for it.
        self.begin_tick();
        self.core.tick_left_out = usize::MAX; // Their own budgets are enough of a bound for what is done once.
        self.flush();
        for id in self.ids() {
            let _ = self.send_of(id); // Those that are not live have nothing that may leave.
        }
        self.end_tick();
        self.cut_all(CloseReason::ServerClosed)
    }

    /// Releases all; returns how many there were.
    pub(crate) fn cut_all(&mut self, reason: CloseReason) -> usize {
        let open = self.live + self.handshaking + self.dialling;
        for id in self.ids() {
            self.cut(id, reason);
        }
        open
    }

    /// Forgets a closed connection for good, and with the last one the memory that connections share.
    pub(super) fn forget(&mut self, id: Id) {
        if let Some(remoter) = self.slots.remove(id) {
            self.core.shared.sub(remoter.rx.len());
        }
        if self.slots.len() == 0 {
            debug_assert!(self.index.is_empty(), "an address is kept of nobody");
            self.slots.shrink_if_empty();
            self.core.scratch = BytesMut::new();
            self.core.pool = Pool::default();
        }
    }
}

#[cfg(test)]
#[cfg(feature = "os")]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use super::*;
    use crate::config::Config;
    use crate::connect::Connect;
    use crate::net::os::OsNet;

    #[test]
    fn buffers_that_all_share_go_with_the_last_connection() {
        let mut engine = Engine::new(Config::new(), Box::new(OsNet::new()));
        let ids = [0, 1].map(|_| engine.connect(Connect::to_name("nobody.test", 1)).unwrap());
        engine.begin_tick();
        engine.core.pool.put_back_mut(BytesMut::with_capacity(4096));
        for (id, left) in ids.into_iter().zip([1, 0]) {
            engine.cut(id, CloseReason::Local);
            while engine.poll_event(|_, _| {}).is_some() {}
            engine.forget_closed();
            assert_eq!(engine.slots.len(), left);
            assert_eq!(engine.core.scratch.capacity() > 0, left > 0);
        }
        assert!(engine.core.pool.spare(4096).is_none());
    }
}
