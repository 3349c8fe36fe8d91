//! A server with TLS on loopback, an authority, and loops that drive both ends until something happens.

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tymist::net::tls::rustls::client::ClientConfig;
use tymist::net::tls::{HandshakeFailure, ServerTls, ServerTlsConfig, TlsTime};
use tymist::{CloseReason, Config, Event, Id};

use super::peer::{self, BOTH, Peer};
use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, Authority};
use crate::util::{ROUNDS, Rig};

pub(crate) struct TlsRig {
    pub(crate) rig: Rig,
    /// The plain acceptor's address.
    pub(crate) plain: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) tls: ServerTls,
    pub(crate) client: Arc<ClientConfig>,
}

impl Deref for TlsRig {
    type Target = Rig;
    fn deref(&self) -> &Rig {
        &self.rig
    }
}

impl DerefMut for TlsRig {
    fn deref_mut(&mut self) -> &mut Rig {
        &mut self.rig
    }
}

impl TlsRig {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, |_, tls| tls)
    }

    /// With other limits, and another configuration of TLS.
    #[track_caller]
    pub(crate) fn with(
        change: impl FnOnce(&mut Config),
        tls: impl FnOnce(&Authority, ServerTlsConfig) -> ServerTlsConfig,
    ) -> Self {
        let mut rig = Rig::with(change);
        let authority = Authority::new("test authority");
        let time = TlsTime::simulated(rig.tymist.tymth(), Duration::from_secs(EPOCH));
        let config = ServerTlsConfig::new(authority.issue(&pki::server()).identity());
        let tls = ServerTls::new(tls(&authority, config.with_time(time))).unwrap();
        let plain = rig.addr;
        rig.acceptor = rig.server.listen_tls(([127, 0, 0, 1], 0), &tls).unwrap();
        rig.addr = rig.server.local_addr(rig.acceptor).unwrap().inet().unwrap();
        let client = Arc::new(peer::config(&authority, BOTH, None));
        TlsRig { rig, plain, authority, tls, client }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.addr, &self.client, "server.test")
    }

    /// Drives both ends until `done` says so.
    #[track_caller]
    pub(crate) fn drive(
        &mut self,
        peer: &mut Peer,
        mut done: impl FnMut(&mut Rig, &mut Peer) -> bool,
    ) {
        for _ in 0..ROUNDS {
            peer.pump();
            if done(&mut self.rig, peer) {
                return;
            }
            self.rig.tick();
        }
        panic!("did not get there; the peer's end: {:?}; events: {:?}", peer.end, self.rig.log);
    }

    /// Drives both ends until this peer is live at both.
    #[track_caller]
    pub(crate) fn shake(&mut self, peer: &mut Peer) -> Id {
        let addr = peer.local_addr().into();
        let mut id = None;
        self.drive(peer, |rig, peer| {
            id = rig.server.at(&addr);
            id.is_some() && peer.is_live()
        });
        id.unwrap()
    }

    /// A peer that is live at both ends.
    #[track_caller]
    pub(crate) fn live(&mut self) -> (Peer, Id) {
        let mut peer = self.peer();
        let id = self.shake(&mut peer);
        (peer, id)
    }

    /// Drives both ends until the connection has closed; why.
    #[track_caller]
    pub(crate) fn closed(&mut self, peer: &mut Peer, id: Id) -> CloseReason {
        let mut why = None;
        self.drive(peer, |rig, _| {
            why = rig.log.iter().rev().find_map(|event| match event {
                Event::Closed(closed, reason) if *closed == id => Some(*reason),
                _ => None,
            });
            why.is_some()
        });
        why.unwrap()
    }

    /// Drives both ends until the peer's handshake has failed here; why.
    #[track_caller]
    pub(crate) fn refused(&mut self, peer: &mut Peer) -> CloseReason {
        let addr = peer.local_addr();
        let mut why = None;
        self.drive(peer, |rig, peer| {
            if peer.end.is_some() {
                // It has seen why, and goes.
                let _ = peer.socket.shutdown(std::net::Shutdown::Both);
            }
            why = failure(rig, addr);
            why.is_some()
        });
        why.unwrap()
    }

    /// Waits until the handshake of this address has failed; why.
    #[track_caller]
    pub(crate) fn failed(&mut self, addr: SocketAddr) -> CloseReason {
        for _ in 0..ROUNDS {
            if let Some(why) = failure(&self.rig, addr) {
                return why;
            }
            self.rig.tick();
        }
        panic!("no handshake failed; events: {:?}", self.rig.log);
    }

    /// Sends `bytes` as they are, ends that half, and waits for the failure: why, and what came back.
    #[track_caller]
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> (HandshakeFailure, Vec<u8>) {
        let mut raw = crate::util::connect(self.addr);
        let addr = raw.local_addr().unwrap();
        crate::util::send(&mut raw, bytes);
        let answer = self.rig.read_to_end(&mut raw).unwrap();
        drop(raw);
        (handshake(self.failed(addr)), answer)
    }

    /// A raw connection that was admitted and has said nothing.
    #[track_caller]
    pub(crate) fn silent(&mut self) -> TcpStream {
        let before = self.server.cxes();
        let raw = crate::util::connect(self.addr);
        self.until_server(|server| server.cxes() > before);
        raw
    }

    /// What a connection's echo says.
    pub(crate) fn echo(&mut self, id: Id) {
        if let Some(remoter) = self.server.remoter_mut(id) {
            let mut data = remoter.take();
            let _ = remoter.tx_bytes(&mut data);
            remoter.unread(data);
        }
    }

    /// Says `data` and waits for the echo of it.
    #[track_caller]
    pub(crate) fn echoes(&mut self, peer: &mut Peer, id: Id, data: &[u8]) {
        let had = peer.got.len();
        peer.say(data);
        self.drive(peer, |rig, peer| {
            if let Some(remoter) = rig.server.remoter_mut(id)
                && remoter.can_receive()
            {
                let mut data = remoter.take();
                remoter.tx_bytes(&mut data).unwrap();
                remoter.unread(data);
            }
            peer.got.len() >= had + data.len()
        });
        assert_eq!(&peer.got[had..], data);
    }
}

fn failure(rig: &Rig, addr: SocketAddr) -> Option<CloseReason> {
    rig.log.iter().find_map(|event| match event {
        Event::HandshakeFailed { peer, reason, .. } if *peer == addr.into() => Some(*reason),
        _ => None,
    })
}

#[track_caller]
pub(crate) fn handshake(reason: CloseReason) -> HandshakeFailure {
    match reason {
        CloseReason::Handshake(why) => why,
        other => panic!("ended for another reason: {other}"),
    }
}
