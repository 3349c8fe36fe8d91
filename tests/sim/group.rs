//! Datagrams for many, and sockets that share a port, in a simulated world.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Datagram, GramOption, Interface};

fn count(socket: &mut Box<dyn Datagram>) -> usize {
    let mut buf = [0; 64];
    (0..100).take_while(|_| socket.receive(&mut buf).is_ok()).count()
}

fn bind(port: u16, change: impl FnOnce(&mut Bind)) -> Bind {
    let mut bind = Bind::new(([0, 0, 0, 0], port));
    change(&mut bind);
    bind
}

#[test]
fn broadcast_wants_its_option_and_reaches_all() {
    let mut pair = Pair::new();
    let mut there = pair.server_net.bind(&bind(9, |_| {})).unwrap();
    let mut here = pair.client_net.bind(&bind(9, |_| {})).unwrap();
    let to: Addr = "255.255.255.255:9".parse().unwrap();
    assert_eq!(here.send(b"x", &to).unwrap_err().kind(), ErrorKind::PermissionDenied);
    here.set_option(GramOption::Broadcast(true)).unwrap();
    here.send(b"x", &to).unwrap();
    pair.run(millis(5));
    assert_eq!((count(&mut there), count(&mut here)), (1, 1));
    // Who is bound to an address of its own hears none.
    let own = (pair.world.host(pair.server).addrs()[0], 10);
    let mut bound = pair.server_net.bind(&Bind::new(own)).unwrap();
    let mut sender = pair.client_net.bind(&bind(0, |bind| bind.broadcast = true)).unwrap();
    sender.send(b"x", &"255.255.255.255:10".parse().unwrap()).unwrap();
    pair.run(millis(5));
    assert_eq!(count(&mut bound), 0);
}

#[test]
fn multicast_reaches_who_has_joined() {
    let mut pair = Pair::new();
    let group = "224.1.2.3".parse().unwrap();
    let to = Addr::from((group, 9));
    let share = |bind: &mut Bind| bind.reuse_addr = true;
    let mut one = pair.server_net.bind(&bind(9, share)).unwrap();
    let mut two = pair.server_net.bind(&bind(9, share)).unwrap();
    let mut not = pair.server_net.bind(&bind(9, share)).unwrap();
    let mut own = pair.client_net.bind(&bind(9, |_| {})).unwrap();
    for socket in [&mut one, &mut two, &mut own] {
        socket.set_option(GramOption::Join(group, Interface::Any)).unwrap();
    }
    let again = one.set_option(GramOption::Join(group, Interface::Any)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AddrInUse);
    own.send(b"x", &to).unwrap();
    pair.run(millis(5));
    let got = [&mut one, &mut two, &mut not, &mut own].map(count);
    assert_eq!(got, [1, 1, 0, 1]);
    own.set_option(GramOption::MulticastLoop(false)).unwrap();
    one.set_option(GramOption::Leave(group, Interface::Any)).unwrap();
    own.send(b"x", &to).unwrap();
    pair.run(millis(5));
    assert_eq!([&mut one, &mut two, &mut not, &mut own].map(count), [0, 1, 0, 0]);
    own.set_option(GramOption::MulticastTtl(0)).unwrap();
    own.send(b"x", &to).unwrap();
    pair.run(millis(5));
    assert_eq!([&mut one, &mut two, &mut not, &mut own].map(count), [0; 4]);
    assert!(own.set_option(GramOption::Ttl(0)).is_err());
    assert!(own.set_option(GramOption::Join([10, 0, 0, 1].into(), Interface::Any)).is_err());
}

#[test]
fn a_port_is_shared_by_those_that_both_agree() {
    let mut pair = Pair::new();
    let addr = |bind: &mut Bind| bind.reuse_addr = true;
    let port = |bind: &mut Bind| bind.reuse_port = true;
    let mut first = pair.server_net.bind(&bind(9, addr)).unwrap();
    for refused in [bind(9, |_| {}), bind(9, port)] {
        let error = pair.server_net.bind(&refused).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
    let mut second = pair.server_net.bind(&bind(9, addr)).unwrap();
    let mut callers: Vec<_> =
        (0..20).map(|_| pair.client_net.bind(&bind(0, |_| {})).unwrap()).collect();
    let to = pair.target(9);
    callers.iter_mut().for_each(|caller| caller.send(b"x", &to).unwrap());
    pair.run(millis(5));
    assert_eq!((count(&mut first), count(&mut second)), (0, 20), "the latest");
    let mut spread: Vec<_> =
        (0..2).map(|_| pair.server_net.bind(&bind(10, port)).unwrap()).collect();
    let to = pair.target(10);
    callers.iter_mut().for_each(|caller| caller.send(b"x", &to).unwrap());
    pair.run(millis(5));
    let got: Vec<_> = spread.iter_mut().map(count).collect();
    assert!(got[0] > 0 && got[1] > 0 && got[0] + got[1] == 20, "{got:?}");
}

#[test]
fn buffer_sizes_are_told() {
    let mut pair = Pair::new();
    let plain = pair.client_net.bind(&bind(0, |_| {})).unwrap().buffer_sizes().unwrap();
    assert_eq!((plain.recv, plain.send), (212_992, 212_992));
    let wide = bind(0, |bind| bind.send_buffer = Some(300_000));
    assert_eq!(pair.client_net.bind(&wide).unwrap().buffer_sizes().unwrap().send, 300_000);
}

/// Broadcast is IPv4: who is bound to all addresses hears it, unless it is for IPv6 alone.
#[test]
fn broadcast_reaches_sockets_of_both_families_but_none_for_ipv6_alone() {
    for only_v6 in [false, true] {
        let mut pair = Pair::new();
        let mut six: Bind = "[::]:9".parse().unwrap();
        six.only_v6 = Some(only_v6);
        let mut there = pair.server_net.bind(&six).unwrap();
        let mut here = pair.client_net.bind(&bind(0, |bind| bind.broadcast = true)).unwrap();
        here.send(b"x", &"255.255.255.255:9".parse().unwrap()).unwrap();
        pair.run(millis(5));
        assert_eq!(count(&mut there), usize::from(!only_v6));
    }
}
