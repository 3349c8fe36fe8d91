//! The few fields of certificates and revocation lists that rustls does not tell: validity and names.
//!
//! A reader of DER (X.690), bounded and without recursion. It trusts nothing and verifies nothing: what it reads is shown
//! or compared with a clock, while rustls alone decides whom to trust. What the caller trusts already is asked what it is fit for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::info::PeerIdentity;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// id-ce-subjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// id-ce-basicConstraints, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// id-ce-extKeyUsage, 2.5.29.37.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// What is left to read of a constructed value.
#[derive(Copy, Clone)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next value with its tag.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            // DER of up to 16 MiB; no certificate comes near.
            if count == 0 || count > 3 || rest.len() < count {
                return None;
            }
            let (bytes, after) = rest.split_at(count);
            rest = after;
            bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))
        };
        let (value, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.optional(tag)
    }

    /// The next value if it has this tag; otherwise it stays.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, value) = ahead.any()?;
        if found != tag {
            return None;
        }
        *self = ahead;
        Some(value)
    }

    fn sequence(&mut self) -> Option<Reader<'a>> {
        self.expect(SEQUENCE).map(Reader)
    }

    /// Seconds since the UNIX epoch of the next value, negative before it.
    fn time(&mut self) -> Option<i64> {
        let (tag, text) = self.any()?;
        let (year_digits, century) = match tag {
            UTC_TIME => (2, 0),
            GENERALIZED_TIME => (4, 0),
            _ => return None,
        };
        let number = |at: usize, digits: usize| {
            let digits = text.get(at..at + digits)?;
            digits.iter().try_fold(0_i64, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
            })
        };
        let mut year = century + number(0, year_digits)?;
        if tag == UTC_TIME {
            // RFC 5280 section 4.1.2.5.1: two digits stand for 1950 to 2049.
            year += if year < 50 { 2000 } else { 1900 };
        }
        let field = |index: usize| number(year_digits + 2 * index, 2);
        let (month, day) = (field(0)?, field(1)?);
        let (hour, minute, second) = (field(2)?, field(3)?, field(4)?);
        let in_range = (1..=12).contains(&month) && (1..=31).contains(&day);
        let ends = text.get(year_digits + 10..)? == b"Z";
        if !in_range || hour > 23 || minute > 59 || second > 60 || !ends {
            return None;
        }
        Some(days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, by counting years from March so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The fields of a certificate (RFC 5280 section 4.1) that are of use here.
pub(super) struct Certificate<'a> {
    serial: &'a [u8],
    subject: Reader<'a>,
    extensions: Option<Reader<'a>>,
    /// Seconds since the UNIX epoch.
    pub(super) not_before: i64,
    /// Seconds since the UNIX epoch; valid up to and including it.
    pub(super) not_after: i64,
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(der);
        let mut certificate = outer.sequence()?;
        let mut fields = certificate.sequence()?;
        let _ = fields.optional(VERSION);
        let serial = fields.expect(INTEGER)?;
        fields.sequence()?; // signature algorithm
        fields.sequence()?; // issuer
        let mut validity = fields.sequence()?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = fields.sequence()?;
        fields.sequence()?; // public key
        // Between them only the two unique identifiers, which nobody uses.
        let extensions = loop {
            match fields.any() {
                Some((EXTENSIONS, value)) => break Reader(value).sequence(),
                Some(_) => {}
                None => break None,
            }
        };
        let whole = outer.0.is_empty();
        whole.then_some(Certificate { serial, subject, extensions, not_before, not_after })
    }

    pub(super) fn identity(&self) -> PeerIdentity {
        let mut identity = PeerIdentity {
            common_name: self.common_name(),
            serial: self.serial.to_vec(),
            ..PeerIdentity::default()
        };
        let text = |value: &[u8]| core::str::from_utf8(value).ok().map(str::to_owned);
        let mut names = self.subject_alt_name().unwrap_or(Reader(&[]));
        while let Some((tag, value)) = names.any() {
            match tag {
                0x81 => identity.emails.extend(text(value)),
                0x82 => identity.dns_names.extend(text(value)),
                0x86 => identity.uris.extend(text(value)),
                0x87 => identity.ips.extend(ip(value)),
                _ => {}
            }
        }
        identity
    }

    /// Whether it is an authority's that says of which servers it is, too, and of nothing that it is for something else.
    pub(super) fn is_authority_and_server(&self) -> bool {
        let constraints = self.extension(BASIC_CONSTRAINTS);
        let authority = constraints.and_then(|mut it| it.optional(BOOLEAN)) == Some(&[0xff]);
        // Without the extension it is for all purposes (RFC 5280 section 4.2.1.12).
        let for_servers = !self.has_extension(EXTENDED_KEY_USAGE)
            || self.extension(EXTENDED_KEY_USAGE).is_some_and(|mut purposes| {
                core::iter::from_fn(|| purposes.expect(OID)).any(|it| it == SERVER_AUTH)
            });
        authority && for_servers && self.subject_alt_name().is_some()
    }

    fn subject_alt_name(&self) -> Option<Reader<'a>> {
        self.extension(SUBJECT_ALT_NAME)
    }

    fn has_extension(&self, oid: &[u8]) -> bool {
        self.extension_value(oid).is_some()
    }

    /// What is in the sequence that an extension is.
    fn extension(&self, oid: &[u8]) -> Option<Reader<'a>> {
        Reader(self.extension_value(oid)??).sequence()
    }

    /// The value of an extension that is there, if it can be read.
    fn extension_value(&self, oid: &[u8]) -> Option<Option<&'a [u8]>> {
        let mut extensions = self.extensions?;
        while let Some(mut extension) = extensions.sequence() {
            let found = extension.expect(OID) == Some(oid);
            let _ = extension.optional(BOOLEAN);
            let value = extension.expect(OCTET_STRING);
            if found {
                return Some(value);
            }
        }
        None
    }

    fn common_name(&self) -> Option<String> {
        let mut subject = self.subject;
        while let Some(set) = subject.expect(SET) {
            let mut attribute = Reader(set).sequence()?;
            if attribute.expect(OID) == Some(COMMON_NAME) {
                let (_, value) = attribute.any()?;
                return core::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
        None
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(value).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// When a revocation list wants to be replaced (RFC 5280 section 5.1.2.5), in seconds since the UNIX epoch.
/// The outer `None` says that it is no revocation list.
pub(super) fn next_update(der: &[u8]) -> Option<Option<i64>> {
    let mut fields = Reader(der).sequence()?.sequence()?;
    let _ = fields.optional(INTEGER);
    fields.sequence()?; // signature algorithm
    fields.sequence()?; // issuer
    fields.time()?; // this update
    let mut ahead = fields;
    Some(ahead.time())
}

/// Whether this looks like a PKCS #12 archive (RFC 7292): a sequence that begins with the integer 3.
pub(super) fn is_pkcs12(der: &[u8]) -> bool {
    Reader(der).sequence().and_then(|mut archive| archive.expect(INTEGER)) == Some(&[3])
}

/// Whether this looks like an encrypted PKCS #8 key (RFC 5958): a sequence of an algorithm and an octet string.
pub(super) fn is_encrypted_key(der: &[u8]) -> bool {
    let parse = || {
        let mut key = Reader(der).sequence()?;
        key.sequence()?.expect(OID)?;
        key.expect(OCTET_STRING)
    };
    parse().is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<i64> {
        let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
        der.extend_from_slice(text.as_bytes());
        Reader(&der).time()
    }

    #[test]
    fn times_are_seconds_since_the_epoch() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Some(-631_152_000));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERALIZED_TIME, "20000229120000Z"), Some(951_825_600));
        assert_eq!(time(GENERALIZED_TIME, "20240301000000Z"), Some(1_709_251_200));
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn bad_times_are_none() {
        for text in
            ["", "7001010000", "701301000000Z", "700132000000Z", "7001010000x0Z", "700101000000"]
        {
            assert_eq!(time(UTC_TIME, text), None, "{text}");
        }
        assert_eq!(time(INTEGER, "700101000000Z"), None);
    }

    #[test]
    fn lengths_beyond_the_end_are_none() {
        for der in [
            &[0x30_u8][..],
            &[0x30, 0x05, 0x00],
            &[0x30, 0x80],
            &[0x30, 0x84, 1, 1, 1, 1],
            &[0x30, 0x82, 1],
        ] {
            assert!(Reader(der).any().is_none(), "{der:x?}");
            assert!(Certificate::parse(der).is_none());
        }
    }
}
