//! A Unix datagram socket.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::net::{SocketAddrAny, SocketAddrUnix};
use socket2::{SockRef, Type};

use super::path::{self, Bound};
use super::{rights, socket, to_system};
use crate::net::os::options;
use crate::net::os::room::Room;
use crate::net::{Addr, Bind, BufferSizes, Datagram, Gram, Token};

pub(in crate::net::os) struct UnixDatagram {
    /// Before the socket, so that it is dropped before it.
    file: Option<Bound>,
    inner: mio::net::UnixDatagram,
    local: Addr,
    connected: bool,
    /// The peer was found gone: the system has let go of it, and lets everybody send to us.
    alone: bool,
    files: usize,
    registry: Arc<mio::Registry>,
    room: Room,
}

impl UnixDatagram {
    pub(in crate::net::os) fn open(spec: &Bind, registry: Arc<mio::Registry>) -> io::Result<Self> {
        let socket = socket(Type::DGRAM)?;
        let sizes = (spec.recv_buffer, spec.send_buffer);
        options::raise_buffers(&SockRef::from(&socket), sizes.0, sizes.1)?;
        // Connected before it can be found, so that no stranger's datagram gets into its queue.
        if let Some(peer) = &spec.peer {
            socket.connect(&to_system(peer)?)?;
        }
        let file = match &spec.addr {
            Addr::Unnamed => None,
            addr => path::bind(&socket, addr, spec.file)?,
        };
        Ok(UnixDatagram {
            file,
            inner: mio::net::UnixDatagram::from_std(socket.into()),
            local: spec.addr.clone(),
            connected: spec.peer.is_some(),
            alone: false,
            files: spec.files,
            registry,
            room: Room::given(),
        })
    }
}

impl Drop for UnixDatagram {
    fn drop(&mut self) {
        self.file = None;
        // Fails only where it was never registered.
        let _ = self.registry.deregister(&mut self.inner);
    }
}

fn target(addr: &Addr) -> io::Result<SocketAddrUnix> {
    // Says what is wrong with it in our words.
    to_system(addr)?;
    Ok(match addr {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Addr::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?,
        Addr::Path(path) => SocketAddrUnix::new(&**path)?,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    })
}

/// One whose path fills its address, without the terminating zero, cannot be answered (ours are shorter by it), and rustix would panic at it: the system
/// counts the zero that is not there.
fn sender(from: Option<SocketAddrAny>) -> Addr {
    let whole = from.filter(|from| from.addr_len() as usize <= size_of::<libc::sockaddr_un>());
    let Some(from) = whole.and_then(|from| SocketAddrUnix::try_from(from).ok()) else {
        return Addr::Unnamed;
    };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = from.abstract_name() {
        return Addr::abstract_name(name);
    }
    match from.path() {
        Some(path) if !path.is_empty() => Addr::from(Path::new(OsStr::from_bytes(path.to_bytes()))),
        _ => Addr::Unnamed,
    }
}

impl Datagram for UnixDatagram {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.room.register(&mut self.inner, &self.registry, token)
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram> {
        self.receive_files(buf, &mut Vec::new())
    }

    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()> {
        self.send_files(data, to, &[])
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    /// Linux answers a stranger with `EPERM`.
    fn refuses_strangers(&self) -> bool {
        self.connected && !self.alone && cfg!(any(target_os = "linux", target_os = "android"))
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        options::buffer_sizes(&SockRef::from(&self.inner))
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.inner.as_fd())
    }

    fn receive_files(&mut self, buf: &mut [u8], files: &mut Vec<OwnedFd>) -> io::Result<Gram> {
        let got = rights::receive(self.inner.as_fd(), buf, files, self.files)?;
        Ok(Gram { len: got.len, truncated: got.truncated, from: sender(got.from) })
    }

    fn send_files(&mut self, data: &[u8], to: &Addr, files: &[OwnedFd]) -> io::Result<()> {
        let to = if self.connected { None } else { Some(target(to)?) };
        let bufs = [IoSlice::new(data)];
        let sent = rights::send(self.inner.as_fd(), &bufs, to.as_ref(), files).map(|_| ());
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        self.alone |= sent.as_ref().is_err_and(refused);
        // Of the room that any receiver may have lacked nothing tells; of that of the one it is connected to the system does.
        if to.is_some() { sent } else { self.room.after(&mut self.inner, &self.registry, sent) }
    }
}
