//! Edges in the life of a connection and of its host: what is kept, reported and let go of, and when.

use std::net::Shutdown;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Datagram, Dial, GramOption, Interface, KeepAlive, Listen};
use tymist::sim::trace::{Timer, What};
use tymist::sim::{Act, HostSpec, World, WorldSpec};
use tymist::tyme::Tyme;

/// Who gets no place in the accept queue may speak and end: all of it is kept, counted, and read once there is a place.
#[test]
fn what_is_said_before_there_is_a_place_is_kept_with_its_end() {
    let mut pair = Pair::new();
    let mut listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
    let mut calls = [pair.dial(80), pair.dial(80)];
    pair.run(millis(5));
    for call in &mut calls {
        assert!(call.connected().unwrap());
        write_all(call, b"hello ");
        pair.run(millis(5));
        write_all(call, b"there");
        call.shutdown(Shutdown::Write).unwrap();
    }
    pair.run(millis(5));
    for _ in 0..2 {
        let mut accepted = listener.accept().unwrap();
        // The next one gets its place when its SYN and ACK are exchanged again.
        pair.run(5 * SECOND);
        expect_end(&mut accepted, b"hello there");
    }
    let stats = pair.world.stats();
    assert_eq!((stats.bytes, stats.segments), (22, 4));
    // All of it is acknowledged, the ends too: nobody tries again for long.
    drop((calls, listener));
    pair.run(200 * SECOND);
    assert_eq!(pair.world.next_due(), None);
    assert_eq!([pair.server, pair.client].map(|host| pair.world.lingering(host)), [0, 0]);
}

/// A port of a range is not picked where somebody listens for that address.
#[test]
fn a_picked_port_is_none_that_is_listened_on() {
    let mut client = HostSpec::new("client");
    client.ephemeral_ports = (40_000, 40_001);
    let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
    let _listener = pair.listen(80);
    let _own = pair.client_net.listen(&"0.0.0.0:40000".parse().unwrap()).unwrap();
    let call = pair.dial(80);
    assert_eq!(call.local_addr().port(), Some(40_001));
    let error = pair.client_net.connect(&Dial::new(pair.target(80))).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
}

/// The other end has vanished before it could acknowledge: the half-open connection is kept for a minute, and its port with it.
#[test]
fn a_half_open_connection_lets_its_port_go_in_the_end() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let _call = pair.dial(80);
    // The SYN is there, its answer under way.
    pair.run(MS);
    pair.world.act(&Act::Crash(pair.client));
    drop(listener);
    let strict = |pair: &mut Pair| pair.try_listen(80, |listen| listen.reuse_addr = false).is_ok();
    pair.run(62 * SECOND);
    assert!(!strict(&mut pair));
    pair.run(2 * SECOND);
    assert!(strict(&mut pair));
    assert_eq!(pair.world.next_due(), None);
}

/// A crash takes the host out of its groups, and nobody else's reports away.
#[test]
fn a_crash_touches_the_crashed_host_only() {
    let mut pair = Pair::new();
    let group: Addr = "239.1.2.3:7".parse().unwrap();
    let join = |gram: &mut Box<dyn Datagram>| {
        gram.set_option(GramOption::Join("239.1.2.3".parse().unwrap(), Interface::Any)).unwrap();
    };
    let mut member = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap();
    join(&mut member);
    let mut sender = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    sender.send(b"one", &group).unwrap();
    assert_eq!(pair.world.stats().lost, 0);
    sender.register(token(5)).unwrap();
    pair.world.act(&Act::Crash(pair.server));
    assert_eq!(reports(&mut pair.client_net).len(), 1, "it was reported before");
    pair.world.act(&Act::Restart(pair.server));
    pair.run(SECOND);
    let before = pair.world.stats();
    sender.send(b"two", &group).unwrap();
    let after = pair.world.stats();
    // Nobody is in the group any more: one packet, to nobody.
    assert_eq!((after.packets - before.packets, after.lost - before.lost), (1, 1));
    pair.run(SECOND);
    drop(member);
}

/// A host that is paused, crashes and comes back is not paused any more.
#[test]
fn a_host_that_comes_back_is_not_paused() {
    use crate::sim_util::programs::Echo;
    let mut world = World::new(1);
    let server = world.add("server", |host| Echo::new(host, 80));
    world.run_for(SECOND);
    world.act(&Act::Pause(server, 100 * SECOND));
    // Its turn is due at the end of the pause.
    let early = world.add_host(HostSpec::new("early"));
    let target = Addr::from((world.resolve("server")[0], 80));
    let mut early_net = world.host(early).net();
    let _early = early_net.connect(&Dial::new(target)).unwrap();
    world.run_for(SECOND);
    world.act(&Act::Crash(server));
    world.act(&Act::Restart(server));
    let turns = world.stats().turns;
    world.run_for(MS);
    assert!(world.stats().turns > turns, "it has its turn at once");
    let client = world.add_host(HostSpec::new("client"));
    let target = Addr::from((world.resolve("server")[0], 80));
    let mut net = world.host(client).net();
    let mut call = net.connect(&Dial::new(target)).unwrap();
    world.run_for(millis(10));
    assert!(call.connected().unwrap());
    write_all(&mut call, b"hello");
    world.run_for(millis(10));
    expect_read(&mut call, b"hello");
}

/// Of what a holder let go of in one way or another its peer and itself hear all that there is to hear.
#[test]
fn a_reset_is_reported_as_readable_writable_and_ending() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    dialled.register(token(1)).unwrap();
    harvest(&mut pair.client_net);
    accepted.set_abortive().unwrap();
    drop(accepted);
    pair.run(millis(5));
    assert_eq!(reports(&mut pair.client_net), [(1, true, true, true)]);

    // Bytes for who has shut both ways: it resets, and hears of it itself.
    let (_listener, mut dialled, mut accepted) = {
        let mut other = Pair::new();
        let connection = other.connection();
        pair = other;
        connection
    };
    accepted.register(token(2)).unwrap();
    accepted.shutdown(Shutdown::Both).unwrap();
    pair.run(millis(5));
    harvest(&mut pair.server_net);
    write_all(&mut dialled, b"hello?");
    pair.run(millis(5));
    assert_eq!(reports(&mut pair.server_net), [(2, true, true, true)]);
}

/// Accepted connections keep alive as their listener says, from the last word of the peer on.
#[test]
fn accepted_connections_keep_alive_from_the_last_word_on() {
    let mut pair = Pair::traced();
    let mut listener = pair
        .try_listen(80, |listen| {
            let (idle, interval) = (10 * SECOND, 10 * SECOND);
            listen.socket.keep_alive = Some(KeepAlive { idle, interval, retries: 2 });
        })
        .unwrap();
    let mut dialled = pair.dial(80);
    pair.run(millis(5));
    assert!(dialled.connected().unwrap());
    let mut accepted = listener.accept().unwrap();
    pair.run(9 * SECOND);
    write_all(&mut dialled, b"still here");
    pair.run(SECOND);
    assert_eq!(accepted.read(&mut [0; 16]).unwrap(), 10);
    pair.world.act(&Act::Crash(pair.client));
    pair.run(60 * SECOND);
    assert_eq!(read_error(&mut accepted), std::io::ErrorKind::TimedOut);
    let trace = pair.world.trace();
    let keep = |what: &What| matches!(what, What::Timer { timer: Timer::KeepAlive, .. });
    let probes: Vec<Tyme> =
        trace.records().filter(|record| keep(&record.what)).map(|record| record.tyme).collect();
    // It spoke at 9.006 s.
    assert_eq!(probes, [at_millis(19_006), at_millis(29_006)]);
}

/// A socket that is registered late is reported for what has come before.
#[test]
fn what_came_before_the_registration_is_reported() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let _call = pair.dial(80);
    let mut gram = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    let mut bind = Bind::new(([0, 0, 0, 0], 0));
    bind.peer = Some(pair.target(99));
    let mut failing = pair.server_net.bind(&bind).unwrap();
    failing.send(b"?", &pair.target(99)).unwrap();
    gram.send(b"to itself", &"127.0.0.1:9".parse().unwrap()).unwrap();
    let mut named = pair.server_net.listen(&Listen::new(path("/run/a"))).unwrap();
    let _local = pair.server_net.connect(&Dial::new(path("/run/a"))).unwrap();
    pair.run(millis(5));
    listener.register(token(1)).unwrap();
    gram.register(token(2)).unwrap();
    failing.register(token(3)).unwrap();
    named.register(token(4)).unwrap();
    let mut readable: Vec<usize> =
        reports(&mut pair.server_net).into_iter().filter(|it| it.1).map(|it| it.0).collect();
    readable.sort_unstable();
    assert_eq!(readable, [1, 2, 3, 4]);
    // And where there is nothing, of nothing but room.
    let mut quiet = pair.listen(81);
    let mut empty = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 10))).unwrap();
    quiet.register(token(5)).unwrap();
    empty.register(token(6)).unwrap();
    assert!(reports(&mut pair.server_net).iter().all(|it| !it.1 && !it.3));
}
