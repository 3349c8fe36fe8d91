//! What Linux does, as a program sees it, where a world once did otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown};

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Dial, GramOption, Interface, KeepAlive, Listen, Stream};
use tymist::sim::{Act, Cut, Errno};

fn told<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.raw_os_error()).and_then(Errno::from_number)
}

/// A connection whose caller asks after 2 s of silence, twice.
fn watched(pair: &mut Pair) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.keep_alive = Some(KeepAlive { idle: 2 * SECOND, interval: SECOND, retries: 2 });
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    assert!(dialled.connected().unwrap());
    (dialled, listener.accept().unwrap())
}

/// Keep-alive is for the idle: where something waits for its acknowledgement, Linux leaves the verdict to the retransmissions, a quarter of an hour later.
#[test]
fn regression_keep_alive_is_no_limit_for_what_is_under_way() {
    let mut pair = Pair::new();
    let (mut dialled, _accepted) = watched(&mut pair);
    pair.world.act(&Act::Partition(Cut::Isolate(pair.client)));
    write_all(&mut dialled, b"into the void");
    pair.run(900 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock);
    pair.run(60 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::TimedOut);
}

/// It ends with a reset, for the peer may hear what it could not answer.
#[test]
fn regression_keep_alive_that_gives_up_resets() {
    let mut pair = Pair::new();
    let (mut dialled, mut accepted) = watched(&mut pair);
    let (from, to) = (pair.server, pair.client);
    pair.world.act(&Act::Partition(Cut::OneWay { from, to }));
    pair.run(10 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::TimedOut);
    assert_eq!(read_error(&mut accepted), ErrorKind::ConnectionReset);
}

/// What is wrong with a datagram is said first; the error that waits stays for the next call.
#[test]
fn regression_a_datagram_that_is_too_long_leaves_the_error_that_waits() {
    let mut pair = Pair::new();
    let mut bind = Bind::new(([0, 0, 0, 0], 0));
    bind.peer = Some(pair.target(53));
    let mut socket = pair.client_net.bind(&bind).unwrap();
    let to = pair.target(53);
    socket.send(b"anybody?", &to).unwrap();
    pair.run(SECOND);
    assert_eq!(told(socket.send(&[0; 65_508], &to)), Some(Errno::Emsgsize));
    assert_eq!(told(socket.receive(&mut [0; 16])), Some(Errno::Econnrefused));
    // Whatever address is given, it goes to the peer.
    let nobody: Addr = Addr::from((Ipv4Addr::LOCALHOST, 0));
    assert_eq!(told(socket.send(b"hello", &nobody)), None);
}

/// An IPv6 header does not count to the length that it tells.
#[test]
fn regression_datagrams_over_ipv6_are_twenty_bytes_longer() {
    let mut pair = Pair::new();
    let six = Bind::new((IpAddr::from(Ipv6Addr::UNSPECIFIED), 0));
    let mut receiver = pair.client_net.bind(&six).unwrap();
    let mut sender = pair.client_net.bind(&six).unwrap();
    let port = receiver.local_addr().port().unwrap();
    let mut send = |ip: IpAddr, len| told(sender.send(&vec![0; len], &Addr::from((ip, port))));
    let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    assert_eq!(send(Ipv6Addr::LOCALHOST.into(), 65_527), None);
    assert_eq!(send(Ipv6Addr::LOCALHOST.into(), 65_528), Some(Errno::Emsgsize));
    assert_eq!(send(mapped, 65_507), None);
    assert_eq!(send(mapped, 65_508), Some(Errno::Emsgsize));
    pair.run(MS);
    assert_eq!(receiver.receive(&mut vec![0; 70_000]).unwrap().len, 65_527);
}
