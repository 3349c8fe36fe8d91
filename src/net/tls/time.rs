//! The time that certificates and tickets are judged by.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
#[cfg(feature = "os")]
use std::sync::OnceLock;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::tyme::Tymth;

/// Calendar time for TLS: what certificate validity, revocation lists and tickets are measured by.
///
/// In simulated time it is a [`Tymth`] and the date at tyme zero; on a real network the system's clock.
#[derive(Clone)]
pub struct TlsTime(Arc<dyn TimeProvider>);

impl TlsTime {
    /// The time of `tymth`, with tyme zero at `epoch` after the UNIX epoch.
    #[must_use]
    pub fn simulated(tymth: Tymth, epoch: Duration) -> Self {
        TlsTime(Arc::new(TymeClock { tymth, epoch }))
    }

    /// The system's clock.
    #[cfg(feature = "os")]
    #[must_use]
    pub fn system() -> Self {
        static SYSTEM: OnceLock<TlsTime> = OnceLock::new();
        SYSTEM.get_or_init(|| TlsTime(Arc::new(crate::net::os::WallClock))).clone()
    }

    /// A clock of your own. `None` from it fails the handshake.
    pub fn new(provider: impl TimeProvider + 'static) -> Self {
        TlsTime(Arc::new(provider))
    }

    /// Seconds since the UNIX epoch, or `None` if the clock does not tell.
    #[must_use]
    pub fn now(&self) -> Option<u64> {
        self.0.current_time().map(|time| time.as_secs())
    }

    pub(super) fn provider(&self) -> Arc<dyn TimeProvider> {
        Arc::clone(&self.0)
    }

    /// Whether both are the same clock.
    pub(super) fn is(&self, other: &TlsTime) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The default where the feature set has one.
    pub(super) fn default_clock() -> Option<Self> {
        #[cfg(feature = "os")]
        return Some(Self::system());
        #[cfg(not(feature = "os"))]
        None
    }
}

impl fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

struct TymeClock {
    tymth: Tymth,
    epoch: Duration,
}

impl TimeProvider for TymeClock {
    fn current_time(&self) -> Option<UnixTime> {
        let tyme = Duration::from_nanos(self.tymth.tyme().as_nanos());
        Some(UnixTime::since_unix_epoch(self.epoch.saturating_add(tyme)))
    }
}

impl fmt::Debug for TymeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tyme {} since {} s", self.tymth.tyme(), self.epoch.as_secs())
    }
}
