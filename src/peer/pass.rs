//! Sending and receiving datagrams, within budgets.
//!
//! Two things differ from streams. An error of a call may be about an *earlier* datagram (ICMP came back), so it neither stops the
//! socket nor, at once, the datagram at hand. And the lack of room is not always told when it ends: after `ENOBUFS`, or when a Unix socket's queue is full,
//! no edge comes. Such a datagram stays where it is and is tried again in the next tick, [`RETRY`] later where nobody ticks.

use core::time::Duration;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, IoSlice};

use bytes::Bytes;

use super::queue::TxGram;
use super::{Endpoint, GramEvent, GramsFull, RxGram};
use crate::error::Cause;
use crate::event::Serviced;
use crate::net::errno::{self, linux};
use crate::net::{Addr, Datagram, Gram};
use crate::tyme::Tyme;
use crate::wire::Direction;

/// When a datagram for which there was no room is tried again, if no tick comes before.
const RETRY: Duration = Duration::from_millis(1);
/// The least size of the buffer all datagrams are received through: the largest UDP datagram and one byte, which shows that it was cut.
const SCRATCH: usize = 65_536;
/// The most of it, for Unix sockets: the system's limit (`net.core.wmem_max`) is a fraction of this unless somebody has raised it.
const UNIX_SCRATCH: usize = 4 << 20;
/// At this weight of errors in a row receiving rests. A report of an earlier datagram weighs 1: each is there once. What is unknown may stay for ever.
const ERRORS: u32 = 4096;
const UNKNOWN_WEIGHT: u32 = 256;

/// Most datagrams handed to the network at once.
const TOGETHER: usize = 16;

/// What an error of a datagram socket is about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// Nothing there, or no room; readiness will tell.
    None,
    /// A signal came.
    Interrupted,
    /// No memory or no place in a queue for now; nothing will tell.
    NoRoom,
    /// A datagram that did not arrive, maybe an earlier one.
    Report,
    /// The socket itself.
    Dead,
    /// Anything else.
    Unknown,
}

impl Trouble {
    fn of(error: &io::Error) -> Trouble {
        match error.kind() {
            ErrorKind::WouldBlock => Trouble::None,
            ErrorKind::Interrupted => Trouble::Interrupted,
            ErrorKind::OutOfMemory => Trouble::NoRoom,
            // Windows reports with a connection reset (and a network reset, for TTL expired) what others call refused.
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::TimedOut => Trouble::Report,
            _ => match error.raw_os_error() {
                Some(errno::ENOBUFS) => Trouble::NoRoom,
                Some(errno::WSAENETRESET) if cfg!(windows) => Trouble::Report,
                Some(linux::EHOSTDOWN | linux::EPROTO | linux::ENOPROTOOPT) if errno::LINUX => {
                    Trouble::Report
                }
                Some(errno::EBADF | errno::ENOTSOCK) if cfg!(unix) => Trouble::Dead,
                _ => Trouble::Unknown,
            },
        }
    }
}

/// What became of the datagram at one place in the line.
enum Sent {
    /// Gone, one way or the other; the next has moved up.
    Gone,
    /// Stays; so do all others for the same receiver.
    Blocked,
    /// Stays, and is to be tried again at once.
    Again,
    /// Stays, and with it all others.
    Stop,
}

impl Endpoint {
    /// Whether a pass would do something with the latches as they are.
    pub(crate) fn has_work(&self) -> bool {
        self.can_receive() || self.can_send()
    }

    fn can_receive(&self) -> bool {
        self.readable && self.socket.is_some() && self.rx_rest.is_none_or(|until| until <= self.now)
    }

    fn can_send(&self) -> bool {
        self.writable
            && self.tx.len() > 0
            && self.socket.is_some()
            && self.tx_rest.is_none_or(|until| until <= self.now)
    }

    /// Whether a datagram waited too long.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall().is_some_and(|stall| {
            self.tx.get(0).is_some_and(|gram| gram.queued_at + stall <= self.now)
        })
    }

    pub(crate) fn latch(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    pub(super) fn tell(&mut self, event: GramEvent) {
        if let Some(told) = self.told.place(&event) {
            if core::mem::replace(told, true) {
                return; // One of them waits already, and says all there is to say.
            }
        } else if self.waiting >= self.config.events.max(1) {
            self.counters.events_dropped += 1;
            return;
        }
        self.waiting += 1;
        self.outbox.push_back(event);
    }

    /// Sends what is queued until nothing is left, the network takes no more, or a budget ends.
    pub(crate) fn send(&mut self, serviced: &mut Serviced) {
        let Some(mut socket) = self.socket.take() else { return };
        let now = self.now;
        let fresh = self.tx.iter_mut().rev().take_while(|gram| gram.queued_at == Tyme::NEVER);
        fresh.for_each(|gram| gram.queued_at = now);
        self.drop_stalled();
        let mut blocked = BTreeSet::new();
        if self.can_send_on() {
            // Those before it were found blocked by the tick whose budget ended here: the rest have their turn, but none overtakes one of its own.
            let mut at = core::mem::take(&mut self.tx_from).min(self.tx.len());
            blocked.extend(self.tx.iter().take(at).map(|gram| gram.to.clone()));
            while self.writable && at < self.tx.len() {
                let full = self.spent.grams_out >= self.config.tick_grams.max(1)
                    || self.spent.bytes_out >= self.config.tick_bytes.max(1);
                if full {
                    self.counters.budget += 1;
                    serviced.more = true;
                    self.tx_from = at;
                    break;
                }
                match self.send_at(at, &mut *socket, &mut blocked, serviced) {
                    Sent::Gone | Sent::Again => {}
                    Sent::Blocked => at += 1,
                    Sent::Stop => break,
                }
            }
        }
        if !blocked.is_empty() && self.tx_rest.is_none() {
            self.tx_rest = Some(now + RETRY); // Those that were passed over.
        }
        self.put_back(socket);
        if self.tx.len() > 0 {
            self.backlogged = true;
        } else if core::mem::take(&mut self.backlogged) {
            self.tell(GramEvent::Drained);
        }
    }

    fn can_send_on(&self) -> bool {
        self.tx_rest.is_none_or(|until| until <= self.now)
    }

    fn send_at(
        &mut self,
        at: usize,
        socket: &mut dyn Datagram,
        blocked: &mut BTreeSet<Addr>,
        serviced: &mut Serviced,
    ) -> Sent {
        let Some(gram) = self.tx.get(at) else { return Sent::Stop };
        if blocked.contains(&gram.to) {
            return Sent::Blocked;
        }
        let sent = if at == 0 && self.met.is_none() && self.tx.len() > 1 {
            self.transmit_many(socket)
        } else {
            transmit(socket, gram).map(|()| 1)
        };
        let error = match sent {
            Ok(count) => {
                self.spent.grams_out += count;
                (0..count).for_each(|_| self.met_sent(at, serviced));
                return Sent::Gone;
            }
            Err(error) => error,
        };
        self.spent.grams_out += 1;
        match Trouble::of(&error) {
            Trouble::Interrupted => Sent::Stop,
            // The receiver's queue, not ours: others can be sent to.
            Trouble::None if gram.to.inet().is_none() => {
                blocked.insert(gram.to.clone());
                self.rest();
                Sent::Blocked
            }
            Trouble::None => {
                self.writable = false;
                self.counters.tx_blocked += 1;
                Sent::Stop
            }
            Trouble::NoRoom => {
                self.rest();
                Sent::Stop
            }
            Trouble::Dead => {
                self.lose(&error);
                Sent::Stop
            }
            // Of an earlier datagram, if the second try goes through.
            Trouble::Report if self.met.is_none() && gram.to.inet().is_some() => {
                self.met = Some((&error).into());
                Sent::Again
            }
            Trouble::Report | Trouble::Unknown => {
                self.drop_unsent(at, (&error).into());
                Sent::Gone
            }
        }
    }

    /// Sends the first in line, with what can go along with it within the budgets.
    fn transmit_many(&self, socket: &mut dyn Datagram) -> io::Result<usize> {
        const NONE: (&[u8], &Addr) = (&[], &Addr::Unnamed);
        let mut grams = [NONE; TOGETHER];
        let most = self.config.tick_grams.max(1).saturating_sub(self.spent.grams_out);
        let mut left = self.config.tick_bytes.max(1).saturating_sub(self.spent.bytes_out);
        let mut count = 0;
        for (gram, place) in self.tx.iter().zip(&mut grams).take(most) {
            if gram.has_files() || left == 0 {
                break;
            }
            *place = (&gram.data, &gram.to);
            left = left.saturating_sub(gram.data.len());
            count += 1;
        }
        match (count, self.tx.get(0)) {
            (0 | 1, Some(first)) => transmit(socket, first).map(|()| 1),
            _ => socket.send_many(&grams[..count]),
        }
    }

    fn rest(&mut self) {
        self.tx_rest = Some(self.now + RETRY);
        self.counters.tx_blocked += 1;
    }

    fn met_sent(&mut self, at: usize, serviced: &mut Serviced) {
        let Some(gram) = self.tx.remove(at) else { return };
        if let Some(error) = self.met.take() {
            self.counters.unreachable += 1;
            self.tell(GramEvent::Unreachable { error });
        }
        let len = gram.data.len();
        self.spent.bytes_out = self.spent.bytes_out.saturating_add(len);
        self.counters.grams_out += 1;
        self.counters.bytes_out += len as u64;
        serviced.grams_out += 1;
        serviced.bytes_out += len as u64;
        if let Some(log) = &self.wire_log {
            log.record(Direction::Tx, &gram.to, &[IoSlice::new(&gram.data)], len);
        }
    }

    fn drop_unsent(&mut self, at: usize, error: Cause) {
        if at == 0 {
            self.met = None;
        }
        if let Some(gram) = self.tx.remove(at) {
            self.counters.unsent += 1;
            self.tell(GramEvent::Unsent { to: gram.to, len: gram.data.len(), error });
        }
    }

    fn drop_stalled(&mut self) {
        while self.is_stalled() {
            self.drop_unsent(0, ErrorKind::TimedOut.into());
        }
    }

    /// The socket is dead.
    fn lose(&mut self, error: &io::Error) {
        self.dead = true;
        self.tell(GramEvent::Lost { error: error.into() });
    }

    /// Receives until there is no more or a budget ends; `left` is what the whole tick may still take.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut Vec<u8>,
        left: &mut usize,
        serviced: &mut Serviced,
    ) {
        if !self.can_receive() {
            return;
        }
        self.rx_rest = None;
        let Some(mut socket) = self.socket.take() else { return };
        // No datagram is longer, whatever is asked for.
        let most = if self.local_addr().inet().is_some() { SCRATCH } else { UNIX_SCRATCH };
        let size = self.config.max_gram.saturating_add(1).clamp(SCRATCH, most);
        if scratch.len() < size {
            *scratch = vec![0; size];
        }
        while self.readable && self.rx_rest.is_none() && !self.dead {
            let full = self.spent.grams_in >= self.config.tick_grams.max(1)
                || self.spent.bytes_in >= self.config.tick_bytes.max(1);
            if full || *left == 0 {
                self.counters.budget += u64::from(full);
                serviced.more = true;
                break;
            }
            self.spent.grams_in += 1;
            *left -= 1;
            match self.receive_one(&mut *socket, scratch, serviced) {
                Ok(()) => self.errors = 0,
                Err(error) => {
                    if !self.met_error(&error) {
                        break;
                    }
                }
            }
        }
        self.put_back(socket);
    }

    /// The end of a pass, for which the socket was taken out.
    fn put_back(&mut self, socket: Box<dyn Datagram>) {
        if self.dead {
            self.close();
        } else {
            self.socket = Some(socket);
        }
    }

    fn receive_one(
        &mut self,
        socket: &mut dyn Datagram,
        scratch: &mut [u8],
        serviced: &mut Serviced,
    ) -> io::Result<()> {
        #[cfg(all(unix, feature = "uds"))]
        let mut files = Vec::new();
        #[cfg(all(unix, feature = "uds"))]
        let gram = socket.receive_files(scratch, &mut files)?;
        #[cfg(not(all(unix, feature = "uds")))]
        let gram = socket.receive(scratch)?;
        let Gram { len, truncated, mut from } = gram;
        // What came before the socket was connected is still in its queue.
        if let Some(peer) = &self.peer_addr {
            if !socket.refuses_strangers() && !same_end(peer, &from) {
                self.counters.strangers += 1;
                return Ok(());
            }
            from = peer.clone();
        }
        let kept = len.min(self.config.max_gram);
        let truncated = truncated || len > kept;
        self.spent.bytes_in = self.spent.bytes_in.saturating_add(len);
        self.counters.grams_in += 1;
        self.counters.bytes_in += kept as u64;
        self.counters.truncated += u64::from(truncated);
        serviced.grams_in += 1;
        serviced.bytes_in += kept as u64;
        let data = &scratch[..kept];
        if let Some(log) = &self.wire_log {
            log.record(Direction::Rx, &from, &[IoSlice::new(data)], kept);
        }
        if self.make_room(kept) {
            let data = Bytes::copy_from_slice(data);
            self.rx.push(RxGram {
                data,
                from,
                truncated,
                #[cfg(all(unix, feature = "uds"))]
                files,
            });
            self.tell(GramEvent::Received);
        }
        Ok(())
    }

    /// Makes room for one more datagram, or not, as configured.
    fn make_room(&mut self, len: usize) -> bool {
        let (grams, bytes) = (self.config.rx_grams, self.config.rx_bytes);
        while !self.rx.fits(len, grams, bytes) {
            self.counters.rx_dropped += 1;
            if self.config.rx_full == GramsFull::DropNewest {
                return false;
            }
            self.rx.pop();
        }
        true
    }

    /// Takes note of why a receive brought nothing; returns whether to go on.
    fn met_error(&mut self, error: &io::Error) -> bool {
        let trouble = Trouble::of(error);
        match trouble {
            Trouble::None => {
                (self.readable, self.errors) = (false, 0);
                return false;
            }
            Trouble::Interrupted => return false,
            Trouble::Dead => {
                self.lose(error);
                return false;
            }
            Trouble::Report => {
                self.counters.unreachable += 1;
                self.tell(GramEvent::Unreachable { error: error.into() });
                self.errors += 1;
            }
            Trouble::NoRoom | Trouble::Unknown => self.errors += UNKNOWN_WEIGHT,
        }
        if self.errors >= ERRORS {
            self.errors = 0;
            let until = self.now + self.config.pause.max(Duration::from_millis(1));
            self.rx_rest = Some(until);
            self.counters.pauses += 1;
            self.tell(GramEvent::Paused { error: error.into(), until });
        }
        true
    }
}

fn transmit(socket: &mut dyn Datagram, gram: &TxGram) -> io::Result<()> {
    #[cfg(all(unix, feature = "uds"))]
    if gram.has_files() {
        return socket.send_files(&gram.data, &gram.to, &gram.files);
    }
    socket.send(&gram.data, &gram.to)
}

/// Whether both name the same end: an IPv4 address that IPv6 carries is the same as itself, and a scope counts where it is given.
fn same_end(peer: &Addr, from: &Addr) -> bool {
    use std::net::SocketAddr::V6;
    match (peer.inet(), from.inet()) {
        (Some(V6(one)), Some(V6(two))) => {
            let scoped = one.scope_id() != 0 && one.scope_id() != two.scope_id();
            one.ip() == two.ip() && one.port() == two.port() && !scoped
        }
        (Some(_), Some(_)) => peer.ip() == from.ip() && peer.port() == from.port(),
        _ => peer == from,
    }
}
