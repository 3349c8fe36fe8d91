//! What a layer keeps back leaves before an end, and before a reset that waits for what is queued.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sealed::sealed;
use tymist::{CloseReason, Deadline, Event};

#[test]
fn a_reset_behind_what_is_queued_waits_for_what_the_layer_holds() {
    let (mut desk, sealed, id) = sealed();
    desk.clients.tx(id, b"hello").unwrap();
    desk.tick();
    assert_eq!((sealed.held(), desk.clients.remoter(id).unwrap().tx_len()), (5, 0));
    desk.clients.remoter_mut(id).unwrap().abort_once_sent();
    assert_eq!(desk.tick(), []);
    assert!(!desk.far.get(0).dropped);
    sealed.room_at_flush.store(true, Ordering::Relaxed);
    desk.far.report(0);
    assert_eq!(desk.tick(), [Event::Closed(id, CloseReason::Aborted)]);
    assert_eq!(sealed.held(), 0);
    assert!(desk.far.get(0).aborted);
}

#[test]
fn an_answer_that_the_layer_holds_leaves_before_the_connection_ends() {
    for quiet in [true, false] {
        let (mut desk, sealed, id) = sealed();
        sealed.quiet.store(quiet, Ordering::Relaxed);
        desk.far.end(0);
        desk.clients.tx(id, b"hello").unwrap();
        assert_eq!(desk.tick(), [Event::Eof(id)]);
        assert_eq!(desk.tick(), []);
        assert_eq!(sealed.held(), 5, "not even the farewell yet");
        assert!(!desk.far.get(0).dropped);
        sealed.room_at_flush.store(true, Ordering::Relaxed);
        desk.far.report(0);
        desk.tick();
        desk.tick();
        assert_eq!(desk.log.last(), Some(&Event::Closed(id, CloseReason::Eof)), "{:?}", desk.log);
        assert_eq!(sealed.held(), 0);
        assert!(!desk.far.get(0).aborted && desk.far.get(0).dropped);
    }
}

#[test]
fn a_farewell_for_which_there_is_room_leaves_with_the_close() {
    let (mut desk, sealed, id) = sealed();
    sealed.room_at_flush.store(true, Ordering::Relaxed);
    desk.clients.remoter_mut(id).unwrap().close();
    desk.tick();
    assert_eq!(sealed.held(), 0);
}

#[test]
fn what_the_layer_still_holds_when_a_deadline_passes_is_cut_off_by_a_reset() {
    let (mut desk, sealed, id) = sealed();
    desk.clients.tx(id, b"hello").unwrap();
    desk.tick();
    let reason = CloseReason::Expired(Deadline::WriteStall);
    let stall = Event::Expired(id, Deadline::WriteStall);
    assert_eq!(desk.tick_after(Duration::from_secs(1)), [stall, Event::Closed(id, reason)]);
    assert_eq!((sealed.held(), desk.clients.buffered()), (5, 0));
    assert!(desk.far.get(0).aborted, "the peer would take what it has for all");
}

#[test]
fn regression_what_leaves_with_our_end_stalls_no_more() {
    let (mut desk, sealed, id) = sealed();
    desk.clients.tx(id, b"hello").unwrap();
    desk.tick();
    assert_eq!(sealed.held(), 5);
    sealed.room_at_end.store(true, Ordering::Relaxed);
    desk.clients.remoter_mut(id).unwrap().shutdown_send();
    desk.tick();
    assert_eq!(sealed.held(), 0);
    assert_eq!(desk.tick_after(Duration::from_secs(2)), [], "all is out, and an answer awaited");
    assert!(desk.clients.remoter(id).unwrap().may_receive());
}
