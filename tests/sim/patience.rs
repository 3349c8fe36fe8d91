//! How long TCP in a simulated world waits for a peer that does not read, does not answer, or has let go: as long as Linux does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;
use std::time::Duration;

use crate::sim_util::*;
use tymist::net::{Dial, Stream};
use tymist::sim::{Act, Cut, HostSpec, WorldSpec};

/// A pair whose server takes in little, so that a writer is soon blocked.
fn narrow() -> Pair {
    let mut server = HostSpec::new("server");
    server.recv_buffer = 1000;
    let mut client = HostSpec::new("client");
    client.send_buffer = 1000;
    Pair::with(WorldSpec::new(1), server, client)
}

/// Writes until nothing is taken any more.
fn fill(pair: &mut Pair, stream: &mut Box<dyn Stream>) {
    for _ in 0..10 {
        while write(stream, &[7; 500]).is_ok() {}
        pair.run(millis(100));
    }
}

fn impatient(pair: &mut Pair, port: u16) -> Box<dyn Stream> {
    let mut dial = Dial::new(pair.target(port));
    dial.socket.user_timeout = Some(3 * SECOND);
    pair.client_net.connect(&dial).unwrap()
}

#[test]
fn a_reader_that_stops_is_probed_ever_less_often() {
    let mut pair = narrow();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    fill(&mut pair, &mut dialled);
    // Back-offs of 200 ms and doubling reach 2 minutes within 205 s; each probe is two packets and a timer.
    let steps = pair.world.run_for(205 * SECOND);
    assert!(steps < 50, "{steps} steps");
    let steps = pair.world.run_for(3600 * SECOND);
    assert!((60..=100).contains(&steps), "{steps} steps");
    assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock, "it is not given up");
    let (got, _) = drain(&mut accepted).unwrap();
    assert_eq!(got.len(), 1000);
    pair.run(MS * 10);
    assert_eq!(drain(&mut accepted).unwrap().0.len(), 1000, "room is told at once");
}

#[test]
fn back_off_begins_anew_once_the_window_has_opened() {
    let mut pair = narrow();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    fill(&mut pair, &mut dialled);
    pair.run(1000 * SECOND);
    drain(&mut accepted).unwrap();
    pair.run(millis(10));
    fill(&mut pair, &mut dialled);
    let before = pair.world.stats().retries;
    pair.run(2 * SECOND);
    assert!(pair.world.stats().retries > before, "not only after two minutes");
}

#[test]
fn user_timeout_ends_a_connection_whose_peer_does_not_read() {
    let mut pair = narrow();
    let _listener = pair.listen(80);
    let mut dialled = impatient(&mut pair, 80);
    pair.run(millis(5));
    assert!(dialled.connected().unwrap());
    // A second; the limit counts from the first question for room on.
    fill(&mut pair, &mut dialled);
    pair.run(2_100 * MS);
    assert_eq!(read_error(&mut dialled), ErrorKind::WouldBlock);
    pair.run(millis(400));
    assert_eq!(read_error(&mut dialled), ErrorKind::TimedOut);
}

#[test]
fn user_timeout_ends_an_attempt_to_connect() {
    let mut pair = Pair::new();
    pair.world.act(&Act::Crash(pair.server));
    let mut down = impatient(&mut pair, 80);
    pair.run(2_999 * MS);
    assert!(!down.connected().unwrap());
    pair.run(MS);
    assert_eq!(down.connected().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn user_timeout_ends_an_attempt_that_a_full_backlog_ignores() {
    let mut pair = Pair::new();
    let _listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
    let _first = pair.dial(80);
    pair.run(millis(5));
    let mut second = impatient(&mut pair, 80);
    pair.run(2_999 * MS);
    assert!(!second.connected().unwrap());
    pair.run(MS);
    assert_eq!(second.connected().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn user_timeout_counts_while_an_answer_is_under_way() {
    let mut pair = Pair::new();
    let _listener = pair.listen(80);
    let far = tymist::sim::Link::new(10 * SECOND);
    pair.world.set_link(pair.client, pair.server, &far);
    let mut dialled = impatient(&mut pair, 80);
    pair.run(3 * SECOND);
    assert_eq!(dialled.connected().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn an_orphan_whose_peer_does_not_read_ends() {
    let mut pair = narrow();
    let (_listener, mut dialled, _accepted) = pair.connection();
    fill(&mut pair, &mut dialled);
    drop(dialled);
    pair.run(200 * SECOND);
    assert_eq!(pair.world.lingering(pair.client), 1);
    pair.run(200 * SECOND);
    assert_eq!(pair.world.lingering(pair.client), 0);
    assert_eq!(pair.world.next_due(), None);
}

#[test]
fn an_orphan_whose_peer_does_not_answer_ends() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, _accepted) = pair.connection();
    pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
    write_all(&mut dialled, b"lost");
    drop(dialled);
    pair.run(100 * SECOND);
    assert_eq!(pair.world.lingering(pair.client), 1);
    pair.run(10 * SECOND);
    assert_eq!(pair.world.lingering(pair.client), 0);
    assert_eq!(pair.world.next_due(), None);
}

#[test]
fn an_orphan_that_waited_for_its_peers_end_gives_its_port_back_after_a_minute() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let local = tymist::net::Addr::from((pair.world.host(pair.client).addrs()[0], 5000));
    let mut dial = Dial::new(pair.target(80));
    dial.local = Some(local);
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    assert!(dialled.connected().unwrap());
    let _accepted = listener.accept().unwrap();
    drop(dialled);
    pair.run(59 * SECOND);
    assert!(pair.client_net.connect(&dial).is_err());
    pair.run(2 * SECOND);
    assert!(pair.client_net.connect(&dial).is_ok());
    pair.run(Duration::from_secs(1));
}
