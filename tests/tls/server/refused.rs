//! A handshake that comes to nothing: the alert of one that fails leaves as soon as there is room, and nobody waits for that for ever.

use std::time::Duration;

use tymist::net::Stage;
use tymist::net::tls::{HandshakeFailure, ServerTls, ServerTlsConfig, TlsTime};
use tymist::tyme::{Tyme, Tymist};
use tymist::{CloseReason, Event, Wake};

use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, Authority};
use crate::util::script::{Accept, Peer, Read, Script, Write};

const SECOND: Duration = Duration::from_secs(1);

/// A server, and a peer of it that shakes hands and has sent `bytes`.
fn shaking(
    bytes: &[u8],
    linger: Option<Duration>,
    write_stall: Option<Duration>,
) -> (Script, Peer) {
    let mut script = Script::with(|config| {
        config.timeouts.linger = linger;
        config.timeouts.write_stall = write_stall;
    });
    let identity = Authority::new("test authority").issue(&pki::server()).identity();
    let time = TlsTime::simulated(script.tymist.tymth(), Duration::from_secs(EPOCH));
    let tls = ServerTls::new(ServerTlsConfig::new(identity).with_time(time)).unwrap();
    script.server.listen_tls(([192, 0, 2, 9], 0), &tls).unwrap();
    let peer = Peer::new(1, [Read::Bytes(bytes.to_vec())]);
    peer.far().handshake.push_back(Ok(Stage::Live));
    (script, peer)
}

/// A server whose network takes nothing of the alert, and the peer that has talked nonsense.
fn refused(linger: Option<Duration>, write_stall: Option<Duration>) -> (Script, Peer) {
    let (mut script, peer) = shaking(b"GET / HTTP/1.0\r\n\r\n", linger, write_stall);
    let peer = peer.writing([Write::Never]);
    script.accepts([Accept::Peer(peer.clone())]);
    assert_eq!(script.ticks(5), []);
    assert_eq!(peer.far().written.len(), 0);
    (script, peer)
}

fn is_failure(event: &Event) -> bool {
    matches!(event, Event::HandshakeFailed { reason: CloseReason::Handshake(why), .. }
        if *why != HandshakeFailure::Eof)
}

#[test]
fn regression_the_alert_of_a_failed_handshake_leaves_once_there_is_room() {
    let (mut script, peer) = refused(Some(SECOND), Some(SECOND));
    peer.far().writes.clear();
    peer.report(false, true);
    script.ticks(2);
    assert!(matches!(peer.far().written[..], [0x15, 3, _, 0, 2, 2, _]), "an alert, once");
    assert!(peer.far().ended, "and our end");
    assert_ne!(script.server.wake(), Wake::Now, "it does not spin");
    peer.then([Read::End]);
    let events = script.ticks(2);
    assert!(matches!(&events[..], [event] if is_failure(event)), "{events:?}");
    let far = peer.far();
    assert!(far.dropped && !far.abortive);
}

/// Each of the two deadlines is enough.
#[test]
fn an_alert_that_nobody_takes_is_given_up() {
    for (linger, write_stall) in [(None, Some(SECOND)), (Some(SECOND), None)] {
        let (mut script, peer) = refused(linger, write_stall);
        assert_eq!(script.server.wake(), Wake::At(Tyme::ZERO + SECOND));
        assert_eq!(script.tick_after(SECOND - Duration::from_nanos(1)), []);
        let events = script.tick_after(Duration::from_nanos(1));
        // Why it failed is not that nobody listened.
        assert!(matches!(&events[..], [event] if is_failure(event)), "{events:?}");
        let far = peer.far();
        assert!(far.dropped && far.abortive, "what was held is cut off");
    }
}

/// It was never usable, so its lifetime has not begun, whatever clock it goes by, before its alert has left as after.
#[test]
fn who_failed_its_handshake_has_no_lifetime_by_another_clock_either() {
    for alert_leaves in [false, true] {
        let (mut script, peer) = refused(Some(5 * SECOND), None);
        if alert_leaves {
            peer.far().writes.clear();
            peer.report(false, true);
            assert_eq!(script.ticks(2), []);
            assert!(peer.far().ended);
        }
        script.server.config_mut().timeouts.lifetime = Some(SECOND);
        script.tymist = Tymist::new();
        script.server.wind(script.tymist.tymth());
        assert_eq!(script.ticks(2), []);
        assert_eq!(script.server.wake(), Wake::At(Tyme::ZERO + 5 * SECOND), "{alert_leaves}");
        let events = script.tick_after(5 * SECOND);
        assert!(matches!(&events[..], [event] if is_failure(event)), "{events:?}");
    }
}

/// That the alert finds nobody is not why the handshake failed.
#[test]
fn a_reset_that_the_alert_meets_ends_it_at_once_and_is_not_told_as_the_reason() {
    let (mut script, peer) = refused(Some(SECOND), Some(SECOND));
    peer.far().writes = [Write::Fails(104)].into();
    peer.report(false, true);
    let events = script.tick();
    assert!(matches!(&events[..], [event] if is_failure(event)), "{events:?}");
    assert!(peer.far().dropped);
}

/// There is nothing yet that a close_notify could end.
#[test]
fn who_shakes_hands_while_the_server_closes_is_sent_no_farewell() {
    let (mut script, peer) = shaking(&[22, 3, 1], None, None);
    script.accepts([Accept::Peer(peer.clone())]);
    assert_eq!(script.ticks(3), []);
    assert_eq!(script.server.cxes(), 1);
    script.server.close();
    let far = peer.far();
    assert_eq!((far.dropped, far.ended, &far.written[..]), (true, false, &b""[..]));
}
