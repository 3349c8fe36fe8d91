//! Every timeout to the nanosecond: one before, at, one after; what puts it off; and what a change of the clock or of the
//! durations does. The clock is in the test's hand, the sockets are real.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::layers::{Step, Watched, scripted};
use crate::util::{ROUNDS, Rig, connect, end, pattern, receive, send};
use tymist::tyme::{Tyme, Tymist};
use tymist::{CloseReason, Config, Deadline, Event, Id, MinRate, Server, Timeouts, Wake};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// No timeouts but what `change` sets.
fn rig(change: impl FnOnce(&mut Timeouts)) -> Rig {
    Rig::with(|config| {
        config.timeouts = never();
        change(&mut config.timeouts);
    })
}

fn never() -> Timeouts {
    let mut timeouts = Timeouts::new();
    timeouts.handshake = None;
    timeouts.write_stall = None;
    timeouts.linger = None;
    timeouts.drain = None;
    timeouts
}

fn closed(events: &[Event]) -> Option<CloseReason> {
    events.iter().find_map(|event| match event {
        Event::Closed(_, reason) => Some(*reason),
        _ => None,
    })
}

/// One nanosecond before `deadline` nothing happens, at it the connection ends for it. `wake()` says so all along.
#[track_caller]
fn ends_at(rig: &mut Rig, id: Id, deadline: Tyme, which: Deadline) {
    assert!(matches!(rig.server.wake(), Wake::At(at) if at <= deadline), "{:?}", rig.server.wake());
    let before = Tyme::from_nanos(deadline.as_nanos() - 1);
    let events = rig.tick_at(before);
    assert!(closed(&events).is_none(), "too early: {events:?}");
    assert_eq!(rig.server.wake(), Wake::At(deadline));
    let events = rig.tick_at(deadline);
    let expected = [Event::Expired(id, which), Event::Closed(id, CloseReason::Expired(which))];
    assert_eq!(events, expected, "at the deadline");
    assert_eq!(rig.server.timers(), 0);
}

/// The same where the first tick comes after the deadline.
#[track_caller]
fn has_ended_after(rig: &mut Rig, deadline: Tyme, which: Deadline) {
    let events = rig.tick_at(deadline + NANO);
    assert_eq!(closed(&events), Some(CloseReason::Expired(which)), "{events:?}");
}

/// Nothing ends within a thousand years.
#[track_caller]
fn never_ends(rig: &mut Rig) {
    let live = rig.server.len();
    assert!(live > 0);
    assert_eq!(rig.server.wake(), Wake::OnIo);
    let events = rig.tick_after(Duration::from_secs(500 * 365 * 86_400));
    assert_eq!((events, rig.server.len()), (vec![], live));
}

fn listen_scripted(rig: &mut Rig, steps: &[Step]) -> SocketAddr {
    let layer = scripted(steps, &Arc::new(AtomicUsize::new(0)));
    let acceptor = rig.server.listen_with(([127, 0, 0, 1], 0), layer).unwrap();
    rig.server.local_addr(acceptor).unwrap().inet().unwrap()
}

/// A connection whose bytes do not get away: the client does not read, and the kernel has taken what it takes.
fn stalled(rig: &mut Rig) -> (TcpStream, Id) {
    let (client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().set_tx_limit(64 << 20);
    rig.server.tx(id, &vec![1; 32 << 20]).unwrap();
    let mut last = 0;
    let mut same = 0;
    rig.until_server(|server| {
        let left = server.remoter(id).unwrap().tx_len();
        same = if left == last && server.wake() != Wake::Now { same + 1 } else { 0 };
        last = left;
        same > 20
    });
    assert!(last > 0);
    (client, id)
}

/// Takes what the kernel has for the client just now.
fn take_there(client: &mut TcpStream) {
    client.set_nonblocking(true).unwrap();
    let mut buf = vec![0; 1 << 20];
    while matches!(client.read(&mut buf), Ok(1..)) {}
}

#[test]
fn handshake() {
    for late in [false, true] {
        let mut rig = rig(|timeouts| timeouts.handshake = Some(SECOND));
        let addr = listen_scripted(&mut rig, &[Step::Byte, Step::Byte]);
        let mut client = connect(addr);
        rig.until_server(|server| server.cxes() == 1);
        send(&mut client, b".");
        for _ in 0..5 {
            rig.tick();
        }
        assert_eq!(rig.server.wake(), Wake::At(Tyme::from_secs(1)));
        let events = rig.tick_at(Tyme::from_nanos(999_999_999));
        assert_eq!((events, rig.server.cxes()), (vec![], 1), "one step alone is not enough");
        let events = rig.tick_at(Tyme::from_secs(1) + if late { NANO } else { Duration::ZERO });
        let reason = CloseReason::Expired(Deadline::Handshake);
        assert!(
            matches!(&events[..], [Event::HandshakeFailed { reason: why, .. }] if *why == reason),
            "{events:?}"
        );
        assert_eq!((rig.server.cxes(), rig.server.timers()), (0, 0));
        assert_eq!(rig.server.counters().closed.expired.handshake, 1);
        assert_eq!(rig.server.counters().opened, 0);
    }
}

#[test]
fn a_handshake_that_is_done_in_the_same_tick_wins() {
    let mut rig = rig(|timeouts| timeouts.handshake = Some(SECOND));
    let addr = listen_scripted(&mut rig, &[Step::Byte]);
    let mut client = connect(addr);
    rig.until_server(|server| server.cxes() == 1);
    send(&mut client, b".");
    let events = rig.tick_at(Tyme::from_secs(1));
    assert!(matches!(events[..], [Event::Accepted(_)]), "{events:?}");
    never_ends(&mut rig);
}

#[test]
fn first_byte() {
    let mut rig = rig(|timeouts| timeouts.first_byte = Some(SECOND));
    let (_client, id) = rig.client();
    // What is sent does not count.
    rig.server.tx(id, b"hello").unwrap();
    rig.tick_at(Tyme::from_nanos(5));
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::FirstByte);
    assert_eq!(rig.server.counters().closed.expired.first_byte, 1);

    let (_client, _) = rig.client();
    has_ended_after(&mut rig, Tyme::from_secs(2), Deadline::FirstByte);
}

#[test]
fn a_first_byte_in_the_same_tick_wins_and_ends_the_matter() {
    let mut rig = rig(|timeouts| timeouts.first_byte = Some(SECOND));
    let (mut client, id) = rig.client();
    send(&mut client, b"!");
    assert_eq!(rig.tick_at(Tyme::from_secs(1)), [Event::Received(id)]);
    let events = rig.tick_after(1000 * SECOND);
    assert_eq!(events, []);
}

/// Bytes that nobody wanted are bytes all the same; the engine once did not see them.
#[test]
fn bytes_that_are_thrown_away_are_traffic_too() {
    let mut rig = rig(|timeouts| {
        timeouts.first_byte = Some(SECOND);
        timeouts.idle = Some(2 * SECOND);
    });
    let (mut client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().shutdown_receive();
    send(&mut client, b"!");
    assert_eq!(rig.tick_at(Tyme::from_secs(1)), []);
    rig.tick_at(Tyme::from_nanos(2_500_000_000));
    ends_at(&mut rig, id, Tyme::from_secs(3), Deadline::Idle);
}

#[test]
fn idle() {
    let mut rig = rig(|timeouts| timeouts.idle = Some(SECOND));
    let (_client, id) = rig.client();
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::Idle);
    let (_client, _) = rig.client();
    has_ended_after(&mut rig, Tyme::from_secs(2), Deadline::Idle);
    assert_eq!(rig.server.counters().closed.expired.idle, 2);
}

#[test]
fn traffic_either_way_starts_the_idle_timeout_anew_from_now() {
    let mut rig = rig(|timeouts| timeouts.idle = Some(SECOND));
    let (mut client, id) = rig.client();
    // Received in the tick of the deadline itself: it wins.
    send(&mut client, b"1234567890");
    assert_eq!(rig.tick_at(Tyme::from_secs(1)), [Event::Received(id)]);
    // Sent.
    rig.server.tx(id, b"x").unwrap();
    assert_eq!(rig.tick_at(Tyme::from_secs(2)), []);
    assert_eq!(receive(&mut client, 1), b"x");
    // Many small reads at once do not add up.
    for _ in 0..5 {
        send(&mut client, b"y");
        rig.tick_at(Tyme::from_nanos(2_500_000_000));
    }
    ends_at(&mut rig, id, Tyme::from_nanos(3_500_000_000), Deadline::Idle);
}

#[test]
fn queueing_alone_is_no_traffic() {
    let mut rig = rig(|timeouts| timeouts.idle = Some(SECOND));
    let (_client, id) = stalled(&mut rig);
    rig.tick_at(Tyme::from_nanos(500_000_000));
    rig.server.tx(id, b"more").unwrap();
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::Idle);
}

#[test]
fn without_refreshable_idle_runs_from_the_start_whatever_happens() {
    let mut rig = Rig::with(|config| {
        config.timeouts = never();
        config.timeouts.idle = Some(SECOND);
        config.refreshable = false;
    });
    let (mut client, id) = rig.client();
    send(&mut client, b"a");
    rig.tick_at(Tyme::from_nanos(600_000_000));
    rig.server.tx(id, b"b").unwrap();
    rig.tick_at(Tyme::from_nanos(700_000_000));
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::Idle);

    let (mut client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().set_refreshable(true);
    send(&mut client, b"a");
    rig.tick_at(Tyme::from_nanos(1_600_000_000));
    ends_at(&mut rig, id, Tyme::from_nanos(2_600_000_000), Deadline::Idle);
}

#[test]
fn lifetime() {
    let mut rig = rig(|timeouts| timeouts.lifetime = Some(SECOND));
    let (mut client, id) = rig.client();
    send(&mut client, b"a");
    rig.tick_at(Tyme::from_nanos(999_999_998));
    rig.server.tx(id, b"b").unwrap();
    rig.tick_now();
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::Lifetime);
    let (mut client, _) = rig.client();
    send(&mut client, b"activity does not help here");
    has_ended_after(&mut rig, Tyme::from_secs(2), Deadline::Lifetime);
}

#[test]
fn write_stall() {
    let mut rig = rig(|timeouts| timeouts.write_stall = Some(SECOND));
    let (mut client, id) = stalled(&mut rig);
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::WriteStall);
    assert_eq!(rig.server.buffered(), 0);
    let error = rig.read_to_end(&mut client).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "cut short, and the peer knows");
}

/// Linux reports room once a third of what it may queue is free, 4 MiB where it has sized that itself: 40 seconds of such a peer.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn regression_who_reads_slowly_is_not_taken_for_one_who_does_not_read() {
    let changes: [fn(&mut Timeouts); 3] = [
        |timeouts| timeouts.write_stall = Some(30 * SECOND),
        |timeouts| timeouts.idle = Some(30 * SECOND),
        |timeouts| timeouts.min_rate = Some(MinRate { bytes: 10_000, window: 20 * SECOND }),
    ];
    for change in changes {
        let mut rig = rig(change);
        let (mut client, id) = stalled(&mut rig);
        for second in 1..=90 {
            client.read_exact(&mut [0; 32 << 10]).unwrap();
            for _ in 0..3 {
                rig.tick();
            }
            let events = rig.tick_at(Tyme::from_secs(second));
            assert_eq!(closed(&events), None, "after {second} seconds");
        }
        assert!(rig.server.remoter(id).is_some_and(|remoter| remoter.tx_len() > 0));
    }
}

#[test]
fn a_write_that_goes_on_puts_the_stall_off_and_its_end_ends_it() {
    let mut rig = rig(|timeouts| timeouts.write_stall = Some(SECOND));
    let (mut client, id) = stalled(&mut rig);
    rig.tick_at(Tyme::from_nanos(600_000_000));
    let left = rig.server.remoter(id).unwrap().tx_len();
    take_there(&mut client);
    rig.until_server(|server| server.remoter(id).unwrap().tx_len() < left);
    for _ in 0..20 {
        rig.tick();
    }
    let left = rig.server.remoter(id).unwrap().tx_len();
    assert!(left > 0);
    assert_eq!(rig.tick_at(Tyme::from_nanos(1_599_999_999)), []);
    // Progress in the very tick of the deadline.
    take_there(&mut client);
    rig.tymist.set(Tyme::from_nanos(1_600_000_000)).unwrap();
    rig.until_server(|server| server.remoter(id).unwrap().tx_len() < left);
    rig.until_server(|server| {
        take_there(&mut client);
        server.remoter(id).unwrap().tx_len() == 0
    });
    rig.tick_after(1000 * SECOND);
    assert_eq!(rig.server.len(), 1, "nothing is queued, nothing stalls");
}

#[test]
fn linger_after_our_end() {
    let mut rig = rig(|timeouts| timeouts.linger = Some(SECOND));
    let (mut client, id) = rig.client();
    rig.server.tx(id, b"bye").unwrap();
    rig.server.remoter_mut(id).unwrap().close();
    rig.tick_now();
    assert_eq!(receive(&mut client, 3), b"bye");
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::Linger);

    let (client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().close();
    rig.tick_now();
    end(&client);
    assert_eq!(rig.tick_at(Tyme::from_secs(2)), [Event::Closed(id, CloseReason::Local)], "it wins");

    let (_client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().close();
    rig.tick_now();
    has_ended_after(&mut rig, Tyme::from_secs(3), Deadline::Linger);
}

#[test]
fn without_linger_a_close_does_not_wait() {
    for linger in [None, Some(Duration::ZERO)] {
        let mut rig = rig(|timeouts| timeouts.linger = linger);
        let (mut client, id) = rig.client();
        rig.server.tx(id, b"bye").unwrap();
        rig.server.remoter_mut(id).unwrap().close();
        assert_eq!(closed(&rig.tick_now()), Some(CloseReason::Local));
        assert_eq!(rig.read_to_end(&mut client).unwrap(), b"bye");
    }
}

#[test]
fn linger_after_the_peers_end() {
    let mut rig = rig(|timeouts| timeouts.linger = Some(SECOND));
    let (mut client, id) = rig.client();
    send(&mut client, b"untaken");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    ends_at(&mut rig, id, Tyme::from_secs(1), Deadline::Linger);
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"untaken");

    let (mut client, id) = rig.client();
    send(&mut client, b"taken in time");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.tick_at(Tyme::from_nanos(1_999_999_999));
    rig.server.remoter_mut(id).unwrap().take();
    assert_eq!(rig.tick_at(Tyme::from_secs(2)), [Event::Closed(id, CloseReason::Eof)]);
}

#[test]
fn linger_does_not_cut_a_reply_that_is_still_going_out() {
    let mut rig = rig(|timeouts| timeouts.linger = Some(SECOND));
    let (mut client, id) = stalled(&mut rig);
    send(&mut client, b"untaken");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    for second in 1..5 {
        assert_eq!(rig.tick_at(Tyme::from_secs(second)), []);
    }
    rig.until_server(|server| {
        take_there(&mut client);
        server.remoter(id).unwrap().tx_len() == 0
    });
    let events = rig.tick_at(Tyme::from_secs(6));
    assert_eq!(closed(&events), Some(CloseReason::Expired(Deadline::Linger)));
}

/// Its queue is empty at each deadline: it was cut there with most of its answer unsent.
#[test]
fn regression_linger_does_not_cut_an_answer_that_is_made_piece_by_piece() {
    let mut rig = Rig::with(|config| {
        config.timeouts = never();
        config.timeouts.linger = Some(SECOND);
        config.limits.tx_bytes = 1;
    });
    let (mut client, id) = rig.client();
    send(&mut client, b"slow");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    for second in 1..=4 {
        let remoter = rig.server.remoter_mut(id).unwrap();
        let mut data = remoter.take();
        remoter.tx_bytes(&mut data).unwrap();
        remoter.unread(data);
        let last = second == 4; // That one left nothing over.
        let told = if last { Event::Closed(id, CloseReason::Eof) } else { Event::Drained(id) };
        assert_eq!(rig.tick_at(Tyme::from_secs(second)), [told]);
    }
    assert_eq!(rig.read_to_end(&mut client).unwrap(), b"slow");
    assert_eq!(rig.server.timers(), 0);

    // From the last byte on it has no longer than any other.
    let (mut client, id) = rig.client();
    send(&mut client, b"slow");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    let mut more = bytes::Bytes::from_static(b"more");
    rig.server.remoter_mut(id).unwrap().tx_bytes(&mut more).unwrap();
    let sent = Tyme::from_nanos(4_500_000_000);
    assert_eq!(rig.tick_at(sent), [Event::Drained(id)]);
    assert_eq!(rig.tick_at(Tyme::from_nanos(5_499_999_999)), []);
    ends_at(&mut rig, id, sent + SECOND, Deadline::Linger);
}

#[test]
fn a_half_open_connection_does_not_linger() {
    let mut rig = rig(|timeouts| timeouts.linger = Some(SECOND));
    let (client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().set_half_open(true);
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    never_ends(&mut rig);

    // Taken back: the wait for what is unread begins then.
    let (mut client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().set_half_open(true);
    send(&mut client, b"untaken");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.server.remoter_mut(id).unwrap().set_half_open(false);
    let now = rig.server.tyme();
    rig.tick_now();
    ends_at_with_others(&mut rig, now + SECOND);

    // Allowed while the wait was on already: it is off.
    let (mut client, id) = rig.client();
    send(&mut client, b"untaken");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.tick_now();
    rig.server.remoter_mut(id).unwrap().set_half_open(true);
    rig.tick_after(5 * SECOND);
    assert_eq!(rig.server.len(), 2);
}

#[track_caller]
fn ends_at_with_others(rig: &mut Rig, deadline: Tyme) {
    assert_eq!(rig.server.wake(), Wake::At(deadline));
    assert_eq!(rig.tick_at(Tyme::from_nanos(deadline.as_nanos() - 1)), []);
    let events = rig.tick_at(deadline);
    assert_eq!(closed(&events), Some(CloseReason::Expired(Deadline::Linger)), "{events:?}");
}

#[test]
fn drain() {
    for (within, own) in [(None, Some(SECOND)), (Some(SECOND), Some(5 * SECOND))] {
        let mut rig = rig(|timeouts| timeouts.drain = own);
        let (_client, id) = rig.client();
        rig.server.drain(within);
        assert_eq!(rig.server.wake(), Wake::Now, "it has something to tell");
        assert_eq!(rig.tick_now(), [Event::Draining { left: 1 }]);
        assert_eq!(rig.server.draining().unwrap().deadline, Tyme::from_secs(1));
        assert_eq!(rig.server.wake(), Wake::At(Tyme::from_secs(1)));
        assert_eq!(rig.tick_at(Tyme::from_nanos(999_999_999)), []);
        let reason = CloseReason::Expired(Deadline::Drain);
        let events = rig.tick_at(Tyme::from_secs(1));
        assert_eq!(events, [Event::Closed(id, reason), Event::DrainEnded { cut: 1 }]);
        assert_eq!(rig.server.counters().closed.expired.drain, 1);
    }
}

#[test]
fn a_connection_that_ends_in_the_tick_of_the_drains_deadline_is_not_cut() {
    let mut rig = rig(|timeouts| timeouts.drain = Some(SECOND));
    let (client, id) = rig.client();
    rig.server.drain(None);
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    let events = rig.tick_at(Tyme::from_secs(1));
    assert_eq!(events, [Event::Closed(id, CloseReason::Eof), Event::DrainEnded { cut: 0 }]);
}

/// It was cut in the last moment there is, of which `wake` knew nothing.
#[test]
fn regression_a_drain_whose_deadline_is_never_does_not_cut_at_the_end_of_time() {
    let mut rig = rig(|_| ());
    let (_client, _) = rig.client();
    rig.server.drain(Some(Duration::MAX));
    rig.tick_now();
    assert_eq!(rig.server.draining().unwrap().deadline, Tyme::NEVER);
    assert_eq!(rig.server.wake(), Wake::OnIo);
    assert_eq!((rig.tick_at(Tyme::NEVER), rig.server.len()), (vec![], 1));
}

#[test]
fn a_drain_without_a_deadline_waits_for_ever() {
    let mut rig = rig(|_| ());
    let (_client, _) = rig.client();
    rig.server.drain(None);
    rig.tick_now();
    assert_eq!(rig.server.draining().unwrap().deadline, Tyme::NEVER);
    never_ends(&mut rig);
}

#[cfg(target_os = "linux")]
#[test]
fn accept_pause() {
    const EMFILE: i32 = 24;
    for (pause, rest) in [(SECOND, SECOND), (Duration::ZERO, Duration::from_millis(1))] {
        let watched = Watched::default();
        let mut config = Config::new();
        config.timeouts.accept_pause = pause;
        let (mut server, mut tymist) = (Server::with_net(config, watched.net()), Tymist::new());
        server.wind(tymist.tymth());
        let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
        let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
        watched.errors.lock().unwrap().extend([EMFILE, EMFILE]);
        let _client = connect(addr);
        let mut event = None;
        for _ in 0..ROUNDS {
            server.wait(Some(Duration::from_millis(5)));
            server.service();
            event = server.poll_event();
            if event.is_some() {
                break;
            }
        }
        let until = Tyme::ZERO + rest;
        let Some(Event::AcceptPaused { error, until: told, .. }) = event else {
            panic!("{event:?}")
        };
        assert_eq!((error.errno(), told), (Some(EMFILE), until));
        assert_eq!(server.wake(), Wake::At(until));
        assert_eq!(server.acceptor(acceptor).unwrap().resting_until(), Some(until));

        let _ = tymist.set(Tyme::from_nanos(until.as_nanos() - 1));
        for _ in 0..20 {
            server.service();
        }
        assert_eq!((watched.accepts(), server.len()), (1, 0), "it rests");
        tymist.set(until).unwrap();
        server.service();
        assert_eq!(watched.accepts(), 2);
        assert_eq!(server.counters().accept_pauses, 2, "still exhausted: a rest again");
        server.clear_events();
        tymist.set(until + rest + NANO).unwrap();
        assert_eq!(server.wake(), Wake::At(until + rest));
        server.service();
        assert_eq!(server.len(), 1);
        assert_eq!(server.acceptor(acceptor).unwrap().resting_until(), None);
    }
}

#[test]
fn regression_an_acceptor_that_rests_at_the_end_of_all_time_does_not_spin() {
    let watched = Watched::default();
    let (mut server, mut tymist) = (Server::with_net(Config::new(), watched.net()), Tymist::new());
    tymist.set(Tyme::NEVER).unwrap();
    server.wind(tymist.tymth());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    watched.errors.lock().unwrap().extend([24; 99]); // EMFILE
    let _client = connect(server.local_addr(acceptor).unwrap().inet().unwrap());
    for _ in 0..ROUNDS {
        server.wait(Some(Duration::from_millis(5)));
        server.service();
        if server.poll_event().is_some() {
            break;
        }
    }
    assert_eq!(server.acceptor(acceptor).unwrap().resting_until(), Some(Tyme::NEVER));
    server.service();
    assert_eq!((server.wake(), server.poll_event()), (Wake::OnIo, None));
}

#[test]
fn min_rate() {
    for moved in [9, 10, 11] {
        let mut rig =
            rig(|timeouts| timeouts.min_rate = Some(MinRate { bytes: 10, window: SECOND }));
        let (mut client, id) = rig.client();
        // Both directions together.
        rig.server.tx(id, &pattern(4)).unwrap();
        send(&mut client, &pattern(moved - 4));
        rig.until_unread(id, moved - 4);
        assert_eq!(closed(&rig.tick_at(Tyme::from_nanos(999_999_999))), None);
        assert_eq!(rig.server.wake(), Wake::At(Tyme::from_secs(1)));
        let reason = closed(&rig.tick_at(Tyme::from_secs(1)));
        assert_eq!(reason, (moved < 10).then_some(CloseReason::TooSlow), "{moved} bytes");
        assert_eq!(rig.server.counters().closed.too_slow, u64::from(moved < 10));
        if moved >= 10 {
            // The next window begins at zero.
            send(&mut client, &pattern(9));
            rig.until_unread(id, moved - 4 + 9);
            assert_eq!(rig.server.wake(), Wake::At(Tyme::from_secs(2)));
            let events = rig.tick_at(Tyme::from_secs(2));
            assert_eq!(events, [Event::Closed(id, CloseReason::TooSlow)]);
        }
    }
}

#[test]
fn the_byte_that_reaches_the_minimum_in_the_last_tick_counts() {
    let mut rig = rig(|timeouts| timeouts.min_rate = Some(MinRate { bytes: 1, window: SECOND }));
    let (mut client, id) = rig.client();
    send(&mut client, b"!");
    assert_eq!(rig.tick_at(Tyme::from_secs(1)), [Event::Received(id)]);
}

#[test]
fn zero_and_none_mean_never() {
    let zero = Some(Duration::ZERO);
    // Windows of no bytes at all ended nobody, and woke the loop for each.
    let (no_window, no_bytes) = ((1, Duration::ZERO), (0, Duration::from_secs(1)));
    let rates = [no_window, no_bytes].map(|(bytes, window)| Some(MinRate { bytes, window }));
    for (value, rate) in [(None, None), (zero, rates[0]), (zero, rates[1])] {
        let mut rig = rig(|timeouts| {
            timeouts.handshake = value;
            timeouts.first_byte = value;
            timeouts.idle = value;
            timeouts.lifetime = value;
            timeouts.write_stall = value;
            timeouts.drain = value;
            timeouts.min_rate = rate;
        });
        let _client = rig.client();
        let _stalled = stalled(&mut rig);
        let addr = listen_scripted(&mut rig, &[Step::Byte]);
        let _shaking = connect(addr);
        rig.until_server(|server| server.cxes() == 1);
        for _ in 0..5 {
            rig.tick();
        }
        assert_eq!(rig.server.timers(), 0);
        never_ends(&mut rig);
        assert_eq!(rig.server.cxes(), 1);
    }
}

#[test]
fn a_timeout_beyond_all_time_is_never_too() {
    let mut rig = rig(|timeouts| timeouts.idle = Some(Duration::MAX));
    let (_client, _) = rig.client();
    never_ends(&mut rig);
}

/// A linger beyond all time was taken for none: the peer's end was not waited for.
#[test]
fn regression_a_close_with_a_linger_beyond_all_time_waits_for_the_peers_end() {
    let mut rig = rig(|timeouts| timeouts.linger = Some(Duration::MAX));
    let (client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().close();
    rig.tick();
    never_ends(&mut rig);
    // A shorter one that is given meanwhile counts.
    let mut timeouts = never();
    timeouts.linger = Some(SECOND);
    rig.server.remoter_mut(id).unwrap().set_timeouts(timeouts);
    rig.tick();
    rig.tick_after(SECOND - NANO);
    assert_eq!(rig.server.len(), 1);
    let events = rig.tick_after(NANO);
    assert_eq!(closed(&events), Some(CloseReason::Expired(Deadline::Linger)), "{events:?}");
    drop(client);
}

/// The server wanted to be called again at once, for ever.
#[test]
fn regression_a_user_with_time_beyond_all_time_is_waited_for_asleep() {
    let mut rig = rig(|timeouts| timeouts.linger = Some(Duration::MAX));
    let (mut client, id) = rig.client();
    send(&mut client, b"!");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.tick();
    assert_eq!(rig.server.remoter_mut(id).unwrap().rx(), b"!");
    never_ends(&mut rig);
}

#[test]
fn of_several_the_earliest_counts() {
    let mut rig = rig(|timeouts| {
        timeouts.idle = Some(2 * SECOND);
        timeouts.first_byte = Some(SECOND);
        timeouts.lifetime = Some(3 * SECOND);
    });
    let (mut client, id) = rig.client();
    send(&mut client, b"!");
    assert_eq!(rig.tick_at(Tyme::from_nanos(900_000_000)), [Event::Received(id)]);
    assert_eq!(rig.tick_at(Tyme::from_secs(1)), []);
    ends_at(&mut rig, id, Tyme::from_nanos(2_900_000_000), Deadline::Idle);
}

/// Under load a connection could expire with its bytes at the door.
#[test]
fn who_has_spoken_but_not_had_its_turn_is_not_silent() {
    let mut rig = Rig::with(|config| {
        config.timeouts = never();
        config.timeouts.idle = Some(SECOND);
        config.timeouts.first_byte = Some(SECOND);
        config.limits.tick_bytes = 100;
        config.limits.remoter_tick_bytes = 100;
    });
    let (mut loud, loud_id) = rig.client();
    let (mut quiet, quiet_id) = rig.client();
    send(&mut loud, &pattern(350));
    rig.until_unread(loud_id, 100);
    send(&mut quiet, b"!");
    // The loud one is first in line and takes all that a tick can read.
    let mut events = rig.tick_at(Tyme::from_secs(1));
    assert_eq!(rig.server.remoter(loud_id).unwrap().rx().len(), 200);
    assert_eq!(rig.server.remoter(quiet_id).unwrap().rx(), b"", "or this shows nothing");
    assert_eq!(closed(&events), None);
    events.clear();
    for _ in 0..3 {
        events.extend(rig.tick_after(NANO));
    }
    assert!(events.contains(&Event::Received(quiet_id)) && closed(&events).is_none(), "{events:?}");
    rig.tick_at(Tyme::from_nanos(1_900_000_000));
    assert_eq!(rig.server.len(), 2);
}

#[test]
fn timeouts_of_its_own_at_run_time() {
    let mut rig = rig(|timeouts| timeouts.idle = Some(100 * SECOND));
    let (mut client, id) = rig.client();
    rig.tick_at(Tyme::from_secs(10));
    let mut own = never();
    own.idle = Some(SECOND);
    own.lifetime = Some(30 * SECOND);
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.timeouts(), None);
    remoter.set_timeouts(own.clone());
    assert_eq!(remoter.timeouts(), Some(&own));
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.tick_now();
    assert_eq!(rig.server.wake(), Wake::At(Tyme::from_secs(11)));
    send(&mut client, b"!");
    rig.tick_at(Tyme::from_secs(11));
    ends_at(&mut rig, id, Tyme::from_secs(12), Deadline::Idle);

    // The lifetime runs from the start of the connection on, and may be over at once.
    let (_client, id) = rig.client();
    rig.tick_at(Tyme::from_secs(15));
    own.idle = None;
    rig.server.remoter_mut(id).unwrap().set_timeouts(own.clone());
    rig.tick_now();
    ends_at(&mut rig, id, Tyme::from_secs(12 + 30), Deadline::Lifetime);
    let (_client, id) = rig.client();
    rig.tick_at(Tyme::from_secs(100));
    rig.server.remoter_mut(id).unwrap().set_timeouts(own);
    let lifetime = CloseReason::Expired(Deadline::Lifetime);
    assert_eq!(closed(&rig.tick_now()), Some(lifetime));
}

#[test]
fn timeouts_can_be_taken_away_and_a_first_byte_asked_for_once_only() {
    let mut rig = rig(|timeouts| {
        timeouts.idle = Some(SECOND);
        timeouts.lifetime = Some(SECOND);
        timeouts.first_byte = Some(SECOND);
        timeouts.min_rate = Some(MinRate { bytes: 1, window: SECOND });
    });
    let (mut client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().set_timeouts(never());
    rig.tick_now();
    never_ends(&mut rig);
    send(&mut client, b"!");
    rig.until_unread(id, 1);
    let mut own = never();
    own.first_byte = Some(SECOND);
    rig.server.remoter_mut(id).unwrap().set_timeouts(own);
    rig.tick_now();
    assert_eq!(rig.server.wake(), Wake::OnIo, "that byte has come long ago");
}

/// A closed connection has no deadlines; changing its timeouts, or the clock, once gave it some.
#[test]
fn a_closed_connection_never_expires() {
    let mut rig = rig(|timeouts| timeouts.idle = Some(SECOND));
    let (_client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().abort();
    rig.server.service();
    let mut own = never();
    own.idle = Some(SECOND);
    rig.server.remoter_mut(id).unwrap().set_timeouts(own);
    rig.server.service();
    assert_eq!(rig.server.timers(), 0);
    rig.tymist = Tymist::new();
    rig.server.wind(rig.tymist.tymth());
    assert_eq!(rig.server.timers(), 0);
    let events = rig.tick_at(Tyme::from_secs(9));
    assert_eq!(events.last(), Some(&Event::Closed(id, CloseReason::Aborted)), "{events:?}");
}

#[test]
fn settings_changed_at_run_time_count_from_the_next_traffic_on() {
    let mut rig = rig(|timeouts| timeouts.idle = Some(100 * SECOND));
    let (mut client, id) = rig.client();
    rig.server.config_mut().timeouts.idle = Some(SECOND);
    rig.tick_at(Tyme::from_secs(50));
    send(&mut client, b"!");
    rig.tick_at(Tyme::from_secs(60));
    // Shorter than what the wheel was armed for: it must be armed anew.
    ends_at(&mut rig, id, Tyme::from_secs(61), Deadline::Idle);

    let (mut client, _) = rig.client();
    rig.server.config_mut().timeouts.idle = None;
    send(&mut client, b"!");
    rig.tick_now();
    rig.tick_after(1000 * SECOND);
    assert_eq!(rig.server.len(), 1, "not what it was before the setting was changed");

    // What a connection has none of, traffic does not begin.
    rig.server.config_mut().timeouts.idle = Some(SECOND);
    send(&mut client, b"!");
    rig.tick_now();
    rig.tick_after(1000 * SECOND);
    assert_eq!(rig.server.len(), 1, "as it is documented");
    let id = rig.server.ixes()[0];
    let timeouts = rig.server.config().timeouts.clone();
    rig.server.remoter_mut(id).unwrap().set_timeouts(timeouts);
    rig.tick_now();
    let now = rig.tymist.tyme();
    ends_at(&mut rig, id, now + SECOND, Deadline::Idle);
}

/// Winds to a clock that stands at `start` and looks what became of all that ran.
fn rewound_to(start: Tyme) {
    let mut rig = rig(|timeouts| {
        timeouts.handshake = Some(3 * SECOND);
        timeouts.idle = Some(4 * SECOND);
        timeouts.linger = Some(5 * SECOND);
        timeouts.drain = Some(6 * SECOND);
    });
    rig.tick_at(Tyme::from_secs(1000));
    let addr = listen_scripted(&mut rig, &[Step::Byte]);
    let (_idle, idle) = rig.client();
    let (_lingers, lingers) = rig.client();
    let _shaking = connect(addr);
    rig.until_server(|server| server.cxes() == 1);
    rig.server.remoter_mut(lingers).unwrap().close();
    rig.server.drain(None);
    rig.tick_now();
    rig.tick_after(2 * SECOND);

    rig.tymist = Tymist::starting_at(start);
    rig.server.wind(rig.tymist.tymth());
    assert_eq!(rig.server.tyme(), start);
    assert_eq!(rig.server.remoter(idle).unwrap().opened_at(), start);
    assert_eq!(rig.server.timers(), 3);
    assert_eq!(rig.server.wake(), Wake::At(start + 3 * SECOND));
    assert_eq!(rig.server.draining().unwrap().deadline, start + 6 * SECOND);
    assert_eq!(rig.tick_at(start + (3 * SECOND - NANO)), []);
    let failed = rig.tick_at(start + 3 * SECOND);
    assert!(matches!(failed[0], Event::HandshakeFailed { .. }), "{failed:?}");
    assert_eq!(closed(&rig.tick_at(start + (4 * SECOND - NANO))), None);
    let events = rig.tick_at(start + 4 * SECOND);
    assert_eq!(events[0], Event::Expired(idle, Deadline::Idle));
    assert_eq!(closed(&rig.tick_at(start + (5 * SECOND - NANO))), None);
    let events = rig.tick_at(start + 5 * SECOND);
    assert_eq!(events[0], Event::Expired(lingers, Deadline::Linger));
    assert_eq!(events.last(), Some(&Event::DrainEnded { cut: 0 }));
    assert_eq!(rig.server.timers(), 0);
}

#[test]
fn winding_to_another_clock_starts_anew_all_that_runs() {
    rewound_to(Tyme::ZERO);
    rewound_to(Tyme::from_secs(1));
    rewound_to(Tyme::from_secs(1_000_000));
}

#[test]
fn winding_ends_the_rest_of_an_acceptor_and_begins_a_new_window() {
    let watched = Watched::default();
    let mut config = Config::new();
    config.timeouts = never();
    config.timeouts.min_rate = Some(MinRate { bytes: 2, window: SECOND });
    let mut server = Server::with_net(config, watched.net());
    let mut tymist = Tymist::starting_at(Tyme::from_secs(500));
    server.wind(tymist.tymth());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    let mut client = connect(addr);
    let drive = |server: &mut Server, done: &dyn Fn(&Server) -> bool| {
        for _ in 0..ROUNDS {
            if done(server) {
                return;
            }
            server.wait(Some(Duration::from_millis(5)));
            server.service();
            server.clear_events();
        }
        panic!("it did not get there");
    };
    drive(&mut server, &|server| server.len() == 1);
    send(&mut client, b"12");
    drive(&mut server, &|server| server.counters().bytes_in == 2);
    watched.errors.lock().unwrap().push_back(if cfg!(unix) { 24 } else { 10024 });
    let _second = connect(addr);
    drive(&mut server, &|server| server.counters().accept_pauses == 1);
    assert_eq!(server.len(), 1);

    tymist = Tymist::new();
    server.wind(tymist.tymth());
    assert_eq!(server.wake(), Wake::Now, "the rest is over");
    server.service();
    assert_eq!(server.len(), 2);
    server.clear_events();
    assert_eq!(server.wake(), Wake::At(Tyme::from_secs(1)));
    tymist.set(Tyme::from_secs(1)).unwrap();
    server.service();
    assert_eq!(
        server.counters().closed.too_slow,
        2,
        "what moved before the new clock is not of its window"
    );
}

#[test]
fn an_unwound_server_goes_by_real_time() {
    let mut config = Config::new();
    config.timeouts.idle = Some(Duration::from_millis(1));
    let mut server = Server::new(config);
    assert!(!server.is_wound());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let _client = connect(server.local_addr(acceptor).unwrap().inet().unwrap());
    for _ in 0..ROUNDS {
        server.wait(None);
        server.service();
        server.clear_events();
        if server.counters().closed.expired.idle == 1 {
            return;
        }
    }
    panic!("it never expired");
}

/// A rate not reached and a deadline in the same tick once told the one and closed for the other.
#[test]
fn who_is_too_slow_does_not_expire_as_well() {
    let mut rig = Rig::with(|config| {
        config.timeouts.min_rate = Some(MinRate { bytes: 1, window: Duration::from_secs(1) });
        config.timeouts.first_byte = Some(Duration::from_secs(2));
    });
    let (_client, id) = rig.client();
    let events = rig.tick_after(Duration::from_secs(5));
    assert_eq!(events, [Event::Closed(id, CloseReason::TooSlow)]);
}
