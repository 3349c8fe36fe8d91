//! The clients' side: calls one after another on a few lanes, patiently or not, over the bare seam. What a lane needs of its connection is
//! in [`Line`], so that another kind of client can take its place.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Addr, Dial, Net, Readiness, Stage, Stream, Token};
use tymist::sim::{Host, Rng};
use tymist::tyme::Tyme;

use super::ledger::{Ledger, Way, pattern};
use super::service::{CLOSES, ECHO, HALF, HEAD};

/// Puts TLS around a dialled stream, if there is to be any.
pub(crate) type Wrap = Rc<dyn Fn(Box<dyn Stream>) -> Box<dyn Stream>>;

/// What outlives a crash of the caller.
#[derive(Default)]
pub(crate) struct Goal {
    pub(crate) done: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    /// Calls to be done before it rests.
    pub(crate) wanted: Cell<u64>,
    pub(crate) calm: Cell<bool>,
    pub(crate) lives: Cell<u64>,
}

/// A connection on the way up, then up.
struct Line {
    stream: Box<dyn Stream>,
    up: bool,
    shaken: bool,
}

impl Line {
    fn dial(
        net: &mut dyn Net,
        target: &Addr,
        wrap: Option<&Wrap>,
        token: usize,
    ) -> io::Result<Line> {
        let stream = net.connect(&Dial::new(target.clone()))?;
        let mut stream = match wrap {
            Some(wrap) => wrap(stream),
            None => stream,
        };
        stream.register(Token(token))?;
        Ok(Line { stream, up: false, shaken: wrap.is_none() })
    }

    /// Whether it can be used.
    fn come_up(&mut self) -> io::Result<bool> {
        if !self.up {
            self.up = self.stream.connected()?;
        }
        while self.up && !self.shaken {
            match self.stream.advance() {
                Ok(Stage::Live) => self.shaken = true,
                Ok(Stage::Handshaking) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.up && self.stream.held() > 0 {
            block(|| self.stream.flush().map(|()| 0))?;
        }
        Ok(self.up && self.shaken)
    }
}

/// `None` where it would block; a signal is no reason to stop.
fn block(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// One call as it is meant to go.
struct Call {
    number: u32,
    mode: u8,
    up: u64,
    down: u64,
    bite: usize,
    pace: Duration,
    patience: Duration,
    /// Bytes, both ways together, after which it hangs up.
    rude: Option<u64>,
    abortive: bool,
    sent: u64,
    got: u64,
    ended: bool,
}

struct Lane {
    line: Option<(Line, Call)>,
    next: Tyme,
    token: usize,
    /// It has stopped by itself and goes on at `next`, whatever the network says.
    paced: bool,
    /// When something last got on.
    moved: Tyme,
}

pub(crate) struct Caller {
    net: Box<dyn Net>,
    host: Host,
    target: Addr,
    wrap: Option<Wrap>,
    rng: Rng,
    ledger: Ledger,
    goal: Rc<Goal>,
    lanes: Vec<Lane>,
    token: usize,
    ready: Vec<Readiness>,
}

impl Caller {
    pub(crate) fn new(
        host: &Host,
        target: Addr,
        wrap: Option<Wrap>,
        rng: Rng,
        ledger: Ledger,
        goal: Rc<Goal>,
        lanes: u64,
    ) -> Self {
        let now = host.tyme();
        let lane = |_| Lane { line: None, next: now, token: 0, paced: false, moved: now };
        Caller {
            net: host.net(),
            host: host.clone(),
            target,
            wrap,
            rng,
            ledger,
            goal,
            lanes: (0..lanes).map(lane).collect(),
            token: 0,
            ready: Vec::new(),
        }
    }

    fn draw_call(&mut self) -> Call {
        let calm = self.goal.calm.get();
        let rng = &mut self.rng;
        let len = |rng: &mut Rng| {
            let bits = rng.below(if calm { 9 } else { 15 });
            if rng.chance(0.1) { 0 } else { rng.between(1 << bits, 2 << bits) }
        };
        let mut mode = [0, ECHO][rng.index(2)];
        mode |= [0, CLOSES][rng.index(2)] | [0, HALF][rng.index(2)];
        let up = len(rng);
        let down = if mode & ECHO > 0 { up } else { len(rng) };
        Call {
            number: self.ledger.open(),
            mode,
            up,
            down,
            // In a hundred bites at most.
            bite: usize::try_from((1 << rng.between(0, 14)).max(up.max(down) / 100)).unwrap(),
            pace: match rng.below(if calm { 2 } else { 4 }) {
                0 | 1 => Duration::ZERO,
                _ => Duration::from_micros(1 << rng.between(4, 18)),
            },
            patience: match calm {
                true => Duration::from_secs(60),
                false => Duration::from_millis(1 << rng.between(6, 14)),
            },
            rude: (!calm && rng.chance(0.2)).then(|| 1 << rng.below(15)),
            abortive: rng.chance(0.5),
            sent: 0,
            got: 0,
            ended: false,
        }
    }

    fn begin(&mut self, at: usize, now: Tyme) {
        let call = self.draw_call();
        self.lanes[at].paced = false;
        self.token += 1;
        let line = Line::dial(&mut *self.net, &self.target, self.wrap.as_ref(), self.token);
        self.lanes[at].moved = now;
        self.lanes[at].token = self.token;
        match line {
            Ok(line) => self.lanes[at].line = Some((line, call)),
            Err(error) => self.fail(at, now, &error.to_string()),
        }
    }

    fn fail(&mut self, at: usize, now: Tyme, why: &str) {
        self.goal.failed.set(self.goal.failed.get() + 1);
        self.host.note(format!("lane {at}: {why}"));
        self.rest(at, now);
    }

    /// A while without a call.
    fn rest(&mut self, at: usize, now: Tyme) {
        if let Some((line, call)) = self.lanes[at].line.take() {
            drop(line);
            self.ledger.finish(call.number, Way::Up);
        }
        let while_ = Duration::from_micros(1 << self.rng.between(8, 20));
        self.lanes[at].next = now + while_;
    }

    fn go_on(&mut self, at: usize, now: Tyme) {
        let lane = &mut self.lanes[at];
        let Some((line, call)) = &mut lane.line else {
            if lane.next <= now && self.goal.done.get() < self.goal.wanted.get() {
                self.begin(at, now);
                return self.speak(at, now);
            }
            return;
        };
        let called = self.ready.iter().any(|it| it.token.0 == lane.token);
        let resumes = lane.paced && lane.next <= now;
        if !called && !resumes {
            let patience = lane.moved + call.patience;
            if patience <= now {
                self.fail(at, now, "out of patience");
            }
            return;
        }
        let before = (line.up, line.shaken, call.sent, call.got, call.ended);
        self.speak(at, now);
        if let Some((line, call)) = &self.lanes[at].line {
            let after = (line.up, line.shaken, call.sent, call.got, call.ended);
            let (pace, patience) = (call.pace, call.patience);
            if before != after {
                self.lanes[at].moved = now;
                // More of it after a while; where it waits for the network, that will call.
                self.lanes[at].next = now + pace;
                self.lanes[at].paced = pace > Duration::ZERO;
            } else {
                self.lanes[at].paced = false;
            }
            if now >= self.lanes[at].moved + patience {
                self.fail(at, now, "out of patience");
            }
        }
    }

    fn speak(&mut self, at: usize, now: Tyme) {
        let Some((line, call)) = &mut self.lanes[at].line else { return };
        let spoken = line.come_up().and_then(|up| match up {
            true => call.exchange(line, &self.ledger),
            false => Ok(None),
        });
        let complete = call.got == call.down && call.sent == call.up + HEAD as u64;
        match spoken {
            _ if call.rude.is_some_and(|after| call.sent + call.got >= after) => {
                if call.abortive {
                    let _ = line.stream.set_abortive();
                }
                self.rest(at, now);
            }
            Err(error) => self.fail(at, now, &error.to_string()),
            Ok(Some(())) if complete => {
                self.goal.done.set(self.goal.done.get() + 1);
                self.rest(at, now);
            }
            Ok(Some(())) => self.fail(at, now, "ended early"),
            Ok(None) => {}
        }
    }
}

impl Call {
    fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&self.number.to_be_bytes());
        head[4] = self.mode;
        head[5..9].copy_from_slice(&u32::try_from(self.up).unwrap().to_be_bytes());
        head[9..].copy_from_slice(&u32::try_from(self.down).unwrap().to_be_bytes());
        head
    }

    /// Says and hears a bite; `Some` once the other side has ended.
    fn exchange(&mut self, line: &mut Line, ledger: &Ledger) -> io::Result<Option<()>> {
        let total = self.up + HEAD as u64;
        while self.sent < total {
            let bite = (self.bite as u64).min(total - self.sent);
            let from = self.sent.saturating_sub(HEAD as u64);
            let mut data = self.head()[(self.sent as usize).min(HEAD)..].to_vec();
            data.truncate(bite as usize);
            data.extend(pattern(self.number, Way::Up, from, bite - data.len() as u64));
            let Some(count) = block(|| line.stream.write(&[IoSlice::new(&data)]))? else { break };
            let body = (self.sent + count as u64).saturating_sub(HEAD as u64) - from;
            ledger.sent(self.number, Way::Up, body as usize);
            self.sent += count as u64;
            if self.pace > Duration::ZERO {
                break;
            }
        }
        let as_way = if self.mode & ECHO > 0 { Way::Up } else { Way::Down };
        let mut buf = vec![0; self.bite];
        while let Some(count) = block(|| line.stream.read(&mut buf))? {
            if count == 0 {
                ledger.finish(self.number, Way::Down);
                ledger.end(self.number, Way::Down, 0);
                return Ok(Some(()));
            }
            ledger.got(self.number, Way::Down, as_way, &buf[..count]);
            self.got += count as u64;
            if self.pace > Duration::ZERO {
                break;
            }
        }
        let enough = self.mode & HALF > 0 || self.got == self.down;
        if self.sent == total && enough && !self.ended {
            line.stream.shutdown(Shutdown::Write)?;
            ledger.finish(self.number, Way::Up);
            self.ended = true;
        }
        Ok(None)
    }
}

impl Doer for Caller {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.ready.clear();
        self.net.harvest(None, &mut self.ready).unwrap();
        for at in 0..self.lanes.len() {
            self.go_on(at, now);
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        let wants = self.goal.done.get() < self.goal.wanted.get();
        let next = self.lanes.iter().filter_map(|lane| match &lane.line {
            None => wants.then_some(lane.next),
            Some((_, call)) => {
                let patience = lane.moved + call.patience;
                Some(if lane.paced { lane.next.min(patience) } else { patience })
            }
        });
        next.min().map_or(Wake::OnIo, Wake::At)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.goal.lives.set(self.goal.lives.get() + 1);
    }
}
