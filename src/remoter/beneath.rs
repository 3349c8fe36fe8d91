//! The stream that a connection runs on.

#[cfg(not(feature = "tls"))]
use bytes::Bytes;

use super::{Detached, Phase, Remoter};
use crate::error::CloseReason;
use crate::net::{NoStream, Stream};
use crate::wire::{Tap, WireLog};

/// # The stream beneath
impl Remoter {
    /// The stream it runs on, outermost middleware first.
    #[must_use]
    pub fn stream(&self) -> &dyn Stream {
        &*self.stream
    }

    /// Puts middleware around the stream, or takes it off: `wrap` gets the stream and gives back what is to stand in its place.
    /// It must be registered already, or be a wrapper of what is. Where the peer's address is another then, it is counted and found by that from the next
    /// `service`, `wait` or `service_sends` on.
    pub fn wrap(&mut self, wrap: impl FnOnce(Box<dyn Stream>) -> Box<dyn Stream>) {
        if self.state.phase == Phase::Closed || self.state.doomed {
            return;
        }
        let before = self.is_counted().then(|| self.counted_as().clone());
        let stream = self.take_stream();
        self.stream = wrap(stream);
        if let Some(before) = before {
            self.stay_counted_as(before);
        }
        self.state.short_read_drains = self.stream.short_read_drains();
        self.state.holding = self.stream.held() > 0;
        // What the new layer knows is not known: look.
        self.state.readable = true;
        self.state.writable = true;
    }

    /// Logs from now on what really moves on this connection, as its user sees it (above TLS, if there is any); `None` ends that, and
    /// then it costs nothing. A log that other layers were put around since ends as well. One that is dialled must be up; when it comes again it
    /// is logged as its owner's `set_wire_log` says.
    pub fn set_wire_log(&mut self, log: Option<WireLog>) {
        self.wrap(|stream| match (Tap::silence(stream).0, log) {
            (stream, Some(log)) => Tap::asked_for(stream, log),
            (stream, None) => stream,
        });
    }

    pub(crate) fn take_stream(&mut self) -> Box<dyn Stream> {
        let gone = NoStream::after(&*self.stream);
        core::mem::replace(&mut self.stream, Box::new(gone))
    }

    pub(crate) fn detach(&mut self) -> Detached {
        let ahead = self.take_ahead();
        self.doom(CloseReason::Detached);
        // What was read ahead for TLS is unread again: whoever goes on with the stream begins with it.
        let unread = match (self.take(), ahead) {
            (unread, ahead) if unread.is_empty() => ahead,
            (unread, ahead) => [ahead, unread].concat().into(),
        };
        self.shared.sub(self.tx.len());
        Detached { stream: self.take_stream(), unread, unsent: self.tx.take() }
    }

    #[cfg(not(feature = "tls"))]
    fn take_ahead(&mut self) -> Bytes {
        Bytes::new()
    }

    pub(crate) fn drop_stream(&mut self, abortive: bool) {
        let gone = NoStream::instead_of(&mut *self.stream);
        let mut stream = core::mem::replace(&mut self.stream, Box::new(gone));
        if abortive {
            // If even that fails, the plain close that follows is all there is.
            let _ = stream.set_abortive();
        }
    }
}
