//! What a host gives its program of Unix sockets. Names need no feature; who is at the other end can be asked with the feature `uds`.

use std::io::{self, IoSlice};
use std::net::Shutdown;

use super::machine::{Shared, Source};
use super::{Errno, HostId, Key};
#[cfg(all(unix, feature = "uds"))]
use crate::net::Credentials;
use crate::net::{Addr, Bind, BufferSizes, Datagram, Dial, Gram, Listen, Listener, Stream, Token};

/// Who is at the other end, on whatever host: user and group 1000, and the host's place in the order of adding, from 1, as the process.
#[cfg(all(unix, feature = "uds"))]
const USER: u32 = 1000;

/// Whether this is an address of ours.
pub(super) fn is_unix(addr: &Addr) -> bool {
    !matches!(addr, Addr::Inet(_))
}

/// The error, in the words of the operating system's side.
fn told(errno: Errno, addr: &Addr) -> io::Error {
    let text = match errno {
        Errno::Eopnotsupp => format!("{addr} is no name to bind or to reach"),
        Errno::Enametoolong => {
            format!("{addr}: the name of a Unix socket has 1 to 107 bytes, none of a path is zero")
        }
        Errno::Eexist => format!(
            "{addr} was left behind by a dead server; SocketFile::replace_stale replaces it"
        ),
        // Of an abstract name there is no more to say than the number does.
        Errno::Eaddrinuse if matches!(addr, Addr::Path(_)) => {
            format!("{addr} belongs to a live socket")
        }
        other => return other.error(),
    };
    io::Error::new(errno.kind(), text)
}

pub(super) fn listen(
    shared: &Shared,
    poller: u32,
    host: HostId,
    spec: &Listen,
) -> io::Result<Box<dyn Listener>> {
    let key = shared.lock().unix_listen(host, spec).map_err(|errno| told(errno, &spec.addr))?;
    let (shared, local) = (shared.clone(), spec.addr.clone());
    Ok(Box::new(SimUnixListener { shared, host, poller, key, local }))
}

pub(super) fn connect(
    shared: &Shared,
    poller: u32,
    host: HostId,
    spec: &Dial,
) -> io::Result<Box<dyn Stream>> {
    let key = shared.lock().unix_connect(host, spec).map_err(|errno| match errno {
        // Nothing tells when there is room, so it is no `WouldBlock`.
        Errno::Eagain => io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("the backlog of {} is full", spec.addr),
        ),
        other => told(other, &spec.addr),
    })?;
    let local = spec.local.clone().unwrap_or(Addr::Unnamed);
    let (shared, peer) = (shared.clone(), spec.addr.clone());
    Ok(Box::new(SimUnixStream { shared, host, poller, key, local, peer }))
}

pub(super) fn bind(
    shared: &Shared,
    poller: u32,
    host: HostId,
    spec: &Bind,
) -> io::Result<Box<dyn Datagram>> {
    let key = shared.lock().unix_bind(host, spec).map_err(|errno| told(errno, &spec.addr))?;
    let (shared, local) = (shared.clone(), spec.addr.clone());
    Ok(Box::new(SimUnixDatagram { shared, poller, key, local }))
}

struct SimUnixListener {
    shared: Shared,
    host: HostId,
    poller: u32,
    key: Key,
    local: Addr,
}

impl Listener for SimUnixListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        Ok(self.shared.lock().register(Source::UnixListener(self.key), self.poller, token)?)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        let (key, peer) = self.shared.lock().unix_accept(self.key)?;
        Ok(Box::new(SimUnixStream {
            shared: self.shared.clone(),
            host: self.host,
            poller: self.poller,
            key,
            local: self.local.clone(),
            peer,
        }))
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(self.shared.lock().unix_listener_sizes(self.key)?)
    }

    fn leave_file(&mut self) {
        self.shared.lock().leave_unix_file(self.key);
    }
}

impl Drop for SimUnixListener {
    fn drop(&mut self) {
        self.shared.lock().close_unix_listener(self.key);
    }
}

/// A world has no descriptors, so none goes over and none comes in.
struct SimUnixStream {
    shared: Shared,
    #[cfg_attr(not(all(unix, feature = "uds")), expect(dead_code, reason = "for credentials"))]
    host: HostId,
    poller: u32,
    key: Key,
    local: Addr,
    peer: Addr,
}

impl Stream for SimUnixStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        Ok(self.shared.lock().register(Source::UnixStream(self.key), self.poller, token)?)
    }

    fn connected(&mut self) -> io::Result<bool> {
        Ok(self.shared.lock().unix_connected(self.key)?)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.shared.lock().unix_read(self.key, buf)?)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.shared.lock().unix_write(self.key, bufs)?)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        Ok(self.shared.lock().unix_shutdown(self.key, how)?)
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
        Ok(self.shared.lock().unix_stream_sizes(self.key)?)
    }

    #[cfg(all(unix, feature = "uds"))]
    fn peer_credentials(&self) -> io::Result<Credentials> {
        let pid = i32::try_from(self.host.index() + 1).ok();
        Ok(Credentials { pid, uid: USER, gid: USER })
    }
}

impl Drop for SimUnixStream {
    fn drop(&mut self) {
        self.shared.lock().close_unix_stream(self.key);
    }
}

struct SimUnixDatagram {
    shared: Shared,
    poller: u32,
    key: Key,
    local: Addr,
}

impl Datagram for SimUnixDatagram {
    fn register(&mut self, token: Token) -> io::Result<()> {
        Ok(self.shared.lock().register(Source::UnixGram(self.key), self.poller, token)?)
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram> {
        let gram = self.shared.lock().unix_receive(self.key, buf)?;
        Ok(Gram { len: gram.len, truncated: gram.truncated, from: gram.from })
    }

    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()> {
        self.shared.lock().unix_send(self.key, data, to).map_err(|errno| told(errno, to))
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn refuses_strangers(&self) -> bool {
        self.shared.lock().unix_has_peer(self.key)
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(self.shared.lock().unix_gram_sizes(self.key)?)
    }
}

impl Drop for SimUnixDatagram {
    fn drop(&mut self) {
        self.shared.lock().close_unix_gram(self.key);
    }
}
