//! Datagrams that are taken several at a time.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::UdpSocket;

use tymist::net::{Addr, Bind};
use tymist::{GramEvent, Wake};

use super::scripted::{Script, friend, rig};
use super::{Rig, plain};

/// Sends what `lens` says through each of `senders`, some at a time so that nothing is lost, and checks that all of it comes, in the order of each.
#[track_caller]
fn check_receiving(bind: &str, senders: &[(UdpSocket, Addr)], to: impl Fn(u16) -> Addr) {
    const LENS: [usize; 9] = [1, 0, 1200, 64, 9000, 2, 1473, 0, 30_000];
    let mut rig = Rig::on(bind.parse::<Bind>().unwrap(), |config| config.rx_grams = 10_000);
    let to = to(rig.addr().port().unwrap()).inet().unwrap();
    let (mut sent, mut got) = (BTreeMap::new(), BTreeMap::<Addr, Vec<Vec<u8>>>::new());
    let mut count = 0;
    for round in 0..6 {
        for (nth, len) in LENS.iter().enumerate() {
            for (number, (socket, addr)) in senders.iter().enumerate() {
                let data = vec![(round * 50 + nth * 5 + number) as u8; *len];
                socket.send_to(&data, to).unwrap();
                sent.entry(addr.clone()).or_insert_with(Vec::new).push(data);
                count += 1;
            }
            // Three of thirty thousand bytes are about what a small socket has room for.
            if nth % 4 == 3 || *len > 10_000 {
                rig.until(|peer| peer.counters().grams_in == count);
            }
        }
        while let Some(gram) = rig.peer.take() {
            assert!(!gram.truncated);
            got.entry(gram.from).or_default().push(gram.data.to_vec());
        }
    }
    assert_eq!(got.len(), senders.len());
    for (from, grams) in &sent {
        let lens = |grams: &[Vec<u8>]| grams.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lens(&got[from]), lens(grams), "from {from}");
        assert!(got[from] == *grams, "from {from}");
    }
}

#[test]
fn many_datagrams_from_many_senders_come_whole_and_in_order() {
    let senders: Vec<_> = (0..3).map(|_| plain()).collect();
    check_receiving("127.0.0.1:0", &senders, |port| ([127, 0, 0, 1], port).into());
}

#[test]
fn those_of_ipv6_too() {
    let sender = || {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let addr = socket.local_addr().unwrap().into();
        (socket, addr)
    };
    let senders: Vec<_> = (0..3).map(|_| sender()).collect();
    check_receiving("[::1]:0", &senders, |port| format!("[::1]:{port}").parse().unwrap());
}

#[test]
fn what_is_too_long_is_cut_and_told_of_each_among_many() {
    let mut rig = Rig::with(|config| config.max_gram = 100);
    let (socket, _) = plain();
    let lens = [99, 100, 101, 3000, 0, 101, 100, 99, 9000, 1, 100, 101];
    for len in lens {
        socket.send_to(&vec![len as u8; len], rig.addr().inet().unwrap()).unwrap();
    }
    rig.until(|peer| peer.rx().len() == lens.len());
    for len in lens {
        let gram = rig.peer.take().unwrap();
        assert_eq!((gram.data.len(), gram.truncated), (len.min(100), len > 100));
    }
    assert_eq!(rig.peer.counters().truncated, lens.iter().filter(|len| **len > 100).count() as u64);
}

#[test]
fn budgets_hold_where_many_are_taken_at_once() {
    let count = |grams: usize, bytes: usize, len: usize, sent: usize| {
        let mut bind = super::loopback();
        bind.recv_buffer = Some(1 << 20);
        let mut rig = Rig::on(bind, |config| {
            (config.tick_grams, config.tick_bytes, config.rx_bytes) = (grams, bytes, 1 << 24);
        });
        let (socket, _) = plain();
        for _ in 0..sent {
            socket.send_to(&vec![0; len], rig.addr().inet().unwrap()).unwrap();
        }
        let mut taken = Vec::new();
        for _ in 0..sent {
            taken.push(rig.peer.service().grams_in);
        }
        taken.truncate(sent.min(taken.iter().rposition(|count| *count > 0).unwrap() + 1));
        taken
    };
    assert_eq!(count(10, 1 << 20, 10, 35), [10, 10, 10, 5]);
    assert_eq!(count(1, 1 << 20, 10, 3), [1, 1, 1]);
    // A tick ends with the first datagram that reaches its bytes.
    for bytes in [65_536, 66_000, 140_000, 300_000] {
        let most = usize::div_ceil(bytes, 20_000);
        assert_eq!(count(256, bytes, 20_000, 16)[..2], [most, (16 - most).min(most)], "{bytes}");
    }
}

/// What is left of one while its thread ends is let go of in an order of its own.
#[test]
fn many_come_also_while_a_thread_ends() {
    use std::cell::RefCell;
    use std::sync::mpsc::{Sender, channel};

    struct Last(Rig, Sender<Vec<u8>>);

    impl Drop for Last {
        fn drop(&mut self) {
            let Last(rig, told) = self;
            rig.tick_now();
            told.send(taken(rig)).unwrap();
        }
    }

    thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });

    let (told, hears) = channel();
    let thread = std::thread::spawn(move || {
        // Before anything else of the thread is made, so that it goes last.
        LAST.with_borrow_mut(|_| ());
        let mut rig = Rig::new();
        let (socket, _) = plain();
        let send = |rig: &Rig| {
            for nth in 0..20 {
                socket.send_to(&[nth], rig.addr().inet().unwrap()).unwrap();
            }
        };
        send(&rig);
        rig.tick_now();
        assert_eq!(taken(&mut rig).len(), 20);
        send(&rig);
        LAST.with_borrow_mut(|last| *last = Some(Last(rig, told)));
    });
    assert_eq!(hears.recv().unwrap(), (0..20).collect::<Vec<_>>());
    thread.join().unwrap();
}

/// So many datagrams wait, and the socket has said so.
fn waiting(count: usize) -> (Rig, Script) {
    let (rig, script) = rig(|_| {});
    {
        let mut state = script.lock();
        (state.together, state.keeps_readiness) = (true, true);
        state.receives.extend((0..count).map(|nth| Ok((vec![nth as u8], friend()))));
    }
    script.ready(true, false);
    (rig, script)
}

fn taken(rig: &mut Rig) -> Vec<u8> {
    std::iter::from_fn(|| rig.peer.take()).map(|gram| gram.data[0]).collect()
}

#[test]
fn where_many_come_few_calls_are_made() {
    let (mut rig, script) = waiting(100);
    rig.tick_now();
    assert_eq!(taken(&mut rig), (0..100).collect::<Vec<_>>());
    let asked = script.lock().asked.clone();
    assert!(asked.len() < 20 && asked.iter().all(|asked| (2..100).contains(asked)), "{asked:?}");
    assert!(rig.log.iter().all(|event| *event == GramEvent::Received));
}

/// Who sent is said by the system's name for it, of each of several, too.
#[test]
fn many_of_a_peer_named_by_the_unspecified_address_are_its_own() {
    for (here, any) in [("127.0.0.1:0", "0.0.0.0:0"), ("[::1]:0", "[::]:0")] {
        let other = UdpSocket::bind(here).unwrap();
        let mut peer: std::net::SocketAddr = any.parse().unwrap();
        peer.set_port(other.local_addr().unwrap().port());
        let mut bind: Bind = here.parse().unwrap();
        bind.peer = Some(peer.into());
        let mut rig = Rig::on(bind, |_| {});
        for nth in 0..20 {
            other.send_to(&[nth], rig.addr().inet().unwrap()).unwrap();
        }
        rig.until(|peer| peer.rx().len() == 20);
        assert!(rig.peer.rx().all(|gram| gram.from == peer.into()), "{here}");
        assert_eq!((taken(&mut rig), rig.peer.counters().strangers), ((0..20).collect(), 0));
    }
}

/// For a few, single calls cost less.
#[test]
fn several_are_asked_for_once_two_ticks_have_brought_four() {
    for (waves, asked) in
        [(&[3][..], &[][..]), (&[4], &[8]), (&[2, 1, 2, 1], &[]), (&[2, 2, 1], &[8, 8])]
    {
        let (mut rig, script) = waiting(0);
        for wave in waves {
            script.lock().receives.extend((0..*wave).map(|nth| Ok((vec![nth], friend()))));
            script.ready(true, false);
            rig.tick_now();
            assert_eq!(taken(&mut rig), (0..*wave).collect::<Vec<_>>());
        }
        assert_eq!(script.lock().asked, asked, "{waves:?}");
    }
}

#[test]
fn a_tick_that_a_wait_has_begun_hands_on_what_has_come_before_it_asks_again() {
    let (mut rig, script) = waiting(8 + 5);
    rig.tick();
    assert_eq!(taken(&mut rig).len(), 8, "a burst");
    rig.tick();
    assert_eq!(taken(&mut rig).len(), 5);
    assert_ne!(rig.peer.wake(), Wake::Now, "it has taken all there was");
    script.lock().receives.push_back(Ok((vec![99], friend())));
    let harvests = script.lock().harvests;
    // Nothing will tell of that one: whoever slept now might sleep for ever.
    rig.peer.wait(None);
    assert_eq!(script.lock().harvests, harvests, "it slept");
    rig.tick_now();
    assert_eq!(taken(&mut rig), [99]);
    rig.tick();
    rig.peer.wait(None);
    assert_eq!(script.lock().harvests, harvests + 1, "the network has said that there is no more");
}

#[test]
fn a_burst_of_many_is_taken_by_several_calls() {
    let mut rig = Rig::with(|config| config.burst_grams = 40);
    let (socket, _) = plain();
    for nth in 0..45 {
        socket.send_to(&[nth], rig.addr().inet().unwrap()).unwrap();
    }
    rig.tick();
    assert_eq!(taken(&mut rig), (0..40).collect::<Vec<_>>());
    assert_eq!(rig.peer.wake(), Wake::Now);
    rig.tick();
    assert_eq!(taken(&mut rig), (40..45).collect::<Vec<_>>());
}

#[test]
fn each_time_that_many_come_they_are_told() {
    let (mut rig, script) = waiting(6);
    for _ in 0..3 {
        assert_eq!(rig.tick(), [GramEvent::Received]);
        assert_eq!(taken(&mut rig), [0, 1, 2, 3, 4, 5]);
        assert_eq!(rig.tick(), []);
        script.lock().receives.extend((0..6).map(|nth| Ok((vec![nth], friend()))));
        script.ready(true, false);
    }
}

#[test]
fn a_tick_that_no_wait_has_begun_takes_all_there_is() {
    let (mut rig, script) = waiting(6);
    script.lock().receives.push_back(Err(ErrorKind::ConnectionRefused.into()));
    script.lock().receives.extend((6..9).map(|nth| Ok((vec![nth], friend()))));
    rig.tick_now();
    assert_eq!(taken(&mut rig), (0..9).collect::<Vec<_>>());
}

#[test]
fn an_error_among_many_is_told_and_what_follows_it_is_not_lost() {
    let (mut rig, script) = waiting(6);
    script.lock().receives.push_back(Err(ErrorKind::ConnectionRefused.into()));
    script.lock().receives.extend((6..9).map(|nth| Ok((vec![nth], friend()))));
    for _ in 0..4 {
        rig.tick();
    }
    assert_eq!(taken(&mut rig), (0..9).collect::<Vec<_>>());
    let reports = rig.log.iter().filter(|event| matches!(event, GramEvent::Unreachable { .. }));
    assert_eq!(reports.count(), 1);
}

#[test]
fn a_network_that_claims_more_than_it_was_asked_for_is_not_believed() {
    let (mut rig, script) = waiting(20);
    script.lock().too_many = 3;
    rig.tick_now();
    assert_eq!(taken(&mut rig), (0..20).collect::<Vec<_>>());
    assert_eq!(rig.peer.counters().grams_in, 20);
}

#[test]
fn who_knows_that_there_is_more_does_not_ask_the_poller() {
    for keeps in [true, false] {
        let (mut rig, script) = rig(|config| config.tick_grams = 2);
        script.lock().keeps_readiness = keeps;
        script.lock().receives.extend((0..5).map(|nth| Ok((vec![nth], friend()))));
        script.ready(true, false);
        let harvests = if keeps { [1, 1, 1, 2] } else { [1, 2, 3, 4] };
        for harvests in harvests {
            rig.tick_now();
            assert_eq!(script.lock().harvests, harvests, "or where it must be asked: {keeps}");
        }
        assert_eq!(taken(&mut rig), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn who_has_no_room_to_send_asks_the_poller_all_the_same() {
    let (mut rig, script) = rig(|config| config.tick_grams = 1);
    {
        let mut state = script.lock();
        state.keeps_readiness = true;
        state.receives.extend((0..5).map(|nth| Ok((vec![nth], friend()))));
        state.sends.push_back(ErrorKind::WouldBlock.into());
    }
    script.ready(true, false);
    rig.peer.tx(b"waits", friend()).unwrap();
    rig.tick_now();
    script.ready(false, true);
    rig.tick_now();
    assert_eq!(script.lock().harvests, 2);
    assert_eq!(rig.peer.tx_grams(), 0, "it was told of room");
}

/// What the poller knows would wake whoever watches it, again and again.
#[test]
fn regression_while_receiving_rests_the_poller_is_asked() {
    const EPROTO: i32 = if cfg!(target_os = "linux") { 71 } else { 100 };
    let (mut rig, script) = rig(|_| {});
    script.lock().keeps_readiness = true;
    script.lock().for_ever = Some(EPROTO);
    script.ready(true, false);
    for _ in 0..100 {
        rig.tick_now();
    }
    let harvests = script.lock().harvests;
    assert_eq!(rig.peer.counters().pauses, 1);
    for more in 1..4 {
        rig.tick_now();
        assert_eq!(script.lock().harvests, harvests + more);
    }
}
