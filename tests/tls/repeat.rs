//! A run with TLS is repeated bit for bit: randomness from a seed, time from a Tymist, signatures of one size.
#![cfg(feature = "tls-test-provider")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use crate::tls_support::wire::{End, duplex};
use crate::tls_support::{clock, drive, pki, transfer};
use tymist::net::Stream;
use tymist::net::tls::rustls::crypto::CryptoProvider;
use tymist::net::tls::test_provider::{null, seeded};
use tymist::net::tls::{ClientTls, ServerTls, TlsError, TlsFailure, TlsVersion};

/// Every byte of three connections, each way; the later ones resume the first.
fn trace(world: &pki::World, provider: &Arc<CryptoProvider>, version: TlsVersion) -> Vec<Vec<u8>> {
    let (mut tymist, time) = clock();
    let server = world.server.clone().with_provider(Arc::clone(provider)).with_versions([version]);
    let server = ServerTls::new(server.with_time(time.clone())).unwrap();
    let client = world.client.clone().with_provider(Arc::clone(provider)).with_time(time);
    let client = ClientTls::new(&client).unwrap();
    let mut trace = Vec::new();
    for turn in 0..3 {
        let (near, far) = duplex();
        let pipes = [Arc::clone(&near.tx), Arc::clone(&far.tx)];
        pipes.iter().for_each(|pipe| pipe.lock().unwrap().record = Some(Vec::new()));
        let mut near = client.connect(Box::new(near), "server.test").unwrap();
        let mut far = server.accept(Box::new(far));
        let (at_client, at_server) = drive(&mut near, &mut far);
        at_client.unwrap().unwrap();
        at_server.unwrap().unwrap();
        assert_eq!(far.tls().unwrap().resumed(), turn > 0);
        transfer(&mut far, &mut near, &[7; 20_000], 64 * 1024);
        transfer(&mut near, &mut far, &[9; 20_000], 64 * 1024);
        near.shutdown(Shutdown::Write).unwrap();
        tymist.tick_by(Duration::from_secs(3600));
        trace.extend(pipes.iter().map(|pipe| pipe.lock().unwrap().record.take().unwrap()));
    }
    trace
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others_of_the_same_length() {
    let world = pki::world();
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let one = trace(&world, &seeded(1), version);
        assert!(one.iter().all(|bytes| bytes.len() > 20_000));
        assert!(one == trace(&world, &seeded(1), version), "{version}: not the same");
        let two = trace(&world, &seeded(2), version);
        assert!(one != two, "{version}: the seed has no effect");
        assert!(one.iter().zip(&two).all(|(one, two)| one.len() == two.len()));
    }
}

#[test]
fn the_null_cipher_shows_the_plaintext_and_is_agreed_only_with_itself() {
    let world = pki::world();
    let provider = null(1);
    let bytes = trace(&world, &provider, TlsVersion::Tls13);
    assert!(bytes[0].windows(1000).any(|window| window == [9; 1000]));
    let server = ServerTls::new(world.server.clone().with_provider(provider)).unwrap();
    let client = ClientTls::new(&world.client).unwrap();
    let (at_client, at_server) = crate::tls_support::failures(&client, &server);
    assert!(at_client.is_some() && at_server.is_some());
}

#[test]
fn keys_with_random_signatures_are_refused() {
    let authority = pki::Authority::new("authority");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let identity = authority.issue_for(&pki::server(), key).identity();
    let config =
        tymist::net::tls::ServerTlsConfig::new(identity).with_time(crate::tls_support::time());
    let error = ServerTls::new(config.with_provider(seeded(1))).unwrap_err();
    assert!(error.to_string().contains("Ed25519 only"), "{error}");
}

/// Both ends, with the null cipher, by which anything can be forged.
fn null_ends() -> (ClientTls, ServerTls) {
    let mut world = pki::world();
    let provider = null(1);
    world.server = world.server.with_provider(Arc::clone(&provider));
    world.client = world.client.with_provider(provider);
    world.ends()
}

/// Forged are tickets, which carry nothing for the application and may come at any time.
#[test]
fn records_that_carry_nothing_are_not_read_for_ever() {
    let (client, server) = null_ends();
    for (tickets, cut_off) in [(60, false), (70, true)] {
        let (near, far) = duplex();
        let to_client = Arc::clone(&far.tx);
        to_client.lock().unwrap().capacity = 1 << 20;
        let mut near = client.connect(Box::new(near), "server.test").unwrap();
        let mut far = server.accept(Box::new(far));
        assert!(drive(&mut near, &mut far).1.unwrap().is_ok());
        assert_eq!(near.read(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut forger = End::sending(to_client);
        for _ in 0..tickets {
            forger.send(&ticket_record(4096));
        }
        let error = near.read(&mut [0; 64]).unwrap_err();
        assert_eq!(TlsError::of(&error), cut_off.then_some(TlsFailure::Barren), "{error}");
    }
}

/// A `NewSessionTicket` (RFC 8446 section 4.6.1) with a ticket of `size` bytes in a record of the null cipher.
fn ticket_record(size: u16) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 60, 0, 0, 0, 0, 1, 7];
    body.extend(size.to_be_bytes());
    body.extend(vec![7; size.into()]);
    body.extend([0, 0]);
    let length = u16::try_from(body.len()).unwrap();
    let mut record = vec![23, 3, 3];
    record.extend((length + 5).to_be_bytes());
    record.extend([4, 0]);
    record.extend(length.to_be_bytes());
    record.extend(body);
    record.push(22);
    record
}

/// Each record as 1 KiB, and what no plaintext came of byte by byte: padding and records that carry nothing are no cheap way to keep a tick busy.
#[test]
fn regression_what_a_read_costs_beyond_its_bytes_is_told_once() {
    let (client, server) = null_ends();
    let padded = |zeros: u16| {
        let mut record = vec![23, 3, 3];
        record.extend((zeros + 2).to_be_bytes());
        record.extend([7, 23]);
        record.resize(record.len() + usize::from(zeros), 0);
        record
    };
    for buf in [64 << 10, 4096] {
        for (record, plain) in [(padded(0), 1), (padded(16_000), 1), (ticket_record(4096), 0)] {
            let (near, far) = duplex();
            let to_client = Arc::clone(&far.tx);
            to_client.lock().unwrap().capacity = 1 << 20;
            let mut near = client.connect(Box::new(near), "server.test").unwrap();
            let mut far = server.accept(Box::new(far));
            assert!(drive(&mut near, &mut far).1.unwrap().is_ok());
            assert_eq!(near.read(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
            near.overhead();
            let mut forger = End::sending(to_client);
            (0..3).for_each(|_| forger.send(&record));
            let (mut got, mut buf) = (0, vec![0; buf]);
            while let Ok(count) = near.read(&mut buf) {
                got += count;
            }
            assert_eq!(got, 3 * plain);
            assert_eq!(near.overhead(), 3 * (1024 + record.len() - plain), "{}", record.len());
            assert_eq!(near.overhead(), 0, "told once");
        }
    }
}
