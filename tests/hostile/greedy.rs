//! Peers that take or give too much, or too little at a time.

use std::io::{Read, Write};
use std::time::Duration;

use tymist::{CloseReason, Config, Deadline, Event};

use crate::util::{Rig, pattern, receive, send};
use crate::{Witness, is_quiet, only_the_witness_is_left};

#[test]
fn a_peer_that_never_reads_costs_its_cap_and_no_more_and_then_its_place() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (_client, id) = rig.client();
    let cap = rig.server.config().limits.tx_bytes;
    let chunk = pattern(100_000);
    let mut refused = 0;
    for _ in 0..1000 {
        refused += usize::from(rig.server.tx(id, &chunk).unwrap() < chunk.len());
        rig.tick_now();
        assert!(rig.server.buffered() <= cap);
    }
    assert!(refused > 900, "{refused}");
    witness.is_served(&mut rig);
    is_quiet(&mut rig);
    let events = rig.tick_after(rig.server.config().timeouts.write_stall.unwrap());
    let reason = CloseReason::Expired(Deadline::WriteStall);
    assert_eq!(events.last(), Some(&Event::Closed(id, reason)), "{events:?}");
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn one_that_sends_without_end_is_bounded_and_the_others_are_served() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let floods: Vec<_> = (0..4).map(|_| rig.client()).collect();
    let chunk = pattern(1 << 16);
    let cap = rig.server.config().limits.rx_bytes;
    for round in 0..100 {
        for (client, id) in &floods {
            client.set_nonblocking(true).unwrap();
            while let Ok(1..) = (&mut &*client).write(&chunk) {}
            // Two of them are read from, two are not.
            if id.index() % 2 == 0 {
                rig.server.remoter_mut(*id).unwrap().take();
            }
        }
        rig.tick_now();
        assert!(rig.server.buffered() <= 4 * cap, "round {round}");
        if round % 10 == 0 {
            witness.is_served(&mut rig);
        }
    }
    for (_, id) in &floods {
        rig.server.remoter_mut(*id).unwrap().abort();
    }
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn one_that_sends_without_end_while_we_close_is_cut_by_the_linger() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (client, id) = rig.client();
    client.set_nonblocking(true).unwrap();
    rig.server.remoter_mut(id).unwrap().close();
    let chunk = pattern(1 << 16);
    for _ in 0..100 {
        while let Ok(1..) = (&mut &client).write(&chunk) {}
        rig.tick_now();
        assert_eq!(rig.server.buffered(), 0, "thrown away");
    }
    witness.is_served(&mut rig);
    rig.tick_after(Duration::from_secs(5));
    assert_eq!(rig.until_closed(id), CloseReason::Expired(Deadline::Linger));
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn a_message_in_single_bytes_arrives_whole_both_ways() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    let message = pattern(500);
    for (at, byte) in message.iter().enumerate() {
        send(&mut client, &[*byte]);
        rig.until_unread(id, at + 1);
    }
    assert_eq!(rig.server.remoter_mut(id).unwrap().take(), message);
    for byte in &message {
        rig.server.tx(id, &[*byte]).unwrap();
        rig.server.service_sends();
        assert_eq!(receive(&mut client, 1), [*byte]);
    }
    // A reader that takes one byte at a time gets all of it too.
    let message = pattern(300_000);
    let mut sent = rig.server.tx(id, &message).unwrap();
    let mut got = Vec::new();
    while got.len() < message.len() {
        rig.tick_now();
        sent += rig.server.tx(id, &message[sent..]).unwrap();
        let step = if got.len() < 1000 { 1 } else { 10_000 };
        got.extend(receive(&mut client, step.min(message.len() - got.len())));
    }
    assert!(got == message);
    drop(client);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn memory_of_the_whole_engine_is_bounded_and_given_back() {
    let mut rig = Rig::with(|config| {
        config.limits.buffered = 100_000;
        config.limits.rx_bytes = 50_000;
    });
    let hoarders: Vec<_> = (0..5).map(|_| rig.client()).collect();
    for (client, _) in &hoarders {
        client.set_nonblocking(true).unwrap();
        while let Ok(1..) = (&mut &*client).write(&pattern(1 << 16)) {}
    }
    // A sixteenth of the whole is kept for what goes out, and as much is for those who hold nothing.
    rig.until_server(|server| server.buffered() == 93_750);
    for _ in 0..50 {
        rig.tick_now();
        assert!(rig.server.buffered() <= 93_750);
    }
    is_quiet(&mut rig);
    let starved = hoarders.iter().filter(|(_, id)| !rig.server.remoter(*id).unwrap().can_receive());
    assert!(starved.count() >= 1, "four hold all there is");

    // Everything that is taken is refilled by the next in line, until all that was sent has come.
    for (client, _) in &hoarders {
        client.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut ended = 0;
    for _ in 0..crate::util::ROUNDS {
        for event in rig.tick() {
            ended += usize::from(matches!(event, Event::Closed(_, CloseReason::Eof)));
        }
        for id in rig.server.ixes() {
            rig.server.remoter_mut(id).unwrap().take();
        }
        if ended == 5 {
            break;
        }
    }
    assert_eq!((ended, rig.server.buffered(), rig.server.len()), (5, 0, 0));
    for (client, _) in &hoarders {
        client.set_nonblocking(false).unwrap();
        assert_eq!((&mut &*client).read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_hundred_that_come_and_go_leave_nothing() {
    let mut rig = Rig::with(|config| config.timeouts.idle = Some(Duration::from_secs(60)));
    let mut witness = Witness::new(&mut rig);
    for round in 0..100 {
        let (mut client, id) = rig.client();
        send(&mut client, b"hello");
        if round % 3 == 0 {
            rig.until_unread(id, 5);
            rig.server.tx(id, b"bye").unwrap();
            rig.server.remoter_mut(id).unwrap().close();
            assert_eq!(rig.read_to_end(&mut client).unwrap(), b"bye");
        } else if round % 3 == 1 {
            rig.until_unread(id, 5);
            rig.server.remoter_mut(id).unwrap().take();
        }
        if round % 2 == 0 {
            crate::util::reset(client);
        } else {
            drop(client);
        }
        for id in rig.server.ixes() {
            rig.server.remoter_mut(id).unwrap().take();
        }
        rig.tick_now();
    }
    for _ in 0..crate::util::ROUNDS {
        if rig.server.len() == 1 {
            break;
        }
        for id in rig.server.ixes() {
            rig.server.remoter_mut(id).unwrap().take();
        }
        rig.tick();
    }
    only_the_witness_is_left(&mut rig, &mut witness);
    assert_eq!(rig.server.counters().closed.total(), 100);
}
