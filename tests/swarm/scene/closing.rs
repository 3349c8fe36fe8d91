//! What is promised of a connection of which one end or the other is over: it lingers as long as it is said to.

use std::time::Duration;

use tymist::tyme::Tyme;

#[derive(Clone, Copy)]
pub(crate) struct Closing {
    /// When the peer's end was told.
    pub(crate) eof: Option<Tyme>,
    /// When it was first seen to be closing, and that with nothing left to send.
    since: Option<Tyme>,
    out: Option<Tyme>,
    /// The last turn in which there was something to send.
    sent: Tyme,
    /// The peer's end alone is no reason to go.
    pub(crate) half_open: bool,
}

impl Closing {
    pub(crate) fn new(half_open: bool) -> Self {
        Closing { eof: None, since: None, out: None, sent: Tyme::ZERO, half_open }
    }

    /// All that was to be done in this turn is done.
    pub(crate) fn turn_ends(&mut self, now: Tyme, closing: bool, waiting: bool, sent: bool) {
        self.since = self.since.or(Some(now).filter(|_| closing));
        self.out = self.out.or(Some(now).filter(|_| closing && !waiting));
        if waiting || sent {
            self.sent = now;
        }
    }

    /// When it must be gone. One that is half open waits for its user.
    pub(crate) fn due(&self, linger: Option<Duration>) -> Option<Tyme> {
        let linger = linger.filter(|linger| !linger.is_zero())?;
        let from = match (self.since, self.eof) {
            (Some(_), _) => self.out?,
            // What is still to be sent has a deadline of its own.
            (None, Some(eof)) if !self.half_open => eof.max(self.sent),
            _ => return None,
        };
        Some(from + linger)
    }

    /// What is wrong with its being over by this deadline now.
    pub(crate) fn early(&self, now: Tyme, linger: Option<Duration>) -> Option<String> {
        let since = self.since.into_iter().chain(self.eof).min();
        let due = since.zip(linger).map(|(since, linger)| since + linger);
        due.is_none_or(|due| due > now)
            .then(|| format!("lingered until {now}, since {since:?}, due {due:?}"))
    }
}
