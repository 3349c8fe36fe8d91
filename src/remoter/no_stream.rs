//! What is left of a stream once it was closed or taken away.

use std::io;

use crate::net::{Addr, BufferSizes, Stream, Token};

/// What stands where a stream was: knows the ends, and says `NotConnected` to everything.
pub(super) struct NoStream {
    pub(super) local: Addr,
    pub(super) peer: Addr,
}

impl NoStream {
    /// What stands where a stream will be.
    pub(super) fn nowhere() -> Self {
        NoStream { local: Addr::Unnamed, peer: Addr::Unnamed }
    }
}

fn not_connected<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
}

impl Stream for NoStream {
    fn register(&mut self, _: Token) -> io::Result<()> {
        not_connected()
    }
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        not_connected()
    }
    fn write(&mut self, _: &[io::IoSlice<'_>]) -> io::Result<usize> {
        not_connected()
    }
    fn shutdown(&mut self, _: std::net::Shutdown) -> io::Result<()> {
        not_connected()
    }
    fn set_abortive(&mut self) -> io::Result<()> {
        not_connected()
    }
    fn local_addr(&self) -> &Addr {
        &self.local
    }
    fn peer_addr(&self) -> &Addr {
        &self.peer
    }
    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        not_connected()
    }
}
