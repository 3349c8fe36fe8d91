//! The engines as doers, alone: somebody else takes their events.

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use super::{DoError, Doer, Recur};
use crate::event::Wake;
use crate::net::Descriptor;
use crate::tyme::{Tyme, Tymth};
use crate::{Client, Clients, Peer, Server};

/// An engine as a doer: `enter` winds it and opens what `$open` says, `recur` services it, `exit` closes it. Its events are taken by somebody else.
macro_rules! engine {
    ($engine:ident, $(#[$doc:meta])* |$this:ident| $open:expr) => {
        $(#[$doc])*
        impl Doer for $engine {
            fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
                self.wind(tymth.clone());
                let $this = self;
                $open
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
                $engine::wake(self)
            }

            fn descriptors(&self, into: &mut Vec<Descriptor>) {
                into.extend(self.descriptor());
            }
        }
    };
}

engine! {
    Server,
    /// hio's `ServerDoer`: winds and [reopens](Server::reopen), services, closes. It is never done by itself. Events must be taken by another doer that shares
    /// it (`Rc<RefCell<Server>>` is a doer, too) or between cycles; a server with untaken events wants its turn at once.
    |server| Ok(server.reopen()?)
}

engine! {
    Clients,
    /// Winds, services, closes. It is never done by itself. Its events must be taken by somebody else.
    |_clients| Ok(())
}

engine! {
    Client,
    /// hio's `ClientDoer`: winds and begins to connect (unless it has begun already), services, closes. It is never done by itself. Its events must be taken by
    /// somebody else.
    |client| if client.opened() { Ok(()) } else { Ok(client.reopen()?) }
}

engine! {
    Peer,
    /// Winds it and, if it was open once and is not now, reopens it; services, closes. It is never done by itself. Its events must be taken by somebody else.
    |peer| if peer.spec_again().is_some() { Ok(peer.reopen()?) } else { Ok(()) }
}

/// A shared doer: other doers may have it, too, and look at it in their turns. It must not be borrowed across turns.
impl<D: Doer> Doer for Rc<RefCell<D>> {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.borrow_mut().enter(tymth)
    }

    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.borrow_mut().recur(now)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.borrow_mut().exit()
    }

    fn tock(&self) -> Duration {
        self.borrow().tock()
    }

    fn wake(&self) -> Wake {
        Doer::wake(&*self.borrow())
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        self.borrow().descriptors(into);
    }
}
