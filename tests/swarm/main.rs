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
use tymist::sim::swarm::{Kind, Plan, Shape, reduce, run, sweep};

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
