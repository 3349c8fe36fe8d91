//! Where to connect to, and how.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::backoff::Backoff;
#[cfg(feature = "proxy-protocol")]
use crate::net::proxy::{Introduced, ProxyHeader};
#[cfg(feature = "tls")]
use crate::net::tls::{BadServerName, CheckedName, ClientTls};
use crate::net::{Addr, AddrError, Dial, Layer, SocketOptions, Stream};

/// Whom to connect to.
///
/// ```
/// use tymist::Target;
/// use tymist::net::Addr;
///
/// let name: Target = "example.org:80".parse()?;
/// assert_eq!(name, Target::name("example.org", 80));
/// assert_eq!(Target::name("192.0.2.1", 80), Addr::from(([192, 0, 2, 1], 80)).into());
/// # Ok::<(), tymist::net::AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// These addresses, in this order; the first 16 of them.
    Addrs(Vec<Addr>),
    /// A host by its name, which is looked up anew for each try.
    Name {
        /// The name.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
}

impl Target {
    /// A host by its name. An IP address, and `localhost` (127.0.0.1 and `::1`, RFC 6761 section 6.3), need no look-up.
    #[must_use]
    pub fn name(host: &str, port: u16) -> Self {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Addr::from((ip, port)).into();
        }
        if host.eq_ignore_ascii_case("localhost") {
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return Target::Addrs(both.map(|ip| Addr::from((ip, port))).into());
        }
        Target::Name { host: host.into(), port }
    }
}

impl<A: Into<Addr>> From<A> for Target {
    fn from(addr: A) -> Self {
        Target::Addrs(vec![addr.into()])
    }
}

impl From<Vec<Addr>> for Target {
    fn from(addrs: Vec<Addr>) -> Self {
        Target::Addrs(addrs)
    }
}

/// `host:port`, `IP:port` or `[IPv6]:port`, with a port that is not 0; without a host: this machine.
impl FromStr for Target {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        if port.parse() == Ok(0_u16) {
            return Err(AddrError::target_port(text));
        }
        match text.parse::<Addr>() {
            Err(error) if error.is_a_name() => match port.parse() {
                Ok(port) => Ok(Target::name(host, port)),
                Err(_) => Err(error),
            },
            Ok(Addr::Inet(addr)) if host == "localhost" => {
                Ok(Target::name("localhost", addr.port()))
            }
            addr => addr.map(|addr| addr.reachable().into()).map_err(AddrError::of_target),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Addrs(addrs) => {
                for (at, addr) in addrs.iter().enumerate() {
                    write!(f, "{}{addr}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Target::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// Where and how to connect, and whether to come again.
///
/// ```
/// use tymist::{Backoff, Connect};
///
/// let mut connect = Connect::new(([192, 0, 2, 1], 80));
/// connect.local = Some(([192, 0, 2, 7], 0).into());
/// connect.reconnect = Some(Backoff::new());
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Connect {
    /// Whom.
    pub to: Target,
    /// Our own address, and port unless that is 0; `None` (default) lets the system choose. With a port of your choice there can be but one
    /// try at a time to the same address, and on Unix `SO_REUSEADDR` is set, so that an earlier connection in `TIME_WAIT` is no hindrance.
    pub local: Option<Addr>,
    /// Options of the socket.
    pub socket: SocketOptions,
    /// How long an address has to itself before the next one is tried beside it ("happy eyeballs", RFC 8305 section 5). Default 250 ms.
    /// What fails is followed by the next at once; the first that comes up wins and the others are dropped.
    pub stagger: Duration,
    /// Whether to connect again, and when, after the connection broke or none could be made (hio's `reconnectable`). Default `None`: a dial is one
    /// try of each address, and what breaks is closed.
    pub reconnect: Option<Backoff>,
    /// Middleware put around the stream that has come up, anew for each connection, and its handshake, before it is usable. Default `None`.
    /// [`with_tls`](Connect::with_tls) sets it.
    pub layer: Option<Layer>,
    /// Sent first on each connection, before all else, TLS included: says to the server whom it is made for (the PROXY protocol). Default `None`.
    #[cfg(feature = "proxy-protocol")]
    pub proxy_header: Option<ProxyHeader>,
}

impl Connect {
    /// Connects with the defaults.
    #[must_use]
    pub fn new(to: impl Into<Target>) -> Self {
        Connect {
            to: to.into(),
            local: None,
            socket: SocketOptions::new(),
            stagger: Duration::from_millis(250),
            reconnect: None,
            layer: None,
            #[cfg(feature = "proxy-protocol")]
            proxy_header: None,
        }
    }

    /// Connects to a host by its name; see [`Target::name`].
    #[must_use]
    pub fn to_name(host: &str, port: u16) -> Self {
        Connect::new(Target::name(host, port))
    }

    /// The same, coming again by itself with the default [`Backoff`].
    #[must_use]
    pub fn reconnectable(self) -> Self {
        Connect { reconnect: Some(Backoff::new()), ..self }
    }

    /// The same with TLS: the server must prove to be `name`, a DNS name, which is sent to it (SNI), or an IP address, which is not. Where
    /// the connection leads to does not matter (hio's `certedhost`).
    ///
    /// Each connection shakes hands anew, under [`Timeouts::handshake`](crate::Timeouts::handshake), and resumes an earlier session of `tls` where the
    /// server lets it. It is [up](crate::Remoter::is_up) before and [connected](crate::Remoter::is_connected) after that; then
    /// [`Remoter::tls`](crate::Remoter::tls) tells what was agreed. A handshake that fails ends it like any other trouble, in `Closed` or `Disconnected` with
    /// the reason; other addresses of the same name are not tried over it. What was queued waits until the server has proved its name, through all tries.
    ///
    /// ```
    /// use tymist::Connect;
    /// use tymist::net::tls::{ClientTls, ClientTlsConfig};
    ///
    /// # let made = rcgen::generate_simple_self_signed(vec!["example.org".to_owned()])?;
    /// # let roots = tymist::net::tls::Material::bytes(made.cert.pem());
    /// let tls = ClientTls::new(&ClientTlsConfig::with_roots(roots))?;
    /// let connect = Connect::to_name("192.0.2.1", 443).with_tls(&tls, "example.org")?;
    /// assert!(Connect::to_name("192.0.2.1", 443).with_tls(&tls, "no name").is_err());
    /// # assert!(connect.layer.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If `name` is neither a DNS name nor an IP address.
    #[cfg(feature = "tls")]
    pub fn with_tls(self, tls: &ClientTls, name: &str) -> Result<Self, BadServerName> {
        let name = CheckedName::new(name)?;
        let tls = tls.clone();
        let layer: Layer = Arc::new(move |stream| Box::new(tls.begin(stream, &name)));
        Ok(Connect { layer: Some(layer), ..self })
    }

    /// Whether there is something to do between being up and being usable.
    pub(crate) fn has_handshake(&self) -> bool {
        #[cfg(feature = "proxy-protocol")]
        if self.proxy_header.is_some() {
            return true;
        }
        self.layer.is_some()
    }

    /// The header, and then the layer, put around a stream that has come up.
    pub(crate) fn wrap(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        #[cfg(feature = "proxy-protocol")]
        let stream = match &self.proxy_header {
            Some(header) => Box::new(Introduced::new(stream, header.clone())),
            None => stream,
        };
        match &self.layer {
            Some(layer) => layer(stream),
            None => stream,
        }
    }

    pub(crate) fn dial(&self, addr: Addr) -> Dial {
        Dial { addr, local: self.local.clone(), socket: self.socket.clone() }
    }
}

impl<T: Into<Target>> From<T> for Connect {
    fn from(to: T) -> Self {
        Connect::new(to)
    }
}

impl From<Dial> for Connect {
    fn from(dial: Dial) -> Self {
        Connect { local: dial.local, socket: dial.socket, ..Connect::new(dial.addr) }
    }
}

/// As [`Target`] parses.
impl FromStr for Connect {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        text.parse::<Target>().map(Connect::new)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("to", &self.to)
            .field("local", &self.local)
            .field("reconnect", &self.reconnect)
            .field("layer", &self.layer.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use super::*;

    #[test]
    fn texts_become_addresses_where_they_can_and_names_otherwise() {
        let parsed = |text: &str| text.parse::<Target>().map(|target| format!("{target:?}"));
        let named = |host: &str| format!("{:?}", Target::Name { host: host.into(), port: 9 });
        assert_eq!(parsed("192.0.2.1:9").unwrap(), "Addrs([192.0.2.1:9])");
        assert_eq!(parsed("[2001:db8::1]:9").unwrap(), "Addrs([[2001:db8::1]:9])");
        assert_eq!(parsed(":9").unwrap(), "Addrs([127.0.0.1:9])", "nobody listens at 0.0.0.0");
        assert_eq!(parsed("localhost:9").unwrap(), "Addrs([127.0.0.1:9, [::1]:9])");
        assert_eq!(parsed("example.org:9").unwrap(), named("example.org"));
        assert_eq!(parsed("Localhost:9").unwrap(), "Addrs([127.0.0.1:9, [::1]:9])");
        for wrong in ["example.org", "example.org:", "example.org:65536", "2001:db8::1:9", ""] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        // It was taken, and each try was refused; and who gave no port was told to write 0.
        for wrong in ["192.0.2.1:0", "example.org:0", "localhost:0", "[::1]:0", ":0"] {
            assert!(parsed(wrong).unwrap_err().to_string().ends_with("from 1 to 65535"), "{wrong}");
        }
        assert!(parsed("192.0.2.1").unwrap_err().to_string().ends_with("write HOST:port"));
    }

    #[test]
    fn one_type_takes_what_connects() {
        let addr = Addr::from(([192, 0, 2, 1], 9));
        let from_dial =
            Connect::from(Dial { local: Some(addr.clone()), ..Dial::new(addr.clone()) });
        assert_eq!((from_dial.to, from_dial.local), (addr.clone().into(), Some(addr.clone())));
        let many = Connect::from(vec![addr.clone(), addr.clone()]);
        assert_eq!(many.to.to_string(), "192.0.2.1:9, 192.0.2.1:9");
        assert!(Connect::from(addr).reconnectable().reconnect.is_some());
    }
}
