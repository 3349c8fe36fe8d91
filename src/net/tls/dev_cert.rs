//! A certificate for development, signed by itself.

use core::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

use super::config::ServerTlsConfig;
use super::identity::Identity;
use super::material::{Material, Problem, TlsConfigError};
use super::time::TlsTime;

/// A fresh self-signed certificate and its key, for development: nobody trusts it who was not given [`cert_pem`](DevCert::cert_pem).
#[derive(Clone)]
pub struct DevCert {
    cert: String,
    key: String,
}

impl DevCert {
    /// A certificate for `names` (DNS names or IP addresses), valid from a day before now for 90 days by `time`; its key is a fresh ECDSA P-256 one.
    /// It is made anew from true randomness each time, so runs that use one are not repeatable.
    ///
    /// ```
    /// use tymist::net::tls::{DevCert, ServerTls, ServerTlsConfig, TlsTime};
    ///
    /// let dev = DevCert::new(["localhost", "127.0.0.1"], &TlsTime::system())?;
    /// let tls = ServerTls::new(ServerTlsConfig::new(dev.identity()))?;
    /// println!("openssl s_client -connect … -CAfile dev.pem, with dev.pem:\n{}", dev.cert_pem());
    /// # Ok::<(), tymist::net::tls::TlsConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A name that is none, a clock that does not tell, or no randomness.
    pub fn new<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        time: &TlsTime,
    ) -> Result<Self, TlsConfigError> {
        const DAY: Duration = Duration::from_secs(86_400);
        let failed = |error: rcgen::Error| TlsConfigError::new(Problem::DevCert(error.to_string()));
        let now = time.now().ok_or_else(|| TlsConfigError::new(Problem::ClockFailed))?;
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        let epoch = date_time_ymd(1970, 1, 1);
        let now = epoch + Duration::from_secs(now.min(250_000_000_000));
        params.not_before = now - DAY;
        params.not_after = now + 90 * DAY;
        params.distinguished_name.push(DnType::CommonName, "tymist development");
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let key = KeyPair::generate().map_err(failed)?;
        let cert = params.self_signed(&key).map_err(failed)?;
        Ok(DevCert { cert: cert.pem(), key: key.serialize_pem() })
    }

    /// The certificate in PEM, to be given to clients as the authority to trust.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert
    }

    /// The private key in PEM.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// Certificate and key as a server's identity, for all names.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new(Material::bytes(self.cert.as_bytes()), Material::bytes(self.key.as_bytes()))
    }

    /// A server's configuration with this certificate and the defaults.
    #[must_use]
    pub fn server_config(&self) -> ServerTlsConfig {
        ServerTlsConfig::new(self.identity())
    }
}

/// Without the key.
impl core::fmt::Debug for DevCert {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DevCert").finish_non_exhaustive()
    }
}
