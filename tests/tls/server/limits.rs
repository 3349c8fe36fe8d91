//! Caps and deadlines of handshakes, each at its edge.

use std::time::Duration;

use tymist::net::Addr;
use tymist::net::tls::HandshakeFailure as Failure;
use tymist::tyme::{Tyme, Tymist};
use tymist::{CloseReason, Deadline, Event, Refusal, Wake};

use super::peer::Peer;
use super::rig::TlsRig;
use crate::util::{self, send};

const HANDSHAKE: u64 = 10_000_000_000;

#[test]
fn the_handshake_deadline_is_exact_to_the_nanosecond() {
    for after in [0, 1, 1_000_000] {
        let mut rig = TlsRig::new();
        let raw = rig.silent();
        assert_eq!(rig.server.wake(), Wake::At(Tyme::from_nanos(HANDSHAKE)));
        assert!(rig.tick_at(Tyme::from_nanos(HANDSHAKE - 1)).is_empty());
        assert_eq!(rig.server.cxes(), 1);
        let events = rig.tick_at(Tyme::from_nanos(HANDSHAKE + after));
        let expected = CloseReason::Expired(Deadline::Handshake);
        assert!(
            matches!(&events[..], [Event::HandshakeFailed { reason, .. }] if *reason == expected),
            "{events:?}"
        );
        assert_eq!((rig.server.cxes(), rig.server.timers()), (0, 0));
        assert_eq!(rig.server.counters().closed.expired.handshake, 1);
        drop(raw);
    }
}

/// What arrives in the tick of the deadline counts first: the last message completes the handshake.
#[test]
fn a_handshake_completed_in_the_tick_of_its_deadline_is_in_time() {
    let mut rig = TlsRig::new();
    let mut peer = rig.peer();
    // Up to the client's last flight.
    rig.drive(&mut peer, |_, peer| {
        peer.hear();
        peer.is_live()
    });
    assert_eq!((rig.server.len(), rig.server.cxes()), (0, 1));
    peer.send();
    rig.server.wait(Some(Duration::from_secs(5)));
    let events = rig.tick_at(Tyme::from_nanos(HANDSHAKE));
    assert!(matches!(events[..], [Event::Accepted(_)]), "{events:?}");
    // Usable from then on, and under the other timeouts.
    let events = rig.tick_at(Tyme::from_nanos(3 * HANDSHAKE));
    assert!(events.is_empty());
}

#[test]
fn a_peer_that_trickles_is_cut_off_unless_steps_refresh() {
    let hello = |rig: &TlsRig| Peer::hello(&rig.client);
    let trickle = |rig: &mut TlsRig, raw: &mut std::net::TcpStream, hello: &[u8]| {
        for byte in &hello[..25] {
            send(raw, &[*byte]);
            rig.server.wait(Some(Duration::from_secs(5)));
            rig.tick_after(Duration::from_secs(1));
        }
    };
    let mut rig = TlsRig::new();
    let mut raw = rig.silent();
    let bytes = hello(&rig)[..10].to_vec();
    for byte in bytes {
        send(&mut raw, &[byte]);
        rig.server.wait(Some(Duration::from_secs(5)));
        rig.tick_after(Duration::from_secs(1));
    }
    let expected = CloseReason::Expired(Deadline::Handshake);
    assert_eq!(rig.failed(raw.local_addr().unwrap()), expected, "ten seconds in all");

    let mut rig = TlsRig::with(|config| config.refresh_handshake = true, |_, tls| tls);
    let mut raw = rig.silent();
    let bytes = hello(&rig);
    trickle(&mut rig, &mut raw, &bytes);
    assert_eq!(rig.server.cxes(), 1, "ten seconds from each step");
    rig.tick_after(Duration::from_nanos(HANDSHAKE - 1));
    assert_eq!(rig.server.cxes(), 1);
    rig.tick_after(Duration::from_nanos(1));
    assert_eq!(rig.failed(raw.local_addr().unwrap()), expected);
}

#[test]
fn winding_rebases_handshakes_too() {
    let mut rig = TlsRig::new();
    let raw = rig.silent();
    rig.tick_at(Tyme::from_nanos(HANDSHAKE - 1));
    let mut other = Tymist::starting_at(Tyme::from_nanos(77));
    rig.server.wind(other.tymth());
    rig.tick_now();
    other.set(Tyme::from_nanos(77 + HANDSHAKE - 1)).unwrap();
    rig.tick_now();
    assert_eq!(rig.server.cxes(), 1, "it has its whole time again");
    other.set(Tyme::from_nanos(77 + HANDSHAKE)).unwrap();
    rig.tick_now();
    assert_eq!(rig.server.cxes(), 0);
    drop(raw);
}

#[test]
fn beyond_the_cap_of_handshakes_connections_wait_and_live_ones_do_not_count() {
    let mut rig = TlsRig::with(|config| config.limits.handshakes = 2, |_, tls| tls);
    let (mut live, id) = rig.live();
    let silent = [rig.silent(), rig.silent()];
    let mut third = rig.peer();
    rig.until_server(|server| server.axes() == 1);
    rig.drive(&mut third, |rig, _| rig.server.axes() == 1);
    for _ in 0..5 {
        third.pump();
        rig.tick();
    }
    assert_eq!((rig.server.cxes(), rig.server.axes()), (2, 1));
    rig.echoes(&mut live, id, b"nobody keeps me waiting");
    // A place becomes free.
    drop(silent);
    rig.shake(&mut third);
    assert_eq!(rig.server.counters().refused.total(), 0);
}

#[test]
fn one_address_gets_no_more_than_its_share_of_handshakes() {
    let mut rig = TlsRig::with(|config| config.limits.handshakes_per_ip = 3, |_, tls| tls);
    let (mut live, id) = rig.live();
    let mut silent = vec![rig.silent(), rig.silent(), rig.silent()];
    let over = util::connect(rig.addr);
    let peer: Addr = over.local_addr().unwrap().into();
    let told = rig.until(|event| matches!(event, Event::Refused { .. }));
    let (acceptor, why) = (rig.acceptor, Refusal::HandshakesPerIp);
    assert_eq!(told, Event::Refused { acceptor, peer, why });
    assert_eq!(rig.server.counters().refused.handshakes_per_ip, 1);
    // Another address, and connections without a handshake, are not kept out; nor is who is live already.
    let other = util::connect_from(([127, 0, 0, 2], 0).into(), rig.addr);
    rig.until_server(|server| server.cxes() == 4);
    let secure = rig.addr;
    rig.addr = rig.plain;
    let (_plain, _) = rig.client();
    rig.addr = secure;
    rig.echoes(&mut live, id, b"hello");
    // The share comes back with each end: by leaving, by failing, and by success.
    drop(silent.pop());
    rig.until_server(|server| server.cxes() == 3);
    let mut more = rig.peer();
    rig.shake(&mut more);
    let mut more = rig.peer();
    rig.shake(&mut more);
    drop((silent, other));
    rig.until_server(|server| server.cxes() == 0);
    for _ in 0..4 {
        let mut more = rig.peer();
        rig.shake(&mut more);
    }
    assert_eq!(rig.server.counters().refused.total(), 1);
}

#[test]
fn handshakes_go_on_in_turn_within_the_budget_of_a_tick() {
    let mut rig = TlsRig::with(|config| config.limits.handshakes_per_tick = 1, |_, tls| tls);
    let mut peers: Vec<_> = (0..8).map(|_| rig.peer()).collect();
    let mut rounds = 0;
    while rig.server.len() < 8 {
        peers.iter_mut().for_each(Peer::pump);
        let before = rig.server.len();
        rig.tick();
        assert!(rig.server.len() <= before + 1, "a step a tick");
        rounds += 1;
        assert!(rounds < 4000, "some starve: {} live", rig.server.len());
    }
    assert!(rig.server.counters().budget.handshakes > 0);
}

#[test]
fn bytes_before_the_end_of_the_handshake_are_capped() {
    let mut rig = TlsRig::with(
        |_| {},
        |authority, mut tls| {
            tls.hello_max = 600;
            tls.handshake_max = 1000;
            tls.with_client_auth(authority.required())
        },
    );
    // A ClientHello that says it is longer than the limit is refused by its first bytes.
    let (why, answer) = rig.answer(&[22, 3, 1, 2, 0x60, 1, 0, 2, 0x5c]);
    assert_eq!(why, Failure::HelloTooLarge);
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 47]);
    // A certificate beyond the limit, likewise while it comes.
    let huge = crate::tls_support::pki::Ask { ballast: 3000, ..crate::tls_support::pki::client() };
    let huge = rig.authority.issue(&huge);
    let mut config = super::peer::config(&rig.authority, super::peer::BOTH, Some(&huge));
    config.enable_sni = false;
    let mut peer = Peer::connect(rig.addr, &config.into(), "server.test");
    let why = rig.refused(&mut peer);
    assert_eq!(why, CloseReason::Handshake(Failure::TooManyBytes));
}
