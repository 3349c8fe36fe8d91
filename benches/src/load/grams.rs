//! Senders of datagrams, each with so many under way.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::load::{Load, Watch, check, source};
use crate::pattern::Pattern;

/// Runs the load, announces its figures, and sees every last reply in. On one machine nothing is lost that has room, and room is minded by those who choose how
/// many are under way: a lost one is an error.
pub fn run(load: &Load, port: u16, server: u32, pattern: &Pattern) -> Outcome<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut senders = Vec::new();
    for index in 0..load.connections {
        let mut socket = UdpSocket::bind(source(index))?;
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
        for _ in 0..load.depth {
            socket.send(pattern.at(index, 0, load.size))?;
        }
        senders.push(socket);
    }
    let mut watch = Watch::new(load, server);
    let mut scratch = vec![0; load.size + 1];
    let mut messages = 0;
    let mut closing = false;
    let mut under_way = load.connections * load.depth;
    while under_way > 0 {
        let wait = if closing { std::time::Duration::from_secs(10) } else { watch.left() };
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if closing && events.is_empty() {
            return Err(format!("{under_way} datagrams were lost").into());
        }
        for event in &events {
            let index = event.token().0;
            let answered = receive(&senders[index], &mut scratch, pattern.at(index, 0, load.size))?;
            messages += answered;
            if closing {
                under_way -= answered as usize;
                continue;
            }
            for _ in 0..answered {
                senders[index].send(pattern.at(index, 0, load.size))?;
            }
        }
        if !closing && watch.over(messages)? {
            closing = true;
        }
    }
    Ok(())
}

/// Receives and checks all that is there; returns how many.
fn receive(socket: &UdpSocket, scratch: &mut [u8], expected: &[u8]) -> Outcome<u64> {
    let mut count = 0;
    loop {
        match socket.recv(scratch) {
            Ok(len) => {
                check(&scratch[..len], expected)?;
                count += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
