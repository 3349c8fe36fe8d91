//! What [`tasks`](crate::tasks) ask of a server: connections that stay until they are let go, acceptors that admit no more than is taken.

use super::Server;
use crate::id::{AcceptorId, Id};

impl Server {
    /// Lets a connection stay until it is let go; see `Engine::keep`.
    pub(crate) fn keep(&mut self, id: Id) {
        self.engine.keep(id);
    }

    /// It need not stay any longer; see `Engine::let_go`.
    pub(crate) fn let_go(&mut self, id: Id, told: bool) {
        self.engine.let_go(id, told);
    }

    /// Admits no more than `room` of this acceptor, until more room is given.
    pub(crate) fn set_room(&mut self, id: AcceptorId, room: usize) {
        if let Some(acceptor) = self.acceptor_mut(id) {
            acceptor.room = room;
        }
    }

    /// One that was admitted there has been taken, or is gone.
    pub(crate) fn give_room(&mut self, id: AcceptorId) {
        if let Some(acceptor) = self.acceptor_mut(id) {
            acceptor.room = acceptor.room.saturating_add(1);
        }
    }
}
