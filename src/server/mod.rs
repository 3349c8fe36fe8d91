//! The server: acceptors that take connections, remoters that live them, one tick that serves all.
//!
//! [`dial`] makes connections from here, [`endpoints`] are the datagram sockets beside them, [`steps`] hio's single steps of a tick; [`drain`] ends a server
//! gently, [`wait`] sleeps until there is something to do.

mod dial;
mod drain;
mod endpoints;
mod keep;
mod listen;
#[cfg(feature = "proxy-protocol")]
mod proxy;
mod steps;
#[cfg(feature = "tls")]
mod tls;
mod wait;

use core::fmt;

use bytes::Bytes;

use crate::acceptor::Acceptor;
use crate::config::Config;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::error::{CloseReason, TxError};
use crate::event::{Event, Serviced};
use crate::id::AcceptorId;
use crate::id::Id;
use crate::net::{Addr, Net};
use crate::remoter::{Detached, Remoter};
use crate::tyme::{Tyme, Tymth};
use crate::wire::WireLog;

use endpoints::Endpoints;

pub use drain::Draining;

/// A nonblocking stream server, driven by ticks.
///
/// Making one opens nothing. [`listen`](Server::listen) opens a port, as many as you like, at any time. Then call
/// [`service`](Server::service) once per tick and take the [events](Server::poll_event); between ticks [`wait`](Server::wait) sleeps until
/// there is something to do, or do what you like instead.
///
/// ```
/// use std::net::TcpStream;
/// use std::io::{Read, Write};
/// use tymist::{Config, Event, Server};
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
///
/// let mut client = TcpStream::connect(addr)?;
/// client.write_all(b"hello")?;
/// let mut echoed = false;
/// while !echoed {
///     server.wait(None);
///     server.service();
///     while let Some(event) = server.poll_event() {
///         if let Event::Received(id) = event
///             && let Some(remoter) = server.remoter_mut(id)
///         {
///             let mut data = remoter.take();
///             remoter.tx_bytes(&mut data)?;
///             echoed = true;
///         }
///     }
/// }
/// server.service_sends();
/// let mut reply = [0; 5];
/// client.read_exact(&mut reply)?;
/// assert_eq!(&reply, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    engine: Engine,
    acceptors: Vec<Acceptor>,
    endpoints: Endpoints,
    /// Number of the next acceptor.
    next_acceptor: u32,
    /// Which acceptor is first in this tick's round.
    turn: usize,
    draining: Option<drain::State>,
}

impl Server {
    /// A server on the operating system's network, with nothing open.
    #[cfg(feature = "os")]
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_net(config, Box::new(crate::net::os::OsNet::new()))
    }

    /// A server on another network, with nothing open.
    #[must_use]
    pub fn with_net(config: Config, net: Box<dyn Net>) -> Self {
        Server {
            engine: Engine::new(config, net),
            acceptors: Vec::new(),
            endpoints: Endpoints::new(),
            next_acceptor: 0,
            turn: 0,
            draining: None,
        }
    }

    /// Winds the server, with all its connections and deadlines, to a clock. Whatever runs starts anew there: `elapsed` is zero and
    /// the full duration lies ahead. Without a clock it goes by its network's monotonic time.
    pub fn wind(&mut self, tymth: Tymth) {
        let now = self.engine.wind(Some(tymth));
        self.acceptors.iter_mut().for_each(Acceptor::rebase);
        self.endpoints.rebase(now);
        if let Some(draining) = &mut self.draining {
            draining.rebase(now);
        }
    }

    /// Whether it is wound to a clock.
    #[must_use]
    pub fn is_wound(&self) -> bool {
        self.engine.is_wound()
    }

    /// The tyme of the current (or else the last) tick.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.engine.core.now
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.engine.core.config
    }

    /// Changes the settings. Limits count from the next tick on; timeouts for what starts, or is started anew by traffic, from then on; what
    /// is set per connection for new connections.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.engine.core.config
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.engine.core.counters
    }

    /// Logs what moves on each connection admitted, adopted or connected from now on; `None`: no more of them. Connections that are there keep what they
    /// have, see [`Remoter::set_wire_log`].
    pub fn set_wire_log(&mut self, log: Option<WireLog>) {
        self.engine.core.wire_log = log;
    }

    // The tick.

    /// Does one tick. Never blocks, is bounded by the budgets in [`Limits`](crate::Limits), and never fails because of a peer.
    ///
    /// In this order: read the clock; forget connections whose `Closed` you took; send, end and dial what you asked for; harvest readiness (one
    /// system call, none if [`wait`](Server::wait) has just done it and no deadline has come since); accept; admit, or start handshakes; see
    /// which dialled connections are up; advance handshakes; let each ready connection, then each endpoint, send what was blocked and receive;
    /// expire deadlines (what the same tick has seen arrive counts first); dial again what is due; look at certificates, if that is due; drain;
    /// tell. Costs what there is to do, whatever the number of connections.
    pub fn service(&mut self) -> Serviced {
        self.engine.open_tick();
        self.endpoints.flush(&mut self.engine.core);
        self.engine.harvest_once();
        self.latch();
        self.accept_pass();
        self.admit_pass();
        self.engine.serve();
        self.endpoints.turns(&mut self.engine.core);
        self.engine.expire_and_dial();
        #[cfg(feature = "tls")]
        self.tls_pass();
        self.drain_pass();
        self.engine.end()
    }

    /// Takes the next event of those that have not been taken, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.engine.poll_event()?;
        if let Event::Gram(id, event) = &event {
            self.endpoints.taken(*id, event);
        }
        Some(event)
    }

    /// Takes all events and drops them, for programs that look at [`remoters`](Server::remoters) instead.
    pub fn clear_events(&mut self) {
        while self.poll_event().is_some() {}
    }

    // Connections.

    /// The connection of this id. One that has closed is still found until the tick after its `Closed` was taken.
    #[must_use]
    pub fn remoter(&self, id: Id) -> Option<&Remoter> {
        self.engine.get(id)
    }

    /// The connection of this id, to do something with.
    pub fn remoter_mut(&mut self, id: Id) -> Option<&mut Remoter> {
        self.engine.get_mut(id)
    }

    /// The live connection with this peer; the oldest, where several acceptors have one of the same. An IPv4 address may be written as such also where the
    /// acceptor is one for both.
    #[must_use]
    pub fn at(&self, peer: &Addr) -> Option<Id> {
        self.engine.at(peer)
    }

    /// Number of live connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.engine.live()
    }

    /// Whether there is no live connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Live connections, in the order of their places.
    pub fn remoters(&self) -> impl Iterator<Item = &Remoter> {
        self.engine.iter().filter(|remoter| remoter.is_live())
    }

    /// The acceptors of connections that are not live, those that shake hands among them; one for each.
    pub(crate) fn shaking_at(&self) -> impl Iterator<Item = AcceptorId> {
        self.engine.iter().filter(|remoter| !remoter.is_live()).filter_map(Remoter::acceptor)
    }

    /// Ids of live connections (`ixes`), in the order of their places. Collected, so that you can work on them meanwhile.
    #[must_use]
    pub fn ixes(&self) -> Vec<Id> {
        self.remoters().map(Remoter::id).collect()
    }

    /// Number of connections that are still shaking hands (`cxes`).
    #[must_use]
    pub fn cxes(&self) -> usize {
        self.engine.handshaking()
    }

    /// Number of connections that were accepted and wait to be admitted (`axes`), all acceptors together.
    #[must_use]
    pub fn axes(&self) -> usize {
        self.acceptors.iter().map(|acceptor| acceptor.axes.len()).sum()
    }

    /// Unread and unsent bytes of all connections.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.engine.buffered()
    }

    /// Deadlines in the wheel: at most one per connection.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.engine.core.wheel.len()
    }

    /// Queues `data` for a connection; see [`Remoter::tx`].
    ///
    /// # Errors
    /// [`TxError::Gone`] for an id that names none, otherwise as [`Remoter::tx`].
    pub fn tx(&mut self, id: Id, data: &[u8]) -> Result<usize, TxError> {
        self.remoter_mut(id).ok_or(TxError::Gone)?.tx(data)
    }

    /// Queues `data` for each live connection that `to` accepts and that has room for all of it, so that none gets a torn message.
    /// Those without room are told `Drained` once they have some. The bytes are shared, not copied. Costs a look at every connection.
    pub fn broadcast(&mut self, data: &Bytes, mut to: impl FnMut(&Remoter) -> bool) -> Broadcast {
        let mut result = Broadcast::default();
        for id in self.ixes() {
            let Some(remoter) = self.engine.get(id).filter(|remoter| to(remoter)) else { continue };
            if remoter.tx_room() < data.len() {
                result.skipped += 1;
                if remoter.may_send()
                    && let Some(remoter) = self.engine.get_mut(id)
                {
                    remoter.want_drained();
                }
            } else if let Some(remoter) = self.remoter_mut(id)
                && remoter.tx_bytes(&mut data.clone()).is_ok()
            {
                result.queued += 1;
            }
        }
        result
    }

    /// Takes a connection out of the server without closing it (hio's `removeIx(close=False)`): its stream, still registered with this
    /// network, and the bytes that were on their way through it. `Closed` with the reason `Detached` is told. `None` if there is no such
    /// live connection.
    pub fn detach(&mut self, id: Id) -> Option<Detached> {
        self.engine.detach(id)
    }

    /// Closes all live connections gracefully; see [`Remoter::close`]. Costs a look at every connection.
    pub fn close_remoters(&mut self) {
        for id in self.ixes() {
            if let Some(remoter) = self.remoter_mut(id) {
                remoter.close();
            }
        }
    }

    /// Closes everything at once: listeners, endpoints, connections waiting, handshaking and live. What is queued gets one try to leave. Idempotent.
    /// Events, `Closed` of each connection among them, stay to be taken, and [`reopen`](Server::reopen) opens it again.
    pub fn close(&mut self) {
        self.engine.close();
        self.endpoints.flush(&mut self.engine.core);
        self.close_acceptors();
        self.endpoints.close();
        self.draining = None;
    }

    /// Closes the sockets that belong to nobody and cuts all connections; returns how many there were.
    fn shut(&mut self, reason: CloseReason) -> usize {
        self.close_acceptors();
        self.endpoints.close();
        self.engine.cut_all(reason)
    }

    fn close_acceptors(&mut self) {
        let dropped = self.axes() as u64;
        self.engine.core.counters.refused.dropped += dropped;
        self.acceptors.iter_mut().for_each(Acceptor::close);
    }

    /// The engine, for what is built on a server.
    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The network it is on.
    pub(crate) fn net_mut(&mut self) -> &mut dyn Net {
        &mut *self.engine.net
    }

    /// The acceptor of this id.
    #[must_use]
    pub fn acceptor(&self, id: AcceptorId) -> Option<&Acceptor> {
        self.acceptors.iter().find(|acceptor| acceptor.id() == id)
    }
}

/// What [`Server::broadcast`] did.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Broadcast {
    /// Connections that it was queued for.
    pub queued: usize,
    /// Connections that had no room for it, or whose sending half is over.
    pub skipped: usize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("tyme", &self.tyme())
            .field("acceptors", &self.acceptors)
            .field("live", &self.len())
            .finish_non_exhaustive()
    }
}
