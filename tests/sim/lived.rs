//! How a plan is lived: what is asked when, what is undone after the faults, what may be left in the end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::sim_util::*;
use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Bind, Datagram, Dial, Listen};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::swarm::{Failure, Fault, Kind, Moment, Plan, Report, Shape, Stage, What, run};
use tymist::sim::{Act, Cut, Errno, HostSpec, Link, Op, Tracing};
use tymist::tyme::Tyme;

/// Two plain hosts, 1 ms apart, without a fault, for 20 ms; then for 2 s at most.
fn plain() -> Plan {
    let mut shape = Shape::default();
    (shape.servers, shape.clients, shape.faults) = (1..=1, 1..=1, 0);
    shape.safety = millis(20)..=millis(20);
    shape.budget = 2 * SECOND;
    let mut plan = Plan::draw(1, &shape);
    plan.links[0].2 = Link::new(MS);
    for place in &mut plan.places {
        place.spec = HostSpec::new(place.spec.name.clone());
    }
    plan
}

fn live<S>(plan: &Plan, scenario: S) -> Result<Report, Failure>
where
    S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
{
    run(plan, Tracing::Hash, scenario, |_| ())
}

/// Counts its turns, and holds something.
struct Turns<T>(Rc<Cell<u32>>, T);

impl<T: 'static> Doer for Turns<T> {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.0.set(self.0.get() + 1);
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

fn start_all(stage: &mut Stage<'_>, turns: &Rc<Cell<u32>>) {
    for host in stage.world.hosts().collect::<Vec<_>>() {
        let turns = Rc::clone(turns);
        stage.world.start(host, move |_| Turns(Rc::clone(&turns), ()));
    }
}

#[test]
fn moments_come_each_at_its_time_with_turns_for_all_after_healing_and_at_the_end() {
    let turns = Rc::new(Cell::new(0));
    let told = RefCell::new(Vec::new());
    let busy = millis(1500);
    let scenario = |stage: &mut Stage<'_>, moment: Moment| {
        let now = stage.world.tyme() - Tyme::ZERO;
        match moment {
            Moment::Start => {
                start_all(stage, &turns);
                stage.world.plan(Tyme::ZERO + busy, Act::Heal);
            }
            Moment::Check => return Ok(()),
            Moment::Done { last: false } if now < busy => return Err(String::new()),
            _ => {}
        }
        told.borrow_mut().push((moment, now, turns.get()));
        Ok(())
    };
    let report = live(&plain(), scenario).unwrap();
    let wanted = [
        (Moment::Start, Duration::ZERO, 0),
        (Moment::Heal, millis(20), 2),
        (Moment::Done { last: false }, busy, 4),
        (Moment::End, busy, 4),
        (Moment::Left, busy + SECOND, 6),
    ];
    assert_eq!(*told.borrow(), wanted);
    assert_eq!(report.done, Tyme::ZERO + busy);
    assert_eq!((report.steps, report.stats.turns), (7, 6));
}

/// An error at each moment, and a panic, are failures of their own kinds, at that moment's time.
#[test]
fn what_fails_is_told_with_its_kind_and_time() {
    let last = Moment::Done { last: true };
    let end = millis(20) + 2 * SECOND;
    for (wrong, kind, at) in [
        (Moment::Start, Kind::Wrong, Duration::ZERO),
        (Moment::Check, Kind::Wrong, millis(5)),
        (Moment::Heal, Kind::Wrong, millis(20)),
        (last, Kind::Stuck, end),
        (Moment::End, Kind::Wrong, end),
        (Moment::Left, Kind::Left, end + SECOND),
    ] {
        for panics in [false, true] {
            let mut looked = None;
            let scenario = |stage: &mut Stage<'_>, moment: Moment| {
                if moment == Moment::Start {
                    let host = stage.servers()[0];
                    stage.world.plan(Tyme::ZERO + millis(5), Act::Crash(host));
                }
                if moment == wrong {
                    assert!(!panics, "like this");
                    return Err("like this".to_owned());
                }
                // Only the last word is it.
                let done = moment != Moment::Done { last: false };
                done.then_some(()).ok_or_else(|| "nobody reads this".to_owned())
            };
            let failure = run(&plain(), Tracing::Hash, scenario, |world| {
                looked = Some(world.tyme());
            });
            let kind = if panics { Kind::Panicked } else { kind };
            let wanted = Failure { kind, what: "like this".into(), at: Tyme::ZERO + at };
            assert_eq!(failure, Err(wanted), "{wrong:?}");
            assert_eq!(looked, Some(Tyme::ZERO + at), "it is shown however it ended");
        }
    }
    let at_last = |_: &mut Stage<'_>, moment| match moment {
        Moment::Done { last: false } => Err(String::new()),
        _ => Ok(()),
    };
    assert_eq!(live(&plain(), at_last).unwrap().done, Tyme::ZERO + end);
}

#[test]
fn what_takes_more_steps_than_it_may_spins() {
    let steps = |most: Option<u64>| {
        let mut plan = plain();
        plan.steps = most.unwrap_or(plan.steps);
        let turns = Rc::default();
        live(&plan, |stage, moment| {
            if moment == Moment::Start {
                start_all(stage, &turns);
            }
            Ok(())
        })
    };
    // Each of the two at the start and after healing, which is the end.
    assert_eq!(steps(None).unwrap().steps, 4);
    assert_eq!(steps(Some(4)), steps(None));
    let failure = steps(Some(3)).unwrap_err();
    assert_eq!((failure.kind, failure.what.as_str()), (Kind::Spins, "4 steps"));
}

#[test]
fn a_world_is_built_as_planned() {
    let mut shape = Shape::default();
    (shape.servers, shape.clients) = (2..=2, 3..=3);
    let plan = Plan::draw(5, &shape);
    let mut asked = 0;
    let scenario = |stage: &mut Stage<'_>, moment: Moment| {
        if moment != Moment::Start {
            return Ok(());
        }
        asked += 1;
        assert_eq!(stage.world.seed(), 5);
        let hosts: Vec<_> = stage.world.hosts().collect();
        assert_eq!(hosts, [stage.servers(), stage.clients()].concat());
        for (host, place) in hosts.iter().zip(&plan.places) {
            assert_eq!(stage.world.host(*host).name(), place.spec.name);
            assert_eq!(stage.world.host(*host).tyme(), Tyme::ZERO + place.spec.ahead);
        }
        for (from, to, link) in &plan.links {
            assert_eq!(stage.world.route(hosts[*from], hosts[*to]), *link);
            assert_eq!(stage.world.route(hosts[*to], hosts[*from]), *link);
        }
        Ok(())
    };
    live(&plan, scenario).unwrap();
    assert_eq!(asked, 1);
}

#[test]
fn what_befalls_a_world_begins_and_ends_when_it_was_planned() {
    let mut plan = plain();
    let host = plan.hosts(tymist::sim::swarm::Role::Client)[0];
    let (begin, end) = (Act::Crash(host), Some((millis(10), Act::Restart(host))));
    plan.faults = vec![Fault { number: 0, what: What::Spell { at: millis(5), begin, end } }];
    let (turns, mut up, mut healed) = (Rc::default(), Vec::new(), false);
    let scenario = |stage: &mut Stage<'_>, moment: Moment| {
        match moment {
            Moment::Start => start_all(stage, &turns),
            Moment::Check if !healed => {
                up.push((stage.world.tyme() - Tyme::ZERO, stage.world.is_up(host)));
            }
            Moment::Heal => healed = true,
            _ => {}
        }
        Ok(())
    };
    live(&plan, scenario).unwrap();
    up.dedup();
    assert_eq!(up, [(Duration::ZERO, true), (millis(5), false), (millis(10), true)]);
}

/// Each thing that may befall a way or its calls, with what has come in the end of a datagram before and of one after healing.
#[test]
fn all_that_faults_have_done_to_the_network_is_undone() {
    let mut lossy = Link::new(3 * MS);
    (lossy.loss, lossy.jitter, lossy.bandwidth) = (1.0, MS, Some(1_000_000));
    let lossy = |from, to| Act::Relink { from, to, link: lossy.clone() };
    let broken = Rule::new("broken", Effect::Fail(Errno::Enobufs)).on(&[Op::Send]);
    for (number, wanted) in
        [&["after"][..], &["before", "after"], &["after"], &["after"], &["before", "after"]]
            .into_iter()
            .enumerate()
    {
        let mut sockets: Vec<Box<dyn Datagram>> = Vec::new();
        let mut came = Vec::new();
        let mut sent = Vec::new();
        let scenario = |stage: &mut Stage<'_>, moment: Moment| {
            let (from, to) = (stage.clients()[0], stage.servers()[0]);
            let target = (stage.world.host(to).addrs()[0], 53).into();
            match moment {
                Moment::Start => {
                    for (host, port) in [(to, 53), (from, 0)] {
                        let mut net = stage.world.host(host).net();
                        sockets.push(net.bind(&Bind::new(([0, 0, 0, 0], port))).unwrap());
                    }
                    match number {
                        0 => stage.world.act(&Act::Partition(Cut::OneWay { from, to })),
                        1 => stage.world.act(&Act::Clog { from, to }),
                        2 => stage.world.act(&lossy(from, to)),
                        3 => stage.world.rule(broken.clone()),
                        _ => stage.world.act(&lossy(to, from)),
                    }
                    sent.push(sockets[1].send(b"before", &target).is_ok());
                }
                Moment::Heal => {
                    sent.push(sockets[1].send(b"after", &target).is_ok());
                    let ways = [(from, to, number == 2), (to, from, number == 4)];
                    for (from, to, was_lossy) in ways {
                        let latency = if was_lossy { 3 * MS } else { MS };
                        assert_eq!(stage.world.route(from, to), Link::new(latency));
                    }
                }
                Moment::Left => {
                    let mut buf = [0; 16];
                    while let Ok(gram) = sockets[0].receive(&mut buf) {
                        came.push(String::from_utf8(buf[..gram.len].to_vec()).unwrap());
                    }
                    sockets.clear();
                }
                _ => {}
            }
            Ok(())
        };
        live(&plain(), scenario).unwrap();
        assert_eq!(came, wanted, "case {number}");
        assert_eq!(sent, [number != 3, true], "case {number}");
    }
}

#[test]
fn hosts_that_are_down_come_up_again_when_all_is_healed() {
    let turns = Rc::new(Cell::new(0));
    let scenario = |stage: &mut Stage<'_>, moment: Moment| {
        match moment {
            Moment::Start => {
                start_all(stage, &turns);
                let host = stage.servers()[0];
                stage.world.act(&Act::Crash(host));
            }
            Moment::Heal => {
                assert!(stage.world.hosts().all(|host| stage.world.is_up(host)));
                assert_eq!(turns.get(), 1, "of the one that was up");
            }
            Moment::Left => assert_eq!(turns.get(), 3),
            _ => {}
        }
        Ok(())
    };
    live(&plain(), scenario).unwrap();
}

/// What the programs hold they drop; a connection may take its time to close after that.
#[test]
fn nothing_is_left_of_what_programs_hold() {
    let turns = Rc::new(Cell::new(0));
    let mut held = Vec::new();
    let scenario = |stage: &mut Stage<'_>, moment: Moment| {
        let (client, server) = (stage.clients()[0], stage.servers()[0]);
        match moment {
            Moment::Start => {
                let turns = Rc::clone(&turns);
                stage.world.start(client, move |host| {
                    let socket = host.net().bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
                    Turns(Rc::clone(&turns), socket)
                });
            }
            Moment::End => {
                let mut net = stage.world.host(server).net();
                let listener = net.listen(&Listen::new(([0, 0, 0, 0], 80))).unwrap();
                let target = (stage.world.host(server).addrs()[0], 80);
                let call = stage.world.host(client).net().connect(&Dial::new(target)).unwrap();
                held.push((listener, call));
            }
            Moment::Left => {
                assert_eq!(stage.world.sockets(client), 2);
                let (mut listener, mut call) = held.pop().unwrap();
                let accepted = listener.accept().unwrap();
                write_all(&mut call, b"good-bye");
                drop((call, accepted, listener));
                let lingering = [client, server].map(|host| stage.world.lingering(host));
                assert!(lingering.iter().sum::<usize>() > 0, "{lingering:?}");
            }
            _ => {}
        }
        Ok(())
    };
    live(&plain(), scenario).unwrap();
}

#[test]
fn what_is_left_in_the_end_is_told() {
    let mut held = Vec::new();
    let keeps = |stage: &mut Stage<'_>, moment: Moment| {
        if moment == Moment::Start {
            let mut net = stage.world.host(stage.clients()[0]).net();
            held.push(net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap());
        }
        Ok(())
    };
    let failure = live(&plain(), keeps).unwrap_err();
    assert_eq!(failure.kind, Kind::Left);
    assert_eq!(failure.what, "host 1 leaves 1 sockets");
    let year = Tyme::ZERO + Duration::from_secs(365 * 86_400);
    let plans = |stage: &mut Stage<'_>, moment: Moment| {
        if moment == Moment::Start {
            stage.world.plan(year, Act::Heal);
        }
        Ok(())
    };
    let failure = live(&plain(), plans).unwrap_err();
    assert_eq!(failure.kind, Kind::Left);
    assert_eq!(failure.what, format!("0 connections, next due Some({year})"));
}

#[test]
fn a_run_is_traced_as_asked() {
    let turns = Rc::default();
    let scenario = || {
        |stage: &mut Stage<'_>, moment: Moment| {
            if moment == Moment::Start {
                start_all(stage, &turns);
            }
            Ok(())
        }
    };
    let mut hashes = Vec::new();
    for (tracing, kept) in [(Tracing::Full, true), (Tracing::Hash, false), (Tracing::Off, false)] {
        let mut looked = 0;
        let report = run(&plain(), tracing, scenario(), |world| {
            looked += 1;
            assert_eq!(!world.trace().is_empty(), kept);
            hashes.push(world.hash());
        });
        assert_eq!((looked, report.unwrap().hash), (1, *hashes.last().unwrap()));
    }
    assert!(hashes[0] == hashes[1] && hashes[0] != 0 && hashes[2] == 0, "{hashes:?}");
}
