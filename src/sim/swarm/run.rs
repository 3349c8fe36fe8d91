//! Living a plan: under faults nothing may go wrong, after healing everything must get done, and in the end nothing may be left.

use core::fmt;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::plan::{Plan, Role, What};
use crate::error::panic_words;
use crate::sim::{Act, HostId, Link, Stats, Step, Tracing, World, WorldSpec};
use crate::tyme::Tyme;

/// Longer than anything in a world outlives its programs: retransmissions give up after 15 minutes.
const AFTERLIFE: Duration = Duration::from_secs(3600);

/// When a scenario is called, and what for.
///
/// A scenario is what is lived: which programs run, what must hold, when all is done. It is an `FnMut(&mut Stage, Moment) -> Result<(), String>`, called
/// at each of these moments; an error says what is not as it should be. What a program sees go wrong it best keeps, for `Check` to return. Moments that it
/// does not care for it answers with `Ok(())`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// The beginning: start the programs on the kept hosts. Draw what they do from `stage.plan.rng(…)`.
    Start,
    /// A host had a turn, or crashed. Has anything gone wrong? Asked that often, it must be cheap.
    Check,
    /// The faults are over: tell the programs so, if they are to be patient from now on. Turns of all hosts follow.
    Heal,
    /// Is all done that was to be done? An error: not yet. Asked before each step after `Heal`, so it must be cheap.
    Done {
        /// The budget is used up, and the error is what the report says of it. Before, nobody reads it: an empty one will do.
        last: bool,
    },
    /// The end: close servers. The world goes on for a second afterwards, then comes `Left`, and programs are dropped.
    End,
    /// Have the programs let go of everything? An error says of what not.
    Left,
}

/// The world of a run, and the plan behind it.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The world.
    pub world: &'a mut World,
    /// The plan.
    pub plan: &'a Plan,
}

impl Stage<'_> {
    /// The hosts that serve.
    #[must_use]
    pub fn servers(&self) -> Vec<HostId> {
        self.plan.hosts(Role::Server)
    }

    /// The hosts that call.
    #[must_use]
    pub fn clients(&self) -> Vec<HostId> {
        self.plan.hosts(Role::Client)
    }
}

/// What a run that went well was like.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Equal for equal runs.
    pub hash: u64,
    /// Steps of the world.
    pub steps: u64,
    /// When all was done.
    pub done: Tyme,
    /// Counters of the world.
    pub stats: Stats,
}

/// In what way a run failed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The scenario said so, at [`Moment::Check`] or where something is to be done.
    Wrong,
    /// Not all was done within the budget.
    Stuck,
    /// More steps than [`Shape::steps`](super::Shape::steps).
    Spins,
    /// Something was left in the end.
    Left,
    /// A rule that is not [optional](crate::sim::fault::Rule::optional) never fired, so what it was there for was not tried.
    Unfired,
    /// A program panicked.
    Panicked,
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In what way.
    pub kind: Kind,
    /// What went wrong.
    pub what: String,
    /// When, by the world's clock.
    pub at: Tyme,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.kind, self.at, self.what)
    }
}

impl std::error::Error for Failure {}

/// Lives a plan, by a scenario (see [`Moment`]). With [`Tracing::Full`], `look` gets the world at the end, however it ended, such as for a timeline.
///
/// # Errors
/// How it failed. A panic of a program or of the scenario is one way.
pub fn run<S>(
    plan: &Plan,
    tracing: Tracing,
    scenario: S,
    look: impl FnOnce(&World),
) -> Result<Report, Failure>
where
    S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
{
    let mut spec = WorldSpec::new(plan.seed);
    spec.tracing = tracing;
    let world = World::with(spec);
    let mut run = Run { world, plan, scenario, steps: 0 };
    let lived = catch_unwind(AssertUnwindSafe(|| run.live()));
    look(&run.world);
    let at = run.world.tyme();
    match lived {
        Ok(result) => result,
        Err(payload) => {
            let what = panic_words(&*payload).to_owned();
            // Programs that have panicked half way may panic again when they are dropped.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(run)));
            Err(Failure { kind: Kind::Panicked, what, at })
        }
    }
}

struct Run<'a, S> {
    world: World,
    plan: &'a Plan,
    scenario: S,
    steps: u64,
}

impl<S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>> Run<'_, S> {
    fn live(&mut self) -> Result<Report, Failure> {
        self.build();
        self.play(Moment::Start, Kind::Wrong)?;
        let safety = Tyme::ZERO + self.plan.safety;
        self.go_on(safety, None)?;
        self.heal()?;
        let limit = self.world.tyme() + self.plan.budget;
        if !self.go_on(limit, Some(Moment::Done { last: false }))? {
            self.play(Moment::Done { last: true }, Kind::Stuck)?;
        }
        let done = self.world.tyme();
        self.play(Moment::End, Kind::Wrong)?;
        self.wake_all();
        let limit = self.world.tyme() + Duration::from_secs(1);
        self.go_on(limit, None)?;
        self.play(Moment::Left, Kind::Left)?;
        self.look_after()?;
        let unfired = self.world.faults().unfired();
        if !unfired.is_empty() {
            return Err(self.failure(Kind::Unfired, format!("rules {unfired:?}")));
        }
        let (hash, stats) = (self.world.hash(), self.world.stats());
        Ok(Report { hash, steps: self.steps, done, stats })
    }

    /// Calls the scenario. An error of its is a failure of this kind.
    fn play(&mut self, moment: Moment, kind: Kind) -> Result<(), Failure> {
        let said = (self.scenario)(&mut Stage { world: &mut self.world, plan: self.plan }, moment);
        said.map_err(|what| self.failure(kind, what))
    }

    fn build(&mut self) {
        let places = &self.plan.places;
        let hosts: Vec<HostId> =
            places.iter().map(|place| self.world.add_host(place.spec.clone())).collect();
        for (from, to, link) in &self.plan.links {
            self.world.set_link(hosts[*from], hosts[*to], link);
        }
        for fault in &self.plan.faults {
            match &fault.what {
                What::Rule(rule) => self.world.rule(rule.clone()),
                What::Spell { at, begin, end } => {
                    self.world.plan(Tyme::ZERO + *at, begin.clone());
                    if let Some((until, act)) = end {
                        self.world.plan(Tyme::ZERO + *until, act.clone());
                    }
                }
            }
        }
    }

    /// Steps until `limit`, or until the scenario agrees to `until`; returns whether it did.
    fn go_on(&mut self, limit: Tyme, until: Option<Moment>) -> Result<bool, Failure> {
        loop {
            if until.is_some_and(|moment| self.play(moment, Kind::Stuck).is_ok()) {
                return Ok(true);
            }
            let Some(step) = self.world.step_until(limit) else {
                self.world.run_until(limit);
                return Ok(false);
            };
            self.steps += 1;
            if let Step::Turn(_) | Step::Crashed(_) = step {
                self.play(Moment::Check, Kind::Wrong)?;
            }
            if self.steps > self.plan.steps {
                return Err(self.failure(Kind::Spins, format!("{} steps", self.steps)));
            }
        }
    }

    /// Undoes all that faults have done.
    fn heal(&mut self) -> Result<(), Failure> {
        self.world.faults().stop();
        self.world.act(&Act::Heal);
        let hosts: Vec<HostId> = self.world.hosts().collect();
        for &from in &hosts {
            for &to in hosts.iter().filter(|&&to| to != from) {
                self.world.act(&Act::Unclog { from, to });
                let route = self.world.route(from, to);
                let link = Link::new(route.latency);
                if route != link {
                    self.world.act(&Act::Relink { from, to, link });
                }
            }
        }
        for &host in &hosts {
            let act = if self.world.is_up(host) { Act::Resume } else { Act::Restart };
            self.world.act(&act(host));
        }
        self.play(Moment::Heal, Kind::Wrong)?;
        self.wake_all();
        Ok(())
    }

    fn wake_all(&mut self) {
        let hosts: Vec<HostId> = self.world.hosts().collect();
        hosts.into_iter().for_each(|host| self.world.set_wake(host, crate::Wake::Now));
    }

    /// Nothing outlives the programs: no descriptor, and after a while no connection and nothing that is due.
    fn look_after(&mut self) -> Result<(), Failure> {
        let hosts: Vec<HostId> = self.world.hosts().collect();
        for &host in &hosts {
            self.world.stop(host);
            let sockets = self.world.sockets(host);
            if sockets > 0 {
                let what = format!("{host:?} leaves {sockets} sockets");
                return Err(self.failure(Kind::Left, what));
            }
        }
        let limit = self.world.tyme() + AFTERLIFE;
        self.go_on(limit, None)?;
        let lingering: usize = hosts.iter().map(|&host| self.world.lingering(host)).sum();
        if lingering > 0 || self.world.next_due().is_some() {
            let what = format!("{lingering} connections, next due {:?}", self.world.next_due());
            return Err(self.failure(Kind::Left, what));
        }
        Ok(())
    }

    fn failure(&self, kind: Kind, what: String) -> Failure {
        Failure { kind, what, at: self.world.tyme() }
    }
}
