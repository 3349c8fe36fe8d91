//! A listening TCP socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::options;
use super::stream::OsStream;
use crate::net::{Addr, BufferSizes, Listener, SocketOptions, Stream, Token};

pub(super) struct OsListener {
    inner: mio::net::TcpListener,
    local: Addr,
    /// Whether accepted sockets have other local addresses than this one.
    wildcard: bool,
    /// What accepted sockets do not get from the listener by themselves.
    to_apply: Option<SocketOptions>,
    registry: Arc<mio::Registry>,
}

impl OsListener {
    /// What can fail, done while the caller still has the socket. Returns where it is bound.
    pub(super) fn prepare(
        listener: &std::net::TcpListener,
        options: &SocketOptions,
    ) -> io::Result<SocketAddr> {
        // Set on the listener on every system: receive buffers must be sized before a connection is made,
        // since its window scale is fixed then.
        options::apply(&socket2::SockRef::from(listener), options)?;
        listener.local_addr()
    }

    pub(super) fn new(
        listener: std::net::TcpListener,
        local: SocketAddr,
        options: &SocketOptions,
        registry: Arc<mio::Registry>,
    ) -> Self {
        OsListener {
            inner: mio::net::TcpListener::from_std(listener),
            wildcard: local.ip().is_unspecified(),
            local: Addr::Inet(local),
            to_apply: (!options::INHERITED).then(|| options.clone()),
            registry,
        }
    }
}

impl Listener for OsListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.registry.register(&mut self.inner, mio::Token(token.0), mio::Interest::READABLE)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        let (stream, peer) = self.inner.accept()?;
        if let Some(options) = &self.to_apply {
            // The peer may be gone already; its own first read will say so.
            let _ = options::apply(&socket2::SockRef::from(&stream), options);
        }
        let local = if self.wildcard {
            stream.local_addr().map_or_else(|_| self.local.clone(), Addr::Inet)
        } else {
            self.local.clone()
        };
        Ok(Box::new(OsStream::connected(stream, local, peer.into(), Arc::clone(&self.registry))))
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
