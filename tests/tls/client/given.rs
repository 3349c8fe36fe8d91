//! A server that shows the very certificate that its client was given as a root, an authority's as plain `openssl req -x509` makes it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose;
use tymist::net::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tymist::net::tls::rustls::server::ResolvesServerCert;
use tymist::net::tls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tymist::net::tls::rustls::{ServerConfig, ServerConnection};
use tymist::net::tls::{
    ClientTls, ClientTlsConfig, HandshakeFailure as Failure, Material, TlsTime, TlsVersion,
    ring_provider,
};
use tymist::{CloseReason, Connect, Id};

use super::rig::Rig;
use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, Authority, DAY, Issued, self_signed_authority};

/// A rig whose server shows `shown`.
fn showing(shown: &Issued) -> Rig {
    let identity = shown.identity();
    Rig::with(
        |_| {},
        move |_, mut tls| {
            tls.identities = vec![identity];
            tls
        },
    )
}

/// A client of it that was given `root`.
fn given(rig: &Rig, root: &Issued) -> ClientTlsConfig {
    ClientTlsConfig::with_roots(Material::bytes(root.cert.clone())).with_time(rig.time.clone())
}

fn dial(rig: &mut Rig, config: &ClientTlsConfig, name: &str) -> Id {
    let tls = ClientTls::new(config).unwrap();
    rig.clients.connect(Connect::new(rig.addr).with_tls(&tls, name).unwrap()).unwrap()
}

#[track_caller]
fn fails(rig: &mut Rig, config: &ClientTlsConfig, name: &str, why: Failure) {
    let id = dial(rig, config, name);
    assert_eq!(rig.closed(id), CloseReason::Handshake(why));
}

/// Others accept it, and it was "invalid certificate" here.
#[test]
fn regression_a_server_that_shows_the_very_root_that_was_given_is_trusted() {
    for purpose in [None, Some(ExtendedKeyUsagePurpose::ServerAuth)] {
        let own = self_signed_authority(&pki::Ask { purpose, ..pki::server() });
        let mut rig = showing(&own);
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let config = given(&rig, &own).with_versions([version]);
            for name in ["server.test", "127.0.0.1"] {
                let id = dial(&mut rig, &config, name);
                let (_, there) = rig.until_live(id);
                rig.clients.tx(id, b"hello").unwrap();
                rig.until_unread_there(there, b"hello");
            }
        }
    }
}

#[test]
fn its_name_and_times_count_all_the_same() {
    let own = self_signed_authority(&pki::server());
    let mut rig = showing(&own);
    let config = given(&rig, &own);
    fails(&mut rig, &config, "other.test", Failure::CertWrongName);
    for (epoch, why) in
        [(EPOCH - 2 * DAY, Failure::CertNotYetValid), (EPOCH + 366 * DAY, Failure::CertExpired)]
    {
        let then = TlsTime::simulated(rig.tymist.tymth(), Duration::from_secs(epoch));
        fails(&mut rig, &config.clone().with_time(then), "server.test", why);
    }
}

/// An authority is a server nowhere but where its own certificate was given, and by nobody who would have to say more of it.
#[test]
fn no_other_authority_is_a_server() {
    let own = self_signed_authority(&pki::server());
    let mut rig = showing(&own);
    // One that says the same of itself, and one that has vouched for it.
    let config = given(&rig, &self_signed_authority(&pki::server()));
    fails(&mut rig, &config, "server.test", Failure::CertInvalid);
    let config = rig.config();
    fails(&mut rig, &config, "server.test", Failure::CertInvalid);
    // Where revocation is asked about.
    let mut config = given(&rig, &own);
    config.lists = vec![Authority::new("another authority").revoke(&[])];
    fails(&mut rig, &config, "server.test", Failure::CertInvalid);
    // It says itself that it is for something else.
    let purpose = Some(ExtendedKeyUsagePurpose::ClientAuth);
    let own = self_signed_authority(&pki::Ask { purpose, ..pki::server() });
    let mut rig = showing(&own);
    let config = given(&rig, &own);
    fails(&mut rig, &config, "server.test", Failure::CertInvalid);
}

/// Everybody has the certificate.
#[test]
fn who_shows_it_must_have_its_key() {
    let own = self_signed_authority(&pki::server());
    let stolen = CertificateDer::from(own.cert_der.clone());
    let key = PrivateKeyDer::try_from(self_signed_authority(&pki::server()).key_der).unwrap();
    let provider = ring_provider();
    let signing = provider.key_provider.load_private_key(key).unwrap();
    let resolver: Arc<dyn ResolvesServerCert> =
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![stolen], signing)));
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&resolver));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut rig = Rig::new();
        rig.addr = listener.local_addr().unwrap();
        let thief = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut session = ServerConnection::new(Arc::new(config)).unwrap();
            session.complete_io(&mut stream).unwrap_err();
        });
        let config = given(&rig, &own).with_versions([version]);
        fails(&mut rig, &config, "server.test", Failure::CertInvalid);
        thief.join().unwrap();
    }
}
