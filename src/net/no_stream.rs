//! What is left of a stream once it was closed or taken away.

use std::io;

use super::{Addr, BufferSizes, Stage, Stream, Token};

/// What stands where a stream was: knows the ends, and says `NotConnected` to everything.
pub(crate) struct NoStream {
    local: Addr,
    peer: Addr,
    #[cfg(feature = "proxy-protocol")]
    proxied: Option<Box<super::proxy::Proxied>>,
    /// What came in and was not taken, like the unread bytes.
    #[cfg(all(unix, feature = "uds"))]
    files: Option<super::Files>,
}

impl NoStream {
    /// What is to stand in the place of `stream`.
    pub(crate) fn after(stream: &dyn Stream) -> Self {
        NoStream {
            local: stream.local_addr().clone(),
            peer: stream.peer_addr().clone(),
            #[cfg(feature = "proxy-protocol")]
            proxied: stream.proxied().cloned().map(Box::new),
            #[cfg(all(unix, feature = "uds"))]
            files: None,
        }
    }

    /// What stands where a stream will be.
    pub(crate) fn nowhere() -> Self {
        NoStream {
            local: Addr::Unnamed,
            peer: Addr::Unnamed,
            #[cfg(feature = "proxy-protocol")]
            proxied: None,
            #[cfg(all(unix, feature = "uds"))]
            files: None,
        }
    }

    /// What is to stand in the place of a stream that is to be dropped: what can still be taken stays.
    pub(crate) fn instead_of(stream: &mut dyn Stream) -> Self {
        NoStream {
            #[cfg(all(unix, feature = "uds"))]
            files: stream.files().map(super::Files::left_over),
            ..Self::after(stream)
        }
    }
}

fn not_connected<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
}

impl Stream for NoStream {
    fn register(&mut self, _: Token) -> io::Result<()> {
        not_connected()
    }

    fn connected(&mut self) -> io::Result<bool> {
        not_connected()
    }

    fn advance(&mut self) -> io::Result<Stage> {
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

    #[cfg(feature = "proxy-protocol")]
    fn proxied(&self) -> Option<&super::proxy::Proxied> {
        self.proxied.as_deref()
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

    #[cfg(all(unix, feature = "uds"))]
    fn peer_credentials(&self) -> io::Result<super::Credentials> {
        not_connected()
    }

    #[cfg(all(unix, feature = "uds"))]
    fn files(&mut self) -> Option<&mut super::Files> {
        self.files.as_mut()
    }
}
