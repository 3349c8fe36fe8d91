//! When TCP tries again: never for nothing, never too late, and each time anew once the trouble is over.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use crate::sim_util::*;
use tymist::net::{Dial, KeepAlive, Stream};
use tymist::sim::trace::{Flags, Timer, What};
use tymist::sim::{Act, Cut, HostId, HostSpec, Link, Side};
use tymist::tyme::Tyme;

/// When a timer of a host did something, from `begin` on, in milliseconds after it.
fn timers(pair: &Pair, of: HostId, kind: Timer, begin: Tyme) -> Vec<u128> {
    let trace = pair.world.trace();
    let is = |what: &What| matches!(what, What::Timer { host, timer, .. } if (*host, *timer) == (of, kind));
    let tymes = trace.records().filter(|record| is(&record.what)).map(|record| record.tyme);
    tymes.filter_map(|tyme| tyme.checked_since(begin)).map(|time| time.as_millis()).collect()
}

fn retries(pair: &Pair, of: HostId, begin: Tyme) -> Vec<u128> {
    timers(pair, of, Timer::Retry, begin)
}

/// The segments of one side since `begin`: flags, first number, number acknowledged, how many bytes, and when in milliseconds.
fn segments(pair: &Pair, of: Side, begin: Tyme) -> Vec<(Flags, u64, u64, usize, u128)> {
    let trace = pair.world.trace();
    let segment = |(tyme, what): (Tyme, &What)| match what {
        What::Segment { side, flags, seq, ack, data, .. } if *side == of => {
            Some((*flags, *seq, *ack, data.len(), tyme.checked_since(begin)?.as_millis()))
        }
        _ => None,
    };
    trace.records().filter_map(|record| segment((record.tyme, &record.what))).collect()
}

fn there(pair: &Pair) -> Act {
    Act::Partition(Cut::OneWay { from: pair.client, to: pair.server })
}

fn back(pair: &Pair) -> Act {
    Act::Partition(Cut::OneWay { from: pair.server, to: pair.client })
}

/// A connection at rest, and now.
fn at_rest() -> (Pair, Box<dyn Stream>, Box<dyn Stream>, Tyme) {
    let mut pair = Pair::traced();
    let (listener, dialled, accepted) = pair.connection();
    drop(listener);
    pair.run(SECOND);
    let now = pair.world.tyme();
    (pair, dialled, accepted, now)
}

/// A retry that was armed, and then had nothing to do, once made the next one wait twice as long.
#[test]
fn trouble_that_is_over_is_forgotten() {
    let (mut pair, mut dialled, mut accepted, _) = at_rest();
    let clog = Act::Clog { from: pair.client, to: pair.server };
    pair.world.act(&clog);
    write_all(&mut dialled, b"one ");
    pair.run(millis(100));
    pair.world.act(&Act::Unclog { from: pair.client, to: pair.server });
    // Longer than it would be tried: what was then must not count for what is now.
    pair.run(2000 * SECOND);
    let begin = pair.world.tyme();
    pair.world.act(&there(&pair));
    write_all(&mut dialled, b"two");
    pair.run(millis(300));
    pair.world.act(&Act::Heal);
    pair.run(10 * SECOND);
    assert_eq!(retries(&pair, pair.client, begin), [200, 600]);
    expect_read(&mut accepted, b"one two");
}

/// Only who waits for an answer of a host that crashes asks again, and only for that.
#[test]
fn a_crash_is_no_trouble_for_who_waits_for_nothing_there() {
    let (mut pair, mut dialled, mut accepted, begin) = at_rest();
    let other = pair.world.add_host(HostSpec::new("other"));
    let mut slow = Link::new(MS);
    slow.bandwidth = Some(10_000);
    pair.world.set_link(pair.client, pair.server, &slow);
    write_all(&mut dialled, &[7; 10_000]);
    pair.run(millis(10));
    pair.world.act(&Act::Crash(other));
    pair.run(5 * SECOND);
    assert_eq!(drain(&mut accepted).unwrap().0.len(), 10_000);
    assert_eq!(retries(&pair, pair.client, begin), [] as [u128; 0]);

    pair.world.set_link(pair.client, pair.server, &Link::new(MS));
    pair.run(SECOND);
    pair.world.act(&Act::Crash(pair.server));
    pair.run(millis(100));
    let begin = pair.world.tyme();
    write_all(&mut dialled, b"hello?");
    pair.run(SECOND);
    // It is known to be lost when it gets there.
    assert_eq!(retries(&pair, pair.client, begin), [201, 602]);
}

/// Whatever the peer says shows that it lives: patience and back-off begin anew, also where what was lost is still lost.
#[test]
fn a_word_of_the_peer_begins_the_back_off_anew() {
    let (mut pair, mut dialled, mut accepted, begin) = at_rest();
    pair.world.act(&there(&pair));
    write_all(&mut dialled, b"lost");
    pair.run(millis(1500));
    write_all(&mut accepted, b"I am here");
    pair.run(2 * SECOND);
    // The try that was due stays due.
    assert_eq!(retries(&pair, pair.client, begin), [200, 600, 1400, 3000, 3400]);
}

/// While bytes are under way, it is their answer that is missed, not room: a word of the peer that there is none does not call off the next try.
#[test]
fn who_waits_for_an_answer_does_not_wait_for_room() {
    let mut spec = tymist::sim::WorldSpec::new(1);
    spec.tracing = tymist::sim::Tracing::Full;
    let mut server = HostSpec::new("server");
    server.recv_buffer = 1000;
    let mut pair = Pair::with(spec, server, HostSpec::new("client"));
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.run(SECOND);
    let begin = pair.world.tyme();
    pair.world.act(&back(&pair));
    write_all(&mut dialled, &[7; 1500]);
    pair.run(millis(1500));
    pair.world.act(&Act::Heal);
    write_all(&mut accepted, b"I am full");
    pair.run(millis(2000));
    assert_eq!(retries(&pair, pair.client, begin), [241, 642, 1443, 3044, 3444]);
}

/// A retry for which there is no reason any more does not stand in for one that is due later.
#[test]
fn a_retry_that_was_called_off_does_not_come() {
    let mut pair = Pair::traced();
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    // With a limit, an attempt to connect is looked after from the start: after a second.
    dial.socket.user_timeout = Some(60 * SECOND);
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(900));
    let _accepted = listener.accept().unwrap();
    pair.world.act(&there(&pair));
    write_all(&mut dialled, b"lost");
    pair.run(millis(900));
    assert_eq!(retries(&pair, pair.client, Tyme::ZERO), [1100, 1500]);
}

/// What was lost goes out once more, with nothing beside it.
#[test]
fn what_was_lost_goes_out_again_alone() {
    let (mut pair, mut dialled, mut accepted, begin) = at_rest();
    pair.world.act(&there(&pair));
    write_all(&mut dialled, b"lost");
    pair.run(millis(300));
    pair.world.act(&Act::Heal);
    pair.run(SECOND);
    expect_read(&mut accepted, b"lost");
    let data = Flags::PSH.with(Flags::ACK);
    let sent = segments(&pair, Side::Dialled, begin);
    assert_eq!(sent, [(data, 1, 1, 4, 0), (data, 1, 1, 4, 200), (data, 1, 1, 4, 600)]);
}

/// A question after a lost answer may be lost too: it is asked until it is answered, and then no more.
#[test]
fn a_lost_question_is_asked_again() {
    let (mut pair, mut dialled, _accepted, begin) = at_rest();
    write_all(&mut dialled, b"hello");
    pair.run(millis(10));
    // The acknowledgement comes after 40 ms, and is lost.
    pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
    pair.run(2 * SECOND);
    pair.world.act(&Act::Heal);
    pair.run(100 * SECOND);
    assert_eq!(retries(&pair, pair.client, begin), [241, 641, 1441, 3041]);
    assert_eq!(pair.world.next_due(), None);
}

/// Who gives up has not tried again.
#[test]
fn giving_up_is_no_retry() {
    let mut pair = Pair::traced();
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.user_timeout = Some(SECOND);
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(10));
    let _accepted = listener.accept().unwrap();
    pair.run(10 * SECOND);
    let begin = pair.world.tyme();
    pair.world.act(&there(&pair));
    write_all(&mut dialled, b"lost");
    pair.run(10 * SECOND);
    assert_eq!(retries(&pair, pair.client, begin), [200, 600]);
    assert_eq!(timers(&pair, pair.client, Timer::GiveUp, begin), [1000]);
}

/// A long way is no trouble; a clogged one is, from the moment of sending.
#[test]
fn a_long_way_is_no_reason_to_call_again() {
    for (clogged, expected) in [(false, vec![]), (true, vec![1000, 3000])] {
        let mut pair = Pair::traced();
        let _listener = pair.listen(80);
        for (from, to) in [(pair.client, pair.server), (pair.server, pair.client)] {
            pair.world.set_link(from, to, &Link::new(3 * SECOND));
        }
        // The way is made by the first packet, and knows then that it is clogged.
        if clogged {
            pair.world.act(&Act::Clog { from: pair.client, to: pair.server });
        }
        let mut dialled = pair.dial(80);
        pair.run(millis(6500));
        assert_eq!(retries(&pair, pair.client, Tyme::ZERO), expected);
        assert_eq!(dialled.connected().unwrap(), !clogged);
    }
}

/// A call that went out twice: what comes after it does not overtake the second either.
#[test]
fn nothing_overtakes_a_call_that_was_repeated() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let (client, server) = (pair.client, pair.server);
    let relink = |pair: &mut Pair, from, to, time| {
        pair.world.set_link(from, to, &Link::new(time));
    };
    relink(&mut pair, client, server, millis(10));
    relink(&mut pair, server, client, 2 * SECOND);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.user_timeout = Some(60 * SECOND);
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(500));
    // The second call takes 5 s, from the first second on.
    relink(&mut pair, client, server, 5 * SECOND);
    pair.run(SECOND);
    relink(&mut pair, client, server, millis(10));
    pair.run(SECOND);
    assert!(dialled.connected().unwrap());
    pair.world.run_until(Tyme::from_nanos(5_999_999_999));
    assert_eq!(listener.accept().err().unwrap().kind(), ErrorKind::WouldBlock);
    pair.run(Duration::from_nanos(1));
    assert!(listener.accept().is_ok());
}

/// Bytes that came before there was a place are acknowledged with it, so that their sender has room again; and what was tried for the place is forgotten.
#[test]
fn a_place_in_the_accept_queue_ends_the_trouble() {
    for clogged in [false, true] {
        let mut spec = tymist::sim::WorldSpec::new(1);
        spec.tracing = tymist::sim::Tracing::Full;
        let mut client = HostSpec::new("client");
        client.send_buffer = 5;
        let mut pair = Pair::with(spec, HostSpec::new("server"), client);
        let mut listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
        let mut calls = [pair.dial(80), pair.dial(80)];
        pair.run(millis(5));
        // Both have had their answer; the second finds the queue full.
        assert_eq!(pair.world.stats().backlog_drops, 1);
        write_all(&mut calls[1], b"early");
        assert_eq!(write_error(&mut calls[1]), ErrorKind::WouldBlock);
        pair.run(millis(3500));
        assert_eq!(write_error(&mut calls[1]), ErrorKind::WouldBlock);
        let _first = listener.accept().unwrap();
        // The answer to it goes out for the fourth time after 7 s, and gets there.
        let fourth = at_millis(7002);
        pair.world.run_until(fourth + Duration::from_micros(500));
        let clog = Act::Clog { from: pair.server, to: pair.client };
        if clogged {
            pair.world.act(&clog);
        }
        pair.run(millis(10));
        let mut second = listener.accept().unwrap();
        expect_read(&mut second, b"early");
        write_all(&mut second, b"answer");
        assert_eq!(write(&mut calls[1], b"later").is_ok(), !clogged);
        pair.run(SECOND);
        let tried = retries(&pair, pair.server, fourth + Duration::from_micros(500));
        assert_eq!(tried, if clogged { vec![200, 600] } else { vec![] });
    }
}

/// The caller is gone and its end answers nobody: the half that came up is tried as often as Linux does, and leaves nothing.
#[test]
fn half_a_connection_whose_answer_was_lost_ends() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    // The way back is made, and cut.
    drop(pair.dial(81));
    pair.run(SECOND);
    pair.world.act(&back(&pair));
    let call = pair.dial(80);
    pair.run(millis(2));
    drop((call, listener));
    pair.run(62 * SECOND);
    let strict = |pair: &mut Pair| pair.try_listen(80, |listen| listen.reuse_addr = false).is_ok();
    assert!(!strict(&mut pair));
    pair.run(10 * SECOND);
    assert!(strict(&mut pair));
    assert_eq!(pair.world.next_due(), None);
}

/// An acknowledgement that waits for company waits for the first byte's sake, whatever has come since.
#[test]
fn one_acknowledgement_waits_at_a_time() {
    let (mut pair, mut dialled, _accepted, begin) = at_rest();
    for wait in [10, 35, 200] {
        write_all(&mut dialled, b"x");
        pair.run(millis(wait));
    }
    let acks: Vec<_> = segments(&pair, Side::Accepted, begin);
    let ack = |number, at| (Flags::ACK, 1, number, 0, at);
    assert_eq!(acks, [ack(3, 41), ack(4, 86)]);
}

/// The end goes out once, alone or with the last bytes.
#[test]
fn an_end_is_said_once() {
    for stuck in [false, true] {
        let (mut pair, mut dialled, mut accepted, begin) = at_rest();
        if stuck {
            pair.world.act(&there(&pair));
        }
        write_all(&mut dialled, b"bye");
        dialled.shutdown(Shutdown::Write).unwrap();
        pair.world.act(&Act::Heal);
        pair.run(SECOND);
        expect_end(&mut accepted, b"bye");
        let sent = segments(&pair, Side::Dialled, begin);
        let ends = sent.iter().filter(|(flags, ..)| flags.has(Flags::FIN));
        let ends: Vec<_> = ends.map(|&(flags, seq, _, len, _)| (flags, seq, len)).collect();
        let (alone, with) =
            (Flags::FIN.with(Flags::ACK), Flags::FIN.with(Flags::ACK).with(Flags::PSH));
        assert_eq!(ends, if stuck { [(with, 1, 3)] } else { [(alone, 4, 0)] });
        // Behind the end, nothing is written; before the other's end, it is none.
        assert_eq!(write_error(&mut dialled), ErrorKind::BrokenPipe);
        assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock);
    }
}

/// An orphan that has waited a minute for its peer's end is gone with the first word of that peer, and asks no more.
#[test]
fn an_orphan_that_has_waited_long_enough_asks_no_more() {
    let mut pair = Pair::traced();
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.keep_alive = Some(KeepAlive { idle: 70 * SECOND, interval: SECOND, retries: 100 });
    let dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(10));
    let mut accepted = listener.accept().unwrap();
    drop(dialled);
    pair.run(100 * SECOND);
    assert_eq!(timers(&pair, pair.client, Timer::KeepAlive, Tyme::ZERO).len(), 1);
    assert_eq!(write_error(&mut accepted), ErrorKind::BrokenPipe);
}
