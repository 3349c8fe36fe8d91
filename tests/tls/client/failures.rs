//! What a server may do to a client, and time.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use tymist::net::tls::rustls::crypto::{GetRandomFailed, SecureRandom};
use tymist::net::tls::{
    Choice, Chooser, ClientTls, ClientTlsConfig, HandshakeFailure as Failure, ServerTrust,
    TlsFailure, ring_provider,
};
use tymist::tyme::Tyme;
use tymist::{Backoff, CloseReason, Connect, Deadline, Event};

use super::rig::{Rig, caller, odd};
use crate::tls_support::pki::{self, Authority, self_signed};

const NANO: Duration = Duration::from_nanos(1);

/// That nothing is left of anything at the clients.
#[track_caller]
fn nothing_left(rig: &mut Rig) {
    rig.tick();
    let clients = &rig.clients;
    let left = (clients.len(), clients.dialling(), clients.timers(), clients.buffered());
    assert_eq!(left, (0, 0, 0, 0));
}

#[test]
fn a_server_that_is_somebody_else_is_left_at_once_and_told_why() {
    let mut rig = Rig::new();
    let id = rig.clients.connect(rig.way("other.test")).unwrap();
    rig.clients.tx(id, b"a secret").unwrap();
    assert_eq!(rig.closed(id), CloseReason::Handshake(Failure::CertWrongName));
    assert!(!rig.told(|event| matches!(event, Event::Connected(_) | Event::ConnectFailed { .. })));
    // bad_certificate, RFC 8446 section 6.2.
    assert_eq!(rig.failed_there(), CloseReason::Handshake(Failure::PeerAlert(42)));
    assert_eq!(rig.server.counters().bytes_in, 0, "the secret was not told");
    nothing_left(&mut rig);
}

#[test]
fn roots_that_do_not_know_it_its_own_signature_and_its_age_are_reasons() {
    let mut rig = Rig::new();
    let stranger = Authority::new("another authority");
    let config = ClientTlsConfig::with_roots(stranger.root()).with_time(rig.time.clone());
    let tls = ClientTls::new(&config).unwrap();
    let connect = Connect::new(rig.addr).with_tls(&tls, "server.test").unwrap();
    let id = rig.clients.connect(connect).unwrap();
    assert_eq!(rig.closed(id), CloseReason::Handshake(Failure::CertUnknownIssuer));

    let alone = self_signed(&pki::server()).identity();
    let mut rig = Rig::with(
        |_| {},
        move |_, mut tls| {
            tls.identities = vec![alone];
            tls
        },
    );
    let id = rig.clients.connect(rig.way("server.test")).unwrap();
    assert_eq!(rig.closed(id), CloseReason::Handshake(Failure::CertUnknownIssuer));

    let mut rig = Rig::new();
    rig.tymist.set(Tyme::from_secs(366 * pki::DAY)).unwrap();
    let id = rig.clients.connect(rig.way("server.test")).unwrap();
    assert_eq!(rig.closed(id), CloseReason::Handshake(Failure::CertExpired));
    nothing_left(&mut rig);
}

#[test]
fn each_failed_try_is_told_what_was_queued_stays_and_the_waits_grow() {
    let mut rig = Rig::new();
    let mut connect = rig.way("other.test");
    let backoff = connect.reconnect.insert(Backoff::new());
    backoff.jitter = false;
    let id = rig.clients.connect(connect).unwrap();
    rig.clients.tx(id, b"kept").unwrap();
    let mut waits = Vec::new();
    for round in 0..4 {
        let retry_at = rig.until(|rig| {
            let mut told = rig.near.iter().filter_map(|event| match event {
                Event::Disconnected { reason, retry_at, .. } => Some((*reason, *retry_at)),
                _ => None,
            });
            let (reason, retry_at) = told.nth(round)?;
            assert_eq!(reason, CloseReason::Handshake(Failure::CertWrongName));
            Some(retry_at)
        });
        waits.push(retry_at - rig.clients.tyme());
        assert_eq!(rig.clients.remoter(id).unwrap().tx_len(), 4);
        rig.tymist.set(retry_at).unwrap();
    }
    assert!(waits.is_sorted_by(|one, next| one < next), "{waits:?}");
}

#[test]
fn a_server_that_goes_in_the_middle_is_an_end_that_came_too_early() {
    let mut rig = Rig::new();
    let (listener, connect) = odd(&rig);
    let id = rig.clients.connect(connect.clone()).unwrap();
    let mut stream = caller(&mut rig, &listener);
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap_err();
    drop(stream);
    assert_eq!(rig.closed(id), CloseReason::Handshake(Failure::Eof));
    // With its first words unread it is a reset.
    let id = rig.clients.connect(connect).unwrap();
    drop(caller(&mut rig, &listener));
    assert_eq!(rig.closed(id), CloseReason::Reset);
    nothing_left(&mut rig);
}

#[test]
fn a_server_that_speaks_something_else_is_no_tls_server() {
    let mut rig = Rig::new();
    for greeting in [&b"220 mail.test ESMTP\r\n"[..], b"SSH-2.0-x\r\n", &[0; 5], &[0x16; 4096]] {
        let (listener, connect) = odd(&rig);
        let id = rig.clients.connect(connect).unwrap();
        let mut stream = caller(&mut rig, &listener);
        stream.write_all(greeting).unwrap();
        let reason = rig.closed(id);
        let expected =
            matches!(reason, CloseReason::Handshake(Failure::Decode | Failure::Misbehaved));
        assert!(expected, "{reason} for {}", greeting.escape_ascii());
    }
    nothing_left(&mut rig);
}

#[test]
fn a_server_that_refuses_says_so_by_its_alert() {
    let mut rig = Rig::with(|_| {}, |_, tls| tls.with_chooser(Chooser::new(|_| Choice::Refuse)));
    let tls = ClientTls::new(&ClientTlsConfig::new(ServerTrust::DangerousAnyone)).unwrap();
    let connect = Connect::new(rig.addr).with_tls(&tls, "unknown.test").unwrap();
    let id = rig.clients.connect(connect).unwrap();
    // access_denied, RFC 8446 section 6.2.
    assert_eq!(rig.closed(id), CloseReason::Handshake(Failure::PeerAlert(49)));
    assert_eq!(rig.failed_there(), CloseReason::Handshake(Failure::Refused));
}

#[test]
fn a_client_that_must_prove_who_it_is_and_does_not_learns_it() {
    let mut rig = Rig::with(|_| {}, |authority, tls| tls.with_client_auth(authority.required()));
    let id = rig.clients.connect(rig.way("server.test")).unwrap();
    // In TLS 1.3 the client is done before the server is: certificate_required (116) comes behind.
    let reason = rig.closed(id);
    assert_eq!(reason, CloseReason::Tls(TlsFailure::PeerAlert(116)));
    assert_eq!(rig.failed_there(), CloseReason::Handshake(Failure::CertRequired));
}

#[test]
fn a_handshake_that_stalls_ends_at_its_nanosecond_and_is_tried_again() {
    let mut rig =
        Rig::with(|config| config.timeouts.handshake = Some(Duration::from_secs(5)), |_, tls| tls);
    let (listener, connect) = odd(&rig);
    let once = rig.clients.connect(connect.clone()).unwrap();
    let mut again = connect;
    again.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let again = rig.clients.connect(again).unwrap();
    let held = [caller(&mut rig, &listener), caller(&mut rig, &listener)];
    rig.until(|rig| {
        let up = |id| rig.clients.remoter(id).unwrap().is_up();
        (up(once) && up(again)).then_some(())
    });
    rig.tymist.tick_by(Duration::from_secs(5) - NANO);
    rig.tick();
    assert_eq!(rig.near, []);
    rig.tymist.tick_by(NANO);
    rig.tick();
    let expired = CloseReason::Expired(Deadline::Handshake);
    assert!(rig.near.contains(&Event::Expired(once, Deadline::Handshake)));
    assert!(rig.near.contains(&Event::Closed(once, expired)));
    let retry_at = Tyme::from_secs(6);
    assert!(rig.near.contains(&Event::Disconnected { id: again, reason: expired, retry_at }));
    drop(held);
    rig.tymist.set(retry_at).unwrap();
    caller(&mut rig, &listener);
    assert_eq!(rig.clients.counters().closed.expired.handshake, 2);
}

#[test]
fn a_stream_cut_short_is_never_a_clean_end() {
    let mut rig = Rig::new();
    let (id, there) = rig.live(rig.way("server.test"));
    rig.server.tx(there, b"half of i").unwrap();
    rig.until_unread(id, b"half of i");
    // Dropped without a farewell.
    drop(rig.server.detach(there).unwrap());
    assert_eq!(rig.closed(id), CloseReason::TlsTruncated);
    assert!(!rig.told(|event| matches!(event, Event::Eof(_))));
    let mut connect = rig.way("server.test");
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let (_, there) = rig.live(connect);
    drop(rig.server.detach(there).unwrap());
    rig.until(|rig| {
        let cut = |event: &Event| {
            matches!(event, Event::Disconnected { reason: CloseReason::TlsTruncated, .. })
        };
        rig.told(cut).then_some(())
    });
}

#[test]
fn a_reset_of_a_live_one_is_a_reset() {
    let mut rig = Rig::new();
    let (id, there) = rig.live(rig.way("server.test"));
    rig.server.remoter_mut(there).unwrap().abort();
    assert_eq!(rig.closed(id), CloseReason::Reset);
}

#[test]
fn a_port_where_nobody_listens_is_no_matter_of_tls() {
    let mut rig = Rig::new();
    let (listener, connect) = odd(&rig);
    drop(listener);
    let id = rig.clients.connect(connect).unwrap();
    let reason = rig.closed(id);
    let CloseReason::Connect(why) = reason else { panic!("{reason}") };
    assert_eq!(why.kind(), ErrorKind::ConnectionRefused);
}

#[derive(Debug)]
struct NoRandom;

impl SecureRandom for NoRandom {
    fn fill(&self, _: &mut [u8]) -> Result<(), GetRandomFailed> {
        Err(GetRandomFailed)
    }
}

#[test]
fn without_randomness_there_is_no_first_message_and_the_handshake_fails() {
    let mut rig = Rig::new();
    let mut provider = (*ring_provider()).clone();
    provider.secure_random = &NoRandom;
    let tls = ClientTls::new(&rig.config().with_provider(Arc::new(provider))).unwrap();
    let connect = Connect::new(rig.addr).with_tls(&tls, "server.test").unwrap();
    let id = rig.clients.connect(connect).unwrap();
    assert_eq!(rig.closed(id), CloseReason::Handshake(Failure::Other));
    nothing_left(&mut rig);
}

/// One that comes again, that a forged record has broken off, and that waits for the end of a server that does nothing.
#[cfg(unix)]
fn broken_off() -> (Rig, tymist::Id) {
    let mut rig = Rig::new();
    let mut way = rig.way("server.test");
    way.reconnect = Some(Backoff::new());
    let (id, there) = rig.live(way);
    let socket = rig.server.remoter(there).unwrap().stream().as_fd().unwrap();
    let mut raw = std::net::TcpStream::from(socket.try_clone_to_owned().unwrap());
    raw.write_all(&[&[0x17, 3, 3, 0, 40][..], &[9; 40]].concat()).unwrap();
    while !rig.clients.remoter(id).unwrap().is_closing() {
        rig.clients.wait(None);
        rig.tick_clients();
    }
    (rig, id)
}

/// What the engine had begun to end before its user did: it came again all the same.
#[cfg(unix)]
#[test]
fn regression_one_that_was_closed_after_it_was_broken_off_does_not_come_again() {
    let ends: [fn(&mut Rig, tymist::Id); 4] = [
        |rig, id| rig.clients.remoter_mut(id).unwrap().close(),
        |rig, id| rig.clients.remoter_mut(id).unwrap().abort(),
        |rig, id| rig.clients.remoter_mut(id).unwrap().abort_once_sent(),
        |rig, _| rig.clients.close(),
    ];
    for end in ends {
        let (mut rig, id) = broken_off();
        end(&mut rig, id);
        // Why it ended first.
        assert_eq!(rig.closed(id), CloseReason::Tls(TlsFailure::BadRecord));
        assert!(!rig.told(|event| matches!(event, Event::Disconnected { .. })));
        nothing_left(&mut rig);
    }
}
