//! One deadline, as a value.

use core::time::Duration;

use super::{Tyme, nanos};

/// One deadline: a start and a duration, told the time and never looking for it.
///
/// It has two ways to go on, which must not be confused. [`refresh`](Tymer::refresh) starts anew from *now*: it is
/// what an idle timeout wants, since traffic now means the next silence begins now. [`extend`](Tymer::extend) starts
/// anew from the *old deadline*: it is what a steady beat wants, since a late tick must not make every later beat late.
///
/// ```
/// use std::time::Duration;
/// use tymist::tyme::{Tyme, Tymer};
///
/// let mut tymer = Tymer::new(Tyme::ZERO, Duration::from_secs(1));
/// let now = Tyme::from_nanos(1_400_000_000);
/// assert!(tymer.expired(now));
/// tymer.extend();
/// assert_eq!(tymer.stop(), Tyme::from_secs(2)); // the beat goes on at whole seconds
/// tymer.refresh(now);
/// assert_eq!(tymer.stop(), Tyme::from_nanos(2_400_000_000)); // one second of silence from now
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Tymer {
    start: Tyme,
    duration: Duration,
}

impl Tymer {
    /// A deadline `duration` after `start`, which may lie before or after now.
    #[must_use]
    pub fn new(start: Tyme, duration: Duration) -> Self {
        Tymer { start, duration }
    }

    /// When it was started.
    #[must_use]
    pub fn start(&self) -> Tyme {
        self.start
    }

    /// How long it runs.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The deadline: start plus duration.
    #[must_use]
    pub fn stop(&self) -> Tyme {
        self.start + self.duration
    }

    /// Time since the start, zero before it.
    #[must_use]
    pub fn elapsed(&self, now: Tyme) -> Duration {
        now - self.start
    }

    /// Time left, zero once expired.
    #[must_use]
    pub fn remaining(&self, now: Tyme) -> Duration {
        self.stop() - now
    }

    /// Nanoseconds left, negative once the deadline has passed; saturates at ±292 years.
    #[must_use]
    pub fn remaining_nanos(&self, now: Tyme) -> i64 {
        let left = i128::from(self.stop().as_nanos()) - i128::from(now.as_nanos());
        i64::try_from(left).unwrap_or(if left < 0 { i64::MIN } else { i64::MAX })
    }

    /// Time since the deadline passed, zero before it.
    #[must_use]
    pub fn overdue(&self, now: Tyme) -> Duration {
        now - self.stop()
    }

    /// Whether the deadline has come: true from the very nanosecond of [`stop`](Tymer::stop). A duration of
    /// zero has expired at once.
    #[must_use]
    pub fn expired(&self, now: Tyme) -> bool {
        now >= self.stop()
    }

    /// Starts anew from now with the same duration.
    pub fn refresh(&mut self, now: Tyme) {
        self.start = now;
    }

    /// Starts anew from the old deadline with the same duration: lossless, so beats do not drift.
    pub fn extend(&mut self) {
        self.start = self.stop();
    }

    /// Starts anew from the old deadline with another duration (hio's `restart(duration)`): as lossless as [`extend`](Tymer::extend).
    pub fn restart(&mut self, duration: Duration) {
        self.start = self.stop();
        self.duration = duration;
    }

    /// Skips the beats that have already passed: like [`extend`](Tymer::extend) as often as it takes for the
    /// deadline to lie after `now`, in constant time. Returns how many deadlines had come.
    ///
    /// A duration of zero cannot be caught up with; it then counts as one beat and starts at `now`.
    pub fn catch_up(&mut self, now: Tyme) -> u64 {
        if !self.expired(now) {
            return 0;
        }
        let step = nanos(self.duration);
        if step == 0 {
            self.start = now;
            return 1;
        }
        let beats = nanos(now - self.start) / step;
        self.start =
            Tyme::from_nanos(self.start.as_nanos().saturating_add(beats.saturating_mul(step)));
        beats
    }
}
