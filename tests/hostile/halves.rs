//! Half-close in both orders, and what comes after it.

use std::io::Read;

use tymist::{CloseReason, Config, Event, Wake};

use crate::util::{Rig, end, pattern, reset, send};
use crate::{Witness, only_the_witness_is_left};

#[test]
fn the_peer_ends_first_and_is_answered() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    send(&mut client, b"question");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert!(remoter.may_send());
    assert_eq!(remoter.take(), &b"question"[..]);
    remoter.tx(b"answer").unwrap();
    assert_eq!(rig.read_to_end(&mut client).unwrap(), b"answer");
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn we_end_first_and_still_hear_the_peer() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    rig.server.tx(id, b"go on").unwrap();
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    assert_eq!(rig.read_to_end(&mut client).unwrap(), b"go on");
    let message = pattern(100_000);
    send(&mut client, &message);
    end(&client);
    rig.until_unread(id, message.len());
    rig.until_server(|server| server.remoter(id).unwrap().is_eof());
    assert_eq!(rig.log.iter().filter(|event| **event == Event::Eof(id)).count(), 1);
    assert!(rig.server.remoter_mut(id).unwrap().take() == message, "all of it");
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn both_at_once() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    end(&client);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn what_the_peer_sent_before_its_end_stays_until_it_is_taken() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    send(&mut client, b"important");
    drop(client);
    rig.until(|event| *event == Event::Eof(id));
    for _ in 0..50 {
        witness.is_served(&mut rig);
    }
    assert_eq!(rig.server.remoter_mut(id).unwrap().take(), &b"important"[..]);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    only_the_witness_is_left(&mut rig, &mut witness);
}

#[test]
fn a_reset_after_the_peers_end_cuts_the_reply_and_says_so() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    send(&mut client, b"question");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.take();
    let much = vec![b'x'; 16 << 20];
    remoter.set_tx_limit(much.len());
    assert_eq!(remoter.tx(&much), Ok(much.len()));
    rig.until_server(|server| server.wake() != Wake::Now);
    assert_ne!(rig.server.remoter(id).unwrap().tx_len(), 0, "more than the kernel takes");
    reset(client);
    assert_eq!(rig.until_closed(id), CloseReason::Reset);
    only_the_witness_is_left(&mut rig, &mut witness);
}

/// A read stops at the mark of urgent data, short, with more behind it; the urgent byte itself is not part of the stream.
#[test]
fn regression_what_is_behind_urgent_data_is_read_without_more_coming() {
    let mut rig = Rig::new(Config::new());
    let mut witness = Witness::new(&mut rig);
    let (mut client, id) = rig.client();
    for round in 1..=3 {
        send(&mut client, b"before");
        socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
        send(&mut client, b"behind");
        rig.until_unread(id, 12);
        let taken = rig.server.remoter_mut(id).unwrap().take();
        assert_eq!(taken, &b"beforebehind"[..], "round {round}");
    }
    end(&client);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
    only_the_witness_is_left(&mut rig, &mut witness);
}
