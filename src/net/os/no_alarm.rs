//! Where waits end by themselves.

use core::time::Duration;

use super::clock::Clock;
use crate::tyme::Tyme;

/// Nothing is ever called so here.
pub(super) const ALARM: mio::Token = mio::Token(usize::MAX - 1);

/// What is a timer elsewhere.
pub(super) struct Alarm;

impl Alarm {
    pub(super) const fn open(_: &mio::Registry) -> Self {
        Alarm
    }

    /// The time-out of the poll that is to wait for `wait`.
    #[expect(clippy::unused_self, reason = "elsewhere it is used")]
    pub(super) fn poll_timeout(
        &self,
        wait: Option<Duration>,
        _: Tyme,
        _: Clock,
    ) -> Option<Duration> {
        wait
    }

    #[expect(clippy::unused_self, reason = "elsewhere it is used")]
    pub(super) fn rang(&self) {}
}
