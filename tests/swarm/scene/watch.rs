//! What a server promises, watched from outside: events in order, limits kept, deadlines neither early nor late.

use std::collections::BTreeMap;
use std::time::Duration;

use tymist::tyme::Tyme;
use tymist::{CloseReason, Config, Deadline, Event, Id, Remoter, Server};

use super::ledger::Ledger;

/// A connection that was told and not closed yet.
struct Seen {
    opened: Tyme,
    /// Bytes in and out when last looked at, and when they last changed.
    bytes_in: u64,
    bytes_out: u64,
    moved: Tyme,
    moved_out: Tyme,
    /// Since when bytes have been waiting to go out.
    waiting: Option<Tyme>,
    eof: bool,
    expired: Option<Deadline>,
    /// Its timeouts are those it began with.
    modelled: bool,
}

pub(crate) struct Watch {
    config: Config,
    seen: BTreeMap<Id, Seen>,
    /// All ids there ever were.
    ids: Vec<Id>,
    ledger: Ledger,
    pub(crate) expired: u64,
}

impl Watch {
    pub(crate) fn new(config: Config, ledger: Ledger) -> Self {
        Watch { config, seen: BTreeMap::new(), ids: Vec::new(), ledger, expired: 0 }
    }

    /// The settings have been changed.
    pub(crate) fn change(&mut self, config: Config) {
        self.config = config;
        self.seen.values_mut().for_each(|seen| seen.modelled = false);
    }

    pub(crate) fn event(&mut self, server: &Server, event: &Event) {
        let Some(id) = event.id() else { return };
        let now = server.tyme();
        if let Event::Accepted(_) = event {
            if self.ids.contains(&id) {
                self.ledger.wrong(|| format!("{id:?} given out twice"));
            }
            self.ids.push(id);
            let opened = server.remoter(id).map_or(now, Remoter::opened_at);
            let seen = Seen {
                opened,
                bytes_in: 0,
                bytes_out: 0,
                moved: opened,
                moved_out: opened,
                waiting: None,
                eof: false,
                expired: None,
                modelled: true,
            };
            self.seen.insert(id, seen);
            return;
        }
        let Some(seen) = self.seen.get_mut(&id) else {
            self.ledger.wrong(|| format!("{event:?} outside of a connection's life"));
            return;
        };
        match event {
            Event::Eof(_) if std::mem::replace(&mut seen.eof, true) => {
                self.ledger.wrong(|| format!("{event:?} twice"));
            }
            Event::Expired(_, which) => {
                self.expired += 1;
                if seen.expired.replace(*which).is_some() {
                    self.ledger.wrong(|| format!("{event:?} after another"));
                }
                self.look_early(server, id, *which, now);
            }
            Event::Closed(_, reason) => {
                let told = seen.expired.map(CloseReason::Expired);
                let expired =
                    matches!(reason, CloseReason::Expired(which) if *which != Deadline::Drain);
                if expired != told.is_some() || (expired && told != Some(*reason)) {
                    self.ledger.wrong(|| format!("{event:?} after {told:?}"));
                }
                self.seen.remove(&id);
            }
            _ => {}
        }
    }

    /// When this deadline is due, as far as it can be seen from outside.
    fn due(&self, seen: &Seen, which: Deadline) -> Option<Tyme> {
        let timeouts = &self.config.timeouts;
        let (from, duration) = match which {
            Deadline::FirstByte if seen.bytes_in == 0 => (seen.opened, timeouts.first_byte),
            Deadline::Idle if self.config.refreshable => (seen.moved, timeouts.idle),
            Deadline::Idle => (seen.opened, timeouts.idle),
            Deadline::Lifetime => (seen.opened, timeouts.lifetime),
            Deadline::WriteStall => {
                (seen.waiting.map(|since| since.max(seen.moved_out))?, timeouts.write_stall)
            }
            _ => return None,
        };
        let duration = duration.filter(|duration| *duration > Duration::ZERO)?;
        Some(from + duration)
    }

    fn look_early(&self, server: &Server, id: Id, which: Deadline, now: Tyme) {
        let seen = &self.seen[&id];
        if !seen.modelled {
            return;
        }
        match which {
            Deadline::Linger | Deadline::Handshake | Deadline::Drain => return,
            _ => {}
        }
        // What moved in this very tick was before the deadlines.
        let moved = server.remoter(id).is_some_and(|remoter| {
            let counters = remoter.counters();
            let output = counters.bytes_out != seen.bytes_out;
            match which {
                Deadline::WriteStall => output,
                Deadline::Idle if self.config.refreshable => {
                    output || counters.bytes_in != seen.bytes_in
                }
                Deadline::FirstByte => counters.bytes_in > 0,
                _ => false,
            }
        });
        match self.due(seen, which) {
            Some(due) if due <= now && !moved => {}
            due => {
                let what =
                    format!("{id:?} expired by {which} at {now}, due {due:?}, moved {moved}");
                self.ledger.wrong(|| what);
            }
        }
    }

    /// To be called at the end of each turn, when all is sent that can be.
    pub(crate) fn turn_ends(&mut self, server: &Server) {
        let now = server.tyme();
        self.limits(server);
        for (id, seen) in &mut self.seen {
            let Some(remoter) = server.remoter(*id) else {
                self.ledger.wrong(|| format!("{id:?} is gone without a word"));
                continue;
            };
            let counters = *remoter.counters();
            if counters.bytes_in + counters.bytes_out != seen.bytes_in + seen.bytes_out {
                seen.moved = now;
            }
            if counters.bytes_out != seen.bytes_out {
                seen.moved_out = now;
            }
            let waiting = remoter.tx_len() + remoter.stream().held() > 0;
            seen.waiting = waiting.then(|| seen.waiting.unwrap_or(now));
            (seen.bytes_in, seen.bytes_out) = (counters.bytes_in, counters.bytes_out);
        }
        let wake = server.wake();
        for (id, seen) in self.seen.iter().filter(|(_, seen)| seen.modelled) {
            let Some(remoter) = server.remoter(*id) else { continue };
            // While it closes, some of them no longer run; those are for tests of their own.
            if remoter.is_closing() || seen.expired.is_some() {
                continue;
            }
            for which in
                [Deadline::FirstByte, Deadline::Idle, Deadline::Lifetime, Deadline::WriteStall]
            {
                let Some(due) = self.due(seen, which) else { continue };
                // One that has spoken and waits for its turn is judged after it, one tick later.
                let waits = matches!(which, Deadline::FirstByte | Deadline::Idle)
                    && wake == tymist::Wake::Now;
                if due <= now && !waits {
                    self.ledger.wrong(|| format!("{id:?}: {which} was due {due}, now {now}"));
                }
                if let tymist::Wake::At(at) = wake
                    && at > due
                {
                    self.ledger.wrong(|| format!("{id:?}: {which} due {due}, wake at {at}"));
                }
                if wake == tymist::Wake::OnIo {
                    self.ledger.wrong(|| format!("{id:?}: {which} due {due}, no wake"));
                }
            }
        }
    }

    fn limits(&self, server: &Server) {
        let limits = &self.config.limits;
        let all = server.len() + server.cxes();
        let mut broken = Vec::new();
        let mut keep = |name: &str, value: usize, limit: usize| {
            if value > limit {
                broken.push(format!("{name}: {value} of {limit}"));
            }
        };
        // A change of settings is not for what is there already.
        if self.seen.values().all(|seen| seen.modelled) {
            keep("remoters", all, limits.remoters);
            keep("handshakes", server.cxes(), limits.handshakes.max(1));
            keep("axes", server.axes(), limits.accept_deque.max(1) * server.acceptors().count());
            for remoter in server.remoters() {
                keep("rx", remoter.rx().len(), limits.rx_bytes.max(1));
                keep("tx", remoter.tx_len(), limits.tx_bytes.max(1));
            }
        }
        keep("buffered", server.buffered(), limits.buffered.max(1));
        keep("timers", server.timers(), all);
        if let Some(first) = broken.first() {
            self.ledger.wrong(|| format!("limit exceeded: {first}"));
        }
    }

    /// What of it all is left after the end.
    pub(crate) fn left(&self, server: &Server) -> Result<(), String> {
        let found = self.ids.iter().filter(|id| server.remoter(**id).is_some()).count();
        let counts = [
            ("connections never closed", self.seen.len()),
            ("live connections", server.len()),
            ("handshaking connections", server.cxes()),
            ("waiting connections", server.axes()),
            ("bytes buffered", server.buffered()),
            ("timers", server.timers()),
            ("ids that still name something", found),
            ("lists", usize::from(server.opened())),
        ];
        match counts.iter().find(|(_, count)| *count > 0) {
            Some((name, count)) => Err(format!("{count} {name}")),
            None => Ok(()),
        }
    }

    pub(crate) fn live(&self) -> Vec<Id> {
        self.seen.keys().copied().collect()
    }
}
