//! What a live TLS connection of the server costs in all, counted at the allocator: its streams, its remoter, its places in slab, index and wheel.
//!
//! A process of its own, since the counter is that of the whole process. The clients keep nothing but their sockets.
#![cfg(all(feature = "tls", feature = "os"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod tls_support;
mod util;

use std::io::{ErrorKind, IoSlice};
use std::net::TcpStream;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use tls_support::pki;
use tymist::net::os::OsNet;
use tymist::net::tls::{ClientTls, ServerTls, TlsVersion};
use tymist::net::{Net, SocketOptions, Stage, Stream};
use tymist::{Config, Event};
use util::Rig;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MANY: usize = 64;
const WORDS: &[u8] = &[7; 16 * 1024];

/// A handshake and an echo of a full record; then only the socket is left of the client.
fn live_and_idle(rig: &mut Rig, client: &ClientTls) -> TcpStream {
    let socket = util::connect(rig.addr);
    let mut net = OsNet::new();
    let stream = net.adopt_stream(socket.try_clone().unwrap(), &SocketOptions::new()).unwrap();
    let mut tls = client.connect(stream, "server.test").unwrap();
    let mut buf = vec![0; 64 * 1024];
    let (mut sent, mut got, mut live) = (0, 0, false);
    while got < WORDS.len() {
        if live {
            let _ = tls.flush();
            if sent < WORDS.len() {
                sent += tls.write(&[IoSlice::new(&WORDS[sent..])]).unwrap_or(0);
            }
            match tls.read(&mut buf) {
                Ok(count) => got += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        } else {
            live = tls.advance().is_ok_and(|stage| stage == Stage::Live);
        }
        rig.server.wait(Some(Duration::from_millis(1)));
        rig.server.service();
        while let Some(event) = rig.server.poll_event() {
            match event {
                Event::Received(id) | Event::Drained(id) => {
                    let remoter = rig.server.remoter_mut(id).unwrap();
                    let mut data = remoter.take();
                    remoter.tx_bytes(&mut data).unwrap();
                }
                Event::Accepted(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    socket
}

#[test]
fn an_idle_tls_remoter_costs_at_most_8_kib_in_all() {
    let world = pki::world();
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let config = world.server.clone().with_versions([version]);
        let tls = ServerTls::new(config).unwrap();
        let mut client = world.client.clone();
        client.common.resumption = false;
        let client = ClientTls::new(&client).unwrap();
        let mut config = Config::new();
        config.timeouts.idle = Some(Duration::from_secs(3600));
        let mut rig = Rig::new(config);
        let acceptor = rig.server.listen_tls(([127, 0, 0, 1], 0), &tls).unwrap();
        rig.addr = rig.server.local_addr(acceptor).unwrap().inet().unwrap();
        let mut sockets = Vec::with_capacity(2 * MANY);
        // What all share is there before, and slab and wheel have grown.
        for _ in 0..MANY {
            sockets.push(live_and_idle(&mut rig, &client));
        }
        let before = MEMORY.current_usage();
        for _ in 0..MANY {
            sockets.push(live_and_idle(&mut rig, &client));
        }
        let cost = (MEMORY.current_usage() - before) / MANY;
        println!("{version}: {cost} bytes in all");
        assert_eq!((rig.server.len(), rig.server.buffered()), (2 * MANY, 0));
        assert!(cost > 6000, "it counts what it should: {cost}");
        assert!(cost <= 8192, "{cost}");
    }
}
