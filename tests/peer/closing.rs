//! What becomes of datagrams that are queued when their endpoint is closed, and of what comes after.

use std::io::ErrorKind;
use std::time::Duration;

use tymist::net::Bind;
use tymist::{Event, GramEvent, Wake};

use super::scripted::{friend, rig, server, texts};

fn somewhere() -> Bind {
    Bind::new(([127, 0, 0, 1], 0))
}

/// Also what nobody has touched since the last tick, and what is more than a tick's budget: there is no next one.
#[test]
fn regression_closing_a_server_gave_no_try_to_what_waited_for_the_next_tick() {
    for touched in [false, true] {
        let (mut server, id, _tymist, script) = server(|config| config.tick_grams = 10);
        for _ in 0..35 {
            server.endpoint_mut(id).unwrap().tx(b"x", friend()).unwrap();
        }
        server.service();
        assert_eq!(texts(&script).len(), 10);
        if touched {
            server.endpoint_mut(id).unwrap();
        }
        server.close();
        assert_eq!(texts(&script).len(), 35);
        assert_eq!(server.endpoint(id).unwrap().counters().unsent, 0);
        assert_eq!(server.poll_event(), Some(Event::Gram(id, GramEvent::Drained)));
        assert_eq!(server.wake(), Wake::OnIo, "nothing is left to do");
    }
}

/// The end of a drain closes the server, too.
#[test]
fn regression_the_end_of_a_drain_gave_no_try_to_what_waited_for_the_next_tick() {
    let (mut server, id, _tymist, script) = server(|config| config.tick_grams = 10);
    for _ in 0..35 {
        server.endpoint_mut(id).unwrap().tx(b"x", friend()).unwrap();
    }
    server.drain(None);
    server.service();
    assert!(!server.endpoint(id).unwrap().opened());
    assert_eq!(texts(&script).len(), 35);
}

/// Nobody has told of room since, and nobody was asked.
#[test]
fn regression_closing_gave_no_try_to_what_was_blocked() {
    let (mut rig, script) = rig(|_| {});
    script.lock().sends.push_back(ErrorKind::WouldBlock.into());
    rig.peer.tx(b"one", friend()).unwrap();
    rig.tick_now();
    rig.peer.close();
    assert_eq!(texts(&script), ["one"]);

    let (mut server, id, _tymist, script) = server(|_| {});
    script.lock().sends.push_back(ErrorKind::WouldBlock.into());
    server.endpoint_mut(id).unwrap().tx(b"one", friend()).unwrap();
    server.service();
    server.close();
    assert_eq!(texts(&script), ["one"]);
}

/// One try, whatever comes of it, and no more.
#[test]
fn what_finds_no_room_at_the_last_is_counted_as_unsent() {
    for kind in [ErrorKind::WouldBlock, ErrorKind::OutOfMemory, ErrorKind::Interrupted] {
        let (mut rig, script) = rig(|_| {});
        script.lock().sends_for_ever = Some(kind);
        for _ in 0..3 {
            rig.peer.tx(b"x", friend()).unwrap();
        }
        rig.peer.close();
        assert_eq!((script.lock().send_calls, rig.peer.counters().unsent), (1, 3), "{kind}");
        assert_eq!(rig.peer.wake(), Wake::OnIo, "{kind}");
        rig.peer.reopen().unwrap();
        rig.tymist.tick_by(Duration::from_secs(5));
        script.lock().sends_for_ever = None;
        rig.peer.tx(b"anew", friend()).unwrap();
        rig.tick_now();
        assert_eq!(texts(&script), ["anew"], "{kind}");
    }
}

#[test]
fn regression_closing_a_peer_was_a_part_of_the_tick_after_it() {
    for waited in [false, true] {
        let (mut rig, script) = rig(|config| config.tick_grams = 2);
        rig.peer.tx(b"a", friend()).unwrap();
        rig.peer.tx(b"b", friend()).unwrap();
        if waited {
            rig.peer.wait(None);
            rig.peer.tx(b"c", friend()).unwrap();
        }
        rig.peer.close();
        assert_eq!(texts(&script).len(), if waited { 3 } else { 2 });
        rig.peer.reopen().unwrap();
        rig.peer.tx(b"anew", friend()).unwrap();
        let done = rig.peer.service();
        assert_eq!((done.grams_out, done.bytes_out, done.more), (1, 4, false));
    }
}

/// What the socket before it was told of is no news of the new one.
#[test]
fn regression_what_was_harvested_for_a_closed_socket_kept_its_peer_awake() {
    let (mut rig, script) = rig(|_| {});
    script.ready(true, false);
    rig.peer.wait(None);
    rig.peer.close();
    assert_eq!(rig.peer.wake(), Wake::OnIo);
    rig.peer.reopen().unwrap();
    rig.tick_now();
    assert_eq!(script.lock().receive_calls, 0);
}

#[test]
fn regression_opening_an_open_peer_dropped_what_was_queued() {
    let (mut rig, script) = rig(|_| {});
    rig.peer.tx(b"one", friend()).unwrap();
    rig.peer.open(somewhere()).unwrap();
    assert_eq!((texts(&script), rig.peer.counters().unsent), (vec!["one".to_string()], 0));
    assert!(rig.peer.opened());
}
