//! The measure: a minimal, hand-written, edge-triggered echo server on mio.
//!
//! It does what any honest server must: closes when the peer has, passes on all that came before, and stops reading while its
//! output is blocked. It does it the cheapest way known: one buffer for all, written back at once, a short read taken for the end
//! of what is there, both interests registered once. It has no limits, timeouts or counters.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::Outcome;
use crate::servers::{SCRATCH, announce, listener};

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// What was read and could not be written yet; while there is any, nothing is read.
    pending: Vec<u8>,
    /// Readiness that came while output was blocked.
    readable: bool,
    /// An end is on its way: read on until it is met.
    ending: bool,
}

/// Whether a connection goes on.
#[derive(PartialEq)]
enum Verdict {
    Keep,
    Close,
}

/// The server, one turn at a time.
pub struct MioEcho {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    connections: Slab<Connection>,
    scratch: Vec<u8>,
}

/// Runs until killed. Each wait ends after `wait` at the latest.
pub fn run(wait: Option<Duration>) -> Outcome<()> {
    let mut server = MioEcho::new()?;
    announce(server.port()?);
    loop {
        server.turn(wait)?;
    }
}

impl MioEcho {
    pub fn new() -> Outcome<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener()?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(MioEcho {
            poll,
            events: Events::with_capacity(1024),
            listener,
            connections: Slab::new(),
            scratch: vec![0; SCRATCH],
        })
    }

    pub fn port(&self) -> Outcome<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Waits up to `wait` and does what there is to do; returns how many events there were.
    pub fn turn(&mut self, wait: Option<Duration>) -> Outcome<usize> {
        match self.poll.poll(&mut self.events, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(error.into()),
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            if event.token() == LISTENER {
                accept_all(&self.listener, &self.poll, &mut self.connections)?;
                continue;
            }
            let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
            connection.readable |= event.is_readable();
            connection.ending |= event.is_read_closed() || event.is_error();
            if connection.serve(&mut self.scratch) == Verdict::Close {
                // Dropping the stream closes it, which takes it off the poll as well.
                self.connections.remove(event.token().0);
            }
        }
        Ok(count)
    }
}

fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<Connection>,
) -> Outcome<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                let entry = connections.vacant_entry();
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                let (readable, ending) = (false, false);
                entry.insert(Connection { stream, pending: Vec::new(), readable, ending });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Connection {
    fn serve(&mut self, scratch: &mut [u8]) -> Verdict {
        if !self.pending.is_empty() {
            match write_some(&mut self.stream, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(_) => return Verdict::Close,
            }
        }
        while self.readable && self.pending.is_empty() {
            match self.stream.read(scratch) {
                Ok(0) => return Verdict::Close,
                Ok(count) => {
                    let drained = count < scratch.len() && !self.ending;
                    self.readable = !drained;
                    match write_some(&mut self.stream, &scratch[..count]) {
                        Ok(sent) if sent == count => {}
                        Ok(sent) => self.pending.extend_from_slice(&scratch[sent..count]),
                        Err(_) => return Verdict::Close,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Verdict::Close,
            }
        }
        Verdict::Keep
    }
}

/// Writes until all is gone or the socket takes no more. A short write is taken for the latter, as tokio does.
fn write_some(stream: &mut TcpStream, data: &[u8]) -> io::Result<usize> {
    loop {
        match stream.write(data) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
