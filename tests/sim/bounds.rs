//! More edges: whose way it is, what stays in order, what keeps alive, what is reported late, and the bounds of datagrams and letters.

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Dial, GramOption, Interface, KeepAlive, Listen};
use tymist::sim::trace::{Timer, What};
use tymist::sim::{Act, HostSpec, Link, WorldSpec};
use tymist::tyme::Tyme;

fn path(name: &str) -> Addr {
    Addr::from(std::path::Path::new(name))
}

/// Both ends of a connection send their own way, whoever began it.
#[test]
fn each_end_sends_its_own_way() {
    for by_client in [true, false] {
        let mut pair = Pair::new();
        drop(pair.dial(81));
        pair.run(SECOND);
        let (client, server) = (pair.client, pair.server);
        for (from, to, latency) in [(client, server, 10), (server, client, 50)] {
            pair.world.act(&Act::Relink { from, to, link: Link::new(millis(latency)) });
        }
        let host = if by_client { server } else { client };
        let target = Addr::from((pair.world.host(host).addrs()[0], 80));
        let (net, other) = if by_client {
            (&mut pair.client_net, &mut pair.server_net)
        } else {
            (&mut pair.server_net, &mut pair.client_net)
        };
        let mut listener = other.listen(&"0.0.0.0:80".parse().unwrap()).unwrap();
        let mut call = net.connect(&Dial::new(target)).unwrap();
        pair.run(SECOND);
        assert!(call.connected().unwrap());
        let mut accepted = listener.accept().unwrap();
        write_all(&mut accepted, b"down");
        write_all(&mut call, b"up");
        pair.run(millis(10));
        let came = [&mut accepted, &mut call].map(|end| !drain(end).unwrap().0.is_empty());
        assert_eq!(came, [by_client, !by_client], "what the client sends is there after 10 ms");
        pair.run(millis(39));
        let came = [&mut accepted, &mut call].map(|end| !drain(end).unwrap().0.is_empty());
        assert_eq!(came, [false, false]);
        pair.run(MS);
        let came = [&mut accepted, &mut call].map(|end| !drain(end).unwrap().0.is_empty());
        assert_eq!(came, [!by_client, by_client], "and what the server sends after 50 ms");
    }
}

/// A reset comes behind what was sent before it, however much faster the way has become.
#[test]
fn a_reset_does_not_overtake_what_was_sent_before() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let (from, to) = (pair.client, pair.server);
    pair.world.act(&Act::Relink { from, to, link: Link::new(millis(100)) });
    write_all(&mut dialled, b"my last word");
    pair.world.act(&Act::Relink { from, to, link: Link::new(MS) });
    dialled.set_abortive().unwrap();
    drop(dialled);
    pair.run(millis(99));
    assert_eq!(read_error(&mut accepted), std::io::ErrorKind::WouldBlock);
    pair.run(millis(2));
    assert_eq!(accepted.read(&mut [0; 32]).unwrap(), 12);
    assert_eq!(read_error(&mut accepted), std::io::ErrorKind::ConnectionReset);
}

/// Accepted connections keep alive as their listener says, from the last word of the peer on.
#[test]
fn accepted_connections_keep_alive_from_the_last_word_on() {
    let mut pair = Pair::traced();
    let mut listener = pair
        .try_listen(80, |listen| {
            let (idle, interval) = (10 * SECOND, 10 * SECOND);
            listen.socket.keep_alive = Some(KeepAlive { idle, interval, retries: 2 });
        })
        .unwrap();
    let mut dialled = pair.dial(80);
    pair.run(millis(5));
    assert!(dialled.connected().unwrap());
    let mut accepted = listener.accept().unwrap();
    pair.run(9 * SECOND);
    write_all(&mut dialled, b"still here");
    pair.run(SECOND);
    assert_eq!(accepted.read(&mut [0; 16]).unwrap(), 10);
    pair.world.act(&Act::Crash(pair.client));
    pair.run(60 * SECOND);
    assert_eq!(read_error(&mut accepted), std::io::ErrorKind::TimedOut);
    let trace = pair.world.trace();
    let keep = |what: &What| matches!(what, What::Timer { timer: Timer::KeepAlive, .. });
    let probes: Vec<Tyme> =
        trace.records().filter(|record| keep(&record.what)).map(|record| record.tyme).collect();
    // It spoke at 9.006 s.
    assert_eq!(probes, [at_millis(19_006), at_millis(29_006)]);
}

/// A socket that is registered late is reported for what has come before.
#[test]
fn what_came_before_the_registration_is_reported() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let _call = pair.dial(80);
    let mut gram = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    let mut bind = Bind::new(([0, 0, 0, 0], 0));
    bind.peer = Some(pair.target(99));
    let mut failing = pair.server_net.bind(&bind).unwrap();
    failing.send(b"?", &pair.target(99)).unwrap();
    gram.send(b"to itself", &"127.0.0.1:9".parse().unwrap()).unwrap();
    let mut named = pair.server_net.listen(&Listen::new(path("/run/a"))).unwrap();
    let _local = pair.server_net.connect(&Dial::new(path("/run/a"))).unwrap();
    pair.run(millis(5));
    listener.register(token(1)).unwrap();
    gram.register(token(2)).unwrap();
    failing.register(token(3)).unwrap();
    named.register(token(4)).unwrap();
    let mut readable: Vec<usize> =
        reports(&mut pair.server_net).into_iter().filter(|it| it.1).map(|it| it.0).collect();
    readable.sort_unstable();
    assert_eq!(readable, [1, 2, 3, 4]);
    // And where there is nothing, of nothing but room.
    let mut quiet = pair.listen(81);
    let mut empty = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 10))).unwrap();
    quiet.register(token(5)).unwrap();
    empty.register(token(6)).unwrap();
    assert!(reports(&mut pair.server_net).iter().all(|it| !it.1 && !it.3));
}

/// "Any" as a target is the host itself.
#[test]
fn any_as_a_target_is_the_host_itself() {
    let mut pair = Pair::new();
    let mut listener = pair.server_net.listen(&"[::]:80".parse().unwrap()).unwrap();
    for target in ["0.0.0.0:80", "[::]:80"] {
        let dial = Dial::new(target.parse::<Addr>().unwrap());
        let mut call = pair.server_net.connect(&dial).unwrap();
        pair.run(millis(5));
        assert!(call.connected().unwrap(), "{target}");
        assert!(listener.accept().is_ok());
    }
}

/// One datagram fits, whatever the buffer; and an address of others cannot be bound.
#[test]
fn one_datagram_always_fits() {
    let mut server = HostSpec::new("server");
    server.gram_buffer = 10;
    let mut pair = Pair::with(WorldSpec::new(1), server, HostSpec::new("client"));
    let mut to = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap();
    let mut from = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    for _ in 0..2 {
        from.send(&[7; 100], &pair.target(7)).unwrap();
        from.send(&[7; 1], &pair.target(7)).unwrap();
        pair.run(millis(5));
        assert_eq!(to.receive(&mut [0; 200]).unwrap().len, 100);
        assert!(to.receive(&mut [0; 200]).is_err());
    }
    let others = Addr::from((pair.world.host(pair.client).addrs()[0], 7));
    let error = pair.server_net.bind(&Bind::new(others)).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
    let group = Bind::new("239.1.2.3:77".parse::<Addr>().unwrap());
    assert!(pair.server_net.bind(&group).is_ok(), "but that of a group can");
}

/// A connected socket is in its groups for its peer only; and "any" names the network.
#[test]
fn a_connected_member_hears_its_peer_only() {
    let mut pair = Pair::new();
    let group = "239.1.2.3".parse().unwrap();
    let target = Addr::from((group, 7));
    let mut senders =
        [1000, 1001].map(|port| pair.client_net.bind(&Bind::new(([0, 0, 0, 0], port))).unwrap());
    let mut bind = Bind::new(target.clone());
    bind.peer = Some(Addr::from((pair.world.host(pair.client).addrs()[0], 1000)));
    let mut member = pair.server_net.bind(&bind).unwrap();
    let any = Interface::Addr([0, 0, 0, 0].into());
    member.set_option(GramOption::Join(group, any)).unwrap();
    for sender in &mut senders {
        sender.send(&[7; 3], &target).unwrap();
    }
    pair.run(millis(5));
    assert_eq!(inet(&member.receive(&mut [0; 8]).unwrap().from).port(), 1000);
    assert!(member.receive(&mut [0; 8]).is_err());
}

/// A letter may fill its sender's buffer but for 32 bytes, and eleven wait in a box, but for one's own.
#[test]
fn letters_have_their_bounds() {
    let pair = Pair::new();
    let mut net = pair.world.host(pair.server).net();
    let mut one = net.bind(&Bind::new(path("/run/1"))).unwrap();
    let mut two = net.bind(&Bind::new(path("/run/2"))).unwrap();
    let size = one.buffer_sizes().unwrap().send;
    assert!(one.send(&vec![7; size - 32], &path("/run/2")).is_ok());
    assert_eq!(two.receive(&mut [0; 8]).unwrap().len, 8);
    assert!(one.send(&vec![7; size - 31], &path("/run/2")).is_err());
    let sent = (0..20).take_while(|_| one.send(b"x", &path("/run/2")).is_ok()).count();
    assert_eq!(sent, 11);
    let own = (0..20).take_while(|_| one.send(b"x", &path("/run/1")).is_ok()).count();
    assert_eq!(own, 20);
    // What lies in a box that is closed is its sender's again.
    let mut sender = net.bind(&Bind::new(Addr::Unnamed)).unwrap();
    sender.register(token(1)).unwrap();
    reports(&mut net);
    let three = net.bind(&Bind::new(path("/run/3"))).unwrap();
    assert!(sender.send(&vec![7; size - 32], &path("/run/3")).is_ok());
    assert!(sender.send(b"x", &path("/run/2")).is_err());
    drop(three);
    assert_eq!(reports(&mut net), [(1, false, true, false)]);
}
