//! Who may have which port, as on Linux.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;

use crate::sim_util::*;
use tymist::net::{Addr, Dial, Listen};
use tymist::sim::{HostSpec, WorldSpec};

#[test]
fn one_port_has_one_listener() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let error = pair.try_listen(80, |_| {}).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let specific: Listen = "127.0.0.1:80".parse().unwrap();
    assert_eq!(pair.server_net.listen(&specific).err().unwrap().kind(), ErrorKind::AddrInUse);
    drop(listener);
    pair.listen(80);
}

#[test]
fn families_and_addresses_share_a_port_where_they_do_not_overlap() {
    let mut pair = Pair::new();
    let own = pair.world.host(pair.server).addrs();
    let _loopback = pair.server_net.listen(&"127.0.0.1:80".parse().unwrap()).unwrap();
    let _own = pair.server_net.listen(&Listen::new((own[0], 80))).unwrap();
    let mut six: Listen = "[::]:80".parse().unwrap();
    assert_eq!(pair.server_net.listen(&six).err().unwrap().kind(), ErrorKind::AddrInUse);
    six.only_v6 = Some(true);
    let _six = pair.server_net.listen(&six).unwrap();
    let foreign = pair.world.host(pair.client).addrs()[0];
    let error = pair.server_net.listen(&Listen::new((foreign, 80))).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn port_zero_picks_a_free_one() {
    let mut pair = Pair::new();
    let listeners: Vec<_> = (0..10).map(|_| pair.listen(0)).collect();
    let mut ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().port().unwrap()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 10);
    assert!(ports.iter().all(|port| (32_768..=60_999).contains(port)));
}

#[test]
fn waiting_connections_keep_the_port_from_those_who_do_not_share() {
    let mut pair = Pair::new();
    let (listener, dialled, accepted) = pair.connection();
    drop(listener);
    // An accepted connection lives: only with SO_REUSEADDR on both may one listen again.
    let error = pair.try_listen(80, |listen| listen.reuse_addr = false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    drop(accepted); // closes first: TIME_WAIT is here
    pair.run(millis(5));
    drop(dialled);
    pair.run(millis(5));
    let error = pair.try_listen(80, |listen| listen.reuse_addr = false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    drop(pair.listen(80));
    pair.run(60 * SECOND);
    assert!(pair.try_listen(80, |listen| listen.reuse_addr = false).is_ok());
}

/// Nobody has answered yet.
#[test]
fn a_try_that_is_given_up_gives_its_port_back() {
    for shut in [true, false] {
        let mut pair = Pair::new();
        let mut dial = Dial::new(pair.target(80));
        dial.local = Some(Addr::from(([0, 0, 0, 0], 5000)));
        let mut first = pair.client_net.connect(&dial).unwrap();
        let error = pair.client_net.connect(&dial).err().unwrap();
        assert!(
            matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable),
            "{error}"
        );
        if shut {
            first.shutdown(std::net::Shutdown::Write).unwrap();
        } else {
            drop(first);
        }
        assert!(pair.client_net.connect(&dial).is_ok(), "{shut}");
    }
}

/// A port that was asked for is its socket's, whatever becomes of the connection. Refused, it was free again in a world while the stream was still there.
#[test]
fn a_port_that_was_asked_for_is_held_until_its_stream_is_dropped() {
    let mut pair = Pair::new();
    let mut dial = Dial::new(pair.target(80));
    dial.local = Some(Addr::from(([0, 0, 0, 0], 5000)));
    let mut alone = Listen::new(([0, 0, 0, 0], 5000));
    alone.reuse_addr = false;
    let refused = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    assert_eq!(pair.client_net.listen(&alone).err().unwrap().kind(), ErrorKind::AddrInUse);
    drop(refused);
    drop(pair.client_net.listen(&alone).unwrap());

    // What waits in TIME_WAIT holds it apart from the stream.
    let mut listener = pair.listen(80);
    let mut first = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    let accepted = listener.accept().unwrap();
    first.shutdown(std::net::Shutdown::Write).unwrap();
    pair.run(millis(5));
    drop(accepted);
    pair.run(61 * SECOND);
    assert_eq!(pair.client_net.listen(&alone).err().unwrap().kind(), ErrorKind::AddrInUse);
    drop(first);
    assert!(pair.client_net.listen(&alone).is_ok());
}

#[test]
fn who_closes_second_keeps_nothing() {
    let mut pair = Pair::new();
    let (listener, dialled, accepted) = pair.connection();
    drop(listener);
    drop(dialled);
    pair.run(millis(5));
    drop(accepted);
    pair.run(millis(5));
    assert!(pair.try_listen(80, |listen| listen.reuse_addr = false).is_ok());
}

#[test]
fn reuse_port_spreads_connections() {
    let mut pair = Pair::new();
    let mut both: Vec<_> =
        (0..2).map(|_| pair.try_listen(80, |listen| listen.reuse_port = true).unwrap()).collect();
    assert!(pair.try_listen(80, |_| {}).is_err());
    let _calls: Vec<_> = (0..10).map(|_| pair.dial(80)).collect();
    pair.run(millis(5));
    let counts: Vec<usize> = both
        .iter_mut()
        .map(|listener| std::iter::from_fn(|| listener.accept().ok()).count())
        .collect();
    assert_eq!(counts, [5, 5]);
}

#[test]
fn a_caller_may_choose_its_port_but_not_use_a_pair_twice() {
    let mut pair = Pair::new();
    let _listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.local = Some("0.0.0.0:5000".parse::<Addr>().unwrap());
    let first = pair.client_net.connect(&dial).unwrap();
    assert_eq!(first.local_addr().port(), Some(5000));
    let error = pair.client_net.connect(&dial).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    // A port that was asked for is shared, and so is good for other targets.
    dial.addr = pair.target(81);
    assert!(pair.client_net.connect(&dial).is_ok());
    dial.local = Some("10.77.0.1:0".parse::<Addr>().unwrap());
    let error = pair.client_net.connect(&dial).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn callers_run_out_of_ports_per_target() {
    let mut client = HostSpec::new("client");
    client.ephemeral_ports = (40_000, 40_004);
    let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
    let _listeners = (pair.listen(80), pair.listen(81));
    let calls: Vec<_> = (0..5).map(|_| pair.dial(80)).collect();
    let target = Dial::new(pair.target(80));
    let error = pair.client_net.connect(&target).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    // Another target is another pair.
    let others: Vec<_> = (0..5).map(|_| pair.dial(81)).collect();
    pair.run(millis(5));
    drop((calls, others));
}

#[test]
fn descriptors_run_out_and_come_back() {
    let mut server = HostSpec::new("server");
    server.max_sockets = 3;
    let mut pair = Pair::with(WorldSpec::new(1), server, HostSpec::new("client"));
    let mut listener = pair.listen(80);
    let _calls: Vec<_> = (0..3).map(|_| pair.dial(80)).collect();
    pair.run(millis(5));
    let first = listener.accept().unwrap();
    let _second = listener.accept().unwrap();
    let error = listener.accept().err().unwrap();
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(24));
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
    assert!(pair.try_listen(81, |_| {}).is_err());
    drop(first);
    assert!(listener.accept().is_ok(), "the connection still waits");
}

/// Hosts do not all begin with the same port, nor anew after a crash; and whatever the range, no port beyond it is picked.
#[test]
fn ports_are_picked_in_turn_from_a_place_of_the_hosts_own() {
    let mut pair = Pair::new();
    let local = |call: &dyn tymist::net::Stream| call.local_addr().port().unwrap();
    let first: Vec<u16> = (0..4)
        .map(|at| {
            let host = pair.world.add_host(HostSpec::new(format!("host {at}")));
            let target = Dial::new(pair.target(80));
            local(&*pair.world.host(host).net().connect(&target).unwrap())
        })
        .collect();
    assert!(first.windows(2).any(|two| two[0] != two[1]), "{first:?}");

    let before = local(&*pair.dial(80));
    pair.world.act(&tymist::sim::Act::Crash(pair.client));
    pair.world.act(&tymist::sim::Act::Restart(pair.client));
    let expected = if before == 60_999 { 32_768 } else { before + 1 };
    assert_eq!(local(&*pair.dial(80)), expected);

    for (range, ports) in [((65_534, 65_535), [65_534, 65_535]), ((0, 2), [1, 2])] {
        let mut client = HostSpec::new("client");
        client.ephemeral_ports = range;
        let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
        for _ in 0..2 {
            let calls = [pair.dial(80), pair.dial(80)];
            let mut picked = calls.each_ref().map(|call| local(&**call));
            picked.sort_unstable();
            assert_eq!(picked, ports);
        }
    }
}
