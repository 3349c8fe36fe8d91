//! Servers and callers in a thousand drawn worlds, under faults and after them.
//!
//! `TYMIST_SWARM_SEEDS=n` lives so many seeds, `TYMIST_SWARM_SEED=x` that one (a number, a git hash, or a whole plan as printed by a
//! failure), and then prints its trace to the file that `TYMIST_SWARM_TRACE` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod caller;
mod ledger;
mod scene;
mod service;
mod tls;
mod watch;

use scene::Scene;
use service::Bug;
use tymist::sim::Tracing;
use tymist::sim::swarm::{Kind, Plan, Role, Shape, reduce, run, sweep};

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Starts where the commit says, if the environment names one, so that each build sees other worlds.
#[test]
fn a_thousand_worlds_keep_their_promises() {
    let shape = Shape::default();
    if let Some(text) = var("TYMIST_SWARM_SEED") {
        return one(&Plan::parse(&text, &shape).unwrap());
    }
    let seeds: u64 = var("TYMIST_SWARM_SEEDS").map_or(1000, |text| text.parse().unwrap());
    let summary = sweep(0..seeds, &shape, || Scene::new(Bug::None));
    let summary = summary.unwrap_or_else(|found| panic!("{found}"));
    println!("{summary:?}");
    assert_eq!(summary.seeds, seeds);
    assert!(summary.faults > seeds, "hardly a fault: {summary:?}");
    assert!(summary.connections > 10 * seeds, "hardly a connection: {summary:?}");
}

fn one(plan: &Plan) {
    let tracing = if var("TYMIST_SWARM_TRACE").is_some() { Tracing::Full } else { Tracing::Hash };
    let result = run(plan, tracing, Scene::new(Bug::None), |world| {
        if let Some(path) = var("TYMIST_SWARM_TRACE") {
            let trace = world.trace();
            let text: String = trace.records().map(|record| format!("{record}\n")).collect();
            std::fs::write(path, text).unwrap();
        }
    });
    println!("plan {plan}: {result:?}");
    if let Err(failure) = result {
        let reduced = reduce(plan, &failure, || Scene::new(Bug::None));
        println!("reduced to {}: {}", reduced.plan, reduced.failure);
        reduced.plan.faults.iter().for_each(|fault| println!("  fault {fault}"));
        panic!("{failure}");
    }
}

/// Mistakes that people make in handlers; each must be found, within a few hundred worlds, and come out smaller than it went in.
#[test]
fn planted_mistakes_are_found_and_reduced() {
    let planted = [
        (Bug::DropsByte, Kind::Wrong),
        (Bug::Repeats, Kind::Wrong),
        (Bug::Forgets, Kind::Stuck),
        (Bug::Keeps, Kind::Left),
        (Bug::Panics, Kind::Panicked),
    ];
    for (bug, kind) in planted {
        let found = sweep(0..300, &Shape::default(), || Scene::new(bug)).unwrap_err();
        assert_eq!(found.failure.kind, kind, "{bug:?}: {found}");
        let (whole, least) = (&found.plan, &found.reduced.plan);
        assert!(least.faults.len() <= whole.faults.len() && least.safety <= whole.safety);
        assert_eq!(least.kept(Role::Server).len(), 1, "{bug:?}: {found}");
        assert!(least.kept(Role::Client).len() <= 2, "{bug:?}: {found}");
        // What it prints is the whole of it.
        let again = Plan::parse(&least.to_string(), &Shape::default()).unwrap();
        let failure = run(&again, Tracing::Hash, Scene::new(bug), |_| ()).unwrap_err();
        assert_eq!(failure, found.reduced.failure, "{bug:?}: {least}");
        assert!(run(&again, Tracing::Hash, Scene::new(Bug::None), |_| ()).is_ok(), "{bug:?}");
    }
}

/// Seeds whose worlds are lived twice in this process and once in another; some of them with TLS.
fn replayed() -> Vec<u64> {
    (0..24).collect()
}

fn hashes() -> String {
    let lines = replayed().into_iter().map(|seed| {
        let plan = Plan::draw(seed, &Shape::default());
        let report = run(&plan, Tracing::Hash, Scene::new(Bug::None), |_| ()).unwrap();
        format!("world {seed} has {} records' hash {:016x}\n", report.steps, report.hash)
    });
    lines.collect()
}

/// What the other process of the replay test does; by itself it sees that the worlds are not empty.
#[test]
fn tell_hashes() {
    let hashes = hashes();
    assert!(!hashes.contains("has 0 records"), "{hashes}");
    println!("\n{hashes}");
}

#[test]
fn a_seed_is_the_same_run_in_this_process_and_in_another() {
    let first = hashes();
    assert_eq!(first, hashes(), "not the same in one process");
    let mut distinct: Vec<&str> = first.lines().filter_map(|it| it.rsplit(' ').next()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), replayed().len(), "seeds differ in what they do");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", "tell_hashes", "--nocapture"]);
    let output = child.output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let told: String = text
        .lines()
        .filter_map(|it| Some(format!("world {}\n", it.split_once("world ")?.1)))
        .collect();
    assert_eq!(first, told, "not the same in another process");
}
