//! Ports, addresses, names and options that hio got wrong.

use std::io::ErrorKind;
use std::time::Duration;

use tymist::net::{Addr, Listen};
use tymist::wire::{Direction, WireLog};
use tymist::{CloseReason, Config, Event, Gone, Server, TxError};

use crate::util::{Rig, connect, connect_from, receive, reset, send};

#[test]
fn hio_b22_an_old_id_never_names_the_new_connection_of_the_same_peer() {
    let mut rig = Rig::alone(22, Config::new());
    let (client, old) = rig.lone_client();
    let from = client.local_addr().unwrap();
    reset(client);
    assert_eq!(rig.until_closed(old), CloseReason::Reset);
    rig.tick_now();
    let _again = connect_from(from, rig.addr);
    rig.until_server(|server| server.at(&from.into()).is_some());
    let new = rig.server.at(&from.into()).unwrap();
    assert_eq!(new.index(), old.index(), "the same place");
    assert_ne!(new, old);
    assert!(rig.server.remoter(old).is_none());
    assert_eq!(rig.server.tx(old, b"for the old one"), Err(TxError::Gone));
    assert_eq!(rig.server.buffered(), 0);
}

#[test]
fn hio_b23_port_0_works() {
    let mut rig = Rig::new(Config::new());
    assert_ne!(rig.addr.port(), 0);
    let (mut client, id) = rig.client();
    send(&mut client, b"x");
    rig.until_unread(id, 1);
}

#[test]
fn hio_b24_ipv6_and_both_families_on_one_socket() {
    let v6_only: Listen = "[::1]:0".parse().unwrap();
    let mut both: Listen = "[::]:0".parse().unwrap();
    both.only_v6 = Some(false);
    let mut server = Server::new(Config::new());
    let one = match server.listen(v6_only) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return, // a machine without IPv6
        result => result.unwrap(),
    };
    let one = server.local_addr(one).unwrap().inet().unwrap();
    let two = server.listen(both).unwrap();
    let port = server.local_addr(two).unwrap().port().unwrap();
    for addr in [one, ([127, 0, 0, 1], port).into(), ([0, 0, 0, 0, 0, 0, 0, 1], port).into()] {
        let mut client = connect(addr);
        send(&mut client, b"hello");
        let mut seen = None;
        for _ in 0..crate::util::ROUNDS {
            server.wait(Some(Duration::from_millis(5)));
            server.service();
            while let Some(event) = server.poll_event() {
                if let Event::Received(id) = event {
                    seen = Some(id);
                }
            }
            if seen.is_some() {
                break;
            }
        }
        let remoter = server.remoter(seen.unwrap()).unwrap();
        assert_eq!(remoter.peer_addr().ip(), Some(client.local_addr().unwrap().ip()));
    }
}

#[test]
fn hio_b25_a_port_that_cannot_be_had_is_an_error_that_says_why_and_leaves_nothing() {
    let mut rig = Rig::new(Config::new());
    let error = rig.server.listen(rig.addr).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(error.addr().inet(), Some(rig.addr));
    assert!(error.to_string().contains(&rig.addr.to_string()), "{error}");
    assert_eq!(rig.server.acceptors().count(), 1);

    let not_ours = rig.server.listen(([192, 0, 2, 1], 0)).unwrap_err();
    assert_eq!(not_ours.kind(), ErrorKind::AddrNotAvailable);
    let (_client, _) = rig.client();
}

#[test]
fn hio_b26_unknown_names_and_missing_addresses_are_answered_not_stumbled_over() {
    let mut rig = Rig::new(Config::new());
    let (client, id) = rig.client();
    drop(client);
    rig.until_closed(id);
    rig.tick_now();
    assert_eq!(rig.server.service_receives_of(id), Err(Gone));
    assert!(Gone.to_string().starts_with("no live connection has this id"));
    for (text, why) in [
        ("", "no port"),
        ("127.0.0.1", "no port"),
        ("127.0.0.1:x", "port is no number"),
        ("127.0.0.1:65536", "port is no number"), // house: fixed-port, no port at all
        ("::1", "brackets"),
        ("example.org:0", "names are not looked up"),
    ] {
        let error = text.parse::<Addr>().unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

/// "Invalid argument" was all that was said of a link-local address without its interface.
#[test]
fn a_link_local_address_without_its_interface_is_told_what_it_lacks() {
    let mut server = Server::new(Config::new());
    let link_local = Addr::Inet("[fe80::1]:0".parse().unwrap());
    let error = server.listen(link_local).unwrap_err();
    // A machine without IPv6 says something else.
    if error.kind() == ErrorKind::InvalidInput {
        assert!(error.to_string().contains("the number of its interface"), "{error}");
    }
}

#[test]
fn hio_b28_a_port_is_never_shared_unless_asked() {
    let mut listen = Listen::new(([127, 0, 0, 1], 0));
    let mut rig = Rig::new(Config::new());
    let first = rig.server.listen(listen.clone()).unwrap();
    listen.addr = rig.server.local_addr(first).unwrap().clone();
    let mut second = Server::new(Config::new());
    assert_eq!(second.listen(listen.clone()).unwrap_err().kind(), ErrorKind::AddrInUse);

    listen.addr = ([127, 0, 0, 1], 0).into();
    listen.reuse_port = true;
    let first = rig.server.listen(listen.clone()).unwrap();
    listen.addr = rig.server.local_addr(first).unwrap().clone();
    second.listen(listen).unwrap();
}

#[test]
fn hio_b29_a_log_of_one_direction_in_a_file_survives_closing() {
    let log = WireLog::temporary().unwrap().only(Direction::Rx);
    let path = log.path().unwrap();
    let mut rig = Rig::new(Config::new());
    rig.server.set_wire_log(Some(log.clone()));
    let (mut client, id) = rig.client();
    send(&mut client, b"in");
    rig.until_unread(id, 2);
    rig.server.tx(id, b"out").unwrap();
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 3), b"out");
    rig.server.close();
    rig.tick_now();
    log.flush().unwrap();
    let peer = client.local_addr().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("\nRx {peer}:\nin\n"));
    drop(rig);
    drop(log);
    assert!(!path.exists(), "temporary ones are removed");
}

#[test]
fn hio_b29_a_log_in_memory_stays_within_its_bound() {
    let log = WireLog::memory(10_000);
    let mut rig = Rig::new(Config::new());
    rig.server.set_wire_log(Some(log.clone()));
    let (mut client, id) = rig.client();
    for _ in 0..50 {
        send(&mut client, &[b'x'; 1000]);
        rig.until_unread(id, 1000);
        rig.server.remoter_mut(id).unwrap().consume(1000);
        let kept: usize = log.records().iter().map(|record| record.data.len()).sum();
        assert!(kept < 10_000, "{kept}");
    }
    assert!(log.dropped() > 30, "{}", log.dropped());
    assert!(!log.records().is_empty());

    let secret = WireLog::memory(10_000).redacted();
    rig.server.remoter_mut(id).unwrap().set_wire_log(Some(secret.clone()));
    send(&mut client, b"password");
    rig.until_unread(id, 8);
    let records = secret.records();
    assert_eq!(records.iter().map(|record| record.len).sum::<usize>(), 8);
    assert!(records.iter().all(|record| record.data.is_empty()));
}
