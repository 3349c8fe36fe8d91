//! What can be wrong with a header.

use core::fmt;
use std::io;

/// Why the PROXY header of a connection was not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// The first bytes begin no header of either version.
    NotProxy,
    /// It begins like a header, and is none: an address, a port, a length or the end of the line is wrong.
    Malformed,
    /// Longer than 107 bytes in version 1, or than [`ProxyProtocol::header_max`](super::ProxyProtocol::header_max) in version 2.
    TooLong,
    /// A version, command, family or protocol that the specification does not have.
    Unsupported,
    /// Its CRC-32C is wrong.
    BadChecksum,
    /// The proxy closed before its end.
    Eof,
}

impl ProxyFailure {
    /// The failure inside an error that a stream gave, if there is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<ProxyError>().map(|error| error.0)
    }

    pub(super) fn io(self) -> io::Error {
        let kind = match self {
            ProxyFailure::Eof => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, ProxyError(self))
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyFailure::NotProxy => "none; does the proxy send one?",
            ProxyFailure::Malformed => {
                "malformed: an address, a port, a length or the end of the line is wrong"
            }
            ProxyFailure::TooLong => "longer than the protocol, or header_max, allows",
            ProxyFailure::Unsupported => "of an unknown version, command or family",
            ProxyFailure::BadChecksum => "with a wrong checksum",
            ProxyFailure::Eof => "closed by the proxy before its end",
        })
    }
}

/// A [`ProxyFailure`] as a cause of an [`io::Error`].
#[derive(Debug)]
struct ProxyError(ProxyFailure);

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PROXY header: {}", self.0)
    }
}

impl std::error::Error for ProxyError {}
