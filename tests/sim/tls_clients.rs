//! Clients over TLS in a simulated world: they come back through crashes and partitions, a stall ends at its nanosecond, and the same seed is the
//! same run.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::clients::Echo;
use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, Authority, Issued};
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::tls::test_provider::seeded;
use tymist::net::tls::{
    ClientTls, ClientTlsConfig, HandshakeFailure as Failure, ServerTls, ServerTlsConfig, TlsTime,
};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, Errno, Host, HostId, Op, World};
use tymist::tyme::Tyme;
use tymist::{Clients, CloseReason, Config, Connect, Deadline, Event, Server, Wake};

const CLIENTS: usize = 10;
const PORT: u16 = 443; // house: fixed-port, of a simulated host

/// Made once, so that runs in this process can be compared.
fn pki() -> &'static (Authority, Issued) {
    static PKI: OnceLock<(Authority, Issued)> = OnceLock::new();
    PKI.get_or_init(|| {
        let authority = Authority::new("authority of the world");
        let issued = authority.issue(&pki::server());
        (authority, issued)
    })
}

impl Echo {
    fn over_tls(host: &Host, tls: &ServerTls) -> Self {
        let mut server = Server::with_net(Config::new(), host.net());
        server.wind(host.tymth());
        server.listen_tls(([0, 0, 0, 0], PORT), tls).unwrap();
        Echo(server)
    }
}

type Log = Rc<RefCell<Vec<(Tyme, Event)>>>;

/// Clients that say "ping" each time they are connected.
struct Pingers {
    clients: Clients,
    log: Log,
    resumed: usize,
}

impl Doer for Pingers {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            match event {
                Event::Connected(id) => {
                    let info = self.clients.remoter(id).unwrap().tls().unwrap();
                    self.resumed += usize::from(info.resumed());
                    self.clients.tx(id, b"ping").unwrap();
                }
                Event::Received(id) => {
                    assert_eq!(self.clients.remoter_mut(id).unwrap().take(), &b"ping"[..]);
                }
                _ => {}
            }
            self.log.borrow_mut().push((now, event));
        }
        self.clients.service_sends();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.clients.wake()
    }
}

struct Scene {
    world: World,
    server: HostId,
    client: HostId,
    log: Log,
}

/// A server, and clients that want it to be `name` and come again.
fn scene(seed: u64, name: &'static str, count: usize) -> Scene {
    let mut world = World::new(seed);
    let provider = seeded(seed);
    let time = TlsTime::simulated(world.tymth(), Duration::from_secs(EPOCH));
    let (authority, issued) = pki();
    let config = ServerTlsConfig::new(issued.identity()).with_time(time.clone());
    let tls = ServerTls::new(config.with_provider(Arc::clone(&provider))).unwrap();
    let server = world.add("server", move |host| Echo::over_tls(host, &tls));
    let config = ClientTlsConfig::with_roots(authority.root()).with_time(time);
    let tls = ClientTls::new(&config.with_provider(provider)).unwrap();
    let log = Log::default();
    let keep = Rc::clone(&log);
    let client = world.add("client", move |host| {
        let mut config = Config::new();
        config.timeouts.idle = Some(Duration::from_secs(600));
        let mut clients = Clients::with_net(config, host.net());
        clients.wind(host.tymth());
        for _ in 0..count {
            let connect = Connect::to_name("server", PORT).with_tls(&tls, name).unwrap();
            clients.connect(connect.reconnectable()).unwrap();
        }
        Pingers { clients, log: Rc::clone(&keep), resumed: 0 }
    });
    Scene { world, server, client, log }
}

fn count(log: &Log, wanted: impl Fn(&Event) -> bool) -> usize {
    log.borrow().iter().filter(|(_, event)| wanted(event)).count()
}

/// An hour in which the server crashes and comes back.
fn hour(seed: u64) -> (Vec<(Tyme, Event)>, usize, u64) {
    let Scene { mut world, server, client, log } = scene(seed, "server.test", CLIENTS);
    world.plan(Tyme::from_secs(60), Act::Crash(server));
    world.plan(Tyme::from_secs(120), Act::Restart(server));
    world.run_until(Tyme::from_secs(3600));
    let pingers = world.program::<Pingers>(client).unwrap();
    assert_eq!(pingers.clients.connected(), CLIENTS);
    let resumed = pingers.resumed;
    let hash = world.hash();
    let log = log.borrow().clone();
    (log, resumed, hash)
}

#[test]
fn clients_come_back_through_tls_after_a_crash() {
    let (log, resumed, _) = hour(1);
    let log = Rc::new(RefCell::new(log));
    let connected = count(&log, |event| matches!(event, Event::Connected(_)));
    assert!(connected >= 2 * CLIENTS, "{connected}");
    assert_eq!(
        count(&log, |event| matches!(event, Event::Received(_))),
        connected,
        "each answered"
    );
    // The tickets' keys are of the configuration, which the crash does not lose.
    assert!(resumed >= CLIENTS, "{resumed}");
}

#[test]
fn the_same_seed_is_the_same_run_with_tls_too() {
    let (one, two, other) = (hour(7), hour(7), hour(8));
    assert_eq!(one, two);
    assert_ne!(one.2, other.2);
}

#[test]
fn a_server_with_another_name_is_told_at_each_try_and_never_connected_to() {
    let Scene { mut world, log, .. } = scene(3, "other.test", 1);
    world.run_until(Tyme::from_secs(600));
    let wrong = CloseReason::Handshake(Failure::CertWrongName);
    let tries = count(
        &log,
        |event| matches!(event, Event::Disconnected { reason, .. } if *reason == wrong),
    );
    assert_eq!(tries, log.borrow().len(), "nothing else happens: {:?}", log.borrow());
    assert!((15..60).contains(&tries), "with a growing wait: {tries}");
}

#[test]
fn a_handshake_in_a_partition_expires_to_the_nanosecond_and_comes_up_after_it() {
    let Scene { mut world, server, client, log } = scene(4, "server.test", 1);
    // One link takes 1 ms: at 2.5 ms the transport is up here, and the handshake has begun.
    let cut = Tyme::from_nanos(2_500_000);
    world.plan(cut, Act::Partition(Cut::Pair(server, client)));
    world.plan(Tyme::from_secs(20), Act::Heal);
    world.run_until(Tyme::from_secs(60));
    let log = log.borrow();
    let (at, first) = &log[0];
    let Event::Expired(_, Deadline::Handshake) = first else { panic!("{log:?}") };
    // Up after one round trip of 1 ms each way; the default handshake time-out is 10 s.
    assert_eq!(*at, Tyme::from_secs(10) + Duration::from_millis(2));
    let expired = CloseReason::Expired(Deadline::Handshake);
    assert!(matches!(&log[1].1, Event::Disconnected { reason, .. } if *reason == expired));
    let connected = log.iter().filter(|(_, event)| matches!(event, Event::Connected(_)));
    assert_eq!(connected.count(), 1);
}

/// Calls that a signal interrupts are made again, in a handshake as in a live connection: it failed with `Io(Interrupted)`.
#[test]
fn regression_a_signal_in_a_handshake_does_not_end_it() {
    for host in ["server", "client"] {
        for op in [Op::Read, Op::Write] {
            for number in 1..=2 {
                let Scene { mut world, log, .. } = scene(5, "server.test", 1);
                let effect = Effect::Fail(Errno::Eintr);
                world.rule(Rule::new("signal", effect).on(&[op]).host(host).nth(number));
                world.run_until(Tyme::from_secs(10));
                world.all_fired().unwrap();
                let events: Vec<Event> = log.borrow().iter().map(|(_, it)| it.clone()).collect();
                let [Event::Connected(_), Event::Received(_)] = events[..] else {
                    panic!("{op} {number} of the {host}: {events:?}")
                };
            }
        }
    }
}
