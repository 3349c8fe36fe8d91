//! What Linux does, as a program sees it, where a world once did otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddrV6};

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Dial, GramOption, Interface, KeepAlive, Listen, Stream};
use tymist::sim::{Act, Cut, Errno};

fn told<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.raw_os_error()).and_then(Errno::from_number)
}

/// A connection whose caller asks after 2 s of silence, twice.
fn watched(pair: &mut Pair) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let mut listener = pair.listen(80);
    let mut dial = Dial::new(pair.target(80));
    dial.socket.keep_alive = Some(KeepAlive { idle: 2 * SECOND, interval: SECOND, retries: 2 });
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    assert!(dialled.connected().unwrap());
    (dialled, listener.accept().unwrap())
}

/// Keep-alive is for the idle: where something waits for its acknowledgement, Linux leaves the verdict to the retransmissions, a quarter of an hour later.
#[test]
fn regression_keep_alive_is_no_limit_for_what_is_under_way() {
    let mut pair = Pair::new();
    let (mut dialled, _accepted) = watched(&mut pair);
    pair.world.act(&Act::Partition(Cut::Isolate(pair.client)));
    write_all(&mut dialled, b"into the void");
    pair.run(900 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock);
    pair.run(60 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::TimedOut);
}

/// It ends with a reset, for the peer may hear what it could not answer.
#[test]
fn regression_keep_alive_that_gives_up_resets() {
    let mut pair = Pair::new();
    let (mut dialled, mut accepted) = watched(&mut pair);
    let (from, to) = (pair.server, pair.client);
    pair.world.act(&Act::Partition(Cut::OneWay { from, to }));
    pair.run(10 * SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::TimedOut);
    assert_eq!(read_error(&mut accepted), ErrorKind::ConnectionReset);
}

/// What is wrong with a datagram is said first; the error that waits stays for the next call.
#[test]
fn regression_a_datagram_that_is_too_long_leaves_the_error_that_waits() {
    let mut pair = Pair::new();
    let mut bind = Bind::new(([0, 0, 0, 0], 0));
    bind.peer = Some(pair.target(53));
    let mut socket = pair.client_net.bind(&bind).unwrap();
    let to = pair.target(53);
    socket.send(b"anybody?", &to).unwrap();
    pair.run(SECOND);
    assert_eq!(told(socket.send(&[0; 65_508], &to)), Some(Errno::Emsgsize));
    assert_eq!(told(socket.receive(&mut [0; 16])), Some(Errno::Econnrefused));
    // Whatever address is given, it goes to the peer.
    let nobody: Addr = Addr::from((Ipv4Addr::LOCALHOST, 0));
    assert_eq!(told(socket.send(b"hello", &nobody)), None);
}

/// An IPv6 header does not count to the length that it tells.
#[test]
fn regression_datagrams_over_ipv6_are_twenty_bytes_longer() {
    let mut pair = Pair::new();
    let six = Bind::new((IpAddr::from(Ipv6Addr::UNSPECIFIED), 0));
    let mut receiver = pair.client_net.bind(&six).unwrap();
    let mut sender = pair.client_net.bind(&six).unwrap();
    let port = receiver.local_addr().port().unwrap();
    let mut send = |ip: IpAddr, len| told(sender.send(&vec![0; len], &Addr::from((ip, port))));
    let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    assert_eq!(send(Ipv6Addr::LOCALHOST.into(), 65_527), None);
    assert_eq!(send(Ipv6Addr::LOCALHOST.into(), 65_528), Some(Errno::Emsgsize));
    assert_eq!(send(mapped, 65_507), None);
    assert_eq!(send(mapped, 65_508), Some(Errno::Emsgsize));
    pair.run(MS);
    assert_eq!(receiver.receive(&mut vec![0; 70_000]).unwrap().len, 65_527);
}

/// From 127.0.0.1, whichever address of the loopback it goes to.
#[test]
fn regression_the_loopback_has_one_source() {
    let mut pair = Pair::new();
    let other = IpAddr::from([127, 0, 0, 2]);
    let mut listener = pair.client_net.listen(&Listen::new((other, 80))).unwrap();
    let stream = pair.client_net.connect(&Dial::new((other, 80))).unwrap();
    pair.run(millis(5));
    let ip = |addr: &Addr| addr.ip().unwrap();
    assert_eq!(ip(stream.local_addr()), IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!(ip(listener.accept().unwrap().peer_addr()), IpAddr::from(Ipv4Addr::LOCALHOST));
}

/// The unspecified address as a target is the one that the socket is bound to.
#[test]
fn regression_to_the_unspecified_address_is_to_ones_own() {
    let mut pair = Pair::new();
    let (own, any) = (pair.world.host(pair.client).addrs()[0], IpAddr::from([0; 4]));
    let mut listener = pair.client_net.listen(&Listen::new((own, 80))).unwrap();
    let mut dial = Dial::new((any, 80));
    dial.local = Some(Addr::from((own, 0)));
    let _stream = pair.client_net.connect(&dial).unwrap();
    let mut receiver = pair.client_net.bind(&Bind::new((own, 53))).unwrap();
    let mut bind = Bind::new((own, 0));
    pair.client_net.bind(&bind).unwrap().send(b"once", &Addr::from((any, 53))).unwrap();
    bind.peer = Some(Addr::from((any, 53)));
    let mut friend = pair.client_net.bind(&bind).unwrap();
    friend.send(b"again", &Addr::from((any, 53))).unwrap();
    pair.run(millis(5));
    assert_eq!(listener.accept().unwrap().peer_addr().ip(), Some(own));
    let mut buf = [0; 16];
    assert_eq!(receiver.receive(&mut buf).unwrap().len, 4);
    assert_eq!(receiver.receive(&mut buf).unwrap().len, 5);
    receiver.send(b"answer", friend.local_addr()).unwrap();
    pair.run(millis(5));
    assert_eq!(friend.receive(&mut buf).unwrap().len, 6);
}

/// An attempt that is shut down is over, and says so.
#[test]
fn regression_an_attempt_that_is_shut_down_is_reset() {
    let mut pair = Pair::new();
    let mut stream =
        pair.client_net.connect(&Dial::new("10.9.9.9:80".parse::<Addr>().unwrap())).unwrap();
    stream.register(token(1)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reports(&mut pair.client_net), [(1, true, true, true)]);
    assert_eq!(told(stream.connected()), Some(Errno::Econnreset));
    assert_eq!(told(stream.shutdown(Shutdown::Write)), Some(Errno::Enotconn));
}

/// IPv6 has no limit of twenty groups, and leaves one on any interface; it names an interface that is not there otherwise.
#[test]
fn regression_groups_of_ipv6_have_rules_of_their_own() {
    let mut pair = Pair::new();
    let six = Bind::new((IpAddr::from(Ipv6Addr::UNSPECIFIED), 0));
    let mut socket = pair.client_net.bind(&six).unwrap();
    let group = |last| IpAddr::from(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 7, last));
    for last in 0..30 {
        socket.set_option(GramOption::Join(group(last), Interface::Index(1))).unwrap();
    }
    socket.set_option(GramOption::Leave(group(1), Interface::Any)).unwrap();
    let mut set = |option| told(socket.set_option(option));
    let gone = Some(Errno::Eaddrnotavail);
    assert_eq!(set(GramOption::Leave(group(1), Interface::Index(1))), gone);
    assert_eq!(set(GramOption::Leave(group(2), Interface::Index(99))), gone);
    assert_eq!(set(GramOption::MulticastInterface(Interface::Index(99))), Some(Errno::Enodev));
}

/// All addresses of IPv4, as IPv6 carries that: nobody could be reached there.
#[test]
fn regression_the_unspecified_address_may_be_a_mapped_one() {
    let mut pair = Pair::new();
    let all = IpAddr::from(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped());
    let mut listener = pair.client_net.listen(&Listen::new((all, 80))).unwrap();
    let mut receiver = pair.client_net.bind(&Bind::new((all, 53))).unwrap();
    let local = Ipv4Addr::LOCALHOST;
    let _stream = pair.client_net.connect(&Dial::new((local, 80))).unwrap();
    let mut friend = Bind::new((all, 0));
    friend.peer = Some(Addr::from((local, 53)));
    let mut friend = pair.client_net.bind(&friend).unwrap();
    assert_eq!(friend.local_addr().ip(), Some(local.into()), "reached by its peer there");
    friend.send(b"hello", &Addr::from((local, 53))).unwrap();
    pair.run(millis(5));
    assert_eq!(listener.accept().unwrap().local_addr().ip(), Some(local.into()));
    assert_eq!(receiver.receive(&mut [0; 16]).unwrap().len, 5);
    receiver.send(b"answer", friend.local_addr()).unwrap();
    pair.run(millis(5));
    assert_eq!(friend.receive(&mut [0; 16]).unwrap().len, 6);

    // For IPv6 alone it is no address.
    let (mut listen, mut bind) = (Listen::new((all, 81)), Bind::new((all, 54)));
    (listen.only_v6, bind.only_v6) = (Some(true), Some(true));
    assert_eq!(told(pair.client_net.listen(&listen)), Some(Errno::Einval));
    assert_eq!(told(pair.client_net.bind(&bind)), Some(Errno::Einval));
}

/// Whoever may send to many may connect to them, from the loopback as well, and nobody else: the one was `EINVAL`, the other went well.
#[test]
fn regression_many_are_a_peer_for_who_may_send_to_them() {
    let mut pair = Pair::new();
    let (all, group) = (Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 1, 2, 3));
    for own in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST] {
        let mut bind = |peer: Ipv4Addr, broadcast| {
            let mut bind = Bind::new((own, 0));
            (bind.peer, bind.broadcast) = (Some(Addr::from((peer, 53))), broadcast);
            pair.client_net.bind(&bind)
        };
        assert_eq!(told(bind(all, false)), Some(Errno::Eacces));
        assert_eq!(told(bind(all, true)), None);
        assert_eq!(told(bind(group, false)), None);
    }
}

/// An address that each link has says of which, where it is bound or connected to: otherwise it went well here, and nowhere else.
#[test]
fn regression_an_address_of_a_link_says_of_which() {
    let mut pair = Pair::new();
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let mut bind = |ip: &str, scope| {
        let addr = SocketAddrV6::new(ip.parse().unwrap(), 53, 0, scope);
        let (own, mut peer) = (Bind::new(Addr::Inet(addr.into())), Bind::new((any, 0)));
        peer.peer = Some(own.addr.clone());
        [own, peer].map(|bind| told(pair.client_net.bind(&bind)))
    };
    for ip in ["ff01::7", "ff02::7", "ff12::7", "fe80::7"] {
        assert_eq!(bind(ip, 0), [Some(Errno::Einval); 2], "{ip}");
    }
    assert_eq!((bind("ff02::7", 2)[0], bind("ff05::7", 0)[0]), (None, None));
}

/// What no connection can be made to, or from: some of it went well here, and the rest was waited for.
#[test]
fn regression_a_dial_that_cannot_be_fails_at_once() {
    let mut pair = Pair::new();
    let all = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let _listener = pair.client_net.listen(&Listen::new((all, 80))).unwrap();
    let mut dial = |to: &str, from: Option<&str>| {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut dial = Dial::new((ip(to), 80));
        dial.local = from.map(|from| Addr::from((ip(from), 0)));
        told(pair.client_net.connect(&dial))
    };
    // An end of each family.
    assert_eq!(dial("127.0.0.1", Some("::")), Some(Errno::Eafnosupport));
    assert_eq!(dial("127.0.0.1", Some("::ffff:127.0.0.1")), Some(Errno::Eafnosupport));
    assert_eq!(dial("::ffff:127.0.0.1", Some("127.0.0.1")), Some(Errno::Einval));
    // Many.
    for many in ["224.1.2.3", "255.255.255.255", "ff02::1"] {
        assert_eq!(dial(many, None), Some(Errno::Enetunreach), "{many}");
    }
    // An address of a link, without the link.
    assert_eq!(dial("fe80::1", None), Some(Errno::Einval));
    assert_eq!(dial("127.0.0.1", Some("127.0.0.1")), None);
}
