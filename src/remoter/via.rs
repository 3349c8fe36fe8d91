//! Who is at the other end: of the transport, and of the connection where a proxy stands between.

use super::Remoter;
use crate::net::Addr;
#[cfg(feature = "proxy-protocol")]
use crate::net::proxy::Proxied;

/// What a connection has besides that comes through a proxy.
#[cfg(feature = "proxy-protocol")]
pub(crate) struct Via {
    /// The proxy's end.
    transport: Addr,
    /// Whom it is for was told, and it is counted there.
    met: bool,
}

impl Remoter {
    /// Whether the address of its peer is among those that are counted and found.
    pub(crate) fn is_counted(&self) -> bool {
        #[cfg(feature = "proxy-protocol")]
        if let Some(via) = &self.via {
            return via.met;
        }
        !self.is_dialled()
    }

    /// The other end of its transport: where there is a proxy, the proxy's.
    pub(crate) fn transport_peer(&self) -> &Addr {
        #[cfg(feature = "proxy-protocol")]
        if let Some(via) = &self.via {
            return &via.transport;
        }
        self.peer_addr()
    }

    /// It comes through a proxy, which is to tell whom it is for.
    pub(crate) fn expect_proxy(&mut self) {
        #[cfg(feature = "proxy-protocol")]
        {
            let transport = self.peer_addr().clone();
            self.via = Some(Box::new(Via { transport, met: false }));
        }
    }
}

#[cfg(feature = "proxy-protocol")]
impl Remoter {
    /// What a trusted proxy has told of it: the proxy's own address, source, destination, and more. `None` for one that came without a proxy.
    #[must_use]
    pub fn proxied(&self) -> Option<&Proxied> {
        self.stream.proxied()
    }

    /// Whether its proxy has told whom it is for, and nobody has taken note of that yet; from now on it has been taken note of.
    pub(crate) fn meet(&mut self) -> bool {
        let told = self.stream.proxied().is_some();
        match &mut self.via {
            Some(via) if told => !core::mem::replace(&mut via.met, true),
            _ => false,
        }
    }

    /// It is not to be counted after all.
    pub(crate) fn unmeet(&mut self) {
        if let Some(via) = &mut self.via {
            via.met = false;
        }
    }
}
