//! Taking over sockets made elsewhere, and leaving ours to another process.

use std::io;
use std::net::{TcpListener, TcpStream};

use super::Server;
use crate::acceptor::Acceptor;
use crate::engine::Origin;
use crate::error::AdoptError;
use crate::id::{AcceptorId, Id};
use crate::net::SocketOptions;

/// # Sockets made elsewhere
impl Server {
    /// Takes over a socket that listens already, as a service manager hands over. For a raw descriptor: `TcpListener::from(owned_fd)`.
    ///
    /// # Errors
    /// Gives the socket back, with what was wrong: as it was where it does not listen or no descriptor is left; nonblocking and with `options` where the poller
    /// refuses it.
    pub fn adopt_listener(
        &mut self,
        listener: TcpListener,
        options: &SocketOptions,
    ) -> Result<AcceptorId, AdoptError<TcpListener>> {
        adopt(listener.try_clone(), listener, |listener| {
            let adopted = self.engine.net.adopt_listener(listener, options);
            self.add_acceptor(None, adopted.map_err(|(error, _)| error)?)
        })
    }

    /// Takes over a Unix socket that listens already. `own_file` says whether its file is removed when it is closed: that of a service manager's socket is not
    /// ours. Feature `uds`.
    ///
    /// # Errors
    /// Gives the socket back, with what was wrong: as it was where it does not listen or no descriptor is left; nonblocking and with `options` where the poller
    /// refuses it.
    #[cfg(all(unix, feature = "uds"))]
    pub fn adopt_unix_listener(
        &mut self,
        listener: std::os::unix::net::UnixListener,
        options: &SocketOptions,
        own_file: bool,
    ) -> Result<AcceptorId, AdoptError<std::os::unix::net::UnixListener>> {
        adopt(listener.try_clone(), listener, |listener| {
            let adopted = self.engine.net.adopt_unix_listener(listener, options, own_file);
            self.add_acceptor(None, adopted.map_err(|(error, _)| error)?)
        })
    }

    /// Takes over a connection made elsewhere. `Accepted` is told as for any other.
    ///
    /// # Errors
    /// Gives the socket back, with what was wrong: as it was where it is not connected or no descriptor is left; nonblocking and with `options` where a limit
    /// or the poller refuses it.
    pub fn adopt_stream(
        &mut self,
        stream: TcpStream,
        options: &SocketOptions,
    ) -> Result<Id, AdoptError<TcpStream>> {
        adopt(stream.try_clone(), stream, |stream| {
            let adopted = self.engine.net.adopt_stream(stream, options);
            let stream = adopted.map_err(|(error, _)| error)?;
            self.engine.sample();
            let origin = Origin { acceptor: None, handshake: false, proxied: false };
            self.engine.admit(stream, origin).map_err(|(_, why)| {
                self.engine.core.counters.refused.count(why);
                io::Error::other(format!("refused: {why}"))
            })
        })
    }

    /// Closes its listeners because another process has copies of them and serves on: whoever waits in their queues is left to that one, and the files of Unix
    /// sockets stay. Connections that are here already, in the deques too, stay here. Mostly followed by [`drain`](Server::drain).
    pub fn leave_listeners(&mut self) {
        self.acceptors.iter_mut().for_each(Acceptor::leave_listener);
    }

    /// The file of an adopted Unix socket goes with it, unless that is above zero then.
    #[cfg(all(unix, feature = "uds"))]
    pub(crate) fn own_file(
        &mut self,
        id: AcceptorId,
        holds: std::sync::Arc<core::sync::atomic::AtomicUsize>,
    ) {
        if let Some(acceptor) = self.acceptor_mut(id) {
            acceptor.own_file(holds);
        }
    }
}

/// Takes over a socket; `spare` is a second handle to it, so that there is one to give back whatever fails.
fn adopt<S, T>(
    spare: io::Result<S>,
    socket: S,
    take_over: impl FnOnce(S) -> io::Result<T>,
) -> Result<T, AdoptError<S>> {
    match spare {
        Ok(spare) => take_over(socket).map_err(|source| AdoptError { socket: spare, source }),
        Err(source) => Err(AdoptError { socket, source }),
    }
}
