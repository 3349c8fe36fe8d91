//! Seeds on all cores of the machine, each world on one of them.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tymist::sim::swarm::{Found, Moment, Shape, Stage, Summary};

/// As [`swarm::sweep`](tymist::sim::swarm::sweep), and with the same result, however many cores there are: the lowest seed that fails is what is found.
pub(crate) fn sweep<S>(
    seeds: Range<u64>,
    shape: &Shape,
    make: impl Fn() -> S + Sync,
) -> Result<Summary, Box<Found>>
where
    S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
{
    // Taken in order: whoever finds one that fails leaves none below it that nobody has.
    let next = AtomicU64::new(seeds.start);
    let taken = || {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        seeds.contains(&seed).then_some(seed)
    };
    let work = || -> Result<Summary, Box<Found>> {
        let mut summary = Summary::default();
        while let Some(seed) = taken() {
            let one = tymist::sim::swarm::sweep([seed], shape, &make);
            summary += one.inspect_err(|_| next.store(seeds.end, Ordering::Relaxed))?;
        }
        Ok(summary)
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut summary = Summary::default();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(part) => summary += part,
            Err(found) => failures.push(found),
        }
    }
    match failures.into_iter().min_by_key(|found| found.plan.seed) {
        Some(lowest) => Err(lowest),
        None => Ok(summary),
    }
}

/// Whoever comes first, the lowest of those that fail is told.
#[test]
fn the_lowest_seed_that_fails_is_found() {
    let make = || {
        |stage: &mut Stage<'_>, moment: Moment| match (moment, stage.plan.seed) {
            // The higher ones fail sooner.
            (Moment::Start, 41..) => Err("at once".to_owned()),
            (Moment::End, 37) => Err("late".to_owned()),
            _ => Ok(()),
        }
    };
    let found = sweep(0..1000, &Shape::default(), make).unwrap_err();
    assert_eq!((found.plan.seed, found.failure.what.as_str()), (37, "late"));
    assert_eq!(sweep(0..37, &Shape::default(), make).unwrap().seeds, 37);
}
