//! What is left of a stream once it was closed or taken away.

use std::io;

use crate::net::{Addr, BufferSizes, Stream, Token};

/// What stands where a stream was: knows the ends, and says `NotConnected` to everything.
pub(super) struct NoStream {
    local: Addr,
    peer: Addr,
    #[cfg(feature = "proxy-protocol")]
    proxied: Option<Box<crate::net::proxy::Proxied>>,
    /// What came in and was not taken, like the unread bytes.
    #[cfg(all(unix, feature = "uds"))]
    unix: unix::Files,
}

impl NoStream {
    /// What is to stand in the place of `stream`.
    pub(super) fn after(stream: &dyn Stream) -> Self {
        NoStream {
            local: stream.local_addr().clone(),
            peer: stream.peer_addr().clone(),
            #[cfg(feature = "proxy-protocol")]
            proxied: stream.proxied().cloned().map(Box::new),
            #[cfg(all(unix, feature = "uds"))]
            unix: unix::Files::default(),
        }
    }

    /// What stands where a stream will be.
    pub(super) fn nowhere() -> Self {
        NoStream {
            local: Addr::Unnamed,
            peer: Addr::Unnamed,
            #[cfg(feature = "proxy-protocol")]
            proxied: None,
            #[cfg(all(unix, feature = "uds"))]
            unix: unix::Files::default(),
        }
    }

    /// What is to stand in the place of a stream that is to be dropped: what can still be taken stays.
    pub(super) fn instead_of(stream: &mut dyn Stream) -> Self {
        NoStream {
            #[cfg(all(unix, feature = "uds"))]
            unix: unix::Files::of(stream),
            ..Self::after(stream)
        }
    }
}

#[cfg(all(unix, feature = "uds"))]
mod unix {
    use std::io;
    use std::os::fd::OwnedFd;

    use crate::net::{Credentials, Stream, UnixStream};

    /// The descriptors left by a closed stream.
    #[derive(Default)]
    pub(super) struct Files {
        inbox: Vec<OwnedFd>,
        dropped: u64,
    }

    impl Files {
        pub(super) fn of(stream: &mut dyn Stream) -> Self {
            let Some(unix) = stream.unix() else { return Files::default() };
            Files { inbox: unix.take_files(), dropped: unix.files_dropped() }
        }
    }

    impl UnixStream for Files {
        fn credentials(&self) -> io::Result<Credentials> {
            super::not_connected()
        }
        fn push_files(&mut self, files: Vec<OwnedFd>) -> Result<(), Vec<OwnedFd>> {
            Err(files)
        }
        fn take_files(&mut self) -> Vec<OwnedFd> {
            core::mem::take(&mut self.inbox)
        }
        fn files_dropped(&self) -> u64 {
            self.dropped
        }
    }
}

fn not_connected<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
}

impl Stream for NoStream {
    #[cfg(feature = "proxy-protocol")]
    fn proxied(&self) -> Option<&crate::net::proxy::Proxied> {
        self.proxied.as_deref()
    }
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
    #[cfg(all(unix, feature = "uds"))]
    fn unix(&mut self) -> Option<&mut dyn crate::net::UnixStream> {
        Some(&mut self.unix)
    }
}
