//! Clients in a simulated world: found by name, an hour without their server, and the same run for the same seed.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tymist::doing::{DoError, Doer, Recur};
use tymist::sim::{Act, World};
use tymist::tyme::Tyme;
use tymist::{Clients, Config, Connect, Event, Server, Wake};

const CLIENTS: usize = 20;
const GONE: Tyme = Tyme::from_secs(10);
const BACK: Tyme = Tyme::from_secs(3610);

/// A server that echoes.
pub(super) struct Echo(pub(super) Server);

impl Doer for Echo {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.0.service();
        while let Some(event) = self.0.poll_event() {
            if let Event::Received(id) = event {
                let remoter = self.0.remoter_mut(id).unwrap();
                let mut data = remoter.take();
                remoter.tx_bytes(&mut data).unwrap();
            }
        }
        self.0.service_sends();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.0.wake()
    }
}

/// What happened at the clients, and when.
type Log = Rc<RefCell<Vec<(Tyme, Event)>>>;

struct Pingers {
    clients: Clients,
    log: Log,
}

impl Doer for Pingers {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            match event {
                Event::Connected(id) => {
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

/// The log of the clients, what is left of them, and the fingerprint of the run.
fn run(seed: u64) -> (Vec<(Tyme, Event)>, usize, u64) {
    let mut world = World::new(seed);
    let server = world.add("server", |host| {
        let mut server = Server::with_net(Config::new(), host.net());
        server.wind(host.tymth());
        server.listen(([0, 0, 0, 0], 7)).unwrap(); // house: fixed-port, of a simulated host
        Echo(server)
    });
    let log = Log::default();
    let keep = Rc::clone(&log);
    let client = world.add("client", move |host| {
        let mut config = Config::new();
        config.timeouts.idle = Some(Duration::from_secs(60));
        let mut clients = Clients::with_net(config, host.net());
        clients.wind(host.tymth());
        for _ in 0..CLIENTS {
            clients.connect(Connect::to_name("server", 7).reconnectable()).unwrap();
        }
        clients.connect(Connect::to_name("nobody", 7)).unwrap();
        Pingers { clients, log: Rc::clone(&keep) }
    });
    world.plan(GONE, Act::Crash(server));
    world.plan(BACK, Act::Restart(server));
    world.run_until(BACK + Duration::from_secs(50));
    let connected = world.program::<Pingers>(client).unwrap().clients.connected();
    let hash = world.hash();
    let log = log.borrow().clone();
    (log, connected, hash)
}

#[test]
fn clients_find_their_server_by_name_and_come_back_after_an_hour_without_it() {
    let (log, connected, _) = run(1);
    assert_eq!(connected, CLIENTS);
    let count = |wanted: fn(&Event) -> bool, from: Tyme, to: Tyme| {
        log.iter().filter(|(at, event)| (from..to).contains(at) && wanted(event)).count()
    };
    let up = |event: &Event| matches!(event, Event::Connected(_));
    let answered = |event: &Event| matches!(event, Event::Received(_));
    let unresolved = |event: &Event| matches!(event, Event::Unresolved { .. });
    assert_eq!(count(up, Tyme::ZERO, GONE), CLIENTS);
    assert_eq!(count(answered, Tyme::ZERO, GONE), CLIENTS);
    assert_eq!(count(unresolved, Tyme::ZERO, Tyme::NEVER), 1, "nobody");
    assert_eq!(count(up, GONE, BACK), 0);
    assert_eq!(count(up, BACK, Tyme::NEVER), CLIENTS);
    assert_eq!(count(answered, BACK, Tyme::NEVER), CLIENTS);
    // A try lasts 10 s and the wait after it 15 to 30 s at the end: not many, and spread out.
    let rounds = count(|event| matches!(event, Event::Disconnected { .. }), GONE, BACK);
    assert!((CLIENTS * 80..CLIENTS * 160).contains(&rounds), "{rounds}");
    let mut back: Vec<Tyme> =
        log.iter().filter(|(at, event)| *at >= BACK && up(event)).map(|(at, _)| *at).collect();
    back.dedup();
    assert!(back.len() > CLIENTS / 2, "they come back together: {back:?}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let (one, two, other) = (run(7), run(7), run(8));
    assert_eq!(one, two);
    assert_ne!(one.2, other.2);
    assert_ne!(one.0, other.0, "the waits are drawn from the seed of the world");
}
