//! Callback style, on top of events: a [`Service`] is told what happens, and its filters see every byte each way.
//!
//! # What holds
//!
//! * Callbacks come from [`Server::serve`] and from nowhere else, one after the other. A callback has a [`Session`] in hand, which only looks, takes and
//!   queues. Where the whole server is in hand (`event`, `tick`, what was put off by `later`), a `serve` inside does nothing. So no callback ever runs inside
//!   another, and none has to expect that.
//! * [`incoming`](Service::incoming) sees each byte that came in once, in order, before any callback of its connection sees it: with that connection's next
//!   event. Who takes from another connection whose event is still to come (in `event`, by `later`, or through a [`Relay`](crate::Relay)) takes what came in as
//!   it came.
//! * [`outgoing`](Service::outgoing) sees each byte that is queued once, in order, whoever queued it, and before it leaves: what it has not seen yet waits,
//!   also where somebody asks to send it.
//! * What a filter makes of bytes counts in all limits. It may exceed the cap of its connection by as much as the filter has added; whoever queues then finds
//!   no room, and whoever sends is held back.
//! * Order is the order of events; see [`Event`].

mod serve;
mod session;
mod streams;
mod tcp;

use bytes::{Bytes, BytesMut};

use crate::error::CloseReason;
use crate::event::{Event, Wake};
use crate::id::{EndpointId, Id};
use crate::peer::Endpoint;
use crate::server::Server;

pub use serve::call_back;
pub use session::Session;
pub use streams::Streams;
pub use tcp::TcpServer;

/// What you write to make a [`Server`] do something: the same in a plain loop, under a `run::Manager` on threads of its own, and in a
/// [`ServerDoer`](crate::doing::ServerDoer): as a doer in a group, or on a host of a simulated world.
///
/// Every method has a default that does nothing, so that you write those you need. Any `FnMut(&mut Server, Event)` is a service as well, one that takes the
/// events as they are, without filters.
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
///         let mut data = session.take();
///         assert!(b"hello".ends_with(&data)); // in plain
///         let _ = session.tx_bytes(&mut data); // takes what fits
///         session.unread(data); // the rest holds the peer back, until `drained`
///     }
///
///     fn drained(&mut self, session: &mut Session<'_>) {
///         self.received(session);
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

    /// The peer has ended its half. Unless [`half_open`](crate::Config::half_open) says otherwise, the connection closes by itself once you have taken what
    /// came in and what you queue now has left.
    fn ended(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// The connection is over, and what is unread can be taken for the last time. Comes once for each [`opened`](Service::opened), and for a dialled connection
    /// that never came up. One that is dialled again by itself keeps its id and is `opened` again.
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

    /// Sees, and may replace, what goes out on this connection, in order: all that was queued, in pieces as they come. (A piece is replaced rather than changed
    /// since other connections may send the same one.) It may become longer without bound of ours: see to it that it does not.
    fn outgoing(&mut self, id: Id, data: &mut Bytes) {
        let _ = (id, data);
    }

    /// Whether it has filters. If not, [`incoming`](Service::incoming) and [`outgoing`](Service::outgoing) are never called, nothing is spent on them, and what
    /// is queued may leave at any time, by [`service_sends`](Server::service_sends) in the middle of a tick, too. Always the same answer, please. Default: it
    /// has; a closure has none.
    fn filters(&self) -> bool {
        true
    }

    /// Gets each event, and by default calls the callbacks above. To see what has no callback (refusals, lost listeners, draining …), write it and pass the
    /// rest on to [`call_back`]. It has the whole server: what is queued here is filtered like all else.
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

    /// Whether it has done what it was there for. A [`ServerDoer`](crate::doing::ServerDoer) asks after each tick, and ends; a loop of your own may ask, too.
    /// The engines of a `run::Manager` do not: they end when they are told to. Default: never.
    fn is_done(&self) -> bool {
        false
    }
}

impl<F: FnMut(&mut Server, Event) + 'static> Service for F {
    fn filters(&self) -> bool {
        false
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        self(server, event);
    }
}
