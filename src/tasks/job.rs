//! A task: its future, its waker, and where its result goes.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;
use std::sync::Arc;

use super::join::{Join, JoinError};
use super::queue::Ticket;

/// A future in a place of its own: the result goes elsewhere, so that it need not be kept with the size of the future.
pub(super) struct Job<F: Future> {
    /// Borrowed while it runs; `None` once it is over.
    future: RefCell<Option<Pin<Box<F>>>>,
    ticket: Arc<Ticket>,
    waker: Waker,
    join: Rc<Join<F::Output>>,
    /// It was aborted while it ran.
    aborted: Cell<bool>,
}

/// A task, whatever its future and its result are.
pub(super) trait Work {
    /// Lets it run until it waits or is over.
    fn poll(&self) -> Poll<()>;

    /// What wakes it.
    fn waker(&self) -> &Waker;

    /// Marks it as woken, for who puts it in line; false where it is.
    fn mark(&self) -> bool;

    /// Drops its future; false where there is none any more, since it has just ended, and where it runs, which is marked.
    fn stop(&self) -> bool;

    /// Whether it was to be stopped while it ran.
    fn is_aborted(&self) -> bool;

    /// Tells who waits for it; gives the error back if nobody does.
    fn fail(&self, error: JoinError) -> Option<JoinError>;
}

impl<F: Future> Job<F> {
    pub(super) fn new(future: F, ticket: Arc<Ticket>, join: Rc<Join<F::Output>>) -> Rc<Self> {
        let waker = Waker::from(Arc::clone(&ticket));
        let future = RefCell::new(Some(Box::pin(future)));
        Rc::new(Job { future, ticket, waker, join, aborted: Cell::new(false) })
    }
}

impl<F: Future> Work for Job<F> {
    fn poll(&self) -> Poll<()> {
        self.ticket.punch();
        let mut place = self.future.borrow_mut();
        let Some(future) = place.as_mut() else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(&mut Context::from_waker(&self.waker));
        let Poll::Ready(output) = polled else { return Poll::Pending };
        let over = place.take();
        drop(place);
        drop(over);
        self.join.set(Ok(output));
        Poll::Ready(())
    }

    fn waker(&self) -> &Waker {
        &self.waker
    }

    fn mark(&self) -> bool {
        self.ticket.mark()
    }

    fn stop(&self) -> bool {
        let Ok(mut place) = self.future.try_borrow_mut() else {
            self.aborted.set(true);
            return false;
        };
        let over = place.take();
        drop(place);
        over.is_some()
    }

    fn is_aborted(&self) -> bool {
        self.aborted.get()
    }

    fn fail(&self, error: JoinError) -> Option<JoinError> {
        self.join.fail(error)
    }
}
