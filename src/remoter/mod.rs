//! One connection: its bytes each way, its deadlines, and how it ends.

mod beneath;
mod data;
mod detached;
mod dialled;
mod filter;
mod last;
mod state;
#[cfg(feature = "tls")]
mod tls;
#[cfg(all(unix, feature = "uds"))]
mod unix;
mod via;

use core::any::Any;
use core::fmt;
use core::num::NonZeroU32;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::buf::{RxQueue, TxQueue};
use crate::config::{Config, Timeouts, TxFull};
use crate::counters::RemoterCounters;
use crate::error::{CloseReason, TxError};
use crate::id::AcceptorId;
use crate::id::Id;
use crate::net::{Addr, BufferSizes, Stream};
use crate::tyme::{Timer, Tyme};
pub use detached::Detached;
pub(crate) use dialled::{Attempt, Dialled, Step};
pub(crate) use state::{Fin, Phase, SLOTS, Shared, Slot, State, Via};
#[cfg(feature = "tls")]
pub(crate) use tls::Upgrade;

/// One connection, accepted or dialled.
///
/// Get it with `server.remoter_mut(id)`. Its methods only look, take and queue: the network is touched by the engine, at the
/// next `service()`, `wait()` or `service_sends()`. The exceptions say so.
///
/// What is asked of it follows two patterns. `may_*` tells whether a half is still open; `can_*` whether something can be done now.
pub struct Remoter {
    pub(crate) id: Id,
    /// Its number and one: half the size of an `Option` of it.
    acceptor: Option<NonZeroU32>,
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) rx: RxQueue,
    pub(crate) tx: TxQueue,
    rx_limit: u32,
    tx_limit: u32,
    /// So many of the last bytes in `rx` and in `tx`, or all if there are fewer, were not shown to a [`Service`](crate::Service)'s filters.
    raw_in: u32,
    raw_out: u32,
    pub(crate) deadlines: [Tyme; SLOTS],
    pub(crate) timer: Option<Timer>,
    pub(crate) counters: RemoterCounters,
    pub(crate) shared: Arc<Shared>,
    /// Only where they differ from the engine's.
    pub(crate) timeouts: Option<Box<Timeouts>>,
    pub(crate) opened_at: Tyme,
    /// Bytes moved when the current rate window began.
    pub(crate) window_start: u64,
    pub(crate) data: Option<Box<dyn Any + Send>>,
    /// Of those that were dialled.
    pub(crate) dial: Option<Box<Dialled>>,
    /// What it is to go over to, once what is queued in plain has left.
    #[cfg(feature = "tls")]
    pub(crate) upgrade: Option<Box<Upgrade>>,
    pub(crate) state: State,
}

impl Remoter {
    pub(crate) fn new(
        id: Id,
        acceptor: Option<AcceptorId>,
        stream: Box<dyn Stream>,
        config: &Config,
        shared: Arc<Shared>,
        now: Tyme,
    ) -> Self {
        let state = State::new(config, &*stream);
        Remoter {
            id,
            acceptor: acceptor.and_then(|acceptor| NonZeroU32::MIN.checked_add(acceptor.0)),
            stream,
            rx: RxQueue::default(),
            tx: TxQueue::default(),
            rx_limit: limit(config.limits.rx_bytes),
            tx_limit: limit(config.limits.tx_bytes),
            raw_in: 0,
            raw_out: 0,
            deadlines: [Tyme::NEVER; SLOTS],
            timer: None,
            counters: RemoterCounters::default(),
            shared,
            timeouts: None,
            opened_at: now,
            window_start: 0,
            data: None,
            dial: None,
            #[cfg(feature = "tls")]
            upgrade: None,
            state,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The acceptor it came in by; `None` for a stream that was adopted or dialled.
    #[must_use]
    pub fn acceptor(&self) -> Option<AcceptorId> {
        self.acceptor.map(|number| AcceptorId(number.get() - 1))
    }

    /// Our end; [`Addr::Unnamed`] before the first time that a dialled connection is up.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        self.stream.local_addr()
    }

    /// The peer's end; [`Addr::Unnamed`] before the first time that a dialled connection is up. Of one that came through a proxy that its acceptor
    /// trusts, the end of whom it is for.
    #[must_use]
    pub fn peer_addr(&self) -> &Addr {
        self.stream.peer_addr()
    }

    /// The tyme at which it became usable (or, before that, came in).
    #[must_use]
    pub fn opened_at(&self) -> Tyme {
        self.opened_at
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &RemoterCounters {
        &self.counters
    }

    /// Sizes of the socket's kernel buffers.
    ///
    /// # Errors
    /// What the network says; `NotConnected` once closed.
    pub fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.stream.buffer_sizes()
    }

    // Receiving.

    /// The bytes that came in and were not taken yet, as one slice.
    #[must_use]
    pub fn rx(&self) -> &[u8] {
        self.rx.as_slice()
    }

    /// Drops the first `count` unread bytes (at most all); returns how many. O(1).
    pub fn consume(&mut self, count: usize) -> usize {
        let count = self.rx.consume(count);
        self.shared.sub(count);
        self.fit_raw_in();
        count
    }

    /// Takes all unread bytes, without copying them.
    pub fn take(&mut self) -> Bytes {
        self.shared.sub(self.rx.len());
        self.raw_in = 0;
        self.rx.take()
    }

    /// Takes the first `count` unread bytes (at most all), without copying them.
    pub fn take_first(&mut self, count: usize) -> Bytes {
        let bytes = self.rx.take_first(count);
        self.shared.sub(bytes.len());
        self.fit_raw_in();
        bytes
    }

    /// Puts bytes back in front of the unread ones, as after looking too far ahead. They count against the cap again, and may exceed it.
    /// Copies what is unread unless that is nothing.
    ///
    /// Of a connection that is going over to TLS it would be plaintext that looks protected: that ends the connection.
    pub fn unread(&mut self, data: Bytes) {
        #[cfg(feature = "tls")]
        if self.is_upgrading() && !data.is_empty() {
            return self.refuse_plaintext();
        }
        if self.state.phase != Phase::Closed {
            self.shared.add(data.len());
            self.rx.push_front(data);
        }
    }

    /// Whether more can still come in: the peer has not ended its half, and you have not closed this one.
    #[must_use]
    pub fn may_receive(&self) -> bool {
        self.state.phase == Phase::Live
            && !self.state.eof
            && !self.state.deaf
            && !self.is_upgrading()
    }

    /// Whether there are unread bytes.
    #[must_use]
    pub fn can_receive(&self) -> bool {
        !self.rx.is_empty()
    }

    /// Whether the peer has ended its half.
    #[must_use]
    pub fn is_eof(&self) -> bool {
        self.state.eof
    }

    /// Changes the cap of unread bytes of this connection; at least 1, at most 4 GiB.
    pub fn set_rx_limit(&mut self, bytes: usize) {
        self.rx_limit = limit(bytes);
    }

    // Sending.

    /// Queues a copy of `data`, as much of it as fits; returns how much that was. What did not fit is to be offered again, best after
    /// the `Drained` event. Nothing is sent before the engine's next turn. On a connection that is still to be made it waits until that is usable,
    /// through all tries.
    ///
    /// # Errors
    /// [`TxError::Closed`] or [`TxError::SendShut`] if this half is over; [`TxError::Overflow`] where `data` does not fit and the engine
    /// is so configured, and then the connection is closed.
    pub fn tx(&mut self, data: &[u8]) -> Result<usize, TxError> {
        let count = self.admit(data.len())?;
        self.tx.push_slice(&data[..count]);
        Ok(count)
    }

    /// Like [`tx`](Remoter::tx), without a copy: takes what fits off the front of `data`; returns how much.
    ///
    /// # Errors
    /// As [`tx`](Remoter::tx); `data` is then as it was.
    pub fn tx_bytes(&mut self, data: &mut Bytes) -> Result<usize, TxError> {
        let count = self.admit(data.len())?;
        self.tx.push_bytes(if count == data.len() {
            core::mem::take(data)
        } else {
            data.split_to(count)
        });
        Ok(count)
    }

    pub(crate) fn rx_limit(&self) -> usize {
        self.rx_limit as usize
    }

    fn tx_limit(&self) -> usize {
        self.tx_limit as usize
    }

    /// How many of `wanted` bytes may be queued; they are counted as queued.
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
        if wanted > own && self.state.tx_full == TxFull::Close {
            self.doom(CloseReason::TxFull);
            return Err(TxError::Overflow);
        }
        let count = wanted.min(own).min(self.shared.room());
        self.state.backlogged |= count < wanted;
        self.shared.add(count);
        self.note_raw_out(count);
        Ok(count)
    }

    /// Bytes queued and not yet handed to the network.
    #[must_use]
    pub fn tx_len(&self) -> usize {
        self.tx.len()
    }

    /// Has `Drained` told once all that is queued is out and there is room for more; in the next tick where that is so already. A
    /// [`tx`](Remoter::tx) that comes up short, and a broadcast that skips it, ask for that by themselves. Who goes by
    /// [`tx_room`](Remoter::tx_room) instead and finds too little has to ask.
    pub fn want_drained(&mut self) {
        self.state.backlogged = true;
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
        self.tx_limit = limit(bytes);
    }

    // Ending.

    /// Closes gracefully: what is queued goes out, then our end, then it waits up to `Timeouts::linger` for the peer's end, so that
    /// nothing of what we sent is destroyed by a reset. What comes in meanwhile is thrown away. Repeating it changes nothing.
    ///
    /// A dialled connection that is not usable yet ends at once, with what was queued; to have that sent, use
    /// [`shutdown_send`](Remoter::shutdown_send). It does not come again by itself.
    pub fn close(&mut self) {
        self.begin_close(CloseReason::Local);
    }

    /// Ends it at once with a reset: what is queued is thrown away, and the peer sees an error, not an end. Touches the network now.
    ///
    /// Unix sockets have no such word: there the peer sees a plain end, unless it has sent what was not read here (on Linux that is a reset). A protocol
    /// over them must say itself what is whole.
    pub fn abort(&mut self) {
        if self.state.phase != Phase::Closed {
            self.doom(CloseReason::Aborted);
            self.drop_stream(true);
        }
    }

    /// Ends our half once all that is queued has gone out; the peer can go on sending.
    pub fn shutdown_send(&mut self) {
        if self.may_send() {
            self.state.fin = Fin::Asked;
        }
    }

    /// Stops receiving: what is unread stays, what still comes is thrown away. The peer is not told, TCP having no word for it.
    pub fn shutdown_receive(&mut self) {
        self.state.deaf = true;
    }

    /// Whether `close` was called or the engine is closing it.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !matches!(self.state.phase, Phase::Dialling | Phase::Handshaking | Phase::Live)
    }

    /// Why it is closing or was closed; `None` while it is not.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.state.reason
    }

    /// Whether this connection stays when its peer ends its half; see [`Config::half_open`].
    pub fn set_half_open(&mut self, half_open: bool) {
        self.state.half_open = half_open;
    }

    // Time.

    /// Its own timeouts, where [`set_timeouts`](Remoter::set_timeouts) gave it some.
    #[must_use]
    pub fn timeouts(&self) -> Option<&Timeouts> {
        self.timeouts.as_deref()
    }

    /// Gives it timeouts of its own instead of the engine's. Those that run now are started anew, `lifetime` from
    /// the start of the connection on, the others from the next tick on. Costs 150 bytes.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.timeouts = Some(Box::new(timeouts));
        self.state.retime = true;
    }

    /// Whether traffic refreshes its idle timeout; see [`Config::refreshable`].
    pub fn set_refreshable(&mut self, refreshable: bool) {
        self.state.refreshable = refreshable;
    }

    /// Whether it has a socket and is past its handshake.
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.state.phase, Phase::Handshaking | Phase::Closed)
            && self.state.shaken
            && !self.state.shaking
    }

    #[cfg(not(feature = "tls"))]
    fn is_upgrading(&self) -> bool {
        false
    }

    /// It is ending: there is nothing to go over to any more.
    fn forget_upgrade(&mut self) {
        #[cfg(feature = "tls")]
        {
            self.upgrade = None;
        }
    }

    /// Whether it has closed for good.
    pub(crate) fn is_over(&self) -> bool {
        self.state.phase == Phase::Closed
    }

    pub(crate) fn begin_close(&mut self, reason: CloseReason) {
        if !self.state.shaken {
            return self.doom(reason);
        }
        if matches!(self.state.phase, Phase::Live | Phase::Handshaking) && !self.state.doomed {
            // A layer that has not come to speak yet would not hear of the peer's end.
            self.state.parting |= self.state.phase == Phase::Handshaking;
            self.state.phase = Phase::Flushing;
            self.state.reason = Some(reason);
            self.forget_upgrade();
            // Nobody waits any more for its user, or for a first word of the peer: what still goes out must not be cut by either.
            for slot in [Slot::FirstByte, Slot::Linger] {
                self.deadlines[slot as usize] = Tyme::NEVER;
            }
        }
    }

    /// Lets the engine release it at once with `reason`, whatever is queued.
    pub(crate) fn doom(&mut self, reason: CloseReason) {
        if self.state.phase != Phase::Closed && !self.state.doomed {
            self.state.doomed = true;
            if !self.state.parting {
                self.state.reason = Some(reason);
            }
            self.forget_upgrade();
            self.state.phase = Phase::Flushing;
        }
    }
}

/// A cap as a connection keeps it: 4 bytes, and at least 1.
fn limit(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).max(1)
}

impl fmt::Debug for Remoter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remoter")
            .field("id", &self.id)
            .field("peer_addr", self.peer_addr())
            .field("rx", &self.rx.len())
            .field("tx", &self.tx.len())
            .field("phase", &self.state.phase)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_fits_its_share_of_memory() {
        // The whole, with the socket's own box, its places in the slab, the index and the wheel, is under 600 bytes; see benches.
        assert!(size_of::<Remoter>() <= 400, "{}", size_of::<Remoter>());
    }

    #[test]
    fn a_dialled_connection_costs_what_connect_says_more() {
        // Besides this, the addresses it was given: 32 bytes each.
        assert!(size_of::<Dialled>() <= 400, "{}", size_of::<Dialled>());
    }
}
