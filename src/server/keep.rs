//! What [`tasks`](crate::tasks) ask of a server: connections that stay until they are let go, acceptors that admit no more than is taken.

use super::Server;
use crate::id::{AcceptorId, Id};

impl Server {
    /// The clock that it is wound to.
    #[cfg(feature = "hyper")]
    pub(crate) fn tymth(&self) -> Option<&crate::tyme::Tymth> {
        self.engine.tymth()
    }

    /// Lets a connection stay until it is let go; see `Engine::keep`.
    pub(crate) fn keep(&mut self, id: Id) {
        self.engine.keep(id);
    }

    /// It need not stay any longer; see `Engine::let_go`.
    pub(crate) fn let_go(&mut self, id: Id, told: bool) {
        self.engine.let_go(id, told);
    }

    /// Admits no more than so many of this acceptor that nobody has taken. Those that it has already and of which nothing was told count, too.
    pub(crate) fn set_room(&mut self, id: AcceptorId, limit: usize) {
        let taken = self.engine.untold_of(id);
        self.engine.rooms.add(id, limit, taken);
    }

    /// One that was told as `Accepted` there has been taken, or is over; of those that never were the engine knows.
    pub(crate) fn give_room(&mut self, id: AcceptorId) {
        self.engine.rooms.give_back(id);
    }
}
