//! How TCP connections end in a simulated world, as on Linux.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;
use std::net::Shutdown;

use crate::sim_util::*;
use tymist::sim::Act;

#[test]
fn closing_ends_the_stream_after_all_bytes() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, b"last words");
    drop(dialled);
    pair.run(millis(5));
    expect_end(&mut accepted, b"last words");
    expect_end(&mut accepted, b"");
    drop(accepted);
    pair.run(millis(5));
    assert_eq!(pair.world.lingering(pair.client) + pair.world.lingering(pair.server), 0);
}

#[test]
fn half_close_leaves_the_other_half_open_both_ways() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, b"question");
    dialled.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    expect_end(&mut accepted, b"question");
    assert_eq!(write_error(&mut dialled), ErrorKind::BrokenPipe);
    write_all(&mut accepted, b"answer");
    pair.run(millis(5));
    expect_read(&mut dialled, b"answer");
    accepted.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    expect_end(&mut dialled, b"");
    assert_eq!(dialled.shutdown(Shutdown::Write).unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn shutting_reads_only_deafens_this_side() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    accepted.register(token(4)).unwrap();
    harvest(&mut pair.server_net);
    accepted.shutdown(Shutdown::Read).unwrap();
    assert_eq!(reports(&mut pair.server_net), [(4, true, false, true)]);
    expect_end(&mut accepted, b"");
    // As on Linux, what comes all the same can be read.
    write_all(&mut dialled, b"still");
    pair.run(millis(5));
    expect_end(&mut accepted, b"still");
    write_all(&mut accepted, b"hear me");
    pair.run(millis(5));
    expect_read(&mut dialled, b"hear me");
}

#[test]
fn simultaneous_close_ends_both() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    dialled.shutdown(Shutdown::Write).unwrap();
    accepted.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    expect_end(&mut dialled, b"");
    expect_end(&mut accepted, b"");
    drop((dialled, accepted));
    pair.run(millis(5));
    assert_eq!(pair.world.lingering(pair.client) + pair.world.lingering(pair.server), 0);
    assert_eq!(pair.world.stats().retries, 0);
}

#[test]
fn closing_with_unread_bytes_resets() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut accepted, b"unread");
    write_all(&mut dialled, b"unheard");
    pair.run(millis(5));
    drop(accepted);
    pair.run(millis(5));
    // What came before the reset can still be read, then the error comes once.
    let mut buf = [0; 6];
    assert_eq!(dialled.read(&mut buf).unwrap(), 6);
    assert_eq!(read_error(&mut dialled), ErrorKind::ConnectionReset);
    expect_end(&mut dialled, b"");
    assert_eq!(write_error(&mut dialled), ErrorKind::BrokenPipe);
}

#[test]
fn an_abortive_close_resets_and_throws_away_what_was_queued() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    accepted.register(token(9)).unwrap();
    harvest(&mut pair.server_net);
    dialled.set_abortive().unwrap();
    drop(dialled);
    pair.run(millis(5));
    assert_eq!(reports(&mut pair.server_net), [(9, true, true, true)]);
    assert_eq!(read_error(&mut accepted), ErrorKind::ConnectionReset);
    assert_eq!(accepted.shutdown(Shutdown::Both).unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn writing_to_a_closed_peer_works_once_then_fails() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, accepted) = pair.connection();
    drop(accepted);
    pair.run(millis(5));
    write_all(&mut dialled, b"into the void");
    pair.run(millis(5));
    // CLOSE_WAIT and reset: EPIPE (tcp_reset), and the clean end that was seen before stays one.
    assert_eq!(write_error(&mut dialled), ErrorKind::BrokenPipe);
    expect_end(&mut dialled, b"");
    assert_eq!(write_error(&mut dialled), ErrorKind::BrokenPipe);
}

#[test]
fn bytes_under_way_to_a_closing_peer_reset_the_writer() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, accepted) = pair.connection();
    write_all(&mut dialled, b"crossing");
    drop(accepted);
    pair.run(millis(5));
    // The peer's FIN came first, then its reset: the write side learns of it.
    assert_eq!(write_error(&mut dialled), ErrorKind::BrokenPipe);
}

#[test]
fn closing_a_listener_resets_what_waits() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let mut waiting = pair.dial(80);
    pair.run(millis(5));
    let mut on_the_way = pair.dial(80);
    drop(listener);
    pair.run(millis(5));
    assert_eq!(read_error(&mut waiting), ErrorKind::ConnectionReset);
    assert_eq!(on_the_way.connected().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_connection_reset_before_it_is_accepted_is_accepted_and_then_fails() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let mut dialled = pair.dial(80);
    pair.run(millis(5));
    dialled.set_abortive().unwrap();
    drop(dialled);
    pair.run(millis(5));
    let mut accepted = listener.accept().unwrap();
    accepted.register(token(3)).unwrap();
    assert_eq!(reports(&mut pair.server_net), [(3, true, true, true)]);
    assert_eq!(read_error(&mut accepted), ErrorKind::ConnectionReset);
}

#[test]
fn giving_up_while_connecting_leaves_nothing() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let dialled = pair.dial(80);
    pair.run(millis(1));
    drop(dialled);
    pair.run(millis(100));
    assert_eq!(listener.accept().err().unwrap().kind(), ErrorKind::WouldBlock);
    assert_eq!(pair.world.sockets(pair.client), 0);
    assert_eq!(pair.world.lingering(pair.client) + pair.world.lingering(pair.server), 0);
}

#[test]
fn an_orphan_waits_a_minute_for_the_peers_end() {
    let mut pair = Pair::new();
    let (_listener, dialled, mut accepted) = pair.connection();
    drop(dialled);
    pair.run(millis(5));
    expect_end(&mut accepted, b"");
    assert_eq!(pair.world.lingering(pair.client), 1);
    pair.run(61 * SECOND);
    // It is gone by now, so what comes is answered with a reset.
    accepted.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    assert_eq!(write_error(&mut accepted), ErrorKind::ConnectionReset);
    drop(accepted);
    assert_eq!(pair.world.lingering(pair.client) + pair.world.lingering(pair.server), 0);
}

#[test]
fn bytes_for_an_orphan_reset_their_sender() {
    let mut pair = Pair::new();
    let (_listener, dialled, mut accepted) = pair.connection();
    drop(dialled);
    pair.run(millis(5));
    write_all(&mut accepted, b"too late");
    pair.run(millis(5));
    assert_eq!(write_error(&mut accepted), ErrorKind::BrokenPipe);
    assert_eq!(pair.world.lingering(pair.client), 0);
}

#[test]
fn a_caller_that_crashed_may_call_again_from_the_same_port() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let mut dial = tymist::net::Dial::new(pair.target(80));
    dial.local = Some("0.0.0.0:5000".parse::<tymist::net::Addr>().unwrap());
    let before = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    let mut old = listener.accept().unwrap();
    pair.world.act(&Act::Crash(pair.client));
    drop(before);
    pair.world.act(&Act::Restart(pair.client));
    let mut again = pair.client_net.connect(&dial).unwrap();
    pair.run(SECOND * 2);
    assert!(again.connected().unwrap());
    assert_eq!(read_error(&mut old), ErrorKind::ConnectionReset);
    assert_eq!(listener.accept().unwrap().peer_addr(), again.local_addr());
}

#[test]
fn an_end_survives_a_partition() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.world.act(&Act::Partition(tymist::sim::Cut::Isolate(pair.server)));
    write_all(&mut dialled, b"bye");
    drop(dialled);
    drop(pair.dial(80));
    pair.run(30 * SECOND);
    pair.world.act(&Act::Heal);
    pair.run(60 * SECOND);
    expect_end(&mut accepted, b"bye");
    drop(accepted);
    pair.run(60 * SECOND);
    assert_eq!(pair.world.lingering(pair.client) + pair.world.lingering(pair.server), 0);
}

#[test]
fn a_lost_last_acknowledgement_is_sent_again() {
    let mut pair = Pair::new();
    let (_listener, dialled, mut accepted) = pair.connection();
    drop(dialled);
    pair.run(millis(5));
    expect_end(&mut accepted, b"");
    drop(accepted);
    // The FIN is under way; the client's answer to it is lost.
    let (from, to) = (pair.client, pair.server);
    pair.world.act(&Act::Partition(tymist::sim::Cut::OneWay { from, to }));
    pair.run(SECOND);
    assert_eq!(pair.world.lingering(pair.server), 1);
    pair.world.act(&Act::Heal);
    pair.run(10 * SECOND);
    assert_eq!(pair.world.lingering(pair.server), 0);
}

#[test]
fn a_peer_that_crashed_is_reset_after_it_is_back() {
    let mut pair = Pair::new();
    let (listener, mut dialled, accepted) = pair.connection();
    pair.world.act(&Act::Crash(pair.server));
    drop((listener, accepted)); // without a word
    pair.run(SECOND);
    assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock);
    pair.world.act(&Act::Restart(pair.server));
    write_all(&mut dialled, b"do you know me?");
    pair.run(millis(5));
    assert_eq!(read_error(&mut dialled), ErrorKind::ConnectionReset);
    assert_eq!(pair.world.sockets(pair.server), 0);
}

/// What had arrived and was not acknowledged yet when the host went down once waited for ever.
#[test]
fn bytes_that_a_crashed_peer_did_not_acknowledge_are_missed() {
    for (restart, error) in [(true, ErrorKind::ConnectionReset), (false, ErrorKind::TimedOut)] {
        let mut pair = Pair::new();
        let (_listener, mut dialled, accepted) = pair.connection();
        write_all(&mut dialled, b"hello");
        pair.run(millis(5));
        pair.world.act(&Act::Crash(pair.server));
        drop(accepted);
        if restart {
            pair.world.act(&Act::Restart(pair.server));
        }
        pair.run(1000 * SECOND);
        assert_eq!(read_error(&mut dialled), error);
        drop(dialled);
        assert_eq!((pair.world.lingering(pair.client), pair.world.next_due()), (0, None));
    }
}
