//! How a live connection goes over to TLS and keeps its id: it leaves the live ones for the handshaking ones, and comes back.

use super::{Core, Engine};
use crate::error::CloseReason;
use crate::net::tls::HandshakeFailure;
use crate::remoter::{Fin, Phase, Remoter, Slot};

impl Remoter {
    /// Gets in line to go over once what was queued in plain has left.
    pub(super) fn enqueue_upgrade(&mut self, core: &mut Core) {
        if let Some(upgrade) = &mut self.upgrade
            && !upgrade.lined_up
            && self.tx.is_empty()
            && !self.state.holding
        {
            upgrade.lined_up = true;
            core.upgrades.push(self.id);
        }
    }

    /// Puts the TLS layer around the stream; returns whether it did.
    fn go_over(&mut self, core: &mut Core) -> bool {
        let Some(upgrade) = self.upgrade.take() else { return false };
        if self.state.phase != Phase::Live || self.state.fin != Fin::No || self.state.doomed {
            return false;
        }
        match upgrade.wrap(self.take_stream()) {
            Ok(stream) => self.stream = stream,
            Err(error) => {
                self.stream = error.into_stream();
                self.doom(CloseReason::Handshake(HandshakeFailure::Other));
                return false;
            }
        }
        self.state.phase = Phase::Handshaking;
        self.state.shaking = true;
        self.state.holding = false;
        self.disarm_traffic();
        self.arm(core, Slot::Handshake);
        true
    }
}

impl Engine {
    /// Lets those whose plaintext has left begin their handshake.
    pub(super) fn go_over(&mut self) {
        while let Some(id) = self.core.upgrades.pop() {
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            if !remoter.go_over(&mut self.core) {
                self.after_pass(id);
                continue;
            }
            if remoter.is_counted() {
                self.index.begin_shaking(remoter.counted_as());
            }
            self.live -= 1;
            self.handshaking += 1;
            self.enqueue(id);
        }
    }

    #[inline]
    pub(super) fn has_upgrades(&self) -> bool {
        !self.core.upgrades.is_empty()
    }
}
