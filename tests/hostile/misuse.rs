//! What the caller may do wrong, and a server that is closed or has nothing open.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use tymist::net::{Addr, SocketOptions};
use tymist::{CloseReason, Config, Event, Gone, Server, TxError, Wake};

use crate::util::{Rig, connect};

#[test]
fn stale_ids_are_answered_with_nothing() {
    let mut rig = Rig::new(Config::new());
    let (client, old) = rig.client();
    drop(client);
    rig.until_closed(old);
    rig.tick_now();
    let (_client, new) = rig.client();
    assert_eq!(old.index(), new.index(), "its place has been given away");
    for _ in 0..3 {
        assert!(rig.server.remoter(old).is_none() && rig.server.remoter_mut(old).is_none());
        assert_eq!(rig.server.tx(old, b"x"), Err(TxError::Gone));
        assert_eq!(rig.server.service_sends_of(old), Err(Gone));
        assert_eq!(rig.server.service_receives_of(old), Err(Gone));
        rig.tick_now();
    }
    assert_eq!(rig.server.ixes(), [new]);
    assert_eq!(rig.server.buffered(), 0);
}

#[test]
fn everything_can_be_called_on_a_closed_connection_until_it_is_forgotten() {
    let mut rig = Rig::new(Config::new());
    let (client, id) = rig.client();
    drop(client);
    rig.until(|event| matches!(event, Event::Closed(..)));
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.close();
    remoter.abort();
    remoter.shutdown_send();
    remoter.shutdown_receive();
    remoter.set_half_open(true);
    remoter.set_timeouts(tymist::Timeouts::new());
    remoter.set_rx_limit(1);
    remoter.set_wire_log(Some(tymist::wire::WireLog::memory(1000)));
    remoter.wrap(|stream| stream);
    remoter.unread(b"back".to_vec().into());
    assert_eq!(remoter.tx(b"x"), Err(TxError::Closed));
    assert_eq!((remoter.tx_room(), remoter.rx()), (0, &b"back"[..]));
    assert!(!remoter.may_send() && !remoter.may_receive() && remoter.is_closing());
    assert_eq!(remoter.close_reason(), Some(CloseReason::Eof), "the first reason stays");
    assert!(remoter.buffer_sizes().is_err());
    assert_eq!(rig.server.service_sends_of(id), Err(Gone));
    assert_eq!(rig.tick_now(), []);
    assert!(rig.server.remoter(id).is_none());
    assert_eq!((rig.server.timers(), rig.server.buffered()), (0, 0));
    assert_eq!(rig.server.wake(), Wake::OnIo);
}

#[test]
fn everything_can_be_called_on_a_closed_server() {
    let mut rig = Rig::new(Config::new());
    let (_client, id) = rig.client();
    rig.server.close();
    rig.server.close();
    assert_eq!(rig.server.tx(id, b"x"), Err(TxError::Closed));
    rig.server.close_remoters();
    let data = bytes::Bytes::from_static(b"to nobody");
    assert_eq!(rig.server.broadcast(&data, |_| true), tymist::Broadcast::default());
    rig.tick_now();
    assert!(!rig.server.opened() && rig.server.is_empty());
    assert_eq!(rig.server.wake(), Wake::OnIo);
    rig.server.wait(Some(Duration::ZERO));
    assert_eq!(rig.tick_now(), []);
    rig.server.drain(None);
    assert_eq!(rig.tick_now(), [Event::DrainEnded { cut: 0 }]);
    assert!(rig.server.unlisten(rig.acceptor));
    assert!(!rig.server.unlisten(rig.acceptor), "gone already");
    assert_eq!(rig.server.local_addr(rig.acceptor), None);
    rig.server.reopen().unwrap();
    assert!(!rig.server.opened(), "nothing is left to open");
    let again = rig.server.listen(([127, 0, 0, 1], 0)).unwrap();
    assert_ne!(again, rig.acceptor, "acceptor ids are not used twice");
    rig.addr = rig.server.local_addr(again).unwrap().inet().unwrap();
    rig.client();
}

#[test]
fn a_server_that_never_listened_does_nothing() {
    let mut server = Server::new(Config::new());
    for _ in 0..3 {
        server.service();
        server.wait(Some(Duration::ZERO));
        assert_eq!(server.poll_event(), None);
        assert_eq!(server.wake(), Wake::OnIo);
    }
    server.close();
    server.reopen().unwrap();
    assert!(!server.opened());
}

#[test]
fn a_port_in_use_is_an_error_and_a_reopen_onto_one_can_be_tried_again() {
    let mut rig = Rig::alone(51, Config::new());
    assert_eq!(rig.server.listen(rig.addr).unwrap_err().kind(), ErrorKind::AddrInUse);
    rig.client();
    rig.server.close();
    rig.tick_now();
    #[allow(clippy::disallowed_methods, reason = "another program")]
    let other = TcpListener::bind(rig.addr).unwrap();
    let error = rig.server.reopen().unwrap_err();
    assert_eq!((error.kind(), error.addr().inet()), (ErrorKind::AddrInUse, Some(rig.addr)));
    assert!(!rig.server.opened());
    crate::is_quiet(&mut rig);
    drop(other);
    rig.server.reopen().unwrap();
    rig.client();
}

#[test]
fn addresses_that_are_none_are_refused_with_a_reason() {
    for text in ["", ":", "::", "1.2.3:0", "1.2.3.4", "[::1:0", "host name:0", "\0:0", "1.2.3.4:-1"]
    {
        let error = text.parse::<Addr>().unwrap_err().to_string();
        assert!(error.starts_with("bad address"), "{error}");
    }
    let mut rig = Rig::new(Config::new());
    let error = rig.server.listen(Addr::Unnamed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(rig.server.acceptors().count(), 1);
    rig.client();
}

#[test]
fn what_cannot_be_taken_over_is_given_back() {
    let mut rig = Rig::with(|config| config.limits.remoters = 1);
    let stream = connect(rig.addr);
    let not_listening = std::os::fd::OwnedFd::from(stream.try_clone().unwrap());
    let error = rig.server.adopt_listener(TcpListener::from(not_listening), &SocketOptions::new());
    let error = error.unwrap_err();
    assert!(error.to_string().contains("does not listen"), "{error}");
    drop(error);

    rig.until_server(|server| server.len() == 1);
    let error = rig.server.adopt_stream(stream, &SocketOptions::new()).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(error.socket.peer_addr().is_ok(), "still connected");
    assert_eq!(rig.server.len(), 1);
    assert_eq!(rig.server.counters().refused.remoters, 1);
    crate::is_quiet(&mut rig);
}
