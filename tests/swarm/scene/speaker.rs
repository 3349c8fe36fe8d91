//! A datagram peer on a client's host: sends to servers, which answer, and to other clients, which may not be there.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tymist::net::{Addr, Bind, Interface};
use tymist::sim::{Host, Rng};
use tymist::tyme::Tyme;
use tymist::{GramConfig, GramError, Peer, Wake};

use super::Bug;
use super::grams::{GramWatch, Grams, group};
use super::ledger::Ledger;

/// Where servers answer, and where peers speak from.
pub(crate) const ANSWERS: u16 = 90;
pub(crate) const SPEAKS: u16 = 91;
/// Sent one by one after healing, each to be answered.
const CALM: u64 = 3;
/// When the first of them is: what was under way, and paused hosts, have settled by then.
const SETTLES: Duration = Duration::from_secs(40);

/// What outlives a crash.
#[derive(Default)]
pub(crate) struct Talk {
    pub(crate) calm: Cell<bool>,
    /// Of the calm ones.
    pub(crate) answered: Cell<u64>,
}

impl Talk {
    pub(crate) fn is_done(&self) -> bool {
        self.answered.get() >= CALM
    }
}

#[derive(Clone)]
pub(crate) struct Whom {
    pub(crate) servers: Vec<Addr>,
    pub(crate) others: Vec<Addr>,
    /// Connected mode.
    pub(crate) only: Option<Addr>,
    /// It hears what is sent to all.
    pub(crate) joins: bool,
    /// Each turn begins with a wait.
    pub(crate) waits: bool,
}

pub(crate) struct Speaker {
    pub(crate) peer: Peer,
    pub(crate) watch: GramWatch,
    own: Addr,
    whom: Whom,
    rng: Rng,
    grams: Grams,
    ledger: Ledger,
    talk: Rc<Talk>,
    bug: Bug,
    next: Tyme,
    left: u64,
    /// The calm one that waits for its answer, and those that were sent.
    waits: Option<u32>,
    calm_sent: u64,
}

impl Speaker {
    #[expect(clippy::too_many_arguments, reason = "each is what a speaker is made of")]
    pub(crate) fn new(
        host: &Host,
        config: GramConfig,
        whom: Whom,
        mut rng: Rng,
        grams: Grams,
        ledger: Ledger,
        talk: Rc<Talk>,
        bug: Bug,
    ) -> Self {
        let mut peer = Peer::with_net(config, host.net());
        peer.wind(host.tymth());
        let mut bind = Bind::new(([0, 0, 0, 0], SPEAKS));
        bind.peer.clone_from(&whom.only);
        // It may be that no socket is left; then it says nothing before it is healed.
        let _ = peer.open(bind);
        let own = host.addrs().into_iter().find(std::net::IpAddr::is_ipv4).unwrap();
        let own = Addr::from((own, SPEAKS));
        if whom.joins && peer.opened() {
            peer.join(group().ip().unwrap(), Interface::Any).unwrap();
            grams.joined(&own);
        }
        let watch = GramWatch::new(grams.clone());
        let (next, left) = (host.tyme(), rng.below(60));
        let next = if talk.calm.get() { next + SETTLES } else { next };
        let (waits, calm_sent) = (None, talk.answered.get());
        Speaker {
            peer,
            watch,
            own,
            whom,
            rng,
            grams,
            ledger,
            talk,
            bug,
            next,
            left,
            waits,
            calm_sent,
        }
    }

    /// From now on what is sent must be answered.
    pub(crate) fn heal(&mut self) {
        *self.peer.config_mut() = super::grams::calm();
        self.next = self.peer.tyme() + SETTLES;
    }

    /// The end.
    pub(crate) fn close(&mut self) {
        self.peer.close();
        let now = self.peer.tyme();
        self.watch.turn_ends(&self.peer, Wake::Now, now, usize::MAX, 2);
    }

    fn take(&mut self) {
        // Some come back for the rest only when they have something to say.
        let most = if self.talk.calm.get() { usize::MAX } else { 1 << self.rng.below(8) };
        for _ in 0..most {
            let Some(gram) = self.peer.take() else { break };
            self.watch.took(&gram);
            self.grams.read(&self.own, &gram);
            if self.bug == Bug::ReadsTwice && gram.data.len() > 1000 {
                self.grams.read(&self.own, &gram);
                self.grams.read(&self.own, &gram);
            }
        }
    }

    fn say(&mut self, to: &Addr, len: usize) -> Option<u32> {
        let (name, data) = self.grams.write(&self.own, to, len, None);
        let copied = self.rng.chance(0.5);
        let queued = match copied {
            true => self.peer.tx(&data, to),
            false => self.peer.tx_bytes(data.into(), to),
        };
        let too_large = len > self.peer.config().max_gram;
        match queued {
            Ok(()) if !too_large => {
                self.watch.queued(self.peer.tyme());
                return Some(name);
            }
            Err(GramError::TooLarge) if too_large => {}
            Err(GramError::Full | GramError::Closed) if !too_large => {}
            Err(GramError::Closed) => {}
            other => self.ledger.wrong(|| format!("{len} bytes to {to}: {other:?}")),
        }
        self.grams.take_back();
        None
    }

    fn whom(&mut self) -> Addr {
        let (servers, others) = (&self.whom.servers, &self.whom.others);
        match &self.whom.only {
            Some(only) => only.clone(),
            None if !others.is_empty() && self.rng.chance(0.3) => {
                others[self.rng.index(others.len())].clone()
            }
            None if self.rng.chance(0.2) => group(),
            None => servers[self.rng.index(servers.len())].clone(),
        }
    }

    fn speak(&mut self, now: Tyme) {
        if self.talk.calm.get() {
            return self.speak_calmly(now);
        }
        for _ in 0..1 << self.rng.below(4) {
            let to = self.whom();
            // Some of them are longer than any datagram can be.
            let bits = self.rng.below(17);
            let len = match self.rng.below(8) {
                0 => 0,
                1 => self.rng.between(1, 8),
                _ => self.rng.between(1 << bits, 2 << bits),
            };
            self.say(&to, len as usize);
        }
        self.left -= 1;
        self.next = now + Duration::from_micros(1 << self.rng.between(4, 19));
    }

    fn speak_calmly(&mut self, now: Tyme) {
        if !self.peer.opened() {
            let again = self.peer.reopen();
            let mut bind = Bind::new(([0, 0, 0, 0], SPEAKS));
            bind.peer.clone_from(&self.whom.only);
            if again.and_then(|()| self.peer.open(bind)).is_err() {
                self.next = now + Duration::from_secs(1);
                return;
            }
        }
        let to = self.whom.only.clone().unwrap_or_else(|| self.whom.servers[0].clone());
        let len = self.rng.between(4, 1200) as usize;
        self.waits = self.say(&to, len);
        self.calm_sent += 1;
        self.next = Tyme::NEVER;
    }

    pub(crate) fn turn(&mut self, now: Tyme) {
        let burst = self.peer.config().burst_grams.max(1);
        if self.whom.waits {
            self.peer.wait(Some(Duration::ZERO));
        }
        self.peer.service();
        while let Some(event) = self.peer.poll_event() {
            self.watch.event(&event, now, self.peer.config());
        }
        self.take();
        if self.waits.is_some_and(|name| self.grams.is_answered(name)) {
            self.waits = None;
            self.talk.answered.set(self.talk.answered.get() + 1);
            self.next = now + Duration::from_millis(100);
        }
        let wants = if self.talk.calm.get() { self.calm_sent < CALM } else { self.left > 0 };
        if wants && self.next <= now {
            self.speak(now);
        }
        self.peer.service_sends();
        let most = if self.whom.waits { burst } else { usize::MAX };
        self.watch.turn_ends(&self.peer, self.peer.wake(), now, most, 2);
    }

    pub(crate) fn wake(&self) -> Wake {
        let wants = if self.talk.calm.get() { self.calm_sent < CALM } else { self.left > 0 };
        let next = if wants && self.next != Tyme::NEVER { Wake::At(self.next) } else { Wake::OnIo };
        self.peer.wake().min(next)
    }
}
