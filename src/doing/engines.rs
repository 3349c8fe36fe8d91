//! The engines as doers, alone and with a handler of their events.

use core::cell::RefCell;
use core::time::Duration;
use std::io;
use std::rc::Rc;

use super::{DoError, Doer, Handler, Recur};
use crate::event::{Event, Wake};
use crate::net::Descriptor;
use crate::peer::GramEvent;
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
    /// hio's `ServerDoer`: winds and [reopens](Server::reopen), services, closes. It is never done by itself. Events must be taken by another doer that shares it
    /// (`Rc<RefCell<Server>>` is a doer, too) or between cycles; a server with untaken events wants its turn at once.
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

/// A doer that has an engine and what deals with its events.
macro_rules! handled {
    (
        $(#[$doc:meta])*
        $name:ident { $field:ident: $engine:ident, $event:ident }
        $ends:pat => $over:expr
    ) => {
        $(#[$doc])*
        ///
        /// A turn is a tick: `service()`, then the events, then [`Handler::tick`]; then what was queued leaves. At its end what the closing tells goes to the handler, too.
        /// It fails where its poller does (`NetFailed`, of which the handler hears before).
        #[derive(Debug)]
        pub struct $name<H> {
            /// The engine, wound to the clock of whoever entered it.
            pub $field: $engine,
            /// What deals with its events.
            pub handler: H,
        }

        impl<H: Handler<$engine, $event>> $name<H> {
            /// From both. What the engine is to have open may be opened before or after.
            #[must_use]
            pub fn new($field: $engine, handler: H) -> Self {
                $name { $field, handler }
            }

            /// Takes the events; whether one was the last, and why the poller failed, if it did.
            fn take_events(&mut self) -> (bool, Option<io::Error>) {
                let (mut last, mut failed) = (false, None);
                while let Some(event) = self.$field.poll_event() {
                    last |= matches!(event, $ends);
                    if let $event::NetFailed { error, errno } = event {
                        failed = Some(errno.map_or_else(|| error.into(), io::Error::from_raw_os_error));
                    }
                    self.handler.event(&mut self.$field, event);
                }
                (last, failed)
            }
        }

        impl<H: Handler<$engine, $event>> Doer for $name<H> {
            fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
                self.$field.enter(tymth)
            }

            fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
                self.$field.service();
                let (last, failed) = self.take_events();
                self.handler.tick(&mut self.$field);
                self.$field.service_sends();
                if let Some(failed) = failed {
                    return Err(failed.into()); // Without its poller it would be deaf, or spin.
                }
                let over: fn(&$engine, bool) -> bool = $over;
                let done = over(&self.$field, last) || self.handler.is_done();
                Ok(if done { Recur::Done } else { Recur::Again })
            }

            fn exit(&mut self) -> Result<(), DoError> {
                self.$field.close();
                self.take_events();
                Ok(())
            }

            fn wake(&self) -> Wake {
                self.$field.wake().min(self.handler.wake())
            }

            fn descriptors(&self, into: &mut Vec<Descriptor>) {
                into.extend(self.$field.descriptor());
            }
        }
    };
}

handled! {
    /// A [`Server`] and its [`Handler`]: opens what was closed of the server when it is entered, closes it at the end. Done when the server
    /// has [drained](Server::drain), or the handler [is](Handler::is_done).
    ServerDoer { server: Server, Event }
    Event::DrainEnded { .. } => |server, last| last && !server.opened()
}

handled! {
    /// A [`Client`] and its [`Handler`]: begins to connect when it is entered, closes at the end. Done when its connection has closed (and does not
    /// come again), or the handler [is](Handler::is_done).
    ClientDoer { client: Client, Event }
    Event::Closed(..) => |client, last| last && !client.opened()
}

handled! {
    /// [`Clients`] and their [`Handler`]: closes them at the end. Done when the last of their connections has closed, or the handler
    /// [is](Handler::is_done).
    ClientsDoer { clients: Clients, Event }
    Event::Closed(..) => |clients, last| last && clients.is_empty()
}

handled! {
    /// A [`Peer`] and its [`Handler`]: opens it when it is entered, if it was open before, closes it at the end. Done when it is closed, or the
    /// handler [is](Handler::is_done).
    PeerDoer { peer: Peer, GramEvent }
    GramEvent::NetFailed { .. } => |peer, _| !peer.opened()
}
