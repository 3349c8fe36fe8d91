//! The engines as doers, each with what deals with its events.

use std::io;

use super::{DoError, Doer, Recur};
use crate::event::{Event, Wake};
use crate::net::Descriptor;
use crate::peer::GramEvent;
use crate::service::Service;
use crate::tyme::{Tyme, Tymth};
use crate::{Client, Clients, Peer, Server};

/// A [`Server`] and its [`Service`], which may be a closure: opens what was closed of the server when it is entered, closes it at the end. Done when the server
/// has [drained](Server::drain), or the service [is](Service::is_done).
///
/// A turn is a tick, by [`Server::serve`]; then what was queued leaves. At its end what the closing tells goes to the service, too.
/// It fails where its poller does (`NetFailed`, of which the service hears before).
///
/// ```
/// # #[cfg(feature = "os")] {
/// use tymist::doing::ServerDoer;
/// use tymist::{Config, Server, Service, Session};
///
/// struct Greeter;
///
/// impl Service for Greeter {
///     fn opened(&mut self, session: &mut Session<'_>) {
///         let _ = session.tx(b"hello"); // an error: it is closing
///     }
/// }
///
/// let doer = ServerDoer::new(Server::new(Config::new()), Greeter);
/// # }
/// ```
#[derive(Debug)]
pub struct ServerDoer<S> {
    /// The engine, wound to the clock of whoever entered it.
    pub server: Server,
    /// What it does.
    pub service: S,
}

impl<S: Service> ServerDoer<S> {
    /// From both. What the server is to have open may be opened before or after.
    #[must_use]
    pub fn new(server: Server, service: S) -> Self {
        ServerDoer { server, service }
    }
}

impl<S: Service> Doer for ServerDoer<S> {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.server.enter(tymth)
    }

    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        let (mut drained, mut failed) = (false, None);
        self.server.serve_seeing(&mut self.service, |event| {
            drained |= matches!(event, Event::DrainEnded { .. });
            if let Event::NetFailed { error } = *event {
                failed = Some(io::Error::from(error));
            }
        });
        self.server.service_sends();
        if let Some(failed) = failed {
            return Err(failed.into()); // Without its poller it would be deaf, or spin.
        }
        let done = (drained && !self.server.opened()) || self.service.is_done();
        Ok(if done { Recur::Done } else { Recur::Again })
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.server.close_shown(&mut self.service);
        self.server.tell_rest(&mut self.service);
        Ok(())
    }

    fn wake(&self) -> Wake {
        self.server.wake().min(self.service.wake())
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        into.extend(self.server.descriptor());
    }
}

/// A doer that has an engine and a closure for its events.
macro_rules! handled {
    (
        $(#[$doc:meta])*
        $name:ident { $field:ident: $engine:ident, $event:ident }
        $ends:pat => $over:expr
    ) => {
        $(#[$doc])*
        /// It fails where its poller does (`NetFailed`, of which the handler hears before).
        #[derive(Debug)]
        pub struct $name<F> {
            /// The engine, wound to the clock of whoever entered it.
            pub $field: $engine,
            /// What deals with its events.
            pub handler: F,
        }

        impl<F: FnMut(&mut $engine, $event) + 'static> $name<F> {
            /// From both. What the engine is to have open may be opened before or after.
            #[must_use]
            pub fn new($field: $engine, handler: F) -> Self {
                $name { $field, handler }
            }

            /// Takes the events; whether one was the last, and why the poller failed, if it did.
            fn take_events(&mut self) -> (bool, Option<io::Error>) {
                let (mut last, mut failed) = (false, None);
                while let Some(event) = self.$field.poll_event() {
                    last |= matches!(event, $ends);
                    if let $event::NetFailed { error } = event {
                        failed = Some(error.into());
                    }
                    (self.handler)(&mut self.$field, event);
                }
                (last, failed)
            }
        }

        impl<F: FnMut(&mut $engine, $event) + 'static> Doer for $name<F> {
            fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
                self.$field.enter(tymth)
            }

            fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
                self.$field.service();
                let (last, failed) = self.take_events();
                self.$field.service_sends();
                if let Some(failed) = failed {
                    return Err(failed.into()); // Without its poller it would be deaf, or spin.
                }
                let over: fn(&$engine, bool) -> bool = $over;
                Ok(if over(&self.$field, last) { Recur::Done } else { Recur::Again })
            }

            fn exit(&mut self) -> Result<(), DoError> {
                self.$field.close();
                self.take_events();
                Ok(())
            }

            fn wake(&self) -> Wake {
                self.$field.wake()
            }

            fn descriptors(&self, into: &mut Vec<Descriptor>) {
                into.extend(self.$field.descriptor());
            }
        }
    };
}

handled! {
    /// A [`Client`] and a closure for its events: begins to connect when it is entered, closes at the end. Done when its connection has closed (and does not
    /// come again).
    ///
    /// A turn is a tick: `service()`, then the events; then what was queued leaves. At its end what the closing tells goes to the closure, too.
    ///
    /// What wants turns of its own besides, or an end, is a [`Doer`] around the engine, which is one itself:
    ///
    /// ```
    /// use std::time::Duration;
    /// use tymist::doing::{DoError, Doer, Recur};
    /// use tymist::net::Descriptor;
    /// use tymist::tyme::{Tyme, Tymth};
    /// use tymist::{Client, Wake};
    ///
    /// /// Says something each second, three times, whatever comes back.
    /// struct Beacon {
    ///     client: Client,
    ///     next: Tyme,
    ///     left: u32,
    /// }
    ///
    /// impl Doer for Beacon {
    ///     fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
    ///         self.client.enter(tymth)
    ///     }
    ///
    ///     fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
    ///         self.client.service();
    ///         while self.client.poll_event().is_some() {} // what is left untaken asks for turns at once
    ///         if now >= self.next {
    ///             self.next = now + Duration::from_secs(1);
    ///             self.left -= 1;
    ///             self.client.tx(b"here")?;
    ///             self.client.service_sends(); // else it leaves in the next turn
    ///         }
    ///         Ok(if self.left == 0 { Recur::Done } else { Recur::Again })
    ///     }
    ///
    ///     fn exit(&mut self) -> Result<(), DoError> {
    ///         self.client.exit()
    ///     }
    ///
    ///     fn wake(&self) -> Wake {
    ///         self.client.wake().min(Wake::At(self.next))
    ///     }
    ///
    ///     fn descriptors(&self, into: &mut Vec<Descriptor>) {
    ///         self.client.descriptors(into);
    ///     }
    /// }
    /// #
    /// # #[cfg(all(feature = "os", feature = "sim"))] {
    /// # use tymist::doing::{Echo, ServerDoer};
    /// # use tymist::{Config, sim::World};
    /// # let mut world = World::new(1);
    /// # let server = world.add("server", |host| {
    /// #     let mut doer = ServerDoer::on_host(host, Config::new(), Echo::new());
    /// #     doer.server.listen(([0, 0, 0, 0], 7)).unwrap();
    /// #     doer
    /// # });
    /// # let target = tymist::net::Addr::from((world.resolve("server")[0], 7));
    /// # let host = world.add("client", move |host| {
    /// #     let client = Client::with_net(Config::new(), host.net(), target.clone());
    /// #     Beacon { client, next: Tyme::ZERO, left: 3 }
    /// # });
    /// # world.run_for(Duration::from_secs(10));
    /// # assert!(matches!(world.ended(host), Some(tymist::doing::End::Done)));
    /// # assert_eq!(world.program::<ServerDoer<Echo>>(server).unwrap().service.bytes, 12);
    /// # }
    /// ```
    ClientDoer { client: Client, Event }
    Event::Closed(..) => |client, last| last && !client.opened()
}

handled! {
    /// [`Clients`] and a closure for their events: closes them at the end. Done when the last of their connections has closed.
    ///
    /// Turns and end are those of [`ClientDoer`].
    ClientsDoer { clients: Clients, Event }
    Event::Closed(..) => |clients, last| last && clients.is_empty()
}

handled! {
    /// A [`Peer`] and a closure for its events: opens it when it is entered, if it was open before, closes it at the end. Done when it is closed.
    ///
    /// Turns and end are those of [`ClientDoer`].
    PeerDoer { peer: Peer, GramEvent }
    GramEvent::NetFailed { .. } => |peer, _| !peer.opened()
}
