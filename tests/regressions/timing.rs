//! Timeouts that hio had by name only.

use std::sync::Arc;
use std::time::Duration;

use tymist::net::Stage;
use tymist::tyme::{Tyme, Tymist};
use tymist::{CloseReason, Config, Deadline, Event, Server, Wake};

use crate::util::script::{Accept, Peer, Read, Script};
use crate::util::{Rig, send};

const IDLE: CloseReason = CloseReason::Expired(Deadline::Idle);

#[test]
fn hio_b11_the_servers_timeout_reaches_its_remoters() {
    let mut rig = Rig::with(|config| config.timeouts.idle = Some(Duration::from_secs(5)));
    let (_client, id) = rig.client();
    assert_eq!(rig.tick_at(Tyme::from_nanos(4_999_999_999)), []);
    assert_eq!(
        rig.tick_at(Tyme::from_secs(5)),
        [Event::Expired(id, Deadline::Idle), Event::Closed(id, IDLE)]
    );
}

#[test]
fn hio_b12_service_itself_sees_after_the_deadlines() {
    let mut rig = Rig::with(|config| config.timeouts.idle = Some(Duration::from_secs(1)));
    let clients: Vec<_> = (0..10).map(|_| rig.client()).collect();
    assert_eq!(rig.server.timers(), 10);
    let closed = rig.tick_after(Duration::from_secs(1000));
    assert_eq!(closed.len(), 20, "{closed:?}");
    rig.tick_now();
    assert_eq!((rig.server.len(), rig.server.timers()), (0, 0));
    assert_eq!(rig.server.wake(), Wake::OnIo);
    drop(clients);
}

#[test]
fn hio_b13_a_refresh_counts_from_now_and_not_from_the_old_deadline() {
    let mut script = Script::with(|config| config.timeouts.idle = Some(Duration::from_secs(1)));
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    // Ten bytes at one tyme are worth a second, not eleven.
    for _ in 0..10 {
        peer.then([Read::Bytes(b"x".to_vec())]);
        script.tick();
    }
    assert_eq!(script.tick_after(Duration::from_nanos(999_999_999)), []);
    assert_eq!(script.tick_after(Duration::from_nanos(1)).last(), Some(&Event::Closed(id, IDLE)));

    // And a byte in the very tick of the deadline, however late that tick, is worth a whole second.
    let late = Peer::new(2, []);
    script.admits(&late);
    late.then([Read::Bytes(b"x".to_vec())]);
    assert_eq!(script.tick_after(Duration::from_secs(10)).len(), 1, "received, not expired");
    assert_eq!(script.tick_after(Duration::from_nanos(999_999_999)), []);
    assert_eq!(script.tick_after(Duration::from_nanos(1)).len(), 2);
}

/// A peer that never says the next word of its handshake.
pub(crate) fn shaking(script: &mut Script, port: u16) -> Peer {
    let peer = Peer::new(port, []);
    peer.far().handshake.push_back(Ok(Stage::Handshaking));
    let plain = script.acceptor;
    let shaker = script.server.listen_with(([192, 0, 2, 9], 0), Arc::new(|stream| stream)).unwrap();
    assert!(script.server.unlisten(plain));
    script.acceptor = shaker;
    script.accepts([Accept::Peer(peer.clone())]);
    assert_eq!(script.ticks(3), [], "never usable");
    assert_eq!((script.server.cxes(), script.server.len()), (1, 0));
    peer
}

#[test]
fn hio_b15_winding_reaches_connections_that_are_shaking_hands() {
    let mut script = Script::new(Config::new());
    script.tick_after(Duration::from_secs(1_000_000));
    let peer = shaking(&mut script, 1);
    let tymist = Tymist::new();
    script.server.wind(tymist.tymth());
    script.tymist = tymist;
    assert_eq!(script.tick_after(Duration::from_nanos(9_999_999_999)), []);
    let reason = CloseReason::Expired(Deadline::Handshake);
    let failed =
        Event::HandshakeFailed { acceptor: Some(script.acceptor), peer: peer.addr(), reason };
    assert_eq!(script.tick_after(Duration::from_nanos(1)), [failed]);
}

#[test]
fn hio_b15_a_server_without_a_clock_has_timeouts_all_the_same() {
    let mut config = Config::new();
    config.timeouts.idle = Some(Duration::from_millis(20));
    let mut server = Server::new(config);
    assert!(!server.is_wound());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let mut client = crate::util::connect(server.local_addr(acceptor).unwrap().inet().unwrap());
    send(&mut client, b"x");
    let mut expired = false;
    for _ in 0..crate::util::ROUNDS {
        server.wait(None);
        server.service();
        while let Some(event) = server.poll_event() {
            expired |= matches!(event, Event::Closed(_, IDLE));
        }
        if expired {
            return;
        }
    }
    panic!("it never expired");
}

/// hio's tyme is a float: after a million ticks of 0.1 s it read 100000.00000133.
#[test]
fn hio_b33_after_a_million_tocks_a_deadline_fires_on_its_very_tick() {
    let tock = Duration::from_millis(100);
    let idle = Duration::from_secs(100_000);
    let mut script = Script::with(|config| config.timeouts.idle = Some(idle));
    script.tymist.set_tock(tock);
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    for tick in 1..1_000_000_u32 {
        let tyme = script.tymist.tick();
        assert_eq!(tyme, Tyme::ZERO + tock * tick, "after {tick} ticks");
        if tick % 1_000 == 999 {
            assert_eq!(script.tick(), [], "after {tick} ticks");
        }
    }
    assert_eq!(script.server.wake(), Wake::At(Tyme::from_secs(100_000)));
    script.tymist.tick();
    assert_eq!(script.tick(), [Event::Expired(id, Deadline::Idle), Event::Closed(id, IDLE)]);
    assert_eq!(script.server.tyme(), Tyme::from_secs(100_000));
}

#[test]
fn tymist_section_10_a_stalled_handshake_has_a_deadline() {
    let mut script = Script::new(Config::new());
    let peer = shaking(&mut script, 1);
    assert_eq!(script.server.timers(), 1);
    assert_eq!(script.tick_after(Duration::from_nanos(9_999_999_999)), []);
    assert_eq!(script.tick_after(Duration::from_nanos(1)).len(), 1);
    assert!(peer.far().dropped);
    assert_eq!((script.server.cxes(), script.server.timers()), (0, 0));
}
