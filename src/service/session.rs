//! What a callback has in hand.

use core::fmt;
use core::ops::{Deref, DerefMut};

use crate::remoter::Remoter;
use crate::server::Server;
use crate::tyme::Tyme;

/// Done to the server after a callback.
pub(super) type Later = Box<dyn FnOnce(&mut Server)>;

/// One connection, for the time of a callback: all that a [`Remoter`] is, and a way to the rest of the server once the callback has returned.
///
/// It only looks, takes and queues: what it does, the network sees in the next tick.
pub struct Session<'a> {
    remoter: &'a mut Remoter,
    tyme: Tyme,
    later: &'a mut Vec<Later>,
}

impl<'a> Session<'a> {
    pub(super) fn new(remoter: &'a mut Remoter, tyme: Tyme, later: &'a mut Vec<Later>) -> Self {
        Session { remoter, tyme, later }
    }

    /// The tyme of this tick.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.tyme
    }

    /// Does something to the server as soon as this callback has returned, in order: to other connections, say, or to its listeners.
    ///
    /// ```
    /// use tymist::{Service, Session};
    ///
    /// /// What one says, the others hear.
    /// struct Chat;
    ///
    /// impl Service for Chat {
    ///     fn received(&mut self, session: &mut Session<'_>) {
    ///         let (from, data) = (session.id(), session.take());
    ///         session.later(move |server| {
    ///             server.broadcast(&data, |remoter| remoter.id() != from);
    ///         });
    ///     }
    /// }
    /// ```
    pub fn later(&mut self, act: impl FnOnce(&mut Server) + 'static) {
        self.later.push(Box::new(act));
    }
}

impl Deref for Session<'_> {
    type Target = Remoter;

    fn deref(&self) -> &Remoter {
        self.remoter
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut Remoter {
        self.remoter
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("remoter", &self.remoter).finish_non_exhaustive()
    }
}
