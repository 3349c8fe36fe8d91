//! Echo of datagrams: the least that does it, and ours.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use tymist::{GramConfig, Peer};

use crate::Outcome;
use crate::servers::{SCRATCH, announce};

/// One buffer, each datagram answered as soon as it is read; what finds no room is lost, as datagrams may be.
pub fn mio() -> Outcome<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    announce(socket.local_addr()?.port());
    let mut scratch = vec![0; SCRATCH];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        loop {
            match socket.recv_from(&mut scratch) {
                Ok((len, from)) => match socket.send_to(&scratch[..len], from) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Err(error.into());
                    }
                    _ => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// As a user writes it, with every limit on.
pub fn tymist() -> Outcome<()> {
    let mut peer = Peer::new(GramConfig::new());
    peer.open((Ipv4Addr::LOCALHOST, 0))?;
    announce(peer.local_addr().port().ok_or("no port")?);
    loop {
        peer.wait(None);
        peer.service();
        peer.clear_events();
        while let Some(gram) = peer.take() {
            peer.tx_bytes(gram.data, gram.from)?;
        }
    }
}
