//! Looking names up without waiting.

use core::fmt;
use core::mem;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Addr, Waker};
use crate::id::Id;

/// A host's name that is to be looked up, and the way back for its addresses.
///
/// It is answered from any thread, at once or later; the answer wakes the engine that asked. What comes too late is ignored, and one dropped
/// without an answer counts as answered with an error, so nothing waits for ever.
pub struct Lookup {
    host: Arc<str>,
    port: u16,
    id: Id,
    ticket: u32,
    inbox: Arc<Inbox>,
    answered: bool,
}

impl Lookup {
    pub(crate) fn new(host: Arc<str>, port: u16, (id, ticket): (Id, u32), to: &Arc<Inbox>) -> Self {
        Lookup { host, port, id, ticket, inbox: Arc::clone(to), answered: false }
    }

    /// The name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that belongs into the addresses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives the addresses, best first, or why there are none. The first 16 are used, families by turns.
    pub fn answer(mut self, addrs: io::Result<Vec<Addr>>) {
        self.send(addrs.map_err(|error| error.to_string().into()));
    }

    fn send(&mut self, result: Result<Vec<Addr>, Arc<str>>) {
        if mem::replace(&mut self.answered, true) {
            return;
        }
        let answer = Answer { id: self.id, ticket: self.ticket, result };
        self.inbox.answers().push(answer);
        if let Some(waker) = &self.inbox.waker {
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
        write!(f, "Lookup({}:{})", self.host, self.port)
    }
}

/// Looks names up in the network's place: takes each [`Lookup`] and returns at once; see `Clients::set_resolve`.
pub type Resolve = Box<dyn FnMut(Lookup) + Send>;

/// An answer on its way back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: Id,
    pub(crate) ticket: u32,
    pub(crate) result: Result<Vec<Addr>, Arc<str>>,
}

/// Where answers arrive.
#[derive(Debug)]
pub(crate) struct Inbox {
    answers: Mutex<Vec<Answer>>,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(waker: Option<Waker>) -> Self {
        Inbox { answers: Mutex::new(Vec::new()), waker }
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
