//! A connection between Unix sockets.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use socket2::{SockRef, Type};

use super::path::{self, Bound};
use super::{bad, rights, socket, to_system};
use crate::net::os::options;
use crate::net::os::room::Room;
use crate::net::{Addr, BufferSizes, Credentials, Dial, Files, SocketFile, Stream, Token};

pub(in crate::net::os) struct UnixStream {
    /// Our own name, where we took one. Before the socket, so that it is dropped before it.
    file: Option<Bound>,
    inner: mio::net::UnixStream,
    local: Addr,
    peer: Addr,
    registry: Arc<mio::Registry>,
    /// Known to be connected: from then on it is asked whether it still is.
    up: bool,
    /// Descriptors of the peer's that may wait here.
    limit: usize,
    files: Files,
    room: Room,
}

impl UnixStream {
    pub(in crate::net::os) fn connected(
        inner: mio::net::UnixStream,
        local: Addr,
        peer: Addr,
        limit: usize,
        registry: Arc<mio::Registry>,
    ) -> Self {
        let (files, room) = (Files::new(), Room::given());
        UnixStream { file: None, inner, local, peer, registry, up: true, limit, files, room }
    }

    /// Connects; between Unix sockets that is done at once or not at all.
    pub(in crate::net::os) fn dial(spec: &Dial, registry: Arc<mio::Registry>) -> io::Result<Self> {
        let to = to_system(&spec.addr)?;
        let socket = socket(Type::STREAM)?;
        let (recv, send) = (spec.socket.recv_buffer, spec.socket.send_buffer);
        options::raise_buffers(&SockRef::from(&socket), recv, send)?;
        let file = match &spec.local {
            Some(local) if local.is_named() => path::bind(&socket, local, SocketFile::new())?,
            _ => None,
        };
        socket.connect(&to).map_err(|error| match error.kind() {
            // Nothing tells when there is room, so it is no `WouldBlock`.
            io::ErrorKind::WouldBlock => {
                bad(io::ErrorKind::ResourceBusy, format!("the backlog of {} is full", spec.addr))
            }
            _ => error,
        })?;
        let local = spec.local.clone().unwrap_or(Addr::Unnamed);
        let inner = mio::net::UnixStream::from_std(socket.into());
        let limit = spec.socket.files;
        let mut stream = Self::connected(inner, local, spec.addr.clone(), limit, registry);
        (stream.file, stream.room, stream.up) = (file, Room::awaited(), false);
        Ok(stream)
    }
}

impl UnixStream {
    fn send(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.files.outbox.is_empty() {
            let sent = rights::send(self.inner.as_fd(), bufs, None, &self.files.outbox)?;
            self.files.outbox = Vec::new();
            return Ok(sent);
        }
        // Flags instead of `writev`, against SIGPIPE.
        let flags = rights::quiet().bits().cast_signed();
        SockRef::from(&self.inner).send_vectored_with_flags(bufs, flags)
    }
}

/// While another descriptor for the socket is about, closing this one does not end its registration.
impl Drop for UnixStream {
    fn drop(&mut self) {
        self.file = None;
        // Fails only where it was never registered.
        let _ = self.registry.deregister(&mut self.inner);
    }
}

impl Stream for UnixStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.room.register(&mut self.inner, &self.registry, token)
    }

    /// What dialled is up at once, and what its peer has said and done since is for its reads to tell. After that it is asked for a reset: the peer went and
    /// left something unread. One that went with nothing unread is not lost: it says no more than an end, whether in one step or in two, as with TCP.
    fn connected(&mut self) -> io::Result<bool> {
        if !core::mem::replace(&mut self.up, true) {
            return Ok(true);
        }
        self.inner.take_error()?.map_or(Ok(true), Err)
    }

    /// A short read may be one that descriptors ended, also where they are not wanted, so it drains nothing
    /// ([`Stream::short_read_drains`] stays off).
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.limit == 0 {
            // The kernel closes what comes along.
            return self.inner.read(buf);
        }
        let inbox = &mut self.files.inbox;
        let received = rights::receive(self.inner.as_fd(), buf, inbox, self.limit)?;
        self.files.dropped += received.dropped;
        Ok(received.len)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = self.send(bufs);
        self.room.after(&mut self.inner, &self.registry, sent)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    /// There is no reset that could be asked for: the peer sees one if we leave something unread.
    fn set_abortive(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn peer_addr(&self) -> &Addr {
        &self.peer
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        options::buffer_sizes(&SockRef::from(&self.inner))
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.inner.as_fd())
    }

    fn peer_credentials(&self) -> io::Result<Credentials> {
        credentials(self.inner.as_fd())
    }

    fn files(&mut self) -> Option<&mut Files> {
        Some(&mut self.files)
    }
}

/// By nix, since rustix takes a process id for never 0, which one of another namespace is.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    let found = getsockopt(&socket, PeerCredentials)?;
    let pid = Some(found.pid()).filter(|&pid| pid != 0);
    Ok(Credentials { pid, uid: found.uid(), gid: found.gid() })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let (uid, gid) = nix::unistd::getpeereid(socket)?;
    Ok(Credentials { pid: None, uid: uid.as_raw(), gid: gid.as_raw() })
}
