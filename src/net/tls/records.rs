//! Ciphertext between rustls and the stream below, in both directions: read where the caller's buffer has room, held where it does not go.

use std::io::{self, IoSlice};
use std::net::Shutdown;

use super::error::{TlsError, TlsFailure, TlsTruncated};
use super::stream::{BARREN_MAX, Phase, ReceiveHalf, SendHalf, TlsStream};
use crate::net::Stream;

/// Ciphertext read in one go in a handshake.
pub(super) const CHUNK: usize = 4096;
/// Most of a record that can be inside rustls, unread: a caller's buffer gets ciphertext behind this much room, so
/// that the plaintext of what is inside and of what was fed never reaches what was not.
pub(super) const HEADROOM: usize = 5 + 16_384 + 2_048;

/// What one read from the transport came to, in bytes.
pub(super) struct Progress {
    pub(super) plain: usize,
    pub(super) got: usize,
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

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
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

    pub(super) fn finish_send(&mut self) -> io::Result<()> {
        self.send_out()?;
        self.inner.flush()?;
        if self.send == SendHalf::Closing {
            self.send = SendHalf::Closed;
            let shut = self.inner.shutdown(Shutdown::Write);
            self.ignore_rest();
            return shut;
        }
        Ok(())
    }

    /// Once both halves are over, throws away what came behind the peer's close_notify (RFC 8446 section 6.1), within bounds: whoever drops the stream now
    /// would leave it unread, and the system's reset for that would destroy what is still on its way to the peer.
    pub(super) fn ignore_rest(&mut self) {
        let heard = self.info.as_ref().is_some_and(|info| info.session.closed_by_peer());
        let mut left = if heard && self.send == SendHalf::Closed { BARREN_MAX } else { 0 };
        let mut chunk = [0; CHUNK];
        while left > 0 {
            match self.inner.discard(&mut chunk) {
                Ok(count @ 1..) => left = left.saturating_sub(count),
                _ => return,
            }
        }
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
    pub(super) fn read_in_place(&mut self, buf: &mut [u8]) -> io::Result<Progress> {
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
    pub(super) fn read_chunk(&mut self, buf: &mut [u8]) -> io::Result<Progress> {
        let inner = &mut self.inner;
        let Some(info) = &mut self.info else { return Err(io::ErrorKind::NotConnected.into()) };
        let session = &mut info.session;
        let got = match session.fill(|room| inner.read(room)) {
            Ok(said) => said?,
            Err(error) => return Err(self.break_off(error)),
        };
        if got == 0 {
            return self.transport_ended();
        }
        let result = session.digest();
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
}

/// Whether the same call may succeed later.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
