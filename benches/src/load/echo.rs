//! Connections that stay, each with so many messages under way.

use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::load::{Load, Watch, check, connect};
use crate::pattern::{LONGEST, Pattern};

const SCRATCH: usize = 256 * 1024;

struct Connection {
    stream: TcpStream,
    index: usize,
    sent: u64,
    received: u64,
    /// Where to stop sending: what has been answered, and `depth` messages more.
    credit: u64,
    /// Room in the socket, as far as we know.
    writable: bool,
}

/// Runs the load, announces its figures, and sees every last reply in.
pub fn run(load: &Load, port: u16, server: u32, pattern: &Pattern) -> Outcome<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut connections = open(load, port, &poll)?;
    let mut scratch = vec![0; SCRATCH];
    let size = load.size as u64;
    for connection in &mut connections {
        connection.credit = size * load.depth as u64;
        connection.send(pattern)?;
    }
    let mut watch = Watch::new(load, server);
    let mut messages = 0;
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
            let connection = &mut connections[event.token().0];
            connection.writable |= event.is_writable();
            if event.is_readable() {
                let before = connection.received / size;
                connection.receive(&mut scratch, pattern)?;
                let answered = connection.received / size;
                messages += answered - before;
                if !closing {
                    connection.credit = (answered + load.depth as u64) * size;
                } else if answered > before && connection.received == connection.credit {
                    under_way -= 1;
                }
            }
            connection.send(pattern)?;
        }
        if !closing && watch.over(messages)? {
            closing = true;
        }
    }
    Ok(())
}

fn open(load: &Load, port: u16, poll: &Poll) -> Outcome<Vec<Connection>> {
    (0..load.connections)
        .map(|index| {
            let stream = connect(index, port)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interest)?;
            Ok(Connection { stream, index, sent: 0, received: 0, credit: 0, writable: true })
        })
        .collect()
}

impl Connection {
    fn send(&mut self, pattern: &Pattern) -> Outcome<()> {
        while self.writable && self.sent < self.credit {
            let len = (self.credit - self.sent).min(LONGEST as u64) as usize;
            match self.stream.write(pattern.at(self.index, self.sent, len)) {
                Ok(count) => {
                    self.sent += count as u64;
                    self.writable = count == len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self, scratch: &mut [u8], pattern: &Pattern) -> Outcome<()> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => {
                    check(&scratch[..count], pattern.at(self.index, self.received, count))?;
                    self.received += count as u64;
                    if self.received > self.sent {
                        return Err("more came back than was sent".into());
                    }
                    if count < scratch.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
