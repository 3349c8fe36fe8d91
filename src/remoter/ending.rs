//! How its user, and its engine, end a connection.

use super::{Fin, HalfOpen, Phase, Remoter, Slot};
use crate::error::CloseReason;

/// # Ending
impl Remoter {
    /// Closes gracefully: what is queued goes out, then our end, then it waits up to `Timeouts::linger` for the peer's end, so that
    /// nothing of what we sent is destroyed by a reset. What comes in meanwhile is thrown away. Repeating it changes nothing.
    ///
    /// A dialled connection that is not usable yet ends at once, with what was queued; to have that sent, use
    /// [`shutdown_send`](Remoter::shutdown_send). It does not come again by itself, nor does one that the engine has begun to end already: that goes on,
    /// and what it began for stays the reason.
    pub fn close(&mut self) {
        self.begin_close(CloseReason::Local);
    }

    /// Ends it with a reset as [`abort`](Remoter::abort) does, but only once what is queued has been handed to the network: the peer gets that and then
    /// sees an error, not an end. Takes as long as a `close`, [`Timeouts::write_stall`](crate::Timeouts::write_stall) without progress at the most; where
    /// nothing is queued, or it never was usable, it is an abort at once. What comes in meanwhile is thrown away. Repeating it changes nothing.
    pub fn abort_once_sent(&mut self) {
        if self.is_closing() {
            return self.note_end(CloseReason::Aborted);
        }
        if !self.is_live() || !self.has_output() {
            return self.abort();
        }
        self.state.fin = Fin::Cut; // First: what the system still holds is lost with the reset, so it is not given more than it asks for.
        self.begin_close(CloseReason::Aborted);
    }

    /// Ends it at once with a reset: what is queued is thrown away, and the peer sees an error, not an end. Touches the network now.
    ///
    /// Unix sockets have no such word: there the peer sees a plain end, unless it has sent what was not read here (on Linux that is a reset). A protocol
    /// over them must say itself what is whole.
    pub fn abort(&mut self) {
        if self.state.phase != Phase::Closed {
            self.doom(CloseReason::Aborted);
            self.drop_stream(true);
        }
    }

    /// Ends our half once all that is queued has gone out; the peer can go on sending.
    pub fn shutdown_send(&mut self) {
        if self.may_send() {
            self.state.fin = Fin::Asked;
        }
    }

    /// Stops receiving: what is unread stays, what still comes is thrown away. The peer is not told, TCP having no word for it.
    pub fn shutdown_receive(&mut self) {
        // Of one that is over nothing comes any more; what comes next is another one's.
        self.state.receive_shut |= self.is_open();
    }

    /// Whether this connection stays when its peer ends its half; see [`Config::half_open`](crate::Config::half_open).
    pub fn set_half_open(&mut self, half_open: bool) {
        self.state.half_open = HalfOpen::of(half_open);
        self.ask_for_loss();
    }

    /// A relay has joined it to another one, or has let go of it.
    pub(crate) fn set_joined(&mut self, joined: bool) {
        self.state.half_open = if joined { HalfOpen::Joined } else { HalfOpen::Yes };
        self.ask_for_loss();
    }

    /// Who stays after the peer's end wants to know whether a reset came with it.
    fn ask_for_loss(&mut self) {
        self.state.ending |= self.state.eof && self.state.half_open != HalfOpen::No;
    }

    /// Whether `close` was called or the engine is closing it.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !matches!(self.state.phase, Phase::Dialling | Phase::Handshaking | Phase::Live)
    }

    /// Why it is closing or was closed; `None` while it is not.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.state.reason
    }

    /// Marks it as closing; the passes over it take the steps.
    pub(crate) fn begin_close(&mut self, reason: CloseReason) {
        self.note_end(reason);
        if !self.state.opened {
            return self.doom(reason);
        }
        if matches!(self.state.phase, Phase::Live | Phase::Handshaking) && !self.state.doomed {
            // A layer that has not come to speak yet would not hear of the peer's end.
            self.state.broken_off |= self.state.phase == Phase::Handshaking;
            self.state.phase = Phase::Flushing;
            self.state.reason = Some(reason);
            self.forget_upgrade();
            // Nobody waits any more for its user, or for a first word of the peer: what still goes out must not be cut by either.
            self.disarm(Slot::FirstByte);
            self.disarm(Slot::Linger);
            if !self.state.writable && self.has_output() {
                self.state.writable = self.finds_room_for_the_last();
            }
        }
    }

    /// Lets the engine release it at once with `reason`, whatever is queued.
    pub(crate) fn doom(&mut self, reason: CloseReason) {
        self.note_end(reason);
        if self.state.phase != Phase::Closed && !self.state.doomed {
            self.state.doomed = true;
            if !self.state.broken_off {
                self.state.reason = Some(reason);
            }
            self.forget_upgrade();
            self.state.phase = Phase::Flushing;
        }
    }

    /// Where its user ends it, it comes again no more, whatever it ends for already.
    fn note_end(&mut self, reason: CloseReason) {
        if let Some(dial) = &mut self.dial {
            dial.begin_end(reason);
        }
    }

    /// It is ending: there is nothing to go over to any more.
    fn forget_upgrade(&mut self) {
        #[cfg(feature = "tls")]
        {
            self.upgrade = None;
        }
    }
}
