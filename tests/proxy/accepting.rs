//! Acceptors that trust a proxy: who is let in, under which address, how it is counted, and what ends it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use tymist::net::Addr;
use tymist::net::proxy::{OtherPeers, ProxyFailure, ProxyProtocol, ProxyVersion};
use tymist::net::tls::{ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig, TlsTime};
use tymist::{CloseReason, Config, Deadline, Event, Id, Refusal};

use crate::tls_support::{EPOCH, pki};
use crate::util::{Rig, connect, send};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n";

pub(crate) fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

/// A server that trusts its own machine.
#[track_caller]
pub(crate) fn trusting(change: impl FnOnce(&mut Config)) -> Rig {
    let mut rig = Rig::with(change);
    let proxy: ProxyProtocol = "127.0.0.0/8".parse().unwrap();
    assert!(rig.server.set_proxy_protocol(rig.acceptor, Some(proxy)));
    rig
}

/// The next connection that is let in.
#[track_caller]
pub(crate) fn accepted(rig: &mut Rig) -> Id {
    rig.until(|event| matches!(event, Event::Accepted(_))).id().unwrap()
}

/// The next connection that fails: who it was, and why.
#[track_caller]
fn failed(rig: &mut Rig) -> (Addr, CloseReason) {
    let event = rig.until(|event| matches!(event, Event::HandshakeFailed { .. }));
    let Event::HandshakeFailed { peer, reason, .. } = event else { unreachable!() };
    (peer, reason)
}

/// A connection whose header says that it is from there, with a word behind it.
#[track_caller]
fn from(rig: &Rig, source: &str) -> TcpStream {
    let mut client = connect(rig.addr);
    send(&mut client, format!("PROXY TCP4 {source} 192.0.2.2 4711 443\r\nhi").as_bytes());
    client
}

fn of(client: &TcpStream) -> Addr {
    client.local_addr().unwrap().into()
}

#[test]
fn it_is_known_by_whom_it_is_for_and_the_proxy_is_known_too() {
    let mut rig = trusting(|_| {});
    let mut client = connect(rig.addr);
    send(&mut client, &[LINE, b"what comes behind"].concat());
    let id = accepted(&mut rig);
    rig.until_unread(id, 17);
    let remoter = rig.server.remoter(id).unwrap();
    assert_eq!(remoter.rx(), b"what comes behind");
    assert_eq!(remoter.peer_addr(), &addr("192.0.2.1:4711"));
    assert_eq!(remoter.local_addr().inet(), Some(rig.addr), "our own end stays ours");
    let proxied = remoter.proxied().unwrap();
    assert_eq!(proxied.proxy_addr(), &of(&client));
    assert_eq!(proxied.destination(), Some(&addr("192.0.2.2:443")));
    assert_eq!(proxied.version(), ProxyVersion::V1);
    assert_eq!(rig.server.at(&addr("192.0.2.1:4711")), Some(id));
    assert_eq!(rig.server.at(&of(&client)), None);
    // An ordinary connection from then on, both ways and to its end.
    rig.server.tx(id, b"answer").unwrap();
    rig.tick();
    assert_eq!(crate::util::receive(&mut client, 6), b"answer");
    send(&mut client, b", and more");
    rig.until_unread(id, 27);
    drop(client);
    rig.until(|event| *event == Event::Eof(id));
    rig.server.remoter_mut(id).unwrap().take();
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    assert!(rig.server.remoter(id).unwrap().proxied().is_some(), "until it is forgotten");
    assert_eq!(rig.server.at(&addr("192.0.2.1:4711")), None);
}

#[test]
fn byte_by_byte_is_as_good() {
    let mut rig = trusting(|_| {});
    let mut client = connect(rig.addr);
    client.set_nodelay(true).unwrap();
    for byte in LINE {
        assert_eq!(rig.server.len(), 0);
        send(&mut client, &[*byte]);
        rig.tick();
    }
    send(&mut client, b"!");
    let id = match rig.log.first() {
        Some(Event::Accepted(id)) => *id,
        _ => accepted(&mut rig),
    };
    rig.until_unread(id, 1);
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"!");
}

#[test]
fn a_peer_that_is_the_proxy_itself_keeps_its_address() {
    let mut rig = trusting(|_| {});
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = connect(rig.addr);
        send(&mut client, header);
        let id = accepted(&mut rig);
        let remoter = rig.server.remoter(id).unwrap();
        assert_eq!(remoter.peer_addr(), &of(&client));
        assert_eq!(remoter.proxied().unwrap().source(), None);
        assert_eq!(rig.server.at(&of(&client)), Some(id));
    }
}

#[test]
fn headers_that_are_none_end_in_their_reason() {
    let mut rig = trusting(|_| {});
    let cases = [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], ProxyFailure::NotProxy),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 65536\r\n", ProxyFailure::Malformed),
        (&[b'P', b'R', b'O', b'X', b'Y', b' ', 0], ProxyFailure::Eof),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", ProxyFailure::Unsupported),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", ProxyFailure::TooLong),
        (b"", ProxyFailure::Eof),
    ];
    for (bytes, why) in cases {
        let mut client = connect(rig.addr);
        send(&mut client, bytes);
        crate::util::end(&client);
        let (peer, reason) = failed(&mut rig);
        assert_eq!((peer, reason), (of(&client), CloseReason::Proxy(why)), "{bytes:?}");
        assert!(reason.to_string().contains("PROXY header"), "{reason}");
    }
    let client = connect(rig.addr);
    rig.until_server(|server| server.cxes() == 1);
    crate::util::reset(client);
    assert_eq!(failed(&mut rig).1, CloseReason::Reset);
    assert_eq!(rig.server.counters().closed.proxy, 6);
    assert_eq!((rig.server.cxes(), rig.server.timers(), rig.server.buffered()), (0, 0, 0));
}

#[test]
fn a_header_that_does_not_come_expires_to_the_nanosecond() {
    let mut rig = trusting(|config| config.timeouts.handshake = Some(Duration::from_secs(3)));
    let mut client = connect(rig.addr);
    send(&mut client, &LINE[..20]);
    rig.until_server(|server| server.cxes() == 1);
    for _ in 0..5 {
        rig.tick();
    }
    assert_eq!(rig.tick_after(Duration::from_secs(3) - Duration::from_nanos(1)), []);
    let events = rig.tick_after(Duration::from_nanos(1));
    let [Event::HandshakeFailed { reason, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*reason, CloseReason::Expired(Deadline::Handshake));
}

#[test]
fn from_elsewhere_it_is_refused_or_taken_for_what_it_is() {
    let mut rig = Rig::with(|_| {});
    let mut proxy: ProxyProtocol = "192.0.2.0/24, 2001:db8::/32".parse().unwrap();
    rig.server.set_proxy_protocol(rig.acceptor, Some(proxy.clone()));
    let client = from(&rig, "198.51.100.1");
    let event = rig.until(|event| matches!(event, Event::Refused { .. }));
    let why = Refusal::Untrusted;
    assert_eq!(event, Event::Refused { acceptor: rig.acceptor, peer: of(&client), why });
    assert_eq!(rig.server.counters().refused.untrusted, 1);
    proxy.others = OtherPeers::Plain;
    rig.server.set_proxy_protocol(rig.acceptor, Some(proxy));
    let client = from(&rig, "198.51.100.1");
    let id = accepted(&mut rig);
    rig.until_unread(id, 20);
    let remoter = rig.server.remoter(id).unwrap();
    assert!(remoter.rx().starts_with(b"PROXY TCP4"), "nothing is believed, nothing is taken off");
    assert_eq!((remoter.peer_addr(), remoter.proxied()), (&of(&client), None));
}

/// Peers are judged by their IPv4 address, which no such network seemed to have.
#[test]
fn regression_a_network_of_mapped_addresses_is_one_of_ipv4() {
    let one: ProxyProtocol = "::ffff:10.0.0.0/104".parse().unwrap();
    let all: ProxyProtocol = "::ffff:0:0/96".parse().unwrap();
    let wider: ProxyProtocol = "::/95,::/0".parse().unwrap();
    for (peer, in_one) in [
        ("10.255.255.255:1", true),
        ("[::ffff:10.1.2.3]:1", true),
        ("9.255.255.255:1", false),
        ("11.0.0.0:1", false),
    ] {
        assert_eq!(one.trusts(&addr(peer)), in_one, "{peer}");
        assert!(all.trusts(&addr(peer)), "{peer}");
        assert!(!wider.trusts(&addr(peer)), "{peer}: who trusts IPv6 trusts no IPv4 by that");
    }
    assert!(!one.trusts(&addr("[::a00:1]:1")) && !all.trusts(&addr("[::a00:1]:1")));
}

#[test]
fn networks_are_what_they_say() {
    let proxy: ProxyProtocol = " 10.0.0.0/8,192.0.2.7 , fd00::/8,".parse().unwrap();
    for (peer, trusted) in [
        ("10.255.255.255:1", true),
        ("11.0.0.0:1", false),
        ("192.0.2.7:1", true),
        ("192.0.2.6:1", false),
        ("[::ffff:10.1.2.3]:1", true),
        ("[fdff::1]:1", true),
        ("[fe80::1]:1", false),
    ] {
        assert_eq!(proxy.trusts(&addr(peer)), trusted, "{peer}");
    }
    assert!(!proxy.trusts(&Addr::Unnamed), "a Unix socket has no network");
    assert!("10.0.0.0/33".parse::<ProxyProtocol>().is_err());
    assert!("host.test".parse::<ProxyProtocol>().is_err());
}

#[test]
fn limits_by_address_count_whom_it_is_for_and_not_the_proxy() {
    let mut rig = trusting(|config| config.limits.remoters_per_ip = 2);
    let mut held = Vec::new();
    for source in ["198.51.100.1", "198.51.100.1", "198.51.100.2", "198.51.100.2", "198.51.100.3"] {
        held.push(from(&rig, source));
        accepted(&mut rig);
    }
    held.push(from(&rig, "198.51.100.1"));
    let event = rig.until(|event| matches!(event, Event::Refused { .. }));
    let peer = addr("198.51.100.1:4711");
    assert_eq!(event, Event::Refused { acceptor: rig.acceptor, peer, why: Refusal::PerIp });
    assert_eq!((rig.server.len(), rig.server.cxes()), (5, 0));
    // A place that is given back can be taken.
    drop(held.remove(0));
    let gone = rig.until(|event| matches!(event, Event::Eof(_))).id().unwrap();
    rig.server.remoter_mut(gone).unwrap().take();
    rig.until_closed(gone);
    held.push(from(&rig, "198.51.100.1"));
    accepted(&mut rig);
    // The proxy's own count there like anybody's.
    for _ in 0..2 {
        let mut client = connect(rig.addr);
        send(&mut client, b"PROXY UNKNOWN\r\n");
        held.push(client);
        accepted(&mut rig);
    }
    let mut client = connect(rig.addr);
    send(&mut client, b"PROXY UNKNOWN\r\n");
    rig.until(|event| matches!(event, Event::Refused { why: Refusal::PerIp, .. }));
    // That is no matter of those it brings.
    held.push(from(&rig, "198.51.100.7"));
    accepted(&mut rig);
}

#[test]
fn headers_on_their_way_count_among_all_handshakes_only() {
    let mut rig = trusting(|config| {
        config.limits.remoters_per_ip = 1;
        config.limits.handshakes_per_ip = 1;
        config.limits.handshakes = 4;
    });
    let mut silent: Vec<TcpStream> = (0..4).map(|_| connect(rig.addr)).collect();
    rig.until_server(|server| server.cxes() == 4);
    let fifth = connect(rig.addr);
    rig.until_server(|server| server.axes() == 1);
    assert_eq!(rig.log, [], "nobody is refused");
    silent[0].write_all(b"PROXY TCP4 198.51.100.9 192.0.2.2 1 2\r\n").unwrap();
    accepted(&mut rig);
    rig.until_server(|server| (server.axes(), server.cxes()) == (0, 4));
    drop((silent, fifth));
    rig.until_server(|server| (server.cxes(), server.len()) == (0, 0));
    assert_eq!((rig.server.timers(), rig.server.buffered()), (0, 0));
}

#[test]
fn the_same_ends_in_a_header_twice_do_not_replace_each_other() {
    let mut rig = trusting(|_| {});
    let ours = rig.addr;
    let line = format!("PROXY TCP4 192.0.2.1 127.0.0.1 4711 {}\r\n", ours.port());
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = connect(rig.addr);
        send(&mut client, line.as_bytes());
        held.push(client);
        accepted(&mut rig);
    }
    assert_eq!(rig.server.len(), 2, "{:?}", rig.log);
    // One of them is told to be for an address which then comes by itself: they are two all the same.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let source = socket.local_addr().unwrap().as_socket().unwrap();
    let mut client = connect(rig.addr);
    let line = format!("PROXY TCP4 {0} {0} {1} 1\r\n", source.ip(), source.port());
    send(&mut client, line.as_bytes());
    accepted(&mut rig);
    socket.connect(&rig.addr.into()).unwrap();
    rig.until_server(|server| server.cxes() == 1);
    assert!(rig.log.iter().all(|event| matches!(event, Event::Accepted(_))), "{:?}", rig.log);
    assert_eq!((rig.server.len(), rig.server.cxes()), (3, 1));
}

#[test]
fn a_graceful_drain_and_a_close_leave_nothing_of_those_in_between() {
    let mut rig = trusting(|_| {});
    let _silent = connect(rig.addr);
    let _known = from(&rig, "198.51.100.1");
    rig.until_server(|server| (server.cxes(), server.len()) == (1, 1));
    rig.server.close();
    rig.tick();
    rig.tick();
    assert_eq!((rig.server.cxes(), rig.server.len(), rig.server.timers()), (0, 0, 0));
    // Their addresses are free again: the counts are those of nobody.
    rig.server.config_mut().limits.remoters_per_ip = 1;
    rig.server.reopen().unwrap();
    let _again = from(&rig, "198.51.100.1");
    accepted(&mut rig);
}

/// A server with TLS behind a proxy, and the client's side of it.
fn with_tls(change: impl FnOnce(&mut Config)) -> (Rig, ClientTls) {
    let mut rig = Rig::with(change);
    let time = TlsTime::simulated(rig.tymist.tymth(), Duration::from_secs(EPOCH));
    let authority = pki::Authority::new("test authority");
    let config = ServerTlsConfig::new(authority.issue(&pki::server()).identity());
    let tls = ServerTls::new(config.with_time(time.clone())).unwrap();
    rig.acceptor = rig.server.listen_tls(([127, 0, 0, 1], 0), &tls).unwrap();
    rig.addr = rig.server.local_addr(rig.acceptor).unwrap().inet().unwrap();
    let proxy = "127.0.0.1".parse().unwrap();
    rig.server.set_proxy_protocol(rig.acceptor, Some(proxy));
    let client = ClientTlsConfig::with_roots(authority.root()).with_time(time);
    (rig, ClientTls::new(&client).unwrap())
}

/// Both ends are of one server: it dials itself, as a proxy does.
#[test]
fn it_stands_in_front_of_tls_too() {
    let (mut rig, tls) = with_tls(|_| {});
    let header = tymist::net::proxy::ProxyHeader::new;
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let mut connect = tymist::Connect::new(rig.addr).with_tls(&tls, "server.test").unwrap();
        let (source, destination) = (addr("[2001:db8::7]:4711"), addr("[2001:db8::8]:443"));
        connect.proxy_header = Some(header(version, &source, &destination));
        let near = rig.server.connect(connect).unwrap();
        rig.server.tx(near, b"secret").unwrap();
        let far = accepted(&mut rig);
        rig.until_unread(far, 6);
        let remoter = rig.server.remoter(far).unwrap();
        assert_eq!(remoter.rx(), b"secret");
        assert_eq!((remoter.peer_addr(), remoter.proxied().unwrap().version()), (&source, version));
        assert_eq!(remoter.tls().unwrap().server_name(), Some("server.test"));
        assert!(rig.server.remoter(near).unwrap().proxied().is_none());
        rig.server.remoter_mut(near).unwrap().abort();
        rig.until_closed(far);
    }
}

#[test]
fn one_that_fails_in_tls_fails_as_whom_it_is_for_and_is_counted_so() {
    let (mut rig, _) = with_tls(|config| config.limits.handshakes_per_ip = 1);
    let mut client = from(&rig, "198.51.100.1");
    send(&mut client, b" there, in plain");
    crate::util::end(&client);
    let (peer, reason) = failed(&mut rig);
    assert_eq!(peer, addr("198.51.100.1:4711"));
    assert!(matches!(reason, CloseReason::Handshake(_)), "{reason}");
    client.flush().unwrap();
    drop(client);
    // One that stalls in TLS holds the only place of its address.
    let mut stalled = connect(rig.addr);
    send(&mut stalled, LINE);
    rig.until_server(|server| server.cxes() == 1);
    for _ in 0..5 {
        rig.tick();
    }
    let mut second = connect(rig.addr);
    send(&mut second, LINE);
    let event = rig.until(|event| matches!(event, Event::Refused { .. }));
    let Event::Refused { peer, why, .. } = event else { unreachable!() };
    assert_eq!((peer, why), (addr("192.0.2.1:4711"), Refusal::HandshakesPerIp));
    drop(stalled);
    assert_eq!(failed(&mut rig).0, addr("192.0.2.1:4711"));
    let mut third = connect(rig.addr);
    send(&mut third, LINE);
    rig.until_server(|server| server.cxes() == 1);
    for _ in 0..5 {
        assert_eq!(rig.tick(), [], "its place is free again");
    }
}
