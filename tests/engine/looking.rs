//! That a wait looks before it sleeps where that takes less CPU time, and only there.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets")]

use std::io;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::{Bind, Datagram, Listen, Listener, Net, Readiness};
use tymist::tyme::Tyme;
use tymist::{Config, Event, GramConfig, Peer, Server};

/// What waits cost on a network that is the operating system's with another clock: each wait takes 30 us.
#[derive(Clone, Copy)]
struct Costs {
    asleep: u64,
    looking: u64,
}

#[derive(Clone, Default)]
struct Seen {
    looks: Arc<AtomicU64>,
    waits: Arc<AtomicU64>,
    /// Whether looks fail.
    fails: Arc<AtomicBool>,
}

struct Paced {
    inner: OsNet,
    costs: Option<Costs>,
    seen: Seen,
    now: Tyme,
    cpu: u64,
}

impl Paced {
    fn net(costs: Option<Costs>, seen: &Seen) -> Box<dyn Net> {
        let (inner, seen) = (OsNet::new(), seen.clone());
        Box::new(Paced { inner, costs, seen, now: Tyme::ZERO, cpu: 0 })
    }

    fn take(&mut self, wait: Option<Duration>, cost: impl Fn(Costs) -> u64) {
        if wait != Some(Duration::ZERO) {
            self.seen.waits.fetch_add(1, Relaxed);
            self.now += Duration::from_micros(30);
            self.cpu += self.costs.map_or(0, cost);
        }
    }
}

impl Net for Paced {
    fn below(&self) -> Option<&dyn Net> {
        Some(&self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Net> {
        Some(&mut self.inner)
    }

    fn now(&mut self) -> Tyme {
        self.now
    }

    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
        self.inner.listen(spec)
    }

    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        self.inner.bind(spec)
    }

    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        self.take(wait, |costs| costs.asleep);
        self.inner.harvest(wait, ready)
    }

    fn harvest_looking(
        &mut self,
        wait: Option<Duration>,
        look: Duration,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        assert!(look > Duration::ZERO);
        self.seen.looks.fetch_add(1, Relaxed);
        self.take(wait, |costs| costs.looking);
        if self.seen.fails.load(Relaxed) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.inner.harvest_looking(wait, look, ready)
    }

    fn cpu_time(&self) -> Option<Duration> {
        self.costs.map(|_| Duration::from_micros(self.cpu))
    }
}

/// A message after the other through an echo server, so many waits long; how many of them were to look.
fn stream(config: Config, costs: Option<Costs>) -> u64 {
    let seen = Seen::default();
    let mut server = Server::with_net(config, Paced::net(costs, &seen));
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    let mut byte = [7];
    while seen.waits.load(Relaxed) < 2000 {
        client.write_all(&byte).unwrap();
        let mut answered = false;
        while !answered {
            server.wait(None);
            server.service();
            while let Some(event) = server.poll_event() {
                if let Event::Received(id) = event {
                    let data = server.remoter_mut(id).unwrap().take();
                    server.remoter_mut(id).unwrap().tx(&data).unwrap();
                    answered = true;
                }
            }
        }
        server.service_sends();
        client.read_exact(&mut byte).unwrap();
    }
    seen.looks.load(Relaxed)
}

/// The same with datagrams, through a peer.
fn grams(config: GramConfig, costs: Option<Costs>) -> u64 {
    let seen = Seen::default();
    let mut peer = Peer::with_net(config, Paced::net(costs, &seen));
    peer.open(([127, 0, 0, 1], 0)).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(peer.local_addr().inet().unwrap()).unwrap();
    while seen.waits.load(Relaxed) < 2000 {
        client.send(b"x").unwrap();
        let gram = loop {
            peer.wait(None);
            peer.service();
            peer.clear_events();
            if let Some(gram) = peer.take() {
                break gram;
            }
        };
        peer.tx(&gram.data, gram.from).unwrap();
        peer.service_sends();
        client.recv(&mut [0; 2]).unwrap();
    }
    seen.looks.load(Relaxed)
}

/// And through an endpoint of a server's.
fn endpoint_grams(config: Config, costs: Option<Costs>) -> u64 {
    let seen = Seen::default();
    let mut server = Server::with_net(config, Paced::net(costs, &seen));
    let id = server.bind(([127, 0, 0, 1], 0), GramConfig::new()).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.endpoint(id).unwrap().local_addr().inet().unwrap()).unwrap();
    while seen.waits.load(Relaxed) < 2000 {
        client.send(b"x").unwrap();
        let gram = loop {
            server.wait(None);
            server.service();
            server.clear_events();
            if let Some(gram) = server.endpoint_mut(id).unwrap().take() {
                break gram;
            }
        };
        server.endpoint_mut(id).unwrap().tx(&gram.data, gram.from).unwrap();
        server.service_sends();
        client.recv(&mut [0; 2]).unwrap();
    }
    seen.looks.load(Relaxed)
}

const PAYS: Option<Costs> = Some(Costs { asleep: 20, looking: 10 });

fn never() -> Config {
    let mut config = Config::new();
    config.spin = Duration::ZERO;
    config
}

#[test]
fn waits_look_where_that_takes_less() {
    assert!(stream(Config::new(), PAYS) > 1500);
    assert!(grams(GramConfig::new(), PAYS) > 1500);
    assert!(endpoint_grams(Config::new(), PAYS) > 1500);
}

#[test]
fn and_not_where_it_takes_as_much_or_more() {
    for looking in [19, 20, 30] {
        let costs = Some(Costs { asleep: 20, looking });
        assert!(stream(Config::new(), costs) < 500, "{looking} for 20");
        assert!(grams(GramConfig::new(), costs) < 500, "{looking} for 20");
    }
}

#[test]
fn nor_where_it_is_off_or_the_network_knows_no_cpu_time() {
    assert_eq!(stream(never(), PAYS), 0);
    assert_eq!(stream(Config::new(), None), 0);
    assert_eq!(endpoint_grams(never(), PAYS), 0);
    let mut config = GramConfig::new();
    config.spin = Duration::ZERO;
    assert_eq!(grams(config, PAYS), 0);
}

#[test]
fn it_can_be_turned_off_on_the_way_and_a_poller_that_fails_in_a_look_is_told_of() {
    let seen = Seen::default();
    let mut server = Server::with_net(Config::new(), Paced::net(PAYS, &seen));
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    let mut message = |server: &mut Server| {
        client.write_all(b"x").unwrap();
        loop {
            server.wait(None);
            server.service();
            let mut events = std::iter::from_fn(|| server.poll_event());
            if let Some(Event::Received(id)) =
                events.find(|event| matches!(event, Event::Received(_)))
            {
                server.remoter_mut(id).unwrap().take();
                server.clear_events();
                return;
            }
        }
    };
    while seen.looks.load(Relaxed) < 100 {
        message(&mut server);
    }
    seen.fails.store(true, Relaxed);
    server.service();
    server.clear_events();
    server.wait(None);
    assert!(matches!(server.poll_event(), Some(Event::NetFailed { .. })));
    assert_eq!(server.poll_event(), None);
    seen.fails.store(false, Relaxed);
    server.config_mut().spin = Duration::ZERO;
    let looks = seen.looks.load(Relaxed);
    for _ in 0..100 {
        message(&mut server);
    }
    assert_eq!(seen.looks.load(Relaxed), looks);
}
