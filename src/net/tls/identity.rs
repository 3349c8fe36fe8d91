//! Who a server or client is: certificate chain, private key, and the names they are for.

use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::DnsName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::der::Certificate;
use super::material::{Material, Problem, TlsConfigError};

/// A certificate chain and its private key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Identity {
    /// The certificates, the server's (or client's) own first, then its issuers without the root.
    pub chain: Material,
    /// The private key of the first certificate: PKCS #8, PKCS #1 or SEC1, not encrypted.
    pub key: Material,
    /// The server names it is for, compared without case; `*.example.org` is for every name with one label more. Empty
    /// (default): it serves whoever asks for a name that no other identity has, or for none. Of no effect on a client.
    pub names: Vec<String>,
}

impl Identity {
    /// `chain` with the private key `key`, for all names.
    pub fn new(chain: impl Into<Material>, key: impl Into<Material>) -> Self {
        Identity { chain: chain.into(), key: key.into(), names: Vec::new() }
    }

    /// The same for these server names only.
    #[must_use]
    pub fn for_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Reads and checks it: parses, the key belongs to the first certificate, and that is valid at `now` (seconds since the UNIX epoch).
    pub(super) fn load(
        &self,
        provider: &CryptoProvider,
        now: u64,
    ) -> Result<Loaded, TlsConfigError> {
        let chain = self.chain.certificates()?;
        let key = self.key.key()?;
        let signing = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| self.key.error(Problem::Unsupported(error)))?;
        let matches = |place: usize| {
            let own = chain[place..].to_vec();
            CertifiedKey::new(own, Arc::clone(&signing)).keys_match()
        };
        match matches(0) {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let place = (1..chain.len()).find(|&place| matches(place).is_ok());
                return Err(self.key.error(Problem::KeyMismatch(place)));
            }
            Err(error) => return Err(self.chain.error(Problem::Unsupported(error))),
        }
        let (not_before, not_after) = Certificate::parse(&chain[0])
            .map(|certificate| (certificate.not_before, certificate.not_after))
            .ok_or_else(|| TlsConfigError::new(Problem::NoIdentity))?;
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if now > not_after {
            return Err(self.chain.error(Problem::Expired(not_after)));
        }
        if now < not_before {
            return Err(self.chain.error(Problem::NotValidYet(not_before)));
        }
        let names = self.names.iter().map(|name| Pattern::parse(name)).collect::<Result<_, _>>()?;
        Ok(Loaded { certified: Arc::new(CertifiedKey::new(chain, signing)), names, not_after })
    }
}

/// An identity that has been read and checked.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) certified: Arc<CertifiedKey>,
    names: Vec<Pattern>,
    /// Seconds since the UNIX epoch.
    pub(super) not_after: i64,
}

/// A server name, or all names one label below one.
#[derive(Debug)]
struct Pattern {
    wildcard: bool,
    name: Box<str>,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, TlsConfigError> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        DnsName::try_from(name)
            .map_err(|_| TlsConfigError::new(Problem::BadName(text.to_owned())))?;
        Ok(Pattern { wildcard, name: name.to_ascii_lowercase().into() })
    }

    /// `asked` in lower case.
    fn matches(&self, asked: &str) -> bool {
        if !self.wildcard {
            return *self.name == *asked;
        }
        asked.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && *rest == *self.name)
    }
}

/// All identities of a server, and which one serves whom. A linear search: a server with thousands of names should give its
/// names to a chooser.
#[derive(Debug)]
pub(super) struct Names(Vec<Loaded>);

impl Names {
    pub(super) fn new(identities: Vec<Loaded>) -> Self {
        Names(identities)
    }

    /// Seconds since the UNIX epoch at which the first of them expires.
    pub(super) fn first_expiry(&self) -> i64 {
        self.0.iter().map(|identity| identity.not_after).min().unwrap_or(i64::MAX)
    }

    fn candidates(&self, asked: Option<&str>) -> impl Iterator<Item = &Loaded> {
        let named = move |identity: &Loaded| {
            asked.is_some_and(|asked| identity.names.iter().any(|name| name.matches(asked)))
        };
        let any_named = self.0.iter().any(named);
        self.0.iter().filter(
            move |identity| {
                if any_named { named(identity) } else { identity.names.is_empty() }
            },
        )
    }

    pub(super) fn serves(&self, asked: Option<&str>) -> bool {
        self.candidates(asked).next().is_some()
    }
}

impl ResolvesServerCert for Names {
    /// The first identity for the name whose key can sign what the client can verify.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let fits = |identity: &&Loaded| identity.certified.key.choose_scheme(schemes).is_some();
        let mut candidates = self.candidates(hello.server_name());
        let fitting = self.candidates(hello.server_name()).find(fits);
        fitting.or_else(|| candidates.next()).map(|identity| Arc::clone(&identity.certified))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_match_without_case_and_wildcards_take_one_label() {
        let plain = Pattern::parse("Example.ORG").unwrap();
        assert!(plain.matches("example.org"));
        assert!(!plain.matches("a.example.org"));
        let wild = Pattern::parse("*.example.org").unwrap();
        assert!(wild.matches("a.example.org"));
        assert!(!wild.matches("example.org"));
        assert!(!wild.matches("a.b.example.org"));
        assert!(!wild.matches(".example.org"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "*", "*.", "a b", "10.0.0.1:80", "-", "*.*.org"] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(matches!(error.problem(), Problem::BadName(_)), "{text:?}: {error}");
        }
    }
}
