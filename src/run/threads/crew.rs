//! What the threads of a manager and their manager share.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Failure;
#[cfg(all(unix, feature = "systemd"))]
use super::herald::{Herald, Word};
#[cfg(all(unix, feature = "uds"))]
use super::listening::Held;
use crate::counters::Counters;
use crate::net::Waker;

/// The engines of one start. Invariant: `running` is the number of threads whose `End` is still to be dropped.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) seats: Vec<Place>,
    state: Mutex<State>,
    /// Told when an engine ends or fails.
    news: Condvar,
    /// Told as well.
    bell: Mutex<Option<Arc<Bell>>>,
    /// How often `order` was changed, so that engines need not lock to see that it was not.
    pub(super) orders: AtomicUsize,
    order: Mutex<Option<Order>>,
    /// Who is told how things are.
    #[cfg(all(unix, feature = "systemd"))]
    pub(super) herald: Option<Herald>,
}

/// What several crews ring, for who waits for all of them.
#[derive(Debug, Default)]
pub(super) struct Bell {
    lock: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn ring(&self) {
        // Locked, so that nobody is between having looked and waiting.
        let _between = lock(&self.lock);
        self.rung.notify_all();
    }

    /// Waits until `look` finds what it looks for, which it does at the beginning and at each ring; at most so long.
    pub(super) fn wait(&self, limit: Option<Duration>, mut look: impl FnMut() -> bool) {
        let between = lock(&self.lock);
        let goes_on = |(): &mut ()| !look();
        match limit {
            Some(limit) => {
                #[expect(clippy::disallowed_methods, reason = "this room may wait")]
                drop(self.rung.wait_timeout_while(between, limit, goes_on));
            }
            None => drop(self.rung.wait_while(between, goes_on)),
        }
    }
}

/// How to end.
#[derive(Copy, Clone, Debug)]
pub(super) struct Order {
    /// How long connections may take; `None`: as the configuration says.
    pub(super) within: Option<Duration>,
    /// Another process has the listeners: what belongs to them is its own now.
    pub(super) handed_over: bool,
}

/// What is known of one engine.
#[derive(Debug, Default)]
pub(super) struct Place {
    waker: Mutex<Option<Waker>>,
    tally: Mutex<Tally>,
    /// Its listening sockets, to be handed on.
    #[cfg(all(unix, feature = "uds"))]
    listeners: Mutex<Vec<Held>>,
}

/// What an engine has done, and its live connections.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) counters: Counters,
    pub(super) live: usize,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    failures: Vec<Failure>,
    /// How many of them were handed out.
    told: usize,
}

/// A panic never leaves these half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    pub(super) fn new(count: usize) -> Self {
        Crew {
            seats: (0..count).map(|_| Place::default()).collect(),
            state: Mutex::default(),
            news: Condvar::new(),
            bell: Mutex::default(),
            orders: AtomicUsize::new(0),
            order: Mutex::new(None),
            #[cfg(all(unix, feature = "systemd"))]
            herald: None,
        }
    }

    pub(super) fn running(&self) -> usize {
        lock(&self.state).running
    }

    pub(super) fn begins(&self) {
        lock(&self.state).running += 1;
    }

    /// An engine has ended; its sockets are closed.
    pub(super) fn ends(&self, engine: usize, failure: Option<Failure>) {
        if let Some(place) = self.seats.get(engine) {
            *lock(&place.waker) = None;
            place.lets_go();
            lock(&place.tally).live = 0;
        }
        let mut state = lock(&self.state);
        state.failures.extend(failure);
        state.running -= 1;
        drop(state);
        self.tell();
    }

    /// Puts down what went wrong with those that run; whether any does.
    pub(super) fn fail(&self, failure: Failure) -> bool {
        let mut state = lock(&self.state);
        let runs = state.running > 0;
        if runs {
            state.failures.push(failure);
            drop(state);
            self.tell();
        }
        runs
    }

    /// There is news; called after it was put down.
    fn tell(&self) {
        self.news.notify_all();
        if let Some(bell) = &*lock(&self.bell) {
            bell.ring();
        }
    }

    /// Rings this one from now on. What was before is to be looked at after that.
    pub(super) fn hang(&self, bell: Option<Arc<Bell>>) {
        *lock(&self.bell) = bell;
    }

    /// Waits until all have ended, and delivers nothing.
    pub(super) fn outlast(&self) {
        drop(self.news.wait_while(lock(&self.state), |state| state.running > 0));
    }

    /// The next failure that was not delivered, which it is now.
    pub(super) fn next_failure(&self) -> Option<Failure> {
        let mut state = lock(&self.state);
        let failure = state.failures.get(state.told).cloned()?;
        state.told += 1;
        Some(failure)
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        lock(&self.state).failures.clone()
    }

    /// What went wrong with this engine, which is told now.
    pub(super) fn take_failure_of(&self, engine: usize) -> Option<Failure> {
        let mut state = lock(&self.state);
        let of_it = |failure: &Failure| match failure {
            Failure::Thread(_) => true,
            other => other.engine() == Some(engine),
        };
        let at = state.failures.iter().rposition(of_it)?;
        state.told = state.told.saturating_sub(usize::from(at < state.told));
        Some(state.failures.remove(at))
    }

    /// Waits until all have ended, or (if `heed`) one has failed and was not told; at most so long. Whether all have ended.
    pub(super) fn wait(&self, limit: Option<Duration>, heed: bool) -> Result<bool, Failure> {
        let state = lock(&self.state);
        let goes_on =
            |state: &mut State| state.running > 0 && !(heed && state.told < state.failures.len());
        let mut state = match limit {
            Some(limit) => {
                #[expect(clippy::disallowed_methods, reason = "this room may wait")]
                let waited = self.news.wait_timeout_while(state, limit, goes_on);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.news.wait_while(state, goes_on);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        if state.running > 0 && !heed {
            return Ok(false);
        }
        let told = state.told;
        if let Some(failure) = state.failures.get(told).cloned() {
            state.told += 1;
            return Err(failure);
        }
        Ok(state.running == 0)
    }

    pub(super) fn give(&self, order: Order) {
        #[cfg(all(unix, feature = "systemd"))]
        let runs = self.running() > 0;
        let order = {
            let mut there = lock(&self.order);
            let order = match *there {
                // That they go on elsewhere does not give them more time than they were given.
                Some(before) if order.handed_over => Order { handed_over: true, ..before },
                Some(before) => Order { handed_over: before.handed_over, ..order },
                None => order,
            };
            *there = Some(order);
            self.orders.fetch_add(1, Ordering::Release);
            order
        };
        // What was handed over goes on elsewhere, also where the rest here is told to end.
        #[cfg(all(unix, feature = "systemd"))]
        let herald = self.herald.as_ref().filter(|_| runs && !order.handed_over);
        #[cfg(not(all(unix, feature = "systemd")))]
        let _ = order;
        // Before the engines are woken: with them the process may end.
        #[cfg(all(unix, feature = "systemd"))]
        if let Some(herald) = herald {
            herald.say(Word::Stopping);
        }
        self.wake();
    }

    /// Has them end as the configuration says, or as they were told to before: nobody gets more time by being dropped.
    pub(super) fn end(&self) {
        if self.order().is_none() {
            self.give(Order { within: None, handed_over: false });
        }
    }

    /// Tells the service manager, or has the engines do it.
    #[cfg(all(unix, feature = "systemd"))]
    pub(super) fn say(&self, word: Word) {
        if self.herald.as_ref().is_some_and(|herald| !herald.say(word)) {
            self.wake();
        }
    }

    fn wake(&self) {
        for place in &self.seats {
            if let Some(waker) = &*lock(&place.waker) {
                // Fails only where the process is out of memory; the engine sees what there is in its next tick.
                let _ = waker.wake();
            }
        }
    }

    pub(super) fn order(&self) -> Option<Order> {
        *lock(&self.order)
    }

    /// All engines together.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for place in &self.seats {
            let tally = *lock(&place.tally);
            sum.counters += tally.counters;
            sum.live += tally.live;
        }
        sum
    }

    /// Copies of all listening sockets that are open.
    #[cfg(all(unix, feature = "uds"))]
    pub(super) fn listeners(&self) -> std::io::Result<Vec<Held>> {
        let mut all = Vec::new();
        for place in &self.seats {
            for held in &*lock(&place.listeners) {
                all.push(held.try_clone()?);
            }
        }
        Ok(all)
    }
}

impl Place {
    #[cfg(all(unix, feature = "uds"))]
    pub(super) fn holds(&self, listeners: Vec<Held>) {
        *lock(&self.listeners) = listeners;
    }

    pub(super) fn is_up(&self, waker: Waker) {
        *lock(&self.waker) = Some(waker);
    }

    /// Its sockets are not to be handed on any more.
    pub(super) fn lets_go(&self) {
        #[cfg(all(unix, feature = "uds"))]
        lock(&self.listeners).clear();
    }

    pub(super) fn publish(&self, tally: Tally) {
        *lock(&self.tally) = tally;
    }

    pub(super) fn tally(&self) -> Tally {
        *lock(&self.tally)
    }
}
