//! What is common to the configuration of servers and clients, and that of servers.

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, KeyLog, SupportedProtocolVersion};

use super::hello::Chooser;
use super::identity::Identity;
use super::info::TlsVersion;
use super::material::{Material, Problem, TlsConfigError};
use super::time::TlsTime;

/// The crypto provider that is used unless another is given: ring, with the suites and groups that rustls recommends.
///
/// Never the default of the process, which any other library may have set.
#[must_use]
pub fn ring_provider() -> Arc<CryptoProvider> {
    // One for all, so that configurations can tell that they have the same.
    static RING: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(RING.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// The aws-lc-rs provider, with the post-quantum key exchange X25519MLKEM768 as the favourite.
#[cfg(feature = "aws-lc-rs")]
#[must_use]
pub fn aws_lc_rs_provider() -> Arc<CryptoProvider> {
    use rustls::crypto::aws_lc_rs;
    let mut provider = aws_lc_rs::default_provider();
    let hybrid = aws_lc_rs::kx_group::X25519MLKEM768;
    provider.kx_groups.retain(|group| group.name() != hybrid.name());
    provider.kx_groups.insert(0, hybrid);
    Arc::new(provider)
}

/// Whether clients give certificates, and whom to trust then.
///
/// Default none: a server that should verify its clients says so.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// Clients are not asked for a certificate.
    #[default]
    None,
    /// Clients are asked; one that gives none is let in without an identity, one that gives a bad one is not.
    Optional(ClientTrust),
    /// Clients must give a certificate.
    Required(ClientTrust),
}

/// Which client certificates are trusted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientTrust {
    /// Certificates of the authorities that issue client certificates.
    pub roots: Vec<Material>,
    /// Revocation lists (RFC 5280 section 5). With any of them each certificate of a chain is checked.
    pub lists: Vec<Material>,
    /// Let in a certificate of an issuer that no list is from. Default off: unknown is refused.
    pub allow_unknown_revocation: bool,
    /// Go on with a list that is past its next update. Default off: what it says is unknown then.
    pub allow_expired_lists: bool,
}

impl ClientTrust {
    /// Trusts what the authorities in `roots` have issued.
    pub fn new(roots: impl Into<Material>) -> Self {
        ClientTrust {
            roots: vec![roots.into()],
            lists: Vec::new(),
            allow_unknown_revocation: false,
            allow_expired_lists: false,
        }
    }

    /// The same with the revocation lists in `lists`.
    #[must_use]
    pub fn with_lists(mut self, lists: impl Into<Material>) -> Self {
        self.lists.push(lists.into());
        self
    }
}

/// What servers and clients have in common.
#[derive(Clone)]
#[non_exhaustive]
pub struct TlsCommon {
    /// Cryptography. Default [`ring_provider`]. The key exchange groups are those of the provider, in its order.
    pub provider: Arc<CryptoProvider>,
    /// What certificates and tickets are judged by. Default the system's clock where there is one; without the feature `os`
    /// it has to be given.
    pub time: Option<TlsTime>,
    /// Versions that may be agreed. Default TLS 1.2 and 1.3.
    pub versions: Vec<TlsVersion>,
    /// Cipher suites that may be agreed, out of those that the provider has. Default `None`: all of them.
    pub suites: Option<Vec<CipherSuite>>,
    /// Application protocols (ALPN, RFC 7301), the favourite first, of 1 to 255 bytes each. Default none. A peer that names only others is refused; one
    /// that names none is let in.
    pub alpn: Vec<Vec<u8>>,
    /// Whether sessions may be resumed. Default on. A server does so with tickets, which cost it no memory, and never where it
    /// asks for client certificates; a client remembers up to 256 sessions, about 1 KiB each.
    pub resumption: bool,
    /// Where to log secrets for the decryption of captures, such as a [`rustls::KeyLogFile`]. Default nowhere. Whoever reads the log
    /// reads the traffic.
    pub key_log: Option<Arc<dyn KeyLog>>,
}

impl TlsCommon {
    pub(super) fn new() -> Self {
        TlsCommon {
            provider: ring_provider(),
            time: TlsTime::default_clock(),
            versions: vec![TlsVersion::Tls12, TlsVersion::Tls13],
            suites: None,
            alpn: Vec::new(),
            resumption: true,
            key_log: None,
        }
    }

    pub(super) fn clock(&self) -> Result<(TlsTime, u64), TlsConfigError> {
        let time = self.time.clone().ok_or_else(|| TlsConfigError::new(Problem::NoClock))?;
        let now = time.now().ok_or_else(|| TlsConfigError::new(Problem::ClockFailed))?;
        Ok((time, now))
    }

    /// The application protocols, which have to fit into their message (RFC 7301 section 3.1): whoever has it made does not look.
    pub(super) fn alpn(&self) -> Result<Vec<Vec<u8>>, TlsConfigError> {
        let bad = |what| Err(TlsConfigError::new(Problem::BadAlpn(what)));
        if self.alpn.iter().any(|name| name.is_empty() || name.len() > 255) {
            return bad("the name of an application protocol (ALPN) has 1 to 255 bytes");
        }
        // With the length of each. All extensions together have 64 KiB, and the others need some.
        if self.alpn.iter().map(|name| name.len() + 1).sum::<usize>() > 32 * 1024 {
            return bad(
                "the names of all application protocols (ALPN) together have at most 32 KiB",
            );
        }
        Ok(self.alpn.clone())
    }

    /// The provider with the chosen suites, and the versions, of which at least one can be agreed on.
    pub(super) fn enabled(
        &self,
    ) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), TlsConfigError> {
        let mut provider = Arc::clone(&self.provider);
        if let Some(suites) = &self.suites {
            let provider = Arc::make_mut(&mut provider);
            provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
        }
        let usable = |version: &'static SupportedProtocolVersion| {
            provider.cipher_suites.iter().any(|suite| suite.version() == version)
        };
        let versions: Vec<_> = [
            (TlsVersion::Tls13, &rustls::version::TLS13),
            (TlsVersion::Tls12, &rustls::version::TLS12),
        ]
        .into_iter()
        .filter(|(version, supported)| self.versions.contains(version) && usable(supported))
        .map(|(_, supported)| supported)
        .collect();
        if versions.is_empty() {
            return Err(TlsConfigError::new(Problem::NothingEnabled));
        }
        Ok((provider, versions))
    }
}

impl fmt::Debug for TlsCommon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsCommon")
            .field("time", &self.time)
            .field("versions", &self.versions)
            .field("suites", &self.suites)
            .field("alpn", &self.alpn)
            .field("resumption", &self.resumption)
            .field("key_log", &self.key_log.is_some())
            .finish_non_exhaustive()
    }
}

/// Configuration of a TLS server; [`ServerTls::new`](super::ServerTls::new) checks it and makes it usable.
///
/// Early data (0-RTT) is always off: it can be replayed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerTlsConfig {
    /// Certificates and keys, at least one. Several for one name, say ECDSA and RSA: the first that the client can verify.
    pub identities: Vec<Identity>,
    /// Whether clients give certificates. Default [`ClientAuth::None`].
    pub client_auth: ClientAuth,
    /// What servers and clients have in common.
    pub common: TlsCommon,
    /// Chooses another configuration per connection, or refuses. Default `None`.
    pub chooser: Option<Chooser>,
    /// Longest ClientHello in bytes on the wire, from 512. Default 16 KiB; those of today's browsers take 2. A peer that has not sent
    /// a whole one costs at most this and about 500 bytes.
    pub hello_max: usize,
    /// Most bytes that a client may send after its ClientHello and before the handshake is done, from 512: its certificates mostly.
    /// Default 16 KiB. A peer in between costs at most this and about 6 KiB.
    pub handshake_max: usize,
    /// How long before a certificate expires [`expires_soon`](super::ServerTls::expires_soon) says so. Default 14 days.
    pub expiry_warning: Duration,
}

impl ServerTlsConfig {
    /// Serves `identity` with the defaults.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        ServerTlsConfig {
            identities: vec![identity],
            client_auth: ClientAuth::None,
            common: TlsCommon::new(),
            chooser: None,
            hello_max: 16 * 1024,
            handshake_max: 16 * 1024,
            expiry_warning: Duration::from_secs(14 * 86_400),
        }
    }

    /// All that is read to make it usable.
    pub(super) fn materials(&self) -> impl Iterator<Item = &Material> {
        let trust = match &self.client_auth {
            ClientAuth::None => None,
            ClientAuth::Optional(trust) | ClientAuth::Required(trust) => Some(trust),
        };
        let trust = trust.into_iter().flat_map(|trust| trust.roots.iter().chain(&trust.lists));
        self.identities.iter().flat_map(|identity| [&identity.chain, &identity.key]).chain(trust)
    }

    /// One more identity, for its own names.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Other client authentication.
    #[must_use]
    pub fn with_client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
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

    /// A closure that chooses the configuration per connection.
    #[must_use]
    pub fn with_chooser(mut self, chooser: Chooser) -> Self {
        self.chooser = Some(chooser);
        self
    }
}
