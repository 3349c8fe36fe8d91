//! What accept(2) may say, and a listener that dies.

use std::time::Duration;

use tymist::tyme::Tyme;
use tymist::{Config, Event, Server, Wake};

use crate::util::script::{Accept, Peer, Read, Script};
use crate::util::{Rig, connect};
use crate::{Witness, only_the_witness_is_left};

// By Linux's numbers, which the engine knows; the descriptors that really run out are in `hostile_descriptors.rs`.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOBUFS: i32 = 105;
const ENOMEM: i32 = 12;

#[test]
fn exhaustion_rests_that_acceptor_tells_it_once_and_goes_on_by_itself() {
    for errno in [EMFILE, ENFILE, ENOBUFS, ENOMEM] {
        let mut script = Script::new(Config::new());
        let witness = Peer::new(1, []);
        let id = script.admits(&witness);
        let patient = Peer::new(2, []);
        script.tick();
        script.accepts([Accept::Fails(errno), Accept::Peer(patient.clone())]);
        let events = script.tick();
        let until = Tyme::from_nanos(100_000_000);
        assert!(
            matches!(events[..], [Event::AcceptPaused { error, until: rest, .. }] if rest == until && error.errno() == Some(errno)),
            "{errno}: {events:?}"
        );
        assert_eq!(script.server.acceptor(script.acceptor).unwrap().resting_until(), Some(until));

        let calls = script.accept_calls();
        for _ in 0..100 {
            assert_eq!(script.server.wake(), Wake::At(until), "{errno}: no spinning");
            assert_eq!(script.tick(), [], "{errno}: told once");
        }
        assert_eq!(script.accept_calls(), calls);
        witness.then([Read::Bytes(b"meanwhile".to_vec())]);
        assert_eq!(script.tick(), [Event::Received(id)]);

        assert_eq!(script.tick_after(Duration::from_nanos(99_999_999)), []);
        let events = script.tick_after(Duration::from_nanos(1));
        assert_eq!(events, [Event::Accepted(script.server.at(&patient.addr()).unwrap())]);
        assert_eq!(script.server.counters().accept_pauses, 1);
        assert_eq!(script.server.acceptor(script.acceptor).unwrap().resting_until(), None);
        script.tick();
        assert_eq!(script.server.wake(), Wake::OnIo);
    }
}

#[test]
fn exhaustion_that_lasts_is_told_once_per_rest() {
    let mut script = Script::new(Config::new());
    script.accepts([Accept::Always(EMFILE)]);
    let mut told = script.tick().len();
    for _ in 0..10 {
        told += script.ticks(50).len();
        told += script.tick_after(Duration::from_millis(100)).len();
    }
    assert_eq!((told, script.accept_calls()), (11, 11));
}

#[test]
fn trouble_of_one_connection_is_skipped_and_the_next_one_comes_in() {
    // ECONNABORTED, EPROTO, EPERM, ENETDOWN, EHOSTDOWN, ENONET, EINTR, ETIMEDOUT.
    for errno in [103, 71, 1, 100, 112, 64, 4, 110] {
        let mut script = Script::new(Config::new());
        let next = Peer::new(1, []);
        script.accepts([Accept::Fails(errno), Accept::Fails(errno), Accept::Peer(next.clone())]);
        let events = script.tick();
        let id = script.server.at(&next.addr());
        assert_eq!(events, [Event::Accepted(id.unwrap())], "{errno}");
        assert_eq!(script.server.counters().accept_skipped, 2);
        script.tick();
        assert_eq!(script.server.wake(), Wake::OnIo);
    }
}

#[test]
fn a_dead_listener_is_told_once_and_the_rest_goes_on() {
    // EBADF, EINVAL, ENOTSOCK.
    for errno in [9, 22, 88] {
        let mut script = Script::new(Config::new());
        let witness = Peer::new(1, []);
        let id = script.admits(&witness);
        script.tick();
        script.accepts([Accept::Fails(errno)]);
        let events = script.tick();
        assert!(
            matches!(events[..], [Event::ListenerLost { error, .. }] if error.errno() == Some(errno)),
            "{errno}: {events:?}"
        );
        assert!(!script.server.opened());
        witness.then([Read::Bytes(b"still here".to_vec())]);
        assert_eq!(script.tick(), [Event::Received(id)]);
        assert_eq!(script.server.wake(), Wake::OnIo);
        script.server.reopen().unwrap();
        assert!(script.server.opened());
        script.admits(&Peer::new(2, []));
    }
}

#[test]
fn one_resting_acceptor_does_not_keep_another_waiting() {
    let mut script = Script::new(Config::new());
    script.accepts([Accept::Fails(EMFILE)]);
    script.tick();
    let second = script.server.listen(([192, 0, 2, 9], 0)).unwrap();
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    assert_eq!(script.server.remoter(id).unwrap().acceptor(), Some(second));
    assert!(matches!(script.server.wake(), Wake::Now | Wake::At(_)));
}

#[test]
fn a_poller_that_fails_is_told_and_does_not_grow() {
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.harvest_fails(Some(9));
    for _ in 0..100 {
        script.server.service();
    }
    let failed = Event::NetFailed { error: (&std::io::Error::from_raw_os_error(9)).into() };
    assert_eq!(script.server.poll_event(), Some(failed));
    assert_eq!(script.server.poll_event(), None, "once until it was taken");
    script.server.tx(id, b"what needs no poller works").unwrap();
    assert_eq!(script.server.service_sends(), 26);
}

#[test]
fn a_listener_closed_under_the_acceptor_is_told() {
    let mut rig = Rig::alone(61, Config::new());
    let mut witness = Witness::new(&mut rig);
    let listener = rig.server.acceptor(rig.acceptor).unwrap().listener().unwrap();
    let socket = listener.as_fd().unwrap();
    socket2::SockRef::from(&socket).shutdown(std::net::Shutdown::Both).unwrap();
    let acceptor = rig.acceptor;
    rig.until(
        |event| matches!(event, Event::ListenerLost { acceptor: lost, .. } if *lost == acceptor),
    );
    assert!(!rig.server.opened());
    assert_eq!(rig.server.counters().listeners_lost, 1);
    only_the_witness_is_left(&mut rig, &mut witness);

    rig.server.reopen().unwrap();
    drop(connect(rig.addr));
    rig.client();
    witness.is_served(&mut rig);
}

#[test]
fn regression_a_doer_whose_poller_fails_has_failed() {
    use tymist::doing::{Doer, ServerDoer};
    let mut script = Script::new(Config::new());
    script.harvest_fails(Some(9));
    let server = std::mem::replace(&mut script.server, Server::new(Config::new()));
    let mut told = 0;
    let mut doer = ServerDoer::new(server, move |_: &mut Server, event: Event| {
        told += usize::from(matches!(event, Event::NetFailed { .. }));
        assert!(told < 2, "told twice");
    });
    let failed = doer.recur(Tyme::ZERO).unwrap_err();
    let failed = failed.downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(failed.raw_os_error(), Some(9));
}
