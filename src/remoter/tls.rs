//! What a connection has to do with TLS: what was agreed, and going over to it.

use bytes::Bytes;

use super::{Phase, Remoter};
use crate::error::{CloseReason, UpgradeRefused};
use crate::net::Stream;
use crate::net::tls::{
    ClientTls, HandshakeFailure, ReadAhead, ServerTls, TlsInfo, Unread, UpgradeError,
};
use crate::wire::Tap;

/// An upgrade that was asked for.
pub(crate) struct Upgrade {
    to: To,
    /// What the peer has sent of its TLS, and whether it may have.
    ahead: Bytes,
    unread: Unread,
    pub(crate) lined_up: bool,
}

enum To {
    Server(ServerTls),
    Client(ClientTls, Box<str>),
}

impl Upgrade {
    /// TLS around `stream`, and what logs as the user sees it around that.
    pub(crate) fn wrap(self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, UpgradeError> {
        let (stream, log) = Tap::silence(stream);
        let ahead = ReadAhead::IsTls(&self.ahead);
        let wrapped = match &self.to {
            To::Server(tls) => tls.upgrade(stream, ahead)?,
            To::Client(tls, name) => tls.upgrade(stream, name, ahead)?,
        };
        Ok(match log {
            Some(log) => Tap::asked_for(Box::new(wrapped), log),
            None => Box::new(wrapped),
        })
    }
}

/// # TLS
impl Remoter {
    /// What TLS has agreed with the peer: version, suite, names, certificates. `None` on a plain connection and until the handshake is done.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.stream.tls()
    }

    /// Goes over to TLS with this end as the server, as after a STARTTLS command.
    ///
    /// What is queued goes out in plain first, the answer to that command among it. Then the connection leaves the live ones for the handshaking ones
    /// (`cxes`), under the handshake timeout, and comes back under the same id with the event `Upgraded`; or it ends in `Closed` with the reason. Until then
    /// nothing is received and nothing can be queued.
    ///
    /// `unread` says what becomes of what came in plain and was not taken: nothing is passed on as if it had been protected.
    ///
    /// # Errors
    /// Why not; the connection is as it was.
    pub fn upgrade_tls(&mut self, tls: &ServerTls, unread: Unread) -> Result<(), UpgradeRefused> {
        self.check_upgrade(unread)?;
        self.begin_upgrade(To::Server(tls.clone()), unread);
        Ok(())
    }

    /// The same with this end as the client of a server that must prove to be `name`; see [`ClientTls::connect`].
    ///
    /// # Errors
    /// Why not; the connection is as it was.
    pub fn upgrade_tls_client(
        &mut self,
        tls: &ClientTls,
        name: &str,
        unread: Unread,
    ) -> Result<(), UpgradeRefused> {
        self.check_upgrade(unread)?;
        if !ClientTls::is_name(name) {
            return Err(UpgradeRefused::BadName);
        }
        self.begin_upgrade(To::Client(tls.clone(), name.into()), unread);
        Ok(())
    }

    /// Whether it is on its way to TLS.
    #[must_use]
    pub fn is_upgrading(&self) -> bool {
        let is_shaking = self.state.shaking && self.state.phase == Phase::Handshaking;
        self.upgrade.is_some() || (is_shaking && self.state.opened)
    }

    fn check_upgrade(&self, unread: Unread) -> Result<(), UpgradeRefused> {
        if self.is_upgrading() || self.tls().is_some() {
            return Err(UpgradeRefused::AlreadyTls);
        }
        if !self.may_send() || !self.may_receive() || self.state.doomed {
            return Err(UpgradeRefused::Closing);
        }
        match unread {
            Unread::MustBeEmpty if !self.rx.is_empty() => {
                Err(UpgradeRefused::Unread(self.rx.len()))
            }
            Unread::MustBeEmpty | Unread::IsTls => Ok(()),
        }
    }

    fn begin_upgrade(&mut self, to: To, unread: Unread) {
        let ahead = self.take();
        self.upgrade = Some(Box::new(Upgrade { to, ahead, unread, lined_up: false }));
    }

    /// Takes what had come in when the upgrade was asked for, and was not shown by then.
    pub(super) fn put_ahead(&mut self, data: &[u8]) {
        match &mut self.upgrade {
            Some(upgrade) if upgrade.unread == Unread::IsTls => {
                upgrade.ahead = [&upgrade.ahead, data].concat().into();
            }
            _ => self.refuse_plaintext(),
        }
    }

    /// Takes what was read ahead for an upgrade that waits.
    pub(super) fn take_ahead(&mut self) -> Bytes {
        self.upgrade.as_mut().map(|upgrade| core::mem::take(&mut upgrade.ahead)).unwrap_or_default()
    }

    /// Ends it because plaintext was to be put where only what came protected belongs.
    pub(super) fn refuse_plaintext(&mut self) {
        if self.state.phase != Phase::Closed {
            self.doom(CloseReason::Handshake(HandshakeFailure::Plaintext));
        }
    }
}
