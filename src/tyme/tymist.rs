//! The clock ([`Tymist`]) and the handles that read it ([`Tymth`]).

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::{Tyme, nanos};

/// A clock that its owner advances.
///
/// It moves by a fixed [`tock`](Tymist::tock) per [`tick`](Tymist::tick), by any amount, or to a given tyme; or
/// it follows a clock of the outside world. It never goes backwards. Whatever is *wound* to one of its
/// [handles](Tymist::tymth) sees the new tyme at once.
///
/// ```
/// use std::time::Duration;
/// use tymist::tyme::{Tyme, Tymist};
///
/// let mut tymist = Tymist::new(); // tyme 0, tock 1/32 s
/// let tymth = tymist.tymth();
/// tymist.tick();
/// assert_eq!(tymth.tyme(), Tyme::from_nanos(31_250_000));
/// tymist.tick_by(Duration::from_secs(1));
/// assert_eq!(tymth.tyme(), Tyme::from_nanos(1_031_250_000));
/// ```
pub struct Tymist {
    tyme: Arc<AtomicU64>,
    tock: Duration,
    /// The followed clock, as a tyme of this one.
    source: Option<Source>,
}

type Source = Arc<Mutex<dyn FnMut() -> Tyme + Send>>;

impl Tymist {
    /// Default length of one tick: 1/32 s, exact in binary and in nanoseconds.
    pub const TOCK: Duration = Duration::from_nanos(31_250_000);

    /// A clock at tyme 0 with the default tock.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(Tyme::ZERO)
    }

    /// A clock that starts at `tyme`, with the default tock.
    #[must_use]
    pub fn starting_at(tyme: Tyme) -> Self {
        Tymist { tyme: Arc::new(AtomicU64::new(tyme.as_nanos())), tock: Self::TOCK, source: None }
    }

    /// A clock that starts at 0 and from then on reads `source` at each [`tick`](Tymist::tick).
    ///
    /// `source` tells the time of some other clock since whenever it likes; only its progress counts, and
    /// where it steps back this clock stands still. Between ticks it is read where tasks are given a time,
    /// which advances nothing. [`Tymist::realtime`] follows the monotonic clock.
    pub fn following(mut source: impl FnMut() -> Tyme + Send + 'static) -> Self {
        let base = source();
        let mut tymist = Self::new();
        tymist.source = Some(Arc::new(Mutex::new(move || Tyme::ZERO + (source() - base))));
        tymist
    }

    /// The same clock with ticks of `tock`.
    #[must_use]
    pub fn with_tock(mut self, tock: Duration) -> Self {
        self.tock = tock;
        self
    }

    /// The current tyme.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        Tyme::from_nanos(self.tyme.load(Ordering::Acquire))
    }

    /// The length of one tick.
    #[must_use]
    pub fn tock(&self) -> Duration {
        self.tock
    }

    /// Changes the length of a tick, from the next one on.
    pub fn set_tock(&mut self, tock: Duration) {
        self.tock = tock;
    }

    /// Whether this clock follows another instead of counting tocks.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.source.is_some()
    }

    /// Advances by one tock, or to where the followed clock stands; returns the new tyme.
    pub fn tick(&mut self) -> Tyme {
        let Some(source) = &self.source else { return self.tick_by(self.tock) };
        // One that has panicked is asked again.
        let latest = (source.lock().unwrap_or_else(PoisonError::into_inner))();
        self.store(latest.max(self.tyme()))
    }

    /// Advances by `duration`; returns the new tyme. A followed clock that is behind is caught up with at
    /// the tick that passes this one.
    pub fn tick_by(&mut self, duration: Duration) -> Tyme {
        let tyme = self.tyme() + duration;
        self.store(tyme)
    }

    /// Advances to `tyme`; returns it.
    ///
    /// # Errors
    /// [`Backwards`] if `tyme` lies before the current one; the clock then stays where it was.
    pub fn set(&mut self, tyme: Tyme) -> Result<Tyme, Backwards> {
        let now = self.tyme();
        if tyme < now {
            return Err(Backwards { now, asked: tyme });
        }
        Ok(self.store(tyme))
    }

    /// A handle that reads this clock and cannot advance it.
    #[must_use]
    pub fn tymth(&self) -> Tymth {
        Tymth { tyme: Arc::clone(&self.tyme), skew: Skew::NONE, source: self.source.clone() }
    }

    fn store(&mut self, tyme: Tyme) -> Tyme {
        self.tyme.store(tyme.as_nanos(), Ordering::Release);
        tyme
    }
}

impl Default for Tymist {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tymist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tymist")
            .field("tyme", &self.tyme())
            .field("tock", &self.tock)
            .field("following", &self.is_following())
            .finish()
    }
}

/// [`Tymist::set`] was asked to turn the clock back.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Backwards {
    /// Where the clock stands.
    pub now: Tyme,
    /// The earlier tyme that was asked for.
    pub asked: Tyme,
}

impl fmt::Display for Backwards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the clock stands at {} s and cannot go back to {} s", self.now, self.asked)
    }
}

impl std::error::Error for Backwards {}

/// A handle that reads a [`Tymist`]: cheap to clone, sharable between threads, unable to advance it.
///
/// It stays valid after the Tymist is gone and then reads the last tyme. Reading is one atomic load.
#[derive(Clone)]
pub struct Tymth {
    tyme: Arc<AtomicU64>,
    skew: Skew,
    /// What the clock follows, if it does.
    source: Option<Source>,
}

/// How a handle's clock differs from the one it reads.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Skew {
    offset_nanos: u64,
    drift_ppb: i32,
}

impl Skew {
    const NONE: Skew = Skew { offset_nanos: 0, drift_ppb: 0 };
}

impl Tymth {
    /// The current tyme of the clock.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.seen_as(self.tyme.load(Ordering::Acquire))
    }

    /// What it would be if the clock were advanced now to where the followed one stands. The clock itself stays where it is.
    pub(crate) fn latest(&self) -> Tyme {
        let Some(source) = &self.source else { return self.tyme() };
        let mut source = match source.try_lock() {
            Ok(source) => source,
            Err(TryLockError::Poisoned(source)) => source.into_inner(),
            Err(TryLockError::WouldBlock) => return self.tyme(), // It is being advanced.
        };
        let latest = (*source)().as_nanos();
        self.seen_as(latest.max(self.tyme.load(Ordering::Acquire)))
    }

    /// The tyme on this handle where the clock shows `nanos`.
    fn seen_as(&self, nanos: u64) -> Tyme {
        if self.skew == Skew::NONE {
            return Tyme::from_nanos(nanos);
        }
        // |drift| < 10^9, so the factor is positive and tyme stays monotonic; u128 cannot overflow.
        let rate = (1_000_000_000_i64 + i64::from(self.skew.drift_ppb)).unsigned_abs();
        let scaled = u128::from(nanos) * u128::from(rate) / 1_000_000_000;
        let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
        Tyme::from_nanos(scaled.saturating_add(self.skew.offset_nanos))
    }

    /// The same clock as a host with an imperfect oscillator sees it: `ahead` of it from the start, and
    /// faster by `drift_ppb` parts in 10^9 (slower if negative; at most ±10^9 − 1). Replaces an earlier skew.
    #[must_use]
    pub fn skewed(&self, ahead: Duration, drift_ppb: i32) -> Tymth {
        let drift_ppb = drift_ppb.clamp(-999_999_999, 999_999_999);
        let skew = Skew { offset_nanos: nanos(ahead), drift_ppb };
        Tymth { tyme: Arc::clone(&self.tyme), skew, source: self.source.clone() }
    }

    /// The earliest tyme of the *unskewed* clock at which this handle reads `tyme` or later.
    ///
    /// Whoever advances the clock needs it to know when something due on a skewed host comes up.
    #[must_use]
    pub fn due(&self, tyme: Tyme) -> Tyme {
        if self.skew == Skew::NONE || tyme == Tyme::NEVER {
            return tyme;
        }
        let rate = (1_000_000_000_i64 + i64::from(self.skew.drift_ppb)).unsigned_abs();
        let local = u128::from(tyme.as_nanos().saturating_sub(self.skew.offset_nanos));
        let base = (local * 1_000_000_000).div_ceil(u128::from(rate));
        Tyme::from_nanos(u64::try_from(base).unwrap_or(u64::MAX))
    }

    /// Whether both handles read the same clock (their skew aside).
    #[must_use]
    pub fn same_clock(&self, other: &Tymth) -> bool {
        Arc::ptr_eq(&self.tyme, &other.tyme)
    }
}

impl fmt::Debug for Tymth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tymth").field(&self.tyme()).finish()
    }
}
