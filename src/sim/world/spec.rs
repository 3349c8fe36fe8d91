//! What a world is made from, and making it.

use super::World;
use crate::sim::Rng;
use crate::sim::fault::Faults;
use crate::sim::machine::{Core, Shared};
use crate::sim::topology::Link;
use crate::sim::trace::{Recorder, Tracing};
use crate::tyme::Tyme;

/// What a world is to be like.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorldSpec {
    /// Where all that is random comes from.
    pub seed: u64,
    /// How much is written down. Default [`Tracing::Hash`].
    pub tracing: Tracing,
    /// The link between hosts that have none of their own. Default: 1 ms and perfect.
    pub link: Link,
    /// Where the clock starts. Default 0.
    pub start: Tyme,
}

impl WorldSpec {
    /// The defaults with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        WorldSpec { seed, tracing: Tracing::default(), link: Link::default(), start: Tyme::ZERO }
    }
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
