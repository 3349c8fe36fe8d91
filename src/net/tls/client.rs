//! The client's side of TLS.

use core::fmt;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NoKeyLog, RootCertStore};

use super::anyone::AcceptAnyone;
use super::config::TlsCommon;
use super::error::BadServerName;
use super::given::OrGiven;
use super::handshake::Opening;
use super::identity::Identity;
use super::info::{TlsInfo, TlsVersion};
use super::material::{Material, Problem, TlsConfigError};
use super::server::{LIMIT_MIN, trusted};
use super::session::Session;
use super::stream::TlsStream;
use super::time::TlsTime;
use super::upgrade::{ReadAhead, UpgradeError};
use crate::net::Stream;

/// Which servers a client trusts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerTrust {
    /// Those certified by these authorities, and a server that shows one of these certificates itself, an authority's or not (as `openssl req -x509`
    /// makes them): its name and times must be right all the same. Where there are [`lists`](ClientTlsConfig::lists), an authority's is no server's.
    Roots(Vec<Material>),
    /// Those certified by the authorities that the operating system trusts; read when the configuration is made.
    #[cfg(feature = "native-certs")]
    Native,
    /// Those certified by the authorities that Mozilla trusts, as compiled in.
    #[cfg(feature = "webpki-roots")]
    WebPki,
    /// Anyone: protects against those who only listen, and against nobody who can stand in the way.
    DangerousAnyone,
}

/// Configuration of a TLS client; [`ClientTls::new`] checks it and makes it usable.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientTlsConfig {
    /// Which servers are trusted.
    pub trust: ServerTrust,
    /// Revocation lists (RFC 5280 section 5) for the servers' certificates. Default none.
    pub lists: Vec<Material>,
    /// The certificate and key to show to a server that asks. Default none.
    pub identity: Option<Identity>,
    /// What servers and clients have in common.
    pub common: TlsCommon,
    /// Most bytes that a server may send before the handshake is done, from 512. Default 64 KiB: its certificates mostly. A connection in its
    /// handshake costs up to about twice this.
    pub handshake_max: usize,
}

impl ClientTlsConfig {
    /// Trusts `trust`, with the defaults.
    #[must_use]
    pub fn new(trust: ServerTrust) -> Self {
        ClientTlsConfig {
            trust,
            lists: Vec::new(),
            identity: None,
            common: TlsCommon::new(),
            handshake_max: 64 * 1024,
        }
    }

    /// Trusts servers certified by the authorities in `roots`.
    #[must_use]
    pub fn with_roots(roots: impl Into<Material>) -> Self {
        Self::new(ServerTrust::Roots(vec![roots.into()]))
    }

    /// Shows `identity` to a server that asks.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Other application protocols, the favourite first.
    #[must_use]
    pub fn with_alpn<P: Into<Vec<u8>>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        self.common.alpn = names.into_iter().map(Into::into).collect();
        self
    }

    /// Another clock.
    #[must_use]
    pub fn with_time(mut self, time: TlsTime) -> Self {
        self.common.time = Some(time);
        self
    }

    /// Other versions.
    #[must_use]
    pub fn with_versions(mut self, versions: impl Into<Vec<TlsVersion>>) -> Self {
        self.common.versions = versions.into();
        self
    }

    /// Another crypto provider.
    #[must_use]
    pub fn with_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.common.provider = provider;
        self
    }
}

/// What a server is to prove to be, checked once, so that no connection fails over it later.
#[derive(Clone)]
pub(crate) struct CheckedName {
    name: ServerName<'static>,
    text: Arc<str>,
}

impl CheckedName {
    pub(crate) fn new(name: &str) -> Result<Self, BadServerName> {
        let checked = ServerName::try_from(name.to_owned());
        let checked = checked.map_err(|_| BadServerName::new(name))?;
        Ok(CheckedName { name: checked, text: name.into() })
    }
}

/// The client's side of TLS: a checked configuration that makes TLS streams of dialled ones. A cheap handle; clones share the sessions
/// that can be resumed. In an engine, [`Connect::with_tls`](crate::Connect::with_tls) puts it to use.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    verifies: bool,
    handshake_max: usize,
}

impl ClientTls {
    /// Reads and checks all of `config`.
    ///
    /// # Errors
    /// What is wrong, and with which file.
    pub fn new(config: &ClientTlsConfig) -> Result<Self, TlsConfigError> {
        if config.handshake_max < LIMIT_MIN {
            return Err(TlsConfigError::new(Problem::BadLimit(
                "handshake_max must be at least 512 bytes",
            )));
        }
        let (time, now) = config.common.clock()?;
        let (provider, versions) = config.common.enabled()?;
        let identity = match &config.identity {
            Some(identity) => Some(identity.load(&provider, now)?),
            None => None,
        };
        let verifier = verifier(config, &provider)?;
        let builder = ClientConfig::builder_with_details(provider, time.provider())
            .with_protocol_versions(&versions)
            .map_err(|error| TlsConfigError::new(Problem::Unsupported(error)))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut made = match identity {
            None => builder.with_no_client_auth(),
            Some(loaded) => {
                let resolver = rustls::sign::SingleCertAndKey::from(loaded.certified);
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
        };
        made.alpn_protocols = config.common.alpn()?;
        made.key_log = config.common.key_log.clone().unwrap_or_else(|| Arc::new(NoKeyLog));
        made.resumption = if config.common.resumption {
            Resumption::in_memory_sessions(256)
        } else {
            Resumption::disabled()
        };
        let verifies = !matches!(config.trust, ServerTrust::DangerousAnyone);
        Ok(ClientTls { config: Arc::new(made), verifies, handshake_max: config.handshake_max })
    }

    /// Begins TLS on a dialled stream with a server that must prove to be `name`: a DNS name, which is sent to it (SNI), or an IP address, which
    /// is not. Where the stream leads to does not matter.
    ///
    /// # Errors
    /// Gives the stream back if `name` is no name, or there is no randomness for the first message.
    pub fn connect(&self, stream: Box<dyn Stream>, name: &str) -> Result<TlsStream, UpgradeError> {
        self.upgrade(stream, name, ReadAhead::MustBeEmpty(&[]))
    }

    /// The same with a name that is known to be one. If there is no randomness for the first message, the first step of the handshake says so.
    pub(crate) fn begin(&self, stream: Box<dyn Stream>, name: &CheckedName) -> TlsStream {
        match Session::client(Arc::clone(&self.config), name.name.clone()) {
            Err(error) => TlsStream::failed(stream, error),
            Ok(session) => self.open(stream, session, &name.text),
        }
    }

    fn open(&self, stream: Box<dyn Stream>, session: Session, name: &str) -> TlsStream {
        let info = TlsInfo::client(session, name.into(), self.verifies);
        let opening = Opening::Shaking { left: self.handshake_max };
        TlsStream::new(stream, opening, Some(info))
    }

    /// Whether `name` is one that a server can prove to be.
    pub(crate) fn is_name(name: &str) -> bool {
        ServerName::try_from(name).is_ok()
    }

    /// Begins TLS on a stream that has been in use (STARTTLS); see [`ServerTls::upgrade`](super::ServerTls::upgrade).
    ///
    /// # Errors
    /// Gives the stream back: as [`connect`](ClientTls::connect), or if there are bytes where there must be none.
    pub fn upgrade(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        ahead: ReadAhead<'_>,
    ) -> Result<TlsStream, UpgradeError> {
        let (stream, first) = ahead.check(stream)?;
        let session = ServerName::try_from(name.to_owned())
            .map_err(|_| rustls::Error::General(format!("{name:?} is no server name")))
            .and_then(|name| Session::client(Arc::clone(&self.config), name));
        match session {
            Err(error) => Err(UpgradeError::client(stream, error)),
            Ok(session) => Ok(self.open(stream, session, name).with_first(first)),
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("verifies", &self.verifies).finish_non_exhaustive()
    }
}

fn verifier(
    config: &ClientTlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsConfigError> {
    let (roots, given): (RootCertStore, _) = match &config.trust {
        ServerTrust::Roots(roots) => trusted(roots)?,
        #[cfg(feature = "native-certs")]
        ServerTrust::Native => (native_roots()?, Vec::new()),
        #[cfg(feature = "webpki-roots")]
        ServerTrust::WebPki => {
            (webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(), Vec::new())
        }
        ServerTrust::DangerousAnyone => {
            return Ok(Arc::new(AcceptAnyone::new(provider)));
        }
    };
    let mut builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    for list in &config.lists {
        builder = builder.with_crls(list.lists()?).enforce_revocation_expiration();
    }
    let verifier = builder.build();
    let verifier =
        verifier.map_err(|error| TlsConfigError::new(Problem::Verifier(error.to_string())))?;
    // No list speaks of a root: where they are asked, none is taken without.
    if given.is_empty() || !config.lists.is_empty() {
        return Ok(verifier);
    }
    Ok(Arc::new(OrGiven::new(verifier, given)))
}

#[cfg(feature = "native-certs")]
fn native_roots() -> Result<RootCertStore, TlsConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems have some that are out of order; the rest is good.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why =
        found.errors.first().map_or(Problem::NoRoots, |error| Problem::Verifier(error.to_string()));
    Err(TlsConfigError::new(why))
}
