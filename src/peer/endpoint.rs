//! A datagram socket with its queues: what its user can see and ask.

use core::fmt;
use std::io;
use std::net::IpAddr;

use bytes::Bytes;

use super::outbox::Outbox;
use super::queue::{Queue, TxGram};
use super::receive::same_end;
use super::{GramConfig, GramCounters, GramError, RxGram};
use crate::error::Cause;
use crate::net::{Addr, Bind, BufferSizes, Datagram, Gram, GramOption, Interface, Net, Token};
use crate::tyme::Tyme;
use crate::wire::WireLog;

/// A datagram socket with bounded queues each way: of UDP, or of Unix sockets.
///
/// A [`Peer`](super::Peer) has one and its own tick; a [`Server`](crate::Server) has as many as you [bind](crate::Server::bind) and serves them in its tick.
/// [`tx`](Endpoint::tx) queues a datagram, which leaves in the next tick; [`take`](Endpoint::take) gives the next that came in.
pub struct Endpoint {
    pub(super) config: GramConfig,
    spec: Option<Bind>,
    pub(super) socket: Option<Box<dyn Datagram>>,
    local_addr: Addr,
    pub(super) peer_addr: Option<Addr>,
    pub(super) rx: Queue<RxGram>,
    pub(super) tx: Queue<TxGram>,
    /// Latches: set by readiness, cleared by `WouldBlock`.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// Something was left after a send: `Drained` is owed.
    pub(super) backlogged: bool,
    /// The error that the first in line met; it is tried once more, since the error may be about an earlier one.
    pub(super) met: Option<Cause>,
    /// Until when sending rests, where no edge tells that there is room again. The next tick tries all the same.
    pub(super) tx_rest: Option<Tyme>,
    pub(super) rx_rest: Option<Tyme>,
    /// Weight of the errors received in a row.
    pub(super) errors: u32,
    /// The socket has proved dead, and is to be closed.
    pub(super) dead: bool,
    pub(super) now: Tyme,
    pub(super) tick: u32,
    pub(super) spent: Spent,
    pub(super) counters: GramCounters,
    pub(super) outbox: Outbox,
    /// All that there was has been taken, but the network has not said so by `WouldBlock`: it is to be asked again before anybody sleeps.
    pub(super) in_doubt: bool,
    /// Whether the last two passes brought many datagrams, and how many the last one.
    pub(super) many: bool,
    pub(super) last_taken: usize,
    /// What is said of several that are taken at once, between calls empty; kept for its memory.
    pub(super) batch: Vec<Gram>,
    /// Where in `tx` the next pass begins: the last one's budget ended there, with all before it blocked.
    pub(super) tx_from: usize,
    /// The earliest `held_since` of those in `tx`.
    pub(super) held_since: Tyme,
    pub(super) wire_log: Option<WireLog>,
    /// It stands in its server's list of those had in hand, or of those with work.
    pub(crate) touched: bool,
    pub(crate) queued: bool,
}

/// What of a tick's budgets is used.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Spent {
    pub(super) grams_in: usize,
    pub(super) bytes_in: usize,
    pub(super) grams_out: usize,
    pub(super) bytes_out: usize,
    /// That one of them ended is counted.
    pub(super) counted: bool,
}

impl Endpoint {
    pub(crate) fn new(config: GramConfig) -> Self {
        Endpoint {
            config,
            spec: None,
            socket: None,
            local_addr: Addr::Unnamed,
            peer_addr: None,
            rx: Queue::new(),
            tx: Queue::new(),
            readable: false,
            writable: true,
            backlogged: false,
            met: None,
            tx_rest: None,
            rx_rest: None,
            errors: 0,
            dead: false,
            now: Tyme::ZERO,
            tick: 0,
            spent: Spent::default(),
            counters: GramCounters::default(),
            outbox: Outbox::default(),
            in_doubt: false,
            many: false,
            last_taken: 0,
            batch: Vec::new(),
            tx_from: 0,
            held_since: Tyme::NEVER,
            wire_log: None,
            touched: false,
            queued: false,
        }
    }

    /// Opens the socket and lets it report readiness as `token`. One that is open is closed first, with what is queued to go out.
    pub(crate) fn open(&mut self, net: &mut dyn Net, spec: Bind, token: Token) -> io::Result<()> {
        self.close();
        let size = self.config.max_gram.saturating_mul(self.config.buffer_grams);
        let size = size.min(1 << 30); // More than any system gives, and a number that all take.
        let raised = |asked: Option<usize>| asked.max(Some(size).filter(|&size| size > 0));
        let mut asked = spec.clone();
        asked.recv_buffer = raised(spec.recv_buffer);
        asked.send_buffer = raised(spec.send_buffer);
        let mut socket = net.bind(&asked)?;
        socket.register(token)?;
        self.local_addr = socket.local_addr().clone();
        self.peer_addr.clone_from(&spec.peer);
        self.socket = Some(socket);
        self.spec = Some(spec);
        (self.readable, self.writable) = (false, true);
        Ok(())
    }

    /// How to open it again: as before, at the port that was picked.
    pub(crate) fn spec_again(&self) -> Option<Bind> {
        let mut spec = self.spec.clone()?;
        if let (Addr::Inet(asked), Some(port)) = (&mut spec.addr, self.local_addr.port()) {
            asked.set_port(port);
        }
        Some(spec)
    }
}

/// # What it is
impl Endpoint {
    /// Whether its socket is open.
    #[must_use]
    pub fn opened(&self) -> bool {
        self.socket.is_some()
    }

    /// The address it is bound to, with the port that was picked; after closing, where it was.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        &self.local_addr
    }

    /// Whom it is connected to, in connected mode.
    #[must_use]
    pub fn peer_addr(&self) -> Option<&Addr> {
        self.peer_addr.as_ref()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &GramConfig {
        &self.config
    }

    /// Changes the settings, from the next datagram on.
    pub fn config_mut(&mut self) -> &mut GramConfig {
        &mut self.config
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &GramCounters {
        &self.counters
    }

    /// The socket, while it is open.
    #[must_use]
    pub fn datagram(&self) -> Option<&dyn Datagram> {
        self.socket.as_deref()
    }

    /// Sizes of the socket's kernel buffers; zeros when closed.
    ///
    /// # Errors
    /// What the network says.
    pub fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.socket.as_ref().map_or(Ok(BufferSizes::default()), |socket| socket.buffer_sizes())
    }

    /// Logs what really moves, from now on; `None`: no more.
    pub fn set_wire_log(&mut self, log: Option<WireLog>) {
        self.wire_log = log;
    }

    /// Closes the socket. Datagrams that wait to be sent are dropped and counted as unsent; those that came in stay to be taken. Idempotent.
    pub fn close(&mut self) {
        self.socket = None;
        self.counters.unsent += self.tx.clear() as u64;
        (self.readable, self.backlogged, self.dead, self.met) = (false, false, false, None);
        (self.in_doubt, self.many, self.last_taken) = (false, false, 0);
        (self.tx_rest, self.rx_rest, self.errors) = (None, None, 0);
        (self.tx_from, self.held_since) = (0, Tyme::NEVER);
    }
}

/// # Receiving
impl Endpoint {
    /// Takes the next datagram that came in; `None` where there is none. An empty datagram is one, with no bytes and a sender.
    #[inline]
    pub fn take(&mut self) -> Option<RxGram> {
        let gram = self.rx.pop();
        if self.rx.len() == 0 {
            self.outbox.retract_received();
        }
        gram
    }

    /// The datagrams that wait to be taken, oldest first.
    #[must_use]
    pub fn rx(&self) -> impl ExactSizeIterator<Item = &RxGram> {
        self.rx.iter()
    }

    /// The bytes of those.
    #[must_use]
    pub fn rx_bytes(&self) -> usize {
        self.rx.bytes()
    }
}

/// # Sending
impl Endpoint {
    /// Queues a copy of `data` as one datagram to `to`, itself included; it leaves in the next tick. Costs an allocation.
    ///
    /// # Errors
    /// Why it cannot be queued; see [`GramError`]. What the network has against it comes as an event.
    pub fn tx(&mut self, data: &[u8], to: impl Into<Addr>) -> Result<(), GramError> {
        let to = to.into();
        self.may_queue(data.len(), &to)?;
        self.queue(Bytes::copy_from_slice(data), to);
        Ok(())
    }

    /// The same without a copy: what was [taken](Endpoint::take) can be sent on as it is.
    ///
    /// # Errors
    /// As [`tx`](Endpoint::tx).
    pub fn tx_bytes(&mut self, data: Bytes, to: impl Into<Addr>) -> Result<(), GramError> {
        let to = to.into();
        self.may_queue(data.len(), &to)?;
        self.queue(data, to);
        Ok(())
    }

    /// Queues a copy of `data` for the peer, in connected mode.
    ///
    /// # Errors
    /// As [`tx`](Endpoint::tx); [`GramError::NoAddress`] where there is no peer.
    pub fn tx_peer(&mut self, data: &[u8]) -> Result<(), GramError> {
        let to = self.peer_addr.clone().ok_or(GramError::NoAddress)?;
        self.tx(data, to)
    }

    /// Like [`tx_bytes`](Endpoint::tx_bytes), with descriptors that the receiver gets copies of; at most 253. Ours are closed once it has left.
    ///
    /// # Errors
    /// As [`tx`](Endpoint::tx). What is not a Unix socket says so by an `Unsent` event.
    #[cfg(all(unix, feature = "uds"))]
    pub fn tx_files(
        &mut self,
        data: Bytes,
        to: impl Into<Addr>,
        files: Vec<std::os::fd::OwnedFd>,
    ) -> Result<(), GramError> {
        let to = to.into();
        if files.len() > crate::net::MAX_FILES {
            return Err(GramError::TooManyFiles);
        }
        self.may_queue(data.len(), &to)?;
        self.tx.push(TxGram { data, to, held_since: Tyme::NEVER, files });
        Ok(())
    }

    /// Whether a datagram of `len` bytes to `to` could be queued now.
    ///
    /// # Errors
    /// Why not.
    #[inline]
    pub fn can_tx(&self, len: usize, to: &Addr) -> Result<(), GramError> {
        if self.socket.is_none() {
            return Err(GramError::Closed);
        }
        if len > self.config.max_gram {
            return Err(GramError::TooLarge);
        }
        if !to.is_named() {
            return Err(GramError::NoAddress);
        }
        if self.peer_addr.as_ref().is_some_and(|peer| peer != to && !same_end(peer, to)) {
            return Err(GramError::NotThePeer);
        }
        self.has_room(len).then_some(()).ok_or(GramError::Full)
    }

    /// Whether there is room in the queue for a datagram of `len` bytes.
    #[inline]
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.tx.fits(len, self.config.tx_grams, self.config.tx_bytes)
    }

    #[inline]
    fn may_queue(&mut self, len: usize, to: &Addr) -> Result<(), GramError> {
        self.can_tx(len, to).inspect_err(|error| {
            self.counters.tx_refused += u64::from(*error == GramError::Full);
        })
    }

    #[inline]
    fn queue(&mut self, data: Bytes, to: Addr) {
        self.tx.push(TxGram {
            data,
            to,
            held_since: Tyme::NEVER,
            #[cfg(all(unix, feature = "uds"))]
            files: Vec::new(),
        });
    }

    /// Datagrams that wait to be sent.
    #[must_use]
    pub fn tx_grams(&self) -> usize {
        self.tx.len()
    }

    /// Their bytes.
    #[must_use]
    pub fn tx_queued(&self) -> usize {
        self.tx.bytes()
    }
}

/// # Options
impl Endpoint {
    /// Changes an option of the socket; also after `reopen` it must be set again.
    ///
    /// # Errors
    /// What the network says; `NotConnected` while it is closed.
    pub fn set_option(&mut self, option: GramOption) -> io::Result<()> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        socket.set_option(option)
    }

    /// Receives what is sent to this multicast group from now on.
    ///
    /// # Errors
    /// As [`set_option`](Endpoint::set_option): no multicast address, no such interface, the other kind of IP, joined already.
    pub fn join(&mut self, group: IpAddr, interface: Interface) -> io::Result<()> {
        self.set_option(GramOption::Join(group, interface))
    }

    /// No more of that.
    ///
    /// # Errors
    /// As [`set_option`](Endpoint::set_option); also where it had not joined.
    pub fn leave(&mut self, group: IpAddr, interface: Interface) -> io::Result<()> {
        self.set_option(GramOption::Leave(group, interface))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("local_addr", &self.local_addr)
            .field("peer_addr", &self.peer_addr)
            .field("opened", &self.opened())
            .field("rx", &self.rx.len())
            .field("tx", &self.tx.len())
            .finish_non_exhaustive()
    }
}
