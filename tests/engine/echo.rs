//! The way of a byte: in, to the user, and out again.
#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use crate::util::{Rig, connect, end, pattern, receive, send};
use tymist::{CloseReason, Config, Event};

#[test]
fn a_message_comes_in_and_its_answer_goes_out() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"ping");
    rig.until(|event| *event == Event::Received(id));
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.rx(), b"ping");
    assert_eq!(remoter.take(), &b"ping"[..]);
    assert_eq!(remoter.tx(b"pong"), Ok(4));
    assert_eq!(rig.server.service_sends(), 4);
    assert_eq!(receive(&mut client, 4), b"pong");
}

#[test]
fn a_peer_that_ends_its_half_still_gets_its_reply() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let message = pattern(3_000_000);
    let sent = message.clone();
    let mut writer = client.try_clone().unwrap();
    #[allow(clippy::disallowed_methods, reason = "a peer of its own")]
    let thread = std::thread::spawn(move || {
        send(&mut writer, &sent);
        end(&writer);
    });
    client.set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    let mut reason = None;
    for _ in 0..crate::util::ROUNDS {
        for event in rig.tick() {
            match event {
                Event::Received(id) | Event::Drained(id) => {
                    let remoter = rig.server.remoter_mut(id).unwrap();
                    let mut data = remoter.take();
                    let _ = remoter.tx_bytes(&mut data);
                    remoter.unread(data);
                }
                Event::Closed(closed, why) => {
                    assert_eq!(closed, id);
                    reason = Some(why);
                }
                _ => {}
            }
        }
        let mut buf = vec![0; 65536];
        while let Ok(count @ 1..) = std::io::Read::read(&mut client, &mut buf) {
            got.extend_from_slice(&buf[..count]);
        }
        if reason.is_some() && got.len() == message.len() {
            break;
        }
    }
    thread.join().unwrap();
    assert_eq!(reason, Some(CloseReason::Eof));
    assert!(got == message, "{} bytes came back", got.len());
}

#[test]
fn many_clients_have_a_remoter_each() {
    let mut rig = Rig::new(Config::new());
    let mut clients: Vec<_> = (0..50).map(|_| connect(rig.addr)).collect();
    rig.until_server(|server| server.len() == 50);
    for (number, client) in clients.iter_mut().enumerate() {
        send(client, &[number as u8]);
    }
    for (number, client) in clients.iter().enumerate() {
        let id = rig.server.at(&client.local_addr().unwrap().into()).unwrap();
        rig.until_unread(id, 1);
        assert_eq!(rig.server.remoter(id).unwrap().rx(), &[number as u8]);
    }
}
