//! The poller: what is ready, and the waits.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use super::alarm::{ALARM, Alarm};
use super::clock::Clock;
use super::portion::{FEW, MANY, Portion};
use crate::net::{Readiness, Token, Waker};
use crate::tyme::Tyme;

/// What the waker's own events are called; no source gets this token.
const WAKE: mio::Token = mio::Token(usize::MAX);

pub(super) struct Poller {
    clock: Clock,
    poll: mio::Poll,
    pub(super) registry: Arc<mio::Registry>,
    portion: Portion,
    few: mio::Events,
    many: mio::Events,
    waker: Option<Arc<mio::Waker>>,
    alarm: Alarm,
    /// The waker has called outside a wait: the next one is to return at once.
    woken: bool,
    /// The last call took as many reports as it can.
    full: bool,
}

impl Poller {
    pub(super) fn open(clock: Clock) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let registry = Arc::new(poll.registry().try_clone()?);
        Ok(Poller {
            clock,
            poll,
            alarm: Alarm::open(&registry),
            registry,
            portion: Portion::default(),
            few: mio::Events::with_capacity(FEW),
            many: mio::Events::with_capacity(MANY),
            waker: None,
            woken: false,
            full: false,
        })
    }

    /// Whether more may be ready than was taken.
    #[inline]
    pub(super) fn left_more(&self) -> bool {
        self.full
    }

    /// A handle that ends the wait under way, or else the next one.
    pub(super) fn waker(&mut self) -> io::Result<Waker> {
        let waker = match &self.waker {
            Some(waker) => Arc::clone(waker),
            None => Arc::new(mio::Waker::new(&self.registry, WAKE)?),
        };
        self.waker = Some(Arc::clone(&waker));
        Ok(Waker::new(move || waker.wake()))
    }

    /// Takes what is ready; waits for it as long as is said, at first by looking again and again for up to `look`. `read`: what the clock said when that
    /// was made up, if it is known.
    #[inline]
    pub(super) fn harvest(
        &mut self,
        wait: Option<Duration>,
        look: Duration,
        read: Option<Tyme>,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        let now = read.unwrap_or_else(|| self.clock.now());
        let (before, small) = (ready.len(), self.portion.is_small(now));
        let harvested = self.harvest_from(now, wait, look, small, ready);
        let ended = if wait == Some(Duration::ZERO) { now } else { self.clock.now() };
        self.portion.took(ended, ready.len() - before);
        harvested
    }

    #[inline(always)]
    fn harvest_from(
        &mut self,
        now: Tyme,
        wait: Option<Duration>,
        look: Duration,
        small: bool,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        let waits = wait != Some(Duration::ZERO);
        let sleeps = waits && !core::mem::take(&mut self.woken);
        let mut left = if sleeps { wait } else { Some(Duration::ZERO) };
        // Later than can be said is never.
        let due = match left {
            Some(left) if sleeps => now + left,
            _ => Tyme::NEVER,
        };
        if sleeps && look > Duration::ZERO {
            if self.look(due.min(self.clock.now() + look), small, ready)? {
                return Ok(());
            }
            left = self.left_until(due);
        }
        while !sleeps || left != Some(Duration::ZERO) {
            let timeout = self.alarm.poll_timeout(left, due, self.clock);
            if self.poll(timeout, waits, small, ready)? != Polled::AlarmOnly || !sleeps {
                break;
            }
            // The alarm has rung. It may have been set for another wait, before.
            left = self.left_until(due);
        }
        Ok(())
    }

    /// `None`: for ever.
    #[inline(never)]
    fn left_until(&self, due: Tyme) -> Option<Duration> {
        (due != Tyme::NEVER).then(|| due - self.clock.now())
    }

    /// Looks until there is something, or the end; whether there was.
    #[inline(never)]
    fn look(&mut self, end: Tyme, small: bool, ready: &mut Vec<Readiness>) -> io::Result<bool> {
        loop {
            if self.poll(Some(Duration::ZERO), true, small, ready)? == Polled::Others {
                return Ok(true);
            }
            if self.clock.now() >= end {
                return Ok(false);
            }
            core::hint::spin_loop();
        }
    }

    /// One system call.
    #[inline(always)]
    fn poll(
        &mut self,
        timeout: Option<Duration>,
        is_wait: bool,
        small: bool,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<Polled> {
        let (events, most) = if small { (&mut self.few, FEW) } else { (&mut self.many, MANY) };
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Polled::Others),
            Err(error) => return Err(error),
        }
        let mut count = 0;
        let mut polled = Polled::Others;
        for event in &*events {
            count += 1;
            if event.token() >= ALARM {
                if event.token() == WAKE {
                    self.woken |= !is_wait;
                } else {
                    self.alarm.rang();
                    polled = Polled::AlarmOnly;
                }
                continue;
            }
            let failed = event.is_error() || event.is_write_closed();
            // Urgent data is as an end: the short read that stops at it has not met all that there is.
            let ending = failed || event.is_read_closed() || event.is_priority();
            ready.push(Readiness {
                token: Token(event.token().0),
                readable: event.is_readable() || ending,
                writable: event.is_writable() || failed,
                ending,
            });
        }
        self.full = count == most;
        Ok(match count {
            0 => Polled::Nothing,
            1 => polled,
            _ => Polled::Others,
        })
    }
}

/// Who ended a wait.
#[derive(PartialEq)]
enum Polled {
    /// Nothing but the alarm.
    AlarmOnly,
    /// The wait's own end.
    Nothing,
    /// Something else, or a signal.
    Others,
}
