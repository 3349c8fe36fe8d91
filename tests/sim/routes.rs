//! Which way a packet goes, behind whom, and when it is tried again.

use std::net::Shutdown;
use std::time::Duration;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Dial};
use tymist::sim::trace::{Fate, Flags, Timer, What};
use tymist::sim::{Act, Cut, HostId, Link, World};
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

/// Both ends of a connection send their own way, whoever began it.
#[test]
fn each_end_sends_its_own_way() {
    for by_client in [true, false] {
        let mut pair = far_and_near();
        let host = if by_client { pair.server } else { pair.client };
        let target = Addr::from((pair.world.host(host).addrs()[0], 80));
        let (net, other) = if by_client {
            (&mut pair.client_net, &mut pair.server_net)
        } else {
            (&mut pair.server_net, &mut pair.client_net)
        };
        let mut listener = other.listen(&"0.0.0.0:80".parse().unwrap()).unwrap();
        let mut call = net.connect(&Dial::new(target)).unwrap();
        pair.run(SECOND);
        assert!(call.connected().unwrap());
        let mut accepted = listener.accept().unwrap();
        write_all(&mut accepted, b"down");
        write_all(&mut call, b"up");
        pair.run(millis(10));
        let came = [&mut accepted, &mut call].map(|end| !drain(end).unwrap().0.is_empty());
        assert_eq!(came, [by_client, !by_client], "what the client sends is there after 10 ms");
        pair.run(millis(39));
        let came = [&mut accepted, &mut call].map(|end| !drain(end).unwrap().0.is_empty());
        assert_eq!(came, [false, false]);
        pair.run(MS);
        let came = [&mut accepted, &mut call].map(|end| !drain(end).unwrap().0.is_empty());
        assert_eq!(came, [!by_client, by_client], "and what the server sends after 50 ms");
    }
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

/// A reset comes behind what was sent before it, however much faster the way has become.
#[test]
fn a_reset_does_not_overtake_what_was_sent_before() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let (from, to) = (pair.client, pair.server);
    pair.world.act(&Act::Relink { from, to, link: Link::new(millis(100)) });
    write_all(&mut dialled, b"my last word");
    pair.world.act(&Act::Relink { from, to, link: Link::new(MS) });
    dialled.set_abortive().unwrap();
    drop(dialled);
    pair.run(millis(99));
    assert_eq!(read_error(&mut accepted), std::io::ErrorKind::WouldBlock);
    pair.run(millis(2));
    assert_eq!(accepted.read(&mut [0; 32]).unwrap(), 12);
    assert_eq!(read_error(&mut accepted), std::io::ErrorKind::ConnectionReset);
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
