//! What an engine promises, watched from outside: events in order, limits kept, deadlines neither early nor late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tymist::tyme::Tyme;
use tymist::{CloseReason, Config, Deadline, Event, Id, Remoter, Wake};

use super::closing::Closing;
use super::dialling::Dialling;
use super::engine::Engine;
use super::ledger::Ledger;
use super::tally::{Shakes, Tally};

/// A connection that was told and not closed yet.
pub(super) struct Seen {
    pub(super) opened: Tyme,
    /// From when on its first byte is waited for: anew where there was no room for it.
    pub(super) first_from: Tyme,
    /// The window that a least rate is looked for in: since when, and bytes both ways by then; and by the deadlines of this turn.
    pub(super) window: (Tyme, u64),
    pub(super) judged: u64,
    pub(super) closing: Closing,
    /// Bytes in and out when last looked at, and when they last changed; a dialled one counts through all of its connections.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) bytes_before: u64,
    pub(super) moved: Tyme,
    pub(super) moved_out: Tyme,
    /// Since when bytes have been waiting to go out, and since when for sure the network has taken none: where a budget ends the tick
    /// it is not even asked before the next one, and a layer sends on what it has held.
    pub(super) waiting: Option<Tyme>,
    pub(super) refused: Option<Tyme>,
    pub(super) held: usize,
    pub(super) eof: bool,
    pub(super) expired: Option<Deadline>,
    /// Its timeouts are those it began with.
    pub(super) modelled: bool,
    /// It was made from here, and so.
    pub(super) dialled: Option<Box<Dialling>>,
}

pub(super) enum Life {
    /// To be made, or to be made again.
    Dialling(Box<Dialling>),
    Usable(Seen),
}

pub(crate) struct Watch {
    pub(super) config: Config,
    pub(super) lives: BTreeMap<Id, Life>,
    /// All ids there ever were.
    pub(super) ids: BTreeSet<Id>,
    pub(super) ledger: Ledger,
    /// Which turn of its program it is.
    pub(super) turn: u64,
    /// When the last one was.
    pub(super) last_turn: Tyme,
    pub(crate) expired: u64,
    pub(super) tally: Tally,
    /// When a drain that is on must be over.
    pub(super) drain: Option<Tyme>,
}

impl Watch {
    pub(crate) fn new(config: Config, ledger: Ledger, shakes: Shakes) -> Self {
        let (lives, ids, last_turn) = (BTreeMap::new(), BTreeSet::new(), Tyme::ZERO);
        let (tally, drain) = (Tally::new(shakes), None);
        Watch { config, lives, ids, ledger, turn: 1, last_turn, expired: 0, tally, drain }
    }

    /// The settings have been changed.
    pub(crate) fn change(&mut self, config: Config) {
        self.config = config;
        self.tally.modelled = false;
        self.lives.values_mut().for_each(|life| match life {
            Life::Dialling(dialling) => dialling.modelled = false,
            Life::Usable(seen) => seen.modelled = false,
        });
    }

    /// A connection was asked for from here.
    pub(crate) fn dialled(&mut self, id: Id, now: Tyme, handshake: bool, again: Option<Duration>) {
        self.name(id);
        let dialling = Dialling::new(now, self.turn, handshake, again);
        self.lives.insert(id, Life::Dialling(Box::new(dialling)));
    }

    /// A new one was asked for in its place.
    pub(crate) fn reopened(&mut self, id: Id, now: Tyme) {
        match self.lives.get_mut(&id) {
            Some(Life::Dialling(dialling)) => dialling.reopened(now, self.turn),
            Some(Life::Usable(Seen { dialled: Some(dialling), .. })) => dialling.reopen = true,
            _ => {}
        }
    }

    /// The peer's end is no reason for it to go.
    pub(crate) fn stays_open(&mut self, id: Id) {
        if let Some(Life::Usable(seen)) = self.lives.get_mut(&id) {
            seen.closing.half_open = true;
        }
    }

    fn name(&mut self, id: Id) {
        if !self.ids.insert(id) {
            self.ledger.wrong(|| format!("{id:?} given out twice"));
        }
    }

    pub(crate) fn event(&mut self, engine: &impl Engine, event: &Event) {
        self.count(engine, event);
        let Some(id) = event.id() else { return };
        match event {
            Event::Accepted(_) => {
                self.name(id);
                let seen = self.begin(engine, id, None);
                self.lives.insert(id, Life::Usable(seen));
            }
            Event::Connected(_) => {
                self.on_dialling(engine, id, event);
                if let Some(Life::Dialling(dialling)) = self.lives.remove(&id) {
                    let seen = self.begin(engine, id, Some(dialling));
                    self.lives.insert(id, Life::Usable(seen));
                }
            }
            Event::ConnectFailed { .. } | Event::Unresolved { .. } => {
                self.on_dialling(engine, id, event);
            }
            Event::Disconnected { reason, retry_at, .. } => {
                self.disconnected(engine, id, *reason, *retry_at);
            }
            Event::Expired(_, which) => {
                self.expired += 1;
                self.on_expired(engine, id, *which);
            }
            Event::Closed(_, reason) => {
                self.ends(id, *reason, event);
                self.slow(engine, id, *reason);
                self.lives.remove(&id);
            }
            _ => match self.lives.get_mut(&id) {
                Some(Life::Usable(seen)) => {
                    let eof = matches!(event, Event::Eof(_));
                    seen.closing.eof = seen.closing.eof.or(Some(engine.tyme()).filter(|_| eof));
                    if eof && std::mem::replace(&mut seen.eof, true) {
                        self.ledger.wrong(|| format!("{event:?} twice"));
                    }
                }
                _ => self.ledger.wrong(|| format!("{event:?} outside of a connection's life")),
            },
        }
    }

    fn begin(&self, engine: &impl Engine, id: Id, dialled: Option<Box<Dialling>>) -> Seen {
        let opened = engine.remoter(id).map_or(engine.tyme(), Remoter::opened_at);
        let (bytes_in, bytes_out) = dialled.as_ref().map_or((0, 0), |it| it.bytes);
        Seen {
            opened,
            first_from: opened,
            window: (opened, bytes_in + bytes_out),
            judged: bytes_in + bytes_out,
            closing: Closing::new(self.config.half_open),
            bytes_in,
            bytes_out,
            bytes_before: bytes_in,
            moved: opened,
            moved_out: opened,
            waiting: None,
            refused: None,
            held: 0,
            eof: false,
            expired: None,
            modelled: dialled.as_ref().is_none_or(|it| it.modelled),
            dialled,
        }
    }

    /// What is only told of one that is being made.
    fn on_dialling(&mut self, engine: &impl Engine, id: Id, event: &Event) {
        let now = engine.tyme();
        let problem = match self.lives.get_mut(&id) {
            Some(Life::Dialling(dialling)) => dialling.hears(now, self.turn, event),
            _ => Some(format!("{event:?} of one that is not being made")),
        };
        problem.into_iter().for_each(|what| self.ledger.wrong(|| format!("{id:?}: {what}")));
    }

    fn on_expired(&mut self, engine: &impl Engine, id: Id, which: Deadline) {
        let now = engine.tyme();
        match self.lives.get_mut(&id) {
            Some(Life::Usable(seen)) => {
                if seen.expired.replace(which).is_some() {
                    self.ledger.wrong(|| format!("{id:?} expired by {which} after another"));
                }
                self.look_early(engine, id, which, now);
            }
            Some(Life::Dialling(dialling)) => {
                if let Some(what) = dialling.expires(now, which, &self.config) {
                    self.ledger.wrong(|| format!("{id:?}: {what}"));
                }
            }
            None => self.ledger.wrong(|| format!("{id:?} expired outside of its life")),
        }
    }

    /// A connection is over: for a reason that was told before, if it was a deadline.
    fn ends(&mut self, id: Id, reason: CloseReason, event: &Event) {
        let expired = match self.lives.get(&id) {
            Some(Life::Usable(seen)) => seen.expired,
            Some(Life::Dialling(dialling)) => dialling.expired,
            None => return self.ledger.wrong(|| format!("{event:?} outside of its life")),
        };
        let told = expired.map(CloseReason::Expired);
        let of_one = matches!(reason, CloseReason::Expired(which) if which != Deadline::Drain);
        if of_one != told.is_some() || (of_one && told != Some(reason)) {
            self.ledger.wrong(|| format!("{event:?} after {told:?}"));
        }
        let dialling = match self.lives.get(&id) {
            Some(Life::Usable(seen)) => seen.dialled.as_deref(),
            Some(Life::Dialling(dialling)) => Some(&**dialling),
            None => None,
        };
        let again = matches!(event, Event::Disconnected { .. });
        let wrong = match dialling {
            None => again,
            Some(dialling) => !dialling.may(again, reason),
        };
        if wrong {
            self.ledger.wrong(|| format!("{event:?} where it must be otherwise"));
        }
    }

    fn disconnected(&mut self, engine: &impl Engine, id: Id, reason: CloseReason, retry_at: Tyme) {
        self.ends(id, reason, &Event::Disconnected { id, reason, retry_at });
        self.slow(engine, id, reason);
        let now = engine.tyme();
        let dialling = match self.lives.remove(&id) {
            Some(Life::Dialling(dialling)) => *dialling,
            Some(Life::Usable(Seen { dialled: Some(dialling), .. })) => *dialling,
            _ => return,
        };
        match dialling.again(self.last_turn, now, self.turn, retry_at) {
            Ok(dialling) => drop(self.lives.insert(id, Life::Dialling(Box::new(dialling)))),
            Err(what) => self.ledger.wrong(|| format!("{id:?}: {what}")),
        }
    }

    /// When this deadline is due, as far as it can be seen from outside; that of writing where it has stalled since `stalled`.
    fn due(&self, seen: &Seen, which: Deadline, stalled: Option<Tyme>) -> Option<Tyme> {
        let timeouts = &self.config.timeouts;
        let (from, duration) = match which {
            Deadline::FirstByte if seen.bytes_in == seen.bytes_before => {
                (seen.opened, timeouts.first_byte)
            }
            Deadline::Idle if self.config.refreshable => (seen.moved, timeouts.idle),
            Deadline::Idle => (seen.opened, timeouts.idle),
            Deadline::Lifetime => (seen.opened, timeouts.lifetime),
            Deadline::WriteStall => {
                (stalled.map(|since| since.max(seen.moved_out))?, timeouts.write_stall)
            }
            _ => return None,
        };
        let duration = duration.filter(|duration| *duration > Duration::ZERO)?;
        Some(from + duration)
    }

    fn look_early(&self, engine: &impl Engine, id: Id, which: Deadline, now: Tyme) {
        let Some(Life::Usable(seen)) = self.lives.get(&id) else { return };
        if !seen.modelled {
            return;
        }
        if which == Deadline::Linger {
            let early = seen.closing.early(now, self.config.timeouts.linger);
            return early
                .into_iter()
                .for_each(|what| self.ledger.wrong(|| format!("{id:?}: {what}")));
        }
        // What moved in this very tick was before the deadlines.
        let moved = engine.remoter(id).is_some_and(|remoter| {
            let counters = remoter.counters();
            let output = counters.bytes_out != seen.bytes_out;
            match which {
                Deadline::WriteStall => output,
                Deadline::Idle if self.config.refreshable => {
                    output || counters.bytes_in != seen.bytes_in
                }
                Deadline::FirstByte => counters.bytes_in > seen.bytes_before,
                _ => false,
            }
        });
        match self.due(seen, which, seen.waiting) {
            Some(due) if due <= now && !moved => {}
            due => {
                let what =
                    format!("{id:?} expired by {which} at {now}, due {due:?}, moved {moved}");
                self.ledger.wrong(|| what);
            }
        }
    }

    /// To be called at the end of each turn, when all is sent that can be.
    pub(crate) fn turn_ends(&mut self, engine: &impl Engine) {
        let (now, wake) = (engine.tyme(), engine.wake());
        self.limits(engine, now, wake);
        let full = self.tally.stood_still(engine);
        let (whole, limits) = (Config::new().limits, &self.config.limits);
        let short = limits.tick_bytes < whole.tick_bytes
            || limits.burst_bytes < whole.burst_bytes
            || limits.tick_bytes_out < whole.tick_bytes_out;
        let cut = self.tally.was_cut(engine) || short;
        let most = self.config.limits.remoter_tick_bytes.max(1) as u64 * (1 + engine.ticks());
        let closed = self.tally.closed;
        for (id, life) in &mut self.lives {
            let Some(remoter) = engine.remoter(*id) else {
                self.ledger.wrong(|| format!("{id:?} is gone without a word"));
                continue;
            };
            let counters = *remoter.counters();
            let seen = match life {
                Life::Usable(seen) => seen,
                Life::Dialling(dialling) => {
                    dialling.bytes = (counters.bytes_in, counters.bytes_out);
                    dialling.turn_ends(now, self.turn, remoter.is_up());
                    continue;
                }
            };
            let moved = (counters.bytes_in - seen.bytes_in, counters.bytes_out - seen.bytes_out);
            if moved.0 > most || (moved.1 > most && !closed) {
                self.ledger.wrong(|| format!("{id:?}: {moved:?} bytes of {most} in a tick"));
            }
            if moved != (0, 0) {
                seen.moved = now;
            }
            if moved.1 > 0 {
                seen.moved_out = now;
            }
            let held = remoter.stream().held();
            let waiting = remoter.tx_len() + held > 0;
            seen.waiting = waiting.then(|| seen.waiting.unwrap_or(now));
            let refused = seen.refused.filter(|_| held == seen.held);
            let refused = refused.or(Some(now).filter(|_| wake != Wake::Now));
            (seen.refused, seen.held) = (refused.filter(|_| waiting), held);
            (seen.bytes_in, seen.bytes_out) = (counters.bytes_in, counters.bytes_out);
            seen.closing.turn_ends(now, remoter.is_closing(), waiting, moved.1 > 0);
            if full && seen.first_from + self.config.timeouts.first_byte.unwrap_or_default() <= now
            {
                seen.first_from = now;
            }
            if let Some(dialling) = &mut seen.dialled {
                dialling.bytes = (seen.bytes_in, seen.bytes_out);
            }
        }
        self.windows(engine, now, wake);
        for (id, life) in &self.lives {
            match life {
                Life::Usable(seen) => self.look_late(engine, *id, seen, (now, wake), cut),
                Life::Dialling(_) if engine.remoter(*id).is_some_and(is_hung_up_on) => {}
                Life::Dialling(dialling) => {
                    if let Some(what) = dialling.late(now, self.turn, wake, &self.config) {
                        self.ledger.wrong(|| format!("{id:?}: {what}"));
                    }
                }
            }
        }
        self.turn += 1;
        self.last_turn = now;
    }

    /// `cut`: not all may have had their turn.
    fn look_late(
        &self,
        engine: &impl Engine,
        id: Id,
        seen: &Seen,
        (now, wake): (Tyme, Wake),
        cut: bool,
    ) {
        let Some(remoter) = engine.remoter(id).filter(|_| seen.modelled) else { return };
        if seen.expired.is_some() {
            return;
        }
        if let Some(due) = seen.closing.due(self.config.timeouts.linger)
            && ((due <= now && !(cut && wake == Wake::Now)) || wakes_after(wake, due))
        {
            self.ledger.wrong(|| format!("{id:?}: linger due {due}, now {now}, wakes {wake:?}"));
        }
        // While it closes, some of the others no longer run; those are for tests of their own.
        if remoter.is_closing() {
            return;
        }
        for which in [Deadline::FirstByte, Deadline::Idle, Deadline::Lifetime, Deadline::WriteStall]
        {
            let Some(due) = self.due(seen, which, seen.refused) else { continue };
            let due = if which == Deadline::FirstByte {
                due + (seen.first_from - seen.opened)
            } else {
                due
            };
            // One that has spoken and waits for its turn is judged after it, in the tick that comes next; so is one that could be
            // sent to, where others took all of the tick's budget, or all of its turns.
            let waits = wake == Wake::Now
                && match which {
                    Deadline::FirstByte | Deadline::Idle => true,
                    Deadline::WriteStall => cut,
                    _ => false,
                };
            if due <= now && !waits {
                self.ledger.wrong(|| format!("{id:?}: {which} was due {due}, now {now}"));
            }
            if !waits && wakes_after(wake, due) {
                self.ledger.wrong(|| format!("{id:?}: {which} due {due}, wakes {wake:?}"));
            }
        }
    }

    /// What of it all is left after the end.
    pub(crate) fn left(&self, engine: &impl Engine) -> Result<(), String> {
        let found = self.ids.iter().filter(|id| engine.remoter(**id).is_some()).count();
        let (all, _) = engine.places();
        let drains = usize::from(self.drain.is_some());
        let counts = [
            ("drains", drains),
            ("connections never closed", self.lives.len()),
            ("connections", all),
            ("waiting connections", engine.waiting(&self.config).0),
            ("bytes buffered", engine.buffered()),
            ("timers", engine.timers()),
            ("ids that still name something", found),
            ("lists", usize::from(engine.opened())),
        ];
        match counts.iter().find(|(_, count)| *count > 0) {
            Some((name, count)) => Err(format!("{count} {name}")),
            None => Ok(()),
        }
    }

    /// All that have not closed.
    pub(crate) fn live(&self) -> Vec<Id> {
        self.lives.keys().copied().collect()
    }
}

/// Whether its user has ended it after the tick: it is over, and told to be so in the next.
fn is_hung_up_on(remoter: &Remoter) -> bool {
    matches!(remoter.close_reason(), Some(CloseReason::Local | CloseReason::Aborted))
}

impl Life {
    pub(super) fn is_dialled(&self) -> bool {
        match self {
            Life::Dialling(_) => true,
            Life::Usable(seen) => seen.dialled.is_some(),
        }
    }
}

/// Whether somebody who is to be called by `due` would be called too late.
pub(crate) fn wakes_after(wake: Wake, due: Tyme) -> bool {
    match wake {
        Wake::Now => false,
        Wake::At(at) => at > due,
        Wake::OnIo => true,
    }
}
