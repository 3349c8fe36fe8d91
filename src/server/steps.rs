//! The steps of a tick one by one.

use super::Server;
use crate::error::Gone;
use crate::id::{ENDPOINT, Id};

/// # The steps of a tick, one by one
///
/// For those who drive them by hand, as in hio. Each reads the clock and, where it does input, asks the network who is ready (one system call, also after a
/// `wait`, since more may have come); [`service`](Server::service) does them all, in order, at the cost of one. A step is a tick of its own to the budgets,
/// with the `wait` before it.
impl Server {
    /// Takes new connections from the listeners into their deques (`axes`); returns how many.
    pub fn service_accepts(&mut self) -> usize {
        self.step_in();
        self.accept_pass();
        self.engine.core.serviced.accepted
    }

    /// Makes remoters of the connections in the deques, in the order they were accepted, whichever the acceptor; those that must shake hands
    /// first begin to. An acceptor whose first one has to wait for that lets the others pass. Returns how many are usable at once.
    pub fn service_axes(&mut self) -> usize {
        self.step();
        self.admit_pass()
    }

    /// Advances the handshakes, each by a step; returns how many were completed.
    pub fn service_cxes(&mut self) -> usize {
        self.step_in();
        self.engine.shake()
    }

    /// Accepts, admits, dials, and shakes hands; returns how many connections became usable.
    pub fn service_connects(&mut self) -> usize {
        self.step();
        self.engine.dial();
        self.harvest();
        self.accept_pass();
        self.admit_pass() + self.engine.poll_dials() + self.engine.shake()
    }

    /// Lets every ready connection and endpoint send what was blocked and receive, within the budgets; returns the bytes received.
    pub fn service_receives(&mut self) -> u64 {
        self.step_in();
        self.turns();
        self.engine.core.serviced.bytes_in
    }

    /// The same for one connection.
    ///
    /// # Errors
    /// [`Gone`] if the id names no live connection.
    pub fn service_receives_of(&mut self, id: Id) -> Result<u64, Gone> {
        self.step_in();
        self.engine.receive_of(id, false)
    }

    /// Reads exactly once from one connection, if it is ready.
    ///
    /// # Errors
    /// [`Gone`] if the id names no live connection.
    pub fn service_receive_once(&mut self, id: Id) -> Result<u64, Gone> {
        self.step_in();
        self.engine.receive_of(id, true)
    }

    /// Sends what was queued, and ends what was asked to end, since the last tick; returns the bytes sent. No look at readiness: what is
    /// blocked waits for `service`.
    pub fn service_sends(&mut self) -> u64 {
        self.step();
        self.flush();
        self.engine.core.serviced.bytes_out
    }

    /// The same for one connection.
    ///
    /// # Errors
    /// [`Gone`] if the id names no live connection.
    pub fn service_sends_of(&mut self, id: Id) -> Result<u64, Gone> {
        self.step();
        self.engine.send_of(id)
    }

    /// Closes what is due at the current tyme; tries again to connect what is due to that.
    pub fn service_deadlines(&mut self) {
        self.step();
        self.engine.expire_and_dial();
        #[cfg(feature = "tls")]
        self.tls_pass();
        self.drain_pass();
    }

    /// Begins a step, which is a tick of its own, or the rest of one that a wait has begun.
    fn step(&mut self) {
        self.engine.step();
    }

    /// Begins a step that does input.
    fn step_in(&mut self) {
        self.step();
        self.harvest();
    }

    fn harvest(&mut self) {
        self.engine.harvest_anew();
        self.latch();
    }

    /// Sends what was queued, and does what was asked of connections.
    pub(super) fn flush(&mut self) {
        self.engine.flush();
        self.endpoints.flush(&mut self.engine.core);
    }

    /// Gives a turn to whoever has something to send or receive.
    pub(super) fn turns(&mut self) {
        self.engine.turns();
        self.endpoints.turns(&mut self.engine.core);
    }

    /// Sets latches from what was harvested.
    #[inline]
    pub(super) fn latch(&mut self) {
        let (acceptors, endpoints) = (&mut self.acceptors, &mut self.endpoints);
        self.engine.latch(|readiness| {
            if readiness.token.kind() == usize::from(ENDPOINT) {
                return endpoints.latch(readiness);
            }
            // Few, and rarely reported: no look-up table is worth its upkeep.
            if let Some(acceptor) =
                acceptors.iter_mut().find(|acceptor| acceptor.id().token() == readiness.token)
            {
                acceptor.ready = true;
            }
        });
    }
}
