//! The ClientHello: collected in exactly as much memory as it has bytes, and shown to who chooses the configuration.
//!
//! Until it is whole there is no rustls connection, so a peer that connects and stalls costs what it has sent.

use core::fmt;
use std::sync::Arc;

use rustls::server::ClientHello;

use super::error::HandshakeFailure;
use super::server::ServerTls;
use crate::net::Addr;

/// Content types of RFC 8446 section 5.1.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Longest ciphertext record that any version allows.
const RECORD_MAX: usize = 16_384 + 2_048;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// Memory grows in steps of so many bytes, so that a peer who sends single bytes does not cause a copy for each.
const GROW: usize = 512;

/// Alerts of RFC 8446 section 6 that this layer sends by itself, before rustls has seen the connection.
pub(super) mod alert {
    pub(crate) const UNEXPECTED_MESSAGE: u8 = 10;
    pub(crate) const RECORD_OVERFLOW: u8 = 22;
    pub(crate) const ILLEGAL_PARAMETER: u8 = 47;
    pub(crate) const ACCESS_DENIED: u8 = 49;
    pub(crate) const DECODE_ERROR: u8 = 50;
    pub(crate) const INTERNAL_ERROR: u8 = 80;
    pub(crate) const UNRECOGNIZED_NAME: u8 = 112;

    /// The record of a fatal alert, unencrypted.
    pub(crate) fn fatal(code: u8) -> [u8; 7] {
        [super::ALERT, 3, 3, 0, 2, 2, code]
    }
}

/// What the bytes so far amount to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    More,
    Whole,
    /// With the code of the alert to send.
    Bad(HandshakeFailure, u8),
}

/// The bytes before and of the ClientHello.
pub(super) struct Collector {
    bytes: Vec<u8>,
    max: usize,
    /// Where the next record begins.
    record: usize,
    /// Handshake payload in the records before that.
    payload: usize,
    /// The first four of those bytes: type and length of the message.
    header: [u8; MESSAGE_HEADER],
}

impl Collector {
    pub(super) fn new(max: usize) -> Self {
        Collector { bytes: Vec::new(), max, record: 0, payload: 0, header: [0; MESSAGE_HEADER] }
    }

    /// How many bytes there is still room for.
    pub(super) fn room(&self) -> usize {
        self.max.saturating_sub(self.bytes.len())
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(needed.next_multiple_of(GROW) - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Looks at what has come since the last time; each record once.
    pub(super) fn verdict(&mut self) -> Verdict {
        match self.walk() {
            Verdict::More if self.room() == 0 => {
                Verdict::Bad(HandshakeFailure::HelloTooLarge, alert::ILLEGAL_PARAMETER)
            }
            verdict => verdict,
        }
    }

    fn walk(&mut self) -> Verdict {
        while let Some(header) = self.bytes.get(self.record..).filter(|rest| !rest.is_empty()) {
            if let Some(bad) = self.check_header(header) {
                return bad;
            }
            let &[_, _, _, high, low, ref rest @ ..] = header else { return Verdict::More };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length == 0 {
                return Verdict::Bad(HandshakeFailure::Decode, alert::DECODE_ERROR);
            }
            if length > RECORD_MAX {
                return Verdict::Bad(HandshakeFailure::Decode, alert::RECORD_OVERFLOW);
            }
            let missing = self.header.iter_mut().skip(self.payload);
            let here = rest.len().min(length);
            for (slot, byte) in missing.zip(&rest[..here]) {
                *slot = *byte;
            }
            match self.check_message(self.payload + here) {
                Verdict::More | Verdict::Whole if here < length => return Verdict::More,
                Verdict::More => {}
                verdict => return verdict,
            }
            self.payload += length;
            self.record += RECORD_HEADER + length;
        }
        Verdict::More
    }

    /// Whether what stands at a record's place can be the header, or the beginning of one, of a handshake record.
    fn check_header(&self, header: &[u8]) -> Option<Verdict> {
        let tls = matches!(header[0], 20..=24) && header.get(1).is_none_or(|&major| major == 3);
        if !tls && self.record > 0 {
            return Some(Verdict::Bad(HandshakeFailure::Decode, alert::DECODE_ERROR));
        }
        if !tls {
            let failure = if looks_like_http(header) {
                HandshakeFailure::PlainHttp
            } else {
                HandshakeFailure::NotTls
            };
            return Some(Verdict::Bad(failure, alert::DECODE_ERROR));
        }
        (header[0] != HANDSHAKE)
            .then_some(Verdict::Bad(HandshakeFailure::Misbehaved, alert::UNEXPECTED_MESSAGE))
    }

    /// Judges by the message's header once `payload` bytes of the message are there.
    fn check_message(&self, payload: usize) -> Verdict {
        if payload == 0 {
            return Verdict::More;
        }
        let [kind, length @ ..] = self.header;
        if kind != CLIENT_HELLO {
            return Verdict::Bad(HandshakeFailure::Misbehaved, alert::UNEXPECTED_MESSAGE);
        }
        if payload < MESSAGE_HEADER {
            return Verdict::More;
        }
        let [high, middle, low] = length.map(usize::from);
        let message = MESSAGE_HEADER + (high << 16 | middle << 8 | low);
        if message + RECORD_HEADER > self.max {
            return Verdict::Bad(HandshakeFailure::HelloTooLarge, alert::ILLEGAL_PARAMETER);
        }
        if payload < message { Verdict::More } else { Verdict::Whole }
    }
}

/// Whether `bytes` are, or begin as, a request line of HTTP/1 or the preface of HTTP/2.
fn looks_like_http(bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 10] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"TRACE ",
        b"PATCH ",
        b"PRI ",
    ];
    METHODS.iter().any(|method| bytes.iter().zip(*method).all(|(byte, want)| byte == want))
}

/// A ClientHello and the two ends, for who [chooses](super::ServerTlsConfig::chooser) the configuration.
///
/// All of it is what the client claims; nothing is authenticated yet.
#[derive(Debug)]
pub struct Hello<'a> {
    pub(super) hello: &'a ClientHello<'a>,
    pub(super) local: &'a Addr,
    pub(super) peer: &'a Addr,
}

impl Hello<'_> {
    /// The name that the client asks for (SNI, RFC 6066 section 3), in lower case.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.hello.server_name()
    }

    /// The application protocols that the client offers, its favourite first (ALPN, RFC 7301).
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.hello.alpn().into_iter().flatten()
    }

    /// Our end.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        self.local
    }

    /// The client's end.
    #[must_use]
    pub fn peer_addr(&self) -> &Addr {
        self.peer
    }
}

/// What a [`Chooser`] decides.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Goes on with the configuration that asked.
    Same,
    /// Goes on with this one. Its own chooser is not asked.
    Use(ServerTls),
    /// Ends the handshake with the alert `access_denied` and [`HandshakeFailure::Refused`].
    Refuse,
}

/// Chooses the configuration of one connection; called once per ClientHello, within the tick, so it should be quick.
#[derive(Clone)]
pub struct Chooser(Arc<dyn Fn(&Hello<'_>) -> Choice + Send + Sync>);

impl Chooser {
    /// A chooser that asks `choose`.
    pub fn new(choose: impl Fn(&Hello<'_>) -> Choice + Send + Sync + 'static) -> Self {
        Chooser(Arc::new(choose))
    }

    pub(super) fn choose(&self, hello: &Hello<'_>) -> Choice {
        (self.0)(hello)
    }
}

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chooser")
    }
}
