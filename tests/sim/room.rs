//! Room in a TCP connection: when it is offered, acknowledged and told, to the byte.

use std::net::Shutdown;

use crate::sim_util::*;
use tymist::sim::trace::{Flags, What};
use tymist::sim::{HostSpec, World, WorldSpec};
use tymist::tyme::Tyme;

/// Bare acknowledgements, and when.
fn acknowledgements(world: &World) -> Vec<Tyme> {
    let trace = world.trace();
    let bare = |what: &What| matches!(what, What::Segment { flags: Flags::ACK, data, .. } if data.is_empty());
    trace.records().filter(|record| bare(&record.what)).map(|record| record.tyme).collect()
}

/// Linux tells of room when a third of the buffer is free, and once.
#[test]
fn room_is_told_at_a_third_and_once() {
    for (cap, told_after_first) in [(3000, true), (3001, false), (2999, true)] {
        let mut client = HostSpec::new("client");
        client.send_buffer = cap;
        let mut server = HostSpec::new("server");
        server.recv_buffer = 1000;
        let mut pair = Pair::with(WorldSpec::new(1), server, client);
        let (_listener, mut dialled, mut accepted) = pair.connection();
        dialled.register(token(1)).unwrap();
        assert_eq!(reports(&mut pair.client_net).len(), 1);
        assert_eq!(write(&mut dialled, &vec![7; cap]).unwrap(), cap);
        assert_eq!(write_error(&mut dialled), std::io::ErrorKind::WouldBlock);
        pair.run(SECOND);
        // The first thousand have come and were acknowledged, whether they are read or not.
        let told = !reports(&mut pair.client_net).is_empty();
        assert_eq!(told, told_after_first, "{cap}");
        assert_eq!(drain(&mut accepted).unwrap().0.len(), 1000);
        pair.run(SECOND);
        assert_eq!(reports(&mut pair.client_net).is_empty(), told_after_first, "{cap}: told once");
        drain(&mut accepted).unwrap();
        pair.run(SECOND);
        assert_eq!(reports(&mut pair.client_net), [], "{cap}: told once");
    }
}

/// Only who has found no room is told of it; a write that just fits has not, one that is cut has.
#[test]
fn who_has_met_no_end_of_room_is_not_told_of_it() {
    for (len, told) in [(1000, false), (1001, true), (999, false)] {
        let mut client = HostSpec::new("client");
        client.send_buffer = 1000;
        let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
        let (_listener, mut dialled, _accepted) = pair.connection();
        dialled.register(token(1)).unwrap();
        assert_eq!(reports(&mut pair.client_net).len(), 1);
        assert_eq!(write(&mut dialled, &vec![7; len]).unwrap(), len.min(1000));
        pair.run(SECOND);
        assert_eq!(!reports(&mut pair.client_net).is_empty(), told, "{len}");
    }
}

/// A socket that is registered while it is full is reported when it is not.
#[test]
fn a_full_socket_is_not_reported_as_writable() {
    for (len, writable) in [(1000, false), (999, true)] {
        let mut client = HostSpec::new("client");
        client.send_buffer = 1000;
        let mut pair = Pair::with(WorldSpec::new(1), HostSpec::new("server"), client);
        let (_listener, mut dialled, _accepted) = pair.connection();
        write_all(&mut dialled, &vec![7; len]);
        dialled.register(token(1)).unwrap();
        assert_eq!(reports(&mut pair.client_net).len(), usize::from(writable), "{len}");
    }
}

/// RFC 1122 section 4.2.3.2: an acknowledgement may wait, but not behind two full segments; and nothing is acknowledged twice.
#[test]
fn acknowledgements_wait_for_company_but_not_long() {
    for (len, wait) in [(1, 41), (2919, 41), (2920, 1), (5000, 1)] {
        let mut pair = Pair::traced();
        let (_listener, mut dialled, _accepted) = pair.connection();
        pair.run(SECOND);
        let (begin, before) = (pair.world.tyme(), acknowledgements(&pair.world).len());
        write_all(&mut dialled, &vec![7; len]);
        pair.run(SECOND);
        assert_eq!(acknowledgements(&pair.world)[before..], [begin + millis(wait)], "{len}");
    }
    // An answer takes the acknowledgement with it.
    let mut pair = Pair::traced();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.run(SECOND);
    let (begin, before) = (pair.world.tyme(), acknowledgements(&pair.world).len());
    write_all(&mut dialled, b"ping");
    pair.run(millis(10));
    write_all(&mut accepted, b"pong");
    pair.run(SECOND);
    assert_eq!(acknowledgements(&pair.world)[before..], [begin + millis(51)]);
}

/// A window is offered again once it is worth it: half the buffer, and twice what was offered before.
#[test]
fn a_window_is_offered_anew_when_it_is_worth_it() {
    let mut server = HostSpec::new("server");
    server.recv_buffer = 1000;
    let spec = || {
        let mut spec = WorldSpec::new(1);
        spec.tracing = tymist::sim::Tracing::Full;
        spec
    };
    let mut pair = Pair::with(spec(), server, HostSpec::new("client"));
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, &[7; 1000]);
    pair.run(SECOND);
    let mut before = acknowledgements(&pair.world).len();
    let mut more = |pair: &Pair| {
        let now = acknowledgements(&pair.world).len();
        now - std::mem::replace(&mut before, now)
    };
    for (read, offers) in [(499, 0), (1, 1), (499, 0), (1, 1)] {
        assert_eq!(accepted.read(&mut vec![0; read]).unwrap(), read);
        assert_eq!(more(&pair), offers, "{read}");
        pair.run(SECOND);
        assert_eq!(more(&pair), 0);
    }
    // Nothing is offered to who has ended.
    write_all(&mut dialled, &[7; 1000]);
    dialled.shutdown(Shutdown::Write).unwrap();
    pair.run(SECOND);
    more(&pair);
    assert_eq!(accepted.read(&mut [0; 1000]).unwrap(), 1000);
    pair.run(SECOND);
    assert_eq!(more(&pair), 0);
}
