//! How many connections have their turn in one tick. On a scripted network.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::time::Duration;

use crate::util::pattern;
use crate::util::script::{Peer, Read, Script, Write};
use tymist::{CloseReason, Deadline, Event, Id, Wake};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn admitted(script: &mut Script, count: u16) -> (Vec<Peer>, Vec<Id>) {
    let peers: Vec<_> = (1..=count).map(|port| Peer::new(port, [])).collect();
    let ids = peers.iter().map(|peer| script.admits(peer)).collect();
    script.ticks(3);
    (peers, ids)
}

fn received(events: &[Event]) -> Vec<Id> {
    let of = |event: &Event| if let Event::Received(id) = event { Some(*id) } else { None };
    events.iter().filter_map(of).collect()
}

/// One under the limit, as many, and one over; the rest is first the next time.
#[test]
fn so_many_have_their_turn_and_the_rest_is_next() {
    for (limit, ticks) in
        [(4, vec![3]), (3, vec![3]), (2, vec![2, 1]), (1, vec![1, 1, 1]), (0, vec![1, 1, 1])]
    {
        let mut script = Script::with(|config| config.limits.turns_per_tick = limit);
        let (peers, ids) = admitted(&mut script, 3);
        let before = script.server.counters().budget.turns;
        peers.iter().for_each(|peer| peer.then([Read::Bytes(pattern(5))]));
        let mut order = Vec::new();
        for (tick, &count) in ticks.iter().enumerate() {
            let had = received(&script.tick());
            assert_eq!(had.len(), count, "limit {limit}, tick {tick}");
            order.extend(had);
            let more = order.len() < 3;
            assert_eq!(script.server.wake() == Wake::Now, more, "limit {limit}, tick {tick}");
        }
        assert_eq!(order, ids, "limit {limit}");
        let cut = script.server.counters().budget.turns - before;
        assert_eq!(cut, ticks.len() as u64 - 1, "limit {limit}");
    }
}

/// Who floods goes to the back of the line each time.
#[test]
fn who_always_has_more_is_served_in_turn_with_the_others() {
    let mut script = Script::with(|config| {
        config.limits.turns_per_tick = 1;
        config.limits.remoter_tick_bytes = 10;
    });
    let (peers, ids) = admitted(&mut script, 3);
    peers[0].then([Read::Endless]);
    script.tick();
    peers[1].then([Read::Bytes(pattern(5))]);
    peers[2].then([Read::Bytes(pattern(5))]);
    let order: Vec<Id> = (0..6)
        .flat_map(|_| {
            let events = script.tick();
            script.server.remoter_mut(ids[0]).unwrap().take();
            received(&events)
        })
        .collect();
    assert_eq!(order[..3], [ids[0], ids[1], ids[2]], "{order:?}");
}

/// With no room to read, those whose turn it is to send have it.
#[test]
fn who_waits_for_room_keeps_no_turn_from_those_who_can_send() {
    let mut script = Script::with(|config| {
        config.limits.turns_per_tick = 1;
        config.limits.buffered = 800;
    });
    let (peers, ids) = admitted(&mut script, 4);
    peers[3].far().writes.extend([Write::Blocks]);
    script.server.tx(ids[3], &pattern(50)).unwrap();
    script.tick();
    // All the room for what comes in is one peer's, who is not taken from, and two more want some.
    peers[0].then([Read::Endless]);
    script.ticks(3);
    peers[1].then([Read::Endless]);
    peers[2].then([Read::Endless]);
    script.ticks(2);
    peers[3].report(false, true);
    script.ticks(8);
    assert_eq!(peers[3].far().written.len(), 50);
}

/// The room that comes to be in a tick is the first one's. With twice as many in line as have their turn it was always the same two that were first.
#[test]
fn regression_room_goes_round_where_not_everybody_has_a_turn() {
    let mut script = Script::with(|config| {
        config.limits.turns_per_tick = 2;
        config.limits.buffered = 8;
    });
    let (peers, ids) = admitted(&mut script, 4);
    peers.iter().for_each(|peer| peer.then([Read::Endless]));
    let mut got = [0; 4];
    for _ in 0..16 {
        script.tick();
        for (got, id) in got.iter_mut().zip(&ids) {
            *got += script.server.remoter_mut(*id).unwrap().take().len();
        }
    }
    let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
    assert!(*least > 0 && most - least <= 7, "{got:?}");
}

/// A tick in which nobody could do anything had no budget that was too small.
#[test]
fn regression_who_cannot_move_is_not_cut() {
    let mut script = Script::with(|config| {
        config.limits.turns_per_tick = 1;
        config.limits.buffered = 8;
    });
    let (peers, _) = admitted(&mut script, 3);
    peers.iter().for_each(|peer| peer.then([Read::Endless]));
    script.ticks(8);
    assert_eq!((script.server.buffered(), script.server.wake()), (7, Wake::OnIo));
    let before = script.server.counters().budget.turns;
    script.ticks(8);
    assert_eq!(script.server.counters().budget.turns, before);
}

/// Those who were in line and are gone have no turns, and keep nobody awake.
#[test]
fn regression_who_is_gone_has_no_turn() {
    let mut script = Script::with(|config| config.limits.turns_per_tick = 1);
    let (peers, ids) = admitted(&mut script, 6);
    peers.iter().for_each(|peer| peer.then([Read::Endless]));
    script.tick();
    ids[1..].iter().for_each(|id| script.server.remoter_mut(*id).unwrap().abort());
    script.ticks(2);
    script.server.remoter_mut(ids[0]).unwrap().abort();
    script.ticks(2);
    assert_eq!((script.server.len(), script.server.wake()), (0, Wake::OnIo));
}

/// Deadlines do not judge who was kept waiting.
#[test]
fn who_has_no_turn_is_neither_silent_nor_stalled() {
    let mut script = Script::with(|config| {
        config.limits.turns_per_tick = 1;
        config.timeouts.first_byte = Some(SECOND);
    });
    let (peers, ids) = {
        let peers = [Peer::new(1, []), Peer::new(2, [])];
        let ids = peers.each_ref().map(|peer| script.admits(peer));
        script.tick();
        (peers, ids)
    };
    peers.iter().for_each(|peer| peer.then([Read::Bytes(pattern(5))]));
    assert_eq!(script.tick_after(SECOND), [Event::Received(ids[0])]);
    assert_eq!(script.tick_after(NANO), [Event::Received(ids[1])]);

    let mut script = Script::with(|config| {
        config.limits.turns_per_tick = 1;
        config.timeouts.write_stall = Some(SECOND);
    });
    let quick = Peer::new(1, []);
    let slow = Peer::new(2, []).writing([Write::Blocks]);
    let ids = [&quick, &slow].map(|peer| script.admits(peer));
    script.tick();
    script.server.tx(ids[1], &pattern(10)).unwrap();
    script.tick();
    quick.then([Read::Bytes(pattern(5))]);
    slow.report(false, true);
    assert_eq!(script.tick_after(SECOND), [Event::Received(ids[0])]);
    assert_eq!(slow.far().written.len(), 0, "or this shows nothing");
    assert_eq!(script.tick_after(NANO), [Event::Drained(ids[1])]);
}

/// Who had a turn that could bring nothing, since others hold all the room, is judged like anybody: the next turn was waited for in each nanosecond, for as
/// long as there was no room.
#[test]
fn regression_a_deadline_waits_for_one_turn_and_not_for_room() {
    let mut script = Script::with(|config| {
        config.limits.turns_per_tick = 1;
        config.limits.buffered = 8;
        config.timeouts.first_byte = Some(SECOND);
    });
    let peers = [1, 2, 3].map(|port| Peer::new(port, []));
    let ids = peers.each_ref().map(|peer| script.admits(peer));
    peers[0].then([Read::Endless]);
    script.ticks(2);
    assert_eq!(script.server.buffered(), 7, "all that may be read");
    peers[1..].iter().for_each(|peer| peer.then([Read::Endless]));
    let mut events = script.tick_after(SECOND);
    (0..2).for_each(|_| events.extend(script.tick_after(NANO)));
    for id in &ids[1..] {
        assert!(events.contains(&Event::Expired(*id, Deadline::FirstByte)), "{id:?}: {events:?}");
    }
    assert_eq!(script.server.wake(), Wake::OnIo);
}

/// The next tick forgets who has closed, and then has room for the few bytes of one who holds none; the wake spoke of room for all only.
#[test]
fn regression_wake_knows_of_the_room_in_need_that_a_closed_one_leaves() {
    let mut script = Script::with(|config| config.limits.buffered = 1600);
    let (peers, ids) = admitted(&mut script, 3);
    for (peer, bytes) in peers.iter().zip([1400, 100, 50]) {
        peer.then([Read::Bytes(pattern(bytes))]);
        script.tick();
    }
    assert_eq!((script.server.buffered(), script.server.wake()), (1500, Wake::OnIo));
    script.server.remoter_mut(ids[1]).unwrap().abort();
    assert_eq!(script.tick(), [Event::Closed(ids[1], CloseReason::Aborted)]);
    assert_eq!(script.server.wake(), Wake::Now);
    assert_eq!(script.tick(), [Event::Received(ids[2])]);
}
