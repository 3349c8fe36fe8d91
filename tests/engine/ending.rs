//! The way of an end, on a scripted network: what is told and done at once, what waits, and what is left of it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use crate::far::{Desk, addr};
use crate::util::script::{Accept, Peer, Read, Script, Write};
use tymist::net::Stage;
use tymist::tyme::{Tyme, Tymist};
use tymist::{
    Backoff, CloseReason, Connect, Deadline, Event, GramConfig, Timeouts, TxError, TxFull, Wake,
};

/// The user has not heard of it yet, and may have an answer.
#[test]
fn the_peers_end_ends_nothing_before_it_was_told() {
    let mut script = Script::with(|config| config.timeouts.linger = None);
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.tick();
    peer.then([Read::End]);
    for _ in 0..3 {
        script.server.service();
        assert_eq!(script.server.remoter(id).unwrap().close_reason(), None);
    }
    assert_eq!(script.server.poll_event(), Some(Event::Eof(id)));
    script.server.tx(id, b"answer").unwrap();
    assert_eq!(script.ticks(2), [Event::Closed(id, CloseReason::Eof)]);
    assert_eq!(peer.far().written, b"answer");
}

/// Nothing of it is left for the next one, whose user may have an answer to its own end.
#[test]
fn an_end_that_is_taken_late_is_not_the_next_connections() {
    let mut desk = Desk::new();
    let mut connect = Connect::new(addr(1));
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let id = desk.dial(connect);
    desk.far.up(0);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    desk.far.end(0);
    // Nobody takes the event before the linger is over.
    desk.clients.service();
    desk.tymist.tick_by(Duration::from_secs(6));
    let told = desk.tick();
    assert_eq!(told.first(), Some(&Event::Eof(id)));
    assert!(matches!(told.last(), Some(Event::Disconnected { .. })), "{told:?}");
    desk.tick_after(Duration::from_secs(2));
    desk.far.up(1);
    assert_eq!(desk.tick(), [Event::Connected(id)]);
    desk.far.end(1);
    desk.clients.service();
    assert_eq!(desk.clients.poll_event(), Some(Event::Eof(id)));
    desk.clients.tx(id, b"answer").unwrap();
    desk.tick();
    assert_eq!(desk.far.get(1).got, b"answer");
}

#[test]
fn an_end_that_finds_the_peer_gone_leaves_it_to_the_read_to_say_how() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    peer.far().end_fails = Some(ErrorKind::NotConnected);
    script.server.remoter_mut(id).unwrap().close();
    assert_eq!(script.ticks(2), []);
    peer.then([Read::Fails(104)]);
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Reset)]);
}

/// Whoever cannot end would be waited for, as if the peer had heard of it.
#[test]
fn an_end_that_fails_ends_the_connection_and_says_how() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    peer.far().end_fails = Some(ErrorKind::Other);
    script.server.remoter_mut(id).unwrap().close();
    let why = CloseReason::Io(ErrorKind::Other.into());
    assert_eq!(script.ticks(2), [Event::Closed(id, why)]);
}

/// Somebody's middleware, say: tried again it would be a spin.
#[test]
fn a_write_that_takes_nothing_ends_the_connection() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(1, []).writing([Write::Takes(0)]);
    let id = script.admits(&peer);
    script.tick();
    script.server.tx(id, b"hello").unwrap();
    let why = CloseReason::Io(ErrorKind::WriteZero.into());
    assert_eq!(script.tick(), [Event::Closed(id, why)]);
}

#[test]
fn the_place_of_a_failed_handshake_is_free_at_once() {
    let mut script = Script::with(|_| {});
    script.server.listen_with(([192, 0, 2, 9], 0), Arc::new(|stream| stream)).unwrap();
    for (port, step) in [(1, Err(ErrorKind::ConnectionAborted.into())), (2, Ok(Stage::Live))] {
        let peer = Peer::new(port, []);
        peer.far().handshake.push_back(step);
        script.accepts([Accept::Peer(peer)]);
        script.ticks(2);
    }
    assert!(matches!(script.log[0], Event::HandshakeFailed { .. }), "{:?}", script.log);
    let Event::Accepted(id) = script.log[1] else { panic!("{:?}", script.log) };
    assert_eq!((id.index(), id.generation()), (0, 2));
}

#[test]
fn who_is_taken_out_is_told_at_once() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.tick();
    let detached = script.server.detach(id);
    assert!(detached.is_some() && script.server.is_empty());
    assert_eq!(script.server.poll_event(), Some(Event::Closed(id, CloseReason::Detached)));
}

/// It was taken out without a socket that works, and told to have ended otherwise.
#[test]
fn regression_who_is_ending_by_force_cannot_be_taken_out() {
    for aborted in [true, false] {
        let mut script = Script::with(|config| {
            config.limits.tx_bytes = 10;
            config.tx_full = TxFull::Close;
        });
        let peer = Peer::new(1, []);
        let id = script.admits(&peer);
        script.tick();
        let reason = if aborted {
            script.server.remoter_mut(id).unwrap().abort();
            CloseReason::Aborted
        } else {
            assert_eq!(script.server.tx(id, &[0; 11]), Err(TxError::Overflow));
            CloseReason::TxFull
        };
        assert!(script.server.detach(id).is_none());
        assert_eq!(script.tick(), [Event::Closed(id, reason)]);
        assert!(peer.far().dropped);
    }
}

#[test]
fn a_reset_once_all_is_sent_is_one_at_once_where_nothing_is_queued() {
    let mut script = Script::with(|_| {});
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.tick();
    script.server.remoter_mut(id).unwrap().abort_once_sent();
    let far = peer.far();
    assert!(far.dropped && far.abortive);
    drop(far);
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Aborted)]);
}

#[test]
fn a_tick_counts_those_that_ended_in_it() {
    let mut script = Script::with(|_| {});
    let peers = [1, 2, 3].map(|port| Peer::new(port, []));
    let ids = peers.each_ref().map(|peer| script.admits(peer));
    script.tick();
    for id in &ids[..2] {
        script.server.remoter_mut(*id).unwrap().abort();
    }
    assert_eq!(script.server.service().closed, 2);
    assert_eq!(script.server.service().closed, 0);
    // The end of all is a tick of its own.
    script.server.tx(ids[2], b"bye").unwrap();
    script.server.close();
    let after = script.server.service();
    assert_eq!((after.closed, after.bytes_out), (0, 0));
    assert_eq!(peers[2].far().written, b"bye");
}

#[test]
fn after_a_drain_datagrams_are_closed_too() {
    let mut script = Script::with(|_| {});
    let endpoint = script.server.bind(([192, 0, 2, 9], 9), GramConfig::new()).unwrap();
    script.tick();
    script.server.drain(None);
    assert_eq!(script.tick(), [Event::DrainEnded { cut: 0 }]);
    assert!(!script.server.endpoint(endpoint).unwrap().opened());
    assert_eq!(script.server.wake(), Wake::OnIo);
}

/// Zero was taken for no deadline; that it is in `Timeouts`, and nowhere else.
#[test]
fn regression_a_drain_within_no_time_cuts_at_once() {
    let cut = |id| {
        [Event::Closed(id, CloseReason::Expired(Deadline::Drain)), Event::DrainEnded { cut: 1 }]
    };
    let mut script = Script::with(|_| {});
    let id = script.admits(&Peer::new(1, []));
    script.tick();
    script.server.drain(Some(Duration::ZERO));
    assert_eq!(script.server.wake(), Wake::Now);
    assert_eq!(script.tick(), cut(id));

    // Also where one goes on that has longer, or for ever.
    for within in [None, Some(Duration::from_secs(9))] {
        let mut script = Script::with(|config| config.timeouts.drain = Some(Duration::ZERO));
        let id = script.admits(&Peer::new(1, []));
        script.tick();
        script.server.drain(within);
        let deadline = within.map_or(Tyme::NEVER, |within| script.server.tyme() + within);
        assert_eq!(script.server.draining().unwrap().deadline, deadline);
        assert_eq!(script.tick(), [Event::Draining { left: 1 }]);
        script.server.drain(Some(Duration::ZERO));
        assert_eq!(script.server.wake(), Wake::Now);
        assert_eq!(script.tick(), cut(id));
    }
}

#[test]
fn a_close_ends_a_drain_and_is_all_that_is_told() {
    let mut script = Script::with(|_| {});
    let id = script.admits(&Peer::new(1, []));
    script.server.drain(None);
    assert!(script.tick().contains(&Event::Draining { left: 1 }));
    script.server.close();
    assert_eq!(script.server.draining(), None);
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::ServerClosed)]);
}

/// It waited for the peer's end for ever, once there was no time-out any more for that.
#[test]
fn regression_who_is_not_to_wait_for_the_end_any_more_does_not() {
    for wound in [false, true] {
        let mut script = Script::with(|_| {});
        let peer = Peer::new(1, []);
        let id = script.admits(&peer);
        script.tick();
        script.server.remoter_mut(id).unwrap().close();
        assert_eq!(script.tick(), []);
        if wound {
            script.server.config_mut().timeouts.linger = None;
            script.tymist = Tymist::new();
            script.server.wind(script.tymist.tymth());
        } else {
            let mut never = Timeouts::new();
            never.linger = None;
            script.server.remoter_mut(id).unwrap().set_timeouts(never);
        }
        assert_eq!(script.server.wake(), Wake::Now, "wound: {wound}");
        assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Local)], "wound: {wound}");
    }
}

/// A lifetime that is given to one that is closing already ends it as it does others.
#[test]
fn regression_a_lifetime_given_while_it_closes_is_minded() {
    let mut script = Script::with(|config| config.timeouts.write_stall = None);
    let peer = Peer::new(1, []).writing([Write::Never]);
    let id = script.admits(&peer);
    script.tick();
    script.server.tx(id, b"stuck").unwrap();
    script.server.remoter_mut(id).unwrap().close();
    script.tick();
    let mut short = Timeouts::new();
    (short.lifetime, short.write_stall) = (Some(Duration::from_secs(1)), None);
    script.server.remoter_mut(id).unwrap().set_timeouts(short);
    assert_eq!(script.tick(), []);
    let events = script.tick_after(Duration::from_secs(1));
    assert_eq!(events.first(), Some(&Event::Expired(id, Deadline::Lifetime)));
    assert!(matches!(events[1..], [Event::Closed(..)]), "{events:?}");
    assert_eq!(script.server.len(), 0);
}

/// A tick would start the time that its user has, if there were one.
#[test]
fn whose_user_may_take_any_time_wants_no_tick() {
    for linger in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let mut script = Script::with(|config| config.timeouts.linger = linger);
        let peer = Peer::new(1, []);
        let id = script.admits(&peer);
        script.tick();
        peer.then([Read::Bytes(b"unread".to_vec()), Read::End]);
        assert_eq!(script.ticks(2), [Event::Received(id), Event::Eof(id)]);
        assert_eq!(script.server.remoter_mut(id).unwrap().rx(), b"unread");
        assert_ne!(script.server.wake(), Wake::Now, "{linger:?}");
    }
}

/// Only a tick starts the time that its user has; a loop that goes by `wake` came to none.
#[test]
fn regression_who_stays_half_open_no_longer_wants_a_tick() {
    let mut script = Script::with(|config| config.half_open = true);
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.tick();
    peer.then([Read::Bytes(b"unread".to_vec()), Read::End]);
    script.ticks(3);
    assert_eq!(script.server.wake(), Wake::OnIo);
    script.server.remoter_mut(id).unwrap().set_half_open(false);
    assert_eq!(script.server.wake(), Wake::Now);
    script.tick();
    assert_eq!(script.server.wake(), Wake::At(script.server.tyme() + Duration::from_secs(5)));
}
