//! Headers as they come over the wire.
//!
//! By the specification of HAProxy, "The PROXY protocol, versions 1 & 2", of 2020/03/05 (sections 2.1 and 2.2 are the two formats).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::error::ProxyFailure;
use super::header::{FIXED, ProxyVersion, SIGNATURE};
use super::unix::{self, UNIX_LEN};
use crate::net::Addr;

/// What every header of version 1 begins with.
const TEXT: &[u8] = b"PROXY ";
/// What a line of version 1 about an unknown peer begins with, if more follows.
const UNKNOWN: &[u8] = b"PROXY UNKNOWN ";
/// Longest line of version 1, its end included.
const TEXT_MAX: usize = 107;
/// `PP2_TYPE_CRC32C`: a CRC-32C of the whole header, counted with zeros in its own place.
const CRC32C: u8 = 0x03;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) version: ProxyVersion,
    /// Source and destination; `None` for `LOCAL`, `UNKNOWN` and families without addresses.
    pub(super) ends: Option<(Addr, Addr)>,
    pub(super) tlvs: Arc<[u8]>,
}

/// Reads a header from the first bytes of a connection: what it says and how long it is; `None` while more is needed. `max`: longest one of version 2.
pub(super) fn parse(bytes: &[u8], max: usize) -> Result<Option<(Said, usize)>, ProxyFailure> {
    let begins_with = |prefix: &[u8]| {
        let len = bytes.len().min(prefix.len());
        bytes[..len] == prefix[..len]
    };
    if begins_with(&SIGNATURE) {
        return parse_binary(bytes, max);
    }
    if begins_with(TEXT) {
        return parse_text(bytes);
    }
    Err(ProxyFailure::NotProxy)
}

fn parse_text(bytes: &[u8]) -> Result<Option<(Said, usize)>, ProxyFailure> {
    let seen = &bytes[..bytes.len().min(TEXT_MAX)];
    let goes_on = || if seen.len() == TEXT_MAX { Err(ProxyFailure::TooLong) } else { Ok(None) };
    let said = |ends| Said { version: ProxyVersion::V1, ends, tlvs: Arc::default() };
    if seen.starts_with(UNKNOWN) {
        // What follows is to be ignored, whatever it is, up to the end of the line.
        let end = seen.windows(2).position(|two| two == b"\r\n");
        return end.map_or_else(goes_on, |at| Ok(Some((said(None), at + 2))));
    }
    let Some(at) = seen.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return goes_on();
    };
    match seen[at..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return goes_on(),
        _ => return Err(ProxyFailure::Malformed),
    }
    let line = core::str::from_utf8(&seen[TEXT.len()..at]).map_err(|_| ProxyFailure::Malformed)?;
    let ends = text_ends(line).ok_or(ProxyFailure::Malformed)?;
    Ok(Some((said(ends), at + 2)))
}

/// The ends in a line of version 1, from the family on; `None` if it is none, `Some(None)` if it has no ends.
fn text_ends(line: &str) -> Option<Option<(Addr, Addr)>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return words.next().is_none().then_some(None);
    }
    let (source, destination) = (words.next()?, words.next()?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let source = Addr::from((ip(source)?, source_port));
    Some(Some((source, Addr::from((ip(destination)?, destination_port)))))
}

/// A port as the format wants it: digits, without zeros in front.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    if digits && plain { text.parse().ok() } else { None }
}

fn parse_binary(bytes: &[u8], max: usize) -> Result<Option<(Said, usize)>, ProxyFailure> {
    let [.., version_command, family, high, low] = *match bytes.first_chunk::<FIXED>() {
        Some(fixed) => fixed,
        None => return Ok(None),
    };
    let local = match version_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyFailure::Unsupported),
    };
    // That of the proxy's own is to be ignored, with all that follows.
    if !local && (family >> 4 > 3 || family & 0xf > 2) {
        return Err(ProxyFailure::Unsupported);
    }
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if len > max {
        return Err(ProxyFailure::TooLong);
    }
    let Some(header) = bytes.get(..len) else { return Ok(None) };
    let mut said = Said { version: ProxyVersion::V2, ends: None, tlvs: Arc::default() };
    if !local {
        let body = &header[FIXED..];
        let (ends, taken) = binary_ends(family, body).ok_or(ProxyFailure::Malformed)?;
        let tlvs = &body[taken..];
        // A family without addresses says nothing of what follows either.
        if family >> 4 != 0 {
            check_tlvs(header, FIXED + taken)?;
            said.tlvs = tlvs.into();
        }
        said.ends = ends;
    }
    Ok(Some((said, len)))
}

/// The ends in the body of a header of version 2, and how many bytes they take; `None` if it is too short for them.
fn binary_ends(family: u8, body: &[u8]) -> Option<(Option<(Addr, Addr)>, usize)> {
    let port = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    match family >> 4 {
        1 => {
            let ip = |at: usize| -> Option<Ipv4Addr> {
                Some(<[u8; 4]>::try_from(body.get(at..at + 4)?).ok()?.into())
            };
            let ends = (Addr::from((ip(0)?, port(8)?)), Addr::from((ip(4)?, port(10)?)));
            Some((Some(ends), 12))
        }
        2 => {
            let ip = |at: usize| -> Option<Ipv6Addr> {
                Some(<[u8; 16]>::try_from(body.get(at..at + 16)?).ok()?.into())
            };
            let ends = (Addr::from((ip(0)?, port(32)?)), Addr::from((ip(16)?, port(34)?)));
            Some((Some(ends), 36))
        }
        3 => {
            let name = |at: usize| Some(unix::read(body.get(at..at + UNIX_LEN)?));
            Some((Some((name(0)?, name(UNIX_LEN)?)), 2 * UNIX_LEN))
        }
        _ => Some((None, 0)),
    }
}

/// Goes through the fields behind the addresses: each must be whole, and the checksum, where there is one, right.
fn check_tlvs(header: &[u8], from: usize) -> Result<(), ProxyFailure> {
    let (mut at, mut summed) = (from, false);
    while at < header.len() {
        let (kind, value) = tlv(&header[at..]).ok_or(ProxyFailure::Malformed)?;
        let value_at = at + 3;
        if kind == CRC32C {
            // More than one would make a short header dear to check.
            if core::mem::replace(&mut summed, true) {
                return Err(ProxyFailure::Malformed);
            }
            let told = <[u8; 4]>::try_from(value).map_err(|_| ProxyFailure::Malformed)?;
            let zeroed = [&header[..value_at], &[0; 4], &header[value_at + 4..]].concat();
            if crc32c(&zeroed) != u32::from_be_bytes(told) {
                return Err(ProxyFailure::BadChecksum);
            }
        }
        at = value_at + value.len();
    }
    Ok(())
}

/// The first field in `bytes`: its type and its value.
fn tlv(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [kind, high, low] = *bytes.first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    Some((kind, bytes.get(3..3 + len)?))
}

/// Fields behind the addresses of a header of version 2, in order: type and value. Section 2.2.7 of the specification gives the types.
#[derive(Clone, Debug)]
pub struct Tlvs<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Tlvs<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, value) = tlv(self.0)?;
        self.0 = &self.0[3 + value.len()..];
        Some((kind, value))
    }
}

/// CRC-32C (RFC 3720 appendix B.4), bit by bit: a header is short.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // RFC 3720 appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
