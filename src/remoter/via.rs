//! Who is at the other end: of the transport, and of the connection where a proxy stands between.

use super::{Remoter, Via};
#[cfg(feature = "proxy-protocol")]
use crate::net::proxy::Proxied;

impl Remoter {
    /// Whether the address of its peer is among those that are counted and found.
    pub(crate) fn is_counted(&self) -> bool {
        #[cfg(feature = "proxy-protocol")]
        if self.state.via == Via::Awaited {
            return false;
        }
        !self.is_dialled()
    }

    /// Whether its peer is the other end of its transport, too.
    pub(crate) fn is_direct(&self) -> bool {
        self.state.via == Via::Nobody
    }

    /// It comes through a proxy, which is to tell whom it is for.
    pub(crate) fn expect_proxy(&mut self) {
        #[cfg(feature = "proxy-protocol")]
        {
            self.state.via = Via::Awaited;
        }
    }
}

/// # Through a proxy
#[cfg(feature = "proxy-protocol")]
impl Remoter {
    /// What a trusted proxy has told of it: the proxy's own address, source, destination, and more. `None` for one that came without a proxy.
    #[must_use]
    pub fn proxied(&self) -> Option<&Proxied> {
        self.stream.proxied()
    }

    /// Whether its proxy has told whom it is for, and nobody has taken note of that yet.
    pub(crate) fn awaits_admission(&self) -> bool {
        self.state.via == Via::Awaited && self.stream.proxied().is_some()
    }
}
