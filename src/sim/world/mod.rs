//! A world: made, stepped, and asked.

mod act;
mod host;
mod spec;

use core::any::Any;
use core::fmt;
use core::time::Duration;
use std::net::IpAddr;

pub use act::Act;
pub use host::Host;
pub use spec::{Step, Unfired, WorldSpec};

use super::fault::{Faults, Rule};
use super::machine::{Core, Shared};
use super::topology::{HostId, HostSpec, Link};
use super::trace::{Recorder, Trace};
use super::{Rng, Stats};
use crate::Wake;
use crate::doing::{Deed, Doer, End};
use crate::tyme::{Tyme, Tymth};

/// What makes a host's program, at the start and after each restart.
type Factory = Box<dyn FnMut(&Host) -> Box<dyn Doer>>;

#[derive(Default)]
struct Seat {
    factory: Option<Factory>,
    program: Option<Deed>,
}

impl Seat {
    /// As when the power goes: nobody leaves the program, it is only dropped.
    fn crash(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.abandon();
        }
    }
}

/// Hosts, links and a clock, all from one seed.
///
/// Two ways to run programs. Give each host a [`Doer`] with [`start`](World::start), and the world enters it and gives it its turns; or keep your own engines,
/// take turns by [`next_turn`](World::next_turn), service the engine of that host, and tell what it wants by [`set_wake`](World::set_wake). Both may be mixed.
///
/// A world is not for several threads; run one world per thread.
pub struct World {
    shared: Shared,
    faults: Faults,
    seats: Vec<Seat>,
    tymth: Tymth,
}

impl World {
    /// A world with the defaults, from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(WorldSpec::new(seed))
    }

    /// A world as `spec` says.
    #[must_use]
    pub fn with(spec: WorldSpec) -> Self {
        let recorder = Recorder::new(spec.tracing);
        let core = Core::new(spec.seed, spec.start, spec.link, recorder);
        let tymth = core.tymth();
        let shared = Shared::new(core);
        World { shared, faults: Faults::new(spec.seed), seats: Vec::new(), tymth }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.lock().seed
    }

    /// A stream of random numbers of this world's seed, for whatever `name` says: "workload", "topology", …
    /// The world itself has names that begin with "wire", "ports", "engine" and "fault".
    #[must_use]
    pub fn rng(&self, name: &str) -> Rng {
        Rng::stream(self.seed(), name)
    }

    // What it is made of.

    /// Adds a host without a program.
    ///
    /// # Panics
    /// If its name or one of its addresses is taken.
    pub fn add_host(&mut self, spec: impl Into<HostSpec>) -> HostId {
        let id = self.shared.lock().add_host(spec.into());
        self.seats.push(Seat::default());
        id
    }

    /// Gives the host a program, made by `factory` and entered now and, after a crash, at each restart. It gets its first turn at the next step.
    ///
    /// Once it is done, or has failed, it is left and gets no more turns; it can still be [looked at](World::program), and asked [how it ended](World::end).
    /// In a crash, and when the world is dropped, it is dropped without being left. A panic in it goes on its way, to whoever steps the world.
    /// On a host that is down it is made when the host comes up.
    ///
    /// # Panics
    /// If `host` is of another world, as all that take one.
    pub fn start<P: Doer>(&mut self, host: HostId, mut factory: impl FnMut(&Host) -> P + 'static) {
        let up = self.is_up(host);
        self.seats[host.index()].factory = Some(Box::new(move |host| Box::new(factory(host))));
        if up {
            self.make_program(host);
        }
    }

    /// Adds a host with a program; see [`start`](World::start).
    ///
    /// # Panics
    /// As [`add_host`](World::add_host).
    pub fn add<P: Doer>(
        &mut self,
        spec: impl Into<HostSpec>,
        factory: impl FnMut(&Host) -> P + 'static,
    ) -> HostId {
        let host = self.add_host(spec);
        self.start(host, factory);
        host
    }

    /// Leaves the host's program and drops it, with all its sockets, and makes no more of them. The host itself stays up.
    ///
    /// # Panics
    /// If `host` is of another world.
    pub fn stop(&mut self, host: HostId) {
        self.known(host);
        if let Some(program) = &mut self.seats[host.index()].program {
            program.end(End::Forced);
        }
        self.seats[host.index()] = Seat::default();
    }

    fn known(&self, host: HostId) {
        assert!(host.index() < self.seats.len(), "a host of another world");
    }

    fn make_program(&mut self, id: HostId) {
        let host = self.host(id);
        let seat = &mut self.seats[id.index()];
        seat.program = None;
        if let Some(factory) = &mut seat.factory {
            let program = seat.program.insert(Deed::new(factory(&host)));
            program.enter(&host.tymth());
        }
        let mut core = self.shared.lock();
        let now = core.now();
        core.schedule_turn(id, now);
    }

    /// The host's side of the world, to hand to a program.
    ///
    /// # Panics
    /// If `host` is of another world.
    #[must_use]
    pub fn host(&self, host: HostId) -> Host {
        Host::new(self.shared.clone(), self.faults.clone(), host)
    }

    /// All hosts, in the order of adding.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        let count = self.seats.len();
        (0..count).map(|index| HostId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The host's program, if it has one of this type.
    #[must_use]
    pub fn program<P: Doer>(&self, host: HostId) -> Option<&P> {
        let program: &dyn Any = &*self.seats.get(host.index())?.program.as_ref()?.doer;
        program.downcast_ref()
    }

    /// The host's program, to change it between steps.
    pub fn program_mut<P: Doer>(&mut self, host: HostId) -> Option<&mut P> {
        let program: &mut dyn Any = &mut *self.seats.get_mut(host.index())?.program.as_mut()?.doer;
        program.downcast_mut()
    }

    /// How the host's program ended; `None` while it has not, or there is none.
    #[must_use]
    pub fn end(&self, host: HostId) -> Option<&End> {
        self.seats.get(host.index())?.program.as_ref()?.life.ended()
    }

    /// Sets the link between two hosts, both ways.
    ///
    /// # Panics
    /// If one of them is of another world.
    pub fn set_link(&mut self, one: HostId, other: HostId, link: &Link) {
        self.set_route(one, other, link.clone());
        self.set_route(other, one, link.clone());
    }

    /// Sets the link from one host to another, this way only.
    ///
    /// # Panics
    /// If one of them is of another world.
    pub fn set_route(&mut self, from: HostId, to: HostId, link: Link) {
        self.known(from);
        self.known(to);
        self.shared.lock().set_link(from, to, link);
    }

    /// The link from one host to another.
    ///
    /// # Panics
    /// If one of them is of another world.
    #[must_use]
    pub fn route(&self, from: HostId, to: HostId) -> Link {
        self.known(from);
        self.known(to);
        self.shared.lock().link(from, to).clone()
    }

    /// The addresses behind a name, compared as in the DNS; none if nobody has it. Looking up takes no tyme, unless a
    /// [rule](crate::sim::Op::Lookup) says so.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.shared.lock().resolve(name)
    }

    /// Gives a host one more name; returns whether the name was free. If not, it means this host from now on.
    ///
    /// # Panics
    /// If `host` is of another world.
    pub fn add_name(&mut self, name: impl Into<String>, host: HostId) -> bool {
        self.known(host);
        self.shared.lock().add_name(&name.into(), host)
    }

    /// The host that has this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<HostId> {
        self.shared.lock().find(name)
    }

    // What befalls it.

    /// The rules by which calls fail. They apply to all hosts; each [`Rule`] says where.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Adds a rule.
    pub fn rule(&mut self, rule: Rule) {
        self.faults.add(rule);
    }

    /// Plans an act for this tyme; if that has passed, for the next step.
    ///
    /// # Panics
    /// If it names a host of another world.
    pub fn plan(&mut self, at: Tyme, act: Act) {
        act.hosts().into_iter().for_each(|host| self.known(host));
        self.shared.lock().plan(at, act);
    }

    /// Does an act now. One that finds nothing to act on (a crash of a host that is down, a partition that severs no way) counts as unfired.
    ///
    /// # Panics
    /// If it names a host of another world.
    pub fn act(&mut self, act: &Act) {
        act.hosts().into_iter().for_each(|host| self.known(host));
        let step = self.shared.lock().perform(act);
        self.follow(step);
    }

    // Time.

    /// The tyme of the world's own clock.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.tymth.tyme()
    }

    /// A handle to the world's own clock.
    #[must_use]
    pub fn tymth(&self) -> Tymth {
        self.tymth.clone()
    }

    /// The earliest tyme at which anything may happen; `None` if nothing ever will by itself.
    #[must_use]
    pub fn next_due(&self) -> Option<Tyme> {
        self.shared.lock().next_due()
    }

    /// Does the next thing that is due, at its tyme; `None` if nothing ever is.
    pub fn step(&mut self) -> Option<Step> {
        self.step_until(Tyme::NEVER)
    }

    /// Does the next thing that is due by `limit`; `None` if nothing is, and the clock then stands where it stood.
    pub fn step_until(&mut self, limit: Tyme) -> Option<Step> {
        let step = self.shared.lock().step(limit)?;
        self.follow(step);
        Some(step)
    }

    /// What a step means for programs.
    fn follow(&mut self, step: Step) {
        match step {
            Step::Turn(host) => self.turn(host),
            // Dropped with the host down already: its sockets are gone without a word.
            Step::Crashed(host) => self.seats[host.index()].crash(),
            Step::Restarted(host) => self.make_program(host),
            Step::Packet | Step::Timer | Step::Act => {}
        }
    }

    fn turn(&mut self, id: HostId) {
        if let Some(program) = &mut self.seats[id.index()].program {
            let now = self.shared.lock().host(id).tymth.tyme();
            program.turn(now);
            let wake = program.wake();
            self.shared.lock().set_wake(id, wake);
        }
    }

    /// Goes on until a host without a program has a turn, and names it; `None` if that does not happen by `limit`, where the clock then
    /// stands (with [`Tyme::NEVER`]: where it stood after the last thing that was due).
    pub fn next_turn(&mut self, limit: Tyme) -> Option<HostId> {
        while let Some(step) = self.step_until(limit) {
            if let Step::Turn(host) = step
                && self.seats[host.index()].program.is_none()
            {
                return Some(host);
            }
        }
        if limit != Tyme::NEVER {
            self.shared.lock().set_tyme(limit);
        }
        None
    }

    /// When a host without a program wants its next turn, by its own clock, if the network has nothing sooner.
    ///
    /// # Panics
    /// If `host` is of another world.
    pub fn set_wake(&mut self, host: HostId, wake: Wake) {
        self.known(host);
        self.shared.lock().set_wake(host, wake);
    }

    /// Does all that is due up to and including `limit`, where the clock then stands. Returns the number of steps.
    ///
    /// For a limit of [`Tyme::NEVER`] it goes on until nothing is due any more, which with programs that keep a beat is never.
    pub fn run_until(&mut self, limit: Tyme) -> u64 {
        let mut steps = 0;
        while self.step_until(limit).is_some() {
            steps += 1;
        }
        if limit != Tyme::NEVER {
            self.shared.lock().set_tyme(limit);
        }
        steps
    }

    /// As [`run_until`](World::run_until), for so long.
    pub fn run_for(&mut self, time: Duration) -> u64 {
        let limit = self.tyme() + time;
        self.run_until(limit)
    }

    /// Does what is due by `limit` until `done` says so, asked after each step; returns whether it did.
    pub fn run_while_not(&mut self, limit: Tyme, mut done: impl FnMut(&World) -> bool) -> bool {
        while !done(self) {
            if self.step_until(limit).is_none() {
                return false;
            }
        }
        true
    }

    // What became of it.

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats
    }

    /// Sockets that the host's programs hold.
    ///
    /// # Panics
    /// If `host` is of another world.
    #[must_use]
    pub fn sockets(&self, host: HostId) -> usize {
        self.known(host);
        self.shared.lock().host(host).sockets
    }

    /// Connections of the host that nobody holds any more and that have not finished closing; waiting pairs of ends (`TIME_WAIT`) aside.
    #[must_use]
    pub fn lingering(&self, host: HostId) -> usize {
        self.shared.lock().lingering(host)
    }

    /// Whether the host is up.
    ///
    /// # Panics
    /// If `host` is of another world.
    #[must_use]
    pub fn is_up(&self, host: HostId) -> bool {
        self.known(host);
        self.shared.lock().host(host).up
    }

    /// The hash of all that has happened: equal for equal runs. 0 with [`Tracing::Off`](crate::sim::Tracing::Off).
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.shared.lock().recorder.hash()
    }

    /// How many records there have been, kept or not.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.shared.lock().recorder.count()
    }

    /// What has happened so far; with [`Tracing::Full`](crate::sim::Tracing::Full) all of it, with [`Tracing::Last`](crate::sim::Tracing::Last) its end. A
    /// copy.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let core = self.shared.lock();
        core.recorder.trace(core.seed)
    }

    /// Whether all that was planned has come to pass: every rule fired, every act found something to act on.
    ///
    /// # Errors
    /// The names of those that did not. A test that passes without its faults has tested nothing.
    pub fn finish(&self) -> Result<(), Unfired> {
        let rules = self.faults.unfired();
        let acts = self.shared.lock().unfired_acts();
        if rules.is_empty() && acts.is_empty() {
            return Ok(());
        }
        Err(Unfired { rules, acts })
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed())
            .field("tyme", &self.tyme())
            .field("hosts", &self.seats.len())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Programs go first, while the machine they close their sockets in is still there.
impl Drop for World {
    fn drop(&mut self) {
        self.seats.iter_mut().for_each(Seat::crash);
    }
}
