//! What is to go out.

use bytes::Bytes;

use super::{Fin, Remoter, cap};
use crate::config::TxFull;
use crate::error::{CloseReason, TxError};

/// # Sending
///
/// Sending is queueing: the engine writes at its next turn, as much at a time as the network takes.
impl Remoter {
    /// Queues a copy of `data`, as much of it as fits; returns how much that was. What did not fit is to be offered again, best after
    /// the `Drained` event. Nothing is sent before the engine's next turn. On a connection that is still to be made it waits until that is usable,
    /// through all tries.
    ///
    /// # Errors
    /// [`TxError::Closed`] or [`TxError::SendShut`] if this half is over; [`TxError::Overflow`] where `data` does not fit and the engine
    /// is so configured, and then the connection is closed; [`TxError::Upgrading`] while it goes over to TLS. All of them are about this connection alone:
    /// a loop over many goes on.
    pub fn tx(&mut self, data: &[u8]) -> Result<usize, TxError> {
        let count = self.admit(data.len())?;
        self.tx.push_slice(&data[..count]);
        Ok(count)
    }

    /// Like [`tx`](Remoter::tx), without a copy: takes what fits off the front of `data`; returns how much.
    ///
    /// # Errors
    /// As [`tx`](Remoter::tx); `data` is then as it was.
    #[inline]
    pub fn tx_bytes(&mut self, data: &mut Bytes) -> Result<usize, TxError> {
        let count = self.admit(data.len())?;
        self.tx.push_bytes(if count == data.len() {
            core::mem::take(data)
        } else {
            data.split_to(count)
        });
        Ok(count)
    }

    /// Bytes queued and not yet handed to the network.
    #[must_use]
    pub fn tx_len(&self) -> usize {
        self.tx.len()
    }

    /// How many bytes [`tx`](Remoter::tx) would take now: its own room, or that of all connections together where that is less. What makes room is
    /// told to those who [ask](Remoter::want_drained).
    #[must_use]
    pub fn tx_room(&self) -> usize {
        if !self.may_send() {
            return 0;
        }
        self.tx_limit().saturating_sub(self.tx.len()).min(self.shared.room())
    }

    /// Has `Drained` told once all that is queued is out and there is room for more; in the next tick where that is so already. Before it is usable there is
    /// none, nor on its way to TLS; once our half is over none is waited for. A [`tx`](Remoter::tx) that comes up short, and a broadcast that skips it, ask for
    /// that by themselves. Who goes by [`tx_room`](Remoter::tx_room) instead and finds too little has to ask.
    pub fn want_drained(&mut self) {
        self.state.backlogged = true;
    }

    /// Whether our half is still open.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.is_open() && self.state.fin == Fin::No && !self.is_upgrading()
    }

    /// Whether [`tx`](Remoter::tx) would take something now; see [`tx_room`](Remoter::tx_room).
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.tx_room() > 0
    }

    /// Changes the cap of unsent bytes of this connection; at least 1, at most 4 GiB.
    pub fn set_tx_limit(&mut self, bytes: usize) {
        self.tx_limit = cap(bytes);
    }

    fn tx_limit(&self) -> usize {
        self.tx_limit as usize
    }

    /// How many of `wanted` bytes may be queued; they are counted as queued.
    #[inline]
    fn admit(&mut self, wanted: usize) -> Result<usize, TxError> {
        if self.is_upgrading() {
            return Err(TxError::Upgrading);
        }
        if !self.is_open() {
            return Err(TxError::Closed);
        }
        if self.state.fin != Fin::No {
            return Err(TxError::SendShut);
        }
        let own = self.tx_limit().saturating_sub(self.tx.len());
        let closes = self.state.tx_full == TxFull::Close && !self.state.half_open.holds_back();
        if wanted > own && closes {
            self.doom(CloseReason::TxFull);
            return Err(TxError::Overflow);
        }
        let count = wanted.min(own).min(self.shared.room());
        self.state.backlogged |= count < wanted;
        self.shared.add(count);
        self.note_raw_out(count);
        Ok(count)
    }
}
