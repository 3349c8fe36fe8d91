//! Peers that are broken or mean no good, byte by byte, through the whole server. What they send is in these tests; what a real client can be made to do
//! is in `openssl`.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tymist::net::tls::rustls::{self, AlertDescription, Error};
use tymist::net::tls::{HandshakeFailure as Failure, TlsFailure, TlsVersion};
use tymist::{CloseReason, Event};

use super::peer::{self, BOTH, End, Peer};
use super::rig::{TlsRig, handshake};
use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, self_signed};
use crate::util::{connect, end, send};

fn alert(code: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, code]
}

#[test]
fn what_is_no_tls_is_named_and_told_so() {
    let mut rig = TlsRig::new();
    let long = vec![b'A'; 300_000];
    let cases: [(&[u8], Failure, u8); 9] = [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", Failure::PlainHttp, 50),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Failure::PlainHttp, 50),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Failure::NotTls, 50),
        (&long, Failure::NotTls, 50),
        (&[0x80, 0x2e, 1, 3, 1, 0, 0x15], Failure::NotTls, 50), // SSL 2
        (&[22, 3, 1, 0, 0], Failure::Decode, 50),               // an empty record
        (&[22, 3, 1, 0xff, 0xff, 1], Failure::Decode, 22),      // a record too long
        (&[22, 3, 1, 0, 4, 2, 0, 0, 0], Failure::Misbehaved, 10), // a ServerHello
        (&[21, 3, 1, 0, 2, 2, 40], Failure::Misbehaved, 10),    // an alert
    ];
    for (bytes, expected, code) in cases {
        let (why, answer) = rig.answer(bytes);
        assert_eq!(
            (why, &answer[..]),
            (expected, &alert(code)[..]),
            "{:?}",
            &bytes[..9.min(bytes.len())]
        );
    }
    assert_eq!((rig.server.cxes(), rig.server.len(), rig.server.timers()), (0, 0, 0));
    assert_eq!(rig.server.counters().closed.handshake, 9);
    rig.live();
}

#[test]
fn a_hello_that_is_too_long_is_refused_and_one_in_fragments_is_not() {
    let mut rig = TlsRig::new();
    let mut huge = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xfc];
    huge.resize(16_389, 0);
    assert_eq!(rig.answer(&huge), (Failure::HelloTooLarge, alert(47).to_vec()));
    // A record for each byte of it, and a segment for each byte of those.
    let addr = rig.addr;
    let mut peer = rig.peer();
    let mut hello = Vec::new();
    peer.tls.write_tls(&mut hello).unwrap();
    for byte in &hello[5..] {
        for part in [22, 3, 1, 0, 1, *byte] {
            peer.socket.write_all(&[part]).unwrap();
        }
        rig.tick_now();
    }
    let id = rig.shake(&mut peer);
    rig.echoes(&mut peer, id, b"patience");
    // Fragments beyond the limit.
    let mut raw = connect(addr);
    raw.set_nonblocking(true).unwrap();
    let local = raw.local_addr().unwrap();
    for _ in 0..4000 {
        let _ = raw.write(&[22, 3, 1, 0, 1, 1]);
        rig.tick_now();
    }
    let _ = raw.shutdown(std::net::Shutdown::Both);
    assert!(matches!(handshake(rig.failed(local)), Failure::HelloTooLarge | Failure::Decode));
}

/// Everything that the client sends in a handshake, cut off after each byte of it.
#[test]
fn a_close_at_every_byte_of_the_handshake_ends_that_connection_only() {
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let mut rig = TlsRig::with(|_| {}, |_, tls| tls.with_versions([version]));
        let (mut live, live_id) = rig.live();
        let hello = Peer::hello(&rig.client);
        let mut failures = 0;
        for cut in 0..hello.len() {
            let mut raw = connect(rig.addr);
            let addr = raw.local_addr().unwrap();
            send(&mut raw, &hello[..cut]);
            end(&raw);
            assert_eq!(
                rig.failed(addr),
                CloseReason::Handshake(Failure::Eof),
                "{version} at {cut}"
            );
            failures += 1;
            rig.log.clear();
        }
        assert!(failures > 200, "{failures}");
        // And in the last flight, which depends on what the server has said.
        let mut cut = 0;
        loop {
            let mut peer = rig.peer();
            let addr = peer.local_addr();
            peer.limit = hello.len() + cut;
            rig.drive(&mut peer, |_, peer| {
                assert!(peer.sent <= peer.limit);
                peer.sent == peer.limit && (cut > 0 || peer.tls.wants_write())
            });
            end(&peer.socket);
            let done = rig
                .until(|event| matches!(event, Event::HandshakeFailed { .. } | Event::Accepted(_)));
            if let Event::Accepted(id) = done {
                assert_eq!(rig.closed(&mut peer, id), CloseReason::TlsTruncated);
                break;
            }
            assert_eq!(
                rig.failed(addr),
                CloseReason::Handshake(Failure::Eof),
                "{version} at {cut}"
            );
            rig.log.clear();
            cut += 1;
        }
        assert!(cut > 40, "{version}: the last flight has {cut} bytes");
        assert_eq!((rig.server.cxes(), rig.server.len()), (0, 1));
        rig.echoes(&mut live, live_id, b"what was that?");
    }
}

#[test]
fn nothing_in_common_is_named_and_told() {
    let aes128 = rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
    let mut rig = TlsRig::with(
        |_| {},
        |_, tls| {
            let mut tls = tls.with_alpn(["one"]).with_versions([TlsVersion::Tls13]);
            tls.common.suites = Some(vec![aes128]);
            tls
        },
    );
    let base = || peer::config(&rig.authority, BOTH, None);
    let mut alpn = base();
    alpn.alpn_protocols = vec![b"two".to_vec()];
    let old = peer::config(&rig.authority, &[&rustls::version::TLS12], None);
    let mut provider = (*tymist::net::tls::ring_provider()).clone();
    provider.cipher_suites.retain(|suite| suite.suite() != aes128);
    let suites = peer::with_provider(&rig.authority, provider.into());
    let mut unheard = vec![
        (alpn, Failure::NoCommonAlpn, AlertDescription::NoApplicationProtocol),
        (old, Failure::NoCommonVersion, AlertDescription::ProtocolVersion),
        (suites, Failure::NoCommonSuite, AlertDescription::HandshakeFailure),
    ];
    for (config, expected, told) in unheard.drain(..) {
        let mut peer = Peer::connect(rig.addr, &Arc::new(config), "server.test");
        assert_eq!(rig.refused(&mut peer), CloseReason::Handshake(expected));
        assert_eq!(peer.end, Some(End::Tls(Error::AlertReceived(told))));
    }
}

#[test]
fn an_unknown_name_is_named_and_told() {
    let mut rig = TlsRig::with(
        |_| {},
        |authority, mut tls| {
            let named = |name: &str| {
                let ask = pki::Ask { names: vec![name.into()], ..pki::server() };
                authority.issue(&ask).identity().for_names([name])
            };
            tls.identities = vec![named("server.test"), named("second.test")];
            tls
        },
    );
    for (name, known) in [("server.test", true), ("second.test", true), ("third.test", false)] {
        let mut peer = Peer::connect(rig.addr, &rig.client, name);
        if known {
            rig.shake(&mut peer);
            continue;
        }
        assert_eq!(rig.refused(&mut peer), CloseReason::Handshake(Failure::UnknownName));
        let told = Error::AlertReceived(AlertDescription::UnrecognisedName);
        assert_eq!(peer.end, Some(End::Tls(told)));
    }
}

#[test]
fn bad_client_certificates_are_named_and_told() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut rig = TlsRig::with(
            |_| {},
            |authority, tls| {
                let trust = authority.trust().with_lists(authority.revoke(&[66]));
                tls.with_client_auth(tymist::net::tls::ClientAuth::Required(trust))
            },
        );
        let authority = &rig.authority;
        let other = pki::Authority::new("another authority");
        let cases = [
            (
                Some(authority.issue(&pki::Ask { not_after: EPOCH - 1, ..pki::client() })),
                Failure::CertExpired,
            ),
            (
                Some(authority.issue(&pki::Ask { not_before: EPOCH + 1, ..pki::client() })),
                Failure::CertNotYetValid,
            ),
            (
                Some(authority.issue(&pki::Ask { serial: 66, ..pki::client() })),
                Failure::CertRevoked,
            ),
            (
                Some(
                    authority.issue(&pki::Ask { purpose: pki::server().purpose, ..pki::client() }),
                ),
                Failure::CertWrongPurpose,
            ),
            (Some(self_signed(&pki::client())), Failure::CertUnknownIssuer),
            (Some(other.issue(&pki::client())), Failure::CertUnknownIssuer),
            (None, Failure::CertRequired),
        ];
        for (issued, expected) in cases {
            let config = peer::config(&rig.authority, &[version], issued.as_ref());
            let mut peer = Peer::connect(rig.addr, &Arc::new(config), "server.test");
            assert_eq!(rig.refused(&mut peer), CloseReason::Handshake(expected));
            assert!(
                matches!(peer.end, Some(End::Tls(Error::AlertReceived(_)))),
                "{expected}: {:?}",
                peer.end
            );
        }
        let good = rig.authority.issue(&pki::client());
        let config = peer::config(&rig.authority, &[version], Some(&good));
        let mut peer = Peer::connect(rig.addr, &Arc::new(config), "server.test");
        let id = rig.shake(&mut peer);
        let who = rig.server.remoter(id).unwrap().tls().unwrap().peer_identity().unwrap();
        assert_eq!(who.dns_names, ["client.test"]);
    }
}

/// Ends the stream after each byte of three records: whole records are delivered, what is torn is not, and never is it a clean end.
#[test]
fn a_truncation_at_any_place_of_the_records_is_a_truncation() {
    let mut rig = TlsRig::new();
    let mut cut = 0;
    loop {
        let (mut peer, id) = rig.live();
        let mut bytes = Vec::new();
        for part in [&b"first"[..], b"second", b"third"] {
            peer.say(part);
            peer.tls.write_tls(&mut bytes).unwrap();
        }
        if cut > bytes.len() {
            break;
        }
        peer.socket.write_all(&bytes[..cut]).unwrap();
        end(&peer.socket);
        assert_eq!(rig.closed(&mut peer, id), CloseReason::TlsTruncated, "at {cut}");
        let whole = ["", "first", "firstsecond", "firstsecondthird"];
        let rx = rig.server.remoter(id).unwrap().rx();
        assert!(whole.iter().any(|text| text.as_bytes() == rx), "{rx:?}");
        assert_eq!(rx.len() == 16, cut == bytes.len());
        rig.log.clear();
        cut += 1;
    }
    assert!(cut > 60, "{cut}");
    assert_eq!(rig.server.counters().closed.eof, 0);
}

#[test]
fn a_second_hello_and_plain_text_to_a_live_connection_break_it() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut rig = TlsRig::new();
        let client = Arc::new(peer::config(&rig.authority, &[version], None));
        for bytes in [Peer::hello(&client), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
            let mut peer = Peer::connect(rig.addr, &client, "server.test");
            let id = rig.shake(&mut peer);
            peer.socket.write_all(&bytes).unwrap();
            rig.drive(&mut peer, |_, peer| matches!(peer.end, Some(End::Tls(_))));
            drop(peer.socket.shutdown(std::net::Shutdown::Both));
            let why = rig.closed(&mut peer, id);
            assert!(
                matches!(why, CloseReason::Tls(TlsFailure::BadRecord | TlsFailure::Misbehaved)),
                "{why}"
            );
        }
    }
}

/// The hello and everything else from several at once, in pieces that interleave: no connection sees what another said.
#[test]
fn many_at_once_in_pieces_do_not_mix() {
    let mut rig = TlsRig::new();
    let mut peers: Vec<_> = (0..12).map(|_| rig.peer()).collect();
    for (at, peer) in peers.iter_mut().enumerate() {
        peer.chunk = 17 + at;
        peer.say(format!("I am {at}").as_bytes());
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..4000 {
        peers.iter_mut().for_each(Peer::pump);
        rig.tick();
        for id in rig.server.ixes() {
            let peer = rig.server.remoter(id).unwrap().peer_addr().inet().unwrap();
            if rig.server.remoter(id).unwrap().rx().len() >= 6 {
                told.lock().unwrap().push(peer);
                rig.echo(id);
            }
        }
        if peers.iter().all(|peer| peer.got.len() >= 6) {
            break;
        }
    }
    for (at, peer) in peers.iter().enumerate() {
        assert_eq!(peer.got, format!("I am {at}").as_bytes());
    }
    assert!(told.lock().unwrap().len() >= 12);
}

/// The budgets of bytes count what it takes to open records, too: with a byte in each a tick opened as many as it may read bytes.
#[test]
fn regression_records_of_a_byte_make_no_tick_long() {
    const RECORDS: usize = 10_000;
    for (remoter_tick_bytes, most) in [(128 * 1024, 128 * 1024 / 22), (4096, 4096 / 22)] {
        let mut rig = TlsRig::with(
            |config| config.limits.remoter_tick_bytes = remoter_tick_bytes,
            |_, tls| tls,
        );
        let (mut peer, id) = rig.live();
        let said: Vec<u8> = (0..=250).cycle().take(RECORDS).collect();
        for bytes in said.chunks(1000) {
            bytes.iter().for_each(|byte| peer.say(&[*byte]));
            peer.send();
        }
        let mut heard = Vec::new();
        let mut ticks = 0;
        while heard.len() < RECORDS && ticks < RECORDS {
            let before = rig.server.counters().bytes_in;
            rig.tick();
            peer.pump();
            let came = rig.server.counters().bytes_in - before;
            assert!(came <= most as u64, "{came} records in one tick");
            ticks += 1;
            heard.extend_from_slice(&rig.server.remoter_mut(id).unwrap().take());
        }
        assert_eq!(heard, said);
        assert!(ticks >= RECORDS / most && rig.server.counters().budget.remoter_bytes > 0);
    }
}
