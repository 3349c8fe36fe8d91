//! A client on the bare seam: sends numbered messages now and then, checks what comes back, and dials again when it must.

use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Addr, Dial, Net, Readiness, Stream, Token};
use tymist::sim::{Host, Rng};
use tymist::tyme::Tyme;

use super::{Count, PORT};

/// The longest message.
const LONGEST: u64 = 400;
/// An answer that takes longer than this is given up, and the connection with it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    net: Box<dyn Net>,
    host: Host,
    lines: Vec<Line>,
    dice: Rng,
    ready: Vec<Readiness>,
    count: Count,
}

/// One connection, or the wish for one.
struct Line {
    target: Addr,
    stream: Option<Box<dyn Stream>>,
    up: bool,
    unsent: Vec<u8>,
    /// What must still come back.
    awaited: Vec<u8>,
    /// When to speak or to dial next, or else to give up.
    next: Tyme,
}

impl Client {
    pub(crate) fn new(host: &Host, targets: &[String; 2], seed: u64, count: Count) -> Self {
        let mut dice = Rng::new(seed);
        let lines = targets.iter().filter_map(|name| {
            let target = Addr::from((*host.resolve(name).first()?, PORT));
            let next = host.tyme() + Duration::from_millis(dice.below(1000));
            let (unsent, awaited) = (Vec::new(), Vec::new());
            Some(Line { target, stream: None, up: false, unsent, awaited, next })
        });
        let lines = lines.collect();
        Client { net: host.net(), host: host.clone(), lines, dice, ready: Vec::new(), count }
    }

    /// A deadline has come: dial, speak, or give up.
    fn due(&mut self, number: usize, now: Tyme) {
        let line = &mut self.lines[number];
        if line.stream.is_none() {
            return self.dial(number, now);
        }
        if !line.up || !line.awaited.is_empty() {
            return self.lose(number, now, "no answer");
        }
        let mut message = vec![0; usize::try_from(self.dice.between(1, LONGEST)).unwrap_or(1)];
        self.dice.fill(&mut message);
        line.awaited.clone_from(&message);
        line.unsent = message;
        line.next = now + PATIENCE;
        self.pump(number, now);
    }

    fn dial(&mut self, number: usize, now: Tyme) {
        let line = &mut self.lines[number];
        line.next = now + PATIENCE;
        let dialled = self.net.connect(&Dial::new(line.target.clone()));
        let registered = dialled.and_then(|mut stream| {
            stream.register(Token(number))?;
            Ok(stream)
        });
        match registered {
            Ok(stream) => {
                line.stream = Some(stream);
                self.count.borrow_mut().dialled += 1;
            }
            Err(error) => self.lose(number, now, &error.to_string()),
        }
    }

    fn lose(&mut self, number: usize, now: Tyme, why: &str) {
        self.host.note(format!("line {number}: {why}"));
        self.count.borrow_mut().lost += 1;
        let line = &mut self.lines[number];
        line.stream = None;
        line.up = false;
        line.unsent.clear();
        line.awaited.clear();
        line.next = now + Duration::from_millis(self.dice.between(500, 5000));
    }

    fn pump(&mut self, number: usize, now: Tyme) {
        let line = &mut self.lines[number];
        let was_up = line.up;
        match line.pump() {
            Err(why) => return self.lose(number, now, &why),
            Ok(Pumped::Wrong) => {
                self.count.borrow_mut().wrong += 1;
                return self.lose(number, now, "a wrong byte");
            }
            Ok(Pumped::Answered) => {
                self.count.borrow_mut().answered += 1;
                line.next = now + Duration::from_millis(self.dice.between(100, 2000));
            }
            Ok(Pumped::More) => {}
        }
        let line = &mut self.lines[number];
        if line.up && !was_up {
            line.next = now;
        }
    }
}

enum Pumped {
    /// The whole message is back.
    Answered,
    /// Something else came back.
    Wrong,
    /// It is still under way, or there is none.
    More,
}

impl Line {
    /// Moves what can be moved.
    fn pump(&mut self) -> Result<Pumped, String> {
        let Some(stream) = &mut self.stream else { return Ok(Pumped::More) };
        if !self.up {
            self.up = stream.connected().map_err(|error| error.to_string())?;
            if !self.up {
                return Ok(Pumped::More);
            }
        }
        while !self.unsent.is_empty() {
            match stream.write(&[IoSlice::new(&self.unsent)]) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut buf = [0; 1024];
        let mut answered = false;
        loop {
            match stream.read(&mut buf) {
                Ok(0) => return Err("the end".into()),
                Ok(count) if !self.awaited.starts_with(&buf[..count]) => return Ok(Pumped::Wrong),
                Ok(count) => {
                    self.awaited.drain(..count);
                    answered |= self.awaited.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(if answered { Pumped::Answered } else { Pumped::More })
    }
}

impl Doer for Client {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        let mut ready = std::mem::take(&mut self.ready);
        if let Err(error) = self.net.harvest(None, &mut ready) {
            self.host.note(error.to_string());
        }
        for ready in ready.drain(..) {
            self.pump(ready.token.0, now);
        }
        self.ready = ready;
        for number in 0..self.lines.len() {
            if self.lines[number].next <= now {
                self.due(number, now);
            }
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.lines.iter().map(|line| line.next).min().map_or(Wake::OnIo, Wake::At)
    }
}
