//! Multicast, on the loopback interface.
#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tymist::net::{Addr, Bind, GramOption, Interface};
use tymist::{GramConfig, Peer};

use super::Rig;

const LOOPBACK: Interface = Interface::Index(1);

/// A receiver of `group`, and a sender on the same interface.
#[track_caller]
fn check(group: IpAddr, any: &str, here: &str, to_join: Interface, out: Interface) {
    let mut rig = Rig::on(any.parse::<Bind>().unwrap(), |_| {});
    let port = rig.addr().port().unwrap();
    let mut sender = Rig::on(here.parse().unwrap(), |_| {});
    sender.peer.set_option(GramOption::MulticastInterface(out)).unwrap();
    sender.peer.set_option(GramOption::MulticastTtl(1)).unwrap();
    sender.peer.set_option(GramOption::Ttl(3)).unwrap();
    let to = Addr::from((group, port));
    let marker = Addr::from((here.parse::<Bind>().unwrap().addr.ip().unwrap(), port));

    let mut send = |rig: &mut Rig, text: &str| {
        sender.peer.tx(text.as_bytes(), &to).unwrap();
        sender.peer.tx(b"marker", &marker).unwrap();
        sender.until(|peer| peer.tx_grams() == 0);
        assert_eq!(sender.peer.counters().unsent, 0, "{:?}", sender.log);
        let first = rig.gram().data;
        if first == "marker" { None } else { Some((first, rig.gram().data)) }
    };
    assert_eq!(send(&mut rig, "not yet"), None);
    rig.peer.join(group, to_join).unwrap();
    assert_eq!(send(&mut rig, "now").unwrap().0, "now");
    assert!(rig.peer.join(group, to_join).is_err(), "twice");
    rig.peer.leave(group, to_join).unwrap();
    assert_eq!(send(&mut rig, "no more"), None);
    assert!(rig.peer.leave(group, to_join).is_err(), "it had left");
}

#[test]
fn an_ipv4_group_is_joined_and_left() {
    let here = Interface::Addr(Ipv4Addr::LOCALHOST);
    let group = IpAddr::from([239, 255, 77, 1]);
    check(group, "0.0.0.0:0", "127.0.0.1:0", here, here);
    check(group, "0.0.0.0:0", "127.0.0.1:0", LOOPBACK, here);
}

/// Whether IPv6 multicast gets through a loopback interface is up to the machine's routes, so only what the kernel noted is looked at.
#[test]
fn an_ipv6_group_is_joined_and_left() {
    let group = IpAddr::from(Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0x77, 2));
    let mut rig = Rig::on("[::1]:0".parse().unwrap(), |_| {});
    rig.peer.join(group, LOOPBACK).unwrap();
    assert!(rig.peer.join(group, LOOPBACK).is_err(), "twice");
    rig.peer.leave(group, LOOPBACK).unwrap();
    assert!(rig.peer.leave(group, LOOPBACK).is_err(), "it had left");
    for option in [
        GramOption::MulticastInterface(LOOPBACK),
        GramOption::MulticastTtl(7),
        GramOption::MulticastLoop(false),
        GramOption::Ttl(9),
    ] {
        rig.peer.set_option(option).unwrap();
    }
    let fd = rig.peer.datagram().unwrap().as_fd().unwrap().try_clone_to_owned().unwrap();
    let socket = socket2::Socket::from(fd);
    assert_eq!(socket.multicast_if_v6().unwrap(), 1);
    assert_eq!(socket.multicast_hops_v6().unwrap(), 7);
    assert!(!socket.multicast_loop_v6().unwrap());
    assert_eq!(socket.unicast_hops_v6().unwrap(), 9);
}

/// Linux gives each socket on a port what any socket on the machine has joined, unless told not to.
#[test]
fn groups_that_others_have_joined_are_not_delivered() {
    let here = Interface::Addr(Ipv4Addr::LOCALHOST);
    let group = IpAddr::from([239, 255, 77, 3]);
    let mut bind: Bind = "0.0.0.0:0".parse().unwrap();
    bind.reuse_addr = true;
    let mut joined = Rig::on(bind.clone(), |_| {});
    bind.addr = joined.addr();
    let mut other = Rig::on(bind, |_| {});
    joined.peer.join(group, here).unwrap();
    let mut sender = Rig::new();
    sender.peer.set_option(GramOption::MulticastInterface(here)).unwrap();
    sender.peer.tx(b"for members", (group, joined.addr().port().unwrap())).unwrap();
    sender.until(|peer| peer.tx_grams() == 0);
    assert_eq!(joined.gram().data, "for members");
    other.tick();
    assert!(other.peer.take().is_none());
}

/// What goes to IPv4 addresses from a socket for both families went by the system's defaults, without a word.
#[test]
fn regression_options_hold_for_both_families_of_a_socket() {
    let mut both: Bind = "[::]:0".parse().unwrap();
    both.only_v6 = Some(false);
    let mut rig = Rig::on(both, |_| {});
    for option in
        [GramOption::Ttl(9), GramOption::MulticastTtl(7), GramOption::MulticastLoop(false)]
    {
        rig.peer.set_option(option).unwrap();
    }
    let fd = rig.peer.datagram().unwrap().as_fd().unwrap().try_clone_to_owned().unwrap();
    let socket = socket2::Socket::from(fd);
    assert_eq!((socket.unicast_hops_v6().unwrap(), socket.ttl_v4().unwrap()), (9, 9));
    assert_eq!((socket.multicast_hops_v6().unwrap(), socket.multicast_ttl_v4().unwrap()), (7, 7));
    assert!(!socket.multicast_loop_v6().unwrap() && !socket.multicast_loop_v4().unwrap());
    // What is none changes nothing; the most there can be was taken for "as the system has it".
    for hops in [0, 256, u32::MAX] {
        rig.peer.set_option(GramOption::Ttl(hops)).unwrap_err();
    }
    rig.peer.set_option(GramOption::MulticastTtl(u32::MAX)).unwrap_err();
    assert_eq!((socket.unicast_hops_v6().unwrap(), socket.ttl_v4().unwrap()), (9, 9));
    assert_eq!((socket.multicast_hops_v6().unwrap(), socket.multicast_ttl_v4().unwrap()), (7, 7));
}

#[test]
fn loop_off_keeps_it_from_this_machine() {
    let here = Interface::Addr(Ipv4Addr::LOCALHOST);
    let group = IpAddr::from([239, 255, 77, 4]);
    let mut rig = Rig::on("0.0.0.0:0".parse().unwrap(), |_| {});
    let port = rig.addr().port().unwrap();
    rig.peer.join(group, here).unwrap();
    let mut sender = Rig::new();
    sender.peer.set_option(GramOption::MulticastInterface(here)).unwrap();
    // A real interface shows it; the loopback itself brings back what it sends, so only that the option is taken is seen here.
    sender.peer.set_option(GramOption::MulticastLoop(false)).unwrap();
    sender.peer.set_option(GramOption::MulticastLoop(true)).unwrap();
    sender.peer.tx(b"here too", (group, port)).unwrap();
    sender.until(|peer| peer.tx_grams() == 0);
    assert_eq!(rig.gram().data, "here too");
}

#[test]
fn what_cannot_be_is_an_error() {
    let mut rig = Rig::new();
    let group = IpAddr::from([239, 255, 77, 5]);
    let six = IpAddr::from(Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0x77, 5));
    assert!(rig.peer.join(IpAddr::from([127, 0, 0, 1]), Interface::Any).is_err(), "no group");
    assert!(rig.peer.join(group, Interface::Addr(Ipv4Addr::new(192, 0, 2, 1))).is_err());
    assert!(rig.peer.join(six, LOOPBACK).is_err(), "an IPv4 socket");
    let error = rig.peer.join(six, Interface::Addr(Ipv4Addr::LOCALHOST)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = Peer::new(GramConfig::new()).join(group, Interface::Any).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(rig.peer.set_option(GramOption::MulticastTtl(256)).is_err());
    assert!(rig.peer.set_option(GramOption::Ttl(0)).is_err());
}
