//! Handles on a manager for other threads.

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::crew::{Crew, Order};
#[cfg(all(unix, feature = "uds"))]
use super::listening::Held;
use super::{BoxError, Failure};

/// The crew of the last start.
#[derive(Clone)]
pub(super) struct Current(pub(super) Arc<Mutex<Arc<Crew>>>);

impl Current {
    pub(super) fn lock(&self) -> MutexGuard<'_, Arc<Crew>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Arc<Crew> {
        Arc::clone(&self.lock())
    }
}

/// Ends a [`Manager`](super::Manager) from another thread, or from the inside; see [`Seat::stopper`](super::Seat::stopper). Stays valid when the manager is
/// started again; does nothing while it does not run.
///
/// For Ctrl-C and SIGTERM, with the crate signal-hook:
///
/// ```
/// # #[cfg(unix)] {
/// use signal_hook::consts::{SIGINT, SIGTERM};
/// use signal_hook::iterator::Signals;
/// use tymist::run::Manager;
/// use tymist::{Config, Event, Server};
///
/// let mut manager = Manager::new(Config::new(), |_, _| Ok(|_: &mut Server, _: Event| {}));
/// manager.listen(([127, 0, 0, 1], 0));
///
/// let mut signals = Signals::new([SIGINT, SIGTERM])?;
/// let stopper = manager.stopper();
/// manager.start()?;
/// std::thread::spawn(move || {
///     for _ in signals.forever() {
///         stopper.stop(None);
///     }
/// });
/// # signal_hook::low_level::raise(SIGTERM)?;
/// assert!(manager.wait(None)?); // until then
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Stopper {
    pub(super) current: Current,
}

impl Stopper {
    /// Asks all engines to end, as [`Manager::stop`](super::Manager::stop) does, and returns at once.
    pub fn stop(&self, within: Option<Duration>) {
        self.current.get().give(Order { within, handed_over: false });
    }

    /// The same because of an error, which [`Manager::wait`](super::Manager::wait) or [`Manager::stop`](super::Manager::stop) delivers.
    pub fn fail(&self, why: impl Into<BoxError>, within: Option<Duration>) {
        let crew = self.current.get();
        if crew.fail(Failure::Service(Arc::from(why.into()))) {
            crew.give(Order { within, handed_over: false });
        }
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("running", &self.current.get().running()).finish()
    }
}

/// The listening sockets of a manager, for its successor.
#[cfg(all(unix, feature = "uds"))]
#[derive(Clone)]
pub(in crate::run) struct Sockets {
    pub(super) current: Current,
}

#[cfg(all(unix, feature = "uds"))]
impl Sockets {
    /// Copies of those that are open.
    pub(in crate::run) fn held(&self) -> std::io::Result<Vec<Held>> {
        self.current.get().listeners()
    }

    /// Another process serves on them: the engines end, and leave what is not theirs any more.
    pub(in crate::run) fn handed_over(&self) {
        self.current.get().give(Order { within: None, handed_over: true });
    }
}
