//! Peers in a simulated world: the same program, with loss, duplicates and nobody at home.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::io::ErrorKind;
use std::time::Duration;

use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Addr, Bind};
use tymist::sim::{Host, Link, World};
use tymist::tyme::Tyme;
use tymist::{Config, EndpointId, Event, GramConfig, GramCounters, GramEvent, Peer, Server, Wake};

/// Sends back what comes.
struct Echo(Peer);

impl Doer for Echo {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.0.service();
        while let Some(gram) = self.0.take() {
            self.0.tx_bytes(gram.data, gram.from).unwrap();
        }
        self.0.clear_events();
        self.0.service_sends();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.0.wake()
    }
}

/// The same, as an endpoint of a server.
struct Served(Server, EndpointId);

impl Doer for Served {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.0.service();
        while let Some(event) = self.0.poll_event() {
            assert_eq!(event, Event::Gram(self.1, GramEvent::Received));
            let endpoint = self.0.endpoint_mut(self.1).unwrap();
            while let Some(gram) = endpoint.take() {
                endpoint.tx_bytes(gram.data, gram.from).unwrap();
            }
        }
        self.0.service_sends();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.0.wake()
    }
}

/// Sends a datagram each millisecond and keeps what is told.
struct Sender {
    peer: Peer,
    to: Addr,
    next: Tyme,
    left: u32,
    events: Vec<GramEvent>,
}

impl Doer for Sender {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.peer.service();
        while let Some(event) = self.peer.poll_event() {
            self.events.push(event);
        }
        if self.left > 0 && now >= self.next {
            self.next = now + Duration::from_millis(1);
            self.left -= 1;
            self.peer.tx(&self.left.to_be_bytes(), &self.to).unwrap();
            self.peer.service_sends();
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        match self.peer.wake() {
            Wake::OnIo if self.left > 0 => Wake::At(self.next),
            wake => wake,
        }
    }
}

/// The port of the echo; the host is its own.
const PORT: u16 = 7;

fn open(host: &Host, bind: impl Into<Bind>) -> Peer {
    let mut peer = Peer::with_net(GramConfig::new(), host.net());
    peer.wind(host.tymth());
    peer.open(bind).unwrap();
    peer
}

fn sender(host: &Host, to: &Addr, bind: Bind, left: u32) -> Sender {
    Sender { peer: open(host, bind), to: to.clone(), next: Tyme::ZERO, left, events: Vec::new() }
}

fn any() -> Bind {
    Bind::new(([0, 0, 0, 0], 0))
}

/// A world with an echo on one host and a sender of 1000 on the other; what they counted.
fn run(seed: u64, link: &Link, served: bool) -> (GramCounters, GramCounters) {
    let mut world = World::new(seed);
    let (echo, from) = (world.add_host("echo"), world.add_host("sender"));
    world.set_link(echo, from, link);
    let to = Addr::from((world.host(echo).addrs()[0], PORT));
    if served {
        world.start(echo, |host| {
            let mut server = Server::with_net(Config::new(), host.net());
            server.wind(host.tymth());
            let id = server.bind(([0, 0, 0, 0], PORT), GramConfig::new()).unwrap();
            Served(server, id)
        });
    } else {
        world.start(echo, |host| Echo(open(host, ([0, 0, 0, 0], PORT))));
    }
    world.start(from, move |host| sender(host, &to, any(), 1000));
    world.run_for(Duration::from_secs(10));
    let sent = *world.program::<Sender>(from).unwrap().peer.counters();
    let echoed = if served {
        let Served(server, id) = world.program::<Served>(echo).unwrap();
        *server.endpoint(*id).unwrap().counters()
    } else {
        *world.program::<Echo>(echo).unwrap().0.counters()
    };
    (sent, echoed)
}

#[test]
fn all_come_back_where_nothing_is_lost() {
    for served in [false, true] {
        let (sent, echoed) = run(1, &Link::default(), served);
        assert_eq!((sent.grams_out, sent.grams_in), (1000, 1000));
        assert_eq!((echoed.grams_in, echoed.grams_out), (1000, 1000));
    }
}

#[test]
fn loss_and_duplicates_are_seen_and_a_run_can_be_repeated() {
    let mut link = Link::default();
    (link.loss, link.duplicate, link.reorder) = (0.1, 0.05, 0.1);
    for served in [false, true] {
        let (sent, echoed) = run(7, &link, served);
        assert_eq!(sent.grams_out, 1000);
        assert!(echoed.grams_in < 1000 && sent.grams_in < echoed.grams_in, "{sent:?} {echoed:?}");
        assert_eq!(run(7, &link, served), (sent, echoed), "the same seed");
        assert_ne!(run(8, &link, served), (sent, echoed), "another one");
    }
}

#[test]
fn nobody_at_home_is_an_event_each_time() {
    let mut world = World::new(3);
    let (empty, from) = (world.add_host("empty"), world.add_host("sender"));
    let to = Addr::from((world.host(empty).addrs()[0], PORT));
    world.start(from, move |host| {
        let mut bind = any();
        bind.peer = Some(to.clone());
        sender(host, &to, bind, 20)
    });
    world.run_for(Duration::from_secs(10));
    let sender = world.program::<Sender>(from).unwrap();
    assert_eq!(sender.left, 0);
    assert_eq!(sender.peer.counters().grams_out, 20, "{:?}", sender.events);
    assert_eq!(sender.peer.counters().unreachable, 20);
    assert!(sender.events.iter().all(|event| {
        matches!(
            event,
            GramEvent::Unreachable { error, .. } if error.kind() == ErrorKind::ConnectionRefused
        )
    }));
}

/// The world takes it for the loopback address, and so says who sent: all of it was dropped as a stranger's.
#[test]
fn regression_a_peer_named_by_the_unspecified_address_is_no_stranger() {
    let mut world = World::new(1);
    let one = world.add_host("one");
    let host = world.host(one);
    let mut other = open(&host, ([127, 0, 0, 1], 53));
    let mut bind = Bind::new(([127, 0, 0, 1], 0));
    bind.peer = Some(Addr::from(([0, 0, 0, 0], 53)));
    let mut peer = open(&host, bind);
    other.tx(b"hello", peer.local_addr().clone()).unwrap();
    other.service();
    world.run_for(Duration::from_millis(1));
    peer.service();
    assert_eq!(peer.counters().strangers, 0);
    let gram = peer.take().unwrap();
    assert_eq!((&gram.data[..], Some(&gram.from)), (&b"hello"[..], peer.peer_addr()));
}

/// Sends ten at a time, a microsecond apart, and then one each second.
struct Bursts(Sender);

impl Doer for Bursts {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        let Bursts(Sender { peer, to, next, left, .. }) = self;
        peer.service();
        peer.clear_events();
        if *left > 0 && now >= *next {
            *left -= 1;
            let many = *left >= 10;
            *next = now + if many { Duration::from_micros(1) } else { Duration::from_secs(1) };
            for _ in 0..if many { 10 } else { 1 } {
                peer.tx(b"x", to.clone()).unwrap();
            }
            peer.service_sends();
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.0.wake()
    }
}

/// A tick that its budget had ended, followed by one that did not ask the network, was never followed by another: the network had told, and was not heard.
#[test]
fn regression_what_comes_after_a_tick_that_its_budget_has_ended_wakes_the_program() {
    for tick_grams in [1, 2, 7, 256] {
        let mut world = World::new(1);
        let (sink, from) = (world.add_host("sink"), world.add_host("sender"));
        let to = Addr::from((world.host(sink).addrs()[0], PORT));
        world.start(sink, move |host| {
            let mut peer = open(host, ([0, 0, 0, 0], PORT));
            peer.config_mut().tick_grams = tick_grams;
            Echo(peer)
        });
        world.start(from, move |host| Bursts(sender(host, &to, any(), 20)));
        world.run_for(Duration::from_secs(60));
        let sent = world.program::<Bursts>(from).unwrap().0.peer.counters().grams_out;
        let came = world.program::<Echo>(sink).unwrap().0.counters().grams_in;
        assert_eq!((sent, came), (110, 110), "{tick_grams} a tick");
    }
}
