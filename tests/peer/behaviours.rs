//! What hio's users rely on.

use tymist::net::{Addr, Bind};
use tymist::{GramConfig, GramError, GramEvent, Peer, Wake};

use super::{Rig, alone, loopback, plain, receive};

/// Behaviour 64.
#[test]
fn a_peer_sends_to_and_receives_from_many_itself_included() {
    let mut rig = Rig::new();
    let others: Vec<_> = (0..5).map(|_| plain()).collect();
    assert!(rig.peer.take().is_none(), "nothing");
    rig.tick();
    assert!(rig.peer.take().is_none(), "still nothing");
    let myself = rig.addr();
    rig.peer.tx(b"to myself", &myself).unwrap();
    for (number, (socket, addr)) in others.iter().enumerate() {
        rig.peer.tx(&[number as u8], addr).unwrap();
        socket.send_to(&[number as u8 + 100], myself.inet().unwrap()).unwrap();
    }
    rig.until(|peer| peer.rx().len() == 6);
    for (number, (socket, _)) in others.iter().enumerate() {
        assert_eq!(receive(socket), (vec![number as u8], myself.clone()));
    }
    let mut got: Vec<_> = std::iter::from_fn(|| rig.peer.take())
        .map(|gram| (gram.from, gram.data.to_vec()))
        .collect();
    let mut wanted: Vec<_> = others
        .iter()
        .enumerate()
        .map(|(number, (_, addr))| (addr.clone(), vec![number as u8 + 100]))
        .collect();
    wanted.push((myself, b"to myself".to_vec()));
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

/// Behaviour 65.
#[test]
fn an_empty_datagram_is_told_from_nothing() {
    let mut rig = Rig::new();
    let (socket, addr) = plain();
    socket.send_to(b"", rig.addr().inet().unwrap()).unwrap();
    let gram = rig.gram();
    assert_eq!((gram.data.len(), &gram.from, gram.truncated), (0, &addr, false));
    assert!(rig.peer.take().is_none());
    rig.peer.tx(b"", &addr).unwrap();
    rig.until(|peer| peer.counters().grams_out == 1);
    assert_eq!(receive(&socket), (Vec::new(), rig.addr()));
}

/// Behaviour 66.
#[test]
fn kernel_buffers_hold_so_many_of_the_largest_datagram() {
    assert_eq!(GramConfig::new().max_gram, 65_535);
    let rig = Rig::with(|config| config.buffer_grams = 4);
    let sizes = rig.peer.buffer_sizes().unwrap();
    assert!(sizes.recv >= 4 * 65_535 && sizes.send >= 4 * 65_535, "{sizes:?}");
    let small = Rig::new().peer.buffer_sizes().unwrap();
    assert!(small.recv < sizes.recv, "or this shows nothing: {small:?}");
}

#[test]
fn what_is_asked_for_the_socket_counts_where_it_is_more() {
    let mut bind = loopback();
    bind.recv_buffer = Some(300_000);
    let rig = Rig::on(bind, |config| (config.buffer_grams, config.max_gram) = (1, 1000));
    assert!(rig.peer.buffer_sizes().unwrap().recv >= 300_000);
}

/// Behaviour 68.
#[test]
#[cfg(target_os = "linux")]
fn broadcast_needs_to_be_enabled() {
    let everybody = Addr::from(([0, 0, 0, 0], 0));
    let mut listener = Rig::on(Bind::new(everybody), |_| {});
    let to = Addr::from(([127, 255, 255, 255], listener.addr().port().unwrap()));
    let mut rig = Rig::new();
    rig.peer.tx(b"who is there", &to).unwrap();
    let refused = rig.until_event(|event| matches!(event, GramEvent::Unsent { .. }));
    let GramEvent::Unsent { to: told, len, error, .. } = refused else { unreachable!() };
    assert_eq!((&told, len, error.kind()), (&to, 12, std::io::ErrorKind::PermissionDenied));

    rig.peer.set_option(tymist::net::GramOption::Broadcast(true)).unwrap();
    rig.peer.tx(b"and now", &to).unwrap();
    rig.until(|peer| peer.counters().grams_out == 1);
    assert_eq!(listener.gram().data, "and now");

    let mut bind = loopback();
    bind.broadcast = true;
    let mut rig = Rig::on(bind, |_| {});
    rig.peer.tx(b"from the start", &to).unwrap();
    rig.until(|peer| peer.counters().grams_out == 1);
    assert_eq!(listener.gram().data, "from the start");
}

#[test]
fn opening_closing_and_reopening() {
    let mut peer = Peer::new(GramConfig::new());
    assert!(!peer.opened());
    assert_eq!(peer.tx(b"x", ([127, 0, 0, 1], 0)), Err(GramError::Closed));
    assert_eq!(peer.buffer_sizes().unwrap(), tymist::net::BufferSizes::default());
    assert!(peer.reopen().is_err(), "it never was open");
    peer.close();
    peer.open(alone(79)).unwrap();
    let addr = peer.local_addr().clone();
    assert!(peer.opened() && addr.port().unwrap() != 0);
    peer.reopen().unwrap();
    assert_eq!(peer.local_addr(), &addr, "one that is open stays so");

    // What is queued leaves, what came in stays.
    peer.tx(b"last words", &addr).unwrap();
    peer.service();
    peer.wait(None);
    peer.service();
    peer.tx(b"of no use", &addr).unwrap();
    peer.close();
    peer.close();
    assert!(!peer.opened());
    assert_eq!(peer.counters().grams_out, 2, "a try at the end");
    assert_eq!(peer.take().unwrap().data, "last words");
    peer.reopen().unwrap();
    assert_eq!(peer.local_addr(), &addr, "at the port it had");
    assert!(peer.service().grams_in == 0 && peer.take().is_none(), "another socket");
}

#[test]
fn what_is_taken_can_be_sent_on_without_a_copy() {
    let mut rig = Rig::new();
    let (socket, addr) = plain();
    socket.send_to(b"there and back", rig.addr().inet().unwrap()).unwrap();
    let gram = rig.gram();
    let at = gram.data.as_ptr();
    rig.peer.tx_bytes(gram.data, gram.from).unwrap();
    assert_eq!(rig.peer.service_sends(), 1);
    assert_eq!(receive(&socket).0, b"there and back");
    assert!(!at.is_null() && addr.port().is_some());
}

#[test]
fn only_the_next_tick_sends_and_its_summary_counts() {
    let mut rig = Rig::new();
    let myself = rig.addr();
    assert_eq!(rig.peer.wake(), Wake::OnIo);
    rig.peer.tx(b"four", &myself).unwrap();
    rig.peer.tx(b"more", &myself).unwrap();
    assert_eq!((rig.peer.tx_grams(), rig.peer.tx_queued()), (2, 8));
    assert_eq!(rig.peer.counters().grams_out, 0);
    assert_eq!(rig.peer.wake(), Wake::Now);
    let done = rig.peer.service();
    assert_eq!((done.grams_out, done.bytes_out), (2, 8));
    assert_eq!(rig.peer.tx_grams(), 0);
    rig.until(|peer| peer.rx().len() == 2);
    assert_eq!(rig.peer.rx_bytes(), 8);
    assert_eq!(rig.peer.service_receives(), 0);
    rig.events();
    // One `Received` for both, and it is told again only for what comes anew.
    let received = |rig: &Rig| rig.log.iter().filter(|e| **e == GramEvent::Received).count();
    assert!((1..=2).contains(&received(&rig)), "{:?}", rig.log);
    let before = received(&rig);
    rig.tick();
    assert_eq!(received(&rig), before);
}

#[test]
fn who_only_takes_is_not_kept_awake_by_events() {
    let mut rig = Rig::new();
    let myself = rig.addr();
    rig.peer.tx(b"x", &myself).unwrap();
    for _ in 0..super::ROUNDS {
        rig.peer.wait(Some(super::ROUND));
        rig.peer.service();
        if rig.peer.take().is_some() {
            assert_eq!(rig.peer.wake(), Wake::OnIo);
            return;
        }
    }
    panic!("it never came");
}

#[test]
fn ipv6_and_both_kinds_on_one_socket() {
    let mut bind: Bind = "[::]:0".parse().unwrap();
    bind.only_v6 = Some(false);
    let mut rig = Rig::on(bind, |_| {});
    let port = rig.addr().port().unwrap();
    let mut six = Rig::on("[::1]:0".parse().unwrap(), |_| {});
    six.peer.tx(b"six", Addr::from((std::net::Ipv6Addr::LOCALHOST, port))).unwrap();
    six.until(|peer| peer.counters().grams_out == 1);
    let gram = rig.gram();
    assert_eq!((gram.from, &gram.data[..]), (six.addr(), &b"six"[..]));

    let (four, addr) = plain();
    four.send_to(b"four", ("127.0.0.1", port)).unwrap();
    let gram = rig.gram();
    assert_eq!(gram.from.ip(), addr.ip(), "as IPv4 that IPv6 carries");
    rig.peer.tx_bytes(gram.data, gram.from).unwrap();
    rig.until(|peer| peer.counters().grams_out == 1);
    assert_eq!(receive(&four).0, b"four");
}

#[test]
fn connected_mode_has_one_peer() {
    let (friend, addr) = plain();
    let (stranger, stranger_addr) = plain();
    let mut bind = loopback();
    bind.peer = Some(addr.clone());
    let mut rig = Rig::on(bind, |_| {});
    let here = rig.addr().inet().unwrap();
    assert_eq!(rig.peer.peer_addr(), Some(&addr));
    stranger.send_to(b"let me in", here).unwrap();
    friend.send_to(b"it is me", here).unwrap();
    let gram = rig.gram();
    assert_eq!((&gram.data[..], gram.from), (&b"it is me"[..], addr.clone()));
    rig.tick();
    assert!(rig.peer.take().is_none());
    assert_eq!(rig.peer.tx(b"x", stranger_addr), Err(GramError::NotThePeer));
    rig.peer.tx_peer(b"hello").unwrap();
    rig.peer.tx(b"friend", addr).unwrap();
    rig.until(|peer| peer.counters().grams_out == 2);
    assert_eq!(receive(&friend).0, b"hello");
    assert_eq!(receive(&friend).0, b"friend");
    assert_eq!(Rig::new().peer.tx_peer(b"x"), Err(GramError::NoAddress));
}

#[test]
fn a_wire_log_shows_what_really_moved() {
    let mut rig = Rig::new();
    let log = tymist::wire::WireLog::memory(1 << 16);
    rig.peer.set_wire_log(Some(log.clone()));
    let myself = rig.addr();
    rig.peer.tx(b"seen", &myself).unwrap();
    rig.peer.tx(&[0; 65_508], &myself).unwrap();
    rig.gram();
    let records = log.records();
    let moved: Vec<_> = records.iter().map(|r| (r.direction, &r.data[..], &r.peer)).collect();
    use tymist::wire::Direction::{Rx, Tx};
    assert_eq!(moved, [(Tx, &b"seen"[..], &myself), (Rx, &b"seen"[..], &myself)]);
}

#[test]
fn a_waker_and_the_descriptor_end_a_wait() {
    let mut rig = Rig::new();
    let waker = rig.peer.waker().unwrap();
    let thread = std::thread::spawn(move || waker.wake().unwrap());
    rig.peer.wait(None);
    thread.join().unwrap();
    #[cfg(unix)]
    assert!(rig.peer.poll_fd().is_some());
}
