//! Servers on threads of their own: that they start, end, fail and are talked to as they say.
#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::needless_pass_by_value, reason = "a handler owns its events")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets")]

mod engines;
mod failing;
mod group;
mod mail;
mod stopping;
#[path = "../util/mod.rs"]
mod util;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tymist::run::{BoxError, Manager, Seat};
use tymist::{Config, Server, Service, Session};
use util::connect;

/// Longer than anything here takes, and short enough to fail by.
const LONG: Duration = Duration::from_secs(60);

/// Sends back what comes in, and when its server drains closes what is silent.
struct Echo;

impl Service for Echo {
    fn received(&mut self, session: &mut Session<'_>) {
        let mut data = session.take();
        let _ = session.tx_bytes(&mut data);
        session.unread(data);
    }

    fn drained(&mut self, session: &mut Session<'_>) {
        self.received(session);
    }
}

fn echo(_: &mut Server, _: Seat) -> Result<Echo, BoxError> {
    Ok(Echo)
}

/// A manager of echoes on a free port, not yet started.
fn echoes(engines: usize) -> Manager {
    let mut manager = Manager::new(Config::new(), echo);
    manager.threads(engines).listen(([127, 0, 0, 1], 0));
    manager
}

fn addr<M: Send + 'static>(manager: &Manager<M>) -> SocketAddr {
    manager.addrs()[0].inet().unwrap()
}

#[track_caller]
fn exchange(client: &mut TcpStream, data: &[u8]) {
    client.write_all(data).unwrap();
    let mut reply = vec![0; data.len()];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(reply, data);
}

#[track_caller]
fn is_served(at: SocketAddr) {
    exchange(&mut connect(at), b"hello");
}

/// Goes on once `done` says so of the manager, which is asked again whenever its counters may have changed; bounded by count.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..20_000_000 {
        if done() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("it never came to that: {what}");
}
