//! The steps of a tick one by one.

use super::Clients;
use crate::error::Gone;
use crate::id::Id;

/// # The steps of a tick, one by one
///
/// As in hio; see the same of [`Server`](crate::Server).
impl Clients {
    /// Dials, sees who is up, and shakes hands; returns how many became usable (hio's `serviceConnect`).
    pub fn service_connects(&mut self) -> usize {
        self.engine.step();
        self.engine.dial();
        self.harvest();
        let opened = self.engine.poll_dials() + self.engine.shake();
        self.engine.dial();
        opened
    }

    /// Lets every ready connection send what was blocked and receive, within the budgets; returns the bytes received.
    pub fn service_receives(&mut self) -> u64 {
        self.engine.step();
        self.harvest();
        self.engine.turns();
        self.engine.core.serviced.bytes_in
    }

    /// The same for one connection.
    ///
    /// # Errors
    /// [`Gone`] if the id names no usable connection.
    pub fn service_receives_of(&mut self, id: Id) -> Result<u64, Gone> {
        self.engine.step();
        self.harvest();
        self.engine.receive_of(id, false)
    }

    /// Reads exactly once from one connection, if it is ready.
    ///
    /// # Errors
    /// [`Gone`] if the id names no usable connection.
    pub fn service_receive_once(&mut self, id: Id) -> Result<u64, Gone> {
        self.engine.step();
        self.harvest();
        self.engine.receive_of(id, true)
    }

    /// Sends what was queued, and ends what was asked to end, since the last tick; returns the bytes sent.
    pub fn service_sends(&mut self) -> u64 {
        self.engine.step();
        self.engine.flush();
        self.engine.core.serviced.bytes_out
    }

    /// The same for one connection.
    ///
    /// # Errors
    /// [`Gone`] if the id names no usable connection.
    pub fn service_sends_of(&mut self, id: Id) -> Result<u64, Gone> {
        self.engine.step();
        self.engine.send_of(id)
    }

    /// Ends what is due at the current tyme; tries again to connect what is due to that.
    pub fn service_deadlines(&mut self) {
        self.engine.step();
        self.engine.expire_and_dial();
    }

    fn harvest(&mut self) {
        self.engine.harvest_anew();
        self.engine.latch(|_| {});
    }
}
