//! What a socket is to be like.

use core::time::Duration;

use super::Addr;

/// Options of a stream socket. Each default is what a server on the open internet wants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// `TCP_NODELAY`: send small writes at once. Default on: the engine itself coalesces what is queued within a tick.
    pub no_delay: bool,
    /// TCP keep-alive probes. Default `None`: the idle timeout sees a dead peer sooner.
    pub keep_alive: Option<KeepAlive>,
    /// `TCP_USER_TIMEOUT` (RFC 5482): give a connection up whose data was not acknowledged for so long. Linux and
    /// Android only, elsewhere without effect. Whole milliseconds, rounded up, some 24 days at most. Default `None`, and zero: the system's, about 15 minutes.
    pub user_timeout: Option<Duration>,
    /// Raise `SO_RCVBUF` to at least so many bytes. Default `None`: the system sizes it by itself, which is mostly better.
    pub recv_buffer: Option<usize>,
    /// Raise `SO_SNDBUF` to at least so many bytes. Default `None`, as above.
    pub send_buffer: Option<usize>,
    /// `TCP_NOTSENT_LOWAT`: the system takes no more while so many bytes are unsent, and reports room once fewer than half of them are. Linux and Android
    /// only, elsewhere without effect. Default 256 KiB; `None`, and zero: the system's, which is no bound. It sizes its send buffer at up to 4 MiB then and
    /// reports room when a third of that is free: for a peer that reads 32 KiB a second after 40 seconds, in which no byte seems to move
    /// (`write_stall`, `idle` and `min_rate` of `Timeouts`). Raise it with `Limits::remoter_tick_bytes`.
    /// The last MiB of a connection that is being closed is handed over whole, if there is room.
    pub unsent: Option<usize>,
    /// Unix sockets: descriptors of the peer's that are held until they are taken; see `Remoter::take_files`. What comes beyond is
    /// closed and counted. Default 0: none is let in.
    pub files: usize,
}

impl SocketOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        SocketOptions {
            no_delay: true,
            keep_alive: None,
            user_timeout: None,
            recv_buffer: None,
            send_buffer: None,
            unsent: Some(256 * 1024),
            files: 0,
        }
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// TCP keep-alive (RFC 9293 section 3.8.4): after `idle` of silence one probe each `interval`, lost after `retries` unanswered.
///
/// Linux takes 1 to 32,767 seconds and 1 to 127 probes, and so does a world; anything else is an error (`InvalidInput`) of who listens, dials or adopts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe; whole seconds, on Linux and in worlds 1 to 32,767. What the system does not take is an error of who opens the socket.
    pub idle: Duration,
    /// Time between probes; likewise.
    pub interval: Duration,
    /// Unanswered probes before the connection is given up; on Linux and in worlds 1 to 127.
    pub retries: u32,
}

/// Sizes of a socket's kernel buffers in bytes, as the system reports them (Linux: twice what was asked, for its book-keeping).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct BufferSizes {
    /// Receive buffer.
    pub recv: usize,
    /// Send buffer.
    pub send: usize,
}

/// Where and how to listen.
///
/// ```
/// use tymist::net::Listen;
///
/// let mut listen: Listen = "[::]:0".parse()?;
/// listen.only_v6 = Some(false); // IPv4 as well
/// listen.backlog = 128;
/// # Ok::<(), tymist::net::AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen {
    /// The address to bind; port 0 lets the system pick.
    pub addr: Addr,
    /// Connections that the kernel queues until they are accepted. Default 1024; the system may cap it
    /// (Linux: `net.core.somaxconn`, 4096).
    pub backlog: u32,
    /// `SO_REUSEADDR`: bind although connections of an earlier listener linger in `TIME_WAIT`. Default on; ignored on Windows,
    /// where it would let another process take the port away.
    pub reuse_addr: bool,
    /// `SO_REUSEPORT`: let several listeners share the port; the kernel spreads connections over them. Default off. Unix only.
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`: `Some(false)` serves IPv4 too on an IPv6 wildcard, `Some(true)` does not, `None` (default) leaves it to the system.
    pub only_v6: Option<bool>,
    /// Options of the accepted connections.
    pub socket: SocketOptions,
    /// What becomes of the file, of a Unix socket with a path.
    pub file: SocketFile,
}

impl Listen {
    /// Listens on `addr` with the defaults.
    #[must_use]
    pub fn new(addr: impl Into<Addr>) -> Self {
        Listen {
            addr: addr.into(),
            backlog: 1024,
            reuse_addr: true,
            reuse_port: false,
            only_v6: None,
            socket: SocketOptions::new(),
            file: SocketFile::new(),
        }
    }
}

impl<A: Into<Addr>> From<A> for Listen {
    fn from(addr: A) -> Self {
        Listen::new(addr)
    }
}

/// As [`Addr`] parses.
impl core::str::FromStr for Listen {
    type Err = super::AddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Addr>().map(Listen::new)
    }
}

/// Where and how to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dial {
    /// The address to connect to.
    pub addr: Addr,
    /// Our own address and port; `None` (default) lets the system choose.
    pub local: Option<Addr>,
    /// Options of the connection.
    pub socket: SocketOptions,
}

impl Dial {
    /// Connects to `addr` with the defaults.
    #[must_use]
    pub fn new(addr: impl Into<Addr>) -> Self {
        Dial { addr: addr.into(), local: None, socket: SocketOptions::new() }
    }
}

impl<A: Into<Addr>> From<A> for Dial {
    fn from(addr: A) -> Self {
        Dial::new(addr)
    }
}

/// Where and how to open a datagram socket.
///
/// ```
/// use tymist::net::{Addr, Bind};
///
/// let mut bind = Bind::new("127.0.0.1:0".parse::<Addr>()?);
/// bind.broadcast = true;
/// # Ok::<(), tymist::net::AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bind {
    /// The address to bind; port 0 lets the system pick. [`Addr::Unnamed`] is a Unix socket that can send but not be answered.
    pub addr: Addr,
    /// Connected mode: datagrams of others are not let in, and the socket hears (`ConnectionRefused`) when nobody listens there.
    /// Default `None`.
    pub peer: Option<Addr>,
    /// `IPV6_V6ONLY`, as in [`Listen::only_v6`].
    pub only_v6: Option<bool>,
    /// `SO_BROADCAST`: lets it send to broadcast addresses; otherwise such a datagram is refused with `PermissionDenied`. Default off.
    pub broadcast: bool,
    /// `SO_REUSEADDR`. Default off: with it several sockets share a port, and a datagram goes to each of them (multicast) or to
    /// the latest (others). Receivers of the same multicast group on one machine need it. Ignored on Windows unless `reuse_port` is on too.
    pub reuse_addr: bool,
    /// `SO_REUSEPORT`: let several sockets of one user share the port; the kernel spreads datagrams over them. Default off, so that
    /// a second program on the same port is told. Unix only.
    pub reuse_port: bool,
    /// Raise `SO_RCVBUF` to at least so many bytes. Default `None`: the system's, which on Linux holds some 270 small datagrams
    /// or three of the largest.
    pub recv_buffer: Option<usize>,
    /// Raise `SO_SNDBUF` to at least so many bytes. Default `None`.
    pub send_buffer: Option<usize>,
    /// Unix sockets: descriptors of a datagram that are taken with it; more are closed. Default 0: none is let in.
    pub files: usize,
    /// What becomes of the file, of a Unix socket with a path.
    pub file: SocketFile,
}

impl Bind {
    /// Binds `addr` with the defaults.
    #[must_use]
    pub fn new(addr: impl Into<Addr>) -> Self {
        Bind {
            addr: addr.into(),
            peer: None,
            only_v6: None,
            broadcast: false,
            reuse_addr: false,
            reuse_port: false,
            recv_buffer: None,
            send_buffer: None,
            files: 0,
            file: SocketFile::new(),
        }
    }
}

impl<A: Into<Addr>> From<A> for Bind {
    fn from(addr: A) -> Self {
        Bind::new(addr)
    }
}

/// As [`Addr`] parses.
impl core::str::FromStr for Bind {
    type Err = super::AddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Addr>().map(Bind::new)
    }
}

/// The file of a Unix socket that is bound to a path. It is removed when the socket is closed, unless by then another is there.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketFile {
    /// Who may connect or send: permission bits, such as `0o600`. Default `None`: all that the process's umask leaves. Set on the
    /// file itself, never by changing the umask, which all threads share. On Linux nobody slips in before.
    pub mode: Option<u32>,
    /// Whether a file that a dead server has left behind is replaced. Default no: then it is an error that says so. A live
    /// server's, and what is no socket at all, is never replaced. Who replaces one holds an advisory lock on its directory meanwhile, so that of several at
    /// once one has the path.
    pub replace_stale: bool,
}

impl SocketFile {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
