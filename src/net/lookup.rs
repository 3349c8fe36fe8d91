//! Looking names up without waiting.

use core::fmt;
use core::mem;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{Addr, Waker};

/// A host's name that is to be looked up, and the way back for its addresses.
///
/// It is answered from any thread, at once or later; the answer wakes the engine that asked. What comes too late is ignored, and one dropped
/// without an answer counts as answered with an error, so nothing waits for ever. One that [nobody wants](Lookup::is_wanted) any more has no place
/// among the [`lookups`](crate::Limits::lookups) of its engine: drop it.
pub struct Lookup {
    name: (Arc<str>, u16),
    number: u64,
    wish: Wish,
    inbox: Arc<Inbox>,
    answered: bool,
}

impl Lookup {
    pub(crate) fn new(name: (Arc<str>, u16), number: u64, wish: Wish, to: &Arc<Inbox>) -> Self {
        Lookup { name, number, wish, inbox: Arc::clone(to), answered: false }
    }

    /// The name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.name.0
    }

    /// The port that belongs into the addresses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.name.1
    }

    /// Whether somebody still waits for the answer. Cheap, and right to ask before work that takes long.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wish.0.load(Ordering::Relaxed)
    }

    /// Gives the addresses, best first, or why there are none. The first 16 are used, families by turns.
    pub fn answer(mut self, addrs: io::Result<Vec<Addr>>) {
        self.send(addrs.map_err(|error| error.to_string().into()));
    }

    fn send(&mut self, result: Result<Vec<Addr>, Arc<str>>) {
        if mem::replace(&mut self.answered, true) || !self.is_wanted() {
            return;
        }
        let answer = Answer { name: self.name.clone(), number: self.number, result };
        self.inbox.answers().push(answer);
        if let Some(waker) = self.inbox.waker.get() {
            // Fails only where the process is out of memory; the answer is found in the next tick all the same.
            let _ = waker.wake();
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.send(Err("the look-up was given up".into()));
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lookup({}:{})", self.host(), self.port())
    }
}

/// Looks names up in the network's place: takes each [`Lookup`] and returns at once; see `Clients::set_resolve`.
pub type Resolve = Box<dyn FnMut(Lookup) + Send>;

/// That somebody wants to know, told to whoever looks it up.
#[derive(Clone, Debug)]
pub(crate) struct Wish(Arc<AtomicBool>);

impl Wish {
    pub(crate) fn new() -> Self {
        Wish(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// An answer on its way back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) name: (Arc<str>, u16),
    pub(crate) number: u64,
    pub(crate) result: Result<Vec<Addr>, Arc<str>>,
}

/// Where answers arrive.
#[derive(Debug)]
pub(crate) struct Inbox {
    answers: Mutex<Vec<Answer>>,
    /// Once there is one.
    waker: OnceLock<Waker>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Inbox { answers: Mutex::new(Vec::new()), waker: OnceLock::new() }
    }

    /// Asks for a waker as long as there is none.
    pub(crate) fn wake_by(&self, waker: impl FnOnce() -> Option<Waker>) {
        if self.waker.get().is_none()
            && let Some(waker) = waker()
        {
            let _ = self.waker.set(waker); // Nobody else sets it.
        }
    }

    /// A thread that panics while it pushes leaves the list as it was, or longer by one.
    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.answers().is_empty()
    }

    pub(crate) fn take(&self) -> Vec<Answer> {
        mem::take(&mut *self.answers())
    }
}
