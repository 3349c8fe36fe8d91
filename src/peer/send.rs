//! Sending datagrams, within budgets.
//!
//! The lack of room is not always told when it ends: after `ENOBUFS`, or when a Unix socket's queue is full, no edge comes. Such a datagram stays where it is
//! and is tried again in the next tick, [`RETRY`] later where nobody ticks.

use core::time::Duration;
use std::io::{self, IoSlice};

use super::queue::TxGram;
use super::stall::Held;
use super::trouble::Trouble;
use super::{Endpoint, GramEvent, TOGETHER};
use crate::error::Cause;
use crate::event::Serviced;
use crate::net::{Addr, Datagram};
use crate::wire::Direction;

/// When a datagram for which there was no room is tried again, if no tick comes before.
const RETRY: Duration = Duration::from_millis(1);

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
    #[inline]
    pub(super) fn can_send(&self) -> bool {
        self.writable && self.tx.len() > 0 && self.socket.is_some() && self.may_send_on()
    }

    /// Whether anything is to be sent, or owed.
    #[inline]
    fn has_to_send(&self) -> bool {
        self.tx.len() > 0 || self.backlogged
    }

    /// Sends what is queued until nothing is left, the network takes no more, or a budget ends.
    #[inline]
    pub(crate) fn send(&mut self, serviced: &mut Serviced) {
        // Mostly not.
        if self.has_to_send() {
            self.send_within(serviced, false);
        }
    }

    /// Gives all that is queued its one try before the socket is closed: whatever the budgets, since there is no next tick for it and the queue is a bound of
    /// its own; and whether or not the network has told of room, since there may be some by now.
    pub(crate) fn send_last(&mut self, serviced: &mut Serviced) {
        if self.has_to_send() {
            (self.tx_rest, self.tx_from, self.writable) = (None, 0, true);
            self.send_within(serviced, true);
        }
    }

    fn send_within(&mut self, serviced: &mut Serviced, all: bool) {
        let Some(mut socket) = self.socket.take() else { return };
        let mut held = Held::default();
        if self.may_send_on() {
            // Those before it were found blocked by the tick whose budget ended here: the rest have their turn, but none overtakes one of its own. Who is to be
            // dropped is asked once more.
            let from = core::mem::take(&mut self.tx_from);
            let from = if self.is_stalled() { 0 } else { from.min(self.tx.len()) };
            let (mut at, before) = (from, self.tx.len());
            self.tx.iter().take(at).for_each(|gram| held.block(&gram.to));
            while self.writable && at < self.tx.len() {
                let full = self.spent.grams_out >= self.config.tick_grams.max(1)
                    || self.spent.bytes_out >= self.config.tick_bytes.max(1);
                if full && !all {
                    self.count_budget();
                    serviced.more = true;
                    // Once the rest have had some, it begins anew: there may be room by now for those before.
                    let had_turn = from > 0 && self.tx.len() < before;
                    self.tx_from = if had_turn { 0 } else { at };
                    break;
                }
                match self.send_at(at, &mut *socket, &mut held, serviced) {
                    Sent::Gone | Sent::Again => {}
                    Sent::Blocked => at += 1,
                    Sent::Stop => break,
                }
            }
        }
        if held.has_blocked() && self.tx_rest.is_none() {
            self.tx_rest = Some(self.now + RETRY); // Those that were passed over.
        }
        self.note_held(&held);
        self.put_back(socket);
        self.note_backlog();
    }

    /// Sees after a pass whether `Drained` is owed, or due.
    #[inline]
    pub(super) fn note_backlog(&mut self) {
        if self.tx.len() > 0 {
            self.backlogged = true;
        } else if core::mem::take(&mut self.backlogged) {
            self.tell(GramEvent::Drained);
        }
    }

    /// Whether sending does not rest.
    #[inline]
    fn may_send_on(&self) -> bool {
        self.tx_rest.is_none_or(|until| until.has_come(self.now))
    }

    fn send_at(
        &mut self,
        at: usize,
        socket: &mut dyn Datagram,
        held: &mut Held,
        serviced: &mut Serviced,
    ) -> Sent {
        let Some(gram) = self.tx.get(at) else { return Sent::Stop };
        if held.is_blocked(&gram.to) {
            return Sent::Blocked;
        }
        let sent = if at == 0 && self.met.is_none() && self.tx.len() > 1 {
            self.transmit_many(socket)
        } else {
            transmit(socket, gram).map(|()| 1)
        };
        let error = match sent {
            // It has taken none, and may never say when it does.
            Ok(0) => io::ErrorKind::OutOfMemory.into(),
            Ok(count) => {
                self.spent.grams_out += count;
                self.on_sent(at, count, held, serviced);
                return Sent::Gone;
            }
            Err(error) => error,
        };
        self.spent.grams_out += 1;
        match Trouble::of(&error) {
            Trouble::Interrupted => Sent::Stop,
            // The receiver's queue, not ours: others can be sent to.
            Trouble::None if gram.to.inet().is_none() => {
                held.block(&gram.to);
                self.rest_sending();
                Sent::Blocked
            }
            Trouble::None => {
                self.writable = false;
                self.counters.tx_blocked += 1;
                Sent::Stop
            }
            Trouble::NoRoom => {
                held.stopped = true;
                self.rest_sending();
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
            Trouble::Unknown => {
                self.tell_met();
                self.drop_unsent(at, held, (&error).into());
                Sent::Gone
            }
            Trouble::Report => {
                self.drop_unsent(at, held, (&error).into());
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
            // No more than it was given, whatever it claims.
            _ => socket.send_many(&grams[..count]).map(|sent| sent.min(count)),
        }
    }

    fn rest_sending(&mut self) {
        self.tx_rest = Some(self.now + RETRY);
        self.counters.tx_blocked += 1;
    }

    /// So many are gone, of those from `at` on.
    #[inline]
    fn on_sent(&mut self, at: usize, count: usize, held: &mut Held, serviced: &mut Serviced) {
        self.tell_met();
        let (mut grams, mut bytes) = (0, 0);
        while grams < count {
            let Some(gram) = self.tx.remove(at) else { break };
            held.let_go(&gram);
            grams += 1;
            bytes += gram.data.len();
            if let Some(log) = &self.wire_log {
                log.record(Direction::Tx, &gram.to, &[IoSlice::new(&gram.data)], gram.data.len());
            }
        }
        self.spent.bytes_out = self.spent.bytes_out.saturating_add(bytes);
        self.counters.grams_out += grams as u64;
        self.counters.bytes_out += bytes as u64;
        serviced.grams_out += grams;
        serviced.bytes_out += bytes as u64;
    }

    /// A report that was met by the datagram at hand was not about that.
    #[inline]
    pub(super) fn tell_met(&mut self) {
        if let Some(error) = self.met.take() {
            self.counters.unreachable += 1;
            self.tell(GramEvent::Unreachable { error });
        }
    }

    fn drop_unsent(&mut self, at: usize, held: &mut Held, error: Cause) {
        if at == 0 {
            self.met = None;
        }
        if let Some(gram) = self.tx.remove(at) {
            held.let_go(&gram);
            self.tell_unsent(gram, error);
        }
    }

    pub(super) fn tell_unsent(&mut self, gram: TxGram, error: Cause) {
        self.counters.unsent += 1;
        self.tell(GramEvent::Unsent { to: gram.to, len: gram.data.len(), error });
    }
}

#[inline]
fn transmit(socket: &mut dyn Datagram, gram: &TxGram) -> io::Result<()> {
    #[cfg(all(unix, feature = "uds"))]
    if gram.has_files() {
        return socket.send_files(&gram.data, &gram.to, &gram.files);
    }
    socket.send(&gram.data, &gram.to)
}
