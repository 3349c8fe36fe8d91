//! Bytes of a handshake, at a server and at a client: shared by the fuzz target and by the test that replays its seeds.
//!
//! The first byte says how the rest is read: even, as what a peer sends, in pieces of a size that it also says; odd, as edits of what two real ends
//! say to each other. With the seeded null provider a run depends on nothing but its input, and costs no cryptography to speak of.

use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::OnceLock;
use std::time::Duration;

use tymist::net::tls::{
    ClientTls, ClientTlsConfig, HandshakeFailure, Identity, Material, ServerTls, ServerTlsConfig,
    TlsStream, TlsTime,
};
use tymist::net::{Stage, Stream};
use tymist::tyme::Tymist;

use super::wire::{End, duplex};

const CERT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBczCCASWgAwIBAgIUCqXwHjw7dBbxJ0wWAeD/znZ8fcEwBQYDK2VwMBQxEjAQ
BgNVBAMMCWZ1enoudGVzdDAgFw0yNjExMjAyMzI3MjVaGA8yMTAwMTAyMzIzMjcy
NVowFDESMBAGA1UEAwwJZnV6ei50ZXN0MCowBQYDK2VwAyEA6GbZO0gVAGHiv2JV
DPbOF/WxpZbS1+5YSFyOBNutG6GjgYYwgYMwHQYDVR0OBBYEFCWL88LJN6uZJQN2
3xr0ZqmqjC2RMB8GA1UdIwQYMBaAFCWL88LJN6uZJQN23xr0ZqmqjC2RMBQGA1Ud
EQQNMAuCCWZ1enoudGVzdDAMBgNVHRMBAf8EAjAAMB0GA1UdJQQWMBQGCCsGAQUF
BwMBBggrBgEFBQcDAjAFBgMrZXADQQCZIALmos5UOjFPFKMv7vMKhGU0jeX2P8yp
MuOrJj4TVyQZfjg8/+r2GUoHfWL0LRk+BcXzSGnTI3NzZ9ZktbEF
-----END CERTIFICATE-----
";
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIPIT+IwZ3NPZ9VXnVH6TI0CqPmwGvrSnR4VqxCUMEjUa
-----END PRIVATE KEY-----
";
/// Within the certificate's time.
const NOW: u64 = 1_830_000_000;
/// The most that is known to be needed is half of it.
const HELD_MAX: usize = 72 * 1024;

fn ends() -> &'static (ServerTls, ClientTls) {
    static ENDS: OnceLock<(ServerTls, ClientTls)> = OnceLock::new();
    ENDS.get_or_init(|| {
        let time = TlsTime::simulated(Tymist::new().tymth(), Duration::from_secs(NOW));
        let identity = Identity::new(Material::bytes(CERT), Material::bytes(KEY));
        let mut server = ServerTlsConfig::new(identity).with_time(time.clone()).with_alpn(["fuzz"]);
        let mut client =
            ClientTlsConfig::with_roots(Material::bytes(CERT)).with_time(time).with_alpn(["fuzz"]);
        client.trust = tymist::net::tls::ServerTrust::DangerousAnyone;
        server.common.resumption = false;
        client.common.resumption = false;
        #[cfg(feature = "tls-test-provider")]
        {
            server.common.provider = tymist::net::tls::test_provider::null(7);
            client.common.provider = tymist::net::tls::test_provider::null(8);
        }
        (ServerTls::new(server).unwrap(), ClientTls::new(&client).unwrap())
    })
}

/// Steps one end until it waits (`None`), is live, or has failed. Never more steps than bytes could ask for.
fn run(end: &mut TlsStream, most: usize) -> Option<bool> {
    for _ in 0..most {
        match end.advance() {
            Ok(Stage::Handshaking) => {}
            Ok(Stage::Live) => return Some(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => {
                assert!(HandshakeFailure::of(&error).is_some(), "unnamed: {error}");
                return Some(false);
            }
        }
    }
    panic!("the handshake spins");
}

/// What holds of an end whatever was done to it.
fn check(end: &mut TlsStream, outcome: Option<bool>) {
    assert!(end.held() < HELD_MAX, "{} bytes held", end.held());
    assert_eq!(end.tls().is_some(), outcome == Some(true));
    if outcome == Some(false) {
        let again = end.advance().unwrap_err();
        assert!(HandshakeFailure::of(&again).is_some(), "an end is for good");
        assert!(end.read(&mut [0; 64]).is_err() && end.write(&[IoSlice::new(b"x")]).is_err());
    }
}

/// Reads what a live end has, at most so often; what came is plaintext or a named end.
fn read_all(end: &mut TlsStream) -> Vec<u8> {
    let mut got = Vec::new();
    let mut buf = [0; 700];
    for _ in 0..10_000 {
        match end.read(&mut buf) {
            Ok(0) | Err(_) => return got,
            Ok(count) => got.extend_from_slice(&buf[..count]),
        }
    }
    panic!("reading spins");
}

fn part(end: &mut TlsStream, outcome: Option<bool>) {
    let _ = end.shutdown(Shutdown::Write);
    let _ = end.flush();
    let mut buf = [0; 700];
    for _ in 0..10_000 {
        match end.discard(&mut buf) {
            Ok(0) | Err(_) => return,
            Ok(_) => assert!(outcome != Some(true) || end.tls().is_some()),
        }
    }
    panic!("discarding spins");
}

/// One input.
pub fn fuzz(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    if mode % 2 == 0 {
        pieces(rest, 1 + usize::from(mode / 2) * 13);
    } else {
        edits(rest);
    }
}

/// `bytes` to a server, and to a client, in pieces.
fn pieces(bytes: &[u8], size: usize) {
    let (server, client) = ends();
    let client_end = |stream| client.connect(stream, "fuzz.test").unwrap();
    for at_server in [true, false] {
        let (mut near, far) = duplex();
        let stream: Box<dyn Stream> = Box::new(far);
        let mut end = if at_server { server.accept(stream) } else { client_end(stream) };
        let mut outcome = None;
        for piece in bytes.chunks(size) {
            near.send(piece);
            outcome = run(&mut end, bytes.len() + 64);
            let _ = end.flush();
            if outcome.is_some() {
                break;
            }
        }
        check(&mut end, outcome);
        if outcome == Some(true) {
            read_all(&mut end);
        }
        part(&mut end, outcome);
        drop(near.receive());
    }
}

/// Four bytes each: which way and what, where (two), and a value.
struct Edit<'a>(&'a [u8]);

impl Edit<'_> {
    fn to_server(&self) -> bool {
        self.0[0] & 1 == 0
    }

    fn place(&self) -> usize {
        usize::from(u16::from_be_bytes([self.0[1], self.0[2]]))
    }

    fn apply(&self, byte: u8, out: &mut Vec<u8>) {
        let value = self.0[3];
        match self.0[0] >> 1 & 3 {
            0 => out.push(byte ^ value),
            1 => out.extend([value, byte]),
            2 => {}
            _ => out.extend(std::iter::repeat_n(byte, 1 + usize::from(value))),
        }
    }
}

/// Carries what one end says to the other, edited.
fn carry(
    from: &mut End,
    to: &mut End,
    passed: &mut usize,
    edits: &[Edit<'_>],
    to_server: bool,
) -> bool {
    let bytes = from.receive();
    let mut out = Vec::with_capacity(bytes.len());
    for byte in &bytes {
        let here =
            edits.iter().find(|edit| edit.to_server() == to_server && edit.place() == *passed);
        match here {
            Some(edit) => edit.apply(*byte, &mut out),
            None => out.push(*byte),
        }
        *passed += 1;
    }
    if !out.is_empty() {
        to.send(&out);
    }
    !bytes.is_empty()
}

fn edits(rest: &[u8]) {
    let edits: Vec<_> = rest.chunks_exact(4).take(16).map(Edit).collect();
    let (server, client) = ends();
    let ((at_client, mut relay_client), (mut relay_server, at_server)) = (duplex(), duplex());
    let mut one = client.connect(Box::new(at_client), "fuzz.test").unwrap();
    let mut two = server.accept(Box::new(at_server));
    let (mut up, mut down) = (0, 0);
    let (mut first, mut second) = (None, None);
    for round in 0.. {
        assert!(round < 1000, "they talk for ever");
        if first.is_none() {
            first = run(&mut one, 10_000);
        }
        let _ = one.flush();
        let mut moved = carry(&mut relay_client, &mut relay_server, &mut up, &edits, true);
        if second.is_none() {
            second = run(&mut two, 10_000);
        }
        let _ = two.flush();
        moved |= carry(&mut relay_server, &mut relay_client, &mut down, &edits, false);
        if !moved {
            break;
        }
    }
    check(&mut one, first);
    check(&mut two, second);
    if edits.is_empty() {
        assert_eq!((first, second), (Some(true), Some(true)), "nothing was done to them");
    }
    if (first, second) == (Some(true), Some(true)) {
        let said = two.write(&[IoSlice::new(b"hello")]);
        assert_eq!(said.unwrap_or(5), 5);
        carry(&mut relay_server, &mut relay_client, &mut down, &edits, false);
        let got = read_all(&mut one);
        if edits.is_empty() {
            assert_eq!(got, b"hello");
        }
    }
    part(&mut one, first);
    part(&mut two, second);
}
