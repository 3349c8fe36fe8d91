//! Configuration: what it is made of, what is wrong with it, how it is replaced, and time.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::tls_support::{EPOCH, clock, failures, live, pki, time, transfer};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use tymist::net::Stream;
use tymist::net::tls::rustls;
use tymist::net::tls::rustls::CipherSuite;
use tymist::net::tls::{
    ClientTls, ClientTlsConfig, HandshakeFailure, Identity, Material, Problem, ServerTls,
    ServerTlsConfig, TlsConfigError, TlsTime, TlsVersion, ring_provider,
};

/// A directory of this test alone, gone with it.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Dir(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn make(identity: Identity) -> Result<ServerTls, TlsConfigError> {
    ServerTls::new(ServerTlsConfig::new(identity).with_time(time()))
}

#[track_caller]
fn error(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> TlsConfigError {
    let dir = Dir::new();
    let identity = Identity::new(dir.write("chain.pem", chain), dir.write("key.pem", key));
    let error = make(identity).expect_err("a configuration that must not work");
    // The text must name the file and never its content.
    let text = error.to_string();
    assert!(text.contains("chain.pem") || text.contains("key.pem"), "{text}");
    assert!(!text.contains("MIG") && !text.contains("MC4CAQ"), "{text}");
    error
}

#[test]
fn pem_and_der_of_every_usual_kind_are_read() {
    let authority = pki::Authority::new("authority");
    let issued = authority.issue(&pki::server());
    let p256 = authority
        .issue_for(&pki::server(), KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
    let p384 = authority
        .issue_for(&pki::server(), KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    for issued in [&issued, &p256, &p384] {
        make(issued.identity()).unwrap();
        make(Identity::new(issued.cert_der.clone(), issued.key_der.clone())).unwrap();
        let both = format!("# a comment\r\n{}\n{}", issued.key, issued.cert);
        make(Identity::new(both.clone().into_bytes(), both.into_bytes())).unwrap();
    }
}

#[test]
fn regression_a_certificate_in_pem_that_cannot_be_decoded_is_told_from_one_of_another_kind() {
    let authority = pki::Authority::new("authority");
    let issued = authority.issue(&pki::server());
    // Whole PEM, whose second certificate is three zero bytes.
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = error(format!("{}{broken}", issued.cert), &issued.key).to_string();
    assert!(text.contains("found damaged PEM: number 2 of them cannot be decoded"), "{text}");
}

#[test]
fn errors_say_which_file_and_what_was_found_and_expected() {
    let authority = pki::Authority::new("authority");
    let issued = authority.issue(&pki::server());
    let (cert, key) = (issued.cert.as_str(), issued.key.as_str());
    let text = |chain: &str, key: &str| error(chain, key).to_string();

    let swapped = text(key, cert);
    assert!(swapped.contains("chain.pem: expected one or more certificates"), "{swapped}");
    assert!(swapped.contains("found PEM with PRIVATE KEY"), "{swapped}");
    let not_a_key = text(cert, cert);
    assert!(not_a_key.contains("key.pem: expected one private key"), "{not_a_key}");
    assert!(not_a_key.contains("found PEM with CERTIFICATE"), "{not_a_key}");
    assert!(text("", key).contains("it is empty"));
    assert!(text("hello", key).contains("5 bytes that are neither PEM nor known DER"));
    assert!(text(cert, &format!("{key}{key}")).contains("PEM with PRIVATE KEY, PRIVATE KEY"));
    assert!(text(&cert[..cert.len() / 2], key).contains("half written"));
    assert!(text(cert, &key[..key.len() / 2]).contains("half written"));
    let damaged = cert.replacen("MII", "M*I", 1);
    assert!(text(&damaged, key).contains("damaged PEM"));
    let renamed = cert.replace("CERTIFICATE", "X509 CRL");
    assert!(text(&renamed, key).contains("found PEM with X509 CRL"));
    let key_der = error(&issued.cert_der, &issued.cert_der).to_string();
    assert!(key_der.contains("found a DER certificate"), "{key_der}");
    let truncated = error(&issued.cert_der[..100], key).to_string();
    assert!(truncated.contains("neither PEM nor known DER"), "{truncated}");

    let missing =
        make(Identity::new(Path::new("/nowhere/chain.pem"), Path::new("/nowhere/key.pem")));
    let missing = missing.unwrap_err();
    assert!(matches!(missing.problem(), Problem::Read(_)));
    assert!(missing.to_string().starts_with("/nowhere/chain.pem: cannot read"), "{missing}");

    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(matches!(error(cert, encrypted).problem(), Problem::EncryptedKey));
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert!(matches!(error(cert, old).problem(), Problem::EncryptedKey));
}

#[test]
fn a_key_that_does_not_match_is_refused_and_its_place_told() {
    let authority = pki::Authority::new("authority");
    let (one, two) = (authority.issue(&pki::server()), authority.issue(&pki::server()));
    assert!(matches!(error(&one.cert, &two.key).problem(), Problem::KeyMismatch(None)));
    let wrong_order = format!("{}{}", one.cert, two.cert);
    let problem = error(&wrong_order, &two.key);
    assert!(matches!(problem.problem(), Problem::KeyMismatch(Some(1))), "{problem}");
    assert!(problem.to_string().contains("certificate 2 of the chain"), "{problem}");
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let authority = pki::Authority::new("authority");
    let expired = authority.issue(&pki::Ask { not_after: EPOCH - 1, ..pki::server() });
    let problem = error(&expired.cert, &expired.key);
    assert!(matches!(problem.problem(), Problem::Expired(at) if *at == (EPOCH - 1).cast_signed()));
    let early = authority.issue(&pki::Ask { not_before: EPOCH + 1, ..pki::server() });
    let problem = error(&early.cert, &early.key);
    assert!(
        matches!(problem.problem(), Problem::NotValidYet(at) if *at == (EPOCH + 1).cast_signed())
    );
    let last = authority.issue(&pki::Ask { not_after: EPOCH, ..pki::server() });
    make(last.identity()).unwrap();
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let world = pki::world();
    let problem = |change: &dyn Fn(&mut ServerTlsConfig)| {
        let mut config = world.server.clone();
        change(&mut config);
        ServerTls::new(config).unwrap_err().to_string()
    };
    assert!(problem(&|config| config.identities.clear()).contains("no certificate"));
    assert!(problem(&|config| config.common.versions.clear()).contains("nothing to agree on"));
    assert!(problem(&|config| config.common.suites = Some(vec![])).contains("nothing to agree on"));
    let only_old = |config: &mut ServerTlsConfig| {
        config.common.versions = vec![TlsVersion::Tls12];
        config.common.suites = Some(vec![CipherSuite::TLS13_AES_128_GCM_SHA256]);
    };
    assert!(problem(&only_old).contains("nothing to agree on"));
    assert!(problem(&|config| config.hello_max = 511).contains("at least 512"));
    assert!(problem(&|config| config.handshake_max = 0).contains("at least 512"));
    assert!(problem(&|config| config.common.time = None).contains("no clock"));
    let mut names = world.server.clone();
    names.identities[0].names = vec!["not a name".into()];
    assert!(ServerTls::new(names).unwrap_err().to_string().contains("\"not a name\""));
    let no_roots =
        ClientTlsConfig::new(tymist::net::tls::ServerTrust::Roots(vec![])).with_time(time());
    assert!(matches!(ClientTls::new(&no_roots).unwrap_err().problem(), Problem::NoRoots));
}

/// A client with such a name panicked in the tick in which its connection came up (rustls asserts it), or sent nonsense.
#[test]
fn regression_an_application_protocol_that_cannot_be_sent_is_refused_at_once() {
    let world = pki::world();
    let most = vec!["a".repeat(255); 128]; // 32 KiB, with a byte for the length of each
    let many = [most.clone(), vec!["a".into()]].concat();
    for names in [vec![String::new()], vec!["h2".into(), "a".repeat(256)], many] {
        let error = ServerTls::new(world.server.clone().with_alpn(names.clone())).unwrap_err();
        assert!(matches!(error.problem(), Problem::BadAlpn(_)), "{error}");
        let error = ClientTls::new(&world.client.clone().with_alpn(names)).unwrap_err();
        assert!(matches!(error.problem(), Problem::BadAlpn(_)), "{error}");
    }
    assert!(ClientTls::new(&world.client.clone().with_alpn(most.clone())).is_ok());
    assert!(ServerTls::new(world.server.clone().with_alpn(most)).is_ok());
}

/// With no room for anything each handshake ended as if the server had hung up.
#[test]
fn regression_a_clients_limit_of_no_use_is_refused_at_once() {
    let mut config = pki::world().client.clone();
    for most in [0, 511] {
        config.handshake_max = most;
        let error = ClientTls::new(&config).unwrap_err();
        assert!(matches!(error.problem(), Problem::BadLimit(_)), "{error}");
    }
    config.handshake_max = 512;
    ClientTls::new(&config).unwrap();
}

/// `/dev/zero`, or a log that somebody put in the certificate's place: it filled the memory.
#[test]
fn regression_a_file_that_is_too_long_is_not_read_to_its_end() {
    let dir = Dir::new();
    let path = dir.write("chain.pem", "");
    let refused = |len| {
        fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
        make(Identity::new(path.clone(), Material::bytes("no key"))).unwrap_err()
    };
    let error = refused((64 << 20) + 1);
    assert!(matches!(error.problem(), Problem::Read(_)), "{error}");
    assert!(error.to_string().ends_with("chain.pem: cannot read: longer than 64 MiB"), "{error}");
    let error = refused(64 << 20);
    assert!(!matches!(error.problem(), Problem::Read(_)), "read, and of no use: {error}");
}

/// Hio's defect B 31: the files are read when the configuration is made, not at each accept; and a rotation under way harms nobody.
#[test]
fn a_reload_is_all_or_nothing() {
    let dir = Dir::new();
    let authority = pki::Authority::new("authority");
    let ask = |serial| authority.issue(&pki::Ask { serial, ..pki::server() });
    let (old, new) = (ask(1), ask(2));
    let (chain, key) = (dir.write("chain.pem", &old.cert), dir.write("key.pem", &old.key));
    let server = make(Identity::new(chain, key)).unwrap();
    let client = ClientTlsConfig::with_roots(authority.root()).with_time(time());
    let serial = |server: &ServerTls| {
        let (client, _server) = live(&ClientTls::new(&client).unwrap(), server);
        client.tls().unwrap().peer_identity().unwrap().serial
    };
    assert_eq!(serial(&server), [1]);
    let before = live(&ClientTls::new(&client).unwrap(), &server);

    // Only one of the two files is new; then the other is half written; then it is gone.
    dir.write("chain.pem", &new.cert);
    assert!(matches!(server.reload().unwrap_err().problem(), Problem::KeyMismatch(None)));
    for cut in [0, 1, new.key.len() / 2, new.key.len() - 10] {
        dir.write("key.pem", &new.key[..cut]);
        assert!(server.reload().is_err(), "a key cut at {cut}");
        assert_eq!(serial(&server), [1], "the old one goes on");
    }
    fs::remove_file(dir.0.path().join("key.pem")).unwrap();
    assert!(matches!(server.reload().unwrap_err().problem(), Problem::Read(_)));
    assert_eq!(serial(&server), [1]);
    assert_eq!(server.generation(), 0);

    dir.write("key.pem", &new.key);
    server.reload().unwrap();
    assert_eq!(serial(&server), [2]);
    assert_eq!(server.generation(), 1);
    let (mut client, mut server) = before;
    transfer(&mut client, &mut server, b"a live connection goes on", 64);
}

/// Opening a pipe waits for who writes to it, and reading for that one's end: at first, when nothing ticks yet, that is what a shell's `<(...)` wants. In a
/// reload it held up the tick, for ever where nobody wrote.
#[cfg(unix)]
#[test]
fn pipes_are_read_at_first_and_never_by_a_reload() {
    let dir = Dir::new();
    let identity = pki::Authority::new("authority").issue(&pki::server());
    let chain = dir.write("chain.pem", &identity.cert);
    let pipe = dir.0.path().join("key.pem");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    std::thread::scope(|scope| {
        let write = || scope.spawn(|| fs::write(&pipe, &identity.key).unwrap());
        let first = write();
        let server = make(Identity::new(chain.clone(), pipe.clone())).unwrap();
        first.join().unwrap();
        // There is a writer again, which a reload that read would find: this test fails, and does not hang.
        let second = write();
        let error = server.reload().unwrap_err();
        assert!(matches!(error.problem(), Problem::Read(_)), "{error}");
        assert!(error.to_string().contains("not a regular file"), "{error}");
        let config = ServerTlsConfig::new(Identity::new(chain, pipe.clone())).with_time(time());
        assert!(server.reload_with(config).is_err());
        assert_eq!(server.generation(), 0);
        assert_eq!(fs::read(&pipe).unwrap(), identity.key.as_bytes(), "nobody has read it");
        second.join().unwrap();
    });
}

#[test]
fn a_reload_replaces_trust_and_lists_for_new_connections() {
    let mut world = pki::world();
    world.server = world.server.with_client_auth(world.authority.required());
    let issued = world.authority.issue(&pki::client());
    world.client = world.client.with_identity(issued.identity());
    let (client, server) = world.ends();
    assert_eq!(failures(&client, &server), (None, None));
    let trust = world.authority.trust().with_lists(world.authority.revoke(&[2]));
    let stricter =
        world.server.clone().with_client_auth(tymist::net::tls::ClientAuth::Required(trust));
    let handle = server.clone();
    handle.reload_with(stricter).unwrap();
    assert_eq!(failures(&client, &server).1, Some(HandshakeFailure::CertRevoked));
    let mut bad = world.server.clone();
    bad.identities.clear();
    assert!(server.reload_with(bad).is_err());
    assert_eq!(failures(&client, &server).1, Some(HandshakeFailure::CertRevoked));
    server.reload().unwrap();
    assert_eq!(
        failures(&client, &server).1,
        Some(HandshakeFailure::CertRevoked),
        "of the last good one"
    );
}

#[test]
fn expiry_is_seen_and_warned_of_in_time() {
    let authority = pki::Authority::new("authority");
    let ask = pki::Ask { not_after: EPOCH + 30 * pki::DAY, ..pki::server() };
    let (mut tymist, clock) = clock();
    let config = ServerTlsConfig::new(authority.issue(&ask).identity());
    let config =
        config.with_identity(authority.issue(&pki::server()).identity().for_names(["a.test"]));
    let server = ServerTls::new(config.with_time(clock)).unwrap();
    assert_eq!(server.expires_at(), (EPOCH + 30 * pki::DAY).cast_signed());
    assert_eq!(server.expires_in(), Duration::from_secs(30 * pki::DAY));
    assert!(!server.expires_soon());
    tymist.tick_by(Duration::from_secs(16 * pki::DAY - 1));
    assert!(!server.expires_soon());
    tymist.tick_by(Duration::from_secs(1));
    assert!(server.expires_soon());
    tymist.tick_by(Duration::from_secs(100 * pki::DAY));
    assert_eq!(server.expires_in(), Duration::ZERO);
    assert!(server.expires_soon());
    assert!(matches!(server.reload().unwrap_err().problem(), Problem::Expired(_)));
}

fn resumes(client: &ClientTls, server: &ServerTls) -> bool {
    let (mut at_client, mut at_server) = live(client, server);
    // The client takes the tickets in with what it reads.
    transfer(&mut at_server, &mut at_client, b"data", 64);
    let (here, there) = (at_client.tls().unwrap(), at_server.tls().unwrap());
    assert_eq!(here.resumed(), there.resumed());
    assert_eq!(here.peer_chain().len(), 1, "known from the first time");
    there.resumed()
}

#[test]
fn sessions_resume_by_tickets_that_age_in_simulated_time() {
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let (mut tymist, clock) = clock();
        let world = pki::world();
        let config = world.server.clone().with_time(clock.clone()).with_versions([version]);
        let server = ServerTls::new(config).unwrap();
        let client = ClientTls::new(&world.client.clone().with_time(clock)).unwrap();
        assert!(!resumes(&client, &server));
        assert!(resumes(&client, &server));
        tymist.tick_by(Duration::from_secs(7 * 3600));
        assert!(resumes(&client, &server), "by the key before");
        tymist.tick_by(Duration::from_secs(13 * 3600));
        assert!(!resumes(&client, &server), "too old");
        assert!(resumes(&client, &server));
    }
}

#[test]
fn tickets_outlive_a_reload_of_the_same_policy_only() {
    let world = pki::world();
    let (client, server) = world.ends();
    assert!(!resumes(&client, &server));
    server.reload().unwrap();
    assert!(resumes(&client, &server), "after a reload of the same");
    let mut renewed = world.server.clone();
    renewed.identities = vec![world.authority.issue(&pki::server()).identity()];
    server.reload_with(renewed).unwrap();
    assert!(resumes(&client, &server), "after a renewal of the certificate");
    server.reload_with(world.server.clone().with_alpn(["new"])).unwrap();
    assert!(!resumes(&client, &server), "after a change of policy");
    let other = ServerTls::new(world.server.clone()).unwrap();
    assert!(!resumes(&client, &other), "at another server");
}

#[test]
fn no_session_is_resumed_with_client_certificates_or_if_switched_off() {
    let mut world = pki::world();
    let auth = world.authority.required();
    world.client = world.client.with_identity(world.authority.issue(&pki::client()).identity());
    let (client, server) = world.ends();
    assert!(!resumes(&client, &server));
    server.reload_with(world.server.clone().with_client_auth(auth)).unwrap();
    for _ in 0..3 {
        assert!(
            !resumes(&client, &server),
            "a ticket from before client certificates were asked for"
        );
    }
    let mut off = world.server.clone();
    off.common.resumption = false;
    let server = ServerTls::new(off).unwrap();
    for _ in 0..3 {
        assert!(!resumes(&client, &server));
    }
}

#[test]
fn secrets_are_logged_only_where_asked_for() {
    #[derive(Debug, Default)]
    struct Log(AtomicU32);
    impl rustls::KeyLog for Log {
        fn log(&self, _: &str, _: &[u8], _: &[u8]) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let world = pki::world();
    let log = Arc::new(Log::default());
    let mut config = world.server.clone();
    config.common.key_log = Some(Arc::clone(&log) as _);
    let client = ClientTls::new(&world.client).unwrap();
    live(&client, &ServerTls::new(config).unwrap());
    assert!(log.0.load(Ordering::Relaxed) >= 5);
}

#[test]
fn the_default_provider_of_the_process_is_left_alone() {
    let (client, server) = pki::world().ends();
    live(&client, &server);
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    assert!(Arc::ptr_eq(&ring_provider(), &ring_provider()));
}

#[test]
fn a_provider_of_ones_own_is_used() {
    let mut provider = (*ring_provider()).clone();
    provider.cipher_suites.retain(|s| s.suite() == CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    let mut world = pki::world();
    world.server = world.server.with_provider(Arc::new(provider));
    let (client, server) = world.ends();
    let (_client, server) = live(&client, &server);
    assert_eq!(server.tls().unwrap().suite(), "TLS_CHACHA20_POLY1305_SHA256");
}

#[cfg(feature = "os")]
#[test]
fn the_system_clock_is_the_default() {
    let now = TlsTime::system().now().unwrap();
    assert!(now > EPOCH);
    let ask = pki::Ask { not_after: now + 10 * pki::DAY, ..pki::server() };
    let config = ServerTlsConfig::new(pki::Authority::new("authority").issue(&ask).identity());
    let server = ServerTls::new(config).unwrap();
    assert!(server.expires_soon());
    assert!(server.expires_in() > Duration::from_secs(9 * pki::DAY));
}

#[test]
fn a_clock_that_fails_fails_the_handshake_and_nothing_else() {
    #[derive(Debug)]
    struct Broken(Arc<std::sync::atomic::AtomicBool>);
    impl rustls::time_provider::TimeProvider for Broken {
        fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
            let unix = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(EPOCH));
            (!self.0.load(Ordering::Relaxed)).then_some(unix)
        }
    }
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let world = pki::world();
    let clock = TlsTime::new(Broken(Arc::clone(&broken)));
    let server = ServerTls::new(world.server.clone().with_time(clock)).unwrap();
    broken.store(true, Ordering::Relaxed);
    let client = ClientTls::new(&world.client).unwrap();
    let (_, at_server) = failures(&client, &server);
    assert!(matches!(at_server, None | Some(HandshakeFailure::Other)), "{at_server:?}");
    assert!(server.expires_soon(), "unknown is soon");
    assert!(matches!(server.reload().unwrap_err().problem(), Problem::ClockFailed));
    let _ = Material::bytes(b"".to_vec());
}
