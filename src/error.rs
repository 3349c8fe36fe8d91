//! Errors in three drawers: what happened to a connection is a [`CloseReason`]; what the caller asked in vain is an error of the one
//! call ([`TxError`], [`ListenError`], [`AdoptError`]); what is dead and stays dead can be asked for.

use core::fmt;
use std::io;

use crate::net::Addr;

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
    /// It could not be made: the kind of the error of the last address, such as `ConnectionRefused`; `NotFound` for a name without any.
    Connect(io::ErrorKind),
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
    /// The network gave it up for another reason.
    Io(io::ErrorKind),
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
        match error.kind() {
            // EPIPE is what a send meets after a reset was noticed.
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => CloseReason::Reset,
            kind => CloseReason::Io(kind),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Eof => f.write_str("ended by the peer"),
            CloseReason::Local => f.write_str("closed here"),
            CloseReason::Aborted => f.write_str("aborted here"),
            CloseReason::Detached => f.write_str("taken out of the server"),
            CloseReason::ServerClosed => f.write_str("server closed"),
            CloseReason::Connect(kind) => write!(f, "not connected: {kind}"),
            CloseReason::Reset => f.write_str("reset by the peer"),
            CloseReason::Expired(which) => write!(f, "{which} timeout"),
            CloseReason::TooSlow => f.write_str("slower than the minimum rate"),
            CloseReason::RxFull => f.write_str("receive cap exceeded"),
            CloseReason::TxFull => f.write_str("send cap exceeded"),
            CloseReason::Replaced => f.write_str("replaced by a new connection of the same peer"),
            CloseReason::Io(kind) => write!(f, "network error: {kind}"),
        }
    }
}

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
}

impl fmt::Display for TxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TxError::Gone => "no connection has this id any more",
            TxError::Closed => "the connection is closing or closed",
            TxError::SendShut => "this half was ended by shutdown_send",
            TxError::Overflow => "more than tx_bytes queued; the connection is closed for it",
        })
    }
}

impl std::error::Error for TxError {}

/// An id that names no live connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no live connection has this id")
    }
}

impl std::error::Error for Gone {}

/// A listener could not be opened.
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

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.addr, self.source)
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
    /// The socket, as it was.
    pub socket: T,
    /// Why.
    pub source: io::Error,
}

impl<T> fmt::Display for AdoptError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot take over the socket: {}", self.source)
    }
}

impl<T: fmt::Debug> std::error::Error for AdoptError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
