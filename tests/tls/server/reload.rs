//! Certificates that are replaced while the server runs, and those that expire.

use std::fs;
use std::time::Duration;

use tymist::net::tls::{Identity, ServerTls, ServerTlsConfig, TlsTime};
use tymist::tyme::Tyme;
use tymist::{Event, Wake};

use super::peer::Peer;
use super::rig::TlsRig;
use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, Authority, DAY, Issued};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn write(&self, issued: &Issued) {
        fs::write(self.0.path().join("cert.pem"), &issued.cert).unwrap();
        fs::write(self.0.path().join("key.pem"), &issued.key).unwrap();
    }

    fn identity(&self) -> Identity {
        Identity::new(&*self.0.path().join("cert.pem"), &*self.0.path().join("key.pem"))
    }
}

fn numbered(authority: &Authority, serial: u64) -> Issued {
    authority.issue(&pki::Ask { serial, ..pki::server() })
}

fn rig(files: &Files) -> TlsRig {
    TlsRig::with(
        |_| {},
        |authority, mut tls| {
            files.write(&numbered(authority, 1));
            tls.identities = vec![files.identity()];
            tls
        },
    )
}

/// The certificate that a fresh handshake shows.
#[track_caller]
fn shown(rig: &mut TlsRig) -> Vec<u8> {
    let (mut peer, id) = rig.live();
    peer.finish();
    rig.closed(&mut peer, id);
    rig.tick_now();
    peer.tls.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_bad_set_changes_nothing_and_an_event_says_why_then_a_good_one_counts() {
    let files = Files::new();
    let mut rig = rig(&files);
    let acceptor = rig.acceptor;
    let (mut old, old_id) = rig.live();
    let first = shown(&mut rig);
    let second = numbered(&rig.authority, 2);
    let expired = pki::Ask { not_after: EPOCH - 1, serial: 3, ..pki::server() };
    let expired = rig.authority.issue(&expired);
    let half = &second.cert[..second.cert.len() / 2];
    let cases: [(&str, &str, &str); 5] = [
        (
            half,
            &second.key,
            "cert.pem: expected one or more certificates, found a PEM section without its end",
        ),
        (&second.cert, &second.key[..second.key.len() / 2], "key.pem: expected one private key"),
        (&second.cert, &numbered(&rig.authority, 9).key, "key.pem: the key does not belong"),
        (&expired.cert, &expired.key, "expired"),
        ("", &second.key, "cert.pem: expected one or more certificates"),
    ];
    let failures = cases.len() as u64;
    for (cert, key, expected) in cases {
        fs::write(files.0.path().join("cert.pem"), cert).unwrap();
        fs::write(files.0.path().join("key.pem"), key).unwrap();
        assert!(!rig.server.reload_tls(acceptor));
        assert_eq!(rig.server.wake(), Wake::Now, "there is something to tell");
        let events = rig.tick_now();
        let [Event::TlsReloadFailed { acceptor: at, why }] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(*at, acceptor);
        assert!(why.contains(expected), "{why}");
        assert_eq!(shown(&mut rig), first, "the old one goes on");
    }
    files.write(&second);
    assert!(rig.server.reload_tls(acceptor));
    assert_eq!(rig.tick_now(), [Event::TlsReloaded { acceptor }]);
    assert_eq!(shown(&mut rig), second.cert_der);
    rig.echoes(&mut old, old_id, b"a connection of before goes on");
    let counted = rig.server.counters().tls;
    assert_eq!((counted.reloads, counted.reload_failures), (1, failures));
    assert!(rig.tick_now().is_empty(), "told once");
    let plain = rig.server.acceptors().next().unwrap().id();
    assert!(!rig.server.reload_tls(plain), "a plain one has none");
}

#[test]
fn a_reload_on_another_thread_is_told_here() {
    let files = Files::new();
    let mut rig = rig(&files);
    rig.tick_now();
    files.write(&numbered(&rig.authority, 2));
    let tls = rig.tls.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || tls.reload().unwrap());
    });
    assert_eq!(rig.server.wake(), Wake::Now);
    let acceptor = rig.acceptor;
    assert_eq!(rig.tick_now(), [Event::TlsReloaded { acceptor }]);
}

#[test]
fn acceptors_reload_each_for_itself() {
    let (one, two) = (Files::new(), Files::new());
    let mut rig = rig(&one);
    two.write(&numbered(&rig.authority, 21));
    let time = TlsTime::simulated(rig.tymist.tymth(), Duration::from_secs(EPOCH));
    let other = ServerTls::new(ServerTlsConfig::new(two.identity()).with_time(time)).unwrap();
    let second = rig.server.listen_tls(([127, 0, 0, 1], 0), &other).unwrap();
    let (first, first_addr) = (rig.acceptor, rig.addr);
    let second_addr = rig.server.local_addr(second).unwrap().inet().unwrap();
    let before = shown(&mut rig);
    two.write(&numbered(&rig.authority, 22));
    one.write(&numbered(&rig.authority, 2));
    assert!(rig.server.reload_tls(second));
    assert_eq!(rig.tick_now(), [Event::TlsReloaded { acceptor: second }]);
    assert_eq!(shown(&mut rig), before, "the first was not asked to");
    rig.addr = second_addr;
    let after = shown(&mut rig);
    assert_ne!(after, before);
    assert!(rig.server.reload_tls(first));
    rig.addr = first_addr;
    let last = shown(&mut rig);
    assert!(last != before && last != after);
    assert_eq!(rig.server.acceptor(second).unwrap().tls().unwrap().generation(), 1);
}

#[test]
fn a_reload_under_load_loses_no_connection() {
    let files = Files::new();
    let mut rig = rig(&files);
    let acceptor = rig.acceptor;
    let mut live: Vec<_> = (0..8).map(|_| rig.live()).collect();
    let mut coming: Vec<Peer> = Vec::new();
    for round in 0..30 {
        // Some are in the middle of their handshake at each reload.
        coming.push(rig.peer());
        for (peer, _) in &mut live {
            peer.say(&[round; 100]);
        }
        if round % 3 == 0 {
            files.write(&numbered(&rig.authority, 100 + u64::from(round)));
            assert!(rig.server.reload_tls(acceptor));
        }
        for _ in 0..3 {
            live.iter_mut().for_each(|(peer, _)| peer.pump());
            coming.iter_mut().for_each(Peer::pump);
            rig.tick();
            for (_, id) in &live {
                rig.echo(*id);
            }
        }
    }
    for (mut peer, id) in live {
        rig.drive(&mut peer, |rig, peer| {
            let remoter = rig.server.remoter_mut(id).unwrap();
            let mut data = remoter.take();
            remoter.tx_bytes(&mut data).unwrap();
            peer.got.len() == 3000
        });
        assert!((0..30_u8).zip(peer.got.chunks(100)).all(|(round, part)| part == [round; 100]));
    }
    for mut peer in coming {
        rig.shake(&mut peer);
    }
    let lost = |event: &Event| {
        matches!(event, Event::Closed(..) | Event::HandshakeFailed { .. } | Event::Refused { .. })
    };
    assert!(!rig.log.iter().any(lost), "{:?}", rig.log);
    assert_eq!(rig.server.counters().tls.reloads, 10);
}

#[test]
fn expiry_is_warned_of_in_time_daily_and_until_it_is_replaced() {
    let files = Files::new();
    let mut rig = rig(&files);
    let acceptor = rig.acceptor;
    assert!(rig.tick_now().is_empty(), "a year is long");
    // Fourteen days before the end, which is 365 days after the epoch.
    let warning = 351 * DAY * 1_000_000_000;
    // The clock of certificates is looked at once a day at least, since it may be set.
    let mut days = 0;
    while let Wake::At(next) = rig.server.wake() {
        if next.as_nanos() >= warning {
            break;
        }
        assert!(rig.tick_at(next).is_empty());
        days += 1;
        assert!(days < 400);
    }
    assert_eq!(rig.server.wake(), Wake::At(Tyme::from_nanos(warning)));
    assert!(rig.tick_at(Tyme::from_nanos(warning - 1)).is_empty());
    let at = i64::try_from(EPOCH + 365 * DAY).unwrap();
    let left = |days: u64| Duration::from_secs(days * DAY);
    let events = rig.tick_at(Tyme::from_nanos(warning));
    assert_eq!(events, [Event::TlsExpiring { acceptor, at, left: left(14) }]);
    assert!(rig.tick_now().is_empty(), "once");
    let events = rig.tick_after(left(1));
    assert_eq!(events, [Event::TlsExpiring { acceptor, at, left: left(13) }]);
    let events = rig.tick_after(left(13));
    assert_eq!(events, [Event::TlsExpiring { acceptor, at, left: left(0) }], "it has expired");
    assert_eq!(rig.server.counters().tls.expiry_warnings, 3);
    assert_eq!(rig.tls.expires_in(), Duration::ZERO);
    let fresh = pki::Ask {
        not_before: EPOCH + 360 * DAY,
        not_after: EPOCH + 900 * DAY,
        serial: 2,
        ..pki::server()
    };
    files.write(&rig.authority.issue(&fresh));
    assert!(rig.server.reload_tls(acceptor));
    assert_eq!(rig.tick_now(), [Event::TlsReloaded { acceptor }]);
    assert!(rig.tick_after(left(2)).is_empty(), "no more of it");
}
