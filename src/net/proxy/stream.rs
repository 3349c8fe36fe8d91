//! A stream that begins with a header.

use core::fmt;
use std::io::{self, IoSlice};

use super::error::ProxyFailure;
use super::header::ProxyVersion;
use super::parse::{Said, Tlvs, parse};
use crate::net::{Addr, Stage, Stream};

/// Bytes read at once while the header is on its way.
const CHUNK: usize = 512;

/// What a proxy has told of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    proxy: Addr,
    said: Said,
}

impl Proxied {
    /// The proxy's own end: where the connection came from.
    #[must_use]
    pub fn proxy_addr(&self) -> &Addr {
        &self.proxy
    }

    /// Whom it is for; `None` for the proxy's own (`LOCAL`), and where it does not say.
    #[must_use]
    pub fn source(&self) -> Option<&Addr> {
        self.said.ends.as_ref().map(|(source, _)| source)
    }

    /// Where that one has connected to.
    #[must_use]
    pub fn destination(&self) -> Option<&Addr> {
        self.said.ends.as_ref().map(|(_, destination)| destination)
    }

    /// In which version it said so.
    #[must_use]
    pub fn version(&self) -> ProxyVersion {
        self.said.version
    }

    /// The fields behind the addresses, in order: type and value, as they came. Version 2 only.
    #[must_use]
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs(&self.said.tlvs)
    }

    /// The value of the first field of this type.
    #[must_use]
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs().find(|tlv| tlv.0 == kind).map(|tlv| tlv.1)
    }
}

/// A stream that begins with a PROXY header, which it takes off.
///
/// [`advance`](Stream::advance) reads the header; once it is live, [`peer_addr`](Stream::peer_addr) is the true source and [`proxied`](Stream::proxied) tells
/// the rest. Until then nothing above it can be read.
pub struct ProxyStream {
    inner: Box<dyn Stream>,
    state: State,
}

enum State {
    Reading(Box<Reading>),
    Told(Box<Told>),
    Failed(ProxyFailure),
}

struct Reading {
    max: usize,
    bytes: Vec<u8>,
}

struct Told {
    proxied: Proxied,
    /// What came behind the header and was not read yet.
    ahead: Vec<u8>,
    taken: usize,
    /// What the stream below said when it was asked for more than that.
    error: Option<io::Error>,
}

impl ProxyStream {
    /// Expects a header on `inner`, of `max` bytes at most.
    #[must_use]
    pub fn new(inner: Box<dyn Stream>, max: usize) -> Self {
        let reading = Reading { max, bytes: Vec::new() };
        ProxyStream { inner, state: State::Reading(Box::new(reading)) }
    }

    /// Takes one step towards the end of the header.
    fn step(&mut self) -> io::Result<Stage> {
        let reading = match &mut self.state {
            State::Told(_) => return Ok(Stage::Live),
            State::Failed(failure) => return Err(failure.io()),
            State::Reading(reading) => reading,
        };
        let mut chunk = [0; CHUNK];
        let count = self.inner.read(&mut chunk)?;
        if count == 0 {
            return Err(self.fail(ProxyFailure::Eof));
        }
        reading.bytes.extend_from_slice(&chunk[..count]);
        match parse(&reading.bytes, reading.max) {
            Ok(None) => Ok(Stage::Handshaking),
            Ok(Some((said, len))) => {
                let ahead = reading.bytes.split_off(len);
                let proxied = Proxied { proxy: self.inner.peer_addr().clone(), said };
                let told = Told { proxied, ahead, taken: 0, error: None };
                self.state = State::Told(Box::new(told));
                Ok(Stage::Live)
            }
            Err(failure) => Err(self.fail(failure)),
        }
    }

    fn fail(&mut self, failure: ProxyFailure) -> io::Error {
        self.state = State::Failed(failure);
        failure.io()
    }
}

impl Told {
    /// Reads what came behind the header, and what lies below if there is room for more, so that a short read means what it means there.
    fn read(&mut self, inner: &mut dyn Stream, buf: &mut [u8]) -> io::Result<usize> {
        let ahead = &self.ahead[self.taken..];
        let count = ahead.len().min(buf.len());
        buf[..count].copy_from_slice(&ahead[..count]);
        self.taken += count;
        if self.taken < self.ahead.len() {
            return Ok(count);
        }
        (self.ahead, self.taken) = (Vec::new(), 0);
        if count == buf.len() {
            return Ok(count);
        }
        match inner.read(&mut buf[count..]) {
            Ok(more) => Ok(count + more),
            Err(error) if count == 0 => Err(error),
            Err(error) => {
                let passing =
                    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                self.error = Some(error).filter(|_| !passing);
                Ok(count)
            }
        }
    }
}

impl Stream for ProxyStream {
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
        self.step()
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        // A layer above that takes no steps of its own still gets what is behind the header only.
        while self.step()? == Stage::Handshaking {}
        match &mut self.state {
            State::Told(told) if !told.ahead.is_empty() => told.read(&mut *self.inner, buf),
            State::Told(told) => match told.error.take() {
                Some(error) => Err(error),
                None => self.inner.read(buf),
            },
            State::Reading(_) | State::Failed(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn discard(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.state {
            State::Told(_) => self.read(buf),
            State::Reading(_) | State::Failed(_) => self.inner.discard(buf),
        }
    }

    fn short_read_drains(&self) -> bool {
        self.inner.short_read_drains()
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write(bufs)
    }

    fn proxied(&self) -> Option<&Proxied> {
        match &self.state {
            State::Told(told) => Some(&told.proxied),
            State::Reading(_) | State::Failed(_) => None,
        }
    }

    fn peer_addr(&self) -> &Addr {
        let told = self.proxied().and_then(Proxied::source);
        told.unwrap_or_else(|| self.inner.peer_addr())
    }
}

impl fmt::Debug for ProxyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyStream")
            .field("peer", self.peer_addr())
            .field("proxied", &self.proxied())
            .finish_non_exhaustive()
    }
}
