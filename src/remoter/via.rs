//! Who is at the other end: of the transport, and of the connection where a proxy stands between.

use super::Remoter;
#[cfg(feature = "proxy-protocol")]
use super::Via;
use crate::net::Addr;
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

    /// Whether its transport has these ends; what is said above it, by a header or a layer, are none.
    pub(crate) fn is_between(&self, peer: &Addr, local: &Addr) -> bool {
        let mut transport = &*self.stream;
        while let Some(below) = transport.below() {
            transport = below;
        }
        transport.peer_addr() == peer && transport.local_addr() == local
    }

    /// The address to which it is counted, and by which it is found: its peer's, or what that was before its user changed it.
    pub(crate) fn counted_as(&self) -> &Addr {
        let before = self.apart.as_ref().and_then(|apart| apart.counted_as.as_deref());
        before.unwrap_or_else(|| self.peer_addr())
    }

    /// Whether its user has changed the address of its peer, and it is still counted to the old one.
    pub(crate) fn is_renamed(&self) -> bool {
        self.apart.as_ref().is_some_and(|apart| apart.counted_as.is_some())
    }

    /// Its user has put another stream in the place of one that was counted to `before`, which holds until the engine takes note.
    pub(super) fn stay_counted_as(&mut self, before: Addr) {
        if before == *self.peer_addr() {
            return self.count_as_peer();
        }
        self.apart.get_or_insert_default().counted_as = Some(Box::new(before));
        self.state.changed = true;
    }

    /// The engine counts it to the address of its peer, or to none any more.
    pub(crate) fn count_as_peer(&mut self) {
        if let Some(apart) = &mut self.apart {
            apart.counted_as = None;
            self.state.changed = apart.new_timeouts;
        }
    }

    /// The same where a proxy or a layer has just told who that is.
    pub(crate) fn count_as_told(&mut self) {
        #[cfg(feature = "proxy-protocol")]
        if self.state.via == Via::Awaited {
            self.state.via = Via::Admitted;
        }
        self.count_as_peer();
    }

    /// Whether its proxy has told whom it is for, and nobody has taken note of that yet.
    pub(crate) fn awaits_admission(&self) -> bool {
        #[cfg(feature = "proxy-protocol")]
        if self.state.via == Via::Awaited {
            return self.stream.proxied().is_some();
        }
        false
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
}
