//! What the owner, the handles and the streams have in common: the server, the clock, the queue of who was woken.

use core::any::Any;
use core::cell::{Cell, RefCell};
use core::task::{Context, RawWakerVTable, Waker};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::config::{TaskConfig, TaskCounters};
use super::desk::{Caller, Desk};
use super::queue::{Key, Queue};
use super::table::{Table, resume};
use super::time::Timers;
use super::waiting::Who;
use crate::doing::drop_panic;
use crate::event::Serviced;
use crate::id::{AcceptorId, EndpointId, Id};
use crate::server::Server;

pub(super) struct Shared {
    /// `None` once the owner is gone. Never borrowed while a task runs.
    desk: RefCell<Option<Box<Desk>>>,
    pub(super) table: RefCell<Table>,
    pub(super) queue: Arc<Queue>,
    /// The task that runs, and what its waker is known by.
    running: Cell<Option<(Key, *const (), &'static RawWakerVTable)>>,
    /// Used again and again.
    pub(super) marked: Cell<Vec<Key>>,
    pub(super) timers: Arc<Timers>,
    pub(super) config: Cell<TaskConfig>,
    counters: Cell<TaskCounters>,
    /// What was let go while the owner had the server in hand.
    late: RefCell<Vec<Late>>,
    pub(super) panics: RefCell<Vec<Box<dyn Any + Send>>>,
    /// What a task that has panicked leaves behind is being dropped.
    pub(super) failing: Cell<bool>,
}

/// What is to be done once the server is at hand.
#[derive(Clone, Debug)]
pub(super) enum Late {
    Leave { id: Id, abort: bool },
    EndSend(Id),
    Abort(Id),
    Unread(Id, Bytes),
    Stop(Who),
    Unlisten(AcceptorId),
    Unbind(EndpointId),
}

impl Shared {
    pub(super) fn new(server: Server, config: TaskConfig) -> Rc<Self> {
        let queue = Arc::new(Queue::new());
        let timers = Arc::new(Timers::new(server.tyme(), Arc::clone(&queue)));
        #[cfg(feature = "hyper")]
        timers.wind(server.tymth().cloned());
        Rc::new(Shared {
            desk: RefCell::new(Some(Box::new(Desk::new(server)))),
            table: RefCell::default(),
            queue,
            running: Cell::new(None),
            marked: Cell::default(),
            timers,
            config: Cell::new(config),
            counters: Cell::default(),
            late: RefCell::default(),
            panics: RefCell::default(),
            failing: Cell::new(false),
        })
    }

    // Who runs.

    /// A task begins to run, or none does any more.
    pub(super) fn set_running(&self, task: Option<(Key, &Waker)>) {
        self.queue.set_running(task.map(|(key, _)| key));
        self.running.set(task.map(|(key, waker)| (key, waker.data(), waker.vtable())));
    }

    /// Who polls. What a task passes its own waker to is the task; what is polled with another one's, as in a set of futures, is not.
    pub(super) fn caller<'a>(&self, context: &'a Context<'_>) -> Caller<'a> {
        let waker = context.waker();
        let task = self.running.get().and_then(|(key, data, vtable)| {
            (waker.data() == data && core::ptr::eq(waker.vtable(), vtable)).then_some(key)
        });
        Caller { waker, task }
    }

    // The server.

    /// The server and what is known of its connections.
    pub(super) fn desk_cell(&self) -> &RefCell<Option<Box<Desk>>> {
        &self.desk
    }

    /// Does something with it, after what was let go meanwhile: what a read gave back comes before what is read next.
    ///
    /// # Errors
    /// `ResourceBusy` while the owner has it in hand; `NotConnected` once it is gone.
    pub(super) fn with_desk<T>(&self, act: impl FnOnce(&mut Desk) -> T) -> io::Result<T> {
        let mut desk = self.desk.try_borrow_mut().map_err(|_| busy())?;
        let desk = desk.as_mut().ok_or_else(gone)?;
        if self.has_late() {
            let late = self.late.take();
            late.into_iter().for_each(|what| desk.let_go(what));
        }
        Ok(act(desk))
    }

    /// Services the server, and wakes who waits for what it told or for its deadline.
    pub(super) fn service_server(&self, config: &TaskConfig) -> Option<Serviced> {
        let mut counters = self.counters.get();
        let done = self.with_desk(|desk| {
            // The owner had the server in hand, and may have wound it.
            #[cfg(feature = "hyper")]
            if desk.watch_sockets {
                self.timers.wind(desk.server.tymth().cloned());
            }
            let serviced = desk.service(config, &mut counters);
            (serviced, desk.server.tyme(), core::mem::take(&mut desk.woken))
        });
        self.counters.set(counters);
        let (serviced, now, mut woken) = done.ok()?;
        self.wake_whom(&mut woken);
        // Its memory is used again, unless somebody is at it.
        let _ = self.with_desk(|desk| desk.woken = woken);
        self.timers.advance(now);
        Some(serviced)
    }

    /// Sends what was queued; how much went.
    pub(super) fn send(&self) -> u64 {
        self.with_desk(|desk| desk.server.service_sends()).unwrap_or_default()
    }

    /// Does something that leaves the server work to do, of which the owner is told where it sleeps.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut Desk) -> T) -> io::Result<T> {
        let done = self.with_desk(act)?;
        self.queue.tell_owner();
        Ok(done)
    }

    /// Lets go of something: now, or else at the next tick.
    pub(super) fn let_go(&self, what: Late) {
        match self.desk.try_borrow_mut() {
            Ok(mut desk) => {
                if let Some(desk) = &mut *desk {
                    let late = self.late.take();
                    late.into_iter().chain([what]).for_each(|what| desk.let_go(what));
                }
            }
            Err(_) => self.late.borrow_mut().push(what),
        }
        self.queue.tell_owner();
    }

    /// Somebody waits no more. There is nothing to tell the owner.
    pub(super) fn stop_waiting(&self, who: Who) {
        let waiter = match self.desk.try_borrow_mut() {
            Ok(mut desk) => desk.as_mut().and_then(|desk| desk.waiter(who)).map(core::mem::take),
            Err(_) => {
                self.late.borrow_mut().push(Late::Stop(who));
                None
            }
        };
        drop(waiter); // With the desk free: the waker may be anybody's.
    }

    pub(super) fn has_late(&self) -> bool {
        !self.late.borrow().is_empty()
    }

    /// Whether what is dropped now is dropped because of a panic: what was being said is not to look finished.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.get() || std::thread::panicking()
    }

    // Counting.

    pub(super) fn count(&self, count: impl FnOnce(&mut TaskCounters)) {
        let mut counters = self.counters.get();
        count(&mut counters);
        self.counters.set(counters);
    }

    pub(super) fn counters(&self) -> TaskCounters {
        self.counters.get()
    }

    /// The owner goes: all tasks are dropped, then the server.
    pub(super) fn close(&self) {
        self.table.borrow_mut().close();
        let panic = self.abort_all();
        let desk = self.desk.try_borrow_mut().map(|mut desk| desk.take());
        drop(desk);
        self.panics.take().into_iter().for_each(drop_panic);
        if let Some(panic) = panic {
            resume(panic);
        }
    }
}

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "the owner of the tasks has the server in hand")
}

/// What all say once the owner is gone.
pub(super) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the tasks are gone")
}
