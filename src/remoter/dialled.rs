//! What a connection has besides that was dialled: whom it is to reach, and how far that is.

use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::{Phase, Remoter, Shared};
use crate::config::Config;
use crate::connect::Connect;
use crate::error::{Cause, CloseReason};
use crate::id::Id;
use crate::net::{Addr, NoStream, Stream};
use crate::random::SplitMix;
use crate::tyme::Tyme;

/// Where a dialled connection is on its way to being up.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A round of tries is to begin.
    Begin,
    /// Its name is being looked up.
    Looking,
    /// Its addresses are being tried.
    Trying,
    /// Its transport is up.
    Up,
    /// It waits until it is tried again.
    Resting,
}

/// One address that is being tried.
pub(crate) struct Attempt {
    pub(crate) addr: Addr,
    pub(crate) stream: Box<dyn Stream>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, one byte")]
pub(crate) struct Dialled {
    pub(crate) connect: Connect,
    pub(crate) step: Step,
    /// Addresses still to be tried in this round.
    pub(crate) left: VecDeque<Addr>,
    /// Those under way, the oldest first.
    pub(crate) attempts: Vec<Attempt>,
    /// What the last one that failed in this round has met.
    pub(crate) error: Cause,
    /// Which round it is: the answers to look-ups of all others come too late.
    pub(crate) ticket: u32,
    /// Rounds and connections in a row that brought no data back.
    pub(crate) failures: u32,
    pub(crate) random: SplitMix,
    /// What `Slot::Dial` was last armed with: the stagger between two addresses or the wait before a round.
    pub(crate) pause: Duration,
    /// Bytes received on all connections before this one.
    pub(crate) received_before: u64,
    /// The `Disconnected` of the last round was taken.
    pub(crate) told: bool,
    /// It was usable, and that it is over was not taken yet: what is queued now is meant for a connection that is gone.
    pub(crate) stale: bool,
    /// The wait before the next round, or before the next address, is over.
    pub(crate) due: bool,
    /// The caller has asked for a new connection.
    pub(crate) redial: bool,
    /// The caller has ended it: it comes again no more, whatever its last connection meets while it ends.
    pub(crate) let_go: bool,
    /// In the line of those with a round or an address to begin.
    pub(crate) in_line: bool,
    /// In the list of those whose attempts have news.
    pub(crate) latched: bool,
    /// In the line of those whose names wait to be looked up.
    pub(crate) waits_for_lookup: bool,
}

fn is_by_the_caller(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::Local
            | CloseReason::Aborted
            | CloseReason::Detached
            | CloseReason::ServerClosed
            | CloseReason::Expired(crate::error::Deadline::Drain)
    )
}

impl Dialled {
    pub(crate) fn new(connect: Connect, random: SplitMix) -> Self {
        Dialled {
            connect,
            step: Step::Begin,
            left: VecDeque::new(),
            attempts: Vec::new(),
            error: io::ErrorKind::InvalidInput.into(),
            ticket: 0,
            failures: 0,
            random,
            pause: Duration::ZERO,
            received_before: 0,
            told: true,
            stale: false,
            due: true,
            redial: false,
            let_go: false,
            in_line: false,
            latched: false,
            waits_for_lookup: false,
        }
    }

    /// Whether a connection that ends for `reason` comes again by itself.
    pub(super) fn comes_again(&self, reason: CloseReason) -> bool {
        let let_go = self.let_go || is_by_the_caller(reason);
        self.redial || (self.connect.reconnect.is_some() && !let_go)
    }

    /// Takes note that its connection begins to end for `reason`.
    pub(super) fn begin_end(&mut self, reason: CloseReason) {
        self.let_go |= is_by_the_caller(reason);
    }

    /// Whether the next round may begin.
    pub(crate) fn may_begin(&self) -> bool {
        self.step == Step::Begin || (self.step == Step::Resting && self.told && self.due)
    }

    /// The wait before the next round. `received`: bytes so far, on all connections.
    pub(crate) fn wait(&mut self, received: u64) -> Duration {
        let proven = self.step == Step::Up && received > self.received_before;
        if proven || self.redial {
            self.failures = 0;
        }
        let Some(backoff) = self.connect.reconnect.as_ref().filter(|_| !self.redial) else {
            return Duration::ZERO;
        };
        let wait = backoff.wait(self.failures, &mut self.random);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

impl Remoter {
    /// One that is to be connected.
    pub(crate) fn dialled(
        id: Id,
        dial: Dialled,
        config: &Config,
        shared: Arc<Shared>,
        now: Tyme,
    ) -> Self {
        let mut remoter = Self::new(id, None, Box::new(NoStream::nowhere()), config, shared, now);
        remoter.state.phase = Phase::Dialling;
        remoter.state.up = false;
        remoter.dial = Some(Box::new(dial));
        remoter
    }

    /// Whether it is neither closing nor closed, as far as the caller can know of it.
    pub(super) fn is_open(&self) -> bool {
        match self.state.phase {
            Phase::Live => true,
            Phase::Dialling | Phase::Handshaking => self.dial.as_ref().is_some_and(|it| !it.stale),
            Phase::Flushing | Phase::Lingering | Phase::Closed => false,
        }
    }

    /// Whether a round of tries is under way.
    pub(crate) fn is_trying(&self) -> bool {
        self.dial.as_ref().is_some_and(|it| matches!(it.step, Step::Looking | Step::Trying))
    }

    /// Whether the caller knows of it.
    pub(crate) fn is_known(&self) -> bool {
        self.state.opened || self.dial.is_some()
    }

    /// Whether it comes again by itself once it has ended for `reason`.
    pub(crate) fn comes_again(&self, reason: CloseReason) -> bool {
        self.dial.as_ref().is_some_and(|dial| dial.comes_again(reason))
    }
}
