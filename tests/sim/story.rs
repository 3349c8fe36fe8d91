//! What a trace tells of waits, timers and packets that got nowhere, and what the exports make of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::io::ErrorKind;

use crate::sim_util::*;
use tymist::net::{Bind, Dial, KeepAlive};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::trace::{Timer, Trace, What, Why};
use tymist::sim::{Act, Cut, HostSpec, Op, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

fn count(trace: &Trace, wanted: impl Fn(&What) -> bool) -> usize {
    trace.records().filter(|record| wanted(&record.what)).count()
}

fn timeline(trace: &Trace) -> String {
    let mut page = Vec::new();
    trace.write_timeline(&mut page, Tyme::ZERO, 100_000).unwrap();
    String::from_utf8(page).unwrap()
}

fn narrow() -> Pair {
    let mut spec = WorldSpec::new(1);
    spec.tracing = Tracing::Full;
    let mut server = HostSpec::new("server");
    server.gram_buffer = 1000;
    Pair::with(spec, server, HostSpec::new("client"))
}

#[test]
fn calls_answered_by_a_rule_that_fired_before_leave_a_record() {
    let mut pair = narrow();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, b"hello");
    pair.run(MS);
    let stall = Effect::Stall(SECOND);
    pair.world.rule(Rule::new("stall", stall).on(&[Op::Read]).host("server").times(1));
    pair.world.rule(Rule::new("cut", Effect::Reset).on(&[Op::Write]).host("server"));
    for _ in 0..3 {
        assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    }
    assert_eq!(write_error(&mut accepted), ErrorKind::ConnectionReset);
    assert_eq!(write_error(&mut accepted), ErrorKind::BrokenPipe);
    assert_eq!(accepted.read(&mut [0; 4]).unwrap(), 0);
    let trace = pair.world.trace();
    assert_eq!(count(&trace, |what| matches!(what, What::Fault { .. })), 6);
    assert_eq!(pair.world.stats().faults, 2, "two rules fired, once each");
    let still =
        |what: &What| matches!(what, What::Fault { effect, .. } if effect.starts_with("still: "));
    assert_eq!(count(&trace, still), 4);
}

#[test]
fn packets_that_pile_up_or_are_dropped_leave_a_record_and_a_mark() {
    let mut pair = narrow();
    let _server = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    let mut socket = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let to = pair.target(9);
    socket.send(&[7; 100], &to).unwrap();
    socket.send(&[7; 400], &to).unwrap();
    pair.run(millis(5));
    let (from, server) = (pair.client, pair.server);
    pair.world.act(&Act::Clog { from, to: server });
    socket.send(&[7; 100], &to).unwrap();
    let _held = pair.dial(80);
    pair.run(millis(5));
    pair.world.act(&Act::Unclog { from, to: server });
    let _late = pair.dial(80);
    pair.world.act(&Act::Crash(server));
    pair.run(millis(5));
    let trace = pair.world.trace();
    let dropped = |why| count(&trace, |it| matches!(it, What::Dropped { why: w, .. } if *w == why));
    assert_eq!((dropped(Why::Buffer), dropped(Why::Down)), (2, 1));
    assert_eq!(count(&trace, |what| matches!(what, What::Held { conn: None, .. })), 1);
    assert_eq!(count(&trace, |what| matches!(what, What::Held { conn: Some(0), .. })), 1);
    let page = timeline(&trace);
    // What piled up is no arrow that arrives, and all else is.
    let drawn = |class: &str| page.matches(&format!("class=\"arrow {class}\"")).count();
    assert_eq!((drawn("held gram"), drawn("gram")), (1, 2));
    assert_eq!((drawn("held syn"), drawn("syn")), (1, 1));
    assert_eq!(page.matches("class=\"gate\"").count(), 2);
    for wanted in
        ["piles up", "dropped: the socket&apos;s buffer is full", "dropped: the host is down"]
    {
        let wanted = wanted.replace("&apos;", "'");
        assert!(page.contains(&wanted), "{wanted}");
    }
}

#[test]
fn timers_time_outs_and_closes_are_recorded_and_drawn() {
    let mut pair = narrow();
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.keep_alive = Some(KeepAlive { idle: 5 * SECOND, interval: SECOND, retries: 3 });
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    let mut accepted = listener.accept().unwrap();
    pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
    write_all(&mut accepted, b"lost");
    pair.run(20 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::TimedOut);
    drop(dialled);
    drop(listener);
    let trace = pair.world.trace();
    let timers =
        |timer| count(&trace, |it| matches!(it, What::Timer { timer: t, .. } if *t == timer));
    assert!(timers(Timer::Retry) >= 5);
    assert_eq!((timers(Timer::KeepAlive), timers(Timer::GiveUp)), (3, 1));
    let page = timeline(&trace);
    for wanted in ["tries again", "looks after", "gives up", "read: ETIMEDOUT", "close"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    let mut file = Vec::new();
    trace.write_to(&mut file).unwrap();
    assert_eq!(Trace::read_from(&file[..]).unwrap(), trace);
}

#[test]
fn what_comes_after_the_last_packet_is_in_the_pcapng_too() {
    let mut pair = narrow();
    let _connection = pair.connection();
    pair.world.host(pair.server).note("the very end");
    let mut file = Vec::new();
    pair.world.trace().write_pcapng(&mut file).unwrap();
    let found = file.windows(12).position(|bytes| bytes == b"the very end").unwrap();
    // In a block of statistics, the last one.
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let last = word(file.len() - 4) as usize;
    assert_eq!(word(file.len() - last), 5);
    assert!(found > file.len() - last);
    let mut empty = Vec::new();
    World::new(1).trace().write_pcapng(&mut empty).unwrap();
}

#[test]
fn runs_of_which_only_the_hash_was_kept_can_differ() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.add_host(format!("host {seed}"));
        world.trace()
    };
    assert_eq!(run(1).first_difference(&run(1)), None);
    let difference = run(1).first_difference(&run(2)).unwrap();
    assert!(difference.to_string().contains("hashes differ"), "{difference}");
}

/// Connection numbers and windows of a trace from elsewhere may be anything.
#[test]
fn a_foreign_trace_with_great_numbers_is_exported() {
    let mut pair = narrow();
    let (_listener, mut dialled, _accepted) = pair.connection();
    write_all(&mut dialled, b"x");
    let trace = pair.world.trace();
    let mut file = Vec::new();
    trace.write_to(&mut file).unwrap();
    let mut out = file[..16].to_vec();
    let mut rest = &file[16..];
    while let Some((&len, tail)) = rest.split_first() {
        assert!(len < 0x80, "small records only");
        let (body, next) = tail.split_at(usize::from(len));
        rest = next;
        out.extend(great(body));
    }
    let foreign = Trace::read_from(&out[..]).unwrap();
    let great =
        |what: &What| matches!(what, What::Segment { conn: u32::MAX, window: u32::MAX, .. });
    assert!(foreign.records().any(|record| great(&record.what)));
    foreign.write_pcapng(&mut Vec::new()).unwrap();
}

/// The record with its length before it, of which connection and window are as great as can be.
fn great(body: &[u8]) -> Vec<u8> {
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let skip = |at: usize| at + 1 + body[at..].iter().take_while(|byte| **byte & 0x80 != 0).count();
    let kind = skip(0);
    let mut new = body[..=kind].to_vec();
    match body[kind] {
        // Connection: host, number, and the rest.
        3 => {
            let number = skip(kind + 1);
            new.extend(&body[kind + 1..number]);
            new.extend(most);
            new.extend(&body[skip(number)..]);
        }
        // Segment: number, flags, seq, ack, window, and the rest.
        4 => {
            let flags = skip(kind + 1);
            let window = skip(skip(flags + 1));
            new.extend(most);
            new.extend(&body[flags..window]);
            new.extend(most);
            new.extend(&body[skip(window)..]);
        }
        _ => new = body.to_vec(),
    }
    assert!(new.len() < 0x80);
    [vec![new.len() as u8], new].concat()
}

#[test]
fn the_last_of_a_run_is_kept_within_bounds() {
    let run = |tracing| {
        let mut spec = WorldSpec::new(1);
        spec.tracing = tracing;
        let mut pair = Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"));
        let (_listener, mut dialled, mut accepted) = pair.connection();
        for _ in 0..200 {
            write_all(&mut dialled, b"hello");
            pair.run(MS);
            expect_read(&mut accepted, b"hello");
        }
        (pair.world.trace(), pair.world.records(), pair.world.hash())
    };
    let (full, records, hash) = run(Tracing::Full);
    let (last, again, same) = run(Tracing::Last(2000));
    assert_eq!((records, hash), (again, same), "it is the same run");
    assert_eq!(last.hash(), hash);
    let mut file = Vec::new();
    last.write_to(&mut file).unwrap();
    assert!((1000..2000 + 200).contains(&file.len()), "{}", file.len());
    let tail = |trace: &Trace, count| {
        let all: Vec<_> = trace.records().map(|record| (record.tyme, record.what)).collect();
        all[all.len() - count..].to_vec()
    };
    let kept = usize::try_from(last.len()).unwrap() - 2;
    assert_eq!(tail(&last, kept), tail(&full, kept));
    assert_eq!(count(&last, |what| matches!(what, What::Host { .. })), 2);
    last.write_pcapng(&mut Vec::new()).unwrap();
    timeline(&last);
}
