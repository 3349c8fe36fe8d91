//! A manager that runs: what can be asked of it, and how it ends.

use core::time::Duration;
use std::sync::PoisonError;

use super::crew::Order;
#[cfg(all(unix, feature = "uds"))]
use super::stopper::Sockets;
use super::{Failure, Mailbox, Manager, Stopper};
use crate::counters::Counters;
#[cfg(all(unix, feature = "uds"))]
use crate::run::handover::Offer;

impl<M: Send + 'static> Manager<M> {
    /// Whether any of its engines runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.current.get().running() > 0
    }

    /// How many of its engines run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.current.get().running()
    }

    /// Waits until all engines have ended, or `limit` has passed (`None`: no limit). Returns whether they have ended.
    ///
    /// # Errors
    /// As soon as an engine fails, what happened to it. The others go on: wait again for them, or [`stop`](Manager::stop). Each failure is delivered
    /// once, and stays among the [`failures`](Manager::failures).
    pub fn wait(&self, limit: Option<Duration>) -> Result<bool, Failure> {
        self.current.get().wait(limit, true)
    }

    /// Stops it: no more connections, those that are there may finish, and those that have not after `within` are cut; zero cuts at once. `None`: as
    /// [`Timeouts::drain`](crate::Timeouts::drain) says. Returns when all engines have ended, and does nothing where none runs. A service that never returns
    /// from a callback is waited for.
    ///
    /// To hurry those who take their time, the service closes its connections at [`Event::Draining`](crate::Event::Draining).
    ///
    /// # Errors
    /// The first failure that was not delivered before.
    pub fn stop(&self, within: Option<Duration>) -> Result<(), Failure> {
        self.current.get().give(Order { within, handed_over: false });
        self.finish()
    }

    /// Waits for the end, and delivers the next failure.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        let ended = self.current.get().wait(None, false);
        self.join();
        ended.map(drop)
    }

    /// What has gone wrong since the last start, delivered or not.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        self.current.get().failures()
    }

    /// What all its engines together have done since the last start. At most one tick behind while it runs.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.current.get().tally().counters
    }

    /// What one of its engines has done.
    #[must_use]
    pub fn counters_of(&self, engine: usize) -> Option<Counters> {
        self.current.get().seats.get(engine).map(|place| place.tally().counters)
    }

    /// Live connections of all engines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.current.get().tally().live
    }

    /// Whether there is no live connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The box for messages to one of its engines; it outlives starts and stops.
    #[must_use]
    pub fn mailbox(&self, engine: usize) -> Option<Mailbox<M>> {
        self.mailboxes.get(engine).cloned()
    }

    /// Ends it from another thread, a signal handler's, say.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { current: self.current.clone() }
    }

    /// Offers its listening sockets at this path to the process that succeeds this one, which takes them by
    /// [`Inherited::take_over`](crate::run::Inherited::take_over). Once that one has confirmed, this manager accepts no more, lets its connections finish
    /// as [`stop`](Manager::stop) does, and
    /// [`wait`](Manager::wait) returns. Call it after [`start`](Manager::start). Costs a thread, which ends with the manager. Only processes of the same user,
    /// and of root, are given anything. At most 253 sockets. Feature `uds`.
    ///
    /// # Errors
    /// If it cannot listen there.
    #[cfg(all(unix, feature = "uds"))]
    pub fn offer(&mut self, path: impl AsRef<std::path::Path>) -> Result<(), Failure> {
        self.withdraw();
        let sockets = Sockets { current: self.current.clone() };
        let (config, listen) = Offer::settings(path.as_ref());
        let mut offer = Manager::new(config, move |server, _| {
            Offer::new(sockets.clone(), server).ok_or_else(|| "it does not listen".into())
        });
        offer.listen(listen);
        offer.start()?;
        self.offer = Some(Box::new(offer));
        Ok(())
    }

    pub(super) fn join(&self) {
        let threads =
            core::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // What they had to say, they have said.
            let _ = thread.join();
        }
    }
}

#[cfg(all(unix, feature = "uds"))]
impl<M> Manager<M> {
    /// Offers nothing any more, and waits for nobody who has not confirmed.
    fn withdraw(&mut self) {
        if let Some(offer) = self.offer.take() {
            // What it has to say gets its try.
            let _ = offer.stop(Some(Duration::ZERO));
        }
    }
}

/// Stops it, as the configuration says, and waits for that: for as long as [`Timeouts::drain`](crate::Timeouts::drain), with `None` there for as long as any
/// peer stays, be it for ever. Whoever cannot wait [stops](Manager::stop) it before, or has its [`Stopper`] do so: what was said then holds.
impl<M> Drop for Manager<M> {
    fn drop(&mut self) {
        #[cfg(all(unix, feature = "uds"))]
        self.withdraw();
        let crew = self.current.get();
        crew.end();
        // Whoever wants to know asks before.
        let _ = crew.wait(None, false);
        for thread in
            core::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner))
        {
            let _ = thread.join();
        }
    }
}
