//! 26 to 31: how bytes come in.

use std::time::Duration;

use tymist::{CloseReason, Config, Event, TxError};

use crate::util::script::{Peer, Read, Script, Write};
use crate::util::{Rig, end, pattern, receive, send};

/// ECONNRESET, ENETRESET, ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, ETIMEDOUT, ECONNREFUSED and EPIPE, by Linux's numbers.
const LOST: [i32; 9] = [104, 102, 101, 113, 100, 112, 110, 111, 32];

#[test]
fn behaviour_26_a_receive_finds_data_or_nothing_or_the_end() {
    let mut rig = Rig::with(|config| config.half_open = true);
    let (mut client, id) = rig.client();
    assert_eq!(rig.server.service_receives_of(id), Ok(0), "nothing yet");
    assert!(!rig.server.remoter(id).unwrap().is_eof());
    assert!(!rig.server.remoter(id).unwrap().can_receive());

    send(&mut client, b"data");
    rig.until(|event| *event == Event::Received(id));
    assert!(rig.server.remoter(id).unwrap().can_receive());
    assert_eq!(rig.server.remoter_mut(id).unwrap().take(), &b"data"[..]);

    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    let remoter = rig.server.remoter(id).unwrap();
    assert!(remoter.is_eof() && !remoter.may_receive() && !remoter.can_receive());
}

#[test]
fn behaviour_27_two_quick_sends_are_one_stream_without_a_seam() {
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, [Read::Bytes(b"one".to_vec()), Read::Bytes(b"two".to_vec())]);
    let id = script.admits(&peer);
    assert_eq!(script.tick(), [Event::Received(id)], "told once");
    assert_eq!(script.server.remoter(id).unwrap().rx(), b"onetwo");

    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"one");
    send(&mut client, b"two");
    rig.until_unread(id, 6);
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"onetwo");
}

#[test]
fn behaviour_28_the_end_is_told_once_and_stays() {
    let mut rig = Rig::with(|config| config.half_open = true);
    let (client, id) = rig.client();
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    for _ in 0..20 {
        assert_eq!(rig.tick_now(), []);
        assert_eq!(rig.server.service_receives_of(id), Ok(0));
        assert!(rig.server.remoter(id).unwrap().is_eof());
    }
}

#[test]
fn behaviour_29_a_lost_connection_is_quietly_cut_off_on_receive() {
    for errno in LOST {
        let mut script = Script::new(Config::new());
        let other = Peer::new(9, []);
        let other_id = script.admits(&other);
        let lost = Peer::new(1, [Read::Bytes(b"last".to_vec()), Read::Fails(errno)]);
        let id = script.admits(&lost);
        other.then([Read::Bytes(b"served".to_vec())]);
        let events = script.tick();
        let reason = events.iter().find_map(|event| match event {
            Event::Closed(closed, reason) if *closed == id => Some(*reason),
            _ => None,
        });
        let reason = reason.unwrap_or_else(|| panic!("{errno}: {events:?}"));
        assert!(matches!(reason, CloseReason::Reset | CloseReason::Io(_)), "{errno}: {reason}");
        assert!(!reason.is_clean());
        assert_eq!(script.server.remoter(id).unwrap().rx(), b"last", "{errno}");
        assert_eq!(script.server.tx(id, b"x"), Err(TxError::Closed));
        assert!(lost.far().dropped);
        assert!(events.contains(&Event::Received(other_id)), "the others are served");
    }
}

#[test]
fn behaviour_29_a_lost_connection_is_quietly_cut_off_on_send() {
    for errno in LOST {
        let mut script = Script::new(Config::new());
        let lost = Peer::new(1, []).writing([Write::Fails(errno)]);
        let other = Peer::new(9, []);
        let (id, other_id) = (script.admits(&lost), script.admits(&other));
        script.server.tx(id, b"to nobody").unwrap();
        script.server.tx(other_id, b"to somebody").unwrap();
        let events = script.tick();
        assert!(
            matches!(events[..], [Event::Closed(closed, reason)] if closed == id && !reason.is_clean()),
            "{errno}: {events:?}"
        );
        assert_eq!(other.far().written, b"to somebody", "the pass goes on over the others");
        assert_eq!(script.server.buffered(), 0);
    }
}

#[test]
fn behaviour_30_receiving_takes_all_there_is_and_receive_once_reads_once() {
    let chunks = || (0..50u8).map(|number| Read::Bytes(vec![number; 10]));
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.tick();
    peer.then(chunks());
    let before = peer.far().read_calls;
    assert_eq!(script.server.service_receive_once(id), Ok(10));
    assert_eq!(peer.far().read_calls, before + 1);
    assert_eq!(script.server.remoter(id).unwrap().rx(), [0; 10]);
    assert_eq!(script.server.service_receives(), 490);
    let want: Vec<u8> = (0..50u8).flat_map(|number| vec![number; 10]).collect();
    assert_eq!(script.server.remoter(id).unwrap().rx(), want);
    assert_eq!(script.tick(), [Event::Received(id)]);
}

#[test]
fn behaviour_30_but_never_more_than_the_budget_of_a_tick() {
    let mut script = Script::with(|config| config.limits.remoter_tick_bytes = 100);
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.tick();
    peer.then([Read::Bytes(pattern(250))]);
    let got: Vec<u64> = (0..4).map(|_| script.server.service().bytes_in).collect();
    assert_eq!(got, [100, 100, 50, 0]);
    assert_eq!(script.server.remoter(id).unwrap().rx(), pattern(250));
    script.tick();
}

#[test]
fn behaviour_31_bytes_gather_until_they_are_taken() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let message = pattern(300);
    for at in 0..3 {
        send(&mut client, &message[at * 100..(at + 1) * 100]);
        rig.until_unread(id, (at + 1) * 100);
        rig.tick_now();
        rig.tick_after(Duration::from_secs(1));
    }
    assert_eq!(rig.server.remoter(id).unwrap().rx(), message);
    assert_eq!(rig.server.buffered(), 300);

    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.consume(50), 50);
    assert_eq!(remoter.rx(), &message[50..], "a parser takes what it has understood");
    assert_eq!(remoter.take_first(50), message[50..100]);
    remoter.unread(message[50..100].to_vec().into());
    assert_eq!(remoter.rx(), &message[50..]);
    assert_eq!(remoter.consume(1000), 250, "at most what there is");
    assert!(remoter.rx().is_empty());
    assert_eq!(rig.server.buffered(), 0);

    rig.server.tx(id, b"fine").unwrap();
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 4), b"fine");
}
