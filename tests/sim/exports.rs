//! What the exports show of rare things: ways that are clogged, hosts that are down while something is under way, what is left out,
//! ICMP for IPv6; and how much of a run is kept.

use crate::sim_util::*;
use crate::trace::{blocks, checksum};
use tymist::net::{Addr, Bind};
use tymist::sim::trace::What;
use tymist::sim::{Act, HostSpec, Link, Trace, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

fn timeline(trace: &Trace, from: Tyme, limit: usize) -> String {
    let mut page = Vec::new();
    trace.write_timeline(&mut page, from, limit).unwrap();
    String::from_utf8(page).unwrap()
}

/// What stands in the page between this and the next quotation mark, each time.
fn quoted<'a>(page: &'a str, before: &str) -> Vec<&'a str> {
    page.split(before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// An arrow to where a way is clogged ends at a gate short of the lane: above the one below, below the one above.
#[test]
fn segments_that_pile_up_stop_at_a_gate() {
    let mut pair = Pair::traced();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let (client, server) = (pair.client, pair.server);
    for (from, to) in [(client, server), (server, client)] {
        pair.world.act(&Act::Clog { from, to });
    }
    write_all(&mut dialled, b"up");
    pair.run(millis(5));
    write_all(&mut accepted, b"down");
    pair.run(millis(5));
    let page = timeline(&pair.world.trace(), Tyme::ZERO, 1000);
    let held = quoted(&page, "class=\"arrow held data\" d=\"");
    let ends: Vec<_> = held.iter().map(|path| path.rsplit(' ').next().unwrap()).collect();
    // The lane of the server is at 161, that of the client at 291.
    assert_eq!(ends, ["175", "277"]);
}

/// Tyme is drawn in units of the median flight, whatever the order of the flights; and what falls between two moments, between their places: here a host is
/// down while the last that is drawn is under way.
#[test]
fn what_happens_between_two_moments_is_drawn_between_them() {
    let mut spec = WorldSpec::new(1);
    spec.tracing = Tracing::Full;
    let mut world = World::with(spec);
    let (from, to) = (world.add_host("one"), world.add_host("other"));
    let mut socket = world.host(from).net().bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    let target = Addr::from((world.resolve("other")[0], 9));
    for flight in [100, 10, 50] {
        world.set_route(from, to, Link::new(millis(flight)));
        socket.send(b"hello", &target).unwrap();
    }
    world.plan(at_millis(25), Act::Crash(to));
    world.plan(at_millis(75), Act::Restart(to));
    world.run_for(SECOND);
    world.host(from).note("later");
    let page = timeline(&world.trace(), Tyme::ZERO, 4);
    assert!(page.contains("4 drawn · left out: 0 before, "), "a bind and three datagrams");
    // 50 ms are 110 pixels: 10 ms are at 52, 50 ms at 140, 100 ms at 250.
    assert_eq!(quoted(&page, "class=\"down\" x=\""), ["85.0"]);
    assert!(page.contains("\" width=\"110.0\" height=\"44\">"), "from 85 to 195");
    // And what came before all that is drawn is at the edge.
    let page = timeline(&world.trace(), at_millis(500), 10);
    assert_eq!(quoted(&page, "class=\"down\" x=\""), ["0.0"]);
    assert!(page.contains(" before, 0 after"));
}

/// Control characters have no place in a page.
#[test]
fn a_remark_cannot_break_the_page() {
    let pair = Pair::traced();
    pair.world.host(pair.server).note("a bell \u{7}, a \u{0} and a \u{1b}[0m");
    let page = timeline(&pair.world.trace(), Tyme::ZERO, 10);
    assert!(page.contains("a bell  , a   and a  [0m"));
    assert!(!page.contains(|symbol: char| symbol.is_control() && symbol != '\n'));
}

#[test]
fn nobody_there_is_told_by_icmpv6_with_what_it_is_about() {
    let mut pair = Pair::traced();
    let mut socket = pair.client_net.bind(&"[::]:1000".parse::<Bind>().unwrap()).unwrap();
    socket.send(b"anybody?", &"[fd00::1]:53".parse().unwrap()).unwrap();
    pair.run(millis(7));
    pair.world.host(pair.client).note("nobody");
    let mut file = Vec::new();
    pair.world.trace().write_pcapng(&mut file).unwrap();
    let blocks = blocks(&file);
    let packets: Vec<_> = blocks.iter().filter(|(kind, _)| *kind == 6).map(|it| it.1).collect();
    let [asked, told] = packets[..] else { panic!("{} packets", packets.len()) };
    let number = |body: &[u8], at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
    let tyme = |body: &[u8]| {
        Tyme::from_nanos(u64::from(number(body, 4)) << 32 | u64::from(number(body, 8)))
    };
    assert_eq!((tyme(asked), tyme(told)), (Tyme::ZERO, at_millis(1)));
    // Behind the head of the block and that of Ethernet.
    let frame = |body: &[u8]| body[20 + 14..20 + number(body, 12) as usize].to_vec();
    let (asked, told) = (frame(asked), frame(told));
    let (icmp, length) = (&told[40..], u32::try_from(told.len() - 40).unwrap().to_be_bytes());
    assert_eq!((told[0] >> 4, told[6], &icmp[..2]), (6, 58, &[1, 4][..]), "port unreachable");
    assert_eq!(checksum(&[&told[8..40], &length, &[0, 0, 0, 58], icmp]), 0xffff);
    assert_eq!(icmp[8 + 8..8 + 44], asked[8..44], "addresses and ports of what was asked");
    // A remark that no packet follows has the tyme at which the trace ends.
    let rest: Vec<_> = blocks.iter().filter(|(kind, _)| *kind == 5).map(|it| it.1).collect();
    assert_eq!(rest.len(), 1);
    assert_eq!(tyme(rest[0]), at_millis(7));
    assert!(String::from_utf8_lossy(rest[0]).contains("nobody"));
}

/// A stretch held a little more than its half, since the lengths that stand before records were not counted.
#[test]
fn the_last_of_a_run_is_as_much_as_was_asked_for() {
    let run = |tracing, remarks: usize, len: usize| {
        let mut spec = WorldSpec::new(1);
        spec.tracing = tracing;
        let mut world = World::with(spec);
        let host = world.add_host(HostSpec::new("host"));
        (0..remarks).for_each(|_| world.host(host).note("x".repeat(len)));
        let trace = world.trace();
        let mut file = Vec::new();
        trace.write_to(&mut file).unwrap();
        (trace.records().filter(|it| matches!(it.what, What::Note { .. })).count(), file.len())
    };
    // Lengths whose own length is one byte, and two.
    for len in [0, 1, 30, 122, 123, 124, 127, 128, 250, 2000] {
        let (_, hosts) = run(Tracing::Full, 0, len);
        let size = run(Tracing::Full, 1, len).1 - hosts;
        for (limit, remarks, kept) in [
            // Three fill a half to the last byte.
            (6 * size, 3, 3),
            (6 * size, 6, 6),
            (6 * size, 7, 4),
            (6 * size - 1, 3, 3),
            (6 * size - 1, 4, 4),
            (6 * size - 1, 5, 3),
            // What is larger than a half by itself is left out.
            (2 * size, 9, 2),
            (2 * size - 1, 9, 0),
        ] {
            let (count, bytes) = run(Tracing::Last(limit), remarks, len);
            assert!(bytes - hosts <= limit, "{} bytes for {limit}", bytes - hosts);
            assert_eq!(count, kept, "{remarks} of {size} bytes each, for {limit}");
        }
    }
}

/// What is too large to be kept by itself wiped a half each time, so that two of them left nothing.
#[test]
fn regression_what_is_too_large_for_the_last_of_a_trace_drops_nothing_else() {
    let mut spec = WorldSpec::new(1);
    spec.tracing = Tracing::Last(1000);
    let mut world = World::with(spec);
    let host = world.add_host("host");
    world.host(host).note("before");
    (0..3).for_each(|_| world.host(host).note("x".repeat(600)));
    world.host(host).note("after");
    let notes: Vec<_> = world.trace().records().map(|record| record.what).collect();
    let notes = notes.iter().filter_map(|what| match what {
        What::Note { text, .. } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(notes.collect::<Vec<_>>(), ["before", "after"]);
}

/// A remark longer than an option may be was cut within a character.
#[test]
fn regression_a_long_remark_is_cut_between_characters() {
    for first in ["", "x"] {
        let pair = Pair::traced();
        pair.world.host(pair.server).note(first.to_owned() + &"ö".repeat(40_000));
        let mut file = Vec::new();
        pair.world.trace().write_pcapng(&mut file).unwrap();
        let blocks = blocks(&file);
        let (_, rest) = blocks.iter().find(|(kind, _)| *kind == 5).unwrap();
        let length = usize::from(u16::from_le_bytes([rest[14], rest[15]]));
        assert!(length > 65_530, "{length} bytes");
        assert!(std::str::from_utf8(&rest[16..16 + length]).is_ok());
    }
}
