//! Errors in three drawers: what happened to a connection is a [`CloseReason`]; what the caller asked in vain is an error of the one
//! call ([`TxError`], [`ListenError`], [`AdoptError`]); what is dead and stays dead can be asked for.

mod calls;
mod close;

use core::fmt;
use core::num::NonZeroU8;
use std::io;

use crate::net::errno;

#[cfg(feature = "tls")]
pub use calls::UpgradeRefused;
pub use calls::{AdoptError, Gone, ListenError, TxError};
pub use close::{CloseReason, Deadline};

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

/// What a panic says.
pub(crate) fn panic_words(payload: &(dyn core::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words")
}
