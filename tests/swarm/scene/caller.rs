//! The clients' side, on the engine: a few lanes, each with one connection at a time, over which it calls; patiently or not, once or again
//! and again over a connection that comes again by itself.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tymist::net::Addr;
use tymist::sim::{Host, Rng};
use tymist::tyme::Tyme;
use tymist::{Backoff, Clients, CloseReason, Config, Connect, Event, Id, Layer, Remoter, Wake};

use super::Bug;
use super::call::Call;
use super::ledger::{Ledger, Route, Way};
use super::tally::Shakes;
use super::watch::Watch;

/// What outlives a crash of the caller.
#[derive(Default)]
pub(crate) struct Goal {
    pub(crate) done: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    /// Calls to be done before it rests.
    pub(crate) wanted: Cell<u64>,
    /// The faults are over: every call that comes through must be done.
    pub(crate) calm: Cell<bool>,
    pub(crate) lives: Cell<u64>,
}

/// Whom it calls, and how.
#[derive(Clone)]
pub(crate) struct Line {
    /// All that lead to the same service: addresses one by one, and a name, but to one over Unix sockets.
    pub(crate) addrs: Vec<Addr>,
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    pub(crate) route: Route,
    pub(crate) layer: Option<Layer>,
    /// Whether connections of these lanes come again by themselves.
    pub(crate) comes_again: bool,
    /// Each turn begins with a wait.
    pub(crate) waits: bool,
}

#[derive(Default)]
struct Lane {
    id: Option<Id>,
    call: Option<Call>,
    /// When it begins the next call, or goes on with this one.
    next: Tyme,
    /// It has stopped by itself and goes on at `next`, whatever the network says.
    paced: bool,
    /// When something last got on.
    moved: Tyme,
    /// It has been usable since the last call began.
    up: bool,
    eof: bool,
    /// Ends before it asks for no more connections.
    lives: u64,
    /// It gives up, or has hung up.
    over: bool,
}

pub(crate) struct Caller {
    pub(crate) clients: Clients,
    pub(crate) watch: Watch,
    host: Host,
    line: Line,
    rng: Rng,
    ledger: Ledger,
    goal: Rc<Goal>,
    bug: Bug,
    lanes: Vec<Lane>,
    by_id: BTreeMap<Id, usize>,
}

impl Caller {
    #[expect(clippy::too_many_arguments, reason = "each is what a caller is made of")]
    pub(crate) fn new(
        host: &Host,
        config: Config,
        line: Line,
        rng: Rng,
        ledger: Ledger,
        goal: Rc<Goal>,
        lanes: u64,
        bug: Bug,
    ) -> Self {
        let now = host.tyme();
        let watch = Watch::new(config.clone(), ledger.clone(), Shakes::default());
        let mut clients = Clients::with_net(config, host.net());
        clients.wind(host.tymth());
        let lanes = (0..lanes).map(|_| Lane { next: now, ..Lane::default() }).collect();
        let (host, by_id) = (host.clone(), BTreeMap::new());
        Caller { clients, watch, host, line, rng, ledger, goal, bug, lanes, by_id }
    }

    /// From now on every call that comes through must be done.
    pub(crate) fn heal(&mut self, config: Config) {
        for id in self.watch.live() {
            if let Some(remoter) = self.clients.remoter_mut(id) {
                remoter.set_timeouts(config.timeouts.clone());
            }
        }
        // With next to no room a leisurely call would take hours.
        for lane in &mut self.lanes {
            lane.next = lane.next.min(self.clients.tyme());
            lane.call.iter_mut().for_each(|call| call.pace = Duration::ZERO);
        }
        *self.clients.config_mut() = config.clone();
        self.watch.change(config);
    }

    /// Where it stands, for a report.
    pub(crate) fn state(&self) -> String {
        let lanes = self.lanes.iter().map(|lane| {
            let call = lane.call.as_ref();
            let call = call.map(|call| (call.number, call.progress(), call.pace, call.patience));
            let remoter = lane.id.and_then(|id| self.clients.remoter(id));
            let (next, moved) = (lane.next, lane.moved);
            format!("\n    next {next} moved {moved} call {call:?} {remoter:?}")
        });
        format!(
            "{:?}, {:?}{}",
            self.clients.wake(),
            self.clients.config(),
            lanes.collect::<String>()
        )
    }

    /// The end: closes all, and takes what that tells.
    pub(crate) fn close(&mut self) {
        self.goal.wanted.set(0);
        self.lanes.iter_mut().filter_map(|lane| lane.call.as_mut()).for_each(|it| it.calm = false);
        self.clients.close();
        self.watch.closed();
        let now = self.clients.tyme();
        self.turn(now);
        self.turn(now);
    }

    /// Goes on calling those who drain: none of that need succeed.
    pub(crate) fn outlast(&mut self) {
        self.goal.wanted.set(u64::MAX);
        self.goal.calm.set(false);
        self.lanes.iter_mut().filter_map(|lane| lane.call.as_mut()).for_each(|it| it.calm = false);
    }

    fn wants(&self) -> bool {
        self.goal.done.get() < self.goal.wanted.get()
    }

    fn draw_connect(&mut self) -> Connect {
        let rng = &mut self.rng;
        let mut connect = match (rng.below(3), &self.line.name) {
            (0, Some(name)) => Connect::to_name(name, self.line.port),
            (1, _) => Connect::new(self.line.addrs.clone()),
            _ => Connect::new(self.line.addrs[self.line.addrs.len() - 1].clone()),
        };
        connect.stagger = Duration::from_micros(1 << rng.between(0, 20));
        connect.layer.clone_from(&self.line.layer);
        if self.line.comes_again {
            let mut backoff = Backoff::new();
            backoff.first = Duration::from_micros(1 << rng.between(6, 20));
            backoff.most = backoff.first * (1 << rng.below(8));
            backoff.jitter = rng.chance(0.7);
            connect.reconnect = Some(backoff);
        }
        connect
    }

    fn dial(&mut self, at: usize, now: Tyme) {
        let connect = self.draw_connect();
        let most = connect.reconnect.as_ref().map(|backoff| backoff.most);
        let handshake = connect.layer.is_some();
        let lives = if most.is_some() { self.rng.between(1, 8) } else { 1 };
        match self.clients.connect(connect) {
            Ok(id) => {
                self.watch.dialled(id, now, handshake, most);
                self.by_id.insert(id, at);
                self.lanes[at] = Lane { id: Some(id), lives, moved: now, ..Lane::default() };
                self.begin(at, now);
            }
            Err(refusal) => self.fail(at, &refusal.to_string()),
        }
    }

    /// A new call on the lane's connection, up or not.
    fn begin(&mut self, at: usize, now: Tyme) {
        let calm = self.goal.calm.get();
        let call = Call::draw(&mut self.rng, &self.ledger, calm, self.line.route);
        let lane = &mut self.lanes[at];
        (lane.up, lane.eof, lane.paced) = (false, false, false);
        let early = call.early;
        lane.call = Some(call);
        lane.moved = now;
        if early {
            self.speak(at, now);
        }
    }

    fn fail(&mut self, at: usize, why: &str) {
        self.goal.failed.set(self.goal.failed.get() + 1);
        self.host.note(format!("lane {at}: {why}"));
        self.rest(at);
    }

    /// A while without a connection.
    fn rest(&mut self, at: usize) {
        let while_ = Duration::from_micros(1 << self.rng.between(8, 20));
        self.lanes[at] = Lane { next: self.clients.tyme() + while_, ..Lane::default() };
    }

    /// Says and hears what can be, where there is a connection for it or one to come.
    fn speak(&mut self, at: usize, now: Tyme) {
        let lane = &mut self.lanes[at];
        let (Some(id), Some(call)) = (lane.id, &mut lane.call) else { return };
        let Some(remoter) = self.clients.remoter_mut(id).filter(|_| !lane.over) else { return };
        let before = call.progress();
        call.exchange(remoter, &self.ledger, lane.up);
        if before != call.progress() {
            lane.moved = now;
            // More of it after a while; where it waits for the network, that will call.
            (lane.next, lane.paced) = (now + call.pace, call.pace > Duration::ZERO);
        }
        if call.is_rude() {
            // Whether it hangs up politely or not is the same to it.
            if call.abortive {
                remoter.abort();
            } else {
                remoter.close();
            }
            lane.over = true;
            self.ledger.finish(call.number, Way::Up);
        } else if lane.eof && !call.is_complete() && !remoter.can_receive() {
            remoter.close();
            self.ledger.finish(call.number, Way::Up);
        }
    }

    /// The connection is over, or has not come up: takes what is left, and sees what became of the call. Returns whether it is over, too.
    fn ends(&mut self, at: usize, reason: CloseReason) -> bool {
        let lane = &mut self.lanes[at];
        let Some(id) = lane.id else { return true };
        // What waits for a connection outlives the tries to make one, unless that was too much.
        if !lane.up && reason != CloseReason::TxFull && !lane.over && lane.call.is_some() {
            return false;
        }
        let Some(mut call) = lane.call.take() else { return true };
        if let Some(remoter) = self.clients.remoter_mut(id) {
            call.take_rest(remoter, &self.ledger);
        }
        self.ledger.finish(call.number, Way::Up);
        if lane.eof && call.is_complete() {
            self.goal.done.set(self.goal.done.get() + 1);
            return true;
        }
        self.goal.failed.set(self.goal.failed.get() + 1);
        if call.calm && lane.up {
            let (number, progress) = (call.number, call.progress());
            self.ledger.wrong(|| {
                format!(
                    "call {number} came through without faults and ended by {reason}: {progress:?}"
                )
            });
        }
        true
    }

    fn event(&mut self, event: &Event, now: Tyme) {
        self.watch.event(&self.clients, event);
        let Some(&at) = event.id().and_then(|id| self.by_id.get(&id)) else { return };
        match event {
            Event::Connected(_) => {
                self.lanes[at].up = true;
                self.lanes[at].moved = now;
                self.speak(at, now);
            }
            // Who paces itself goes on at its own time.
            Event::Received(_) | Event::Drained(_) if !self.lanes[at].paced => self.speak(at, now),
            Event::Eof(id) => {
                let lane = &mut self.lanes[at];
                lane.eof = true;
                if let (Some(call), Some(remoter)) = (&lane.call, self.clients.remoter(*id)) {
                    self.ledger.finish(call.number, Way::Down);
                    self.ledger.end(call.number, Way::Down, remoter.rx().len());
                }
                self.speak(at, now);
            }
            Event::Disconnected { id, reason, .. } => {
                let over = self.ends(at, *reason);
                let lane = &mut self.lanes[at];
                lane.lives = lane.lives.saturating_sub(1);
                if lane.lives == 0 || lane.over || !self.wants() {
                    self.give_up(at, *id);
                } else if over {
                    self.begin(at, now);
                }
            }
            Event::Closed(id, reason) => {
                self.by_id.remove(id);
                self.lanes[at].over = true;
                self.ends(at, *reason);
                self.host.note(format!("lane {at}: {reason}"));
                self.rest(at);
            }
            _ => {}
        }
    }

    /// Wants nothing more of this connection.
    fn give_up(&mut self, at: usize, id: Id) {
        self.lanes[at].over = true;
        if let Some(remoter) = self.clients.remoter_mut(id) {
            remoter.close();
        }
    }

    /// What is due on a lane by the clock.
    fn go_on(&mut self, at: usize, now: Tyme) {
        let lane = &mut self.lanes[at];
        let Some(id) = lane.id else {
            if lane.next <= now && self.wants() {
                self.dial(at, now);
            }
            return;
        };
        if lane.paced && lane.next <= now {
            lane.paced = false;
            self.speak(at, now);
        }
        let lane = &mut self.lanes[at];
        let Some(call) = &lane.call else { return };
        if lane.over || now < lane.moved + call.patience {
            return;
        }
        lane.moved = now;
        // Where few may begin at once it cannot be seen which round would end by it.
        let seen = self.clients.config().limits.connects_per_tick >= 64;
        if seen && self.line.comes_again && call.reopens && self.clients.reopen(id).is_ok() {
            if lane.up {
                self.ledger.finish(call.number, Way::Up);
            }
            self.watch.reopened(id, now);
            return;
        }
        let Some(remoter) = self.clients.remoter_mut(id) else { return };
        self.ledger.finish(call.number, Way::Up);
        lane.over = true;
        if call.abortive { remoter.abort() } else { remoter.close() }
    }

    /// When a lane wants its next turn.
    fn lane_wakes(&self, lane: &Lane) -> Option<Tyme> {
        let Some(call) = lane.id.and(lane.call.as_ref()) else {
            return (lane.id.is_none() && self.wants()).then_some(lane.next);
        };
        if lane.over {
            return None;
        }
        let patience = lane.moved + call.patience;
        Some(if lane.paced { lane.next.min(patience) } else { patience })
    }
}

impl Caller {
    pub(crate) fn turn(&mut self, now: Tyme) {
        if self.line.waits {
            self.clients.wait(Some(Duration::ZERO));
            self.watch.waited();
        }
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            if self.bug == Bug::ForgetsEnd && matches!(event, Event::Disconnected { .. }) {
                self.watch.event(&self.clients, &event);
            } else {
                self.event(&event, now);
            }
        }
        for at in 0..self.lanes.len() {
            self.go_on(at, now);
        }
        self.watch.send(&mut self.clients);
        self.watch.turn_ends(&self.clients);
    }

    pub(crate) fn wake(&self) -> Wake {
        let next = self.lanes.iter().filter_map(|lane| self.lane_wakes(lane)).min();
        self.clients.wake().min(next.map_or(Wake::OnIo, Wake::At))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // What was queued and did not leave must not look as if that was all.
        let calls = self.lanes.iter().filter_map(|lane| lane.call.as_ref());
        calls.for_each(|call| self.ledger.finish(call.number, Way::Up));
        self.goal.lives.set(self.goal.lives.get() + 1);
    }
}

impl Call {
    /// Takes what is unread, whatever the pace: it is the last that there is.
    fn take_rest(&mut self, remoter: &mut Remoter, ledger: &Ledger) {
        let data = remoter.take();
        self.heard(&data, ledger);
    }
}
