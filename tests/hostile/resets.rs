//! Resets at every stage, and the same peer address twice.

use tymist::{CloseReason, Config, Event, Wake};

use crate::util::{Rig, connect, connect_from, end, pattern, reset, send};
use crate::{Witness, only_the_witness_is_left};

#[test]
fn reset_before_accept() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    for _ in 0..20 {
        reset(connect(rig.addr));
    }
    witness.is_served(&mut rig);
    only_the_witness_is_left(&mut rig, &mut witness);
    let counters = rig.server.counters();
    // Linux hands them out all the same, others say ECONNABORTED.
    assert_eq!(counters.closed.reset + counters.accept_skipped, 20);
    assert_eq!(counters.closed.total(), counters.closed.reset);
}

#[test]
fn reset_between_accept_and_service() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let victims: Vec<_> = (0..20).map(|_| connect(rig.addr)).collect();
    rig.until_server(|server| {
        server.service_accepts();
        server.axes() == 20
    });
    victims.into_iter().for_each(reset);
    only_the_witness_is_left(&mut rig, &mut witness);
    assert_eq!(rig.server.counters().closed.reset, 20);
}

#[test]
fn reset_before_anything_was_said() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (client, id) = rig.client();
    reset(client);
    assert_eq!(rig.until_closed(id), CloseReason::Reset);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn reset_in_the_middle_of_a_message() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    send(&mut client, b"half a mess");
    rig.until_unread(id, 11);
    reset(client);
    rig.until_server(|server| server.remoter(id).is_none_or(|it| it.close_reason().is_some()));
    assert!(rig.log.contains(&Event::Closed(id, CloseReason::Reset)));
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn reset_with_bytes_unread_in_the_kernel() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(10_000));
    reset(client);
    rig.until(|event| *event == Event::Closed(id, CloseReason::Reset));
    // What had arrived can still be looked at, up to the next tick. How much of it outlives a reset is up to the system.
    let rx = rig.server.remoter(id).unwrap().rx();
    assert_eq!(rx, &pattern(10_000)[..rx.len()]);
    if cfg!(target_os = "linux") {
        assert_eq!(rx.len(), 10_000);
    }
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn reset_with_bytes_queued() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (client, id) = rig.client();
    let much = vec![b'x'; 16 << 20];
    rig.server.remoter_mut(id).unwrap().set_tx_limit(much.len());
    assert_eq!(rig.server.tx(id, &much), Ok(much.len()));
    rig.until_server(|server| server.wake() != Wake::Now);
    assert_ne!(rig.server.remoter(id).unwrap().tx_len(), 0, "more than the kernel takes");
    reset(client);
    assert_eq!(rig.until_closed(id), CloseReason::Reset);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn reset_while_we_close() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    for queued in [0, 1 << 20] {
        // Flushing or lingering.
        let (client, id) = rig.client();
        rig.server.tx(id, &pattern(queued)).unwrap();
        rig.server.remoter_mut(id).unwrap().close();
        rig.tick_now();
        reset(client);
        assert_eq!(rig.until_closed(id), CloseReason::Reset, "with {queued} queued");
    }
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn reset_at_the_cap_of_unread_bytes_is_met_once_some_are_taken() {
    let mut rig = Rig::with(|config| config.limits.rx_bytes = 100);
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    send(&mut client, &pattern(200));
    rig.until_unread(id, 100);
    reset(client);
    crate::is_quiet(&mut rig);
    witness.is_served(&mut rig);
    assert_eq!(rig.server.remoter_mut(id).unwrap().take(), pattern(200)[..100]);
    rig.until_unread(id, 100);
    assert_eq!(rig.server.remoter_mut(id).unwrap().take(), pattern(200)[100..]);
    assert_eq!(rig.until_closed(id), CloseReason::Reset);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn the_same_peer_address_twice_replaces_the_old_connection() {
    let mut rig = Rig::alone(41, Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, old) = rig.lone_client();
    let from = client.local_addr().unwrap();
    send(&mut client, b"last words");
    rig.server.tx(old, b"never to arrive").unwrap();
    reset(client);
    // The listener and the old connection become ready together; the listener is served first.
    let _again = connect_from(from, rig.addr);
    rig.log.clear();
    rig.until_server(|server| server.at(&from.into()).is_some_and(|id| id != old));
    let new = rig.server.at(&from.into()).unwrap();
    let about: Vec<_> =
        rig.log.iter().filter(|event| [old, new].map(Some).contains(&event.id())).collect();
    let replaced = Event::Closed(old, CloseReason::Replaced);
    let reset = Event::Closed(old, CloseReason::Reset);
    // Sending what was queued may already have met the reset.
    assert!(
        about == [&Event::Received(old), &replaced, &Event::Accepted(new)]
            || about == [&Event::Received(old), &reset, &Event::Accepted(new)],
        "{about:?}"
    );
    rig.server.remoter_mut(new).unwrap().abort();
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn the_same_peer_address_twice_with_nothing_queued_is_told_as_replaced() {
    let mut rig = Rig::alone(42, Config::new());
    let (client, mut old) = rig.lone_client();
    let from = client.local_addr().unwrap();
    let mut client = client;
    for _ in 0..5 {
        reset(client);
        client = connect_from(from, rig.addr);
        rig.log.clear();
        rig.until_server(|server| server.at(&from.into()).is_some_and(|id| id != old));
        let new = rig.server.at(&from.into()).unwrap();
        let told = [Event::Closed(old, CloseReason::Replaced), Event::Accepted(new)];
        assert_eq!(rig.log, told);
        old = new;
    }
    assert_eq!(rig.server.counters().closed.replaced, 5);
    assert_eq!(rig.server.len(), 1);
    send(&mut client, b"it is me");
    rig.until_unread(old, 8);
}

/// Seen together, the end and the reset after it are one report, and what is read says only "end": who stays half-open was never told of the reset.
#[test]
fn regression_a_reset_that_comes_with_the_end_is_told() {
    let mut rig = Rig::with(|config| config.half_open = true);
    let (client, id) = rig.client();
    end(&client);
    reset(client);
    assert_eq!(rig.until_closed(id), CloseReason::Reset);
    assert!(rig.log.contains(&Event::Eof(id)));
}

/// The same where both waited behind what nobody took, and where it is only at the `Eof` that the user decides to stay.
#[test]
fn regression_a_reset_that_waited_with_the_end_is_told() {
    let mut rig = Rig::with(|config| config.limits.rx_bytes = 4);
    let (mut client, id) = rig.client();
    send(&mut client, b"full and more");
    rig.until_unread(id, 4);
    end(&client);
    reset(client);
    for _ in 0..5 {
        assert_eq!(rig.tick(), []);
    }
    while !rig.log.contains(&Event::Eof(id)) {
        rig.server.remoter_mut(id).unwrap().take();
        rig.tick();
    }
    rig.server.remoter_mut(id).unwrap().set_half_open(true);
    assert_eq!(rig.until_closed(id), CloseReason::Reset);
}
