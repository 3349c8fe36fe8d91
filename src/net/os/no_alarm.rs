//! Where waits end by themselves.

use core::time::Duration;
use std::time::Instant;

/// Nothing is ever called so here.
pub(super) const ALARM: mio::Token = mio::Token(usize::MAX - 1);

/// What is a timer elsewhere.
pub(super) struct Alarm;

impl Alarm {
    pub(super) const fn open(_: &mio::Registry) -> Self {
        Alarm
    }

    /// How long the poller is to wait where `wait` is asked for.
    #[expect(clippy::unused_self, reason = "elsewhere it is used")]
    pub(super) fn instead_of(
        &self,
        wait: Option<Duration>,
        _: Option<Instant>,
    ) -> Option<Duration> {
        wait
    }

    #[expect(clippy::unused_self, reason = "elsewhere it is used")]
    pub(super) fn rang(&self) {}
}
