//! TLS at a server: acceptors that speak it, reloads, expiry.

use super::Server;
use crate::acceptor::Acceptor;
use crate::error::ListenError;
use crate::event::Event;
use crate::id::AcceptorId;
use crate::net::Listen;
use crate::net::tls::{News, ServerTls, Watch};

/// # TLS
impl Server {
    /// Like [`listen`](Server::listen), with TLS: what comes in is `Accepted` once its handshake is done, and before that is among [`cxes`](Server::cxes),
    /// which nobody sees. One that fails gets its alert, and `HandshakeFailed` says why.
    ///
    /// The configuration is shared: [`reload`](ServerTls::reload) on any clone of it counts here. Several acceptors may have one each, beside plain ones.
    ///
    /// # Errors
    /// As [`listen`](Server::listen).
    pub fn listen_tls(
        &mut self,
        listen: impl Into<Listen>,
        tls: &ServerTls,
    ) -> Result<AcceptorId, ListenError> {
        let id = self.listen(listen)?;
        self.set_tls(id, tls);
        Ok(id)
    }

    /// Puts TLS around what that acceptor admits from now on, such as an adopted one; replaces its [layer](Server::listen_with). Returns whether there is such
    /// an acceptor.
    pub fn set_tls(&mut self, id: AcceptorId, tls: &ServerTls) -> bool {
        let found = self.acceptor_mut(id);
        found.map(|acceptor| acceptor.set_tls(tls)).is_some()
    }

    /// Reads the files of that acceptor's configuration again; see [`ServerTls::reload`], which can be called on a clone from another thread where the
    /// files are slow. `TlsReloaded` or `TlsReloadFailed` tells how it went, in either case. Returns whether the new set is in use; on any error
    /// the old one goes on. An acceptor that is not there or has no TLS: false, and no event. Connections that exist, handshaking ones too, go on with
    /// what they began with.
    pub fn reload_tls(&mut self, id: AcceptorId) -> bool {
        let tls = self.acceptor(id).and_then(Acceptor::tls);
        tls.is_some_and(|tls| tls.reload().is_ok())
    }

    /// Tells what is new about certificates.
    #[inline]
    pub(super) fn tls_pass(&mut self) {
        let core = &mut self.engine.core;
        let counters = &mut core.counters.tls;
        for acceptor in &mut self.acceptors {
            let id = acceptor.id();
            let Some(watch) = &mut acceptor.watch else { continue };
            watch.news(core.now, |news| {
                let (counter, event) = match news {
                    News::Reloaded => (&mut counters.reloads, Event::TlsReloaded { acceptor: id }),
                    News::ReloadFailed(why) => {
                        let event = Event::TlsReloadFailed { acceptor: id, why };
                        (&mut counters.reload_failures, event)
                    }
                    News::Expiring { at, left } => {
                        let event = Event::TlsExpiring { acceptor: id, at, left };
                        (&mut counters.expiry_warnings, event)
                    }
                };
                *counter += 1;
                core.events.push(event);
            });
        }
    }

    /// Whether a reload waits to be told.
    #[inline]
    pub(super) fn tls_is_pending(&self) -> bool {
        self.acceptors.iter().filter_map(|acceptor| acceptor.watch.as_ref()).any(Watch::is_pending)
    }
}
