//! How a Doist ends.

use core::error::Error;
use core::fmt;

use super::DoerId;

/// Why a Doist ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// All its doers have ended by themselves.
    Done,
    /// Its limit has passed.
    Limit,
    /// It was told to: by a handle, by whoever ran it, or by an error under [`OnError::EndAll`].
    Stopped,
    /// In real time: nobody wanted a turn at any tyme, and there was nothing to wait on, so nothing would ever have happened.
    Stalled,
}

/// What an error in one doer means for the others.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Nothing: they go on.
    #[default]
    GoOn,
    /// They are left, too, last to first.
    EndAll,
}

/// Of a Doist that has ended: some of its doers have failed. Each one's own error is at [`Doist::end`](super::Doist::end).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// The first that failed.
    pub first: DoerId,
    /// What it said.
    pub why: String,
    /// How many failed.
    pub count: usize,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.first, self.why)?;
        if self.count > 1 {
            write!(f, " (and {} more failed)", self.count - 1)?;
        }
        Ok(())
    }
}

impl Error for Failed {}

/// Why [`Doist::run`](super::Doist::run) was not as it should be.
#[cfg(feature = "os")]
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// Doers have failed.
    Failed(Failed),
    /// The operating system could not wait; all doers were left. It has no descriptors left, or does not take one that a doer names.
    Io(std::io::Error),
}

#[cfg(feature = "os")]
impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Failed(failed) => failed.fmt(f),
            RunError::Io(error) => write!(f, "cannot wait for what the doers name: {error}"),
        }
    }
}

#[cfg(feature = "os")]
impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RunError::Failed(failed) => Some(failed),
            RunError::Io(error) => Some(error),
        }
    }
}
