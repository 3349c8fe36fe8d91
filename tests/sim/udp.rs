//! Datagrams in a simulated world.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Datagram, Gram};
use tymist::sim::{HostSpec, Link, WorldSpec};

fn sockets(pair: &mut Pair) -> (Box<dyn Datagram>, Box<dyn Datagram>) {
    let server = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 53))).unwrap();
    let client = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    (server, client)
}

fn receive_all(socket: &mut Box<dyn Datagram>) -> Vec<Vec<u8>> {
    let mut buf = [0; 2048];
    std::iter::from_fn(|| match socket.receive(&mut buf) {
        Ok(gram) => Some(buf[..gram.len].to_vec()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            None
        }
    })
    .collect()
}

#[test]
fn datagrams_keep_their_bounds_and_say_who_sent_them() {
    let mut pair = Pair::new();
    let (mut server, mut client) = sockets(&mut pair);
    server.register(token(1)).unwrap();
    harvest(&mut pair.server_net);
    let to = pair.target(53);
    client.send(b"one", &to).unwrap();
    client.send(b"", &to).unwrap();
    client.send(b"a longer one", &to).unwrap();
    pair.run(MS);
    assert_eq!(reports(&mut pair.server_net), [(1, true, false, false)]);
    let from =
        Addr::from((pair.world.host(pair.client).addrs()[0], client.local_addr().port().unwrap()));
    let mut buf = [0; 8];
    let gram = |len, truncated| Gram { len, truncated, from: from.clone() };
    assert_eq!(server.receive(&mut buf).unwrap(), gram(3, false));
    assert_eq!(server.receive(&mut buf).unwrap(), gram(0, false));
    assert_eq!(server.receive(&mut buf).unwrap(), gram(8, true));
    assert_eq!(&buf, b"a longer");
    assert_eq!(server.receive(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    server.send(b"reply", &from).unwrap();
    pair.run(MS);
    assert_eq!(receive_all(&mut client), [b"reply"]);
}

#[test]
fn what_becomes_of_datagrams_is_counted() {
    let mut pair = Pair::new();
    let (mut server, mut client) = sockets(&mut pair);
    let to = pair.target(53);
    client.send(b"one", &to).unwrap();
    client.send(b"two", &to).unwrap();
    pair.run(MS);
    let stats = pair.world.stats();
    assert_eq!((stats.packets, stats.grams, stats.grams_delivered, stats.lost), (2, 2, 2, 0));
    assert_eq!(receive_all(&mut server).len(), 2);
}

#[test]
fn in_connected_mode_any_address_becomes_the_one_that_reaches_the_peer() {
    let mut pair = Pair::new();
    let mut bind = Bind::new(([0, 0, 0, 0], 0));
    bind.peer = Some(pair.target(53));
    let client = pair.client_net.bind(&bind).unwrap();
    let own = pair.world.host(pair.client).addrs()[0];
    assert_eq!(client.local_addr().ip(), Some(own));
}

/// Also where nothing was sent that way before.
#[test]
fn a_host_can_have_another_link_to_itself() {
    let mut pair = Pair::new();
    let mut link = Link::default();
    link.latency = 5 * MS;
    pair.world.set_link(pair.server, pair.server, &link);
    let (mut server, _client) = sockets(&mut pair);
    let to = pair.target(53);
    server.send(b"to myself", &to).unwrap();
    pair.run(4 * MS);
    assert!(receive_all(&mut server).is_empty());
    pair.run(2 * MS);
    assert_eq!(receive_all(&mut server), [b"to myself"]);
}

#[test]
fn too_long_is_an_error_and_a_full_buffer_loses() {
    let mut small = HostSpec::new("server");
    small.gram_buffer = 4000;
    let mut pair = Pair::with(WorldSpec::new(1), small, HostSpec::new("client"));
    let (mut server, mut client) = sockets(&mut pair);
    let to = pair.target(53);
    let error = client.send(&vec![0; 65_508], &to).unwrap_err();
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(90));
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
    client.send(&vec![0; 65_507], &to).unwrap();
    client.send(b"lost", &to).unwrap();
    pair.run(MS);
    assert_eq!(receive_all(&mut server).len(), 1, "the first always fits");
    for _ in 0..10 {
        client.send(&[0; 232], &to).unwrap();
    }
    pair.run(MS);
    assert_eq!(receive_all(&mut server).len(), 4);
}

#[test]
fn only_connected_sockets_hear_that_nobody_is_there() {
    let mut pair = Pair::new();
    let to = pair.target(9);
    let mut plain = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let mut bind = Bind::new(([0, 0, 0, 0], 0));
    bind.peer = Some(to.clone());
    let mut connected = pair.client_net.bind(&bind).unwrap();
    connected.register(token(5)).unwrap();
    harvest(&mut pair.client_net);
    plain.send(b"?", &to).unwrap();
    connected.send(b"?", &to).unwrap();
    pair.run(millis(2));
    assert_eq!(reports(&mut pair.client_net), [(5, true, false, false)]);
    let error = connected.receive(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(connected.receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(plain.receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    connected.send(b"?", &to).unwrap();
    pair.run(millis(2));
    assert_eq!(connected.send(b"?", &to).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// The report bears no more than the datagram's addresses. In a world it found its sender all the same.
#[test]
fn that_nobody_is_there_is_told_to_whom_the_answer_would_be_for() {
    let mut pair = Pair::new();
    let mut bind = Bind::new(([0, 0, 0, 0], 5000));
    bind.reuse_addr = true;
    bind.peer = Some(pair.target(9));
    let mut both = [0; 2].map(|_| pair.client_net.bind(&bind).unwrap());
    both[0].send(b"?", &pair.target(9)).unwrap();
    pair.run(millis(2));
    let kinds = both.each_mut().map(|socket| socket.receive(&mut [0; 8]).unwrap_err().kind());
    assert_eq!(kinds, [ErrorKind::WouldBlock, ErrorKind::ConnectionRefused]);
}

#[test]
fn a_host_can_be_told_to_report_to_all() {
    let mut client = HostSpec::new("client");
    client.unreachable_to_all = true;
    let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
    let to = pair.target(9);
    let mut plain = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    plain.send(b"?", &to).unwrap();
    pair.run(millis(2));
    let error = plain.receive(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn connected_sockets_let_nobody_else_in() {
    let mut pair = Pair::new();
    let friend = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let mut friend: Box<dyn Datagram> = friend;
    let mut stranger = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let ip = pair.world.host(pair.client).addrs()[0];
    let mut bind = Bind::new(([0, 0, 0, 0], 53));
    bind.peer = Some(Addr::from((ip, friend.local_addr().port().unwrap())));
    let mut server = pair.server_net.bind(&bind).unwrap();
    let to = pair.target(53);
    stranger.send(b"boo", &to).unwrap();
    friend.send(b"hi", &to).unwrap();
    pair.run(MS);
    assert_eq!(receive_all(&mut server), [b"hi"]);
}

#[test]
fn links_lose_double_and_reorder() {
    let mut pair = Pair::new();
    let (mut server, mut client) = sockets(&mut pair);
    let mut link = Link::new(MS);
    (link.loss, link.duplicate, link.reorder) = (0.2, 0.2, 0.2);
    pair.world.set_link(pair.client, pair.server, &link);
    let to = pair.target(53);
    let mut got = Vec::new();
    for number in 0..1000_u16 {
        client.send(&number.to_be_bytes(), &to).unwrap();
        pair.run(MS);
        got.extend(receive_all(&mut server));
    }
    pair.run(SECOND);
    got.extend(receive_all(&mut server));
    let mut different = got.clone();
    different.sort_unstable();
    different.dedup();
    // Lost: 0.2 of single ones, 0.04 of doubled ones.
    assert!((780..880).contains(&different.len()), "{} arrived", different.len());
    assert!(got.len() > different.len() + 80, "{} twice", got.len() - different.len());
    let overtaken = got.windows(2).filter(|two| two[0] > two[1]).count();
    assert!(overtaken > 50, "{overtaken} overtaken");
}

#[test]
fn a_slow_link_drops_what_its_queue_cannot_hold() {
    let mut pair = Pair::new();
    let (mut server, mut client) = sockets(&mut pair);
    let mut link = Link::new(MS);
    link.bandwidth = Some(100_000);
    link.queue = 10_000;
    pair.world.set_link(pair.client, pair.server, &link);
    let to = pair.target(53);
    for _ in 0..20 {
        client.send(&[0; 958], &to).unwrap();
    }
    pair.run(SECOND);
    assert_eq!(receive_all(&mut server).len(), 10);
    assert_eq!(pair.world.stats().lost, 10);
}

/// What waits is so many bytes: on another link that takes as long as they take there. It was the time that was kept, so that after a bottleneck
/// hours of datagrams were lost on a link that stood idle.
#[test]
fn regression_what_waited_on_a_slow_link_does_not_fill_a_fast_one() {
    for (between, waits) in [(None, 0), (Some(1_000_000), 10)] {
        let mut pair = Pair::new();
        let (mut server, mut client) = sockets(&mut pair);
        let to = pair.target(53);
        for (bandwidth, sends) in [(Some(1), true), (between, false), (Some(1_000_000), true)] {
            let mut link = Link::new(MS);
            link.bandwidth = bandwidth;
            pair.world.set_link(pair.client, pair.server, &link);
            if sends {
                client.send(&[0; 9958], &to).unwrap();
            }
        }
        pair.run((10 + waits) * MS);
        assert_eq!(receive_all(&mut server).len(), 0, "{between:?}");
        pair.run(MS);
        assert_eq!(receive_all(&mut server).len(), 1, "{between:?}");
        assert_eq!(pair.world.stats().lost, 0);
    }
}

#[test]
fn ports_are_held_and_freed() {
    let mut pair = Pair::new();
    let first = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 53))).unwrap();
    let error = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 53))).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let _tcp = pair.listen(53);
    drop(first);
    assert!(pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 53))).is_ok());
}

#[test]
fn a_loopback_address_reaches_no_other_host() {
    let mut pair = Pair::new();
    let target = pair.target(9);
    let mut here = pair.client_net.bind(&"127.0.0.1:0".parse::<Bind>().unwrap()).unwrap();
    assert_eq!(here.send(b"x", &target).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut connected = "127.0.0.1:0".parse::<Bind>().unwrap();
    connected.peer = Some(target);
    assert_eq!(pair.client_net.bind(&connected).err().unwrap().kind(), ErrorKind::InvalidInput);
}

/// One for that very address before one for all, one of IPv4 before one of both families, whichever came first.
#[test]
fn the_narrowest_socket_gets_it() {
    let pair = Pair::new();
    let own = pair.world.host(pair.server).addrs()[0];
    let any = |ip: &str| ip.parse::<std::net::IpAddr>().unwrap();
    let cases = [(own, any("0.0.0.0")), (own, any("::")), (any("0.0.0.0"), any("::"))];
    for ((narrow, wide), narrow_first) in
        cases.into_iter().flat_map(|two| [(two, true), (two, false)])
    {
        let mut pair = Pair::new();
        let order = if narrow_first { [narrow, wide] } else { [wide, narrow] };
        let mut sockets = order.map(|ip| {
            let mut bind = Bind::new((ip, 7));
            bind.reuse_addr = true;
            pair.server_net.bind(&bind).unwrap()
        });
        let mut sender = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
        sender.send(b"?", &pair.target(7)).unwrap();
        pair.run(millis(5));
        let got = sockets.each_mut().map(|socket| receive_all(socket).len());
        assert_eq!(got, if narrow_first { [1, 0] } else { [0, 1] }, "{narrow} and {wide}");
    }
}
