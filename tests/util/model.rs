//! A server under any list of operations on both ends of several connections, against what must be true of it. Random lists come from
//! `tests/engine/against_model.rs` and from the fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "patterns wrap")]

use std::time::Duration;

use tymist::tyme::Tymist;
use tymist::{CloseReason, Config, Event, Id, Server, TxError, Wake};

use super::memory::{Memory, WINDOW};

const SECOND: Duration = Duration::from_secs(1);

/// One thing that the far ends, the server's user or the clock does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Connect,
    // What clients do, by number.
    Send(usize, usize),
    Receive(usize, usize),
    End(usize),
    CloseClient(usize),
    Reset(usize),
    // What the server's user does, by number of the client.
    Tx(usize, usize),
    Consume(usize, usize),
    Unread(usize, usize),
    Close(usize),
    Abort(usize),
    ShutdownSend(usize),
    ShutdownReceive(usize),
    SetIdle(usize, u64),
    HalfOpen(usize, bool),
    Broadcast(usize),
    // Ticks.
    Service,
    Wait,
    Sends,
    Receives,
    Events(usize),
    Advance(u64),
    Rewind,
    Reopen,
}

/// What one connection should have seen. Streams are patterns, so positions are enough.
#[derive(Default)]
struct Seen {
    sent: usize,
    /// Taken by the server's user, and put back.
    taken: usize,
    deaf: bool,
    queued: usize,
    received: usize,
    id: Option<Id>,
    refused: bool,
    events: Vec<Event>,
    closed: Option<CloseReason>,
}

fn inward(number: usize, at: usize) -> u8 {
    (at.wrapping_mul(7) + number * 31) as u8
}

fn outward(number: usize, at: usize) -> u8 {
    (at.wrapping_mul(5) + number * 17 + 3) as u8
}

/// A server, its far ends, and what should be true of them.
pub(crate) struct Run {
    memory: Memory,
    server: Server,
    tymist: Tymist,
    seen: Vec<Seen>,
    rewound: bool,
}

impl Run {
    pub(crate) fn new(config: Config, seed: u64) -> Run {
        let memory = Memory::new(seed);
        let tymist = Tymist::new();
        let mut server = Server::with_net(config, memory.net());
        server.wind(tymist.tymth());
        server.listen(([10, 0, 0, 2], 80)).unwrap();
        Run { memory, server, tymist, seen: Vec::new(), rewound: false }
    }

    fn id(&self, who: usize) -> Option<(usize, Id)> {
        let who = who % self.seen.len().max(1);
        Some((who, self.seen.get(who)?.id?))
    }

    fn client(&self, who: usize) -> Option<usize> {
        (!self.seen.is_empty()).then(|| who % self.seen.len())
    }

    fn number(&self, id: Id) -> usize {
        self.seen.iter().position(|seen| seen.id == Some(id)).expect("an unknown id")
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Connect => {
                if let Some(number) = self.memory.connect() {
                    assert_eq!(number, self.seen.len());
                    self.seen.push(Seen::default());
                }
            }
            Op::Send(who, size) => {
                let Some(who) = self.client(who) else { return };
                let seen = &mut self.seen[who];
                let data: Vec<u8> =
                    (seen.sent..seen.sent + size).map(|at| inward(who, at)).collect();
                seen.sent += self.memory.send(who, &data);
            }
            Op::Receive(who, size) => {
                let Some(who) = self.client(who) else { return };
                self.receive(who, size);
            }
            Op::End(who) => self.client(who).map_or((), |who| self.memory.end(who)),
            Op::CloseClient(who) => self.client(who).map_or((), |who| self.memory.close(who)),
            Op::Reset(who) => self.client(who).map_or((), |who| self.memory.reset(who)),
            Op::Service => self.service(),
            Op::Wait => self.server.wait(Some(Duration::ZERO)),
            Op::Sends => {
                self.server.service_sends();
            }
            Op::Receives => {
                self.server.service_receives();
            }
            Op::Events(count) => self.events(count),
            Op::Advance(nanos) => {
                self.tymist.tick_by(Duration::from_nanos(nanos));
            }
            Op::Rewind => {
                self.tymist = Tymist::new();
                self.server.wind(self.tymist.tymth());
                self.rewound = true;
            }
            Op::Reopen => {
                self.server.close();
                assert!(self.server.buffered() >= self.unread());
                self.server.reopen().unwrap();
            }
            Op::Broadcast(size) => self.broadcast(size),
            _ => self.ask(op),
        }
    }

    /// What is asked of one remoter.
    fn ask(&mut self, op: &Op) {
        let (Op::Tx(who, _)
        | Op::Consume(who, _)
        | Op::Unread(who, _)
        | Op::Close(who)
        | Op::Abort(who)
        | Op::ShutdownSend(who)
        | Op::ShutdownReceive(who)
        | Op::SetIdle(who, _)
        | Op::HalfOpen(who, _)) = *op
        else {
            return;
        };
        let Some((who, id)) = self.id(who) else { return };
        let Some(remoter) = self.server.remoter_mut(id) else { return };
        let seen = &mut self.seen[who];
        match *op {
            Op::Tx(_, size) => {
                let data: Vec<u8> =
                    (seen.queued..seen.queued + size).map(|at| outward(who, at)).collect();
                let room = remoter.tx_room();
                match remoter.tx(&data) {
                    Ok(count) => {
                        assert_eq!(count, room.min(size));
                        seen.queued += count;
                    }
                    Err(TxError::Overflow) => assert!(room < size),
                    Err(_) => assert!(!remoter.may_send()),
                }
            }
            Op::Consume(_, size) => {
                let data = remoter.rx()[..size.min(remoter.rx().len())].to_vec();
                assert_eq!(remoter.consume(size), data.len());
                for byte in data {
                    assert_eq!(byte, inward(who, seen.taken), "at {} of {who}", seen.taken);
                    seen.taken += 1;
                }
            }
            Op::Unread(_, size) if remoter.close_reason().is_none() => {
                let size = size.min(seen.taken);
                let data: Vec<u8> =
                    (seen.taken - size..seen.taken).map(|at| inward(who, at)).collect();
                seen.taken -= size;
                remoter.unread(data.into());
            }
            Op::Close(_) => remoter.close(),
            Op::Abort(_) => remoter.abort(),
            Op::ShutdownSend(_) => remoter.shutdown_send(),
            Op::ShutdownReceive(_) => {
                remoter.shutdown_receive();
                seen.deaf = true;
            }
            Op::SetIdle(_, nanos) => {
                let mut timeouts = self.server.config().timeouts.clone();
                timeouts.idle = Some(Duration::from_nanos(nanos));
                self.server.remoter_mut(id).unwrap().set_timeouts(timeouts);
            }
            Op::HalfOpen(_, on) => remoter.set_half_open(on),
            _ => {}
        }
    }

    fn broadcast(&mut self, size: usize) {
        // Each has a pattern of its own, so the one message is marked by where it begins: only to those that are alone.
        let ids = self.server.ixes();
        let [id] = ids[..] else { return };
        let Some(who) = self.seen.iter().position(|seen| seen.id == Some(id)) else { return };
        let at = self.seen[who].queued;
        let data: Vec<u8> = (at..at + size).map(|at| outward(who, at)).collect();
        let result = self.server.broadcast(&data.into(), |_| true);
        assert_eq!(result.queued + result.skipped, 1);
        self.seen[who].queued += size * result.queued;
    }

    fn receive(&mut self, who: usize, size: usize) -> usize {
        let data = self.memory.receive(who, size);
        let seen = &mut self.seen[who];
        for &byte in &data {
            assert_eq!(byte, outward(who, seen.received), "at {} of {who}", seen.received);
            seen.received += 1;
        }
        assert!(seen.received <= seen.queued);
        data.len()
    }

    /// A tick; where `wake()` says that there is nothing to do, it must do nothing.
    fn service(&mut self) {
        let now = self.tymist.tyme();
        let idle = match self.server.wake() {
            Wake::Now => false,
            Wake::At(tyme) => tyme > now,
            Wake::OnIo => true,
        } && self.memory.is_quiet();
        let mut before = *self.server.counters();
        let buffered = self.server.buffered();
        let serviced = self.server.service();
        if idle {
            before.ticks += 1;
            // This one counts ticks in which reading stood still, so it goes on.
            before.budget.buffered = self.server.counters().budget.buffered;
            assert_eq!(before, *self.server.counters(), "wake() said there was nothing to do");
            assert!(!serviced.more);
            assert!(self.server.buffered() <= buffered);
            assert!(matches!(self.server.wake(), Wake::At(_) | Wake::OnIo));
        }
        self.check();
    }

    fn unread(&self) -> usize {
        self.seen
            .iter()
            .filter_map(|seen| self.server.remoter(seen.id?))
            .map(|remoter| remoter.rx().len())
            .sum()
    }

    fn check(&self) {
        let limits = &self.server.config().limits;
        assert!(self.server.len() + self.server.cxes() <= limits.remoters);
        assert!(self.server.axes() <= limits.accept_deque);
        assert!(self.server.timers() <= self.server.len() + self.server.cxes());
        assert_eq!(self.memory.open(), self.server.len() + self.server.axes());
        let mut held = 0;
        for remoter in self.seen.iter().filter_map(|seen| self.server.remoter(seen.id?)) {
            assert!(remoter.tx_len() <= limits.tx_bytes);
            held += remoter.rx().len() + remoter.tx_len();
        }
        assert!(held <= self.server.buffered(), "{held} held");
        if self.seen.iter().all(|seen| seen.id.is_some() || seen.refused) {
            assert_eq!(held, self.server.buffered());
        }
    }

    fn events(&mut self, most: usize) {
        for _ in 0..most {
            let Some(event) = self.server.poll_event() else { return };
            match &event {
                Event::Refused { peer, .. } => {
                    let number = (0..self.seen.len())
                        .find(|&number| self.memory.addr_of(number) == *peer)
                        .unwrap();
                    assert!(!std::mem::replace(&mut self.seen[number].refused, true));
                    continue;
                }
                Event::Accepted(id) => {
                    let peer = self.server.remoter(*id).unwrap().peer_addr().clone();
                    let number = (0..self.seen.len())
                        .find(|&number| self.memory.addr_of(number) == peer)
                        .unwrap();
                    assert_eq!(self.seen[number].id.replace(*id), None);
                }
                _ => {}
            }
            let number = self.number(event.id().unwrap());
            let seen = &mut self.seen[number];
            assert_eq!(seen.closed, None, "{event:?} after the last event");
            if let Event::Closed(_, reason) = event {
                seen.closed = Some(reason);
                let remoter = self.server.remoter(event.id().unwrap()).expect("still to be seen");
                assert_eq!(remoter.close_reason(), Some(reason));
                assert_eq!(remoter.tx_len(), 0);
            }
            seen.events.push(event);
        }
    }

    /// Clients read all, take what comes, and end; the user takes all; time passes. Then nothing may be left.
    pub(crate) fn finish(&mut self) {
        for round in 0..2000 {
            for who in 0..self.seen.len() {
                self.receive(who, WINDOW);
                if let Some((_, id)) = self.id(who)
                    && let Some(len) = self.server.remoter(id).map(|remoter| remoter.rx().len())
                    && len > 0
                {
                    self.ask(&Op::Consume(who, len));
                }
                if round == 50 {
                    self.memory.end(who);
                }
            }
            if round == 51 {
                self.server.close_remoters();
            }
            self.service();
            self.events(1000);
            if round > 60 {
                self.tymist.tick_by(SECOND);
            }
            let gone = |(who, seen): (usize, &Seen)| {
                // Who waited in the deque or the backlog when the server was closed is never told of.
                let cut = seen.id.is_none() && self.memory.is_dropped(who);
                seen.refused || seen.closed.is_some() || cut
            };
            if round > 60 && self.seen.iter().enumerate().all(gone) {
                break;
            }
        }
        self.server.service();
        self.check_end();
    }

    fn check_end(&mut self) {
        assert_eq!(self.server.poll_event(), None);
        assert_eq!((self.server.len(), self.server.cxes(), self.server.axes()), (0, 0, 0));
        assert_eq!((self.server.buffered(), self.server.timers(), self.memory.open()), (0, 0, 0));
        assert_eq!(self.server.wake(), Wake::OnIo);
        let counters = self.server.counters();
        assert_eq!(counters.closed.total(), counters.opened);
        for (who, seen) in self.seen.iter().enumerate() {
            let Some(id) = seen.id else {
                continue;
            };
            assert!(self.server.remoter(id).is_none());
            assert_eq!(self.server.at(&self.memory.addr_of(who)), None);
            let count = |want: fn(&Event) -> bool| seen.events.iter().filter(|it| want(it)).count();
            assert_eq!(seen.events[0], Event::Accepted(id));
            assert_eq!(count(|event| matches!(event, Event::Accepted(_))), 1);
            assert_eq!(count(|event| matches!(event, Event::Closed(..))), 1);
            assert!(count(|event| matches!(event, Event::Eof(_))) <= 1);
            let expired = count(|event| matches!(event, Event::Expired(..)));
            let reason = seen.closed.unwrap();
            assert_eq!(expired, usize::from(matches!(reason, CloseReason::Expired(_))), "{reason}");
            assert!(seen.taken <= seen.sent);
            if reason.is_clean()
                && self.memory.end_met(who) == Some(true)
                && !self.memory.is_gone(who)
            {
                assert_eq!(seen.received, seen.queued, "all that was queued went out: {reason}");
            }
            if reason == CloseReason::Eof && !seen.deaf {
                assert_eq!(seen.taken, seen.sent, "all that was sent came in");
            }
        }
    }
}
