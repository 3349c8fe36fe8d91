//! Connections whose users take longer than a tick to take what is unread: they keep their places after their `Closed` was taken.

use super::Engine;
use crate::config::TxFull;
use crate::id::{AcceptorId, Id};
use crate::remoter::{Fin, HalfOpen, Phase, Remoter};

impl Remoter {
    /// Whether the peer ended its half while that was of interest: its end is that of what was received. (While we close, what comes is thrown away.)
    pub(crate) fn met_end(&self) -> bool {
        self.state.eof_told
    }

    /// Whether our end has been handed to the network, and nothing of what came before it is held back.
    pub(crate) fn has_sent_end(&self) -> bool {
        self.state.fin == Fin::Sent && !self.has_output()
    }
}

impl Engine {
    /// Lets a connection stay until [`let_go`](Engine::let_go): after its peer's end, and after its own with what is unread. It then counts as one
    /// of those that there are. It does not come again by itself, and more than it may queue is no reason to close it: whoever keeps it waits.
    pub(crate) fn keep(&mut self, id: Id) {
        if let Some(remoter) = self.slots.get_mut(id) {
            remoter.state.kept = true;
            remoter.state.half_open = HalfOpen::Yes;
            remoter.state.tx_full = TxFull::Partial;
            if let Some(dial) = &mut remoter.dial {
                dial.connect.reconnect = None;
            }
        }
    }

    /// How many connections of an acceptor there are that shake hands, or whose `Accepted` was not taken.
    pub(crate) fn untold_of(&self, acceptor: AcceptorId) -> usize {
        let is_of = |remoter: &Remoter| remoter.acceptor() == Some(acceptor);
        let accepted = self.core.events.accepted();
        let accepted = accepted.filter(|id| self.slots.get(*id).is_some_and(|it| is_of(it)));
        let accepted = accepted.count();
        if self.handshaking == 0 {
            return accepted; // Without a look at all there are.
        }
        accepted + self.iter().filter(|it| !it.is_known() && is_of(it)).count()
    }

    /// It need not stay any longer; `told` says whether its `Closed` was taken.
    pub(crate) fn let_go(&mut self, id: Id, told: bool) {
        if let Some(remoter) = self.slots.get_mut(id)
            && core::mem::replace(&mut remoter.state.kept, false)
            && told
        {
            debug_assert_eq!(remoter.state.phase, Phase::Closed, "told, but not closed");
            self.to_forget.push(id);
        }
    }

    /// Its `Closed` was taken.
    pub(super) fn closed_taken(&mut self, id: Id) {
        if !self.slots.get(id).is_some_and(|remoter| remoter.state.kept) {
            self.to_forget.push(id);
        }
    }
}
