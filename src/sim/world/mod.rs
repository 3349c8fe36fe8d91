//! A world: made, stepped, and asked.

mod act;
mod host;
mod look;
mod map;
mod programs;
mod spec;
mod time;

use core::fmt;

pub use act::{Act, Unfired};
pub use host::Host;
pub use spec::WorldSpec;
pub use time::Step;

use self::programs::Seat;
use super::Rng;
use super::fault::Faults;
use super::machine::{Core, Shared};
use super::trace::Recorder;
use crate::tyme::Tymth;

/// Hosts, links and a clock, all from one seed.
///
/// Two ways to run programs. Give each host a [`Doer`](crate::doing::Doer) with [`start`](World::start), and the world enters it and gives it its turns;
/// or keep your own engines, take turns by [`next_turn`](World::next_turn), service the engine of that host, and tell what it wants by
/// [`set_wake`](World::set_wake). Both may be mixed.
///
/// A world is not for several threads; run one world per thread.
pub struct World {
    shared: Shared,
    faults: Faults,
    seats: Vec<Seat>,
    tymth: Tymth,
}

/// # How it is made
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
