//! Sending to connections by their ids.

use bytes::Bytes;

use super::Server;
use crate::error::TxError;
use crate::id::Id;
use crate::remoter::Remoter;

/// # Sending
impl Server {
    /// Queues a copy of `data` for a connection, as much of it as fits; returns how much that was. See [`Remoter::tx`].
    ///
    /// # Errors
    /// [`TxError::Gone`] for an id that names none, otherwise as [`Remoter::tx`].
    pub fn tx(&mut self, id: Id, data: &[u8]) -> Result<usize, TxError> {
        self.remoter_mut(id).ok_or(TxError::Gone)?.tx(data)
    }

    /// Queues `data` for each live connection that `to` accepts and that has room for all of it, so that none gets a torn message.
    /// Those without room are told `Drained` once they have some. The bytes are shared, not copied. Costs a look at every connection.
    pub fn broadcast(&mut self, data: &Bytes, mut to: impl FnMut(&Remoter) -> bool) -> Broadcast {
        let mut result = Broadcast::default();
        for id in self.ixes() {
            let Some(remoter) = self.engine.get(id).filter(|remoter| to(remoter)) else { continue };
            // There is room for nothing also where nothing may be sent.
            let fits = remoter.may_send() && remoter.tx_room() >= data.len();
            let waits = remoter.may_send() && !fits;
            if fits
                && let Some(remoter) = self.engine.get_mut(id)
                && remoter.tx_bytes(&mut data.clone()).is_ok()
            {
                result.queued += 1;
                continue;
            }
            result.skipped += 1;
            if waits && let Some(remoter) = self.engine.get_mut(id) {
                remoter.want_drained();
            }
        }
        result
    }
}

/// What [`Server::broadcast`] did.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Broadcast {
    /// Connections that it was queued for.
    pub queued: usize,
    /// Connections that had no room for it, whose sending half is over, or that are going over to TLS. Both together are all that `to` has accepted.
    pub skipped: usize,
}
