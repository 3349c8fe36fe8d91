//! A TCP connection.

use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use super::options;
use crate::net::{Addr, BufferSizes, Stream, Token};

pub(super) struct OsStream {
    inner: mio::net::TcpStream,
    local: Addr,
    peer: Addr,
    registry: Arc<mio::Registry>,
}

impl OsStream {
    pub(super) fn connected(
        inner: mio::net::TcpStream,
        local: Addr,
        peer: Addr,
        registry: Arc<mio::Registry>,
    ) -> Self {
        OsStream { inner, local, peer, registry }
    }

    /// A stream whose connect is under way; it is bound already, so its own address is known.
    pub(super) fn dialled(
        stream: std::net::TcpStream,
        peer: Addr,
        registry: Arc<mio::Registry>,
    ) -> io::Result<Self> {
        let local = Addr::Inet(stream.local_addr()?);
        Ok(OsStream { inner: mio::net::TcpStream::from_std(stream), local, peer, registry })
    }
}

impl Stream for OsStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        let both = mio::Interest::READABLE | mio::Interest::WRITABLE;
        self.registry.register(&mut self.inner, mio::Token(token.0), both)
    }

    fn connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.inner.take_error()? {
            return Err(error);
        }
        match self.inner.peer_addr() {
            Ok(_) => {
                self.local = Addr::Inet(self.inner.local_addr()?);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }

    fn short_read_drains(&self) -> bool {
        // epoll and kqueue only; elsewhere mio re-arms on `WouldBlock`.
        cfg!(unix)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            [one] => self.inner.write(one),
            many => self.inner.write_vectored(many),
        }
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        socket2::SockRef::from(&self.inner).set_linger(Some(Duration::ZERO))
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn peer_addr(&self) -> &Addr {
        &self.peer
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        options::buffer_sizes(&socket2::SockRef::from(&self.inner))
    }

    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.inner))
    }
}
