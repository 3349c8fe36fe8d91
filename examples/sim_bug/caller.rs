//! A client that knows what must come back, and tells the first byte that is another.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Addr, Dial, Net, Stream, Token};
use tymist::sim::Host;
use tymist::tyme::Tyme;

use super::service::PORT;
use super::{Finding, WrongByte};

/// From one message to the next; answers are not waited for.
const BEAT: Duration = Duration::from_millis(100);

pub(crate) struct Caller {
    net: Box<dyn Net>,
    stream: Option<Box<dyn Stream>>,
    number: usize,
    /// Messages not yet made.
    left: u32,
    next: Tyme,
    unsent: Vec<u8>,
    awaited: VecDeque<u8>,
    offset: usize,
    finding: Finding,
}

impl Caller {
    pub(crate) fn new(host: &Host, number: usize, messages: u32, finding: Finding) -> Self {
        let mut net = host.net();
        let target = host.resolve("server").first().map(|&ip| Dial::new(Addr::from((ip, PORT))));
        let mut stream = target.and_then(|dial| net.connect(&dial).ok());
        if let Some(stream) = &mut stream
            && let Err(error) = stream.register(Token(0))
        {
            host.note(error.to_string());
        }
        Caller {
            net,
            stream,
            number,
            left: messages,
            next: host.tyme(),
            unsent: Vec::new(),
            awaited: VecDeque::new(),
            offset: 0,
            finding,
        }
    }

    /// The next message: its length and its bytes follow from its number.
    fn speak(&mut self) {
        let len = u16::try_from(1 + self.left * 37 % 300).unwrap_or(1);
        let body = (0..len).map(|at| at.to_be_bytes()[1] ^ self.left.to_be_bytes()[3]);
        let header = len.to_be_bytes();
        self.unsent.extend(header.into_iter().chain(body.clone()));
        self.awaited.extend(header.into_iter().chain(body.map(|byte| !byte)));
        self.left -= 1;
    }

    fn pump(&mut self, now: Tyme) -> Result<(), ErrorKind> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if !stream.connected().map_err(|error| error.kind())? {
            return Ok(());
        }
        while !self.unsent.is_empty() {
            match stream.write(&[IoSlice::new(&self.unsent)]) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.kind()),
            }
        }
        let mut buf = [0; 4096];
        loop {
            let count = match stream.read(&mut buf) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.kind()),
            };
            for &got in &buf[..count] {
                let wanted = self.awaited.pop_front().unwrap_or(!got);
                if got != wanted {
                    let (client, offset) = (self.number, self.offset);
                    let wrong = WrongByte { at: now, client, offset, wanted, got };
                    self.finding.borrow_mut().get_or_insert(wrong);
                    return Ok(());
                }
                self.offset += 1;
            }
        }
    }
}

impl Doer for Caller {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        let mut ready = Vec::new();
        // A harvest in a world has nothing that could fail.
        let _ = self.net.harvest(None, &mut ready);
        if self.left > 0 && self.next <= now {
            self.next = now + BEAT;
            self.speak();
        }
        if self.pump(now).is_err() {
            self.stream = None;
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        if self.left > 0 { Wake::At(self.next) } else { Wake::OnIo }
    }
}
