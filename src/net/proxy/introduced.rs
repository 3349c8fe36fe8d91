//! A stream that sends a header before all else.

use std::io::{self, IoSlice};

use super::header::ProxyHeader;
use crate::net::{Stage, Stream};

/// The dialling side: the header goes out in [`advance`](Stream::advance), before what lies above has its first word.
pub(crate) struct Introduced {
    inner: Box<dyn Stream>,
    header: ProxyHeader,
    sent: usize,
}

impl Introduced {
    pub(crate) fn new(inner: Box<dyn Stream>, header: ProxyHeader) -> Self {
        Introduced { inner, header, sent: 0 }
    }
}

impl Stream for Introduced {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        Some(&mut *self.inner)
    }

    fn advance(&mut self) -> io::Result<Stage> {
        if self.inner.advance()? == Stage::Handshaking {
            return Ok(Stage::Handshaking);
        }
        let left = &self.header.as_bytes()[self.sent..];
        if left.is_empty() {
            return Ok(Stage::Live);
        }
        let count = self.inner.write(&[IoSlice::new(left)])?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.sent += count;
        Ok(if count == left.len() { Stage::Live } else { Stage::Handshaking })
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }

    fn short_read_drains(&self) -> bool {
        self.inner.short_read_drains()
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write(bufs)
    }
}
