//! Why a connection ended, and which of its deadlines did that.

use core::fmt;
use std::io;

use super::Cause;
#[cfg(feature = "proxy-protocol")]
use crate::net::proxy::ProxyFailure;
#[cfg(feature = "tls")]
use crate::net::tls::{HandshakeFailure, TlsError, TlsFailure, TlsTruncated};

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
    /// TLS broke after the handshake: what came last was damaged, forged, or against the protocol, or our keys are used up. What was read before is authentic.
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
