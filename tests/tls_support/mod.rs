//! Fixtures of the TLS tests: a wire in memory, an authority that issues what a test needs, and a driver for both ends.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "each test file uses its part of this"
)]

pub mod pki;
pub mod wire;

use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use tymist::net::tls::{ClientTls, HandshakeFailure, ServerTls, TlsStream, TlsTime};
use tymist::net::{Stage, Stream};
use tymist::tyme::Tymist;

/// 2025-01-01, in seconds since the UNIX epoch.
pub const EPOCH: u64 = 1_735_689_600;
/// More steps than any handshake of these tests takes, one byte at a time.
const STEPS: usize = 100_000;

/// A clock for TLS at [`EPOCH`], and what advances it.
pub fn clock() -> (Tymist, TlsTime) {
    let tymist = Tymist::new();
    let time = TlsTime::simulated(tymist.tymth(), Duration::from_secs(EPOCH));
    (tymist, time)
}

/// A clock that stands at [`EPOCH`].
pub fn time() -> TlsTime {
    clock().1
}

/// How the handshake of one end came out: `None` while it is still waiting.
pub type Outcome = Option<io::Result<()>>;

/// Whether anything has changed.
fn step(end: &mut TlsStream, outcome: &mut Outcome) -> bool {
    // What is held goes out whatever became of the handshake, as in the engine.
    let before = end.held();
    let _ = end.flush();
    if outcome.is_none() {
        match end.advance() {
            Ok(Stage::Handshaking) => return true,
            Ok(Stage::Live) => *outcome = Some(Ok(())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => *outcome = Some(Err(error)),
        }
        if outcome.is_some() {
            return true;
        }
    }
    end.held() != before
}

/// Steps both ends in turn until neither gets on; fails if they do so for ever.
#[track_caller]
pub fn drive(client: &mut TlsStream, server: &mut TlsStream) -> (Outcome, Outcome) {
    let (mut at_client, mut at_server) = (None, None);
    for _ in 0..STEPS {
        let one = step(client, &mut at_client);
        let other = step(server, &mut at_server);
        if !one && !other {
            return (at_client, at_server);
        }
    }
    panic!("the handshake spins");
}

/// Both ends over a fresh wire, live.
#[track_caller]
pub fn live(client: &ClientTls, server: &ServerTls) -> (TlsStream, TlsStream) {
    let (near, far) = wire::duplex();
    let mut client = client.connect(Box::new(near), "server.test").unwrap();
    let mut server = server.accept(Box::new(far));
    let (at_client, at_server) = drive(&mut client, &mut server);
    at_client.expect("client waits").expect("client failed");
    at_server.expect("server waits").expect("server failed");
    (client, server)
}

/// The failures of both ends over a fresh wire; `None` for an end that did not fail. A client of TLS 1.3 may think itself live and learn
/// at its next read that it is not: then what that says.
#[track_caller]
pub fn failures(
    client: &ClientTls,
    server: &ServerTls,
) -> (Option<HandshakeFailure>, Option<HandshakeFailure>) {
    let (near, far) = wire::duplex();
    let mut client = client.connect(Box::new(near), "server.test").unwrap();
    let mut server = server.accept(Box::new(far));
    let (at_client, at_server) = drive(&mut client, &mut server);
    let failure = |outcome: Outcome| {
        let error = outcome?.err()?;
        Some(HandshakeFailure::of(&error).unwrap_or_else(|| panic!("unnamed: {error}")))
    };
    let late = matches!(at_client, Some(Ok(()))).then(|| client.read(&mut [0; 64]));
    let late =
        late.and_then(Result::err).and_then(|error| match tymist::net::tls::TlsError::of(&error) {
            Some(tymist::net::tls::TlsFailure::PeerAlert(code)) => {
                Some(HandshakeFailure::PeerAlert(code))
            }
            _ => None,
        });
    (failure(at_client).or(late), failure(at_server))
}

/// Writes all of `data` and reads it at the other end.
#[track_caller]
pub fn transfer(from: &mut TlsStream, to: &mut TlsStream, data: &[u8], buffer: usize) {
    let mut buffer = vec![0; buffer];
    let mut got = Vec::with_capacity(data.len());
    let mut sent = 0;
    let mut idle = 0;
    while got.len() < data.len() {
        let before = (sent, got.len(), from.held());
        if sent < data.len() {
            match from.write(&[IoSlice::new(&data[sent..])]) {
                Ok(taken) => {
                    assert!(taken > 0, "a write took nothing");
                    sent += taken;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        } else {
            let _ = from.flush();
        }
        match to.read(&mut buffer) {
            Ok(count) => {
                assert!(count > 0, "an end instead of data");
                got.extend_from_slice(&buffer[..count]);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        idle = if before == (sent, got.len(), from.held()) { idle + 1 } else { 0 };
        assert!(idle < 10, "stuck at {} of {}, {} held", got.len(), data.len(), from.held());
    }
    assert!(got == data, "the data changed on its way");
}

/// The error of a read that must fail.
#[track_caller]
pub fn read_error(stream: &mut TlsStream) -> io::Error {
    stream.read(&mut [0; 64]).expect_err("a read that must fail")
}
