//! Making a failing plan smaller, and going through many seeds.

use core::fmt;
use core::ops::AddAssign;
use core::time::Duration;

use super::plan::{Plan, Role, Shape};
use super::run::{Failure, Moment, Report, Stage, run};
use crate::sim::{Stats, Tracing};
use crate::tyme::Tyme;

/// Runs that a reduction may take.
const TRIES: u32 = 400;

/// A plan made smaller, and how it fails.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// What is left of the plan.
    pub plan: Plan,
    /// How that fails.
    pub failure: Failure,
    /// Runs that it took.
    pub tries: u32,
}

/// Leaves out of a failing plan what it fails without, in the same way ([`Kind`](super::Kind)): clients, servers, faults, and the
/// end of the phase under faults. Takes at most 400 runs.
pub fn reduce<S>(plan: &Plan, failure: &Failure, make: impl FnMut() -> S) -> Reduced
where
    S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
{
    let so_far = Reduced { plan: plan.clone(), failure: failure.clone(), tries: 0 };
    let mut reducer = Reducer { so_far, make };
    loop {
        let faults = reducer.fewer_faults();
        let clients = reducer.fewer_hosts(Role::Client);
        let servers = reducer.fewer_hosts(Role::Server);
        let time = reducer.shorter();
        if !(faults || clients || servers || time) {
            return reducer.so_far;
        }
    }
}

struct Reducer<F> {
    so_far: Reduced,
    make: F,
}

impl<S, F: FnMut() -> S> Reducer<F>
where
    S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
{
    /// Whether the plan still fails in the same way; then it is what we have now.
    fn try_out(&mut self, plan: Plan) -> bool {
        if self.so_far.tries >= TRIES {
            return false;
        }
        self.so_far.tries += 1;
        match run(&plan, Tracing::Hash, (self.make)(), |_| ()) {
            Err(failure) if failure.kind == self.so_far.failure.kind => {
                self.so_far.plan = plan;
                self.so_far.failure = failure;
                true
            }
            _ => false,
        }
    }

    /// Leaves out chunks, all of them at first, then half, down to single ones.
    fn fewer<T: Copy + PartialEq>(
        &mut self,
        all: impl Fn(&Plan) -> Vec<T>,
        least: usize,
        leave: impl Fn(&mut Plan, &[T]),
    ) -> bool {
        let mut any = false;
        let mut size = all(&self.so_far.plan).len();
        while size > 0 {
            let mut at = 0;
            loop {
                let items = all(&self.so_far.plan);
                if at >= items.len() || items.len() <= least {
                    break;
                }
                let chunk = &items[at..(at + size).min(items.len())];
                let mut plan = self.so_far.plan.clone();
                leave(&mut plan, chunk);
                if items.len() - chunk.len() >= least && self.try_out(plan) {
                    any = true;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        any
    }

    fn fewer_faults(&mut self) -> bool {
        self.fewer(
            |plan| plan.faults.iter().map(|fault| fault.number).collect(),
            0,
            |plan, chunk| plan.faults.retain(|fault| !chunk.contains(&fault.number)),
        )
    }

    fn fewer_hosts(&mut self, role: Role) -> bool {
        self.fewer(
            |plan| plan.kept(role),
            1,
            |plan, chunk| plan.keep(role, |number| !chunk.contains(&number)),
        )
    }

    fn shorter(&mut self) -> bool {
        let mut any = false;
        let failed = (self.so_far.failure.at - Tyme::ZERO) + Duration::from_micros(2);
        if failed < self.so_far.plan.safety {
            any |= self.try_with(failed);
        }
        // As short as by halving, then to within an eighth.
        let mut step = self.so_far.plan.safety / 2;
        while step > self.so_far.plan.safety / 16 && step >= Duration::from_micros(1) {
            // A step is at most half of what there is.
            if self.try_with(self.so_far.plan.safety.saturating_sub(step)) {
                any = true;
                step = step.min(self.so_far.plan.safety / 2);
            } else {
                step /= 2;
            }
        }
        any
    }

    fn try_with(&mut self, safety: Duration) -> bool {
        let mut plan = self.so_far.plan.clone();
        plan.shorten(safety);
        self.try_out(plan)
    }
}

/// What many seeds came to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Seeds.
    pub seeds: u64,
    /// Steps of all their worlds.
    pub steps: u64,
    /// Connections begun.
    pub connections: u64,
    /// Bytes of payload that arrived.
    pub bytes: u64,
    /// Datagrams sent.
    pub grams: u64,
    /// Calls that rules made fail.
    pub faults: u64,
}

impl From<&Report> for Summary {
    fn from(report: &Report) -> Self {
        let Stats { connections, bytes, grams, faults, .. } = report.stats;
        Summary { seeds: 1, steps: report.steps, connections, bytes, grams, faults }
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, more: Summary) {
        let Summary { seeds, steps, connections, bytes, grams, faults } = more;
        self.seeds += seeds;
        self.steps += steps;
        self.connections += connections;
        self.bytes += bytes;
        self.grams += grams;
        self.faults += faults;
    }
}

/// A seed that failed, and the least that fails of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The whole plan.
    pub plan: Plan,
    /// How it failed.
    pub failure: Failure,
    /// The least of it that fails.
    pub reduced: Reduced,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} fails: {}", self.plan.seed, self.failure)?;
        let Reduced { plan, failure, tries } = &self.reduced;
        writeln!(f, "after {tries} more runs, the least that fails is the plan")?;
        writeln!(f, "    {plan}")?;
        writeln!(f, "which fails: {failure}")?;
        for fault in &plan.faults {
            writeln!(f, "  fault {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Found {}

/// Lives one plan after another, until one fails, which it [reduces](reduce).
///
/// A world is for one thread. On several cores let each sweep seeds of its own, and add up the summaries.
///
/// # Errors
/// What was found. Print it: it says how to get it again.
pub fn sweep<S>(
    seeds: impl IntoIterator<Item = u64>,
    shape: &Shape,
    mut make: impl FnMut() -> S,
) -> Result<Summary, Box<Found>>
where
    S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
{
    let mut summary = Summary::default();
    for seed in seeds {
        let plan = Plan::draw(seed, shape);
        match run(&plan, Tracing::Hash, make(), |_| ()) {
            Ok(report) => summary += Summary::from(&report),
            Err(failure) => {
                let reduced = reduce(&plan, &failure, &mut make);
                return Err(Box::new(Found { plan, failure, reduced }));
            }
        }
    }
    Ok(summary)
}
