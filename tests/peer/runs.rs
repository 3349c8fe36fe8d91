//! Datagrams that are sent several at a time, or as one.

use std::net::UdpSocket;

use tymist::net::{Addr, Bind};

use super::{Rig, plain, receive};

/// What is to be sent to one receiver: runs, what ends them, and what is no run.
const TO_ONE: [usize; 28] = [
    100, 100, 100, 100, 100, 50, 100, 100, 0, 100, 100, 200, 200, 200, 1, 1, 1, 1, 1, 1, 16_000,
    16_000, 16_000, 15_999, 16_001, 16_001, 0, 0,
];

/// Sends that from `bind`, and to another receiver in between, with so many between two of its kind.
#[track_caller]
fn check_sending(bind: &str, one: &(UdpSocket, Addr), other: &(UdpSocket, Addr), between: usize) {
    let mut rig = Rig::on(bind.parse::<Bind>().unwrap(), |_| {});
    for (nth, len) in TO_ONE.iter().enumerate() {
        rig.peer.tx(&vec![nth as u8; *len], &one.1).unwrap();
        if nth % (between + 1) == between {
            rig.peer.tx(&[nth as u8; 100], &other.1).unwrap();
        }
        // Together they may be more than the receiver has room for.
        if nth % 12 == 11 {
            check_received(&mut rig, one, nth - 11, nth + 1);
        }
    }
    check_received(&mut rig, one, TO_ONE.len() / 12 * 12, TO_ONE.len());
    for nth in (0..TO_ONE.len()).filter(|nth| nth % (between + 1) == between) {
        assert_eq!(receive(&other.0).0, [nth as u8; 100]);
    }
    let counters = rig.peer.counters();
    assert_eq!(counters.grams_out as usize, TO_ONE.len() + TO_ONE.len() / (between + 1));
    assert_eq!((counters.unsent, &rig.log[..]), (0, &[][..]));
}

#[track_caller]
fn check_received(rig: &mut Rig, one: &(UdpSocket, Addr), from: usize, to: usize) {
    rig.peer.service_sends();
    assert_eq!(rig.peer.tx_grams(), 0);
    for (nth, len) in TO_ONE.iter().enumerate().take(to).skip(from) {
        let data = receive(&one.0).0;
        assert_eq!(data.len(), *len, "the datagram number {nth}");
        assert!(data.iter().all(|byte| usize::from(*byte) == nth), "{nth}");
    }
}

#[test]
fn many_datagrams_for_one_receiver_arrive_as_they_were_queued() {
    for between in [100, 0, 1, 2, 4, 6] {
        check_sending("127.0.0.1:0", &plain(), &plain(), between);
    }
}

#[test]
fn on_ipv6_too_and_to_ipv4_from_there() {
    let v6 = || {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let addr = Addr::from(socket.local_addr().unwrap());
        (socket, addr)
    };
    check_sending("[::1]:0", &v6(), &v6(), 3);
    let mapped = || {
        let (socket, addr) = plain();
        let addr = format!("[::ffff:127.0.0.1]:{}", addr.port().unwrap()).parse().unwrap();
        (socket, addr)
    };
    check_sending("[::]:0", &mapped(), &v6(), 3);
    check_sending("[::]:0", &v6(), &mapped(), 3);
    #[cfg(target_os = "linux")]
    check_sending("[::]:0", &plain(), &mapped(), 3);
}
