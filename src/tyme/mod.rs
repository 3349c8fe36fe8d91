//! Time: who advances it, who reads it, and what is due when.
//!
//! Three roles that are often one object are three here. A [`Tymist`] *owns* a clock and is the only thing
//! that advances it. A [`Tymth`] is a cheap handle that only *reads* it. A [`Tymer`] is one deadline, a value
//! that is told the time and never looks for it. The engine keeps all its deadlines in one [`Wheel`].
//!
//! Nothing in here reads a real clock; [`Tymist::realtime`] comes from the room that may.

mod tymer;
mod tymist;
mod wheel;

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

pub use tymer::Tymer;
pub use tymist::{Backwards, Tymist, Tymth};
pub use wheel::{Timer, Wheel};

/// A point in time: nanoseconds since the origin of the clock it was read from.
///
/// An integer, so a million ticks add up exactly. Arithmetic saturates: [`Tyme::NEVER`] is the far end,
/// 584 years after the origin, and stands for "no deadline".
///
/// ```
/// use std::time::Duration;
/// use tymist::tyme::Tyme;
///
/// let start = Tyme::from_secs(10);
/// let later = start + Duration::from_millis(500);
/// assert_eq!(later - start, Duration::from_millis(500));
/// assert_eq!(start - later, Duration::ZERO);
/// assert_eq!(Tyme::NEVER + Duration::from_secs(1), Tyme::NEVER);
/// ```
#[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tyme(u64);

impl Tyme {
    /// The origin of every clock.
    pub const ZERO: Tyme = Tyme(0);
    /// Later than anything that happens: no deadline.
    pub const NEVER: Tyme = Tyme(u64::MAX);

    /// `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Tyme(nanos)
    }

    /// `secs` seconds after the origin; saturates at [`Tyme::NEVER`].
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Tyme(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the origin, for printing; not exact beyond 2^53 ns (104 days).
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        Duration::from_nanos(self.0).as_secs_f64()
    }

    /// Whether it has come at `now`. What is never has not, at the end of all time either.
    #[inline]
    pub(crate) fn has_come(self, now: Tyme) -> bool {
        self <= now && self != Tyme::NEVER
    }

    /// Time from `earlier` to here, or `None` if `earlier` is later than this.
    #[must_use]
    pub fn checked_since(self, earlier: Tyme) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }
}

/// Nanoseconds of `duration`, saturating at 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    let secs = duration.as_secs().saturating_mul(1_000_000_000);
    secs.saturating_add(u64::from(duration.subsec_nanos()))
}

impl Add<Duration> for Tyme {
    type Output = Tyme;
    #[inline]
    fn add(self, duration: Duration) -> Tyme {
        Tyme(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Tyme {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// Time between two points, zero if the left one is the earlier.
impl Sub for Tyme {
    type Output = Duration;
    #[inline]
    fn sub(self, earlier: Tyme) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Tyme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Seconds with nine decimals: `12.000000001`, or `never`.
impl fmt::Display for Tyme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Tyme::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}
