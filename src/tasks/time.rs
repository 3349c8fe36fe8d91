//! Tasks' deadlines, in the crate's own wheel, and the futures that wait for them.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use super::queue::Queue;
use super::table::wake_all;
#[cfg(feature = "hyper")]
use crate::tyme::Tymth;
use crate::tyme::{Timer, Tyme, Wheel};

/// The clock and the deadlines of all tasks. Shared between threads only because hyper wants its timers to be so.
///
/// Deadlines are points of a time of the tasks' own. It begins as their first clock and goes on by whatever clock they have, so that with another one nothing
/// changes but what is shown: what was left of each deadline, of sleeps that nobody has polled too, lies ahead again.
pub(super) struct Timers {
    /// Now, in that time.
    own: AtomicU64,
    /// What the clock shows beyond that, modulo 2^64. One of the two changes at a time, so whoever reads both has a tyme that was shown.
    shift: AtomicU64,
    /// The earliest deadline, or [`UNKNOWN`]: who finds that it has not come need not lock the rest. Changed only by who has that locked.
    earliest: AtomicU64,
    state: Mutex<State>,
    queue: Arc<Queue>,
    /// The clock itself, of tasks that are wound to one.
    #[cfg(feature = "hyper")]
    clock: Mutex<Option<Tymth>>,
}

/// The earliest deadline is to be looked for.
const UNKNOWN: u64 = 0;

struct State {
    wheel: Wheel<usize>,
    slots: Slab<Slot>,
    due: Vec<(Tyme, usize)>,
    woken: Vec<Waker>,
}

struct Slot {
    /// `None` once it has fired.
    timer: Option<Timer>,
    waker: Option<Waker>,
}

impl Timers {
    pub(super) fn new(now: Tyme, queue: Arc<Queue>) -> Self {
        let (slots, due, woken) = (Slab::new(), Vec::new(), Vec::new());
        let state = State { wheel: Wheel::new(now), slots, due, woken };
        let (own, shift) = (AtomicU64::new(now.as_nanos()), AtomicU64::new(0));
        Timers {
            own,
            shift,
            earliest: AtomicU64::new(Tyme::NEVER.as_nanos()),
            state: Mutex::new(state),
            queue,
            #[cfg(feature = "hyper")]
            clock: Mutex::default(),
        }
    }

    /// The clock that it goes by from now on.
    #[cfg(feature = "hyper")]
    pub(super) fn wind(&self, clock: Option<Tymth>) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = clock;
    }

    /// Now, in the tasks' own time: in a task that of its tick, between ticks what the clock shows by then.
    #[cfg(feature = "hyper")]
    pub(super) fn own_latest(&self) -> Tyme {
        let (own, now) = self.both();
        if self.queue.is_running() {
            return own;
        }
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.as_ref().map_or(own, |clock| own + (clock.latest() - now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the clock shows.
    pub(super) fn now(&self) -> Tyme {
        self.both().1
    }

    /// Now, in the tasks' own time.
    pub(super) fn own(&self) -> Tyme {
        Tyme::from_nanos(self.own.load(Ordering::Acquire))
    }

    /// Now, in the tasks' own time and as the clock shows it.
    fn both(&self) -> (Tyme, Tyme) {
        let shift = self.shift.load(Ordering::Acquire);
        let own = self.own();
        (own, Tyme::from_nanos(own.as_nanos().wrapping_add(shift)))
    }

    /// A tyme of the clock in the tasks' own time; now, if it is over.
    fn own_of(&self, tyme: Tyme) -> Tyme {
        let (own, now) = self.both();
        if tyme == Tyme::NEVER { tyme } else { own + (tyme - now) }
    }

    /// A point of the tasks' own time as the clock will show it; now, if it is over.
    fn shown(&self, due: Tyme) -> Tyme {
        let (own, now) = self.both();
        if due == Tyme::NEVER { due } else { now + (due - own) }
    }

    /// The earliest deadline, as the clock will show it.
    pub(super) fn next(&self) -> Option<Tyme> {
        let next = self.earliest();
        (next != Tyme::NEVER).then(|| self.shown(next))
    }

    /// The earliest deadline, `NEVER` if there is none.
    fn earliest(&self) -> Tyme {
        match self.earliest.load(Ordering::SeqCst) {
            UNKNOWN => self.look_for_earliest(&self.state()),
            earliest => Tyme::from_nanos(earliest),
        }
    }

    fn look_for_earliest(&self, state: &State) -> Tyme {
        let earliest = state.wheel.next().unwrap_or(Tyme::NEVER);
        self.earliest.store(earliest.as_nanos(), Ordering::SeqCst);
        earliest
    }

    /// It is `now`: wakes whose deadline has come, in the order of deadlines. An earlier tyme than
    /// before is that of another clock.
    pub(super) fn advance(&self, now: Tyme) {
        if now < self.now() {
            self.rebase(now);
        }
        let (own, before) = self.both();
        let own = own + (now - before);
        self.own.store(own.as_nanos(), Ordering::Release);
        if self.earliest() > own {
            return;
        }
        let mut state = self.state();
        let State { wheel, slots, due, woken } = &mut *state;
        wheel.advance(own, due);
        self.earliest.store(UNKNOWN, Ordering::SeqCst);
        for (_, index) in due.drain(..) {
            if let Some(slot) = slots.get_mut(index) {
                slot.timer = None;
                woken.extend(slot.waker.take());
            }
        }
        let mut woken = core::mem::take(woken);
        drop(state);
        wake_all(&mut woken);
        self.state().woken = woken;
    }

    /// Goes by another clock from now on, which shows `now`: what was left of each deadline lies ahead again.
    pub(super) fn rebase(&self, now: Tyme) {
        let shift = now.as_nanos().wrapping_sub(self.own().as_nanos());
        self.shift.store(shift, Ordering::Release);
    }

    /// Arms a deadline; wakes the owner if it may sleep for longer than that.
    fn arm(&self, due: Tyme, waker: &Waker) -> usize {
        let mut state = self.state();
        let index = state.slots.insert(Slot { timer: None, waker: Some(waker.clone()) });
        let timer = state.wheel.arm(due, index);
        state.slots[index].timer = Some(timer);
        // `UNKNOWN` stays so: it is the least.
        let earliest = self.earliest.load(Ordering::SeqCst);
        self.earliest.store(earliest.min(due.as_nanos()), Ordering::SeqCst);
        drop(state);
        self.queue.tell_owner();
        index
    }

    /// Whether it has fired; if not, this waker is to be called then.
    fn look(&self, index: usize, waker: &Waker) -> bool {
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(index) else { return true };
        if slot.timer.is_none() {
            return true;
        }
        if !slot.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            let old = slot.waker.replace(waker.clone());
            drop(state); // Before the waker, which may be anybody's, and the last to hold a sleep.
            drop(old);
        }
        false
    }

    fn cancel(&self, index: usize) {
        let mut state = self.state();
        let Some(slot) = state.slots.try_remove(index) else { return };
        if let Some(timer) = slot.timer {
            state.wheel.cancel(timer);
            self.earliest.store(UNKNOWN, Ordering::SeqCst);
        }
        if state.slots.is_empty() {
            state.slots.shrink_to_fit();
        }
        drop(state); // Before the waker, which may be anybody's.
    }
}

/// Is ready when its tyme has come, in the first tick that has reached it. Made by [`Handle::sleep`](super::Handle::sleep). May be polled on any thread.
///
/// Costs nothing before it is polled, then a place in the wheel (under 100 bytes), which dropping it gives back.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    timers: Arc<Timers>,
    deadline: Tyme,
    /// The same in the tasks' own time.
    due: Tyme,
    slot: Option<usize>,
}

impl Sleep {
    pub(super) fn new(timers: &Arc<Timers>, deadline: Tyme) -> Self {
        Sleep { timers: Arc::clone(timers), deadline, due: timers.own_of(deadline), slot: None }
    }

    /// Until a point of the tasks' own time.
    pub(super) fn until(timers: &Arc<Timers>, due: Tyme) -> Self {
        Sleep { timers: Arc::clone(timers), deadline: timers.shown(due), due, slot: None }
    }

    /// When it is ready, by the clock that it was made with.
    #[must_use]
    pub fn deadline(&self) -> Tyme {
        self.deadline
    }

    /// Sleeps until `deadline` instead. Whoever waits must poll again.
    pub fn reset(&mut self, deadline: Tyme) {
        self.give_back();
        (self.deadline, self.due) = (deadline, self.timers.own_of(deadline));
    }

    /// The same in the tasks' own time.
    pub(super) fn reset_until(&mut self, due: Tyme) {
        self.give_back();
        (self.deadline, self.due) = (self.timers.shown(due), due);
    }

    fn give_back(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.timers.cancel(slot);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let over = match self.slot {
            Some(slot) => self.timers.look(slot, context.waker()),
            None => self.timers.own() >= self.due,
        };
        if over {
            // Polled again, it is ready again.
            self.give_back();
            self.due = Tyme::ZERO;
            return Poll::Ready(());
        }
        if self.slot.is_none() {
            self.slot = Some(self.timers.arm(self.due, context.waker()));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// That something took longer than it was given.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("took longer than it was given")
    }
}

impl core::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// A beat: ready at each multiple of its period. Made by [`Handle::interval`](super::Handle::interval).
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    /// In the tasks' own time.
    next: Tyme,
    period: Duration,
}

impl Interval {
    pub(super) fn new(timers: &Arc<Timers>, now: Tyme, period: Duration) -> Self {
        // A period of zero would be ready for ever.
        let period = period.max(Duration::from_nanos(1));
        let next = timers.own_of(now + period);
        Interval { sleep: Sleep::until(timers, next), next, period }
    }

    /// Waits for the next beat; how many have passed since the last one, at least 1. Those that were missed are not made up for: the beat stays in step with
    /// where it began. May be dropped and called again.
    pub async fn tick(&mut self) -> u64 {
        core::future::poll_fn(|context| Pin::new(&mut self.sleep).poll(context)).await;
        let late = self.sleep.timers.own() - self.next;
        let missed = late.as_nanos() / self.period.as_nanos();
        let beats = u64::try_from(missed).unwrap_or(u64::MAX - 1) + 1;
        let nanos = u128::from(beats).saturating_mul(self.period.as_nanos());
        self.next += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.sleep.reset_until(self.next);
        beats
    }
}
