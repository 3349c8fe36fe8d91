//! Sending to connections by their ids.

use bytes::Bytes;

use super::Server;
use crate::error::TxError;
use crate::id::Id;
use crate::remoter::Remoter;

/// # Sending
impl Server {
    /// Queues `data` for a connection; see [`Remoter::tx`].
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
            if remoter.tx_room() < data.len() {
                result.skipped += 1;
                if remoter.may_send()
                    && let Some(remoter) = self.engine.get_mut(id)
                {
                    remoter.want_drained();
                }
            } else if let Some(remoter) = self.remoter_mut(id)
                && remoter.tx_bytes(&mut data.clone()).is_ok()
            {
                result.queued += 1;
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
    /// Connections that had no room for it, or whose sending half is over.
    pub skipped: usize,
}
