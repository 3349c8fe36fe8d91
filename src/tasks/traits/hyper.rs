//! What hyper wants of a runtime: streams, an executor, timers.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use hyper::rt::{Executor, Read, ReadBufCursor, Timer, Write};

use super::{HasConn, TaskStream};
use crate::remoter::Remoter;
use crate::tasks::Handle;
use crate::tasks::time::{Sleep, Timers};
use crate::tyme::Tyme;

impl Read for TaskStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let fill = |remoter: &mut Remoter| {
            let count = remoter.rx().len().min(buf.remaining());
            buf.put_slice(&remoter.rx()[..count]);
            remoter.consume(count);
        };
        HasConn::conn(&*self).poll_read(context, fill).map_ok(|_| ())
    }
}

impl Write for TaskStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        HasConn::conn(&*self).poll_write(context, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        HasConn::conn(&*self).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        HasConn::conn(&*self).poll_flush()
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        HasConn::conn(&*self).poll_shutdown(context)
    }
}

/// What hyper wants to run is a task like others; beyond the limit of tasks it is dropped, which hyper takes for the end of that stream.
impl<F: Future + 'static> Executor<F> for Handle {
    fn execute(&self, future: F) {
        drop(self.spawn(future));
    }
}

impl Handle {
    /// hyper's timer on this clock: its time-outs and keep-alives pass in tyme. Feature `hyper`.
    ///
    /// To hyper the tyme of now is this moment's `Instant`, and goes on from there as tyme does.
    #[must_use]
    pub fn hyper_timer(&self) -> HyperTimer {
        let timers = Arc::clone(&self.shared.timers);
        HyperTimer { anchor: (anchor(), timers.own_latest()), timers }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no other way to an `Instant`; only differences to it count, and they are tyme"
)]
fn anchor() -> Instant {
    Instant::now()
}

/// A timer for hyper's builders; see [`Handle::hyper_timer`]. Feature `hyper`.
#[derive(Clone)]
pub struct HyperTimer {
    timers: Arc<Timers>,
    /// A moment, and what it was in the tasks' own time.
    anchor: (Instant, Tyme),
}

impl HyperTimer {
    fn own_of(&self, instant: Instant) -> Tyme {
        let (anchor, own) = self.anchor;
        match instant.checked_duration_since(anchor) {
            Some(after) => own + after,
            None => {
                let before = anchor.duration_since(instant);
                Tyme::ZERO + (own - Tyme::ZERO).saturating_sub(before)
            }
        }
    }
}

impl Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep::until(&self.timers, self.timers.own_latest() + duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep::until(&self.timers, self.own_of(deadline)))
    }

    fn now(&self) -> Instant {
        let (anchor, own) = self.anchor;
        let since = self.timers.own_latest() - own;
        // Beyond what an `Instant` can say nothing is due any more.
        anchor.checked_add(since).unwrap_or(anchor)
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(mut ours) => ours.reset_until(self.own_of(new_deadline)),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

impl hyper::rt::Sleep for Sleep {}

impl core::fmt::Debug for HyperTimer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HyperTimer").field("tyme", &self.timers.now()).finish_non_exhaustive()
    }
}
