//! A Doist in real time.

use core::time::Duration;
use std::io;

use crate::doing::{Doer, Doist, Finish, RunError};
use crate::net::os::Sleeper;
use crate::net::{Descriptor, Waker};
use crate::tyme::Tymist;

impl Doist {
    /// Runs until it ends: enters, gives cycles, and has left all its doers when it returns.
    ///
    /// With a clock that counts it never sleeps: each cycle is one tock later than the one before. With one that follows real time it sleeps after a cycle
    /// until the earliest tyme that any of its doers wants, or one of their descriptors has something, or a [waker](Doist::waker) calls: one
    /// system call a sleep and one for each descriptor. If no doer wants a turn at any tyme, there is no descriptor and no waker, it ends with
    /// [`Finish::Stalled`].
    ///
    /// On systems other than Unix, which have no such descriptors, no sleep is longer than the clock's [tock](Tymist::tock).
    ///
    /// # Errors
    /// Once all is over: that doers have failed, or that the operating system could not wait, which goes first.
    pub fn run(&mut self, tymist: &mut Tymist) -> Result<Finish, RunError> {
        if tymist.is_following() {
            tymist.tick(); // Else it would be entered, and have its first cycle, in the past.
        }
        let mut trouble = None;
        let finish = self.run_paced(tymist, |doist, tymist| {
            tymist.tick();
            if tymist.is_following()
                && let Err(error) = doist.sleep(tymist)
            {
                trouble = Some(error);
                doist.stop(Finish::Stopped);
            }
        });
        // Which is why it ended: doers that failed as well are at `end`.
        if let Some(error) = trouble {
            return Err(RunError::Io(error));
        }
        finish.map_err(RunError::Failed)
    }

    /// A handle that ends the sleep of [`run`](Doist::run) from any thread. Takes two descriptors, once.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.sleeper()?.waker()
    }

    fn sleeper(&mut self) -> io::Result<&mut Sleeper> {
        let sleeper = match self.sleeper.take() {
            Some(sleeper) => sleeper,
            None => Sleeper::new()?,
        };
        Ok(self.sleeper.insert(sleeper))
    }

    /// Sleeps for as long as all allow.
    fn sleep(&mut self, tymist: &mut Tymist) -> io::Result<()> {
        let until = Doer::wake(self).timeout(tymist.tyme());
        if until == Some(Duration::ZERO) {
            return Ok(());
        }
        let mut descriptors: Vec<Descriptor> = Vec::new();
        self.descriptors(&mut descriptors);
        let sleeper = self.sleeper()?;
        if until.is_none() && descriptors.is_empty() && !sleeper.has_waker() && cfg!(unix) {
            self.stop(Finish::Stalled);
            return Ok(());
        }
        let most = (!cfg!(unix)).then(|| tymist.tock());
        sleeper.sleep(&descriptors, until.into_iter().chain(most).min())?;
        tymist.tick();
        Ok(())
    }
}
