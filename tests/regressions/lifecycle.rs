//! How things ended, or did not, in hio.

use std::io::Read as _;

use tymist::net::Stage;
use tymist::{CloseReason, Config, Event, TxError};

use crate::timing::shaking;
use crate::util::script::{Accept, Peer, Read, Script};
use crate::util::{Rig, connect, end, pattern, receive, send};

#[test]
fn hio_b16_connections_that_were_cut_off_are_reaped() {
    let mut script = Script::new(Config::new());
    let peers: Vec<_> = (0..50).map(|port| Peer::new(port, [])).collect();
    for peer in &peers {
        script.admits(peer);
    }
    script.tick();
    for (number, peer) in peers.iter().enumerate() {
        peer.then([if number % 2 == 0 { Read::End } else { Read::Fails(104) }]);
    }
    script.ticks(3);
    assert_eq!(script.server.len(), 0);
    assert!(peers.iter().all(|peer| peer.far().dropped), "their sockets are closed");
    assert_eq!(script.server.counters().closed.total(), 50);
    let told = script.log.iter().filter(|event| matches!(event, Event::Closed(..))).count();
    assert_eq!(told, 50);
    for event in &script.log {
        assert!(event.id().is_none_or(|id| script.server.remoter(id).is_none()), "forgotten");
    }
}

#[test]
fn hio_b17_closing_leaves_nothing_and_what_is_called_afterwards_is_fine() {
    let mut rig = Rig::alone(17, Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"unread");
    rig.until_unread(id, 6);
    let waiting = connect(rig.addr);
    rig.until_server(|server| server.service_accepts() == 1);
    assert_eq!(rig.server.axes(), 1);

    rig.server.close();
    assert_eq!((rig.server.len(), rig.server.cxes(), rig.server.axes()), (0, 0, 0));
    let mut waiting = waiting;
    assert_eq!(waiting.read(&mut [0]).unwrap_or(0), 0, "also of those in line");
    for _ in 0..3 {
        rig.server.service();
        assert_eq!(rig.server.service_connects(), 0);
        assert_eq!(rig.server.service_receives(), 0);
        assert_eq!(rig.server.service_sends(), 0);
        rig.server.service_deadlines();
    }
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Closed));
    assert_eq!(rig.server.poll_event(), Some(Event::Closed(id, CloseReason::ServerClosed)));
    assert_eq!(rig.tick_now(), []);
    assert_eq!(rig.server.buffered(), 0);

    rig.server.reopen().unwrap();
    assert_eq!(rig.tick_now(), []);
    let (mut client, id) = rig.client();
    send(&mut client, b"hi");
    rig.until_unread(id, 2);
}

#[test]
fn hio_b18_what_is_queued_goes_out_before_the_end() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let message = pattern(1 << 20);
    rig.server.tx(id, &message).unwrap();
    rig.server.remoter_mut(id).unwrap().close();
    let got = rig.read_to_end(&mut client).unwrap();
    assert!(got == message, "{} bytes", got.len());
    drop(client);
    assert_eq!(rig.until_closed(id), CloseReason::Local);
}

#[test]
fn hio_b18_closing_the_whole_server_sends_what_the_network_takes() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    rig.server.tx(id, b"good-bye").unwrap();
    rig.server.close();
    assert_eq!(receive(&mut client, 8), b"good-bye");
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn hio_b19_a_peer_that_ends_its_half_after_the_request_gets_the_reply() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"request");
    end(&client);
    rig.until(|event| *event == Event::Eof(id));
    assert_eq!(rig.server.remoter_mut(id).unwrap().take(), &b"request"[..]);
    let reply = pattern(700_000);
    rig.server.tx(id, &reply).unwrap();
    let got = rig.read_to_end(&mut client).unwrap();
    assert!(got == reply, "{} bytes", got.len());
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
}

#[test]
fn hio_b21_a_connection_that_was_replaced_is_closed_and_not_only_shut() {
    let mut script = Script::new(Config::new());
    let old = Peer::new(7, []);
    let old_id = script.admits(&old);
    script.server.tx(old_id, b"undeliverable").unwrap();
    let new = Peer::new(7, []);
    let new_id = script.admits(&new);
    assert_ne!(old_id, new_id);
    assert!(old.far().dropped);
    assert_eq!(
        script.log,
        [
            Event::Accepted(old_id),
            Event::Closed(old_id, CloseReason::Replaced),
            Event::Accepted(new_id)
        ]
    );
    assert_eq!((script.server.len(), script.server.buffered()), (1, 0));
    assert_eq!(script.server.counters().closed.replaced, 1);
}

/// Its place, and that among the handshakes of its address, are the new one's.
#[test]
fn hio_b21_one_that_shakes_hands_is_replaced_as_well() {
    let mut script = Script::with(|config| {
        config.limits.remoters = 1;
        config.limits.handshakes_per_ip = 1;
    });
    let old = shaking(&mut script, 7);
    let new = Peer::new(7, []);
    new.far().handshake.push_back(Ok(Stage::Live));
    script.accepts([Accept::Peer(new.clone())]);
    let events = script.ticks(3);
    assert!(
        matches!(
            events[..],
            [Event::HandshakeFailed { reason: CloseReason::Replaced, .. }, Event::Accepted(_)]
        ),
        "{events:?}"
    );
    assert!(old.far().dropped && !new.far().dropped);
    assert_eq!((script.server.cxes(), script.server.len()), (0, 1));
}
