//! What hio's users rely on: behaviours 50 to 55.

use std::sync::Arc;

use tymist::net::tls::rustls;
use tymist::net::tls::{ClientAuth, HandshakeFailure as Failure, TlsVersion};
use tymist::{CloseReason, Event};

use super::peer::{self, BOTH, End, Peer};
use super::rig::TlsRig;
use crate::tls_support::pki;
use crate::util::{connect, send};

#[test]
fn a50_a_handshaking_connection_is_counted_but_never_seen() {
    let mut rig = TlsRig::new();
    let mut peer = rig.peer();
    let addr = peer.local_addr().into();
    peer.chunk = 64;
    let mut steps = 0;
    let mut lived = 0;
    rig.drive(&mut peer, |rig, peer| {
        let server = &rig.server;
        let accepted = rig.log.iter().any(|event| matches!(event, Event::Accepted(_)));
        assert_eq!(accepted, server.len() == 1, "told exactly when it is live");
        assert_eq!(server.at(&addr).is_some(), accepted);
        assert_eq!(server.remoters().count(), server.len());
        assert_eq!(server.ixes().len(), server.len());
        assert!(server.len() + server.cxes() <= 1);
        steps += server.cxes();
        lived += server.len();
        peer.is_live() && server.len() == 1
    });
    assert!(steps > 3, "it was in cxes for {steps} ticks");
    assert_eq!(lived, 1);
    assert_eq!(rig.server.counters().opened, 1);
    let id = rig.server.at(&addr).unwrap();
    let told = rig.server.remoter(id).unwrap().tls().expect("what was agreed");
    assert_eq!((told.version(), told.server_name()), (TlsVersion::Tls13, Some("server.test")));
}

#[test]
fn a51_a_handshake_takes_bounded_steps_by_hand_and_never_blocks() {
    let mut rig = TlsRig::new();
    let mut peer = rig.peer();
    peer.chunk = 1;
    let (mut opened, mut calls) = (0, 0);
    while opened == 0 {
        peer.pump();
        opened += rig.server.service_connects();
        calls += 1;
        assert!(calls < 100_000, "never live");
    }
    assert!(calls > 200, "one byte at a time takes more than {calls} calls");
    assert_eq!((opened, rig.server.len(), rig.server.cxes()), (1, 1, 0));
    // By its own step, too, and with nothing there each returns at once.
    for _ in 0..10 {
        assert_eq!(rig.server.service_cxes(), 0);
    }
}

#[test]
fn a52_all_four_ways_to_verify_work_in_both_versions() {
    for (versions, expected) in [
        (&[&rustls::version::TLS13], TlsVersion::Tls13),
        (&[&rustls::version::TLS12], TlsVersion::Tls12),
    ] {
        for server_verifies in [false, true] {
            for client_verifies in [false, true] {
                let mut rig = TlsRig::with(
                    |_| {},
                    |authority, tls| {
                        let auth =
                            if server_verifies { authority.required() } else { ClientAuth::None };
                        tls.with_client_auth(auth).with_versions([expected])
                    },
                );
                let shown = rig.authority.issue(&pki::client());
                let shown = server_verifies.then_some(&shown);
                let mut client = peer::config(&rig.authority, versions, shown);
                if !client_verifies {
                    client.dangerous().set_certificate_verifier(Arc::new(anyone::Anyone));
                }
                let mut peer = Peer::connect(rig.addr, &Arc::new(client), "server.test");
                let id = rig.shake(&mut peer);
                rig.echoes(&mut peer, id, b"hello");
                let told = rig.server.remoter(id).unwrap().tls().unwrap();
                assert_eq!(told.version(), expected);
                assert_eq!(told.peer_identity().is_some(), server_verifies);
            }
        }
    }
}

mod anyone {
    use tymist::net::tls::ring_provider;
    use tymist::net::tls::rustls::client::danger::{
        HandshakeSignatureValid as Valid, ServerCertVerified, ServerCertVerifier,
    };
    use tymist::net::tls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tymist::net::tls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

    /// A client that does not verify.
    #[derive(Debug)]
    pub(super) struct Anyone;

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<Valid, Error> {
            Ok(Valid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<Valid, Error> {
            Ok(Valid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            ring_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}

#[test]
fn a53_a_client_that_leaves_in_its_handshake_is_dropped_and_may_come_again() {
    let mut rig = TlsRig::new();
    let hello = Peer::hello(&rig.client);
    for part in [0, 1, hello.len() / 2, hello.len()] {
        let mut raw = connect(rig.addr);
        let addr = raw.local_addr().unwrap();
        send(&mut raw, &hello[..part]);
        rig.until_server(|server| server.cxes() == 1);
        drop(raw);
        match rig.failed(addr) {
            CloseReason::Handshake(Failure::Eof) => {}
            // Its socket had our flight unread, and was closed: the kernel resets.
            CloseReason::Reset if part == hello.len() => {}
            other => panic!("after {part} bytes: {other}"),
        }
        assert_eq!((rig.server.len(), rig.server.cxes(), rig.server.timers()), (0, 0, 0));
    }
    let (mut peer, id) = rig.live();
    rig.echoes(&mut peer, id, b"again");
    assert!(!rig.log.iter().any(|event| matches!(event, Event::Closed(..))), "never a usable one");
}

#[test]
fn a54_the_name_that_is_verified_is_apart_from_the_address() {
    let mut rig = TlsRig::new();
    // The address is 127.0.0.1 in each case, the certificate's names are server.test, localhost and 127.0.0.1.
    for (name, right) in
        [("server.test", true), ("localhost", true), ("127.0.0.1", true), ("other.test", false)]
    {
        let mut peer = Peer::connect(rig.addr, &rig.client, name);
        if right {
            rig.shake(&mut peer);
            continue;
        }
        let why = rig.refused(&mut peer);
        let Some(End::Tls(rustls::Error::InvalidCertificate(_))) = peer.end else {
            panic!("{name}: {:?}", peer.end);
        };
        assert!(matches!(why, CloseReason::Handshake(Failure::PeerAlert(_))), "{why}");
    }
}

#[test]
fn a55_the_same_calls_serve_plain_and_tls_on_one_server() {
    let mut rig = TlsRig::new();
    let addr = rig.addr;
    rig.addr = rig.plain;
    let (mut plain, plain_id) = rig.client();
    rig.addr = addr;
    let (mut secure, secure_id) = rig.live();
    assert!(rig.server.remoter(plain_id).unwrap().tls().is_none());
    assert!(rig.server.remoter(secure_id).unwrap().tls().is_some());
    send(&mut plain, b"in plain");
    secure.say(b"protected");
    for (id, expected) in [(plain_id, &b"in plain"[..]), (secure_id, b"protected")] {
        rig.drive(&mut secure, |rig, _| {
            rig.server.remoter(id).unwrap().rx().len() >= expected.len()
        });
        let remoter = rig.server.remoter_mut(id).unwrap();
        assert_eq!(remoter.rx(), expected);
        assert_eq!(remoter.consume(3), 3);
        let rest = remoter.take_first(100);
        assert_eq!(remoter.tx(&rest).unwrap(), expected.len() - 3);
        assert_eq!(remoter.counters().bytes_in, expected.len() as u64, "counts what its user sees");
        rig.server.service_sends_of(id).unwrap();
        assert_eq!(rig.server.remoter(id).unwrap().tx_len(), 0);
    }
    assert_eq!(crate::util::receive(&mut plain, 5), b"plain");
    rig.drive(&mut secure, |_, peer| peer.got == b"tected");
    let sent = rig.server.broadcast(&bytes::Bytes::from_static(b"all"), |_| true);
    assert_eq!(sent.queued, 2);
    rig.drive(&mut secure, |_, peer| peer.got == b"tectedall");
    assert_eq!(crate::util::receive(&mut plain, 3), b"all");
    let config = Arc::new(peer::config(&rig.authority, BOTH, None));
    let mut more = Peer::connect(rig.addr, &config, "server.test");
    let id = rig.shake(&mut more);
    assert_ne!(id, secure_id);
}
