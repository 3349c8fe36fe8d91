//! A TLS connection over another stream: the [`Stream`] methods of the live connection.

use core::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;

use super::error::{HandshakeError, HandshakeFailure, TlsError, TlsFailure, TlsTruncated};
use super::handshake::Opening;
use super::info::TlsInfo;
use crate::net::{Stage, Stream};

/// Ciphertext read in one go where the caller's buffer is too small to be used for it.
pub(super) const CHUNK: usize = 4096;
/// Most of a record that can be inside rustls, unread: a caller's buffer gets ciphertext behind this much room, so
/// that the plaintext of what is inside and of what was fed never reaches what was not.
const HEADROOM: usize = 5 + 16_384 + 2_048;
/// Ciphertext that one read works through without any plaintext coming of it.
const BARREN_MAX: usize = 256 * 1024;

/// A TLS connection: wraps a stream and is one.
///
/// Made by [`ServerTls`](super::ServerTls) or [`ClientTls`](super::ClientTls). It is usable once
/// [`advance`](Stream::advance) has said [`Stage::Live`]; a read must be tried then, since what came with the
/// last handshake message is inside already. Its end is a close_notify: [`shutdown`](Stream::shutdown) sends one, and
/// a transport that ends without one is [`TlsTruncated`], never `Ok(0)`. Dropping it without a shutdown sends none, so that
/// the peer can tell an abort.
///
/// Halves close one by one in both orders: after our close_notify the peer's bytes still arrive, and after the peer's
/// ours still leave.
pub struct TlsStream {
    pub(super) inner: Box<dyn Stream>,
    pub(super) phase: Phase,
    /// The connection and what it tells; `None` until the ClientHello is whole.
    pub(super) info: Option<TlsInfo>,
    pub(super) held: Held,
    send: SendHalf,
    receive: ReceiveHalf,
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
enum SendHalf {
    Open,
    /// The close_notify is made; the transport's half closes once everything held has left.
    Closing,
    Closed,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum ReceiveHalf {
    Open,
    /// We closed it ourselves.
    Shut,
    Truncated,
}

/// What one read from the transport came to, in bytes.
struct Progress {
    plain: usize,
    got: usize,
}

/// Ciphertext that the transport did not take, in order. Empty, and without memory, in the common case.
#[derive(Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    sent: usize,
}

impl Held {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn send(&mut self, inner: &mut dyn Stream) -> io::Result<()> {
        while !self.is_empty() {
            let sent = inner.write(&[IoSlice::new(&self.bytes[self.sent..])])?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += sent;
        }
        *self = Held::default();
        Ok(())
    }
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
        }
    }

    /// One that could not even begin; its first step says why.
    pub(super) fn failed(inner: Box<dyn Stream>, error: rustls::Error) -> Self {
        TlsStream::new(inner, Opening::Unable { error }, None)
    }

    /// Sends what is held and what the connection has to send; what does not go is held. Afterwards the connection has
    /// nothing to send inside, so `held` tells all.
    pub(super) fn send_out(&mut self) -> io::Result<()> {
        let sent = self.held.send(&mut *self.inner);
        let Some(info) = &mut self.info else { return sent };
        let session = &mut info.session;
        let mut result = sent;
        while session.has_ciphertext() {
            let inner = &mut *self.inner;
            let held = &mut self.held;
            let blocked = result.is_err();
            let taken = session.take(&mut |bufs| {
                if !blocked {
                    return inner.write(bufs);
                }
                bufs.iter().for_each(|buf| held.push(buf));
                Ok(bufs.iter().map(|buf| buf.len()).sum())
            });
            match taken {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// As [`send_out`](Self::send_out), where a transport that takes nothing now is no failure: what it did not take is held.
    pub(super) fn send_some(&mut self) -> io::Result<()> {
        match self.send_out() {
            Err(error) if is_passing(&error) => Ok(()),
            result => result,
        }
    }

    fn finish_send(&mut self) -> io::Result<()> {
        self.send_out()?;
        self.inner.flush()?;
        if self.send == SendHalf::Closing {
            self.send = SendHalf::Closed;
            return self.inner.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// Ends the connection for good over what the peer sent; rustls has made the alert, which goes out now or is held.
    fn break_off(&mut self, error: rustls::Error) -> io::Error {
        let failure = TlsFailure::from_rustls(&error);
        self.phase = Phase::Broken(failure);
        // The error at hand says more than one of sending the alert.
        let _ = self.send_out();
        TlsError::io(failure, Some(Box::new(error)))
    }

    /// Reads ciphertext into `buf` behind the headroom, and makes of it plaintext at its front: one system call for
    /// as much as the buffer holds, and no copy of the ciphertext but rustls's own.
    fn read_in_place(&mut self, buf: &mut [u8]) -> io::Result<Progress> {
        let got = self.inner.read(&mut buf[HEADROOM..])?;
        if got == 0 {
            return self.transport_ended();
        }
        let Some(info) = &mut self.info else { return Ok(Progress { plain: 0, got }) };
        let session = &mut info.session;
        let (mut plain, mut fed) = (0, 0);
        while fed < got {
            let (done, rest) = buf.split_at_mut(HEADROOM + fed);
            let result = session.feed(&rest[..got - fed]);
            plain += session.read(&mut done[plain..]);
            match result {
                Ok(taken) => fed += taken,
                Err(error) => {
                    let error = self.break_off(error);
                    // What came before the bad record is good; the error comes again at the next read.
                    return if plain > 0 { Ok(Progress { plain, got }) } else { Err(error) };
                }
            }
        }
        let _ = self.send_some();
        Ok(Progress { plain, got })
    }

    /// The same for a small `buf`. What does not fit stays inside for the next read.
    fn read_chunk(&mut self, buf: &mut [u8]) -> io::Result<Progress> {
        let mut chunk = [0; CHUNK];
        let got = self.inner.read(&mut chunk)?;
        if got == 0 {
            return self.transport_ended();
        }
        let Some(info) = &mut self.info else { return Ok(Progress { plain: 0, got }) };
        let session = &mut info.session;
        let mut fed = 0;
        let mut result = Ok(());
        while fed < got && result.is_ok() {
            result = session.feed(&chunk[fed..got]).map(|taken| fed += taken);
        }
        let plain = session.read(buf);
        match result {
            Ok(()) => {
                let _ = self.send_some();
                Ok(Progress { plain, got })
            }
            Err(error) => {
                let error = self.break_off(error);
                if plain > 0 { Ok(Progress { plain, got }) } else { Err(error) }
            }
        }
    }

    fn transport_ended(&mut self) -> io::Result<Progress> {
        self.receive = ReceiveHalf::Truncated;
        Err(TlsTruncated::io())
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

/// Whether the same call may succeed later.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
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
                return Ok(0);
            }
            if self.receive == ReceiveHalf::Truncated {
                return Err(TlsTruncated::io());
            }
            let in_place = buf.len() >= 2 * HEADROOM;
            match if in_place { self.read_in_place(buf) } else { self.read_chunk(buf) } {
                Ok(Progress { plain: 0, got }) => barren += got,
                Ok(Progress { plain, .. }) => return Ok(plain),
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
