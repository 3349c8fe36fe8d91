//! Crypto providers without any security, for tests: the same seed gives the same bytes on the wire. Feature `tls-test-provider`.
//!
//! A handshake draws from the system's randomness, so two runs of a simulated world differ in what is on the wire, and in its hash. With the keys of
//! a [`seeded`] provider on both sides they do not:
//!
//! ```
//! # #[cfg(feature = "sim")] {
//! use std::path::Path;
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tymist::doing::{ClientDoer, Echo, ServerDoer};
//! use tymist::net::tls::test_provider::seeded;
//! use tymist::net::tls::{ClientTls, ClientTlsConfig, Identity, ServerTls, ServerTlsConfig, ServerTrust, TlsTime};
//! use tymist::sim::World;
//! use tymist::{Client, Config, Connect, Event};
//!
//! fn run(seed: u64) -> u64 {
//!     let mut world = World::new(seed);
//!     let time = TlsTime::simulated(world.tymth(), Duration::from_secs(1_893_456_000)); // tyme zero: 2030-01-01
//!     let provider = seeded(seed); // anew for each run, and one for all of it
//!     let folder = Path::new("tests/swarm/scene"); // a certificate with an Ed25519 key
//!     let identity = Identity::new(&*folder.join("cert.pem"), &*folder.join("key.pem"));
//!
//!     let config = ServerTlsConfig::new(identity).with_provider(Arc::clone(&provider));
//!     let at_server = ServerTls::new(config.with_time(time.clone())).unwrap();
//!     let config = ClientTlsConfig::new(ServerTrust::DangerousAnyone).with_provider(provider); // or `with_roots`
//!     let at_client = ClientTls::new(&config.with_time(time)).unwrap();
//!
//!     let server = world.add("server.test", move |host| {
//!         let mut doer = ServerDoer::on_host(host, Config::new(), Echo::new());
//!         doer.server.listen_tls(([0, 0, 0, 0], 443), &at_server).unwrap();
//!         doer
//!     });
//!     world.add("client", move |host| {
//!         let connect = Connect::to_name("server.test", 443).with_tls(&at_client, "server.test").unwrap();
//!         let client = Client::with_net(Config::new(), host.net(), connect);
//!         ClientDoer::new(client, |client: &mut Client, event| {
//!             if let Event::Connected(_) = event {
//!                 let _ = client.tx(b"hello");
//!             }
//!         })
//!     });
//!     world.run_for(Duration::from_secs(1));
//!     assert_eq!(world.program::<ServerDoer<Echo>>(server).unwrap().service.bytes, 5);
//!     world.hash()
//! }
//!
//! assert_eq!(run(1), run(1));
//! assert_ne!(run(1), run(2));
//! # }
//! ```
//!
//! Signatures must be Ed25519 (RFC 8032): deterministic, and all of one size, so that the lengths of records do not depend on the seed. Keys of other
//! kinds are refused when the configuration is made; that of a `DevCert` is of another kind, and never the same twice. Take one from a file:
//!
//! ```sh
//! openssl req -x509 -newkey ed25519 -nodes -subj /CN=server.test -addext subjectAltName=DNS:server.test \
//!     -addext basicConstraints=critical,CA:FALSE -days 36500 -keyout key.pem -out cert.pem
//! ```
//!
//! The stream of randomness is shared by all that use one provider, so what a run draws must be in a fixed order, as in a simulation.
//!
//! The key exchange group and the null cipher have private-use numbers, so nothing that was not made for them can agree on them.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError,
};
use rustls::crypto::{
    ActiveKeyExchange, CipherSuiteCommon, CryptoProvider, GetRandomFailed, KeyProvider,
    SecureRandom, SharedSecret, SupportedKxGroup,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{
    CipherSuite, ConnectionTrafficSecrets, ContentType, Error, NamedGroup, ProtocolVersion,
    SignatureAlgorithm, SupportedCipherSuite, Tls13CipherSuite,
};

use super::config::ring_provider;
use crate::random::{STEP, mix};

/// `ecdhe_private_use` of RFC 8422 section 5.1.1.
const GROUP: u16 = 0xfe00;
/// Reserved for private use by RFC 8446 appendix B.4.
const NULL_SUITE: u16 = 0xff00;
const PUBLIC: usize = 32;

/// A provider with real ciphers and hashes, and with the randomness of `seed`: to be given to both sides, by
/// [`ServerTlsConfig::with_provider`](super::ServerTlsConfig::with_provider) and [`ClientTlsConfig::with_provider`](super::ClientTlsConfig::with_provider).
/// TLS 1.2 and 1.3.
///
/// No security: whoever listens can work out the keys. Leaks 16 bytes at each call.
#[must_use]
pub fn seeded(seed: u64) -> Arc<CryptoProvider> {
    let random: &'static Seeded = Box::leak(Box::new(Seeded(AtomicU64::new(seed))));
    let group: &'static dyn SupportedKxGroup = Box::leak(Box::new(ToyGroup(random)));
    let mut provider = (*ring_provider()).clone();
    provider.secure_random = random;
    provider.kx_groups = vec![group];
    provider.key_provider = &Ed25519Only;
    Arc::new(provider)
}

/// As [`seeded`], with TLS 1.3 alone and a cipher that does nothing: fast, and for fuzzing, where nothing could forge a real record.
///
/// What is sent can be read on the wire, and a change on the way is not noticed. Leaks 16 bytes at each call, too.
#[must_use]
pub fn null(seed: u64) -> Arc<CryptoProvider> {
    let mut provider = (*seeded(seed)).clone();
    provider.cipher_suites = null_suite().into_iter().collect();
    Arc::new(provider)
}

/// `None` only if ring's provider had no TLS 1.3.
fn null_suite() -> Option<SupportedCipherSuite> {
    static SUITE: OnceLock<Option<&'static Tls13CipherSuite>> = OnceLock::new();
    let suite = SUITE.get_or_init(|| {
        let suites = &ring_provider().cipher_suites;
        let real = suites.iter().find_map(SupportedCipherSuite::tls13)?;
        let common = CipherSuiteCommon {
            suite: CipherSuite::from(NULL_SUITE),
            hash_provider: real.common.hash_provider,
            confidentiality_limit: u64::MAX,
        };
        let hkdf_provider = real.hkdf_provider;
        let suite = Tls13CipherSuite { common, hkdf_provider, aead_alg: &NullCipher, quic: None };
        Some(&*Box::leak(Box::new(suite)))
    });
    suite.map(SupportedCipherSuite::Tls13)
}

/// `SplitMix64` whose state many share.
#[derive(Debug)]
struct Seeded(AtomicU64);

impl SecureRandom for Seeded {
    fn fill(&self, buf: &mut [u8]) -> Result<(), GetRandomFailed> {
        for chunk in buf.chunks_mut(8) {
            let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
            chunk.copy_from_slice(&mix(state).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Ed25519Only;

impl KeyProvider for Ed25519Only {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = ring_provider().key_provider.load_private_key(key)?;
        if key.algorithm() != SignatureAlgorithm::ED25519 {
            return Err(Error::General("the test provider signs with Ed25519 only".into()));
        }
        Ok(key)
    }
}

/// A key exchange that anyone can listen to: both sides make the secret of what both have sent.
#[derive(Debug)]
struct ToyGroup(&'static Seeded);

impl SupportedKxGroup for ToyGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut sent = [0; PUBLIC];
        self.0.fill(&mut sent)?;
        Ok(Box::new(ToyExchange { sent }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::from(GROUP)
    }
}

struct ToyExchange {
    sent: [u8; PUBLIC],
}

impl ActiveKeyExchange for ToyExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        if peer.len() != PUBLIC {
            return Err(rustls::PeerMisbehaved::InvalidKeyShare.into());
        }
        let secret: Vec<u8> =
            self.sent.iter().zip(peer).map(|(ours, theirs)| ours ^ theirs).collect();
        Ok(SharedSecret::from(secret))
    }

    fn pub_key(&self) -> &[u8] {
        &self.sent
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::from(GROUP)
    }
}

/// Puts the content's type behind it, as TLS 1.3 does, and nothing else.
struct NullCipher;

impl Tls13AeadAlgorithm for NullCipher {
    fn encrypter(&self, _: AeadKey, _: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(NullCipher)
    }

    fn decrypter(&self, _: AeadKey, _: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(NullCipher)
    }

    fn key_len(&self) -> usize {
        32
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl MessageEncrypter for NullCipher {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        _: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let length = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(length);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&[u8::from(message.typ)]);
        let (kind, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        Ok(OutboundOpaqueMessage::new(kind, version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1
    }
}

impl MessageDecrypter for NullCipher {
    fn decrypt<'a>(
        &mut self,
        message: InboundOpaqueMessage<'a>,
        _: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        message.into_tls13_unpadded_message()
    }
}
