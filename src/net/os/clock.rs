//! The clock of the operating system's network.

use core::time::Duration;

use crate::tyme::Tyme;

/// The monotonic clock, counted from a moment of its own.
#[derive(Copy, Clone)]
pub(super) struct Clock {
    origin: imp::Moment,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock { origin: imp::now() }
    }

    #[inline]
    pub(super) fn now(self) -> Tyme {
        imp::since(self.origin)
    }

    /// What the calling thread has taken of its core, where that is known.
    pub(super) fn cpu_time() -> Option<Duration> {
        imp::cpu_time()
    }
}

/// As the number it is: a tick reads it twice, and `Instant` with its differences is three times the work.
#[cfg(target_os = "linux")]
mod imp {
    use core::time::Duration;

    use nix::sys::time::TimeValLike as _;
    use nix::time::{ClockId, clock_gettime};

    use crate::tyme::Tyme;

    /// Nanoseconds since the machine began.
    pub(super) type Moment = u64;

    #[inline]
    pub(super) fn now() -> Moment {
        // There is such a clock, and `TimeSpec` is a good place for what it says: nothing is left that could fail.
        let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return 0 };
        // Never negative, and there are 292 years before it is too large.
        time.num_nanoseconds().unsigned_abs()
    }

    #[inline]
    pub(super) fn since(origin: Moment) -> Tyme {
        Tyme::from_nanos(now().saturating_sub(origin))
    }

    pub(super) fn cpu_time() -> Option<Duration> {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from)
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this room is where real time comes from")]
mod imp {
    use core::time::Duration;
    use std::time::Instant;

    use crate::tyme::Tyme;

    pub(super) type Moment = Instant;

    pub(super) fn now() -> Moment {
        Instant::now()
    }

    pub(super) fn since(origin: Moment) -> Tyme {
        Tyme::ZERO + now().duration_since(origin)
    }

    pub(super) fn cpu_time() -> Option<Duration> {
        None
    }
}
