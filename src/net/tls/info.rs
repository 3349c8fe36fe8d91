//! What a TLS connection has agreed, and with whom.

use core::fmt;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion};

use super::der::Certificate;
use super::session::Session;

/// A version of TLS.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::Tls12 => "TLS 1.2",
            TlsVersion::Tls13 => "TLS 1.3",
        })
    }
}

/// What a live TLS connection has agreed with its peer; from [`Stream::tls`](crate::net::Stream::tls).
///
/// It costs nothing to keep: each answer is read from the connection itself when asked for.
pub struct TlsInfo {
    pub(super) session: Session,
    /// The name that a client verifies, in text.
    name: Option<Box<str>>,
    /// Whether the peer's certificate, if it gave one, was verified.
    verified: bool,
}

impl TlsInfo {
    pub(super) fn server(session: Session, verified: bool) -> Self {
        TlsInfo { session, name: None, verified }
    }

    pub(super) fn client(session: Session, name: Box<str>, verified: bool) -> Self {
        TlsInfo { session, name: Some(name), verified }
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> TlsVersion {
        match self.session.version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
            _ => TlsVersion::Tls13,
        }
    }

    /// The cipher suite by its IANA name, as in `TLS_AES_128_GCM_SHA256`; empty for one that rustls has no name for.
    #[must_use]
    pub fn suite(&self) -> &'static str {
        match self.session.suite() {
            Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
            Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
            Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
            other => other.and_then(|suite| suite.as_str()).unwrap_or_default(),
        }
    }

    /// The IANA number of the cipher suite.
    #[must_use]
    pub fn suite_id(&self) -> u16 {
        self.session.suite().map_or(0, u16::from)
    }

    /// The key exchange group by its IANA name, as in `X25519`; `None` for a resumed TLS 1.2 session, which exchanged no keys.
    #[must_use]
    pub fn group(&self) -> Option<&'static str> {
        self.session.group().map(|group| group.as_str().unwrap_or_default())
    }

    /// The application protocol (ALPN, RFC 7301), if one was agreed.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn()
    }

    /// The server name: on a server what the client asked for (SNI), in lower case; on a client what it asked for and verified.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.session.asked_name())
    }

    /// Whether an earlier session was resumed, without certificates.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.session.resumed()
    }

    /// The peer's certificates in DER, its own first; empty if it gave none. A client's are never there without having been verified.
    #[must_use]
    pub fn peer_chain(&self) -> &[CertificateDer<'static>] {
        self.session.peer_chain()
    }

    /// Who the peer is by its certificate, if that was verified. Parsed at each call.
    #[must_use]
    pub fn peer_identity(&self) -> Option<PeerIdentity> {
        let leaf = self.peer_chain().first().filter(|_| self.verified)?;
        Certificate::parse(leaf).map(|certificate| certificate.identity())
    }

    /// Fills `output` with key material that only the two ends know, for binding another protocol to this connection
    /// (RFC 5705, RFC 8446 section 7.5). `None` for an empty `output`.
    #[must_use]
    pub fn export_keying_material<const N: usize>(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Option<[u8; N]> {
        self.session.export([0; N], label, context).ok()
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("version", &self.version())
            .field("suite", &self.suite())
            .field("group", &self.group())
            .field("alpn", &self.alpn().map(|name| name.escape_ascii().to_string()))
            .field("server_name", &self.server_name())
            .field("resumed", &self.resumed())
            .field("peer_identity", &self.peer_identity())
            .finish_non_exhaustive()
    }
}

/// The names in a verified certificate: its subjectAltName (RFC 5280 section 4.2.1.6) and what its subject adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerIdentity {
    /// The subject's common name, if it has one that is text. Not a name to authorize a server by.
    pub common_name: Option<String>,
    /// DNS names, as written.
    pub dns_names: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
    /// The serial number, big-endian as in the certificate.
    pub serial: Vec<u8>,
}
