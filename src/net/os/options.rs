//! Socket options, and sockets made with them.

#[cfg(any(target_os = "linux", target_os = "android"))]
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::net::{Addr, BufferSizes, Dial, Listen, SocketOptions};

/// Whether an accepted socket has the options of its listener, all of them, which saves a system call per option and accept.
pub(super) const INHERITED: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(super) fn inet(addr: &Addr) -> io::Result<SocketAddr> {
    addr.inet().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{addr} is no internet address (Unix sockets need the feature `uds`)"),
        )
    })
}

/// A bound and listening socket with its options, nonblocking.
pub(super) fn listening(spec: &Listen) -> io::Result<Socket> {
    let addr = inet(&spec.addr)?;
    let socket = tcp(addr)?;
    if spec.reuse_addr && cfg!(not(windows)) {
        socket.set_reuse_address(true)?;
    }
    if spec.reuse_port {
        reuse_port(&socket)?;
    }
    if let (Some(only), SocketAddr::V6(_)) = (spec.only_v6, addr) {
        socket.set_only_v6(only)?;
    }
    // Before it listens: who connects in between would not inherit them, and a window scale is fixed from the first packet.
    apply(&SockRef::from(&socket), &spec.socket)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(spec.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// A socket whose connect has begun.
pub(super) fn connecting(spec: &Dial, addr: SocketAddr) -> io::Result<Socket> {
    let socket = tcp(addr)?;
    apply(&SockRef::from(&socket), &spec.socket)?;
    if let Some(local) = &spec.local {
        let local = inet(local)?;
        if local.port() != 0 && cfg!(not(windows)) {
            // Else the last connection from this port would be in the way for a minute after its end.
            socket.set_reuse_address(true)?;
        }
        socket.bind(&local.into())?;
    }
    match socket.connect(&addr.into()) {
        Ok(()) => Ok(socket),
        Err(error) if in_progress(&error) => Ok(socket),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

#[cfg(not(unix))]
fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

fn tcp(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(unix)]
pub(super) fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
pub(super) fn reuse_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "reuse_port needs Unix"))
}

/// Sets what `options` asks for. Buffer sizes are only ever raised.
pub(super) fn apply(socket: &SockRef<'_>, options: &SocketOptions) -> io::Result<()> {
    if options.no_delay {
        socket.set_tcp_nodelay(true)?;
    }
    if let Some(keep) = options.keep_alive {
        let params = TcpKeepalive::new().with_time(keep.idle).with_interval(keep.interval);
        #[cfg(not(target_os = "windows"))]
        let params = params.with_retries(keep.retries);
        socket.set_tcp_keepalive(&params)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(limit) = options.user_timeout {
        socket.set_tcp_user_timeout(Some(in_millis(limit)))?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(bytes) = options.unsent {
        socket.set_tcp_notsent_lowat(u32::try_from(bytes).unwrap_or(u32::MAX))?;
    }
    raise_buffers(socket, options.recv_buffer, options.send_buffer)
}

/// The nearest time that Linux takes: whole milliseconds, rounded up, since 0 are its own quarter of an hour; as many as an `int` holds.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn in_millis(limit: Duration) -> Duration {
    const MOST: Duration = Duration::from_millis(i32::MAX.unsigned_abs() as u64);
    let up = limit.saturating_add(Duration::from_nanos(999_999)).min(MOST);
    up - Duration::from_nanos(u64::from(up.subsec_nanos() % 1_000_000))
}

/// More than any system gives, and a number that all take: they know `int`, of which 4 GiB is 0.
const MOST_BUFFER: usize = 1 << 30;

/// Makes the kernel's buffers at least so large; never smaller.
pub(super) fn raise_buffers(
    socket: &SockRef<'_>,
    recv: Option<usize>,
    send: Option<usize>,
) -> io::Result<()> {
    if let Some(size) = recv
        && socket.recv_buffer_size()? < size
    {
        socket.set_recv_buffer_size(size.min(MOST_BUFFER))?;
    }
    if let Some(size) = send
        && socket.send_buffer_size()? < size
    {
        socket.set_send_buffer_size(size.min(MOST_BUFFER))?;
    }
    Ok(())
}

pub(super) fn buffer_sizes(socket: &SockRef<'_>) -> io::Result<BufferSizes> {
    Ok(BufferSizes { recv: socket.recv_buffer_size()?, send: socket.send_buffer_size()? })
}

/// Refuses a descriptor that is no listening socket, which would otherwise fail at every accept for ever.
pub(super) fn check_listening(listener: &SockRef<'_>) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if !listener.is_listener()? {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the adopted socket does not listen; call listen() on it first",
        ));
    }
    check_stream(listener)
}

/// Refuses a descriptor of another kind: the datagrams of one are no stream, and an empty one is no end.
pub(super) fn check_stream(socket: &SockRef<'_>) -> io::Result<()> {
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the adopted socket is none of streams (SOCK_STREAM)",
        ));
    }
    Ok(())
}
