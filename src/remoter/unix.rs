//! What a connection can do because it is one of Unix sockets.

use std::io;
use std::os::fd::OwnedFd;

use super::Remoter;
use crate::net::{Credentials, Files};

/// # Unix sockets
impl Remoter {
    /// Who is at the other end: the process that connected, as it was then. One system call. Feature `uds`.
    ///
    /// # Errors
    /// `Unsupported` where this is no Unix socket, `NotConnected` where it is closed; otherwise what the system says.
    pub fn peer_credentials(&mut self) -> io::Result<Credentials> {
        self.stream.peer_credentials()
    }

    /// Queues descriptors, at most 253 at a time, that the peer gets copies of. They go with the next byte that leaves: queue
    /// at least one after them. Ours are closed once they have gone. Feature `uds`.
    ///
    /// # Errors
    /// Gives them back where this is no Unix socket, or no byte can be queued after them any more, or too many wait.
    pub fn tx_files(&mut self, files: Vec<OwnedFd>) -> Result<(), Vec<OwnedFd>> {
        if !self.may_send() {
            return Err(files);
        }
        match self.stream.files() {
            Some(own) => own.queue(files),
            None => Err(files),
        }
    }

    /// Takes the descriptors that came in, in order; none is let in unless [`SocketOptions::files`](crate::net::SocketOptions::files) says how
    /// many may wait here. They arrive no later than the byte they were sent with. Feature `uds`.
    pub fn take_files(&mut self) -> Vec<OwnedFd> {
        self.stream.files().map(Files::take).unwrap_or_default()
    }

    /// Descriptors that came beyond that number, or with bytes that were thrown away, and were closed. Feature `uds`.
    pub fn files_dropped(&mut self) -> u64 {
        self.stream.files().map_or(0, |files| files.dropped)
    }
}
