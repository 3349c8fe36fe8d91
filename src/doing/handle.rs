//! Asking a Doist from inside.

use core::cell::RefCell;
use core::fmt;
use std::rc::{Rc, Weak};

use super::{Doer, Finish};

/// Names a doer of one Doist; never given twice there.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoerId(pub(super) u64);

impl fmt::Display for DoerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "doer {}", self.0)
    }
}

/// What was asked for and not done yet.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) next: u64,
    pub(super) requests: Vec<Request>,
    pub(super) stop: Option<Finish>,
    /// All are being left: nobody else comes in.
    pub(super) ending: bool,
}

pub(super) enum Request {
    Add(DoerId, Box<dyn Doer>),
    Remove(DoerId),
}

impl Desk {
    pub(super) fn id(&mut self) -> DoerId {
        self.next += 1;
        DoerId(self.next)
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.requests.is_empty() || self.stop.is_some()
    }
}

/// Asks a [`Doist`](super::Doist) from inside one of its doers, or from anywhere in its thread: to add, take out, stop.
///
/// It is done after the turn under way, in the order of asking; between turns, at the next cycle. From other threads use its waker and whatever
/// you share with a doer.
#[derive(Clone)]
pub struct Handle(pub(super) Weak<RefCell<Desk>>);

impl Handle {
    /// Adds a doer at the end. It is entered after the turn under way and has its first turn in the next cycle. `None`, and the doer is dropped,
    /// if there is no such Doist any more, or all its doers are being left, as in the [`exit`](Doer::exit) of one of them.
    pub fn add(&self, doer: impl Doer) -> Option<DoerId> {
        let desk = self.0.upgrade()?;
        if desk.borrow().ending {
            return None;
        }
        let id = desk.borrow_mut().id();
        desk.borrow_mut().requests.push(Request::Add(id, Box::new(doer)));
        Some(id)
    }

    /// Takes a doer out of the running: it is left, and kept among those that [ended](super::Doist::end). Nothing happens to one that is not there.
    pub fn remove(&self, id: DoerId) {
        if let Some(desk) = self.0.upgrade() {
            desk.borrow_mut().requests.push(Request::Remove(id));
        }
    }

    /// Ends the Doist after the turn under way: all doers are left, the last first.
    pub fn stop(&self) {
        if let Some(desk) = self.0.upgrade() {
            desk.borrow_mut().stop.get_or_insert(Finish::Stopped);
        }
    }

    pub(super) fn of(desk: &Rc<RefCell<Desk>>) -> Self {
        Handle(Rc::downgrade(desk))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("there", &(self.0.strong_count() > 0)).finish()
    }
}
