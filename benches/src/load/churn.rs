//! Connections that exchange one message and are closed, so many at once.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::load::{Load, Watch, check, socket};
use crate::pattern::Pattern;

struct Connection {
    stream: TcpStream,
    index: usize,
    sent: bool,
    received: usize,
}

/// Runs the load and announces its figures.
pub fn run(load: &Load, port: u16, server: u32, pattern: &Pattern) -> Outcome<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut reply = vec![0; load.size];
    let mut opened = 0;
    let mut connections = Vec::new();
    for slot in 0..load.connections {
        connections.push(open(&poll, slot, &mut opened, port)?);
    }
    let mut watch = Watch::new(load, server);
    let mut exchanges = 0;
    let mut closing = false;
    let mut under_way = connections.len();
    while under_way > 0 {
        let wait = if closing { std::time::Duration::from_secs(10) } else { watch.left() };
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if closing && events.is_empty() {
            return Err(format!("{under_way} connections were left without their replies").into());
        }
        for event in &events {
            let slot = event.token().0;
            let connection = &mut connections[slot];
            if !connection.exchange(&mut reply, pattern)? {
                continue;
            }
            exchanges += 1;
            if closing {
                connection.received = 0;
                under_way -= 1;
            } else {
                // The old one is closed by being dropped here.
                *connection = open(&poll, slot, &mut opened, port)?;
            }
        }
        if !closing && watch.over(exchanges)? {
            closing = true;
        }
    }
    Ok(())
}

fn open(poll: &Poll, slot: usize, opened: &mut usize, port: u16) -> Outcome<Connection> {
    let index = *opened;
    *opened += 1;
    let socket = socket(index)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error.into()),
        _ => {}
    }
    let mut stream = TcpStream::from_std(socket.into());
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, Token(slot), interest)?;
    Ok(Connection { stream, index, sent: false, received: 0 })
}

impl Connection {
    /// Goes on as far as it can; true when the reply is whole and right.
    fn exchange(&mut self, reply: &mut [u8], pattern: &Pattern) -> Outcome<bool> {
        let message = pattern.at(self.index, 0, reply.len());
        if !self.sent {
            match self.stream.write(message) {
                Ok(count) if count == message.len() => self.sent = true,
                Ok(_) => return Err("a message did not fit into an empty socket".into()),
                Err(error) if not_yet(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            return Ok(false);
        }
        loop {
            match self.stream.read(&mut reply[self.received..]) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => self.received += count,
                Err(error) if not_yet(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            if self.received == reply.len() {
                check(reply, message)?;
                return Ok(true);
            }
        }
    }
}

/// Whether a call has to wait: the connection is not up, or nothing is there.
fn not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
