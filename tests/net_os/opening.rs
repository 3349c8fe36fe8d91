//! Listening and connecting.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::io::Read;
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::{Addr, Dial, Listen, Net};

use super::{
    LISTENER, STREAM, accept, alone, connect, loopback, pending, receive, refused, report, until,
    would_block,
};

#[test]
fn port_0_is_picked_and_told() {
    let mut net = OsNet::new();
    let listeners: Vec<_> = (0..3).map(|_| net.listen(&loopback()).unwrap()).collect();
    let ports: BTreeSet<_> =
        listeners.iter().map(|listener| listener.local_addr().port().unwrap()).collect();
    assert_eq!(ports.len(), 3);
    assert!(!ports.contains(&0));
    for listener in &listeners {
        assert_eq!(listener.local_addr().ip(), loopback().addr.ip());
    }
}

#[test]
fn both_ends_see_the_same_two_addresses() {
    let mut net = OsNet::new();
    for addr in ["127.0.0.1:0", ":0", "[::1]:0", "[::]:0"] {
        let mut listener = net.listen(&addr.parse().unwrap()).unwrap();
        listener.register(LISTENER).unwrap();
        let far = connect(listener.local_addr());
        let near = accept(&mut net, &mut *listener);
        assert_eq!(*near.local_addr(), Addr::from(far.peer_addr().unwrap()), "{addr}");
        assert_eq!(*near.peer_addr(), Addr::from(far.local_addr().unwrap()), "{addr}");
    }
}

/// All of IPv4, as IPv6 carries that: whoever came had that for our end, and it was no address to connect to.
#[test]
fn regression_the_unspecified_address_may_be_a_mapped_one() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&"[::ffff:0.0.0.0]:0".parse().unwrap()).unwrap();
    listener.register(LISTENER).unwrap();
    let reachable = listener.local_addr().reachable();
    assert_eq!(reachable.ip(), loopback().addr.ip());
    let far = connect(&reachable);
    let near = accept(&mut net, &mut *listener);
    assert_eq!(near.local_addr().ip(), loopback().addr.ip());
    assert_eq!(near.local_addr().port(), Some(far.peer_addr().unwrap().port()));
}

#[test]
fn a_port_in_use_is_an_error() {
    let mut net = OsNet::new();
    let first = net.listen(&loopback()).unwrap();
    let again = Listen::new(first.local_addr().clone());
    assert_eq!(refused(net.listen(&again)), ErrorKind::AddrInUse);
    drop(first);
    assert!(net.listen(&again).is_ok(), "free again once it is dropped");
}

#[test]
fn an_address_of_another_machine_or_kind_is_an_error() {
    let mut net = OsNet::new();
    let elsewhere: Listen = "192.0.2.1:0".parse().unwrap(); // RFC 5737: nobody's
    assert_eq!(refused(net.listen(&elsewhere)), ErrorKind::AddrNotAvailable);
    assert_eq!(refused(net.listen(&Listen::new(Addr::Unnamed))), ErrorKind::Unsupported);
    assert_eq!(refused(net.connect(&Dial::new(Addr::Unnamed))), ErrorKind::Unsupported);
}

#[test]
fn ipv6_carries_bytes() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&"[::1]:0".parse().unwrap()).unwrap();
    listener.register(LISTENER).unwrap();
    let mut far = connect(listener.local_addr());
    let mut near = accept(&mut net, &mut *listener);
    near.register(STREAM).unwrap();
    std::io::Write::write_all(&mut far, b"six").unwrap();
    assert_eq!(receive(&mut net, &mut *near, 3), b"six");
}

#[test]
fn dual_stack_is_a_choice() {
    let mut net = OsNet::new();
    let mut both: Listen = "[::]:0".parse().unwrap();
    both.only_v6 = Some(false);
    let mut listener = net.listen(&both).unwrap();
    listener.register(LISTENER).unwrap();
    let port = listener.local_addr().port().unwrap();

    // The IPv4 side is taken, and served.
    let four = Addr::from((alone(79).ip().unwrap(), port));
    assert_eq!(refused(net.listen(&Listen::new(four.clone()))), ErrorKind::AddrInUse);
    let far = connect(&four);
    let near = accept(&mut net, &mut *listener);
    assert_eq!(near.local_addr().ip(), four.ip(), "as IPv4");
    assert_eq!(near.peer_addr().port(), Some(far.local_addr().unwrap().port()));
    drop((listener, near, far));

    // The IPv4 side is free for another.
    let mut six: Listen = "[::]:0".parse().unwrap();
    six.only_v6 = Some(true);
    let listener = net.listen(&six).unwrap();
    let four = Addr::from((alone(79).ip().unwrap(), listener.local_addr().port().unwrap()));
    assert!(net.listen(&Listen::new(four)).is_ok());
}

/// Dials `count` connections that nobody accepts; returns how many come up before the queue is full.
fn queued(backlog: u32, count: usize) -> usize {
    let mut net = OsNet::new();
    let mut spec = loopback();
    spec.backlog = backlog;
    let listener = net.listen(&spec).unwrap();
    let dial = Dial::new(listener.local_addr().clone());
    let mut streams: Vec<_> = (0..count).map(|_| net.connect(&dial).unwrap()).collect();
    for stream in &mut streams {
        stream.register(STREAM).unwrap();
    }
    let mut up = 0;
    let mut ready = Vec::new();
    for _ in 0..10 {
        net.harvest(Some(Duration::from_millis(5)), &mut ready).unwrap();
        up = streams
            .iter_mut()
            .filter_map(|stream| stream.connected().unwrap().then_some(()))
            .count();
    }
    up
}

#[test]
fn the_backlog_bounds_the_queue() {
    assert_eq!(queued(64, 8), 8);
    let few = queued(1, 8);
    assert!((1..=4).contains(&few), "{few} of 8 queued with a backlog of 1");
}

/// hio's behaviour 15.
#[test]
fn a_port_can_be_bound_again_while_old_connections_linger() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&Listen::new(alone(77))).unwrap();
    listener.register(LISTENER).unwrap();
    let mut far = connect(listener.local_addr());
    drop(accept(&mut net, &mut *listener)); // we close first, so the wait is ours
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    drop(far);
    let mut again = Listen::new(listener.local_addr().clone());
    drop(listener);

    again.reuse_addr = false;
    assert_eq!(refused(net.listen(&again)), ErrorKind::AddrInUse, "or nothing lingers here");
    again.reuse_addr = true;
    assert!(net.listen(&again).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn listeners_share_a_port_if_all_of_them_want_to() {
    let mut net = OsNet::new();
    let mut spec = loopback();
    spec.reuse_port = true;
    let mut one = net.listen(&spec).unwrap();
    spec.addr = one.local_addr().clone();
    let mut two = net.listen(&spec).unwrap();
    assert_eq!(one.local_addr(), two.local_addr());

    let far: Vec<_> = (0..64).map(|_| connect(one.local_addr())).collect();
    let mut counts = [0, 0];
    until(&mut net, "all connections", |_| {
        for (count, listener) in counts.iter_mut().zip([&mut one, &mut two]) {
            while pending(listener.accept())?.is_some() {
                *count += 1;
            }
        }
        Ok((counts[0] + counts[1] == far.len()).then_some(()))
    });
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}: spread over both");

    spec.reuse_port = false;
    assert_eq!(refused(net.listen(&spec)), ErrorKind::AddrInUse);
}

#[test]
fn a_dialled_connection_comes_up_and_carries_bytes_both_ways() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&loopback()).unwrap();
    listener.register(LISTENER).unwrap();
    let mut dial = Dial::new(listener.local_addr().clone());
    dial.local = Some(alone(80));
    let mut client = net.connect(&dial).unwrap();
    client.register(STREAM).unwrap();
    report(&mut net, STREAM, |report| report.writable);
    assert!(client.connected().unwrap());
    let mut server = accept(&mut net, &mut *listener);
    server.register(super::Token(3)).unwrap();
    assert_eq!(client.local_addr(), server.peer_addr());
    assert_eq!(client.peer_addr(), server.local_addr());
    assert_eq!(client.local_addr().ip(), alone(80).ip(), "the end that we chose");

    client.write(&[std::io::IoSlice::new(b"to")]).unwrap();
    assert_eq!(receive(&mut net, &mut *server, 2), b"to");
    server.write(&[std::io::IoSlice::new(b"and fro")]).unwrap();
    assert_eq!(receive(&mut net, &mut *client, 7), b"and fro");
    would_block(client.read(&mut [0; 9]));
}

/// A loopback address and port where nobody listens.
fn deserted(net: &mut OsNet, last: u8) -> Addr {
    net.listen(&Listen::new(alone(last))).unwrap().local_addr().clone()
}

#[test]
fn a_connect_to_a_closed_port_is_refused() {
    let mut net = OsNet::new();
    let dial = Dial::new(deserted(&mut net, 81));
    // The loopback may know at once, before connect returns.
    let refusal = match net.connect(&dial) {
        Err(error) => error,
        Ok(mut stream) => {
            stream.register(STREAM).unwrap();
            report(&mut net, STREAM, |report| report.ending);
            stream.connected().err().unwrap()
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused);
}

/// The queue is full, so that the connect hangs; then the listener goes, so that its next try is refused.
#[cfg(target_os = "linux")]
#[test]
fn a_refusal_that_comes_later_is_told_by_connected() {
    let mut net = OsNet::new();
    let mut spec = Listen::new(alone(82));
    spec.backlog = 0;
    let listener = net.listen(&spec).unwrap();
    let dial = Dial::new(listener.local_addr().clone());
    let _first = net.connect(&dial).unwrap();
    let mut hanging = net.connect(&dial).unwrap();
    hanging.register(STREAM).unwrap();
    assert!(!hanging.connected().unwrap(), "not yet, and no error");
    drop(listener);
    let refusal = until(&mut net, "a refusal", |_| Ok(hanging.connected().err()));
    assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused);
}
