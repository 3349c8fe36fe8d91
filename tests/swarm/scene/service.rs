//! The server's side: an ordinary handler, that would do the same on real sockets. Echoes what it gets, or sends what it is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tymist::net::Addr;
use tymist::tyme::Tyme;
use tymist::{Config, EndpointId, Event, GramEvent, Id, Server, Wake};

use super::grams::{GramWatch, Grams};
use super::ledger::{Ledger, Way, pattern};
use super::tally::Shakes;
use super::watch::Watch;

/// After so long without a byte those whose peers vanished under faults are let go, once all is healed.
pub(crate) const GONE: Duration = Duration::from_secs(50);
/// Call, mode, bytes up, bytes down.
pub(crate) const HEAD: usize = 13;
/// Modes: send back what comes, rather than a pattern of its own;
pub(crate) const ECHO: u8 = 1;
/// close when all is sent, rather than wait for the caller's end;
pub(crate) const CLOSES: u8 = 2;
/// the caller ends its half before it has its answer.
pub(crate) const HALF: u8 = 4;

/// A planted mistake, such as people make.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bug {
    #[default]
    None,
    /// Loses a byte where room comes late.
    DropsByte,
    /// Queues all of it again where only some was taken.
    Repeats,
    /// Does not go on when there is room again.
    Forgets,
    /// Never forgets what it knows of a connection that was reset.
    Keeps,
    /// Indexes without looking.
    Panics,
    /// A caller goes on where it was when its connection has ended and come again.
    ForgetsEnd,
    /// Deals with large datagrams more than once.
    ReadsTwice,
    /// A forwarder passes on an end that has not come.
    EndsEarly,
    /// Datagrams of some lengths are never answered.
    Mute,
}

#[derive(Default)]
struct Talk {
    head: Vec<u8>,
    call: u32,
    mode: u8,
    up: u64,
    down: u64,
    got: u64,
    queued: u64,
    pending: Bytes,
    full_since: Option<Tyme>,
}

pub(crate) struct Service {
    ledger: Ledger,
    pub(crate) watch: Watch,
    talks: BTreeMap<Id, Talk>,
    bug: Bug,
    /// Bytes queued at a time.
    piece: u64,
    lost: Option<Tyme>,
    pub(crate) events: u64,
    answers: Option<Answers>,
}

/// Answers each datagram with one as long.
struct Answers {
    id: EndpointId,
    own: Addr,
    grams: Grams,
    watch: GramWatch,
    bug: Bug,
}

impl Answers {
    fn event(&mut self, server: &mut Server, event: &GramEvent) {
        let now = server.tyme();
        let Some(endpoint) = server.endpoint_mut(self.id) else { return };
        self.watch.event(event, now, endpoint.config());
        while let Some(gram) = endpoint.take() {
            self.watch.took(&gram);
            let name = self.grams.read(&self.own, &gram);
            if self.bug == Bug::Mute && gram.data.len() > 600 {
                continue;
            }
            let (_, data) = self.grams.write(&self.own, &gram.from, gram.data.len(), name);
            match endpoint.tx(&data, &gram.from) {
                Ok(()) => self.watch.queued(now),
                Err(_) => self.grams.take_back(),
            }
        }
    }
}

impl Service {
    pub(crate) fn new(
        config: Config,
        ledger: Ledger,
        shakes: Shakes,
        bug: Bug,
        piece: u64,
    ) -> Self {
        let watch = Watch::new(config, ledger.clone(), shakes);
        Service {
            ledger,
            watch,
            talks: BTreeMap::new(),
            bug,
            piece,
            lost: None,
            events: 0,
            answers: None,
        }
    }

    /// Answers datagrams, too.
    pub(crate) fn answer(&mut self, id: EndpointId, own: Addr, grams: Grams) {
        let watch = GramWatch::new(grams.clone());
        self.answers = Some(Answers { id, own, grams, watch, bug: self.bug });
    }

    /// From now on every caller must get what it asks for.
    pub(crate) fn heal(&mut self, server: &mut Server, config: Config) {
        // Those whose peers are gone must have let go of all room before who waits for it runs out of time.
        let mut timeouts = config.timeouts.clone();
        timeouts.idle = Some(GONE);
        for id in self.watch.live() {
            if let Some(remoter) = server.remoter_mut(id) {
                remoter.set_timeouts(timeouts.clone());
            }
        }
        if let Some(endpoint) = self.answers.as_ref().and_then(|it| server.endpoint_mut(it.id)) {
            *endpoint.config_mut() = super::grams::calm();
        }
        *server.config_mut() = config.clone();
        self.watch.change(config);
    }

    /// Lets those that are there end, for so long.
    pub(crate) fn drain(&mut self, server: &mut Server, within: Duration) {
        self.lost = None;
        server.drain(Some(within));
        self.watch.drains(server, server.tyme() + within);
    }

    pub(crate) fn talks(&self) -> usize {
        self.talks.len()
    }

    fn pump(&mut self, server: &mut Server, id: Id) {
        let (Some(talk), Some(remoter)) = (self.talks.get_mut(&id), server.remoter_mut(id)) else {
            return;
        };
        loop {
            if talk.head.len() < HEAD {
                if !remoter.can_receive() {
                    break;
                }
                talk.head.extend(remoter.take_first(HEAD - talk.head.len()));
                if let Ok(head) = <[u8; HEAD]>::try_from(talk.head.as_slice()) {
                    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|it| head[at + it]));
                    (talk.call, talk.mode) = (word(0), head[4]);
                    (talk.up, talk.down) = (word(5).into(), word(9).into());
                    if talk.mode & HALF > 0 {
                        remoter.set_half_open(true);
                        self.watch.stays_open(id);
                    }
                }
                continue;
            }
            if !talk.pending.is_empty() {
                let all = talk.pending.clone();
                let Ok(count) = remoter.tx_bytes(&mut talk.pending) else { return };
                self.ledger.sent(talk.call, Way::Down, count);
                if !talk.pending.is_empty() {
                    if self.bug == Bug::Repeats && count > 0 {
                        talk.pending = all;
                    }
                    talk.full_since.get_or_insert(remoter.opened_at().max(server.tyme()));
                    return;
                }
                talk.full_since = None;
            }
            let data = remoter.take();
            self.ledger.got(talk.call, Way::Up, Way::Up, &data);
            talk.got += data.len() as u64;
            if talk.mode & ECHO > 0 {
                talk.queued += data.len() as u64;
                talk.pending = data;
            } else {
                let len = self.piece.min(talk.down - talk.queued);
                talk.pending = pattern(talk.call, Way::Down, talk.queued, len).into();
                talk.queued += len;
            }
            if talk.pending.is_empty() {
                break;
            }
        }
        let headed = talk.head.len() == HEAD;
        let answered = headed && talk.got == talk.up && talk.queued == talk.down;
        let hopeless = remoter.is_eof() && (!headed || talk.got < talk.up);
        if hopeless || (answered && (talk.mode & CLOSES > 0 || remoter.is_eof())) {
            remoter.close();
        }
    }
}

impl tymist::Service for Service {
    fn filters(&self) -> bool {
        false
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        self.events += 1;
        self.watch.event(server, &event);
        match event {
            Event::Accepted(id) => drop(self.talks.insert(id, Talk::default())),
            Event::Received(id) => self.pump(server, id),
            Event::Drained(id) => {
                let now = server.tyme();
                if self.bug == Bug::Forgets {
                    return;
                }
                if self.bug == Bug::DropsByte
                    && let Some(talk) = self.talks.get_mut(&id)
                    && talk.full_since.is_some_and(|it| now - it > Duration::from_millis(50))
                    && talk.pending.has_remaining()
                {
                    talk.pending.advance(1);
                }
                self.pump(server, id);
            }
            Event::Eof(id) => {
                if let (Some(talk), Some(remoter)) = (self.talks.get(&id), server.remoter(id))
                    && talk.head.len() == HEAD
                {
                    self.ledger.end(talk.call, Way::Up, remoter.rx().len());
                }
                self.pump(server, id);
            }
            Event::Closed(id, reason) => {
                if self.bug == Bug::Panics {
                    assert!(reason.is_clean(), "called a connection clean that was not");
                }
                if self.bug != Bug::Keeps || reason != tymist::CloseReason::Reset {
                    self.talks.remove(&id);
                }
            }
            Event::Gram(_, event) => {
                if let Some(answers) = &mut self.answers {
                    answers.event(server, &event);
                }
            }
            Event::ListenerLost { .. } => self.lost = Some(server.tyme()),
            _ => {}
        }
    }

    fn tick(&mut self, server: &mut Server) {
        if self.lost.is_some_and(|at| at <= server.tyme()) {
            let again = server.tyme() + Duration::from_millis(10);
            self.lost = server.reopen().is_err().then_some(again);
        }
        self.watch.send(server);
        self.watch.turn_ends(server);
        if let Some(answers) = &mut self.answers
            && let Some(endpoint) = server.endpoint(answers.id)
        {
            let most = server.config().limits.grams_per_tick;
            answers.watch.turn_ends(endpoint, server.wake(), server.tyme(), most, 3);
        }
    }

    fn wake(&self) -> Wake {
        self.lost.map_or(Wake::OnIo, Wake::At)
    }
}
