//! What a peer could do to stop hio's whole process.

use tymist::{CloseReason, Config, Event};

use crate::util::script::{Accept, Peer, Read, Script, Write};
use crate::util::{Rig, connect, pattern, receive, reset, send};

#[test]
fn hio_b01_reset_before_accept_does_not_stop_the_loop() {
    let mut rig = Rig::new(Config::new());
    for _ in 0..10 {
        reset(connect(rig.addr));
    }
    let (mut client, id) = rig.client();
    send(&mut client, b"still there?");
    rig.until_unread(id, 12);
    rig.until_server(|server| server.len() == 1);
    let reset: Vec<_> = rig
        .log
        .iter()
        .filter(|event| matches!(event, Event::Closed(_, CloseReason::Reset)))
        .collect();
    // Some systems take them off the queue instead; then there is nothing to tell.
    assert_eq!(reset.len() as u64 + rig.server.counters().accept_skipped, 10, "{:?}", rig.log);
}

#[test]
fn hio_b02_running_out_of_descriptors_on_accept_does_not_stop_the_loop() {
    let mut script = Script::new(Config::new());
    let old = Peer::new(1, []);
    let id = script.admits(&old);
    script.tick();
    let new = Peer::new(2, []);
    // EMFILE, then ECONNABORTED and a good one.
    script.accepts([Accept::Fails(24), Accept::Fails(103), Accept::Peer(new.clone())]);
    old.then([Read::Bytes(b"served".to_vec())]);
    let events = script.tick();
    assert!(
        matches!(events[..], [Event::AcceptPaused { error, .. }, Event::Received(it)] if it == id && error.errno() == Some(24)),
        "{events:?}"
    );
    let events = script.tick_after(script.server.config().timeouts.accept_pause);
    assert_eq!(events, [Event::Accepted(script.server.at(&new.addr()).unwrap())]);
    assert_eq!(script.server.counters().accept_skipped, 1);
}

#[test]
fn hio_b04_a_broken_pipe_is_one_connections_affair() {
    // Queued, then the sending half ended: hio wrote after that, and EPIPE came out of its loop.
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    rig.server.tx(id, b"queued").unwrap();
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    rig.tick();
    assert_eq!(receive(&mut client, 6), b"queued");

    // EPIPE in the middle of a pass over all.
    let mut script = Script::new(Config::new());
    let peers: Vec<_> = (0..5).map(|port| Peer::new(port, [])).collect();
    let ids: Vec<_> = peers.iter().map(|peer| script.admits(peer)).collect();
    script.tick();
    let broken = peers[2].clone().writing([Write::Fails(32)]);
    for id in &ids {
        script.server.tx(*id, b"to all").unwrap();
    }
    assert_eq!(script.tick(), [Event::Closed(ids[2], CloseReason::Reset)]);
    for peer in peers.iter().filter(|peer| peer.addr() != broken.addr()) {
        assert_eq!(peer.far().written, b"to all");
    }
}

#[test]
fn hio_b06_connections_may_be_closed_while_going_over_them() {
    let mut rig = Rig::new(Config::new());
    let _clients: Vec<_> = (0..6).map(|_| rig.client()).collect();
    for id in rig.server.ixes() {
        rig.server.remoter_mut(id).unwrap().abort();
        rig.server.service();
    }
    let mut closed = 0;
    while let Some(event) = rig.server.poll_event() {
        assert!(matches!(event, Event::Closed(_, CloseReason::Aborted)));
        closed += 1;
        rig.server.service();
    }
    assert_eq!(closed, 6);
}

#[test]
fn hio_b09_one_that_sends_without_end_neither_holds_the_tick_nor_fills_the_memory() {
    let mut script = Script::with(|config| config.limits.remoter_tick_bytes = 256 << 10);
    let flood = Peer::new(1, [Read::Endless]);
    let modest = Peer::new(2, []);
    let (flood_id, modest_id) = (script.admits(&flood), script.admits(&modest));
    script.tick();
    let cap = script.server.config().limits.rx_bytes;
    for round in 0..50 {
        modest.then([Read::Bytes(b"me too".to_vec())]);
        let events = script.tick();
        assert!(events.contains(&Event::Received(modest_id)), "round {round}");
        assert!(script.server.remoter(flood_id).unwrap().rx().len() <= cap);
        assert!(script.server.buffered() <= cap + 6);
        script.server.remoter_mut(modest_id).unwrap().take();
    }
    let calls = flood.far().read_calls;
    script.ticks(100);
    assert_eq!(flood.far().read_calls, calls, "at the cap it is not even read");

    // And who takes everything at once gets a tick's budget at a time.
    let budget = script.server.config().limits.remoter_tick_bytes as u64;
    for _ in 0..10 {
        script.server.remoter_mut(flood_id).unwrap().take();
        assert!(script.server.service().bytes_in <= budget);
        while script.server.poll_event().is_some() {}
    }
    assert_eq!(script.server.counters().bytes_in, 11 * budget + 50 * 6);
}

#[test]
fn hio_b09_the_same_from_a_real_socket() {
    let mut rig = Rig::with(|config| config.limits.rx_bytes = 10_000);
    let (flood, id) = rig.client();
    let (mut modest, modest_id) = rig.client();
    flood.set_nonblocking(true).unwrap();
    let mut flood = flood;
    let chunk = pattern(1 << 16);
    let mut sent = 0;
    for round in 0..200 {
        while let Ok(count) = std::io::Write::write(&mut flood, &chunk) {
            sent += count;
        }
        if round % 20 == 0 {
            send(&mut modest, b"x");
            rig.until_unread(modest_id, 1);
            rig.server.remoter_mut(modest_id).unwrap().take();
        }
        rig.tick_now();
        assert!(rig.server.buffered() <= 10_000);
    }
    assert_eq!(rig.server.remoter(id).unwrap().rx().len(), 10_000);
    assert!(sent > 10_000, "TCP stopped the peer only after {sent} bytes");
}
