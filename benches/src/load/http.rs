//! Connections that stay and ask for the same page, one request under way on each.

use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::load::{Load, Watch, connect};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n";
const BODY: &[u8] = b"Hello, World!";

struct Connection {
    stream: TcpStream,
    reply: Vec<u8>,
}

/// Runs the load, announces its figures, and sees every last reply in.
pub fn run(load: &Load, port: u16, server: u32) -> Outcome<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut connections = Vec::new();
    for index in 0..load.connections {
        let stream = connect(index, port)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        let mut connection = Connection { stream, reply: Vec::new() };
        connection.ask()?;
        connections.push(connection);
    }
    let mut watch = Watch::new(load, server);
    let mut requests = 0;
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
            if !connection.receive()? {
                continue;
            }
            requests += 1;
            if closing {
                under_way -= 1;
            } else {
                connection.ask()?;
            }
        }
        if !closing && watch.over(requests)? {
            closing = true;
        }
    }
    Ok(())
}

impl Connection {
    fn ask(&mut self) -> Outcome<()> {
        // Small, and all before it was answered: it fits.
        if self.stream.write(REQUEST)? == REQUEST.len() {
            Ok(())
        } else {
            Err("a request did not fit into an empty socket".into())
        }
    }

    /// Reads what is there; true when the reply is whole, which it must be, and right.
    fn receive(&mut self) -> Outcome<bool> {
        let mut buf = [0; 4096];
        loop {
            match self.stream.read(&mut buf) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => self.reply.extend_from_slice(&buf[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            let Some(head) = self.reply.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let body = &self.reply[head + 4..];
            if body.len() < BODY.len() {
                continue;
            }
            let lower = self.reply[..head].to_ascii_lowercase();
            let has = |header: &[u8]| lower.windows(header.len()).any(|part| part == header);
            let right = self.reply.starts_with(b"HTTP/1.1 200 OK\r\n")
                && has(b"content-length: 13")
                && has(b"date: ")
                && body == BODY;
            if !right {
                return Err("a reply is not the page".into());
            }
            self.reply.clear();
            return Ok(true);
        }
    }
}
