//! Managers started, awaited and stopped together.

use core::fmt;
use core::time::Duration;

use std::sync::Arc;

use super::crew::Bell;
use super::{Failure, Manager};
use crate::counters::Counters;

/// Several managers of whatever kinds, which start, wait and stop together. Dropping it stops them all.
///
/// ```
/// use tymist::run::{Group, Manager};
/// use tymist::{Config, Event, Server};
///
/// let manager = || {
///     let mut manager = Manager::new(Config::new(), |_, _| Ok(|_: &mut Server, _: Event| {}));
///     manager.listen(([127, 0, 0, 1], 0));
///     manager
/// };
/// let mut group = Group::new();
/// group.add(manager());
/// group.add(manager());
/// group.start_all()?;
/// assert_eq!(group.running(), 2);
/// group.stop_all(None)?;
/// # Ok::<(), tymist::run::GroupFailure>(())
/// ```
#[derive(Default)]
pub struct Group {
    members: Vec<Box<dyn Member>>,
}

/// What a group needs of a manager, whatever its messages are. `Send`, as a manager is; not `Sync`, since two who wait at once would take each other's bell.
trait Member: Send {
    fn start(&mut self) -> Result<(), Failure>;
    /// Rings this one at what happens from now on.
    fn hang(&self, bell: Option<&Arc<Bell>>);
    /// The next failure that was not delivered.
    fn next_failure(&self) -> Option<Failure>;
    fn ask(&self, within: Option<Duration>);
    /// Has it end, if it was not asked to.
    fn end(&self);
    fn finish(&self) -> Result<(), Failure>;
    fn is_running(&self) -> bool;
    fn counters(&self) -> Counters;
}

impl<M: Send + 'static> Member for Manager<M> {
    fn start(&mut self) -> Result<(), Failure> {
        Manager::start(self)
    }

    fn hang(&self, bell: Option<&Arc<Bell>>) {
        self.current.get().hang(bell.cloned());
    }

    fn next_failure(&self) -> Option<Failure> {
        self.current.get().next_failure()
    }

    fn ask(&self, within: Option<Duration>) {
        self.stopper().stop(within);
    }

    fn end(&self) {
        self.current.get().end();
    }

    fn finish(&self) -> Result<(), Failure> {
        Manager::finish(self)
    }

    fn is_running(&self) -> bool {
        Manager::is_running(self)
    }

    fn counters(&self) -> Counters {
        Manager::counters(self)
    }
}

impl Group {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a manager in; what you want of it alone (mailboxes, a [`Stopper`](super::Stopper)), take before. Returns its number.
    pub fn add<M: Send + 'static>(&mut self, manager: Manager<M>) -> usize {
        self.members.push(Box::new(manager));
        self.members.len() - 1
    }

    /// Starts all that do not run, in order.
    ///
    /// # Errors
    /// The first that could not be started; those started before it by this call are stopped again, at once.
    pub fn start_all(&mut self) -> Result<(), GroupFailure> {
        let mut started: Vec<usize> = Vec::new();
        for member in 0..self.members.len() {
            if self.members[member].is_running() {
                continue;
            }
            if let Err(failure) = self.members[member].start() {
                for before in started {
                    let before: &dyn Member = &*self.members[before];
                    before.ask(Some(Duration::ZERO));
                    // They were up for a moment; that one could not be started is what counts.
                    let _ = before.finish();
                }
                return Err(GroupFailure { failures: vec![(member, failure)] });
            }
            started.push(member);
        }
        Ok(())
    }

    /// Waits until all have ended, or `limit` has passed (`None`: no limit). Returns whether all have ended.
    ///
    /// # Errors
    /// As soon as any of them fails, all that has gone wrong until then. The others go on: wait again for them, or [`stop_all`](Group::stop_all).
    pub fn wait_all(&self, limit: Option<Duration>) -> Result<bool, GroupFailure> {
        let bell = Bell::new();
        self.members.iter().for_each(|member| member.hang(Some(&bell)));
        let mut failures = Vec::new();
        bell.wait(limit, || {
            let mut all = true;
            for (number, member) in self.members.iter().enumerate() {
                while let Some(failure) = member.next_failure() {
                    failures.push((number, failure));
                }
                all &= !member.is_running();
            }
            all || !failures.is_empty()
        });
        self.members.iter().for_each(|member| member.hang(None));
        GroupFailure::of(failures).map(|()| self.running() == 0)
    }

    /// Stops all, at the same time; see [`Manager::stop`].
    ///
    /// # Errors
    /// All failures that were not delivered before.
    pub fn stop_all(&self, within: Option<Duration>) -> Result<(), GroupFailure> {
        for member in &self.members {
            member.ask(within);
        }
        let mut failures = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            while let Err(failure) = member.finish() {
                failures.push((number, failure));
            }
        }
        GroupFailure::of(failures)
    }

    /// How many of them run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.members.iter().filter(|member| member.is_running()).count()
    }

    /// What all of them have done since each was started.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.members.iter().for_each(|member| sum += member.counters());
        sum
    }
}

/// All at once, then each in turn.
impl Drop for Group {
    fn drop(&mut self) {
        self.members.iter().for_each(|member| member.end());
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("members", &self.members.len())
            .field("running", &self.running())
            .finish()
    }
}

/// What went wrong in a [`Group`], with the numbers of the managers.
#[derive(Clone, Debug)]
pub struct GroupFailure {
    /// At least one, in the order of the managers.
    pub failures: Vec<(usize, Failure)>,
}

impl GroupFailure {
    fn of(failures: Vec<(usize, Failure)>) -> Result<(), Self> {
        if failures.is_empty() { Ok(()) } else { Err(GroupFailure { failures }) }
    }
}

impl fmt::Display for GroupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (member, failure)) in self.failures.iter().enumerate() {
            let between = if at > 0 { "; " } else { "" };
            write!(f, "{between}manager {member}: {failure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for GroupFailure {}
