//! What the end of a connection is to who reads or writes: an `io::Error` of the right kind.

use core::fmt;
use std::io;
use std::sync::Arc;

use crate::error::CloseReason;

/// The kind that a reason is.
fn kind_of(reason: CloseReason) -> io::ErrorKind {
    match reason {
        CloseReason::Connect(cause) | CloseReason::Io(cause) => cause.kind(),
        CloseReason::Reset => io::ErrorKind::ConnectionReset,
        CloseReason::Expired(_) | CloseReason::TooSlow => io::ErrorKind::TimedOut,
        CloseReason::Detached => io::ErrorKind::NotConnected,
        #[cfg(feature = "tls")]
        CloseReason::Handshake(_) | CloseReason::Tls(_) => io::ErrorKind::InvalidData,
        #[cfg(feature = "tls")]
        CloseReason::TlsTruncated => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::ConnectionAborted,
    }
}

/// What a read or write meets on a connection that ended for this; the reason is inside.
pub(super) fn error_of(reason: CloseReason) -> io::Error {
    io::Error::new(kind_of(reason), reason)
}

/// What a dial meets that came to nothing.
pub(super) fn dial_error(reason: CloseReason, unresolved: Option<&Unresolved>) -> io::Error {
    match (reason, unresolved) {
        (CloseReason::Connect(cause), Some(unresolved)) => {
            io::Error::new(cause.kind(), unresolved.clone())
        }
        (CloseReason::Connect(cause), None) => cause.into(),
        _ => error_of(reason),
    }
}

/// A name that could not be looked up, and why.
#[derive(Clone, Debug)]
pub(super) struct Unresolved {
    pub(super) host: Arc<str>,
    pub(super) why: Arc<str>,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.why)
    }
}

impl core::error::Error for Unresolved {}

/// What a write meets after our half has ended.
pub(super) fn send_shut() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "this half was ended by a shutdown")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use super::*;
    use crate::error::{Cause, Deadline};

    #[test]
    fn the_reason_is_inside_its_error() {
        let error = error_of(CloseReason::Expired(Deadline::Idle));
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let inside = error.get_ref().unwrap().downcast_ref::<CloseReason>().unwrap();
        assert_eq!(*inside, CloseReason::Expired(Deadline::Idle));
    }

    #[test]
    #[cfg(feature = "tls")]
    fn cut_short_is_no_end() {
        assert_eq!(error_of(CloseReason::TlsTruncated).kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_dial_says_what_the_last_address_said() {
        let refused = Cause::from(&io::Error::from_raw_os_error(111));
        let error = dial_error(CloseReason::Connect(refused), None);
        assert_eq!(error.raw_os_error(), Some(111));
        let unresolved = Unresolved { host: "nobody".into(), why: "no such name".into() };
        let none = CloseReason::Connect(io::ErrorKind::NotFound.into());
        let error = dial_error(none, Some(&unresolved));
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::NotFound, "nobody: no such name")
        );
        let late = dial_error(CloseReason::Expired(Deadline::Connect), None);
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
