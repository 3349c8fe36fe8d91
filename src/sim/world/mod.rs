//! A world: made, stepped, and asked.

mod host;

// In the order in which the page of `World` shows what they add to it.
mod spec;

mod map;

mod programs;

mod act;

mod time;

mod look;

use core::fmt;

pub use act::{Act, Unfired};
pub use host::Host;
pub use spec::WorldSpec;
pub use time::Step;

use self::programs::Seat;
use super::fault::Faults;
use super::machine::Shared;
use crate::tyme::Tymth;

/// Hosts, links and a clock, all from one seed.
///
/// Two ways to run programs. Give each host a [`Doer`](crate::doing::Doer) with [`start`](World::start), and the world enters it and gives it its turns;
/// or keep your own engines, take turns by [`next_turn`](World::next_turn), service the engine of that host, and tell what it wants by
/// [`set_wake`](World::set_wake). Both may be mixed. The [guide](crate::guide::simulation) has a whole program of the first kind.
///
/// A world is not for several threads; run one world per thread.
pub struct World {
    shared: Shared,
    faults: Faults,
    seats: Vec<Seat>,
    tymth: Tymth,
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
