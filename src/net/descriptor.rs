//! What a loop of somebody else's can wait on.

use core::fmt;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

/// A descriptor that polls as readable while somebody has something to do: what a loop waits on for an engine, or for a doer.
///
/// A handle: cheap to clone, without a system call, and what it names stays open while a handle is there. So two of them that are
/// [`same`](Descriptor::same) are so for certain, where equal numbers would not tell. On systems other than Unix there is none.
#[derive(Clone)]
pub struct Descriptor {
    #[cfg(unix)]
    held: Arc<dyn AsFd + Send + Sync>,
    #[cfg(not(unix))]
    held: Arc<core::convert::Infallible>,
}

impl Descriptor {
    /// Of something that has one: a pipe's end, a `timerfd`, an `OwnedFd`, an `Arc` of any.
    #[cfg(unix)]
    #[must_use]
    pub fn new(held: impl AsFd + Send + Sync + 'static) -> Self {
        Descriptor { held: Arc::new(held) }
    }

    /// Of something that is shared already: its handles are the [`same`](Descriptor::same).
    #[cfg(unix)]
    #[must_use]
    pub fn shared(held: Arc<dyn AsFd + Send + Sync>) -> Self {
        Descriptor { held }
    }

    /// Whether both are handles to one thing.
    #[must_use]
    pub fn same(&self, other: &Descriptor) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
    }
}

#[cfg(unix)]
impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}

#[cfg(unix)]
impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.held.as_fd().as_raw_fd()
    }
}

#[cfg(unix)]
impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Descriptor").field(&self.as_raw_fd()).finish()
    }
}

/// There are none.
#[cfg(not(unix))]
impl fmt::Debug for Descriptor {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.held {}
    }
}
