//! Whose turn it is: those that were woken, in the order of their waking.
//!
//! Wakers may be used from any thread, so this is the one part that is shared between threads. The order is that in which wakers were called; as long as only
//! the owner's thread calls them, it is the same in each run.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Wake;

use crate::net::Waker as Nudge;

/// Names a task for ever: its place in the table and which use of that place it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    /// The future of `run_until`.
    pub(super) const ROOT: Key = Key(u64::MAX);
    /// Nobody.
    const NONE: Key = Key(u64::MAX - 1);

    /// A generation comes again after 2^32 - 2 tasks in the same place.
    pub(super) fn new(index: usize, generation: u32) -> Key {
        let index = u64::try_from(index).unwrap_or(u64::MAX) & 0xffff_ffff;
        Key(u64::from(generation) << 32 | index)
    }

    pub(super) fn index(self) -> usize {
        usize::try_from(self.0 & 0xffff_ffff).unwrap_or(usize::MAX)
    }

    pub(super) fn generation(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }
}

#[derive(Default)]
struct Lines {
    /// Those that have been woken.
    ready: VecDeque<Key>,
    /// Those that woke themselves while they ran: they are next in the tick after this.
    again: VecDeque<Key>,
}

/// Who was woken, and whether the owner has gone to sleep over it.
pub(super) struct Queue {
    lines: Mutex<Lines>,
    /// How many are in both lines: who finds none need not lock them. Changed only by who has them locked.
    waiting: AtomicUsize,
    running: AtomicU64,
    /// The owner believes that there is nothing to do: the next waking must tell it.
    idle: AtomicBool,
    /// Ends the owner's sleep; none while the network has none.
    nudge: OnceLock<Nudge>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Queue {
            lines: Mutex::default(),
            waiting: AtomicUsize::new(0),
            running: AtomicU64::new(Key::NONE.0),
            idle: AtomicBool::new(false),
            nudge: OnceLock::new(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Whoever panicked here did so between two whole changes.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, key: Key) {
        let mut lines = self.lines();
        if self.running.load(Ordering::Relaxed) == key.0 {
            lines.again.push_back(key);
        } else {
            lines.ready.push_back(key);
        }
        self.note_waiting(&lines);
        drop(lines);
        self.tell_owner();
    }

    /// Puts all of them in line, of whom none runs, and takes them out of `keys`. Called by the owner, who need not be told.
    pub(super) fn push_all(&self, keys: &mut Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        let mut lines = self.lines();
        lines.ready.extend(keys.drain(..));
        self.note_waiting(&lines);
    }

    /// To be called before the lines are unlocked.
    fn note_waiting(&self, lines: &Lines) {
        self.waiting.store(lines.ready.len() + lines.again.len(), Ordering::SeqCst);
    }

    /// Ends the owner's sleep, if it has gone to sleep.
    ///
    /// It says so ([`rest`](Queue::rest)) before it looks whether there is anything to do; here something to do is put down before it is asked whether the
    /// owner sleeps. So one of the two sees the other.
    pub(super) fn tell_owner(&self) {
        if self.idle.load(Ordering::SeqCst)
            && self.idle.swap(false, Ordering::SeqCst)
            && let Some(nudge) = self.nudge.get()
        {
            // Without a waker it is seen at the next tick.
            let _ = nudge.wake();
        }
    }

    /// Takes all that is ready, if there is nothing in `line`.
    pub(super) fn fill(&self, line: &mut VecDeque<Key>) {
        if line.is_empty() && !self.is_empty() {
            let mut lines = self.lines();
            core::mem::swap(&mut lines.ready, line);
            self.note_waiting(&lines);
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// A task begins to run, or none does any more.
    pub(super) fn set_running(&self, key: Option<Key>) {
        self.running.store(key.unwrap_or(Key::NONE).0, Ordering::Relaxed);
    }

    /// Whether a task runs.
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) != Key::NONE.0
    }

    /// The owner is at work, and will look.
    pub(super) fn work(&self) {
        self.idle.store(false, Ordering::SeqCst);
    }

    /// A tick is over: who woke itself gets in line, and from now on the owner must be told.
    pub(super) fn rest(&self) {
        if !self.is_empty() {
            let mut lines = self.lines();
            let Lines { ready, again } = &mut *lines;
            ready.append(again);
        }
        self.idle.store(true, Ordering::SeqCst);
    }

    pub(super) fn needs_nudge(&self) -> bool {
        self.nudge.get().is_none()
    }

    pub(super) fn set_nudge(&self, nudge: Nudge) {
        let _ = self.nudge.set(nudge);
    }
}

/// What a task's waker is: puts the task in line, once.
pub(super) struct Ticket {
    queue: Arc<Queue>,
    key: Key,
    queued: AtomicBool,
}

impl Ticket {
    pub(super) fn new(queue: &Arc<Queue>, key: Key) -> Arc<Ticket> {
        Arc::new(Ticket { queue: Arc::clone(queue), key, queued: AtomicBool::new(false) })
    }

    /// Marks it as woken, for who puts it in line; false where it is.
    pub(super) fn mark(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Its turn has come: from now on it can be woken again. Returns whether it was woken at all.
    pub(super) fn punch(&self) -> bool {
        // Acquire: what was done before a waking that changed nothing is seen, too.
        self.queued.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.mark() {
            self.queue.push(self.key);
        }
    }
}
