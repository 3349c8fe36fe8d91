//! The tick of tasks, and sleeping until there is one to do.

use core::any::Any;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::rc::Rc;
use std::sync::Arc;

use super::owner::{Tasks, there, there_mut};
use super::queue::{Key, Queue, Ticket};
use crate::doing::keep_first;
use crate::event::{Serviced, Wake};

/// # The tick
impl Tasks {
    /// Does one tick: services the server, wakes who waited for what happened and whose deadlines have come, lets woken tasks run, sends what they queued.
    /// Never blocks, and is bounded by the budgets of [`Limits`](crate::Limits) and by
    /// [`TaskConfig::polls_per_tick`](super::TaskConfig::polls_per_tick) (as far as each poll of a task is).
    ///
    /// # Panics
    /// With what a task panicked with that nobody waits for, if [`TaskConfig::panics`](super::TaskConfig::panics) says so. The next tick goes on with the
    /// others.
    pub fn service(&mut self) -> Serviced {
        let (mut serviced, panic) = self.tick(&mut || {});
        serviced.bytes_out += self.shared.send();
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
        serviced
    }

    /// The same but for the sending, with somebody whose turn is that of the future of `run_until`; and a panic that is to go on.
    fn tick(&mut self, root: &mut dyn FnMut()) -> (Serviced, Option<Box<dyn Any + Send>>) {
        let shared = Rc::clone(&self.shared);
        let config = shared.config.get();
        shared.queue.work();
        self.get_nudge();
        let _tick = InTick(&shared.queue);
        let Some(mut serviced) = shared.service_server(&config) else { return Default::default() };
        let mut resumed = None;
        let budget = config.polls_per_tick.max(1);
        let mut polls = 0;
        loop {
            shared.queue.fill(&mut self.line);
            if polls == budget && !self.line.is_empty() {
                shared.count(|counters| counters.budget += 1);
                serviced.more = true;
                break;
            }
            let Some(key) = self.line.pop_front() else { break };
            polls += 1;
            if key == Key::ROOT {
                shared.queue.set_running(Some(key));
                root();
                shared.queue.set_running(None);
            } else {
                keep_first(&mut resumed, shared.run(key));
            }
        }
        shared.count(|counters| counters.polls += polls as u64);
        (serviced, resumed)
    }

    /// When it wants to be serviced next: the earliest of what the server wants, of the tasks' deadlines, and at once while a task waits for its turn.
    ///
    /// Events for the owner do not count: who never takes them is not kept awake by them.
    #[must_use]
    pub fn wake(&self) -> Wake {
        if self.has_ready() {
            return Wake::Now;
        }
        let server = self.server();
        let wake = server.wake();
        match self.shared.timers.next() {
            Some(deadline) if deadline <= server.tyme() => Wake::Now,
            Some(deadline) => wake.min(Wake::At(deadline)),
            None => wake,
        }
    }

    /// Sleeps until it wants to be serviced, `limit` has passed (`None`: no limit), a waker calls or a signal comes; see [`Server::wait`](crate::Server::wait).
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.get_nudge();
        if self.has_ready() {
            return; // The tick begins with sending what is queued.
        }
        let deadline = self.shared.timers.next();
        let mut desk = self.shared.desk_cell().borrow_mut();
        let server = &mut there_mut(desk.as_deref_mut()).server;
        // What has passed since the tick is not slept again.
        let left = deadline.map(|deadline| deadline - server.engine_mut().sample());
        server.wait(left.into_iter().chain(limit).min());
    }

    /// Whether a task waits for its turn, or to hear of room or that there is nothing to wait for, or something to be let go of.
    fn has_ready(&self) -> bool {
        let ready = !self.line.is_empty() || !self.shared.queue.is_empty();
        let owes = || {
            let desk = self.shared.desk_cell().borrow();
            let desk = there(desk.as_deref());
            desk.is_waited_in_vain() || desk.owes_room()
        };
        ready || self.shared.has_late() || owes()
    }

    /// Ticks until `future` is done, sleeping in between, and gives what it gives. All tasks go on meanwhile; those that are not done then go on with the next
    /// tick.
    ///
    /// For networks that can wait. On a simulated one time passes only between turns: there tasks are a host's program.
    ///
    /// # Panics
    /// If `future` does, and as [`service`](Tasks::service).
    pub fn run_until<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let ticket = Ticket::new(&self.shared.queue, Key::ROOT);
        let waker = Waker::from(Arc::clone(&ticket));
        let mut context = Context::from_waker(&waker);
        let mut output = None;
        waker.wake_by_ref();
        loop {
            let (_, panic) = self.tick(&mut || {
                // What was queued may be the waker of an earlier one, or this one's after its end.
                if output.is_some() || !ticket.punch() {
                    return;
                }
                if let Poll::Ready(ready) = future.as_mut().poll(&mut context) {
                    output = Some(ready);
                }
            });
            if panic.is_some() || output.is_some() {
                self.shared.send();
            }
            if let Some(panic) = panic {
                std::panic::resume_unwind(panic);
            }
            if let Some(output) = output.take() {
                return output;
            }
            self.wait(None); // Which begins with sending.
        }
    }
}

/// A tick, which is over however it ends: the future of `run_until` may panic.
struct InTick<'a>(&'a Queue);

impl Drop for InTick<'_> {
    fn drop(&mut self) {
        self.0.set_running(None);
        self.0.rest();
    }
}
