//! What becomes of a packet: all that is drawn for it and nothing else, and all of it counted.

use std::time::Duration;

use crate::ledger::{counted, recount};
use crate::sim_util::*;
use tymist::net::{Addr, Bind, Datagram};
use tymist::sim::trace::{Fate, What, Why};
use tymist::sim::{Act, Cut, HostSpec, Link, Rng, Tracing, WorldSpec};
use tymist::tyme::Tyme;

fn traced(seed: u64) -> Pair {
    let mut spec = WorldSpec::new(seed);
    spec.tracing = Tracing::Full;
    Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"))
}

fn fates(pair: &Pair) -> Vec<Fate> {
    let trace = pair.world.trace();
    let fate = |what: &What| if let What::Gram { fate, .. } = what { Some(*fate) } else { None };
    trace.records().filter_map(|record| fate(&record.what)).collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}

/// What a datagram meets on a link, by the numbers that are drawn for it: none for what the link does not do.
fn model(link: &Link, now: Tyme, dice: &mut Rng) -> Vec<Fate> {
    let copies = 1 + u8::from(link.duplicate > 0.0 && dice.chance(link.duplicate));
    let mut fate = || {
        if link.loss > 0.0 && dice.chance(link.loss) {
            return Fate::Lost(Why::Chance);
        }
        let mut at = now + link.latency;
        if link.jitter > Duration::ZERO {
            at += Duration::from_nanos(dice.between(0, nanos(link.jitter)));
        }
        if link.reorder > 0.0 && dice.chance(link.reorder) {
            at += Duration::from_nanos(dice.between(1, nanos(link.overtaken_by)));
        }
        Fate::Arrives(at)
    };
    (0..copies).map(|_| fate()).collect()
}

/// Whatever else a later version does to packets: on a link that does not do it, runs of today stay as they are.
#[test]
fn a_link_draws_nothing_for_what_it_does_not_do() {
    for mask in 0..16_u8 {
        let mut pair = traced(7);
        let mut link = Link::new(millis(3));
        let on = |bit: u8| mask & bit != 0;
        link.loss = if on(1) { 0.3 } else { 0.0 };
        link.jitter = if on(2) { millis(5) } else { Duration::ZERO };
        link.duplicate = if on(4) { 0.4 } else { 0.0 };
        link.reorder = if on(8) { 0.5 } else { 0.0 };
        pair.world.set_link(pair.client, pair.server, &link);
        let _receiver = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap();
        let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
        let target = pair.target(7);
        let mut dice = Rng::stream(7, "wire client to server");
        let mut expected = Vec::new();
        for _ in 0..40 {
            expected.extend(model(&link, pair.world.tyme(), &mut dice));
            gram.send(b"?", &target).unwrap();
            pair.run(SECOND);
        }
        assert_eq!(fates(&pair), expected, "mask {mask}");
        let some = |is: fn(&Fate) -> bool| expected.iter().any(is);
        assert_eq!(some(|fate| matches!(fate, Fate::Lost(_))), on(1));
    }
}

/// Each way to get lost is counted, each time, as it is written down.
#[test]
fn each_way_to_get_lost_is_counted() {
    let mut pair = traced(1);
    let (client, server) = (pair.client, pair.server);
    let mut small = Bind::new(([0, 0, 0, 0], 7));
    small.recv_buffer = Some(1);
    let _receiver = pair.server_net.bind(&small).unwrap();
    let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let target = pair.target(7);
    let nowhere: Addr = "10.9.9.9:7".parse().unwrap();
    let send = |pair: &mut Pair, gram: &mut Box<dyn Datagram>, to: &Addr, len: usize| {
        for _ in 0..2 {
            let _ = gram.send(&vec![7; len], to);
        }
        pair.run(SECOND);
        let stats = pair.world.stats();
        assert_eq!(counted(&stats), counted(&recount(&pair.world.trace())));
        stats.lost
    };
    let mut lost = 0;
    let mut more = |now: u64| now - std::mem::replace(&mut lost, now);
    assert_eq!(more(send(&mut pair, &mut gram, &nowhere, 1)), 2);
    let cut = Act::Partition(Cut::OneWay { from: client, to: server });
    pair.world.act(&cut);
    assert_eq!(more(send(&mut pair, &mut gram, &target, 1)), 2);
    pair.world.act(&Act::Heal);
    pair.world.act(&Act::Crash(server));
    assert_eq!(more(send(&mut pair, &mut gram, &target, 1)), 2);
    pair.world.act(&Act::Restart(server));
    let relink = |pair: &mut Pair, change: fn(&mut Link)| {
        let mut link = Link::new(MS);
        change(&mut link);
        pair.world.set_link(client, server, &link);
    };
    relink(&mut pair, |link| link.loss = 1.0);
    assert_eq!(more(send(&mut pair, &mut gram, &target, 1)), 2);
    // One always fits, the second not any more.
    relink(&mut pair, |link| (link.bandwidth, link.queue) = (Some(100_000), 100));
    assert_eq!(more(send(&mut pair, &mut gram, &target, 100)), 1);
    // At the end of time nothing arrives.
    let mut spec = WorldSpec::new(1);
    (spec.start, spec.tracing) = (Tyme::from_nanos(u64::MAX - 1000), Tracing::Full);
    let mut late = Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"));
    let mut gram = late.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let target = late.target(7);
    for _ in 0..2 {
        gram.send(b"?", &target).unwrap();
    }
    assert_eq!(fates(&late), [Fate::Lost(Why::Never); 2]);
    assert_eq!(counted(&late.world.stats()), counted(&recount(&late.world.trace())));
}
