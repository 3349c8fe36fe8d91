//! Errors in three drawers: what happened to a connection is a [`CloseReason`]; what the caller asked in vain is an error of the one
//! call ([`TxError`], [`ListenError`], [`AdoptError`]); what is dead and stays dead can be asked for.

use core::fmt;
use core::num::NonZeroU8;
use std::io;
use std::net::SocketAddr;

#[cfg(feature = "proxy-protocol")]
use crate::net::proxy::ProxyFailure;
#[cfg(feature = "tls")]
use crate::net::tls::{HandshakeFailure, TlsError, TlsFailure, TlsTruncated};
use crate::net::{Addr, errno};

/// What all numbers of errors are greater than, by less than a byte: on Windows those of sockets.
const BASE: i32 = if cfg!(windows) { 10_000 } else { 0 };

/// An error of the network, small enough to be copied about. It is told in the system's words, whether it has a kind or only a number.
///
/// ```
/// use std::io::ErrorKind;
/// use tymist::Cause;
///
/// let refused = Cause::from(ErrorKind::ConnectionRefused);
/// assert_eq!(refused.to_string(), "connection refused");
/// # #[cfg(unix)]
/// assert!(Cause::from(&std::io::Error::from_raw_os_error(24)).to_string().contains("raise the limit"));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    kind: io::ErrorKind,
    /// Beyond [`BASE`]. One byte, since each connection has a place for one of these.
    number: Option<NonZeroU8>,
}

impl Cause {
    /// Without a number.
    pub(crate) const fn new(kind: io::ErrorKind) -> Self {
        Cause { kind, number: None }
    }

    /// Its kind; many errors have none of their own.
    #[must_use]
    pub fn kind(self) -> io::ErrorKind {
        self.kind
    }

    /// Its number, if it came from the operating system.
    #[must_use]
    pub fn errno(self) -> Option<i32> {
        self.number.map(|number| BASE + i32::from(number.get()))
    }
}

impl From<&io::Error> for Cause {
    fn from(error: &io::Error) -> Self {
        let number = error.raw_os_error().and_then(|errno| u8::try_from(errno - BASE).ok());
        Cause { kind: error.kind(), number: number.and_then(NonZeroU8::new) }
    }
}

impl From<io::ErrorKind> for Cause {
    fn from(kind: io::ErrorKind) -> Self {
        Cause::new(kind)
    }
}

impl From<Cause> for io::Error {
    fn from(cause: Cause) -> Self {
        cause.errno().map_or_else(|| cause.kind.into(), io::Error::from_raw_os_error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)?;
        if cfg!(unix) && matches!(self.errno(), Some(errno::ENFILE | errno::EMFILE)) {
            f.write_str("; raise the limit of open files (ulimit -n), or allow fewer connections")?;
        }
        Ok(())
    }
}

impl core::error::Error for Cause {}

/// Why a connection ended. Cut short is never the same as finished.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer ended its half, and all was said.
    Eof,
    /// You closed it; all that was queued has gone out.
    Local,
    /// You aborted it.
    Aborted,
    /// You took it out of the server; the connection itself lives on.
    Detached,
    /// You closed the whole `Server` or `Clients`.
    ServerClosed,
    /// It could not be made: what the last address met, such as `ConnectionRefused`; `NotFound` for a name without any.
    Connect(Cause),
    /// The peer reset it, or was gone when we sent.
    Reset,
    /// This deadline passed.
    Expired(Deadline),
    /// It did not reach the minimum rate.
    TooSlow,
    /// More came in than was taken, and so configured.
    RxFull,
    /// More was queued than the peer took, and so configured.
    TxFull,
    /// A new connection with the same pair of ends took its place: the peer had forgotten this one.
    Replaced,
    /// Its TLS handshake failed.
    #[cfg(feature = "tls")]
    Handshake(HandshakeFailure),
    /// TLS broke after the handshake: what came last was damaged, forged, or against the protocol. What was read before is authentic.
    #[cfg(feature = "tls")]
    Tls(TlsFailure),
    /// The peer's end came without a close_notify: what was read is authentic, but perhaps not all there was. Also said where you closed first
    /// and the peer did not answer in kind, as many clients do not; what you sent is no worse for that.
    #[cfg(feature = "tls")]
    TlsTruncated,
    /// It was to begin with a PROXY header, and did not, or with a wrong one.
    #[cfg(feature = "proxy-protocol")]
    Proxy(ProxyFailure),
    /// The network gave it up for another reason.
    Io(Cause),
}

impl CloseReason {
    /// Whether nothing was lost: both sides said all they had to say.
    #[must_use]
    pub fn is_clean(self) -> bool {
        matches!(self, CloseReason::Eof | CloseReason::Local)
    }

    /// What an error of a read or write means for the connection.
    #[must_use]
    pub(crate) fn of(error: &io::Error) -> CloseReason {
        #[cfg(feature = "tls")]
        if let Some(reason) = Self::of_tls(error) {
            return reason;
        }
        #[cfg(feature = "proxy-protocol")]
        if let Some(failure) = ProxyFailure::of(error) {
            return CloseReason::Proxy(failure);
        }
        match error.kind() {
            // EPIPE is what a send meets after a reset was noticed.
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => CloseReason::Reset,
            _ => CloseReason::Io(error.into()),
        }
    }

    #[cfg(feature = "tls")]
    fn of_tls(error: &io::Error) -> Option<CloseReason> {
        error.get_ref()?;
        let handshake = HandshakeFailure::of(error).map(CloseReason::Handshake);
        let truncated = || TlsTruncated::is(error).then_some(CloseReason::TlsTruncated);
        handshake.or_else(|| TlsError::of(error).map(CloseReason::Tls)).or_else(truncated)
    }

    /// Whether a layer ended the connection over what the peer said, so that the peer is there to be told why.
    pub(crate) fn is_ours(self) -> bool {
        #[cfg(feature = "tls")]
        return match self {
            CloseReason::Handshake(why) => {
                !matches!(why, HandshakeFailure::Eof | HandshakeFailure::PeerAlert(_))
            }
            CloseReason::Tls(why) => !matches!(why, TlsFailure::PeerAlert(_)),
            _ => false,
        };
        #[cfg(not(feature = "tls"))]
        false
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Eof => f.write_str("ended by the peer"),
            CloseReason::Local => f.write_str("closed here"),
            CloseReason::Aborted => f.write_str("aborted here"),
            CloseReason::Detached => f.write_str("taken out of the server"),
            CloseReason::ServerClosed => f.write_str("all of its server or clients was closed"),
            CloseReason::Connect(Cause { kind: io::ErrorKind::NotFound, number: None }) => {
                f.write_str("not connected: the name has no address")
            }
            CloseReason::Connect(cause) => write!(f, "not connected: {cause}"),
            CloseReason::Reset => f.write_str("reset by the peer"),
            CloseReason::Expired(which) => write!(f, "{which} timeout"),
            CloseReason::TooSlow => f.write_str("slower than Timeouts::min_rate asks"),
            CloseReason::RxFull => {
                f.write_str("more came in than was taken: beyond Limits::rx_bytes")
            }
            CloseReason::TxFull => {
                f.write_str("more was queued than the peer took: beyond Limits::tx_bytes")
            }
            CloseReason::Replaced => f.write_str("replaced by a new connection of the same peer"),
            #[cfg(feature = "tls")]
            CloseReason::Handshake(why) => write!(f, "TLS handshake failed: {why}"),
            #[cfg(feature = "tls")]
            CloseReason::Tls(why) => write!(f, "TLS broken: {why}"),
            #[cfg(feature = "tls")]
            CloseReason::TlsTruncated => f.write_str("TLS stream cut short by the peer"),
            #[cfg(feature = "proxy-protocol")]
            CloseReason::Proxy(why) => write!(f, "PROXY header: {why}"),
            CloseReason::Io(cause) => write!(f, "network error: {cause}"),
        }
    }
}

impl core::error::Error for CloseReason {}

/// Which deadline of a connection. See [`Timeouts`](crate::Timeouts).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Deadline {
    /// The connection was not up in time.
    Connect,
    /// The handshake was not done in time.
    Handshake,
    /// No first byte came.
    FirstByte,
    /// No traffic.
    Idle,
    /// Older than allowed.
    Lifetime,
    /// Bytes queued, none taken by the network.
    WriteStall,
    /// The peer did not end its half after we had ended ours, or what it sent was never taken.
    Linger,
    /// `drain` ran out of time.
    Drain,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Deadline::Connect => "connect",
            Deadline::Handshake => "handshake",
            Deadline::FirstByte => "first byte",
            Deadline::Idle => "idle",
            Deadline::Lifetime => "lifetime",
            Deadline::WriteStall => "write stall",
            Deadline::Linger => "linger",
            Deadline::Drain => "drain",
        })
    }
}

/// Why bytes could not be queued at all. (That only some fit is no error.)
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TxError {
    /// No connection has this id (any more).
    Gone,
    /// The connection is closing or closed.
    Closed,
    /// Our half has been ended by `shutdown_send`.
    SendShut,
    /// More than `Limits::tx_bytes` would be queued; as configured, the connection is closed for it.
    Overflow,
    /// It is going over to TLS: whether this should go out in plain or protected cannot be told. Queue it after `Upgraded`.
    Upgrading,
}

impl fmt::Display for TxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TxError::Gone => "no connection has this id any more: forget it at its `Closed`",
            TxError::Closed => "the connection is closing or closed: it takes nothing more",
            TxError::SendShut => "our half was ended by shutdown_send: queue before that",
            TxError::Overflow => {
                "more than Limits::tx_bytes queued: closed for it, as Config::tx_full says"
            }
            TxError::Upgrading => "the connection is going over to TLS: queue it after `Upgraded`",
        })
    }
}

impl std::error::Error for TxError {}

/// Why a connection cannot go over to TLS; it is as it was.
#[cfg(feature = "tls")]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeRefused {
    /// It is closing or closed, or one of its halves has ended.
    Closing,
    /// It is on TLS, or on its way to it.
    AlreadyTls,
    /// So many bytes that came in plain are unread, and there must be none.
    Unread(usize),
    /// The name that the server should prove to be is none.
    BadName,
}

#[cfg(feature = "tls")]
impl fmt::Display for UpgradeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpgradeRefused::Closing => "the connection is closing, or one of its halves has ended",
            UpgradeRefused::AlreadyTls => "the connection is on TLS already, or on its way to it",
            UpgradeRefused::Unread(count) => {
                return write!(f, "{count} bytes in plain are unread: take them first, or close");
            }
            UpgradeRefused::BadName => "the server name is neither a DNS name nor an IP address",
        })
    }
}

#[cfg(feature = "tls")]
impl std::error::Error for UpgradeRefused {}

/// An id that names no live connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no live connection has this id: it has closed, or is of another engine")
    }
}

impl std::error::Error for Gone {}

/// A listener or a datagram socket could not be opened.
#[derive(Debug)]
pub struct ListenError {
    addr: Addr,
    source: io::Error,
}

impl ListenError {
    pub(crate) fn new(addr: Addr, source: io::Error) -> Self {
        ListenError { addr, source }
    }

    /// The address that was asked for.
    #[must_use]
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// Kind of the cause, such as `AddrInUse`.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

fn is_unscoped(addr: &Addr) -> bool {
    matches!(addr, Addr::Inet(SocketAddr::V6(v6)) if v6.scope_id() == 0 && v6.ip().is_unicast_link_local())
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = match self.kind() {
            _ if self.addr.inet().is_none() => "",
            io::ErrorKind::AddrInUse => {
                ": end who has it, or take another port; 0 picks a free one"
            }
            io::ErrorKind::AddrNotAvailable => {
                ": take an address of this machine, or 0.0.0.0 or [::]"
            }
            io::ErrorKind::InvalidInput if is_unscoped(&self.addr) => {
                ": a link-local address needs the number of its interface, as in [fe80::1%2]:80"
            }
            io::ErrorKind::PermissionDenied => ": take a port from 1024 on, or get the privilege",
            _ => "",
        };
        write!(f, "cannot open a socket on {}: {}{hint}", self.addr, self.source)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<ListenError> for io::Error {
    fn from(error: ListenError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

/// What a panic says.
pub(crate) fn panic_words(payload: &(dyn core::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words")
}

/// A socket could not be taken over; gives it back.
#[derive(Debug)]
pub struct AdoptError<T> {
    /// The socket; nonblocking by now, unless that was what failed.
    pub socket: T,
    /// Why.
    pub source: io::Error,
}

impl<T> fmt::Display for AdoptError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot take over the socket, which is given back: {}", self.source)
    }
}

impl<T: fmt::Debug> std::error::Error for AdoptError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
