//! Deadlines that are put off, taken away, or not yet to be judged, on a scripted network.

use std::sync::Arc;
use std::time::Duration;
use std::{io, iter};

use crate::far::{Desk, addr};
use crate::util::pattern;
use crate::util::script::{Accept, Peer, Read, Script, Write};
use tymist::net::Stage;
use tymist::tyme::{Tyme, Tymist};
use tymist::{Backoff, CloseReason, Connect, Deadline, Event, Id, Layer, MinRate, Timeouts};

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

/// What it waited for was there, and others had taken the budget: the read budget of the tick counted for those who were to be read only.
#[test]
fn regression_who_was_kept_from_sending_by_what_others_said_is_not_stalled() {
    for which in [Deadline::Idle, Deadline::WriteStall] {
        let mut script = Script::with(|config| {
            config.timeouts = never();
            config.timeouts.idle = (which == Deadline::Idle).then_some(SECOND);
            config.timeouts.write_stall = (which == Deadline::WriteStall).then_some(SECOND);
            config.limits.tick_bytes = 10;
        });
        let (talks, reads) = (Peer::new(1, []), Peer::new(2, []).writing([Write::Blocks]));
        let ids = [&talks, &reads].map(|peer| script.admits(peer));
        script.tick();
        script.server.tx(ids[1], &pattern(10)).unwrap();
        script.tick();
        talks.then([Read::Bytes(pattern(10))]);
        reads.report(false, true);
        assert_eq!(script.tick_after(SECOND), [Event::Received(ids[0])], "{which}");
        assert_eq!(script.tick_after(NANO), [Event::Drained(ids[1])], "{which}");
    }
}

/// The same of the peer's end that a closing connection waits for, and of the least rate.
#[test]
fn regression_who_was_not_read_for_want_of_budget_is_neither_late_nor_slow() {
    for lingers in [true, false] {
        let mut script = Script::with(|config| {
            config.timeouts = never();
            config.timeouts.linger = Some(SECOND);
            let rate = MinRate { bytes: 10, window: SECOND };
            config.timeouts.min_rate = (!lingers).then_some(rate);
            config.limits.tick_bytes = 10;
        });
        let (peers, ids) = silent(&mut script, 2);
        peers[0].then([Read::Bytes(pattern(10))]);
        let last = if lingers {
            script.server.remoter_mut(ids[1]).unwrap().close();
            script.tick();
            peers[0].then([Read::Bytes(pattern(10))]);
            peers[1].then([Read::End]);
            Event::Closed(ids[1], CloseReason::Local)
        } else {
            peers[1].then([Read::Bytes(pattern(10))]);
            Event::Received(ids[1])
        };
        script.server.remoter_mut(ids[0]).unwrap().take();
        while script.server.poll_event().is_some() {}
        assert_eq!(script.tick_after(SECOND), [Event::Received(ids[0])], "lingers: {lingers}");
        assert_eq!(script.tick_after(NANO), [last], "lingers: {lingers}");
    }
}

/// A crowd that shakes hands, or is dialled, kept others waiting until their time was over, though they had answered.
#[test]
fn regression_who_has_answered_does_not_expire_for_want_of_turns() {
    let mut script = Script::with(|config| {
        config.timeouts = never();
        config.timeouts.handshake = Some(SECOND);
        config.limits.handshakes_per_tick = 1;
    });
    let layer: Layer = Arc::new(|stream| stream);
    script.server.listen_with(([192, 0, 2, 9], 0), layer).unwrap();
    let peers = [Peer::new(1, []), Peer::new(2, [])];
    for peer in &peers {
        peer.far().handshake.push_back(Err(io::ErrorKind::WouldBlock.into()));
        script.accepts([Accept::Peer(peer.clone())]);
    }
    script.ticks(3);
    assert_eq!(script.server.cxes(), 2);
    for peer in &peers {
        peer.far().handshake.push_back(Ok(Stage::Live));
        peer.report(true, true);
    }
    for after in [SECOND, NANO] {
        let events = script.tick_after(after);
        assert!(matches!(events[..], [Event::Accepted(_)]), "{events:?}");
    }

    let mut desk = Desk::with(|config| config.limits.connects_per_tick = 2);
    let ids = [1, 2].map(|n| desk.clients.connect(addr(n)).unwrap());
    desk.tick();
    desk.clients.config_mut().limits.connects_per_tick = 1;
    desk.far.up(0);
    desk.far.up(1);
    assert_eq!(desk.tick_after(10 * SECOND), [Event::Connected(ids[0])]);
    assert_eq!(desk.tick_after(NANO), [Event::Connected(ids[1])]);
}

/// Each step is a tick to the budgets, and the step of the deadlines knew nothing of the one before.
#[test]
fn regression_the_step_of_deadlines_minds_whom_the_steps_before_kept_waiting() {
    let mut script = Script::with(|config| {
        config.timeouts = never();
        config.timeouts.idle = Some(SECOND);
        config.limits.tick_bytes = 10;
    });
    let (peers, ids) = silent(&mut script, 3);
    for peer in &peers[..2] {
        peer.then([Read::Bytes(pattern(10))]);
    }
    script.tymist.tick_by(SECOND);
    let mut round = || {
        script.server.service_receives();
        script.server.service_deadlines();
        iter::from_fn(|| script.server.poll_event()).collect::<Vec<_>>()
    };
    let [silent, closed] = expired(ids[2], Deadline::Idle);
    assert_eq!(round(), [Event::Received(ids[0]), silent, closed]);
    assert_eq!(round(), [Event::Received(ids[1])]);
}

/// It expired by what was over, or was told of as expired before its user's own reason.
#[test]
fn regression_the_step_of_deadlines_minds_what_was_asked_for_since() {
    let mut script = only(|timeouts| timeouts.idle = Some(SECOND));
    let (_peers, ids) = silent(&mut script, 2);
    let mut longer = never();
    longer.idle = Some(10 * SECOND);
    script.server.remoter_mut(ids[0]).unwrap().set_timeouts(longer);
    script.server.remoter_mut(ids[1]).unwrap().abort();
    script.tymist.tick_by(SECOND);
    script.server.service_deadlines();
    assert_eq!(script.server.poll_event(), Some(Event::Closed(ids[1], CloseReason::Aborted)));
    assert_eq!(script.server.poll_event(), None);
    assert_eq!(script.tick_after(10 * SECOND - NANO), []);
    assert_eq!(script.tick_after(NANO), expired(ids[0], Deadline::Idle));
}

/// Each window began when the tick came that ended the one before, so that a silence of nearly two was seen by none.
#[test]
fn regression_a_late_tick_does_not_put_off_the_windows_of_the_least_rate() {
    let mut script = only(|timeouts| {
        timeouts.min_rate = Some(MinRate { bytes: 10, window: SECOND });
    });
    let (peers, ids) = silent(&mut script, 1);
    for (at, bytes) in [(500, 10), (1500, 0), (1750, 10), (2000, 0), (2999, 9)] {
        if bytes > 0 {
            peers[0].then([Read::Bytes(pattern(bytes))]);
        }
        script.tymist.set(Tyme::ZERO + Duration::from_millis(at)).unwrap();
        script.server.remoter_mut(ids[0]).unwrap().take();
        script.tick();
        assert_eq!(script.server.len(), 1, "at {at} ms");
    }
    assert_eq!(script.tick_after(SECOND / 1000), [Event::Closed(ids[0], CloseReason::TooSlow)]);
}

/// What had been heard was a tyme of the old clock, and counted as heard by the new one.
#[test]
fn regression_another_clock_makes_nobody_silent_who_was_not_heard_yet() {
    let mut script = only(|timeouts| timeouts.idle = Some(SECOND));
    script.tymist.set(Tyme::from_secs(100)).unwrap();
    let (peers, ids) = silent(&mut script, 2);
    script.harvest_takes(600);
    for _ in 0..1250 {
        peers[0].report(true, false);
    }
    peers[1].then([Read::Bytes(pattern(5))]);
    script.tick();
    script.tymist = Tymist::new();
    script.server.wind(script.tymist.tymth());
    peers[0].then([Read::Bytes(pattern(5))]);
    assert_eq!(script.tick_after(SECOND), [Event::Received(ids[0])]);
    assert_eq!(script.tick(), [Event::Received(ids[1])]);
}
