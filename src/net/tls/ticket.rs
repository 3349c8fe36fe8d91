//! Session tickets (RFC 8446 section 4.6.1, RFC 5077) on any crypto provider, by the clock of the configuration.
//!
//! rustls's own ticketers read the system's clock and the system's randomness, which a simulated run must not.

use core::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, NONCE_LEN, OutboundPlainMessage, Tls13AeadAlgorithm,
};
use rustls::server::ProducesTickets;
use rustls::{ContentType, ProtocolVersion, SupportedCipherSuite};

use super::time::TlsTime;

/// A key makes tickets for so many seconds and then opens them for as many more: 6 hours each, as rustls has it.
const ROTATION: u64 = 6 * 3600;
const KEY_NAME: usize = 16;
const SECRET: usize = 32;
/// Longer than any ticket this server makes: they hold no certificates.
const TICKET_MAX: usize = 2048;
const RECORD_HEADER: usize = 5;

/// Makes and opens tickets. What they are sealed with lives only here, so they are lost with the process.
pub(super) struct Tickets {
    aead: &'static dyn Tls13AeadAlgorithm,
    provider: Arc<CryptoProvider>,
    time: TlsTime,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    current: Option<Key>,
    previous: Option<Key>,
}

#[derive(Clone)]
struct Key {
    name: [u8; KEY_NAME],
    secret: [u8; SECRET],
    /// Seconds since the UNIX epoch.
    born: u64,
}

impl Tickets {
    /// `None` if the provider has no TLS 1.3 cipher with keys of 256 bits, the only ones that can be made outside rustls.
    pub(super) fn new(provider: &Arc<CryptoProvider>, time: TlsTime) -> Option<Self> {
        let mut suites = provider.cipher_suites.iter().filter_map(SupportedCipherSuite::tls13);
        let aead = suites.find(|suite| suite.aead_alg.key_len() == SECRET)?.aead_alg;
        Some(Tickets { aead, provider: Arc::clone(provider), time, keys: Mutex::default() })
    }

    fn random<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.provider.secure_random.fill(&mut bytes).ok().map(|()| bytes)
    }

    /// The key that seals now; makes one where there is none or it is too old.
    fn current(&self) -> Option<Key> {
        let now = self.time.now()?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.forget(now);
        if keys.current.is_none() {
            let key = Key { name: self.random()?, secret: self.random()?, born: now };
            keys.current = Some(key);
        }
        keys.current.clone()
    }

    fn named(&self, name: &[u8]) -> Option<Key> {
        let now = self.time.now()?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.forget(now);
        let mut known = keys.current.iter().chain(&keys.previous);
        known.find(|key| key.name == *name).cloned()
    }
}

impl Keys {
    /// Moves keys on by their age. A clock that went back counts as no time.
    fn forget(&mut self, now: u64) {
        let age = |key: &Key| now.saturating_sub(key.born);
        if self.current.as_ref().is_some_and(|key| age(key) >= ROTATION) {
            self.previous = self.current.take();
        }
        if self.previous.as_ref().is_some_and(|key| age(key) >= 2 * ROTATION) {
            self.previous = None;
        }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(2 * ROTATION).unwrap_or(u32::MAX)
    }

    /// Key name, nonce, then the sealed state. The nonce is random: a counter would tell peers apart.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.current()?;
        let nonce: [u8; NONCE_LEN] = self.random()?;
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_3,
            payload: plain.into(),
        };
        let mut seal = self.aead.encrypter(AeadKey::from(key.secret), Iv::from(nonce));
        let sealed = seal.encrypt(message, 0).ok()?.encode();
        let mut ticket = Vec::with_capacity(KEY_NAME + NONCE_LEN + sealed.len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(sealed.get(RECORD_HEADER..)?);
        (ticket.len() <= TICKET_MAX).then_some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_MAX {
            return None;
        }
        let (name, rest) = ticket.split_at_checked(KEY_NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.named(name)?;
        let nonce = <[u8; NONCE_LEN]>::try_from(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let (kind, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        let message = InboundOpaqueMessage::new(kind, version, &mut sealed);
        let mut open = self.aead.decrypter(AeadKey::from(key.secret), Iv::from(nonce));
        open.decrypt(message, 0).ok().map(|plain| plain.payload.to_vec())
    }
}

/// Shows no key.
impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::net::tls::ring_provider;
    use crate::tyme::Tymist;

    #[test]
    fn a_ticket_is_good_until_its_key_is_forgotten() {
        let mut tymist = Tymist::new();
        let time = TlsTime::simulated(tymist.tymth(), Duration::from_secs(1_000_000_000));
        let tickets = Tickets::new(&ring_provider(), time).unwrap();
        let ticket = tickets.encrypt(b"state").unwrap();
        assert_ne!(ticket, tickets.encrypt(b"state").unwrap(), "a nonce of its own");
        let mut step = |seconds| tymist.tick_by(Duration::from_secs(seconds));
        step(2 * ROTATION - 1);
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        let later = tickets.encrypt(b"later").unwrap();
        assert_ne!(ticket[..KEY_NAME], later[..KEY_NAME], "by a key of its own");
        step(1);
        assert_eq!(tickets.decrypt(&ticket), None);
        assert_eq!(tickets.decrypt(&later).as_deref(), Some(&b"later"[..]));
    }

    #[test]
    fn what_is_no_ticket_is_none() {
        let time = TlsTime::simulated(Tymist::new().tymth(), Duration::ZERO);
        let tickets = Tickets::new(&ring_provider(), time).unwrap();
        let ticket = tickets.encrypt(b"state").unwrap();
        for cut in 0..ticket.len() {
            assert_eq!(tickets.decrypt(&ticket[..cut]), None, "{cut}");
            let mut changed = ticket.clone();
            changed[cut] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{cut}");
        }
        assert_eq!(tickets.decrypt(&vec![0; TICKET_MAX + 1]), None);
        assert_eq!(tickets.encrypt(&vec![0; TICKET_MAX]), None);
    }
}
