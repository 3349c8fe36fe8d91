//! A listener as tasks see it.

use core::fmt;
use core::task::{Context, Poll};
use std::io;
use std::rc::Rc;

use super::conn::Conn;
use super::desk::{Desk, may_give};
use super::shared::{Late, Shared};
use super::stream::TaskStream;
use super::waiting::{Who, waiting};
use crate::id::AcceptorId;
use crate::net::Addr;

/// Where connections come in. Made by [`Handle::listen`](super::Handle::listen) and its like.
///
/// Those that have come in wait here to be accepted, up to [`TaskConfig::unaccepted`](super::TaskConfig::unaccepted); all deadlines run meanwhile, and one that
/// ends is forgotten. Dropping it stops listening, and resets who waits.
pub struct TaskListener {
    shared: Rc<Shared>,
    acceptor: AcceptorId,
    local_addr: Addr,
}

impl TaskListener {
    /// Of an acceptor that the server has.
    pub(super) fn new(shared: &Rc<Shared>, desk: &mut Desk, acceptor: AcceptorId) -> Self {
        desk.add_listener(acceptor, shared.config.get().unaccepted);
        let local_addr = desk.server.local_addr(acceptor).cloned().unwrap_or(Addr::Unnamed);
        TaskListener { shared: Rc::clone(shared), acceptor, local_addr }
    }

    /// The acceptor below it.
    #[must_use]
    pub fn id(&self) -> AcceptorId {
        self.acceptor
    }

    /// Where it listens, with the port that was picked.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        &self.local_addr
    }

    /// Waits for the next connection, in the order of their coming in, with its handshake done. Dropped, it has taken none.
    ///
    /// # Errors
    /// `NotConnected` where it does not listen any more (its socket was lost, or the server drains or was closed) and nobody waits or shakes hands. After
    /// [`Server::reopen`](crate::Server::reopen) it goes on.
    pub async fn accept(&mut self) -> io::Result<TaskStream> {
        let stop = || self.shared.stop_waiting(Who::Listener(self.acceptor));
        waiting(|context| self.look(context), stop).await
    }

    /// The same as a poll.
    ///
    /// # Errors
    /// As [`accept`](TaskListener::accept).
    pub fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<TaskStream>> {
        self.look(context)
    }

    fn look(&self, context: &Context<'_>) -> Poll<io::Result<TaskStream>> {
        let acceptor = self.acceptor;
        let found = self.shared.with_desk(|desk| {
            if let Some(id) = desk.accept(acceptor) {
                return Some(Ok(id));
            }
            if !may_give(&desk.server, acceptor) {
                let why = "the listener is closed";
                return Some(Err(io::Error::new(io::ErrorKind::NotConnected, why)));
            }
            // Of those who have come in already the last may come to nothing without a word.
            desk.watch_sockets |= desk.server.acceptor(acceptor).is_some_and(|it| !it.opened());
            if let Some(listening) = desk.listening(acceptor) {
                listening.waiter.wait(self.shared.caller(context));
            }
            None
        });
        match found {
            Ok(Some(id)) => {
                self.shared.queue.tell_owner();
                Poll::Ready(id.map(|id| TaskStream::new(Conn::new(&self.shared, id))))
            }
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for TaskListener {
    fn drop(&mut self) {
        self.shared.let_go(Late::Unlisten(self.acceptor));
    }
}

impl fmt::Debug for TaskListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskListener")
            .field("id", &self.acceptor)
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
