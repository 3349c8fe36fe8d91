//! Two connections joined to one: what comes in on either goes out on the other.
//!
//! What holds for a pair, whatever its two ends are (accepted or dialled, plain or TLS):
//!
//! * Bytes stay whole and in order, and are not copied.
//! * **Back pressure goes through.** Where one end takes no more, at most its [`Limits::tx_bytes`](crate::Limits::tx_bytes) and the other's
//!   [`Limits::rx_bytes`](crate::Limits::rx_bytes) wait, and then the other's peer is held back,
//!   whatever [`Config::tx_full`](crate::Config::tx_full) and [`Config::rx_full`](crate::Config::rx_full) say of connections that are not joined.
//! * **An end goes through, each way by itself.** When a peer ends its half, the other end's half is ended behind the last byte; the way back stays open until
//!   it is ended, too.
//! * **A break goes through.** What ends in any other way than cleanly, a reset, a deadline, a TLS stream cut short, a connection that could not be made,
//!   resets the other end: nobody takes for whole what is not. What is queued there goes out first, where it is taken within
//!   [`Timeouts::write_stall`](crate::Timeouts::write_stall): a server that answers "too large" and goes, with the rest of the request unread, is heard, unless
//!   the answer is longer than [`Limits::tx_bytes`](crate::Limits::tx_bytes). The end that broke is reset as well where it still can be: one that a deadline, a
//!   drain or the closing of the server cuts off sees no plain end in the middle of a stream.
//!   (Unix sockets know no reset: there the other end sees a plain end, see [`Remoter::abort`](crate::Remoter::abort).)
//!
//! **Stalled pairs must not starve the others.** All connections of a server share [`Limits::buffered`](crate::Limits::buffered): once pairs that stand still
//! fill it, nobody is read from. So give it what as many pairs as you let in can hold, [`Relay::memory`], or make their caps smaller.

use core::fmt;

use crate::config::Limits;
use crate::connect::Connect;
use crate::error::{CloseReason, Gone};
use crate::event::{Event, Refusal};
use crate::id::Id;
use crate::server::Server;

/// Pairs of connections of one [`Server`], each joined to one: a forwarder's heart.
///
/// Tell it each event, which costs the same however many pairs there are.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use tymist::{Config, Event, Relay, Server};
///
/// let target = TcpListener::bind("127.0.0.1:0")?;
/// let mut server = Server::new(Config::new());
/// let mut relay = Relay::new();
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
///
/// let mut client = TcpStream::connect(addr)?;
/// client.write_all(b"hello")?;
/// while server.counters().bytes_out < 5 {
///     server.wait(None);
///     server.service();
///     while let Some(event) = server.poll_event() {
///         if let Event::Accepted(id) = event
///             && relay.dial(&mut server, id, target.local_addr()?).is_err()
///             && let Some(remoter) = server.remoter_mut(id)
///         {
///             remoter.abort();
///         }
///         relay.handle(&mut server, &event);
///     }
///     server.service_sends();
/// }
/// let mut got = [0; 5];
/// target.accept()?.0.read_exact(&mut got)?;
/// assert_eq!(&got, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Relay {
    /// By the index of its id, each end that has not closed.
    ends: Vec<Option<End>>,
    counters: RelayCounters,
    pairs: usize,
}

#[derive(Copy, Clone, Debug)]
struct End {
    id: Id,
    /// `None` once that one has closed, cleanly: whether all has come through is known when this one has, too.
    partner: Option<Id>,
}

/// Why a [`Relay`] did not [dial](Relay::dial).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialRefused {
    /// The connection that came in has closed meanwhile, is closing, or is joined already.
    Gone,
    /// The server has no place for another connection.
    Refused(Refusal),
}

impl fmt::Display for DialRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialRefused::Gone => {
                f.write_str("the connection that came in has closed, or is joined already")
            }
            DialRefused::Refused(why) => write!(f, "the server makes no other connection: {why}"),
        }
    }
}

impl core::error::Error for DialRefused {}

/// What a [`Relay`] has done so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayCounters {
    /// Pairs that were joined.
    pub joined: u64,
    /// Those of them that have come to a clean end on both sides.
    pub finished: u64,
    /// Those of them that broke, or were taken apart.
    pub broken: u64,
    /// Bytes that went over from one end to the other.
    pub bytes: u64,
}

impl Relay {
    /// Without pairs.
    #[must_use]
    pub fn new() -> Self {
        Relay::default()
    }

    /// Bytes that this many pairs hold at most where each end may hold `rx_bytes` and `tx_bytes` of these limits: what
    /// [`Limits::buffered`] has to be so that no number of pairs that stand still takes the room of another one.
    ///
    /// ```
    /// # use tymist::{Config, Relay};
    /// let mut config = Config::new();
    /// (config.limits.rx_bytes, config.limits.tx_bytes) = (32 << 10, 32 << 10);
    /// config.limits.buffered = Relay::memory(1000, &config.limits);
    /// assert_eq!(config.limits.buffered >> 20, 142); // MiB
    /// ```
    #[must_use]
    pub fn memory(pairs: usize, limits: &Limits) -> usize {
        let pair = limits.rx_bytes.saturating_add(limits.tx_bytes).saturating_mul(2);
        let all = pairs.saturating_mul(pair);
        // Reading stops at seven eighths.
        all.saturating_add(all / 7).saturating_add(8)
    }

    /// Makes a connection and joins it to one that came in; returns the id of the new one. This is what to do with an `Accepted`: by the time that is
    /// polled, the connection may have closed again, and then nothing is dialled. As for [`join`](Relay::join), `connect` should not be reconnectable.
    ///
    /// # Errors
    /// [`DialRefused`]. Nothing is left of the try; what becomes of `inbound` is yours to say, [`abort`](crate::Remoter::abort) as a rule.
    pub fn dial(
        &mut self,
        server: &mut Server,
        inbound: Id,
        connect: impl Into<Connect>,
    ) -> Result<Id, DialRefused> {
        if !self.is_free(server, inbound) {
            return Err(DialRefused::Gone);
        }
        let there = server.connect(connect).map_err(DialRefused::Refused)?;
        // Both are open and free, so there is no reason to fail.
        if self.join(server, inbound, there).is_err() {
            if let Some(remoter) = server.remoter_mut(there) {
                remoter.abort();
            }
            return Err(DialRefused::Gone);
        }
        Ok(there)
    }

    /// Whether a connection is open and not joined.
    fn is_free(&self, server: &Server, id: Id) -> bool {
        let open = server.remoter(id).is_some_and(|remoter| !remoter.is_closing());
        open && self.partner(id).is_none()
    }

    /// Joins two connections that are there; [`dial`](Relay::dial) makes the second one. What has come in on either already goes over;
    /// one that is still being made gets it once it is up. Both are
    /// [half-open](crate::Remoter::set_half_open) from now on. A dialled one should not be [reconnectable](crate::Connect::reconnect): the first connection
    /// is all that the other end can be joined to, so it is closed where it would come again.
    ///
    /// # Errors
    /// [`Gone`] if an id names no connection, one that is closing, or one that is joined already; or if both are the same.
    pub fn join(&mut self, server: &mut Server, one: Id, other: Id) -> Result<(), Gone> {
        if one == other || !self.is_free(server, one) || !self.is_free(server, other) {
            return Err(Gone);
        }
        for (id, partner) in [(one, other), (other, one)] {
            if self.ends.len() <= id.index() {
                self.ends.resize(id.index() + 1, None);
            }
            self.ends[id.index()] = Some(End { id, partner: Some(partner) });
            if let Some(remoter) = server.remoter_mut(id) {
                remoter.set_joined(true);
            }
        }
        self.pairs += 1;
        self.counters.joined += 1;
        self.pump(server, one, other);
        self.pump(server, other, one);
        Ok(())
    }

    /// Does what an event means for a pair: moves bytes, passes an end on, or a break. Returns whether it was about one.
    pub fn handle(&mut self, server: &mut Server, event: &Event) -> bool {
        let Some(id) = event.id() else { return false };
        let Some(partner) = self.partner(id) else {
            self.end_alone(id, event);
            return false;
        };
        match event {
            Event::Received(_) | Event::Eof(_) => self.pump(server, id, partner),
            // There is room again, or for the first time.
            Event::Drained(_) => self.pump(server, partner, id),
            // On its way it took nothing, no end either, and owes no word that there is room.
            #[cfg(feature = "tls")]
            Event::Upgraded(_) => self.pump(server, partner, id),
            Event::Disconnected { reason, .. } => {
                if let Some(remoter) = server.remoter_mut(id) {
                    remoter.close();
                }
                self.part(server, id, partner, *reason);
            }
            Event::Closed(_, reason) => self.part(server, id, partner, *reason),
            _ => {}
        }
        true
    }

    /// The connection that this one is joined to, until one of them has closed.
    #[must_use]
    pub fn partner(&self, id: Id) -> Option<Id> {
        self.end(id)?.partner
    }

    /// Number of pairs both of whose ends are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs
    }

    /// Whether there is no such pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &RelayCounters {
        &self.counters
    }

    fn end(&self, id: Id) -> Option<&End> {
        self.ends.get(id.index())?.as_ref().filter(|end| end.id == id)
    }

    /// The second end of a pair has closed, of which the first did so cleanly.
    fn end_alone(&mut self, id: Id, event: &Event) {
        if let Event::Closed(_, reason) = event
            && self.end(id).is_some()
        {
            self.ends[id.index()] = None;
            self.count(reason.is_clean());
        }
    }

    fn count(&mut self, whole: bool) {
        self.counters.finished += u64::from(whole);
        self.counters.broken += u64::from(!whole);
    }

    /// Moves what can be moved from one end to the other, and then the end.
    fn pump(&mut self, server: &mut Server, from: Id, to: Id) {
        let Some(source) = server.remoter_mut(from) else { return };
        let over = source.is_eof();
        let mut data = source.take();
        let Some(sink) = server.remoter_mut(to) else { return };
        let before = data.len();
        if before > 0 && sink.tx_bytes(&mut data).is_ok() {
            self.counters.bytes += (before - data.len()) as u64;
        }
        if data.is_empty() {
            if over {
                sink.shutdown_send();
            }
        } else if let Some(source) = server.remoter_mut(from) {
            // At its cap it is not read from; `Drained` of the other end goes on.
            source.unread(data);
        }
    }

    /// One end has closed: so does the other, as this one did.
    fn part(&mut self, server: &mut Server, id: Id, partner: Id, reason: CloseReason) {
        let whole = reason.is_clean();
        self.pairs -= 1;
        self.ends[id.index()] = None;
        self.ends[partner.index()] = whole.then_some(End { id: partner, partner: None });
        if !whole {
            self.count(false);
        }
        let Some(remoter) = server.remoter_mut(partner) else { return };
        // What was taken out lives on elsewhere, and so may the other.
        if reason == CloseReason::Detached {
            return remoter.set_joined(false);
        }
        if whole { remoter.close() } else { remoter.abort_once_sent() }
    }
}
