//! Edges of the simulated network: the very byte, packet, moment or way from which on it is otherwise.

use std::net::Shutdown;
use std::time::Duration;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Datagram, Dial, GramOption, Interface};
use tymist::sim::trace::{Fate, Flags, Timer, What};
use tymist::sim::{Act, Cut, HostId, HostSpec, Link, World, WorldSpec};
use tymist::tyme::Tyme;

/// Two hosts of which one is far: 10 ms there, 50 ms back.
fn far_and_near() -> Pair {
    let mut pair = Pair::traced();
    // The way is there before it gets its latencies.
    drop(pair.dial(81));
    pair.run(SECOND);
    let (client, server) = (pair.client, pair.server);
    for (from, to, latency) in [(client, server, 10), (server, client, 50)] {
        pair.world.act(&Act::Relink { from, to, link: Link::new(millis(latency)) });
    }
    pair
}

fn addr(pair: &Pair, host: HostId, port: u16) -> Addr {
    Addr::from((pair.world.host(host).addrs()[0], port))
}

fn retries(world: &World) -> Vec<Tyme> {
    let trace = world.trace();
    let retry = |what: &What| matches!(what, What::Timer { timer: Timer::Retry, .. });
    trace.records().filter(|record| retry(&record.what)).map(|record| record.tyme).collect()
}

/// Bare acknowledgements, and when.
fn acknowledgements(world: &World) -> Vec<Tyme> {
    let trace = world.trace();
    let bare = |what: &What| matches!(what, What::Segment { flags: Flags::ACK, data, .. } if data.is_empty());
    trace.records().filter(|record| bare(&record.what)).map(|record| record.tyme).collect()
}

/// What is sent back takes the way back, whoever began: refusals, resets, unreachables.
#[test]
fn answers_take_the_way_back() {
    let mut pair = far_and_near();
    let round = millis(60);
    let targets = [addr(&pair, pair.server, 99), addr(&pair, pair.client, 99)];
    let mut calls = [
        pair.client_net.connect(&Dial::new(targets[0].clone())).unwrap(),
        pair.server_net.connect(&Dial::new(targets[1].clone())).unwrap(),
    ];
    let bound = |mut net: Box<dyn tymist::net::Net>, target: &Addr| {
        let mut bind = Bind::new(([0, 0, 0, 0], 0));
        bind.peer = Some(target.clone());
        let mut gram = net.bind(&bind).unwrap();
        gram.send(b"?", target).unwrap();
        (gram, net)
    };
    let nets = [pair.client, pair.server].map(|host| pair.world.host(host).net());
    let [one, two] = nets;
    let mut grams = [bound(one, &targets[0]), bound(two, &targets[1])];
    pair.run(round - Duration::from_nanos(1));
    for (call, (gram, _)) in calls.iter_mut().zip(&mut grams) {
        assert!(!call.connected().unwrap());
        assert!(gram.receive(&mut [0]).unwrap_err().kind() == std::io::ErrorKind::WouldBlock);
    }
    pair.run(Duration::from_nanos(1));
    for (call, (gram, _)) in calls.iter_mut().zip(&mut grams) {
        assert_eq!(call.connected().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        let error = gram.receive(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

/// The reset for bytes to somebody who is gone, too, with the numbers that it answers.
#[test]
fn a_reset_for_a_stray_takes_the_way_back_and_has_its_numbers() {
    for by_client in [true, false] {
        let mut pair = far_and_near();
        let mut listener = pair.listen(80);
        let mut dialled = pair.dial(80);
        pair.run(SECOND);
        assert!(dialled.connected().unwrap());
        let mut accepted = listener.accept().unwrap();
        let gone = if by_client { pair.server } else { pair.client };
        pair.world.act(&Act::Crash(gone));
        pair.world.act(&Act::Restart(gone));
        let stream = if by_client { &mut dialled } else { &mut accepted };
        write_all(stream, b"anybody there?");
        pair.run(millis(60) - Duration::from_nanos(1));
        assert_eq!(read_error(stream), std::io::ErrorKind::WouldBlock);
        pair.run(Duration::from_nanos(1));
        assert_eq!(read_error(stream), std::io::ErrorKind::ConnectionReset);
        let trace = pair.world.trace();
        let reset = trace.records().find_map(|record| match record.what {
            What::Segment { flags, seq, ack, fate: Fate::Arrives(_), .. }
                if flags.has(Flags::RST) && record.tyme > Tyme::from_secs(2) =>
            {
                Some((flags, seq, ack))
            }
            _ => None,
        });
        // RFC 9293 section 3.10.7.1: the number that the stray acknowledged, and the end of the stray.
        let (_, seq, ack) = reset.expect("the reset is written down");
        assert_eq!((seq, ack), (1, 15), "{by_client}");
    }
}

/// Nothing goes out behind what was lost, before that goes out again.
#[test]
fn what_comes_after_something_lost_waits_for_it() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let cut = Act::Partition(Cut::OneWay { from: pair.client, to: pair.server });
    pair.world.act(&cut);
    write_all(&mut dialled, b"lost ");
    pair.world.act(&Act::Heal);
    write_all(&mut dialled, b"and found");
    pair.run(millis(200));
    expect_read(&mut accepted, b"");
    pair.run(MS);
    expect_read(&mut accepted, b"lost and found");

    // An end that was lost is no other matter.
    pair.run(SECOND);
    pair.world.act(&cut);
    dialled.shutdown(Shutdown::Write).unwrap();
    pair.world.act(&Act::Heal);
    write_all(&mut accepted, b"go on");
    pair.run(millis(199));
    expect_read(&mut accepted, b"");
    pair.run(millis(2));
    expect_end(&mut accepted, b"");
}

/// Where the way is clogged as it is sent, the next try is due as if it was lost; where it becomes so later, when it has got to the end.
#[test]
fn what_piles_up_is_sent_again_in_time() {
    for (clogged_before, expected) in [(true, 200), (false, 201)] {
        let mut pair = Pair::traced();
        let (_listener, mut dialled, _accepted) = pair.connection();
        pair.run(SECOND);
        let clog = Act::Clog { from: pair.client, to: pair.server };
        let begin = pair.world.tyme();
        if clogged_before {
            pair.world.act(&clog);
        }
        write_all(&mut dialled, b"hello");
        if !clogged_before {
            pair.world.act(&clog);
        }
        pair.run(millis(250));
        assert_eq!(retries(&pair.world), [begin + millis(expected)]);
    }
    // And likewise of attempts to connect, which wait a second.
    for (clogged_before, expected) in [(true, 1000), (false, 1000)] {
        let mut pair = Pair::traced();
        drop(pair.dial(81));
        pair.run(SECOND);
        let clog = Act::Clog { from: pair.client, to: pair.server };
        let begin = pair.world.tyme();
        if clogged_before {
            pair.world.act(&clog);
        }
        let _call = pair.dial(80);
        if !clogged_before {
            pair.world.act(&clog);
        }
        pair.run(millis(1500));
        assert_eq!(retries(&pair.world), [begin + millis(expected)]);
    }
}

/// Linux tells of room when a third of the buffer is free, and once.
#[test]
fn room_is_told_at_a_third_and_once() {
    for (cap, told_after_first) in [(3000, true), (3001, false), (2999, true)] {
        let mut client = HostSpec::new("client");
        client.send_buffer = cap;
        let mut server = HostSpec::new("server");
        server.recv_buffer = 1000;
        let mut pair = Pair::with(WorldSpec::new(1), server, client);
        let (_listener, mut dialled, mut accepted) = pair.connection();
        dialled.register(token(1)).unwrap();
        assert_eq!(reports(&mut pair.client_net).len(), 1);
        assert_eq!(write(&mut dialled, &vec![7; cap]).unwrap(), cap);
        assert_eq!(write_error(&mut dialled), std::io::ErrorKind::WouldBlock);
        pair.run(SECOND);
        // The first thousand have come and were acknowledged, whether they are read or not.
        let told = !reports(&mut pair.client_net).is_empty();
        assert_eq!(told, told_after_first, "{cap}");
        assert_eq!(drain(&mut accepted).unwrap().0.len(), 1000);
        pair.run(SECOND);
        assert_eq!(reports(&mut pair.client_net).is_empty(), told_after_first, "{cap}: told once");
        drain(&mut accepted).unwrap();
        pair.run(SECOND);
        assert_eq!(reports(&mut pair.client_net), [], "{cap}: told once");
    }
}

/// Only who has found no room is told of it; a write that just fits has not, one that is cut has.
#[test]
fn who_has_met_no_end_of_room_is_not_told_of_it() {
    for (len, told) in [(1000, false), (1001, true), (999, false)] {
        let mut client = HostSpec::new("client");
        client.send_buffer = 1000;
        let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
        let (_listener, mut dialled, _accepted) = pair.connection();
        dialled.register(token(1)).unwrap();
        assert_eq!(reports(&mut pair.client_net).len(), 1);
        assert_eq!(write(&mut dialled, &vec![7; len]).unwrap(), len.min(1000));
        pair.run(SECOND);
        assert_eq!(!reports(&mut pair.client_net).is_empty(), told, "{len}");
    }
}

/// A socket that is registered while it is full is reported when it is not.
#[test]
fn a_full_socket_is_not_reported_as_writable() {
    for (len, writable) in [(1000, false), (999, true)] {
        let mut client = HostSpec::new("client");
        client.send_buffer = 1000;
        let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
        let (_listener, mut dialled, _accepted) = pair.connection();
        write_all(&mut dialled, &vec![7; len]);
        dialled.register(token(1)).unwrap();
        assert_eq!(reports(&mut pair.client_net).len(), usize::from(writable), "{len}");
    }
}

/// RFC 1122 section 4.2.3.2: an acknowledgement may wait, but not behind two full segments; and nothing is acknowledged twice.
#[test]
fn acknowledgements_wait_for_company_but_not_long() {
    for (len, wait) in [(1, 41), (2919, 41), (2920, 1), (5000, 1)] {
        let mut pair = Pair::traced();
        let (_listener, mut dialled, _accepted) = pair.connection();
        pair.run(SECOND);
        let (begin, before) = (pair.world.tyme(), acknowledgements(&pair.world).len());
        write_all(&mut dialled, &vec![7; len]);
        pair.run(SECOND);
        assert_eq!(acknowledgements(&pair.world)[before..], [begin + millis(wait)], "{len}");
    }
    // An answer takes the acknowledgement with it.
    let mut pair = Pair::traced();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.run(SECOND);
    let (begin, before) = (pair.world.tyme(), acknowledgements(&pair.world).len());
    write_all(&mut dialled, b"ping");
    pair.run(millis(10));
    write_all(&mut accepted, b"pong");
    pair.run(SECOND);
    assert_eq!(acknowledgements(&pair.world)[before..], [begin + millis(51)]);
}

/// A window is offered again once it is worth it: half the buffer, and twice what was offered before.
#[test]
fn a_window_is_offered_anew_when_it_is_worth_it() {
    let mut server = HostSpec::new("server");
    server.recv_buffer = 1000;
    let spec = || {
        let mut spec = WorldSpec::new(1);
        spec.tracing = tymist::sim::Tracing::Full;
        spec
    };
    let mut pair = Pair::with(spec(), server, HostSpec::new("client"));
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, &[7; 1000]);
    pair.run(SECOND);
    let mut before = acknowledgements(&pair.world).len();
    let mut more = |pair: &Pair| {
        let now = acknowledgements(&pair.world).len();
        now - std::mem::replace(&mut before, now)
    };
    for (read, offers) in [(499, 0), (1, 1), (499, 0), (1, 1)] {
        assert_eq!(accepted.read(&mut vec![0; read]).unwrap(), read);
        assert_eq!(more(&pair), offers, "{read}");
        pair.run(SECOND);
        assert_eq!(more(&pair), 0);
    }
    // Nothing is offered to who has ended.
    write_all(&mut dialled, &[7; 1000]);
    dialled.shutdown(Shutdown::Write).unwrap();
    pair.run(SECOND);
    more(&pair);
    assert_eq!(accepted.read(&mut [0; 1000]).unwrap(), 1000);
    pair.run(SECOND);
    assert_eq!(more(&pair), 0);
}

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

/// Of datagrams a clogged way holds one however large, and then as many as fit; each time anew.
#[test]
fn a_clogged_way_holds_one_datagram_however_large() {
    let mut pair = Pair::new();
    drop(pair.dial(81));
    pair.run(SECOND);
    let (client, server) = (pair.client, pair.server);
    let mut link = Link::new(MS);
    link.queue = 1000;
    pair.world.act(&Act::Relink { from: client, to: server, link });
    let mut to = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap();
    let mut from = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let target = pair.target(7);
    for round in 0..2 {
        for (sizes, arrive) in [
            (vec![2000, 1], vec![2000]),
            (vec![600, 400, 1], vec![600, 400]),
            (vec![600, 401, 400], vec![600, 400]),
        ] {
            pair.world.act(&Act::Clog { from: client, to: server });
            for size in &sizes {
                from.send(&vec![7; *size], &target).unwrap();
                pair.run(MS);
            }
            pair.run(millis(5));
            pair.world.act(&Act::Unclog { from: client, to: server });
            let came = std::iter::from_fn(|| to.receive(&mut [0; 4096]).ok());
            let came: Vec<usize> = came.map(|gram| gram.len).collect();
            assert_eq!(came, arrive, "{sizes:?}, round {round}");
        }
    }
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

/// A sender of letters has a buffer of its own: full is full to the byte, and it is told when three quarters are free, once.
#[test]
fn a_sender_of_letters_is_told_of_room_in_its_own_buffer() {
    // Two letters, with the 768 bytes that Linux counts beside each: less or more than a quarter, and the rest of the buffer or a byte less.
    for (more, less, full, told) in [(0, 0, true, true), (1, 1, true, false), (0, 1, false, false)]
    {
        let pair = Pair::new();
        let path = |name: usize| Addr::from(std::path::Path::new(&format!("/run/{name}")));
        let mut net = pair.world.host(pair.server).net();
        let mut sender = net.bind(&Bind::new(Addr::Unnamed)).unwrap();
        let mut boxes: Vec<_> = (0..3).map(|at| net.bind(&Bind::new(path(at))).unwrap()).collect();
        sender.register(token(1)).unwrap();
        assert_eq!(reports(&mut net).len(), 1);
        let quarter = sender.buffer_sizes().unwrap().send / 4;
        sender.send(&vec![7; quarter - 768 + more], &path(0)).unwrap();
        sender.send(&vec![7; 3 * quarter - 768 - less], &path(1)).unwrap();
        let third = sender.send(b"x", &path(2)).map_err(|error| error.kind());
        assert_eq!(third.is_err(), full, "{third:?}");
        assert_eq!(reports(&mut net), []);
        assert_eq!(boxes[1].receive(&mut [0; 8]).unwrap().len, 8);
        assert_eq!(reports(&mut net).len(), usize::from(told));
        assert_eq!(boxes[0].receive(&mut [0; 8]).unwrap().len, 8);
        assert_eq!(reports(&mut net).len(), usize::from(full && !told), "once");
    }
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
