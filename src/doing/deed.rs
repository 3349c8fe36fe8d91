//! A doer under way: what a Doist, a simulated host and an adapter all keep of one.
//!
//! The invariant: between an `enter` and the next there is exactly one `exit`, and no turn after it.

#[cfg(feature = "sim")]
use core::cell::Cell;

use super::{DoError, Doer, Recur};
use crate::event::Wake;
use crate::tyme::{Tyme, Tymth, nanos};

/// How a doer came to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// It said that it was done.
    Done,
    /// It was made to end: taken out, or its group ended.
    Forced,
    /// It could not go on.
    Failed(DoError),
    /// It panicked, in a turn or on its way out. All of its group have ended with it.
    Panicked,
}

impl End {
    /// Its error, if it failed.
    #[must_use]
    pub fn error(&self) -> Option<&DoError> {
        match self {
            End::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// Where in its life a doer is. Kept beside it, so that whoever has the doer may have it in any shape.
#[derive(Debug, Default)]
pub(crate) struct Life {
    phase: Phase,
    /// Its next turn is not before this.
    retyme: Tyme,
    /// It has a beat, of which that is one.
    beats: bool,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// Entered, and had no turn yet.
    Fresh,
    Going,
    Ended(End),
}

impl Life {
    pub(crate) fn enter(&mut self, doer: &mut dyn Doer, tymth: &Tymth) {
        self.phase = Phase::Fresh;
        self.retyme = tymth.tyme();
        self.beats = true;
        if let Err(error) = doer.enter(tymth) {
            self.end(doer, End::Failed(error));
        }
    }

    /// Gives it its turn, if it is under way and its time has come.
    pub(crate) fn turn(&mut self, doer: &mut dyn Doer, now: Tyme) {
        if !self.is_going() || now < self.retyme {
            return;
        }
        self.phase = Phase::Going;
        match doer.recur(now) {
            Ok(Recur::Again) => {
                let beat = if self.beats { self.retyme } else { now };
                let tock = nanos(doer.tock());
                self.beats = tock > 0;
                self.retyme = after(beat, tock, now);
            }
            Ok(Recur::Done) => self.end(doer, End::Done),
            Err(error) => self.end(doer, End::Failed(error)),
        }
    }

    /// Leaves it, if it is under way.
    pub(crate) fn end(&mut self, doer: &mut dyn Doer, end: End) {
        if !self.is_going() {
            return;
        }
        // First, so that one that panics in there is not left again, and has panicked, unless it had failed before.
        if let End::Failed(_) = end {
            self.phase = Phase::Ended(end);
            let _ = doer.exit();
            return;
        }
        self.phase = Phase::Ended(End::Panicked);
        let left = doer.exit();
        self.phase = Phase::Ended(left.map_or_else(End::Failed, |()| end));
    }

    /// Entered, and not left yet.
    pub(crate) fn is_going(&self) -> bool {
        matches!(self.phase, Phase::Fresh | Phase::Going)
    }

    /// How it ended, once; as before its entry afterwards.
    #[cfg(feature = "os")]
    pub(crate) fn take_end(&mut self) -> Option<End> {
        match core::mem::take(&mut self.phase) {
            Phase::Ended(end) => Some(end),
            other => {
                self.phase = other;
                None
            }
        }
    }

    pub(crate) fn ended(&self) -> Option<&End> {
        match &self.phase {
            Phase::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// When it wants its next turn.
    pub(crate) fn wake(&self, doer: &dyn Doer) -> Wake {
        match self.phase {
            Phase::Fresh => Wake::Now,
            Phase::Going if !self.beats => doer.wake(),
            Phase::Going => Wake::At(self.retyme),
            Phase::Idle | Phase::Ended(_) => Wake::OnIo,
        }
    }

    /// Whether its descriptors count: one with a beat gets no turn by them.
    pub(crate) fn listens(&self) -> bool {
        matches!(self.phase, Phase::Going) && !self.beats
    }
}

/// The first beat after `now`, of those that are `tock` apart and one of which is `beat`.
fn after(beat: Tyme, tock: u64, now: Tyme) -> Tyme {
    let Some(missed) = (now - beat).as_nanos().checked_div(u128::from(tock)) else { return now };
    let missed = u64::try_from(missed).unwrap_or(u64::MAX);
    let beats = missed.saturating_add(1).saturating_mul(tock);
    Tyme::from_nanos(beat.as_nanos().saturating_add(beats))
}

/// A doer and its life.
pub(crate) struct Deed {
    pub(crate) doer: Box<dyn Doer>,
    pub(crate) life: Life,
}

impl Deed {
    pub(crate) fn new(doer: Box<dyn Doer>) -> Self {
        Deed { doer, life: Life::default() }
    }

    pub(crate) fn enter(&mut self, tymth: &Tymth) {
        self.life.enter(&mut *self.doer, tymth);
    }

    pub(crate) fn turn(&mut self, now: Tyme) {
        self.life.turn(&mut *self.doer, now);
    }

    pub(crate) fn end(&mut self, end: End) {
        self.life.end(&mut *self.doer, end);
    }

    pub(crate) fn wake(&self) -> Wake {
        self.life.wake(&*self.doer)
    }

    /// Drops it without a word, and all that are in it, whatever is around them: nobody leaves them any more.
    #[cfg(feature = "sim")]
    pub(crate) fn abandon(self) {
        let _until_the_end = Abandoning::begin();
        drop(self);
    }
}

#[cfg(feature = "sim")]
thread_local! {
    /// Whether what is dropped here and now is abandoned. A group cannot be told otherwise: anything may be around it.
    static ABANDONING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, all that is dropped in this thread is abandoned.
#[cfg(feature = "sim")]
struct Abandoning {
    before: bool,
}

#[cfg(feature = "sim")]
impl Abandoning {
    fn begin() -> Self {
        Abandoning { before: ABANDONING.replace(true) }
    }
}

#[cfg(feature = "sim")]
impl Drop for Abandoning {
    fn drop(&mut self) {
        ABANDONING.set(self.before);
    }
}

/// Whether a group that is dropped now is to say nothing.
pub(super) fn is_abandoned() -> bool {
    #[cfg(feature = "sim")]
    return ABANDONING.get();
    #[cfg(not(feature = "sim"))]
    false
}
