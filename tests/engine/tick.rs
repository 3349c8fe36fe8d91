//! One tick, call by call: its order, and what it can do at most. On a scripted network.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::util::pattern;
use crate::util::script::{Accept, Peer, Read, Script, Write};
use tymist::net::Stage;
use tymist::tyme::Tyme;
use tymist::wire::WireLog;
use tymist::{
    Backoff, CloseReason, Connect, Deadline, Event, GramConfig, Id, MinRate, OverLimit, Wake,
};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn backoff() -> Connect {
    let mut connect = Connect::new(([192, 0, 2, 7], 7)).reconnectable();
    connect.reconnect = Some(Backoff::every(SECOND));
    connect
}

/// What the design says of the order of a tick, seen from the network. Endpoints came after the deadlines.
#[test]
fn a_tick_has_its_order() {
    let mut script = Script::with(|config| config.timeouts.idle = Some(SECOND));
    let (peers, ids) = silent(&mut script, 3);
    let endpoint = script.server.bind(([192, 0, 2, 9], 9), GramConfig::new()).unwrap();
    let redialled = script.server.connect(backoff()).unwrap();
    script.server.listen_with(([192, 0, 2, 9], 0), Arc::new(|stream| stream)).unwrap();
    let shaking = Peer::new(8, []);
    script.accepts([Accept::Peer(shaking.clone())]);
    script.ticks(3);

    // All that can happen, at the very tyme at which silence ends a connection.
    script.tymist.tick_by(SECOND);
    script.calls();
    queue(&mut script, ids[0], 10);
    script.server.endpoint_mut(endpoint).unwrap().tx(b"gram", ([192, 0, 2, 5], 5)).unwrap();
    script.server.connect(([192, 0, 2, 6], 6)).unwrap();

    script.accepts([Accept::Peer(Peer::new(9, []))]);
    shaking.far().handshake.push_back(Ok(Stage::Live));
    shaking.report(true, false);
    peers[1].then([Read::Bytes(pattern(10))]);
    script.datagram_is_ready();
    let events = script.tick();
    let calls = script.calls();
    let expected = [
        "write 1",
        "connect",
        "send datagram",
        "harvest",
        "accept",
        "accept",
        "advance 8",
        "advance 9",
        "read 2",
        "read 2",
        "read 8",
        "receive datagram",
        "drop 3",
        "connect",
    ];
    assert_eq!(calls, expected, "{events:?}");
    let at = |wanted: &Event| events.iter().position(|event| event == wanted).unwrap();
    assert!(at(&Event::Received(ids[1])) < at(&Event::Expired(ids[2], Deadline::Idle)));
    assert!(script.server.remoter(redialled).is_some());
}

/// `count` silent peers, and their ids.
#[track_caller]
fn silent(script: &mut Script, count: u16) -> (Vec<Peer>, Vec<Id>) {
    let peers: Vec<_> = (1..=count).map(|port| Peer::new(port, [])).collect();
    let ids = peers.iter().map(|peer| script.admits(peer)).collect();
    script.tick();
    assert_ne!(script.server.wake(), Wake::Now);
    (peers, ids)
}

fn queue(script: &mut Script, id: Id, count: usize) {
    assert_eq!(script.server.tx(id, &pattern(count)), Ok(count));
}

/// How much each has been sent.
fn sent(peers: &[Peer]) -> Vec<usize> {
    peers.iter().map(|peer| peer.far().written.len()).collect()
}

/// A tick wrote as much as all connections together had to send: peers that open their windows at once made it last as long as they liked.
#[test]
fn a_tick_sends_no_more_than_its_budget() {
    for (queued, out, left) in [(99, 99, 0), (100, 100, 0), (101, 100, 1)] {
        let mut script = Script::with(|config| config.limits.tick_bytes_out = 100);
        let (peers, ids) = silent(&mut script, 2);
        queue(&mut script, ids[0], 60);
        queue(&mut script, ids[1], queued - 60);
        let serviced = script.server.service();
        assert_eq!((serviced.bytes_out, serviced.more), (out, left > 0), "{queued}");
        let cut = script.server.counters().budget.tick_bytes_out;
        assert_eq!((cut, script.server.counters().budget.remoter_bytes), (left, 0), "{queued}");
        assert_eq!(script.server.wake() == Wake::Now, left > 0, "{queued}");
        script.tick();
        assert_eq!(sent(&peers).iter().sum::<usize>(), queued);
        assert_eq!(script.server.counters().budget.tick_bytes_out, left, "counted once");
        script.server.clear_events();
        assert_ne!(script.server.wake(), Wake::Now);
    }
}

#[test]
fn each_step_has_a_budget_to_send_of_its_own() {
    let mut script = Script::with(|config| config.limits.tick_bytes_out = 100);
    let (peers, ids) = silent(&mut script, 2);
    queue(&mut script, ids[0], 150);
    assert_eq!(script.server.service_sends(), 100);
    assert_eq!(script.server.wake(), Wake::Now);
    queue(&mut script, ids[1], 30);
    assert_eq!(script.server.service_sends(), 30);
    assert_eq!(script.server.service_sends_of(ids[0]), Ok(50));
    assert_eq!(sent(&peers), [150, 30]);
}

#[test]
fn who_was_cut_off_by_the_budget_to_send_is_next() {
    let mut script = Script::with(|config| {
        config.limits.remoter_tick_bytes = 100;
        config.limits.tick_bytes_out = 100;
    });
    let (peers, ids) = silent(&mut script, 3);
    for &id in &ids {
        queue(&mut script, id, 1000);
    }
    for tick in 1..=30 {
        script.tick();
        let sent = sent(&peers);
        assert_eq!(sent.iter().sum::<usize>(), 100 * tick);
        let spread = sent.iter().max().unwrap() - sent.iter().min().unwrap();
        assert!(spread <= 100, "tick {tick}: {sent:?}");
    }
}

/// Also where a tick's budget is no multiple of a connection's.
#[test]
fn who_got_a_part_before_the_budget_to_send_ended_is_not_left_out() {
    let mut script = Script::with(|config| {
        config.limits.remoter_tick_bytes = 100;
        config.limits.tick_bytes_out = 150;
    });
    let (peers, ids) = silent(&mut script, 5);
    for &id in &ids {
        queue(&mut script, id, 1000);
    }
    for tick in 1..=30 {
        script.tick();
        let sent = sent(&peers);
        assert_eq!(sent.iter().sum::<usize>(), 150 * tick);
        let spread = sent.iter().max().unwrap() - sent.iter().min().unwrap();
        assert!(spread <= 200, "tick {tick}: {sent:?}");
    }
}

#[test]
fn what_the_caller_queues_each_tick_does_not_starve_those_in_line() {
    let mut script = Script::with(|config| config.limits.tick_bytes_out = 100);
    let (peers, ids) = silent(&mut script, 2);
    queue(&mut script, ids[0], 100);
    queue(&mut script, ids[1], 1000);
    for _ in 0..50 {
        script.tick();
        queue(&mut script, ids[0], 100);
    }
    assert_eq!(sent(&peers)[1], 1000);
}

#[test]
fn reading_goes_on_where_the_budget_to_send_has_ended() {
    let mut script = Script::with(|config| config.limits.tick_bytes_out = 100);
    let (peers, ids) = silent(&mut script, 2);
    queue(&mut script, ids[0], 1000);
    queue(&mut script, ids[1], 1000);
    for peer in &peers {
        peer.then([Read::Bytes(pattern(10))]);
    }
    assert_eq!(script.tick(), [Event::Received(ids[0]), Event::Received(ids[1])]);
}

#[test]
fn who_could_be_sent_to_but_has_not_had_its_turn_does_not_stall() {
    for which in [Deadline::WriteStall, Deadline::Idle] {
        let mut script = Script::with(|config| {
            config.limits.tick_bytes_out = 100;
            config.timeouts.write_stall = (which == Deadline::WriteStall).then_some(SECOND);
            config.timeouts.idle = (which == Deadline::Idle).then_some(SECOND);
        });
        let (peers, ids) = silent(&mut script, 2);
        queue(&mut script, ids[0], 200);
        queue(&mut script, ids[1], 100);
        script.tick();
        assert_eq!(sent(&peers), [100, 0]);
        queue(&mut script, ids[0], 50);
        assert_eq!(script.tick_after(SECOND), [], "{which}");
        script.ticks(4);
        assert_eq!(sent(&peers), [250, 100], "{which}");
    }
}

#[test]
fn closing_the_server_gives_each_a_try_whatever_the_budget_to_send() {
    let mut script = Script::with(|config| config.limits.tick_bytes_out = 100);
    let (peers, ids) = silent(&mut script, 3);
    for &id in &ids {
        queue(&mut script, id, 100);
    }
    script.server.close();
    assert_eq!(sent(&peers), [100, 100, 100]);
    assert_eq!(script.server.counters().closed.server_closed, 3);
}

#[test]
fn closing_the_server_gives_each_a_try_whatever_the_wait_before_has_sent() {
    let mut script = Script::with(|config| config.limits.remoter_tick_bytes = 100);
    let (peers, ids) = silent(&mut script, 1);
    queue(&mut script, ids[0], 100);
    script.server.wait(Some(Duration::ZERO));
    assert_eq!(sent(&peers), [100]);
    queue(&mut script, ids[0], 100);
    script.server.close();
    assert_eq!(sent(&peers), [200]);
    assert!(!peers[0].far().abortive);
}

/// It is judged by what its turn brings, and then at once.
#[test]
fn who_was_kept_waiting_and_had_nothing_to_say_expires_in_the_next_tick() {
    let mut script = Script::with(|config| {
        config.timeouts.first_byte = Some(SECOND);
        config.limits.tick_bytes = 4;
    });
    let (peers, ids) = silent(&mut script, 2);
    peers[0].then([Read::Bytes(pattern(4))]);
    peers[1].report(true, false); // A false alarm.
    assert_eq!(script.tick_after(SECOND), [Event::Received(ids[0])]);
    let reason = CloseReason::Expired(Deadline::FirstByte);
    let late = [Event::Expired(ids[1], Deadline::FirstByte), Event::Closed(ids[1], reason)];
    assert_eq!(script.tick_after(Duration::from_nanos(1)), late);
}

/// How many reports of readiness a harvest takes was a budget that nobody was told of; and whoever came after it was taken for silent.
#[test]
fn who_has_spoken_but_was_not_reported_yet_is_not_silent() {
    for which in [Deadline::FirstByte, Deadline::Idle] {
        let mut script = Script::with(|config| {
            config.timeouts.first_byte = (which == Deadline::FirstByte).then_some(SECOND);
            config.timeouts.idle = (which == Deadline::Idle).then_some(SECOND);
        });
        let (peers, ids) = silent(&mut script, 4);
        script.harvest_takes(2);
        for peer in &peers[..3] {
            peer.then([Read::Bytes(pattern(10))]);
        }
        script.tymist.tick_by(SECOND);
        let serviced = script.server.service();
        assert_eq!((serviced.bytes_in, serviced.more), (20, true));
        assert_eq!(script.server.counters().budget.harvests, 1);
        let two = [Event::Received(ids[0]), Event::Received(ids[1])];
        assert_eq!(std::array::from_fn(|_| script.server.poll_event().unwrap()), two);
        assert_eq!(script.server.poll_event(), None, "{which}: the others may have spoken");
        assert_eq!(script.server.wake(), Wake::Now);

        let silent = CloseReason::Expired(which);
        let told =
            [Event::Received(ids[2]), Event::Expired(ids[3], which), Event::Closed(ids[3], silent)];
        assert_eq!(script.tick(), told, "{which}");
        assert_eq!(script.server.counters().budget.harvests, 1);
        assert_ne!(script.server.wake(), Wake::Now);
    }
}

/// It is waited for by nobody who has heard that there is more.
#[test]
fn where_a_harvest_left_some_no_wait_sleeps() {
    let mut script = Script::with(|_| {});
    let (peers, ids) = silent(&mut script, 2);
    // As many as it can take may not have been all.
    for (takes, wake) in [(1, Wake::Now), (2, Wake::Now), (3, Wake::OnIo)] {
        script.harvest_takes(takes);
        peers.iter().for_each(|peer| peer.then([Read::Bytes(pattern(1))]));
        assert_eq!(script.tick().len(), takes.min(2));
        assert_eq!(script.server.wake(), wake, "{takes} of 2");
        script.ticks(2);
        ids.iter().for_each(|id| drop(script.server.remoter_mut(*id).unwrap().take()));
        script.ticks(2);
    }
}

/// A crowd that never lets a harvest take all puts off the end of others by one round of reports, not for ever.
#[test]
fn a_crowd_does_not_keep_the_silent_alive() {
    let mut script = Script::with(|config| config.timeouts.idle = Some(SECOND));
    let (peers, ids) = silent(&mut script, 3);
    script.harvest_takes(512);
    let crowd = |script: &mut Script| {
        for _ in 0..256 {
            peers[0].report(true, false);
            peers[1].report(true, false);
        }
        peers[0].then([Read::Bytes(pattern(1))]);
        peers[1].then([Read::Bytes(pattern(1))]);
        script.tick_after(SECOND / 2)
    };
    let ends = |events: &[Event]| events.contains(&Event::Expired(ids[2], Deadline::Idle));
    let after = (1..100).find(|_| ends(&crowd(&mut script))).unwrap();
    assert!((3..=10).contains(&after), "{after}");
    assert_eq!(script.server.len(), 2);
    script.server.close();
}

/// Steps of the deadlines alone ask nobody, and must not wait for an answer.
#[test]
fn deadlines_by_themselves_are_judged_by_what_was_heard() {
    let mut script = Script::with(|config| config.timeouts.idle = Some(SECOND));
    let (_peers, ids) = silent(&mut script, 1);
    script.tymist.tick_by(SECOND);
    script.server.service_deadlines();
    assert_eq!(script.server.poll_event(), Some(Event::Expired(ids[0], Deadline::Idle)));
}

/// What came between a wait and its service was not asked for, but deadlines of that time fired.
#[test]
fn work_between_a_wait_and_its_service_lets_nobody_expire_who_has_spoken() {
    let mut script = Script::with(|config| config.timeouts.idle = Some(SECOND));
    let (peers, ids) = silent(&mut script, 2);
    script.server.wait(None);
    script.tymist.tick_by(SECOND);
    peers[0].then([Read::Bytes(pattern(10))]);
    let before = script.harvests();
    let events = script.tick();
    let told = [
        Event::Received(ids[0]),
        Event::Expired(ids[1], Deadline::Idle),
        Event::Closed(ids[1], CloseReason::Expired(Deadline::Idle)),
    ];
    assert_eq!((events.as_slice(), script.harvests() - before), (told.as_slice(), 1));

    script.server.wait(None);
    let before = script.harvests();
    script.tick();
    assert_eq!(script.harvests(), before, "where nothing is due once is enough");
}

/// Counters of budgets that ended, of one whose name tells which.
fn ended(script: &Script, which: &str) -> u64 {
    let budget = script.server.counters().budget;
    match which {
        "remoter_tick_bytes" => budget.remoter_bytes,
        "tick_bytes" => budget.tick_bytes,
        "accepts_per_tick" => budget.accepts,
        "handshakes_per_tick" => budget.handshakes,
        _ => unreachable!("{which}"),
    }
}

/// One under, at, one over. At the edge of what is read nothing says yet that there was no more, so the budget counts as ended.
#[test]
fn budgets_of_bytes_read_at_their_edges() {
    for which in ["remoter_tick_bytes", "tick_bytes"] {
        for (sent, first) in [(99, 99), (100, 100), (101, 100)] {
            let mut script = Script::with(|config| match which {
                "tick_bytes" => config.limits.tick_bytes = 100,
                _ => config.limits.remoter_tick_bytes = 100,
            });
            let (peers, _) = silent(&mut script, 1);
            peers[0].then([Read::Bytes(pattern(sent))]);
            let serviced = script.server.service();
            assert_eq!((serviced.bytes_in, serviced.more), (first, sent >= 100), "{which} {sent}");
            assert_eq!(ended(&script, which), u64::from(sent >= 100), "{which} {sent}");
            script.server.clear_events();
            assert_eq!(script.server.wake() == Wake::Now, sent >= 100, "{which} {sent}");
            let serviced = script.server.service();
            assert_eq!((serviced.bytes_in, serviced.more), (sent as u64 - first, false));
            assert_eq!(ended(&script, which), u64::from(sent >= 100), "{which} {sent}");
        }
    }
}

#[test]
fn the_budget_of_bytes_written_to_one_at_its_edges() {
    for (queued, first) in [(99, 99), (100, 100), (101, 100)] {
        let mut script = Script::with(|config| config.limits.remoter_tick_bytes = 100);
        let (_peers, ids) = silent(&mut script, 1);
        queue(&mut script, ids[0], queued);
        let serviced = script.server.service();
        assert_eq!((serviced.bytes_out, serviced.more), (first, queued > 100), "{queued}");
        assert_eq!(ended(&script, "remoter_tick_bytes"), u64::from(queued > 100), "{queued}");
        assert_eq!(script.server.service().bytes_out, queued as u64 - first);
    }
}

/// That many peers that come at once.
fn come(script: &mut Script, count: u16) -> Vec<Peer> {
    let peers: Vec<_> = (1..=count).map(|port| Peer::new(port, [])).collect();
    script.accepts(peers.iter().cloned().map(Accept::Peer));
    peers
}

#[test]
fn the_budget_of_accepts_at_its_edges() {
    for (peers, first) in [(2, 2), (3, 3), (4, 3)] {
        let mut script = Script::with(|config| config.limits.accepts_per_tick = 3);
        come(&mut script, peers);
        let serviced = script.server.service();
        // At the edge nobody has said yet that there is no more.
        assert_eq!((serviced.accepted, serviced.more), (first, peers >= 3), "{peers}");
        assert_eq!(ended(&script, "accepts_per_tick"), u64::from(peers >= 3), "{peers}");
        let serviced = script.server.service();
        assert_eq!((serviced.accepted, serviced.more), (usize::from(peers) - first, false));
        assert_eq!(script.server.len(), usize::from(peers));
    }
}

#[test]
fn the_deque_at_its_edges() {
    for (peers, waiting) in [(2, 2), (3, 3), (4, 3)] {
        let mut script = Script::with(|config| {
            config.limits.remoters = 0;
            config.limits.accept_deque = 3;
            config.over_limit = OverLimit::Wait;
        });
        come(&mut script, peers);
        script.ticks(3);
        assert_eq!((script.server.axes(), script.server.len()), (waiting, 0), "{peers}");
        assert_ne!(script.server.wake(), Wake::Now, "{peers}");
        script.server.config_mut().limits.remoters = 9;
        assert_eq!(script.server.wake(), Wake::Now, "{peers}");
        script.ticks(2);
        assert_eq!((script.server.axes(), script.server.len()), (0, peers.into()), "{peers}");
    }
}

#[test]
fn the_cap_of_events_at_its_edges() {
    for (peers, first) in [(2, 2), (3, 3), (4, 3)] {
        let mut script = Script::with(|config| config.limits.events = 3);
        come(&mut script, peers);
        script.server.service();
        script.server.service();
        assert_eq!(script.server.len(), first, "{peers}");
        script.server.clear_events();
        script.tick();
        assert_eq!(script.server.len(), usize::from(peers), "{peers}");
    }
}

#[test]
fn handshakes_at_once_at_their_edges() {
    for (peers, first) in [(2, 2), (3, 3), (4, 3)] {
        let mut script = Script::with(|config| config.limits.handshakes = 3);
        script.server.listen_with(([192, 0, 2, 9], 0), Arc::new(|stream| stream)).unwrap();
        let peers = come(&mut script, peers);
        script.ticks(3);
        let waiting = peers.len() - first;
        assert_eq!((script.server.cxes(), script.server.axes()), (first, waiting));
        assert_ne!(script.server.wake(), Wake::Now);
        peers[0].far().handshake.push_back(Ok(Stage::Live));
        peers[0].report(true, false);
        script.ticks(2);
        assert_eq!((script.server.len(), script.server.axes()), (1, 0));
    }
}

#[test]
fn the_budget_of_handshakes_at_its_edges() {
    for (peers, first) in [(2, 2), (3, 3), (4, 3)] {
        let mut script = Script::with(|config| config.limits.handshakes_per_tick = 3);
        script.server.listen_with(([192, 0, 2, 9], 0), Arc::new(|stream| stream)).unwrap();
        for peer in come(&mut script, peers) {
            peer.far().handshake.push_back(Ok(Stage::Live));
        }
        let serviced = script.server.service();
        assert_eq!((script.server.len(), serviced.more), (first, peers > 3), "{peers}");
        assert_eq!(ended(&script, "handshakes_per_tick"), u64::from(peers > 3), "{peers}");
        script.server.clear_events();
        assert_eq!(script.server.wake() == Wake::Now, peers > 3, "{peers}: no wait in between");
        script.tick();
        assert_eq!(script.server.len(), usize::from(peers));
    }
}

/// A nanosecond before nothing happens; at it, and in a first tick a nanosecond after, it ends.
#[test]
fn deadlines_that_are_no_silence_at_their_edges() {
    let edges = [(SECOND - NANO, false), (SECOND, true), (SECOND + NANO, true)];
    for (time, ends) in edges {
        let mut script = Script::with(|config| config.timeouts.write_stall = Some(SECOND));
        let peer = Peer::new(1, []).writing([Write::Never]);
        let id = script.admits(&peer);
        script.tick();
        queue(&mut script, id, 10);
        script.tick();
        let stalled = Event::Closed(id, CloseReason::Expired(Deadline::WriteStall));
        assert_eq!(script.tick_after(time).contains(&stalled), ends, "write stall {time:?}");

        let mut script = Script::with(|config| config.timeouts.drain = Some(SECOND));
        let (_peers, _) = silent(&mut script, 1);
        script.server.drain(None);
        script.tick();
        let ended = Event::DrainEnded { cut: 1 };
        assert_eq!(script.tick_after(time).contains(&ended), ends, "drain {time:?}");

        let rate = MinRate { bytes: 10, window: SECOND };
        let mut script = Script::with(|config| config.timeouts.min_rate = Some(rate));
        let (peers, ids) = silent(&mut script, 2);
        for (peer, bytes) in peers.iter().zip([9, 10]) {
            peer.then([Read::Bytes(pattern(bytes))]);
        }
        script.tick();
        let slow = |id| Event::Closed(id, CloseReason::TooSlow);
        let events = script.tick_after(time);
        assert_eq!(events.contains(&slow(ids[0])), ends, "rate {time:?}");
        assert!(!events.contains(&slow(ids[1])), "rate {time:?}");
    }
}

/// What was not armed counted as due there.
#[test]
fn at_the_end_of_all_time_nothing_is_due_that_was_not_armed() {
    let rate = MinRate { bytes: 0, window: SECOND };
    let mut script = Script::with(|config| config.timeouts.min_rate = Some(rate));
    let (_peers, _ids) = silent(&mut script, 1);
    script.tymist.set(Tyme::NEVER).unwrap();
    assert_eq!(script.ticks(3), []);
    assert_eq!(script.server.len(), 1);
}

/// Somebody's middleware, say. Each was an underflow, or a slice beyond its end.
#[test]
fn a_stream_that_claims_too_much_is_ended() {
    for log in [None, Some(WireLog::memory(100))] {
        for reads in [true, false] {
            let mut script = Script::with(|_| {});
            script.server.set_wire_log(log.clone());
            let peer = Peer::new(1, []);
            let id = script.admits(&peer);
            script.tick();
            let script = &mut script;
            let events = if reads {
                peer.then([Read::Lies]);
                script.tick()
            } else {
                let _ = peer.clone().writing([Write::Lies]);
                queue(script, id, 10);
                script.tick()
            };
            let why = CloseReason::Io(std::io::ErrorKind::InvalidData.into());
            assert_eq!(events, [Event::Closed(id, why)]);
            script.tick();
            let counters = script.server.counters();
            assert_eq!(
                (script.server.buffered(), counters.bytes_in, counters.bytes_out),
                (0, 0, 0)
            );
        }
        assert!(log.is_none_or(|log| log.records().is_empty()));
    }
}

/// What it was given is what the budget lets through, however much is queued.
#[test]
fn a_stream_that_claims_more_than_the_budget_is_ended() {
    for of_tick in [true, false] {
        let mut script = Script::with(|config| {
            let limits = &mut config.limits;
            *(if of_tick { &mut limits.tick_bytes_out } else { &mut limits.remoter_tick_bytes }) =
                10;
        });
        let peer = Peer::new(1, []).writing([Write::Lies]);
        let id = script.admits(&peer);
        script.tick();
        queue(&mut script, id, 100);
        let why = CloseReason::Io(std::io::ErrorKind::InvalidData.into());
        assert_eq!(script.tick(), [Event::Closed(id, why)]);
        assert_eq!(script.server.counters().bytes_out, 0);
    }
}

/// What it was given is no more than one write takes, however many pieces are queued: only a claim of more than all of them was noticed.
#[test]
fn regression_a_stream_that_claims_more_than_the_pieces_it_was_given_is_ended() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(1, []).writing([Write::Lies]);
    let id = script.admits(&peer);
    script.tick();
    for _ in 0..20 {
        let mut piece = Bytes::from(pattern(2000));
        script.server.remoter_mut(id).unwrap().tx_bytes(&mut piece).unwrap();
    }
    let why = CloseReason::Io(std::io::ErrorKind::InvalidData.into());
    assert_eq!(script.tick(), [Event::Closed(id, why)]);
    assert_eq!(script.server.counters().bytes_out, 0);
}

#[test]
fn a_read_buffer_beyond_all_memory_is_a_large_one() {
    let mut script = Script::with(|config| config.limits.scratch = usize::MAX);
    let (peers, ids) = silent(&mut script, 1);
    peers[0].then([Read::Bytes(pattern(10))]);
    assert_eq!(script.tick(), [Event::Received(ids[0])]);
}

/// As the sockets for both kinds of addresses write them.
#[test]
fn an_ipv4_peer_is_found_however_it_is_written() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(5, []);
    peer.far().name = "[::ffff:192.0.2.7]:5".parse().unwrap();
    let id = script.admits(&peer);
    for name in ["192.0.2.7:5", "[::ffff:192.0.2.7]:5"] {
        assert_eq!(script.server.at(&name.parse().unwrap()), Some(id), "{name}");
    }
    assert_eq!(script.server.at(&"192.0.2.7:6".parse().unwrap()), None);
    script.server.remoter_mut(id).unwrap().abort();
    script.tick();
    assert_eq!(script.server.at(&"192.0.2.7:5".parse().unwrap()), None);
}
