//! What is promised of a connection while it is made, or made again: rounds, their deadlines, and the waits between them.

use std::time::Duration;

use tymist::tyme::Tyme;
use tymist::{CloseReason, Config, Deadline, Event, Wake};

use super::watch::wakes_after;

/// The shortest wait before a new try.
const LEAST: Duration = Duration::from_millis(1);

pub(crate) struct Dialling {
    /// Before that no round may begin.
    not_before: Tyme,
    /// The turn in which it was asked for, or in which the end of the last one was told.
    asked_in: u64,
    began: Option<Tyme>,
    /// When its transport came up.
    up: Option<Tyme>,
    pub(super) handshake: bool,
    /// It comes again by itself, after this time at the most.
    most: Option<Duration>,
    /// Its engine drains: what has ended stays so.
    drains: bool,
    /// A new one was asked for.
    pub(crate) reopen: bool,
    /// It was closed: whatever it meets while it ends, it comes no more.
    pub(crate) let_go: bool,
    pub(crate) expired: Option<Deadline>,
    /// Bytes in and out on all of its connections so far.
    pub(crate) bytes: (u64, u64),
    /// Its timeouts are those it began with.
    pub(crate) modelled: bool,
}

pub(crate) fn is_by_the_caller(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::Local | CloseReason::Aborted | CloseReason::ServerClosed)
}

impl Dialling {
    pub(crate) fn new(now: Tyme, turn: u64, handshake: bool, most: Option<Duration>) -> Self {
        Dialling {
            not_before: now,
            asked_in: turn,
            began: None,
            up: None,
            handshake,
            most,
            drains: false,
            reopen: false,
            let_go: false,
            expired: None,
            bytes: (0, 0),
            modelled: true,
        }
    }

    /// It is over, since the last turn (`since`) at the earliest; the next round may begin at `retry_at`.
    pub(crate) fn again(
        self,
        since: Tyme,
        now: Tyme,
        turn: u64,
        retry_at: Tyme,
    ) -> Result<Self, String> {
        let (least, most) = match self.most {
            // It may have been over already when a new one was asked for.
            most if self.reopen => {
                (Duration::ZERO, most.map_or(Duration::ZERO, |it| it.max(LEAST)))
            }
            Some(most) => (LEAST / 2, most.max(LEAST)),
            None => return Err("comes again although nobody asked for it".into()),
        };
        if retry_at < since + least || retry_at > now + most {
            return Err(format!(
                "ended by {now}, comes again at {retry_at}, not {least:?} to {most:?} later"
            ));
        }
        Ok(Dialling {
            not_before: if self.reopen { retry_at.min(now) } else { retry_at },
            bytes: self.bytes,
            ..Dialling::new(now, turn, self.handshake, self.most.filter(|_| !self.drains))
        })
    }

    /// A new one was asked for while this one is being made.
    pub(crate) fn reopened(&mut self, now: Tyme, turn: u64) {
        match self.began(now, turn).ok() {
            None => (self.not_before, self.asked_in) = (now, self.asked_in.max(turn)),
            Some(_) => self.reopen = true,
        }
    }

    /// Its engine drains: what has ended stays so.
    pub(crate) fn comes_no_more(&mut self) {
        self.drains = true;
    }

    /// Whether it may be told to come again, or not to, after it ended for this reason. What had ended before its engine drains may be told so later.
    pub(crate) fn may(&self, again: bool, reason: CloseReason) -> bool {
        (again && self.drains && self.most.is_some()) || self.comes_again(reason) == again
    }

    fn comes_again(&self, reason: CloseReason) -> bool {
        let let_go = self.let_go || is_by_the_caller(reason);
        self.reopen || (self.most.is_some() && !self.drains && !let_go)
    }

    /// A round is on, at the latest since this tick.
    fn began(&mut self, now: Tyme, turn: u64) -> Result<Tyme, String> {
        if let Some(began) = self.began {
            return Ok(began);
        }
        if now < self.not_before || turn <= self.asked_in {
            return Err(format!("began by {now}, which may begin at {}", self.not_before));
        }
        self.began = Some(now);
        Ok(now)
    }

    /// What is wrong with an event of one that is being made.
    pub(crate) fn hears(&mut self, now: Tyme, turn: u64, event: &Event) -> Option<String> {
        if self.expired.is_some() && matches!(event, Event::Connected(_)) {
            return Some(format!("{event:?} after it has expired"));
        }
        self.began(now, turn).err().map(|what| format!("{event:?}: {what}"))
    }

    pub(crate) fn expires(
        &mut self,
        now: Tyme,
        which: Deadline,
        config: &Config,
    ) -> Option<String> {
        let early = |since: Option<Tyme>, duration: Option<Duration>| {
            let due = since.zip(duration).map(|(since, duration)| since + duration);
            (due.is_none_or(|due| due > now))
                .then(|| format!("expired by {which} at {now}, since {since:?} due {due:?}"))
        };
        let twice = self.expired.replace(which).map(|old| format!("{which} after {old}"));
        let problem = match which {
            _ if !self.modelled => None,
            Deadline::Connect if self.up.is_none() => early(self.began, config.timeouts.connect),
            Deadline::Handshake if self.handshake => early(self.up, config.timeouts.handshake),
            _ => Some(format!("expired by {which} while it is made")),
        };
        twice.or(problem)
    }

    /// All that was to be done in this turn is done.
    pub(crate) fn turn_ends(&mut self, now: Tyme, turn: u64, up: bool) {
        let _ = self.began(now, turn);
        if up {
            self.up.get_or_insert(now);
        }
    }

    /// What should have happened by now, or could come too late.
    pub(crate) fn late(&self, now: Tyme, turn: u64, wake: Wake, config: &Config) -> Option<String> {
        if !self.modelled || self.expired.is_some() || self.reopen {
            return None;
        }
        let Some(began) = self.began else {
            let due = self.not_before.max(now);
            let late = wakes_after(wake, due) || (due == now && wake != Wake::Now);
            return late.then(|| format!("may begin at {due} after turn {turn}, wakes {wake:?}"));
        };
        // Of many that begin at once, some begin later than can be seen from here.
        if config.limits.connects_per_tick < 64 {
            return None;
        }
        let (since, duration, which) = match self.up {
            None => (began, config.timeouts.connect, Deadline::Connect),
            Some(up) => (up, config.timeouts.handshake, Deadline::Handshake),
        };
        // Each step that its peer lets it take puts it off, unseen.
        if which == Deadline::Handshake && config.refresh_handshake {
            return None;
        }
        let due = since + duration.filter(|duration| *duration > Duration::ZERO)?;
        // Where few shake hands in a tick, one that was answered is judged after its turn.
        let few = which == Deadline::Handshake && config.limits.handshakes_per_tick < 64;
        let waits = few && wake == Wake::Now;
        let late = (due <= now && !waits) || wakes_after(wake, due);
        late.then(|| format!("{which} due {due}, now {now}, wakes {wake:?}"))
    }
}
