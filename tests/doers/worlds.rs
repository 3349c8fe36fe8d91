//! Doers on simulated hosts.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tymist::doing::{ClientDoer, DoError, Doer, Doist, Echo, End, Finish, Recur, ServerDoer};
use tymist::net::Addr;
use tymist::sim::{Act, HostSpec, World};
use tymist::tyme::{Tyme, Tymist, Tymth};
use tymist::{Client, Config, Event, Wake};

use crate::{Actor, Log};

fn at(secs: u64) -> Tyme {
    Tyme::from_secs(secs)
}

#[test]
fn a_program_that_is_done_is_left_and_can_be_looked_at() {
    let log = Log::default();
    let mut world = World::new(1);
    let said = log.clone();
    let host = world.add("host", move |_| Actor::done_at("a", &said, 3));
    assert_eq!(log.take(), "+a", "entered at once");
    assert!(world.ended(host).is_none());
    world.run_until(at(1));
    assert_eq!(log.take(), "a0 a1 a2 a3 -a");
    assert!(matches!(world.ended(host), Some(End::Done)));
    assert_eq!(world.program::<Actor>(host).unwrap().turns, 4);
    world.act(&Act::Pause(host, Duration::from_secs(1)));
    world.run_until(at(5));
    assert_eq!(log.take(), "", "no turn any more");
}

#[test]
fn a_program_that_fails_is_left_and_others_go_on() {
    let log = Log::default();
    let mut world = World::new(1);
    let said = log.clone();
    let bad = world.add("bad", move |_| {
        Actor::new("a", &said, |turn| match turn {
            1 => Err("no more".into()),
            _ => Ok(Recur::Again),
        })
    });
    let said = log.clone();
    let closed = world.add("closed", move |_| {
        let mut actor = Actor::endless("b", &said);
        actor.on_enter = Box::new(|| Err("not in".into()));
        actor
    });
    let good = world.add("good", move |_| Actor::done_at("c", &Log::default(), 100));
    world.run_until(at(1));
    assert_eq!(log.take(), "+a +b -b a0 a1 -a");
    assert_eq!(world.ended(bad).and_then(End::error).unwrap().to_string(), "no more");
    assert_eq!(world.ended(closed).and_then(End::error).unwrap().to_string(), "not in");
    assert!(matches!(world.ended(good), Some(End::Done)));
}

#[test]
fn a_crash_leaves_nobody_and_a_stop_does() {
    let log = Log::default();
    let mut world = World::new(1);
    let said = log.clone();
    let quiet = move |name: &'static str| {
        let mut actor = Actor::endless(name, &said);
        actor.wake = Wake::OnIo;
        actor
    };
    let make = quiet.clone();
    let alone = world.add("alone", move |_| make("a"));
    let group = world.add("group", move |_| {
        let (mut doist, mut inner) = (Doist::new(), Doist::new());
        doist.add(quiet("x"));
        inner.add(quiet("y"));
        doist.add(inner);
        doist
    });
    world.run_until(at(1));
    assert_eq!(log.take(), "+a +x +y a0 x0 y0");
    world.act(&Act::Crash(alone));
    world.act(&Act::Crash(group));
    assert_eq!(log.take(), "", "as when the power goes");
    world.act(&Act::Restart(alone));
    world.act(&Act::Restart(group));
    world.run_until(at(2));
    assert_eq!(log.take(), "+a +x +y a0 x0 y0");
    world.stop(alone);
    world.stop(group);
    assert_eq!(log.take(), "-a -y -x");
    world.start(alone, {
        let log = log.clone();
        move |_| Actor::endless("z", &log)
    });
    drop(world);
    assert_eq!(log.take(), "+z", "nor does the end of the world");
}

/// In a crash a group left its doers if something was around it.
#[test]
fn regression_a_crash_leaves_nobody_in_a_group_that_is_boxed_or_shared() {
    let log = Log::default();
    let mut world = World::new(1);
    let group = |name: &'static str| {
        let said = log.clone();
        move || {
            let mut doist = Doist::new();
            let mut actor = Actor::endless(name, &said);
            actor.wake = Wake::OnIo;
            doist.add(actor);
            doist
        }
    };
    let (boxed, shared, inner) = (group("b"), group("s"), group("i"));
    let boxed = world.add("boxed", move |_| Box::new(boxed()) as Box<dyn Doer>);
    let shared = world.add("shared", move |_| Rc::new(RefCell::new(shared())));
    let outer = world.add("outer", move |_| {
        let mut doist = Doist::new();
        doist.add(Box::new(inner()) as Box<dyn Doer>);
        doist
    });
    world.run_until(at(1));
    assert_eq!(log.take(), "+b +s +i b0 s0 i0");
    for host in [boxed, shared] {
        world.act(&Act::Crash(host));
        assert_eq!(log.take(), "", "as when the power goes");
    }
    world.act(&Act::Restart(boxed));
    world.run_until(at(2));
    world.stop(boxed);
    assert_eq!(log.take(), "+b b0 -b", "the next one is left as any");
    assert!(world.is_up(outer));
    drop(world);
    assert_eq!(log.take(), "", "nor does the end of the world");
}

/// Writes down when it has its turns.
struct Beat(Rc<RefCell<Vec<u64>>>);

impl Doer for Beat {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.0.borrow_mut().push(tymth.tyme().as_nanos());
        Ok(())
    }

    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.0.borrow_mut().push(now.as_nanos());
        Ok(Recur::Again)
    }

    fn tock(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn wake(&self) -> Wake {
        Wake::Now
    }
}

#[test]
fn a_beat_goes_by_the_clock_of_the_host() {
    let turns = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&turns);
    let mut world = World::new(1);
    let mut spec = HostSpec::new("fast");
    spec.ahead = Duration::from_secs(5);
    spec.drift_ppb = 500_000_000; // half as fast again
    world.add(spec, move |_| Beat(Rc::clone(&seen)));
    world.run_until(at(20));
    let secs: Vec<u64> = turns.borrow().iter().map(|nanos| nanos / 1_000_000_000).collect();
    assert_eq!(secs, [5, 5, 15, 25, 35]);
}

type Greeter = fn(&mut Client, Event);

/// Greets once connected.
const GREET: Greeter = |client, event| {
    if let Event::Connected(_) = event {
        assert_eq!(client.tx(b"hello"), Ok(5));
    }
};

#[test]
fn behaviour_58_sixteen_ticks_do_for_an_echo_and_buffers_survive_the_end() {
    let mut world = World::new(1);
    let group = || {
        let mut doist = Doist::new();
        doist.tock = Tymist::TOCK;
        doist.limit = Some(Tymist::TOCK * 16);
        doist
    };
    let server = world.add("server", move |host| {
        let mut doer = ServerDoer::on_host(host, Config::new(), Echo::new());
        doer.server.listen(([0, 0, 0, 0], 7)).unwrap(); // house: fixed-port, of a simulated host
        let mut doist = group();
        doist.add(doer);
        doist
    });
    let target = Addr::from((world.resolve("server")[0], 7));
    let client = world.add("client", move |host| {
        let client = Client::with_net(Config::new(), host.net(), target.clone());
        let mut doist = group();
        doist.add(ClientDoer::new(client, GREET));
        doist
    });
    world.run_until(at(60));
    for host in [server, client] {
        let doist: &Doist = world.program(host).unwrap();
        assert_eq!(doist.finish(), Some(Finish::Limit));
        assert!(matches!(world.ended(host), Some(End::Done)));
        assert_eq!(world.sockets(host), 0, "all is closed");
    }
    let doist: &Doist = world.program(client).unwrap();
    let (id, end) = doist.ended().next().unwrap();
    assert!(matches!(end, Some(End::Forced)));
    let doer: &ClientDoer<Greeter> = doist.get(id).unwrap();
    assert_eq!(doer.client.rx(), b"hello");
}
