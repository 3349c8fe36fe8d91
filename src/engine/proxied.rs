//! Connections that come through a proxy: counted and found by whom they are for, once that is told.

use super::Engine;
use crate::event::Refusal;
use crate::id::Id;
use crate::remoter::Via;

impl Engine {
    /// Takes note of whom a connection is for if its proxy has just told so. `live`: its handshake is done. Returns whether it may stay.
    pub(super) fn admit_proxied(&mut self, id: Id, live: bool) -> bool {
        let Some(remoter) = self.slots.get(id) else { return false };
        if !remoter.awaits_admission() {
            return true;
        }
        let peer = remoter.peer_addr().clone();
        if let Some(why) = self.too_many_from(&peer, !live) {
            self.turn_away(id, why);
            return false;
        }
        if let Some(remoter) = self.slots.get_mut(id) {
            remoter.state.via = Via::Admitted;
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
            self.refuse(acceptor, peer, why);
        }
        self.forget(id);
    }
}
