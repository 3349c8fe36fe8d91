//! A connection at the seam.

use core::any::Any;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;

use super::{Addr, BufferSizes, Token, UNNAMED, unsupported};

/// One connection: an ordered stream of bytes each way.
///
/// A backend's stream does all that has no default, `register`, `shutdown`, `set_abortive`, `buffer_sizes` and both addresses. Middleware reads, writes, and
/// names the stream [below](Stream::below): that one does the rest, whatever is added to this trait later included. Only
/// [`short_read_drains`](Stream::short_read_drains) is never taken over unasked, since a layer that cuts or keeps bytes would lose some by it.
///
/// ```
/// use std::io::{self, IoSlice};
/// use tymist::net::Stream;
///
/// /// Counts what is read.
/// struct Counted {
///     below: Box<dyn Stream>,
///     count: u64,
/// }
///
/// impl Stream for Counted {
///     fn below(&self) -> Option<&dyn Stream> {
///         Some(&*self.below)
///     }
///     fn below_mut(&mut self) -> Option<&mut dyn Stream> {
///         Some(&mut *self.below)
///     }
///     fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
///         let count = self.below.read(buf)?;
///         self.count += count as u64;
///         Ok(count)
///     }
///     fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
///         self.below.write(bufs)
///     }
/// }
/// ```
pub trait Stream: Any + Send {
    /// The stream that this one is wrapped around, if it is middleware.
    fn below(&self) -> Option<&dyn Stream> {
        None
    }

    /// The same, to be used. Either both name one, or neither does.
    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        None
    }

    /// Starts reporting readiness, both ways, as `token`. Called once. What is already there to be read is reported, too, and that a dialled stream has come
    /// up; room to write need not be before a write has found none.
    ///
    /// # Errors
    /// What the poller says.
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.below_mut().map_or_else(unsupported, |below| below.register(token))
    }

    /// Whether a connection begun by [`Net::connect`](super::Net::connect) has come up. Asked whenever its token was reported, until it has, or has
    /// failed; only then is it read and written. Both ends' addresses are known from then on. Asked again when something happens after the peer's end.
    ///
    /// # Errors
    /// Why it did not: refused, unreachable, timed out; or why it was lost since.
    fn connected(&mut self) -> io::Result<bool> {
        self.below_mut().map_or(Ok(true), <dyn Stream>::connected)
    }

    /// Takes one bounded step towards being usable, as a TLS handshake does. A layer with steps of its own lets the stream below become usable first.
    ///
    /// # Errors
    /// `WouldBlock` while the peer has to say something first; otherwise why it failed for good.
    fn advance(&mut self) -> io::Result<Stage> {
        self.below_mut().map_or(Ok(Stage::Live), <dyn Stream>::advance)
    }

    /// Reads what is there into `buf`. `Ok(0)` is the clean end of the peer's half, for a `buf` that is not empty.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; otherwise why the connection is lost.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Reads what is there to throw it away, in whatever state a layer's own protocol is: how the engine waits for the peer's end once there is nothing
    /// more to be said. `Ok(0)` is the end of the transport. Where nothing is below, the default is a [`read`](Stream::read).
    ///
    /// # Errors
    /// As [`read`](Stream::read).
    fn discard(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.below_mut() {
            Some(below) => below.discard(buf),
            None => self.read(buf),
        }
    }

    /// Whether a read that did not fill its buffer proves that nothing more was there, so that the read that would only say
    /// `WouldBlock` can be saved. Holds for edge-triggered kernel sockets; not for layers with records or buffers.
    fn short_read_drains(&self) -> bool {
        false
    }

    /// What reads have cost since this was last asked beyond the bytes that came of them, as so many bytes of a plain read: records opened, bytes without
    /// content. The engine asks after reads of a stream whose [short ones do not drain](Stream::short_read_drains) it, and takes it off the tick's budgets of
    /// bytes, so that no peer makes a tick long with what is dear to read.
    fn overhead(&mut self) -> usize {
        self.below_mut().map_or(0, <dyn Stream>::overhead)
    }

    /// Writes some of `bufs`, in order; returns how many bytes were taken, at least one.
    ///
    /// # Errors
    /// `WouldBlock` when none was taken; otherwise why the connection is lost.
    fn write(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes that [`write`](Stream::write), [`shutdown`](Stream::shutdown) or [`advance`](Stream::advance) took and that still wait in here, or below, to go
    /// out, as sealed TLS records do. While it is not zero the engine calls [`flush`](Stream::flush) when writable.
    fn held(&self) -> usize {
        self.below().map_or(0, <dyn Stream>::held)
    }

    /// Sends on what is [held](Stream::held).
    ///
    /// # Errors
    /// `WouldBlock` when some is left; otherwise why the connection is lost.
    fn flush(&mut self) -> io::Result<()> {
        self.below_mut().map_or(Ok(()), <dyn Stream>::flush)
    }

    /// Lets the system take all that it has room for from now on, where [`SocketOptions::unsent`](super::SocketOptions::unsent) kept it from that; whether
    /// there may be more room now, which is so once. Asked when nothing more will be queued: who is about to go need not stay for a slow peer then.
    fn lift_unsent(&mut self) -> bool {
        self.below_mut().is_some_and(<dyn Stream>::lift_unsent)
    }

    /// Ends one half or both, in order: what was written before arrives before the end does.
    ///
    /// # Errors
    /// `NotConnected` where the peer is already gone; what else the network says.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.below_mut().map_or_else(unsupported, |below| below.shutdown(how))
    }

    /// Whether `shutdown(Write)` tells the peer something that a mere drop would not, as TLS's `close_notify` does.
    fn says_goodbye(&self) -> bool {
        self.below().is_some_and(<dyn Stream>::says_goodbye)
    }

    /// Makes the coming drop an abortive one: the peer sees a reset, and what was not sent is thrown away.
    ///
    /// # Errors
    /// What the network says; the drop then closes as usual.
    fn set_abortive(&mut self) -> io::Result<()> {
        self.below_mut().map_or_else(unsupported, <dyn Stream>::set_abortive)
    }

    /// What a TLS layer has agreed with the peer, once it is live.
    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<&super::tls::TlsInfo> {
        self.below()?.tls()
    }

    /// What a proxy has told of the connection, once its header was read.
    #[cfg(feature = "proxy-protocol")]
    fn proxied(&self) -> Option<&super::proxy::Proxied> {
        self.below()?.proxied()
    }

    /// Our end.
    fn local_addr(&self) -> &Addr {
        self.below().map_or(&UNNAMED, <dyn Stream>::local_addr)
    }

    /// The peer's end; behind a trusted proxy, from the end of its header on, that of whom the connection is for. A layer that learns it from the peer does so
    /// in [`advance`](Stream::advance), and it stays from then on: an accepted connection is counted and found by what it is after each step.
    fn peer_addr(&self) -> &Addr {
        self.below().map_or(&UNNAMED, <dyn Stream>::peer_addr)
    }

    /// Sizes of the socket's buffers.
    ///
    /// # Errors
    /// What the network says.
    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.below().map_or_else(unsupported, <dyn Stream>::buffer_sizes)
    }

    /// Its descriptor, for options that this crate does not know.
    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.below()?.as_fd()
    }

    /// Who is at the other end of a Unix socket.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) of all others; otherwise what the system says.
    #[cfg(all(unix, feature = "uds"))]
    fn peer_credentials(&self) -> io::Result<super::Credentials> {
        self.below().map_or_else(unsupported, <dyn Stream>::peer_credentials)
    }

    /// The descriptors that travel beside the bytes; `None` where none can.
    #[cfg(all(unix, feature = "uds"))]
    fn files(&mut self) -> Option<&mut super::Files> {
        self.below_mut()?.files()
    }
}

/// Middleware put around each stream that an acceptor takes, or that is dialled.
pub type Layer = Arc<dyn Fn(Box<dyn Stream>) -> Box<dyn Stream> + Send + Sync>;

/// How far a stream is on its way to being usable.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Made a step; has more to do.
    Handshaking,
    /// Usable.
    Live,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use super::*;

    /// Says yes to everything that has a default, and counts how often it was asked.
    struct Asked(usize);

    impl Stream for Asked {
        fn register(&mut self, _: Token) -> io::Result<()> {
            self.0 += 1;
            Ok(())
        }
        fn connected(&mut self) -> io::Result<bool> {
            self.0 += 1;
            Ok(false)
        }
        fn advance(&mut self) -> io::Result<Stage> {
            self.0 += 1;
            Ok(Stage::Handshaking)
        }
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(1)
        }
        fn discard(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(2)
        }
        fn short_read_drains(&self) -> bool {
            true
        }
        fn overhead(&mut self) -> usize {
            7
        }
        fn write(&mut self, _: &[io::IoSlice<'_>]) -> io::Result<usize> {
            Ok(3)
        }
        fn lift_unsent(&mut self) -> bool {
            true
        }
        fn held(&self) -> usize {
            4
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0 += 1;
            Ok(())
        }
        fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
            self.0 += 1;
            Ok(())
        }
        fn says_goodbye(&self) -> bool {
            true
        }
        fn set_abortive(&mut self) -> io::Result<()> {
            self.0 += 1;
            Ok(())
        }
        fn local_addr(&self) -> &Addr {
            static NEAR: Addr = Addr::Inet(std::net::SocketAddr::V4(std::net::SocketAddrV4::new(
                std::net::Ipv4Addr::LOCALHOST,
                1,
            )));
            &NEAR
        }
        fn buffer_sizes(&self) -> io::Result<BufferSizes> {
            Ok(BufferSizes { recv: 5, send: 6 })
        }
    }

    struct Wrapper(Asked);

    impl Stream for Wrapper {
        fn below(&self) -> Option<&dyn Stream> {
            Some(&self.0)
        }
        fn below_mut(&mut self) -> Option<&mut dyn Stream> {
            Some(&mut self.0)
        }
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
        fn write(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
            self.0.write(bufs)
        }
    }

    #[test]
    fn a_wrapper_that_names_what_is_below_it_passes_all_on_but_the_promise_about_short_reads() {
        let mut stream = Wrapper(Asked(0));
        stream.register(Token(0)).unwrap();
        assert!(!stream.connected().unwrap());
        assert_eq!(stream.advance().unwrap(), Stage::Handshaking);
        assert_eq!((stream.discard(&mut []).unwrap(), stream.held()), (2, 4));
        stream.flush().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.set_abortive().unwrap();
        assert_eq!(stream.0.0, 6);
        assert!(stream.says_goodbye() && stream.lift_unsent());
        assert_eq!((stream.local_addr().port(), stream.peer_addr().port()), (Some(1), None));
        assert_eq!(stream.buffer_sizes().unwrap().send, 6);
        assert_eq!((stream.overhead(), stream.short_read_drains()), (7, false));
    }
}
