//! What a client over TLS can do.

use std::time::Duration;

use tymist::net::tls::{ClientAuth, ClientTls, ClientTlsConfig, ServerTrust, TlsVersion};
use tymist::{Backoff, Client, CloseReason, Config, Connect, Event};

use super::rig::Rig;
use crate::tls_support::pki;

#[test]
fn b44_it_is_up_before_it_is_connected_and_events_come_in_order() {
    let mut rig = Rig::new();
    let id = rig.clients.connect(rig.way("server.test")).unwrap();
    assert!(rig.clients.remoter(id).unwrap().ends().is_none(), "b45: no addresses before");
    // The server is not ticked: TCP comes up, and TLS cannot.
    rig.until(|rig| {
        rig.clients.wait(Some(Duration::from_millis(1)));
        rig.tick_clients();
        rig.clients.remoter(id).unwrap().is_up().then_some(())
    });
    let remoter = rig.clients.remoter(id).unwrap();
    assert!(!remoter.is_connected() && remoter.tls().is_none());
    assert_eq!(remoter.peer_addr().inet(), Some(rig.addr));
    assert_eq!(rig.near, [], "nobody is told of one that is half made");
    rig.until_live(id);
    assert_eq!(rig.near, [Event::Connected(id)]);
}

#[test]
fn b54_the_name_is_checked_apart_from_the_address_and_what_was_agreed_is_told() {
    let mut rig = Rig::with(|_| {}, |_, tls| tls.with_alpn(["echo/2", "echo/1"]));
    let tls = ClientTls::new(&rig.config().with_alpn(["echo/1"])).unwrap();
    let connect = Connect::new(rig.addr).with_tls(&tls, "server.test").unwrap();
    let (id, there) = rig.live(connect);
    let info = rig.clients.remoter(id).unwrap().tls().unwrap();
    assert_eq!(info.version(), TlsVersion::Tls13);
    assert_eq!(info.server_name(), Some("server.test"));
    assert_eq!(info.alpn(), Some(&b"echo/1"[..]));
    assert!(info.peer_identity().unwrap().dns_names.contains(&"server.test".to_owned()));
    assert!(!info.resumed());
    let info = rig.server.remoter(there).unwrap().tls().unwrap();
    assert_eq!(info.server_name(), Some("server.test"), "sent to the server");
}

#[test]
fn an_ip_address_can_be_what_is_proved_and_is_not_sent() {
    let mut rig = Rig::new();
    let (_, there) = rig.live(rig.way("127.0.0.1"));
    assert_eq!(rig.server.remoter(there).unwrap().tls().unwrap().server_name(), None);
}

#[test]
fn what_is_no_name_is_refused_before_anything_is_dialled() {
    let rig = Rig::new();
    for bad in ["", "no name", "-x.test", "a..b", "[::1]", "server.test:443"] {
        let error = Connect::new(rig.addr).with_tls(&rig.tls(), bad).unwrap_err();
        assert_eq!(error.name(), bad);
        assert!(error.to_string().contains("neither a DNS name nor an IP address"), "{error}");
    }
}

#[test]
fn b46_what_is_queued_before_goes_out_once_the_name_is_proved_and_both_halves_end_by_themselves() {
    let mut rig = Rig::new();
    let id = rig.clients.connect(rig.way("server.test")).unwrap();
    let data: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
    assert_eq!(rig.clients.tx(id, &data), Ok(300_000));
    rig.clients.remoter_mut(id).unwrap().shutdown_send();
    rig.clients.remoter_mut(id).unwrap().set_half_open(true);
    let (_, there) = rig.until_live(id);
    rig.server.remoter_mut(there).unwrap().set_half_open(true);
    let mut got = Vec::new();
    rig.until(|rig| {
        got.extend(rig.server.remoter_mut(there)?.take());
        rig.far.contains(&Event::Eof(there)).then_some(())
    });
    assert!(got == data, "{} bytes of {}", got.len(), data.len());
    assert!(!rig.told(|event| matches!(event, Event::Closed(..))), "the other half is open");
    rig.server.tx(there, b"the answer").unwrap();
    rig.server.remoter_mut(there).unwrap().close();
    rig.until(|rig| rig.near.contains(&Event::Eof(id)).then_some(()));
    assert_eq!(rig.clients.remoter_mut(id).unwrap().take(), &b"the answer"[..]);
    assert_eq!((rig.closed(id), rig.closed_there(there)), (CloseReason::Eof, CloseReason::Local));
}

#[test]
fn b52_both_ends_prove_who_they_are_where_both_must() {
    let mut rig = Rig::with(|_| {}, |authority, tls| tls.with_client_auth(authority.required()));
    let shown = rig.authority.issue(&pki::client()).identity();
    let tls = ClientTls::new(&rig.config().with_identity(shown)).unwrap();
    let (_, there) = rig.live(Connect::new(rig.addr).with_tls(&tls, "server.test").unwrap());
    let info = rig.server.remoter(there).unwrap().tls().unwrap();
    let identity = info.peer_identity().unwrap();
    assert_eq!(identity.common_name.as_deref(), Some("client.test"));
    // Nobody is asked for anything, and nobody looks: it is TLS all the same, with 1.2 too.
    let mut rig = Rig::with(
        |_| {},
        |_, tls| tls.with_client_auth(ClientAuth::None).with_versions([TlsVersion::Tls12]),
    );
    let config = ClientTlsConfig::new(ServerTrust::DangerousAnyone).with_time(rig.time.clone());
    let tls = ClientTls::new(&config).unwrap();
    let (id, _) = rig.live(Connect::new(rig.addr).with_tls(&tls, "whoever.test").unwrap());
    let info = rig.clients.remoter(id).unwrap().tls().unwrap();
    assert_eq!((info.version(), info.peer_identity()), (TlsVersion::Tls12, None));
}

#[test]
fn it_comes_again_with_a_fresh_session_that_resumes_the_last_and_nothing_is_said_twice() {
    let mut rig = Rig::new();
    let mut connect = rig.way("server.test");
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let id = rig.clients.connect(connect).unwrap();
    rig.clients.tx(id, b"once").unwrap();
    let (_, there) = rig.until_live(id);
    rig.until_unread_there(there, b"once");
    // What resumes comes behind the handshake, and is taken in by reading.
    rig.server.tx(there, b"hello").unwrap();
    rig.until_unread(id, b"hello");
    for round in 1..=3 {
        let (_, there) = rig.until_live(id);
        rig.server.remoter_mut(there).unwrap().abort();
        let retry_at = rig.until(|rig| match rig.near.last() {
            Some(Event::Disconnected { reason, retry_at, .. }) => {
                assert_eq!(*reason, CloseReason::Reset);
                Some(*retry_at)
            }
            _ => None,
        });
        assert!(rig.clients.remoter(id).unwrap().tls().is_none(), "of no connection");
        rig.tymist.set(retry_at).unwrap();
        let (_, there) = rig.until_live(id);
        let remoter = rig.clients.remoter(id).unwrap();
        assert!(remoter.tls().unwrap().resumed(), "round {round}");
        assert_eq!(remoter.rx(), b"");
        assert!(rig.server.remoter(there).unwrap().tls().unwrap().resumed());
        rig.server.tx(there, b"again").unwrap();
        rig.until_unread(id, b"again");
        assert_eq!(rig.server.remoter(there).unwrap().rx(), b"", "said twice");
        rig.clients.remoter_mut(id).unwrap().take();
    }
    assert_eq!(rig.clients.counters().opened, 4);
}

#[test]
fn without_resumption_each_handshake_is_whole() {
    let mut rig = Rig::new();
    let mut config = rig.config();
    config.common.resumption = false;
    let tls = ClientTls::new(&config).unwrap();
    for _ in 0..2 {
        let (id, there) = rig.live(Connect::new(rig.addr).with_tls(&tls, "server.test").unwrap());
        rig.server.tx(there, b"hello").unwrap();
        rig.until_unread(id, b"hello");
        assert!(!rig.clients.remoter(id).unwrap().tls().unwrap().resumed());
    }
}

#[test]
fn b53_one_that_is_given_up_in_its_handshake_can_be_made_again() {
    let mut rig = Rig::new();
    let id = rig.clients.connect(rig.way("server.test").reconnectable()).unwrap();
    rig.until(|rig| {
        rig.clients.wait(Some(Duration::from_millis(1)));
        rig.tick_clients();
        rig.clients.remoter(id).unwrap().is_up().then_some(())
    });
    rig.clients.redial(id).unwrap();
    rig.until_live(id);
    let (first, rest) = rig.near.split_first().unwrap();
    assert!(
        matches!(first, Event::Disconnected { reason: CloseReason::Local, .. }),
        "{first:?} before {rest:?}"
    );
    assert_eq!(rest, [Event::Connected(id)]);
    rig.failed_there();
    assert_eq!((rig.server.cxes(), rig.server.len()), (0, 1));
}

#[test]
fn b55_a_client_alone_and_a_dialling_server_speak_it_too() {
    let mut rig = Rig::new();
    let mut client = Client::new(Config::new(), rig.way("server.test"));
    client.wind(rig.tymist.tymth());
    client.reopen().unwrap();
    client.tx(b"from a client").unwrap();
    rig.until(|_| {
        client.wait(Some(Duration::from_millis(1)));
        client.service();
        client.clear_events();
        client.connected().then_some(())
    });
    assert!(client.accepted() && client.remoter().unwrap().tls().is_some());
    let there = rig.until(|rig| rig.server.at(client.local_addr().unwrap()));
    rig.until_unread_there(there, b"from a client");
    // To itself: both ends under one tick.
    let id = rig.server.connect(rig.way("server.test")).unwrap();
    rig.server.tx(id, b"from a server").unwrap();
    rig.until(|rig| {
        rig.server.remoters().any(|remoter| remoter.rx() == b"from a server").then_some(())
    });
    assert!(rig.server.remoter(id).unwrap().tls().is_some());
}

#[test]
fn the_wire_log_of_clients_shows_what_they_say_and_not_how_it_is_sealed() {
    let mut rig = Rig::new();
    let log = tymist::wire::WireLog::memory(4096);
    rig.clients.set_wire_log(Some(log.clone()));
    let (id, there) = rig.live(rig.way("server.test"));
    rig.clients.tx(id, b"plain words").unwrap();
    rig.until_unread_there(there, b"plain words");
    let said: Vec<u8> = log.records().iter().flat_map(|record| record.data.to_vec()).collect();
    assert_eq!(said, b"plain words");
}

/// All that was said had left, and the peer was told that it was cut short: a program that closes its whole server or its clients sent no close_notify.
#[test]
fn regression_closing_all_ends_what_has_left_in_order() {
    let mut rig = Rig::new();
    let (id, there) = rig.live(rig.way("server.test"));
    rig.server.tx(there, b"a word before").unwrap(); // What is not read, session tickets for one, makes a reset of a close.
    rig.until_unread(id, b"a word before");
    rig.clients.tx(id, b"all there is").unwrap();
    rig.clients.close();
    rig.until_unread_there(there, b"all there is");
    rig.server.remoter_mut(there).unwrap().take();
    assert_eq!(rig.closed_there(there), CloseReason::Eof);

    let (id, there) = rig.live(rig.way("server.test"));
    rig.server.tx(there, b"and here").unwrap();
    rig.server.close();
    rig.until_unread(id, b"and here");
    rig.clients.remoter_mut(id).unwrap().take();
    assert_eq!(rig.closed(id), CloseReason::Eof);

    // What is cut off is no end, but a reset.
    rig.server.reopen().unwrap();
    let (id, there) = rig.live(rig.way("server.test"));
    rig.server.tx(there, &vec![1; 900_000]).unwrap();
    rig.server.config_mut().limits.remoter_tick_bytes = 1000;
    rig.server.close();
    assert_eq!(rig.closed(id), CloseReason::Reset);
}
