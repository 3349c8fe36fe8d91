//! Far deadlines, kept by a descriptor of their own.
//!
//! A wait with an end of its own has the kernel set up a timer and take it down again, which is a few per cent of what a small message costs that comes
//! alone. The deadlines of connections are far, and the next one stays where it is while traffic puts it off ([`Wake::At`](crate::Wake::At)); so one
//! timer is set for it once, beside the sockets, and the waits have no end.

use core::time::Duration;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use mio::Interest;
use mio::unix::SourceFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::clock::Clock;
use crate::tyme::Tyme;

/// What its reports are called; no source gets this token.
pub(super) const ALARM: mio::Token = mio::Token(usize::MAX - 1);
/// A wait shorter than this ends by itself: setting the alarm costs a system call.
const FAR: Duration = Duration::from_millis(100);

/// A timer among the sockets of a poller.
///
/// It takes its descriptor with the poller, not with the first far deadline, so that a program at work holds as many as one that has yet to begin. Where the
/// system has none to give, waits end by themselves as ever.
pub(super) enum Alarm {
    /// With the time it is set for, until it has rung; then that is never.
    Open(OwnedFd, Tyme),
    Refused,
}

impl Alarm {
    pub(super) fn open(registry: &mio::Registry) -> Self {
        new_timer(registry).map_or(Alarm::Refused, |timer| Alarm::Open(timer, Tyme::NEVER))
    }

    /// The time-out of the poll that is to wait for `wait`, until it is `due`: none where this rings by then. It may ring earlier, for what was due in an
    /// earlier wait.
    #[inline]
    pub(super) fn poll_timeout(
        &mut self,
        wait: Option<Duration>,
        due: Tyme,
        clock: Clock,
    ) -> Option<Duration> {
        if due == Tyme::NEVER || wait < Some(FAR) {
            return wait;
        }
        let Alarm::Open(timer, set) = self else { return wait };
        if *set > due {
            if set_timer(timer, due - clock.now()).is_err() {
                return wait;
            }
            *set = due;
        }
        None
    }

    /// It has rung. Nothing is read from it: it is reported once, and anew when it is set anew.
    pub(super) fn rang(&mut self) {
        if let Alarm::Open(_, set) = self {
            *set = Tyme::NEVER;
        }
    }
}

fn new_timer(registry: &mio::Registry) -> io::Result<OwnedFd> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    // The clock that `Instant` reads.
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    registry.register(&mut SourceFd(&timer.as_raw_fd()), ALARM, Interest::READABLE)?;
    Ok(timer)
}

#[cold]
fn set_timer(timer: &OwnedFd, time: Duration) -> io::Result<()> {
    // A time of zero would unset it.
    let time = time.max(Duration::from_nanos(1));
    let it_value = Timespec::try_from(time).map_err(|_| io::ErrorKind::InvalidInput)?;
    let time = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &time)?;
    Ok(())
}
