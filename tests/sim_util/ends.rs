//! Ends of connections that write patterns, and check what they read against the pattern of the other end.
#![allow(clippy::cast_possible_truncation, reason = "patterns wrap")]

use std::io::ErrorKind;
use std::net::Shutdown;

use tymist::net::{Net, Stream};

use super::{harvest, token, write};

/// What one end has done and seen.
pub struct End {
    pub stream: Option<Box<dyn Stream>>,
    /// Names the connection on both sides: the caller's address and the other.
    pub name: String,
    /// The caller's port, by which patterns differ; of Unix sockets a number made of its name.
    pub port: u16,
    pub caller: bool,
    pub readable: bool,
    pub writable: bool,
    pub ending: bool,
    pub up: bool,
    pub sent: u64,
    pub finished: bool,
    pub got: u64,
    pub ended: bool,
    /// It has said that it will read no more: its end is none of the other's.
    pub deaf: bool,
    pub failed: Option<ErrorKind>,
}

impl End {
    pub fn new(stream: Box<dyn Stream>, caller: bool) -> Self {
        let (ours, theirs) = (stream.local_addr(), stream.peer_addr());
        let (from, to) = if caller { (ours, theirs) } else { (theirs, ours) };
        let name = format!("{from} to {to}");
        let number = || name.bytes().fold(0_u16, |sum, it| sum.rotate_left(3) ^ u16::from(it));
        let port = from.port().unwrap_or_else(number);
        End {
            stream: Some(stream),
            name,
            port,
            caller,
            readable: false,
            writable: false,
            ending: false,
            up: !caller,
            sent: 0,
            finished: false,
            got: 0,
            ended: false,
            deaf: false,
            failed: None,
        }
    }

    fn byte(port: u16, caller: bool, offset: u64) -> u8 {
        let mix = offset.wrapping_mul(0x9e37_79b9) ^ u64::from(port) << 3 ^ u64::from(caller);
        (mix ^ mix >> 11) as u8
    }

    fn fail(&mut self, kind: ErrorKind) {
        self.failed = Some(kind);
        self.stream = None;
    }

    pub fn come_up(&mut self) {
        if self.up || !self.writable {
            return;
        }
        match self.stream.as_mut().map(|stream| stream.connected()) {
            Some(Ok(up)) => self.up = up,
            Some(Err(error)) => self.fail(error.kind()),
            None => {}
        }
    }

    pub fn write(&mut self, len: u64) {
        if !self.up || !self.writable || self.finished {
            return;
        }
        let data: Vec<u8> = (self.sent..self.sent + len)
            .map(|offset| Self::byte(self.port, self.caller, offset))
            .collect();
        let Some(stream) = &mut self.stream else { return };
        match write(stream, &data) {
            Ok(count) => self.sent += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
            Err(error) => self.fail(error.kind()),
        }
    }

    pub fn read(&mut self, len: usize) {
        if !self.up || !self.readable || self.ended {
            return;
        }
        let Some(stream) = &mut self.stream else { return };
        let mut buf = vec![0; len];
        match stream.read(&mut buf) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                for (offset, &byte) in (self.got..).zip(&buf[..count]) {
                    let right = Self::byte(self.port, !self.caller, offset);
                    assert_eq!(byte, right, "byte {offset} of port {}", self.port);
                }
                self.got += count as u64;
                if count < len && !self.ending {
                    self.readable = !stream.short_read_drains();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) => self.fail(error.kind()),
        }
    }

    /// Reads no more than what is there.
    pub fn turn_away(&mut self) {
        if self.up
            && let Some(stream) = &mut self.stream
        {
            self.deaf = true;
            if let Err(error) = stream.shutdown(Shutdown::Read) {
                self.fail(error.kind());
            }
        }
    }

    pub fn finish(&mut self) {
        if self.up
            && !self.finished
            && let Some(stream) = &mut self.stream
        {
            match stream.shutdown(Shutdown::Write) {
                Ok(()) => self.finished = true,
                Err(error) => self.fail(error.kind()),
            }
        }
    }
}

/// All ends of one host, on one poller.
pub struct Side {
    pub net: Box<dyn Net>,
    pub ends: Vec<End>,
}

impl Side {
    pub fn add(&mut self, mut stream: Box<dyn Stream>, caller: bool) {
        stream.register(token(self.ends.len())).unwrap();
        self.ends.push(End::new(stream, caller));
    }

    pub fn harvest(&mut self) -> bool {
        let mut listener = false;
        for ready in harvest(&mut self.net) {
            let Some(end) = self.ends.get_mut(ready.token.0) else {
                listener = true;
                continue;
            };
            end.readable |= ready.readable;
            end.writable |= ready.writable;
            end.ending |= ready.ending;
            end.come_up();
        }
        listener
    }
}
