//! The group.
//!
//! Invariants: `deeds` holds those that are under way (before the first entry: those that will be), in the order of their ids, which is that of adding;
//! `ended` those that were left. Every way out of being entered goes through [`Doist::end_all`], which leaves them last to first whatever any of them
//! does. What is asked for by a [`Handle`] waits on the desk, and is done between turns only, so no turn ever sees the list change.

use core::any::Any;
use core::cell::RefCell;
use core::fmt;
use core::mem;
use core::time::Duration;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::thread;

use super::deed::{Deed, is_abandoned};
use super::handle::Desk;
use super::load::drop_panic;
use super::{DoError, Doer, DoerId, End, Failed, Finish, Handle, OnError, Recur};
use crate::event::Wake;
use crate::net::Descriptor;
use crate::tyme::{Tyme, Tymist, Tymth};

/// Doers in order, in one group that gives them their turns. A doer itself, so groups nest, and run on hosts of a simulated world.
///
/// Each cycle gives each doer its turn, in the order of adding: those without a [`tock`](Doer::tock) every time, the others on their beat. Nothing in it is
/// left to chance. It ends when all have ended (or not even then, see [`always`](Doist::always)), by its [`limit`](Doist::limit), or by
/// [`Handle::stop`]. Then those still there are left, last to first.
///
/// * **An error** ends the doer that returned it. It is [kept](Doist::end) and [reported](Doist::set_report); the others go on, or not, as
///   [`on_error`](Doist::on_error) says; and when the Doist ends it returns [`Failed`], so that nothing passes unseen.
/// * **A panic** is a mistake in a program, not a thing that happens: all doers, the one that panicked among them, are left, last to first, and it goes on
///   its way to whoever runs the Doist. A second one, in an `exit` on the way, is dropped, and the others are left all the same.
///   (With `panic = "abort"` the process is gone at once.)
/// * **Dropping** one that is under way leaves all its doers.
///
/// [`run`](Doist::run) is the loop. With a clock that counts ([`Tymist::new`]) it goes as fast as it can, one tock a cycle; with one that follows real time
/// ([`Tymist::realtime`]) it sleeps until the earliest that any of its doers wants, waiting on all their descriptors together. In a loop of your own call
/// [`enter`](Doer::enter), [`recur`](Doer::recur) and [`exit`](Doer::exit).
///
/// ```
/// # #[cfg(feature = "os")] {
/// use tymist::doing::{ClientDoer, Doist, Echo, Finish, ServerDoer};
/// use tymist::tyme::Tymist;
/// use tymist::{Client, Config, Event, Server};
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let target = server.local_addr(acceptor).unwrap().clone();
/// let mut doist = Doist::new();
/// let echo = doist.add(ServerDoer::new(server, Echo::new()));
///
/// let stop = doist.handle();
/// let client = Client::new(Config::new(), target);
/// doist.add(ClientDoer::new(client, move |client: &mut Client, event: Event| match event {
///     Event::Connected(_) => assert_eq!(client.tx(b"hello"), Ok(5)),
///     Event::Received(_) if client.rx() == b"hello" => stop.stop(),
///     _ => {}
/// }));
/// assert_eq!(doist.run(&mut Tymist::realtime())?, Finish::Stopped);
/// // Doers can be looked at after their end.
/// let echo: &ServerDoer<Echo> = doist.get(echo).unwrap();
/// assert_eq!((echo.service.bytes, echo.server.opened()), (5, false));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Doist {
    /// How long it may go on, from its entry: at that tyme it ends without another cycle. Default `None`: no limit.
    pub limit: Option<Duration>,
    /// Whether it goes on when all its doers have ended, for those that may still be added. Default no.
    pub always: bool,
    /// What an error in one doer means for the others. Default: nothing.
    pub on_error: OnError,
    /// Its own beat, as a doer in another group; see [`Doer::tock`]. Default zero: none.
    pub tock: Duration,
    /// How many doers are kept, for looking at, after they have ended. Those that ended first are dropped first. Default 1024.
    pub keep: usize,
    pub(super) deeds: Vec<Entry>,
    pub(super) ended: VecDeque<Entry>,
    pub(super) desk: Rc<RefCell<Desk>>,
    /// Its clock and when it was entered, while it is.
    pub(super) entered: Option<(Tymth, Tyme)>,
    /// Whose turn it is.
    pub(super) current: Option<DoerId>,
    pub(super) finish: Option<Finish>,
    pub(super) failed: Option<Failed>,
    pub(super) report: Option<Report>,
    #[cfg(feature = "os")]
    pub(crate) sleeper: Option<crate::net::os::Sleeper>,
}

type Report = Box<dyn FnMut(DoerId, &End)>;

pub(super) struct Entry {
    pub(super) id: DoerId,
    pub(super) deed: Deed,
}

impl Doist {
    /// One without doers.
    #[must_use]
    pub fn new() -> Self {
        Doist {
            limit: None,
            always: false,
            on_error: OnError::GoOn,
            tock: Duration::ZERO,
            keep: 1024,
            deeds: Vec::new(),
            ended: VecDeque::new(),
            desk: Rc::default(),
            entered: None,
            current: None,
            finish: None,
            failed: None,
            report: None,
            #[cfg(feature = "os")]
            sleeper: None,
        }
    }

    /// Adds a doer at the end. It is entered with the Doist, or now if that is under way; then it has its first turn in the next cycle.
    pub fn add(&mut self, doer: impl Doer) -> DoerId {
        let id = self.desk.borrow_mut().id();
        self.take_in(id, Box::new(doer));
        id
    }

    /// Takes a doer out, and gives it back; one that is under way is left first. `None` if there is none of this id (any more).
    pub fn remove(&mut self, id: DoerId) -> Option<Box<dyn Doer>> {
        let keep = mem::replace(&mut self.keep, usize::MAX);
        let left = catch_unwind(AssertUnwindSafe(|| self.end_one(id)));
        self.keep = keep;
        if let Err(panic) = left {
            self.ended.drain(..self.ended.len().saturating_sub(keep));
            resume_unwind(panic);
        }
        let at = self.ended.iter().position(|entry| entry.id == id);
        let entry = match at {
            Some(at) => self.ended.remove(at),
            None => self.place(id).map(|at| self.deeds.remove(at)),
        };
        entry.map(|entry| entry.deed.doer)
    }

    /// Adds, takes out and stops from inside a doer.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::of(&self.desk)
    }

    /// Has each end of a doer told to `report`, as it comes.
    pub fn set_report(&mut self, report: impl FnMut(DoerId, &End) + 'static) {
        self.report = Some(Box::new(report));
    }

    /// The doer of this id, if it is of this type: under way, to come, or ended and still [kept](Doist::keep).
    #[must_use]
    pub fn get<D: Doer>(&self, id: DoerId) -> Option<&D> {
        let doer: &dyn Any = &*self.entry(id)?.deed.doer;
        doer.downcast_ref()
    }

    /// The same, to change it between cycles.
    pub fn get_mut<D: Doer>(&mut self, id: DoerId) -> Option<&mut D> {
        let entry = match self.place(id) {
            Some(at) => self.deeds.get_mut(at),
            None => self.ended.iter_mut().find(|entry| entry.id == id),
        };
        let doer: &mut dyn Any = &mut *entry?.deed.doer;
        doer.downcast_mut()
    }

    /// How the doer of this id ended; `None` while it has not, and once it is not [kept](Doist::keep) any more.
    #[must_use]
    pub fn end(&self, id: DoerId) -> Option<&End> {
        self.entry(id)?.deed.life.ended()
    }

    /// Whether the doer of this id has been entered and not been left yet.
    #[must_use]
    pub fn is_running(&self, id: DoerId) -> bool {
        self.entry(id).is_some_and(|entry| entry.deed.life.is_going())
    }

    /// Those that are under way, or before the first entry those to come, in order.
    pub fn ids(&self) -> impl Iterator<Item = DoerId> {
        self.deeds.iter().map(|entry| entry.id)
    }

    /// Those that have ended and are [kept](Doist::keep), in the order in which they did, and how; `None` of one that had not been entered when all
    /// were left.
    pub fn ended(&self) -> impl Iterator<Item = (DoerId, Option<&End>)> {
        self.ended.iter().map(|entry| (entry.id, entry.deed.life.ended()))
    }

    /// How many are under way, or before the first entry will be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deeds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deeds.is_empty()
    }

    /// Why it ended; `None` before and while it is under way.
    #[must_use]
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// What has failed since it was entered, if anything has.
    #[must_use]
    pub fn failed(&self) -> Option<&Failed> {
        self.failed.as_ref()
    }

    /// The loop with your own way of passing time: enters, and gives cycles until it has ended, with a `pace` after each, which advances the clock
    /// (and sleeps, if you like, for as long as [`wake`](Doer::wake) allows).
    ///
    /// # Errors
    /// [`Failed`], once all is over, if doers have failed.
    pub fn run_paced(
        &mut self,
        tymist: &mut Tymist,
        mut pace: impl FnMut(&mut Doist, &mut Tymist),
    ) -> Result<Finish, Failed> {
        self.begin(&tymist.tymth());
        while !self.go_on(tymist.tyme()) {
            pace(self, tymist);
        }
        self.verdict().map(|()| self.finish.unwrap_or(Finish::Done))
    }

    #[cfg(feature = "os")]
    pub(crate) fn stop(&mut self, finish: Finish) {
        self.desk.borrow_mut().stop.get_or_insert(finish);
    }
}

impl Doer for Doist {
    /// Enters its doers in order. Those of an earlier run that are still kept are entered anew, all in the order of their ids. One that is under way stays so.
    ///
    /// # Errors
    /// None: a doer that fails in its `enter` is treated as any that fails.
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.begin(tymth);
        Ok(())
    }

    /// One cycle. [`Recur::Done`] once it has ended, and all its doers have been left; what they were left for tells [`finish`](Doist::finish).
    ///
    /// # Errors
    /// [`Failed`] in the place of `Done`, if doers have failed.
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        if !self.go_on(now) {
            return Ok(Recur::Again);
        }
        self.verdict()?;
        Ok(Recur::Done)
    }

    /// Leaves all its doers, the last first.
    ///
    /// # Errors
    /// [`Failed`], if doers have failed.
    fn exit(&mut self) -> Result<(), DoError> {
        if self.entered.is_some() {
            self.end_as(Finish::Stopped);
        }
        Ok(self.verdict()?)
    }

    fn tock(&self) -> Duration {
        self.tock
    }

    fn wake(&self) -> Wake {
        let Some((_, begun)) = &self.entered else { return Wake::OnIo };
        if self.desk.borrow().is_pending() || (self.deeds.is_empty() && !self.always) {
            return Wake::Now;
        }
        let limit = self.limit.map_or(Wake::OnIo, |limit| Wake::At(*begun + limit));
        self.deeds.iter().map(|entry| entry.deed.wake()).fold(limit, Wake::min)
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        for Entry { deed, .. } in &self.deeds {
            if deed.life.listens() {
                deed.doer.descriptors(into);
            }
        }
    }
}

impl Default for Doist {
    fn default() -> Self {
        Self::new()
    }
}

/// One that is under way leaves all its doers, the last first.
impl Drop for Doist {
    fn drop(&mut self) {
        if self.entered.is_some()
            && !is_abandoned()
            && let Some(panic) = self.end_all()
        {
            if thread::panicking() {
                drop_panic(panic);
            } else {
                resume_unwind(panic);
            }
        }
    }
}

impl fmt::Debug for Doist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doist")
            .field("entered", &self.entered.is_some())
            .field("doers", &self.deeds.len())
            .field("ended", &self.ended.len())
            .field("finish", &self.finish)
            .finish_non_exhaustive()
    }
}
