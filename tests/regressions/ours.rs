//! Found in this crate while it was tested.

use std::time::Duration;

use tymist::{CloseReason, Config, Event, RxFull, Wake};

use crate::util::script::{Accept, Peer, Read, Script, Write};
use crate::util::{Rig, end, pattern};

/// The queue ran empty and the connection ended in one and the same tick: `Drained` came after `Closed`, which is to be the last.
#[test]
fn ours_drained_never_comes_after_closed() {
    // Cut for its own overflow, right after its queue has run empty.
    let mut script = Script::with(|config| {
        config.rx_full = RxFull::Close;
        config.limits.rx_bytes = 4;
    });
    let peer = Peer::new(1, [Read::Bytes(b"full".to_vec())]).writing([Write::Blocks]);
    let id = script.admits(&peer);
    script.tick();
    script.server.tx(id, b"blocked").unwrap();
    script.tick();
    assert_eq!(script.server.remoter(id).unwrap().rx(), b"full");
    peer.report(false, true);
    peer.then([Read::Bytes(b"!".to_vec())]);
    let events = script.tick();
    assert_eq!(events.last(), Some(&Event::Closed(id, CloseReason::RxFull)), "{events:?}");

    // Reset right after its queue has run empty.
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, []).writing([Write::Blocks]);
    let id = script.admits(&peer);
    script.tick();
    script.server.tx(id, b"blocked").unwrap();
    script.tick();
    peer.report(false, true);
    peer.then([Read::Fails(104)]);
    let events = script.tick();
    assert_eq!(events.last(), Some(&Event::Closed(id, CloseReason::Reset)), "{events:?}");
    assert_eq!(script.ticks(3), []);
}

/// With the whole engine's memory taken, `Drained` waits; the connection may be gone before it is told.
#[test]
fn ours_drained_of_a_connection_that_is_gone_is_not_told() {
    let mut script = Script::with(|config| config.limits.buffered = 10);
    let hoarder = Peer::new(1, [Read::Bytes(b"nine char".to_vec())]);
    let other = Peer::new(2, []);
    let (hoarder_id, id) = (script.admits(&hoarder), script.admits(&other));
    script.ticks(2);
    assert_eq!(script.server.buffered(), 9, "an eighth is kept for what goes out");
    script.server.config_mut().limits.buffered = 9;
    script.ticks(1);
    assert_eq!(script.server.tx(id, b"x"), Ok(0), "no room: Drained is owed");
    script.tick();
    script.server.remoter_mut(id).unwrap().abort();
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Aborted)]);
    script.server.remoter_mut(hoarder_id).unwrap().take();
    assert_eq!(script.ticks(3), []);
}

/// A peer ends its half after its request; the reply is longer than the queue, so it goes in pieces, each at `Drained`. The connection
/// was closed as soon as the queue was empty for a moment, and the rest of the reply was lost.
#[test]
fn ours_a_reply_in_pieces_to_a_half_closed_peer_arrives_whole() {
    let mut rig = Rig::with(|config| config.limits.tx_bytes = 100_000);
    let (mut client, id) = rig.client();
    end(&client);
    let reply = pattern(5_000_000);
    let mut sent = rig.server.tx(id, &reply).unwrap();
    assert_eq!(sent, 100_000);
    client.set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut reason = None;
    for _ in 0..crate::util::ROUNDS {
        for event in rig.tick() {
            match event {
                Event::Drained(_) => sent += rig.server.tx(id, &reply[sent..]).unwrap(),
                Event::Closed(_, why) => reason = Some(why),
                _ => {}
            }
        }
        while let Ok(count @ 1..) = std::io::Read::read(&mut client, &mut buffer) {
            got.extend_from_slice(&buffer[..count]);
        }
        if reason.is_some() {
            break;
        }
    }
    assert_eq!(reason, Some(CloseReason::Eof));
    assert!(sent == reply.len() && got == reply, "{sent} queued, {} arrived", got.len());
    assert!(matches!(rig.log.last(), Some(Event::Closed(..))), "{:?}", rig.log.last());
}

/// Who decides at the `Eof` event to keep a connection half-open was closed by the linger deadline that the end had started.
#[test]
fn ours_half_open_chosen_at_the_eof_event_is_kept() {
    let mut rig = Rig::new(Config::new());
    let (client, id) = rig.client();
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    rig.server.remoter_mut(id).unwrap().set_half_open(true);
    assert_eq!(rig.tick_now(), []);
    assert_eq!(rig.tick_after(Duration::from_secs(3600)), []);
    assert!(rig.server.remoter(id).unwrap().may_send());
    // And back: then it ends as any other.
    rig.server.remoter_mut(id).unwrap().set_half_open(false);
    assert_eq!(rig.tick_now(), [Event::Closed(id, CloseReason::Eof)]);
}

/// With the whole engine's memory taken, a connection that could still send was left lying: its budget of the tick was over, and then
/// another one took the room that it had made.
#[test]
fn ours_who_can_send_is_not_forgotten_while_memory_is_full() {
    let mut script = Script::with(|config| {
        config.limits.buffered = 100;
        config.limits.remoter_tick_bytes = 10;
    });
    let sender = Peer::new(1, []);
    let hoarders = [Peer::new(2, [Read::Endless]), Peer::new(3, [Read::Endless])];
    let id = script.admits(&sender);
    script.server.tx(id, &[b'x'; 100]).unwrap();
    script.accepts(hoarders.map(Accept::Peer));
    script.tick();
    for round in 1..10 {
        assert_eq!(script.server.wake(), Wake::Now, "with {round}0 bytes sent");
        script.tick();
    }
    assert_eq!(sender.far().written, [b'x'; 100]);
    script.ticks(2);
    assert_eq!(
        script.server.buffered(),
        88,
        "all but an eighth taken by the one that sends without end"
    );
    assert_ne!(script.server.wake(), Wake::Now, "and then it is quiet");
}

/// An accept that fails for "this one connection" each time it is asked (a security module or a sandbox forbids it) kept the engine busy
/// for ever.
#[test]
fn ours_an_accept_that_fails_for_ever_is_given_a_rest() {
    let mut script = Script::new(Config::new());
    script.accepts([Accept::Always(1)]); // EPERM
    let events = script.ticks(1000);
    assert!(
        matches!(events[..], [Event::AcceptPaused { error, .. }] if error.errno() == Some(1)),
        "{events:?}"
    );
    assert!(matches!(script.server.wake(), Wake::At(_)));
    assert!(script.accept_calls() < 1000, "{} calls", script.accept_calls());
    script.tymist.tick_by(Duration::from_millis(100));
    let events = script.ticks(10);
    assert_eq!(events.len(), 1, "and is tried again: {events:?}");
}

/// What the peer had said before it forgot the connection was thrown away when its next connection came from the same port.
#[test]
fn ours_the_last_words_of_a_replaced_connection_are_kept() {
    let mut script = Script::new(Config::new());
    let old = Peer::new(1, []);
    let id = script.admits(&old);
    script.tick();
    old.then([Read::Bytes(b"last words".to_vec()), Read::Fails(104)]);
    let new = Peer::new(1, []);
    let new_id = script.admits(&new);
    let told =
        [Event::Received(id), Event::Closed(id, CloseReason::Replaced), Event::Accepted(new_id)];
    assert_eq!(script.log[script.log.len() - 3..], told);
    assert!(old.far().dropped);
}

/// Who came again from the same port and was refused had the old connection closed all the same, as replaced by one that never was.
#[test]
fn regression_who_is_refused_replaces_nobody() {
    let full: [fn(&mut Config); 2] =
        [|config| config.limits.remoters = 1, |config| config.limits.remoters_per_ip = 0];
    for change in full {
        let mut script = Script::new(Config::new());
        let old = Peer::new(1, []);
        let id = script.admits(&old);
        change(script.server.config_mut());
        script.accepts([Accept::Peer(Peer::new(1, []))]);
        let events = script.ticks(2);
        assert!(matches!(events[..], [Event::Refused { .. }]), "{events:?}");
        assert_eq!(script.server.ixes(), [id]);
        assert!(!old.far().dropped);
    }
    // The one that goes makes room for the one that comes.
    let mut script = Script::with(|config| config.limits.remoters_per_ip = 1);
    let (old, new) = (Peer::new(1, []), Peer::new(1, []));
    let id = script.admits(&old);
    let new_id = script.admits(&new);
    let told = [Event::Closed(id, CloseReason::Replaced), Event::Accepted(new_id)];
    assert_eq!(script.log[1..], told);
}

/// `close` promises what is queued one try to leave; where the budget of the last tick was spent, it got none.
#[test]
fn ours_closing_the_server_gives_what_is_queued_a_try() {
    let mut script = Script::with(|config| config.limits.remoter_tick_bytes = 100);
    let (spent, over) = (Peer::new(1, []), Peer::new(2, []));
    let (spent_id, over_id) = (script.admits(&spent), script.admits(&over));
    script.server.tx(spent_id, &pattern(100)).unwrap();
    script.server.tx(over_id, &pattern(150)).unwrap();
    script.tick();
    script.server.tx(spent_id, &pattern(50)).unwrap();
    assert_eq!((spent.far().written.len(), over.far().written.len()), (100, 100));
    script.server.close();
    assert_eq!((spent.far().written.len(), over.far().written.len()), (150, 150));
    assert!(!spent.far().abortive && !over.far().abortive);
}

/// A write met the reset, and the read that looked for last words then said "end" (as Linux does once the error was told): a message that
/// was cut short looked finished.
#[test]
fn ours_a_reset_met_by_a_write_is_not_told_as_an_end() {
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, []).writing([Write::Fails(104)]);
    let id = script.admits(&peer);
    script.tick();
    peer.far().reads.extend([Read::Bytes(b"half a mess".to_vec()), Read::End]);
    script.server.tx(id, b"anything").unwrap();
    assert_eq!(script.tick(), [Event::Received(id), Event::Closed(id, CloseReason::Reset)]);
    assert_eq!(script.server.remoter(id).unwrap().rx(), b"half a mess");
    assert!(!script.server.remoter(id).unwrap().is_eof());
}
