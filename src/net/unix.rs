//! What only Unix sockets can do.

use std::io;
use std::os::fd::OwnedFd;

/// Descriptors that go with one write or one datagram at most (Linux: `SCM_MAX_FD`).
pub const MAX_FILES: usize = 253;

/// What a stream can do because it is a Unix socket.
///
/// Descriptors travel beside the bytes: each batch goes with the first byte that is written after it was queued, and arrives
/// no later than that byte.
pub trait UnixStream {
    /// Who is at the other end.
    ///
    /// # Errors
    /// What the system says.
    fn credentials(&self) -> io::Result<Credentials>;

    /// Queues descriptors to go with the next byte. They are closed here once they have gone.
    ///
    /// # Errors
    /// Gives them back where more than 253, the most that fit, would wait.
    fn push_files(&mut self, files: Vec<OwnedFd>) -> Result<(), Vec<OwnedFd>>;

    /// Takes the descriptors that have come in, in order.
    fn take_files(&mut self) -> Vec<OwnedFd>;

    /// Descriptors that came beyond what `SocketOptions::files` allows, and were closed. A batch that the kernel itself cut counts as one.
    fn files_dropped(&self) -> u64;
}

/// A process at the other end of a Unix stream, as it was when it connected (or listened).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its process, where the system tells (Linux, Android) and it is one of our namespace. May be another by now: a process id is
    /// given again.
    pub pid: Option<i32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}
