//! The PROXY protocol, versions 1 and 2: how a load balancer tells whom a connection is for.
//!
//! A connection that comes through a proxy comes from the proxy's address. This protocol puts a short header before all else, TLS included, that names the true
//! source and destination. Specification: HAProxy, "The PROXY protocol, versions 1 & 2".
//!
//! * **Where it comes in**: [`Server::set_proxy_protocol`](crate::Server::set_proxy_protocol) makes an acceptor, plain or with TLS, expect it from the networks
//!   of a [`ProxyProtocol`]. From then on [`Remoter::peer_addr`](crate::Remoter::peer_addr) is the true source,
//!   and [`Remoter::proxied`](crate::Remoter::proxied) tells the rest.
//! * **Where it goes out**: [`Connect::proxy_header`](crate::Connect::proxy_header) is sent first on each connection that is dialled.
//!
//! # What holds
//!
//! * Who may send a header can say anything in it. So it is read from trusted networks only; from there it must be sent, since whoever guesses whether there is
//!   one lets the sender of the first bytes choose who it is.
//! * A header is read within [`Timeouts::handshake`](crate::Timeouts::handshake) and bounded in bytes; a connection whose header is wrong, or cut short, ends
//!   in `HandshakeFailed` with [`CloseReason::Proxy`](crate::CloseReason::Proxy).
//! * `LOCAL` (the proxy's own, as for a health check), `UNKNOWN` and families without addresses are let in under the proxy's own address.
//! * Limits by address ([`Limits::remoters_per_ip`](crate::Limits::remoters_per_ip), [`Limits::handshakes_per_ip`](crate::Limits::handshakes_per_ip)) count the
//!   true source. While its header is on its way a connection counts to no address: the proxy's many users are not one. It counts among all handshakes.
//! * [`Server::at`](crate::Server::at) finds it by the true source. What has come behind the header is not lost, nor read ahead of TLS.

mod error;
mod header;
mod introduced;
mod parse;
mod stream;
mod unix;

use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;

pub use error::ProxyFailure;
pub use header::{NoRoom, ProxyHeader, ProxyVersion};
pub(crate) use introduced::Introduced;
pub use ipnet::{AddrParseError, IpNet};
pub use parse::Tlvs;
pub use stream::{Proxied, ProxyStream};

use crate::net::Addr;

/// What an acceptor makes of the PROXY protocol.
///
/// ```
/// use tymist::net::proxy::{OtherPeers, ProxyProtocol};
///
/// let mut proxy: ProxyProtocol = "10.0.0.0/8, 192.0.2.7, fd00::/8".parse()?;
/// proxy.others = OtherPeers::Plain;
/// assert!(proxy.trusts(&([10, 1, 2, 3], 4711).into()));
/// assert!(!proxy.trusts(&([192, 0, 2, 8], 4711).into()));
/// # Ok::<(), tymist::net::proxy::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyProtocol {
    /// From where a header is read, and expected.
    pub trusted: Vec<IpNet>,
    /// Whether one is read and expected on Unix sockets, whose peers have no address; their files' permissions say who they may be. Default no.
    pub trust_unix: bool,
    /// What becomes of connections from elsewhere. Default: refused.
    pub others: OtherPeers,
    /// Longest header of version 2, in bytes. Default 4096: addresses take 232 at most, the rest is for fields such as a client's certificate. Each connection
    /// whose header is on its way costs what has come of it, at most 512 bytes more than this.
    pub header_max: usize,
}

/// What becomes of connections that do not come from a trusted network.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum OtherPeers {
    /// They are closed at once, with a `Refused` event.
    Refuse,
    /// They are taken for what they are: no header is read, and their own address is theirs.
    Plain,
}

impl ProxyProtocol {
    /// Trusts these networks, and refuses all others.
    #[must_use]
    pub fn new(trusted: impl IntoIterator<Item = IpNet>) -> Self {
        ProxyProtocol {
            trusted: trusted.into_iter().collect(),
            trust_unix: false,
            others: OtherPeers::Refuse,
            header_max: 4096,
        }
    }

    /// Whether a header is to be read from there; `None`: nobody is let in from there.
    pub(crate) fn judge(&self, peer: &Addr) -> Option<bool> {
        match self.others {
            _ if self.trusts(peer) => Some(true),
            OtherPeers::Plain => Some(false),
            OtherPeers::Refuse => None,
        }
    }

    /// Whether a header is read from there.
    #[must_use]
    pub fn trusts(&self, peer: &Addr) -> bool {
        match peer.ip() {
            Some(ip) => self.trusted.iter().any(|net| is_in(ip, net)),
            None => self.trust_unix,
        }
    }
}

/// Whether the network has that address. One of mapped addresses (`::ffff:10.0.0.0/104`) means those of IPv4; one that has others as well does not.
fn is_in(ip: IpAddr, net: &IpNet) -> bool {
    match (ip, net) {
        (IpAddr::V4(ip), IpNet::V6(net)) => {
            net.prefix_len() >= 96 && net.contains(&ip.to_ipv6_mapped())
        }
        _ => net.contains(&ip),
    }
}

/// Networks (`10.0.0.0/8`) and single addresses, separated by commas.
impl FromStr for ProxyProtocol {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let nets = text.split(',').map(str::trim).filter(|net| !net.is_empty());
        let net = |text: &str| match text.parse::<IpAddr>() {
            Ok(ip) => Ok(IpNet::from(ip)),
            Err(_) => text.parse(),
        };
        Ok(ProxyProtocol::new(nets.map(net).collect::<Result<Vec<_>, _>>()?))
    }
}

impl fmt::Display for OtherPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OtherPeers::Refuse => "refused",
            OtherPeers::Plain => "plain",
        })
    }
}
