//! Messages to a running engine.

use core::fmt;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::net::Waker;

/// Where a running engine gets messages: any thread puts them in, the engine takes them out in its tick. Bounded; cloning it gives another way into the same
/// box.
///
/// Under a [`Manager`](super::Manager) there is one for each engine, and it stays valid when the manager is started again.
pub struct Mailbox<M> {
    post: Arc<Post<M>>,
}

/// The engine's side of a [`Mailbox`]: kept by the service, which empties it in its `tick`.
pub struct Inbox<M> {
    messages: Messages<M>,
    capacity: usize,
    waker: Waker,
}

pub(super) struct Post<M>(Mutex<Option<Way<M>>>);

/// Grows as it is filled: room made at once for all that it may hold would be paid for by those who allow for much.
type Messages<M> = Arc<Mutex<VecDeque<M>>>;

/// Into the box of whoever empties it.
struct Way<M> {
    messages: Weak<Mutex<VecDeque<M>>>,
    capacity: usize,
    waker: Waker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A box for `capacity` messages (at least one), each of which wakes the engine that `waker` is of.
///
/// ```
/// use tymist::run::{Inbox, MailError, mailbox};
/// use tymist::{Config, Server, Service};
///
/// struct Words(Inbox<&'static str>, Vec<&'static str>);
///
/// impl Service for Words {
///     fn tick(&mut self, _: &mut Server) {
///         self.1.extend(self.0.drain());
///     }
/// }
///
/// let mut server = Server::new(Config::new());
/// let (mailbox, inbox) = mailbox(2, server.waker()?);
/// let mut words = Words(inbox, Vec::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         mailbox.send("hello").unwrap();
///         mailbox.send("world").unwrap();
///         let full = mailbox.send("again");
///         assert!(matches!(full, Ok(()) | Err(MailError::Full("again"))));
///     });
///     while words.1.len() < 2 {
///         server.wait(None); // until somebody writes
///         server.serve(&mut words);
///     }
/// });
/// drop(words);
/// assert_eq!(mailbox.send("too late").unwrap_err(), MailError::Gone("too late"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn mailbox<M>(capacity: usize, waker: Waker) -> (Mailbox<M>, Inbox<M>) {
    let mailbox = Mailbox::shut();
    let inbox = mailbox.open(capacity, waker);
    (mailbox, inbox)
}

impl<M> Mailbox<M> {
    /// One that nobody empties yet.
    pub(super) fn shut() -> Self {
        Mailbox { post: Arc::new(Post(Mutex::new(None))) }
    }

    pub(super) fn open(&self, capacity: usize, waker: Waker) -> Inbox<M> {
        let capacity = capacity.max(1);
        let messages = Messages::default();
        let way = Way { messages: Arc::downgrade(&messages), capacity, waker: waker.clone() };
        *lock(&self.post.0) = Some(way);
        Inbox { messages, capacity, waker }
    }

    pub(super) fn close(&self) {
        *lock(&self.post.0) = None;
    }

    /// Puts a message in and wakes the engine, without waiting for anything. `Ok` says that it is in the box: one whose engine ends before it looks is lost
    /// with it. Costs one system call.
    ///
    /// # Errors
    /// [`MailError`], with the message: the box is full, or nobody will ever empty it.
    pub fn send(&self, message: M) -> Result<(), MailError<M>> {
        let there; // Let go of after the post: they may do anything as they go.
        let post = lock(&self.post.0);
        let Some(way) = &*post else { return Err(MailError::Gone(message)) };
        there = way.messages.upgrade();
        let Some(messages) = &there else { return Err(MailError::Gone(message)) };
        let mut messages = lock(messages);
        if messages.len() >= way.capacity {
            return Err(MailError::Full(message));
        }
        messages.push_back(message);
        drop(messages);
        // Fails only where the process is out of memory; the engine then finds it in its next tick.
        let _ = way.waker.wake();
        Ok(())
    }
}

impl<M> Inbox<M> {
    /// Takes all messages that are there, oldest first, but no more than the box holds: so a tick ends, however fast others send. Where that many came, the
    /// engine is woken again for the rest. What you leave in it by dropping it early waits until something else wakes the engine.
    pub fn drain(&self) -> impl Iterator<Item = M> {
        let mut left = self.capacity;
        core::iter::from_fn(move || {
            if left == 0 {
                // Fails only where the process is out of memory; the engine then finds the rest in its next tick.
                let _ = self.waker.wake();
                return None;
            }
            left -= 1;
            self.take()
        })
    }

    /// Takes the oldest message. What you leave waits until something else wakes the engine; taking until there is none may take as long as others send, which
    /// [`drain`](Inbox::drain) does not.
    #[must_use]
    pub fn take(&self) -> Option<M> {
        lock(&self.messages).pop_front()
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Mailbox { post: Arc::clone(&self.post) }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("open", &lock(&self.post.0).is_some()).finish()
    }
}

impl<M> fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

/// A message that was not taken; here it is again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MailError<M> {
    /// As many are in the box as it holds: the engine is behind. Try again later, or do without.
    Full(M),
    /// The engine has ended, was not started, or has dropped its [`Inbox`].
    Gone(M),
}

impl<M> MailError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            MailError::Full(message) | MailError::Gone(message) => message,
        }
    }
}

impl<M> fmt::Display for MailError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MailError::Full(_) => "the mailbox is full",
            MailError::Gone(_) => "nobody empties the mailbox",
        })
    }
}

impl<M: fmt::Debug> std::error::Error for MailError<M> {}
