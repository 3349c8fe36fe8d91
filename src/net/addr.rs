//! Addresses of ends.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The address of one end of a connection.
///
/// Ordered and hashable, so that it can be a key; cloning one copies at most a pointer.
///
/// ```
/// use tymist::net::Addr;
///
/// let addr: Addr = "127.0.0.1:0".parse()?;
/// assert_eq!(addr.to_string(), "127.0.0.1:0");
/// assert_eq!("localhost:80".parse::<Addr>()?, Addr::from(([127, 0, 0, 1], 80)));
/// assert_eq!(":80".parse::<Addr>()?, Addr::from(([0, 0, 0, 0], 80))); // all IPv4 interfaces, as in hio
/// let error = "example.org:80".parse::<Addr>().unwrap_err();
/// assert!(error.to_string().contains("names are not looked up"));
/// # Ok::<(), tymist::net::AddrError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// IPv4 or IPv6 address and port.
    Inet(SocketAddr),
    /// A Unix socket with a path.
    Path(Arc<Path>),
    /// A Unix socket with a name in Linux's abstract space.
    Abstract(Arc<[u8]>),
    /// An end without a name: of a Unix socket, as clients have, or of a connection that is still being made. All of these are
    /// equal: go by id.
    Unnamed,
}

impl Addr {
    /// The IP address and port, of an internet address.
    #[must_use]
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Addr::Inet(addr) => Some(*addr),
            _ => None,
        }
    }

    /// The IP address, of an internet address; an IPv4 address that IPv6 carries (`::ffff:a.b.c.d`) as IPv4.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.inet().map(|addr| addr.ip().to_canonical())
    }

    /// The port, of an internet address.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.inet().map(|addr| addr.port())
    }

    /// A name in Linux's abstract space of Unix sockets, without the leading zero byte.
    #[must_use]
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Addr {
        Addr::Abstract(name.as_ref().into())
    }

    /// Whether it names an end (anything but [`Addr::Unnamed`]).
    #[must_use]
    pub fn is_named(&self) -> bool {
        *self != Addr::Unnamed
    }

    /// What a client on the same machine connects to: the loopback address where this one says "all interfaces"
    /// (hio's `eha`), otherwise the address itself.
    #[must_use]
    pub fn reachable(&self) -> Addr {
        match self {
            Addr::Inet(addr) if addr.ip().to_canonical().is_unspecified() => {
                let ip: IpAddr = match addr.ip().to_canonical() {
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                Addr::Inet(SocketAddr::new(ip, addr.port()))
            }
            other => other.clone(),
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Addr::Inet(addr)
    }
}

impl From<&Addr> for Addr {
    fn from(addr: &Addr) -> Self {
        addr.clone()
    }
}

/// A Unix socket's path.
impl From<&Path> for Addr {
    fn from(path: &Path) -> Self {
        Addr::Path(path.into())
    }
}

/// A Unix socket's path.
impl From<PathBuf> for Addr {
    fn from(path: PathBuf) -> Self {
        Addr::Path(path.into())
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Addr {
    fn from((ip, port): (I, u16)) -> Self {
        Addr::Inet(SocketAddr::new(ip.into(), port))
    }
}

/// `IP:port`, `[IPv6]:port`, `localhost:port` (127.0.0.1, RFC 6761 section 6.3) or `:port` (0.0.0.0). Names are not looked up.
impl FromStr for Addr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(Addr::Inet(addr));
        }
        let error = |why| AddrError { text: text.into(), why };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error(Why::NoPort))?;
        let port: u16 = port.parse().map_err(|_| error(Why::BadPort))?;
        let ip = match host {
            "" | "*" => Ipv4Addr::UNSPECIFIED,
            "localhost" => Ipv4Addr::LOCALHOST,
            host if host.contains(':') => return Err(error(Why::Brackets)),
            _ => return Err(error(Why::Name)),
        };
        Ok(Addr::from((ip, port)))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addr::Inet(addr) => addr.fmt(f),
            Addr::Path(path) => path.display().fmt(f),
            Addr::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Addr::Unnamed => f.write_str("unnamed"),
        }
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no [`Addr`]; says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrError {
    text: Box<str>,
    why: Why,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Why {
    NoPort,
    BadPort,
    Brackets,
    Name,
    NoTarget,
    TargetPort,
}

impl AddrError {
    /// Whether the host is merely no IP address, so that it may be a name.
    pub(crate) fn is_a_name(&self) -> bool {
        self.why == Why::Name
    }

    /// What is wrong with `text` as whom to connect to: port 0, which is nobody's.
    pub(crate) fn target_port(text: &str) -> Self {
        AddrError { text: text.into(), why: Why::TargetPort }
    }

    /// The same as an error about whom to connect to, which has a port of its own and may be a name.
    pub(crate) fn of_target(mut self) -> Self {
        self.why = match self.why {
            Why::NoPort => Why::NoTarget,
            Why::BadPort => Why::TargetPort,
            why => why,
        };
        self
    }
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::NoPort => "no port; write IP:port, with port 0 for any",
            Why::BadPort => "the port is no number from 0 to 65535",
            Why::Brackets => "not an IPv6 address in brackets, as in [::1]:80",
            Why::Name => "the host is no IP address, and names are not looked up here",
            Why::NoTarget => "no port; write HOST:port",
            Why::TargetPort => "the port is no number from 1 to 65535",
        };
        write!(f, "bad address {:?}: {why}", self.text)
    }
}

impl std::error::Error for AddrError {}
