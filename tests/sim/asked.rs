//! What a world answers when it is asked: links, records, ends of programs, faults that never happened; and what old handles can do to it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::sim_util::programs::Echo;
use crate::sim_util::*;
use tymist::doing::{DoError, Doer, Doist, End, Recur, ServerDoer};
use tymist::net::{Addr, Bind, Dial, Listen};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, HostSpec, Link, Op, Side, Tracing, World, WorldSpec};
use tymist::tasks::Tasks;
use tymist::tyme::Tyme;
use tymist::{Config, Wake};

/// Sockets of before a crash are nothing to the host after it.
#[test]
fn handles_of_before_a_crash_take_nothing_from_the_host_after_it() {
    let mut pair = Pair::new();
    let named = Addr::from(std::path::Path::new("/run/a"));
    let mut stale = Listen::new(named.clone());
    stale.file.replace_stale = true;
    let old = (
        pair.connection(),
        pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap(),
        pair.server_net.listen(&stale).unwrap(),
        pair.server_net.connect(&Dial::new(named)).unwrap(),
        pair.server_net.bind(&Bind::new(Addr::Unnamed)).unwrap(),
    );
    pair.world.act(&Act::Crash(pair.server));
    pair.world.act(&Act::Restart(pair.server));
    let mut net = pair.world.host(pair.server).net();
    let new = (
        net.listen(&"0.0.0.0:80".parse().unwrap()).unwrap(),
        net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap(),
        net.listen(&stale).unwrap(),
    );
    drop(old);
    pair.run(SECOND);
    assert_eq!(pair.world.sockets(pair.server), 3);
    drop(new);
    assert_eq!(pair.world.sockets(pair.server), 0);
}

#[test]
fn links_are_told_and_foreign_hosts_refused() {
    let mut other = World::new(1);
    let foreign = (0..9).map(|n| other.add_host(format!("h{n}"))).last().unwrap();
    let mut pair = Pair::new();
    let (one, two) = (pair.client, pair.server);
    let mut link = Link::new(millis(7));
    link.loss = 0.25;
    pair.world.set_route(one, two, link.clone());
    assert_eq!(pair.world.route(one, two), link);
    assert_eq!(pair.world.route(two, one), Link::default());
    let mut refused = |what: &dyn Fn(&mut World)| {
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| what(&mut pair.world)));
        let panic = caught.unwrap_err();
        let text = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(text.contains("another world"), "{text:?}");
    };
    refused(&|world| assert!(world.add_name("new", foreign)));
    refused(&|world| world.set_route(one, foreign, Link::default()));
    refused(&|world| world.set_route(foreign, one, Link::default()));
    refused(&|world| drop(world.route(one, foreign)));
    refused(&|world| drop(world.route(foreign, one)));
    refused(&|world| world.stop(foreign));
}

#[test]
fn records_are_counted_and_without_any_nothing_is() {
    let run = |tracing| {
        let mut spec = WorldSpec::new(1);
        spec.tracing = tracing;
        let mut pair = Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"));
        let _connection = pair.connection();
        let trace = pair.world.trace();
        (pair.world.records(), trace.len(), trace.is_empty(), pair.world.hash() != 0)
    };
    let (records, len, empty, hashed) = run(Tracing::Full);
    assert!(records > 5, "{records}");
    assert_eq!((len, empty, hashed), (records, false, true));
    assert_eq!(run(Tracing::Hash), (records, 0, true, true));
    assert_eq!(run(Tracing::Off), (0, 0, true, false));
}

#[test]
fn what_never_happened_is_told_in_words() {
    let mut pair = Pair::new();
    let side = Rule::new("side", Effect::WouldBlock).on(&[Op::Read]).side(Side::Dialled);
    pair.world.rule(side);
    pair.world.plan(Tyme::from_secs(60), Act::Heal);
    let (_listener, _dialled, mut accepted) = pair.connection();
    for _ in 0..3 {
        read_error(&mut accepted);
    }
    let told = pair.world.all_fired().unwrap_err().to_string();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        ["planned faults that never happened:", "  rule \"side\"", "  Heal never came due"]
    );
}

#[test]
fn a_run_ends_when_it_is_told_or_at_its_limit() {
    let mut world = World::new(1);
    let limit = Tyme::from_secs(1);
    assert!(!world.run_while_not(limit, |_| false));
    assert!(world.run_while_not(Tyme::from_secs(9), |_| true));
    assert_eq!(world.tyme(), Tyme::ZERO, "nothing was due");
    let host = world.add("echo", |host| Echo::new(host, 80));
    let mut asked = 0;
    let done = world.run_while_not(Tyme::from_secs(9), |world| {
        asked += 1;
        world.stats().turns > 0
    });
    assert!(done && asked >= 2 && world.tyme() < Tyme::from_secs(9));
    assert!(world.ended(host).is_none());
}

/// Writes down what becomes of it.
struct Witness {
    said: Rc<RefCell<Vec<String>>>,
    wakes: Vec<Wake>,
    done: bool,
}

impl Doer for Witness {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.said.borrow_mut().push(format!("{}", now.as_nanos() / 1_000_000_000));
        Ok(if self.done { Recur::Done } else { Recur::Again })
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.said.borrow_mut().push("left".to_string());
        Ok(())
    }

    fn wake(&self) -> Wake {
        let turns = self.said.borrow().len();
        self.wakes.get(turns - 1).copied().unwrap_or(Wake::OnIo)
    }
}

fn witness(wakes: Vec<Wake>, done: bool) -> (World, tymist::sim::HostId, Rc<RefCell<Vec<String>>>) {
    let mut world = World::new(1);
    let said = Rc::new(RefCell::new(Vec::new()));
    let to = Rc::clone(&said);
    let host =
        world.add("it", move |_| Witness { said: Rc::clone(&to), wakes: wakes.clone(), done });
    (world, host, said)
}

#[test]
fn programs_are_left_as_they_end() {
    let (mut world, host, said) = witness(vec![], true);
    world.run_for(SECOND);
    assert!(matches!(world.ended(host), Some(End::Done)));
    assert_eq!(*said.borrow(), ["0", "left"]);

    let (mut world, host, said) = witness(vec![], false);
    world.run_for(SECOND);
    assert!(world.ended(host).is_none());
    world.stop(host);
    assert_eq!(*said.borrow(), ["0", "left"]);

    // Nobody is left after a crash, nor after the end of the world.
    let (mut world, host, said) = witness(vec![], false);
    world.run_for(SECOND);
    world.act(&Act::Crash(host));
    assert_eq!(*said.borrow(), ["0"]);
    drop(world);
    assert_eq!(*said.borrow(), ["0"]);
}

/// Nor are those of a group, which is left where it is only dropped.
#[test]
fn a_group_is_not_left_when_its_host_or_world_ends() {
    let said = Rc::new(RefCell::new(Vec::new()));
    let mut world = World::new(1);
    let to = Rc::clone(&said);
    let host = world.add("it", move |_| {
        let mut group = Doist::new();
        group.add(Witness { said: Rc::clone(&to), wakes: vec![], done: false });
        group
    });
    world.run_for(SECOND);
    world.act(&Act::Crash(host));
    world.act(&Act::Restart(host));
    world.run_for(SECOND);
    drop(world);
    assert_eq!(*said.borrow(), ["0", "1"]);
}

/// The program before it is gone when a program is made, with all that it had.
#[test]
fn a_program_can_take_the_place_of_another() {
    let mut world = World::new(1);
    let host = world.add("it", |host| Echo::new(host, 80));
    world.start(host, |host| Echo::new(host, 80));
    assert_eq!(world.sockets(host), 1);
}

#[test]
fn engines_on_a_host_are_wound_to_its_clock() {
    let mut world = World::new(1);
    let host = world.add_host("it");
    let host = world.host(host);
    let doer = ServerDoer::on_host(&host, Config::new(), tymist::doing::Echo::new());
    assert!(doer.server.is_wound());
    assert!(Tasks::on_host(&host, Config::new()).server().is_wound());
}

#[test]
fn worlds_and_hosts_say_which_they_are() {
    let mut world = World::new(77);
    let host = world.add_host("one");
    world.add_host("other");
    let text = format!("{world:?}");
    assert!(text.contains("seed: 77") && text.contains("hosts: 2"), "{text}");
    assert_eq!(format!("{:?}", world.host(host)), "Host(host 0, \"one\")");
}

/// A deadline of before a crash, or one that was taken back, gives no turn.
#[test]
fn deadlines_that_are_over_give_no_turn() {
    let at = |secs| Wake::At(Tyme::from_secs(secs));
    let (mut world, host, said) = witness(vec![at(50), at(90)], false);
    world.run_for(Duration::from_secs(10));
    world.act(&Act::Crash(host));
    world.act(&Act::Restart(host));
    world.run_for(Duration::from_secs(200));
    // The second one's first wake is the list's second, and then it wants no more.
    assert_eq!(*said.borrow(), ["0", "10", "90"]);

    let (mut world, host, said) = witness(vec![at(50)], false);
    world.run_for(SECOND);
    world.set_wake(host, Wake::OnIo);
    world.run_for(Duration::from_secs(100));
    assert_eq!(*said.borrow(), ["0"]);
}
