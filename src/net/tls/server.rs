//! The server's configuration in use: made once, shared by all connections, replaced as a whole.

use core::fmt;
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{NoKeyLog, RootCertStore, ServerConfig};

use super::config::{ClientAuth, ClientTrust, ServerTlsConfig};
use super::handshake::Opening;
use super::hello::{Chooser, Collector};
use super::identity::Names;
use super::material::{Material, Problem, TlsConfigError};
use super::stream::TlsStream;
use super::ticket::Tickets;
use super::time::TlsTime;
use super::upgrade::{ReadAhead, UpgradeError};
use crate::net::Stream;

/// Smallest limit that lets any handshake through.
pub(super) const LIMIT_MIN: usize = 512;

/// The server's side of TLS: a checked configuration that makes TLS streams of accepted ones.
///
/// A cheap handle: clones share the configuration, and [`reload`](ServerTls::reload) replaces it for all of them, from any thread.
/// Connections that exist, also those in their handshake, go on with what they began with.
///
/// ```
/// use tymist::net::tls::{Identity, ServerTls, ServerTlsConfig};
///
/// # let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
/// # let folder = std::env::temp_dir().join(format!("tymist-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # std::fs::write(folder.join("chain.pem"), made.cert.pem())?;
/// # std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
/// let identity = Identity::new(&*folder.join("chain.pem"), &*folder.join("key.pem"));
/// let tls = ServerTls::new(ServerTlsConfig::new(identity).with_alpn(["echo"]))?;
/// // later, when the files have been replaced:
/// if let Err(error) = tls.reload() {
///     eprintln!("still serving the old certificate: {error}");
/// }
/// # std::fs::remove_dir_all(&folder)?;
/// # assert_eq!(tls.generation(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    active: RwLock<Arc<Active>>,
    /// What to make the next one of. Locked for a whole reload, so that two do not cross.
    config: Mutex<ServerTlsConfig>,
    /// Reloads that failed, and why the last one did.
    failed: Mutex<(u64, Option<Arc<str>>)>,
    /// Reloads of either outcome, to be looked at in passing.
    changes: AtomicU64,
}

/// One set of everything, never changed.
pub(super) struct Active {
    pub(super) config: Arc<ServerConfig>,
    pub(super) names: Arc<Names>,
    pub(super) chooser: Option<Chooser>,
    pub(super) verifies_clients: bool,
    pub(super) hello_max: usize,
    pub(super) handshake_max: usize,
    tickets: Option<Arc<Tickets>>,
    time: TlsTime,
    expiry_warning: Duration,
    /// How many were made before this one.
    generation: u64,
}

impl ServerTls {
    /// Reads and checks all of `config`.
    ///
    /// # Errors
    /// What is wrong, and with which file.
    pub fn new(config: ServerTlsConfig) -> Result<Self, TlsConfigError> {
        let active = RwLock::new(Arc::new(Active::build(&config, None)?));
        let config = Mutex::new(config);
        let (failed, changes) = (Mutex::default(), AtomicU64::new(0));
        Ok(ServerTls(Arc::new(Shared { active, config, failed, changes })))
    }

    /// Reads the same files again and serves new connections with what is in them now. Blocks while it reads, which are regular files only: a pipe, which
    /// could block for ever, is refused, whatever it was at first.
    ///
    /// # Errors
    /// What is wrong; nothing has changed then.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let config = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(&config, true)
    }

    /// Serves new connections with another configuration. Tickets given out before stay good where the versions, suites, provider, clock and
    /// application protocols are the same.
    ///
    /// # Errors
    /// What is wrong; nothing has changed then.
    pub fn reload_with(&self, config: ServerTlsConfig) -> Result<(), TlsConfigError> {
        let mut current = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(&config, same_policy(&current, &config))?;
        *current = config;
        Ok(())
    }

    fn replace(&self, config: &ServerTlsConfig, same_policy: bool) -> Result<(), TlsConfigError> {
        let before = self.active();
        let tickets = before.tickets.as_ref().filter(|_| same_policy);
        let readable = config.materials().try_for_each(Material::look_again);
        let built = readable.and_then(|()| Active::build(config, tickets));
        let result = match built {
            Ok(mut next) => {
                next.generation = before.generation + 1;
                self.store(next);
                Ok(())
            }
            Err(error) => {
                let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = (failed.0 + 1, Some(error.to_string().into()));
                Err(error)
            }
        };
        self.0.changes.fetch_add(1, Ordering::Release);
        result
    }

    fn store(&self, next: Active) {
        *self.0.active.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    pub(super) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.0.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a TLS stream of one that was just accepted. Cheap: nothing happens before its first [`advance`](Stream::advance).
    #[must_use]
    pub fn accept(&self, stream: Box<dyn Stream>) -> TlsStream {
        let active = self.active();
        let collector = Collector::new(active.hello_max);
        TlsStream::new(stream, Opening::Hello { collector, active }, None)
    }

    /// Makes a TLS stream of one that has been in use (STARTTLS), where `ahead` says what to do with bytes that were read from it and
    /// not used. Bytes that were queued to be sent in plain must have been given to `stream` before; what it holds leaves first.
    ///
    /// # Errors
    /// Gives the stream back if there are such bytes and there must be none.
    pub fn upgrade(
        &self,
        stream: Box<dyn Stream>,
        ahead: ReadAhead<'_>,
    ) -> Result<TlsStream, UpgradeError> {
        let (stream, first) = ahead.check(stream)?;
        let active = self.active();
        let mut collector = Collector::new(active.hello_max);
        collector.push(first);
        Ok(TlsStream::new(stream, Opening::Hello { collector, active }, None))
    }

    /// When the first of the certificates expires, in seconds since the UNIX epoch.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.active().names.first_expiry()
    }

    /// How long until then by the clock of the configuration; zero if it has passed or the clock does not tell.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        let active = self.active();
        let now = active.time.now().and_then(|now| i64::try_from(now).ok());
        let left = now.map_or(0, |now| active.names.first_expiry().saturating_sub(now));
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }

    /// Whether a certificate expires within [`expiry_warning`](ServerTlsConfig::expiry_warning).
    #[must_use]
    pub fn expires_soon(&self) -> bool {
        self.expires_in() <= self.active().expiry_warning
    }

    /// How often a reload failed, and why the last one did.
    #[must_use]
    pub fn failures(&self) -> (u64, Option<Arc<str>>) {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reloads so far, of either outcome.
    pub(super) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// How long the warning of expiry comes before it.
    pub(super) fn expiry_warning(&self) -> Duration {
        self.active().expiry_warning
    }

    /// How often it was reloaded with success.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.active().generation
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = self.active();
        f.debug_struct("ServerTls")
            .field("generation", &active.generation)
            .field("expires_at", &active.names.first_expiry())
            .field("verifies_clients", &active.verifies_clients)
            .finish_non_exhaustive()
    }
}

/// Whether tickets made under `old` may be honoured under `new`. Names need no comparing: rustls resumes only for the name that the ticket
/// was made for.
fn same_policy(old: &ServerTlsConfig, new: &ServerTlsConfig) -> bool {
    let (old, new) = (&old.common, &new.common);
    let clocks = match (&old.time, &new.time) {
        (Some(old), Some(new)) => old.is(new),
        _ => false,
    };
    clocks
        && Arc::ptr_eq(&old.provider, &new.provider)
        && old.versions == new.versions
        && old.suites == new.suites
        && old.alpn == new.alpn
}

impl Active {
    fn build(
        from: &ServerTlsConfig,
        tickets: Option<&Arc<Tickets>>,
    ) -> Result<Self, TlsConfigError> {
        if from.hello_max < LIMIT_MIN || from.handshake_max < LIMIT_MIN {
            let what = "hello_max and handshake_max must be at least 512 bytes";
            return Err(TlsConfigError::new(Problem::BadLimit(what)));
        }
        let (time, now) = from.common.clock()?;
        let (provider, versions) = from.common.enabled()?;
        let mut loaded = Vec::with_capacity(from.identities.len());
        for identity in &from.identities {
            loaded.push(identity.load(&provider, now)?);
        }
        if loaded.is_empty() {
            return Err(TlsConfigError::new(Problem::NoIdentity));
        }
        let names = Arc::new(Names::new(loaded));
        let verifier = verifier(&from.client_auth, &provider)?;
        let verifies_clients = verifier.is_some();
        let mut config = ServerConfig::builder_with_details(provider, time.provider())
            .with_protocol_versions(&versions)
            .map_err(|error| TlsConfigError::new(Problem::Unsupported(error)))?
            .with_client_cert_verifier(
                verifier.unwrap_or_else(WebPkiClientVerifier::no_client_auth),
            )
            .with_cert_resolver(Arc::clone(&names) as _);
        config.alpn_protocols = from.common.alpn()?;
        config.key_log = from.common.key_log.clone().unwrap_or_else(|| Arc::new(NoKeyLog));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // With client certificates a resumed session would carry on what a new revocation list has ended.
        let tickets = (from.common.resumption && !verifies_clients)
            .then(|| match tickets {
                Some(tickets) => Some(Arc::clone(tickets)),
                None => Tickets::new(&from.common.provider, time.clone()).map(Arc::new),
            })
            .flatten();
        match &tickets {
            Some(tickets) => config.ticketer = Arc::clone(tickets) as Arc<dyn ProducesTickets>,
            None => config.send_tls13_tickets = 0,
        }
        Ok(Active {
            config: Arc::new(config),
            names,
            chooser: from.chooser.clone(),
            verifies_clients,
            hello_max: from.hello_max,
            handshake_max: from.handshake_max,
            tickets,
            time,
            expiry_warning: from.expiry_warning,
            generation: 0,
        })
    }
}

fn verifier(
    auth: &ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsConfigError> {
    let (trust, optional) = match auth {
        ClientAuth::None => return Ok(None),
        ClientAuth::Optional(trust) => (trust, true),
        ClientAuth::Required(trust) => (trust, false),
    };
    let ClientTrust { roots, lists, allow_unknown_revocation, allow_expired_lists } = trust;
    let roots = Arc::new(trusted(roots)?.0);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    for list in lists {
        builder = builder.with_crls(list.lists()?);
    }
    if optional {
        builder = builder.allow_unauthenticated();
    }
    if *allow_unknown_revocation {
        builder = builder.allow_unknown_revocation_status();
    }
    if !allow_expired_lists {
        builder = builder.enforce_revocation_expiration();
    }
    let verifier = builder
        .build()
        .map_err(|error| TlsConfigError::new(Problem::Verifier(error.to_string())))?;
    Ok(Some(verifier))
}

/// The roots in `materials`, at least one, and their certificates.
pub(super) fn trusted(
    materials: &[Material],
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsConfigError> {
    let (mut roots, mut given) = (RootCertStore::empty(), Vec::new());
    for material in materials {
        for certificate in material.certificates()? {
            given.push(certificate.clone());
            roots.add(certificate).map_err(|error| material.error(Problem::Unsupported(error)))?;
        }
    }
    if roots.is_empty() {
        return Err(TlsConfigError::new(Problem::NoRoots));
    }
    Ok((roots, given))
}
