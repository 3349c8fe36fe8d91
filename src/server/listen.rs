//! Opening and closing listeners, and taking over sockets made elsewhere.

use std::io;
use std::net::{TcpListener, TcpStream};

use super::Server;
use crate::acceptor::Acceptor;
use crate::engine::Origin;
use crate::error::{AdoptError, ListenError};
use crate::id::AcceptorId;
use crate::id::Id;
use crate::net::Layer;
use crate::net::{Addr, Listen, Listener, SocketOptions};

impl Server {
    /// Opens a listener. Its connections are accepted from the next tick on.
    ///
    /// # Errors
    /// What the network says, with the address: in use, not ours, no permission, no descriptors left.
    pub fn listen(&mut self, listen: impl Into<Listen>) -> Result<AcceptorId, ListenError> {
        let listen = listen.into();
        let opened = self.engine.net.listen(&listen);
        let acceptor = opened.and_then(|listener| self.take_in(Some(listen.clone()), listener));
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

    /// Takes over a socket that listens already, as a service manager hands over. For a raw descriptor: `TcpListener::from(owned_fd)`.
    ///
    /// # Errors
    /// Gives the socket back (nonblocking now), with what was wrong: it does not listen, or no descriptor is left.
    pub fn adopt_listener(
        &mut self,
        listener: TcpListener,
        options: &SocketOptions,
    ) -> Result<AcceptorId, AdoptError<TcpListener>> {
        // A second handle, so that there is one to give back whatever fails.
        let spare = match listener.try_clone() {
            Ok(spare) => spare,
            Err(source) => return Err(AdoptError { socket: listener, source }),
        };
        let adopted = self.engine.net.adopt_listener(listener, options);
        let acceptor = adopted.map_err(|(error, _)| error).and_then(|it| self.take_in(None, it));
        acceptor.map_err(|source| AdoptError { socket: spare, source })
    }

    /// Takes over a Unix socket that listens already. `own_file` says whether its file is removed when it is closed: that of a service manager's socket is not
    /// ours. Feature `uds`.
    ///
    /// # Errors
    /// Gives the socket back (nonblocking now), with what was wrong: it does not listen, or no descriptor is left.
    #[cfg(all(unix, feature = "uds"))]
    pub fn adopt_unix_listener(
        &mut self,
        listener: std::os::unix::net::UnixListener,
        options: &SocketOptions,
        own_file: bool,
    ) -> Result<AcceptorId, AdoptError<std::os::unix::net::UnixListener>> {
        let spare = match listener.try_clone() {
            Ok(spare) => spare,
            Err(source) => return Err(AdoptError { socket: listener, source }),
        };
        let adopted = self.engine.net.adopt_unix_listener(listener, options, own_file);
        let acceptor = adopted.map_err(|(error, _)| error).and_then(|it| self.take_in(None, it));
        acceptor.map_err(|source| AdoptError { socket: spare, source })
    }

    /// The file of an adopted Unix socket goes with it, unless that is above zero then.
    #[cfg(all(unix, feature = "uds"))]
    pub(crate) fn own_file(
        &mut self,
        id: AcceptorId,
        holds: std::sync::Arc<core::sync::atomic::AtomicUsize>,
    ) {
        if let Some(acceptor) = self.acceptors.iter_mut().find(|acceptor| acceptor.id() == id) {
            acceptor.own_file(holds);
        }
    }

    /// Closes its listeners because another process has copies of them and serves on: whoever waits in their queues is left to that one, and the files of Unix
    /// sockets stay. Connections that are here already, in the deques too, stay here. Mostly followed by [`drain`](Server::drain).
    pub fn leave_listeners(&mut self) {
        self.acceptors.iter_mut().for_each(Acceptor::leave_listener);
    }

    /// Takes over a connection made elsewhere. `Accepted` is told as for any other.
    ///
    /// # Errors
    /// Gives the socket back (nonblocking now), with what was wrong: it is not connected, or a limit refuses it.
    pub fn adopt_stream(
        &mut self,
        stream: TcpStream,
        options: &SocketOptions,
    ) -> Result<Id, AdoptError<TcpStream>> {
        let spare = match stream.try_clone() {
            Ok(spare) => spare,
            Err(source) => return Err(AdoptError { socket: stream, source }),
        };
        let adopted = self.engine.net.adopt_stream(stream, options).map_err(|(error, _)| error);
        self.engine.sample();
        let id = adopted.and_then(|stream| {
            let origin = Origin { acceptor: None, handshake: false, proxied: false };
            self.engine.admit(stream, origin).map_err(|(_, why)| {
                self.engine.core.counters.refused.count(why);
                io::Error::other(format!("refused: {why}"))
            })
        });
        id.map_err(|source| AdoptError { socket: spare, source })
    }

    /// Lets a listener report to this server.
    pub(crate) fn take_in(
        &mut self,
        spec: Option<Listen>,
        listener: Box<dyn Listener>,
    ) -> io::Result<AcceptorId> {
        let id = AcceptorId(self.next_acceptor);
        self.acceptors.push(Acceptor::new(id, spec, listener)?);
        self.next_acceptor += 1;
        Ok(id)
    }

    /// Stops listening there and forgets the acceptor, with the connections that waited in its deque (`Counters::refused` counts them). Its remoters stay.
    /// Returns whether there was one.
    pub fn unlisten(&mut self, id: AcceptorId) -> bool {
        let Some(at) = self.acceptors.iter().position(|acceptor| acceptor.id() == id) else {
            return false;
        };
        let acceptor = self.acceptors.remove(at);
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
                None => Err(io::ErrorKind::Unsupported.into()),
            };
            if let Err(error) = opened.and_then(|listener| acceptor.reopen(listener)) {
                first_error.get_or_insert(ListenError::new(acceptor.local_addr().clone(), error));
            }
        }
        let endpoints = self.endpoints.reopen(&mut *self.engine.net);
        first_error.map_or(endpoints, Err)
    }

    /// Whether any listener is open.
    #[must_use]
    pub fn opened(&self) -> bool {
        self.acceptors.iter().any(Acceptor::opened)
    }

    /// Its acceptors, in the order they were made.
    pub fn acceptors(&self) -> impl Iterator<Item = &Acceptor> {
        self.acceptors.iter()
    }

    /// Where that acceptor listens, with the port that was picked.
    #[must_use]
    pub fn local_addr(&self, id: AcceptorId) -> Option<&Addr> {
        self.acceptor(id).map(Acceptor::local_addr)
    }
}
