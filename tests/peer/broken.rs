//! What a broken network can say.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tymist::net::{Addr, Bind};
use tymist::tyme::{Tyme, Tymist};
use tymist::{Event, GramConfig, GramEvent, Peer, Wake};

use super::scripted::{friend, rig, rig_on, server, texts};

/// Behaviour 67: EAGAIN, ENOBUFS and ENOMEM keep the same datagram for the next tick.
#[test]
#[cfg(target_os = "linux")]
fn without_room_the_same_datagram_is_tried_again_in_the_next_tick() {
    for errno in [libc_errno::ENOBUFS, libc_errno::ENOMEM] {
        let (mut rig, script) = rig(|_| {});
        for _ in 0..2 {
            script.lock().sends.push_back(io::Error::from_raw_os_error(errno));
        }
        rig.peer.tx(b"one", friend()).unwrap();
        rig.peer.tx(b"two", friend()).unwrap();
        assert_eq!(rig.tick_now(), []);
        assert_eq!(script.lock().send_calls, 1, "no more this tick");
        assert_eq!(texts(&script).len(), 0);
        // No edge will come, and it neither spins nor sleeps over it.
        assert_eq!(rig.peer.wake(), Wake::At(rig.peer.tyme() + Duration::from_millis(1)));
        rig.tick_now();
        assert_eq!(texts(&script).len(), 0, "the second try");
        assert_eq!(rig.tick_now(), [GramEvent::Drained]);
        assert_eq!(texts(&script), ["one", "two"]);
        assert_eq!(rig.peer.counters().tx_blocked, 2);
    }
}

/// A wait and the service after it are one tick.
#[test]
fn a_rest_that_began_in_a_tick_can_end_in_it() {
    for (nanos, sent) in [(999_999, 0), (1_000_000, 1)] {
        let (mut rig, script) = rig(|_| {});
        script.lock().sends.push_back(ErrorKind::OutOfMemory.into());
        rig.peer.tx(b"x", friend()).unwrap();
        rig.peer.wait(None);
        rig.tymist.tick_by(Duration::from_nanos(nanos));
        rig.peer.service();
        assert_eq!(texts(&script).len(), sent, "after {nanos} ns");
    }
}

/// Who waits to send more, or to open it again, would have waited for ever.
#[test]
#[cfg(target_os = "linux")]
fn what_somebody_may_wait_for_is_told_however_many_events_wait() {
    let (mut rig, script) = rig(|config| config.events = 1);
    for _ in 0..3 {
        script.lock().receives.push_back(Err(ErrorKind::ConnectionRefused.into()));
    }
    script.ready(true, false);
    for _ in 0..2 {
        script.lock().sends.push_back(ErrorKind::WouldBlock.into());
        rig.peer.tx(b"one", friend()).unwrap();
        rig.peer.service();
        script.ready(false, true);
        rig.peer.service();
    }
    assert_eq!(texts(&script).len(), 2);
    for errno in [libc_errno::ENOTTY, libc_errno::EBADF] {
        script.lock().for_ever = Some(errno);
        script.ready(true, false);
        rig.peer.service();
        rig.tymist.tick_by(Duration::from_secs(1));
    }
    use GramEvent::{Drained, Lost, Paused, Unreachable};
    let events = rig.events();
    let wanted = matches!(events[..], [Unreachable { .. }, Drained, Paused { .. }, Lost { .. }]);
    assert!(wanted, "one each: {events:?}");
    assert_eq!(rig.peer.counters().events_dropped, 2, "reports of datagrams that met nobody");
}

#[cfg(target_os = "linux")]
mod libc_errno {
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const ENOBUFS: i32 = 105;
    pub(super) const EBADF: i32 = 9;
    pub(super) const EMSGSIZE: i32 = 90;
    /// Something a datagram socket has no reason to say.
    pub(super) const ENOTTY: i32 = 25;
}

#[test]
fn would_block_keeps_the_datagram_until_there_is_room() {
    let (mut rig, script) = rig(|config| config.stall = None);
    script.lock().sends.push_back(ErrorKind::WouldBlock.into());
    rig.peer.tx(b"one", friend()).unwrap();
    rig.tick_now();
    rig.tick_now();
    assert_eq!(script.lock().send_calls, 1, "no room was told, so it does not ask");
    assert_eq!(rig.peer.wake(), Wake::OnIo);
    script.ready(false, true);
    assert_eq!(rig.tick_now(), [GramEvent::Drained]);
    assert_eq!(texts(&script), ["one"]);
}

#[test]
fn what_is_not_taken_in_time_is_dropped_and_told() {
    let (mut rig, script) = rig(|_| {});
    script.lock().sends_for_ever = Some(ErrorKind::WouldBlock);
    rig.peer.tx(b"stale", friend()).unwrap();
    rig.tick_now();
    let due = rig.peer.tyme() + Duration::from_secs(1);
    assert_eq!(rig.peer.wake(), Wake::At(due));
    rig.tymist.set(Tyme::from_nanos(due.as_nanos() - 1)).unwrap();
    assert_eq!(rig.tick_now(), []);
    assert_eq!(rig.peer.tx_grams(), 1);
    rig.tymist.set(due).unwrap();
    let events = rig.tick_now();
    let dropped = GramEvent::Unsent { to: friend(), len: 5, error: ErrorKind::TimedOut.into() };
    assert_eq!(events, [dropped, GramEvent::Drained]);
    assert_eq!(rig.peer.wake(), Wake::OnIo);
}

/// Whatever time has passed since the last tick.
#[test]
fn what_was_never_tried_is_never_too_old() {
    let (mut rig, script) = rig(|_| {});
    rig.peer.tx(b"x", friend()).unwrap();
    rig.peer.wind(rig.tymist.tymth());
    rig.tymist.tick_by(Duration::from_secs(3600));
    assert_eq!(rig.tick_now(), []);
    assert_eq!(texts(&script), ["x"]);

    let (mut server, id, mut tymist, script) = server(|_| {});
    server.service();
    tymist.tick_by(Duration::from_secs(3600));
    server.service();
    server.endpoint_mut(id).unwrap().tx(b"y", friend()).unwrap();
    server.service();
    assert_eq!(texts(&script), ["y"]);
    assert_eq!(server.poll_event(), None);
}

#[test]
fn a_report_of_an_earlier_datagram_does_not_cost_the_one_at_hand() {
    let (mut rig, script) = rig(|_| {});
    script.lock().sends.push_back(ErrorKind::ConnectionRefused.into());
    rig.peer.tx(b"one", friend()).unwrap();
    let told = GramEvent::Unreachable { error: ErrorKind::ConnectionRefused.into() };
    assert_eq!(rig.tick_now(), [told]);
    assert_eq!(texts(&script), ["one"]);

    // Where the second try fails as well, it was about this one.
    for _ in 0..2 {
        script.lock().sends.push_back(ErrorKind::NetworkUnreachable.into());
    }
    rig.peer.tx(b"two", friend()).unwrap();
    rig.peer.tx(b"three", friend()).unwrap();
    let events = rig.tick_now();
    let error = ErrorKind::NetworkUnreachable.into();
    assert_eq!(events, [GramEvent::Unsent { to: friend(), len: 3, error }]);
    assert_eq!(texts(&script), ["one", "three"]);
}

/// It was about one that had left, and was swallowed where the one at hand could not go for a reason of its own.
#[test]
#[cfg(target_os = "linux")]
fn regression_a_report_is_told_also_where_the_datagram_at_hand_cannot_go() {
    let (mut rig, script) = rig(|_| {});
    let (report, own) = (ErrorKind::ConnectionRefused, libc_errno::EMSGSIZE);
    script.lock().sends.push_back(report.into());
    script.lock().sends.push_back(io::Error::from_raw_os_error(own));
    rig.peer.tx(b"long", friend()).unwrap();
    let events = rig.tick_now();
    let error = (&io::Error::from_raw_os_error(own)).into();
    let unsent = GramEvent::Unsent { to: friend(), len: 4, error };
    assert_eq!(events, [GramEvent::Unreachable { error: report.into() }, unsent]);
    assert_eq!((rig.peer.counters().unreachable, rig.peer.counters().unsent), (1, 1));
}

/// Windows reports each unreachable datagram by a connection reset at a receive. Each is there once; none stops what comes behind, and a tick
/// stays bounded.
#[test]
fn a_flood_of_reset_reports_is_no_spin() {
    let (mut rig, script) = rig(|_| {});
    for _ in 0..3000 {
        script.lock().receives.push_back(Err(ErrorKind::ConnectionReset.into()));
    }
    script.lock().receives.push_back(Ok((b"behind it".to_vec(), friend())));
    script.ready(true, false);
    let mut ticks = 0;
    while rig.peer.rx().len() == 0 {
        let before = script.lock().receive_calls;
        rig.tick_now();
        assert!(script.lock().receive_calls - before <= 256, "a tick is bounded");
        ticks += 1;
        assert!(ticks < 20, "it never came");
    }
    assert_eq!(rig.peer.take().unwrap().data, "behind it");
    let counters = rig.peer.counters();
    assert_eq!((counters.unreachable, counters.pauses), (3000, 0));
    assert_eq!(rig.peer.wake(), Wake::OnIo);
}

#[test]
fn regression_a_rest_at_the_end_of_all_time_is_no_spin() {
    let (mut rig, script) = rig(|config| config.pause = Duration::MAX);
    rig.tymist.set(Tyme::NEVER).unwrap();
    script.lock().sends_for_ever = Some(ErrorKind::OutOfMemory);
    rig.peer.tx(b"x", friend()).unwrap();
    assert_eq!(rig.tick_now(), []);
    assert_eq!(rig.peer.wake(), Wake::OnIo);
    script.lock().sends_for_ever = None;
    assert_eq!(rig.tick_now(), [GramEvent::Drained], "a tick tries all the same");
    script.lock().for_ever = Some(1); // Whatever that is.
    script.ready(true, false);
    assert!(matches!(rig.tick_now()[..], [GramEvent::Paused { until: Tyme::NEVER, .. }]));
    assert_eq!((rig.peer.wake(), rig.tick_now()), (Wake::OnIo, vec![]));
}

#[test]
#[cfg(target_os = "linux")]
fn an_error_that_stays_makes_it_rest_not_spin() {
    let (mut rig, script) = rig(|_| {});
    script.lock().for_ever = Some(libc_errno::ENOTTY);
    script.ready(true, false);
    let events = rig.tick_now();
    let until = rig.peer.tyme() + Duration::from_millis(100);
    assert!(
        matches!(&events[..], [GramEvent::Paused { until: told, error, .. }] if *told == until && error.errno() == Some(libc_errno::ENOTTY)),
        "{events:?}"
    );
    let calls = script.lock().receive_calls;
    assert!(calls <= 256);
    for _ in 0..100 {
        assert_eq!(rig.tick_now(), []);
    }
    assert_eq!(script.lock().receive_calls, calls, "it rests");
    assert_eq!(rig.peer.wake(), Wake::At(until));
    // And goes on by itself, to the nanosecond.
    script.lock().for_ever = None;
    script.lock().receives.push_back(Ok((b"well again".to_vec(), friend())));
    rig.tymist.set(Tyme::from_nanos(until.as_nanos() - 1)).unwrap();
    rig.tick_now();
    assert_eq!(rig.peer.rx().len(), 0);
    rig.tymist.set(until).unwrap();
    rig.tick_now();
    assert_eq!(rig.peer.take().unwrap().data, "well again");
}

#[test]
#[cfg(target_os = "linux")]
fn a_dead_socket_is_told_and_closed() {
    for sending in [false, true] {
        let (mut rig, script) = rig(|_| {});
        if sending {
            let dead = io::Error::from_raw_os_error(libc_errno::EBADF);
            script.lock().sends.push_back(dead);
            rig.peer.tx(b"x", friend()).unwrap();
        } else {
            script.lock().for_ever = Some(libc_errno::EBADF);
            script.ready(true, false);
        }
        let events = rig.tick_now();
        assert!(
            matches!(
                events[..],
                [GramEvent::Lost { error, .. }] if error.errno() == Some(libc_errno::EBADF)
            ),
            "{events:?}"
        );
        assert!(!rig.peer.opened());
        assert_eq!((rig.peer.tx_grams(), rig.peer.wake()), (0, Wake::OnIo));
        rig.peer.reopen().unwrap();
    }
}

#[test]
fn an_interrupted_call_is_tried_again_later() {
    let (mut rig, script) = rig(|_| {});
    script.lock().receives.push_back(Err(ErrorKind::Interrupted.into()));
    script.lock().receives.push_back(Ok((b"x".to_vec(), friend())));
    script.lock().sends.push_back(ErrorKind::Interrupted.into());
    rig.peer.tx(b"y", friend()).unwrap();
    script.ready(true, false);
    rig.tick_now();
    assert_eq!(rig.peer.wake(), Wake::Now, "there may be more");
    rig.tick_now();
    assert_eq!((rig.peer.rx().len(), texts(&script).len()), (1, 1));
}

#[test]
fn events_are_bounded_and_the_rest_counted() {
    let (mut rig, script) = rig(|config| config.events = 5);
    for _ in 0..50 {
        script.lock().receives.push_back(Err(ErrorKind::HostUnreachable.into()));
    }
    script.lock().receives.push_back(Ok((Vec::new(), friend())));
    script.ready(true, false);
    rig.peer.service();
    let events = rig.events();
    assert_eq!(events.len(), 6, "and `Received`, which is never left out: {events:?}");
    assert_eq!(events.last(), Some(&GramEvent::Received));
    assert_eq!(rig.peer.counters().events_dropped, 45);
    assert_eq!(rig.peer.counters().unreachable, 50);
}

/// Only errors without anything between them make it rest.
#[test]
fn errors_with_something_between_them_are_no_reason_to_rest() {
    let (mut rig, script) = rig(|config| config.tick_grams = 10_000);
    let reports = |count: usize| {
        for _ in 0..count {
            script.lock().receives.push_back(Err(ErrorKind::ConnectionRefused.into()));
        }
    };
    reports(4095);
    script.lock().receives.push_back(Ok((Vec::new(), friend())));
    reports(4095);
    script.ready(true, false);
    rig.tick_now(); // up to `WouldBlock`
    reports(4095);
    script.ready(true, false);
    rig.tick_now();
    assert_eq!((rig.peer.counters().unreachable, rig.peer.counters().pauses), (3 * 4095, 0));
    reports(4096);
    script.ready(true, false);
    rig.tick_now();
    assert_eq!(rig.peer.counters().pauses, 1);
}

/// What waits and what rests starts anew on another clock.
#[test]
fn winding_starts_waits_anew() {
    let (mut rig, script) = rig(|_| {});
    script.lock().sends.push_back(ErrorKind::OutOfMemory.into());
    script.lock().sends_for_ever = Some(ErrorKind::WouldBlock);
    rig.tymist.set(Tyme::from_secs(100)).unwrap();
    rig.tick_now();
    rig.peer.tx(b"x", friend()).unwrap();
    rig.tick_now();
    assert_eq!(rig.peer.wake(), Wake::At(rig.peer.tyme() + Duration::from_millis(1)));
    let other = Tymist::new();
    rig.peer.wind(other.tymth());
    assert_eq!(rig.peer.wake(), Wake::Now, "the rest is over");
    rig.tick_now();
    assert_eq!(rig.peer.wake(), Wake::At(Tyme::from_secs(1)), "a second from there");
}

/// The wait's harvest was taken for the step's: what came between them was not there.
#[test]
fn regression_a_step_takes_what_has_come_since_the_wait() {
    let (mut rig, script) = rig(|_| {});
    rig.tick_now();
    rig.peer.wait(None);
    script.lock().receives.push_back(Ok((b"late".to_vec(), friend())));
    script.ready(true, false);
    assert_eq!(rig.peer.service_receives(), 1);
}

#[test]
fn a_server_tries_again_what_had_no_room() {
    let (mut server, id, _tymist, script) = server(|_| {});
    for _ in 0..2 {
        script.lock().sends.push_back(ErrorKind::OutOfMemory.into());
    }
    server.endpoint_mut(id).unwrap().tx(b"x", friend()).unwrap();
    server.service();
    assert_eq!(script.lock().send_calls, 1);
    assert_eq!(server.wake(), Wake::At(server.tyme() + Duration::from_millis(1)));
    server.service();
    assert_eq!(script.lock().send_calls, 2, "each tick tries");
    assert_eq!(server.wake(), Wake::At(server.tyme() + Duration::from_millis(1)));
    server.service();
    assert_eq!(texts(&script), ["x"]);
    assert_eq!(server.poll_event(), Some(Event::Gram(id, GramEvent::Drained)));
    assert_eq!(server.wake(), Wake::OnIo);
}

#[test]
fn a_server_drops_what_is_not_taken_in_time() {
    let (mut server, id, mut tymist, script) = server(|_| {});
    script.lock().sends_for_ever = Some(ErrorKind::WouldBlock);
    tymist.tick_by(Duration::from_secs(5));
    server.service();
    server.endpoint_mut(id).unwrap().tx(b"stale", friend()).unwrap();
    server.service();
    let due = server.tyme() + Duration::from_secs(1);
    assert_eq!(server.wake(), Wake::At(due));
    // Another clock, and it starts anew.
    let mut tymist = Tymist::new();
    server.wind(tymist.tymth());
    let due = Duration::from_secs(1);
    tymist.tick_by(due - Duration::from_nanos(1));
    server.service();
    assert_eq!(server.poll_event(), None);
    tymist.tick_by(Duration::from_nanos(1));
    server.service();
    assert!(matches!(
        server.poll_event(),
        Some(Event::Gram(_, GramEvent::Unsent { error, .. })) if error.kind() == ErrorKind::TimedOut
    ));
    assert_eq!(server.poll_event(), Some(Event::Gram(id, GramEvent::Drained)));
    assert_eq!(server.wake(), Wake::OnIo);
}

#[test]
fn a_server_goes_on_with_what_was_interrupted() {
    let (mut server, id, _tymist, script) = server(|_| {});
    script.lock().receives.push_back(Err(ErrorKind::Interrupted.into()));
    script.lock().receives.push_back(Ok((b"x".to_vec(), friend())));
    script.ready(true, false);
    assert!(server.service().more);
    assert_eq!(server.wake(), Wake::Now);
    server.service();
    assert_eq!(server.endpoint(id).unwrap().rx().len(), 1);
}

/// A scope counts where it was given.
#[test]
fn a_peer_on_another_link_is_a_stranger() {
    let scoped = |scope| {
        let ip = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        Addr::from(std::net::SocketAddr::V6(std::net::SocketAddrV6::new(ip, 0, 0, scope)))
    };
    for (peer, let_in) in [(scoped(0), 3), (scoped(2), 1)] {
        let mut bind = Bind::new((std::net::Ipv6Addr::UNSPECIFIED, 0));
        bind.peer = Some(peer.clone());
        let (mut rig, script) = rig_on(bind, |_| {});
        for scope in [1, 2, 3] {
            script.lock().receives.push_back(Ok((Vec::new(), scoped(scope))));
        }
        script.ready(true, false);
        rig.tick_now();
        assert_eq!(rig.peer.rx().len(), let_in, "{peer}");
    }
}

/// What strangers sent before the socket was connected is in its queue.
#[test]
fn what_strangers_sent_before_the_connect_is_not_delivered() {
    let mut bind = Bind::new(([127, 0, 0, 1], 0));
    bind.peer = Some(friend());
    let (mut rig, script) = rig_on(bind, |_| {});
    let mapped: Addr = Addr::from((std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped(), 0));
    let others = [Addr::from(([192, 0, 2, 2], 0)), Addr::from(([192, 0, 2, 1], 1)), Addr::Unnamed];
    for from in others.into_iter().chain([friend(), mapped]) {
        script.lock().receives.push_back(Ok((b"x".to_vec(), from)));
    }
    script.ready(true, false);
    rig.tick_now();
    let from: Vec<_> = std::iter::from_fn(|| rig.peer.take()).map(|gram| gram.from).collect();
    assert_eq!(from, [friend(), friend()]);
    assert_eq!(rig.peer.counters().strangers, 3);
}

#[test]
fn a_failed_bind_leaves_it_closed() {
    let mut peer = Peer::new(GramConfig::new());
    let elsewhere = Addr::from(([192, 0, 2, 1], 0));
    let error = peer.open(Bind::new(elsewhere.clone())).unwrap_err();
    assert_eq!((error.kind(), error.addr()), (ErrorKind::AddrNotAvailable, &elsewhere));
    assert!(!peer.opened());
    peer.open(([127, 0, 0, 1], 0)).unwrap();
}
