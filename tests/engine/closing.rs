//! How connections and servers end: nothing that was queued is lost on a graceful way, everybody knows why, and what is over is over.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the clients are plain blocking sockets")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use crate::util::script::{Peer, Read as Reads, Script, Write as Writes};
use crate::util::{Rig, connect, end, pattern, receive, reset, send};
use tymist::{CloseReason, Config, Deadline, Event, Id, Remoter, TxError, Wake};

const SECOND: Duration = Duration::from_secs(1);
const ECONNRESET: i32 = 104;

/// What happened to this connection, in order.
fn events_of(rig: &Rig, id: Id) -> Vec<Event> {
    rig.log.iter().filter(|event| event.id() == Some(id)).cloned().collect()
}

/// Why it closed; ticks until it has, if it has not yet.
#[track_caller]
fn reason_of(rig: &mut Rig, id: Id) -> CloseReason {
    let told = rig.log.iter().find_map(|event| match event {
        Event::Closed(closed, reason) if *closed == id => Some(*reason),
        _ => None,
    });
    told.unwrap_or_else(|| rig.until_closed(id))
}

/// Queues all of `data`, however much that is.
fn queue(rig: &mut Rig, id: Id, data: &[u8]) {
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.set_tx_limit(data.len() + remoter.tx_len());
    assert_eq!(remoter.tx(data), Ok(data.len()));
}

#[test]
fn close_sends_all_that_is_queued_then_the_end_and_then_lingers() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let data = pattern(12 << 20);
    queue(&mut rig, id, &data);
    rig.server.remoter_mut(id).unwrap().close();
    let remoter = rig.server.remoter(id).unwrap();
    assert!(remoter.is_closing() && !remoter.may_send() && !remoter.may_receive());
    assert_eq!(remoter.close_reason(), Some(CloseReason::Local));
    for _ in 0..20 {
        rig.tick();
    }
    assert!(rig.server.remoter(id).unwrap().tx_len() > 0, "more than the kernel takes");
    assert!(rig.read_to_end(&mut client).unwrap() == data);
    for _ in 0..20 {
        rig.tick();
    }
    assert_eq!((rig.server.len(), rig.server.buffered()), (1, 0), "it waits for the peer's end");
    drop(client);
    assert_eq!(reason_of(&mut rig, id), CloseReason::Local);
    assert_eq!(events_of(&rig, id), [Event::Accepted(id), Event::Closed(id, CloseReason::Local)]);
}

/// Closing a socket with unread bytes in it resets the connection, and that destroys what is still on its way.
#[test]
fn close_does_not_destroy_a_reply_although_the_peer_goes_on_sending() {
    let mut rig = Rig::with(|config| config.limits.rx_bytes = 1000);
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(100_000));
    rig.until_unread(id, 1000);
    let data = pattern(1 << 20);
    queue(&mut rig, id, &data);
    rig.server.remoter_mut(id).unwrap().close();
    rig.tick();
    send(&mut client, &pattern(100_000));
    assert!(rig.read_to_end(&mut client).unwrap() == data);
    send(&mut client, b"and some more");
    assert_eq!(rig.server.remoter(id).unwrap().rx().len(), 1000, "what came before stays readable");
    end(&client);
    assert_eq!(reason_of(&mut rig, id), CloseReason::Local);
    assert_eq!(rig.server.counters().bytes_in, 200_013, "all of it was read, and thrown away");
}

#[test]
fn abort_resets_and_throws_away_what_is_queued() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"unread");
    rig.until_unread(id, 6);
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.tx(b"never sent").unwrap();
    remoter.abort();
    assert_eq!(
        client.read(&mut [0; 16]).unwrap_err().kind(),
        ErrorKind::ConnectionReset,
        "at once"
    );
    assert_eq!(rig.tick_now(), [Event::Closed(id, CloseReason::Aborted)]);
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"unread");
    rig.tick_now();
    assert_eq!((rig.server.buffered(), rig.server.counters().closed.aborted), (0, 1));
}

#[test]
fn closing_twice_or_both_ways_is_closing_once() {
    let mut rig = Rig::new(Config::new());
    let (client, id) = rig.client();
    for _ in 0..3 {
        rig.server.remoter_mut(id).unwrap().close();
        rig.tick();
    }
    drop(client);
    assert_eq!(reason_of(&mut rig, id), CloseReason::Local);
    assert_eq!(rig.server.counters().closed.total(), 1);

    let (_client, id) = rig.client();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.close();
    remoter.abort();
    remoter.close();
    remoter.abort();
    assert_eq!(reason_of(&mut rig, id), CloseReason::Aborted);
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.close();
    remoter.abort();
    remoter.shutdown_send();
    remoter.set_wire_log(None);
    assert_eq!(remoter.close_reason(), Some(CloseReason::Aborted));
    for _ in 0..5 {
        assert_eq!(rig.tick_now(), []);
    }
    assert_eq!(rig.server.counters().closed.total(), 2);
}

#[test]
fn our_half_first() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.tx(b"last words").unwrap();
    remoter.shutdown_send();
    remoter.shutdown_send();
    assert!(!remoter.may_send() && remoter.may_receive() && !remoter.is_closing());
    assert_eq!(remoter.tx(b"x"), Err(TxError::SendShut));
    assert_eq!(rig.read_to_end(&mut client).unwrap(), b"last words");
    client.set_nonblocking(false).unwrap();
    send(&mut client, b"still talking");
    rig.until_unread(id, 13);
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    assert_eq!(rig.server.len(), 1, "there is something unread");
    rig.server.remoter_mut(id).unwrap().take();
    assert_eq!(reason_of(&mut rig, id), CloseReason::Eof);
}

#[test]
fn the_peers_half_first() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"question");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert!(remoter.is_eof() && !remoter.may_receive() && remoter.may_send());
    assert_eq!(remoter.take(), &b"question"[..]);
    remoter.tx(b"answer").unwrap();
    remoter.shutdown_send();
    assert_eq!(rig.read_to_end(&mut client).unwrap(), b"answer");
    assert_eq!(reason_of(&mut rig, id), CloseReason::Eof);
    let expected = [
        Event::Accepted(id),
        Event::Received(id),
        Event::Eof(id),
        Event::Closed(id, CloseReason::Eof),
    ];
    assert_eq!(events_of(&rig, id), expected);
}

/// `Drained` once came after `Closed` here.
#[test]
fn a_big_reply_to_a_peer_that_has_ended_its_half_goes_out_whole() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let data = pattern(16 << 20);
    queue(&mut rig, id, &data);
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    for _ in 0..20 {
        rig.tick();
    }
    assert!(rig.server.remoter(id).unwrap().tx_len() > 0, "more than the kernel takes");
    assert!(rig.read_to_end(&mut client).unwrap() == data);
    assert_eq!(reason_of(&mut rig, id), CloseReason::Eof);
    assert_eq!(events_of(&rig, id).last(), Some(&Event::Closed(id, CloseReason::Eof)));
    for _ in 0..5 {
        assert_eq!(rig.tick(), [], "nothing comes after Closed");
    }
}

/// The same where the last bytes and a reset come in one turn.
#[test]
fn nothing_is_told_of_a_connection_after_closed() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    queue(&mut rig, id, &pattern(16 << 20));
    for _ in 0..20 {
        rig.tick();
    }
    let left = rig.server.remoter(id).unwrap().tx_len();
    let mut got = vec![0; 1 << 20];
    while rig.server.remoter(id).unwrap().tx_len() == left {
        let _ = client.read(&mut got).unwrap();
        rig.tick();
    }
    reset(client);
    rig.until_closed(id);
    for _ in 0..5 {
        assert_eq!(rig.tick(), []);
    }
}

#[test]
fn shutdown_receive_throws_away_what_still_comes() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"kept");
    rig.until_unread(id, 4);
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.shutdown_receive();
    assert!(!remoter.may_receive() && remoter.can_receive() && remoter.may_send());
    send(&mut client, &pattern(1000));
    rig.until_server(|server| server.counters().bytes_in == 1004);
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"kept");
    assert_eq!(rig.server.buffered(), 4);
    rig.server.tx(id, b"heard nothing").unwrap();
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 13), b"heard nothing");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.server.remoter_mut(id).unwrap().take();
    assert_eq!(reason_of(&mut rig, id), CloseReason::Eof);
    let received = events_of(&rig, id).iter().filter(|it| **it == Event::Received(id)).count();
    assert_eq!(received, 1);
}

#[test]
fn a_closed_remoter_can_be_looked_at_until_the_tick_after_its_closed_was_taken() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"more");
    rig.until_unread(id, 4);
    let ours = rig.server.remoter(id).unwrap().local_addr().clone();
    let peer = client.local_addr().unwrap().into();
    rig.server.remoter_mut(id).unwrap().set_data(7_u32);
    rig.server.remoter_mut(id).unwrap().abort();
    for _ in 0..5 {
        rig.server.service();
    }
    assert_eq!((rig.server.at(&peer), rig.server.len(), rig.server.ixes()), (None, 0, vec![]));
    let mut last = None;
    while let Some(event) = rig.server.poll_event() {
        last = Some(event);
    }
    assert_eq!(last, Some(Event::Closed(id, CloseReason::Aborted)));
    // It has nothing to wait for, so that this sends and sleeps; it is no tick.
    rig.server.wait(Some(Duration::from_millis(1)));
    let remoter = rig.server.remoter_mut(id).expect("wait() does not forget it");
    assert_eq!((remoter.rx(), remoter.counters().bytes_in), (&b"more"[..], 4));
    assert_eq!((remoter.data::<u32>(), remoter.data::<u64>()), (Some(&7), None));
    assert_eq!((remoter.local_addr(), remoter.peer_addr()), (&ours, &peer));
    assert_eq!(remoter.tx(b"x"), Err(TxError::Closed));
    assert!(remoter.buffer_sizes().is_err());
    assert_eq!(remoter.consume(1), 1);
    assert_eq!(rig.server.buffered(), 3);
    rig.server.service();
    assert!(rig.server.remoter(id).is_none());
    assert_eq!(rig.server.buffered(), 0);
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Gone));
    assert!(rig.server.service_receives_of(id).is_err());
    assert!(rig.server.service_receive_once(id).is_err());
    assert!(rig.server.service_sends_of(id).is_err());
}

/// A parser that takes all and puts back what is no whole message lost that to a connection that had closed meanwhile.
#[test]
fn regression_what_is_put_back_after_the_close_is_unread_until_it_is_forgotten() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(1, [Reads::Bytes(pattern(10)), Reads::Fails(ECONNRESET)]);
    let id = script.admits(&peer);
    assert_eq!(script.tick(), [Event::Received(id), Event::Closed(id, CloseReason::Reset)]);
    let remoter = script.server.remoter_mut(id).unwrap();
    let mut taken = remoter.take();
    remoter.unread(taken.split_off(4));
    assert_eq!(remoter.rx(), &pattern(10)[4..]);
    assert_eq!(script.server.buffered(), 6);
    script.tick();
    assert!(script.server.remoter(id).is_none());
    assert_eq!(script.server.buffered(), 0);
}

#[test]
fn a_drain_lets_connections_finish_and_tells_how_far_it_is() {
    let mut rig = Rig::new(Config::new());
    let (mut first, first_id) = rig.client();
    let (second, _) = rig.client();
    let waiting = connect(rig.addr); // In the backlog: it was there in time.
    rig.server.drain(Some(10 * SECOND));
    assert!(!rig.server.opened());
    assert!(TcpStream::connect(rig.addr).is_err(), "too late");
    assert_eq!(rig.server.draining().unwrap().left, 3);
    rig.until(|event| *event == Event::Draining { left: 3 });
    send(&mut first, b"?");
    rig.until_unread(first_id, 1);
    rig.server.tx(first_id, b"served as before").unwrap();
    rig.server.remoter_mut(first_id).unwrap().close();
    assert_eq!(rig.read_to_end(&mut first).unwrap(), b"served as before");
    drop(first);
    rig.until(|event| *event == Event::Draining { left: 2 });
    drop(waiting);
    rig.until(|event| *event == Event::Draining { left: 1 });
    drop(second);
    rig.until(|event| *event == Event::DrainEnded { cut: 0 });
    assert!(rig.server.draining().is_none());
    assert_eq!(rig.server.counters().closed.expired.drain, 0);
    let told: Vec<_> =
        rig.log.iter().filter(|event| matches!(event, Event::Draining { .. })).collect();
    assert_eq!(told.len(), 3, "told when it changes: {told:?}");

    rig.server.reopen().unwrap();
    assert_eq!(rig.server.local_addr(rig.acceptor).unwrap().inet(), Some(rig.addr));
    rig.client();
}

#[test]
fn a_drain_cuts_those_left_at_its_deadline() {
    let mut rig = Rig::new(Config::new());
    let (mut stubborn, id) = rig.client();
    queue(&mut rig, id, &pattern(16 << 20));
    rig.server.drain(Some(10 * SECOND));
    for _ in 0..20 {
        rig.tick();
    }
    // A second call changes the deadline.
    rig.server.drain(Some(SECOND));
    rig.tick();
    let events = rig.tick_after(SECOND);
    let reason = CloseReason::Expired(Deadline::Drain);
    assert_eq!(events, [Event::Closed(id, reason), Event::DrainEnded { cut: 1 }]);
    assert_eq!(rig.read_to_end(&mut stubborn).unwrap_err().kind(), ErrorKind::ConnectionReset);
    rig.tick();
    assert_eq!((rig.server.buffered(), rig.server.timers(), rig.server.wake()), (0, 0, Wake::OnIo));
}

/// What fits into the system's send buffer need not wait until a slow peer has read the most of it.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_peer_that_does_not_read_holds_up_no_close() {
    for (queued, closes_first) in [(400 << 10, true), (900 << 10, true), (900 << 10, false)] {
        let mut rig = Rig::new(Config::new());
        let (mut client, id) = rig.client();
        let data = pattern(queued);
        queue(&mut rig, id, &data);
        if !closes_first {
            let mut ticks = 0..50;
            rig.until_server(|_| ticks.next().is_none());
            assert!(rig.server.remoter(id).unwrap().tx_len() > 0, "or this shows nothing");
        }
        rig.server.remoter_mut(id).unwrap().close();
        rig.until_server(|server| server.remoter(id).is_none_or(|remoter| remoter.tx_len() == 0));
        assert_eq!(rig.read_to_end(&mut client).unwrap(), data);
    }
}

/// The edge of what is handed over whole, whether the network was full before the end was asked for or is found full after that; and what is behind
/// it is a reset, with which all that the system holds is lost.
#[test]
fn only_the_last_mebibyte_is_handed_over_whole_and_only_before_an_end() {
    let most = 1 << 20;
    type End = fn(&mut Remoter);
    let ends: [(End, bool); 3] = [
        (Remoter::close, true),
        (Remoter::abort_once_sent, false),
        (Remoter::shutdown_send, false),
    ];
    for ((end, lifts), full_before) in ends.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        for (queued, fits) in [(most, true), (most + 1, false)] {
            let mut script = Script::new(Config::new());
            let peer = Peer::new(1, []).writing([Writes::Never]);
            let id = script.admits(&peer);
            script.tick();
            let remoter = script.server.remoter_mut(id).unwrap();
            remoter.set_tx_limit(queued);
            remoter.tx(&vec![7; queued]).unwrap();
            if full_before {
                script.tick();
            }
            end(script.server.remoter_mut(id).unwrap());
            script.ticks(3);
            assert_eq!(peer.far().lifts > 0, lifts && fits, "{queued} bytes, {full_before}");
        }
    }
}

#[test]
fn a_drain_of_nobody_is_over_at_once() {
    let mut rig = Rig::new(Config::new());
    rig.server.drain(None);
    assert_eq!(rig.tick_now(), [Event::DrainEnded { cut: 0 }]);
    assert!(!rig.server.opened());
}

#[test]
fn a_closed_server_is_quiet_and_can_be_opened_again() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    rig.server.tx(id, b"bye").unwrap();
    rig.server.close();
    rig.server.close();
    assert!(!rig.server.opened() && rig.server.is_empty());
    assert_eq!(rig.read_to_end(&mut client).unwrap(), b"bye", "what was queued got one try");
    assert!(TcpStream::connect(rig.addr).is_err());
    rig.server.service();
    rig.tick();
    assert_eq!(events_of(&rig, id).last(), Some(&Event::Closed(id, CloseReason::ServerClosed)));
    assert_eq!(rig.server.counters().closed.server_closed, 1);
    for _ in 0..3 {
        assert_eq!(rig.tick(), []);
    }
    assert_eq!(rig.server.acceptor(rig.acceptor).unwrap().buffer_sizes().unwrap().recv, 0);

    rig.server.reopen().unwrap();
    rig.server.reopen().unwrap();
    let (mut client, id) = rig.client();
    assert_eq!(client.peer_addr().unwrap(), rig.addr, "the same port");
    send(&mut client, b"again");
    rig.until_unread(id, 5);
}

/// What was left of an earlier tick's budget, and whoever was not touched since, once got no try.
#[test]
fn closing_the_server_gives_everybody_one_try() {
    let mut rig = Rig::with(|config| config.limits.remoter_tick_bytes = 100);
    let (mut client, id) = rig.client();
    rig.server.tx(id, &pattern(150)).unwrap();
    rig.server.service();
    assert_eq!(rig.server.remoter(id).unwrap().tx_len(), 50);
    rig.server.close();
    assert_eq!(receive(&mut client, 150), pattern(150));
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "a clean end");
}

#[test]
fn what_waits_in_the_deque_goes_with_the_listener() {
    let mut rig = Rig::with(|config| config.limits.remoters = 1);
    rig.server.config_mut().over_limit = tymist::OverLimit::Wait;
    let _first = rig.client();
    let mut second = connect(rig.addr);
    rig.until_server(|server| server.axes() == 1);
    assert!(rig.server.unlisten(rig.acceptor));
    assert!(!rig.server.unlisten(rig.acceptor));
    assert_eq!((rig.server.axes(), rig.server.len()), (0, 1));
    assert!(!matches!(second.read(&mut [0]), Ok(1..)));
    for _ in 0..3 {
        assert_eq!(rig.tick(), []);
    }
}

#[test]
fn a_peer_that_resets_while_we_linger_ends_it() {
    let mut rig = Rig::new(Config::new());
    let (client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().close();
    for _ in 0..3 {
        rig.tick();
    }
    assert_eq!(rig.server.len(), 1);
    reset(client);
    assert_eq!(reason_of(&mut rig, id), CloseReason::Reset);
}

#[test]
fn every_reason_is_counted_and_clean_ones_are_few() {
    let mut rig = Rig::new(Config::new());
    let mut expected = *rig.server.counters();
    for round in 0..4 {
        let (client, id) = rig.client();
        match round {
            0 => drop(client),
            1 => {
                rig.server.remoter_mut(id).unwrap().close();
                drop(client);
            }
            2 => reset(client),
            _ => rig.server.remoter_mut(id).unwrap().abort(),
        }
        let reason = rig.until_closed(id);
        assert_eq!(reason.is_clean(), round < 2, "{reason}");
        assert!(!reason.to_string().is_empty());
    }
    let closed = rig.server.counters().closed;
    expected.closed.eof = 1;
    expected.closed.local = 1;
    expected.closed.reset = 1;
    expected.closed.aborted = 1;
    assert_eq!(closed, expected.closed);
    assert_eq!(closed.total(), 4);
}

/// After the peer's end every read says just that, so nothing told of the reset that followed.
#[test]
fn a_peer_that_resets_after_its_end_is_noticed() {
    let mut rig = Rig::with(|config| config.half_open = true);
    let (client, id) = rig.client();
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    for _ in 0..5 {
        assert_eq!(rig.tick(), []);
    }
    reset(client);
    assert_eq!(rig.until_closed(id), CloseReason::Reset);
}

#[test]
fn both_ends_in_either_order_are_no_reset() {
    let mut rig = Rig::with(|config| config.half_open = true);
    let (mut client, id) = rig.client();
    send(&mut client, b"untaken");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    assert_eq!(rig.read_to_end(&mut client).unwrap(), b"");
    drop(client);
    for _ in 0..10 {
        assert_eq!(rig.tick(), []);
    }
    rig.server.remoter_mut(id).unwrap().take();
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
}

/// The system tells a reset once; where a write heard it, the read after it says 0. That once was told as the peer's end.
#[test]
fn a_reset_that_a_write_hears_is_no_end() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"half a messa");
    rig.until_unread(id, 12);
    reset(client);
    rig.server.remoter_mut(id).unwrap().tx(b"answer").unwrap();
    rig.server.service_sends();
    assert_eq!(reason_of(&mut rig, id), CloseReason::Reset);
    let events = events_of(&rig, id);
    assert!(!events.contains(&Event::Eof(id)), "{events:?}");
}

#[test]
fn who_is_owed_bytes_by_a_dropped_server_sees_a_reset_and_no_clean_end() {
    for owed in [true, false] {
        let mut rig = Rig::new(Config::new());
        let (mut client, id) = rig.client();
        let text: &[u8] = if owed { b"half of this is" } else { b"" };
        rig.server.remoter_mut(id).unwrap().tx(text).unwrap();
        drop(rig);
        let mut end = [0; 1];
        match client.read(&mut end) {
            Ok(count) => assert!(!owed && count == 0, "{count} bytes, owed: {owed}"),
            Err(error) => assert!(owed && error.kind() == ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// The deadlines that wait for the user and for the peer's first word ran on through a close, and cut what it was still sending.
#[test]
fn a_close_after_the_peers_end_sends_all_however_long_that_takes() {
    let mut script = Script::with(|config| config.timeouts.linger = Some(5 * SECOND));
    let slowly = [Writes::Takes(10), Writes::Blocks, Writes::Takes(10), Writes::Blocks];
    let peer = Peer::new(1, [Reads::End]).writing(slowly);
    let id = script.admits(&peer);
    assert_eq!(script.tick(), [Event::Eof(id)]);
    assert_eq!(script.server.tx(id, &pattern(100)), Ok(100));
    assert_eq!(script.tick(), []);
    script.server.remoter_mut(id).unwrap().close();
    assert_eq!(script.tick_after(5 * SECOND), []);
    peer.report(false, true);
    assert_eq!(script.tick_after(20 * SECOND), [], "only a stall may end it");
    peer.report(false, true);
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Local)]);
    assert!(peer.far().written == pattern(100) && !peer.far().abortive);
}

#[test]
fn a_close_without_a_first_byte_of_the_peer_sends_all_however_long_that_takes() {
    let mut script = Script::with(|config| config.timeouts.first_byte = Some(SECOND));
    let peer = Peer::new(1, []).writing([Writes::Takes(10), Writes::Blocks]);
    let id = script.admits(&peer);
    script.tick();
    let remoter = script.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.tx(&pattern(100)), Ok(100));
    remoter.close();
    script.tick();
    assert_eq!(script.tick_after(20 * SECOND), []);
    peer.report(false, true);
    script.tick();
    assert!(peer.far().written == pattern(100) && peer.far().ended);
    peer.then([Reads::End]);
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Local)]);
}

#[test]
fn a_close_after_the_peers_end_is_still_bounded_by_the_write_stall() {
    let mut script = Script::with(|config| config.timeouts.write_stall = Some(30 * SECOND));
    let peer = Peer::new(1, [Reads::End]).writing([Writes::Takes(10), Writes::Never]);
    let id = script.admits(&peer);
    assert_eq!(script.tick(), [Event::Eof(id)]);
    assert_eq!(script.server.tx(id, &pattern(100)), Ok(100));
    script.tick();
    script.server.remoter_mut(id).unwrap().close();
    assert_eq!(script.tick_after(30 * SECOND - Duration::from_nanos(1)), []);
    let stalled = CloseReason::Expired(Deadline::WriteStall);
    let told = [Event::Expired(id, Deadline::WriteStall), Event::Closed(id, stalled)];
    assert_eq!(script.tick_after(Duration::from_nanos(1)), told);
    assert!(peer.far().abortive, "what was cut off is not called whole");
}
