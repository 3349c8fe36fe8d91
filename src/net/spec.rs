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
    /// Android only, elsewhere without effect. Default `None`: the system's, about 15 minutes.
    pub user_timeout: Option<Duration>,
    /// Raise `SO_RCVBUF` to at least so many bytes. Default `None`: the system sizes it by itself, which is mostly better.
    pub recv_buffer: Option<usize>,
    /// Raise `SO_SNDBUF` to at least so many bytes. Default `None`, as above.
    pub send_buffer: Option<usize>,
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
        }
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// TCP keep-alive (RFC 9293 section 3.8.4): after `idle` of silence one probe each `interval`, lost after `retries` unanswered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe; whole seconds.
    pub idle: Duration,
    /// Time between probes; whole seconds.
    pub interval: Duration,
    /// Unanswered probes before the connection is given up.
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bind {
    /// The address to bind; port 0 lets the system pick.
    pub addr: Addr,
    /// Connected mode: datagrams of others are not let in, and the socket hears (`ConnectionRefused`) when nobody listens there.
    /// Default `None`.
    pub peer: Option<Addr>,
    /// `IPV6_V6ONLY`, as in [`Listen::only_v6`].
    pub only_v6: Option<bool>,
    /// Raise `SO_RCVBUF` to at least so many bytes. Default `None`.
    pub recv_buffer: Option<usize>,
    /// Raise `SO_SNDBUF` to at least so many bytes. Default `None`.
    pub send_buffer: Option<usize>,
}

impl Bind {
    /// Binds `addr` with the defaults.
    #[must_use]
    pub fn new(addr: impl Into<Addr>) -> Self {
        Bind { addr: addr.into(), peer: None, only_v6: None, recv_buffer: None, send_buffer: None }
    }
}

impl<A: Into<Addr>> From<A> for Bind {
    fn from(addr: A) -> Self {
        Bind::new(addr)
    }
}
