//! Deadlines that are put off, taken away, or not yet to be judged, on a scripted network.

use std::time::Duration;

use crate::far::{Desk, addr};
use crate::util::pattern;
use crate::util::script::{Peer, Read, Script, Write};
use tymist::tyme::Tyme;
use tymist::{Backoff, CloseReason, Connect, Deadline, Event, Id, MinRate, Timeouts};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn never() -> Timeouts {
    let mut timeouts = Timeouts::new();
    (timeouts.handshake, timeouts.write_stall, timeouts.linger) = (None, None, None);
    timeouts
}

fn only(change: impl FnOnce(&mut Timeouts)) -> Script {
    Script::with(|config| {
        config.timeouts = never();
        change(&mut config.timeouts);
    })
}

fn expired(id: Id, which: Deadline) -> [Event; 2] {
    [Event::Expired(id, which), Event::Closed(id, CloseReason::Expired(which))]
}

#[track_caller]
fn silent(script: &mut Script, count: u16) -> (Vec<Peer>, Vec<Id>) {
    let peers: Vec<_> = (1..=count).map(|port| Peer::new(port, [])).collect();
    let ids = peers.iter().map(|peer| script.admits(peer)).collect();
    script.tick();
    (peers, ids)
}

#[test]
fn a_stall_that_is_no_longer_minded_ends_with_the_next_progress() {
    let mut script = only(|timeouts| timeouts.write_stall = Some(SECOND));
    let writes = [Write::Takes(10), Write::Blocks, Write::Takes(10), Write::Never];
    let peer = Peer::new(1, []).writing(writes);
    let id = script.admits(&peer);
    script.tick();
    script.server.tx(id, &pattern(100)).unwrap();
    script.tick();
    script.server.config_mut().timeouts.write_stall = None;
    peer.report(false, true);
    script.tick_after(SECOND / 2);
    assert_eq!(peer.far().written.len(), 20, "or this shows nothing");
    assert_eq!(script.tick_after(100 * SECOND), []);
}

/// The counters go on through all connections of a dialled one; a window does not.
#[test]
fn the_bytes_of_an_earlier_connection_do_not_make_the_next_one_fast() {
    let rate = MinRate { bytes: 100, window: 10 * SECOND };
    let mut desk = Desk::with(|config| config.timeouts.min_rate = Some(rate));
    let mut connect = Connect::new(addr(1)).reconnectable();
    connect.reconnect = Some(Backoff::every(SECOND));
    desk.dial(connect);
    desk.far.up(0);
    desk.tick();
    desk.far.send(0, &pattern(1000));
    desk.tick();
    desk.far.reset(0);
    desk.tick();
    desk.tick_at(desk.retry_at());
    desk.far.up(1);
    desk.tick();
    desk.tick_after(10 * SECOND - NANO);
    assert_eq!(desk.clients.counters().closed.too_slow, 0);
    desk.tick_after(NANO);
    assert_eq!(desk.clients.counters().closed.too_slow, 1);
}

/// Timeouts of its own start anew what runs, once.
#[test]
fn having_a_connection_in_hand_puts_nothing_off() {
    let mut script = only(|_| {});
    let (_peers, ids) = silent(&mut script, 1);
    let mut own = never();
    own.idle = Some(2 * SECOND);
    script.server.remoter_mut(ids[0]).unwrap().set_timeouts(own);
    script.tick();
    assert!(script.server.remoter_mut(ids[0]).is_some());
    assert_eq!(script.tick_after(SECOND), []);
    assert!(script.server.remoter_mut(ids[0]).is_some());
    assert_eq!(script.tick_after(SECOND), expired(ids[0], Deadline::Idle));
}

/// Its deadline was put off since the wheel was armed, and comes to be looked at while a harvest leaves some for the next.
#[test]
fn what_is_not_due_yet_is_not_lost_where_not_all_was_heard() {
    let mut script = only(|timeouts| timeouts.idle = Some(2 * SECOND));
    let (peers, ids) = silent(&mut script, 3);
    for peer in &peers {
        peer.then([Read::Bytes(pattern(1))]);
    }
    assert_eq!(script.tick_after(SECOND).len(), 3);
    script.harvest_takes(1);
    peers[1].report(true, false);
    peers[2].report(true, false);
    assert_eq!(script.tick_after(SECOND), []);
    script.harvest_takes(1000);
    assert_eq!(script.tick_after(SECOND - NANO), []);
    let all: Vec<Event> = ids.iter().flat_map(|id| expired(*id, Deadline::Idle)).collect();
    assert_eq!(script.tick_after(NANO), all);
}

/// Once there were as many reports as there are sources, what had come when the first of them was asked for was heard.
#[test]
fn a_round_of_reports_tells_all_up_to_its_very_beginning() {
    let mut script = only(|timeouts| timeouts.idle = Some(SECOND));
    let (peers, ids) = silent(&mut script, 3);
    script.harvest_takes(512);
    script.tymist.set(Tyme::ZERO + SECOND).unwrap();
    let ends: Vec<bool> = (0..3)
        .map(|_| {
            for _ in 0..256 {
                peers[0].report(true, false);
                peers[1].report(true, false);
            }
            for peer in &peers[..2] {
                peer.then([Read::Bytes(pattern(1))]);
            }
            script.tick().contains(&Event::Expired(ids[2], Deadline::Idle))
        })
        .collect();
    assert_eq!(ends, [false, false, true]);
}

/// Whether an idle connection is kept alive by traffic has nothing to do with it.
#[test]
fn who_is_not_given_its_turn_is_neither_silent_nor_stalled() {
    for refreshable in [true, false] {
        let mut script = Script::with(|config| {
            config.refreshable = refreshable;
            config.timeouts = never();
            config.timeouts.first_byte = Some(SECOND);
            config.limits.tick_bytes = 10;
        });
        let (peers, ids) = silent(&mut script, 2);
        peers[0].then([Read::Bytes(pattern(10))]);
        peers[1].then([Read::Bytes(pattern(10))]);
        assert_eq!(script.tick_after(SECOND), [Event::Received(ids[0])], "{refreshable}");
        assert_eq!(script.tick_after(NANO), [Event::Received(ids[1])], "{refreshable}");

        let mut script = Script::with(|config| {
            config.refreshable = refreshable;
            config.timeouts = never();
            config.timeouts.write_stall = Some(SECOND);
            config.limits.tick_bytes_out = 10;
        });
        let quick = Peer::new(1, []);
        let slow = Peer::new(2, []).writing([Write::Blocks]);
        let ids = [&quick, &slow].map(|peer| script.admits(peer));
        script.tick();
        script.server.tx(ids[1], &pattern(10)).unwrap();
        script.tick();
        script.server.tx(ids[0], &pattern(20)).unwrap();
        slow.report(false, true);
        assert_eq!(script.tick_after(SECOND), [], "{refreshable}");
        assert_eq!(slow.far().written.len(), 0, "or this shows nothing");
        let events: Vec<_> = (0..3).flat_map(|_| script.tick_after(NANO)).collect();
        assert_eq!(events, ids.map(Event::Drained), "{refreshable}");
    }
}

/// What waits to be read is no reason to wait on for one that does not read.
#[test]
fn a_stall_is_not_put_off_by_what_the_peer_sends() {
    let mut script = Script::with(|config| {
        config.timeouts = never();
        config.timeouts.write_stall = Some(SECOND);
        config.limits.tick_bytes = 10;
    });
    let greedy = Peer::new(1, []);
    let stalled = Peer::new(2, []).writing([Write::Never]);
    let ids = [&greedy, &stalled].map(|peer| script.admits(peer));
    script.tick();
    script.server.tx(ids[1], &pattern(10)).unwrap();
    script.tick();
    greedy.then([Read::Bytes(pattern(10))]);
    stalled.then([Read::Endless]);
    let events = script.tick_after(SECOND);
    assert_eq!(events[0], Event::Received(ids[0]));
    assert_eq!(events[1..], expired(ids[1], Deadline::WriteStall));
}
