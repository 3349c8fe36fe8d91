//! 17 to 25: from the listener's queue to remoters, and what is done to them by address.

use std::io::Read;
use std::time::Duration;

use tymist::net::Addr;
use tymist::{CloseReason, Config, Event, Gone, TxError};

use crate::util::script::{Peer, Read as From, Script};
use crate::util::{Rig, connect, end, pattern, receive, send};

#[test]
fn behaviour_17_accepted_connections_wait_in_a_line_that_can_be_looked_at() {
    let mut rig = Rig::new(Config::new());
    let clients: Vec<_> = (0..5).map(|_| connect(rig.addr)).collect();
    let want: Vec<Addr> =
        clients.iter().map(|client| client.local_addr().unwrap().into()).collect();
    let mut taken = 0;
    for _ in 0..crate::util::ROUNDS {
        taken += rig.server.service_accepts();
        if taken == 5 {
            break;
        }
        rig.server.wait(Some(Duration::from_millis(5)));
    }
    assert_eq!(rig.server.axes(), 5);
    let acceptor = rig.server.acceptor(rig.acceptor).unwrap();
    let line: Vec<Addr> = acceptor.axes().cloned().collect();
    assert_eq!(line, want, "in the order they came");
    assert!(rig.server.is_empty(), "no remoter exists yet");
    assert_eq!(rig.server.poll_event(), None);

    assert_eq!(rig.server.service_axes(), 5);
    assert_eq!((rig.server.axes(), rig.server.len()), (0, 5));
}

#[test]
fn behaviour_18_accepts_become_remoters_in_accept_order() {
    let mut rig = Rig::new(Config::new());
    let clients: Vec<_> = (0..20).map(|_| connect(rig.addr)).collect();
    rig.until_server(|server| server.len() == 20);
    let accepted: Vec<Addr> = rig
        .log
        .iter()
        .map(|event| match event {
            Event::Accepted(id) => rig.server.remoter(*id).unwrap().peer_addr().clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let want: Vec<Addr> = clients.iter().map(|it| it.local_addr().unwrap().into()).collect();
    assert_eq!(accepted, want);
    for addr in &want {
        let id = rig.server.at(addr).unwrap();
        assert_eq!(rig.server.remoter(id).unwrap().peer_addr(), addr, "keyed by its address");
    }
}

#[test]
fn behaviour_19_a_remoter_knows_both_ends_as_the_client_sees_them_mirrored() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let mut rig = Rig::new(Config::new());
        let listen: Addr = listen.parse().unwrap();
        let acceptor = rig.server.listen(listen).unwrap();
        let bound = rig.server.local_addr(acceptor).unwrap();
        rig.addr = bound.reachable().inet().unwrap();
        let (client, id) = rig.client();
        let remoter = rig.server.remoter(id).unwrap();
        assert_eq!(remoter.local_addr().inet(), Some(client.peer_addr().unwrap()));
        assert_eq!(remoter.peer_addr().inet(), Some(client.local_addr().unwrap()));
        assert_eq!(remoter.acceptor(), Some(acceptor));
    }
}

#[test]
fn behaviour_20_each_of_many_clients_has_a_remoter_of_its_own() {
    let mut rig = Rig::new(Config::new());
    let mut clients: Vec<_> = (0..30).map(|_| rig.client()).collect();
    for (number, (client, _)) in clients.iter_mut().enumerate() {
        send(client, format!("I am {number:02}").as_bytes());
    }
    for (number, (client, id)) in clients.iter_mut().enumerate() {
        rig.until_unread(*id, 7);
        assert_eq!(rig.server.remoter(*id).unwrap().rx(), format!("I am {number:02}").as_bytes());
        rig.server.tx(*id, format!("hello {number:02}").as_bytes()).unwrap();
        rig.server.service_sends();
        assert_eq!(receive(client, 8), format!("hello {number:02}").as_bytes());
    }
}

#[test]
fn behaviour_21_a_closed_server_can_be_reopened_and_serves_again() {
    let mut rig = Rig::alone(21, Config::new());
    for round in 0..3u8 {
        let (mut client, id) = rig.client();
        send(&mut client, &[round]);
        rig.until_unread(id, 1);
        rig.server.tx(id, &[round + 100]).unwrap();
        rig.server.service_sends();
        assert_eq!(receive(&mut client, 1), [round + 100]);
        rig.server.close();
        assert!(!rig.server.opened());
        assert_eq!(rig.tick_now(), [Event::Closed(id, CloseReason::ServerClosed)]);
        rig.server.reopen().unwrap();
    }
}

#[test]
fn behaviour_22_close_closes_the_listener_and_all_remoters() {
    let mut rig = Rig::alone(22, Config::new());
    let mut clients: Vec<_> = (0..4).map(|_| rig.client()).collect();
    rig.server.close();
    assert!(!rig.server.opened());
    assert!(rig.server.is_empty());
    assert_eq!((rig.server.timers(), rig.server.buffered(), rig.server.axes()), (0, 0, 0));
    assert!(!crate::util::listens(rig.addr));
    for (client, id) in &mut clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        let remoter = rig.server.remoter(*id).unwrap();
        assert_eq!(remoter.close_reason(), Some(CloseReason::ServerClosed));
    }
    let closed = rig.tick_now();
    assert_eq!(closed.len(), 4);
    rig.server.close();
    assert_eq!(rig.tick_now(), [], "idempotent");
    assert!(clients.iter().all(|(_, id)| rig.server.remoter(*id).is_none()), "and forgotten");
}

#[test]
fn behaviour_23_everything_can_be_done_by_peer_address() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let peer: Addr = client.local_addr().unwrap().into();
    assert_eq!(rig.server.at(&peer), Some(id));

    rig.server.tx(rig.server.at(&peer).unwrap(), b"hi").unwrap();
    assert_eq!(rig.server.service_sends_of(id), Ok(2));
    assert_eq!(receive(&mut client, 2), b"hi");
    send(&mut client, b"ho");
    let mut got = 0;
    for _ in 0..crate::util::ROUNDS {
        got += rig.server.service_receives_of(id).unwrap();
        if got == 2 {
            break;
        }
        rig.server.wait(Some(Duration::from_millis(5)));
    }
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"ho");

    rig.server.remoter_mut(id).unwrap().shutdown_receive();
    assert!(!rig.server.remoter(id).unwrap().may_receive());
    rig.server.remoter_mut(id).unwrap().shutdown_send();
    assert!(!rig.server.remoter(id).unwrap().may_send());
    rig.server.service_sends();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    rig.server.remoter_mut(id).unwrap().close();
    end(&client);
    assert_eq!(rig.until_closed(id), CloseReason::Local);
    assert_eq!(rig.server.at(&peer), None);
}

#[test]
fn behaviour_23_an_unknown_address_or_id_is_an_explicit_answer() {
    let mut rig = Rig::new(Config::new());
    let (client, id) = rig.client();
    drop(client);
    rig.until_closed(id);
    rig.tick_now();
    let nobody: Addr = "192.0.2.1:7".parse().unwrap(); // house: fixed-port, looked up only
    assert_eq!(rig.server.at(&nobody), None);
    assert!(rig.server.remoter_mut(id).is_none());
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Gone));
    assert_eq!(rig.server.service_receives_of(id), Err(Gone));
    assert_eq!(rig.server.service_receive_once(id), Err(Gone));
    assert_eq!(rig.server.service_sends_of(id), Err(Gone));
}

#[test]
fn behaviour_24_a_closed_connection_is_forgotten_once_that_was_told() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    send(&mut client, b"unread");
    rig.until_unread(id, 6);
    rig.server.remoter_mut(id).unwrap().abort();
    rig.server.service();
    assert_eq!(rig.server.at(&client.local_addr().unwrap().into()), None);
    assert_eq!(rig.server.remoter(id).unwrap().rx(), b"unread", "until it was told");
    assert_eq!(rig.server.poll_event(), Some(Event::Closed(id, CloseReason::Aborted)));
    assert!(rig.server.remoter(id).is_some(), "and until the next tick");
    rig.tick_now();
    assert!(rig.server.remoter(id).is_none());
    assert_eq!(rig.server.buffered(), 0);
}

#[test]
fn behaviour_25_a_tick_connects_then_receives_and_what_was_queued_before_it_leaves_in_it() {
    let mut script = Script::new(Config::new());
    let old = Peer::new(1, []);
    let id = script.admits(&old);
    let new = Peer::new(2, [From::Bytes(b"early".to_vec())]);
    old.then([From::Bytes(b"more".to_vec())]);
    script.accepts([crate::util::script::Accept::Peer(new.clone())]);
    script.server.tx(id, b"queued").unwrap();
    assert_eq!(old.far().written, b"", "only queued");
    let events = script.tick();
    let newcomer = script.server.at(&new.addr()).unwrap();
    assert_eq!(events, [Event::Accepted(newcomer), Event::Received(id)]);
    assert_eq!(old.far().written, b"queued");
    assert_eq!(script.tick(), [Event::Received(newcomer)]);
}

#[test]
fn behaviour_25_on_real_sockets_too() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    let message = pattern(1000);
    rig.server.tx(id, &message).unwrap();
    client.set_nonblocking(true).unwrap();
    assert!(client.read(&mut [0]).is_err(), "nothing leaves before the tick");
    client.set_nonblocking(false).unwrap();
    assert_eq!(rig.server.service().bytes_out, 1000);
    assert_eq!(receive(&mut client, 1000), message);
}
