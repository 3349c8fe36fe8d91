//! The middleware that logs.

use core::any::Any;
use core::fmt;
use std::io::{self, IoSlice};

use super::{Direction, WireLog};
use crate::net::Stream;

/// A stream that passes everything on and writes to a [`WireLog`] what moved.
pub struct Tap {
    inner: Box<dyn Stream>,
    /// `None` once it has been silenced.
    log: Option<WireLog>,
    /// It is what `set_wire_log` asked for, and not somebody's own middleware.
    asked_for: bool,
}

impl Tap {
    /// Logs what moves on `inner` to `log`.
    #[must_use]
    pub fn new(inner: Box<dyn Stream>, log: WireLog) -> Self {
        Tap { inner, log: Some(log), asked_for: false }
    }

    /// One that is [silenced](Tap::silence) when another log, or none, is asked for, wherever it is by then.
    pub(crate) fn asked_for(inner: Box<dyn Stream>, log: WireLog) -> Box<Self> {
        Box::new(Tap { inner, log: Some(log), asked_for: true })
    }

    /// The stream without its tap, if that is its outermost layer; otherwise the stream as it is.
    #[must_use]
    pub fn take_off(stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Self::split(stream).0
    }

    /// The stream without a log, and the log that there was. A tap that others were put around since stays where it is, and says no more.
    pub(crate) fn silence(stream: Box<dyn Stream>) -> (Box<dyn Stream>, Option<WireLog>) {
        let (mut stream, mut log) = Self::split(stream);
        let mut next = Some(&mut *stream);
        while let Some(layer) = next {
            let any: &mut dyn Any = &mut *layer;
            if let Some(tap) = any.downcast_mut::<Tap>().filter(|tap| tap.asked_for) {
                log = log.or(tap.log.take());
            }
            next = layer.below_mut();
        }
        (stream, log)
    }

    /// The stream without its outermost tap, and that one's log.
    fn split(stream: Box<dyn Stream>) -> (Box<dyn Stream>, Option<WireLog>) {
        if !(&*stream as &dyn Any).is::<Tap>() {
            return (stream, None);
        }
        let stream: Box<dyn Any> = stream;
        match stream.downcast::<Tap>() {
            Ok(tap) => (tap.inner, tap.log),
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
        if let Some(log) = &self.log
            && let Some(data) = buf.get(..count).filter(|data| !data.is_empty())
        {
            let data = [IoSlice::new(data)];
            log.record(Direction::Rx, self.inner.peer_addr(), &data, count);
        }
        Ok(count)
    }

    fn short_read_drains(&self) -> bool {
        self.inner.short_read_drains()
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.inner.write(bufs)?;
        if let Some(log) = &self.log
            && count > 0
            && count <= bufs.iter().map(|buf| buf.len()).sum()
        {
            log.record(Direction::Tx, self.inner.peer_addr(), bufs, count);
        }
        Ok(count)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("peer_addr", self.peer_addr()).finish_non_exhaustive()
    }
}
