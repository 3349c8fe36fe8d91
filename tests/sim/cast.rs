//! Broadcast and multicast in a simulated world.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tymist::net::{Addr, Bind, Datagram, GramOption, Interface};
use tymist::sim::{Act, Cut, HostId, Link, World};

const PORT: u16 = 7;
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 1, 2, 3));

struct Net {
    world: World,
    hosts: Vec<HostId>,
    sockets: Vec<Box<dyn Datagram>>,
}

impl Net {
    /// So many hosts with a socket on the port each.
    fn new(seed: u64, count: usize) -> Net {
        let mut world = World::new(seed);
        let hosts: Vec<_> = (0..count).map(|at| world.add_host(format!("host {at}"))).collect();
        let bind = Bind::new(([0, 0, 0, 0], PORT));
        let sockets = hosts.iter().map(|&host| world.host(host).net().bind(&bind).unwrap());
        let sockets = sockets.collect();
        Net { world, hosts, sockets }
    }

    fn addr(&self, at: usize) -> Addr {
        Addr::from((self.world.host(self.hosts[at]).addrs()[0], PORT))
    }

    fn set(&mut self, at: usize, option: GramOption) {
        self.sockets[at].set_option(option).unwrap();
    }

    fn join_all(&mut self) {
        for at in 0..self.sockets.len() {
            self.set(at, GramOption::Join(GROUP, Interface::Any));
        }
    }

    fn send(&mut self, at: usize, to: IpAddr) {
        self.sockets[at].send(b"hello", &Addr::from((to, PORT))).unwrap();
    }

    /// How often each has heard it, some time later; always from the first host.
    #[track_caller]
    fn heard(&mut self) -> Vec<usize> {
        self.world.run_for(Duration::from_secs(1));
        let from = self.addr(0);
        let mut buf = [0; 16];
        let mut count = |socket: &mut Box<dyn Datagram>| {
            let mut count = 0;
            while let Ok(gram) = socket.receive(&mut buf) {
                assert_eq!((&buf[..gram.len], &gram.from), (&b"hello"[..], &from));
                count += 1;
            }
            count
        };
        self.sockets.iter_mut().map(&mut count).collect()
    }
}

const ALL: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

#[test]
fn broadcast_needs_the_option_and_reaches_every_socket_on_the_port() {
    let mut net = Net::new(1, 4);
    let error = net.sockets[0].send(b"hello", &Addr::from((ALL, PORT))).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::PermissionDenied, Some(13)));
    let mut other = Bind::new(([0, 0, 0, 0], PORT + 1));
    other.broadcast = true;
    let mut asked = net.world.host(net.hosts[0]).net().bind(&other).unwrap();
    asked.send(b"on another port", &Addr::from((ALL, PORT + 2))).unwrap();
    net.set(0, GramOption::Broadcast(true));
    net.send(0, ALL);
    // As on Linux it comes back to who sent it.
    assert_eq!(net.heard(), [1, 1, 1, 1]);
    net.world.act(&Act::Partition(Cut::Isolate(net.hosts[2])));
    net.world.act(&Act::Crash(net.hosts[3]));
    net.send(0, ALL);
    assert_eq!(net.heard(), [1, 1, 0, 0]);
    assert_eq!(net.world.stats().grams, 3, "a datagram is one, however many get it");
    net.set(0, GramOption::Broadcast(false));
    assert!(net.sockets[0].send(b"hello", &Addr::from((ALL, PORT))).is_err());
}

#[test]
fn each_copy_has_the_fate_of_its_own_path() {
    let run = |seed| {
        let mut net = Net::new(seed, 4);
        net.join_all();
        let mut link = Link::new(Duration::from_millis(5));
        link.loss = 0.5;
        net.world.set_link(net.hosts[0], net.hosts[1], &link);
        link.loss = 1.0;
        net.world.set_link(net.hosts[0], net.hosts[2], &link);
        (link.loss, link.duplicate) = (0.0, 1.0);
        net.world.set_link(net.hosts[0], net.hosts[3], &link);
        for _ in 0..100 {
            net.send(0, GROUP);
        }
        let heard = net.heard();
        (net.world.hash(), heard)
    };
    let (hash, heard) = run(1);
    assert!((20..80).contains(&heard[1]), "{heard:?}");
    assert_eq!((heard[0], heard[2], heard[3]), (100, 0, 200));
    assert_eq!(run(1), (hash, heard.clone()));
    assert_ne!(run(2), (hash, heard));
}

#[test]
fn loop_and_hops_say_whether_it_stays_and_whether_it_leaves() {
    let mut net = Net::new(1, 2);
    net.join_all();
    net.send(0, GROUP);
    assert_eq!(net.heard(), [1, 1]);
    net.set(0, GramOption::MulticastLoop(false));
    net.send(0, GROUP);
    assert_eq!(net.heard(), [0, 1]);
    net.set(0, GramOption::MulticastTtl(0));
    net.set(0, GramOption::MulticastLoop(true));
    net.send(0, GROUP);
    assert_eq!(net.heard(), [1, 0]);
    net.set(0, GramOption::MulticastTtl(1));
    net.set(1, GramOption::Leave(GROUP, Interface::Any));
    net.send(0, GROUP);
    assert_eq!(net.heard(), [1, 0]);
}

#[test]
fn the_loopback_is_an_interface_of_its_own() {
    let mut net = Net::new(1, 2);
    let there = Interface::Addr(Ipv4Addr::LOCALHOST);
    for at in 0..2 {
        net.set(at, GramOption::Join(GROUP, there));
    }
    net.send(0, GROUP);
    assert_eq!(net.heard(), [0, 0], "over the network");
    net.set(0, GramOption::MulticastInterface(there));
    net.sockets[0].send(b"hello", &Addr::from((GROUP, PORT))).unwrap();
    net.world.run_for(Duration::from_secs(1));
    let from = net.sockets[0].receive(&mut [0; 16]).unwrap().from;
    assert_eq!(from, Addr::from(([127, 0, 0, 1], PORT)));
    assert_eq!(net.heard(), [0, 0], "and nowhere else");
}

#[test]
fn ipv6_groups_and_sockets_that_are_connected() {
    let mut world = World::new(1);
    let (one, other) = (world.add_host("one"), world.add_host("other"));
    let group: IpAddr = "ff02::77".parse().unwrap();
    let any = Bind::new((IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED), PORT));
    let mut sender = world.host(one).net().bind(&any).unwrap();
    let six = world.host(one).addrs()[1];
    let mut connected = any.clone();
    connected.peer = Some(Addr::from((six, PORT)));
    let mut stranger = any;
    stranger.addr = Addr::from((IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED), PORT + 1));
    let mut stranger = world.host(one).net().bind(&stranger).unwrap();
    // In connected mode it has one address of its own, to which no group is sent.
    let mut deaf = world.host(other).net().bind(&connected).unwrap();
    let mut joined = Bind::new((IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED), PORT + 1));
    joined.only_v6 = Some(true);
    let mut joined = world.host(other).net().bind(&joined).unwrap();
    for socket in [&mut deaf, &mut joined] {
        socket.set_option(GramOption::Join(group, Interface::Index(2))).unwrap();
    }
    for socket in [&mut sender, &mut stranger] {
        socket.set_option(GramOption::MulticastInterface(Interface::Index(0))).unwrap();
        socket.send(b"hello", &Addr::from((group, PORT + 1))).unwrap();
    }
    world.run_for(Duration::from_secs(1));
    let mut buf = [0; 16];
    assert_eq!(joined.receive(&mut buf).unwrap().from, Addr::from((six, PORT)));
    assert_eq!(joined.receive(&mut buf).unwrap().from, Addr::from((six, PORT + 1)));
    assert!(joined.receive(&mut buf).is_err() && deaf.receive(&mut buf).is_err());
}

#[test]
fn a_socket_is_in_twenty_groups_at_most() {
    let mut net = Net::new(1, 1);
    let mut join = |last| {
        let group = IpAddr::from([239, 0, 0, last]);
        net.sockets[0].set_option(GramOption::Join(group, Interface::Any))
    };
    assert!((1..=20).all(|last| join(last).is_ok()));
    assert_eq!(join(21).unwrap_err().raw_os_error(), Some(105), "ENOBUFS");
}
