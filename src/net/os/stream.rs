//! A TCP connection.

use core::cell::Cell;
use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use super::options;
use crate::net::{Addr, BufferSizes, Stream, Token};

pub(super) struct OsStream {
    inner: mio::net::TcpStream,
    /// Shared by all that came in by the same listener.
    local: Arc<Addr>,
    peer: Addr,
    registry: Arc<mio::Registry>,
    /// Whether somebody else may have a descriptor for the same socket. Closing ours then does not end the registration.
    shared: Cell<bool>,
}

impl OsStream {
    pub(super) fn connected(
        inner: mio::net::TcpStream,
        local: Arc<Addr>,
        peer: Addr,
        registry: Arc<mio::Registry>,
    ) -> Self {
        OsStream { inner, local, peer, registry, shared: Cell::new(false) }
    }

    /// A stream made elsewhere, where a copy may have been kept.
    pub(super) fn adopted(
        inner: mio::net::TcpStream,
        local: Arc<Addr>,
        peer: Addr,
        registry: Arc<mio::Registry>,
    ) -> Self {
        let stream = Self::connected(inner, local, peer, registry);
        stream.shared.set(true);
        stream
    }

    /// A stream whose connect is under way; it is bound already, so its own address is known.
    pub(super) fn dialled(
        stream: std::net::TcpStream,
        peer: Addr,
        registry: Arc<mio::Registry>,
    ) -> io::Result<Self> {
        let local = Arc::new(Addr::Inet(stream.local_addr()?));
        Ok(Self::connected(mio::net::TcpStream::from_std(stream), local, peer, registry))
    }
}

impl Drop for OsStream {
    fn drop(&mut self) {
        if self.shared.get() {
            // Fails only where it was never registered.
            let _ = self.registry.deregister(&mut self.inner);
        }
    }
}

/// `writev`, but without the SIGPIPE that would end a process whose main program is not Rust's. As many slices as fit
/// in a call.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
fn write_many(stream: &mut mio::net::TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    const IOV_MAX: usize = 1024;
    let bufs = &bufs[..bufs.len().min(IOV_MAX)];
    socket2::SockRef::from(&*stream).send_vectored_with_flags(bufs, libc::MSG_NOSIGNAL)
}

/// As above; here sockets are made with an option against SIGPIPE, or there is no such signal.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)))]
fn write_many(stream: &mut mio::net::TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    stream.write_vectored(bufs)
}

impl Stream for OsStream {
    // What each message calls comes first, so that it is next to one another in memory, too.

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            [one] => self.inner.write(one),
            many => write_many(&mut self.inner, many),
        }
    }

    fn held(&self) -> usize {
        0
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        let both = mio::Interest::READABLE | mio::Interest::WRITABLE;
        // Of urgent data, at which a read stops short of what is behind it.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let both = both | mio::Interest::PRIORITY;
        self.registry.register(&mut self.inner, mio::Token(token.0), both)
    }

    fn connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.inner.take_error()? {
            return Err(error);
        }
        match self.inner.peer_addr() {
            Ok(peer) => {
                self.local = Arc::new(Addr::Inet(self.inner.local_addr()?));
                // Who asked for the unspecified address has met one of this machine's own.
                self.peer = peer.into();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn short_read_drains(&self) -> bool {
        // Only where urgent data is told of; kqueue does not, and on Windows mio re-arms on `WouldBlock`.
        cfg!(any(target_os = "linux", target_os = "android"))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn lift_unsent(&mut self) -> bool {
        const NONE: u32 = u32::MAX;
        let socket = socket2::SockRef::from(&self.inner);
        let limited = socket.tcp_notsent_lowat().is_ok_and(|bytes| !matches!(bytes, 0 | NONE));
        limited && socket.set_tcp_notsent_lowat(NONE).is_ok()
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
        self.shared.set(true);
        Some(std::os::fd::AsFd::as_fd(&self.inner))
    }
}
