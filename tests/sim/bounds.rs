//! The bounds of datagrams and letters, and whom they reach.

use std::io::ErrorKind;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Dial, GramOption, Interface};
use tymist::sim::{Act, HostSpec, Link, WorldSpec};
use tymist::{Clients, CloseReason, Config, Connect, Event};

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

/// Who dials it is told who is there, as on Linux.
#[test]
fn regression_the_peer_of_who_dialled_the_unspecified_address_is_the_host_itself() {
    let mut pair = Pair::new();
    let _listener = pair.server_net.listen(&"[::]:80".parse().unwrap()).unwrap();
    for (target, peer) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80")] {
        let dial = Dial::new(target.parse::<Addr>().unwrap());
        let mut call = pair.server_net.connect(&dial).unwrap();
        pair.run(millis(5));
        assert!(call.connected().unwrap());
        assert_eq!(call.peer_addr().to_string(), peer);
    }
}

/// The same where IPv6 carries it.
#[test]
fn regression_the_peer_of_who_dialled_the_mapped_unspecified_address_is_the_host_itself() {
    let mut pair = Pair::new();
    let _listener = pair.server_net.listen(&"0.0.0.0:80".parse().unwrap()).unwrap();
    let dial = Dial::new("[::ffff:0.0.0.0]:80".parse::<Addr>().unwrap());
    let mut call = pair.server_net.connect(&dial).unwrap();
    pair.run(millis(5));
    assert!(call.connected().unwrap());
    assert_eq!(call.peer_addr().to_string(), "[::ffff:127.0.0.1]:80");
}

/// Who dials the very port that it comes from meets itself on Linux, which an engine takes for what it is: nobody listens there. In a world it was a reset.
#[test]
fn regression_who_dials_its_own_port_is_refused() {
    let mut pair = Pair::new();
    let own: Addr = "127.0.0.1:5000".parse().unwrap();
    let mut connect = Connect::new(own.clone());
    connect.local = Some(own.clone());
    let mut clients = Clients::with_net(Config::new(), pair.world.host(pair.client).net());
    let id = clients.connect(connect).unwrap();
    let mut told = Vec::new();
    for _ in 0..5 {
        clients.service();
        told.extend(std::iter::from_fn(|| clients.poll_event()));
        pair.run(millis(5));
    }
    let refused = |event: &Event| matches!(event, Event::ConnectFailed { error, .. } if error.kind() == ErrorKind::ConnectionRefused);
    assert!(told.len() == 2 && refused(&told[0]), "{told:?}");
    assert!(matches!(told[1], Event::Closed(closed, CloseReason::Connect(_)) if closed == id));
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
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let group = Bind::new("239.1.2.3:77".parse::<Addr>().unwrap());
    assert!(pair.server_net.bind(&group).is_ok(), "but that of a group can");
}

/// Of datagrams a clogged way holds one however large, and then as many as fit; each time anew.
#[test]
fn a_clogged_way_holds_one_datagram_however_large() {
    let mut pair = Pair::new();
    drop(pair.dial(81));
    pair.run(SECOND);
    let (client, server) = (pair.client, pair.server);
    let mut link = Link::new(MS);
    link.queue = 1000;
    pair.world.act(&Act::Relink { from: client, to: server, link });
    let mut to = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap();
    let mut from = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let target = pair.target(7);
    for round in 0..2 {
        for (sizes, arrive) in [
            (vec![2000, 1], vec![2000]),
            (vec![600, 400, 1], vec![600, 400]),
            (vec![600, 401, 400], vec![600, 400]),
        ] {
            pair.world.act(&Act::Clog { from: client, to: server });
            for size in &sizes {
                from.send(&vec![7; *size], &target).unwrap();
                pair.run(MS);
            }
            pair.run(millis(5));
            pair.world.act(&Act::Unclog { from: client, to: server });
            let came = std::iter::from_fn(|| to.receive(&mut [0; 4096]).ok());
            let came: Vec<usize> = came.map(|gram| gram.len).collect();
            assert_eq!(came, arrive, "{sizes:?}, round {round}");
        }
    }
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

/// A sender of letters has a buffer of its own: full is full to the byte, and it is told when three quarters are free, once.
#[test]
fn a_sender_of_letters_is_told_of_room_in_its_own_buffer() {
    // Two letters, with the 768 bytes that Linux counts beside each: less or more than a quarter, and the rest of the buffer or a byte less.
    for (more, less, full, told) in [(0, 0, true, true), (1, 1, true, false), (0, 1, false, false)]
    {
        let pair = Pair::new();
        let path = |name: usize| Addr::from(std::path::Path::new(&format!("/run/{name}")));
        let mut net = pair.world.host(pair.server).net();
        let mut sender = net.bind(&Bind::new(Addr::Unnamed)).unwrap();
        let mut boxes: Vec<_> = (0..3).map(|at| net.bind(&Bind::new(path(at))).unwrap()).collect();
        sender.register(token(1)).unwrap();
        assert_eq!(reports(&mut net).len(), 1);
        let quarter = sender.buffer_sizes().unwrap().send / 4;
        sender.send(&vec![7; quarter - 768 + more], &path(0)).unwrap();
        sender.send(&vec![7; 3 * quarter - 768 - less], &path(1)).unwrap();
        let third = sender.send(b"x", &path(2)).map_err(|error| error.kind());
        assert_eq!(third.is_err(), full, "{third:?}");
        assert_eq!(reports(&mut net), []);
        assert_eq!(boxes[1].receive(&mut [0; 8]).unwrap().len, 8);
        assert_eq!(reports(&mut net).len(), usize::from(told));
        assert_eq!(boxes[0].receive(&mut [0; 8]).unwrap().len, 8);
        assert_eq!(reports(&mut net).len(), usize::from(full && !told), "once");
    }
}
