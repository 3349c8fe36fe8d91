//! A listening TCP socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::options;
use super::stream::OsStream;
use crate::net::{Addr, BufferSizes, Listener, SocketOptions, Stream, Token};

pub(super) struct OsListener {
    inner: mio::net::TcpListener,
    local: Arc<Addr>,
    /// The local end of the last accepted connection: mostly that of the next one too.
    last: Arc<Addr>,
    /// Whether accepted sockets have other local addresses than this one.
    wildcard: bool,
    /// What accepted sockets do not get from the listener by themselves.
    to_apply: Option<SocketOptions>,
    registry: Arc<mio::Registry>,
}

impl OsListener {
    /// One that had its options before it listened.
    pub(super) fn opened(
        listener: std::net::TcpListener,
        local: SocketAddr,
        options: &SocketOptions,
        registry: Arc<mio::Registry>,
    ) -> Self {
        let to_apply = (!options::INHERITED).then(|| options.clone());
        Self::new(listener, local, to_apply, registry)
    }

    /// One that got its options while it listened: what is in its queue already does not have them.
    pub(super) fn adopted(
        listener: std::net::TcpListener,
        local: SocketAddr,
        options: &SocketOptions,
        registry: Arc<mio::Registry>,
    ) -> Self {
        Self::new(listener, local, Some(options.clone()), registry)
    }

    fn new(
        listener: std::net::TcpListener,
        local: SocketAddr,
        to_apply: Option<SocketOptions>,
        registry: Arc<mio::Registry>,
    ) -> Self {
        let wildcard = local.ip().to_canonical().is_unspecified();
        let local = Arc::new(Addr::Inet(local));
        OsListener {
            inner: mio::net::TcpListener::from_std(listener),
            wildcard,
            last: Arc::clone(&local),
            local,
            to_apply,
            registry,
        }
    }

    fn accept_one(&mut self) -> io::Result<(mio::net::TcpStream, SocketAddr)> {
        let accepted = self.inner.accept();
        if options::INHERITED
            && accepted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            // The queue from before the adoption is through; whoever comes now has the options.
            self.to_apply = None;
        }
        accepted
    }
}

/// While another descriptor for the socket is about (it was handed to another process, say), closing this one does not
/// end its registration.
impl Drop for OsListener {
    fn drop(&mut self) {
        // Fails only where it was never registered.
        let _ = self.registry.deregister(&mut self.inner);
    }
}

impl Listener for OsListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.registry.register(&mut self.inner, mio::Token(token.0), mio::Interest::READABLE)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        let (stream, peer) = self.accept_one()?;
        if let Some(options) = &self.to_apply {
            // The peer may be gone already; its own first read will say so.
            let _ = options::apply(&socket2::SockRef::from(&stream), options);
        }
        if self.wildcard
            && let Ok(local) = stream.local_addr()
            && self.last.inet() != Some(local)
        {
            self.last = Arc::new(Addr::Inet(local));
        }
        let (local, registry) = (Arc::clone(&self.last), Arc::clone(&self.registry));
        Ok(Box::new(OsStream::connected(stream, local, peer.into(), registry)))
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        options::buffer_sizes(&socket2::SockRef::from(&self.inner))
    }

    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.inner))
    }
}
