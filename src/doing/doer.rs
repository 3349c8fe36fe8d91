//! The trait.

use core::any::Any;
use core::error::Error;
use core::time::Duration;

use crate::event::Wake;
use crate::net::Descriptor;
use crate::tyme::{Tyme, Tymth};

/// Why a doer could not go on: any error; `?` makes one of it.
pub type DoError = Box<dyn Error + Send + Sync>;

/// What a turn of a doer came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use = "a doer that is done gets no more turns"]
pub enum Recur {
    /// It goes on.
    Again,
    /// It has done what it was there for.
    Done,
}

/// Something that is done in turns: entered once, given turns until it is done, and left once.
///
/// hio's coroutine as an object: what would be a local variable across a `yield` is a field. The same doer runs in a [`Doist`](super::Doist) on real
/// sockets, in another loop by an adapter, and on a host of a simulated world. Only [`recur`](Doer::recur) and [`wake`](Doer::wake) must be there.
///
/// # Its life
///
/// 1. [`enter`](Doer::enter), once, with the clock that it lives by.
/// 2. [`recur`](Doer::recur), again and again: the first time at once, then each [`tock`](Doer::tock), or when it [wants](Doer::wake).
/// 3. [`exit`](Doer::exit), once, whatever the reason: it is done, it or its `enter` failed, it was taken out, all of its group end, somebody
///    panicked. Afterwards it may be looked at, and be entered anew.
///
/// ```
/// use tymist::Wake;
/// use tymist::doing::{DoError, Doer, Doist, Finish, Recur};
/// use tymist::tyme::{Tyme, Tymist};
///
/// struct Countdown(u32);
///
/// impl Doer for Countdown {
///     fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
///         self.0 -= 1;
///         Ok(if self.0 == 0 { Recur::Done } else { Recur::Again })
///     }
///
///     fn wake(&self) -> Wake {
///         Wake::Now
///     }
/// }
///
/// let mut doist = Doist::new();
/// let id = doist.add(Countdown(10));
/// let mut tymist = Tymist::new(); // a clock that counts: as fast as possible
/// assert_eq!(doist.run(&mut tymist)?, Finish::Done);
/// assert_eq!(tymist.tyme(), Tyme::ZERO + 9 * Tymist::TOCK);
/// assert_eq!(doist.get::<Countdown>(id).unwrap().0, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Doer: Any {
    /// Begins: winds what it has to the clock, opens what it needs. Default: nothing.
    ///
    /// # Errors
    /// Why it cannot begin; [`exit`](Doer::exit) is called all the same.
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        let _ = tymth;
        Ok(())
    }

    /// One turn at `now`. It must not block and should be short: others wait for their turns.
    ///
    /// # Errors
    /// Why it cannot go on. It is left and gets no more turns; others do.
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError>;

    /// Ends: closes and gives back. Default: nothing.
    ///
    /// # Errors
    /// What of it failed. Reported, unless the doer has failed before.
    fn exit(&mut self) -> Result<(), DoError> {
        Ok(())
    }

    /// How far apart its turns are; zero, the default: as [`wake`](Doer::wake) says. Asked after each turn. Turns stay on the beat that begins at
    /// its entry however late one comes; beats that were missed altogether are left out.
    fn tock(&self) -> Duration {
        Duration::ZERO
    }

    /// When it wants its next turn, if its `tock` is zero. Asked after each turn, and again after others had theirs, so it must hold whatever
    /// they have done to it. It may get turns sooner.
    ///
    /// [`OnIo`](Wake::OnIo) means: when one of its [`descriptors`](Doer::descriptors) says so, or whenever others have a reason.
    fn wake(&self) -> Wake;

    /// Adds what it waits on: each becomes readable when there is something for it to do, and its `recur` takes all of that. Default: nothing.
    ///
    /// Asked before each sleep. Not asked while it has a `tock`.
    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        let _ = into;
    }
}

impl<D: Doer + ?Sized> Doer for Box<D>
where
    Box<D>: Any,
{
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        (**self).enter(tymth)
    }

    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        (**self).recur(now)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        (**self).exit()
    }

    fn tock(&self) -> Duration {
        (**self).tock()
    }

    fn wake(&self) -> Wake {
        (**self).wake()
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        (**self).descriptors(into);
    }
}
