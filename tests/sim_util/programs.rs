//! A server and a client on the bare seam, as programs of a world.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Addr, Dial, Listen, Listener, Net, Readiness, Stream, Token};
use tymist::sim::Host;
use tymist::tyme::Tyme;

/// Sends back what it gets; closes when its peer does.
pub struct Echo {
    net: Box<dyn Net>,
    host: Host,
    listener: Box<dyn Listener>,
    streams: BTreeMap<usize, (Box<dyn Stream>, VecDeque<u8>)>,
    next: usize,
    pub accepted: usize,
    pub errors: Vec<ErrorKind>,
}

impl Echo {
    pub fn new(host: &Host, port: u16) -> Self {
        let mut net = host.net();
        let mut listener = net.listen(&Listen::new(([0, 0, 0, 0], port))).unwrap();
        listener.register(Token(0)).unwrap();
        Echo {
            net,
            host: host.clone(),
            listener,
            streams: BTreeMap::new(),
            next: 1,
            accepted: 0,
            errors: Vec::new(),
        }
    }

    pub fn open(&self) -> usize {
        self.streams.len()
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok(mut stream) => {
                    stream.register(Token(self.next)).unwrap();
                    self.streams.insert(self.next, (stream, VecDeque::new()));
                    self.next += 1;
                    self.accepted += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {
                    self.errors.push(error.kind());
                }
                Err(error) => {
                    self.errors.push(error.kind());
                    return;
                }
            }
        }
    }

    /// Whether the connection goes on.
    fn serve(stream: &mut Box<dyn Stream>, queue: &mut VecDeque<u8>) -> Result<bool, ErrorKind> {
        let mut buf = [0; 2048];
        loop {
            while !queue.is_empty() {
                let (front, back) = queue.as_slices();
                match stream.write(&[IoSlice::new(front), IoSlice::new(back)]) {
                    Ok(count) => drop(queue.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error.kind()),
                }
            }
            match stream.read(&mut buf) {
                Ok(0) => return Ok(false),
                Ok(count) => queue.extend(&buf[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.kind()),
            }
        }
    }
}

impl Doer for Echo {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        let mut ready = Vec::new();
        self.net.harvest(None, &mut ready).unwrap();
        for Readiness { token, .. } in ready {
            if token.0 == 0 {
                self.accept();
                continue;
            }
            let Some((stream, queue)) = self.streams.get_mut(&token.0) else { continue };
            match Self::serve(stream, queue) {
                Ok(true) => {}
                Ok(false) => drop(self.streams.remove(&token.0)),
                Err(kind) => {
                    self.host.note(format!("lost: {kind}"));
                    self.errors.push(kind);
                    self.streams.remove(&token.0);
                }
            }
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

/// Connects, sends a numbered message each `beat`, checks what comes back, and comes again when it loses its connection.
pub struct Pinger {
    net: Box<dyn Net>,
    host: Host,
    target: Addr,
    beat: Duration,
    next_beat: Tyme,
    stream: Option<Box<dyn Stream>>,
    up: bool,
    numbers: usize,
    left: Vec<u8>,
    got: Vec<u8>,
    sent: u64,
    pub goal: u64,
    pub answered: u64,
    pub connects: u64,
    pub wrong: u64,
}

impl Pinger {
    pub fn new(host: &Host, server: &str, port: u16, beat: Duration, goal: u64) -> Self {
        let target = Addr::from((host.resolve(server)[0], port));
        let (net, next_beat) = (host.net(), host.tyme());
        Pinger {
            net,
            host: host.clone(),
            target,
            beat,
            next_beat,
            stream: None,
            up: false,
            numbers: 0,
            left: Vec::new(),
            got: Vec::new(),
            sent: 0,
            goal,
            answered: 0,
            connects: 0,
            wrong: 0,
        }
    }

    pub fn done(&self) -> bool {
        self.answered >= self.goal
    }

    fn lose(&mut self, why: &str) {
        self.host.note(format!("lost: {why}"));
        self.stream = None;
        self.up = false;
        self.got.clear();
        self.left.clear();
        self.sent = self.answered;
    }

    fn connect(&mut self) {
        match self.net.connect(&Dial::new(self.target.clone())) {
            Ok(mut stream) => {
                self.numbers += 1;
                stream.register(Token(self.numbers)).unwrap();
                self.stream = Some(stream);
                self.connects += 1;
            }
            Err(error) => self.lose(&error.kind().to_string()),
        }
    }

    fn pump(&mut self) -> Result<(), ErrorKind> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if !self.up {
            self.up = stream.connected().map_err(|error| error.kind())?;
            if !self.up {
                return Ok(());
            }
        }
        while !self.left.is_empty() {
            match stream.write(&[IoSlice::new(&self.left)]) {
                Ok(count) => drop(self.left.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.kind()),
            }
        }
        let mut buf = [0; 512];
        loop {
            match stream.read(&mut buf) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof),
                Ok(count) => self.got.extend_from_slice(&buf[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.kind()),
            }
        }
        while self.got.len() >= 8 {
            let number = u64::from_be_bytes(self.got[..8].try_into().unwrap());
            self.got.drain(..8);
            self.wrong += u64::from(number != self.answered);
            self.answered += 1;
        }
        Ok(())
    }
}

impl Doer for Pinger {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        let mut ready = Vec::new();
        self.net.harvest(None, &mut ready).unwrap();
        if let Err(kind) = self.pump() {
            self.lose(&kind.to_string());
        }
        if self.done() {
            self.stream = None;
            return Ok(Recur::Again);
        }
        if now >= self.next_beat {
            self.next_beat = now + self.beat;
            if self.stream.is_none() {
                self.connect();
            }
            if self.sent < self.goal {
                self.left.extend(self.sent.to_be_bytes());
                self.sent += 1;
            }
            if let Err(kind) = self.pump() {
                self.lose(&kind.to_string());
            }
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        if self.done() { Wake::OnIo } else { Wake::At(self.next_beat) }
    }
}
