//! The live connection: data, back pressure, closing in every order, and going over to TLS on a stream in use.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;

use crate::tls_support::wire::duplex;
use crate::tls_support::{drive, live, pki, read_error, transfer};
use tymist::net::tls::rustls::crypto::{CipherSuiteCommon, CryptoProvider};
use tymist::net::tls::rustls::{SupportedCipherSuite, Tls12CipherSuite};
use tymist::net::tls::{
    ReadAhead, ServerTls, TlsError, TlsFailure, TlsStream, TlsTruncated, TlsVersion, ring_provider,
};
use tymist::net::{Stage, Stream};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls13, TlsVersion::Tls12];

fn pair(version: TlsVersion) -> (TlsStream, TlsStream) {
    let mut world = pki::world();
    world.server = world.server.with_versions([version]);
    let (client, server) = world.ends();
    live(&client, &server)
}

fn narrow(version: TlsVersion, capacity: usize, chunk: usize) -> (TlsStream, TlsStream) {
    let mut world = pki::world();
    world.server = world.server.with_versions([version]);
    let (client, server) = world.ends();
    let (near, far) = duplex();
    for pipe in [&near.tx, &near.rx] {
        let mut pipe = pipe.lock().unwrap();
        (pipe.capacity, pipe.chunk) = (capacity, chunk);
    }
    let mut client = client.connect(Box::new(near), "server.test").unwrap();
    let mut server = server.accept(Box::new(far));
    let (at_client, at_server) = drive(&mut client, &mut server);
    at_client.unwrap().unwrap();
    at_server.unwrap().unwrap();
    (client, server)
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251).to_le_bytes()[0]).collect()
}

#[test]
fn data_crosses_intact_whatever_the_sizes() {
    let data = data(300_000);
    for version in VERSIONS {
        // The read buffer is small, as large as a record, on both sides of where reading in place begins, and large.
        for buffer in [64, 16_384, 36_865, 36_866, 64 * 1024, 256 * 1024] {
            for (capacity, chunk) in
                [(1000, 7), (16_406, usize::MAX), (100_000, 5000), (1 << 20, 1 << 20)]
            {
                let (mut client, mut server) = narrow(version, capacity, chunk);
                transfer(&mut client, &mut server, &data, buffer);
                transfer(&mut server, &mut client, &data, buffer);
            }
        }
    }
}

#[test]
fn small_writes_of_one_call_share_a_record() {
    let (client, server) = pki::world().ends();
    let (near, far) = duplex();
    let pipe = near.tx.clone();
    let mut client = client.connect(Box::new(near), "server.test").unwrap();
    let mut server = server.accept(Box::new(far));
    assert!(drive(&mut client, &mut server).1.unwrap().is_ok());
    pipe.lock().unwrap().record = Some(Vec::new());
    let parts = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")];
    assert_eq!(client.write(&parts).unwrap(), 6);
    assert_eq!(client.write(&[IoSlice::new(b"")]).unwrap(), 0);
    // Header, content, its type, and the tag.
    assert_eq!(pipe.lock().unwrap().record.as_ref().unwrap().len(), 5 + 6 + 1 + 16);
}

#[test]
fn what_a_stalled_peer_can_make_us_hold_is_bounded() {
    let (mut client, mut server) = narrow(TlsVersion::Tls13, 1000, usize::MAX);
    let data = data(1 << 20);
    let mut taken = 0;
    loop {
        match client.write(&[IoSlice::new(&data[taken..])]) {
            Ok(count) => taken += count,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(taken, 32 * 1024, "one write call's worth");
    assert!((31 * 1024..33 * 1024).contains(&client.held()), "{}", client.held());
    assert_eq!(client.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut got = vec![];
    let mut buf = vec![0; 64 * 1024];
    while client.held() > 0 || got.len() < taken {
        if let Ok(count) = server.read(&mut buf) {
            got.extend_from_slice(&buf[..count]);
        }
        let _ = client.flush();
    }
    assert_eq!(got, data[..taken]);
}

/// Reads until the end; what came, or the error instead of an end.
fn rest(stream: &mut TlsStream) -> Result<Vec<u8>, std::io::Error> {
    let mut got = Vec::new();
    let mut buf = [0; 100];
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(got),
            count => got.extend_from_slice(&buf[..count]),
        }
    }
}

/// Hio's defects B 19 and B 20, and part 3 of the issue: each half ends by itself, in both orders.
#[test]
fn halves_close_one_by_one_in_both_orders() {
    for version in VERSIONS {
        for server_first in [true, false] {
            let (mut one, mut two) = pair(version);
            if server_first {
                core::mem::swap(&mut one, &mut two);
            }
            transfer(&mut one, &mut two, b"hello", 64);
            assert_eq!(one.write(&[IoSlice::new(b"last words")]).unwrap(), 10);
            one.shutdown(Shutdown::Write).unwrap();
            one.shutdown(Shutdown::Write).unwrap();
            assert_eq!(one.write(&[IoSlice::new(b"x")]).unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(rest(&mut two).unwrap(), b"last words");
            assert_eq!(two.read(&mut [0; 8]).unwrap(), 0, "an end is for good");
            // The other half goes on after either end's close_notify.
            transfer(&mut two, &mut one, &data(50_000), 1000);
            two.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(&mut one).unwrap(), b"");
        }
    }
}

#[test]
fn both_may_close_at_once() {
    for version in VERSIONS {
        let (mut client, mut server) = pair(version);
        client.shutdown(Shutdown::Both).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "we closed this half ourselves");
        assert_eq!(rest(&mut server).unwrap(), b"");
    }
}

#[test]
fn a_drop_without_a_close_is_a_truncation_for_the_peer() {
    for version in VERSIONS {
        let (mut client, server) = pair(version);
        drop(server);
        let error = read_error(&mut client);
        assert!(TlsTruncated::is(&error) && error.kind() == ErrorKind::UnexpectedEof);
        assert!(TlsError::of(&error).is_none());
    }
}

#[test]
fn a_close_that_does_not_go_out_at_once_follows_what_was_written() {
    for version in VERSIONS {
        let (mut client, mut server) = narrow(version, 500, usize::MAX);
        let data = data(20_000);
        assert_eq!(client.write(&[IoSlice::new(&data)]).unwrap(), data.len());
        client.shutdown(Shutdown::Write).unwrap();
        assert!(client.held() > 19_000);
        let mut got = Vec::new();
        let mut buf = [0; 400];
        loop {
            match server.read(&mut buf) {
                Ok(0) => break,
                Ok(count) => got.extend_from_slice(&buf[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            let _ = client.flush();
        }
        assert_eq!(client.held(), 0);
        assert!(got == data);
    }
}

/// The close_notify is the last that leaves, and then the transport's half ends, so that a peer that waits for that gets it.
#[test]
fn the_half_of_the_transport_ends_behind_the_close() {
    let (client, server) = pki::world().ends();
    let (near, far) = duplex();
    let pipe = near.tx.clone();
    let mut client = client.connect(Box::new(near), "server.test").unwrap();
    let mut server = server.accept(Box::new(far));
    assert!(drive(&mut client, &mut server).1.unwrap().is_ok());
    pipe.lock().unwrap().capacity = 10;
    client.shutdown(Shutdown::Write).unwrap();
    assert!(client.held() > 0);
    assert!(!pipe.lock().unwrap().closed);
    pipe.lock().unwrap().capacity = 100;
    client.flush().unwrap();
    assert_eq!(client.held(), 0);
    assert!(pipe.lock().unwrap().closed);
    assert_eq!(rest(&mut server).unwrap(), b"");
}

#[test]
fn a_close_before_the_hello_only_ends_the_transport() {
    let (_, server) = pki::world().ends();
    let (mut near, far) = duplex();
    let mut stream = server.accept(Box::new(far));
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(near.receive().is_empty());
    assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
}

fn start_tls(server: &ServerTls, ahead: ReadAhead<'_>) -> Result<(), usize> {
    let (near, far) = duplex();
    match server.upgrade(Box::new(far), ahead) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let mut stream = error.into_stream();
            // The stream is as it was.
            stream.write(&[IoSlice::new(b"500 no\r\n")]).unwrap();
            drop(near);
            Err(text.split(' ').next().unwrap().parse().unwrap())
        }
    }
}

#[test]
fn plain_text_behind_starttls_is_refused_or_taken_for_tls_but_never_used() {
    let world = pki::world();
    let (client, server) = world.ends();
    assert_eq!(start_tls(&server, ReadAhead::MustBeEmpty(b"RSET\r\n")), Err(6));
    assert_eq!(start_tls(&server, ReadAhead::MustBeEmpty(b"")), Ok(()));

    // Taken for TLS, a command is no ClientHello.
    let (near, far) = duplex();
    let mut stream = server.upgrade(Box::new(far), ReadAhead::IsTls(b"RSET\r\n")).unwrap();
    assert!(stream.advance().is_err());
    assert!(stream.tls().is_none());
    drop(near);

    // And a ClientHello that came early, in whole or in part, loses no byte.
    let (near, mut far) = duplex();
    let mut first = client.connect(Box::new(near), "server.test").unwrap();
    assert!(first.advance().is_err());
    let hello = far.receive();
    drop(first);
    for split in [0, 1, 5, 100, hello.len() - 1, hello.len()] {
        let (mut near, far) = duplex();
        let mut stream = server.upgrade(Box::new(far), ReadAhead::IsTls(&hello[..split])).unwrap();
        near.send(&hello[split..]);
        while let Ok(Stage::Handshaking) = stream.advance() {}
        assert_eq!(near.receive().first(), Some(&22), "no ServerHello with {split} bytes early");
    }
}

#[test]
fn a_stream_in_use_goes_over_to_tls_at_both_ends() {
    let (client, server) = pki::world().ends();
    let (mut near, mut far) = duplex();
    near.send(b"STARTTLS\r\n");
    assert_eq!(far.receive(), b"STARTTLS\r\n");
    far.send(b"220 go\r\n");
    assert_eq!(near.receive(), b"220 go\r\n");
    let none = ReadAhead::MustBeEmpty(&[]);
    let mut client = client.upgrade(Box::new(near), "server.test", none).unwrap();
    let mut server = server.upgrade(Box::new(far), none).unwrap();
    let (at_client, at_server) = drive(&mut client, &mut server);
    at_client.unwrap().unwrap();
    at_server.unwrap().unwrap();
    transfer(&mut client, &mut server, b"EHLO again", 64);
}

#[test]
fn a_client_refuses_what_is_no_name_and_gives_the_stream_back() {
    let (client, _) = pki::world().ends();
    for name in ["", "a b", "-", "a..b"] {
        let (near, mut far) = duplex();
        let error = client.connect(Box::new(near), name).unwrap_err();
        assert!(error.to_string().contains("is no server name"), "{error}");
        let mut stream = error.into_stream();
        stream.write(&[IoSlice::new(b"x")]).unwrap();
        assert_eq!(far.receive(), b"x");
    }
}

#[test]
fn tls_in_tls_is_a_stream_like_any_other() {
    let (client, server) = pki::world().ends();
    let (near, far) = duplex();
    let near = client.connect(Box::new(near), "server.test").unwrap();
    let far = server.accept(Box::new(far));
    let mut inner_client = client.connect(Box::new(near), "server.test").unwrap();
    let mut inner_server = server.accept(Box::new(far));
    let (at_client, at_server) = drive(&mut inner_client, &mut inner_server);
    at_client.unwrap().unwrap();
    at_server.unwrap().unwrap();
    transfer(&mut inner_client, &mut inner_server, &data(40_000), 64 * 1024);
    inner_client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut inner_server).unwrap(), b"");
    assert_eq!(TlsError::of(&std::io::Error::other(TlsTruncated)), None::<TlsFailure>);
}

/// Ring's, whose keys protect no more than so many records. Leaks a suite at each call.
fn short_lived(records: u64) -> Arc<CryptoProvider> {
    let mut provider = (*ring_provider()).clone();
    let suite = provider.cipher_suites.iter().find_map(|suite| match suite {
        SupportedCipherSuite::Tls12(suite) => Some(*suite),
        SupportedCipherSuite::Tls13(_) => None,
    });
    let Tls12CipherSuite { common, prf_provider, kx, sign, aead_alg } = suite.unwrap();
    let (suite, hash_provider) = (common.suite, common.hash_provider);
    let common = CipherSuiteCommon { suite, hash_provider, confidentiality_limit: records };
    let (prf_provider, kx, aead_alg) = (*prf_provider, *kx, *aead_alg);
    let suite = Tls12CipherSuite { common, prf_provider, kx, sign, aead_alg };
    provider.cipher_suites = vec![SupportedCipherSuite::Tls12(Box::leak(Box::new(suite)))];
    Arc::new(provider)
}

/// rustls ends such a connection with a `close_notify` and drops what is written, as if it had gone: a torso that looked whole, and nobody was told.
#[test]
fn regression_keys_that_are_used_up_are_no_clean_end() {
    let mut world = pki::world();
    world.server = world.server.with_versions([TlsVersion::Tls12]);
    world.server = world.server.with_provider(short_lived(64));
    // One byte a record, and the most that one call takes.
    for size in [1, 60_000] {
        let (client, server) = world.ends();
        let (mut client, mut server) = live(&client, &server);
        let (mut written, mut got, mut buf) = (0, 0, vec![0; 1 << 16]);
        let error = loop {
            match server.write(&[IoSlice::new(&vec![7; size])]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => break error,
            }
            match client.read(&mut buf) {
                Ok(count) => got += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(written < 64 * 16_384, "it goes on for ever");
        };
        assert_eq!(TlsError::of(&error), Some(TlsFailure::KeysUsedUp), "{error}");
        assert!(written >= 50 * size.min(16_384), "{written}");
        let _ = server.shutdown(Shutdown::Write);
        let end = loop {
            match client.read(&mut buf) {
                Ok(0) => panic!("a clean end"),
                Ok(count) => got += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => server.flush().unwrap(),
                Err(error) => break error,
            }
        };
        assert!(TlsTruncated::is(&end), "{end}");
        assert_eq!(got, written);
    }
}

/// What a small buffer left of a read was more than rustls takes in one go once a long record is complete and short ones follow it: "buffer full".
#[test]
fn regression_short_records_behind_a_long_one_are_read_with_a_small_buffer() {
    for version in VERSIONS {
        for buffer in [64, 4096, 36_865, 36_866] {
            let (mut client, mut server) = narrow(version, 1 << 20, usize::MAX);
            let data = data(16_384 + 40 * 500);
            let (long, short) = data.split_at(16_384);
            assert_eq!(server.write(&[IoSlice::new(long)]).unwrap(), long.len());
            for part in short.chunks(500) {
                assert_eq!(server.write(&[IoSlice::new(part)]).unwrap(), part.len());
            }
            let (mut got, mut buf) = (Vec::new(), vec![0; buffer]);
            while got.len() < data.len() {
                let count = client.read(&mut buf).unwrap();
                assert!(count > 0, "an end after {}", got.len());
                got.extend_from_slice(&buf[..count]);
            }
            assert!(got == data, "other bytes");
        }
    }
}
