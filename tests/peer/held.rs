//! What waits to be sent: how long, where the network takes none, and where only our own budget keeps it.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tymist::net::{Addr, Bind};
use tymist::{GramEvent, Wake};

use super::scripted::{friend, rig, rig_on, server, texts};

const SECOND: Duration = Duration::from_secs(1);

fn neighbour(name: &str) -> Addr {
    Addr::from(Path::new(name))
}

/// With the default settings 1024 may be queued and 256 leave in a tick: the last ones have waited for more than a second.
#[test]
fn regression_what_waited_for_our_own_budget_was_dropped_as_stalled() {
    let (mut rig, script) = rig(|_| {});
    for _ in 0..1000 {
        rig.peer.tx(b"x", friend()).unwrap();
    }
    for _ in 0..4 {
        rig.tick_now();
        rig.tymist.tick_by(SECOND);
    }
    assert_eq!((texts(&script).len(), rig.peer.counters().unsent), (1000, 0));
    assert_eq!(rig.log, [GramEvent::Drained]);
}

/// The stall is of the network, not of the datagram: one that takes some takes part.
#[test]
fn regression_a_network_that_took_some_each_tick_was_called_stalled() {
    let (mut rig, script) = rig(|_| {});
    script.lock().sends_for_ever = Some(ErrorKind::OutOfMemory);
    for text in ["one", "two", "three", "four"] {
        rig.peer.tx(text.as_bytes(), friend()).unwrap();
    }
    for _ in 0..4 {
        script.lock().room = 1;
        rig.tick_now();
        rig.tymist.tick_by(SECOND - Duration::from_nanos(1));
    }
    assert_eq!(texts(&script), ["one", "two", "three", "four"]);
    assert_eq!(rig.log, [GramEvent::Drained]);
}

/// All that waited while it took none goes at once, also what itself was never tried; what came later has its own time.
#[test]
fn what_waits_behind_the_one_that_is_refused_waits_as_long() {
    for kind in [ErrorKind::WouldBlock, ErrorKind::OutOfMemory] {
        let (mut rig, script) = rig(|_| {});
        script.lock().sends_for_ever = Some(kind);
        rig.peer.tx(b"one", friend()).unwrap();
        rig.peer.tx(b"two", friend()).unwrap();
        rig.tick_now();
        rig.tymist.tick_by(SECOND / 2);
        rig.peer.tx(b"later", friend()).unwrap();
        rig.tick_now();
        rig.tymist.tick_by(SECOND / 2);
        rig.tick_now();
        assert_eq!((rig.log.len(), rig.peer.tx_grams()), (2, 1), "{kind}: {:?}", rig.log);
        rig.tymist.tick_by(SECOND / 2);
        rig.tick_now();
        assert_eq!((rig.peer.counters().unsent, rig.peer.tx_grams()), (3, 0), "{kind}");
    }
}

/// The network had room for a second, and nobody had asked it.
#[test]
fn regression_ticks_as_slow_as_the_stall_dropped_what_there_was_room_for() {
    let (mut rig, script) = rig(|_| {});
    for kind in [ErrorKind::WouldBlock, ErrorKind::OutOfMemory] {
        script.lock().sends.push_back(kind.into());
        rig.peer.tx(b"x", friend()).unwrap();
        rig.tick_now();
        rig.tymist.tick_by(SECOND);
        script.ready(false, true);
        assert_eq!(rig.tick_now(), [GramEvent::Drained], "{kind}");
    }
    assert_eq!(texts(&script).len(), 2);

    let (mut server, id, mut tymist, script) = server(|_| {});
    for kind in [ErrorKind::WouldBlock, ErrorKind::OutOfMemory] {
        script.lock().sends.push_back(kind.into());
        server.endpoint_mut(id).unwrap().tx(b"x", friend()).unwrap();
        server.service();
        tymist.tick_by(SECOND);
        script.ready(false, true);
        server.endpoint_mut(id);
        server.service();
    }
    assert_eq!(texts(&script).len(), 2);
    assert_eq!(server.endpoint(id).unwrap().counters().unsent, 0);
}

/// Between Unix sockets each receiver has room of its own, and so a stall of its own.
#[test]
fn each_receiver_stalls_for_itself() {
    let (mut rig, script) = rig_on(Bind::new(Path::new("me")), |_| {});
    let (slow, gone) = (neighbour("slow"), neighbour("gone"));
    for to in [&slow, &gone, &slow, &slow] {
        rig.peer.tx(b"x", to).unwrap();
    }
    script.lock().full.push(gone.clone());
    script.lock().sends_for_ever = Some(ErrorKind::WouldBlock);
    for _ in 0..3 {
        script.lock().room = 1;
        rig.tick_now();
        rig.tymist.tick_by(SECOND - Duration::from_nanos(1));
    }
    let to: Vec<_> = script.lock().sent.iter().map(|(_, to)| to.clone()).collect();
    assert_eq!(to, [slow.clone(), slow.clone(), slow]);
    let dropped = GramEvent::Unsent { to: gone, len: 1, error: ErrorKind::TimedOut.into() };
    assert_eq!(rig.log, [dropped, GramEvent::Drained]);
    assert_eq!(rig.peer.wake(), Wake::OnIo);
}

/// The error is of an earlier datagram, as far as anybody knows.
#[test]
fn regression_a_report_was_lost_with_the_datagram_that_stalled_after_it() {
    let (mut rig, script) = rig(|_| {});
    script.lock().sends.push_back(ErrorKind::ConnectionRefused.into());
    script.lock().sends_for_ever = Some(ErrorKind::WouldBlock);
    rig.peer.tx(b"x", friend()).unwrap();
    rig.tick_now();
    rig.tymist.tick_by(SECOND);
    rig.tick_now();
    let unreachable = GramEvent::Unreachable { error: ErrorKind::ConnectionRefused.into() };
    let unsent = GramEvent::Unsent { to: friend(), len: 1, error: ErrorKind::TimedOut.into() };
    assert_eq!(rig.log, [unreachable, unsent, GramEvent::Drained]);
    assert_eq!(rig.peer.counters().unreachable, 1);
}

/// A wait and the service after it are one tick, which sends in three places.
#[test]
fn regression_a_tick_whose_budget_ended_was_counted_once_for_each_pass() {
    let (mut rig, _script) = rig(|config| config.tick_grams = 1);
    for _ in 0..3 {
        rig.peer.tx(b"x", friend()).unwrap();
    }
    rig.peer.wait(None);
    rig.tick_now();
    assert_eq!(rig.peer.counters().budget, 1);
    rig.tick_now();
    assert_eq!(rig.peer.counters().budget, 2);
}

/// The budget ended each time behind the one that was held up, and from there on it went: who had room again was never asked, and its datagram was dropped.
#[test]
fn regression_a_receiver_with_room_again_gets_its_datagram_beside_one_that_is_sent_more_than_a_tick_takes()
 {
    let (mut rig, script) = rig_on(Bind::new(Path::new("me")), |config| config.tick_grams = 2);
    let (slow, busy) = (neighbour("slow"), neighbour("busy"));
    script.lock().full.push(slow.clone());
    rig.peer.tx(b"x", &slow).unwrap();
    for turn in 0..20 {
        while rig.peer.tx_grams() < 5 {
            rig.peer.tx(b"y", &busy).unwrap();
        }
        rig.tick_now();
        rig.tymist.tick_by(SECOND / 10);
        if turn == 1 {
            script.lock().full.clear();
        }
    }
    let to_slow = script.lock().sent.iter().filter(|(_, to)| *to == slow).count();
    assert_eq!((to_slow, rig.peer.counters().unsent), (1, 0));
}

/// A tick never ended over a middleware that said it had taken none, and of what it claimed beyond that nothing was ever sent.
#[test]
fn regression_what_a_socket_claims_to_have_taken_is_held_against_what_it_was_given() {
    let (mut rig, script) = rig(|config| config.tick_bytes = 2);
    script.lock().claims.extend([0, 9]);
    for text in ["a", "b", "c", "d"] {
        rig.peer.tx(text.as_bytes(), friend()).unwrap();
    }
    rig.tick_now();
    assert_eq!(rig.peer.tx_grams(), 4, "it has taken none");
    rig.tick_now();
    assert_eq!((rig.peer.tx_grams(), rig.peer.counters().grams_out), (2, 2));
    rig.tick_now();
    assert_eq!(texts(&script), ["c", "d"]);
}

#[test]
fn regression_a_datagram_longer_than_its_buffer_is_none() {
    let (mut rig, script) = rig_on(Bind::new(Path::new("me")), |config| {
        (config.max_gram, config.rx_bytes) = (usize::MAX, usize::MAX);
    });
    script.lock().receives.push_back(Ok((b"x".to_vec(), friend())));
    script.lock().too_long = 5 << 20;
    script.ready(true, false);
    rig.tick_now();
    let gram = rig.peer.take().unwrap();
    assert_eq!((gram.data[0], gram.truncated), (b'x', true));
}
