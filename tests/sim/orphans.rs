//! What a connection leaves behind: ends that nobody holds, ports, and answers to who is late.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use crate::sim_util::*;
use tymist::net::{Addr, Dial, Stream};
use tymist::sim::trace::{Fate, Flags, What};
use tymist::sim::{Act, Cut, HostId, HostSpec, Side, Tracing, WorldSpec};
use tymist::tyme::Tyme;

const NANO: Duration = Duration::from_nanos(1);

/// From this port, which was asked for.
fn dial_from(pair: &mut Pair, port: u16) -> Box<dyn Stream> {
    let mut dial = Dial::new(pair.target(80));
    dial.local = Some(Addr::from(([0, 0, 0, 0], port)));
    pair.client_net.connect(&dial).unwrap()
}

/// Whether the client may have this port for itself alone.
fn is_free(pair: &mut Pair, port: u16) -> bool {
    let mut listen = tymist::net::Listen::new(([0, 0, 0, 0], port));
    listen.reuse_addr = false;
    pair.client_net.listen(&listen).is_ok()
}

fn one_way(from: HostId, to: HostId) -> Act {
    Act::Partition(Cut::OneWay { from, to })
}

/// Bare answers of one side since a tyme: flags, first number, number acknowledged.
fn answers(pair: &Pair, of: Side, begin: Tyme) -> Vec<(Flags, u64, u64)> {
    let trace = pair.world.trace();
    let answer = |what: &What| match what {
        What::Segment { side, flags, seq, ack, fate: Fate::Arrives(_), .. } if *side == of => {
            Some((*flags, *seq, *ack))
        }
        _ => None,
    };
    let since = trace.records().filter(|record| record.tyme >= begin);
    since.filter_map(|record| answer(&record.what)).collect()
}

/// Half closed is not let go: there is no limit to how long the other half may take.
#[test]
fn half_closed_lasts_while_it_is_held() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    dialled.shutdown(Shutdown::Write).unwrap();
    pair.run(1000 * SECOND);
    write_all(&mut accepted, b"at last");
    pair.run(millis(5));
    expect_read(&mut dialled, b"at last");
    assert_eq!([pair.client, pair.server].map(|host| pair.world.lingering(host)), [0, 0]);
    // Let go, it has a minute, to the nanosecond; and only that end is one that nobody holds.
    drop(dialled);
    pair.run(60 * SECOND - NANO);
    assert_eq!([pair.client, pair.server].map(|host| pair.world.lingering(host)), [1, 0]);
    pair.run(NANO);
    assert_eq!([pair.client, pair.server].map(|host| pair.world.lingering(host)), [0, 0]);
}

/// What was reset before it was accepted goes with its listener.
#[test]
fn a_listener_takes_what_was_reset_in_its_queue_along() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let mut dialled = pair.dial(80);
    pair.run(millis(5));
    dialled.set_abortive().unwrap();
    drop(dialled);
    pair.run(millis(5));
    drop(listener);
    assert_eq!(pair.world.lingering(pair.server), 0);
}

/// An orphan that has waited long enough by the time a call comes from the same port is not in its way.
#[test]
fn an_old_orphan_is_not_in_the_way_of_a_new_call() {
    let micros = Duration::from_micros;
    // Its end is acknowledged after 2 ms, and a call takes one.
    for (before, at_once) in [(micros(1500), false), (micros(500), true), (micros(0), true)] {
        let mut pair = Pair::new();
        let mut listener = pair.listen(80);
        let dialled = dial_from(&mut pair, 5000);
        pair.run(millis(5));
        drop(listener.accept().unwrap());
        pair.run(millis(2));
        assert_eq!(pair.world.lingering(pair.server), 1);
        pair.world.act(&Act::Crash(pair.client));
        drop(dialled);
        pair.world.act(&Act::Restart(pair.client));
        pair.run(60 * SECOND - before);
        let mut again = dial_from(&mut pair, 5000);
        pair.run(millis(5));
        assert_eq!(again.connected().unwrap(), at_once, "{before:?}");
        pair.run(SECOND);
        assert!(again.connected().unwrap());
    }
}

/// A port that was asked for is held until the handle lets go, whatever became of the connection; one that was picked only as long as that lasts.
#[test]
fn a_port_that_was_asked_for_is_kept_by_its_handle() {
    for asked in [true, false] {
        let mut pair = Pair::new();
        let mut listener = pair.listen(80);
        let dialled = if asked { dial_from(&mut pair, 5000) } else { pair.dial(80) };
        let port = dialled.local_addr().port().unwrap();
        pair.run(millis(5));
        let mut accepted = listener.accept().unwrap();
        assert!(!is_free(&mut pair, port));
        accepted.set_abortive().unwrap();
        drop(accepted);
        pair.run(millis(5));
        assert_eq!(is_free(&mut pair, port), !asked);
        drop(dialled);
        assert!(is_free(&mut pair, port));
    }
}

/// An end for somebody who is gone counts as a number in the reset that answers it.
#[test]
fn a_reset_for_a_stray_end_acknowledges_it() {
    let mut pair = Pair::traced();
    let (_listener, mut dialled, _accepted) = pair.connection();
    pair.world.act(&Act::Crash(pair.server));
    pair.world.act(&Act::Restart(pair.server));
    let begin = pair.world.tyme();
    dialled.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    let reset = Flags::RST.with(Flags::ACK);
    assert_eq!(answers(&pair, Side::Accepted, begin), [(reset, 1, 2)]);
    assert_eq!(read_error(&mut dialled), ErrorKind::ConnectionReset);
}

/// Who has ended first answers for a minute after the end of both, in case its last acknowledgement was lost; then nobody knows of it.
#[test]
fn a_waiting_pair_acknowledges_for_a_minute() {
    for (cut, last) in [(1, None), (61, Some(ErrorKind::ConnectionReset))] {
        let mut pair = Pair::traced();
        let (_listener, dialled, mut accepted) = pair.connection();
        drop(dialled);
        pair.run(SECOND);
        accepted.shutdown(Shutdown::Write).unwrap();
        // The end is under way; the answer to it is lost.
        pair.world.act(&one_way(pair.client, pair.server));
        pair.run(cut * SECOND);
        pair.world.act(&Act::Heal);
        let begin = pair.world.tyme();
        pair.run(200 * SECOND);
        let expected = match last {
            None => Flags::ACK,
            Some(_) => Flags::RST.with(Flags::ACK),
        };
        assert_eq!(
            answers(&pair, Side::Dialled, begin),
            [(expected, 2, if last.is_some() { 1 } else { 2 })]
        );
        let error = write_error(&mut accepted);
        assert_eq!(error, last.unwrap_or(ErrorKind::BrokenPipe), "{cut}");
    }
}

/// What a caller has offered with its call it need not offer again, though nothing else of it got through.
#[test]
fn a_call_offers_the_whole_window() {
    let mut spec = WorldSpec::new(1);
    spec.tracing = Tracing::Full;
    let mut client = HostSpec::new("client");
    client.recv_buffer = 1;
    let mut pair = Pair::with(spec, HostSpec::new("server"), client);
    let _listener = pair.listen(80);
    let mut dialled = pair.dial(80);
    pair.run(MS);
    pair.world.act(&one_way(pair.client, pair.server));
    pair.run(MS);
    assert!(dialled.connected().unwrap());
    let sent = |pair: &Pair| pair.world.stats().packets;
    let before = sent(&pair);
    assert_eq!(dialled.read(&mut []).unwrap(), 0);
    assert_eq!(sent(&pair), before);
}
