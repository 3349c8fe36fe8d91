//! The table of tasks: beginning them, letting them run, and what becomes of those that end otherwise.

use core::any::Any;
use core::future::Future;
use core::task::{Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;

use slab::Slab;

use super::config::Panics;
use super::desk::Whom;
use super::job::{Job, Work};
use super::join::{Join, JoinError, JoinHandle};
use super::queue::{Key, Ticket};
use super::shared::Shared;
use crate::doing::{drop_panic, keep_first};

/// Panics kept for the owner; more are only counted.
const PANICS: usize = 16;

/// All tasks, each at its place.
#[derive(Default)]
pub(super) struct Table {
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

    /// Nothing begins any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
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
        self.set_running(Some((key, job.waker())));
        // What a panic leaves half done is the task's own, and that ends with it.
        let polled = catch_unwind(AssertUnwindSafe(|| job.poll()));
        self.set_running(None);
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

    /// As [`wake_all`], in the same order. Our own tasks get in line together.
    pub(super) fn wake_whom(&self, woken: &mut Vec<Whom>) {
        let mut tasks = self.marked.take();
        let mut panicked = None;
        for whom in woken.drain(..) {
            match whom {
                Whom::Task(key) => {
                    if self.table.borrow().get(key).is_some_and(|job| job.mark()) {
                        tasks.push(key);
                    }
                }
                Whom::Other(waker) => {
                    self.queue.push_all(&mut tasks);
                    keep_first(&mut panicked, wake(waker));
                }
            }
        }
        self.queue.push_all(&mut tasks);
        self.marked.set(tasks);
        if let Some(panic) = panicked {
            resume(panic);
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
        } else {
            drop(panics); // It may have anything in it.
            drop_panic(payload);
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
                Err(payload) => keep_first(&mut resumed, self.tell_panic(&*job, payload)),
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

/// Wakes all of them, whatever one of somebody else's does; its panic goes on after that.
pub(super) fn wake_all(woken: &mut Vec<Waker>) {
    let mut panicked = None;
    for waker in woken.drain(..) {
        keep_first(&mut panicked, wake(waker));
    }
    if let Some(panic) = panicked {
        resume(panic);
    }
}

/// Wakes somebody; what that panics with.
fn wake(waker: Waker) -> Option<Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| waker.wake())).err()
}

/// Goes on with a panic, unless there is one already: two end the process.
pub(super) fn resume(panic: Box<dyn Any + Send>) {
    if std::thread::panicking() {
        drop_panic(panic);
    } else {
        resume_unwind(panic);
    }
}
