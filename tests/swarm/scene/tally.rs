//! What an engine may do in a tick, and have at once, counted from outside each turn; and the deadlines of what it tells nothing of before they are over.
//!
//! What cannot be seen from outside: `lookups`, since no counter tells that one has ended (the tests in `engine::names` look inside), how often a handshake
//! was advanced (only that it was completed), and from which address those are that still shake hands (only how many in all).

use std::collections::BTreeMap;
use std::time::Duration;

use tymist::tyme::Tyme;
use tymist::{CloseReason, Counters, Deadline, Event, Id, Server, Wake};

use super::dialling;
use super::engine::Engine;
use super::watch::{Life, Seen, Watch, wakes_after};

/// Whether those who come in shake hands, and from how many addresses they can come; as many as can be, where some have none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shakes {
    pub(crate) accepted: bool,
    pub(crate) peers: usize,
}

pub(crate) struct Tally {
    shakes: Shakes,
    /// When the last turn ended.
    before: Counters,
    /// Bytes in and out by the turn's own `service_sends`: who cannot be written to any more may have left some to read.
    sent: [u64; 2],
    /// Events of this turn: of each connection, of such as came in or were refused, of handshakes that were completed.
    events: BTreeMap<Id, usize>,
    came: usize,
    shaken: usize,
    /// A drain has accepted beside the tick.
    drained: bool,
    /// A wait has begun this turn, and there is but one tick in it.
    waited: bool,
    /// All was closed: what is queued gets a try beside all budgets.
    pub(super) closed: bool,
    /// The timeouts are those it began with.
    pub(super) modelled: bool,
    /// After each turn: when, and how many handshakes of accepted ones had begun.
    begun: Vec<(Tyme, u64)>,
    /// Those that were out of time.
    expired: u64,
    /// The most that have shaken hands at once.
    line: usize,
    /// When the next turn was wanted, and by how much turns came too late at the most.
    wanted: Option<Tyme>,
    late: u128,
}

impl Tally {
    pub(crate) fn new(shakes: Shakes) -> Self {
        Tally {
            shakes,
            before: Counters::default(),
            sent: [0; 2],
            events: BTreeMap::new(),
            came: 0,
            shaken: 0,
            drained: false,
            waited: false,
            closed: false,
            modelled: true,
            begun: Vec::new(),
            expired: 0,
            line: 0,
            wanted: None,
            late: 0,
        }
    }

    /// Whether somebody could not be read from in this turn since all room was taken.
    pub(crate) fn stood_still(&mut self, engine: &impl Engine) -> bool {
        let full = engine.counters().budget.buffered;
        std::mem::replace(&mut self.before.budget.buffered, full) != full
    }

    /// Whether not all had their turn in it.
    pub(crate) fn was_cut(&mut self, engine: &impl Engine) -> bool {
        let turns = engine.counters().budget.turns;
        std::mem::replace(&mut self.before.budget.turns, turns) != turns
    }

    /// How many handshakes had begun by then.
    fn begun_by(&self, tyme: Tyme) -> u64 {
        let past = self.begun.partition_point(|(at, _)| *at <= tyme);
        past.checked_sub(1).map_or(0, |at| self.begun[at].1)
    }

    fn note_begun(&mut self, engine: &impl Engine, axes: usize) -> u64 {
        let counters = engine.counters();
        let count = counters.accepted - axes as u64 - counters.refused.total();
        if self.begun.last().is_none_or(|(_, last)| *last != count) {
            self.begun.push((engine.tyme(), count));
        }
        count
    }
}

impl Watch {
    /// Sends what is queued, in place of `service_sends`. All deadlines of this turn are judged by now.
    pub(crate) fn send(&mut self, engine: &mut impl Engine) {
        let rated = self.config.timeouts.min_rate.is_some();
        for (id, life) in &mut self.lives {
            if let (Life::Usable(seen), Some(remoter)) = (life, engine.remoter(*id)) {
                if rated {
                    seen.judged = remoter.counters().bytes_in + remoter.counters().bytes_out;
                }
                let closed = remoter.is_closing()
                    && remoter.close_reason().is_some_and(dialling::is_by_the_caller);
                seen.dialled.iter_mut().for_each(|dialling| dialling.let_go |= closed);
            }
        }
        let before = *engine.counters();
        engine.send();
        let after = engine.counters();
        self.tally.sent = [after.bytes_in - before.bytes_in, after.bytes_out - before.bytes_out];
    }

    /// It was told to drain; by then it must have ended.
    pub(crate) fn drains(&mut self, server: &Server, until: Tyme) {
        if self.tally.shakes.accepted {
            self.tally.note_begun(server, server.axes());
        }
        for life in self.lives.values_mut() {
            match life {
                Life::Dialling(dialling) | Life::Usable(Seen { dialled: Some(dialling), .. }) => {
                    dialling.comes_no_more();
                }
                Life::Usable(_) => {}
            }
        }
        let told = server.draining().map(|it| it.deadline);
        if told != Some(until) {
            self.ledger.wrong(|| format!("drains until {told:?}, not {until}"));
        }
        (self.drain, self.tally.drained) = (Some(until), true);
    }

    /// The tick of this turn was begun by a wait.
    pub(crate) fn waited(&mut self) {
        self.tally.waited = true;
    }

    /// It was closed.
    pub(crate) fn closed(&mut self) {
        (self.drain, self.tally.closed) = (None, true);
    }

    /// Takes an event into account.
    pub(super) fn count(&mut self, engine: &impl Engine, event: &Event) {
        let (now, tally) = (engine.tyme(), &mut self.tally);
        match event {
            Event::Accepted(_) => {
                tally.came += usize::from(!tally.shakes.accepted);
                tally.shaken += usize::from(tally.shakes.accepted);
            }
            Event::Connected(id) => {
                let shaken = matches!(self.lives.get(id), Some(Life::Dialling(it)) if it.handshake);
                tally.shaken += usize::from(shaken);
            }
            Event::Refused { .. } => tally.came += 1,
            Event::HandshakeFailed {
                reason: CloseReason::Expired(Deadline::Handshake), ..
            } => {
                tally.expired += 1;
                let Some(time) = self.config.timeouts.handshake.filter(|_| tally.modelled) else {
                    return;
                };
                let due = Tyme::ZERO + (now - Tyme::ZERO).saturating_sub(time);
                let (expired, begun) = (tally.expired, tally.begun_by(due));
                if expired > begun {
                    self.ledger.wrong(|| {
                        format!("{expired} handshakes were too slow at {now}, of {begun} by {due}")
                    });
                }
            }
            Event::Received(id) | Event::Drained(id) | Event::Eof(id) | Event::Expired(id, _) => {
                *tally.events.entry(*id).or_default() += 1;
            }
            _ => {}
        }
        if let Event::Closed(id, _) = event {
            *self.tally.events.entry(*id).or_default() += 1;
        }
        self.count_drained(event, now);
    }

    /// Nobody is cut off by a drain before its time. Those who are, are told of before its end.
    fn count_drained(&mut self, event: &Event, now: Tyme) {
        let (ended, cut) = match event {
            Event::DrainEnded { cut } => (true, *cut > 0),
            Event::Closed(_, CloseReason::Expired(Deadline::Drain)) => (false, true),
            _ => return,
        };
        let until = self.drain;
        if until.is_none_or(|until| cut && now < until) {
            self.ledger.wrong(|| format!("{event:?} at {now}, drains until {until:?}"));
        }
        self.drain = until.filter(|_| !ended);
    }

    /// One that had a least rate to keep is over.
    pub(super) fn slow(&self, engine: &impl Engine, id: Id, reason: CloseReason) {
        let Some(Life::Usable(seen)) = self.lives.get(&id) else { return };
        if reason != CloseReason::TooSlow || !seen.modelled {
            return;
        }
        let counters = engine.remoter(id).map(|it| *it.counters()).unwrap_or_default();
        let moved = counters.bytes_in + counters.bytes_out - seen.window.1;
        let now = engine.tyme();
        let rate = self.config.timeouts.min_rate;
        if rate.is_none_or(|rate| now < seen.window.0 + rate.window || moved >= rate.bytes) {
            let (window, opened) = (seen.window, seen.opened);
            self.ledger.wrong(|| {
                format!("{id:?} too slow at {now}: {moved} since {window:?}, {rate:?}, {opened}")
            });
        }
    }

    /// Ends the windows in which a least rate is looked for.
    pub(super) fn windows(&mut self, engine: &impl Engine, now: Tyme, wake: Wake) {
        let rate = self.config.timeouts.min_rate.filter(|rate| !rate.window.is_zero());
        let Some(rate) = rate else { return };
        for (id, life) in &mut self.lives {
            let Life::Usable(seen) = life else { continue };
            let ends = seen.window.0 + rate.window;
            let going_on = engine.remoter(*id).is_some_and(|it| !it.is_closing());
            if !seen.modelled || now < ends {
                continue;
            }
            let moved = seen.judged - seen.window.1;
            // One that waits for its turn is judged after it, in a tick that comes at once.
            if moved < rate.bytes && wake == Wake::Now {
                continue;
            }
            // One that closes may have nothing more to do with it.
            if moved < rate.bytes && going_on {
                self.ledger
                    .wrong(|| format!("{id:?}: {moved} bytes by {ends}, and lives at {now}"));
            }
            let into = (now - ends).as_nanos() % rate.window.as_nanos();
            let into = Duration::from_nanos(u64::try_from(into).unwrap());
            seen.window = (Tyme::ZERO + (now - Tyme::ZERO).saturating_sub(into), seen.judged);
        }
    }

    pub(super) fn limits(&mut self, engine: &impl Engine, now: Tyme, wake: Wake) {
        let (all, shaking) = engine.places();
        let mut broken = Vec::new();
        let mut keep = |name: &str, value: usize, limit: usize| {
            if value > limit {
                broken.push(format!("{name}: {value} of {limit}"));
            }
        };
        let limits = &self.config.limits;
        let modelled = self.lives.values().all(|life| match life {
            Life::Usable(seen) => seen.modelled,
            Life::Dialling(dialling) => dialling.modelled,
        });
        // A change of settings is not for what is there already.
        if modelled && self.tally.modelled {
            keep("remoters", all, limits.remoters);
            // Those that were dialled shake hands beside them.
            let dialled = self.lives.values().filter(|life| life.is_dialled()).count();
            keep("handshakes", shaking, limits.handshakes.max(1) + dialled);
            let from_all = limits.handshakes_per_ip.max(1).saturating_mul(self.tally.shakes.peers);
            keep("handshakes_per_ip", shaking, from_all.saturating_add(dialled));
            let (waiting, most) = engine.waiting(&self.config);
            keep("axes", waiting, most);
            let (mut from, few) = (BTreeMap::new(), self.lives.len() <= limits.remoters_per_ip);
            for (id, life) in &self.lives {
                let Some(remoter) = engine.remoter(*id) else { continue };
                keep("rx", remoter.rx().len(), limits.rx_bytes.max(1));
                keep("tx", remoter.tx_len(), limits.tx_bytes.max(1));
                if let (false, false, Some(ip)) = (few, life.is_dialled(), remoter.peer_addr().ip())
                {
                    *from.entry(ip).or_insert(0) += 1;
                }
            }
            from.values().for_each(|count| keep("remoters_per_ip", *count, limits.remoters_per_ip));
        }
        keep("buffered", engine.buffered(), limits.buffered.max(1));
        keep("timers", engine.timers(), all);

        let tally = &mut self.tally;
        let (counters, before) = (*engine.counters(), tally.before);
        let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let accepted = since(counters.accepted, before.accepted)
            + since(counters.accept_skipped, before.accept_skipped);
        let ticks = 1 + usize::from(std::mem::take(&mut tally.drained));
        keep("accepts_per_tick", accepted, limits.accepts_per_tick.max(1).saturating_mul(ticks));
        // Where an address fails at once the next one of the same name is tried.
        let failed = since(counters.dial_failures, before.dial_failures);
        let dialled = since(counters.dialled, before.dialled);
        keep("connects_per_tick", dialled, limits.connects_per_tick.max(1).saturating_add(failed));
        keep("handshakes_per_tick", tally.shaken, limits.handshakes_per_tick.max(1));
        let [sent_in, sent_out] = tally.sent;
        let ways = [
            ("tick_bytes", sent_in, counters.bytes_in - before.bytes_in, limits.tick_bytes),
            (
                "tick_bytes_out",
                sent_out,
                counters.bytes_out - before.bytes_out,
                limits.tick_bytes_out,
            ),
        ];
        for (name, own, all, most) in ways.into_iter().take(if tally.closed { 1 } else { 2 }) {
            let most = most.max(1);
            keep(name, own as usize, most);
            keep(name, (all - own) as usize, most.saturating_mul(engine.ticks() as usize));
        }
        if std::mem::take(&mut tally.waited) {
            let came = counters.bytes_in - before.bytes_in - sent_in;
            keep("burst_bytes", came as usize, limits.burst_bytes.max(1));
        }
        keep("events", tally.came, limits.events.max(1));
        let most = tally.events.values().max().copied().unwrap_or(0);
        keep("events of one", most, 5);

        let late = tally.wanted.map_or(0, |wanted| (now - wanted.min(now)).as_nanos());
        tally.late = tally.late.max(late);
        tally.wanted = match wake {
            Wake::Now => Some(now),
            Wake::At(tyme) => Some(tyme),
            Wake::OnIo => None,
        };
        if tally.shakes.accepted && tally.modelled {
            let begun = tally.note_begun(engine, engine.waiting(&self.config).0);
            let timeouts = &self.config.timeouts;
            // Those that failed may linger, as they end and as they wait for the peer's end.
            if let (Some(time), Some(linger)) = (timeouts.handshake, timeouts.linger)
                && !time.is_zero()
                && !linger.is_zero()
                && !self.config.refresh_handshake
            {
                // Who gets no turn before the budget ends is judged after it: once those before it have had theirs.
                tally.line = tally.line.max(shaking);
                let before = tally.line.saturating_sub(1) / limits.handshakes_per_tick.max(1);
                let late = Duration::from_nanos((3 + before as u64) * tally.late as u64);
                let time = time + 2 * linger + late;
                let past = (now - Tyme::ZERO).checked_sub(time);
                let old = past.map_or(0, |past| tally.begun_by(Tyme::ZERO + past));
                keep("handshakes in time", shaking, (begun - old) as usize);
            }
        }
        if let Some(until) = self.drain
            && (until <= now || wakes_after(wake, until))
        {
            broken.push(format!("drains until {until}, now {now}, wakes {wake:?}"));
        }
        (tally.before, tally.sent, tally.came, tally.shaken) = (counters, [0; 2], 0, 0);
        tally.before.budget.buffered = before.budget.buffered;
        tally.before.budget.turns = before.budget.turns;
        tally.events.clear();
        if let Some(first) = broken.first() {
            self.ledger.wrong(|| format!("limit exceeded: {first}"));
        }
    }
}
