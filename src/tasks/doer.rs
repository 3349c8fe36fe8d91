//! Tasks as a doer, and so as a host's program.

use super::Tasks;
use crate::doing::{DoError, Doer, Recur};
use crate::event::Wake;
use crate::net::Descriptor;
use crate::tyme::{Tyme, Tymth};

/// Winds it; a turn is a tick; [closes](Tasks::close). It is never done by itself, as a listener never is: whoever has it takes it out once its tasks are done.
impl Doer for Tasks {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.wind(tymth.clone());
        Ok(())
    }

    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.service();
        Ok(Recur::Again)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.close();
        Ok(())
    }

    fn wake(&self) -> Wake {
        Tasks::wake(self)
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        into.extend(self.descriptor());
    }
}
