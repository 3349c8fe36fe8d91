//! A TLS connection over another stream: the [`Stream`] methods of the live connection.

use core::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;

use super::error::{HandshakeError, HandshakeFailure, TlsError, TlsFailure, TlsTruncated};
use super::handshake::Opening;
use super::info::TlsInfo;
use super::records::{HEADROOM, Held, Progress, is_passing};
use crate::net::{Stage, Stream};

/// Ciphertext that one read works through without any plaintext coming of it.
pub(super) const BARREN_MAX: usize = 256 * 1024;
/// Bytes that could be read plain in the time that it takes to open a record, whatever is in it.
const OPENING: usize = 1024;

/// A TLS connection: wraps a stream and is one.
///
/// Made by [`ServerTls`](super::ServerTls) or [`ClientTls`](super::ClientTls). It is usable once
/// [`advance`](Stream::advance) has said [`Stage::Live`]; a read must be tried then, since what came with the
/// last handshake message is inside already. Its end is a close_notify: [`shutdown`](Stream::shutdown) sends one, and
/// a transport that ends without one is [`TlsTruncated`], never `Ok(0)`. Dropping it without a shutdown sends none, so that
/// the peer can tell an abort.
///
/// Halves close one by one in both orders: after our close_notify the peer's bytes still arrive, and after the peer's
/// ours still leave. What comes behind the peer's is thrown away.
pub struct TlsStream {
    pub(super) inner: Box<dyn Stream>,
    pub(super) phase: Phase,
    /// The connection and what it tells; `None` until the ClientHello is whole.
    pub(super) info: Option<TlsInfo>,
    pub(super) held: Held,
    pub(super) send: SendHalf,
    pub(super) receive: ReceiveHalf,
    /// Ciphertext that no plaintext came of, since somebody asked: headers, tags, padding, all of a record without any.
    empty: usize,
}

/// How far a connection has come.
pub(super) enum Phase {
    Opening(Box<Opening>),
    Live,
    /// The handshake failed; only an alert may still wait to go out.
    Failed(HandshakeFailure),
    /// The live connection broke; likewise.
    Broken(TlsFailure),
}

#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum SendHalf {
    Open,
    /// The close_notify is made; the transport's half closes once everything held has left.
    Closing,
    Closed,
}

#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum ReceiveHalf {
    Open,
    /// We closed it ourselves.
    Shut,
    Truncated,
}

impl TlsStream {
    pub(super) fn new(inner: Box<dyn Stream>, opening: Opening, info: Option<TlsInfo>) -> Self {
        TlsStream {
            inner,
            phase: Phase::Opening(Box::new(opening)),
            info,
            held: Held::default(),
            send: SendHalf::Open,
            receive: ReceiveHalf::Open,
            empty: 0,
        }
    }

    /// One that could not even begin; its first step says why.
    pub(super) fn failed(inner: Box<dyn Stream>, error: rustls::Error) -> Self {
        TlsStream::new(inner, Opening::Unable { error }, None)
    }

    fn broken(failure: TlsFailure) -> io::Error {
        TlsError::io(failure, None)
    }

    /// `None` if the connection is live, otherwise what a read or write gets instead.
    fn not_live(&self) -> Option<io::Error> {
        match self.phase {
            Phase::Live => None,
            Phase::Opening(_) => Some(io::ErrorKind::WouldBlock.into()),
            Phase::Failed(failure) => Some(HandshakeError::io(failure, None)),
            Phase::Broken(failure) => Some(Self::broken(failure)),
        }
    }
}

impl Stream for TlsStream {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        Some(&mut *self.inner)
    }

    fn advance(&mut self) -> io::Result<Stage> {
        self.step()
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.receive == ReceiveHalf::Shut {
            return Ok(0);
        }
        let mut barren = 0;
        while let Some(info) = &mut self.info {
            let plain = info.session.read(buf);
            if plain > 0 {
                return Ok(plain);
            }
            if let Some(error) = self.not_live() {
                return Err(error);
            }
            if self.info.as_ref().is_some_and(|info| info.session.closed_by_peer()) {
                self.ignore_rest();
                return Ok(0);
            }
            if self.receive == ReceiveHalf::Truncated {
                return Err(TlsTruncated::io());
            }
            let in_place = buf.len() >= 2 * HEADROOM;
            match if in_place { self.read_in_place(buf) } else { self.read_chunk(buf) } {
                Ok(Progress { plain, got }) => {
                    self.empty = self.empty.saturating_add(got.saturating_sub(plain));
                    if plain > 0 {
                        return Ok(plain);
                    }
                    barren += got;
                }
                Err(error) => {
                    if let Some(info) = &mut self.info
                        && error.kind() == io::ErrorKind::WouldBlock
                    {
                        info.session.shrink();
                    }
                    return Err(error);
                }
            }
            if barren > BARREN_MAX {
                self.phase = Phase::Broken(TlsFailure::Barren);
            }
        }
        Err(self.not_live().unwrap_or_else(|| io::ErrorKind::NotConnected.into()))
    }

    fn discard(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // While it is live, its end must still be told from a truncation.
        if matches!(self.phase, Phase::Live) { self.read(buf) } else { self.inner.discard(buf) }
    }

    fn overhead(&mut self) -> usize {
        let records = self.info.as_mut().map_or(0, |info| info.session.take_records());
        let own = core::mem::take(&mut self.empty).saturating_add(records.saturating_mul(OPENING));
        own.saturating_add(self.inner.overhead())
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(error) = self.not_live() {
            return Err(error);
        }
        if self.send != SendHalf::Open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.held.is_empty() {
            self.send_out()?;
        }
        let Some(info) = &mut self.info else { return Err(io::ErrorKind::NotConnected.into()) };
        if info.session.is_used_up() {
            self.phase = Phase::Broken(TlsFailure::KeysUsedUp);
            return Err(Self::broken(TlsFailure::KeysUsedUp));
        }
        let taken = info.session.write(bufs)?;
        self.send_some()?;
        Ok(taken)
    }

    fn held(&self) -> usize {
        self.held.len() + self.inner.held()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.finish_send()
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.receive = ReceiveHalf::Shut;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) && self.send == SendHalf::Open {
            // A connection that broke has sent its alert, and is not to look as if it had come to a good end.
            let broken = matches!(self.phase, Phase::Broken(_));
            if let Some(info) = self.info.as_mut().filter(|_| !broken) {
                info.session.close();
            }
            self.send = SendHalf::Closing;
            match self.finish_send() {
                Err(error) if is_passing(&error) => {}
                result => result?,
            }
        }
        if how == Shutdown::Write { Ok(()) } else { self.inner.shutdown(Shutdown::Read) }
    }

    fn says_goodbye(&self) -> bool {
        true
    }

    fn tls(&self) -> Option<&TlsInfo> {
        match self.phase {
            Phase::Live | Phase::Broken(_) => self.info.as_ref(),
            Phase::Opening(_) | Phase::Failed(_) => None,
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Opening(_) => "opening",
            Phase::Live => "live",
            Phase::Failed(_) => "failed",
            Phase::Broken(_) => "broken",
        };
        f.debug_struct("TlsStream")
            .field("peer", self.peer_addr())
            .field("phase", &phase)
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}
