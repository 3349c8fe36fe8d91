//! What the owner, the handles and the streams have in common, and the table of tasks.

use core::any::Any;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::task::Poll;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};

use bytes::Bytes;
use slab::Slab;

use super::config::{Panics, TaskConfig, TaskCounters};
use super::desk::Desk;
use super::job::{Job, Work};
use super::join::{Join, JoinError, JoinHandle};
use super::queue::{Key, Queue, Ticket};
use super::time::Timers;
use crate::event::Serviced;
use crate::id::Id;
use crate::server::Server;
use crate::{AcceptorId, EndpointId};

/// Panics kept for the owner; more are only counted.
const PANICS: usize = 16;

pub(super) struct Shared {
    /// `None` once the owner is gone. Never borrowed while a task runs.
    desk: RefCell<Option<Box<Desk>>>,
    table: RefCell<Table>,
    pub(super) queue: Arc<Queue>,
    pub(super) timers: Arc<Timers>,
    pub(super) config: Cell<TaskConfig>,
    counters: Cell<TaskCounters>,
    /// What was let go while the owner had the server in hand.
    late: RefCell<Vec<Late>>,
    pub(super) panics: RefCell<Vec<Box<dyn Any + Send>>>,
    /// What a task that has panicked leaves behind is being dropped.
    failing: Cell<bool>,
}

/// What is to be done once the server is at hand.
#[derive(Clone, Debug)]
pub(super) enum Late {
    Leave { id: Id, abort: bool },
    EndSend(Id),
    Abort(Id),
    Unread(Id, Bytes),
    Unlisten(AcceptorId),
    Unbind(EndpointId),
}

struct Table {
    slots: Slab<Entry>,
    generation: u32,
    /// The owner is gone: nothing begins any more.
    closed: bool,
}

struct Entry {
    generation: u32,
    job: Rc<dyn Work>,
}

impl Table {
    fn get(&self, key: Key) -> Option<&Rc<dyn Work>> {
        let entry = self.slots.get(key.index())?;
        (entry.generation == key.generation()).then_some(&entry.job)
    }

    fn remove(&mut self, key: Key) -> Option<Rc<dyn Work>> {
        self.get(key)?;
        let job = self.slots.remove(key.index()).job;
        if self.slots.is_empty() {
            self.slots.shrink_to_fit();
        }
        Some(job)
    }
}

impl Shared {
    pub(super) fn new(server: Server, config: TaskConfig) -> Rc<Self> {
        let queue = Arc::new(Queue::new());
        let timers = Arc::new(Timers::new(server.tyme(), Arc::clone(&queue)));
        let table = Table { slots: Slab::new(), generation: 0, closed: false };
        Rc::new(Shared {
            desk: RefCell::new(Some(Box::new(Desk::new(server)))),
            table: RefCell::new(table),
            queue,
            timers,
            config: Cell::new(config),
            counters: Cell::default(),
            late: RefCell::default(),
            panics: RefCell::default(),
            failing: Cell::new(false),
        })
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
            let serviced = desk.service(config, &mut counters);
            (serviced, desk.server.tyme(), core::mem::take(&mut desk.woken))
        });
        self.counters.set(counters);
        let (serviced, now, mut woken) = done.ok()?;
        woken.drain(..).for_each(Waker::wake);
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

    // Tasks.

    pub(super) fn tasks(&self) -> usize {
        self.table.borrow().slots.len()
    }

    pub(super) fn try_spawn<F>(self: &Rc<Self>, future: F) -> Result<JoinHandle<F::Output>, F>
    where
        F: Future + 'static,
    {
        let mut table = self.table.borrow_mut();
        if table.closed || table.slots.len() >= self.config.get().tasks {
            self.count(|counters| counters.refused += 1);
            return Err(future);
        }
        // Never that of `run_until`, nor nobody's.
        table.generation = (table.generation + 1) % (u32::MAX - 1);
        let generation = table.generation;
        let key = Key::new(table.slots.vacant_key(), generation);
        let ticket = Ticket::new(&self.queue, key);
        let join = Join::new();
        let job = Job::new(future, Arc::clone(&ticket), Rc::clone(&join));
        table.slots.insert(Entry { generation, job });
        drop(table);
        self.count(|counters| counters.spawned += 1);
        ticket.wake();
        Ok(JoinHandle::new(join, self, Some(key)))
    }

    pub(super) fn spawn<F>(self: &Rc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        self.try_spawn(future).unwrap_or_else(|refused| {
            drop(refused);
            let join = Join::new();
            join.set(Err(JoinError::Refused));
            JoinHandle::new(join, self, None)
        })
    }

    pub(super) fn abort(&self, key: Key) {
        let job = self.table.borrow().get(key).map(Rc::clone);
        if let Some(panic) = job.and_then(|job| self.stop(key, &*job)) {
            resume(panic);
        }
    }

    /// Drops a task's future, unless it runs; a panic of its destructors that is to go on.
    fn stop(&self, key: Key, job: &dyn Work) -> Option<Box<dyn Any + Send>> {
        match stopped(job) {
            Ok(false) => None,
            Ok(true) => {
                let removed = self.table.borrow_mut().remove(key);
                if removed.is_some() {
                    self.count(|counters| counters.aborted += 1);
                    job.fail(JoinError::Aborted);
                }
                None
            }
            Err(payload) => {
                self.table.borrow_mut().remove(key);
                self.tell_panic(job, payload)
            }
        }
    }

    /// Lets a task run; a panic that is to go on.
    pub(super) fn run(&self, key: Key) -> Option<Box<dyn Any + Send>> {
        let job = self.table.borrow().get(key).map(Rc::clone)?;
        self.queue.set_running(Some(key));
        // What a panic leaves half done is the task's own, and that ends with it.
        let polled = catch_unwind(AssertUnwindSafe(|| job.poll()));
        self.queue.set_running(None);
        match polled {
            Ok(Poll::Pending) => {
                if job.is_aborted() {
                    self.stop(key, &*job)
                } else {
                    None
                }
            }
            Ok(Poll::Ready(())) => {
                self.table.borrow_mut().remove(key);
                self.count(|counters| counters.finished += 1);
                None
            }
            Err(payload) => self.met_panic(key, &*job, payload),
        }
    }

    fn met_panic(
        &self,
        key: Key,
        job: &dyn Work,
        payload: Box<dyn Any + Send>,
    ) -> Option<Box<dyn Any + Send>> {
        self.failing.set(true);
        let second = stopped(job).err();
        self.failing.set(false);
        self.table.borrow_mut().remove(key);
        let resumed = self.tell_panic(job, payload);
        // Nobody waits for that one, whoever waits for the task.
        if let Some(second) = second {
            self.keep_panic(second);
        }
        resumed
    }

    /// Tells who waits for a task that it has panicked; gives the panic back if nobody does and it is to go on.
    fn tell_panic(
        &self,
        job: &dyn Work,
        payload: Box<dyn Any + Send>,
    ) -> Option<Box<dyn Any + Send>> {
        self.count(|counters| counters.panicked += 1);
        let Some(JoinError::Panicked(payload)) = job.fail(JoinError::Panicked(payload)) else {
            return None;
        };
        if self.config.get().panics == Panics::Resume {
            return Some(payload);
        }
        self.keep_panic(payload);
        None
    }

    fn keep_panic(&self, payload: Box<dyn Any + Send>) {
        let mut panics = self.panics.borrow_mut();
        if panics.len() < PANICS {
            panics.push(payload);
        }
    }

    /// The owner goes: all tasks are dropped, then the server.
    pub(super) fn close(&self) {
        self.table.borrow_mut().closed = true;
        let panic = self.abort_all();
        let desk = self.desk.try_borrow_mut().map(|mut desk| desk.take());
        drop(desk);
        if let Some(panic) = panic {
            resume(panic);
        }
    }

    /// Drops all tasks, in the order of their places; the first panic of their destructors, if that is to go on.
    pub(super) fn abort_all(&self) -> Option<Box<dyn Any + Send>> {
        let jobs: Vec<Rc<dyn Work>> =
            self.table.borrow_mut().slots.drain().map(|entry| entry.job).collect();
        let mut resumed = None;
        for job in jobs {
            match stopped(&*job) {
                Ok(_) => {
                    self.count(|counters| counters.aborted += 1);
                    job.fail(JoinError::Aborted);
                }
                Err(payload) => resumed = resumed.or(self.tell_panic(&*job, payload)),
            }
        }
        resumed
    }
}

/// Drops a task's future; false while it runs.
///
/// # Errors
/// What its destructors panic with. All that is theirs is gone with it.
fn stopped(job: &dyn Work) -> Result<bool, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| job.stop()))
}

/// Goes on with a panic, unless there is one already: two end the process.
pub(super) fn resume(panic: Box<dyn Any + Send>) {
    if !std::thread::panicking() {
        resume_unwind(panic);
    }
}

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "the owner of the tasks has the server in hand")
}

/// What all say once the owner is gone.
pub(super) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the tasks are gone")
}
