//! Futures made of polls. Dropped, they leave no waker behind.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::id::{AcceptorId, EndpointId, Id};

/// Who waits at the desk.
#[derive(Copy, Clone, Debug)]
pub(super) enum Who {
    Reader(Id),
    Writer(Id),
    Listener(AcceptorId),
    Receiver(EndpointId),
    Sender(EndpointId),
}

/// Is ready when `poll` is. Dropped after it has waited, it calls `stop`, which takes its waker back.
pub(super) fn waiting<T>(
    poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    stop: impl FnMut(),
) -> impl Future<Output = T> {
    Waiting { poll, stop, waited: false }
}

struct Waiting<P, S: FnMut()> {
    poll: P,
    stop: S,
    waited: bool,
}

/// Neither of the two is ever pinned.
impl<P, S: FnMut()> Unpin for Waiting<P, S> {}

impl<T, P: FnMut(&mut Context<'_>) -> Poll<T>, S: FnMut()> Future for Waiting<P, S> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let polled = (self.poll)(context);
        self.waited |= polled.is_pending();
        polled
    }
}

impl<P, S: FnMut()> Drop for Waiting<P, S> {
    fn drop(&mut self) {
        if self.waited {
            (self.stop)();
        }
    }
}
