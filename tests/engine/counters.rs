//! Counters: each moved by exactly what happened, and no other.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::layers::{Step, Watched, scripted};
use crate::util::script::{Accept, Peer, Script};
use crate::util::{ROUNDS, Rig, connect, pattern, receive, send};
use tymist::tyme::Tymist;
use tymist::{CloseReason, Config, Event, OverLimit, Refusal, Server};

#[test]
fn an_exchange_moves_bytes_and_calls_and_nothing_else() {
    let mut rig = Rig::new(Config::new());
    let mut expected = *rig.server.counters();
    assert_eq!(expected, tymist::Counters::default());
    let (mut client, id) = rig.client();
    for _ in 0..3 {
        rig.tick();
    }
    expected.ticks = rig.server.counters().ticks;
    assert!(expected.ticks > 3);
    expected.accepted = 1;
    expected.opened = 1;
    assert_eq!(rig.server.counters(), &expected);

    send(&mut client, &pattern(1000));
    rig.server.wait(Some(Duration::from_secs(5)));
    let serviced = rig.server.service();
    assert_eq!((serviced.bytes_in, serviced.bytes_out), (1000, 0));
    expected.ticks += 1;
    expected.bytes_in = 1000;
    expected.reads = 1; // A read that does not fill its buffer needs no second one.
    assert_eq!(rig.server.counters(), &expected);

    rig.server.tx(id, &pattern(500)).unwrap();
    rig.server.tx(id, &pattern(50)).unwrap();
    assert_eq!(rig.server.counters(), &expected, "queueing is no call");
    assert_eq!(rig.server.service_sends(), 550);
    expected.bytes_out = 550;
    expected.writes = 1;
    assert_eq!(rig.server.counters(), &expected);
    let own = *rig.server.remoter(id).unwrap().counters();
    let all = (own.bytes_in, own.bytes_out, own.reads, own.writes, own.budget);
    assert_eq!(all, (1000, 550, 1, 1, 0));

    receive(&mut client, 550);
    rig.server.remoter_mut(id).unwrap().take();
    drop(client);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    expected.ticks = rig.server.counters().ticks;
    expected.reads = 2;
    expected.closed.eof = 1;
    assert_eq!(rig.server.counters(), &expected);
}

#[test]
fn what_a_tick_did_is_told_once() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let before = *rig.server.counters();
    let (mut sent, mut received) = (0, 0);
    for round in 0..20 {
        rig.server.tx(id, b"12345").unwrap();
        // Sent by the tick, by the wait before it, or by a step of its own: never told twice.
        match round % 5 {
            0 => {}
            4 => {
                rig.server.wait(Some(Duration::from_millis(1)));
                rig.server.tx(id, b"89").unwrap();
                sent += rig.server.service_sends();
            }
            1 => rig.server.wait(Some(Duration::from_millis(1))),
            2 => sent += rig.server.service_sends(),
            _ => {
                rig.server.wait(Some(Duration::from_millis(1)));
                rig.server.tx(id, b"67").unwrap();
                rig.server.wait(Some(Duration::from_millis(1)));
            }
        }
        send(&mut client, b"abc");
        let serviced = rig.server.service();
        sent += serviced.bytes_out;
        received += serviced.bytes_in;
        rig.server.clear_events();
    }
    for _ in 0..3 {
        received += rig.server.service().bytes_in;
    }
    assert_eq!(sent, rig.server.counters().bytes_out - before.bytes_out);
    assert_eq!(received, rig.server.counters().bytes_in - before.bytes_in);
    assert_eq!((sent, received), (20 * 5 + 4 * 2 + 4 * 2, 60));
}

#[test]
fn failed_handshakes_are_closed_but_never_opened() {
    let advanced = Arc::new(AtomicUsize::new(0));
    let mut rig = Rig::new(Config::new());
    let layer = scripted(&[Step::Go, Step::Fail(ErrorKind::InvalidData)], &advanced);
    let acceptor = rig.server.listen_with(([127, 0, 0, 1], 0), layer).unwrap();
    let client = connect(rig.server.local_addr(acceptor).unwrap().inet().unwrap());
    let event = rig.until(|event| matches!(event, Event::HandshakeFailed { .. }));
    let reason = CloseReason::Io(ErrorKind::InvalidData.into());
    let peer = client.local_addr().unwrap().into();
    assert_eq!(event, Event::HandshakeFailed { acceptor: Some(acceptor), peer, reason });
    let counters = rig.server.counters();
    assert_eq!((counters.accepted, counters.opened), (1, 0));
    assert_eq!((counters.closed.io, counters.closed.total()), (1, 1));
    assert_eq!((rig.server.cxes(), rig.server.timers()), (0, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn trouble_of_accepting_is_counted_by_kind() {
    const ECONNABORTED: i32 = 103;
    const ENFILE: i32 = 23;
    const EBADF: i32 = 9;
    let watched = Watched::default();
    let (mut server, mut tymist) = (Server::with_net(Config::new(), watched.net()), Tymist::new());
    server.wind(tymist.tymth());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    watched.errors.lock().unwrap().extend([ECONNABORTED, ECONNABORTED, ENFILE]);
    let _client = connect(addr);
    let mut events = Vec::new();
    for _ in 0..ROUNDS {
        server.wait(Some(Duration::from_millis(5)));
        server.service();
        events.extend(std::iter::from_fn(|| server.poll_event()));
        tymist.tick_by(Duration::from_millis(50));
        if !server.is_empty() {
            break;
        }
    }
    assert!(matches!(events[..], [Event::AcceptPaused { .. }, Event::Accepted(_)]), "{events:?}");
    watched.errors.lock().unwrap().push_back(EBADF);
    let _second = connect(addr);
    for _ in 0..ROUNDS {
        server.wait(Some(Duration::from_millis(5)));
        server.service();
        if let Some(event) = server.poll_event() {
            assert!(
                matches!(event, Event::ListenerLost { error, .. } if error.errno() == Some(EBADF)),
                "{event:?}"
            );
            break;
        }
    }
    let counters = server.counters();
    assert_eq!((counters.accept_skipped, counters.accept_pauses), (2, 1));
    assert_eq!((counters.listeners_lost, counters.accepted, counters.opened), (1, 1, 1));
    assert!(!server.opened() && server.len() == 1, "the rest goes on");
}

#[test]
fn refusals_are_counted_by_reason() {
    let mut rig = Rig::with(|config| {
        config.limits.remoters = 2;
        config.limits.remoters_per_ip = 1;
    });
    let _first = rig.client();
    let _second = connect(rig.addr);
    rig.until(|event| matches!(event, Event::Refused { why: Refusal::PerIp, .. }));
    rig.server.config_mut().limits.remoters = 1;
    let _third = connect(rig.addr);
    rig.until(|event| matches!(event, Event::Refused { why: Refusal::Remoters, .. }));
    let refused = rig.server.counters().refused;
    assert_eq!((refused.per_ip, refused.remoters, refused.register, refused.total()), (1, 1, 0, 2));
    let counters = rig.server.counters();
    assert_eq!((counters.accepted, counters.opened, counters.closed.total()), (3, 1, 0));
}

/// Whoever waited in the deque of an acceptor that was closed, was accepted and nothing else.
#[test]
fn those_that_were_dropped_while_they_waited_are_counted() {
    type End = fn(&mut Script);
    let ends: [(&str, End); 3] = [
        ("unlisten", |script| assert!(script.server.unlisten(script.acceptor))),
        ("close", |script| script.server.close()),
        ("drain", |script| {
            script.server.drain(Some(Duration::from_secs(1)));
            script.tick();
            script.tick_after(Duration::from_secs(1));
        }),
    ];
    for (name, end) in ends {
        let mut script = Script::with(|config| {
            config.limits.remoters = 1;
            config.over_limit = OverLimit::Wait;
        });
        script.accepts((1..=3).map(|port| Accept::Peer(Peer::new(port, []))));
        script.tick();
        assert_eq!((script.server.len(), script.server.axes()), (1, 2), "{name}");
        end(&mut script);
        let counters = script.server.counters();
        assert_eq!((counters.refused.dropped, script.server.axes()), (2, 0), "{name}");
        assert_eq!(counters.accepted, counters.opened + counters.refused.total(), "{name}");
        script.server.close();
        assert_eq!(script.server.counters().refused.dropped, 2, "{name}: once");
    }
}
