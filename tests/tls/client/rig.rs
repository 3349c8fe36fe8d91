//! A server with TLS and clients of it, each with a poller of its own, under one clock that only the test advances.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tymist::net::tls::{ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig, TlsTime};
use tymist::tyme::Tymist;
use tymist::{Clients, CloseReason, Config, Connect, Event, Id, Server};

use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, Authority};

/// Rounds of at most 4 ms that something may take.
const ROUNDS: usize = 4000;
const ROUND: Duration = Duration::from_millis(2);

pub(crate) struct Rig {
    pub(crate) tymist: Tymist,
    pub(crate) authority: Authority,
    pub(crate) time: TlsTime,
    pub(crate) server: Server,
    pub(crate) addr: SocketAddr,
    pub(crate) clients: Clients,
    /// All events so far, at either end.
    pub(crate) far: Vec<Event>,
    pub(crate) near: Vec<Event>,
}

impl Rig {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, |_, tls| tls)
    }

    /// With other settings at the clients, and another configuration of TLS at the server.
    #[track_caller]
    pub(crate) fn with(
        change: impl FnOnce(&mut Config),
        tls: impl FnOnce(&Authority, ServerTlsConfig) -> ServerTlsConfig,
    ) -> Self {
        let tymist = Tymist::new();
        let time = TlsTime::simulated(tymist.tymth(), Duration::from_secs(EPOCH));
        let authority = Authority::new("test authority");
        let config = ServerTlsConfig::new(authority.issue(&pki::server()).identity());
        let tls = ServerTls::new(tls(&authority, config.with_time(time.clone()))).unwrap();
        let mut server = Server::new(Config::new());
        server.wind(tymist.tymth());
        let acceptor = server.listen_tls(([127, 0, 0, 1], 0), &tls).unwrap();
        let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
        let mut config = Config::new();
        change(&mut config);
        let mut clients = Clients::new(config);
        clients.wind(tymist.tymth());
        let (far, near) = (Vec::new(), Vec::new());
        Rig { tymist, authority, time, server, addr, clients, far, near }
    }

    /// The settings of a client that trusts the authority.
    pub(crate) fn config(&self) -> ClientTlsConfig {
        ClientTlsConfig::with_roots(self.authority.root()).with_time(self.time.clone())
    }

    pub(crate) fn tls(&self) -> ClientTls {
        ClientTls::new(&self.config()).unwrap()
    }

    /// A way to the server, which must prove to be `name`.
    #[track_caller]
    pub(crate) fn way(&self, name: &str) -> Connect {
        Connect::new(self.addr).with_tls(&self.tls(), name).unwrap()
    }

    /// One tick at each end, with a short wait for the network before it.
    pub(crate) fn tick(&mut self) {
        self.clients.wait(Some(ROUND));
        self.tick_clients();
        self.server.wait(Some(ROUND));
        self.server.service();
        while let Some(event) = self.server.poll_event() {
            self.far.push(event);
        }
    }

    pub(crate) fn tick_clients(&mut self) {
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            self.near.push(event);
        }
    }

    #[track_caller]
    pub(crate) fn until<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        for _ in 0..ROUNDS {
            if let Some(value) = done(self) {
                return value;
            }
            self.tick();
        }
        panic!("did not get there; here: {:?}; there: {:?}", self.near, self.far);
    }

    /// A connection that is usable at both ends: its ids here and there.
    #[track_caller]
    pub(crate) fn live(&mut self, connect: Connect) -> (Id, Id) {
        let id = self.clients.connect(connect).unwrap();
        self.until_live(id)
    }

    /// Waits until it is usable at both ends.
    #[track_caller]
    pub(crate) fn until_live(&mut self, id: Id) -> (Id, Id) {
        self.until(|rig| {
            let (local, _) = rig.clients.remoter(id)?.ends()?;
            let there = rig.server.at(local)?;
            rig.clients.remoter(id)?.is_connected().then_some((id, there))
        })
    }

    #[track_caller]
    pub(crate) fn closed(&mut self, id: Id) -> CloseReason {
        self.until(|rig| {
            rig.near.iter().find_map(|event| match event {
                Event::Closed(closed, reason) if *closed == id => Some(*reason),
                _ => None,
            })
        })
    }

    #[track_caller]
    pub(crate) fn closed_there(&mut self, id: Id) -> CloseReason {
        self.until(|rig| {
            rig.far.iter().find_map(|event| match event {
                Event::Closed(closed, reason) if *closed == id => Some(*reason),
                _ => None,
            })
        })
    }

    /// Why the first handshake that failed at the server did.
    #[track_caller]
    pub(crate) fn failed_there(&mut self) -> CloseReason {
        self.until(|rig| {
            rig.far.iter().find_map(|event| match event {
                Event::HandshakeFailed { reason, .. } => Some(*reason),
                _ => None,
            })
        })
    }

    #[track_caller]
    pub(crate) fn until_unread_there(&mut self, id: Id, data: &[u8]) {
        self.until(|rig| (rig.server.remoter(id)?.rx().len() >= data.len()).then_some(()));
        assert!(self.server.remoter(id).unwrap().rx() == data, "other bytes");
    }

    #[track_caller]
    pub(crate) fn until_unread(&mut self, id: Id, data: &[u8]) {
        self.until(|rig| (rig.clients.remoter(id)?.rx().len() >= data.len()).then_some(()));
        assert!(self.clients.remoter(id).unwrap().rx() == data, "other bytes");
    }

    /// Whether such an event has come here.
    pub(crate) fn told(&self, wanted: impl FnMut(&Event) -> bool) -> bool {
        self.near.iter().any(wanted)
    }
}

/// A server in plain, for what no honest one does: its listener and a way to it with TLS.
#[track_caller]
pub(crate) fn odd(rig: &Rig) -> (TcpListener, Connect) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, Connect::new(addr).with_tls(&rig.tls(), "server.test").unwrap())
}

/// The next connection of an odd server, once the client's first words are there.
#[track_caller]
pub(crate) fn caller(rig: &mut Rig, listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let stream = rig.until(|_| listener.accept().ok().map(|(stream, _)| stream));
    stream.set_nonblocking(true).unwrap();
    rig.until(|_| matches!(stream.peek(&mut [0; 5]), Ok(5)).then_some(()));
    stream
}
