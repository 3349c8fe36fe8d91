//! The middleware that logs.

use core::any::Any;
use core::fmt;
use std::io::{self, IoSlice};

use super::{Direction, WireLog};
use crate::net::Stream;

/// A stream that passes everything on and writes to a [`WireLog`] what moved.
pub struct Tap {
    inner: Box<dyn Stream>,
    log: WireLog,
}

impl Tap {
    /// Logs what moves on `inner` to `log`.
    #[must_use]
    pub fn new(inner: Box<dyn Stream>, log: WireLog) -> Self {
        Tap { inner, log }
    }

    /// The stream without its tap, if that is its outermost layer; otherwise the stream as it is.
    #[must_use]
    pub fn take_off(stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Self::split(stream).0
    }

    /// The same, with the log that it wrote to.
    pub(crate) fn split(stream: Box<dyn Stream>) -> (Box<dyn Stream>, Option<WireLog>) {
        if !(&*stream as &dyn Any).is::<Tap>() {
            return (stream, None);
        }
        let stream: Box<dyn Any> = stream;
        match stream.downcast::<Tap>() {
            Ok(tap) => (tap.inner, Some(tap.log)),
            Err(_) => unreachable!("it was just seen to be one"),
        }
    }
}

impl Stream for Tap {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        Some(&mut *self.inner)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        // More than there was room for is the engine's to judge.
        if let Some(data) = buf.get(..count).filter(|data| !data.is_empty()) {
            let data = [IoSlice::new(data)];
            self.log.record(Direction::Rx, self.inner.peer_addr(), &data, count);
        }
        Ok(count)
    }

    fn short_read_drains(&self) -> bool {
        self.inner.short_read_drains()
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.inner.write(bufs)?;
        if count > 0 && count <= bufs.iter().map(|buf| buf.len()).sum() {
            self.log.record(Direction::Tx, self.inner.peer_addr(), bufs, count);
        }
        Ok(count)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("peer_addr", self.peer_addr()).finish_non_exhaustive()
    }
}
