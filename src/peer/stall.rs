//! Which datagrams the network holds up, since when, and when that is too long.
//!
//! Only a network that takes none counts. What our own budget makes wait, or what goes out piece by piece, is never too old.

use core::time::Duration;
use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::Endpoint;
use super::queue::TxGram;
use crate::net::Addr;
use crate::tyme::Tyme;

/// What a pass has found out about who takes datagrams.
#[derive(Default)]
pub(super) struct Held {
    /// Made with the first receiver that is not the network: two sets to let go of are felt where a datagram comes alone.
    receivers: Option<Box<Receivers>>,
    /// The network takes none, whoever is to get it.
    pub(super) stopped: bool,
    /// It has taken one, of IP, which it had held up.
    freed_net: bool,
}

/// Unix sockets, each with a queue of its own.
#[derive(Default)]
struct Receivers {
    /// Those that take none.
    blocked: BTreeSet<Addr>,
    /// Those that have taken one which they had held up.
    freed: BTreeSet<Addr>,
}

impl Held {
    /// That one takes none.
    #[cold]
    pub(super) fn block(&mut self, to: &Addr) {
        self.receivers.get_or_insert_default().blocked.insert(to.clone());
    }

    #[inline]
    pub(super) fn is_blocked(&self, to: &Addr) -> bool {
        self.receivers.as_ref().is_some_and(|receivers| receivers.blocked.contains(to))
    }

    /// Whether any receiver takes none.
    #[inline]
    pub(super) fn has_blocked(&self) -> bool {
        self.receivers.as_ref().is_some_and(|receivers| !receivers.blocked.is_empty())
    }

    /// One leaves the line.
    pub(super) fn let_go(&mut self, gram: &TxGram) {
        if gram.held_since != Tyme::NEVER {
            self.free(&gram.to);
        }
    }

    #[cold]
    fn free(&mut self, to: &Addr) {
        if to.inet().is_some() {
            self.freed_net = true;
        } else {
            self.receivers.get_or_insert_default().freed.insert(to.clone());
        }
    }

    fn has_freed(&self, to: &Addr) -> bool {
        let freed = || self.receivers.as_ref().is_some_and(|them| them.freed.contains(to));
        if to.inet().is_some() { self.freed_net } else { freed() }
    }
}

impl Endpoint {
    pub(super) fn stall(&self) -> Option<Duration> {
        self.config.stall.filter(|stall| !stall.is_zero())
    }

    /// When the one that was held up longest has waited too long.
    #[inline]
    pub(super) fn stall_due(&self) -> Option<Tyme> {
        if self.held_since == Tyme::NEVER {
            return None;
        }
        Some(self.held_since + self.stall()?).filter(|due| *due != Tyme::NEVER)
    }

    /// Whether a datagram has waited too long. Before it is dropped the network is asked once more.
    #[inline]
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall_due().is_some_and(|due| due <= self.now)
    }

    /// Takes note at the end of a pass of who is held up now, and who is no more.
    pub(super) fn note_held(&mut self, held: &Held) {
        let now = self.now;
        let stopped = held.stopped || !self.writable;
        if held.receivers.is_none() && !held.freed_net {
            if stopped {
                // All others were met by a pass before.
                let fresh = self.tx.iter_mut().rev();
                let fresh = fresh.take_while(|gram| gram.held_since == Tyme::NEVER);
                fresh.for_each(|gram| gram.held_since = now);
                let first = self.tx.get(0).map_or(Tyme::NEVER, |gram| gram.held_since);
                self.held_since = self.held_since.min(first);
            }
            return;
        }
        self.held_since = Tyme::NEVER;
        for gram in self.tx.iter_mut() {
            if held.has_freed(&gram.to) {
                gram.held_since = Tyme::NEVER;
            }
            if stopped || held.is_blocked(&gram.to) {
                gram.held_since = gram.held_since.min(now);
            }
            self.held_since = self.held_since.min(gram.held_since);
        }
    }

    /// Drops those that were held up too long. To be called once the network was asked what it has to say in this tick.
    #[inline]
    pub(crate) fn drop_stalled(&mut self) {
        // The usual case first: none is held up.
        if self.held_since != Tyme::NEVER {
            self.drop_held();
        }
    }

    #[inline(never)]
    fn drop_held(&mut self) {
        let Some(stall) = self.stall().filter(|_| self.is_stalled()) else { return };
        self.held_since = Tyme::NEVER;
        let (now, from) = (self.now, self.tx_from);
        for at in 0..self.tx.len() {
            let Some(gram) = self.tx.pop() else { break };
            if gram.held_since + stall > now {
                self.held_since = self.held_since.min(gram.held_since);
                self.tx.push(gram);
                continue;
            }
            self.tx_from -= usize::from(at < from);
            // Of an earlier one, as far as anybody knows: this one met no more than a lack of room.
            if at == 0 {
                self.tell_met();
            }
            self.tell_unsent(gram, ErrorKind::TimedOut.into());
        }
        self.note_backlog();
    }

    /// Goes by another clock from now on: what waits, waits anew.
    pub(super) fn rebase_held(&mut self, now: Tyme) {
        let held = self.tx.iter_mut().filter(|gram| gram.held_since != Tyme::NEVER);
        held.for_each(|gram| gram.held_since = now);
        if self.held_since != Tyme::NEVER {
            self.held_since = now;
        }
    }
}
