//! Making failing plans smaller: only what the failure needs is left, and no run is wasted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::sim_util::write_all;
use tymist::net::{Bind, Dial, Listen};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::swarm::{
    Failure, Kind, Moment, Plan, Reduced, Role, Shape, Stage, Summary, reduce, run, sweep,
};
use tymist::sim::{Act, Errno, Op, Tracing};
use tymist::tyme::Tyme;

/// A plan with so many of each.
fn plan(servers: u64, clients: u64, faults: usize, safety: Duration) -> Plan {
    let mut shape = Shape::default();
    (shape.servers, shape.clients) = (servers..=servers, clients..=clients);
    shape.faults = faults as u64;
    shape.safety = safety..=safety;
    let mut plans = (0..10_000).map(|seed| Plan::draw(seed, &shape));
    plans.find(|plan| plan.faults.len() == faults).unwrap()
}

fn numbers(plan: &Plan) -> Vec<usize> {
    plan.faults.iter().map(|fault| fault.number).collect()
}

/// Reduces what fails at its very start where `fails` says so. No run may be of a plan that is known to fail already.
fn reduced(plan: &Plan, fails: impl Fn(&Plan) -> bool) -> Reduced {
    let (known, runs, wasted) = (RefCell::new(String::new()), Cell::new(0), Cell::new(0));
    let make = || {
        |stage: &mut Stage<'_>, moment: Moment| {
            if moment != Moment::Start {
                return Ok(());
            }
            let text = stage.plan.to_string();
            runs.set(runs.get() + 1);
            wasted.set(wasted.get() + u32::from(*known.borrow() == text));
            if fails(stage.plan) {
                known.replace(text.clone());
                return Err(text);
            }
            Ok(())
        }
    };
    let failure = run(plan, Tracing::Hash, make(), |_| ()).unwrap_err();
    runs.set(0);
    let reduced = reduce(plan, &failure, make);
    assert_eq!(reduced.failure.kind, Kind::Wrong, "{}", reduced.failure);
    assert_eq!(wasted.get(), 0, "runs of what is known to fail");
    assert_eq!(reduced.tries, runs.get());
    assert_eq!(reduced.plan.to_string(), *known.borrow(), "what is left is what failed last");
    assert_eq!(reduced.failure.what, *known.borrow(), "and how");
    reduced
}

const SHORTEST: Duration = Duration::from_micros(1);

#[test]
fn what_fails_anyway_is_left_with_one_server_and_one_client() {
    let whole = plan(3, 5, 8, Duration::from_secs(1));
    let least = reduced(&whole, |_| true);
    let seed = whole.seed;
    assert_eq!(least.plan.to_string(), format!("{seed} servers=2 clients=4 faults= safety=1us"));
    assert!(least.tries < 16, "by halves: {}", least.tries);
}

#[test]
fn what_is_needed_is_kept() {
    let whole = plan(4, 5, 8, SHORTEST);
    let faults = numbers(&whole);
    let [first, .., last] = faults[..] else { panic!("{whole}") };
    let needs = |plan: &Plan| {
        let has = |number| numbers(plan).contains(&number);
        let clients = plan.kept(Role::Client);
        has(first)
            && has(last)
            && clients.contains(&1)
            && clients.contains(&4)
            && plan.kept(Role::Server).contains(&2)
    };
    let least = reduced(&whole, needs).plan.to_string();
    assert_eq!(least, format!("{} servers=2 clients=1,4 faults={first},{last}", whole.seed));
}

/// What could not be left out before may be so after something else was: the first of three only without the last.
#[test]
fn all_is_tried_again_as_long_as_anything_was_left_out() {
    fn unlocked<T: PartialEq>(all: &[T], left: &[T]) -> bool {
        let [first, second, third] = all else { panic!("three of them") };
        left.contains(second) && (left.contains(first) || !left.contains(third))
    }
    let three = [0, 1, 2];
    let faults = plan(1, 1, 3, SHORTEST);
    let all = numbers(&faults);
    let least = reduced(&faults, |plan| unlocked(&all, &numbers(plan)));
    assert_eq!(numbers(&least.plan), [all[1]]);
    let clients = plan(1, 3, 0, SHORTEST);
    let least = reduced(&clients, |plan| unlocked(&three, &plan.kept(Role::Client)));
    assert_eq!(least.plan.to_string(), format!("{} clients=1", clients.seed));
    let servers = plan(3, 1, 0, SHORTEST);
    let least = reduced(&servers, |plan| unlocked(&three, &plan.kept(Role::Server)));
    assert_eq!(least.plan.to_string(), format!("{} servers=1", servers.seed));
    // And the second client only in a short time.
    let long = plan(1, 2, 0, Duration::from_millis(1));
    let short = Duration::from_micros(2);
    let least = reduced(&long, |plan| {
        plan.safety >= short && (plan.safety == short || plan.kept(Role::Client).len() == 2)
    });
    assert_eq!(least.plan.to_string(), format!("{} clients=1 safety=2us", long.seed));
}

/// First to where it failed, then by halves as long as that goes, then by less, to within an eighth.
#[test]
fn the_time_under_faults_is_shortened() {
    let cases: [(u64, u64, &[u64]); 5] = [
        (1000, 600, &[2, 500, 750, 500, 625, 500, 562, 2, 312, 468, 546]),
        (1000, 100, &[2, 500, 250, 125, 62, 93, 109, 93, 101, 93, 2, 50, 75, 88]),
        (1000, 1, &[2, 1]),
        (2, 2, &[1]),
        (1, 1, &[]),
    ];
    for (safety, needed, wanted) in cases {
        let whole = plan(1, 1, 0, Duration::from_micros(safety));
        let tried = RefCell::new(Vec::new());
        let least = reduced(&whole, |plan| {
            let micros = u64::try_from(plan.safety.as_micros()).unwrap();
            tried.borrow_mut().push(micros);
            micros >= needed
        });
        // The first one is the failure that is to be reduced.
        assert_eq!(tried.borrow()[1..], *wanted, "{needed} of {safety}");
        let left = u64::try_from(least.plan.safety.as_micros()).unwrap();
        assert!(left >= needed && left - left / 8 <= needed, "{left} for {needed}");
    }
}

/// A smaller plan that fails in another way is another failure.
#[test]
fn what_fails_in_another_way_is_not_taken() {
    let whole = plan(1, 3, 0, SHORTEST);
    let kept = |stage: &Stage<'_>| stage.plan.kept(Role::Client);
    let make = || {
        move |stage: &mut Stage<'_>, moment: Moment| match moment {
            Moment::Start if kept(stage).contains(&1) => Err("without program".to_owned()),
            Moment::Left => Err("in the end".to_owned()),
            _ => Ok(()),
        }
    };
    let failure = run(&whole, Tracing::Hash, make(), |_| ()).unwrap_err();
    let least = reduce(&whole, &failure, make);
    assert_eq!(least.plan.to_string(), format!("{} clients=1", whole.seed));
    assert_eq!(least.failure, failure);
}

#[test]
fn a_reduction_takes_at_most_400_runs() {
    let whole = plan(1, 1, 450, SHORTEST);
    let all = whole.faults.len();
    let least = reduced(&whole, |plan| plan.faults.len() == all);
    assert_eq!((least.tries, least.plan.faults.len()), (400, all));
}

/// Where it failed, and a moment, is as long as there need be faults.
#[test]
fn what_comes_after_the_failure_is_left_out_at_once() {
    let whole = plan(1, 1, 0, Duration::from_secs(1));
    let runs = RefCell::new(Vec::new());
    let at = Duration::from_micros(300_000);
    let make = || {
        |stage: &mut Stage<'_>, moment: Moment| {
            match moment {
                Moment::Start => {
                    runs.borrow_mut().push(stage.plan.safety);
                    let host = stage.clients()[0];
                    stage.world.plan(Tyme::ZERO + at, Act::Crash(host));
                }
                // In a shorter time it is no fault.
                Moment::Check if stage.plan.safety > at => return Err("a crash".to_owned()),
                _ => {}
            }
            Ok(())
        }
    };
    let failure = run(&whole, Tracing::Hash, make(), |_| ()).unwrap_err();
    runs.borrow_mut().clear();
    let least = reduce(&whole, &failure, make);
    assert_eq!(runs.borrow()[0], at + Duration::from_micros(2));
    assert_eq!(least.plan.safety, at + Duration::from_micros(2), "{}", failure.at);
}

#[test]
fn what_was_found_is_told_in_full() {
    let mut shape = Shape::default();
    shape.faults = 40;
    let seed = (5..1000).find(|seed| Plan::draw(*seed, &shape).faults.len() > 8).unwrap();
    let make = || {
        move |stage: &mut Stage<'_>, moment: Moment| match moment {
            Moment::Start if stage.plan.seed == seed && stage.plan.faults.len() > 1 => {
                Err(format!("{} faults", stage.plan.faults.len()))
            }
            _ => Ok(()),
        }
    };
    assert_eq!(sweep(0..seed, &shape, make).unwrap().seeds, seed);
    let found = sweep(5..1000, &shape, make).unwrap_err();
    let whole = Plan::draw(seed, &shape);
    assert_eq!(found.plan.to_string(), seed.to_string());
    let Reduced { plan, failure, tries } = &found.reduced;
    let faults: String = plan.faults.iter().map(|fault| format!("  fault {fault}\n")).collect();
    assert_eq!(plan.faults.len(), 2);
    let told = format!(
        "seed {seed} fails: Wrong at 0.000000000: {} faults\n\
         after {tries} more runs, the least that fails is the plan\n    {plan}\n\
         which fails: Wrong at 0.000000000: 2 faults\n{faults}",
        whole.faults.len()
    );
    assert_eq!(found.to_string(), told);
    assert_eq!(*failure, Failure { what: "2 faults".into(), ..found.failure.clone() });
}

/// Connections, bytes, datagrams and failed calls, of each kind another number.
#[test]
fn a_sweep_adds_up_what_its_worlds_have_seen() {
    let make = || {
        let (mut calls, mut sockets) = (Vec::new(), Vec::new());
        move |stage: &mut Stage<'_>, moment: Moment| {
            let (client, server) = (stage.clients()[0], stage.servers()[0]);
            match moment {
                Moment::Start => {
                    let fault = Rule::new("once", Effect::Fail(Errno::Enobufs)).on(&[Op::Send]);
                    stage.world.rule(fault.times(1));
                    let [mut here, mut there] =
                        [client, server].map(|host| stage.world.host(host).net());
                    let addr = stage.world.host(server).addrs()[0];
                    sockets.push(here.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap());
                    for gram in 0..4 {
                        let sent = sockets[0].send(b"hello", &(addr, 53).into());
                        assert_eq!(sent.is_ok(), gram > 0);
                    }
                    let listener = there.listen(&Listen::new(([0, 0, 0, 0], 80))).unwrap();
                    let dialled = [0; 2].map(|_| here.connect(&Dial::new((addr, 80))).unwrap());
                    calls.push((listener, dialled));
                }
                Moment::End => {
                    let (_, dialled) = &mut calls[0];
                    assert!(dialled[0].connected().unwrap());
                    write_all(&mut dialled[0], &vec![0; 10 + stage.plan.seed as usize]);
                }
                Moment::Left => {
                    calls.clear();
                    sockets.clear();
                }
                _ => {}
            }
            Ok(())
        }
    };
    let mut shape = Shape::default();
    shape.faults = 0;
    shape.safety = Duration::from_secs(5)..=Duration::from_secs(5);
    let mut steps = 0;
    for seed in 3..6 {
        let report = run(&Plan::draw(seed, &shape), Tracing::Hash, make(), |_| ()).unwrap();
        steps += report.steps;
    }
    let summary = sweep(3..6, &shape, make).unwrap();
    let Summary { seeds, connections, bytes, grams, faults, .. } = summary;
    assert_eq!((seeds, summary.steps), (3, steps));
    assert_eq!((connections, bytes, grams, faults), (3 * 2, 13 + 14 + 15, 3 * 3, 3));
}
