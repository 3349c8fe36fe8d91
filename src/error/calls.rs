//! What a caller asked in vain.

use core::fmt;
use std::io;
use std::net::SocketAddr;

use crate::net::Addr;

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

/// A socket could not be taken over; gives it back.
#[derive(Debug)]
pub struct AdoptError<T> {
    /// The socket: as it was where it is none of that kind or no descriptor is left; nonblocking and with the options where a limit or the poller refused it.
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
