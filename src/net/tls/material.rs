//! Certificates, keys and revocation lists from files or bytes, PEM or DER, with errors that say what was found instead.

use core::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::der;

/// How long a file may be: far longer than chains, keys and revocation lists are.
const FILE_MAX: u64 = 64 << 20;

/// Where certificates, a key or revocation lists come from: a file, read anew at each load, or bytes. PEM or DER, by their look.
#[derive(Clone)]
pub struct Material(Source);

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl Material {
    /// A file, of 64 MiB at most. Nothing is read before the configuration is made, and it is read again at each reload.
    ///
    /// At first it may be a pipe, such as a shell's `<(...)`, and is waited for; a reload takes regular files only, since a tick must not wait.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Material(Source::File(path.into()))
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Material(Source::Bytes(Arc::from(bytes.into())))
    }

    /// The file it is read from, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::File(path) => Some(path),
            Source::Bytes(_) => None,
        }
    }

    fn load(&self) -> Result<Arc<[u8]>, TlsConfigError> {
        match &self.0 {
            Source::Bytes(bytes) => Ok(Arc::clone(bytes)),
            Source::File(path) => {
                read(path).map(Arc::from).map_err(|error| self.error(Problem::Read(error)))
            }
        }
    }

    /// Whether it can be read again with no danger of waiting for a writer, or for somebody at a terminal.
    pub(super) fn look_again(&self) -> Result<(), TlsConfigError> {
        let Source::File(path) = &self.0 else { return Ok(()) };
        // Whoever can put something else there before it is opened can have any certificate served.
        let found = fs::metadata(path).map_err(|error| self.error(Problem::Read(error)))?;
        if found.is_file() {
            return Ok(());
        }
        let why = "not a regular file, and only those are read again";
        let error = io::Error::new(io::ErrorKind::InvalidInput, why);
        Err(self.error(Problem::Read(error)))
    }

    pub(super) fn error(&self, problem: Problem) -> TlsConfigError {
        TlsConfigError { at: Some(self.to_string()), problem }
    }

    fn expected(&self, expected: &'static str, bytes: &[u8]) -> TlsConfigError {
        self.error(Problem::Found { expected, found: describe(bytes) })
    }

    fn damaged(&self, expected: &'static str, error: &pem::Error) -> TlsConfigError {
        let found = match error {
            pem::Error::MissingSectionEnd { .. } => {
                "a PEM section without its end (is the file half written?)".into()
            }
            error => format!("damaged PEM: {error}"),
        };
        self.error(Problem::Found { expected, found })
    }

    /// That something was found, and each can be decoded.
    fn check<T>(
        &self,
        expected: &'static str,
        bytes: &[u8],
        found: &[T],
        is_whole: impl Fn(&T) -> bool,
    ) -> Result<(), TlsConfigError> {
        match found.iter().position(|one| !is_whole(one)) {
            None if !found.is_empty() => Ok(()),
            // Its label says that it is what was expected.
            Some(at) if is_pem(bytes) => {
                let found = format!("damaged PEM: number {} of them cannot be decoded", at + 1);
                Err(self.error(Problem::Found { expected, found }))
            }
            _ => Err(self.expected(expected, bytes)),
        }
    }

    /// At least one certificate.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
        const EXPECTED: &str = "one or more certificates";
        let bytes = self.load()?;
        let found: Vec<CertificateDer<'static>> = if is_pem(&bytes) {
            CertificateDer::pem_slice_iter(&bytes)
                .collect::<Result<_, _>>()
                .map_err(|error| self.damaged(EXPECTED, &error))?
        } else {
            vec![CertificateDer::from(bytes.to_vec())]
        };
        self.check(EXPECTED, &bytes, &found, |der| der::Certificate::parse(der).is_some())?;
        Ok(found)
    }

    /// Exactly one private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
        const EXPECTED: &str = "one private key (PKCS #8, PKCS #1 or SEC1)";
        let bytes = self.load()?;
        if is_encrypted(&bytes) {
            return Err(self.error(Problem::EncryptedKey));
        }
        if !is_pem(&bytes) {
            // An archive looks like a key to who only looks at its first bytes.
            let key = PrivateKeyDer::try_from(bytes.to_vec()).ok();
            let key = key.filter(|_| !der::is_pkcs12(&bytes));
            return key.ok_or_else(|| self.expected(EXPECTED, &bytes));
        }
        let mut keys = PrivateKeyDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.damaged(EXPECTED, &error))?;
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            _ => Err(self.expected(EXPECTED, &bytes)),
        }
    }

    /// At least one revocation list.
    pub(super) fn lists(
        &self,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsConfigError> {
        const EXPECTED: &str = "one or more certificate revocation lists";
        let bytes = self.load()?;
        let found: Vec<CertificateRevocationListDer<'static>> = if is_pem(&bytes) {
            CertificateRevocationListDer::pem_slice_iter(&bytes)
                .collect::<Result<_, _>>()
                .map_err(|error| self.damaged(EXPECTED, &error))?
        } else {
            vec![CertificateRevocationListDer::from(bytes.to_vec())]
        };
        self.check(EXPECTED, &bytes, &found, |list| der::next_update(list).is_some())?;
        Ok(found)
    }
}

/// The file's path, or that it is bytes; never what is in it.
impl fmt::Display for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::File(path) => path.display().fmt(f),
            Source::Bytes(bytes) => write!(f, "{} bytes in memory", bytes.len()),
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&Path> for Material {
    fn from(path: &Path) -> Self {
        Material::file(path)
    }
}

impl From<PathBuf> for Material {
    fn from(path: PathBuf) -> Self {
        Material::file(path)
    }
}

impl From<Vec<u8>> for Material {
    fn from(bytes: Vec<u8>) -> Self {
        Material::bytes(bytes)
    }
}

/// What is in a file, which need not be one that ends, such as a device.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 MiB"));
    }
    Ok(bytes)
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

fn is_encrypted(bytes: &[u8]) -> bool {
    if !is_pem(bytes) {
        return der::is_encrypted_key(bytes);
    }
    // The old way (RFC 1421) says so in a header within the section.
    let text = String::from_utf8_lossy(bytes);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
}

/// What `bytes` are, in words; never their content.
fn describe(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing: it is empty".into();
    }
    if is_pem(bytes) {
        let text = String::from_utf8_lossy(bytes);
        let labels: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("-----BEGIN ")?.trim_end().strip_suffix("-----"))
            .collect();
        return match labels.len() {
            0 => "damaged PEM".into(),
            1..=8 => format!("PEM with {}", labels.join(", ")),
            many => format!("PEM with {many} sections, the first {}", labels[0]),
        };
    }
    let what = if der::Certificate::parse(bytes).is_some() {
        "a DER certificate"
    } else if der::is_pkcs12(bytes) {
        "a PKCS #12 archive; take it apart with `openssl pkcs12 -nodes`"
    } else if der::next_update(bytes).is_some() {
        "a DER revocation list"
    } else if PrivateKeyDer::try_from(bytes).is_ok() {
        "a DER private key"
    } else {
        return format!("{} bytes that are neither PEM nor known DER", bytes.len());
    };
    what.into()
}

/// Why a TLS configuration was not made: which file or bytes, what was found, and what was expected.
#[derive(Debug)]
pub struct TlsConfigError {
    at: Option<String>,
    problem: Problem,
}

impl TlsConfigError {
    pub(super) fn new(problem: Problem) -> Self {
        TlsConfigError { at: None, problem }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// What is wrong with a TLS configuration.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The file could not be read.
    Read(io::Error),
    /// Something else was there than was expected.
    Found {
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The private key is encrypted, and there is nobody to ask for the pass phrase.
    EncryptedKey,
    /// The crypto provider cannot use the key or the certificate; it says why.
    Unsupported(rustls::Error),
    /// The key belongs to another certificate: to the one at this place of the chain, or to none in it.
    KeyMismatch(Option<usize>),
    /// The certificate expired at this time, in seconds since the UNIX epoch.
    Expired(i64),
    /// The certificate is not valid before this time, in seconds since the UNIX epoch.
    NotValidYet(i64),
    /// No certificate at all.
    NoIdentity,
    /// No trusted roots where certificates are to be verified.
    NoRoots,
    /// No clock for validity and tickets: without the feature `os` one has to be given.
    NoClock,
    /// The clock does not tell the time.
    ClockFailed,
    /// A server name that is none.
    BadName(String),
    /// Application protocols that cannot be sent: a name that is empty or longer than 255 bytes, or too many of them.
    BadAlpn(&'static str),
    /// A limit of no use, such as a ClientHello of less than 512 bytes.
    BadLimit(&'static str),
    /// Versions and cipher suites leave nothing to agree on.
    NothingEnabled,
    /// The verifier could not be made.
    Verifier(String),
    /// A certificate for development could not be made.
    #[cfg(feature = "dev-cert")]
    DevCert(String),
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        match &self.problem {
            Problem::Read(error) => write!(f, "cannot read: {error}"),
            Problem::Found { expected, found } => write!(f, "expected {expected}, found {found}"),
            Problem::EncryptedKey => f.write_str(
                "expected a private key, found an encrypted one; decrypt it with `openssl pkey -in KEY -out PLAIN`",
            ),
            Problem::Unsupported(error) => write!(f, "the crypto provider cannot use it: {error}"),
            Problem::KeyMismatch(Some(place)) => write!(
                f,
                "the key belongs to certificate {} of the chain; the server's own must be the first",
                place + 1
            ),
            Problem::KeyMismatch(None) => {
                f.write_str("the key does not belong to the certificate; is one of the two files an old one?")
            }
            Problem::Expired(at) => write!(f, "the certificate expired at {at} (UNIX time); renew it, or set the clock"),
            Problem::NotValidYet(at) => write!(f, "the certificate is not valid before {at} (UNIX time); is the clock right?"),
            Problem::NoIdentity => f.write_str("no certificate and key; a server needs one identity at least"),
            Problem::NoRoots => f.write_str("no trusted roots to verify certificates with; name a file with some"),
            Problem::NoClock => f.write_str("no clock for validity; set TlsCommon::time"),
            Problem::ClockFailed => f.write_str("the clock of TlsCommon::time does not tell the time"),
            Problem::BadName(name) => write!(f, "{name:?} is no server name, such as example.org or *.example.org"),
            Problem::BadAlpn(what) | Problem::BadLimit(what) => f.write_str(what),
            Problem::NothingEnabled => {
                f.write_str(
                    "TlsCommon::versions and suites leave nothing to agree on: no suite is of one of the versions",
                )
            }
            Problem::Verifier(why) => write!(f, "cannot verify certificates: {why}"),
            #[cfg(feature = "dev-cert")]
            Problem::DevCert(why) => write!(f, "cannot make a certificate for these names: {why}"),
        }
    }
}

impl std::error::Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Read(error) => Some(error),
            Problem::Unsupported(error) => Some(error),
            _ => None,
        }
    }
}
