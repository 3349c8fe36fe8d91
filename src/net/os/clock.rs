//! The clock of the operating system's network.

use std::time::Instant;

use crate::tyme::Tyme;

/// The monotonic clock, counted from a moment of its own.
#[derive(Copy, Clone)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock { origin: instant() }
    }

    #[inline]
    pub(super) fn now(self) -> Tyme {
        Tyme::ZERO + instant().duration_since(self.origin)
    }
}

#[inline]
#[expect(clippy::disallowed_methods, reason = "this room is where real time comes from")]
fn instant() -> Instant {
    Instant::now()
}
