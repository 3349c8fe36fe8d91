//! What a network tells of its sources, and how its wait is ended.

use core::fmt;
use std::io;
use std::sync::Arc;

use super::Token;

/// That a source has become ready, and for what. All of it is a hint; the call that follows tells the truth.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Who.
    pub token: Token,
    /// A read (an accept, a receive) would do something.
    pub readable: bool,
    /// A write would do something.
    pub writable: bool,
    /// An end, a reset or an error is on the way in, or something else at which a read stops short (urgent data): reads must go on until they have met
    /// it or `WouldBlock`, short ones too.
    pub ending: bool,
}

/// Ends the wait of an engine from any thread; see `Server::waker`.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() -> io::Result<()> + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`.
    pub fn new(wake: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        Waker(Arc::new(wake))
    }

    /// Makes the wait under way, or else the next one, return at once. Several calls before that count as one.
    ///
    /// # Errors
    /// What the operating system says; in practice none while the process has memory.
    pub fn wake(&self) -> io::Result<()> {
        (self.0)()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
