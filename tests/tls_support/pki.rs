//! An authority that issues what a test needs.

use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tymist::net::tls::{
    ClientAuth, ClientTls, ClientTlsConfig, ClientTrust, Identity, Material, ServerTls,
    ServerTlsConfig,
};

use super::{EPOCH, time};

pub const DAY: u64 = 86_400;

pub struct Authority {
    pub cert: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to be like.
pub struct Ask {
    pub names: Vec<String>,
    pub purpose: Option<ExtendedKeyUsagePurpose>,
    /// Seconds since the UNIX epoch.
    pub not_before: u64,
    pub not_after: u64,
    pub serial: u64,
    /// An extension of so many bytes.
    pub ballast: usize,
}

pub fn server() -> Ask {
    Ask {
        names: vec!["server.test".into(), "localhost".into(), "127.0.0.1".into()],
        purpose: Some(ExtendedKeyUsagePurpose::ServerAuth),
        not_before: EPOCH - DAY,
        not_after: EPOCH + 365 * DAY,
        serial: 1,
        ballast: 0,
    }
}

pub fn client() -> Ask {
    Ask {
        names: vec!["client.test".into()],
        purpose: Some(ExtendedKeyUsagePurpose::ClientAuth),
        serial: 2,
        ..server()
    }
}

/// A certificate and its key.
pub struct Issued {
    pub cert: String,
    pub cert_der: Vec<u8>,
    pub key: String,
    pub key_der: Vec<u8>,
}

impl Issued {
    pub fn identity(&self) -> Identity {
        Identity::new(Material::bytes(self.cert.clone()), Material::bytes(self.key.clone()))
    }
}

fn fill(params: &mut CertificateParams, ask: &Ask) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(ask.not_before);
    params.not_after = epoch + Duration::from_secs(ask.not_after);
    params.serial_number = Some(SerialNumber::from(ask.serial));
    params.extended_key_usages.extend(ask.purpose.clone());
    let name = ask.names.first().map_or("nobody", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    if ask.ballast > 0 {
        let content = vec![0x04; ask.ballast];
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55_555, 1], content);
        extension.set_criticality(false);
        params.custom_extensions.push(extension);
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key).unwrap();
        Authority { cert, issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, ask: &Ask) -> Issued {
        self.issue_for(ask, KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    pub fn issue_for(&self, ask: &Ask, key: KeyPair) -> Issued {
        let mut params = CertificateParams::new(ask.names.clone()).unwrap();
        fill(&mut params, ask);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            cert: cert.pem(),
            cert_der: cert.der().to_vec(),
            key: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }

    pub fn root(&self) -> Material {
        Material::bytes(self.cert.pem())
    }

    /// A revocation list, good for 30 days from [`EPOCH`].
    pub fn revoke(&self, serials: &[u64]) -> Material {
        let epoch = date_time_ymd(1970, 1, 1);
        let now = epoch + Duration::from_secs(EPOCH - DAY);
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: epoch + Duration::from_secs(EPOCH + 30 * DAY),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|&serial| RevokedCertParams {
                    serial_number: SerialNumber::from(serial),
                    revocation_time: now,
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Material::bytes(list.signed_by(&self.issuer).unwrap().pem().unwrap())
    }

    pub fn trust(&self) -> ClientTrust {
        ClientTrust::new(self.root())
    }

    pub fn required(&self) -> ClientAuth {
        ClientAuth::Required(self.trust())
    }
}

/// A certificate signed by its own key.
pub fn self_signed(ask: &Ask) -> Issued {
    by_itself(ask, IsCa::NoCa)
}

/// The same as plain `openssl req -x509` makes it: an authority's.
pub fn self_signed_authority(ask: &Ask) -> Issued {
    by_itself(ask, IsCa::Ca(BasicConstraints::Unconstrained))
}

fn by_itself(ask: &Ask, is_ca: IsCa) -> Issued {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(ask.names.clone()).unwrap();
    params.is_ca = is_ca;
    fill(&mut params, ask);
    let cert = params.self_signed(&key).unwrap();
    Issued {
        cert: cert.pem(),
        cert_der: cert.der().to_vec(),
        key: key.serialize_pem(),
        key_der: key.serialize_der(),
    }
}

/// Configurations of two ends that trust the same authority, by the clock that stands.
pub struct World {
    pub authority: Authority,
    pub server: ServerTlsConfig,
    pub client: ClientTlsConfig,
}

pub fn world() -> World {
    let authority = Authority::new("test authority");
    let server = ServerTlsConfig::new(authority.issue(&server()).identity()).with_time(time());
    let client = ClientTlsConfig::with_roots(authority.root()).with_time(time());
    World { authority, server, client }
}

impl World {
    pub fn ends(&self) -> (ClientTls, ServerTls) {
        (ClientTls::new(&self.client).unwrap(), ServerTls::new(self.server.clone()).unwrap())
    }
}
