//! What can go wrong on a TLS connection, in small enums.

use core::fmt;
use std::error::Error;
use std::io;

use rustls::{CertificateError, PeerIncompatible};

/// Why a handshake failed: small, `Copy`, and fit for a close reason or a counter's label.
///
/// The [`io::Error`] that a stream gives holds a [`HandshakeError`] with one of these and what rustls had to say;
/// [`HandshakeFailure::of`] finds it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The peer spoke plain HTTP to a TLS port.
    PlainHttp,
    /// The first bytes are no TLS record.
    NotTls,
    /// A record or a message could not be decoded or decrypted.
    Decode,
    /// A message came that the protocol forbids at this point.
    Misbehaved,
    /// No TLS version in common.
    NoCommonVersion,
    /// No cipher suite or signature scheme in common.
    NoCommonSuite,
    /// No key exchange group in common.
    NoCommonGroup,
    /// Both sides name application protocols (RFC 7301), and none is the same.
    NoCommonAlpn,
    /// The client asked for a server name that is not served here (RFC 6066 section 3).
    UnknownName,
    /// The closure that chooses the configuration refused.
    Refused,
    /// The ClientHello is longer than the limit.
    HelloTooLarge,
    /// The handshake after the ClientHello takes more bytes than the limit.
    TooManyBytes,
    /// The peer gave no certificate where one is required.
    CertRequired,
    /// The peer's certificate, or one in its chain, has expired.
    CertExpired,
    /// The peer's certificate, or one in its chain, is not valid yet.
    CertNotYetValid,
    /// The peer's certificate, or one in its chain, is revoked.
    CertRevoked,
    /// Whether the peer's certificate is revoked is unknown: no list of its issuer, or one that has expired.
    CertRevocationUnknown,
    /// The peer's certificate leads to no trusted root; a self-signed one does not.
    CertUnknownIssuer,
    /// The peer's certificate is meant for something else, as a server's is for a client.
    CertWrongPurpose,
    /// The server's certificate is for other names.
    CertWrongName,
    /// The peer's certificate is wrong in some other way: its encoding, signature or extensions.
    CertInvalid,
    /// The peer gave up and sent this alert (RFC 8446 section 6).
    PeerAlert(u8),
    /// The peer closed before the handshake was done.
    Eof,
    /// What came in plain was put back as unread while the connection went over to TLS.
    Plaintext,
    /// Anything else; the error has the text.
    Other,
}

impl HandshakeFailure {
    /// The failure inside an error that a stream's [`advance`](crate::net::Stream::advance) gave, if there is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<HandshakeError>()?;
        Some(inner.failure)
    }

    pub(super) fn from_rustls(error: &rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidMessage(_) | E::PeerSentOversizedRecord | E::DecryptError => Self::Decode,
            E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::PeerMisbehaved(_) => Self::Misbehaved,
            E::PeerIncompatible(why) => Self::from_incompatible(why),
            E::NoApplicationProtocol => Self::NoCommonAlpn,
            E::NoCertificatesPresented => Self::CertRequired,
            E::InvalidCertificate(why) => Self::from_certificate(why),
            E::AlertReceived(alert) => Self::PeerAlert(u8::from(*alert)),
            _ => Self::Other,
        }
    }

    fn from_incompatible(why: &PeerIncompatible) -> Self {
        use PeerIncompatible as P;
        match why {
            P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled
            | P::SupportedVersionsExtensionRequired
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::ServerDoesNotSupportTls12Or13 => Self::NoCommonVersion,
            P::NoCipherSuitesInCommon
            | P::NoSignatureSchemesInCommon
            | P::NoCertificateRequestSignatureSchemesInCommon
            | P::SignatureAlgorithmsExtensionRequired => Self::NoCommonSuite,
            P::NoKxGroupsInCommon
            | P::NoEcPointFormatsInCommon
            | P::NamedGroupsExtensionRequired
            | P::KeyShareExtensionRequired => Self::NoCommonGroup,
            _ => Self::Other,
        }
    }

    fn from_certificate(why: &CertificateError) -> Self {
        use CertificateError as C;
        match why {
            C::Expired | C::ExpiredContext { .. } => Self::CertExpired,
            C::NotValidYet | C::NotValidYetContext { .. } => Self::CertNotYetValid,
            C::Revoked => Self::CertRevoked,
            C::UnknownRevocationStatus
            | C::ExpiredRevocationList
            | C::ExpiredRevocationListContext { .. } => Self::CertRevocationUnknown,
            C::UnknownIssuer => Self::CertUnknownIssuer,
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => Self::CertWrongPurpose,
            C::NotValidForName | C::NotValidForNameContext { .. } => Self::CertWrongName,
            _ => Self::CertInvalid,
        }
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlainHttp => "plain HTTP on a TLS port",
            Self::NotTls => "not TLS",
            Self::Decode => "a message that cannot be decoded or decrypted",
            Self::Misbehaved => "message against the protocol",
            Self::NoCommonVersion => "no TLS version in common",
            Self::NoCommonSuite => "no cipher suite or signature scheme in common",
            Self::NoCommonGroup => "no key exchange group in common",
            Self::NoCommonAlpn => "no application protocol in common",
            Self::UnknownName => "a server name that is not served here",
            Self::Refused => "refused by the chooser",
            Self::HelloTooLarge => "ClientHello longer than hello_max",
            Self::TooManyBytes => "more bytes than handshake_max",
            Self::CertRequired => "no certificate from the peer",
            Self::CertExpired => "certificate expired",
            Self::CertNotYetValid => "certificate not valid yet",
            Self::CertRevoked => "certificate revoked",
            Self::CertRevocationUnknown => "revocation of the certificate unknown",
            Self::CertUnknownIssuer => "certificate of an unknown issuer",
            Self::CertWrongPurpose => "certificate for another purpose",
            Self::CertWrongName => "certificate for another name",
            Self::CertInvalid => "invalid certificate",
            Self::PeerAlert(code) => return write!(f, "alert {code} from the peer"),
            Self::Eof => "closed by the peer before the end",
            Self::Plaintext => "plaintext put back during the upgrade",
            Self::Other => "for another reason",
        })
    }
}

type Cause = Box<dyn Error + Send + Sync>;

/// A failed handshake, inside the [`io::Error`] of [`advance`](crate::net::Stream::advance).
#[derive(Debug)]
pub struct HandshakeError {
    failure: HandshakeFailure,
    cause: Option<Cause>,
}

impl HandshakeError {
    /// Why, in one word.
    #[must_use]
    pub fn failure(&self) -> HandshakeFailure {
        self.failure
    }

    pub(super) fn io(failure: HandshakeFailure, cause: Option<Cause>) -> io::Error {
        let kind = match failure {
            HandshakeFailure::Eof => io::ErrorKind::UnexpectedEof,
            HandshakeFailure::PeerAlert(_) => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, HandshakeError { failure, cause })
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS handshake failed: {}", self.failure)?;
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, " ({cause})"))
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Why a live TLS connection broke.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsFailure {
    /// A record that was damaged, forged, or not TLS.
    BadRecord,
    /// A message against the protocol, such as one more attempt to renegotiate.
    Misbehaved,
    /// Too many bytes in one go that carry nothing for the application.
    Barren,
    /// Our keys have protected as many records as they may, and TLS 1.2 cannot renew them.
    KeysUsedUp,
    /// The peer gave up and sent this alert (RFC 8446 section 6).
    PeerAlert(u8),
    /// Anything else; the error has the text.
    Other,
}

impl TlsFailure {
    pub(super) fn from_rustls(error: &rustls::Error) -> Self {
        match HandshakeFailure::from_rustls(error) {
            HandshakeFailure::Decode => Self::BadRecord,
            HandshakeFailure::Misbehaved => Self::Misbehaved,
            HandshakeFailure::PeerAlert(code) => Self::PeerAlert(code),
            _ => Self::Other,
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRecord => "a record that is damaged or forged",
            Self::Misbehaved => "message against the protocol",
            Self::Barren => "too many bytes without application data",
            Self::KeysUsedUp => "the keys are used up",
            Self::PeerAlert(code) => return write!(f, "alert {code} from the peer"),
            Self::Other => "for another reason",
        })
    }
}

/// A TLS connection that broke after its handshake, inside the [`io::Error`] of a read or write.
#[derive(Debug)]
pub struct TlsError {
    failure: TlsFailure,
    cause: Option<Cause>,
}

impl TlsError {
    /// Why, in one word.
    #[must_use]
    pub fn failure(&self) -> TlsFailure {
        self.failure
    }

    /// The failure inside an error that a read or write gave, if there is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<TlsFailure> {
        Some(error.get_ref()?.downcast_ref::<TlsError>()?.failure)
    }

    pub(super) fn io(failure: TlsFailure, cause: Option<Cause>) -> io::Error {
        let kind = match failure {
            TlsFailure::PeerAlert(_) => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, TlsError { failure, cause })
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS broken: {}", self.failure)?;
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, " ({cause})"))
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// A text that is neither a DNS name nor an IP address, so that no server can prove to be it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadServerName(Box<str>);

impl BadServerName {
    pub(crate) fn new(name: &str) -> Self {
        BadServerName(name.into())
    }

    /// The text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BadServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither a DNS name nor an IP address, so that no server can prove to be it",
            self.0
        )
    }
}

impl Error for BadServerName {}

/// The transport ended without a close_notify, inside an [`io::Error`] of kind `UnexpectedEof`: the peer crashed, or
/// somebody cut the stream short. What was read so far is authentic; that it is all there was is not.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TlsTruncated;

impl TlsTruncated {
    /// Whether this is what an error that a read gave is about.
    #[must_use]
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<TlsTruncated>)
    }

    pub(super) fn io() -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, TlsTruncated)
    }
}

impl fmt::Display for TlsTruncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS stream cut short: the transport ended without a close_notify")
    }
}

impl Error for TlsTruncated {}
