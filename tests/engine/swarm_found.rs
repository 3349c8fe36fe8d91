//! What the swarm has found, each bug with the least that shows it.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::far::{Desk, addr};
use crate::sealed::sealed;
use tymist::{Backoff, CloseReason, Connect, Deadline, Event, TxError, Wake};

const SECOND: Duration = Duration::from_secs(1);

fn every_second() -> Connect {
    let mut connect = Connect::new(addr(1));
    connect.reconnect = Some(Backoff::every(SECOND));
    connect
}

#[test]
fn an_end_is_told_on_the_connection_after_one_that_broke_while_writing() {
    let mut desk = Desk::new();
    let id = desk.dial(every_second());
    desk.far.up(0);
    desk.tick();
    // A write that fails is followed by a last read, whose end is none of the peer's.
    desk.clients.tx(id, b"hello").unwrap();
    desk.far.reset(0);
    let events = desk.tick();
    assert!(matches!(events[..], [Event::Disconnected { reason: CloseReason::Reset, .. }]));
    desk.tick_after(SECOND);
    desk.far.up(1);
    desk.far.end(1);
    assert_eq!(desk.tick(), [Event::Connected(id), Event::Eof(id)]);
    let events = desk.tick();
    assert!(matches!(events[..], [Event::Disconnected { reason: CloseReason::Eof, .. }]));
}

#[test]
fn nothing_is_queued_for_the_next_connection_before_the_end_of_the_last_was_told() {
    let mut desk = Desk::new();
    let id = desk.dial(every_second());
    desk.far.up(0);
    desk.tick();
    desk.far.send(0, b"hi");
    desk.far.end(0);
    desk.clients.remoter_mut(id).unwrap().set_half_open(false);
    desk.far.reset(0);
    // What a loop does that answers before it takes the next event.
    desk.clients.service();
    let before: Vec<Event> = std::iter::from_fn(|| {
        let queued = desk.clients.tx(id, b"meant for the old one");
        assert_eq!(queued, Err(TxError::Closed));
        let remoter = desk.clients.remoter_mut(id).unwrap();
        remoter.shutdown_send();
        assert_eq!((remoter.may_send(), remoter.tx_room()), (false, 0));
        desk.clients.poll_event().filter(|event| !matches!(event, Event::Disconnected { .. }))
    })
    .collect();
    assert!(!before.contains(&Event::Connected(id)));
    // From here on it is for the next one.
    assert_eq!(desk.clients.tx(id, b"for the new one"), Ok(15));
    desk.tick_after(SECOND);
    desk.far.up(1);
    desk.tick();
    desk.tick();
    let second = desk.far.get(1);
    assert_eq!((&second.got[..], second.got_end), (&b"for the new one"[..], false));
    // A round that came to nothing was no connection: what waits, and what is added meanwhile, waits on.
    let other = desk.dial(every_second());
    desk.far.fail(2, 111);
    desk.clients.service();
    assert_eq!(desk.clients.tx(other, b"early"), Ok(5));
}

#[test]
fn new_timeouts_do_not_put_off_the_try_that_was_told() {
    let mut desk = Desk::new();
    let id = desk.dial(every_second());
    desk.far.fail(0, 111);
    desk.tick();
    desk.tick_after(SECOND / 2);
    let timeouts = desk.clients.config().timeouts.clone();
    desk.clients.remoter_mut(id).unwrap().set_timeouts(timeouts);
    desk.tick();
    let retry_at = desk.retry_at();
    assert_eq!(desk.clients.wake(), Wake::At(retry_at));
    desk.tick_at(retry_at);
    assert_eq!(desk.far.tries(), 2);
}

#[test]
fn a_farewell_for_which_there_is_no_room_is_not_waited_for_for_ever() {
    for close in [true, false] {
        let (mut desk, sealed, id) = sealed();
        let remoter = desk.clients.remoter_mut(id).unwrap();
        if close {
            remoter.close();
        } else {
            remoter.shutdown_send();
        }
        desk.tick();
        assert_eq!(sealed.held(), 26);
        let stall = Event::Expired(id, Deadline::WriteStall);
        assert_eq!(desk.tick_after(SECOND - Duration::from_nanos(1)), []);
        let reason = CloseReason::Expired(Deadline::WriteStall);
        assert_eq!(desk.tick_after(SECOND), [stall, Event::Closed(id, reason)]);
        assert!(desk.far.get(0).dropped);
    }
}

#[test]
fn what_a_read_sends_on_has_not_stalled() {
    let (mut desk, sealed, id) = sealed();
    desk.clients.tx(id, b"hello").unwrap();
    desk.tick();
    assert_eq!(sealed.held(), 5);
    sealed.room_at_read.store(true, Ordering::Relaxed);
    desk.far.send(0, b"hi");
    assert_eq!(desk.tick(), [Event::Received(id), Event::Drained(id)]);
    assert_eq!(sealed.held(), 0);
    assert_eq!(desk.tick_after(SECOND * 10), []);
    assert!(desk.clients.remoter(id).unwrap().is_connected());
}

#[test]
fn an_idle_timeout_that_nothing_refreshes_is_not_put_off_where_a_budget_ends_the_tick() {
    let mut desk = Desk::with(|config| {
        config.timeouts.idle = Some(SECOND);
        config.refreshable = false;
        config.limits.tick_bytes = 4;
    });
    let ids = [0, 1].map(|number| {
        let id = desk.dial(addr(1));
        desk.far.up(number);
        id
    });
    desk.tick();
    // One takes all of the tick, the other has spoken, too.
    [0, 1].into_iter().for_each(|number| desk.far.send(number, b"much more than four"));
    let events = desk.tick_after(SECOND);
    for id in ids {
        assert!(
            events.contains(&Event::Closed(id, CloseReason::Expired(Deadline::Idle))),
            "{events:?}"
        );
    }
}

#[test]
fn the_first_in_line_does_not_take_all_the_room_there_comes_to_be() {
    let mut desk = Desk::with(|config| config.limits.buffered = 9);
    let ids = [0, 1, 2].map(|number| {
        let id = desk.dial(addr(1));
        desk.far.up(number);
        desk.far.send(number, &[7; 1000]);
        id
    });
    for _ in 0..30 {
        desk.tick();
        ids.iter().for_each(|id| drop(desk.clients.remoter_mut(*id).unwrap().take()));
    }
    let got = ids.map(|id| desk.clients.remoter(id).unwrap().counters().bytes_in);
    assert!(got.iter().all(|got| *got >= 8 * 9), "{got:?}");
}
