//! Servers, forwarders, callers and datagram peers in a thousand drawn worlds, under faults and after them.
//!
//! A failure prints the command line that shows it again, by the example `swarm`. `TYMIST_SWARM_SEEDS=n` lives so many seeds here,
//! `TYMIST_SWARM_SEED=x` that one (a number, a git hash, or a whole plan as printed by a failure), both together so many from that one on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod cores;
mod request;
mod scene;

use scene::{Bug, PROGRAM, Scene};
use tymist::sim::Tracing;
use tymist::sim::swarm::{Kind, Plan, Request, Role, Shape, run, sweep};

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[test]
fn a_thousand_worlds_keep_their_promises() {
    let shape = Scene::shape();
    let seeds: u64 = var("TYMIST_SWARM_SEEDS").map_or(1000, |text| text.parse().unwrap());
    if let Some(seed) = var("TYMIST_SWARM_SEED") {
        let mut request = Request::default();
        request.seed = Some(seed);
        request.seeds = var("TYMIST_SWARM_SEEDS").map(|_| seeds);
        let mut out = Vec::new();
        let kept = request.live(PROGRAM, &shape, || Scene::play(Bug::None), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(kept, "{text}");
        return println!("{text}");
    }
    let summary = cores::sweep(0..seeds, &shape, || Scene::play(Bug::None));
    let summary = summary.unwrap_or_else(|found| {
        let [whole, least] = [&found.plan, &found.reduced.plan].map(|plan| plan.command(PROGRAM));
        panic!("{found}\nthe whole run again:\n    {whole}\nthe least of it:\n    {least}")
    });
    println!("{summary:?}");
    assert_eq!(summary.seeds, seeds);
    assert!(summary.faults > seeds, "hardly a fault: {summary:?}");
    assert!(summary.grams > 10 * seeds, "hardly a datagram: {summary:?}");
    assert!(summary.connections > 10 * seeds, "hardly a connection: {summary:?}");
}

/// Mistakes that people make in handlers; each must be found, within a few hundred worlds, and come out smaller than it went in.
#[test]
fn planted_mistakes_are_found_and_reduced() {
    let planted = [
        (Bug::DropsByte, &[Kind::Wrong][..]),
        (Bug::Repeats, &[Kind::Wrong][..]),
        (Bug::Forgets, &[Kind::Wrong][..]),
        (Bug::Keeps, &[Kind::Left][..]),
        (Bug::Panics, &[Kind::Panicked][..]),
        (Bug::ForgetsEnd, &[Kind::Wrong, Kind::Stuck][..]),
        (Bug::ReadsTwice, &[Kind::Wrong][..]),
        (Bug::EndsEarly, &[Kind::Wrong][..]),
        (Bug::Mute, &[Kind::Stuck][..]),
    ];
    for (bug, kinds) in planted {
        let found = sweep(0..300, &Shape::default(), || Scene::play(bug)).unwrap_err();
        assert!(kinds.contains(&found.failure.kind), "{bug:?}: {found}");
        let (whole, least) = (&found.plan, &found.reduced.plan);
        assert!(least.faults.len() <= whole.faults.len() && least.safety <= whole.safety);
        assert_eq!(least.kept(Role::Server).len(), 1, "{bug:?}: {found}");
        assert!(least.kept(Role::Client).len() <= 2, "{bug:?}: {found}");
        // What it prints is the whole of it.
        let again = Plan::parse(&least.to_string(), &Shape::default()).unwrap();
        let failure = run(&again, Tracing::Hash, Scene::play(bug), |_| ()).unwrap_err();
        assert_eq!(failure, found.reduced.failure, "{bug:?}: {least}");
        assert!(run(&again, Tracing::Hash, Scene::play(Bug::None), |_| ()).is_ok(), "{bug:?}");
    }
}

/// Seeds whose worlds are lived twice in this process and once in another; some of them with TLS.
fn replayed() -> Vec<u64> {
    (0..24).collect()
}

fn hashes() -> String {
    let lines = replayed().into_iter().map(|seed| {
        let plan = Plan::draw(seed, &Shape::default());
        let report = run(&plan, Tracing::Hash, Scene::play(Bug::None), |_| ()).unwrap();
        format!("world {seed} has {} records' hash {:016x}\n", report.steps, report.hash)
    });
    lines.collect()
}

#[test]
fn a_seed_is_the_same_run_in_this_process_and_in_another() {
    const CHILD: &str = "TYMIST_TEST_TELL_HASHES";
    let first = hashes();
    if std::env::var_os(CHILD).is_some() {
        return println!("{first}"); // This is the other one.
    }
    assert_eq!(first, hashes(), "not the same in one process");
    let mut distinct: Vec<&str> = first.lines().filter_map(|it| it.rsplit(' ').next()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), replayed().len(), "seeds differ in what they do");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let name = "a_seed_is_the_same_run_in_this_process_and_in_another";
    let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let told: String = text
        .lines()
        .filter_map(|it| Some(format!("world {}\n", it.split_once("world ")?.1)))
        .collect();
    assert_eq!(first, told, "not the same in another process");
}
