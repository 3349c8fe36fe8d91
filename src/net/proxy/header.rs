//! Headers to send.
//!
//! By the specification of HAProxy, "The PROXY protocol, versions 1 & 2", of 2020/03/05 (sections 2.1 and 2.2 are the two formats).

use core::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::unix;
use crate::net::Addr;

/// What every header of version 2 begins with.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
pub(super) const FIXED: usize = 16;

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
