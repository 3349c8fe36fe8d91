//! Whom a connection is from, where that is told after it came in: by the header of a proxy, by the handshake of another layer, or by its user.

use std::io;

use super::Engine;
use crate::event::Refusal;
use crate::id::Id;
use crate::net::{Addr, Stage};

impl Engine {
    /// Takes one step of a handshake; `None` where it told whom the connection is from, and nobody more may come from there.
    pub(super) fn advance(&mut self, id: Id) -> Option<io::Result<Stage>> {
        let remoter = self.slots.get_mut(id)?;
        let before = remoter.is_counted().then(|| remoter.counted_as().clone());
        let step = match remoter.stream.advance() {
            // As with a read or a write: it is tried again, in the next tick.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Stage::Handshaking),
            step => step,
        };
        let told = match &before {
            Some(before) => before != remoter.peer_addr(),
            None => remoter.awaits_admission(),
        };
        let live = matches!(step, Ok(Stage::Live));
        (!told || self.admit_told(id, before.as_ref(), live)).then_some(step)
    }

    /// Takes note of whom a connection is from, which counted as `before`. `live`: its handshake is done. Returns whether it may stay.
    fn admit_told(&mut self, id: Id, before: Option<&Addr>, live: bool) -> bool {
        if let Some(before) = before {
            self.index.remove(before, id);
            self.index.end_shaking(before);
        }
        let Some(remoter) = self.slots.get_mut(id) else { return false };
        remoter.count_as_told();
        let (peer, opened) = (remoter.peer_addr().clone(), remoter.state.opened);
        // One that goes over to TLS is known already, and stays.
        if !opened && let Some(why) = self.too_many_from(&peer, !live, None) {
            self.turn_away(id, why);
            return false;
        }
        self.index.insert(&peer, id);
        // Until it is opened, which is where that ends.
        self.index.begin_shaking(&peer);
        true
    }

    /// Refuses a connection that has come in already, and that nobody knows of.
    fn turn_away(&mut self, id: Id, why: Refusal) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        let (peer, acceptor) = (remoter.peer_addr().clone(), remoter.acceptor());
        remoter.forget_deadlines(&mut self.core);
        remoter.drop_stream(false);
        self.handshaking -= 1;
        if let Some(acceptor) = acceptor {
            self.rooms.give_back(acceptor);
            self.refuse(acceptor, peer, why);
        }
        self.forget(id);
    }
}
