//! Datagram endpoints: their behaviours, their limits at the edges, and what hostile or broken ends can do to them. Loopback and port 0;
//! loops are bounded by count, and nothing sleeps but `wait`.
#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets and threads")]

mod batches;
mod behaviours;
mod broken;
mod closing;
mod held;
mod limits;
mod multicast;
mod regressions;
mod runs;
mod scripted;
mod server;

use std::net::UdpSocket;
use std::time::Duration;

use tymist::net::{Addr, Bind};
use tymist::tyme::Tymist;
use tymist::{GramConfig, GramEvent, Peer, RxGram};

/// Rounds of at most 5 ms that something may take.
const ROUNDS: usize = 4000;
const ROUND: Duration = Duration::from_millis(5);

/// A peer on loopback whose clock only the test advances.
struct Rig {
    peer: Peer,
    tymist: Tymist,
    /// All events so far, in order.
    log: Vec<GramEvent>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(|_| {})
    }

    #[track_caller]
    fn with(change: impl FnOnce(&mut GramConfig)) -> Rig {
        Rig::on(loopback(), change)
    }

    #[track_caller]
    fn on(bind: Bind, change: impl FnOnce(&mut GramConfig)) -> Rig {
        let mut config = GramConfig::new();
        change(&mut config);
        let mut rig = Rig::of(Peer::new(config));
        rig.peer.open(bind).unwrap();
        rig
    }

    fn of(mut peer: Peer) -> Rig {
        let tymist = Tymist::new();
        peer.wind(tymist.tymth());
        Rig { peer, tymist, log: Vec::new() }
    }

    fn addr(&self) -> Addr {
        self.peer.local_addr().clone()
    }

    /// One tick, with a short wait for the network before it; the events it brought.
    fn tick(&mut self) -> Vec<GramEvent> {
        self.peer.wait(Some(ROUND));
        self.tick_now()
    }

    /// One tick without waiting for anything.
    fn tick_now(&mut self) -> Vec<GramEvent> {
        self.peer.service();
        self.events()
    }

    fn events(&mut self) -> Vec<GramEvent> {
        let events: Vec<_> = std::iter::from_fn(|| self.peer.poll_event()).collect();
        self.log.extend(events.iter().cloned());
        events
    }

    #[track_caller]
    fn until(&mut self, mut done: impl FnMut(&Peer) -> bool) {
        for _ in 0..ROUNDS {
            if done(&self.peer) {
                return;
            }
            self.tick();
        }
        panic!("it did not get there; {:?}; events: {:?}", self.peer.counters(), self.log);
    }

    #[track_caller]
    fn until_event(&mut self, mut done: impl FnMut(&GramEvent) -> bool) -> GramEvent {
        for _ in 0..ROUNDS {
            if let Some(event) = self.tick().into_iter().find(|event| done(event)) {
                return event;
            }
        }
        panic!("the awaited event did not come; these came: {:?}", self.log);
    }

    /// The next datagram.
    #[track_caller]
    fn gram(&mut self) -> RxGram {
        self.until(|peer| peer.rx().len() > 0);
        self.peer.take().unwrap()
    }
}

fn loopback() -> Bind {
    "127.0.0.1:0".parse().unwrap()
}

/// A loopback address of this test alone, where that system has more than one, so that no other test takes a port
/// which this one has given back for a moment.
fn alone(last: u8) -> Addr {
    let last = if cfg!(target_os = "linux") { last } else { 1 };
    Addr::from(([127, 0, 0, last], 0))
}

/// A plain socket at the far end.
fn plain() -> (UdpSocket, Addr) {
    plain_at(Addr::from(([127, 0, 0, 1], 0)))
}

fn plain_at(addr: impl Into<Addr>) -> (UdpSocket, Addr) {
    let socket = UdpSocket::bind(addr.into().inet().unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let addr = Addr::from(socket.local_addr().unwrap());
    (socket, addr)
}

#[track_caller]
fn receive(socket: &UdpSocket) -> (Vec<u8>, Addr) {
    let mut buf = vec![0; 65_536];
    let (len, from) = socket.recv_from(&mut buf).unwrap();
    buf.truncate(len);
    (buf, from.into())
}
