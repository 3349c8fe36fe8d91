//! What can be done with a connection, as polls: what both halves of a stream and all trait implementations come down to.

use core::cell::Cell;
use core::future::Future;
use core::task::{Context, Poll};
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::desk::{Desk, Entry};
use super::errors::{dial_error, error_of, send_shut};
use super::shared::{Late, Shared, gone};
use super::waiting::{Who, waiting};
use crate::error::{CloseReason, TxError};
use crate::id::Id;
use crate::remoter::Remoter;

/// A connection that somebody has. Whoever is the last to let go of it closes it.
pub(super) struct Conn {
    shared: Rc<Shared>,
    id: Id,
    /// Let go of, it is reset instead of closed.
    abort: Cell<bool>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        let abort = self.abort.get() || self.shared.is_failing();
        self.shared.let_go(Late::Leave { id: self.id, abort });
    }
}

/// What a poll of a connection finds.
type Found<T> = Poll<io::Result<T>>;

impl Conn {
    /// Of a connection that has an entry as held.
    pub(super) fn new(shared: &Rc<Shared>, id: Id) -> Self {
        Conn { shared: Rc::clone(shared), id, abort: Cell::new(false) }
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn set_abort(&self) {
        self.abort.set(true);
    }

    fn poll_with<T>(
        &self,
        act: impl FnOnce(&mut Remoter) -> Option<io::Result<T>>,
        wait: impl FnOnce(&mut Entry),
    ) -> Found<T> {
        let polled = self.shared.with_desk(|desk| {
            let Some(remoter) = desk.server.remoter_mut(self.id) else {
                return Poll::Ready(Err(gone()));
            };
            if let Some(done) = act(remoter) {
                return Poll::Ready(done);
            }
            if let Some(entry) = desk.entry(self.id) {
                wait(entry);
            }
            Poll::Pending
        });
        match polled {
            Ok(Poll::Ready(done)) => {
                self.shared.queue.tell_owner();
                Poll::Ready(done)
            }
            Ok(Poll::Pending) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Looks at it or changes it, whatever its state.
    pub(super) fn with_remoter<T>(&self, act: impl FnOnce(&mut Remoter) -> T) -> io::Result<T> {
        self.shared.change(|desk| desk.server.remoter_mut(self.id).map(act))?.ok_or_else(gone)
    }

    /// A future of a poll that waits for what comes in.
    pub(super) fn reading<T>(
        &self,
        poll: impl FnMut(&mut Context<'_>) -> Found<T>,
    ) -> impl Future<Output = io::Result<T>> {
        waiting(poll, || self.stop_reading())
    }

    /// One of a poll that waits for room, or until all is out.
    pub(super) fn writing<T>(
        &self,
        poll: impl FnMut(&mut Context<'_>) -> Found<T>,
    ) -> impl Future<Output = io::Result<T>> {
        waiting(poll, || self.shared.stop_waiting(Who::Writer(self.id)))
    }

    /// Nobody reads any more.
    pub(super) fn stop_reading(&self) {
        self.shared.stop_waiting(Who::Reader(self.id));
    }

    // In.

    /// Waits until something is unread, which `take` then takes from; `None` at the peer's end. What is unread comes before what became of the connection.
    pub(super) fn poll_read<T>(
        &self,
        context: &Context<'_>,
        take: impl FnOnce(&mut Remoter) -> T,
    ) -> Found<Option<T>> {
        let act = |remoter: &mut Remoter| {
            if remoter.can_receive() {
                return Some(Ok(Some(take(remoter))));
            }
            if remoter.met_end() {
                return Some(Ok(None));
            }
            match remoter.close_reason()? {
                CloseReason::Eof => Some(Ok(None)),
                reason => Some(Err(error_of(reason))),
            }
        };
        self.poll_with(act, |entry| entry.reader.wait(self.shared.caller(context)))
    }

    /// Reads into `buf` what is there, as far as it fits.
    pub(super) fn poll_read_into(&self, context: &Context<'_>, buf: &mut [u8]) -> Found<usize> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let read = self.poll_read(context, |remoter| {
            let count = remoter.rx().len().min(buf.len());
            buf[..count].copy_from_slice(&remoter.rx()[..count]);
            remoter.consume(count)
        });
        read.map_ok(Option::unwrap_or_default)
    }

    /// Puts back what was read and is not wanted after all.
    pub(super) fn unread(&self, data: &[u8]) {
        if !data.is_empty() {
            self.shared.let_go(Late::Unread(self.id, Bytes::copy_from_slice(data)));
        }
    }

    // Out.

    /// Queues as much of `data` as there is room for, which is waited for.
    pub(super) fn poll_write(&self, context: &Context<'_>, data: &[u8]) -> Found<usize> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let act = |remoter: &mut Remoter| written(remoter.tx(data), remoter);
        self.poll_with(act, |entry| entry.writer.wait(self.shared.caller(context)))
    }

    /// The same without a copy, off the front of `data`.
    pub(super) fn poll_write_bytes(&self, context: &Context<'_>, data: &mut Bytes) -> Found<usize> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let act = |remoter: &mut Remoter| written(remoter.tx_bytes(data), remoter);
        self.poll_with(act, |entry| entry.writer.wait(self.shared.caller(context)))
    }

    /// Several pieces at once.
    #[cfg(any(feature = "futures-io", feature = "tokio-io", feature = "hyper"))]
    pub(super) fn poll_write_vectored(
        &self,
        context: &Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Found<usize> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let act = |remoter: &mut Remoter| {
            let mut total = 0;
            for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                match written(remoter.tx(piece), remoter) {
                    Some(Ok(count)) => {
                        total += count;
                        if count < piece.len() {
                            break;
                        }
                    }
                    Some(Err(error)) if total == 0 => return Some(Err(error)),
                    Some(Err(_)) | None => break,
                }
            }
            (total > 0).then_some(Ok(total))
        };
        self.poll_with(act, |entry| entry.writer.wait(self.shared.caller(context)))
    }

    /// Whether it can still be written to.
    #[cfg(any(feature = "futures-io", feature = "tokio-io", feature = "hyper"))]
    pub(super) fn poll_flush(&self) -> Found<()> {
        let looked = self.with_remoter(|remoter| match remoter.close_reason() {
            Some(reason) if !reason.is_clean() => Err(error_of(reason)),
            _ => Ok(()),
        });
        Poll::Ready(looked.and_then(|looked| looked))
    }

    /// Waits until all that was queued has been handed to the network.
    pub(super) fn poll_drained(&self, context: &Context<'_>) -> Found<()> {
        let act = |remoter: &mut Remoter| match remoter.close_reason() {
            Some(reason) if !reason.is_clean() => Some(Err(error_of(reason))),
            // Of one that is closing its end tells, and whether all got out.
            _ if remoter.has_output() && !remoter.is_over() => {
                remoter.want_drained();
                None
            }
            _ => Some(Ok(())),
        };
        self.poll_with(act, |entry| entry.writer.wait(self.shared.caller(context)))
    }

    /// Ends our half, and waits until all that was queued and that end have been handed to the network.
    pub(super) fn poll_shutdown(&self, context: &Context<'_>) -> Found<()> {
        let (begins, upgrades) = (Cell::new(false), Cell::new(false));
        let act = |remoter: &mut Remoter| {
            begins.set(remoter.may_send());
            upgrades.set(remoter.is_upgrading());
            remoter.shutdown_send();
            if remoter.has_sent_end() {
                return Some(Ok(()));
            }
            match remoter.close_reason() {
                Some(reason) if !reason.is_clean() => Some(Err(error_of(reason))),
                Some(_) if remoter.is_over() => Some(Ok(())),
                // Of one that is closing its end tells, and whether all got out.
                _ => {
                    remoter.want_drained();
                    None
                }
            }
        };
        let polled = self.poll_with(act, |entry| {
            entry.ends_behind = upgrades.get();
            entry.writer.wait(self.shared.caller(context));
        });
        if begins.get() {
            // Of all polls that wait this is the one that leaves the server work to do.
            self.shared.queue.tell_owner();
        }
        polled
    }

    /// Ends our half; after a panic both, by a reset, so that what was being said does not look whole.
    pub(super) fn end_send(&self) {
        let failing = self.shared.is_failing();
        self.shared.let_go(if failing { Late::Abort(self.id) } else { Late::EndSend(self.id) });
    }

    // Beginning and ending.

    /// Waits until a dialled connection is usable.
    pub(super) fn poll_up(&self, context: &Context<'_>) -> Found<()> {
        let look = |desk: &mut Desk| {
            let reason = desk.server.remoter(self.id).and_then(Remoter::close_reason);
            let Some(entry) = desk.entry(self.id) else { return Poll::Ready(Err(gone())) };
            if entry.is_up {
                return Poll::Ready(Ok(()));
            }
            if let Some(reason) = reason {
                return Poll::Ready(Err(dial_error(reason, entry.unresolved.as_deref())));
            }
            entry.reader.wait(self.shared.caller(context));
            Poll::Pending
        };
        self.shared.with_desk(look).unwrap_or_else(|error| Poll::Ready(Err(error)))
    }

    /// Waits until it has ended, for this reason.
    pub(super) fn poll_closed(&self, context: &Context<'_>) -> Found<CloseReason> {
        let look = |desk: &mut Desk| {
            let reason = desk.server.remoter(self.id).and_then(Remoter::close_reason);
            let Some(entry) = desk.entry(self.id) else { return Poll::Ready(Err(gone())) };
            match reason {
                Some(reason) if entry.is_told() => Poll::Ready(Ok(reason)),
                _ => {
                    entry.reader.wait(self.shared.caller(context));
                    Poll::Pending
                }
            }
        };
        self.shared.with_desk(look).unwrap_or_else(|error| Poll::Ready(Err(error)))
    }

    /// Waits until it has gone over to TLS, or has ended instead.
    #[cfg(feature = "tls")]
    pub(super) fn poll_upgraded(&self, context: &Context<'_>) -> Found<()> {
        let act = |remoter: &mut Remoter| match remoter.close_reason() {
            Some(reason) => Some(Err(error_of(reason))),
            None if remoter.is_upgrading() => None,
            None => Some(Ok(())),
        };
        self.poll_with(act, |entry| entry.reader.wait(self.shared.caller(context)))
    }
}

/// What became of queueing; `None` where there is no room, as there is none on the way to TLS.
fn written(queued: Result<usize, TxError>, remoter: &Remoter) -> Option<io::Result<usize>> {
    match queued {
        Ok(0) | Err(TxError::Upgrading) => None,
        Ok(count) => Some(Ok(count)),
        Err(TxError::Closed | TxError::Gone) => Some(Err(match remoter.close_reason() {
            Some(reason) if !reason.is_clean() => error_of(reason),
            _ => io::ErrorKind::BrokenPipe.into(),
        })),
        Err(TxError::SendShut) => Some(Err(send_shut())),
        Err(error @ TxError::Overflow) => Some(Err(io::Error::other(error))),
    }
}
