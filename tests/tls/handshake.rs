//! The handshake, and what it says when it fails.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use crate::tls_support::{drive, failures, live, pki, time, transfer, wire};
use tymist::net::tls::HandshakeFailure as Failure;
use tymist::net::tls::rustls::{CipherSuite, NamedGroup};
use tymist::net::tls::{
    Choice, Chooser, ClientAuth, ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig,
    ServerTrust, TlsStream, TlsVersion, ring_provider,
};
use tymist::net::{Addr, Stage, Stream};

const ALERT_HANDSHAKE_FAILURE: u8 = 40;
const ALERT_BAD_CERTIFICATE: u8 = 42;
const ALERT_UNSUPPORTED_CERTIFICATE: u8 = 43;
const ALERT_REVOKED: u8 = 44;
const ALERT_EXPIRED: u8 = 45;
const ALERT_UNKNOWN_CA: u8 = 48;
const ALERT_ACCESS_DENIED: u8 = 49;
const ALERT_PROTOCOL_VERSION: u8 = 70;
const ALERT_UNRECOGNIZED_NAME: u8 = 112;
const ALERT_CERTIFICATE_REQUIRED: u8 = 116;
const ALERT_NO_APPLICATION_PROTOCOL: u8 = 120;

#[test]
fn a_handshake_tells_what_was_agreed() {
    let mut world = pki::world();
    world.server = world.server.with_alpn(["two", "one"]);
    world.client = world.client.with_alpn(["one", "two"]);
    let (client, server) = world.ends();
    let (mut client, mut server) = live(&client, &server);

    let info = server.tls().unwrap();
    assert_eq!(info.version(), TlsVersion::Tls13);
    assert_eq!(info.suite(), "TLS_AES_256_GCM_SHA384");
    assert_eq!(info.suite_id(), 0x1302);
    assert_eq!(info.group(), Some("X25519"));
    assert_eq!(info.alpn(), Some(&b"two"[..]), "the server's favourite");
    assert_eq!(info.server_name(), Some("server.test"));
    assert!(!info.resumed());
    assert!(info.peer_chain().is_empty());
    assert_eq!(info.peer_identity(), None);

    let seen = client.tls().unwrap();
    assert_eq!(seen.suite(), info.suite());
    assert_eq!(seen.alpn(), info.alpn());
    assert_eq!(seen.peer_chain().len(), 1);
    let identity = seen.peer_identity().unwrap();
    assert_eq!(identity.dns_names, ["server.test", "localhost"]);
    assert_eq!(identity.ips, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(identity.common_name.as_deref(), Some("server.test"));
    assert_eq!(identity.serial, [1]);
    assert_eq!(
        seen.export_keying_material::<32>(b"EXPORTER-test", None),
        info.export_keying_material::<32>(b"EXPORTER-test", None)
    );

    transfer(&mut client, &mut server, b"there", 64);
    transfer(&mut server, &mut client, b"and back", 64);
}

#[test]
fn nothing_is_told_or_transferred_before_the_end() {
    let (client, server) = pki::world().ends();
    let (near, far) = wire::duplex();
    let mut client = client.connect(Box::new(near), "server.test").unwrap();
    let mut server = server.accept(Box::new(far));
    let check = |server: &mut TlsStream| {
        assert!(server.tls().is_none());
        assert_eq!(server.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let data = [std::io::IoSlice::new(b"early")];
        assert_eq!(server.write(&data).unwrap_err().kind(), ErrorKind::WouldBlock);
    };
    check(&mut server);
    assert_eq!(server.advance().unwrap_err().kind(), ErrorKind::WouldBlock, "no ClientHello yet");
    assert_eq!(client.advance().unwrap_err().kind(), ErrorKind::WouldBlock, "said hello");
    assert_eq!(server.advance().unwrap(), Stage::Handshaking, "answered");
    check(&mut server);
    assert_eq!(client.advance().unwrap(), Stage::Live);
    check(&mut server);
    assert_eq!(server.advance().unwrap(), Stage::Live);
    assert!(server.tls().is_some());
}

/// Behaviour A 52 of hio, and B 34: verifying is not a surprise, it is asked for.
#[test]
fn all_four_ways_to_verify_work_in_both_versions() {
    let world = pki::world();
    let anyone = ClientTlsConfig::new(ServerTrust::DangerousAnyone).with_time(time());
    let identity = world.authority.issue(&pki::client()).identity();
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        for client_verifies in [true, false] {
            for server_verifies in [true, false] {
                let mut server = world.server.clone();
                if server_verifies {
                    server.client_auth = world.authority.required();
                }
                let client = if client_verifies { &world.client } else { &anyone };
                let client =
                    client.clone().with_identity(identity.clone()).with_versions([version]);
                let client = ClientTls::new(&client).unwrap();
                let (mut client, mut server) = live(&client, &ServerTls::new(server).unwrap());
                let (here, there) = (client.tls().unwrap(), server.tls().unwrap());
                assert_eq!((here.version(), there.version()), (version, version));
                assert_eq!(here.peer_identity().is_some(), client_verifies);
                assert_eq!(there.peer_identity().is_some(), server_verifies);
                assert_eq!(there.peer_chain().len(), usize::from(server_verifies));
                transfer(&mut client, &mut server, b"there", 64);
                transfer(&mut server, &mut client, b"and back", 64);
            }
        }
    }
}

#[test]
fn a_handshake_of_single_bytes_and_of_a_full_wire_succeeds() {
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let mut world = pki::world();
        world.server = world.server.with_versions([version]);
        world.server.client_auth = world.authority.required();
        world.client = world.client.with_identity(world.authority.issue(&pki::client()).identity());
        for (chunk, capacity) in [(1, usize::MAX), (usize::MAX, 1), (1, 1), (7, 100)] {
            let (client, server) = world.ends();
            let (near, far) = wire::duplex();
            for pipe in [&near.tx, &near.rx] {
                let mut pipe = pipe.lock().unwrap();
                (pipe.chunk, pipe.capacity) = (chunk, capacity);
            }
            let mut client = client.connect(Box::new(near), "server.test").unwrap();
            let mut server = server.accept(Box::new(far));
            let (at_client, at_server) = drive(&mut client, &mut server);
            at_client.unwrap().unwrap();
            at_server.unwrap().unwrap();
            transfer(&mut client, &mut server, &[7; 3000], 64);
            transfer(&mut server, &mut client, &[8; 3000], 40_000);
        }
    }
}

#[test]
fn nothing_in_common_is_named_and_the_client_is_told() {
    let world = pki::world();
    let check = |server: ServerTlsConfig, client: ClientTlsConfig, failure, alert| {
        let (client, server) = (ClientTls::new(&client).unwrap(), ServerTls::new(server).unwrap());
        let (at_client, at_server) = failures(&client, &server);
        assert_eq!(at_server, Some(failure));
        assert_eq!(at_client, Some(Failure::PeerAlert(alert)), "{failure}");
    };
    let old = world.client.clone().with_versions([TlsVersion::Tls12]);
    let new = world.server.clone().with_versions([TlsVersion::Tls13]);
    check(new, old, Failure::NoCommonVersion, ALERT_PROTOCOL_VERSION);

    let (mut server, mut client) = (world.server.clone(), world.client.clone());
    server.common.suites = Some(vec![CipherSuite::TLS13_AES_128_GCM_SHA256]);
    client.common.suites = Some(vec![CipherSuite::TLS13_AES_256_GCM_SHA384]);
    check(server, client, Failure::NoCommonSuite, ALERT_HANDSHAKE_FAILURE);

    let with_group = |group| {
        let mut provider = (*ring_provider()).clone();
        provider.kx_groups.retain(|known| known.name() == group);
        Arc::new(provider)
    };
    let server = world.server.clone().with_provider(with_group(NamedGroup::X25519));
    let client = world.client.clone().with_provider(with_group(NamedGroup::secp256r1));
    check(server, client, Failure::NoCommonGroup, ALERT_HANDSHAKE_FAILURE);

    let server = world.server.clone().with_alpn(["one"]);
    let client = world.client.clone().with_alpn(["two"]);
    check(server, client, Failure::NoCommonAlpn, ALERT_NO_APPLICATION_PROTOCOL);
}

#[test]
fn a_client_without_alpn_is_let_in() {
    let mut world = pki::world();
    world.server = world.server.with_alpn(["one"]);
    let (client, server) = world.ends();
    let (_client, server) = live(&client, &server);
    assert_eq!(server.tls().unwrap().alpn(), None);
}

#[test]
fn each_name_gets_its_certificate_and_an_unknown_one_is_refused() {
    let world = pki::world();
    let named = |name: &str| {
        let ask = pki::Ask { names: vec![name.into()], ..pki::server() };
        world.authority.issue(&ask).identity().for_names([name])
    };
    let config = ServerTlsConfig::new(named("one.test")).with_identity(named("*.two.test"));
    let server = ServerTls::new(config.with_time(time())).unwrap();
    let client = ClientTls::new(&world.client).unwrap();
    let connect = |name: &str| {
        let (near, far) = wire::duplex();
        let mut client = client.connect(Box::new(near), name).unwrap();
        let mut server = server.accept(Box::new(far));
        let (at_client, at_server) = drive(&mut client, &mut server);
        let failed = |result: std::io::Result<()>| result.err().map(|e| Failure::of(&e).unwrap());
        (failed(at_client.unwrap()), failed(at_server.unwrap()))
    };
    assert_eq!(connect("one.test"), (None, None));
    assert_eq!(connect("ONE.test"), (None, None));
    assert_eq!(connect("a.two.test"), (None, None));
    let refused = (Some(Failure::PeerAlert(ALERT_UNRECOGNIZED_NAME)), Some(Failure::UnknownName));
    assert_eq!(connect("three.test"), refused);
    assert_eq!(connect("two.test"), refused);
    assert_eq!(connect("10.0.0.2"), refused, "no name at all");
}

/// Server name, application protocols, and the two ends.
type Seen = (Option<String>, Vec<Vec<u8>>, Addr, Addr);

#[test]
fn a_chooser_sees_the_hello_and_picks_or_refuses() {
    let world = pki::world();
    let other = world.server.clone().with_alpn(["other"]);
    let other = ServerTls::new(other).unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    let chooser = Chooser::new(move |hello| {
        let alpn: Vec<Vec<u8>> = hello.alpn().map(<[u8]>::to_vec).collect();
        let choice = match alpn.first().map(Vec::as_slice) {
            Some(b"other") => Choice::Use(other.clone()),
            Some(b"none") => Choice::Refuse,
            _ => Choice::Same,
        };
        let name = hello.server_name().map(str::to_owned);
        let (local, peer) = (hello.local_addr().clone(), hello.peer_addr().clone());
        log.lock().unwrap().push((name, alpn, local, peer));
        choice
    });
    let server = ServerTls::new(world.server.clone().with_chooser(chooser)).unwrap();
    let client = |alpn: &[&str]| {
        ClientTls::new(&world.client.clone().with_alpn(alpn.iter().copied())).unwrap()
    };

    let (_client, live_server) = live(&client(&["other"]), &server);
    assert_eq!(live_server.tls().unwrap().alpn(), Some(&b"other"[..]));
    let (_client, live_server) = live(&client(&["same"]), &server);
    assert_eq!(live_server.tls().unwrap().alpn(), None);
    let refused = (Some(Failure::PeerAlert(ALERT_ACCESS_DENIED)), Some(Failure::Refused));
    assert_eq!(failures(&client(&["none"]), &server), refused);

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3, "asked once per ClientHello");
    let (name, alpn, local, peer) = &seen[0];
    assert_eq!(name.as_deref(), Some("server.test"));
    assert_eq!(alpn, &[b"other".to_vec()]);
    assert_eq!(
        (local.to_string(), peer.to_string()),
        ("10.0.0.2:443".into(), "10.0.0.1:40000".into())
    );
}

/// Each bad client certificate by its name, in both versions, and the alert that the client gets.
#[test]
fn bad_client_certificates_are_named_and_the_client_is_told() {
    let world = pki::world();
    let authority = &world.authority;
    let stranger = pki::Authority::new("stranger");
    let expired = pki::Ask { not_after: crate::tls_support::EPOCH - 1, ..pki::client() };
    let early = pki::Ask { not_before: crate::tls_support::EPOCH + 1, ..pki::client() };
    let wrong = pki::Ask { purpose: pki::server().purpose, ..pki::client() };
    let revoked = pki::Ask { serial: 666, ..pki::client() };
    let cases = [
        (None, Failure::CertRequired, ALERT_CERTIFICATE_REQUIRED),
        (Some(authority.issue(&wrong)), Failure::CertWrongPurpose, ALERT_UNSUPPORTED_CERTIFICATE),
        (Some(authority.issue(&revoked)), Failure::CertRevoked, ALERT_REVOKED),
        (Some(stranger.issue(&pki::client())), Failure::CertUnknownIssuer, ALERT_UNKNOWN_CA),
        (Some(pki::self_signed(&pki::client())), Failure::CertUnknownIssuer, ALERT_UNKNOWN_CA),
        (Some(authority.issue(&expired)), Failure::CertExpired, ALERT_EXPIRED),
        (Some(authority.issue(&early)), Failure::CertNotYetValid, ALERT_EXPIRED),
    ];
    let trust = authority.trust().with_lists(authority.revoke(&[666]));
    let server = world.server.clone().with_client_auth(ClientAuth::Required(trust));
    let server = ServerTls::new(server).unwrap();
    // The client judges its own certificate by a clock of its own, so that it shows one that has expired.
    let (mut tymist, client_time) = crate::tls_support::clock();
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        for (issued, failure, alert) in &cases {
            let mut config = world.client.clone().with_versions([version]);
            if let Some(issued) = issued {
                config = config.with_identity(issued.identity());
            }
            let lenient = match failure {
                Failure::CertExpired => crate::tls_support::EPOCH - 2,
                Failure::CertNotYetValid => crate::tls_support::EPOCH + 2,
                _ => crate::tls_support::EPOCH,
            };
            let lenient = std::time::Duration::from_secs(lenient);
            let time = tymist::net::tls::TlsTime::simulated(tymist.tymth(), lenient);
            let client = ClientTls::new(&config.with_time(time)).unwrap();
            let (at_client, at_server) = failures(&client, &server);
            assert_eq!(at_server, Some(*failure), "{version}");
            let alert = match (version, failure) {
                // TLS 1.2 has no alert of its own for this.
                (TlsVersion::Tls12, Failure::CertRequired) => at_client.unwrap(),
                _ => Failure::PeerAlert(*alert),
            };
            assert_eq!(at_client, Some(alert), "{version} {failure}");
            assert!(matches!(alert, Failure::PeerAlert(_)));
        }
    }
    tymist.tick();
    drop(client_time);
}

#[test]
fn a_list_of_another_issuer_or_out_of_date_leaves_revocation_unknown() {
    let world = pki::world();
    let identity = world.authority.issue(&pki::client()).identity();
    let client = ClientTls::new(&world.client.clone().with_identity(identity)).unwrap();
    let other = pki::Authority::new("other").revoke(&[1]);
    let mut trust = world.authority.trust().with_lists(other);
    let server = |trust: &tymist::net::tls::ClientTrust, time| {
        let config = world.server.clone().with_client_auth(ClientAuth::Required(trust.clone()));
        ServerTls::new(config.with_time(time)).unwrap()
    };
    let unknown = Some(Failure::CertRevocationUnknown);
    assert_eq!(failures(&client, &server(&trust, time())).1, unknown);
    trust.allow_unknown_revocation = true;
    assert_eq!(failures(&client, &server(&trust, time())), (None, None));

    let mut trust = world.authority.trust().with_lists(world.authority.revoke(&[1]));
    let (mut tymist, clock) = crate::tls_support::clock();
    assert_eq!(failures(&client, &server(&trust, clock.clone())), (None, None));
    tymist.tick_by(std::time::Duration::from_secs(31 * pki::DAY));
    assert_eq!(failures(&client, &server(&trust, clock.clone())).1, unknown, "list out of date");
    trust.allow_expired_lists = true;
    assert_eq!(failures(&client, &server(&trust, clock)), (None, None));
}

#[test]
fn optional_client_authentication_lets_in_none_but_not_a_bad_one() {
    let world = pki::world();
    let auth = ClientAuth::Optional(world.authority.trust());
    let server = ServerTls::new(world.server.clone().with_client_auth(auth)).unwrap();
    let nobody = ClientTls::new(&world.client).unwrap();
    let (_client, live_server) = live(&nobody, &server);
    assert_eq!(live_server.tls().unwrap().peer_identity(), None);

    let with = |issued: &pki::Issued| {
        ClientTls::new(&world.client.clone().with_identity(issued.identity())).unwrap()
    };
    let good = with(&world.authority.issue(&pki::client()));
    let (_client, live_server) = live(&good, &server);
    let identity = live_server.tls().unwrap().peer_identity().unwrap();
    assert_eq!(identity.dns_names, ["client.test"]);
    let bad = with(&pki::self_signed(&pki::client()));
    assert_eq!(failures(&bad, &server).1, Some(Failure::CertUnknownIssuer));
}

/// Behaviour A 54 of hio: the name that is verified is apart from the address.
#[test]
fn a_client_names_what_is_wrong_with_the_server() {
    let world = pki::world();
    let server = ServerTls::new(world.server.clone()).unwrap();
    let client = ClientTls::new(&world.client).unwrap();
    let (near, far) = wire::duplex();
    let mut wrong_name = client.connect(Box::new(near), "elsewhere.test").unwrap();
    let mut accepted = server.accept(Box::new(far));
    let (at_client, at_server) = drive(&mut wrong_name, &mut accepted);
    let failure =
        |outcome: crate::tls_support::Outcome| Failure::of(&outcome.unwrap().unwrap_err()).unwrap();
    assert_eq!(failure(at_client), Failure::CertWrongName);
    assert_eq!(failure(at_server), Failure::PeerAlert(ALERT_BAD_CERTIFICATE));

    let stranger = ClientTlsConfig::with_roots(pki::Authority::new("stranger").root());
    let stranger = ClientTls::new(&stranger.with_time(time())).unwrap();
    let both = (Some(Failure::CertUnknownIssuer), Some(Failure::PeerAlert(ALERT_UNKNOWN_CA)));
    assert_eq!(failures(&stranger, &server), both);

    let (mut tymist, clock) = crate::tls_support::clock();
    let client = ClientTls::new(&world.client.clone().with_time(clock)).unwrap();
    tymist.tick_by(std::time::Duration::from_secs(366 * pki::DAY));
    let both = (Some(Failure::CertExpired), Some(Failure::PeerAlert(ALERT_EXPIRED)));
    assert_eq!(failures(&client, &server), both, "certificates expire in simulated time");
}

#[cfg(feature = "webpki-roots")]
#[test]
fn the_roots_of_the_web_do_not_know_a_test_authority() {
    let world = pki::world();
    let client = ClientTlsConfig::new(ServerTrust::WebPki).with_time(time());
    let client = ClientTls::new(&client).unwrap();
    let server = ServerTls::new(world.server).unwrap();
    assert_eq!(failures(&client, &server).0, Some(Failure::CertUnknownIssuer));
}

#[cfg(feature = "dev-cert")]
#[test]
fn a_development_certificate_serves_who_trusts_it() {
    let dev = tymist::net::tls::DevCert::new(["server.test", "127.0.0.1"], &time()).unwrap();
    let server = ServerTls::new(dev.server_config().with_time(time())).unwrap();
    assert_eq!(server.expires_in(), std::time::Duration::from_secs(90 * pki::DAY));
    let trusting = ClientTlsConfig::with_roots(dev.cert_pem().as_bytes().to_vec());
    let (client, _server) = live(&ClientTls::new(&trusting.with_time(time())).unwrap(), &server);
    let identity = client.tls().unwrap().peer_identity().unwrap();
    assert_eq!(identity.dns_names, ["server.test"]);
    assert_eq!(identity.common_name.as_deref(), Some("tymist development"));
    let other = ClientTls::new(&pki::world().client).unwrap();
    assert_eq!(failures(&other, &server).0, Some(Failure::CertUnknownIssuer));
    assert!(tymist::net::tls::DevCert::new(["not a name \u{e9}"], &time()).is_err());
    assert!(!format!("{dev:?}").contains("PRIVATE"));
}

/// Post-quantum key exchange, between ends that have it.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn the_other_provider_exchanges_keys_in_the_hybrid_group() {
    let mut world = pki::world();
    world.server = world.server.with_provider(tymist::net::tls::aws_lc_rs_provider());
    world.client = world.client.with_provider(tymist::net::tls::aws_lc_rs_provider());
    let (client, server) = world.ends();
    let (mut client, mut server) = live(&client, &server);
    assert_eq!(server.tls().unwrap().group(), Some("X25519MLKEM768"));
    transfer(&mut client, &mut server, b"there", 64);
}
