//! A server with one object per connection, in the manner of turbo's `TCPServer`.

use core::fmt;
use core::time::Duration;
use std::net::TcpListener;

use super::{Service, Session, Streams};
use crate::config::{Config, RxFull, TxFull};
use crate::error::{AdoptError, ListenError};
use crate::event::{Serviced, Wake};
use crate::id::AcceptorId;
#[cfg(feature = "tls")]
use crate::net::tls::ServerTls;
use crate::net::{Addr, Listen, Listener, Net, SocketOptions};
use crate::server::Server;

/// A callback-style server: sockets that are listened on at once or [bound](TcpServer::bind) now and [started](TcpServer::start) later, and an object for each
/// connection.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use tymist::net::Addr;
/// use tymist::{Config, Service, Session, TcpServer};
///
/// /// One connection's lines, in capitals.
/// struct Shout;
///
/// impl Service for Shout {
///     fn received(&mut self, stream: &mut Session<'_>) {
///         while let Some(end) = stream.rx().iter().position(|byte| *byte == b'\n') {
///             if stream.tx_room() <= end {
///                 return stream.want_drained(); // the line waits for room, and holds the peer back
///             }
///             let line = stream.take_first(end + 1).to_ascii_uppercase();
///             let _ = stream.tx(&line); // an error: it is closing, nobody is left to hear
///         }
///     }
///
///     fn drained(&mut self, stream: &mut Session<'_>) {
///         self.received(stream);
///     }
/// }
///
/// let mut tcp = TcpServer::new(Config::new(), |stream: &mut Session<'_>, address: &Addr| {
///     let _ = stream.tx(format!("hello, {address}\n").as_bytes());
///     Shout
/// });
/// tcp.max_buffer_size(64 << 10); // no line is longer
/// let addr = tcp.bind(([127, 0, 0, 1], 0))?; // the kernel queues who comes
/// let mut client = TcpStream::connect(addr.inet().unwrap())?;
/// client.write_all(b"loud\n")?;
/// tcp.start()?;
///
/// let greeting = format!("hello, {}\n", client.local_addr()?);
/// let mut reply = vec![0; greeting.len() + 5];
/// while tcp.server().counters().bytes_in < 5 {
///     tcp.wait(None);
///     tcp.service();
/// }
/// tcp.server_mut().service_sends(); // as the next wait would
/// client.read_exact(&mut reply)?;
/// assert_eq!(reply, [greeting.as_bytes(), b"LOUD\n"].concat());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpServer<H, S> {
    server: Server,
    streams: Streams<H, S>,
    bound: Vec<Bound>,
    opened: Vec<AcceptorId>,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
}

/// A socket that listens, whose connections wait in the kernel.
struct Bound {
    spec: Option<Listen>,
    listener: Box<dyn Listener>,
}

impl<H, S> TcpServer<H, S>
where
    H: FnMut(&mut Session<'_>, &Addr) -> S + 'static,
    S: Service,
{
    /// A server on the operating system's network with nothing open; `handle` gets each connection that comes in, see [`Streams::new`].
    #[cfg(feature = "os")]
    #[must_use]
    pub fn new(config: Config, handle: H) -> Self {
        Self::within(Server::new(config), handle)
    }

    /// A server on another network.
    #[must_use]
    pub fn with_net(config: Config, net: Box<dyn Net>, handle: H) -> Self {
        Self::within(Server::with_net(config, net), handle)
    }

    fn within(server: Server, handle: H) -> Self {
        TcpServer {
            server,
            streams: Streams::new(handle),
            bound: Vec::new(),
            opened: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Closes each connection that is accepted from now on as soon as it has more than so many bytes unread, or more than so many to send; 0 counts as 1.
    /// One that is there already keeps its caps, and is closed beyond that of unread bytes as well.
    pub fn max_buffer_size(&mut self, bytes: usize) {
        let config = self.server.config_mut();
        config.limits.rx_bytes = bytes;
        config.limits.tx_bytes = bytes;
        config.rx_full = RxFull::Close;
        config.tx_full = TxFull::Close;
    }

    /// Speaks TLS on each socket that is listened on or started from now on; `None`: plain.
    #[cfg(feature = "tls")]
    pub fn set_tls(&mut self, tls: Option<&ServerTls>) {
        self.tls = tls.cloned();
    }

    /// Listens there, from now on and without [`start`](TcpServer::start). Any number of times.
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub fn listen(&mut self, listen: impl Into<Listen>) -> Result<Addr, ListenError> {
        let id = self.server.listen(listen)?;
        self.open(id);
        Ok(self.server.local_addr(id).cloned().unwrap_or(Addr::Unnamed))
    }

    /// Binds there; who connects waits in the kernel's backlog for [`start`](TcpServer::start). Returns the address, with the port that was picked.
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub fn bind(&mut self, listen: impl Into<Listen>) -> Result<Addr, ListenError> {
        let spec = listen.into();
        let listener = self.server.net_mut().listen(&spec);
        let listener = listener.map_err(|error| ListenError::new(spec.addr.clone(), error))?;
        let addr = listener.local_addr().clone();
        self.bound.push(Bound { spec: Some(spec), listener });
        Ok(addr)
    }

    /// Takes over a socket that listens already, for [`start`](TcpServer::start).
    ///
    /// # Errors
    /// Gives the socket back, as [`Server::adopt_listener`].
    pub fn add_socket(
        &mut self,
        socket: TcpListener,
        options: &SocketOptions,
    ) -> Result<Addr, AdoptError<TcpListener>> {
        let adopted = self.server.net_mut().adopt_listener(socket, options);
        let listener = adopted.map_err(|(source, socket)| AdoptError { socket, source })?;
        let addr = listener.local_addr().clone();
        self.bound.push(Bound { spec: None, listener });
        Ok(addr)
    }

    /// The same with several.
    ///
    /// # Errors
    /// Of the first that cannot be taken over; those before it are, those after it are closed.
    pub fn add_sockets(
        &mut self,
        sockets: impl IntoIterator<Item = TcpListener>,
        options: &SocketOptions,
    ) -> Result<(), AdoptError<TcpListener>> {
        sockets.into_iter().try_for_each(|socket| self.add_socket(socket, options).map(drop))
    }

    /// Begins to accept on all sockets that were bound or added.
    ///
    /// # Errors
    /// What the poller says; that socket is closed, those after it stay bound.
    pub fn start(&mut self) -> Result<(), ListenError> {
        while !self.bound.is_empty() {
            let Bound { spec, listener } = self.bound.remove(0);
            let addr = listener.local_addr().clone();
            let id = self.server.add_acceptor(spec, listener);
            let id = id.map_err(|error| ListenError::new(addr, error))?;
            self.open(id);
        }
        Ok(())
    }

    fn open(&mut self, id: AcceptorId) {
        self.opened.push(id);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            self.server.set_tls(id, tls);
        }
    }

    /// Closes all its sockets, bound ones too; connections go on. To start again, bind or add them again.
    pub fn stop(&mut self) {
        self.bound.clear();
        for id in self.opened.drain(..) {
            self.server.unlisten(id);
        }
    }

    /// One tick; see [`Server::serve`].
    pub fn service(&mut self) -> Serviced {
        self.server.serve(&mut self.streams)
    }

    /// Sleeps until there is something to do; see [`Server::wait`].
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.server.wait(limit);
    }

    /// When it wants to be serviced; see [`Server::wake`].
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.server.wake()
    }

    /// The server below.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The server below, for all else that a server can do.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    /// What deals with its connections.
    #[must_use]
    pub fn streams(&self) -> &Streams<H, S> {
        &self.streams
    }

    /// The server and its service, for another way to drive them. What is bound and not started is closed.
    #[must_use]
    pub fn into_parts(self) -> (Server, Streams<H, S>) {
        (self.server, self.streams)
    }
}

impl<H, S> fmt::Debug for TcpServer<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer")
            .field("server", &self.server)
            .field("streams", &self.streams)
            .field("bound", &self.bound.len())
            .finish_non_exhaustive()
    }
}
