//! What runs on a host.

use std::any::Any;

use crate::Wake;
use crate::tyme::Tyme;

/// A program on a simulated host: gets a turn whenever something is there for it, and says when it wants the next.
///
/// An engine of this crate is one with three lines: `turn` services it and takes its events, `wake` passes on what it says.
/// [`World::program`](super::World::program) finds it again by its type.
pub trait Program: Any {
    /// Does what is to be done at `now`, the tyme of the host's own clock.
    fn turn(&mut self, now: Tyme);

    /// When the next turn is wanted, if the network has nothing sooner. Asked after each turn.
    fn wake(&self) -> Wake;
}

impl Program for Box<dyn Program> {
    fn turn(&mut self, now: Tyme) {
        (**self).turn(now);
    }

    fn wake(&self) -> Wake {
        (**self).wake()
    }
}
