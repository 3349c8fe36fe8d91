//! Limits at their edges, and floods.

use std::net::{Ipv6Addr, SocketAddr};

use tymist::{GramError, GramEvent, GramsFull, Wake};

use super::{Rig, plain, receive};

/// Fills the kernel's queue with `count` numbered datagrams.
fn flood(rig: &Rig, count: u32) {
    let (socket, _) = plain();
    let to = rig.addr().inet().unwrap();
    for number in 0..count {
        socket.send_to(&number.to_be_bytes(), to).unwrap();
    }
}

fn numbers(rig: &mut Rig) -> Vec<u32> {
    std::iter::from_fn(|| rig.peer.take())
        .map(|gram| u32::from_be_bytes(gram.data[..].try_into().unwrap()))
        .collect()
}

#[test]
fn a_full_queue_drops_the_newest_and_counts() {
    let mut rig = Rig::with(|config| config.rx_grams = 10);
    flood(&rig, 100);
    rig.until(|peer| peer.counters().grams_in == 100);
    assert_eq!(rig.peer.counters().rx_dropped, 90);
    assert_eq!(numbers(&mut rig), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_drops_the_oldest_where_that_is_wanted() {
    let mut rig = Rig::with(|config| {
        config.rx_grams = 10;
        config.rx_full = GramsFull::DropOldest;
    });
    flood(&rig, 100);
    rig.until(|peer| peer.counters().grams_in == 100);
    assert_eq!(rig.peer.counters().rx_dropped, 90);
    assert_eq!(numbers(&mut rig), (90..100).collect::<Vec<_>>());
}

#[test]
fn bytes_are_bounded_too_and_one_datagram_always_fits() {
    for (full, len, kept) in [
        (GramsFull::DropNewest, 40, 2),
        (GramsFull::DropOldest, 40, 2),
        (GramsFull::DropNewest, 50, 2),
        (GramsFull::DropNewest, 51, 1),
        (GramsFull::DropNewest, 500, 1),
        (GramsFull::DropOldest, 500, 1),
    ] {
        let mut rig = Rig::with(|config| {
            config.rx_bytes = 100;
            config.rx_full = full;
        });
        let (socket, _) = plain();
        for _ in 0..5 {
            socket.send_to(&vec![1; len], rig.addr().inet().unwrap()).unwrap();
        }
        rig.until(|peer| peer.counters().grams_in == 5);
        assert_eq!(rig.peer.rx().len(), kept, "{full:?} {len}");
        assert_eq!(rig.peer.rx_bytes(), kept * len);
        assert_eq!(rig.peer.counters().rx_dropped, 5 - kept as u64);
    }
}

/// It was a panic at the first datagram: so large a buffer.
#[test]
fn the_largest_number_is_a_size_like_any_other() {
    let mut rig = Rig::with(|config| {
        config.max_gram = usize::MAX;
        config.buffer_grams = 3;
    });
    let (socket, _) = plain();
    socket.send_to(&[7; 9000], rig.addr().inet().unwrap()).unwrap();
    let gram = rig.gram();
    assert_eq!((gram.data.len(), gram.truncated), (9000, false));
}

#[test]
fn a_large_one_makes_room_of_several_small_ones() {
    let mut rig = Rig::with(|config| {
        config.rx_bytes = 100;
        config.rx_full = GramsFull::DropOldest;
    });
    let (socket, _) = plain();
    for len in [25, 25, 25, 25, 60] {
        socket.send_to(&vec![1; len], rig.addr().inet().unwrap()).unwrap();
    }
    rig.until(|peer| peer.counters().grams_in == 5);
    assert_eq!(rig.peer.rx().map(|gram| gram.data.len()).collect::<Vec<_>>(), [25, 60]);
    assert_eq!(rig.peer.counters().rx_dropped, 3);
}

#[test]
fn a_flood_leaves_memory_bounded_and_the_tick_too() {
    let mut rig = Rig::with(|config| {
        config.rx_grams = 64;
        config.tick_grams = 16;
    });
    let (socket, _) = plain();
    let to = rig.addr().inet().unwrap();
    for _ in 0..200 {
        for _ in 0..50 {
            // The kernel drops what it has no room for.
            let _ = socket.send_to(&[9; 1000], to);
        }
        assert!(rig.peer.service().grams_in <= 16);
        assert!(rig.peer.rx().len() <= 64 && rig.peer.rx_bytes() <= 64_000);
    }
    let counters = *rig.peer.counters();
    assert_eq!(counters.grams_in, 200 * 16, "each tick took its share");
    assert_eq!(counters.rx_dropped, counters.grams_in - 64);
    assert_eq!(rig.events(), [GramEvent::Received], "one event for all of it");
}

#[test]
fn a_tick_takes_no_more_than_its_budget_and_says_so() {
    let mut rig = Rig::with(|config| config.tick_grams = 3);
    flood(&rig, 7);
    rig.peer.wait(Some(super::ROUND));
    let mut taken = Vec::new();
    for _ in 0..3 {
        let done = rig.peer.service();
        taken.push((done.grams_in, done.more));
        if done.more {
            rig.events();
            assert_eq!(rig.peer.wake(), Wake::Now, "more is there");
        }
    }
    assert_eq!(taken, [(3, true), (3, true), (1, false)]);
    assert_eq!(rig.peer.counters().budget, 2);
}

#[test]
fn a_tick_that_a_wait_has_begun_takes_a_burst_and_others_all_of_their_budget() {
    let mut rig = Rig::with(|config| config.burst_grams = 3);
    flood(&rig, 7);
    let mut taken = Vec::new();
    for _ in 0..3 {
        rig.peer.wait(Some(super::ROUND));
        let done = rig.peer.service();
        taken.push(done.grams_in);
        rig.events();
        assert_eq!(rig.peer.wake() == Wake::Now, done.grams_in == 3);
    }
    assert_eq!(taken, [3, 3, 1]);
    assert_eq!(rig.peer.counters().budget, 0, "a burst is no exhausted budget");

    flood(&rig, 7);
    assert_eq!(rig.peer.service().grams_in, 7, "without a wait: all at once");
}

#[test]
fn many_datagrams_to_many_receivers_go_out_in_order_whatever_is_among_them() {
    let mut rig = Rig::with(|_| ());
    let receivers: Vec<_> = (0..5).map(|_| plain()).collect();
    let nobody = SocketAddr::from((Ipv6Addr::LOCALHOST, receivers[0].1.port().unwrap()));
    let sent = |n: usize| vec![n as u8; if n % 10 == 9 { 0 } else { n }];
    for n in 0..100 {
        if n % 25 == 20 {
            rig.peer.tx(b"not from an IPv4 socket", nobody).unwrap();
        }
        rig.peer.tx(&sent(n), &receivers[n % 5].1).unwrap();
    }
    rig.until(|peer| peer.tx_grams() == 0);
    for n in 0..100 {
        assert_eq!(receive(&receivers[n % 5].0).0, sent(n), "{n}");
    }
    let counters = rig.peer.counters();
    assert_eq!((counters.grams_out, counters.unsent), (100, 4));
    let unsent = rig.log.iter().filter(|event| matches!(event, GramEvent::Unsent { len: 23, .. }));
    assert_eq!(unsent.count(), 4);
}

#[test]
fn bytes_per_tick_are_bounded_too_but_one_datagram_goes() {
    let mut rig = Rig::with(|config| config.tick_bytes = 10);
    let myself = rig.addr();
    for _ in 0..3 {
        rig.peer.tx(&[1; 100], &myself).unwrap();
    }
    assert_eq!(rig.peer.service().grams_out, 1);
    let done = rig.peer.service();
    assert_eq!((done.grams_out, done.grams_in, done.more), (1, 1, true));
    rig.until(|peer| peer.rx().len() == 3);
}

/// One under, at, and one over: what is exactly spent is spent, each way.
#[test]
fn the_last_byte_of_a_tick_ends_it() {
    for (budget, together) in [(19, 2), (20, 2), (21, 3)] {
        let mut rig = Rig::with(|config| config.tick_bytes = budget);
        let (socket, addr) = plain();
        for _ in 0..4 {
            rig.peer.tx(&[1; 10], &addr).unwrap();
            socket.send_to(&[2; 10], rig.addr().inet().unwrap()).unwrap();
        }
        let done = rig.peer.service();
        assert_eq!((done.grams_out, done.grams_in), (together, together), "{budget}");
    }
}

#[test]
fn a_wait_and_its_service_share_a_budget() {
    let mut rig = Rig::with(|config| config.tick_grams = 3);
    let (_socket, addr) = plain();
    for _ in 0..8 {
        rig.peer.tx(b"x", &addr).unwrap();
    }
    rig.peer.wait(None);
    assert_eq!(rig.peer.service().grams_out, 3);
    assert_eq!(rig.peer.service().grams_out, 3);
    assert_eq!(rig.peer.service().grams_out, 2);
}

#[test]
fn what_is_too_large_or_too_much_to_send_is_an_error_at_once() {
    let mut rig = Rig::with(|config| {
        config.max_gram = 50;
        config.tx_grams = 3;
        config.tx_bytes = 120;
    });
    let (_socket, addr) = plain();
    assert_eq!(rig.peer.tx(&[0; 51], &addr), Err(GramError::TooLarge));
    assert_eq!(rig.peer.tx(&[0; 50], &addr), Ok(()));
    assert_eq!(rig.peer.tx(&[0; 50], &addr), Ok(()));
    assert_eq!(rig.peer.can_tx(21, &addr), Err(GramError::Full));
    assert_eq!(rig.peer.tx(&[0; 21], &addr), Err(GramError::Full));
    assert_eq!(rig.peer.tx(&[0; 20], &addr), Ok(()));
    assert_eq!(rig.peer.tx(&[], &addr), Err(GramError::Full), "three are there");
    assert_eq!(rig.peer.counters().tx_refused, 2);
    assert_eq!(rig.peer.service_sends(), 3);
    assert_eq!(rig.peer.tx(&[], &addr), Ok(()));
    assert_eq!(rig.peer.tx(&[], tymist::net::Addr::Unnamed), Err(GramError::NoAddress));
}

#[test]
fn settings_below_one_count_as_one() {
    let mut rig = Rig::with(|config| {
        (config.rx_grams, config.rx_bytes, config.tx_grams, config.tx_bytes) = (0, 0, 0, 0);
        (config.tick_grams, config.tick_bytes, config.events) = (0, 0, 0);
    });
    let myself = rig.addr();
    for _ in 0..3 {
        rig.peer.tx(b"through", &myself).unwrap();
        assert_eq!(rig.gram().data, "through");
    }
}

#[test]
fn max_gram_zero_lets_only_empty_ones_be_whole() {
    let mut rig = Rig::with(|config| config.max_gram = 0);
    let (socket, _) = plain();
    socket.send_to(b"", rig.addr().inet().unwrap()).unwrap();
    socket.send_to(b"a", rig.addr().inet().unwrap()).unwrap();
    let (one, two) = (rig.gram(), rig.gram());
    assert_eq!((one.data.len(), one.truncated), (0, false));
    assert_eq!((two.data.len(), two.truncated), (0, true));
}
