//! A doer in a loop that is somebody else's: the part that all adapters share.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
#[cfg(unix)]
use std::collections::BTreeSet;

use crate::doing::{DoError, Doer, End, Life, Recur};
use crate::net::Descriptor;
use crate::tyme::{Tyme, Tymist};

/// A doer in a loop that is somebody else's, wound to real time.
///
/// It says what the loop has to wait for ([`rest`](Driver::rest)), and gives turns ([`turn`](Driver::turn)); between them the doer is at hand, as if it were
/// the driver (`Deref`). The adapters of [`run`](crate::run) are the loop around it for tokio, smol and calloop; with any other one it is
///
/// ```
/// use tymist::doing::{Doer, Echo, Recur, ServerDoer};
/// use tymist::run::Driver;
/// use tymist::{Config, Server};
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let mut driver = Driver::new(ServerDoer::new(server, Echo::new()));
/// # let mut rounds = 0;
/// loop {
///     let rest = driver.rest();
///     // Wait here until one of rest.descriptors is readable or rest.timeout has passed, whichever is first.
///     # let _ = rest;
///     if driver.turn()? == Recur::Done {
///         break;
///     }
/// #   rounds += 1;
/// #   if rounds == 3 { break }
/// }
/// # Ok::<(), tymist::doing::DoError>(())
/// ```
///
/// # What an adapter must mind
///
/// * Before the first turn, after one that a budget cut short, and whenever you queued something, `rest` says zero: it wants its turn at once. Ask it after you
///   have done with the doer, right before each wait.
/// * Once the doer has been left, by a turn or by [`exit`](Driver::exit), `rest` says zero as well, and `turn` says [`Recur::Done`]: a loop that goes on with
///   something else leaves it out from then on.
/// * The descriptors may be others each time: an engine has none before it has opened something.
/// * They are to be waited on by level (or by edge, if registered anew before each wait): a turn takes at most a budget's worth of what there is.
///
/// Dropping it leaves the doer.
pub struct Driver<D: Doer> {
    doer: D,
    life: Life,
    tymist: Tymist,
}

/// What a loop has to wait for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rest {
    /// How long at most; zero: not at all, `None`: for as long as it takes. To be rounded up, or it spins for the fraction that is left.
    pub timeout: Option<Duration>,
    /// What wakes it sooner, when one of them is readable; each number once.
    pub descriptors: Vec<Descriptor>,
}

impl Rest {
    /// Whether it is not to wait at all.
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.timeout == Some(Duration::ZERO)
    }
}

impl<D: Doer> Driver<D> {
    /// Enters the doer, with a clock that follows real time. If that fails, the first [`turn`](Driver::turn) tells.
    pub fn new(doer: D) -> Self {
        let mut driver = Driver { doer, life: Life::default(), tymist: Tymist::realtime() };
        driver.life.enter(&mut driver.doer, &driver.tymist.tymth());
        driver
    }

    /// Gives the doer a turn, if its time has come. [`Recur::Done`] once it has been left.
    ///
    /// # Errors
    /// Once, what the doer failed with.
    pub fn turn(&mut self) -> Result<Recur, DoError> {
        let now = self.tymist.tick();
        self.life.turn(&mut self.doer, now);
        self.verdict()
    }

    /// What to wait for before the next turn. Reads the clock, so that time which has passed since the last turn does not count twice.
    pub fn rest(&mut self) -> Rest {
        let now = self.tymist.tick();
        // Of one that was left the next turn says so, each time: nothing else ever would.
        let going = self.life.is_going();
        let timeout =
            if going { self.life.wake(&self.doer).timeout(now) } else { Some(Duration::ZERO) };
        let mut descriptors = Vec::new();
        if timeout != Some(Duration::ZERO) && self.life.listens() {
            self.doer.descriptors(&mut descriptors);
            single(&mut descriptors);
        }
        Rest { timeout, descriptors }
    }

    /// Leaves the doer, if it is under way.
    ///
    /// # Errors
    /// What its `exit` says.
    pub fn exit(&mut self) -> Result<(), DoError> {
        self.life.end(&mut self.doer, End::Forced);
        self.verdict().map(drop)
    }

    /// Whether the doer has not been left yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.life.is_going()
    }

    /// The tyme of the last turn or rest, or at which the doer was last at hand to be changed.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.tymist.tyme()
    }

    fn verdict(&mut self) -> Result<Recur, DoError> {
        if self.life.is_going() {
            return Ok(Recur::Again);
        }
        match self.life.take_end() {
            Some(End::Failed(error)) => Err(error),
            _ => Ok(Recur::Done),
        }
    }
}

/// Leaves out those whose number was there before.
pub(super) fn single(descriptors: &mut Vec<Descriptor>) {
    #[cfg(unix)]
    {
        use std::os::fd::AsRawFd;
        if descriptors.len() < 2 {
            return;
        }
        let mut seen = BTreeSet::new();
        descriptors.retain(|descriptor| seen.insert(descriptor.as_raw_fd()));
    }
    #[cfg(not(unix))]
    descriptors.clear();
}

impl<D: Doer> Deref for Driver<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.doer
    }
}

impl<D: Doer> DerefMut for Driver<D> {
    fn deref_mut(&mut self) -> &mut D {
        // What is begun now has its time from now on, not from the last turn, which may be long over.
        self.tymist.tick();
        &mut self.doer
    }
}

/// One that is under way leaves its doer.
impl<D: Doer> Drop for Driver<D> {
    fn drop(&mut self) {
        self.life.end(&mut self.doer, End::Forced);
    }
}

impl<D: Doer> fmt::Debug for Driver<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("tyme", &self.tymist.tyme())
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}
