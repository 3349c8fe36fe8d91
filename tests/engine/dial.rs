//! Making connections, to the nanosecond, on a network that does only what it is told: several addresses, time-outs, back-off, names.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::far::{Desk, Far, addr, shy};
use tymist::net::{Addr, Dial, Lookup};
use tymist::tyme::{Tyme, Tymist};
use tymist::{
    Backoff, Cause, Client, Clients, CloseReason, Config, Connect, Deadline, Event, Gone, Id,
    Refusal, Remoter, Server, Target, TxError, TxFull, Wake,
};

// Numbers of errors, those of Linux, of which the kinds are the same everywhere.
const EMFILE: i32 = 24;
const ECONNREFUSED: i32 = 111;
const ENETUNREACH: i32 = 101;
const ECONNRESET: i32 = 104;

const NANO: Duration = Duration::from_nanos(1);
const STAGGER: Duration = Duration::from_millis(250);

fn three() -> Connect {
    Connect::new(vec![addr(1), addr(2), addr(3)])
}

fn secs(secs: u64) -> Tyme {
    Tyme::from_secs(secs)
}

fn cause(errno: i32) -> Cause {
    Cause::from(&std::io::Error::from_raw_os_error(errno))
}

fn refused(id: Id, port: u16) -> Event {
    Event::ConnectFailed { id, addr: addr(port), error: cause(ECONNREFUSED) }
}

// Several addresses.

#[test]
fn the_next_address_is_tried_exactly_when_the_first_has_had_its_time() {
    let mut desk = Desk::new();
    desk.dial(three());
    assert_eq!(desk.far.ports(), [1]);
    assert_eq!(desk.clients.wake(), Wake::At(Tyme::ZERO + STAGGER));
    desk.tick_after(STAGGER - NANO);
    assert_eq!(desk.far.ports(), [1], "a nanosecond too early");
    desk.tick_after(NANO);
    assert_eq!(desk.far.ports(), [1, 2]);
    desk.tick_after(STAGGER + NANO);
    assert_eq!(desk.far.ports(), [1, 2, 3]);
    desk.tick_after(STAGGER * 3);
    assert_eq!(desk.far.ports(), [1, 2, 3], "each once");
    assert_eq!(desk.far.open(), 3, "all of them still under way");
}

#[test]
fn the_first_to_come_up_wins_and_the_others_are_dropped() {
    let mut desk = Desk::new();
    let id = desk.dial(three());
    desk.tick_after(STAGGER);
    desk.tick_after(STAGGER);
    desk.far.up(1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    assert_eq!(desk.clients.remoter(id).unwrap().peer_addr(), &addr(2));
    assert!(desk.far.get(0).dropped && !desk.far.get(1).dropped && desk.far.get(2).dropped);
    assert_eq!((desk.clients.connected(), desk.clients.dialling()), (1, 0));
    assert_eq!((desk.clients.timers(), desk.clients.wake()), (0, Wake::OnIo));
    desk.tick_after(Duration::from_secs(3600));
    assert_eq!(desk.far.tries(), 3);
    assert_eq!(desk.clients.connected(), 1, "no time-out of connecting is left");
    let counters = desk.clients.counters();
    assert_eq!((counters.dialled, counters.dial_failures, counters.opened), (3, 0, 1));
}

#[test]
fn an_address_that_fails_is_followed_by_the_next_in_the_same_tick() {
    let mut desk = Desk::new();
    let id = desk.dial(three());
    desk.far.fail(0, ECONNREFUSED);
    assert_eq!(desk.tick(), [refused(id, 1)]);
    assert_eq!(desk.far.ports(), [1, 2]);
    desk.tick_after(STAGGER - NANO);
    assert_eq!(desk.far.ports(), [1, 2], "the second has its full time");
    desk.far.fail_at_once([ENETUNREACH]);
    let events = desk.tick_after(NANO);
    let error = cause(ENETUNREACH);
    assert_eq!(events, [Event::ConnectFailed { id, addr: addr(3), error }]);
    desk.far.fail(1, ECONNREFUSED);
    let closed = Event::Closed(id, CloseReason::Connect(cause(ECONNREFUSED)));
    assert_eq!(desk.tick(), [refused(id, 2), closed]);
    assert_eq!(desk.clients.counters().dial_failures, 3);
    assert_eq!(desk.clients.counters().closed.connect, 1);
    desk.tick();
    assert_eq!((desk.far.open(), desk.clients.len(), desk.clients.timers()), (0, 0, 0));
    assert!(desk.clients.remoter(id).is_none());
}

#[test]
fn the_attempt_that_fails_is_the_one_that_is_given_up() {
    let mut desk = Desk::new();
    let id = desk.dial(vec![addr(1), addr(2)]);
    desk.tick_after(STAGGER);
    desk.far.fail(1, ECONNREFUSED);
    assert_eq!(desk.tick(), [refused(id, 2)]);
    assert_eq!((desk.far.get(0).dropped, desk.far.get(1).dropped), (false, true));
    desk.far.up(0);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
}

#[test]
fn news_of_attempts_that_lost_do_not_harm_the_one_that_won() {
    let mut desk = Desk::new();
    let id = desk.dial(three());
    desk.tick_after(STAGGER);
    desk.far.fail(0, ECONNREFUSED);
    desk.far.up(1);
    desk.far.send(1, b"hi");
    // In the order of their age; all in one tick.
    assert_eq!(desk.tick(), [refused(id, 1), Event::Connected(id), Event::Received(id)]);
    assert_eq!(desk.clients.remoter(id).unwrap().rx(), b"hi");
    for _ in 0..3 {
        assert_eq!(desk.tick(), []);
    }
    assert_eq!(desk.far.ports(), [1, 2], "the third is not needed");
}

#[test]
fn a_report_without_news_changes_nothing() {
    let mut desk = Desk::new();
    desk.dial(three());
    for _ in 0..5 {
        desk.far.report(0);
        assert_eq!(desk.tick(), []);
    }
    assert_eq!((desk.far.get(0).asked, desk.far.ports()), (5, vec![1]));
}

#[test]
fn a_list_without_addresses_and_one_with_too_many() {
    let mut desk = Desk::new();
    let none = desk.dial(Vec::<Addr>::new());
    let closed = Event::Closed(none, CloseReason::Connect(ErrorKind::InvalidInput.into()));
    assert_eq!(desk.log, [closed]);
    desk.far.fail_always(Some(ECONNREFUSED));
    desk.dial((1..=100).map(addr).collect::<Vec<_>>());
    assert_eq!(desk.clients.counters().dialled, 16);
}

#[test]
fn what_the_socket_is_to_be_like_is_handed_to_the_network() {
    let mut desk = Desk::new();
    let mut connect = three();
    connect.local = Some(Addr::from(([10, 1, 2, 3], 4444)));
    connect.socket.no_delay = false;
    desk.dial(connect);
    let dial = desk.far.get(0).dial;
    assert_eq!(dial.local, Some(Addr::from(([10, 1, 2, 3], 4444))));
    assert!(!dial.socket.no_delay);
    let mut single = Dial::new(addr(9));
    single.local = Some(addr(8));
    desk.dial(single.clone());
    assert_eq!(desk.far.get(1).dial, single);
}

// Time-outs.

fn timed_out(id: Id, port: u16) -> Event {
    Event::ConnectFailed { id, addr: addr(port), error: ErrorKind::TimedOut.into() }
}

#[test]
fn the_connect_timeout_fires_at_its_nanosecond_and_not_before() {
    let mut desk = Desk::with(|config| config.timeouts.connect = Some(Duration::from_secs(3)));
    let id = desk.dial(vec![addr(1), addr(2)]);
    desk.tick_after(STAGGER);
    assert_eq!(desk.clients.wake(), Wake::At(secs(3)));
    assert_eq!(desk.tick_at(Tyme::from_nanos(2_999_999_999)), []);
    let expired = CloseReason::Expired(Deadline::Connect);
    assert_eq!(
        desk.tick_at(secs(3)),
        [
            Event::Expired(id, Deadline::Connect),
            timed_out(id, 1),
            timed_out(id, 2),
            Event::Closed(id, expired),
        ]
    );
    assert_eq!(desk.clients.counters().closed.expired.connect, 1);
    assert_eq!((desk.far.open(), desk.clients.timers()), (0, 0));
}

#[test]
fn a_connect_timeout_that_was_overslept_fires_at_once() {
    let mut desk = Desk::with(|config| config.timeouts.connect = Some(Duration::from_secs(3)));
    let id = desk.dial(addr(1));
    let events = desk.tick_at(Tyme::from_nanos(3_000_000_001));
    let closed = Event::Closed(id, CloseReason::Expired(Deadline::Connect));
    assert_eq!(events.last(), Some(&closed));
}

#[test]
fn what_comes_up_in_the_very_tick_of_its_timeout_is_up() {
    let mut desk = Desk::with(|config| config.timeouts.connect = Some(Duration::from_secs(3)));
    let id = desk.dial(addr(1));
    desk.far.up(0);
    assert_eq!(desk.tick_at(secs(3)), [Event::Connected(id)]);
    assert_eq!(desk.tick_at(secs(9)), []);
}

#[test]
fn without_a_connect_timeout_a_filtered_port_is_waited_for_for_ever() {
    let mut desk = Desk::with(|config| config.timeouts.connect = None);
    desk.dial(addr(1));
    assert_eq!(desk.clients.wake(), Wake::OnIo);
    desk.tick_at(secs(1_000_000));
    assert_eq!(desk.clients.dialling(), 1);
}

/// It ran only where there had been another one before.
#[test]
fn regression_timeouts_given_while_it_is_being_made_run() {
    let two = Duration::from_secs(2);
    for which in [Deadline::Connect, Deadline::Handshake] {
        let mut desk = Desk::with(|config| {
            config.timeouts.connect = None;
            config.timeouts.handshake = None;
        });
        let id = desk.dial(shy(Connect::new(addr(1))));
        if which == Deadline::Handshake {
            desk.far.up(0);
            desk.tick();
        }
        let mut timeouts = desk.clients.config().timeouts.clone();
        timeouts.connect = Some(two);
        timeouts.handshake = Some(two);
        desk.clients.remoter_mut(id).unwrap().set_timeouts(timeouts);
        // From the next tick on.
        assert_eq!(desk.tick_after(Duration::from_secs(1)), []);
        assert_eq!(desk.tick_after(two - NANO), []);
        let events = desk.tick_after(NANO);
        assert_eq!(events.last(), Some(&Event::Closed(id, CloseReason::Expired(which))));
    }
}

#[test]
fn a_connect_timeout_given_between_two_tries_is_for_the_next_one() {
    let mut desk = Desk::new();
    let id = desk.dial(every(10));
    desk.far.fail(0, ECONNREFUSED);
    desk.tick();
    let mut timeouts = desk.clients.config().timeouts.clone();
    timeouts.connect = Some(Duration::from_secs(1));
    desk.clients.remoter_mut(id).unwrap().set_timeouts(timeouts);
    desk.tick();
    assert_eq!(desk.clients.wake(), Wake::At(desk.retry_at()));
    assert_eq!(desk.tick_at(desk.retry_at()), []);
    assert_eq!(desk.far.tries(), 2);
    assert_eq!(desk.tick_after(Duration::from_secs(1))[0], Event::Expired(id, Deadline::Connect));
}

#[test]
fn winding_starts_all_waits_anew() {
    let mut desk = Desk::with(|config| config.timeouts.connect = Some(Duration::from_secs(3)));
    desk.dial(three());
    desk.tick_after(STAGGER - NANO);
    let mut other = Tymist::starting_at(secs(100));
    desk.clients.wind(other.tymth());
    assert_eq!(desk.clients.wake(), Wake::At(secs(100) + STAGGER));
    desk.clients.service();
    other.tick_by(STAGGER - NANO);
    desk.clients.service();
    assert_eq!(desk.far.ports(), [1]);
    other.tick_by(NANO);
    desk.clients.service();
    assert_eq!(desk.far.ports(), [1, 2]);
    other.set(Tyme::from_nanos(102_999_999_999)).unwrap();
    desk.clients.service();
    assert_eq!(desk.clients.dialling(), 1);
    other.tick_by(NANO);
    desk.clients.service();
    assert_eq!(desk.clients.dialling(), 0);
}

// Coming again.

/// Connects, breaks without data and comes again, over and over; the waits.
fn waits(seed: Option<u64>, rounds: usize) -> Vec<Duration> {
    let mut desk = Desk::with(|config| config.seed = seed);
    desk.dial(Connect::new(addr(1)).reconnectable());
    (0..rounds)
        .map(|round| {
            desk.far.fail(round, ECONNREFUSED);
            desk.tick();
            let (now, at) = (desk.tymist.tyme(), desk.retry_at());
            desk.tick_at(at);
            assert_eq!(desk.far.tries(), round + 2);
            at - now
        })
        .collect()
}

#[test]
fn waits_grow_and_are_the_same_for_the_same_seed_only() {
    let one = waits(Some(1), 12);
    assert_eq!(one, waits(Some(1), 12));
    assert_ne!(one, waits(Some(2), 12));
    for (round, wait) in one.iter().enumerate() {
        let most = Duration::from_millis(500 << round.min(10)).min(Duration::from_secs(30));
        assert!((most / 2..=most).contains(wait), "round {round}: {wait:?}");
    }
}

#[test]
fn each_client_waits_in_its_own_way() {
    let mut desk = Desk::new();
    desk.far.fail_always(Some(ECONNREFUSED));
    for _ in 0..50 {
        desk.clients.connect(Connect::new(addr(1)).reconnectable()).unwrap();
    }
    let mut at: Vec<Tyme> = desk
        .tick()
        .into_iter()
        .filter_map(|event| match event {
            Event::Disconnected { retry_at, .. } => Some(retry_at),
            _ => None,
        })
        .collect();
    at.sort();
    at.dedup();
    assert_eq!(at.len(), 50, "no two at the same nanosecond");
}

fn every(wait: u64) -> Connect {
    let mut connect = Connect::new(addr(1));
    connect.reconnect = Some(Backoff::every(Duration::from_secs(wait)));
    connect
}

#[test]
fn a_retry_comes_at_its_nanosecond() {
    let mut desk = Desk::new();
    let id = desk.dial(every(2));
    desk.far.fail(0, ECONNREFUSED);
    let reason = CloseReason::Connect(cause(ECONNREFUSED));
    let told = Event::Disconnected { id, reason, retry_at: secs(2) };
    assert_eq!(desk.tick(), [refused(id, 1), told]);
    assert_eq!(desk.clients.wake(), Wake::At(secs(2)));
    desk.tick_at(Tyme::from_nanos(1_999_999_999));
    assert_eq!(desk.far.tries(), 1);
    desk.tick_at(secs(2));
    assert_eq!(desk.far.tries(), 2);
    desk.far.up(1);
    assert_eq!(desk.tick(), [Event::Connected(id)], "the same id");
}

#[test]
fn waits_begin_anew_only_after_data_came_back() {
    let mut desk = Desk::new();
    let mut connect = Connect::new(addr(1));
    connect.reconnect = Some(Backoff::new());
    let backoff = connect.reconnect.as_mut().unwrap();
    backoff.jitter = false;
    desk.dial(connect);
    let mut waits = Vec::new();
    for (round, answers) in [false, false, false, true, false].into_iter().enumerate() {
        desk.far.up(round);
        if answers {
            desk.far.send(round, b"!");
        }
        desk.far.end(round);
        desk.tick();
        desk.clients.remoter_mut(desk.clients.ids()[0]).unwrap().take();
        desk.tick();
        waits.push((desk.retry_at() - desk.tymist.tyme()).as_millis());
        let at = desk.retry_at();
        desk.tick_at(at);
    }
    // It came up each time, and only the fourth time said something.
    assert_eq!(waits, [500, 1000, 2000, 500, 1000]);
}

#[test]
fn a_server_that_is_gone_for_an_hour_costs_a_try_each_half_minute() {
    let mut desk = Desk::new();
    let id = desk.dial(Connect::new(addr(1)).reconnectable());
    let mut events = 0;
    while desk.tymist.tyme() < secs(3600) {
        desk.far.fail(desk.far.tries() - 1, ECONNREFUSED);
        events += desk.tick().len();
        assert_eq!(desk.far.open(), 0);
        let Wake::At(next) = desk.clients.wake() else { panic!("not at rest") };
        assert_eq!(next, desk.retry_at());
        events += desk.tick_at(next).len();
    }
    let tries = desk.far.tries();
    // Between 15 and 30 s each after the first few.
    assert!((125..=250).contains(&tries), "{tries}");
    assert_eq!(events, 2 * (tries - 1));
    desk.far.up(tries - 1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    assert_eq!(desk.clients.timers(), 0);
}

#[test]
fn nothing_grows_where_nobody_takes_the_events() {
    let mut desk = Desk::new();
    desk.far.fail_always(Some(ECONNREFUSED));
    desk.clients.connect(every(1)).unwrap();
    for second in 0..1000 {
        desk.tymist.set(secs(second)).unwrap();
        desk.clients.service();
    }
    assert_eq!(desk.clients.counters().dialled, 1, "it waits until it was heard");
    assert_eq!(std::iter::from_fn(|| desk.clients.poll_event()).count(), 2);
    desk.clients.service();
    assert_eq!(desk.clients.counters().dialled, 2);
}

#[test]
fn what_was_unread_can_be_taken_until_it_is_tried_again() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.far.send(0, b"last words");
    desk.far.reset(0);
    // The reset comes after the bytes were read? On this network it overtakes them, unless they are read first.
    desk.tick();
    assert_eq!(desk.clients.remoter(id).unwrap().rx(), b"");
    desk.tick_at(desk.retry_at());
    desk.far.up(1);
    desk.far.send(1, b"last words");
    desk.tick();
    desk.far.reset(1);
    desk.tick();
    let remoter = desk.clients.remoter(id).unwrap();
    assert_eq!(
        (remoter.rx(), remoter.close_reason()),
        (&b"last words"[..], Some(CloseReason::Reset))
    );
    assert!(!remoter.is_up() && remoter.ends().is_none());
    desk.tick_at(desk.retry_at());
    let remoter = desk.clients.remoter(id).unwrap();
    assert_eq!((remoter.rx(), remoter.close_reason()), (&b""[..], None), "all new");
    assert_eq!(desk.clients.buffered(), 0);
}

#[test]
fn exhaustion_is_a_failure_like_others_and_does_not_spin() {
    let mut desk = Desk::new();
    desk.far.fail_always(Some(EMFILE));
    let id = desk.dial(every(1));
    assert!(
        matches!(desk.log[0], Event::ConnectFailed { error, id: of, .. } if of == id && error.errno() == Some(EMFILE))
    );
    let Event::Disconnected { reason, .. } = desk.log[1] else { panic!("{:?}", desk.log) };
    assert!(reason.to_string().contains("open files"), "in words: {reason}");
    assert_eq!(desk.clients.wake(), Wake::At(secs(1)));
    desk.far.fail_always(None);
    desk.tick_at(secs(1));
    assert_eq!(desk.far.tries(), 1);
}

#[test]
fn a_reset_while_connecting_is_a_failure() {
    let mut desk = Desk::new();
    let id = desk.dial(addr(1));
    desk.far.fail(0, ECONNRESET);
    let reason = CloseReason::Connect(cause(ECONNRESET));
    assert_eq!(desk.tick()[1..], [Event::Closed(id, reason)]);
}

#[test]
fn a_timeout_of_a_live_connection_brings_a_new_one() {
    let mut desk = Desk::with(|config| config.timeouts.idle = Some(Duration::from_secs(60)));
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.tick();
    let events = desk.tick_at(secs(60));
    let reason = CloseReason::Expired(Deadline::Idle);
    let told = Event::Disconnected { id, reason, retry_at: secs(61) };
    assert_eq!(events, [Event::Expired(id, Deadline::Idle), told]);
    desk.tick_at(secs(61));
    desk.far.up(1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    assert_eq!(desk.tick_at(Tyme::from_nanos(120_999_999_999)), []);
    assert_eq!(desk.tick_at(secs(121)).len(), 2, "the new one has its own 60 seconds");
}

#[test]
fn a_first_byte_is_waited_for_on_each_connection_anew() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.far.send(0, b"!");
    desk.tick();
    desk.far.reset(0);
    desk.tick();
    desk.tick_at(desk.retry_at());
    desk.far.up(1);
    desk.tick();
    let mut timeouts = tymist::Timeouts::new();
    timeouts.first_byte = Some(Duration::from_secs(5));
    desk.clients.remoter_mut(id).unwrap().set_timeouts(timeouts);
    desk.tick();
    let due = desk.tymist.tyme() + Duration::from_secs(5);
    assert_eq!(desk.clients.wake(), Wake::At(due));
    assert_eq!(desk.tick_at(due)[0], Event::Expired(id, Deadline::FirstByte));
}

#[test]
fn a_handshake_is_part_of_coming_up_again() {
    let mut desk = Desk::new();
    let id = desk.dial(shy(every(1)));
    desk.clients.tx(id, b"after it").unwrap();
    desk.far.up(0);
    assert_eq!(desk.tick(), []);
    assert!(desk.clients.remoter(id).unwrap().is_up());
    assert_eq!((desk.clients.connected(), desk.clients.dialling()), (0, 0));
    desk.far.reset(0);
    let told = Event::Disconnected { id, reason: CloseReason::Reset, retry_at: secs(1) };
    assert_eq!(desk.tick(), [told]);
    desk.tick_at(secs(1));
    desk.far.up(1);
    desk.far.shake(1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    assert_eq!(desk.far.get(1).got, b"after it", "nothing of it was sent before");
}

#[test]
fn a_handshake_that_takes_too_long_is_tried_again() {
    let mut desk = Desk::with(|config| config.timeouts.handshake = Some(Duration::from_secs(4)));
    let id = desk.dial(shy(every(1)));
    desk.tick_at(secs(3));
    desk.far.up(0);
    desk.tick();
    assert_eq!(desk.tick_at(Tyme::from_nanos(6_999_999_999)), [], "4 seconds since it is up");
    let reason = CloseReason::Expired(Deadline::Handshake);
    let told = Event::Disconnected { id, reason, retry_at: secs(8) };
    assert_eq!(desk.tick_at(secs(7)), [Event::Expired(id, Deadline::Handshake), told]);
    assert_eq!(desk.clients.counters().closed.expired.handshake, 1);
}

#[test]
fn what_waits_for_a_handshake_that_fails_is_nothing_that_was_cut_off() {
    let mut desk = Desk::new();
    let id = desk.dial(shy(every(1)));
    desk.clients.tx(id, b"not begun").unwrap();
    desk.far.up(0);
    assert_eq!(desk.tick(), []);
    desk.tick_at(secs(10));
    let it = desk.far.get(0);
    assert!(it.dropped && !it.aborted, "a plain end");
    assert_eq!(desk.clients.remoter(id).unwrap().tx_len(), 9, "it waits for the next");
}

#[test]
fn one_that_is_still_in_line_from_its_last_connection_is_served_on_the_new_one() {
    const GREEDY: usize = 10;
    // One byte a tick: only the first in line is served.
    let mut desk = Desk::with(|config| config.limits.tick_bytes = 1);
    for _ in 0..GREEDY {
        desk.dial(addr(1));
    }
    let id = desk.dial(shy(every(1)));
    (0..=GREEDY).for_each(|number| desk.far.up(number));
    desk.far.shake(GREEDY);
    desk.tick();
    assert_eq!(desk.clients.connected(), GREEDY + 1);
    (0..=GREEDY).for_each(|number| desk.far.send(number, &[b'x'; 20]));
    // In line behind the greedy ones, and there it stays while its connection is replaced and shakes hands.
    desk.tick();
    desk.clients.redial(id).unwrap();
    desk.tick();
    desk.tick();
    desk.far.up(GREEDY + 1);
    desk.far.shake(GREEDY + 1);
    let mut connected = false;
    for _ in 0..GREEDY * 30 {
        connected |= desk.tick().contains(&Event::Connected(id));
    }
    assert!(connected, "{:?}", desk.log);
    assert_eq!(desk.clients.buffered(), GREEDY * 20);
}

// What is queued.

#[test]
fn the_queue_before_the_connection_is_bounded_and_survives_failed_tries() {
    let mut desk = Desk::with(|config| config.limits.tx_bytes = 10);
    let id = desk.dial(every(1));
    assert_eq!(desk.clients.tx(id, b"0123456789abc"), Ok(10));
    assert_eq!(desk.clients.tx(id, b"x"), Ok(0));
    for round in 0..3 {
        desk.far.fail(round, ECONNREFUSED);
        desk.tick();
        desk.tick_at(desk.retry_at());
    }
    assert_eq!(desk.clients.remoter(id).unwrap().tx_len(), 10);
    desk.far.up(3);
    assert_eq!(desk.tick(), [Event::Connected(id), Event::Drained(id)]);
    assert_eq!(desk.far.get(3).got, b"0123456789");
    assert_eq!(desk.clients.tx(id, b"abc"), Ok(3));
    desk.tick();
    assert_eq!(desk.far.get(3).got, b"0123456789abc");
}

#[test]
fn what_was_queued_on_a_connection_that_broke_does_not_go_out_on_the_next() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.tick();
    desk.clients.tx(id, b"for the first").unwrap();
    desk.far.reset(0);
    desk.tick();
    assert_eq!(desk.clients.buffered(), 0);
    desk.clients.tx(id, b"for the second").unwrap();
    desk.tick_at(desk.retry_at());
    desk.far.up(1);
    desk.tick();
    assert_eq!(desk.far.get(1).got, b"for the second");
}

#[test]
fn an_overflow_before_the_connection_ends_the_try() {
    let mut desk = Desk::with(|config| {
        config.limits.tx_bytes = 10;
        config.tx_full = TxFull::Close;
    });
    let id = desk.dial(addr(1));
    assert_eq!(desk.clients.tx(id, b"0123456789"), Ok(10));
    assert_eq!(desk.clients.tx(id, b"a"), Err(TxError::Overflow));
    assert_eq!(desk.tick(), [Event::Closed(id, CloseReason::TxFull)]);
    assert_eq!((desk.far.open(), desk.clients.buffered()), (0, 0));
    // One that comes again does so with an empty queue.
    let id = desk.dial(every(1));
    desk.clients.tx(id, b"0123456789").unwrap();
    assert_eq!(desk.clients.tx(id, b"a"), Err(TxError::Overflow));
    assert!(matches!(desk.tick()[..], [Event::Disconnected { reason: CloseReason::TxFull, .. }]));
    assert_eq!(desk.clients.tx(id, b"a"), Ok(1));
}

#[test]
fn an_end_asked_for_before_the_connection_is_sent_behind_what_was_queued() {
    let mut desk = Desk::new();
    let id = desk.dial(addr(1));
    desk.clients.tx(id, b"all I have to say").unwrap();
    desk.clients.remoter_mut(id).unwrap().shutdown_send();
    assert_eq!(desk.clients.tx(id, b"!"), Err(TxError::SendShut));
    desk.tick();
    desk.far.up(0);
    desk.tick();
    let far = desk.far.get(0);
    assert_eq!((&far.got[..], far.got_end), (&b"all I have to say"[..], true));
    // And with nothing queued at all.
    let id = desk.dial(addr(1));
    desk.clients.remoter_mut(id).unwrap().shutdown_send();
    desk.tick();
    desk.far.up(1);
    desk.tick();
    assert!(desk.far.get(1).got_end);
}

#[test]
fn halves_that_were_ended_are_whole_on_the_next_connection() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.tick();
    let remoter = desk.clients.remoter_mut(id).unwrap();
    remoter.shutdown_send();
    remoter.shutdown_receive();
    desk.tick();
    assert!(desk.far.get(0).got_end);
    desk.far.end(0);
    desk.tick();
    desk.tick();
    desk.tick_at(desk.retry_at());
    desk.far.up(1);
    desk.far.send(1, b"heard");
    desk.tick();
    let remoter = desk.clients.remoter(id).unwrap();
    assert!(remoter.may_send() && remoter.may_receive() && !remoter.is_eof());
    assert_eq!(remoter.rx(), b"heard");
    desk.clients.tx(id, b"said").unwrap();
    desk.tick();
    assert_eq!((&desk.far.get(1).got[..], desk.far.get(1).got_end), (&b"said"[..], false));
    desk.far.end(1);
    assert_eq!(desk.tick()[0], Event::Eof(id), "and its end is told again");
}

/// Whoever came up short, or asked, before there was a connection was never told: sending passes such a one over, and what had come up was looked at for
/// bytes only.
#[test]
fn regression_who_wants_room_before_the_connection_is_told_once_there_is_some() {
    for (short, shakes) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut desk = Desk::with(|config| config.limits.buffered = 16);
        let hold = desk.dial(addr(1));
        assert_eq!(desk.clients.tx(hold, &[0; 16]), Ok(16));
        let id = desk.dial(if shakes { shy(every(1)) } else { every(1) });
        if short {
            assert_eq!(desk.clients.tx(id, b"hello"), Ok(0));
        } else {
            desk.clients.remoter_mut(id).unwrap().want_drained();
        }
        let up = |desk: &mut Desk, number| {
            desk.far.up(number);
            if shakes {
                assert_eq!(desk.tick(), []);
                desk.far.shake(number);
            }
            desk.tick()
        };
        assert_eq!(desk.tick(), []);
        assert_eq!(up(&mut desk, 1), [Event::Connected(id)]);
        assert_ne!(desk.clients.wake(), Wake::Now, "there is no room");
        desk.clients.remoter_mut(hold).unwrap().abort();
        let told = [Event::Closed(hold, CloseReason::Aborted), Event::Drained(id)];
        assert_eq!(desk.tick(), told);
        assert_eq!(desk.tick(), [], "once");

        // On the next connection only who asks for it again.
        for (number, asks) in [(2, false), (3, true)] {
            desk.far.reset(number - 1);
            desk.tick();
            if asks {
                desk.clients.remoter_mut(id).unwrap().want_drained();
            }
            desk.tick_at(desk.retry_at());
            let events = [Event::Connected(id), Event::Drained(id)];
            assert_eq!(up(&mut desk, number), events[..1 + usize::from(asks)]);
        }
    }
}

/// The step that brings it up leaves that to the next one, and says so.
#[test]
fn regression_wake_says_that_one_that_came_up_is_owed_a_word_of_room() {
    let far = Far::default();
    let mut server = Server::with_net(Config::new(), far.net());
    let id = server.connect(addr(1)).unwrap();
    server.remoter_mut(id).unwrap().want_drained();
    server.service();
    far.up(0);
    assert_eq!(server.service_connects(), 1);
    assert_eq!(server.poll_event(), Some(Event::Connected(id)));
    assert_eq!((server.poll_event(), server.wake()), (None, Wake::Now));
    server.service_sends();
    assert_eq!(server.poll_event(), Some(Event::Drained(id)));
    server.service();
    assert_eq!(server.poll_event(), None, "once");
    assert_ne!(server.wake(), Wake::Now);
}

/// It was deaf, as if that had been meant for it.
#[test]
fn regression_who_stops_receiving_from_one_that_is_over_hears_the_next_one() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.tick();
    desk.far.reset(0);
    desk.clients.service();
    desk.clients.remoter_mut(id).unwrap().shutdown_receive(); // Its `Disconnected` was not taken.
    desk.tick();
    desk.tick_at(desk.retry_at());
    desk.far.up(1);
    desk.far.send(1, b"heard");
    desk.tick();
    let remoter = desk.clients.remoter(id).unwrap();
    assert!(remoter.may_receive());
    assert_eq!(remoter.rx(), b"heard");
}

// Endings.

#[test]
fn closing_or_aborting_before_it_is_up_ends_it_at_once_for_good() {
    for abort in [false, true] {
        let mut desk = Desk::new();
        let id = desk.dial(every(1));
        desk.clients.tx(id, b"never sent").unwrap();
        let remoter = desk.clients.remoter_mut(id).unwrap();
        if abort {
            remoter.abort();
        } else {
            remoter.close();
        }
        assert_eq!(desk.clients.wake(), Wake::Now);
        let reason = if abort { CloseReason::Aborted } else { CloseReason::Local };
        assert_eq!(desk.tick(), [Event::Closed(id, reason)]);
        assert_eq!((desk.far.open(), desk.clients.buffered(), desk.clients.timers()), (0, 0, 0));
        desk.tick_after(Duration::from_secs(100));
        assert_eq!((desk.far.tries(), desk.clients.len()), (1, 0));
    }
}

#[test]
fn closing_while_it_waits_to_be_tried_again_ends_it() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.fail(0, ECONNREFUSED);
    desk.tick();
    desk.clients.remoter_mut(id).unwrap().close();
    assert_eq!(desk.tick(), [Event::Closed(id, CloseReason::Local)]);
    assert_eq!(desk.clients.timers(), 0);
    assert_eq!(desk.clients.redial(id), Err(Gone));
}

#[test]
fn a_graceful_close_of_one_that_comes_again_is_for_good() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.tick();
    desk.clients.remoter_mut(id).unwrap().close();
    desk.tick();
    desk.far.end(0);
    assert_eq!(desk.tick(), [Event::Closed(id, CloseReason::Local)]);
    desk.tick_after(Duration::from_secs(10));
    assert_eq!((desk.far.tries(), desk.clients.len(), desk.clients.timers()), (1, 0, 0));
}

/// Whatever its last connection meets while that ends: it came again, and nobody wanted it.
#[test]
fn regression_one_that_was_closed_does_not_come_again_where_the_end_goes_wrong() {
    let expired = CloseReason::Expired;
    let close = Remoter::close;
    for (end, unsent, reset, reason) in [
        (close as fn(&mut Remoter), false, true, CloseReason::Reset),
        (close, false, false, expired(Deadline::Linger)),
        (close, true, true, CloseReason::Reset),
        (close, true, false, expired(Deadline::WriteStall)),
        (Remoter::abort_once_sent, true, true, CloseReason::Reset),
        (Remoter::abort_once_sent, true, false, expired(Deadline::WriteStall)),
    ] {
        let mut desk = Desk::new();
        let id = desk.dial(every(1));
        desk.far.up(0);
        desk.tick();
        if unsent {
            desk.far.block(0);
            desk.clients.tx(id, b"never sent").unwrap();
        }
        end(desk.clients.remoter_mut(id).unwrap());
        assert_eq!(desk.tick(), []);
        let events = if reset {
            desk.far.reset(0);
            desk.tick()
        } else {
            desk.tick_after(Duration::from_secs(30))
        };
        assert_eq!(events.last(), Some(&Event::Closed(id, reason)), "{events:?}");
        desk.tick_after(Duration::from_secs(100));
        assert_eq!((desk.far.tries(), desk.clients.len(), desk.clients.timers()), (1, 0, 0));
    }
}

/// One that was closed and is wanted again after all is what it was before.
#[test]
fn redialling_one_that_is_closing_makes_it_come_again_as_it_did() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    desk.far.up(0);
    desk.tick();
    desk.clients.remoter_mut(id).unwrap().close();
    desk.clients.redial(id).unwrap();
    desk.tick();
    desk.tick();
    desk.far.up(1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    desk.far.reset(1);
    assert!(matches!(desk.tick()[..], [Event::Disconnected { reason: CloseReason::Reset, .. }]));
    desk.tick_at(desk.retry_at());
    assert_eq!(desk.far.tries(), 3);
}

/// One that the engine had begun to end, and its user after it.
#[test]
fn regression_one_that_was_closed_while_it_ended_anyway_does_not_come_again() {
    let ends: [fn(&mut Desk, Id); 3] = [
        |desk, id| desk.clients.remoter_mut(id).unwrap().close(),
        |desk, id| desk.clients.remoter_mut(id).unwrap().abort(),
        |desk, id| desk.clients.remoter_mut(id).unwrap().abort_once_sent(),
    ];
    for end in ends {
        let mut desk = Desk::with(|config| {
            config.tx_full = TxFull::Close;
            config.limits.tx_bytes = 10;
        });
        let id = desk.dial(every(1));
        desk.far.up(0);
        desk.tick();
        assert_eq!(desk.clients.tx(id, &[0; 11]), Err(TxError::Overflow));
        end(&mut desk, id);
        assert_eq!(desk.tick(), [Event::Closed(id, CloseReason::TxFull)], "why it ended first");
        desk.tick_after(Duration::from_secs(100));
        assert_eq!((desk.far.tries(), desk.clients.len(), desk.clients.timers()), (1, 0, 0));
    }
}

/// It said that it would, and was over for good; or it sent what was queued, and heeded what was asked for, before the end.
#[test]
fn regression_redialling_one_that_was_closed_before_it_was_up_makes_it_anew() {
    for end in [Remoter::close, Remoter::abort] {
        for stage in ["not begun", "trying", "waiting"] {
            let mut desk = Desk::new();
            let id = desk.clients.connect(every(1)).unwrap();
            if stage != "not begun" {
                desk.tick();
            }
            if stage == "waiting" {
                desk.far.fail(0, ECONNREFUSED);
                desk.tick();
            }
            let tries = desk.far.tries();
            desk.clients.tx(id, b"never sent").unwrap();
            let remoter = desk.clients.remoter_mut(id).unwrap();
            remoter.shutdown_send();
            end(remoter);
            desk.clients.redial(id).unwrap();
            assert_eq!(desk.clients.buffered(), 0, "{stage}");
            desk.tick();
            desk.tick();
            assert_eq!(desk.far.tries(), tries + 1, "{stage}");
            desk.clients.tx(id, b"said").unwrap();
            desk.far.up(tries);
            assert_eq!(desk.tick(), [Event::Connected(id)], "{stage}");
            desk.tick();
            let far = desk.far.get(tries);
            assert_eq!((&far.got[..], far.got_end), (&b"said"[..], false), "{stage}");
            desk.far.reset(tries);
            let events = desk.tick();
            assert!(matches!(events[..], [Event::Disconnected { .. }]), "as before: {events:?}");
        }
    }
}

#[test]
fn closing_all_leaves_nothing() {
    let mut desk = Desk::new();
    let live = desk.dial(every(1));
    let resting = desk.dial(every(1));
    let trying = desk.dial(three().reconnectable());
    let named = desk.dial(Connect::to_name("example.org", 80).reconnectable());
    desk.far.up(0);
    desk.far.fail(1, ECONNREFUSED);
    desk.tick();
    let fresh = desk.clients.connect(addr(1)).unwrap();
    assert_eq!(desk.clients.len(), 5);
    desk.clients.close();
    let events: Vec<Event> = desk.tick();
    let closed = |id| Event::Closed(id, CloseReason::ServerClosed);
    for id in [live, resting, trying, named, fresh] {
        assert!(events.contains(&closed(id)), "{events:?}");
    }
    desk.tick_after(Duration::from_secs(100));
    assert_eq!((desk.far.open(), desk.clients.len(), desk.clients.timers()), (0, 0, 0));
    assert_eq!((desk.clients.wake(), desk.far.tries()), (Wake::OnIo, 3));
    assert_eq!(desk.clients.ids(), []);
}

#[test]
fn reopening_ends_what_is_and_begins_anew_under_the_same_id() {
    let mut desk = Desk::new();
    let id = desk.dial(addr(1));
    desk.far.up(0);
    desk.tick();
    desk.clients.redial(id).unwrap();
    let told = Event::Disconnected { id, reason: CloseReason::Local, retry_at: Tyme::ZERO };
    assert_eq!(desk.tick(), [told]);
    desk.tick();
    assert_eq!((desk.far.tries(), desk.far.open()), (2, 1));
    desk.far.up(1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    desk.far.end(1);
    desk.tick();
    assert_eq!(desk.tick(), [Event::Closed(id, CloseReason::Eof)], "it was asked for once");
}

#[test]
fn reopening_one_that_waits_cuts_the_wait_short_and_begins_the_backoff_anew() {
    let mut desk = Desk::new();
    let id = desk.dial(Connect::new(addr(1)).reconnectable());
    for round in 0..6 {
        desk.far.fail(round, ECONNREFUSED);
        desk.tick();
        desk.tick_at(desk.retry_at());
    }
    desk.far.fail(6, ECONNREFUSED);
    desk.tick();
    desk.clients.redial(id).unwrap();
    assert_eq!(desk.clients.wake(), Wake::Now);
    desk.tick();
    assert_eq!(desk.far.tries(), 8);
    desk.far.fail(7, ECONNREFUSED);
    desk.tick();
    assert!(desk.retry_at() - desk.tymist.tyme() <= Duration::from_millis(500));
}

#[test]
fn detaching_gives_the_stream_and_what_was_on_its_way() {
    let mut desk = Desk::new();
    let id = desk.dial(every(1));
    assert!(desk.clients.detach(id).is_none(), "there is nothing to take out yet");
    desk.far.up(0);
    desk.far.send(0, b"unread");
    desk.tick();
    desk.clients.tx(id, b"unsent").unwrap();
    let detached = desk.clients.detach(id).unwrap();
    assert_eq!((&detached.unread[..], &detached.unsent[..]), (&b"unread"[..], &b"unsent"[..]));
    assert_eq!(desk.tick(), [Event::Closed(id, CloseReason::Detached)]);
    assert_eq!((desk.far.open(), desk.clients.buffered()), (1, 0));
    drop(detached);
    desk.tick();
    assert_eq!((desk.far.open(), desk.far.tries()), (0, 1));
}

#[test]
fn there_are_no_more_than_the_limit() {
    let mut desk = Desk::with(|config| config.limits.remoters = 2);
    desk.dial(addr(1));
    let id = desk.dial(addr(2));
    assert_eq!(desk.clients.connect(addr(3)), Err(Refusal::Remoters));
    assert_eq!(desk.clients.counters().refused.remoters, 1);
    desk.clients.remoter_mut(id).unwrap().abort();
    desk.tick();
    desk.tick();
    assert!(desk.clients.connect(addr(3)).is_ok());
}

// Many.

#[test]
fn a_crowd_is_dialled_within_the_budget_of_each_tick() {
    let mut desk = Desk::with(|config| config.limits.connects_per_tick = 100);
    for _ in 0..1000 {
        desk.clients.connect(addr(1)).unwrap();
    }
    // A tick begins with what was asked for, and ends with what is due; the budget is for both.
    for tick in 1..=10 {
        let serviced = desk.clients.service();
        assert_eq!((desk.far.tries(), serviced.more), (100 * tick, tick < 10));
        assert_eq!(desk.clients.wake() == Wake::Now, tick < 10);
    }
    assert!(desk.clients.counters().budget.connects > 0);
    (0..1000).for_each(|number| desk.far.up(number));
    for tick in 1..=10 {
        assert_eq!(desk.clients.service().connected, 100);
        assert_eq!(desk.clients.connected(), 100 * tick);
        desk.clients.clear_events();
        assert_eq!(desk.clients.wake() == Wake::Now, tick < 10);
    }
}

/// All of a connection's addresses were tried at once, however few a tick may try.
#[test]
fn regression_addresses_that_fail_at_once_are_within_the_budget_of_each_tick() {
    let mut desk = Desk::with(|config| config.limits.connects_per_tick = 3);
    desk.far.fail_always(Some(ENETUNREACH));
    let id = desk.clients.connect(Connect::new((1..=8).map(addr).collect::<Vec<_>>())).unwrap();
    for dialled in [3, 6] {
        assert!(desk.clients.service().more);
        assert_eq!(desk.clients.counters().dialled, dialled);
        assert_eq!(desk.clients.wake(), Wake::Now);
    }
    let events = desk.tick();
    assert_eq!(desk.clients.counters().dialled, 8);
    assert_eq!(events.len(), 9, "{events:?}");
    let reason = CloseReason::Connect(cause(ENETUNREACH));
    assert_eq!(events.last(), Some(&Event::Closed(id, reason)));
    assert!(desk.clients.counters().budget.connects >= 2);
}

#[test]
fn ten_thousand_silent_clients_cost_a_tick_nothing() {
    let mut desk = Desk::with(|config| {
        config.limits.connects_per_tick = 10_000;
        config.limits.turns_per_tick = 10_000;
    });
    for _ in 0..10_000 {
        desk.clients.connect(every(1)).unwrap();
    }
    desk.tick();
    (0..10_000).for_each(|number| desk.far.up(number));
    desk.tick();
    assert_eq!(desk.clients.connected(), 10_000);
    let reads = desk.clients.counters().reads;
    for _ in 0..50 {
        desk.tick();
    }
    assert_eq!(desk.clients.counters().reads, reads, "nobody is looked at");
    desk.far.send(7777, b"hi");
    assert_eq!(desk.tick().len(), 1);
    assert_eq!(desk.clients.counters().reads, reads + 2, "the bytes, and that there are no more");
    // All thrown out at once: nobody is lost, and they do not come back in step.
    (0..10_000).for_each(|number| desk.far.reset(number));
    desk.tick();
    assert_eq!((desk.clients.connected(), desk.clients.dialling()), (0, 10_000));
    desk.tick_after(Duration::from_secs(1));
    assert_eq!(desk.far.tries(), 20_000);
    (10_000..20_000).for_each(|number| desk.far.up(number));
    desk.tick();
    assert_eq!(desk.clients.connected(), 10_000);
    desk.clients.close();
    desk.tick();
    desk.tick();
    assert_eq!((desk.far.open(), desk.clients.len(), desk.clients.timers()), (0, 0, 0));
}

// Names.

/// Clients whose names wait for the test to answer.
fn with_names(change: impl FnOnce(&mut Config)) -> (Desk, Arc<Mutex<Vec<Lookup>>>) {
    let mut desk = Desk::with(change);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&asked);
    desk.clients.set_resolve(move |lookup| keep.lock().unwrap().push(lookup));
    (desk, asked)
}

fn unresolved(id: Id, why: &str) -> Event {
    Event::Unresolved { id, host: "example.org".into(), why: why.into() }
}

#[test]
fn a_name_is_looked_up_without_stopping_the_tick_and_its_addresses_tried() {
    let (mut desk, asked) = with_names(|_| {});
    let id = desk.dial(Connect::to_name("example.org", 80));
    assert_eq!(desk.tick_after(Duration::from_secs(1)), []);
    let lookup = asked.lock().unwrap().pop().unwrap();
    assert_eq!((lookup.host(), lookup.port()), ("example.org", 80));
    lookup.answer(Ok(vec![addr(80), addr(81)]));
    assert_eq!(desk.clients.wake(), Wake::Now);
    desk.tick();
    assert_eq!(desk.far.ports(), [80]);
    desk.tick_after(STAGGER);
    assert_eq!(desk.far.ports(), [80, 81]);
    desk.far.up(1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    assert_eq!((desk.clients.counters().lookups, desk.clients.counters().lookup_failures), (1, 0));
}

#[test]
fn a_name_that_does_not_resolve_is_told_with_its_reason() {
    let (mut desk, asked) = with_names(|_| {});
    let closed = |id| Event::Closed(id, CloseReason::Connect(ErrorKind::NotFound.into()));
    let mut answer = |with: fn(Lookup)| {
        let id = desk.dial(Connect::to_name("example.org", 80));
        with(asked.lock().unwrap().pop().unwrap());
        (id, desk.tick())
    };
    let (id, events) = answer(|lookup| lookup.answer(Err(std::io::Error::other("no such host"))));
    assert_eq!(events, [unresolved(id, "no such host"), closed(id)]);
    let (id, events) = answer(|lookup| lookup.answer(Ok(Vec::new())));
    assert_eq!(events, [unresolved(id, "the name has no address"), closed(id)]);
    let (id, events) = answer(drop);
    assert_eq!(events, [unresolved(id, "the look-up was given up"), closed(id)]);
    assert_eq!(desk.clients.counters().lookup_failures, 3);
    desk.tick();
    assert_eq!((desk.clients.len(), desk.clients.timers()), (0, 0));
}

/// Each that had asked counted one, and so did who was not asked for yet: more failed than there were.
#[test]
fn regression_a_look_up_that_failed_counts_once_whoever_had_asked() {
    let (mut desk, asked) = with_names(|config| {
        config.limits.lookups = 1;
        config.timeouts.connect = Some(Duration::from_secs(3));
    });
    let mut failed = |lookups, failures, unresolved| {
        let events = desk.tick_after(Duration::from_secs(3));
        let told = events.iter().filter(|it| matches!(it, Event::Unresolved { .. })).count();
        let counters = desk.clients.counters();
        let counted = (counters.lookups, counters.lookup_failures, told);
        assert_eq!(counted, (lookups, failures, unresolved));
        desk.dial(Connect::to_name("example.org", 80));
        desk.dial(Connect::to_name("example.org", 80));
        desk.dial(Connect::to_name("example.net", 80)); // Waits until that one is over.
        desk.tick();
    };
    failed(0, 0, 0);
    failed(1, 1, 3); // None had its answer within the time.
    asked.lock().unwrap().pop().unwrap().answer(Err(std::io::Error::other("no such host")));
    failed(3, 3, 3); // Then the other name was asked for, too late.
}

#[test]
fn a_network_that_knows_no_names_says_so() {
    let mut desk = Desk::new();
    let id = desk.dial(Connect::to_name("example.org", 80));
    desk.tick();
    assert_eq!(desk.log[0], unresolved(id, "this network knows no names"));
}

#[test]
fn a_late_answer_is_ignored() {
    let (mut desk, asked) = with_names(|config| {
        config.timeouts.connect = Some(Duration::from_secs(3));
    });
    let mut connect = Connect::to_name("example.org", 80);
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let id = desk.dial(connect);
    let late = asked.lock().unwrap().pop().unwrap();
    let reason = CloseReason::Expired(Deadline::Connect);
    assert_eq!(
        desk.tick_at(secs(3)),
        [
            Event::Expired(id, Deadline::Connect),
            unresolved(id, "no answer within the connect time-out"),
            Event::Disconnected { id, reason, retry_at: secs(4) },
        ]
    );
    desk.tick_at(secs(4));
    // Looked up anew for each round.
    let second = asked.lock().unwrap().pop().unwrap();
    late.answer(Ok(vec![addr(66)]));
    desk.tick();
    assert_eq!(desk.far.tries(), 0, "the answer to the first round is not for the second");
    second.answer(Ok(vec![addr(80)]));
    desk.tick();
    assert_eq!(desk.far.ports(), [80]);
    // Nor does one harm whose asker is gone.
    let gone = desk.dial(Connect::to_name("example.org", 80));
    let orphan = asked.lock().unwrap().pop().unwrap();
    desk.clients.remoter_mut(gone).unwrap().abort();
    desk.tick();
    desk.tick();
    orphan.answer(Ok(vec![addr(67)]));
    assert_eq!(desk.tick(), []);
    assert_eq!(desk.far.ports(), [80]);
    assert_eq!(desk.clients.wake(), Wake::At(secs(7)), "and nothing is left to do");
}

#[test]
fn names_wait_in_line_for_the_bounded_number_of_lookups() {
    let (mut desk, asked) = with_names(|config| {
        config.limits.lookups = 2;
        config.timeouts.connect = Some(Duration::from_secs(3));
    });
    let ids: Vec<_> = (0..5).map(|port| desk.dial(Connect::to_name("example.org", port))).collect();
    let ports = || -> Vec<u16> { asked.lock().unwrap().iter().map(Lookup::port).collect() };
    assert_eq!(ports(), [0, 1]);
    asked.lock().unwrap().remove(0).answer(Ok(vec![addr(80)]));
    desk.tick();
    assert_eq!(ports(), [1, 2], "in order");
    // One that gives up while it waits is passed over.
    desk.clients.remoter_mut(ids[3]).unwrap().abort();
    desk.tick();
    asked.lock().unwrap().clear();
    desk.tick();
    assert_eq!(ports(), [4]);
    // The connect time-out runs while they wait.
    desk.tick_at(secs(3));
    assert_eq!(desk.clients.dialling(), 0);
}

#[test]
fn a_name_whose_round_is_over_is_not_looked_up_any_more() {
    let (mut desk, asked) = with_names(|config| {
        config.limits.lookups = 1;
        config.timeouts.connect = Some(Duration::from_secs(3));
    });
    desk.dial(Connect::to_name("example.org", 1));
    let mut connect = Connect::to_name("example.org", 2);
    connect.reconnect = Some(Backoff::every(Duration::from_secs(60)));
    desk.dial(connect);
    desk.tick_at(secs(3));
    asked.lock().unwrap().clear();
    desk.tick();
    assert!(asked.lock().unwrap().is_empty(), "it rests");
    desk.tick_at(secs(63));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[test]
fn a_resolver_that_answers_at_once_serves_thousands_within_its_bound() {
    let mut desk = Desk::with(|config| {
        config.limits.lookups = 2;
        config.limits.connects_per_tick = 10_000;
    });
    desk.clients.set_resolve(|lookup| {
        let port = lookup.port();
        lookup.answer(Ok(vec![addr(port)]));
    });
    for port in 0..3000 {
        desk.clients.connect(Connect::to_name("example.org", port)).unwrap();
    }
    desk.tick();
    assert_eq!(desk.far.tries(), 3000);
    assert_eq!(desk.clients.counters().lookups, 3000);
}

#[test]
fn a_resolver_that_answers_at_once_gets_no_more_than_a_tick_may_ask() {
    let mut desk = Desk::with(|config| {
        config.limits.lookups = 2;
        config.limits.connects_per_tick = 10;
    });
    desk.clients.set_resolve(|lookup| {
        let port = lookup.port();
        lookup.answer(Ok(vec![addr(port)]));
    });
    for port in 0..300 {
        desk.clients.connect(Connect::to_name("example.org", port)).unwrap();
    }
    for tick in 1..25 {
        desk.tick();
        let lookups = desk.clients.counters().lookups;
        assert!(lookups <= tick * 12, "{lookups} after {tick} ticks");
        assert_eq!(desk.clients.wake(), Wake::Now, "after {tick} ticks");
    }
    for _ in 0..40 {
        desk.tick();
    }
    assert_eq!((desk.far.tries(), desk.clients.counters().lookups), (300, 300));
}

#[test]
fn one_name_is_looked_up_once_for_all_who_want_it() {
    let (mut desk, asked) = with_names(|config| config.limits.lookups = 1);
    let ids: Vec<_> = (0..4).map(|_| desk.dial(Connect::to_name("example.org", 80))).collect();
    assert_eq!(asked.lock().unwrap().len(), 1);
    desk.clients.remoter_mut(ids[0]).unwrap().abort();
    desk.tick();
    let lookup = asked.lock().unwrap().pop().unwrap();
    assert!(lookup.is_wanted(), "by the others");
    lookup.answer(Ok(vec![addr(80)]));
    desk.tick();
    assert_eq!((desk.far.ports(), desk.clients.counters().lookups), (vec![80; 3], 1));
    // The next one asks anew.
    let next = desk.dial(Connect::to_name("example.org", 80));
    assert_eq!(asked.lock().unwrap().len(), 1);
    asked.lock().unwrap().clear();
    desk.tick();
    assert!(desk.log.contains(&unresolved(next, "the look-up was given up")));
}

/// Names whose servers are dead kept all places for as long as the system tried, and with it everybody else from theirs.
#[test]
fn a_name_that_nobody_wants_any_more_gives_its_place_back() {
    let (mut desk, asked) = with_names(|config| {
        config.limits.lookups = 1;
        config.timeouts.connect = Some(Duration::from_secs(3));
    });
    desk.dial(Connect::to_name("dead.example.org", 80));
    desk.tick_at(secs(1));
    desk.dial(Connect::to_name("example.org", 80));
    desk.tick_at(secs(3));
    let wanted: Vec<_> =
        asked.lock().unwrap().iter().map(|it| (it.port(), it.is_wanted())).collect();
    assert_eq!(wanted, [(80, false), (80, true)]);
    asked.lock().unwrap().pop().unwrap().answer(Ok(vec![addr(80)]));
    desk.tick();
    assert_eq!(desk.far.ports(), [80]);
}

/// A resolver that tries as long as somebody wants to know went on for ever.
#[test]
fn regression_who_is_dropped_wants_no_name_any_more() {
    let (mut desk, asked) = with_names(|_| {});
    desk.dial(Connect::to_name("example.org", 80));
    assert!(asked.lock().unwrap()[0].is_wanted());
    drop(desk);
    assert!(!asked.lock().unwrap()[0].is_wanted());
}

/// What was lacking for the first name may be there for the second.
#[test]
fn a_waker_that_was_refused_is_asked_for_again() {
    let (mut desk, asked) = with_names(|_| {});
    desk.far.refuse_wakers(1);
    desk.dial(Connect::to_name("example.org", 80));
    asked.lock().unwrap().pop().unwrap().answer(Ok(vec![addr(80)]));
    assert_eq!(desk.far.woken(), 0);
    desk.tick();
    assert_eq!(desk.far.ports(), [80], "found in the next tick all the same");
    desk.dial(Connect::to_name("example.org", 81));
    asked.lock().unwrap().pop().unwrap().answer(Ok(vec![addr(81)]));
    assert_eq!(desk.far.woken(), 1);
}

#[test]
fn who_stops_receiving_before_it_is_up_hears_nothing_on_its_first_connection() {
    let mut desk = Desk::new();
    let mut connect = Connect::new(addr(80));
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let id = desk.clients.connect(connect).unwrap();
    desk.clients.remoter_mut(id).unwrap().shutdown_receive();
    desk.tick();
    for (number, heard) in [(0, 0), (1, 7)] {
        desk.far.up(number);
        assert_eq!(desk.tick().last(), Some(&Event::Connected(id)));
        desk.far.send(number, b"chatter");
        desk.tick();
        assert_eq!(desk.clients.remoter(id).unwrap().rx().len(), heard, "connection {number}");
        assert_eq!(desk.clients.remoter(id).unwrap().counters().bytes_in, 7 * (number as u64 + 1));
        desk.far.reset(number);
        desk.tick();
        let retry_at = desk.retry_at();
        desk.tick_at(retry_at);
    }
}

#[test]
fn addresses_need_no_lookup() {
    let (mut desk, asked) = with_names(|_| {});
    desk.dial("192.0.2.1:80".parse::<Connect>().unwrap());
    desk.dial(Connect::to_name("192.0.2.1", 81));
    desk.dial(Connect::to_name("localhost", 82));
    assert_eq!(desk.far.ports(), [80, 81, 82]);
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!(
        Target::name("2001:db8::1", 9),
        Addr::from(("2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap(), 9)).into()
    );
}

// Servers, and one alone.

#[test]
fn a_draining_server_finishes_what_it_dialled_and_lets_nothing_come_again() {
    let far = Far::default();
    let mut tymist = Tymist::new();
    let mut server = Server::with_net(Config::new(), far.net());
    server.wind(tymist.tymth());
    let live = server.connect(every(1)).unwrap();
    let resting = server.connect(every(1)).unwrap();
    server.service();
    far.up(0);
    far.fail(1, ECONNREFUSED);
    server.service();
    server.clear_events();
    server.drain(Some(Duration::from_secs(5)));
    assert_eq!(server.draining().unwrap().left, 1);
    server.service();
    assert_eq!(server.poll_event(), Some(Event::Closed(resting, CloseReason::ServerClosed)));
    far.reset(0);
    tymist.tick_by(Duration::from_secs(1));
    server.service();
    let events: Vec<Event> = std::iter::from_fn(|| server.poll_event()).collect();
    assert!(events.contains(&Event::Closed(live, CloseReason::Reset)), "{events:?}");
    assert!(events.contains(&Event::DrainEnded { cut: 0 }), "{events:?}");
    assert_eq!((far.tries(), far.open(), server.timers()), (2, 0, 0));
}

#[test]
fn regression_what_is_dialled_in_a_drain_does_not_come_again_either() {
    let far = Far::default();
    let mut server = Server::with_net(Config::new(), far.net());
    server.connect(every(1)).unwrap();
    server.service();
    far.up(0);
    server.service();
    server.clear_events();
    server.drain(None);
    let late = server.connect(every(1)).unwrap();
    server.service();
    far.fail(1, ECONNREFUSED);
    server.service();
    let events: Vec<Event> = std::iter::from_fn(|| server.poll_event()).collect();
    let refused =
        |event: &Event| matches!(event, Event::Closed(id, CloseReason::Connect(_)) if *id == late);
    assert!(events.iter().any(refused), "{events:?}");
    assert_eq!((server.draining().unwrap().left, far.open()), (1, 1));
}

#[test]
fn a_drain_cuts_what_is_still_being_dialled_at_its_deadline() {
    let far = Far::default();
    let mut tymist = Tymist::new();
    let mut server = Server::with_net(Config::new(), far.net());
    server.wind(tymist.tymth());
    let id = server.connect(three().reconnectable()).unwrap();
    server.service();
    server.drain(Some(Duration::from_secs(5)));
    tymist.tick_by(Duration::from_secs(5));
    server.service();
    let events: Vec<Event> = std::iter::from_fn(|| server.poll_event()).collect();
    assert!(events.contains(&Event::Closed(id, CloseReason::Expired(Deadline::Drain))));
    assert_eq!(events.last(), Some(&Event::DrainEnded { cut: 1 }));
    assert_eq!((far.open(), server.timers()), (0, 0));
}

#[test]
fn waiting_dials_first_and_sleeps_until_the_next_thing_due() {
    let far = Far::default();
    let mut clients = Clients::with_net(Config::new(), far.net());
    let id = clients.connect(three()).unwrap();
    assert_eq!((clients.wake(), far.tries()), (Wake::Now, 0), "making one opens nothing");
    clients.wait(None);
    assert_eq!((far.tries(), far.harvests(), far.waited()), (1, 1, Some(STAGGER)));
    far.up(0);
    clients.wait(Some(Duration::from_millis(1)));
    assert_eq!(far.waited(), Some(Duration::from_millis(1)));
    clients.service();
    assert_eq!(far.harvests(), 2, "the service that follows asks nobody again");
    assert_eq!(clients.poll_event(), Some(Event::Connected(id)));
}

#[test]
fn steps_by_hand_do_what_the_tick_does() {
    let mut desk = Desk::new();
    let id = desk.clients.connect(addr(1)).unwrap();
    assert_eq!(desk.clients.service_connects(), 0);
    desk.far.up(0);
    assert_eq!(desk.clients.service_connects(), 1);
    desk.clients.tx(id, b"ping").unwrap();
    assert_eq!(desk.clients.service_sends(), 4);
    desk.far.send(0, b"pong");
    assert_eq!(desk.clients.service_receives(), 4);
    desk.far.send(0, b"!");
    assert_eq!(desk.clients.service_receive_once(id), Ok(1));
    let failing = desk.clients.connect(every(1)).unwrap();
    desk.far.fail_at_once([ECONNREFUSED]);
    assert_eq!(desk.clients.service_connects(), 0);
    desk.clients.clear_events();
    desk.tymist.tick_by(Duration::from_secs(1));
    desk.clients.service_deadlines();
    assert_eq!(desk.far.tries(), 2);
    assert_eq!(desk.clients.service_receive_once(failing), Err(Gone));
}

#[test]
fn one_client_alone_is_the_same_thing() {
    let far = Far::default();
    let mut client = Client::with_net(Config::new(), far.net(), addr(1));
    assert_eq!((client.opened(), client.tx(b"x"), far.tries()), (false, Err(TxError::Gone), 0));
    client.reopen().unwrap();
    assert!(client.opened() && !client.accepted() && !client.connected());
    assert!(!client.service_connect());
    far.up(0);
    assert!(client.service_connect() && client.accepted());
    assert_eq!(client.peer_addr(), Some(&addr(1)));
    client.close();
    client.service();
    client.clear_events();
    assert!(!client.opened() && client.peer_addr().is_none());
    client.connect_settings_mut().to = addr(2).into();
    client.reopen().unwrap();
    client.service();
    assert_eq!(far.ports(), [1, 2]);
}
