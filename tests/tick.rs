//! One tick, call by call: its order, and what it can do at most. On a scripted network.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod util;

use std::time::Duration;

use tymist::{Deadline, Event, Id, Wake};
use util::pattern;
use util::script::{Peer, Read, Script};

const SECOND: Duration = Duration::from_secs(1);

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
