//! 32 to 42: how bytes go out, and what traffic does to the timeout.

use std::io::Read as _;
use std::time::Duration;

use tymist::net::Listen;
use tymist::tyme::Tyme;
use tymist::{CloseReason, Config, Deadline, Event, TxError};

use crate::util::script::{Peer, Read, Script, Write};
use crate::util::{Rig, end, pattern, receive, reset, send};

#[test]
fn behaviour_32_tx_only_queues_and_service_sends_writes() {
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    assert_eq!(script.server.tx(id, b"queued"), Ok(6));
    assert_eq!(peer.far().write_calls, 0);
    assert_eq!(script.server.remoter(id).unwrap().tx_len(), 6);
    assert_eq!(script.server.service_sends(), 6);
    assert_eq!(peer.far().written, b"queued");
    assert_eq!(script.server.remoter(id).unwrap().tx_len(), 0);
    assert_eq!(script.server.service_sends(), 0);
    assert_eq!(peer.far().write_calls, 1);
}

#[test]
fn behaviour_33_tx_copies() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let mut buffer = *b"first ";
    rig.server.tx(id, &buffer).unwrap();
    buffer.copy_from_slice(b"second");
    rig.server.tx(id, &buffer).unwrap();
    buffer.fill(0);
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 12), b"first second");
}

#[test]
fn behaviour_34_a_partial_write_leaves_exactly_the_unsent_suffix() {
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, []).writing([Write::Takes(3), Write::Takes(4), Write::Blocks]);
    let id = script.admits(&peer);
    script.tick();
    script.server.tx(id, b"0123456789").unwrap();
    assert_eq!(script.server.service_sends(), 7);
    assert_eq!(script.server.remoter(id).unwrap().tx_len(), 3);
    script.server.tx(id, b"abc").unwrap();
    assert_eq!(script.server.service().bytes_out, 0, "it said that it takes no more");
    peer.report(false, true);
    assert_eq!(script.tick(), [Event::Drained(id)]);
    assert_eq!(peer.far().written, b"0123456789abc");
}

#[test]
fn behaviour_35_a_message_of_four_socket_buffers_crosses_intact_both_ways() {
    let mut rig = Rig::new(Config::new());
    let mut listen = Listen::new(([127, 0, 0, 1], 0));
    listen.socket.send_buffer = Some(1 << 16);
    let acceptor = rig.server.listen(listen).unwrap();
    rig.addr = rig.server.local_addr(acceptor).unwrap().inet().unwrap();
    let (mut client, id) = rig.client();
    let sizes = rig.server.remoter(id).unwrap().buffer_sizes().unwrap();
    let message = pattern(4 * sizes.recv.max(sizes.send));
    rig.server.remoter_mut(id).unwrap().set_tx_limit(message.len());

    let mut writer = client.try_clone().unwrap();
    let sent = message.clone();
    #[allow(clippy::disallowed_methods, reason = "a peer of its own")]
    let thread = std::thread::spawn(move || send(&mut writer, &sent));
    let mut got = Vec::new();
    for _ in 0..crate::util::ROUNDS {
        rig.tick();
        got.extend_from_slice(&rig.server.remoter_mut(id).unwrap().take());
        if got.len() == message.len() {
            break;
        }
    }
    thread.join().unwrap();
    assert!(got == message, "{} bytes in", got.len());

    assert_eq!(rig.server.tx(id, &message), Ok(message.len()));
    rig.server.remoter_mut(id).unwrap().close();
    let back = rig.read_to_end(&mut client).unwrap();
    assert!(back == message, "{} bytes back", back.len());
    end(&client);
    assert_eq!(rig.until_closed(id), CloseReason::Local);
}

#[test]
fn behaviour_36_nothing_is_written_where_nothing_is_queued_or_nobody_is_there() {
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    peer.report(false, true);
    script.ticks(10);
    assert_eq!(peer.far().write_calls, 0);
    peer.then([Read::Fails(104)]);
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Reset)]);
    assert_eq!(script.server.tx(id, b"x"), Err(TxError::Closed));
    script.ticks(10);
    assert_eq!(peer.far().write_calls, 0);
}

#[test]
fn behaviour_36_but_the_end_of_the_peers_half_does_not_stop_us() {
    let mut script = Script::new(Config::new());
    let peer = Peer::new(1, [Read::Bytes(b"ask".to_vec()), Read::End]);
    let id = script.admits(&peer);
    assert_eq!(script.tick(), [Event::Received(id), Event::Eof(id)]);
    script.server.tx(id, b"answer").unwrap();
    script.server.remoter_mut(id).unwrap().take();
    assert_eq!(script.tick(), [Event::Closed(id, CloseReason::Eof)]);
    assert_eq!(peer.far().written, b"answer");
    assert!(peer.far().dropped && !peer.far().abortive);
}

#[test]
fn behaviour_37_sending_on_a_half_that_was_ended_is_an_error_of_that_call_only() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    rig.server.tx(id, b"all I say").unwrap();
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    assert_eq!(
        rig.server.tx(id, b"x"),
        Err(TxError::SendShut),
        "though its end is still to go out"
    );
    rig.tick();
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::SendShut));
    assert_eq!(rig.server.remoter(id).unwrap().tx_room(), 0);
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"all I say");
    send(&mut client, b"I hear");
    rig.until_unread(id, 6);
}

#[test]
fn behaviour_38_what_was_queued_before_shutdown_send_arrives_before_the_end() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let message = pattern(1 << 20);
    assert_eq!(rig.server.tx(id, &message), Ok(1 << 20));
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    let got = rig.read_to_end(&mut client).unwrap();
    assert!(got == message, "{} bytes", got.len());
    assert!(rig.server.remoter(id).unwrap().may_receive());
}

#[test]
fn behaviour_39_after_close_sending_is_an_error_not_silence() {
    let mut rig = Rig::new(Config::new());
    let (client, id) = rig.client();
    rig.server.remoter_mut(id).unwrap().close();
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Closed));
    assert!(!rig.server.remoter(id).unwrap().may_receive());
    rig.server.service_sends();
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Closed));
    drop(client);
    rig.until_closed(id);
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Closed), "told, not yet forgotten");
    rig.tick_now();
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Gone));
}

#[test]
fn behaviour_40_a_send_just_after_the_peer_has_gone_may_succeed_and_ends_with_a_reason() {
    for abrupt in [false, true] {
        let mut rig = Rig::new(Config::new());
        let (client, id) = rig.client();
        if abrupt {
            reset(client);
        } else {
            drop(client);
        }
        assert_eq!(rig.server.tx(id, b"to nobody"), Ok(9));
        let reason = rig.until_closed(id);
        // Without a reset the kernel takes it and the end is met first; which of the two comes first is the kernel's affair.
        assert!(
            reason == CloseReason::Reset || (!abrupt && reason == CloseReason::Eof),
            "{reason}"
        );
        assert_eq!(rig.server.buffered(), 0);
    }
}

#[test]
fn behaviour_41_both_halves_ended_are_seen_by_the_peer() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.shutdown_receive();
    remoter.shutdown_send();
    rig.server.service_sends();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    assert_eq!(rig.until_closed(id), CloseReason::Eof);
}

#[test]
fn behaviour_42_traffic_either_way_refreshes_the_idle_timeout_if_refreshable() {
    let idle = Duration::from_secs(10);
    let mut rig = Rig::with(|config| config.timeouts.idle = Some(idle));
    let (mut client, id) = rig.client();
    rig.tick_at(Tyme::from_secs(9));
    send(&mut client, b"in");
    rig.until_unread(id, 2);
    assert_eq!(rig.tick_at(Tyme::from_secs(18)), [], "9 s after the last byte in");
    rig.server.tx(id, b"out").unwrap();
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 3), b"out");
    assert_eq!(rig.tick_at(Tyme::from_nanos(27_999_999_999)), []);
    let closed = [
        Event::Expired(id, Deadline::Idle),
        Event::Closed(id, CloseReason::Expired(Deadline::Idle)),
    ];
    assert_eq!(rig.tick_at(Tyme::from_secs(28)), closed);
}

#[test]
fn behaviour_42_traffic_does_not_refresh_it_if_not_refreshable() {
    let mut rig = Rig::with(|config| {
        config.timeouts.idle = Some(Duration::from_secs(10));
        config.refreshable = false;
    });
    let (mut client, id) = rig.client();
    rig.tick_at(Tyme::from_secs(9));
    send(&mut client, b"in");
    rig.until_unread(id, 2);
    assert_eq!(rig.tick_at(Tyme::from_nanos(9_999_999_999)), []);
    assert_eq!(rig.tick_at(Tyme::from_secs(10)).len(), 2);
    assert_eq!(
        rig.server.remoter(id).unwrap().close_reason(),
        Some(CloseReason::Expired(Deadline::Idle))
    );
}
