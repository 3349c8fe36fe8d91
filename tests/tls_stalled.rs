//! Ten thousand handshakes that stall, and a healthy client beside them: what the server does for it is counted, not timed.
//!
//! One test in a process of its own, since both ends of each connection take a descriptor: with a limit of 20,000 open files, as is usual, it is
//! 9,900 of them; with less, fewer. It says how many.
#![cfg(all(feature = "tls", feature = "os", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod tls_support;
mod util;

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tls_support::pki;
use tymist::net::tls::{ServerTls, TlsInfo, rustls};
use tymist::net::{Addr, BufferSizes, Stage, Stream, Token};
use tymist::tyme::Tyme;
use tymist::{CloseReason, Config, Deadline, Event, Id, Wake};
use util::{Rig, connect};

/// Counts what the engine asks of a stream.
struct Counted {
    inner: Box<dyn Stream>,
    calls: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl Stream for Counted {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.inner.register(token)
    }
    fn advance(&mut self) -> io::Result<Stage> {
        self.count();
        self.inner.advance()
    }
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.count();
        self.inner.read(buf)
    }
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.count();
        self.inner.write(bufs)
    }
    fn held(&self) -> usize {
        self.inner.held()
    }
    fn flush(&mut self) -> io::Result<()> {
        self.count();
        self.inner.flush()
    }
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }
    fn says_goodbye(&self) -> bool {
        self.inner.says_goodbye()
    }
    fn set_abortive(&mut self) -> io::Result<()> {
        self.inner.set_abortive()
    }
    fn tls(&self) -> Option<&TlsInfo> {
        self.inner.tls()
    }
    fn local_addr(&self) -> &Addr {
        self.inner.local_addr()
    }
    fn peer_addr(&self) -> &Addr {
        self.inner.peer_addr()
    }
    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.inner.buffer_sizes()
    }
}

/// A healthy client, and the id of its connection.
struct Healthy {
    socket: std::net::TcpStream,
    tls: rustls::ClientConnection,
    id: Option<Id>,
}

impl Healthy {
    fn pump(&mut self) {
        while self.tls.wants_write() && self.tls.write_tls(&mut self.socket).is_ok() {}
        while self.tls.read_tls(&mut self.socket).is_ok_and(|count| count > 0) {
            self.tls.process_new_packets().unwrap();
        }
        while self.tls.wants_write() && self.tls.write_tls(&mut self.socket).is_ok() {}
    }

    fn echo(&mut self, rig: &mut Rig, said: &[u8]) {
        self.tls.writer().write_all(said).unwrap();
        let mut got = Vec::new();
        for _ in 0..util::ROUNDS {
            self.pump();
            let mut buf = [0; 1024];
            while let Ok(count) = self.tls.reader().read(&mut buf) {
                got.extend_from_slice(&buf[..count]);
            }
            if got.len() >= said.len() {
                assert_eq!(got, said);
                return;
            }
            for event in rig.tick() {
                if let Event::Received(id) = event {
                    assert_eq!(Some(id), self.id);
                    let remoter = rig.server.remoter_mut(id).unwrap();
                    let data = remoter.take();
                    remoter.tx(&data).unwrap();
                }
            }
        }
        panic!("no echo of {said:?}");
    }
}

/// The calls of a hundred echoes: on streams, and ticks.
fn echoes(rig: &mut Rig, healthy: &mut Healthy, calls: &AtomicU64) -> (u64, u64) {
    let before = (calls.load(Ordering::Relaxed), rig.server.counters().ticks);
    for round in 0..100_u8 {
        healthy.echo(rig, &[round; 100]);
    }
    (calls.load(Ordering::Relaxed) - before.0, rig.server.counters().ticks - before.1)
}

fn descriptors_allowed() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

#[test]
fn stalled_handshakes_cost_a_healthy_client_nothing() {
    let many = 10_000.min((descriptors_allowed() - 200) / 2);
    println!("{many} stalled handshakes");
    let mut rig = Rig::new(Config::new());
    let world = pki::world();
    let tls = ServerTls::new(world.server.clone()).unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let layer = move |stream| {
        let inner: Box<dyn Stream> = Box::new(tls.accept(stream));
        Box::new(Counted { inner, calls: Arc::clone(&counted) }) as Box<dyn Stream>
    };
    rig.acceptor = rig.server.listen_with(([127, 0, 0, 1], 0), Arc::new(layer)).unwrap();
    rig.addr = rig.server.local_addr(rig.acceptor).unwrap().inet().unwrap();

    let mut healthy = healthy(&mut rig, &world);
    let alone = echoes(&mut rig, &mut healthy, &calls);

    // Half of them say nothing, half of them half a ClientHello.
    let hello = half_a_hello(&world);
    let mut stalled = Vec::with_capacity(many);
    while stalled.len() < many {
        for _ in 0..100.min(many - stalled.len()) {
            let mut raw = connect(rig.addr);
            if stalled.len() % 2 == 0 {
                raw.write_all(&hello).unwrap();
            }
            stalled.push(raw);
        }
        rig.until_server(|server| server.cxes() == stalled.len());
    }
    // Their first steps are taken within the budget of handshakes a tick.
    rig.until_server(|server| server.wake() != Wake::Now);
    assert_eq!((rig.server.cxes(), rig.server.len()), (many, 1));
    let beside = echoes(&mut rig, &mut healthy, &calls);
    println!("stream calls and ticks of 100 echoes: {alone:?} alone, {beside:?} beside them");
    // Where the ticks fall depends on the kernel's timing, by a few.
    assert!(beside.0 <= alone.0 + alone.0 / 10, "{alone:?} {beside:?}");
    assert!(beside.1 <= alone.1 + alone.1 / 10, "{alone:?} {beside:?}");

    // A newcomer is not kept waiting either, and at their deadline they all go.
    let mut newcomer = self::healthy(&mut rig, &world);
    newcomer.echo(&mut rig, b"hello");
    rig.log.clear();
    rig.tick_at(Tyme::ZERO + Duration::from_secs(10));
    let late = CloseReason::Expired(Deadline::Handshake);
    let told =
        |event: &&Event| matches!(event, Event::HandshakeFailed { reason, .. } if *reason == late);
    assert_eq!(rig.log.iter().filter(told).count(), many);
    assert_eq!((rig.server.cxes(), rig.server.len()), (0, 2));
}

fn client(world: &pki::World) -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(world.authority.cert.der().clone()).unwrap();
    let provider = tymist::net::tls::ring_provider();
    let config = rustls::ClientConfig::builder_with_details(provider, Arc::new(Standing))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    rustls::ClientConnection::new(config.into(), "server.test".try_into().unwrap()).unwrap()
}

#[derive(Debug)]
struct Standing;

impl rustls::time_provider::TimeProvider for Standing {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let epoch = Duration::from_secs(tls_support::EPOCH);
        Some(rustls::pki_types::UnixTime::since_unix_epoch(epoch))
    }
}

fn half_a_hello(world: &pki::World) -> Vec<u8> {
    let mut bytes = Vec::new();
    client(world).write_tls(&mut bytes).unwrap();
    bytes.truncate(bytes.len() / 2);
    bytes
}

fn healthy(rig: &mut Rig, world: &pki::World) -> Healthy {
    let socket = connect(rig.addr);
    socket.set_nonblocking(true).unwrap();
    socket.set_nodelay(true).unwrap();
    let addr = socket.local_addr().unwrap().into();
    let mut healthy = Healthy { socket, tls: client(world), id: None };
    rig.until_server(|server| {
        healthy.pump();
        healthy.id = server.at(&addr);
        healthy.id.is_some() && !healthy.tls.is_handshaking()
    });
    healthy
}
