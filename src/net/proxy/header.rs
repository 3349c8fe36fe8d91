//! Headers as they go over the wire: read and written.
//!
//! By the specification of HAProxy, "The PROXY protocol, versions 1 & 2", of 2020/03/05 (sections 2.1 and 2.2 are the two formats).

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::error::ProxyFailure;
use super::unix::{self, UNIX_LEN};
use crate::net::Addr;

/// What every header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;
/// What every header of version 1 begins with.
const TEXT: &[u8] = b"PROXY ";
/// Longest line of version 1, its end included.
const TEXT_MAX: usize = 107;
/// `PP2_TYPE_CRC32C`: a CRC-32C of the whole header, counted with zeros in its own place.
const CRC32C: u8 = 0x03;

/// Version of the PROXY protocol.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary, with room for more than addresses.
    V2,
}

impl fmt::Display for ProxyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyVersion::V1 => "v1",
            ProxyVersion::V2 => "v2",
        })
    }
}

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
    let Some(at) = seen.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if seen.len() == TEXT_MAX { Err(ProxyFailure::TooLong) } else { Ok(None) };
    };
    match seen[at..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if at + 1 < TEXT_MAX => return Ok(None),
        [b'\r'] => return Err(ProxyFailure::TooLong),
        _ => return Err(ProxyFailure::Malformed),
    }
    let line = core::str::from_utf8(&seen[TEXT.len()..at]).map_err(|_| ProxyFailure::Malformed)?;
    let ends = text_ends(line).ok_or(ProxyFailure::Malformed)?;
    let said = Said { version: ProxyVersion::V1, ends, tlvs: Arc::default() };
    Ok(Some((said, at + 2)))
}

/// The ends in a line of version 1, from the family on; `None` if it is none, `Some(None)` if it has no ends.
fn text_ends(line: &str) -> Option<Option<(Addr, Addr)>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None); // What follows is to be ignored.
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
    if family >> 4 > 3 || family & 0xf > 2 {
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

/// A header to send: says to a server whom a connection is made for.
///
/// ```
/// use tymist::net::Addr;
/// use tymist::net::proxy::{ProxyHeader, ProxyVersion};
///
/// let (source, destination) = (Addr::from(([192, 0, 2, 1], 4711)), Addr::from(([192, 0, 2, 2], 443)));
/// let header = ProxyHeader::new(ProxyVersion::V1, &source, &destination);
/// assert_eq!(header.as_bytes(), b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyHeader {
    bytes: Arc<[u8]>,
}

/// A field that a header cannot hold: version 1 has none, and version 2 has 65,535 bytes for all together.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room for that field in this header")
    }
}

impl std::error::Error for NoRoom {}

impl ProxyHeader {
    /// Says that the connection is for `source`, which has connected to `destination`. If one of them is IPv4 and the other IPv6, both are told as IPv6;
    /// what a version has no word for is told as unknown.
    #[must_use]
    pub fn new(version: ProxyVersion, source: &Addr, destination: &Addr) -> Self {
        match version {
            ProxyVersion::V1 => Self::text(source, destination),
            ProxyVersion::V2 => Self::binary(source, destination),
        }
    }

    /// Says that the connection is the sender's own, as for a health check: `LOCAL`, or in version 1 `UNKNOWN`.
    #[must_use]
    pub fn local(version: ProxyVersion) -> Self {
        match version {
            ProxyVersion::V1 => Self::unknown(),
            ProxyVersion::V2 => Self::assemble(0x20, 0x00, &[]),
        }
    }

    /// Adds a field to a header of version 2.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn with_tlv(self, kind: u8, value: &[u8]) -> Result<Self, NoRoom> {
        let body = self.bytes.get(FIXED..).filter(|_| self.bytes.starts_with(&SIGNATURE));
        let body = body.ok_or(NoRoom)?;
        let len = u16::try_from(value.len()).map_err(|_| NoRoom)?;
        let body = [body, &[kind], &len.to_be_bytes(), value].concat();
        u16::try_from(body.len()).map_err(|_| NoRoom)?;
        Ok(Self::assemble(self.bytes[12], self.bytes[13], &body))
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn unknown() -> Self {
        ProxyHeader { bytes: (*b"PROXY UNKNOWN\r\n").into() }
    }

    fn text(source: &Addr, destination: &Addr) -> Self {
        let Some((source, destination)) = alike(source, destination) else {
            return Self::unknown();
        };
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (from, to) = (source.ip(), destination.ip());
        let (from_port, to_port) = (source.port(), destination.port());
        let line = format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n");
        ProxyHeader { bytes: line.into_bytes().into() }
    }

    fn binary(source: &Addr, destination: &Addr) -> Self {
        let (family, body) = match alike(source, destination) {
            Some((source, destination)) => {
                let ip = |addr: SocketAddr| match addr.ip() {
                    IpAddr::V4(ip) => ip.octets().to_vec(),
                    IpAddr::V6(ip) => ip.octets().to_vec(),
                };
                let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()];
                let family = if source.is_ipv4() { 0x11 } else { 0x21 };
                (family, [ip(source), ip(destination), ports.concat()].concat())
            }
            None => match (unix::write(source), unix::write(destination)) {
                (Some(source), Some(destination)) => (0x31, [source, destination].concat()),
                _ => (0x00, Vec::new()),
            },
        };
        Self::assemble(0x21, family, &body)
    }

    /// A header of version 2 of parts that fit.
    fn assemble(version_command: u8, family: u8, body: &[u8]) -> Self {
        let len = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
        let bytes = [&SIGNATURE[..], &[version_command, family], &len, body].concat();
        ProxyHeader { bytes: bytes.into() }
    }
}

/// Both as IPv4 or both as IPv6.
fn alike(source: &Addr, destination: &Addr) -> Option<(SocketAddr, SocketAddr)> {
    let canonical = |addr: &Addr| Some((addr.ip()?, addr.port()?));
    let ((source, from), (destination, to)) = (canonical(source)?, canonical(destination)?);
    let six = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let (source, destination) = match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => (source, destination),
        _ => (six(source).into(), six(destination).into()),
    };
    Some((SocketAddr::new(source, from), SocketAddr::new(destination, to)))
}

impl fmt::Debug for ProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyHeader({})", self.bytes.escape_ascii())
    }
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
