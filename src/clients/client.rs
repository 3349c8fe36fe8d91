//! One outgoing connection.

use core::fmt;
use core::time::Duration;
use std::io;

use bytes::Bytes;

use super::Clients;
use crate::config::Config;
use crate::connect::Connect;
use crate::counters::Counters;
use crate::error::TxError;
use crate::event::{Event, Refusal, Serviced, Wake};
use crate::id::Id;
use crate::net::{Addr, Descriptor, Lookup, Net, Waker};
use crate::remoter::Remoter;
use crate::tyme::{Tyme, Tymth};
use crate::wire::WireLog;

/// One outgoing connection with a tick of its own: [`Clients`] with one in it.
///
/// Making one opens nothing; [`reopen`](Client::reopen) does, the first time and after any end. Then call [`service`](Client::service) once per tick.
/// With [`reconnectable`](Connect::reconnectable) it comes up again by itself, whatever happens, until you close it.
/// To drop it is to give up, as with [`Clients`].
///
/// ```
/// use std::io::Write;
/// use std::net::TcpListener;
/// use tymist::{Client, Config, Connect};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = Client::new(Config::new(), Connect::new(listener.local_addr()?).reconnectable());
/// client.reopen()?;
/// while !client.connected() {
///     client.wait(None);
///     client.service();
///     client.clear_events();
/// }
/// listener.accept()?.0.write_all(b"hello")?;
/// while client.rx().len() < 5 {
///     client.wait(None);
///     client.service();
///     client.clear_events();
/// }
/// assert_eq!(client.take(), &b"hello"[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    clients: Clients,
    connect: Connect,
    /// Of the connection there is or was last.
    id: Option<Id>,
}

/// # Making one, and its clock
impl Client {
    /// A client on the operating system's network, with nothing open.
    #[cfg(feature = "os")]
    #[must_use]
    pub fn new(config: Config, connect: impl Into<Connect>) -> Self {
        Self::within(Clients::new(config), connect.into())
    }

    /// A client on another network, with nothing open.
    #[must_use]
    pub fn with_net(config: Config, net: Box<dyn Net>, connect: impl Into<Connect>) -> Self {
        Self::within(Clients::with_net(config, net), connect.into())
    }

    fn within(clients: Clients, connect: Connect) -> Self {
        Client { clients, connect, id: None }
    }

    /// Winds it to a clock; see [`Server::wind`](crate::Server::wind).
    pub fn wind(&mut self, tymth: Tymth) {
        self.clients.wind(tymth);
    }

    /// Whether it is wound to a clock.
    #[must_use]
    pub fn is_wound(&self) -> bool {
        self.clients.is_wound()
    }

    /// The tyme of the current (or else the last) tick.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.clients.tyme()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.clients.config()
    }

    /// Changes the settings; see [`Clients::config_mut`].
    pub fn config_mut(&mut self) -> &mut Config {
        self.clients.config_mut()
    }

    /// Whom it connects to, and how.
    #[must_use]
    pub fn connect_settings(&self) -> &Connect {
        &self.connect
    }

    /// Changes whom it connects to, and how, from the next connection after a [`close`](Client::close) on.
    pub fn connect_settings_mut(&mut self) -> &mut Connect {
        &mut self.connect
    }

    /// What it has done so far, on all its connections.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.clients.counters()
    }

    /// Logs what moves on each connection that comes up from now on; `None`: on no more.
    pub fn set_wire_log(&mut self, log: Option<WireLog>) {
        self.clients.set_wire_log(log);
    }

    /// Looks names up by `resolve` instead of the network; see [`Clients::set_resolve`].
    pub fn set_resolve(&mut self, resolve: impl FnMut(Lookup) + Send + 'static) {
        self.clients.set_resolve(resolve);
    }
}

/// # Opening and closing
impl Client {
    /// Ends what is open and begins to connect anew: at once, whatever wait was due, after the `Disconnected` of a connection that was up was taken.
    ///
    /// # Errors
    /// [`Refusal::Remoters`] if `Limits::remoters` are taken by closed connections whose `Closed` was not taken yet.
    pub fn reopen(&mut self) -> Result<(), Refusal> {
        let again = self.id.is_some_and(|id| self.clients.redial(id).is_ok());
        if !again {
            self.id = Some(self.clients.connect(self.connect.clone())?);
        }
        Ok(())
    }

    /// Closes at once; see [`Clients::close`]. For a graceful end, which waits for the peer's, use [`Remoter::close`]. Idempotent.
    pub fn close(&mut self) {
        self.clients.close();
    }
}

/// # The tick
impl Client {
    /// Does one tick; see [`Clients::service`].
    pub fn service(&mut self) -> Serviced {
        self.clients.service()
    }

    /// One step of connecting, with what is due: the next address, the next try, a time-out; whether it is usable now (hio's `serviceConnect`).
    pub fn service_connect(&mut self) -> bool {
        self.clients.service_connects();
        self.clients.service_deadlines();
        self.connected()
    }

    /// Receives, and sends what was blocked; returns the bytes received.
    pub fn service_receives(&mut self) -> u64 {
        self.clients.service_receives()
    }

    /// Reads exactly once, if there is something; returns the bytes received, none where it is not connected.
    pub fn service_receive_once(&mut self) -> u64 {
        self.id.map_or(0, |id| self.clients.service_receive_once(id).unwrap_or(0))
    }

    /// Sends what was queued since the last tick; returns the bytes sent.
    pub fn service_sends(&mut self) -> u64 {
        self.clients.service_sends()
    }

    /// Takes the next event of those that have not been taken, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.clients.poll_event()
    }

    /// Takes all events and drops them, for programs that ask for the state instead. One of the two must be done for it to come again.
    pub fn clear_events(&mut self) {
        self.clients.clear_events();
    }

    /// When it wants to be serviced next; see [`Server::wake`](crate::Server::wake).
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.clients.wake()
    }

    /// Sleeps until there is something to do, at most so long; see [`Server::wait`](crate::Server::wait).
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.clients.wait(limit);
    }

    /// A handle that ends [`wait`](Client::wait) from any thread. Takes one descriptor, once.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.clients.waker()
    }

    /// A descriptor that polls as readable while the network has something for it; see [`Server::poll_fd`](crate::Server::poll_fd).
    #[cfg(unix)]
    #[must_use]
    pub fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.clients.poll_fd()
    }

    /// A handle to [`poll_fd`](Client::poll_fd) that can be kept, without a system call.
    #[must_use]
    pub fn descriptor(&self) -> Option<Descriptor> {
        self.clients.descriptor()
    }
}

/// # The connection
impl Client {
    /// Its connection, up or not, with all that can be asked of one; `None` before the first [`reopen`](Client::reopen) and once it was closed and
    /// that was told.
    #[must_use]
    pub fn remoter(&self) -> Option<&Remoter> {
        self.clients.remoter(self.id?)
    }

    /// Its connection, to do something with.
    pub fn remoter_mut(&mut self) -> Option<&mut Remoter> {
        self.clients.remoter_mut(self.id?)
    }

    /// Whether it has been opened and has not closed: it is up, or it goes on trying.
    #[must_use]
    pub fn opened(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Whether the transport is up, be its handshake done or not.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.remoter().is_some_and(Remoter::is_up)
    }

    /// Whether it is usable: up, and its handshake, if any, done.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.remoter().is_some_and(Remoter::is_connected)
    }

    /// Our end, while the transport is up.
    #[must_use]
    pub fn local_addr(&self) -> Option<&Addr> {
        self.remoter()?.ends().map(|(local, _)| local)
    }

    /// The peer's end, while the transport is up.
    #[must_use]
    pub fn peer_addr(&self) -> Option<&Addr> {
        self.remoter()?.ends().map(|(_, peer)| peer)
    }

    /// The bytes that came in and were not taken yet.
    #[must_use]
    pub fn rx(&self) -> &[u8] {
        self.remoter().map_or(&[], Remoter::rx)
    }

    /// Drops the first `count` unread bytes (at most all); returns how many.
    pub fn consume(&mut self, count: usize) -> usize {
        self.remoter_mut().map_or(0, |remoter| remoter.consume(count))
    }

    /// Takes all unread bytes, without copying them.
    pub fn take(&mut self) -> Bytes {
        self.remoter_mut().map(Remoter::take).unwrap_or_default()
    }

    /// Queues a copy of `data`, as much of it as fits, also before it is connected; see [`Remoter::tx`].
    ///
    /// # Errors
    /// [`TxError::Gone`] before the first [`reopen`](Client::reopen) and once it was closed and that was told; otherwise as [`Remoter::tx`].
    pub fn tx(&mut self, data: &[u8]) -> Result<usize, TxError> {
        self.remoter_mut().ok_or(TxError::Gone)?.tx(data)
    }

    /// Like [`tx`](Client::tx), without a copy; see [`Remoter::tx_bytes`].
    ///
    /// # Errors
    /// As [`tx`](Client::tx).
    pub fn tx_bytes(&mut self, data: &mut Bytes) -> Result<usize, TxError> {
        self.remoter_mut().ok_or(TxError::Gone)?.tx_bytes(data)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connect", &self.connect)
            .field("remoter", &self.remoter())
            .finish_non_exhaustive()
    }
}
