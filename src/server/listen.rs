//! Opening and closing listeners.

use std::io;

use super::Server;
use crate::acceptor::Acceptor;
use crate::error::ListenError;
use crate::id::AcceptorId;
use crate::net::{Addr, Layer, Listen, Listener};

/// # Listening
impl Server {
    /// Opens a listener. Its connections are accepted from the next tick on.
    ///
    /// `listen` says where: an IP address and a port, a `SocketAddr`, an [`Addr`], a path (feature `uds`), or a [`Listen`] with all that can be said of it. A
    /// text could be any of them, so it is parsed first:
    ///
    /// ```
    /// use tymist::net::Listen;
    /// use tymist::{Config, Server};
    ///
    /// let mut server = Server::new(Config::new());
    /// server.listen(([127, 0, 0, 1], 0))?;
    /// server.listen("127.0.0.1:0".parse::<Listen>()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the network says, with the address: in use, not ours, no permission, no descriptors left.
    pub fn listen(&mut self, listen: impl Into<Listen>) -> Result<AcceptorId, ListenError> {
        let listen = listen.into();
        let opened = self.engine.net.listen(&listen);
        let acceptor =
            opened.and_then(|listener| self.add_acceptor(Some(listen.clone()), listener));
        acceptor.map_err(|error| ListenError::new(listen.addr, error))
    }

    /// Like [`listen`](Server::listen), with `layer` put around each connection before it is admitted.
    ///
    /// # Errors
    /// As [`listen`](Server::listen).
    pub fn listen_with(
        &mut self,
        listen: impl Into<Listen>,
        layer: Layer,
    ) -> Result<AcceptorId, ListenError> {
        let id = self.listen(listen)?;
        if let Some(acceptor) = self.acceptors.last_mut() {
            acceptor.layer = Some(layer);
            acceptor.handshake = true;
        }
        Ok(id)
    }

    /// Its acceptors, in the order they were made.
    pub fn acceptors(&self) -> impl Iterator<Item = &Acceptor> {
        self.acceptors.iter()
    }

    /// The acceptor of this id.
    #[must_use]
    pub fn acceptor(&self, id: AcceptorId) -> Option<&Acceptor> {
        self.acceptors.iter().find(|acceptor| acceptor.id() == id)
    }

    /// Where that acceptor listens, with the port that was picked.
    #[must_use]
    pub fn local_addr(&self, id: AcceptorId) -> Option<&Addr> {
        self.acceptor(id).map(Acceptor::local_addr)
    }

    /// Whether any listener is open.
    #[must_use]
    pub fn opened(&self) -> bool {
        self.acceptors.iter().any(Acceptor::opened)
    }

    /// Stops listening there and forgets the acceptor, with the connections that waited in its deque (`Counters::refused` counts them). Its remoters stay.
    /// Returns whether there was one.
    pub fn unlisten(&mut self, id: AcceptorId) -> bool {
        let Some(at) = self.acceptors.iter().position(|acceptor| acceptor.id() == id) else {
            return false;
        };
        let acceptor = self.acceptors.remove(at);
        self.engine.rooms.remove(id);
        self.engine.core.counters.refused.dropped += acceptor.axes.len() as u64;
        true
    }

    /// Opens what is not open of the acceptors and endpoints that were closed or lost, each at the address it had. Idempotent.
    ///
    /// # Errors
    /// Of the first that could not be opened; the others are tried all the same. An adopted socket cannot be opened again: it counts as
    /// an error of kind [`Unsupported`](io::ErrorKind::Unsupported).
    pub fn reopen(&mut self) -> Result<(), ListenError> {
        let mut first_error = None;
        self.draining = None;
        for acceptor in self.acceptors.iter_mut().filter(|acceptor| !acceptor.opened()) {
            let opened = match acceptor.spec() {
                Some(spec) => self.engine.net.listen(spec),
                None => Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "an adopted socket cannot be opened again: unlisten, and adopt or listen anew",
                )),
            };
            if let Err(error) = opened.and_then(|listener| acceptor.reopen(listener)) {
                first_error.get_or_insert(ListenError::new(acceptor.local_addr().clone(), error));
            }
        }
        let endpoints = self.endpoints.reopen(&mut *self.engine.net);
        first_error.map_or(endpoints, Err)
    }
}

impl Server {
    /// Lets a listener report to this server.
    pub(crate) fn add_acceptor(
        &mut self,
        spec: Option<Listen>,
        listener: Box<dyn Listener>,
    ) -> io::Result<AcceptorId> {
        let id = AcceptorId(self.next_acceptor);
        self.acceptors.push(Acceptor::new(id, spec, listener)?);
        self.next_acceptor += 1;
        Ok(id)
    }

    #[cfg(any(feature = "tls", feature = "proxy-protocol", all(unix, feature = "uds")))]
    pub(super) fn acceptor_mut(&mut self, id: AcceptorId) -> Option<&mut Acceptor> {
        self.acceptors.iter_mut().find(|acceptor| acceptor.id() == id)
    }
}
