//! TCP in a simulated world: coming up, bytes, windows, readiness.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;

use crate::sim_util::*;
use tymist::net::{Addr, BufferSizes, Dial, Listen};
use tymist::sim::{Act, Cut, HostSpec, Link, WorldSpec};

#[test]
fn bytes_go_both_ways_in_order() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    assert_eq!(dialled.local_addr(), accepted.peer_addr());
    assert_eq!(dialled.peer_addr(), accepted.local_addr());
    write_all(&mut dialled, b"hello ");
    write_all(&mut dialled, b"world");
    write_all(&mut accepted, b"you too");
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    pair.run(MS);
    expect_read(&mut accepted, b"hello world");
    expect_read(&mut dialled, b"you too");
    let stats = pair.world.stats();
    assert_eq!((stats.connections, stats.accepted, stats.bytes), (1, 1, 18));
}

#[test]
fn a_connection_takes_a_round_trip_and_a_half() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let mut dialled = pair.dial(80);
    pair.run(millis(2) - std::time::Duration::from_nanos(1));
    assert!(!dialled.connected().unwrap());
    assert_eq!(write_error(&mut dialled), ErrorKind::WouldBlock);
    assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock);
    pair.run(std::time::Duration::from_nanos(1));
    assert!(dialled.connected().unwrap());
    assert_eq!(listener.accept().err().unwrap().kind(), ErrorKind::WouldBlock);
    pair.run(MS);
    assert!(listener.accept().is_ok());
}

#[test]
fn nobody_listening_refuses_and_says_so_once() {
    let mut pair = Pair::new();
    let mut dialled = pair.dial(81);
    pair.run(millis(2));
    let error = dialled.connected().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(111));
    assert!(!dialled.connected().unwrap());
    drop(dialled);
    assert_eq!(pair.world.sockets(pair.client), 0);
}

#[test]
fn nobody_answering_times_out_after_127_seconds() {
    let mut pair = Pair::new();
    let addr: Addr = "10.9.9.9:80".parse().unwrap();
    let mut nowhere = pair.client_net.connect(&Dial::new(addr)).unwrap();
    pair.world.act(&Act::Crash(pair.server));
    let mut down = pair.dial(80);
    pair.run(millis(126_999));
    assert!(!nowhere.connected().unwrap());
    assert!(!down.connected().unwrap());
    pair.run(MS);
    assert_eq!(nowhere.connected().unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(down.connected().unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(pair.world.next_due().is_none());
}

#[test]
fn no_address_of_that_family_is_unreachable_at_once() {
    let mut only_v4 = HostSpec::new("client");
    only_v4.addrs = vec!["192.0.2.1".parse().unwrap()];
    let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), only_v4);
    let addr: Addr = "[fd00::1]:80".parse().unwrap();
    let error = pair.client_net.connect(&Dial::new(addr)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
}

#[test]
fn a_full_backlog_ignores_and_the_caller_tries_again() {
    let mut pair = Pair::new();
    let mut listener = pair.try_listen(80, |listen| listen.backlog = 1).unwrap();
    // As on Linux one more than the backlog fits.
    let mut calls: Vec<_> = (0..2).map(|_| pair.dial(80)).collect();
    pair.run(millis(5));
    calls.push(pair.dial(80));
    pair.run(millis(5));
    let up: Vec<bool> = calls.iter_mut().map(|call| call.connected().unwrap()).collect();
    assert_eq!(up, [true, true, false]);
    assert_eq!(pair.world.stats().backlog_drops, 1);
    listener.accept().unwrap();
    pair.run(millis(985));
    assert!(!calls[2].connected().unwrap());
    pair.run(millis(15));
    assert!(calls[2].connected().unwrap(), "its SYN went out again after a second");
}

#[test]
fn a_backlog_that_stays_full_times_the_caller_out() {
    let mut pair = Pair::new();
    let _listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
    let _first = pair.dial(80);
    pair.run(millis(5));
    let mut second = pair.dial(80);
    pair.run(millis(127_001));
    assert_eq!(second.connected().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn handshakes_that_race_for_the_last_place_get_it_in_turn() {
    let mut pair = Pair::new();
    let mut listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
    let mut calls: Vec<_> = (0..3).map(|_| pair.dial(80)).collect();
    // All three SYNs found the queue empty: each caller believes itself connected.
    pair.run(millis(5));
    for call in &mut calls {
        assert!(call.connected().unwrap());
        write_all(call, b"early");
    }
    pair.run(millis(5));
    let mut accepted = vec![listener.accept().unwrap()];
    for _ in 0..2 {
        assert_eq!(listener.accept().err().unwrap().kind(), ErrorKind::WouldBlock);
        let found = pair.world.tyme() + 10 * SECOND;
        let mut taken = None;
        while pair.world.tyme() < found && taken.is_none() {
            pair.run(millis(100));
            taken = listener.accept().ok();
        }
        accepted.push(taken.expect("the SYN-ACK is sent again"));
    }
    pair.run(millis(10));
    for stream in &mut accepted {
        expect_read(stream, b"early");
    }
}

#[test]
fn who_never_got_into_the_accept_queue_is_reset_if_it_has_spoken() {
    let mut pair = Pair::new();
    let _listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
    let mut calls: Vec<_> = (0..3).map(|_| pair.dial(80)).collect();
    pair.run(millis(5));
    for call in &mut calls {
        assert!(call.connected().unwrap());
    }
    // The first is in the queue; of the others only one says something.
    write_all(&mut calls[1], b"early");
    // Five more SYN-ACKs (`net.ipv4.tcp_synack_retries`), 63 s; then nobody at the server knows of it.
    pair.run(millis(62_000));
    assert_eq!(read_error(&mut calls[1]), ErrorKind::WouldBlock);
    pair.run(millis(3_000));
    assert_eq!(read_error(&mut calls[1]), ErrorKind::ConnectionReset);
    assert_eq!(read_error(&mut calls[2]), ErrorKind::WouldBlock, "it has not asked");
    write_all(&mut calls[2], b"late");
    pair.run(millis(1_000));
    assert_eq!(read_error(&mut calls[2]), ErrorKind::ConnectionReset);
    assert_eq!(read_error(&mut calls[0]), ErrorKind::WouldBlock);
}

#[test]
fn a_reader_that_stops_stops_the_writer_and_going_on_lets_it_go_on() {
    let mut small = HostSpec::new("server");
    small.recv_buffer = 1000;
    let mut client = HostSpec::new("client");
    client.send_buffer = 500;
    let mut pair = Pair::with(WorldSpec::new(1), small, client);
    let (_listener, mut dialled, mut accepted) = pair.connection();
    dialled.register(token(7)).unwrap();
    harvest(&mut pair.client_net);
    assert_eq!(dialled.buffer_sizes().unwrap(), BufferSizes { recv: 2 * 65_536, send: 1000 });
    let data: Vec<u8> = (0..5000_u32).map(|n| (n % 251) as u8).collect();
    let mut sent = 0;
    for _ in 0..20 {
        match write(&mut dialled, &data[sent..]) {
            Ok(count) => sent += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        pair.run(millis(100));
    }
    assert_eq!(sent, 1500, "window and send buffer are full");
    harvest(&mut pair.client_net);
    assert_eq!(write_error(&mut dialled), ErrorKind::WouldBlock);
    let mut got = Vec::new();
    while got.len() < data.len() {
        let (part, end) = drain(&mut accepted).unwrap();
        assert!(!end && !part.is_empty(), "stuck after {} bytes", got.len());
        got.extend(part);
        pair.run(millis(100));
        // It said WouldBlock, so it must be reported before there is any use in writing.
        if sent < data.len() {
            assert_eq!(reports(&mut pair.client_net), [(7, false, true, false)]);
            while let Ok(count) = write(&mut dialled, &data[sent..]) {
                sent += count;
                if sent == data.len() {
                    break;
                }
            }
            pair.run(millis(100));
        }
    }
    assert_eq!(got, data);
}

#[test]
fn one_byte_buffers_work() {
    let mut tiny = HostSpec::new("server");
    (tiny.recv_buffer, tiny.send_buffer) = (1, 1);
    let mut other = HostSpec::new("client");
    (other.recv_buffer, other.send_buffer) = (1, 1);
    let mut pair = Pair::with(WorldSpec::new(1), tiny, other);
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let mut got = Vec::new();
    let text = b"a byte at a time";
    let mut sent = 0;
    for _ in 0..200 {
        if sent < text.len() {
            sent += write(&mut dialled, &text[sent..]).unwrap_or(0);
        }
        pair.run(millis(50));
        got.extend(drain(&mut accepted).unwrap().0);
    }
    assert_eq!(got, text);
}

#[test]
fn readiness_is_reported_on_becoming_and_on_registering() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    listener.register(token(1)).unwrap();
    let mut dialled = pair.dial(80);
    dialled.register(token(2)).unwrap();
    assert_eq!(reports(&mut pair.client_net), []);
    pair.run(millis(5));
    assert_eq!(reports(&mut pair.server_net), [(1, true, false, false)]);
    assert_eq!(reports(&mut pair.client_net), [(2, false, true, false)]);
    let mut accepted = listener.accept().unwrap();
    write_all(&mut dialled, b"waiting");
    pair.run(MS);
    assert_eq!(reports(&mut pair.server_net), []);
    accepted.register(token(3)).unwrap();
    assert_eq!(reports(&mut pair.server_net), [(3, true, true, false)]);
    assert_eq!(reports(&mut pair.server_net), [], "an edge, not a level");
    write_all(&mut dialled, b"more");
    pair.run(MS);
    assert_eq!(reports(&mut pair.server_net), [(3, true, false, false)]);
    expect_read(&mut accepted, b"waitingmore");
    drop(accepted);
    pair.run(MS);
    assert_eq!(reports(&mut pair.client_net), [(2, true, false, true)]);
    assert_eq!(reports(&mut pair.server_net), [], "a dropped socket is not reported");
}

#[test]
fn bandwidth_and_latency_say_when_bytes_arrive() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let mut link = Link::new(millis(10));
    link.bandwidth = Some(1_000_000);
    pair.world.set_link(pair.client, pair.server, &link);
    write_all(&mut dialled, &[7; 10_000 - 54]);
    // 10,000 bytes with headers at 1 MB/s are 10 ms; another 10 ms under way.
    pair.run(millis(20) - std::time::Duration::from_nanos(1));
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    pair.run(std::time::Duration::from_nanos(1));
    assert_eq!(drain(&mut accepted).unwrap().0.len(), 10_000 - 54);
}

#[test]
fn loss_and_jitter_delay_but_neither_lose_nor_reorder() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let mut link = Link::new(MS);
    link.loss = 0.3;
    link.jitter = millis(20);
    pair.world.set_link(pair.client, pair.server, &link);
    let mut sent = Vec::new();
    let mut got = Vec::new();
    for round in 0..200_u32 {
        let data = round.to_le_bytes();
        write_all(&mut dialled, &data);
        sent.extend(data);
        pair.run(millis(3));
        got.extend(drain(&mut accepted).unwrap().0);
    }
    assert!(got.len() < sent.len());
    pair.run(600 * SECOND);
    got.extend(drain(&mut accepted).unwrap().0);
    assert_eq!(got, sent);
    assert!(pair.world.stats().lost > 0);
}

#[test]
fn a_partition_delays_until_healed() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
    write_all(&mut dialled, b"through ");
    write_all(&mut dialled, b"at last");
    pair.run(60 * SECOND);
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    pair.world.act(&Act::Heal);
    pair.run(60 * SECOND);
    expect_read(&mut accepted, b"through at last");
    assert!(pair.world.all_fired().is_ok());
}

#[test]
fn a_partition_that_stays_times_the_sender_out() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.world.act(&Act::Partition(Cut::Pair(pair.server, pair.client)));
    write_all(&mut dialled, b"lost");
    pair.run(924 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock);
    pair.run(SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::TimedOut);
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock, "who is silent hears nothing");
}

#[test]
fn a_lost_acknowledgement_does_no_harm() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let (from, to) = (pair.server, pair.client);
    pair.world.act(&Act::Partition(Cut::OneWay { from, to }));
    write_all(&mut dialled, &[1; 65_536]);
    pair.run(MS);
    assert_eq!(drain(&mut accepted).unwrap().0.len(), 65_536);
    pair.run(SECOND);
    assert_eq!(write_error(&mut dialled), ErrorKind::WouldBlock);
    pair.world.act(&Act::Heal);
    pair.run(10 * SECOND);
    write_all(&mut dialled, &[2; 65_536]);
    pair.run(SECOND);
    assert_eq!(drain(&mut accepted).unwrap().0, vec![2; 65_536]);
}

#[test]
fn user_timeout_and_keep_alive_find_a_dead_peer() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.user_timeout = Some(5 * SECOND);
    let mut impatient = pair.client_net.connect(&dial).unwrap();
    let mut dial = Dial::new(pair.target(80));
    dial.socket.keep_alive =
        Some(tymist::net::KeepAlive { idle: 10 * SECOND, interval: 2 * SECOND, retries: 3 });
    let mut watchful = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    let _both = (listener.accept().unwrap(), listener.accept().unwrap());
    pair.run(1000 * SECOND);
    assert_eq!(read_error(&mut watchful), ErrorKind::WouldBlock, "the peer answers its probes");
    pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
    write_all(&mut impatient, b"anybody there?");
    pair.run(millis(4_999));
    assert_eq!(read_error(&mut impatient), ErrorKind::WouldBlock);
    pair.run(MS);
    assert_eq!(read_error(&mut impatient), ErrorKind::TimedOut);
    pair.run(20 * SECOND);
    assert_eq!(read_error(&mut watchful), ErrorKind::TimedOut);
}

#[test]
fn loopback_and_mapped_addresses_work() {
    let mut pair = Pair::new();
    let mut listener = pair.server_net.listen(&"[::]:80".parse::<Listen>().unwrap()).unwrap();
    let own = Dial::new("127.0.0.1:80".parse::<Addr>().unwrap());
    let mut inside = pair.server_net.connect(&own).unwrap();
    let mut outside = pair.dial(80);
    pair.run(millis(5));
    assert!(inside.connected().unwrap() && outside.connected().unwrap());
    let first = listener.accept().unwrap();
    assert!(first.peer_addr().to_string().starts_with("[::ffff:127.0.0.1]:"));
    assert_eq!(first.peer_addr().ip(), inside.local_addr().ip());
    let second = listener.accept().unwrap();
    assert_eq!(second.peer_addr().ip(), outside.local_addr().ip());
}

/// A small write that fitted, between one that blocked and the room for more, once took away the report of that room.
#[test]
fn room_is_reported_after_a_write_that_blocked_whatever_fitted_since() {
    let mut server = HostSpec::new("server");
    server.recv_buffer = 20;
    let mut client = HostSpec::new("client");
    client.send_buffer = 100;
    let mut pair = Pair::with(WorldSpec::new(1), server, client);
    let (_listener, mut dialled, mut accepted) = pair.connection();
    dialled.register(token(1)).unwrap();
    write_all(&mut dialled, &[7; 100]);
    assert_eq!(write_error(&mut dialled), ErrorKind::WouldBlock);
    pair.run(SECOND);
    write_all(&mut dialled, &[7; 5]);
    reports(&mut pair.client_net);
    for _ in 0..10 {
        drain(&mut accepted).unwrap();
        pair.run(SECOND);
    }
    let reported = reports(&mut pair.client_net);
    assert!(reported.iter().any(|&(at, _, writable, _)| at == 1 && writable), "{reported:?}");
}

#[test]
fn bytes_that_found_no_place_in_the_accept_queue_are_not_acknowledged() {
    use tymist::sim::trace::{Flags, What};
    let mut spec = WorldSpec::new(1);
    spec.tracing = tymist::sim::Tracing::Full;
    let mut pair = Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"));
    let _listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
    let mut calls: Vec<_> = (0..2).map(|_| pair.dial(80)).collect();
    pair.run(millis(5));
    assert!(calls[1].connected().unwrap());
    write_all(&mut calls[1], b"early");
    pair.run(10 * SECOND);
    let trace = pair.world.trace();
    let mut again = 0;
    for record in trace.records() {
        if let What::Segment { flags, ack, window, .. } = record.what
            && flags.has(Flags::SYN.with(Flags::ACK))
        {
            assert_eq!((ack, window), (1, 65_536), "{}", record.tyme);
            again += 1;
        }
    }
    assert!(again > 3);
}

#[test]
fn a_loopback_address_reaches_no_other_host() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.local = Some("127.0.0.1:0".parse().unwrap());
    let error = pair.client_net.connect(&dial).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(pair.world.sockets(pair.client), 0);
    // IPv6 sends it, to where nobody answers.
    let six = pair.world.host(pair.server).addrs()[1];
    let mut over_six = pair.server_net.listen(&Listen::new((six, 80))).ok();
    let mut dial = Dial::new(Addr::from((six, 80)));
    dial.local = Some("[::1]:0".parse().unwrap());
    let mut lost = pair.client_net.connect(&dial).unwrap();
    pair.run(SECOND);
    assert!(!lost.connected().unwrap());
    assert!(over_six.as_mut().is_none_or(|it| it.accept().is_err()));
    // To the host itself it does.
    let mut dial = Dial::new(pair.target(80));
    dial.local = Some("127.0.0.1:0".parse().unwrap());
    let mut own = pair.server_net.connect(&dial).unwrap();
    pair.run(millis(5));
    assert!(own.connected().unwrap());
    assert!(listener.accept().is_ok());
}
