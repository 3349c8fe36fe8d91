//! Peers that are broken or mean no good, byte by byte.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::io::{self, ErrorKind};
use std::net::Shutdown;

use crate::tls_support::wire::{End, duplex};
use crate::tls_support::{drive, failures, live, pki, read_error, transfer};
use tymist::net::tls::HandshakeFailure as Failure;
use tymist::net::tls::rustls;
use tymist::net::tls::{
    ClientTls, ServerTls, TlsError, TlsFailure, TlsStream, TlsTruncated, TlsVersion,
};
use tymist::net::{Stage, Stream};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls13, TlsVersion::Tls12];

/// A fatal alert in plain, RFC 8446 section 6.
fn alert(code: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, code]
}

fn server() -> ServerTls {
    ServerTls::new(pki::world().server).unwrap()
}

/// Steps a server until it waits, is live, or fails.
#[track_caller]
fn run(server: &mut TlsStream) -> io::Result<Stage> {
    for _ in 0..100_000 {
        match server.advance() {
            Ok(Stage::Handshaking) => {}
            result => return result,
        }
    }
    panic!("the handshake spins");
}

/// Sends `bytes` to a server: how it failed (`None`: it waits for more), and what it answered.
#[track_caller]
fn answer(server: &ServerTls, bytes: &[u8]) -> (Option<Failure>, Vec<u8>) {
    let (mut near, far) = duplex();
    let mut stream = server.accept(Box::new(far));
    near.send(bytes);
    let error = run(&mut stream).expect_err("live by a few bytes");
    let failure = Failure::of(&error);
    if failure.is_none() {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    } else {
        let again = stream.advance().unwrap_err();
        assert_eq!(Failure::of(&again), failure, "an end is for good");
        assert_eq!(Failure::of(&read_error(&mut stream)), failure);
        assert!(stream.tls().is_none());
    }
    (failure, near.receive())
}

/// The ClientHello of a real client.
fn client_hello(config: &ClientTls) -> Vec<u8> {
    let (near, mut far) = duplex();
    let mut client = config.connect(Box::new(near), "server.test").unwrap();
    assert_eq!(client.advance().unwrap_err().kind(), ErrorKind::WouldBlock);
    far.receive()
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 3, 1], &length[..], payload].concat()
}

#[test]
fn what_is_no_tls_is_named_and_answered_with_an_alert() {
    let server = server();
    let decode = alert(50);
    let cases: [(&[u8], Failure, Vec<u8>); 14] = [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Failure::PlainHttp, decode.clone()),
        (b"G", Failure::PlainHttp, decode.clone()),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Failure::PlainHttp, decode.clone()),
        (b"EHLO client\r\n", Failure::NotTls, decode.clone()),
        (b"\0", Failure::NotTls, decode.clone()),
        (b"\x80\x2e\x01\x03\x01", Failure::NotTls, decode.clone()),
        (b"\x16\x02\x00\x00\x10", Failure::NotTls, decode.clone()),
        (b"\x16\x03\x01\xff\xff", Failure::Decode, alert(22)),
        (b"\x16\x03\x01\x00\x00", Failure::Decode, decode.clone()),
        (b"\x17\x03\x03\x00\x20", Failure::Misbehaved, alert(10)),
        (b"\x15\x03\x03\x00\x02\x02\x28", Failure::Misbehaved, alert(10)),
        (b"\x14\x03\x03\x00\x01\x01", Failure::Misbehaved, alert(10)),
        // A ServerHello, and a ClientHello without content.
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", Failure::Misbehaved, alert(10)),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", Failure::Decode, decode),
    ];
    for (bytes, failure, answered) in cases {
        let name = bytes.escape_ascii();
        assert_eq!(answer(&server, bytes), (Some(failure), answered), "{name}");
    }
}

#[test]
fn a_hello_within_the_limit_may_come_in_any_fragments() {
    let world = pki::world();
    let (client, server) = world.ends();
    let hello = client_hello(&client);
    let payload = &hello[5..];
    for size in [1, 2, 3, 4, 5, 64, payload.len() - 1] {
        let fragments: Vec<u8> = payload.chunks(size).flat_map(|part| record(22, part)).collect();
        let (failure, answered) = answer(&server, &fragments);
        assert_eq!(failure, None, "fragments of {size}");
        assert_eq!(answered.first(), Some(&22), "no ServerHello to fragments of {size}");
    }
}

#[test]
fn a_record_is_waited_for_even_if_the_hello_in_it_is_whole() {
    let (client, server) = pki::world().ends();
    let hello = client_hello(&client);
    let two = record(22, &[&hello[5..], &[20, 0, 0, 0]].concat());
    for missing in 1..=4 {
        assert_eq!(answer(&server, &two[..two.len() - missing]), (None, vec![]));
    }
    let (failure, answered) = answer(&server, &two);
    assert_eq!(failure, Some(Failure::Misbehaved), "a Finished in the place of nothing");
    assert_eq!(answered[0], 21);
}

#[test]
fn a_hello_beyond_the_limit_is_refused_by_what_it_announces() {
    let server = server();
    let limit = 16 * 1024;
    let announce = |length: usize| {
        let [.., high, middle, low] = u32::try_from(length).unwrap().to_be_bytes();
        record(22, &[1, high, middle, low])
    };
    assert_eq!(answer(&server, &announce(limit)), (Some(Failure::HelloTooLarge), alert(47)));
    assert_eq!(answer(&server, &announce(0xff_ffff)), (Some(Failure::HelloTooLarge), alert(47)));
    assert_eq!(answer(&server, &announce(limit - 9)).0, None, "fits with its headers");
    // It fits by what it announces, and does not by what its fragments' headers add.
    let mut fragments = announce(limit - 9);
    while fragments.len() < limit {
        fragments.extend(record(22, &[0]));
    }
    assert_eq!(answer(&server, &fragments), (Some(Failure::HelloTooLarge), alert(47)));
}

#[test]
fn the_limit_of_the_hello_is_exact() {
    let world = pki::world();
    let client =
        ClientTls::new(&world.client.clone().with_alpn((0..200).map(|n| format!("name-{n}"))))
            .unwrap();
    let hello = client_hello(&client);
    let with_limit = |limit| {
        let mut config = world.server.clone();
        config.hello_max = limit;
        ServerTls::new(config).unwrap()
    };
    assert!(hello.len() > 1000);
    assert_eq!(answer(&with_limit(hello.len()), &hello).0, None);
    assert_eq!(answer(&with_limit(hello.len() - 1), &hello).0, Some(Failure::HelloTooLarge));
}

#[test]
fn too_many_bytes_after_the_hello_end_the_handshake() {
    let mut world = pki::world();
    world.server = world.server.with_client_auth(world.authority.required());
    let certificate = |ballast| {
        let issued = world.authority.issue(&pki::Ask { ballast, ..pki::client() });
        ClientTls::new(&world.client.clone().with_identity(issued.identity())).unwrap()
    };
    for version in VERSIONS {
        let server = ServerTls::new(world.server.clone().with_versions([version])).unwrap();
        assert_eq!(failures(&certificate(15_000), &server), (None, None));
        let (at_client, at_server) = failures(&certificate(17_000), &server);
        assert_eq!(at_server, Some(Failure::TooManyBytes));
        // A close_notify in the middle of its handshake is an alert to a client of TLS 1.2.
        assert!(matches!(at_client, None | Some(Failure::PeerAlert(0))), "{at_client:?}");
    }
}

/// Cuts the wire after every single byte of the handshake, in both directions: the end that waits says that it was cut off, and nobody
/// panics, spins, or thinks that all is well. Behaviour A 53 of hio: the server goes on serving.
#[test]
fn a_cut_after_any_byte_of_the_handshake_is_an_end() {
    for version in VERSIONS {
        let mut world = pki::world();
        world.server =
            world.server.with_versions([version]).with_client_auth(world.authority.required());
        world.client = world.client.with_identity(world.authority.issue(&pki::client()).identity());
        let (client, server) = world.ends();
        let attempt = |from_client: Option<usize>, from_server: Option<usize>| {
            let (near, far) = duplex();
            let pipes = (near.tx.clone(), far.tx.clone());
            pipes.0.lock().unwrap().cut_after = from_client;
            pipes.1.lock().unwrap().cut_after = from_server;
            let mut near = client.connect(Box::new(near), "server.test").unwrap();
            let mut far = server.accept(Box::new(far));
            let outcome = drive(&mut near, &mut far);
            let passed = (pipes.0.lock().unwrap().passed, pipes.1.lock().unwrap().passed);
            (outcome, passed)
        };
        let ((at_client, at_server), (up, down)) = attempt(None, None);
        assert!(at_client.unwrap().is_ok() && at_server.unwrap().is_ok());
        assert!(up > 500 && down > 500, "{up} and {down}");
        for cut in 0..up {
            let (_, at_server) = attempt(Some(cut), None).0;
            let error = at_server.expect("the server waits for ever").unwrap_err();
            assert_eq!(Failure::of(&error), Some(Failure::Eof), "{version}, client cut at {cut}");
        }
        let mut ends = 0;
        for cut in 0..down - 1 {
            // The last bytes of TLS 1.3 are tickets, which the client does not wait for.
            let (at_client, _) = attempt(None, Some(cut)).0;
            if let Some(Err(error)) = at_client {
                assert_eq!(
                    Failure::of(&error),
                    Some(Failure::Eof),
                    "{version}, server cut at {cut}"
                );
                ends += 1;
            }
        }
        assert!(ends > 500, "{ends} of {down}");
        let ((at_client, at_server), _) = attempt(None, None);
        assert!(at_client.unwrap().is_ok() && at_server.unwrap().is_ok(), "the server goes on");
    }
}

/// Changes every single byte of the handshake, in both directions: never do both ends come out of it thinking that all is well.
#[test]
fn a_change_of_any_byte_of_the_handshake_is_found() {
    for version in VERSIONS {
        let mut world = pki::world();
        world.server = world.server.with_versions([version]);
        world.client.common.resumption = false;
        let (client, server) = world.ends();
        let attempt = |up: Option<usize>, down: Option<usize>| {
            let (near, far) = duplex();
            let pipes = (near.tx.clone(), far.tx.clone());
            pipes.0.lock().unwrap().flip = up;
            pipes.1.lock().unwrap().flip = down;
            let mut near = client.connect(Box::new(near), "server.test").unwrap();
            let mut far = server.accept(Box::new(far));
            let (at_client, at_server) = drive(&mut near, &mut far);
            let passed = (pipes.0.lock().unwrap().passed, pipes.1.lock().unwrap().passed);
            let live = matches!((at_client, at_server), (Some(Ok(())), Some(Ok(()))));
            (live, passed)
        };
        let (live, (up, down)) = attempt(None, None);
        assert!(live);
        let mut survived = Vec::new();
        for place in 0..up {
            if attempt(Some(place), None).0 {
                survived.push(place);
            }
        }
        // The version in the header of the first record, and of a dummy change_cipher_spec, means nothing (RFC 8446 section 5.1).
        assert!(survived.len() <= 4, "{version}, from the client: {survived:?} of {up}");
        survived.clear();
        for place in 0..down {
            if attempt(None, Some(place)).0 {
                survived.push(place);
            }
        }
        // Tickets are outside the handshake in TLS 1.3; a client sees what is wrong with them when it reads.
        let tickets = if version == TlsVersion::Tls13 { 600 } else { 0 };
        assert!(
            survived.len() <= 4 + tickets,
            "{version}, from the server: {survived:?} of {down}"
        );
    }
}

/// Hio's defect B 3: garbage and then a reset must not come out of anything but this connection.
#[test]
fn a_reset_in_the_handshake_is_an_error_of_this_connection() {
    let (client, server) = pki::world().ends();
    let hello = client_hello(&client);
    for sent in [0, 1, 100, hello.len()] {
        let (mut near, far) = duplex();
        let mut stream = server.accept(Box::new(far));
        near.send(&hello[..sent]);
        let waits = run(&mut stream).unwrap_err();
        assert_eq!(waits.kind(), ErrorKind::WouldBlock);
        near.reset();
        assert_eq!(run(&mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let (mut near, far) = duplex();
    let mut stream = server.accept(Box::new(far));
    near.send(b"\x16\x03\x01\x00\x10garbage garbage!");
    near.tx.lock().unwrap().closed = true;
    near.rx.lock().unwrap().reset = true;
    assert_eq!(Failure::of(&run(&mut stream).unwrap_err()), Some(Failure::Misbehaved));
    assert!(stream.held() > 0, "an alert that nobody takes");
    assert_eq!(stream.flush().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_alert_that_does_not_go_out_at_once_is_held_and_flushed() {
    let (mut near, far) = duplex();
    far.tx.lock().unwrap().capacity = 3;
    let mut stream = server().accept(Box::new(far));
    near.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(Failure::of(&run(&mut stream).unwrap_err()), Some(Failure::PlainHttp));
    assert_eq!(stream.held(), 4);
    let mut got = near.receive();
    assert_eq!(stream.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    got.extend(near.receive());
    stream.flush().unwrap();
    assert_eq!(stream.held(), 0);
    got.extend(near.receive());
    assert_eq!(got, alert(50));
}

/// A live pair whose client side is raw: what the client sends can be changed.
fn tapped(version: TlsVersion) -> (TlsStream, TlsStream, Tap) {
    let mut world = pki::world();
    world.server = world.server.with_versions([version]);
    let (client, server) = world.ends();
    let (near, tap_near) = duplex();
    let (tap_far, far) = duplex();
    let mut tap = Tap { near: tap_near, far: tap_far };
    let mut client = client.connect(Box::new(near), "server.test").unwrap();
    let mut server = server.accept(Box::new(far));
    for _ in 0..20 {
        let _ = client.advance();
        let up = tap.near.receive();
        tap.far.send(&up);
        let _ = server.advance();
        let down = tap.far.receive();
        tap.near.send(&down);
    }
    assert!(client.tls().is_some() && server.tls().is_some());
    (client, server, tap)
}

struct Tap {
    near: End,
    far: End,
}

fn write(stream: &mut TlsStream, data: &[u8]) {
    assert_eq!(stream.write(&[io::IoSlice::new(data)]).unwrap(), data.len());
}

/// Cuts a live connection at every byte of three records: what came whole is delivered, and the end is never a clean one.
#[test]
fn truncation_at_every_byte_is_never_a_clean_end() {
    for version in VERSIONS {
        for buffer in [64, 64 * 1024] {
            let (mut client, _server, mut tap) = tapped(version);
            for part in [&b"one"[..], b"two", b"three"] {
                write(&mut client, part);
            }
            let total = tap.near.receive().len();
            for cut in 0..=total {
                let (mut client, mut server, mut tap) = tapped(version);
                for part in [&b"one"[..], b"two", b"three"] {
                    write(&mut client, part);
                }
                let sent = tap.near.receive();
                tap.far.send(&sent[..cut]);
                drop(tap.far);
                let mut got = Vec::new();
                let mut buf = vec![0; buffer];
                let error = loop {
                    match server.read(&mut buf) {
                        Ok(0) => panic!("a clean end at {cut} of {total}"),
                        Ok(count) => got.extend_from_slice(&buf[..count]),
                        Err(error) => break error,
                    }
                };
                assert!(TlsTruncated::is(&error), "{error}");
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                assert!(TlsTruncated::is(&read_error(&mut server)), "an end is for good");
                assert!(b"onetwothree".starts_with(&got));
                assert_eq!(got.len() == 11, cut == total, "{cut} of {total}: {got:?}");
            }
        }
    }
}

#[test]
fn a_bad_record_ends_the_connection_after_what_came_before_it() {
    for version in VERSIONS {
        for buffer in [64, 64 * 1024] {
            let (mut client, mut server, mut tap) = tapped(version);
            write(&mut client, b"good");
            let mut sent = tap.near.receive();
            write(&mut client, b"forged");
            let mut forged = tap.near.receive();
            *forged.last_mut().unwrap() ^= 1;
            sent.extend(forged);
            tap.far.send(&sent);
            let mut buf = vec![0; buffer];
            assert_eq!(server.read(&mut buf).unwrap(), 4);
            assert_eq!(&buf[..4], b"good");
            for _ in 0..2 {
                let error = server.read(&mut buf).unwrap_err();
                assert_eq!(TlsError::of(&error), Some(TlsFailure::BadRecord), "{error}");
            }
            let error = server.write(&[io::IoSlice::new(b"more")]).unwrap_err();
            assert_eq!(TlsError::of(&error), Some(TlsFailure::BadRecord));
            assert!(server.tls().is_some(), "who it was can still be asked");
            let answered = tap.far.receive();
            tap.near.send(&answered);
            let error = read_error(&mut client);
            assert_eq!(TlsError::of(&error), Some(TlsFailure::PeerAlert(20)), "bad_record_mac");
        }
    }
}

/// A close_notify behind the alert would make it look like a good end.
#[test]
fn a_broken_connection_is_shut_without_a_close_notify() {
    for version in VERSIONS {
        let (_client, mut server, mut tap) = tapped(version);
        tap.far.send(&record(23, &[7; 40]));
        read_error(&mut server);
        assert!(!tap.far.receive().is_empty(), "the alert");
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!((server.held(), tap.far.receive().len()), (0, 0), "{version}");
    }
}

#[test]
fn garbage_after_our_close_is_an_error_and_no_panic() {
    for version in VERSIONS {
        let (client, mut server, mut tap) = tapped(version);
        server.shutdown(Shutdown::Write).unwrap();
        tap.far.send(b"\x17\x03\x03\x00\x20 this was never sealed by anyone");
        assert!(TlsError::of(&read_error(&mut server)).is_some());
        drop(client);
    }
}

/// Once both halves are over, so that no reset destroys what we have sent; a tick is not held up by who sends without end.
#[test]
fn what_comes_behind_the_peers_close_is_thrown_away_within_bounds() {
    const MOST: usize = 256 * 1024;
    for version in VERSIONS {
        for (behind, left) in [(MOST - 1, 0), (MOST, 0), (MOST + 1, 1)] {
            let (mut client, mut server, mut tap) = tapped(version);
            client.shutdown(Shutdown::Write).unwrap();
            let farewell = tap.near.receive();
            tap.far.send(&farewell);
            assert_eq!(server.read(&mut [0; 64]).unwrap(), 0);
            tap.far.tx.lock().unwrap().capacity = usize::MAX;
            tap.far.send(&vec![7; behind]);
            assert_eq!(tap.far.tx.lock().unwrap().len(), behind);
            server.shutdown(Shutdown::Write).unwrap();
            assert_eq!(tap.far.tx.lock().unwrap().len(), left, "{version}");
        }
    }
}

#[test]
fn unprotected_records_to_a_live_connection_end_it() {
    let (_client, mut server, mut tap) = tapped(TlsVersion::Tls13);
    tap.far.send(&[20, 3, 3, 0, 1, 1]);
    assert!(TlsError::of(&read_error(&mut server)).is_some());
}

/// A server of rustls that sends any number of tickets, which are the one thing without content that may come without end.
fn ticket_server(issued: &pki::Issued, tickets: usize) -> rustls::ServerConnection {
    let provider = tymist::net::tls::ring_provider();
    let chain = vec![rustls::pki_types::CertificateDer::from(issued.cert_der.clone())];
    let key = issued.key_der.clone().try_into().unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.send_tls13_tickets = tickets;
    rustls::ServerConnection::new(config.into()).unwrap()
}

#[test]
fn a_server_that_sends_a_flight_of_tickets_without_end_is_cut_off() {
    let world = pki::world();
    let issued = world.authority.issue(&pki::server());
    let client = ClientTls::new(&world.client).unwrap();
    for (tickets, cut_off) in [(500, false), (5000, true)] {
        let (near, mut far) = duplex();
        far.tx.lock().unwrap().capacity = 16 << 20;
        let mut client = client.connect(Box::new(near), "server.test").unwrap();
        let mut server = ticket_server(&issued, tickets);
        for _ in 0..4 {
            let _ = client.advance();
            let bytes = far.receive();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            far.send(&bytes);
        }
        assert!(client.tls().is_some());
        let error = read_error(&mut client);
        assert_eq!(TlsError::of(&error).is_some(), cut_off, "{tickets} tickets: {error}");
    }
}

#[test]
fn plain_text_to_a_live_connection_ends_it() {
    let (_client, mut server, mut tap) = tapped(TlsVersion::Tls13);
    tap.far.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(TlsError::of(&read_error(&mut server)), Some(TlsFailure::BadRecord));
}

/// Hio's defect B 8 is the engine's to mend, by a deadline; here a stalled handshake must stay what it is, at no cost.
#[test]
fn a_stalled_handshake_waits_and_does_nothing() {
    let (client, server) = pki::world().ends();
    let hello = client_hello(&client);
    let (mut near, far) = duplex();
    let mut stream = server.accept(Box::new(far));
    near.send(&hello[..hello.len() / 2]);
    assert_eq!(stream.advance().unwrap(), Stage::Handshaking);
    for _ in 0..1000 {
        assert_eq!(stream.advance().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    assert!(near.receive().is_empty());
    let (mut client, mut server) = live(&client, &server);
    transfer(&mut client, &mut server, b"others go on", 64);
}
