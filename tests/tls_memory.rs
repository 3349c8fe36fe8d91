//! What a connection costs, counted at the allocator, over a wire whose own memory was there before.
//!
//! One test, since the counter is that of the whole process. Run with `--nocapture` to see the numbers.
#![cfg(feature = "tls")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod tls_support;

use std::io::{ErrorKind, IoSlice};

use peak_alloc::PeakAlloc;
use tls_support::wire::{End, duplex};
use tls_support::{drive, live, pki};
use tymist::net::Stream;
use tymist::net::tls::rustls::NamedGroup;
use tymist::net::tls::{ClientTls, ServerTls, TlsStream, TlsVersion, ring_provider};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MANY: usize = 8;
const WARMING: usize = 8;
const KIB: usize = 1024;

/// Wires that have all the memory they will need.
fn wires() -> Vec<(End, End)> {
    let mut wires: Vec<_> = (0..MANY + WARMING).map(|_| duplex()).collect();
    for (near, far) in &mut wires {
        near.send(&[0; 128 * KIB]);
        far.receive();
        far.send(&[0; 128 * KIB]);
        near.receive();
    }
    wires
}

/// Bytes per connection that are left of what `make` makes.
fn cost<T>(name: &str, mut make: impl FnMut(End, End) -> T) -> usize {
    let mut wires = wires();
    let mut kept = Vec::with_capacity(MANY);
    // What all of them share is there before: the client's store of tickets, which has room for eight, keys, and so on.
    for (near, far) in wires.drain(MANY..) {
        make(near, far);
    }
    let before = MEMORY.current_usage();
    for (near, far) in wires.drain(..) {
        kept.push(make(near, far));
    }
    let cost = (MEMORY.current_usage() - before) / MANY + size_of::<T>();
    println!("{name}: {cost} bytes");
    cost
}

fn wait(stream: &mut TlsStream) {
    while stream.advance().is_ok_and(|stage| stage == tymist::net::Stage::Handshaking) {}
}

#[test]
fn a_connection_costs_no_more_than_documented() {
    let mut world = pki::world();
    let (plain_client, plain) = world.ends();
    let one_record = vec![7; 16 * KIB];
    live(&plain_client, &plain);

    let cost_of = cost("accepted", |_near, far| plain.accept(Box::new(far)));
    assert!(cost_of < 700);

    let cost_of = cost("all but the last byte of the longest ClientHello", |mut near, far| {
        let mut server = plain.accept(Box::new(far));
        near.send(&[22, 3, 1, 0x3f, 0xfb, 1, 0, 0x3f, 0xf7]);
        near.send(&vec![0; 16 * KIB - 10]);
        wait(&mut server);
        server
    });
    assert!((16 * KIB..17 * KIB).contains(&cost_of));

    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let server_config = world.server.clone().with_versions([version]);
        let plain = ServerTls::new(server_config.clone()).unwrap();
        let cost_of = cost(&format!("{version}, answered, stalled"), |near, far| {
            let mut client = plain_client.connect(Box::new(near), "server.test").unwrap();
            let mut server = plain.accept(Box::new(far));
            let _ = client.advance();
            wait(&mut server);
            server
        });
        assert!(cost_of < 12 * KIB);

        let names: Vec<String> = (0..1100).map(|number| format!("protocol-{number}")).collect();
        let wordy = ClientTls::new(&world.client.clone().with_alpn(names)).unwrap();
        let cost_of = cost(&format!("{version}, answered a long ClientHello"), |near, far| {
            let mut client = wordy.connect(Box::new(near), "server.test").unwrap();
            let mut server = plain.accept(Box::new(far));
            let _ = client.advance();
            wait(&mut server);
            server
        });
        assert!(cost_of < 12 * KIB);

        let cost_of =
            cost(&format!("{version}, a message in fragments of one byte"), |near, far| {
                // TLS 1.3 expects another ClientHello in plain where the first had no share of its group.
                let mut provider = (*ring_provider()).clone();
                provider.kx_groups.retain(|group| group.name() == NamedGroup::secp256r1);
                let mut config = server_config.clone();
                config.common.provider = std::sync::Arc::new(provider);
                let picky = ServerTls::new(config).unwrap();
                let (tx, rx) = (near.tx.clone(), near.rx.clone());
                let mut client = plain_client.connect(Box::new(near), "server.test").unwrap();
                let mut server = picky.accept(Box::new(far));
                let _ = client.advance();
                wait(&mut server);
                drop((client, rx));
                tx.lock().unwrap().closed = false;
                let mut near = End::sending(tx);
                let kind = if version == TlsVersion::Tls13 { 1 } else { 16 };
                near.send(&[22, 3, 3, 0, 4, kind, 0, 0x3f, 0xf0]);
                for _ in 0..(16 * KIB - 10) / 6 {
                    near.send(&[22, 3, 3, 0, 1, 0]);
                }
                wait(&mut server);
                assert_eq!(server.advance().unwrap_err().kind(), ErrorKind::WouldBlock);
                // The wire stays open.
                (server, near)
            });
        assert!(cost_of < 24 * KIB);

        let verifying = server_config.with_client_auth(world.authority.required());
        let verifying = ServerTls::new(verifying).unwrap();
        let huge = world.authority.issue(&pki::Ask { ballast: 40_000, ..pki::client() });
        let config = world.client.clone().with_identity(huge.identity()).with_versions([version]);
        let huge = ClientTls::new(&config).unwrap();
        let cost_of = cost(&format!("{version}, most of a certificate"), |near, far| {
            let pipe = near.tx.clone();
            let mut client = huge.connect(Box::new(near), "server.test").unwrap();
            let mut server = verifying.accept(Box::new(far));
            let _ = client.advance();
            wait(&mut server);
            // What the client says next comes but for the last byte of what is let in.
            let limit = pipe.lock().unwrap().passed + 16 * KIB - 1;
            pipe.lock().unwrap().cut_after = Some(limit);
            wait(&mut client);
            pipe.lock().unwrap().closed = false;
            wait(&mut server);
            assert_eq!(server.advance().unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(pipe.lock().unwrap().len(), 0, "all of it is inside");
            server
        });
        assert!((16 * KIB..24 * KIB).contains(&cost_of));
    }

    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        for at_server in [true, false] {
            for buffer in [16 * KIB, 64 * KIB] {
                world.client.common.versions = vec![version];
                let client = ClientTls::new(&world.client).unwrap();
                let mut buffer = vec![0; buffer];
                let size = buffer.len() / KIB;
                let side = if at_server { "server" } else { "client" };
                let cost_of =
                    cost(&format!("{version}, idle {side}, read by {size} KiB"), |near, far| {
                        let mut one = client.connect(Box::new(near), "server.test").unwrap();
                        let mut two = plain.accept(Box::new(far));
                        let (here, there) = drive(&mut one, &mut two);
                        assert!(here.unwrap().is_ok() && there.unwrap().is_ok());
                        if at_server {
                            core::mem::swap(&mut one, &mut two);
                        }
                        for _ in 0..3 {
                            exchange(&mut one, &mut two, &one_record, &mut buffer);
                        }
                        one
                    });
                // A client keeps the server's certificates, too.
                let limit = if at_server { 7850 } else { 7850 + KIB };
                assert!(cost_of < limit, "{cost_of}");
            }
        }
    }
}

fn exchange(one: &mut TlsStream, two: &mut TlsStream, record: &[u8], buffer: &mut [u8]) {
    assert_eq!(one.write(&[IoSlice::new(record)]).unwrap(), record.len());
    assert_eq!(two.write(&[IoSlice::new(record)]).unwrap(), record.len());
    for end in [one, two] {
        let mut got = 0;
        loop {
            match end.read(buffer) {
                Ok(count) => got += count,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert_eq!((got, end.held()), (record.len(), 0));
    }
}
