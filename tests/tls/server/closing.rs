//! How connections end: with a close_notify each way, in both orders, or cut short, and then so called.

use std::io::Write;
use std::time::Duration;

use tymist::net::tls::TlsFailure;
use tymist::net::tls::rustls::{AlertDescription, Error};
use tymist::tyme::Tyme;
use tymist::{CloseReason, Deadline, Event, RxFull};

use super::peer::End;
use super::rig::TlsRig;
use crate::util::{pattern, send};

#[test]
fn our_close_says_so_and_waits_for_the_peers() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.tx(b"last words").unwrap();
    remoter.close();
    rig.drive(&mut peer, |_, peer| peer.over);
    assert_eq!(peer.end, Some(End::Clean));
    assert_eq!(peer.got, b"last words");
    assert!(rig.server.remoter(id).unwrap().close_reason().is_some(), "it waits");
    peer.finish();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Local);
    assert_eq!(rig.server.counters().closed.local, 1);
}

#[test]
fn the_peers_close_ends_reading_only_and_is_answered_in_kind() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    peer.say(b"question");
    peer.finish();
    rig.drive(&mut peer, |rig, _| rig.log.contains(&Event::Eof(id)));
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.take(), &b"question"[..]);
    remoter.tx(b"answer").unwrap();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Eof);
    rig.drive(&mut peer, |_, peer| peer.over);
    assert_eq!((peer.end, &peer.got[..]), (Some(End::Clean), &b"answer"[..]));
}

#[test]
fn a_half_closes_alone_the_peers_first() {
    let mut rig = TlsRig::with(|config| config.half_open = true, |_, tls| tls);
    let (mut peer, id) = rig.live();
    peer.finish();
    rig.drive(&mut peer, |rig, _| rig.log.contains(&Event::Eof(id)));
    for _ in 0..3 {
        let had = peer.got.len();
        rig.server.tx(id, b"still here").unwrap();
        rig.drive(&mut peer, |_, peer| peer.got.len() == had + 10);
    }
    assert_eq!(peer.end, None);
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Eof);
    rig.drive(&mut peer, |_, peer| peer.over);
    assert_eq!(peer.end, Some(End::Clean));
}

#[test]
fn a_half_closes_alone_ours_first() {
    let mut rig = TlsRig::with(|config| config.half_open = true, |_, tls| tls);
    let (mut peer, id) = rig.live();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.tx(b"all I have").unwrap();
    remoter.shutdown_send();
    rig.drive(&mut peer, |_, peer| peer.end == Some(End::Clean));
    assert_eq!(peer.got, b"all I have");
    for count in 1..4 {
        peer.say(b"more");
        rig.drive(&mut peer, |rig, _| rig.server.remoter(id).unwrap().rx().len() == 4 * count);
    }
    assert!(rig.server.tx(id, b"no").is_err());
    peer.finish();
    rig.drive(&mut peer, |rig, _| rig.log.contains(&Event::Eof(id)));
    assert_eq!(rig.server.remoter_mut(id).unwrap().take().len(), 12);
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Eof);
}

#[test]
fn an_end_without_close_notify_is_a_truncation_and_no_end() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    peer.say(b"the first half of");
    peer.cut();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::TlsTruncated);
    assert!(!rig.log.contains(&Event::Eof(id)), "it is never told as an end");
    assert!(!CloseReason::TlsTruncated.is_clean());
    assert_eq!(
        rig.server.remoter(id).unwrap().rx(),
        b"the first half of",
        "what came is authentic"
    );
    let closed = rig.server.counters().closed;
    assert_eq!((closed.tls_truncated, closed.eof, closed.total()), (1, 0, 1));
}

#[test]
fn a_peer_that_does_not_answer_our_close_in_kind_is_cut_short_too() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    rig.server.remoter_mut(id).unwrap().close();
    rig.drive(&mut peer, |_, peer| peer.over);
    assert_eq!(peer.end, Some(End::Clean), "ours was in order");
    peer.cut();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::TlsTruncated);
}

#[test]
fn an_abort_is_a_reset_and_no_farewell() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    rig.server.remoter_mut(id).unwrap().abort();
    rig.drive(&mut peer, |_, peer| peer.over);
    assert_eq!(peer.end, Some(End::Reset));
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Aborted);
}

/// What comes behind a close_notify is ignored. What was left of it made the system reset the connection, and the answer was lost behind a clean end.
#[test]
fn regression_what_comes_behind_the_peers_close_destroys_no_answer() {
    let mut rig = TlsRig::with(|config| config.limits.tx_bytes = 1 << 20, |_, tls| tls);
    let forged = [&[23, 3, 3, 0, 32][..], &[7; 32]].concat();
    let answer = pattern(300_000);
    for ours_first in [false, true] {
        let (mut peer, id) = rig.live();
        let answers = |rig: &mut TlsRig| {
            let remoter = rig.server.remoter_mut(id).unwrap();
            assert_eq!(remoter.tx(&answer).unwrap(), answer.len());
            remoter.close();
        };
        if ours_first {
            answers(&mut rig);
        }
        peer.tls.send_close_notify();
        peer.send();
        if !ours_first {
            rig.drive(&mut peer, |rig, _| rig.log.contains(&Event::Eof(id)));
        }
        peer.socket.write_all(&forged.repeat(100)).unwrap();
        if !ours_first {
            answers(&mut rig);
        }
        assert!(rig.until_closed(id).is_clean(), "the peer reads nothing before");
        rig.drive(&mut peer, |_, peer| peer.over);
        assert_eq!((peer.end, peer.got.len()), (Some(End::Clean), answer.len()));
    }
}

/// The peer goes on sending behind its bad record, so that closing right away would reset the connection and destroy the alert.
#[test]
fn a_live_connection_that_breaks_tells_the_peer_why() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    peer.say(b"good");
    rig.drive(&mut peer, |rig, _| rig.server.remoter(id).unwrap().rx().len() == 4);
    rig.server.tx(id, b"never leaves").unwrap();
    let forged = [&[23, 3, 3, 0, 32][..], &[7; 32]].concat();
    for _ in 0..200 {
        peer.socket.write_all(&forged).unwrap();
    }
    rig.server.wait(None);
    rig.tick();
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"good", "what came before is there");
    rig.drive(&mut peer, |_, peer| matches!(peer.end, Some(End::Tls(_))));
    assert_eq!(peer.end, Some(End::Tls(Error::AlertReceived(AlertDescription::BadRecordMac))));
    assert!(!rig.log.iter().any(|event| matches!(event, Event::Closed(..))), "it waits");
    peer.cut();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Tls(TlsFailure::BadRecord));
    assert_eq!(rig.server.buffered(), 4, "what was queued is counted out");
    assert_eq!(rig.server.counters().closed.tls, 1);
    rig.tick();
    assert_eq!((rig.server.buffered(), rig.server.timers()), (0, 0));
}

/// What was queued is not sent behind the alert, and does not keep the connection.
/// It goes on only to say why; it was given away as if it were whole, and told to have broken.
#[test]
fn regression_who_breaks_cannot_be_taken_out() {
    let mut rig = TlsRig::new();
    let (mut peer, id) = rig.live();
    peer.socket.write_all(&[&[23, 3, 3, 0, 32][..], &[7; 32]].concat()).unwrap();
    rig.until_server(|server| server.remoter(id).unwrap().is_closing());
    assert!(rig.server.detach(id).is_none());
    peer.cut();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Tls(TlsFailure::BadRecord));
}

#[test]
fn a_live_connection_that_breaks_drops_what_is_queued() {
    let mut rig = TlsRig::with(|config| config.limits.tx_bytes = 64 << 20, |_, tls| tls);
    let (mut peer, id) = rig.live();
    let data = pattern(48 << 20);
    assert_eq!(rig.server.tx(id, &data).unwrap(), data.len());
    for _ in 0..200 {
        rig.tick_now();
    }
    let queued = rig.server.remoter(id).unwrap().tx_len();
    assert!(queued > 1 << 20, "the network took all of it");
    peer.socket.write_all(&[&[23, 3, 3, 0, 32][..], &[7; 32]].concat()).unwrap();
    rig.until_server(|server| server.remoter(id).unwrap().is_closing());
    assert_eq!(rig.server.buffered(), 0);
    rig.drive(&mut peer, |_, peer| peer.end.is_some());
    assert_eq!(peer.end, Some(End::Tls(Error::AlertReceived(AlertDescription::BadRecordMac))));
    assert_eq!(peer.got.len(), data.len() - queued);
    assert!(data.starts_with(&peer.got));
    peer.cut();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Tls(TlsFailure::BadRecord));
}

#[test]
fn a_failed_handshake_waits_for_the_peer_no_longer_than_linger() {
    let mut rig =
        TlsRig::with(|config| config.timeouts.linger = Some(Duration::from_secs(13)), |_, tls| tls);
    let mut raw = rig.silent();
    send(&mut raw, b"GET / HTTP/1.1\r\n\r\n");
    let alert = crate::util::receive_while(&mut raw, 7, || {
        rig.tick();
    });
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 50]);
    assert_eq!((rig.server.cxes(), rig.server.len()), (1, 0));
    // It goes on talking, and nobody listens.
    send(&mut raw, &vec![b'x'; 100_000]);
    for _ in 0..20 {
        rig.tick();
    }
    assert_eq!(rig.server.counters().bytes_in, 100_000, "read and thrown away");
    assert!(rig.log.is_empty(), "{:?}", rig.log);
    rig.tick_at(Tyme::from_nanos(13_000_000_000 - 1));
    assert!(rig.log.is_empty());
    let events = rig.tick_at(Tyme::from_nanos(13_000_000_000));
    let [Event::HandshakeFailed { reason: CloseReason::Handshake(why), .. }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(why, tymist::net::tls::HandshakeFailure::PlainHttp, "the first reason stays");
    assert_eq!((rig.server.cxes(), rig.server.timers()), (0, 0));
    assert_eq!(rig.server.counters().closed.handshake, 1);
}

#[test]
fn without_linger_a_failed_handshake_ends_at_once() {
    let mut rig = TlsRig::with(|config| config.timeouts.linger = None, |_, tls| tls);
    let mut raw = rig.silent();
    send(&mut raw, b"nonsense");
    let addr = raw.local_addr().unwrap();
    assert!(matches!(rig.failed(addr), CloseReason::Handshake(_)));
    assert_eq!((rig.server.cxes(), rig.server.timers()), (0, 0));
}

/// At the cap of unread bytes the rest waits inside the layer and in the kernel, and no edge tells of the former.
#[test]
fn what_waits_inside_the_layer_comes_as_room_is_made() {
    let mut rig = TlsRig::with(
        |config| {
            config.limits.rx_bytes = 1000;
            config.rx_full = RxFull::Pause;
            config.limits.scratch = 700;
        },
        |_, tls| tls,
    );
    let (mut peer, id) = rig.live();
    let data = pattern(200_000);
    peer.tls.set_buffer_limit(None);
    peer.say(&data);
    let mut got = Vec::new();
    rig.drive(&mut peer, |rig, _| {
        let remoter = rig.server.remoter_mut(id).unwrap();
        assert!(remoter.rx().len() <= 1000);
        got.extend(remoter.take_first(333));
        got.len() == data.len()
    });
    assert!(got == data);
    peer.finish();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Eof);
}

#[test]
fn four_socket_buffers_cross_intact_both_ways_at_once() {
    let mut rig = TlsRig::with(|config| config.limits.tx_bytes = 64 << 20, |_, tls| tls);
    let (mut peer, id) = rig.live();
    let sizes = rig.server.remoter(id).unwrap().buffer_sizes().unwrap();
    let data = pattern(4 * sizes.send.max(sizes.recv).max(1 << 18));
    peer.tls.set_buffer_limit(None);
    peer.say(&data);
    assert_eq!(rig.server.tx(id, &data).unwrap(), data.len());
    let mut got = Vec::new();
    rig.drive(&mut peer, |rig, peer| {
        got.extend(rig.server.remoter_mut(id).unwrap().take());
        got.len() >= data.len() && peer.got.len() >= data.len()
    });
    assert!(got == data && peer.got == data);
    let remoter = rig.server.remoter(id).unwrap();
    assert_eq!(remoter.counters().bytes_out, data.len() as u64);
    assert!(rig.log.contains(&Event::Drained(id)), "it was more than the network took at once");
}

#[test]
fn draining_waits_for_handshakes_and_cuts_them_in_the_end() {
    let mut rig = TlsRig::new();
    let silent = rig.silent();
    let (mut peer, id) = rig.live();
    rig.server.drain(Some(Duration::from_secs(2)));
    assert_eq!(rig.server.draining().unwrap().left, 2);
    rig.server.remoter_mut(id).unwrap().close();
    rig.drive(&mut peer, |_, peer| peer.over);
    peer.finish();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Local);
    assert_eq!(rig.server.draining().unwrap().left, 1);
    let events = rig.tick_after(Duration::from_secs(2));
    let cut = CloseReason::Expired(Deadline::Drain);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::HandshakeFailed { reason, .. } if *reason == cut)),
        "{events:?}"
    );
    assert_eq!(events.last(), Some(&Event::DrainEnded { cut: 1 }));
    drop(silent);
}
