//! One program, written once: in real time on loopback, and in a world, where each seed is one run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tymist::doing::{DoError, Doer, Doist, Echo, Finish, Handle, Recur, ServerDoer};
use tymist::net::Descriptor;
use tymist::net::os::OsNet;
use tymist::net::{Addr, Net};
use tymist::sim::{Link, Tracing, World, WorldSpec};
use tymist::tyme::{Tyme, Tymist, Tymth};
use tymist::{Clients, Config, Connect, Event, Id, Server, Wake};

const CALLERS: usize = 8;
const MESSAGES: usize = 20;

/// Sends each its numbered messages, one after the answer to the last; counts what came back, and stops all once that is everything.
struct Callers {
    clients: Clients,
    answers: BTreeMap<Id, usize>,
    ended: Rc<RefCell<usize>>,
}

impl Callers {
    fn message(number: usize) -> [u8; 8] {
        (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
    }

    fn say_next(&mut self, id: Id) {
        let number = self.answers[&id];
        if number < MESSAGES {
            assert_eq!(self.clients.tx(id, &Self::message(number)), Ok(8));
        } else {
            self.clients.remoter_mut(id).unwrap().close();
        }
    }

    fn event(&mut self, event: &Event) {
        match *event {
            Event::Connected(id) => {
                self.answers.insert(id, 0);
                self.say_next(id);
            }
            Event::Received(id) => {
                let remoter = self.clients.remoter_mut(id).unwrap();
                if remoter.rx().len() == 8 {
                    let answer = remoter.take();
                    assert_eq!(answer, Self::message(self.answers[&id])[..]);
                    *self.answers.get_mut(&id).unwrap() += 1;
                    self.say_next(id);
                }
            }
            Event::Closed(..) => *self.ended.borrow_mut() += 1,
            _ => {}
        }
    }
}

/// Around an engine, which is a doer itself.
impl Doer for Callers {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.clients.enter(tymth)
    }

    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            self.event(&event);
        }
        self.clients.service_sends();
        Ok(Recur::Again)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.clients.exit()
    }

    fn wake(&self) -> Wake {
        self.clients.wake()
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        self.clients.descriptors(into);
    }
}

/// Looks every now and then, and stops all once the callers are done.
struct Overseer {
    ended: Rc<RefCell<usize>>,
    stop: Handle,
    looks: usize,
}

impl Doer for Overseer {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.looks += 1;
        if *self.ended.borrow() == CALLERS {
            self.stop.stop();
        }
        Ok(Recur::Again)
    }

    fn tock(&self) -> Duration {
        Duration::from_millis(10)
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

/// The program: a server, callers that come one after the other, and one that looks on, in a group of its own.
fn program(net: &dyn Fn() -> Box<dyn Net>) -> Doist {
    let mut server = Server::with_net(Config::new(), net());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let target: Addr = server.local_addr(acceptor).unwrap().clone();
    let mut clients = Clients::with_net(Config::new(), net());
    for _ in 0..CALLERS {
        clients.connect(Connect::new(target.clone())).unwrap();
    }
    let mut doist = Doist::new();
    doist.limit = Some(Duration::from_secs(100));
    let ended = Rc::default();
    doist.add(ServerDoer::new(server, Echo::new()));
    doist.add(Callers { clients, answers: BTreeMap::new(), ended: Rc::clone(&ended) });
    let mut looking_on = Doist::new();
    looking_on.add(Overseer { ended, stop: doist.handle(), looks: 0 });
    doist.add(looking_on);
    doist
}

/// What became of it.
#[track_caller]
fn check(doist: &Doist) {
    assert_eq!(doist.finish(), Some(Finish::Stopped));
    let of_callers = |(id, _)| doist.get::<Callers>(id);
    let callers = doist.ended().find_map(of_callers).unwrap();
    assert_eq!(callers.answers.len(), CALLERS);
    assert!(callers.answers.values().all(|answers| *answers == MESSAGES));
    let of_echo = |(id, _)| doist.get::<ServerDoer<Echo>>(id);
    let echo = doist.ended().find_map(of_echo).unwrap();
    assert_eq!(echo.service.bytes, (CALLERS * MESSAGES * 8) as u64);
    assert_eq!(echo.server.counters().accepted, CALLERS as u64);
}

#[test]
fn in_real_time_on_loopback() {
    let mut doist = program(&|| Box::new(OsNet::new()));
    assert_eq!(doist.run(&mut Tymist::realtime()).unwrap(), Finish::Stopped);
    check(&doist);
}

fn in_a_world(seed: u64) -> (u64, Tyme) {
    let mut spec = WorldSpec::new(seed);
    spec.tracing = Tracing::Hash;
    let mut world = World::with(spec);
    let host = world.add_host("host");
    let mut link = Link::default();
    link.jitter = Duration::from_millis(3);
    link.loss = 0.02;
    world.set_route(host, host, link);
    world.start(host, |host| program(&|| host.net()));
    assert!(world.run_while_not(Tyme::from_secs(200), |world| world.ended(host).is_some()));
    check(world.program(host).unwrap());
    (world.hash(), world.tyme())
}

#[test]
fn in_a_world_with_one_hash_for_each_seed() {
    let runs: Vec<_> = (0..20).map(in_a_world).collect();
    let again: Vec<_> = (0..20).map(in_a_world).collect();
    assert_eq!(runs, again);
    let mut hashes: Vec<u64> = runs.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 20, "other seeds, other runs");
}
