//! Every limit at its edge: one under, at, one over; what happens there, and that nothing spins or starves.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::layers::{Step, scripted};
use crate::util::script::{Peer, Read, Script, Write};
use crate::util::{ROUNDS, Rig, connect, end, pattern, receive, send};
use tymist::{CloseReason, Event, Id, OverLimit, Refusal, RxFull, Server, TxError, TxFull, Wake};

/// Ticks without waiting until a tick has nothing to do; says after how many.
#[track_caller]
fn settle(rig: &mut Rig) -> usize {
    for round in 0..ROUNDS {
        rig.tick();
        if rig.server.wake() != Wake::Now {
            return round;
        }
    }
    panic!("it never rests; these events came: {:?}", rig.log);
}

fn count(rig: &Rig, wanted: impl Fn(&Event) -> bool) -> usize {
    rig.log.iter().filter(|event| wanted(event)).count()
}

fn refused(rig: &Rig, why: Refusal) -> usize {
    count(rig, |event| matches!(event, Event::Refused { why: told, .. } if *told == why))
}

/// `number` clients in the kernel's backlog: their connects are done before this returns.
fn crowd(addr: SocketAddr, number: usize) -> Vec<TcpStream> {
    (0..number).map(|_| connect(addr)).collect()
}

/// Whether the peer sees that its connection is over.
fn is_over(client: &mut TcpStream) -> bool {
    !matches!(client.read(&mut [0]), Ok(1..))
}

fn connect_from(addr: SocketAddr, ip: [u8; 4]) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.into()
}

#[test]
fn beyond_remoters_a_connection_is_refused() {
    let mut rig = Rig::with(|config| config.limits.remoters = 3);
    let mut clients = crowd(rig.addr, 2);
    rig.until_server(|server| server.len() == 2);
    clients.push(connect(rig.addr));
    rig.until_server(|server| server.len() == 3);
    assert_eq!((refused(&rig, Refusal::Remoters), rig.server.counters().refused.total()), (0, 0));

    let mut over = connect(rig.addr);
    let event = rig.until(|event| matches!(event, Event::Refused { .. }));
    let peer = over.local_addr().unwrap().into();
    let why = Refusal::Remoters;
    assert_eq!(event, Event::Refused { acceptor: rig.acceptor, peer, why });
    assert!(is_over(&mut over));
    assert_eq!(rig.server.counters().refused.remoters, 1);
    assert_eq!(rig.server.counters().accepted, 4);
    assert_eq!(rig.server.counters().opened, 3);

    drop(clients.pop());
    rig.until(|event| matches!(event, Event::Closed(..)));
    let _next = connect(rig.addr);
    rig.until_server(|server| server.len() == 3);
    assert_eq!(refused(&rig, Refusal::Remoters), 1);
}

#[test]
fn a_closed_connection_counts_until_its_closed_was_taken() {
    let mut rig = Rig::with(|config| config.limits.remoters = 1);
    let (_client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().abort();
    rig.server.service();
    assert!(rig.server.is_empty());
    let _refused = connect(rig.addr);
    for _ in 0..ROUNDS {
        rig.server.wait(Some(std::time::Duration::from_millis(5)));
        rig.server.service();
        if rig.server.counters().refused.remoters > 0 {
            break;
        }
    }
    assert_eq!(rig.server.counters().refused.remoters, 1);
    rig.tick();
    let (_client, _) = rig.client();
    assert_eq!(rig.server.counters().refused.remoters, 1);
}

#[test]
fn who_must_wait_for_a_place_waits_and_gets_the_next_one_free() {
    let mut rig = Rig::with(|config| {
        config.limits.remoters = 1;
        config.limits.accept_deque = 2;
        config.over_limit = OverLimit::Wait;
    });
    let (mut first, id) = rig.client();
    let mut waiting = crowd(rig.addr, 4);
    rig.until_server(|server| server.axes() == 2);
    assert!(settle(&mut rig) < 50);
    // One lives, two are in the deque, two in the backlog; and nothing spins over it.
    assert_eq!((rig.server.len(), rig.server.axes()), (1, 2));
    assert_eq!(rig.server.counters().accepted, 3);
    assert_eq!(rig.server.wake(), Wake::OnIo);
    assert_eq!(rig.server.acceptor(rig.acceptor).unwrap().axes().len(), 2);

    rig.server.remoter_mut(id).unwrap().abort();
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.server.service();
    assert_eq!(rig.server.len(), 0, "a place is free only once Closed was taken");
    rig.server.clear_events();
    assert_eq!(rig.server.wake(), Wake::Now, "its place is free now");
    rig.server.service();
    assert_eq!((rig.server.len(), rig.server.axes()), (1, 1));
    let second = rig.server.ixes()[0];
    let peer = waiting[0].local_addr().unwrap();
    assert_eq!(rig.server.remoter(second).unwrap().peer_addr(), &peer.into(), "in order");
    assert!(is_over(&mut first));
    for _ in 0..3 {
        rig.server.close_remoters();
        drop(waiting.remove(0));
        let gone = rig.server.counters().closed.total() + 1;
        rig.until_server(|server| server.counters().closed.total() == gone && server.len() == 1);
    }
    assert_eq!(rig.server.counters().accepted, 5);
    assert_eq!(refused(&rig, Refusal::Remoters), 0);
}

/// The first acceptor's deque was emptied before anybody of another's was looked at.
#[test]
fn regression_who_waits_for_a_place_comes_in_by_the_order_of_coming_whatever_the_door() {
    let mut rig = Rig::with(|config| {
        config.limits.remoters = 1;
        config.over_limit = OverLimit::Wait;
    });
    let other = rig.server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addrs = [rig.addr, rig.server.local_addr(other).unwrap().inet().unwrap()];
    let (_first, mut id) = rig.client();
    let mut waiting = VecDeque::new();
    let come = |rig: &mut Rig, waiting: &mut VecDeque<TcpStream>, at: usize| {
        waiting.push_back(connect(addrs[at]));
        let count = waiting.len();
        rig.until_server(|server| server.axes() == count);
    };
    for at in [1, 0, 0, 1] {
        come(&mut rig, &mut waiting, at);
    }
    for at in [0, 0, 1, 0, 0, 0] {
        rig.server.remoter_mut(id).unwrap().abort();
        let event = rig.until(|event| matches!(event, Event::Accepted(_)));
        let Event::Accepted(next) = event else { unreachable!() };
        id = next;
        let peer = waiting.pop_front().unwrap().local_addr().unwrap();
        assert_eq!(rig.server.remoter(id).unwrap().peer_addr(), &peer.into());
        come(&mut rig, &mut waiting, at);
    }
}

#[test]
fn raising_the_cap_lets_in_who_waits() {
    let mut rig = Rig::with(|config| {
        config.limits.remoters = 1;
        config.over_limit = OverLimit::Wait;
    });
    let _clients = crowd(rig.addr, 2);
    rig.until_server(|server| server.axes() == 1);
    settle(&mut rig);
    rig.server.config_mut().limits.remoters = 2;
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.tick_now();
    assert_eq!((rig.server.len(), rig.server.axes()), (2, 0));
}

#[test]
fn one_address_gets_no_more_than_its_share() {
    let mut rig = Rig::with(|config| config.limits.remoters_per_ip = 2);
    let (client, _) = rig.client();
    let (_second, _) = rig.client();
    assert_eq!(refused(&rig, Refusal::PerIp), 0);
    let mut third = connect(rig.addr);
    rig.until(|event| matches!(event, Event::Refused { why: Refusal::PerIp, .. }));
    assert!(is_over(&mut third));
    let _neighbour = connect_from(rig.addr, [127, 0, 0, 2]);
    rig.until_server(|server| server.len() == 3);
    drop(client);
    rig.until(|event| matches!(event, Event::Closed(..)));
    let _again = rig.client();
    assert_eq!(rig.server.counters().refused.per_ip, 1);
    assert_eq!(rig.server.counters().refused.total(), 1);
}

#[test]
fn a_tick_accepts_no_more_than_its_budget() {
    let mut rig = Rig::with(|config| config.limits.accepts_per_tick = 3);
    let _clients = crowd(rig.addr, 7);
    let mut accepted = Vec::new();
    for _ in 0..ROUNDS {
        let serviced = rig.server.service();
        if serviced.accepted > 0 {
            accepted.push((serviced.accepted, serviced.more));
        }
        if rig.server.len() == 7 {
            break;
        }
        rig.server.clear_events();
        rig.server.wait(Some(std::time::Duration::from_millis(5)));
    }
    assert_eq!(accepted, [(3, true), (3, true), (1, false)]);
    assert_eq!(rig.server.counters().budget.accepts, 2);
}

#[test]
fn several_acceptors_share_the_budget_in_turns() {
    let mut rig = Rig::with(|config| config.limits.accepts_per_tick = 4);
    let other = rig.server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = rig.server.local_addr(other).unwrap().inet().unwrap();
    let _clients = (crowd(rig.addr, 6), crowd(addr, 6));
    // Both are known to be ready before the first is accepted.
    rig.server.wait(Some(std::time::Duration::from_secs(1)));
    rig.server.service();
    let from = |server: &Server, id| {
        server.remoters().filter(|remoter| remoter.acceptor() == Some(id)).count()
    };
    assert_eq!((from(&rig.server, rig.acceptor), from(&rig.server, other)), (2, 2));
}

#[test]
fn at_the_cap_of_events_nobody_is_accepted() {
    let mut rig = Rig::with(|config| config.limits.events = 3);
    let _clients = crowd(rig.addr, 5);
    for _ in 0..50 {
        rig.server.wait(Some(std::time::Duration::from_millis(5)));
        rig.server.service();
    }
    assert_eq!((rig.server.len(), rig.server.axes()), (3, 0));
    assert!(rig.server.poll_event().is_some());
    rig.server.service();
    assert_eq!(rig.server.len(), 4, "room for one event, so for one connection");
    rig.server.clear_events();
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.server.service();
    assert_eq!(rig.server.len(), 5);
    assert_eq!(rig.server.counters().budget.accepts, 0, "another limit");
}

#[test]
fn at_the_cap_of_events_who_waits_in_the_deque_goes_on_waiting() {
    let mut rig = Rig::with(|config| config.limits.events = 2);
    let _clients = crowd(rig.addr, 5);
    rig.server.wait(Some(std::time::Duration::from_secs(5)));
    assert_eq!((rig.server.service_accepts(), rig.server.service_accepts()), (2, 2));
    assert_eq!((rig.server.axes(), rig.server.service_axes()), (4, 2));
    rig.server.service();
    assert_eq!((rig.server.len(), rig.server.axes()), (2, 2));
    for expected in [(4, 1), (5, 0)] {
        rig.server.clear_events();
        assert_eq!(rig.server.wake(), Wake::Now);
        rig.server.service();
        assert_eq!((rig.server.len(), rig.server.axes()), expected);
    }
}

#[test]
fn reading_pauses_at_the_cap_of_unread_bytes() {
    let mut rig = Rig::with(|config| config.limits.rx_bytes = 100);
    let data = pattern(301);
    let (mut client, id) = rig.client();
    for (sent, unread) in [(99, 99), (1, 100), (1, 100), (200, 100)] {
        let at = rig.server.remoter(id).unwrap().counters().bytes_in as usize;
        send(&mut client, &data[at.min(100)..at.min(100) + sent]);
        rig.until_unread(id, unread);
        assert!(settle(&mut rig) < 50, "no spinning at the cap");
        assert_eq!(rig.server.remoter(id).unwrap().rx().len(), unread);
    }
    assert_eq!(rig.server.wake(), Wake::OnIo);
    let reads = rig.server.counters().reads;
    for _ in 0..10 {
        rig.tick_now();
    }
    assert_eq!(rig.server.counters().reads, reads, "no read is even tried");

    assert_eq!(rig.server.remoter_mut(id).unwrap().consume(1), 1);
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.tick_now();
    assert_eq!(rig.server.remoter(id).unwrap().rx().len(), 100);
    assert_eq!(rig.server.remoter(id).unwrap().counters().bytes_in, 101);
    rig.server.remoter_mut(id).unwrap().set_rx_limit(150);
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.tick_now();
    assert_eq!(rig.server.remoter(id).unwrap().rx().len(), 150);
}

#[test]
fn rx_full_close_ends_who_sends_one_more_than_the_cap() {
    let mut rig = Rig::with(|config| {
        config.limits.rx_bytes = 100;
        config.rx_full = RxFull::Close;
    });
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(100));
    rig.until_unread(id, 100);
    assert!(settle(&mut rig) < 50, "no spinning at the cap");
    assert_eq!(rig.server.len(), 1, "at the cap is not over it");
    send(&mut client, b"!");
    assert_eq!(rig.until_closed(id), CloseReason::RxFull);
    assert_eq!(rig.server.counters().closed.rx_full, 1);
    assert_eq!(rig.server.remoter(id).unwrap().rx(), pattern(100), "still to be read");
    assert!(is_over(&mut client));
}

/// The engine once remembered that the cap had been reached, although all had been taken since.
#[test]
fn rx_full_close_spares_who_keeps_up_with_the_cap_each_tick() {
    let mut rig = Rig::with(|config| {
        config.limits.rx_bytes = 100;
        config.rx_full = RxFull::Close;
    });
    let (mut client, id) = rig.client();
    let data = pattern(1000);
    send(&mut client, &data);
    let mut got = Vec::new();
    for _ in 0..ROUNDS {
        rig.tick();
        let Some(remoter) = rig.server.remoter_mut(id) else { panic!("closed: {:?}", rig.log) };
        got.extend_from_slice(&remoter.take());
        if got.len() == 1000 {
            break;
        }
    }
    assert_eq!(got, data);
    assert_eq!(rig.server.len(), 1);
}

/// Only reading was taken for a way to the cap: who got there otherwise was paused for ever.
#[test]
fn regression_rx_full_close_ends_who_came_to_the_cap_otherwise_than_by_reading() {
    for lowered in [true, false] {
        let mut rig = Rig::with(|config| {
            config.limits.rx_bytes = 4;
            config.rx_full = RxFull::Close;
        });
        let (mut client, id) = rig.client();
        send(&mut client, b"abc");
        rig.until_unread(id, 3);
        let remoter = rig.server.remoter_mut(id).unwrap();
        if lowered {
            remoter.set_rx_limit(2);
        } else {
            remoter.unread(bytes::Bytes::from_static(b"x"));
        }
        assert!(settle(&mut rig) < 50, "no spinning at the cap");
        assert_eq!(rig.server.len(), 1, "there is no more");
        send(&mut client, b"!");
        assert_eq!(rig.until_closed(id), CloseReason::RxFull);
    }
}

/// The byte that is one too many needs no room: without any, nobody was closed.
#[test]
fn regression_rx_full_close_needs_no_room_of_all_buffers() {
    let mut script = Script::with(|config| {
        config.limits.rx_bytes = 4;
        config.limits.buffered = 16;
        config.rx_full = RxFull::Close;
    });
    let peers = [Peer::new(1, []), Peer::new(2, [])];
    let [hold, id] = [0, 1].map(|number| script.admits(&peers[number]));
    peers[1].then([Read::Bytes(pattern(4))]);
    assert_eq!(script.tick(), [Event::Received(id)]);
    script.server.remoter_mut(hold).unwrap().unread(bytes::Bytes::from(pattern(16)));
    assert_eq!(script.tick(), []);
    peers[1].then([Read::Bytes(vec![b'!'])]);
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::RxFull)]);
}

#[test]
fn tx_takes_what_fits_and_says_how_much() {
    let mut rig = Rig::with(|config| config.limits.tx_bytes = 100);
    let (mut client, id) = rig.client();
    let data = pattern(101);
    for (offered, taken) in [(99, 99), (100, 100), (101, 100)] {
        let remoter = rig.server.remoter_mut(id).unwrap();
        assert_eq!(remoter.tx_room(), 100);
        assert_eq!(remoter.tx(&data[..offered]), Ok(taken));
        assert_eq!((remoter.tx_len(), remoter.tx_room()), (taken, 100 - taken));
        assert_eq!(remoter.can_send(), taken < 100);
        assert_eq!(remoter.tx(&data), Ok(100 - taken));
        rig.server.service_sends();
        assert_eq!(receive(&mut client, 100)[..taken], data[..taken]);
        settle(&mut rig);
    }
    let drained = count(&rig, |event| *event == Event::Drained(id));
    assert_eq!(drained, 3, "each time something had not fit");
    let mut bytes = bytes::Bytes::from(data.clone());
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.tx_bytes(&mut bytes), Ok(100));
    assert_eq!(bytes, &data[100..]);
    remoter.set_tx_limit(101);
    assert_eq!(remoter.tx_bytes(&mut bytes), Ok(1));
    assert!(bytes.is_empty());
}

#[test]
fn tx_full_close_ends_who_is_one_byte_behind() {
    let mut rig = Rig::with(|config| {
        config.limits.tx_bytes = 100;
        config.tx_full = TxFull::Close;
    });
    let (mut client, id) = rig.client();
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.tx(&pattern(99)), Ok(99));
    assert_eq!(remoter.tx(b"!"), Ok(1));
    assert!(!remoter.is_closing());
    assert_eq!(remoter.tx(b"?"), Err(TxError::Overflow));
    assert_eq!(remoter.tx(b"?"), Err(TxError::Closed));
    assert_eq!(rig.server.wake(), Wake::Now);
    assert_eq!(rig.until_closed(id), CloseReason::TxFull);
    assert_eq!(rig.server.counters().closed.tx_full, 1);
    assert!(is_over(&mut client));
    assert_eq!(rig.server.buffered(), 0);
}

#[test]
fn reads_go_through_a_buffer_of_the_size_asked_for() {
    let mut rig = Rig::with(|config| config.limits.scratch = 10);
    let (mut client, id) = rig.client();
    let before = rig.server.counters().reads;
    send(&mut client, &pattern(25));
    rig.until_unread(id, 25);
    assert_eq!(rig.server.counters().reads - before, 3, "10, 10 and 5");
    assert_eq!(rig.server.remoter(id).unwrap().counters().reads, 3 + before);
}

/// Two senders that are always ahead, and the bytes each had per tick.
fn bytes_per_tick(rig: &mut Rig, ids: [Id; 2], ticks: usize) -> Vec<[u64; 2]> {
    let had = |rig: &Rig| ids.map(|id| rig.server.remoter(id).unwrap().counters().bytes_in);
    (0..ticks)
        .map(|_| {
            let before = had(rig);
            rig.tick_now();
            for id in ids {
                rig.server.remoter_mut(id).unwrap().take();
            }
            let after = had(rig);
            [after[0] - before[0], after[1] - before[1]]
        })
        .collect()
}

#[test]
fn who_has_used_up_its_budget_goes_to_the_back_of_the_line() {
    let mut rig = Rig::with(|config| {
        config.limits.remoter_tick_bytes = 100;
        config.limits.tick_bytes = 150;
    });
    let (mut fast, fast_id) = rig.client();
    let (mut slow, slow_id) = rig.client();
    send(&mut fast, &pattern(1000));
    send(&mut slow, &pattern(1000));
    let ids = [fast_id, slow_id];
    rig.server.wait(Some(std::time::Duration::from_secs(1)));
    // 100 is the budget of one, 50 what the tick has left for the other; and the one that was cut short by the tick goes on at the back.
    let had = bytes_per_tick(&mut rig, ids, 4);
    for (tick, pair) in had.iter().enumerate() {
        assert_eq!(pair[0] + pair[1], 150, "tick {tick}: {had:?}");
        assert!(pair[0].max(pair[1]) == 100, "tick {tick}: {had:?}");
    }
    assert_eq!(had.iter().map(|pair| pair[0]).sum::<u64>(), 300, "fair: {had:?}");
    let budget = rig.server.counters().budget;
    assert_eq!(budget.tick_bytes, 4);
    assert!(rig.server.remoter(fast_id).unwrap().counters().budget > 0);
    assert_eq!(
        budget.remoter_bytes,
        ids.map(|id| rig.server.remoter(id).unwrap().counters().budget).iter().sum::<u64>()
    );
}

#[test]
fn the_budget_of_a_tick_is_counted_also_for_a_single_connection() {
    let mut rig = Rig::with(|config| config.limits.tick_bytes = 100);
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(250));
    rig.until_unread(id, 250);
    assert_eq!(rig.server.counters().budget.tick_bytes, 2);
    assert_eq!(rig.server.counters().budget.remoter_bytes, 0);
}

#[test]
fn a_tick_that_a_wait_has_begun_takes_a_burst_and_others_all_of_their_budget() {
    let mut rig = Rig::with(|config| config.limits.burst_bytes = 100);
    let (mut client, id) = rig.client();
    settle(&mut rig);
    for (sent, ticks) in
        [(99, vec![99]), (100, vec![100]), (101, vec![100, 1]), (250, vec![100, 100, 50])]
    {
        send(&mut client, &pattern(sent));
        for (tick, expected) in ticks.into_iter().enumerate() {
            rig.server.wait(Some(std::time::Duration::from_secs(10)));
            let serviced = rig.server.service();
            assert_eq!(serviced.bytes_in, expected, "{sent}, tick {tick}");
            while rig.server.poll_event().is_some() {}
            let wake = rig.server.wake();
            // At the edge nothing says yet that there was no more.
            assert_eq!(wake == Wake::Now, expected == 100, "{sent}, tick {tick}: {wake:?}");
        }
        settle(&mut rig);
        rig.server.remoter_mut(id).unwrap().take();
    }
    assert_eq!(rig.server.counters().budget.tick_bytes, 0, "a burst is no exhausted budget");

    // Without a wait in it, a tick takes all there is.
    send(&mut client, &pattern(250));
    let mut ticks = Vec::new();
    for _ in 0..1_000_000 {
        let serviced = rig.server.service();
        ticks.extend((serviced.bytes_in > 0).then_some(serviced.bytes_in));
        if !ticks.is_empty() {
            break;
        }
    }
    assert_eq!(ticks, [250]);

    // And where that is too much even for the whole budget, it is counted, whatever the tick before was.
    rig.server.remoter_mut(id).unwrap().take();
    rig.server.wait(Some(std::time::Duration::ZERO));
    rig.server.service();
    rig.server.config_mut().limits.tick_bytes = 200;
    send(&mut client, &pattern(250));
    let mut left = 250;
    for _ in 0..1_000_000 {
        left -= rig.server.service().bytes_in;
        if left == 0 {
            break;
        }
    }
    assert_eq!((left, rig.server.counters().budget.tick_bytes), (0, 1));
}

#[test]
fn the_budget_of_a_connection_is_exact_each_way_and_counted_once_a_tick() {
    let mut rig = Rig::with(|config| config.limits.remoter_tick_bytes = 100);
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(99));
    rig.until_unread(id, 99);
    settle(&mut rig);
    assert_eq!(rig.server.counters().budget.remoter_bytes, 0, "one under");

    send(&mut client, &pattern(101));
    rig.server.remoter_mut(id).unwrap().tx(&pattern(101)).unwrap();
    rig.server.wait(Some(std::time::Duration::from_secs(1)));
    let serviced = rig.server.service();
    assert_eq!((serviced.bytes_in, serviced.bytes_out), (100, 100));
    assert!(serviced.more);
    assert_eq!(rig.server.counters().budget.remoter_bytes, 1, "once, though both ways ran out");
    assert_eq!(rig.server.remoter(id).unwrap().counters().budget, 1);
    rig.server.clear_events();
    assert_eq!(rig.server.wake(), Wake::Now);
    let serviced = rig.server.service();
    assert_eq!((serviced.bytes_in, serviced.bytes_out), (1, 1));
    assert!(!serviced.more);
    assert_eq!(rig.server.counters().budget.remoter_bytes, 1);
    assert_eq!(receive(&mut client, 101), pattern(101));
}

#[test]
fn one_that_sends_without_end_starves_nobody() {
    let mut rig = Rig::with(|config| {
        config.limits.remoter_tick_bytes = 1000;
        config.limits.tick_bytes = 4000;
    });
    let (fast, fast_id) = rig.client();
    fast.set_nonblocking(true).unwrap();
    let mut others: Vec<_> = (0..10).map(|_| rig.client()).collect();
    let flood = vec![b'x'; 100_000];
    for round in 0..50_u8 {
        while std::io::Write::write(&mut &fast, &flood).is_ok() {}
        for (client, _) in &mut others {
            send(client, &[round]);
        }
        // The ten and the flood: at most one tick until each had its turn.
        rig.server.wait(Some(std::time::Duration::from_millis(5)));
        for _ in 0..2 {
            let serviced = rig.server.service();
            assert!(serviced.bytes_in <= 1010, "{serviced:?}");
        }
        rig.server.clear_events();
        rig.server.remoter_mut(fast_id).unwrap().take();
        for (_, id) in &others {
            let remoter = rig.server.remoter_mut(*id).unwrap();
            assert_eq!(remoter.rx(), &[round]);
            remoter.take();
        }
    }
}

/// Fills what may be read of the cap of all buffers, seven eighths, with what came in by one connection.
fn stuffed_rig(cap: usize) -> (Rig, TcpStream, Id) {
    let mut rig = Rig::with(|config| config.limits.buffered = cap);
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(cap + 500));
    rig.until_unread(id, cap - cap / 8);
    (rig, client, id)
}

#[test]
fn at_the_cap_of_all_buffers_nobody_reads_or_queues_until_some_is_taken() {
    let (mut rig, _client, id) = stuffed_rig(1000);
    let (mut second, second_id) = rig.client();
    // Who holds nothing is let in with a little, and with no more.
    send(&mut second, b"hello");
    rig.until_unread(second_id, 5);
    send(&mut second, b" there");
    assert!(settle(&mut rig) < 50);
    assert_eq!(rig.server.buffered(), 880);
    assert_eq!(rig.server.remoter(second_id).unwrap().rx(), b"hello");
    assert_eq!(rig.server.remoter_mut(second_id).unwrap().tx(&pattern(500)), Ok(120));
    assert_eq!(rig.server.remoter_mut(id).unwrap().tx(b"x"), Ok(0));
    assert_eq!(rig.server.remoter(second_id).unwrap().tx_room(), 0);
    assert!(settle(&mut rig) < 50, "no spinning at the cap");
    assert_eq!(rig.server.wake(), Wake::OnIo);
    let reads = rig.server.counters().reads;
    for _ in 0..20 {
        let _ = rig.server.remoter_mut(second_id).unwrap().tx(b"x");
        rig.tick_now();
    }
    assert_eq!(rig.server.counters().reads, reads);
    assert!(rig.server.counters().budget.buffered >= 20);

    rig.server.remoter_mut(id).unwrap().consume(5);
    assert_eq!(rig.server.wake(), Wake::OnIo);
    rig.server.remoter_mut(id).unwrap().consume(1);
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.tick_now();
    assert_eq!(rig.server.buffered(), 875, "one byte more was read");
    let total = |rig: &Rig| rig.server.remoters().map(|it| it.rx().len()).sum::<usize>();
    assert_eq!(total(&rig), 875);
    rig.server.remoter_mut(id).unwrap().take();
    rig.until_unread(id, 400);
    rig.until_unread(second_id, 11);
    settle(&mut rig);
    assert_eq!(count(&rig, |event| *event == Event::Drained(second_id)), 1, "once, when room came");
    assert_eq!(rig.server.buffered(), total(&rig));
}

/// Two hundred peers who took nothing filled what may be read of all buffers, and nobody at all was heard until their write stall was over.
#[test]
fn regression_who_holds_nothing_is_heard_where_others_hold_all_there_is() {
    let (mut rig, _client, _) = stuffed_rig(1000);
    let (mut second, second_id) = rig.client();
    let (mut third, third_id) = rig.client();
    // 15/16 of 1000 are 938.
    send(&mut second, &pattern(100));
    rig.until_unread(second_id, 63);
    send(&mut third, b"hello");
    settle(&mut rig);
    assert_eq!(rig.server.buffered(), 938);
    assert_eq!(rig.server.wake(), Wake::OnIo);
    assert_eq!(rig.server.remoter(third_id).unwrap().rx(), b"");

    // Answered, it is heard again, and there is room for the other.
    let mut data = rig.server.remoter_mut(second_id).unwrap().take();
    assert_eq!(rig.server.wake(), Wake::Now);
    assert_eq!(rig.server.remoter_mut(second_id).unwrap().tx_bytes(&mut data), Ok(63));
    rig.until_unread(second_id, 37);
    rig.until_unread(third_id, 5);
    assert_eq!(receive(&mut second, 63), pattern(63));
}

/// Of 16 bytes one is left for who holds nothing, of 15 none: what goes out must have some.
#[test]
fn a_small_cap_of_all_buffers_has_no_room_in_need() {
    for (cap, heard) in [(15, 0), (16, 1)] {
        let (mut rig, _client, _) = stuffed_rig(cap);
        let (mut second, second_id) = rig.client();
        send(&mut second, b"hello");
        rig.until_unread(second_id, heard);
        assert!(settle(&mut rig) < 50);
        assert_eq!(rig.server.remoter(second_id).unwrap().rx().len(), heard, "{cap}");
    }
}

/// However much is kept: a request's worth each.
#[test]
fn who_holds_nothing_is_heard_with_a_request_and_not_with_an_upload() {
    let (mut rig, _client, _) = stuffed_rig(200_000);
    let (mut second, second_id) = rig.client();
    send(&mut second, &pattern(10_000));
    rig.until_unread(second_id, 4096);
    assert!(settle(&mut rig) < 50);
    assert_eq!(rig.server.remoter(second_id).unwrap().rx().len(), 4096);
}

/// Where only the room of all was filled, and its own queue empty, nobody owed a `Drained` to who had asked before it sent.
#[test]
fn who_found_no_room_is_told_when_there_is_some() {
    let (mut rig, _client, id) = stuffed_rig(1000);
    let (_second, second_id) = rig.client();
    let (_third, third_id) = rig.client();
    assert_eq!(rig.server.remoter_mut(id).unwrap().tx(&pattern(125)), Ok(125));
    assert!(!rig.server.remoter(second_id).unwrap().can_send());
    rig.server.remoter_mut(second_id).unwrap().want_drained();
    let message = bytes::Bytes::from_static(b"hello");
    let told = rig.server.broadcast(&message, |it| it.id() == third_id);
    assert_eq!((told.queued, told.skipped), (0, 1));
    rig.server.clear_events();
    let drained = |rig: &Rig, id| count(rig, |event| *event == Event::Drained(id));
    settle(&mut rig);
    rig.server.remoter_mut(id).unwrap().take();
    settle(&mut rig);
    assert_eq!([second_id, third_id].map(|id| drained(&rig, id)), [1, 1]);
    for _ in 0..3 {
        assert_eq!(rig.tick_now(), [], "once");
    }

    rig.server.remoter_mut(second_id).unwrap().want_drained();
    assert_eq!(rig.server.wake(), Wake::Now, "there is room");
    assert_eq!(rig.tick_now(), [Event::Drained(second_id)]);
}

/// Of nothing to say there is room for all of it, and who cannot be sent to was counted nowhere.
#[test]
fn regression_a_broadcast_of_nothing_counts_everybody() {
    let mut rig = Rig::with(|_| {});
    let clients = [rig.client(), rig.client()];
    rig.server.remoter_mut(clients[0].1).unwrap().shutdown_send();
    for data in [&b""[..], b"news"] {
        let broadcast = rig.server.broadcast(&bytes::Bytes::from_static(data), |_| true);
        assert_eq!((broadcast.queued, broadcast.skipped), (1, 1), "{data:?}");
    }
}

/// The room came before the next tick, and `wake` did not know that somebody waits for it.
#[test]
fn room_that_comes_before_the_tick_wakes_who_waits_for_it() {
    let mut rig = Rig::with(|config| config.limits.buffered = 1000);
    let (_client, id) = rig.client();
    let (_second, second_id) = rig.client();
    settle(&mut rig);
    rig.server.remoter_mut(id).unwrap().unread(bytes::Bytes::from(pattern(1000)));
    rig.server.service();
    assert_eq!(rig.server.remoter_mut(second_id).unwrap().tx(b"x"), Ok(0));
    rig.server.remoter_mut(id).unwrap().take();
    assert_eq!(rig.server.wake(), Wake::Now);
    settle(&mut rig);
    assert_eq!(count(&rig, |event| *event == Event::Drained(second_id)), 1);
}

/// It had queued something when there was room at last: that this could not leave was no hindrance to telling that all had.
#[test]
fn regression_room_is_not_told_to_who_has_filled_it_meanwhile() {
    let mut script = Script::with(|config| config.limits.buffered = 16);
    let peers = [Peer::new(1, []), Peer::new(2, []).writing([Write::Blocks])];
    let [hold, id] = [0, 1].map(|number| script.admits(&peers[number]));
    script.tick();
    script.server.remoter_mut(hold).unwrap().unread(bytes::Bytes::from(pattern(16)));
    script.server.remoter_mut(id).unwrap().want_drained();
    assert_eq!(script.tick(), []);
    script.server.remoter_mut(hold).unwrap().take();
    assert_eq!(script.server.tx(id, b"hello"), Ok(5));
    assert_eq!(script.tick(), [], "it is still here");
    peers[1].report(false, true);
    assert_eq!(script.tick(), [Event::Drained(id)]);
    assert_eq!(script.tick(), [], "once");
}

/// Who has said its last word waits for no room to say more in.
#[test]
fn who_ends_is_told_of_drained_though_there_is_no_room() {
    let mut script = Script::with(|config| config.limits.buffered = 16);
    let peers = [Peer::new(1, []), Peer::new(2, [])];
    let [hold, id] = [0, 1].map(|number| script.admits(&peers[number]));
    script.server.remoter_mut(hold).unwrap().unread(bytes::Bytes::from(pattern(16)));
    script.server.remoter_mut(id).unwrap().want_drained();
    assert_eq!(script.ticks(2), [], "there is no room");
    script.server.remoter_mut(id).unwrap().shutdown_send();
    assert_eq!(script.tick(), [Event::Drained(id)]);
    assert_eq!(script.tick(), [], "once");
}

#[test]
fn raising_the_cap_of_all_buffers_wakes_who_was_held_back() {
    let (mut rig, _client, id) = stuffed_rig(1000);
    settle(&mut rig);
    assert_eq!(rig.server.wake(), Wake::OnIo);
    rig.server.config_mut().limits.buffered = 1001;
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.tick_now();
    assert_eq!(rig.server.remoter(id).unwrap().rx().len(), 876);
}

/// Unread bytes once could fill all of the cap; then nobody could answer, and who takes more only after it has answered waited for ever.
#[test]
fn unread_bytes_leave_room_to_answer() {
    let mut rig = Rig::with(|config| config.limits.buffered = 16);
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(1000));
    let mut echoed = 0;
    let mut pending = bytes::Bytes::new();
    for _ in 0..ROUNDS {
        rig.tick();
        let remoter = rig.server.remoter_mut(id).unwrap();
        if pending.is_empty() {
            pending = remoter.take();
            rig.server.service(); // More comes in, before anything was answered.
        }
        echoed += rig.server.remoter_mut(id).unwrap().tx_bytes(&mut pending).unwrap();
        if echoed == 1000 {
            return;
        }
    }
    panic!("stuck after {echoed} bytes");
}

/// A closed connection's unread bytes count until it is forgotten; `wake()` once did not know.
#[test]
fn room_that_a_forgotten_connection_leaves_is_used() {
    let (mut rig, _client, id) = stuffed_rig(1000);
    let (mut second, second_id) = rig.client();
    send(&mut second, b"hello");
    rig.until_unread(second_id, 5);
    send(&mut second, b" there");
    settle(&mut rig);
    rig.server.remoter_mut(id).unwrap().abort();
    rig.server.service();
    assert_eq!(rig.server.remoter(second_id).unwrap().rx(), b"hello");
    rig.server.clear_events();
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.server.service();
    assert_eq!(rig.server.remoter(second_id).unwrap().rx(), b"hello there");
    assert_eq!(rig.server.buffered(), 11);
}

/// Who had more to send than its budget of a tick was once put to sleep when others filled the buffers.
#[test]
fn at_the_cap_of_all_buffers_sending_goes_on() {
    let mut rig = Rig::with(|config| {
        config.limits.buffered = 1000;
        config.limits.remoter_tick_bytes = 100;
    });
    let (mut client, id) = rig.client();
    let (_other, other) = rig.client();
    assert_eq!(rig.server.remoter_mut(id).unwrap().tx(&pattern(1000)), Ok(1000));
    rig.server.service();
    rig.server.clear_events();
    assert_eq!(rig.server.buffered(), 900);
    let remoter = rig.server.remoter_mut(other).unwrap();
    remoter.unread(bytes::Bytes::from(pattern(1000)));
    assert!(rig.server.buffered() > 1000);
    for sent in [200, 300, 400] {
        assert_eq!(rig.server.wake(), Wake::Now, "{sent}");
        rig.server.service();
        rig.server.clear_events();
        assert_eq!(rig.server.remoter(id).unwrap().counters().bytes_out, sent);
    }
    settle(&mut rig);
    assert_eq!(receive(&mut client, 1000), pattern(1000));
}

#[test]
fn at_the_cap_of_all_buffers_a_closing_connection_still_meets_its_end() {
    let (mut rig, _client, _) = stuffed_rig(1000);
    let (mut second, second_id) = rig.client();
    send(&mut second, b"thrown away");
    end(&second);
    settle(&mut rig);
    rig.server.remoter_mut(second_id).unwrap().close();
    assert_eq!(rig.server.wake(), Wake::Now);
    assert_eq!(rig.until_closed(second_id), CloseReason::Local);
}

#[test]
fn handshakes_beyond_the_limit_wait_in_the_deque() {
    let advanced = Arc::new(AtomicUsize::new(0));
    let mut rig = Rig::with(|config| config.limits.handshakes = 2);
    let layer = scripted(&[Step::Byte, Step::Byte], &advanced);
    let acceptor = rig.server.listen_with(([127, 0, 0, 1], 0), layer).unwrap();
    let addr = rig.server.local_addr(acceptor).unwrap().inet().unwrap();
    let mut clients = crowd(addr, 4);
    rig.until_server(|server| server.axes() == 2);
    assert!(settle(&mut rig) < 50, "no spinning at the limit");
    assert_eq!((rig.server.cxes(), rig.server.axes(), rig.server.len()), (2, 2, 0));
    let (_plain, _) = rig.client(); // One that need not shake hands is not held up.
    send(&mut clients[0], b"..");
    rig.until_server(|server| server.len() == 2);
    rig.until_server(|server| server.axes() == 1);
    assert_eq!(rig.server.cxes(), 2);
    for client in &mut clients[1..] {
        send(client, b"..");
    }
    rig.until_server(|server| server.len() == 5);
    assert_eq!((rig.server.cxes(), rig.server.axes()), (0, 0));
    assert_eq!(rig.server.counters().opened, 5);
}

#[test]
fn a_tick_advances_no_more_handshakes_than_its_budget_and_each_by_one_step() {
    let advanced = Arc::new(AtomicUsize::new(0));
    let mut rig = Rig::with(|config| config.limits.handshakes_per_tick = 3);
    let layer = scripted(&[Step::Go, Step::Go, Step::Go], &advanced);
    let acceptor = rig.server.listen_with(([127, 0, 0, 1], 0), layer).unwrap();
    let addr = rig.server.local_addr(acceptor).unwrap().inet().unwrap();
    let _clients = crowd(addr, 5);
    rig.server.wait(Some(std::time::Duration::from_secs(1)));
    let mut live = Vec::new();
    for tick in 1..=6 {
        let serviced = rig.server.service();
        let done = advanced.load(Ordering::Relaxed);
        assert_eq!(done, (tick * 3).min(15), "tick {tick}");
        assert_eq!(serviced.more, done < 15);
        live.push(rig.server.len());
        assert_eq!(rig.server.len() + rig.server.cxes(), 5);
    }
    // Rounds of five steps, three a tick: the 11th to the 15th step complete.
    assert_eq!(live, [0, 0, 0, 2, 5, 5]);
    assert_eq!(rig.server.counters().budget.handshakes, 4);
}

#[test]
fn without_half_open_a_peer_that_ends_its_half_ends_the_connection() {
    let mut rig = Rig::with(|config| config.half_open = false);
    let (mut client, id) = rig.client();
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    assert!(is_over(&mut client));
}

#[test]
fn with_half_open_it_stays_until_closed_here() {
    let mut rig = Rig::with(|config| config.half_open = true);
    let (mut client, id) = rig.client();
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.tick_after(std::time::Duration::from_secs(1000));
    assert!(settle(&mut rig) < 50);
    assert_eq!(rig.server.len(), 1);
    rig.server.remoter_mut(id).unwrap().tx(b"still here").unwrap();
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 10), b"still here");
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    assert_eq!(rig.until_closed(id), CloseReason::Eof, "both halves are over");
}

#[test]
fn half_open_can_be_changed_at_any_time() {
    let mut rig = Rig::with(|config| config.half_open = true);
    let (client, id) = rig.client();
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.server.remoter_mut(id).unwrap().set_half_open(false);
    assert_eq!(rig.server.wake(), Wake::Now);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
}

#[test]
fn a_limit_of_zero_counts_as_one_so_that_work_goes_on() {
    let mut rig = Rig::with(|config| {
        let limits = &mut config.limits;
        limits.accepts_per_tick = 0;
        limits.accept_deque = 0;
        limits.handshakes = 0;
        limits.handshakes_per_tick = 0;
        limits.rx_bytes = 0;
        limits.tx_bytes = 0;
        limits.turns_per_tick = 0;
        limits.remoter_tick_bytes = 0;
        limits.tick_bytes = 0;
        limits.buffered = 0;
        limits.events = 0;
        limits.scratch = 0;
    });
    let (mut client, id) = rig.client();
    send(&mut client, b"abc");
    let mut got = Vec::new();
    for _ in 0..ROUNDS {
        rig.tick();
        let data = rig.server.remoter_mut(id).unwrap().take();
        assert!(data.len() <= 1);
        got.extend_from_slice(&data);
        if got.len() == 3 {
            break;
        }
    }
    assert_eq!(got, b"abc");
    assert_eq!(rig.server.remoter_mut(id).unwrap().tx(b"xy"), Ok(1));
    rig.tick_now();
    assert_eq!(receive(&mut client, 1), b"x");
}

#[test]
fn with_no_places_at_all_everybody_is_refused() {
    let mut rig = Rig::with(|config| config.limits.remoters = 0);
    let mut client = connect(rig.addr);
    rig.until(|event| matches!(event, Event::Refused { why: Refusal::Remoters, .. }));
    assert!(is_over(&mut client));
}
