//! A server that shows the very certificate that its client was given as a root.
//!
//! Plain `openssl req -x509` makes it an authority's (`basicConstraints=CA:TRUE`), and webpki takes no authority for a server, while others do. Who was
//! given a certificate itself needs no authority to vouch for it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::der::Certificate;

/// Verifies as webpki does, and takes for a server's, besides, an authority's certificate that is byte for byte one of those given: where its name and
/// times are right. That the server has its key is verified in either case.
#[derive(Debug)]
pub(super) struct OrGiven {
    webpki: Arc<WebPkiServerVerifier>,
    /// Of the roots that the caller gave, those that can be a server's.
    given: Vec<CertificateDer<'static>>,
}

impl OrGiven {
    pub(super) fn new(
        webpki: Arc<WebPkiServerVerifier>,
        mut given: Vec<CertificateDer<'static>>,
    ) -> Self {
        given.retain(|der| Certificate::parse(der).is_some_and(|it| it.is_authority_and_server()));
        OrGiven { webpki, given }
    }
}

/// Whether a certificate is valid at that time; rustls does not say so by itself.
fn judge_times(der: &[u8], now: UnixTime) -> Result<(), Error> {
    let certificate = Certificate::parse(der).ok_or(CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < certificate.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > certificate.not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

impl ServerCertVerifier for OrGiven {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        // That an authority is no server has no name of its own among the errors, and of those that are given it is the only one of this kind.
        let is_other =
            matches!(&verified, Err(Error::InvalidCertificate(CertificateError::Other(_))));
        if !is_other || !self.given.iter().any(|given| given == end_entity) {
            return verified;
        }
        judge_times(end_entity, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
