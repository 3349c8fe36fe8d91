//! A layer that keeps bytes back, around a connection that the test makes.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tymist::net::{Addr, BufferSizes, Stage, Stream, Token};
use tymist::{Connect, Event, Id};

use crate::far::{Desk, addr};

/// A layer like TLS: it has a farewell, keeps what the network does not take, and sends that on also when it is read.
#[derive(Clone, Default)]
pub(crate) struct Sealed {
    held: Arc<AtomicUsize>,
    /// There is room for it as soon as it is read.
    pub(crate) room_at_read: Arc<AtomicBool>,
    /// There is room for it as soon as it is flushed.
    pub(crate) room_at_flush: Arc<AtomicBool>,
    /// There is room for it, and for the farewell, as soon as our end is sent.
    pub(crate) room_at_end: Arc<AtomicBool>,
    /// It has no farewell.
    pub(crate) quiet: Arc<AtomicBool>,
}

struct Sealing {
    inner: Box<dyn Stream>,
    sealed: Sealed,
}

impl Sealed {
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Stream for Sealing {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.inner.register(token)
    }

    fn advance(&mut self) -> io::Result<Stage> {
        Ok(Stage::Live)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.sealed.room_at_read.load(Ordering::Relaxed) {
            self.sealed.held.store(0, Ordering::Relaxed);
        }
        self.inner.read(buf)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = bufs.iter().map(|buf| buf.len()).sum();
        self.sealed.held.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }

    fn held(&self) -> usize {
        self.sealed.held()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.sealed.room_at_flush.load(Ordering::Relaxed) {
            self.sealed.held.store(0, Ordering::Relaxed);
        }
        if self.sealed.held() > 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if self.sealed.room_at_end.load(Ordering::Relaxed) {
            self.sealed.held.store(0, Ordering::Relaxed);
        } else if self.says_goodbye() {
            self.sealed.held.fetch_add(26, Ordering::Relaxed);
            return Ok(());
        }
        self.inner.shutdown(how)
    }

    fn says_goodbye(&self) -> bool {
        !self.sealed.quiet.load(Ordering::Relaxed)
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        self.inner.set_abortive()
    }

    fn local_addr(&self) -> &Addr {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> &Addr {
        self.inner.peer_addr()
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.inner.buffer_sizes()
    }
}

/// A connection through it, whose stalls last a second.
pub(crate) fn sealed() -> (Desk, Sealed, Id) {
    let mut desk = Desk::with(|config| config.timeouts.write_stall = Some(Duration::from_secs(1)));
    let sealed = Sealed::default();
    let mut connect = Connect::new(addr(1));
    let own = sealed.clone();
    connect.layer = Some(Arc::new(move |inner| Box::new(Sealing { inner, sealed: own.clone() })));
    let id = desk.dial(connect);
    desk.far.up(0);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    (desk, sealed, id)
}
