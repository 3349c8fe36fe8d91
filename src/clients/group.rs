//! Many outgoing connections.

use core::fmt;
use core::time::Duration;
use std::io;

use crate::config::Config;
use crate::connect::Connect;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::error::{Gone, TxError};
use crate::event::{Event, Refusal, Serviced, Wake};
use crate::id::Id;
use crate::net::{Descriptor, Lookup, Net, Waker};
use crate::remoter::{Detached, Remoter};
use crate::spin::Work;
use crate::tyme::{Tyme, Tymth};
use crate::wire::WireLog;

/// Many outgoing connections under one tick.
///
/// Each is named by an id from the moment it is asked for, and keeps it through all tries and, if it is
/// [reconnectable](Connect::reconnect), through all connections, until its `Closed`. A tick costs what there is to do: ten thousand silent
/// clients cost nothing.
///
/// To drop them is to give up: nothing more is tried, and who is still owed something is reset. [`close`](Clients::close) them first.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpListener;
/// use tymist::{Clients, Config, Event};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut clients = Clients::new(Config::new());
/// let id = clients.connect(listener.local_addr()?)?;
/// clients.tx(id, b"hello")?; // waits until it is connected
///
/// let mut peer = None;
/// let mut answer = Vec::new();
/// while answer != b"HELLO" {
///     clients.wait(Some(std::time::Duration::from_millis(10)));
///     clients.service();
///     while let Some(event) = clients.poll_event() {
///         match event {
///             Event::Connected(_) => {
///                 let mut stream = listener.accept()?.0;
///                 stream.write_all(b"HELLO")?;
///                 peer = Some(stream);
///             }
///             Event::Received(id) => answer.extend(clients.remoter_mut(id).unwrap().take()),
///             _ => {}
///         }
///     }
/// }
/// let mut heard = [0; 5];
/// peer.unwrap().read_exact(&mut heard)?;
/// assert_eq!(&heard, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Clients {
    pub(super) engine: Engine,
}

/// # Making them, and their clock
impl Clients {
    /// None yet, on the operating system's network.
    #[cfg(feature = "os")]
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_net(config, Box::new(crate::net::os::OsNet::new()))
    }

    /// None yet, on another network.
    #[must_use]
    pub fn with_net(config: Config, net: Box<dyn Net>) -> Self {
        Clients { engine: Engine::new(config, net) }
    }

    /// Winds all of them, and all of their deadlines, to a clock; see [`Server::wind`](crate::Server::wind).
    pub fn wind(&mut self, tymth: Tymth) {
        self.engine.wind(Some(tymth));
    }

    /// Whether they are wound to a clock.
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

    /// Changes the settings. Limits count from the next tick on; timeouts for what starts, or is started anew by traffic, from then on (an
    /// idle timeout or least rate that a connection has none of does not begin with traffic: [`Remoter::set_timeouts`](crate::Remoter::set_timeouts) gives it
    /// one); what is set per connection for new connections.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.engine.core.config
    }

    /// Logs what moves on each connection that comes up from now on; `None`: on no more of them.
    pub fn set_wire_log(&mut self, log: Option<WireLog>) {
        self.engine.core.wire_log = log;
    }
}

/// # Connecting
impl Clients {
    /// One more connection, to be made from the next tick (or `wait`) on. Until it is up nothing is an error: what is queued on it waits, each
    /// address that fails is told by `ConnectFailed`, and the end of it all by `Disconnected` or `Closed`. Costs under 1 KiB while idle.
    ///
    /// # Errors
    /// [`Refusal::Remoters`] where [`Limits::remoters`](crate::Limits::remoters) are there.
    pub fn connect(&mut self, connect: impl Into<Connect>) -> Result<Id, Refusal> {
        self.engine.connect(connect.into())
    }

    /// Ends the connection of this id, if there is one, with a `Disconnected`, and makes it anew as soon as that was taken; one that waits to be
    /// made again is made at once. Its back-off begins anew. One that was closed, but has not ended yet, comes again as it would have without, with nothing
    /// queued.
    ///
    /// # Errors
    /// [`Gone`] if the id names none, or one that has closed.
    pub fn redial(&mut self, id: Id) -> Result<(), Gone> {
        self.engine.redial(id)
    }

    /// Looks names up by `resolve` instead of the network: it takes each [`Lookup`] and must return at once; the answer may come later and
    /// from anywhere.
    ///
    /// ```
    /// use tymist::net::Addr;
    /// use tymist::{Clients, Config, Connect};
    ///
    /// let mut clients = Clients::new(Config::new());
    /// clients.set_resolve(|lookup| {
    ///     let addr = Addr::from(([192, 0, 2, 1], lookup.port()));
    ///     lookup.answer(Ok(vec![addr]));
    /// });
    /// ```
    pub fn set_resolve(&mut self, resolve: impl FnMut(Lookup) + Send + 'static) {
        self.engine.names.resolve = Some(Box::new(resolve));
    }
}

/// # The tick
impl Clients {
    /// Does one tick. Never blocks, is bounded by the budgets in [`Limits`](crate::Limits), and never fails because of a peer.
    ///
    /// The order is that of [`Server::service`](crate::Server::service), without accepting.
    pub fn service(&mut self) -> Serviced {
        self.engine.before_harvest();
        self.engine.harvest_once();
        self.engine.latch(|_| {});
        self.engine.serve_connections();
        self.engine.expire_and_dial();
        self.engine.end_tick()
    }

    /// Takes the next event of those that have not been taken, oldest first.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event(|_, _| {})
    }

    /// Takes all events and drops them, for programs that look at [`remoters`](Clients::remoters) instead.
    pub fn clear_events(&mut self) {
        while self.poll_event().is_some() {}
    }

    /// When they want to be serviced next; see [`Server::wake`](crate::Server::wake).
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.engine.wake(false, Tyme::NEVER)
    }

    /// Sleeps until there is something to do, at most so long; see [`Server::wait`](crate::Server::wait). Dials and sends what is asked for
    /// before that.
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.engine.before_wait();
        let wake = self.wake();
        self.engine.sleep(wake, limit, &Work::default());
    }

    /// A handle that ends [`wait`](Clients::wait) from any thread. Takes one descriptor, once.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.engine.net.waker()
    }

    /// A descriptor that polls as readable while the network has something for them; see [`Server::poll_fd`](crate::Server::poll_fd).
    #[cfg(unix)]
    #[must_use]
    pub fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.engine.net.poll_fd()
    }

    /// A handle to [`poll_fd`](Clients::poll_fd) that can be kept, without a system call.
    #[must_use]
    pub fn descriptor(&self) -> Option<Descriptor> {
        self.engine.net.descriptor()
    }
}

/// # Connections
impl Clients {
    /// The connection of this id, up or not. One that has closed is still found until the tick after its `Closed` was taken.
    #[must_use]
    pub fn remoter(&self, id: Id) -> Option<&Remoter> {
        self.engine.get(id)
    }

    /// The connection of this id, to do something with.
    pub fn remoter_mut(&mut self, id: Id) -> Option<&mut Remoter> {
        self.engine.get_mut(id)
    }

    /// All that have not closed, in the order of their places.
    pub fn remoters(&self) -> impl Iterator<Item = &Remoter> {
        self.engine.iter().filter(|remoter| !remoter.is_over())
    }

    /// Ids of all that have not closed, in the order of their places. Collected, so that you can work on them meanwhile.
    #[must_use]
    pub fn ids(&self) -> Vec<Id> {
        self.remoters().map(Remoter::id).collect()
    }

    /// Queues a copy of `data` for a connection, as much of it as fits; returns how much that was. See [`Remoter::tx`].
    ///
    /// # Errors
    /// [`TxError::Gone`] for an id that names none, otherwise as [`Remoter::tx`].
    pub fn tx(&mut self, id: Id, data: &[u8]) -> Result<usize, TxError> {
        self.remoter_mut(id).ok_or(TxError::Gone)?.tx(data)
    }

    /// Takes a connection out without closing it; see [`Server::detach`](crate::Server::detach).
    pub fn detach(&mut self, id: Id) -> Option<Detached> {
        self.engine.detach(id)
    }

    /// Closes all at once: what is queued gets one try to leave, and where all has left TLS ends in order, by a close_notify; then each ends with `Closed`. New
    /// ones can be made afterwards. Idempotent.
    pub fn close(&mut self) {
        self.engine.close();
    }
}

/// # Numbers
impl Clients {
    /// What they have done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.engine.core.counters
    }

    /// Number of those that have not closed, usable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.engine.live() + self.engine.handshaking() + self.engine.dialling()
    }

    /// Whether all have closed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of those that are usable.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.engine.live()
    }

    /// Number of those that are still to be made, or to be made again.
    #[must_use]
    pub fn dialling(&self) -> usize {
        self.engine.dialling()
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
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("tyme", &self.tyme())
            .field("connected", &self.connected())
            .field("dialling", &self.dialling())
            .finish_non_exhaustive()
    }
}
