//! Both ends of a forwarder: bytes go in by connections that we make, and come out by those that it makes to us. One way, as fast as they go.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::load::{Load, Watch, check, connect};
use crate::pattern::Pattern;
use crate::servers::announce;

const SCRATCH: usize = 256 * 1024;
/// Bytes offered to one write.
const OFFER: usize = 128 * 1024;

/// The way in.
struct In {
    stream: TcpStream,
    sent: u64,
}

/// The way out.
struct Out {
    stream: TcpStream,
    index: usize,
    received: u64,
}

/// Runs the load: announces the port where it listens, is told the forwarder's port and process, and announces the figures.
pub fn run(load: &Load, pattern: &Pattern) -> Outcome<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(listener.local_addr()?.port());
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let (port, pid) = line.trim().split_once(' ').ok_or("a port and a process are due")?;
    let (port, pid): (u16, u32) = (port.parse()?, pid.parse()?);
    await_listener(port)?;
    let mut poll = Poll::new()?;
    let (mut ins, mut outs) = open(load, &listener, port, &poll)?;
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; SCRATCH];
    let mut watch = Watch::new(load, pid);
    let mut received = 0;
    for (index, way) in ins.iter_mut().enumerate() {
        way.send(index, pattern)?;
    }
    loop {
        match poll.poll(&mut events, Some(watch.left())) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token().0.checked_sub(ins.len()) {
                None => ins[event.token().0].send(event.token().0, pattern)?,
                Some(at) => received += outs[at].receive(&mut scratch, pattern)?,
            }
        }
        if watch.over(received)? {
            return Ok(());
        }
    }
}

/// Waits until the forwarder listens, by a connection that is given up again.
fn await_listener(port: u16) -> Outcome<()> {
    let begun = Instant::now();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    loop {
        match std::net::TcpStream::connect(addr) {
            Ok(_) => break,
            Err(error) if begun.elapsed() > Duration::from_secs(5) => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    Ok(())
}

/// Connections to the forwarder, and those that come of them.
fn open(
    load: &Load,
    listener: &TcpListener,
    port: u16,
    poll: &Poll,
) -> Outcome<(Vec<In>, Vec<Out>)> {
    let (mut ins, mut outs) = (Vec::new(), Vec::new());
    let interest = Interest::READABLE | Interest::WRITABLE;
    for index in 0..load.connections {
        let mut stream = connect(index, port)?;
        stream.write_all(&[u8::try_from(index)?])?;
        let out = accepted(listener, u8::try_from(index)?)?;
        for stream in [&stream, &out] {
            stream.set_nonblocking(true)?;
        }
        let (mut stream, mut out) = (TcpStream::from_std(stream), TcpStream::from_std(out));
        poll.registry().register(&mut stream, Token(index), Interest::WRITABLE)?;
        poll.registry().register(&mut out, Token(load.connections + index), interest)?;
        ins.push(In { stream, sent: 0 });
        outs.push(Out { stream: out, index, received: 0 });
    }
    Ok((ins, outs))
}

/// The forwarder's next connection that brings `first`; one that brings nothing was only a look.
fn accepted(listener: &TcpListener, first: u8) -> Outcome<std::net::TcpStream> {
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) if byte[0] == first => return Ok(stream),
            Ok(1) => return Err("a connection brought what another one sent".into()),
            _ => {}
        }
    }
}

impl In {
    fn send(&mut self, index: usize, pattern: &Pattern) -> Outcome<()> {
        loop {
            match self.stream.write(pattern.at(index, self.sent, OFFER)) {
                Ok(count) => {
                    self.sent += count as u64;
                    if count < OFFER {
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

impl Out {
    fn receive(&mut self, scratch: &mut [u8], pattern: &Pattern) -> Outcome<u64> {
        let before = self.received;
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err("the forwarder closed a connection".into()),
                Ok(count) => {
                    check(&scratch[..count], pattern.at(self.index, self.received, count))?;
                    self.received += count as u64;
                    if count < scratch.len() {
                        return Ok(self.received - before);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(self.received - before);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
