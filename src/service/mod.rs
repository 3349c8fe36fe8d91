//! Callback style, on top of events: a [`Service`] is told what happens, and its filters see every byte each way.
//!
//! # What holds
//!
//! * Callbacks come from [`Server::serve`] and from nowhere else, one after the other. A callback has a [`Session`] in hand, which only looks, takes and
//!   queues; the service itself is borrowed meanwhile. [`event`](Service::event) and [`tick`](Service::tick) have the whole server, and there a `serve` inside a `serve` does
//!   nothing. So no callback ever runs inside another, and none has to expect that.
//! * [`incoming`](Service::incoming) sees each byte that came in once, in order, before any callback sees it. [`outgoing`](Service::outgoing) sees each byte
//!   that is queued once, in order, whoever queued it, and before it leaves: what it has not seen yet waits, also where somebody asks to send it.
//! * What a filter makes of bytes counts in all limits. It may exceed the cap of its connection by as much as the filter has added; whoever queues then finds
//!   no room, and whoever sends is held back.
//! * Order is the order of events; see [`Event`].

mod session;
mod tcp;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::{Bytes, BytesMut};

use crate::doing::Handler;
use crate::error::CloseReason;
use crate::event::{Event, Serviced, Wake};
use crate::id::Id;
use crate::peer::{Endpoint, GramEvent};
use crate::server::{EndpointId, Server};

use session::Later;
pub use session::Session;
pub use tcp::{Streams, TcpServer};

/// What you write to make a [`Server`] do something: the same in a plain loop, under a `run::Manager` on threads of its own, and (by [`Callbacks`]) as a doer in a group or
/// in a simulated world.
///
/// Every method has a default that does nothing, so that you write those you need. Any `FnMut(&mut Server, Event)` is a service as well, one that takes the events
/// as they are.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use bytes::{Bytes, BytesMut};
/// use tymist::{Config, Id, Server, Service, Session};
///
/// /// Echoes, in a cipher that Caesar would have broken.
/// struct Secret;
///
/// impl Service for Secret {
///     fn received(&mut self, session: &mut Session<'_>) {
///         assert_eq!(session.rx(), b"hello");
///         let mut data = session.take();
///         let _ = session.tx_bytes(&mut data); // takes what fits
///         session.unread(data); // the rest holds the peer back, until `drained`
///     }
///
///     fn incoming(&mut self, _: Id, data: &mut BytesMut) {
///         data.iter_mut().for_each(|byte| *byte ^= 1);
///     }
///
///     fn outgoing(&mut self, _: Id, data: &mut Bytes) {
///         *data = data.iter().map(|byte| byte ^ 1).collect();
///     }
/// }
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
/// let mut client = TcpStream::connect(addr)?;
/// client.write_all(&b"hello".map(|byte| byte ^ 1))?;
///
/// let mut secret = Secret;
/// while server.counters().bytes_in < 5 {
///     server.wait(None);
///     server.serve(&mut secret);
/// }
/// server.service_sends(); // as the next wait would
/// let mut reply = [0; 5];
/// client.read_exact(&mut reply)?;
/// assert_eq!(reply.map(|byte| byte ^ 1), *b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Service: 'static {
    /// A connection is usable: it came in, or it was dialled and is up, for the first time or again.
    fn opened(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// Bytes came in. [`rx`](crate::Remoter::rx) has them behind what you left there the last time; it is not empty, though
    /// [`incoming`](Service::incoming) may have swallowed all of the new ones. What you leave there at the cap holds the peer back.
    fn received(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// All that was queued has left, after a time when it could not: there is room again.
    fn drained(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// The peer has ended its half. Unless [`half_open`](crate::Config::half_open) says otherwise, the connection closes by itself once you have taken what came in
    /// and what you queue now has left.
    fn ended(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// The connection is over, and what is unread can be taken for the last time. Comes once for each [`opened`](Service::opened), and for a dialled connection that never came up. One
    /// that is dialled again by itself keeps its id and is `opened` again.
    fn closed(&mut self, session: &mut Session<'_>, reason: CloseReason) {
        let _ = (session, reason);
    }

    /// Datagrams came in at this endpoint; [`take`](Endpoint::take) them until there is none. A datagram is seen whole here, so it needs no filter.
    fn grams(&mut self, endpoint: &mut Endpoint, id: EndpointId) {
        let _ = (endpoint, id);
    }

    /// Sees, and may change, what came in on this connection, in order, before anything else here does. Called once for all that came in a tick.
    fn incoming(&mut self, id: Id, data: &mut BytesMut) {
        let _ = (id, data);
    }

    /// Sees, and may replace, what goes out on this connection, in order: all that was queued, in pieces as they come. (A piece is replaced rather than changed since other
    /// connections may send the same one.) It may become longer without bound of ours: see to it that it does not.
    fn outgoing(&mut self, id: Id, data: &mut Bytes) {
        let _ = (id, data);
    }

    /// Gets each event, and by default calls the callbacks above. To see what has no callback (refusals, lost listeners, draining …), write it and pass the rest on to
    /// [`call_back`]. It has the whole server: what is queued here is filtered like all else.
    fn event(&mut self, server: &mut Server, event: Event) {
        call_back(self, server, &event);
    }

    /// Called once per tick, after its events. `server.tyme()` says when.
    fn tick(&mut self, server: &mut Server) {
        let _ = server;
    }

    /// When the service itself wants its next tick, if the server has no reason for an earlier one. Default: it does not.
    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

impl<F: FnMut(&mut Server, Event) + 'static> Service for F {
    fn event(&mut self, server: &mut Server, event: Event) {
        self(server, event);
    }
}

/// A service as the [`Handler`] of a [`ServerDoer`](crate::doing::ServerDoer): with it the same service has its turns in a group of doers, or on a host of a simulated world.
///
/// ```
/// use tymist::doing::ServerDoer;
/// use tymist::{Callbacks, Config, Server, Service, Session};
///
/// struct Greeter;
///
/// impl Service for Greeter {
///     fn opened(&mut self, session: &mut Session<'_>) {
///         let _ = session.tx(b"hello");
///     }
/// }
///
/// # #[cfg(feature = "os")]
/// let doer = ServerDoer::new(Server::new(Config::new()), Callbacks(Greeter));
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Callbacks<S>(pub S);

impl<S: Service> Handler for Callbacks<S> {
    fn event(&mut self, server: &mut Server, event: Event) {
        server.engine_mut().core.filtered = true;
        server.calling(|server| self.0.event(server, event));
    }

    fn tick(&mut self, server: &mut Server) {
        // What is queued waits for this, so nothing leaves unseen, whoever ticks the server.
        server.engine_mut().core.filtered = true;
        server.filter_out(&mut self.0);
        server.calling(|server| self.0.tick(server));
        server.filter_out(&mut self.0);
    }

    fn wake(&self) -> Wake {
        self.0.wake()
    }
}

/// Calls the callback that `event` is for, if there is one: what [`Service::event`] does by default.
pub fn call_back<S: Service + ?Sized>(service: &mut S, server: &mut Server, event: &Event) {
    if let Event::Gram(id, GramEvent::Received) = event {
        if let Some(endpoint) = server.endpoint_mut(*id) {
            service.grams(endpoint, *id);
        }
        return;
    }
    let Some(id) = event.id() else { return };
    let tyme = server.tyme();
    let mut later: Vec<Later> = Vec::new();
    {
        let Some(remoter) = server.remoter_mut(id) else { return };
        let raw = remoter.take_raw_in();
        if matches!(event, Event::Accepted(_) | Event::Connected(_)) {
            service.opened(&mut Session::new(remoter, tyme, &mut later));
            remoter.put_back(raw); // For its own event, which follows.
        } else if let Some(mut data) = raw {
            service.incoming(id, &mut data);
            remoter.put_in(data);
        }
        let mut session = Session::new(remoter, tyme, &mut later);
        match *event {
            Event::Received(_) if session.can_receive() => service.received(&mut session),
            Event::Drained(_) => service.drained(&mut session),
            Event::Eof(_) => service.ended(&mut session),
            Event::Closed(_, reason) | Event::Disconnected { reason, .. } => {
                service.closed(&mut session, reason);
            }
            _ => {}
        }
    }
    for act in later {
        // What it does may send, and whatever is sent was seen before.
        server.filter_out(service);
        act(server);
    }
}

impl Server {
    /// One tick in callback style: [`service`](Server::service), then each event to [`Service::event`], then [`Service::tick`], with the filters
    /// in between. Like `service`, it never blocks. What was queued leaves at the start of the next [`wait`](Server::wait) or tick, or at once with
    /// [`service_sends`](Server::service_sends).
    ///
    /// From the first call on, nothing leaves that the filters have not seen. So go on with it once you have begun. Called from inside itself it does nothing.
    pub fn serve<S: Service + ?Sized>(&mut self, service: &mut S) -> Serviced {
        self.serve_seeing(service, |_| ())
    }

    /// The same, with a look at each event.
    pub(crate) fn serve_seeing<S: Service + ?Sized>(
        &mut self,
        service: &mut S,
        mut seen: impl FnMut(&Event),
    ) -> Serviced {
        self.calling(|server| server.serve_once(service, &mut seen)).unwrap_or_default()
    }

    /// Lets callbacks be called, unless some are: then nothing is done. A panic of theirs leaves it as it was.
    fn calling<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let core = &mut self.engine_mut().core;
        if core::mem::replace(&mut core.calling, true) {
            return None;
        }
        // What it leaves half done is what it always would: this only puts the mark right.
        let done = catch_unwind(AssertUnwindSafe(|| act(self)));
        self.engine_mut().core.calling = false;
        Some(done.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    fn serve_once<S: Service + ?Sized>(
        &mut self,
        service: &mut S,
        seen: &mut impl FnMut(&Event),
    ) -> Serviced {
        self.engine_mut().core.filtered = true;
        self.filter_out(service);
        let serviced = self.service();
        while let Some(event) = self.poll_event() {
            seen(&event);
            service.event(self, event);
        }
        self.filter_out(service);
        service.tick(self);
        self.filter_out(service);
        serviced
    }

    /// [Waits](Server::wait), but no longer than until `wake`, such as what [`Service::wake`] says.
    pub fn wait_until(&mut self, wake: Wake) {
        match wake {
            Wake::Now => {}
            Wake::At(tyme) => {
                let now = self.engine_mut().sample();
                self.wait(Some(tyme - now));
            }
            Wake::OnIo => self.wait(None),
        }
    }

    /// Shows the service what was queued since it was last shown.
    fn filter_out<S: Service + ?Sized>(&mut self, service: &mut S) {
        let engine = self.engine_mut();
        let mut pieces = Vec::new();
        for at in 0..engine.touched().len() {
            let id = engine.touched()[at];
            let Some(remoter) = engine.filtered_mut(id).filter(|remoter| remoter.has_raw_out())
            else {
                continue;
            };
            remoter.take_raw_out(&mut pieces);
            for mut piece in pieces.drain(..) {
                service.outgoing(id, &mut piece);
                remoter.put_out(piece);
            }
        }
    }
}
