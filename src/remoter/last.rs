//! Ending a connection by a reset, behind the last bytes.

use super::{Fin, Remoter};
use crate::error::CloseReason;

impl Remoter {
    /// Ends it with a reset as [`abort`](Remoter::abort) does, but only once what is queued has been handed to the network: the peer gets that and then
    /// sees an error, not an end. Takes as long as a `close`, [`Timeouts::write_stall`](crate::Timeouts::write_stall) without progress at the most; where
    /// nothing is queued, or it never was usable, it is an abort at once. What comes in meanwhile is thrown away. Repeating it changes nothing.
    pub fn abort_once_sent(&mut self) {
        if self.is_closing() {
            return;
        }
        if !self.is_live() || !self.has_output() {
            return self.abort();
        }
        self.begin_close(CloseReason::Aborted);
        self.state.fin = Fin::Cut;
    }
}
