//! How many connections of an acceptor may be there that nobody has taken.

use crate::id::AcceptorId;

/// The acceptors that are bounded so: those of tasks' listeners. All others admit whoever comes.
#[derive(Default)]
pub(crate) struct Rooms {
    rooms: Vec<Room>,
}

struct Room {
    acceptor: AcceptorId,
    limit: usize,
    /// Admitted there and neither taken by anybody nor over.
    taken: usize,
}

impl Rooms {
    /// Bounds an acceptor, of which `taken` are there already.
    pub(crate) fn add(&mut self, acceptor: AcceptorId, limit: usize, taken: usize) {
        self.rooms.push(Room { acceptor, limit, taken });
    }

    /// That acceptor is gone.
    pub(crate) fn remove(&mut self, acceptor: AcceptorId) {
        self.rooms.retain(|room| room.acceptor != acceptor);
    }

    /// Whether one more may be admitted there.
    pub(crate) fn has_some(&self, acceptor: AcceptorId) -> bool {
        let mut rooms = self.rooms.iter();
        rooms.find(|room| room.acceptor == acceptor).is_none_or(|room| room.taken < room.limit)
    }

    /// One was admitted there.
    pub(crate) fn take(&mut self, acceptor: AcceptorId) {
        if let Some(room) = self.get_mut(acceptor) {
            room.taken += 1;
        }
    }

    /// One that was admitted there has been taken, or is over.
    pub(crate) fn give_back(&mut self, acceptor: AcceptorId) {
        if let Some(room) = self.get_mut(acceptor) {
            room.taken = room.taken.saturating_sub(1);
        }
    }

    fn get_mut(&mut self, acceptor: AcceptorId) -> Option<&mut Room> {
        self.rooms.iter_mut().find(|room| room.acceptor == acceptor)
    }
}
