//! How long to wait before connecting again.

use core::time::Duration;

use crate::random::SplitMix;

/// The waits between the tries of a connection that comes again by itself: exponential, with jitter.
///
/// The first wait is about [`first`](Backoff::first), each further one in a row about twice the one before, up to [`most`](Backoff::most).
/// They begin anew only once data has come back, not when a connection merely comes up: a server that accepts and drops is
/// no better than one that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// Before the first new try. Default 500 ms; less than 1 ms counts as 1 ms.
    pub first: Duration,
    /// The longest wait. Default 30 s.
    pub most: Duration,
    /// Draw each wait evenly from between half of it and all of it, so that clients which one server's end has thrown out together do not
    /// come back together. Default on. The draws follow from [`Config::seed`](crate::Config::seed).
    pub jitter: bool,
}

/// Shorter waits would be a loop.
const LEAST: Duration = Duration::from_millis(1);

impl Backoff {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Backoff { first: Duration::from_millis(500), most: Duration::from_secs(30), jitter: true }
    }

    /// The same wait each time, without jitter.
    #[must_use]
    pub fn every(wait: Duration) -> Self {
        Backoff { first: wait, most: wait, jitter: false }
    }

    /// The wait after `failures` tries in a row have failed before this one.
    pub(crate) fn wait(&self, failures: u32, random: &mut SplitMix) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX).max(1);
        let full = self.first.max(LEAST).saturating_mul(factor).min(self.most.max(LEAST));
        if !self.jitter {
            return full;
        }
        let nanos = u64::try_from(full.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos - random.up_to(nanos / 2))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_never_overflow() {
        let backoff = Backoff { jitter: false, ..Backoff::new() };
        let mut random = SplitMix::named(1, 1);
        let waits: Vec<u128> = [0, 1, 2, 5, 6, 7, 31, 32, 33, u32::MAX]
            .into_iter()
            .map(|failures| backoff.wait(failures, &mut random).as_millis())
            .collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000]
        );
        let endless = Backoff { first: Duration::MAX, most: Duration::MAX, jitter: true };
        assert!(endless.wait(u32::MAX, &mut random) > Duration::from_secs(1 << 32));
        let none = Backoff::every(Duration::ZERO);
        assert_eq!(none.wait(3, &mut random), LEAST, "never a loop");
    }

    #[test]
    fn jitter_stays_between_half_and_all_and_uses_that_room() {
        let backoff = Backoff::every(Duration::from_secs(10));
        let backoff = Backoff { jitter: true, ..backoff };
        let mut random = SplitMix::named(7, 3);
        let waits: Vec<f64> =
            (0..1000).map(|_| backoff.wait(0, &mut random).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (5.0..=10.0).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 5.1) && waits.iter().any(|wait| *wait > 9.9));
        let mean = waits.iter().sum::<f64>() / 1000.0;
        assert!((7.3..7.7).contains(&mean), "{mean}");
    }

    #[test]
    fn the_same_seed_draws_the_same_and_names_differ() {
        let draw = |seed, name| {
            let mut random = SplitMix::named(seed, name);
            [random.next(), random.next()]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2), draw(2, 1));
    }
}
