//! How a task ended, for who waits for it.

use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::{Rc, Weak};

use super::queue::Key;
use super::shared::Shared;
use crate::error::panic_words;

/// Why a task gives no result.
pub enum JoinError {
    /// It was aborted, or everything was dropped.
    Aborted,
    /// As many tasks as [`TaskConfig::tasks`](super::TaskConfig::tasks) allows were there; it never began.
    Refused,
    /// It panicked, with this.
    Panicked(Box<dyn Any + Send>),
}

impl JoinError {
    /// Goes on with the panic, if it was one.
    ///
    /// # Panics
    /// With what the task panicked with.
    pub fn resume(self) {
        if let JoinError::Panicked(payload) = self {
            std::panic::resume_unwind(payload);
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Aborted => f.write_str("Aborted"),
            JoinError::Refused => f.write_str("Refused"),
            JoinError::Panicked(payload) => {
                f.debug_tuple("Panicked").field(&panic_words(&**payload)).finish()
            }
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Aborted => f.write_str("the task was aborted"),
            JoinError::Refused => f.write_str("as many tasks as the limit allows"),
            JoinError::Panicked(payload) => {
                write!(f, "the task panicked: {}", panic_words(&**payload))
            }
        }
    }
}

impl core::error::Error for JoinError {}

/// Where a task puts its result.
pub(super) struct Join<T> {
    result: RefCell<Option<Result<T, JoinError>>>,
    waiter: RefCell<Option<Waker>>,
    /// The handle is gone.
    detached: Cell<bool>,
    over: Cell<bool>,
}

impl<T> Join<T> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Join {
            result: RefCell::new(None),
            waiter: RefCell::new(None),
            detached: Cell::new(false),
            over: Cell::new(false),
        })
    }

    pub(super) fn set(&self, result: Result<T, JoinError>) {
        self.over.set(true);
        if self.detached.get() {
            return; // And the result is dropped here.
        }
        *self.result.borrow_mut() = Some(result);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// Tells who waits that there will be no result; gives the error back if nobody does.
    pub(super) fn fail(&self, error: JoinError) -> Option<JoinError> {
        if self.detached.get() {
            self.over.set(true);
            return Some(error);
        }
        self.set(Err(error));
        None
    }
}

/// A task: a future that gives what the task gave.
///
/// Dropping it detaches the task, which goes on by itself.
pub struct JoinHandle<T> {
    join: Rc<Join<T>>,
    shared: Weak<Shared>,
    key: Option<Key>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(join: Rc<Join<T>>, shared: &Rc<Shared>, key: Option<Key>) -> Self {
        JoinHandle { join, shared: Rc::downgrade(shared), key }
    }

    /// Ends the task where it stands: its future is dropped now, or if it is the one that runs, as soon as it waits. Nothing happens to one that is over.
    pub fn abort(&self) {
        if let (Some(shared), Some(key)) = (self.shared.upgrade(), self.key) {
            shared.abort(key);
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.join.over.get()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.join.result.borrow_mut().take() {
            return Poll::Ready(result);
        }
        assert!(!self.join.over.get(), "polled after it was ready");
        let old = self.join.waiter.replace(Some(context.waker().clone()));
        drop(old);
        Poll::Pending
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.join.detached.set(true);
        let unwanted = (self.join.result.take(), self.join.waiter.take());
        drop(unwanted);
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}
