//! What hio gets wrong with datagrams, one test each.

use std::io::ErrorKind;

use tymist::net::Bind;
use tymist::{GramConfig, GramError, GramEvent, Peer};

use super::{Rig, alone, loopback, plain, plain_at, receive};

/// hio sets `SO_REUSEPORT`, so that two peers bind one port and share its datagrams, silently.
#[test]
fn two_peers_never_share_a_port_unasked() {
    let rig = Rig::new();
    let mut second = Peer::new(GramConfig::new());
    let error = second.open(Bind::new(rig.addr())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(error.addr(), &rig.addr());
    assert!(!second.opened());
}

#[test]
#[cfg(unix)]
fn two_peers_share_a_port_where_both_ask_for_it() {
    let mut bind = loopback();
    bind.reuse_port = true;
    let first = Rig::on(bind.clone(), |_| {});
    bind.addr = first.addr();
    let second = Rig::on(bind, |_| {});
    assert_eq!(first.addr(), second.addr());
}

/// hio cuts a long datagram and does not say so.
#[test]
fn a_cut_datagram_is_flagged() {
    let mut rig = Rig::with(|config| config.max_gram = 100);
    let (socket, _) = plain();
    for len in [99, 100, 101, 60_000] {
        socket.send_to(&vec![7; len], rig.addr().inet().unwrap()).unwrap();
        let gram = rig.gram();
        assert_eq!((gram.data.len(), gram.truncated), (len.min(100), len > 100), "{len}");
    }
    assert_eq!(rig.peer.counters().truncated, 2);
}

/// hio raises out of `service()` for a datagram that is too long for the network.
#[test]
fn an_oversize_datagram_is_an_event_and_the_next_one_goes() {
    let mut rig = Rig::new();
    let (socket, addr) = plain();
    rig.peer.tx(&[1; 65_507], &addr).unwrap();
    rig.peer.tx(&[2; 65_508], &addr).unwrap();
    rig.peer.tx(b"after it", &addr).unwrap();
    rig.until(|peer| peer.counters().grams_out == 2);
    rig.events();
    let wanted = |event: &GramEvent| matches!(event, GramEvent::Unsent { len: 65_508, to, .. } if *to == addr);
    assert_eq!(rig.log.iter().filter(|event| wanted(event)).count(), 1, "{:?}", rig.log);
    assert_eq!(rig.peer.counters().unsent, 1);
    assert_eq!(receive(&socket).0, [1; 65_507]);
    assert_eq!(receive(&socket).0, b"after it");
}

/// hio raises out of `service()` for a broadcast that is not enabled, and for what has no route.
#[test]
#[cfg(target_os = "linux")]
fn what_the_network_refuses_is_an_event_and_the_next_one_goes() {
    let mut rig = Rig::new();
    let (socket, addr) = plain();
    let impossible = [([255, 255, 255, 255], 9), ([127, 0, 0, 1], 0)];
    for to in impossible {
        rig.peer.tx(b"nobody gets this", to).unwrap();
    }
    // An IPv4 socket has no way to IPv6.
    rig.peer.tx(b"nor this", (std::net::Ipv6Addr::LOCALHOST, 9)).unwrap(); // house: fixed-port, never sent
    rig.peer.tx(b"but this", &addr).unwrap();
    rig.until(|peer| peer.counters().grams_out == 1);
    assert_eq!(rig.peer.counters().unsent, 3, "{:?}", rig.log);
    assert_eq!(receive(&socket).0, b"but this");
}

/// An ICMP error that comes back ends nothing.
#[test]
fn nobody_listening_is_an_event_and_the_socket_goes_on() {
    let (gone, addr) = plain_at(alone(77));
    drop(gone);
    let mut bind = loopback();
    bind.peer = Some(addr.clone());
    let mut rig = Rig::on(bind, |_| {});
    rig.peer.tx_peer(b"anybody?").unwrap();
    let refused = |event: &GramEvent| {
        matches!(
            event,
            GramEvent::Unreachable { error, .. } if error.kind() == ErrorKind::ConnectionRefused
        )
    };
    rig.until_event(refused);
    assert_eq!(rig.peer.counters().unreachable, 1);
    // Sends meet the report too: the datagram at hand is not lost for an earlier one.
    for _ in 0..20 {
        rig.peer.tx_peer(b"anybody?").unwrap();
        rig.peer.service_sends();
    }
    rig.until(|peer| peer.tx_grams() == 0);
    assert_eq!(rig.peer.counters().unsent, 0, "{:?}", rig.log);
    let back = std::net::UdpSocket::bind(addr.inet().unwrap()).unwrap();
    back.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    rig.peer.tx_peer(b"you?").unwrap();
    rig.until(|peer| peer.tx_grams() == 0);
    assert_eq!(receive(&back).0, b"you?");
    back.send_to(b"me", rig.addr().inet().unwrap()).unwrap();
    assert_eq!(rig.gram().data, "me");
}

/// A socket that is not connected is not told on Linux; nothing comes of it anywhere.
#[test]
fn nobody_listening_does_not_stop_an_unconnected_socket() {
    let (gone, addr) = plain_at(alone(78));
    drop(gone);
    let mut rig = Rig::new();
    let myself = rig.addr();
    for _ in 0..50 {
        rig.peer.tx(b"anybody?", &addr).unwrap();
    }
    rig.peer.tx(b"myself", &myself).unwrap();
    assert_eq!(rig.gram().data, "myself");
    assert_eq!(rig.peer.counters().grams_out, 51);
}

/// What `other`, which `rig` is connected to, answers arrives.
fn hears_its_peer(rig: &mut Rig, other: &mut Rig) {
    rig.peer.tx_peer(b"ping").unwrap();
    rig.until(|peer| peer.tx_grams() == 0);
    let ping = other.gram();
    other.peer.tx(b"pong", ping.from).unwrap();
    other.until(|peer| peer.tx_grams() == 0);
    assert_eq!(rig.gram().data, "pong");
    assert_eq!(rig.peer.counters().strangers, 0);
}

/// The system connects to the loopback address for it, and so says who sent: all of it was dropped as a stranger's.
#[test]
fn regression_a_peer_named_by_the_unspecified_address_is_no_stranger() {
    for (here, any) in [("127.0.0.1:0", "0.0.0.0:0"), ("[::1]:0", "[::]:0")] {
        let mut other = Rig::on(here.parse().unwrap(), |_| {});
        let mut bind: Bind = here.parse().unwrap();
        let mut peer: std::net::SocketAddr = any.parse().unwrap();
        peer.set_port(other.addr().port().unwrap());
        bind.peer = Some(peer.into());
        let mut rig = Rig::on(bind, |_| {});
        hears_its_peer(&mut rig, &mut other);
    }
}

/// Only addresses of one link have a scope: the system takes one elsewhere, and says none of who sent. All of it was dropped as a stranger's.
#[cfg(target_os = "linux")]
#[test]
fn regression_a_peer_with_a_scope_that_means_nothing_is_no_stranger() {
    let mut other = Rig::on("[::1]:0".parse().unwrap(), |_| {});
    let mut bind: Bind = "[::1]:0".parse().unwrap();
    let port = other.addr().port().unwrap();
    let scoped = std::net::SocketAddrV6::new(std::net::Ipv6Addr::LOCALHOST, port, 0, 1);
    bind.peer = Some(std::net::SocketAddr::from(scoped).into());
    let mut rig = Rig::on(bind, |_| {});
    hears_its_peer(&mut rig, &mut other);
}

/// What it sends came from its peer however that is written; to the peer it went only as it had been written.
#[test]
fn regression_the_peer_may_be_written_otherwise() {
    let mut other = Rig::new();
    let mut bind = loopback();
    bind.peer = Some(other.addr());
    let mut rig = Rig::on(bind, |_| {});
    let (ip, port) = (std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), other.addr().port().unwrap());
    assert_eq!(rig.peer.tx(b"x", (ip, port ^ 1)), Err(GramError::NotThePeer));
    rig.peer.tx(b"hello", (ip, port)).unwrap();
    rig.tick();
    assert_eq!(other.gram().data, "hello");
}
