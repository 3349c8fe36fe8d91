//! Stepping, programs, clocks, idleness, determinism.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::sim_util::programs::{Echo, Pinger};
use crate::sim_util::*;
use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Dial, Listen};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::trace::{Fate, Flags, Record, What};
use tymist::sim::{Act, Cut, HostSpec, Link, Side, Step, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

/// Writes down when it had its turns, and wakes as it is told.
struct Clockwork {
    turns: Rc<RefCell<Vec<Tyme>>>,
    wakes: Vec<Wake>,
}

impl Doer for Clockwork {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.turns.borrow_mut().push(now);
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        let turns = self.turns.borrow().len();
        self.wakes.get(turns - 1).copied().unwrap_or(Wake::OnIo)
    }
}

fn clockwork(spec: HostSpec, wakes: Vec<Wake>) -> (World, Rc<RefCell<Vec<Tyme>>>) {
    let mut world = World::new(1);
    let turns = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&turns);
    world.add(spec, move |_| Clockwork { turns: Rc::clone(&seen), wakes: wakes.clone() });
    (world, turns)
}

#[test]
fn turns_come_when_they_were_asked_for() {
    let at = |secs| Wake::At(Tyme::from_secs(secs));
    let (mut world, turns) = clockwork("host".into(), vec![at(5), Wake::Now, at(3), at(9)]);
    world.run_until(Tyme::from_secs(8));
    let micro = Duration::from_micros(1);
    let five = Tyme::from_secs(5);
    // A deadline that has passed means a turn at once: a microsecond later.
    assert_eq!(*turns.borrow(), [Tyme::ZERO, five, five + micro, five + 2 * micro]);
    assert_eq!(world.tyme(), Tyme::from_secs(8));
    world.run_until(Tyme::from_secs(20));
    assert_eq!(turns.borrow().last(), Some(&Tyme::from_secs(9)));
    assert_eq!(turns.borrow().len(), 5);
    assert_eq!(world.next_due(), None);
}

#[test]
fn deadlines_go_by_the_hosts_own_clock() {
    let mut spec = HostSpec::new("fast");
    spec.ahead = Duration::from_secs(100);
    spec.drift_ppb = 100_000_000; // a tenth faster
    let (mut world, turns) = clockwork(spec, vec![Wake::At(Tyme::from_secs(211))]);
    world.run_until(Tyme::from_nanos(100_909_090_909));
    assert_eq!(turns.borrow().len(), 1);
    world.run_until(Tyme::from_nanos(100_909_090_910));
    // The first nanosecond of the world at which the host's clock has passed it.
    let late = Tyme::from_nanos(211_000_000_001);
    assert_eq!(*turns.borrow(), [Tyme::from_secs(100), late]);
}

#[test]
fn a_program_that_never_rests_does_not_stop_time() {
    let mut spec = HostSpec::new("busy");
    spec.turn = Duration::ZERO;
    let (mut world, turns) = clockwork(spec, vec![Wake::Now; 100_000]);
    world.run_until(Tyme::from_nanos(1_000));
    assert_eq!(turns.borrow().len(), 1_001);
}

#[test]
fn a_turn_takes_its_time_although_its_host_is_paused_and_resumed() {
    let mut spec = HostSpec::new("slow");
    spec.turn = 100 * MS;
    let host = || clockwork(spec.clone(), vec![Wake::Now; 2]);
    let (mut world, turns) = host();
    let slow = world.hosts().next().unwrap();
    world.run_until(at_millis(10));
    world.act(&Act::Pause(slow, SECOND));
    world.act(&Act::Resume(slow));
    world.run_until(at_millis(150));
    assert_eq!(*turns.borrow(), [Tyme::ZERO, at_millis(100)]);

    // A turn that the pause has held up comes when that ends.
    let (mut world, turns) = host();
    let slow = world.hosts().next().unwrap();
    world.plan(at_millis(10), Act::Pause(slow, SECOND));
    world.plan(at_millis(250), Act::Resume(slow));
    world.run_until(at_millis(900));
    assert_eq!(*turns.borrow(), [0, 250, 350].map(at_millis));
}

#[test]
fn regression_a_turn_held_up_by_a_pause_that_was_made_longer_comes_when_it_ends() {
    let (mut world, turns) = clockwork(HostSpec::new("slow"), vec![Wake::OnIo; 2]);
    let slow = world.hosts().next().unwrap();
    world.run_until(at_millis(10));
    world.act(&Act::Pause(slow, SECOND));
    world.set_wake(slow, Wake::Now);
    world.act(&Act::Pause(slow, 5 * SECOND));
    world.run_until(at_millis(30));
    world.act(&Act::Resume(slow));
    world.run_until(at_millis(900));
    assert_eq!(*turns.borrow(), [0, 30].map(at_millis));
}

/// Says when it is left.
struct Leaves(Rc<RefCell<Vec<&'static str>>>, &'static str);

impl Doer for Leaves {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        Ok(Recur::Again)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.0.borrow_mut().push(self.1);
        Ok(())
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

#[test]
fn regression_a_program_that_is_replaced_is_left() {
    let mut world = World::new(1);
    let left: Rc<RefCell<Vec<&str>>> = Rc::default();
    let host = world.add_host("host");
    for name in ["one", "two"] {
        let keep = Rc::clone(&left);
        world.start(host, move |_| {
            if name == "two" {
                assert_eq!(*keep.borrow(), ["one"], "before the next one is made");
            }
            Leaves(Rc::clone(&keep), name)
        });
        world.run_for(MS);
    }
    world.stop(host);
    assert_eq!(*left.borrow(), ["one", "two"]);
}

#[test]
fn a_waker_gives_a_turn() {
    let mut world = World::new(1);
    let host = world.add_host("host");
    let mut net = world.host(host).net();
    let waker = net.waker().unwrap();
    assert_eq!(world.next_turn(Tyme::from_secs(1)), None);
    assert_eq!(world.tyme(), Tyme::from_secs(1));
    waker.wake().unwrap();
    waker.wake().unwrap();
    assert_eq!(world.next_turn(Tyme::from_secs(2)), Some(host));
    assert_eq!(world.tyme(), Tyme::from_secs(1));
    assert_eq!(world.next_turn(Tyme::from_secs(2)), None);
    drop(world);
    waker.wake().unwrap();
}

#[test]
fn engines_can_be_serviced_by_hand() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    listener.register(token(1)).unwrap();
    let mut dialled = pair.dial(80);
    dialled.register(token(2)).unwrap();
    pair.world.set_wake(pair.server, Wake::At(Tyme::from_secs(7)));
    let mut turns = Vec::new();
    while let Some(host) = pair.world.next_turn(Tyme::NEVER) {
        turns.push((host, pair.world.tyme()));
    }
    // The handshake's answer, the finished handshake, the deadline.
    let expected = [
        (pair.client, at_millis(2)),
        (pair.server, at_millis(3)),
        (pair.server, Tyme::from_secs(7)),
    ];
    assert_eq!(turns, expected);
}

#[test]
fn a_deadline_can_be_moved_both_ways() {
    let mut world = World::new(1);
    let host = world.add_host("host");
    let at = |secs| Wake::At(Tyme::from_secs(secs));
    world.set_wake(host, at(5));
    world.set_wake(host, at(8));
    assert_eq!(world.next_turn(Tyme::NEVER), Some(host));
    assert_eq!(world.tyme(), Tyme::from_secs(8));
    world.set_wake(host, at(20));
    world.set_wake(host, at(10));
    assert_eq!(world.next_turn(Tyme::NEVER), Some(host));
    assert_eq!(world.tyme(), Tyme::from_secs(10));
    world.set_wake(host, at(30));
    world.set_wake(host, Wake::OnIo);
    assert_eq!(world.next_turn(Tyme::NEVER), None);
}

#[test]
fn one_step_does_one_thing() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    listener.register(token(1)).unwrap();
    let _dialled = pair.dial(80);
    pair.world.plan(at_millis(4), Act::Crash(pair.client));
    let mut steps = Vec::new();
    while let Some(step) = pair.world.step() {
        steps.push(step);
    }
    let (server, client) = (pair.server, pair.client);
    let packet = Step::Packet;
    assert_eq!(steps, [packet, packet, packet, Step::Turn(server), Step::Crashed(client)]);
}

#[test]
fn an_idle_year_of_ten_thousand_connections_takes_no_step() {
    let mut world = World::new(1);
    let mut server = HostSpec::new("server");
    server.max_sockets = 20_000;
    let server = world.add_host(server);
    let client = world.add_host("client");
    let (mut net, mut other) = (world.host(server).net(), world.host(client).net());
    let mut listen = Listen::new(([0, 0, 0, 0], 80));
    listen.backlog = 4096;
    let mut listener = net.listen(&listen).unwrap();
    let target = Dial::new((world.resolve("server")[0], 80));
    let mut streams = Vec::new();
    for _ in 0..5 {
        let calls: Vec<_> = (0..2000).map(|_| other.connect(&target).unwrap()).collect();
        world.run_for(10 * MS);
        streams.extend(calls);
        streams.extend(std::iter::from_fn(|| listener.accept().ok()));
    }
    assert_eq!(streams.len(), 20_000);
    world.run_for(SECOND);
    assert_eq!(world.next_due(), None);
    let steps = world.run_for(365 * 24 * 3600 * SECOND);
    assert_eq!(steps, 0, "an idle year costs nothing");
    assert!(streams.iter_mut().all(|stream| stream.connected().unwrap()));
}

/// A busy little world; everything random comes from the seed.
fn busy(seed: u64, tracing: Tracing) -> World {
    let mut spec = WorldSpec::new(seed);
    spec.tracing = tracing;
    spec.link.jitter = 3 * MS;
    spec.link.loss = 0.01;
    let mut world = World::with(spec);
    let server = world.add("server", |host| Echo::new(host, 80));
    let mut dice = world.rng("workload");
    let clients: Vec<_> = (0..5)
        .map(|number| {
            let beat = Duration::from_micros(dice.between(500, 50_000));
            world.add(format!("client {number}"), move |host| {
                Pinger::new(host, "server", 80, beat, 200)
            })
        })
        .collect();
    let mut slow = Link::new(20 * MS);
    slow.bandwidth = Some(50_000);
    world.set_link(server, clients[0], &slow);
    world.rule(Rule::new("dribble", Effect::Short(3)).chance(0.05));
    world.rule(Rule::new("storm", Effect::WouldBlock).chance(0.05));
    world.rule(Rule::new("cut", Effect::Reset).chance(0.002));
    world.plan(Tyme::from_secs(1), Act::Partition(Cut::Split(clients[..2].to_vec())));
    world.plan(Tyme::from_secs(2), Act::Heal);
    world.plan(Tyme::from_secs(3), Act::Crash(server));
    world.plan(Tyme::from_secs(4), Act::Restart(server));
    world.run_until(Tyme::from_secs(120));
    for &client in &clients {
        let pinger = world.program::<Pinger>(client).unwrap();
        assert_eq!((pinger.answered, pinger.wrong), (200, 0), "seed {seed}, {client:?}");
    }
    let open = world.program::<Echo>(server).unwrap().open();
    if open > 0 && tracing != Tracing::Full {
        return busy(seed, Tracing::Full);
    }
    // Who is silent never hears of a reset that was lost.
    let torn = |record: &Record| {
        matches!(&record.what, What::Segment { flags, fate: Fate::Lost(_), side: Side::Dialled, .. }
            if flags.has(Flags::RST))
    };
    assert!(open <= world.trace().records().filter(torn).count(), "seed {seed}: {open}");
    world.all_fired().unwrap();
    world
}

#[test]
fn equal_seeds_run_equally_and_others_do_not() {
    let (one, two, other) =
        (busy(11, Tracing::Full), busy(11, Tracing::Hash), busy(12, Tracing::Hash));
    assert_eq!(one.hash(), two.hash());
    assert_eq!(one.records(), two.records());
    assert_eq!(one.stats(), two.stats());
    assert_eq!(one.trace().hash(), one.hash());
    assert_ne!(one.hash(), other.hash());
    assert_eq!(busy(11, Tracing::Off).stats(), one.stats(), "writing down changes nothing");
}

#[test]
fn another_process_runs_equally_too() {
    const CHILD: &str = "TYMIST_TEST_PRINT_HASH";
    let ours = format!("hash {:016x}", busy(13, Tracing::Hash).hash());
    if std::env::var_os(CHILD).is_some() {
        println!("{ours}");
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "world::another_process_runs_equally_too", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line.trim() == ours), "{ours} is not in {text}");
}

#[test]
fn many_seeds_hold() {
    for seed in 100..130 {
        busy(seed, Tracing::Off);
    }
}

#[test]
#[should_panic(expected = "two hosts with the name")]
fn a_name_is_given_once() {
    let mut world = World::new(1);
    world.add_host("twin");
    world.add_host("twin");
}

#[test]
fn names_resolve_and_can_be_added() {
    let mut world = World::new(1);
    let host = world.add_host("www.example.org");
    assert!(world.add_name("example.org", host));
    assert_eq!(world.resolve("example.org"), world.resolve("www.example.org"));
    assert_eq!(world.find("example.org"), Some(host));
    assert!(world.resolve("nobody").is_empty());
    assert_eq!(world.host(host).addrs().len(), 2);
}

#[test]
fn cuts_sever_what_they_say() {
    let mut world = World::new(1);
    let hosts: Vec<_> = ["a", "b", "c"].map(|name| world.add_host(name)).into();
    let severed = |cut: &Cut| -> Vec<(usize, usize)> {
        let ways = hosts.iter().flat_map(|from| hosts.iter().map(move |to| (*from, *to)));
        let severed = ways.filter(|&(from, to)| cut.severs(from, to));
        severed.map(|(from, to)| (from.index(), to.index())).collect()
    };
    let (a, b) = (hosts[0], hosts[1]);
    assert_eq!(severed(&Cut::Isolate(a)), [(0, 1), (0, 2), (1, 0), (2, 0)]);
    assert_eq!(severed(&Cut::Pair(a, b)), [(0, 1), (1, 0)]);
    assert_eq!(severed(&Cut::OneWay { from: b, to: a }), [(1, 0)]);
    assert_eq!(severed(&Cut::Split(vec![a, b])), [(0, 2), (1, 2), (2, 0), (2, 1)]);
    let mut dice = world.rng("workload");
    let sizes: Vec<usize> =
        (0..200).map(|_| severed(&Cut::draw(&mut dice, &hosts)).len()).collect();
    // One against two, never all on one side.
    assert!(sizes.iter().all(|&size| size == 4));
}

/// Found by fuzzing: the way back from a host to itself stayed clogged for ever.
#[test]
fn a_host_that_was_clogged_to_itself_is_unclogged_both_ways() {
    let mut pair = Pair::new();
    let host = pair.server;
    pair.world.act(&Act::Clog { from: host, to: host });
    let mut listener = pair.listen(80);
    let target = pair.target(80);
    let mut dialled = pair.server_net.connect(&Dial::new(target)).unwrap();
    pair.run(MS);
    assert!(!dialled.connected().unwrap());
    pair.world.act(&Act::Unclog { from: host, to: host });
    pair.run(MS);
    assert!(dialled.connected().unwrap());
    drop(listener.accept().unwrap());
    pair.world.all_fired().unwrap();
}

#[test]
fn the_link_of_a_host_to_itself_can_be_changed() {
    let mut pair = Pair::new();
    let (host, target) = (pair.server, pair.target(80));
    let _listener = pair.listen(80);
    let mut fast = pair.server_net.connect(&Dial::new(target.clone())).unwrap();
    pair.run(MS);
    assert!(fast.connected().unwrap());
    pair.world.act(&Act::Relink { from: host, to: host, link: Link::new(10 * MS) });
    let mut slow = pair.server_net.connect(&Dial::new(target)).unwrap();
    pair.run(19 * MS);
    assert!(!slow.connected().unwrap());
    pair.run(2 * MS);
    assert!(slow.connected().unwrap());
}
