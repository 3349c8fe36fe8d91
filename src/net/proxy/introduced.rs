//! A stream that sends a header before all else.

use std::io::{self, IoSlice};

use super::header::ProxyHeader;
use super::stream::pass_on;
use crate::net::{Addr, BufferSizes, Stage, Stream, Token};

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

    fn discard(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.discard(buf)
    }

    fn peer_addr(&self) -> &Addr {
        self.inner.peer_addr()
    }

    pass_on!();
}
