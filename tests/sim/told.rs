//! What is told of sockets: sizes, states, counters, each by its own number. Small things, of which none may be wrong.

use std::net::Shutdown;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, BufferSizes, Dial, KeepAlive, Listen};
use tymist::sim::trace::{Timer, What};
use tymist::sim::{Act, Cut, HostSpec, Link, World, WorldSpec};
use tymist::tyme::Tyme;

/// `SO_RCVBUF` and `SO_SNDBUF` are doubled, raise and never lower, and stop at the system's most.
#[test]
fn buffers_are_raised_doubled_and_bounded() {
    let mut client = HostSpec::new("client");
    (client.recv_buffer, client.send_buffer) = (10_000, 20_000);
    let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
    let _listener = pair.listen(80);
    let mut sizes = |recv, send| {
        let mut dial = Dial::new(pair.target(80));
        (dial.socket.recv_buffer, dial.socket.send_buffer) = (recv, send);
        let stream = pair.client_net.connect(&dial).unwrap();
        let BufferSizes { recv, send } = stream.buffer_sizes().unwrap();
        (recv, send)
    };
    assert_eq!(sizes(None, None), (20_000, 40_000));
    assert_eq!(sizes(Some(20_000), Some(40_000)), (20_000, 40_000), "as much is no raise");
    assert_eq!(sizes(Some(20_001), Some(40_001)), (40_002, 80_002));
    assert_eq!(sizes(Some(15_000), Some(1)), (20_000, 40_000), "nor is less");
    assert_eq!(sizes(Some(10_000_000), Some(212_993)), (425_984, 425_984));
}

/// A host that has more than the most keeps it.
#[test]
fn a_host_with_larger_buffers_keeps_them() {
    let mut client = HostSpec::new("client");
    client.recv_buffer = 150_000;
    let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
    let _listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.recv_buffer = Some(400_000);
    let stream = pair.client_net.connect(&dial).unwrap();
    assert_eq!(stream.buffer_sizes().unwrap().recv, 2 * 212_992);
}

#[test]
fn listeners_and_datagram_sockets_tell_their_sizes_too() {
    let mut server = HostSpec::new("server");
    (server.recv_buffer, server.send_buffer, server.gram_buffer) = (30_000, 50_000, 70_000);
    let mut pair = Pair::with(WorldSpec::new(1), server, HostSpec::new("client"));
    let listener = pair.listen(80);
    assert_eq!(listener.buffer_sizes().unwrap(), BufferSizes { recv: 60_000, send: 100_000 });
    let gram = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 80))).unwrap();
    assert_eq!(gram.buffer_sizes().unwrap(), BufferSizes { recv: 70_000, send: 212_992 });
    let path = Addr::from(std::path::Path::new("/run/a"));
    let listener = pair.server_net.listen(&Listen::new(path.clone())).unwrap();
    let sizes = listener.buffer_sizes().unwrap();
    let stream = pair.server_net.connect(&Dial::new(path)).unwrap();
    assert_eq!((sizes.recv, sizes.send), (60_000, 100_000));
    assert_eq!(stream.buffer_sizes().unwrap(), sizes);
}

/// What is sent to an address that nobody has is a packet, and lost.
#[test]
fn packets_to_nobody_are_counted_as_lost() {
    let mut pair = Pair::new();
    let nowhere: Addr = "10.9.9.9:80".parse().unwrap();
    let _call = pair.client_net.connect(&Dial::new(nowhere.clone())).unwrap();
    let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    gram.send(b"hello", &nowhere).unwrap();
    let stats = pair.world.stats();
    assert_eq!((stats.packets, stats.lost, stats.grams), (2, 2, 1));
    pair.run(SECOND);
    let stats = pair.world.stats();
    assert_eq!((stats.packets, stats.lost, stats.retries), (3, 3, 1));
}

/// Unix sockets count as others do, without packets.
#[test]
fn unix_sockets_are_counted() {
    let mut pair = Pair::new();
    let path = |name: &str| Addr::from(std::path::Path::new(name));
    let mut listen = Listen::new(path("/run/a"));
    listen.backlog = 1;
    let mut listener = pair.server_net.listen(&listen).unwrap();
    let mut dial = || pair.server_net.connect(&Dial::new(path("/run/a")));
    let (mut one, _two) = (dial().unwrap(), dial().unwrap());
    let full = dial().err().unwrap();
    assert_eq!(full.kind(), std::io::ErrorKind::ResourceBusy);
    let _accepted = listener.accept().unwrap();
    write_all(&mut one, b"hello");
    let mut bind = Bind::new(path("/run/b"));
    let mut letters = pair.server_net.bind(&bind).unwrap();
    bind.addr = Addr::Unnamed;
    let mut sender = pair.server_net.bind(&bind).unwrap();
    for _ in 0..3 {
        sender.send(b"letter", &path("/run/b")).unwrap();
    }
    assert_eq!(letters.receive(&mut [0; 16]).unwrap().len, 6);
    let stats = pair.world.stats();
    assert_eq!((stats.connections, stats.accepted, stats.backlog_drops), (2, 1, 1));
    assert_eq!((stats.bytes, stats.grams, stats.grams_delivered), (5, 3, 3));
    assert_eq!((stats.packets, stats.lost), (0, 0));
}

/// Each act is counted, and each turn.
#[test]
fn acts_are_counted_one_by_one() {
    let mut pair = Pair::new();
    for acts in 1..4 {
        pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
        assert_eq!(pair.world.stats().acts, 2 * acts - 1);
        pair.world.act(&Act::Heal);
        assert_eq!(pair.world.stats().acts, 2 * acts);
    }
}

/// The first hosts have addresses of their own, each other ones.
#[test]
fn hosts_have_different_addresses_and_their_clock() {
    let mut spec = WorldSpec::new(77);
    spec.start = Tyme::from_secs(3);
    let mut world = World::with(spec);
    assert_eq!(world.seed(), 77);
    let hosts: Vec<_> = ["a", "b", "c"].map(|name| world.add_host(HostSpec::new(name))).into();
    let addrs: Vec<_> = hosts.iter().flat_map(|&host| world.host(host).addrs()).collect();
    for (at, addr) in addrs.iter().enumerate() {
        assert!(!addrs[..at].contains(addr), "{addrs:?}");
    }
    let known = ["10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2", "10.0.0.3", "fd00::3"];
    assert_eq!(addrs, known.map(|ip| ip.parse::<std::net::IpAddr>().unwrap()));
    world.run_for(SECOND);
    assert_eq!(world.host(hosts[0]).tyme(), Tyme::from_secs(4));
}

/// A retransmission comes after twice the round trip as it is at best, from 200 ms on: what a lost segment costs.
#[test]
fn what_is_lost_goes_out_again_after_two_round_trips() {
    let cases = [
        (1, 1, 0, 200),
        (60, 40, 0, 200),
        (60, 90, 0, 300),
        (60, 90, 30, 420),
        (200, 300, 0, 1000),
    ];
    for ((there, back, jitter, expected), by_client) in
        cases.into_iter().flat_map(|case| [(case, true), (case, false)])
    {
        let mut spec = WorldSpec::new(1);
        spec.tracing = tymist::sim::Tracing::Full;
        let mut pair = Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"));
        let (_listener, mut dialled, mut accepted) = pair.connection();
        let (client, server) = (pair.client, pair.server);
        for (from, to, latency) in [(client, server, there), (server, client, back)] {
            let mut link = Link::new(millis(latency));
            link.jitter = millis(jitter);
            pair.world.act(&Act::Relink { from, to, link });
        }
        let (from, to) = if by_client { (client, server) } else { (server, client) };
        pair.world.act(&Act::Partition(Cut::OneWay { from, to }));
        let sent = pair.world.tyme();
        write_all(if by_client { &mut dialled } else { &mut accepted }, b"lost");
        pair.world.act(&Act::Heal);
        pair.run(20 * SECOND);
        let trace = pair.world.trace();
        let again = trace
            .records()
            .find(|record| matches!(record.what, What::Timer { timer: Timer::Retry, .. }));
        assert_eq!(again.unwrap().tyme - sent, millis(expected), "{there} and {back}, {jitter}");
    }
}

/// `TCP_USER_TIMEOUT` takes the place of the count of keep-alive probes: one probe unanswered, and the time without an answer.
#[test]
fn a_user_timeout_rules_over_keep_alive() {
    for (limit, gone) in [(Some(25), 30), (Some(30), 30), (Some(31), 40), (Some(5), 20), (None, 40)]
    {
        let mut pair = Pair::new();
        let mut listener = pair.listen(80);
        let mut dial = Dial::new(pair.target(80));
        dial.socket.keep_alive =
            Some(KeepAlive { idle: 10 * SECOND, interval: 10 * SECOND, retries: 3 });
        dial.socket.user_timeout = limit.map(|secs| secs * SECOND);
        let mut dialled = pair.client_net.connect(&dial).unwrap();
        pair.run(millis(5));
        assert!(dialled.connected().unwrap());
        let _accepted = listener.accept().unwrap();
        pair.world.act(&Act::Partition(Cut::Isolate(pair.client)));
        // Since the last word of the peer, 2 ms after the beginning.
        pair.run(gone * SECOND - millis(4));
        assert_eq!(read_error(&mut dialled), std::io::ErrorKind::WouldBlock, "{limit:?}");
        pair.run(millis(2));
        assert_eq!(read_error(&mut dialled), std::io::ErrorKind::TimedOut, "{limit:?}");
    }
}

/// One's own shutdown is reported to oneself, as the poller of Linux does.
#[test]
fn ones_own_shutdown_is_reported() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, _accepted) = pair.connection();
    dialled.register(token(1)).unwrap();
    assert_eq!(reports(&mut pair.client_net), [(1, false, true, false)]);
    dialled.shutdown(Shutdown::Read).unwrap();
    assert_eq!(reports(&mut pair.client_net), [(1, true, false, true)]);

    let path = Addr::from(std::path::Path::new("/run/a"));
    let mut listener = pair.client_net.listen(&Listen::new(path.clone())).unwrap();
    let mut one = pair.client_net.connect(&Dial::new(path.clone())).unwrap();
    let mut other = listener.accept().unwrap();
    one.register(token(2)).unwrap();
    other.register(token(3)).unwrap();
    assert_eq!(reports(&mut pair.client_net), [(2, false, true, false), (3, false, true, false)]);
    one.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reports(&mut pair.client_net), [(2, false, true, false), (3, true, false, true)]);
    other.shutdown(Shutdown::Both).unwrap();
    assert_eq!(reports(&mut pair.client_net), [(3, true, true, true), (2, true, true, true)]);

    // And that the other is gone.
    let mut one = pair.client_net.connect(&Dial::new(path)).unwrap();
    let other = listener.accept().unwrap();
    one.register(token(4)).unwrap();
    reports(&mut pair.client_net);
    drop(other);
    assert_eq!(reports(&mut pair.client_net), [(4, true, true, true)]);
}
