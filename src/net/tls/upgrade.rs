//! Going over to TLS on a stream that has been in use (STARTTLS).

use core::fmt;
use std::io;

use crate::net::Stream;

/// What becomes of bytes that were read from the plain stream before the upgrade and not used.
///
/// A client that sends commands behind its STARTTLS, in the same packet, wants them obeyed as if they had come protected; buffers that
/// survive the upgrade are how plaintext was smuggled past it in many mail servers (CVE-2011-0411). So there is no default.
#[derive(Copy, Clone, Debug)]
pub enum ReadAhead<'a> {
    /// There must be none: the upgrade is refused if these are any. Right where the client has to wait for our word, as in SMTP.
    MustBeEmpty(&'a [u8]),
    /// They are the beginning of the peer's TLS. Right where TLS follows at once, as behind a PROXY header.
    IsTls(&'a [u8]),
}

/// [`ReadAhead`] for a connection of the engine, which has the bytes itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There must be none: the upgrade is refused if there are any. Right where the peer has to wait for our word, as in SMTP.
    MustBeEmpty,
    /// They are the beginning of the peer's TLS, and become unreadable. Right where TLS follows at once, as behind a PROXY header.
    IsTls,
}

impl<'a> ReadAhead<'a> {
    pub(super) fn check(
        self,
        stream: Box<dyn Stream>,
    ) -> Result<(Box<dyn Stream>, &'a [u8]), UpgradeError> {
        match self {
            ReadAhead::MustBeEmpty(bytes) if !bytes.is_empty() => {
                Err(UpgradeError { stream, why: Why::Leftover(bytes.len()) })
            }
            ReadAhead::MustBeEmpty(_) => Ok((stream, &[])),
            ReadAhead::IsTls(bytes) => Ok((stream, bytes)),
        }
    }
}

/// An upgrade that did not happen; the stream is as it was.
pub struct UpgradeError {
    stream: Box<dyn Stream>,
    why: Why,
}

enum Why {
    Leftover(usize),
    Client(rustls::Error),
}

impl UpgradeError {
    pub(super) fn client(stream: Box<dyn Stream>, error: rustls::Error) -> Self {
        UpgradeError { stream, why: Why::Client(error) }
    }

    /// The stream that was to be upgraded.
    #[must_use]
    pub fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Leftover(count) => {
                write!(f, "{count} bytes in plain came behind the word to begin TLS")
            }
            Why::Client(error) => write!(f, "cannot begin TLS: {error}"),
        }
    }
}

impl fmt::Debug for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpgradeError({self})")
    }
}

impl std::error::Error for UpgradeError {}

impl From<UpgradeError> for io::Error {
    fn from(error: UpgradeError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error.to_string())
    }
}
