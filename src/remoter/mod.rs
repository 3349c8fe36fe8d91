//! One connection: its bytes each way, its deadlines, and how it ends.

// In the order of the sections on the page of `Remoter`.
mod identity;
mod receiving;
mod sending;
mod ending;
mod timing;
mod data;
#[cfg(feature = "tls")]
mod tls;
mod via;
#[cfg(all(unix, feature = "uds"))]
mod unix;
mod beneath;

mod detached;
mod dialled;
mod filter;
mod shared;
mod slot;
mod state;

use core::any::Any;
use core::fmt;
use core::num::NonZeroU32;
use std::sync::Arc;

use crate::buf::{RxQueue, TxQueue};
use crate::config::{Config, Timeouts};
use crate::counters::RemoterCounters;
use crate::id::{AcceptorId, Id};
use crate::net::{Addr, Stream};
use crate::tyme::{Timer, Tyme};
pub use detached::Detached;
pub(crate) use dialled::{Attempt, Dialled, Step};
pub(crate) use shared::{Room, Shared};
pub(crate) use slot::{SLOTS, Slot};
#[cfg(feature = "proxy-protocol")]
pub(crate) use state::Via;
pub(crate) use state::{Fin, HalfOpen, Phase, Queued, State};
#[cfg(feature = "tls")]
pub(crate) use tls::Upgrade;

/// One connection, accepted or dialled.
///
/// Get it with `server.remoter_mut(id)`. Its methods only look, take and queue: the network is touched by the engine, at the
/// next `service()`, `wait()` or `service_sends()`. The exceptions say so.
///
/// What is asked of it follows two patterns: `may_*` tells whether a half is still open, `can_*` whether something can be done now.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use tymist::{Config, Event, Remoter, Server};
///
/// /// Answers each line with its number.
/// fn answer(remoter: &mut Remoter) {
///     while let Some(end) = remoter.rx().iter().position(|byte| *byte == b'\n') {
///         if remoter.tx_room() < 64 {
///             return remoter.want_drained(); // the line waits for room, and holds the peer back
///         }
///         let line = remoter.take_first(end + 1); // its buffer, not copied; `consume` would drop it
///         let count = remoter.data::<u64>().map_or(1, |count| count + 1);
///         remoter.set_data(count); // of this connection
///         let _ = remoter.tx(format!("{count}: {} bytes\n", line.len()).as_bytes()); // an error: it is closing
///     }
///     if remoter.rx().len() > 4096 {
///         remoter.abort(); // no line is that long
///     }
/// }
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let mut client = TcpStream::connect(server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap())?;
/// client.write_all(b"one\nthree\n")?;
/// while server.counters().bytes_out < 22 {
///     server.wait(None);
///     server.service();
///     while let Some(event) = server.poll_event() {
///         if let Event::Received(id) | Event::Drained(id) = event
///             && let Some(remoter) = server.remoter_mut(id)
///         {
///             answer(remoter);
///         }
///     }
///     server.service_sends();
/// }
/// let mut answers = [0; 22];
/// client.read_exact(&mut answers)?;
/// assert_eq!(&answers, b"1: 4 bytes\n2: 6 bytes\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// What only few have of their own.
    apart: Option<Box<Apart>>,
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

/// What few connections have of their own.
#[derive(Default)]
struct Apart {
    /// Only where they differ from the engine's.
    timeouts: Option<Timeouts>,
    /// The engine has not taken note of them.
    new_timeouts: bool,
    /// What its peer's address was, where its user has changed that and the engine has not taken note.
    counted_as: Option<Box<Addr>>,
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
            rx_limit: cap(config.limits.rx_bytes),
            tx_limit: cap(config.limits.tx_bytes),
            raw_in: 0,
            raw_out: 0,
            deadlines: [Tyme::NEVER; SLOTS],
            timer: None,
            counters: RemoterCounters::default(),
            shared,
            apart: None,
            opened_at: now,
            window_start: 0,
            data: None,
            dial: None,
            #[cfg(feature = "tls")]
            upgrade: None,
            state,
        }
    }

    /// Whether it has a socket and is past its handshake.
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.state.phase, Phase::Handshaking | Phase::Closed)
            && self.state.opened
            && !self.state.shaking
    }

    /// Whether it is on its way to be live for the first time.
    pub(crate) fn is_coming(&self) -> bool {
        self.state.phase == Phase::Handshaking && !self.state.opened
    }

    #[cfg(not(feature = "tls"))]
    #[inline]
    pub(crate) fn is_upgrading(&self) -> bool {
        false
    }

    /// Whether it has closed for good.
    pub(crate) fn is_over(&self) -> bool {
        self.state.phase == Phase::Closed
    }
}

/// A cap as a connection keeps it: 4 bytes, and at least 1.
fn cap(bytes: usize) -> u32 {
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
