//! Receiving datagrams, within budgets.

use core::time::Duration;
use std::io::{self, IoSlice};

use bytes::Bytes;

use super::trouble::Trouble;
use super::{Endpoint, GramEvent, GramsFull, RxGram, TOGETHER};
use crate::event::Serviced;
use crate::net::{Addr, Datagram, Gram};
use crate::wire::Direction;

/// The least size of the buffer all datagrams are received through: the largest UDP datagram and one byte, which shows that it was cut.
const SCRATCH: usize = 65_536;
/// The most of it, for Unix sockets: the system's limit (`net.core.wmem_max`) is a fraction of this unless somebody has raised it.
const UNIX_SCRATCH: usize = 4 << 20;
/// At this weight of errors in a row receiving rests. A report of an earlier datagram weighs 1: each is there once. What is unknown may stay for ever.
const ERRORS: u32 = 4096;
const UNKNOWN_WEIGHT: u32 = 256;
/// Several are taken at once where two passes in a row bring so many: for fewer it would cost more than it spares.
const MANY: usize = 4;
/// Between the buffers of those: at a distance of a power of two they would all have the same place in a cache.
const STAGGER: usize = 64;

/// What one call has brought: so many datagrams, and whether it is known that there were no more.
struct Received {
    count: usize,
    all: bool,
}

impl Endpoint {
    #[inline]
    pub(super) fn can_receive(&self) -> bool {
        let rested = self.rx_rest.is_none_or(|until| until.has_come(self.now));
        self.readable && self.socket.is_some() && rested
    }

    /// Receives until there is no more or a budget ends; `left` is what the whole tick may still take. `at_once`: or until what has come by now is taken, to be
    /// answered before the network is asked again.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        scratch: &mut Vec<u8>,
        left: &mut usize,
        at_once: bool,
        serviced: &mut Serviced,
    ) {
        if !self.can_receive() {
            return;
        }
        (self.rx_rest, self.in_doubt) = (None, false);
        let Some(mut socket) = self.socket.take() else { return };
        // No datagram is longer, whatever is asked for.
        let most = if self.local_addr().inet().is_some() { SCRATCH } else { UNIX_SCRATCH };
        let size = self.config.max_gram.saturating_add(1).clamp(SCRATCH, most);
        let mut taken = 0;
        while self.readable && self.rx_rest.is_none() && !self.dead {
            let full = self.spent.grams_in >= self.config.tick_grams.max(1)
                || self.spent.bytes_in >= self.config.tick_bytes.max(1);
            if full || *left == 0 {
                if full {
                    self.count_budget();
                }
                serviced.more = true;
                break;
            }
            let most = self.together(taken, size).min(*left);
            let received = if most > 1 {
                self.receive_many(&mut *socket, scratch, (size, most), serviced)
            } else {
                self.receive_one(&mut *socket, scratch, size, serviced)
            };
            // An error counts as one.
            let count = received.as_ref().map_or(1, |received| received.count);
            self.spent.grams_in += count;
            *left -= count;
            match received {
                Ok(Received { all, .. }) => {
                    taken += count;
                    self.errors = 0;
                    // Who waits for an answer to these may send no more before.
                    if at_once && all {
                        self.in_doubt = true;
                        break;
                    }
                }
                Err(error) => {
                    if !self.on_receive_error(&error) {
                        break;
                    }
                }
            }
        }
        self.many = taken + self.last_taken >= MANY;
        self.last_taken = taken;
        self.put_back(socket);
    }

    /// How many may be asked for at once: no more than are sure to be within the budgets.
    #[inline]
    fn together(&self, taken: usize, size: usize) -> usize {
        if !(self.many || taken >= MANY) || self.local_addr().inet().is_none() {
            return 1;
        }
        let grams = self.config.tick_grams.max(1).saturating_sub(self.spent.grams_in);
        let bytes = self.config.tick_bytes.max(1).saturating_sub(self.spent.bytes_in) / size;
        grams.min(bytes).min(TOGETHER)
    }

    #[inline]
    fn receive_one(
        &mut self,
        socket: &mut dyn Datagram,
        scratch: &mut Vec<u8>,
        size: usize,
        serviced: &mut Serviced,
    ) -> io::Result<Received> {
        let scratch = at_least(scratch, size);
        #[cfg(all(unix, feature = "uds"))]
        let mut files = Vec::new();
        #[cfg(all(unix, feature = "uds"))]
        let gram = socket.receive_files(scratch, &mut files)?;
        #[cfg(not(all(unix, feature = "uds")))]
        let gram = socket.receive(scratch)?;
        if self.received(gram, scratch, socket, serviced) {
            #[cfg(all(unix, feature = "uds"))]
            if let Some(gram) = self.rx.newest() {
                gram.files = files;
            }
            self.tell(GramEvent::Received);
        }
        Ok(Received { count: 1, all: false })
    }

    /// As many as there are of the `most`, each of at most `size` bytes.
    #[inline]
    fn receive_many(
        &mut self,
        socket: &mut dyn Datagram,
        scratch: &mut Vec<u8>,
        (size, most): (usize, usize),
        serviced: &mut Serviced,
    ) -> io::Result<Received> {
        let stride = size + STAGGER;
        let scratch = at_least(scratch, stride * TOGETHER);
        let mut bufs = scratch.chunks_exact_mut(stride);
        let mut bufs: [&mut [u8]; TOGETHER] =
            core::array::from_fn(|_| bufs.next().map_or(&mut [][..], |buf| &mut buf[..size]));
        let mut grams = core::mem::take(&mut self.batch);
        let received = socket.receive_many(&mut bufs[..most], &mut grams);
        let (mut count, mut kept) = (0, false);
        for (gram, buf) in grams.drain(..).zip(&bufs[..most]) {
            count += 1;
            kept |= self.received(gram, buf, socket, serviced);
        }
        if kept {
            self.tell(GramEvent::Received);
        }
        self.batch = grams;
        let all = received?;
        // Whatever it claims, it has found none.
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(Received { count, all }) }
    }

    /// Puts a datagram, which is in `scratch`, in line, unless it is not to be kept; returns whether it is.
    #[inline]
    fn received(
        &mut self,
        gram: Gram,
        scratch: &[u8],
        socket: &dyn Datagram,
        serviced: &mut Serviced,
    ) -> bool {
        let Gram { len, truncated, mut from } = gram;
        // What came before the socket was connected is still in its queue.
        if let Some(peer) = &self.peer_addr {
            if !socket.refuses_strangers() && !same_end(peer, &from) {
                self.counters.strangers += 1;
                return false;
            }
            from = peer.clone();
        }
        // It cannot be more than there is room for, whatever the socket claims.
        let kept = len.min(self.config.max_gram).min(scratch.len());
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
        if !self.make_room(kept) {
            return false;
        }
        self.rx.push(RxGram {
            data: Bytes::copy_from_slice(data),
            from,
            truncated,
            #[cfg(all(unix, feature = "uds"))]
            files: Vec::new(),
        });
        true
    }

    /// Makes room for one more datagram, or not, as configured.
    #[inline]
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
    fn on_receive_error(&mut self, error: &io::Error) -> bool {
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

/// Whether both name the same end: an IPv4 address that IPv6 carries is the same as itself, and a scope counts where both have one: the system takes one also
/// where it means nothing, and gives none there.
pub(super) fn same_end(peer: &Addr, from: &Addr) -> bool {
    use std::net::SocketAddr::V6;
    match (peer.inet(), from.inet()) {
        (Some(V6(one)), Some(V6(two))) => {
            let scopes = [one.scope_id(), two.scope_id()];
            let apart = !scopes.contains(&0) && scopes[0] != scopes[1];
            one.ip() == two.ip() && one.port() == two.port() && !apart
        }
        (Some(_), Some(_)) => peer.ip() == from.ip() && peer.port() == from.port(),
        _ => peer == from,
    }
}

/// The first `size` bytes of a buffer that has as many.
#[inline]
fn at_least(scratch: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if scratch.len() < size {
        *scratch = vec![0; size];
    }
    &mut scratch[..size]
}
