//! What only Unix sockets can do.

use core::mem;
use std::os::fd::OwnedFd;

/// Descriptors that go with one write or one datagram at most (Linux: `SCM_MAX_FD`).
pub const MAX_FILES: usize = 253;

/// Descriptors that travel beside the bytes of a stream: each batch goes with the first byte that is written after it was queued, and arrives
/// no later than that byte.
///
/// A stream that can pass them keeps one of these and gives it out by [`Stream::files`](super::Stream::files): its reads fill the inbox, its
/// writes empty the outbox.
#[derive(Debug, Default)]
pub struct Files {
    /// What came in and was not taken yet, in order.
    pub inbox: Vec<OwnedFd>,
    /// What goes with the next byte.
    pub outbox: Vec<OwnedFd>,
    /// Descriptors that came beyond what [`SocketOptions::files`](super::SocketOptions::files) allows, or with bytes that nobody wanted any more, and were
    /// closed. A batch that the kernel itself cut counts as one.
    pub dropped: u64,
    /// The stream is gone, so that nothing goes out any more.
    over: bool,
}

impl Files {
    /// None in either direction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues descriptors to go with the next byte.
    ///
    /// # Errors
    /// Gives them back where more than [`MAX_FILES`] would wait, or the stream is gone.
    pub fn queue(&mut self, mut files: Vec<OwnedFd>) -> Result<(), Vec<OwnedFd>> {
        if self.over || self.outbox.len() + files.len() > MAX_FILES {
            return Err(files);
        }
        self.outbox.append(&mut files);
        Ok(())
    }

    /// Takes what has come in, in order.
    pub fn take(&mut self) -> Vec<OwnedFd> {
        mem::take(&mut self.inbox)
    }

    /// Closes those that came after the first `kept`.
    pub(crate) fn drop_beyond(&mut self, kept: usize) {
        self.dropped += self.inbox.len().saturating_sub(kept) as u64;
        self.inbox.truncate(kept);
    }

    /// What can still be taken once the stream is gone.
    pub(crate) fn left_over(&mut self) -> Self {
        Files { inbox: self.take(), outbox: Vec::new(), dropped: self.dropped, over: true }
    }
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
