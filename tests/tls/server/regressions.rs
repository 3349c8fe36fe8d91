//! What hio gets wrong: defects 3, 8, 14, 20, 31 and 34.

use std::fs;
use std::net::Shutdown;
use std::time::Duration;

use tymist::net::tls::{HandshakeFailure as Failure, Identity};
use tymist::tyme::Tyme;
use tymist::{CloseReason, Deadline, Event};

use super::peer::{self, BOTH, End, Peer};
use super::rig::TlsRig;
use crate::tls_support::pki;
use crate::util::{reset, send};

#[test]
fn b3_garbage_and_then_a_reset_is_the_trouble_of_one_connection() {
    let mut rig = TlsRig::new();
    let (mut live, id) = rig.live();
    for garbage in [&b"\x16\x03\x01\x00\x05garbage"[..], b"\x00\x01\x02", b"GET / HTTP/1.0\r\n\r\n"]
    {
        // The reset comes together with the garbage, or after the alert.
        for later in [false, true] {
            let mut raw = rig.silent();
            let addr = raw.local_addr().unwrap();
            send(&mut raw, garbage);
            if later {
                rig.until_server(|server| server.counters().bytes_out == 0 && server.cxes() == 1);
                rig.tick();
                rig.tick();
            }
            reset(raw);
            match rig.failed(addr) {
                CloseReason::Handshake(_) | CloseReason::Reset => {}
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!((rig.server.cxes(), rig.server.len()), (0, 1));
    rig.echoes(&mut live, id, b"as if nothing had been");
}

#[test]
fn b8_a_stalled_handshake_does_not_live_for_ever() {
    let mut rig = TlsRig::new();
    let hello = Peer::hello(&rig.client);
    let mut silent = rig.silent();
    let mut halfway = rig.silent();
    let mut answered = rig.silent();
    send(&mut halfway, &hello[..hello.len() / 2]);
    send(&mut answered, &hello);
    rig.tick();
    rig.tick();
    assert_eq!(rig.server.cxes(), 3);
    rig.tick_after(Duration::from_secs(2000));
    assert_eq!((rig.server.cxes(), rig.server.timers()), (0, 0));
    for raw in [&mut silent, &mut halfway, &mut answered] {
        assert_eq!(
            rig.failed(raw.local_addr().unwrap()),
            CloseReason::Expired(Deadline::Handshake)
        );
    }
}

#[test]
fn b14_tls_traffic_refreshes_the_idle_timeout_in_both_directions() {
    let idle = Duration::from_secs(10);
    let mut rig = TlsRig::with(|config| config.timeouts.idle = Some(idle), |_, tls| tls);
    let (mut peer, id) = rig.live();
    let step = Duration::from_secs(9);
    for round in 0..6 {
        rig.tick_after(step);
        assert_eq!(rig.server.len(), 1, "round {round}");
        if round % 2 == 0 {
            let had = rig.server.remoter(id).unwrap().rx().len();
            peer.say(b"in");
            rig.drive(&mut peer, |rig, _| rig.server.remoter(id).unwrap().rx().len() > had);
        } else {
            let had = peer.got.len();
            rig.server.tx(id, b"out").unwrap();
            rig.drive(&mut peer, |_, peer| peer.got.len() > had);
        }
    }
    let now = rig.server.tyme();
    rig.tick_at(Tyme::from_nanos(now.as_nanos() + 9_999_999_999));
    assert_eq!(rig.server.len(), 1);
    let events = rig.tick_at(Tyme::from_nanos(now.as_nanos() + 10_000_000_000));
    let reason = CloseReason::Expired(Deadline::Idle);
    assert_eq!(events, [Event::Expired(id, Deadline::Idle), Event::Closed(id, reason)]);
}

#[test]
fn b20_close_notify_is_sent_and_a_truncation_is_not_accepted() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    rig.server.remoter_mut(id).unwrap().close();
    rig.drive(&mut peer, |_, peer| peer.over);
    assert_eq!(peer.end, Some(End::Clean), "no unexpected end at the peer");
    drop(peer);
    let (mut peer, id) = rig.live();
    peer.say(b"part");
    peer.send();
    peer.socket.shutdown(Shutdown::Both).unwrap();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::TlsTruncated);
}

/// Hio reads certificate, key and roots from disk at each accept, and an accept while they are being replaced ends the loop.
#[test]
fn b31_files_are_read_once_and_may_be_gone_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let mut rig = TlsRig::with(
        |_| {},
        |authority, mut tls| {
            let issued = authority.issue(&pki::server());
            fs::write(&cert, issued.cert).unwrap();
            fs::write(&key, issued.key).unwrap();
            tls.identities = vec![Identity::new(&*cert, &*key)];
            tls
        },
    );
    dir.close().unwrap();
    for _ in 0..20 {
        let (mut peer, id) = rig.live();
        rig.echoes(&mut peer, id, b"no disk");
    }
    let acceptor = rig.acceptor;
    assert!(!rig.server.reload_tls(acceptor), "now it is missed");
    rig.live();
}

#[test]
fn b34_verification_is_strict_by_default_and_client_certificates_are_asked_for_only_on_request() {
    // A client without a certificate is let in, and one that has one is not asked.
    let mut rig = TlsRig::new();
    let shown = rig.authority.issue(&pki::client());
    let config = peer::config(&rig.authority, BOTH, Some(&shown)).into();
    let mut peer = Peer::connect(rig.addr, &config, "server.test");
    let id = rig.shake(&mut peer);
    assert!(rig.server.remoter(id).unwrap().tls().unwrap().peer_chain().is_empty());
    // Where they are, what is wrong with one is found without anything else being set.
    let mut rig = TlsRig::with(|_| {}, |authority, tls| tls.with_client_auth(authority.required()));
    let cases = [
        (
            pki::Ask { not_after: crate::tls_support::EPOCH - 1, ..pki::client() },
            Failure::CertExpired,
        ),
        (pki::Ask { purpose: pki::server().purpose, ..pki::client() }, Failure::CertWrongPurpose),
    ];
    for (ask, expected) in cases {
        let shown = rig.authority.issue(&ask);
        let config = peer::config(&rig.authority, BOTH, Some(&shown)).into();
        let mut peer = Peer::connect(rig.addr, &config, "server.test");
        assert_eq!(rig.refused(&mut peer), CloseReason::Handshake(expected));
    }
}

/// A dialled connection whose handshake fails tells the server why, keeps what was queued for the next try, and leaves no trace in the counts.
#[test]
fn b27_a_failed_handshake_of_a_client_is_an_event_and_it_may_be_made_again() {
    use std::sync::Arc;
    use tymist::net::Stream;
    use tymist::net::tls::{ClientTls, ClientTlsConfig, TlsTime};
    use tymist::{Backoff, Connect};

    let mut rig = TlsRig::new();
    let time =
        TlsTime::simulated(rig.tymist.tymth(), Duration::from_secs(crate::tls_support::EPOCH));
    let config = ClientTlsConfig::with_roots(rig.authority.root()).with_time(time);
    let tls = ClientTls::new(&config).unwrap();
    let names = Arc::new(std::sync::Mutex::new(vec!["server.test", "other.test"]));
    let mut connect = Connect::new(rig.addr);
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    connect.layer = Some(Arc::new(move |stream: Box<dyn Stream>| {
        let name = names.lock().unwrap().pop().unwrap();
        Box::new(tls.connect(stream, name).unwrap()) as Box<dyn Stream>
    }));
    let id = rig.server.connect(connect).unwrap();
    rig.server.tx(id, b"for whoever it is").unwrap();
    let event = rig.until(|event| matches!(event, Event::Disconnected { .. }));
    let Event::Disconnected { reason, retry_at, .. } = event else { unreachable!() };
    assert_eq!(reason, CloseReason::Handshake(Failure::CertWrongName));
    let told = rig.until(|event| matches!(event, Event::HandshakeFailed { .. }));
    let Event::HandshakeFailed { reason: CloseReason::Handshake(why), .. } = told else {
        panic!("{told:?}");
    };
    assert!(matches!(why, Failure::PeerAlert(_)), "the server was told: {why}");
    assert_eq!((rig.server.cxes(), rig.server.len(), rig.server.dialling()), (0, 0, 1));
    rig.tick_at(retry_at);
    rig.until(|event| *event == Event::Connected(id));
    let there = rig.server.ixes().into_iter().find(|other| *other != id);
    let there = there.unwrap_or_else(|| {
        let event = rig.until(|event| matches!(event, Event::Accepted(_)));
        event.id().unwrap()
    });
    rig.until_unread(there, 17);
    assert_eq!(rig.server.remoter(there).unwrap().rx(), b"for whoever it is");
    assert_eq!((rig.server.cxes(), rig.server.len(), rig.server.dialling()), (0, 2, 0));
    rig.server.close();
    assert_eq!((rig.server.cxes(), rig.server.len(), rig.server.buffered()), (0, 0, 17));
}

/// A write that meets a reset is told of it, and the system then says "end" to the read for last words, which under TLS is a stream cut short.
#[test]
fn regression_a_reset_that_a_write_meets_is_a_reset_under_tls_too() {
    let mut rig = TlsRig::new();
    let (peer, id) = rig.live();
    reset(peer.socket);
    rig.server.tx(id, b"to nobody").unwrap();
    let event = rig.until(|event| matches!(event, Event::Closed(..)));
    assert_eq!(event, Event::Closed(id, CloseReason::Reset));
}
