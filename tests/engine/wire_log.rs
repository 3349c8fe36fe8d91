//! Logs of the wire: what moved and nothing else, in bounded memory, and never at the cost of a connection.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::disallowed_methods, reason = "what is adopted is a plain socket")]

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::layers::narrow;
use crate::util::{ROUNDS, Rig, connect, pattern, receive, reset, send};
use tymist::net::SocketOptions;
use tymist::tyme::Tyme;
use tymist::wire::{Direction, Record, Tap, WireLog};
use tymist::{CloseReason, Config, Id, Server};

const PLENTY: usize = 1 << 20;

/// A rig that logs all connections.
fn logged(log: &WireLog) -> Rig {
    let mut rig = Rig::new(Config::new());
    rig.server.set_wire_log(Some(log.clone()));
    rig
}

fn bytes(records: &[Record], direction: Direction) -> Vec<u8> {
    let wanted = records.iter().filter(|record| record.direction == direction);
    wanted.flat_map(|record| record.data.to_vec()).collect()
}

/// Both ends of a connection that was made elsewhere.
fn far_and_near() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let far = connect(listener.local_addr().unwrap());
    (far, listener.accept().unwrap().0)
}

/// One question and one answer.
#[track_caller]
fn talk(rig: &mut Rig, client: &mut std::net::TcpStream, id: Id, ask: &[u8], reply: &[u8]) {
    send(client, ask);
    rig.until_unread(id, ask.len());
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.take(), ask);
    assert_eq!(remoter.tx(reply), Ok(reply.len()));
    rig.server.service_sends();
    assert_eq!(receive(client, reply.len()), reply);
}

#[test]
fn the_text_says_which_way_who_and_what() {
    let log = WireLog::memory(PLENTY);
    let mut rig = logged(&log);
    let (mut client, id) = rig.client();
    talk(&mut rig, &mut client, id, b"ping\n", b"p\xf6ng\0");
    let who = client.local_addr().unwrap();
    let rx = format!("\nRx {who}:\nping\n\n").into_bytes();
    let tx = [format!("\nTx {who}:\n").as_bytes(), b"p\xf6ng\0\n"].concat();
    assert_eq!(log.text(None), [&rx[..], &tx].concat());
    assert_eq!(log.text(Some(Direction::Rx)), rx);
    assert_eq!(log.text(Some(Direction::Tx)), tx);
    // An end is no byte.
    drop(client);
    rig.until_closed(id);
    assert_eq!(log.records().len(), 2);
    let (client, id) = rig.client();
    reset(client);
    rig.until_closed(id);
    assert_eq!((log.records().len(), log.dropped()), (2, 0));
}

#[test]
fn what_one_side_logs_as_sent_the_other_logs_as_received() {
    let (ours, theirs) = (WireLog::memory(64 << 20), WireLog::memory(64 << 20));
    let mut rig = logged(&ours);
    let mut far = Server::new(Config::new());
    let client = connect(rig.addr);
    let far_id = far.adopt_stream(client, &SocketOptions::new()).unwrap();
    far.remoter_mut(far_id).unwrap().set_wire_log(Some(theirs.clone()));
    rig.until_server(|server| server.len() == 1);
    let id = rig.server.ixes()[0];
    let (there, back) = (pattern(700_000), pattern(900_001));
    let (mut sent, mut replied, mut got, mut heard) = (0, 0, 0, 0);
    for _ in 0..ROUNDS {
        let remoter = rig.server.remoter_mut(id).unwrap();
        replied += remoter.tx(&back[replied..]).unwrap();
        got += remoter.take().len();
        let remoter = far.remoter_mut(far_id).unwrap();
        sent += remoter.tx(&there[sent..]).unwrap();
        heard += remoter.take().len();
        rig.tick_now();
        far.wait(Some(Duration::from_millis(1)));
        far.service();
        far.clear_events();
        if (got, heard) == (there.len(), back.len()) {
            break;
        }
    }
    assert_eq!((got, heard), (there.len(), back.len()));
    let (ours, theirs) = (ours.records(), theirs.records());
    assert!(bytes(&ours, Direction::Rx) == there && bytes(&theirs, Direction::Tx) == there);
    assert!(bytes(&ours, Direction::Tx) == back && bytes(&theirs, Direction::Rx) == back);
    assert!(ours.iter().all(|record| record.len == record.data.len() && record.len > 0));
}

#[test]
fn a_partial_write_shows_as_the_part() {
    let log = WireLog::memory(PLENTY);
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.wrap(|stream| narrow(stream, 7));
    remoter.set_wire_log(Some(log.clone()));
    remoter.tx(&pattern(20)).unwrap();
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 20), pattern(20));
    let parts: Vec<_> = log.records().iter().map(|record| record.data.to_vec()).collect();
    assert_eq!(parts, [&pattern(20)[..7], &pattern(20)[7..14], &pattern(20)[14..]]);
}

#[test]
fn what_is_queued_and_not_taken_by_the_network_is_not_logged() {
    let log = WireLog::memory(64 << 20);
    let mut rig = logged(&log);
    let (client, id) = rig.client();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.set_tx_limit(32 << 20);
    let data = pattern(32 << 20);
    remoter.tx(&data).unwrap();
    for _ in 0..100 {
        rig.tick();
    }
    let remoter = rig.server.remoter(id).unwrap();
    let (sent, left) = (remoter.counters().bytes_out as usize, remoter.tx_len());
    assert!(left > 0 && sent > 0 && sent + left == data.len());
    assert!(bytes(&log.records(), Direction::Tx) == data[..sent]);
    reset(client);
    rig.until_closed(id);
    assert_eq!(bytes(&log.records(), Direction::Tx).len(), sent);
}

#[test]
fn it_goes_on_and_off_at_run_time_and_no_byte_is_lost() {
    let log = WireLog::memory(PLENTY);
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let is_on = |rig: &Rig| (rig.server.remoter(id).unwrap().stream() as &dyn Any).is::<Tap>();
    let mut expected = Vec::new();
    for round in 0..20_u8 {
        // More is on the way each time that it changes.
        send(&mut client, &[round; 100]);
        let on = round % 3 == 1;
        let remoter = rig.server.remoter_mut(id).unwrap();
        remoter.set_wire_log(on.then(|| log.clone()));
        if round % 2 == 0 {
            remoter.set_wire_log(on.then(|| log.clone())); // Twice is once.
        }
        assert_eq!(is_on(&rig), on, "off, it is not even there");
        rig.until_unread(id, 100);
        assert_eq!(rig.server.remoter_mut(id).unwrap().take(), vec![round; 100]);
        talk(&mut rig, &mut client, id, &[round; 10], &[round; 5]);
        if on {
            expected.extend(vec![round; 110]);
        }
    }
    assert_eq!(bytes(&log.records(), Direction::Rx), expected);
    assert_eq!(bytes(&log.records(), Direction::Tx).len(), 6 * 5 + 5);
}

/// What was put around a connection since hid its log: it could not be taken off, and another was written beside it.
#[test]
fn regression_a_log_beneath_another_layer_is_taken_off_and_replaced() {
    let (all, secret) = (WireLog::memory(PLENTY), WireLog::memory(PLENTY).redacted());
    let mut rig = logged(&all);
    let (mut client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().wrap(|stream| narrow(stream, 7));
    talk(&mut rig, &mut client, id, b"hello", b"welcome");
    let before = all.records().len();
    assert_eq!(before, 2);
    rig.server.remoter_mut(id).unwrap().set_wire_log(Some(secret.clone()));
    talk(&mut rig, &mut client, id, b"name", b"word?");
    assert_eq!((all.records().len(), secret.records().len()), (before, 2));
    rig.server.remoter_mut(id).unwrap().wrap(|stream| narrow(stream, 7));
    rig.server.remoter_mut(id).unwrap().set_wire_log(None);
    talk(&mut rig, &mut client, id, b"word", b"right");
    assert_eq!((all.records().len(), secret.records().len()), (before, 2));
}

#[test]
fn a_log_for_the_server_is_for_those_that_come_from_then_on() {
    let log = WireLog::memory(PLENTY);
    let mut rig = Rig::new(Config::new());
    let (mut before, before_id) = rig.client();
    rig.server.set_wire_log(Some(log.clone()));
    let (mut logged, logged_id) = rig.client();
    rig.server.set_wire_log(None);
    let (mut after, after_id) = rig.client();
    talk(&mut rig, &mut before, before_id, b"before", b"before");
    talk(&mut rig, &mut logged, logged_id, b"logged", b"logged");
    talk(&mut rig, &mut after, after_id, b"after", b"after");
    assert_eq!(bytes(&log.records(), Direction::Rx), b"logged");
    let peer = logged.local_addr().unwrap().into();
    assert!(log.records().iter().all(|record| record.peer == peer));
}

/// An adopted connection went past the server's log.
#[test]
fn an_adopted_connection_is_logged_like_any_other() {
    let log = WireLog::memory(PLENTY);
    let mut rig = logged(&log);
    let (mut client, stream) = far_and_near();
    let id = rig.server.adopt_stream(stream, &SocketOptions::new()).unwrap();
    talk(&mut rig, &mut client, id, b"ask", b"answer");
    assert_eq!(bytes(&log.records(), Direction::Rx), b"ask");
    assert_eq!(bytes(&log.records(), Direction::Tx), b"answer");
}

#[test]
fn a_sink_that_fails_does_not_touch_the_connection() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let log = WireLog::each(move |_| {
        if counted.fetch_add(1, Ordering::Relaxed) == 1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    let mut rig = logged(&log);
    let (mut client, id) = rig.client();
    for _ in 0..5 {
        talk(&mut rig, &mut client, id, b"ask", b"reply");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2, "after an error it is not called");
    assert_eq!(log.take_error().unwrap().kind(), io::ErrorKind::StorageFull);
    assert!(log.take_error().is_none());
    talk(&mut rig, &mut client, id, b"ask", b"reply");
    assert_eq!(calls.load(Ordering::Relaxed), 4, "once the error was taken it goes on");
    drop(client);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
}

#[test]
fn a_sink_of_ones_own_gets_each_record() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let log = WireLog::each(move |record| {
        into.lock().unwrap().push(record.clone());
        Ok(())
    });
    let mut rig = logged(&log);
    log.wind(rig.tymist.tymth());
    rig.tick_at(Tyme::from_secs(3));
    let (mut client, id) = rig.client();
    talk(&mut rig, &mut client, id, b"ask", b"reply");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].direction, &seen[0].data[..]), (Direction::Rx, &b"ask"[..]));
    assert_eq!((seen[1].direction, &seen[1].data[..]), (Direction::Tx, &b"reply"[..]));
    assert_eq!(seen[0].tyme, Some(Tyme::from_secs(3)));
    assert!(log.records().is_empty() && log.path().is_none());
}

/// hio's crashed when it was closed.
#[test]
fn a_file_log_of_one_direction() {
    let path = {
        let log = WireLog::temporary().unwrap();
        log.path().unwrap().with_extension("one-direction")
    };
    let log = WireLog::file(&path).unwrap().only(Direction::Rx);
    assert_eq!(WireLog::file(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let mut rig = logged(&log);
    let (mut client, id) = rig.client();
    talk(&mut rig, &mut client, id, b"first", b"reply");
    log.flush().unwrap();
    let who = client.local_addr().unwrap();
    let first = format!("\nRx {who}:\nfirst\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    talk(&mut rig, &mut client, id, b"second", b"reply");
    assert_eq!(log.path(), Some(path.clone()));
    assert!(log.take_error().is_none());
    drop((rig, log)); // What was buffered goes out with the last handle.
    let both = format!("{first}\nRx {who}:\nsecond\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), both, "and it stays");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn temporary_logs_have_names_of_their_own_and_are_removed() {
    let (log, other) = (WireLog::temporary().unwrap(), WireLog::temporary().unwrap());
    let (path, other_path) = (log.path().unwrap(), other.path().unwrap());
    assert_ne!(path, other_path);
    let mut rig = logged(&log);
    let (mut client, id) = rig.client();
    talk(&mut rig, &mut client, id, b"ask", b"reply");
    log.flush().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\nask\n") && text.contains("\nreply\n"), "{text}");
    drop(log);
    assert!(path.exists(), "the server still has a handle");
    drop((rig, client));
    assert!(!path.exists());
    drop(other);
    assert!(!other_path.exists());
}

#[test]
fn memory_is_bounded_and_keeps_the_latest() {
    let log = WireLog::memory(10_000);
    let mut rig = logged(&log);
    let (mut client, id) = rig.client();
    for round in 0..200_u8 {
        talk(&mut rig, &mut client, id, &[round; 100], &[round; 100]);
        let held: usize =
            log.records().iter().map(|record| record.data.len() + size_of::<Record>()).sum();
        assert!(held <= 10_000, "{held} in round {round}");
    }
    let records = log.records();
    assert_eq!(records.len() as u64 + log.dropped(), 400);
    assert!(records.len() > 40, "as many as fit");
    assert!(
        records
            .iter()
            .rev()
            .zip((0..200_u8).rev().flat_map(|round| [round; 2]))
            .all(|(record, round)| record.data == vec![round; 100])
    );
}

#[test]
fn a_redacted_log_knows_everything_but_the_bytes() {
    let log = WireLog::memory(PLENTY).redacted();
    let mut rig = logged(&log);
    let (mut client, id) = rig.client();
    talk(&mut rig, &mut client, id, b"secret", b"password");
    let who = client.local_addr().unwrap();
    assert_eq!(
        String::from_utf8(log.text(None)).unwrap(),
        format!("\nRx {who}:\n(6 bytes)\n\nTx {who}:\n(8 bytes)\n")
    );
    let records = log.records();
    assert_eq!((records[0].len, records[1].len), (6, 8));
    assert!(records.iter().all(|record| record.data.is_empty()));
}
