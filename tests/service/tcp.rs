//! The server that turbo has.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tymist::net::{Addr, SocketOptions};
use tymist::{CloseReason, Config, Id, Service, Session, TcpServer};

use crate::util::{ROUNDS, connect, listens, receive, send};

/// Counts what it is told, and echoes.
#[derive(Default)]
struct Echo {
    bytes: usize,
}

impl Service for Echo {
    fn received(&mut self, session: &mut Session<'_>) {
        self.bytes += session.rx().len();
        let data = session.take();
        let _ = session.tx(&data);
    }

    fn closed(&mut self, session: &mut Session<'_>, reason: CloseReason) {
        assert!(self.bytes > 0 || reason != CloseReason::Eof, "{session:?}");
    }
}

type Handle = fn(&mut Session<'_>, &Addr) -> Echo;
type Tcp = TcpServer<Handle, Echo>;

fn handle(stream: &mut Session<'_>, address: &Addr) -> Echo {
    assert_eq!(stream.peer_addr(), address);
    Echo::default()
}

fn server() -> Tcp {
    TcpServer::new(Config::new(), handle as Handle)
}

fn inet(addr: &Addr) -> SocketAddr {
    addr.inet().unwrap()
}

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

#[track_caller]
fn until(tcp: &mut Tcp, mut done: impl FnMut(&mut Tcp) -> bool) {
    for _ in 0..ROUNDS {
        if done(tcp) {
            return;
        }
        tcp.wait(Some(Duration::from_millis(5)));
        tcp.service();
    }
    panic!("it did not come to that");
}

#[test]
fn it_listens_many_times_and_each_stream_has_its_own() {
    let mut tcp = server();
    let addrs: Vec<Addr> = (0..3).map(|_| tcp.listen(ANY).unwrap()).collect();
    let mut clients: Vec<_> = addrs.iter().map(|addr| connect(inet(addr))).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        send(client, &b"abc"[..=number]);
    }
    until(&mut tcp, |tcp| tcp.server().counters().bytes_in == 6);
    tcp.server_mut().service_sends();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(receive(client, number + 1), &b"abc"[..=number]);
        let id = tcp.server().at(&client.local_addr().unwrap().into()).unwrap();
        assert_eq!(tcp.streams().get(id).unwrap().bytes, number + 1);
    }
    assert_eq!(tcp.streams().len(), 3);
    drop(clients);
    until(&mut tcp, |tcp| tcp.streams().is_empty());
}

#[test]
fn bound_sockets_wait_for_the_start() {
    let mut tcp = server();
    let bound = tcp.bind(ANY).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let added = tcp.add_socket(taken, &SocketOptions::new()).unwrap();
    tcp.add_sockets([TcpListener::bind("127.0.0.1:0").unwrap()], &SocketOptions::new()).unwrap();
    let busy = tcp.bind(inet(&bound)).unwrap_err();
    assert_eq!(busy.kind(), std::io::ErrorKind::AddrInUse);
    let (mut one, mut two) = (connect(inet(&bound)), connect(inet(&added)));
    send(&mut one, b"1");
    send(&mut two, b"2");
    for _ in 0..3 {
        tcp.wait(Some(Duration::from_millis(1)));
        tcp.service();
    }
    assert_eq!(tcp.server().counters().accepted, 0);
    tcp.start().unwrap();
    assert_eq!(tcp.server().acceptors().count(), 3);
    until(&mut tcp, |tcp| tcp.server().counters().bytes_in == 2);
    tcp.server_mut().service_sends();
    assert_eq!((receive(&mut one, 1), receive(&mut two, 1)), (vec![b'1'], vec![b'2']));
}

#[test]
fn a_stop_closes_its_sockets_and_leaves_its_streams() {
    let mut tcp = server();
    let (open, bound) = (tcp.listen(ANY).unwrap(), tcp.bind(ANY).unwrap());
    let mut client = connect(inet(&open));
    until(&mut tcp, |tcp| tcp.streams().len() == 1);
    tcp.stop();
    assert!(!listens(inet(&open)) && !listens(inet(&bound)));
    send(&mut client, b"still here");
    until(&mut tcp, |tcp| tcp.server().counters().bytes_in == 10);
    tcp.server_mut().service_sends();
    assert_eq!(receive(&mut client, 10), b"still here");
    // And again, with a socket that is bound anew.
    tcp.bind(inet(&bound)).unwrap();
    tcp.start().unwrap();
    let _late = connect(inet(&bound));
    until(&mut tcp, |tcp| tcp.streams().len() == 2);
}

#[test]
fn who_hits_the_buffer_limit_is_closed() {
    /// Never takes anything.
    struct Deaf;
    impl Service for Deaf {}

    let mut tcp = TcpServer::new(Config::new(), |_: &mut Session<'_>, _: &Addr| Deaf);
    tcp.max_buffer_size(100);
    let addr = tcp.listen(ANY).unwrap();
    let (mut within, mut beyond) = (connect(inet(&addr)), connect(inet(&addr)));
    send(&mut within, &[0; 100]);
    send(&mut beyond, &[0; 101]);
    let mut rounds = 0;
    while tcp.server().counters().closed.rx_full == 0 {
        assert!(rounds < ROUNDS, "never closed");
        rounds += 1;
        tcp.wait(Some(Duration::from_millis(5)));
        tcp.service();
    }
    for _ in 0..5 {
        tcp.wait(Some(Duration::from_millis(1)));
        tcp.service();
    }
    assert_eq!(tcp.server().len(), 1);
    let id = tcp.server().at(&within.local_addr().unwrap().into()).expect("the wrong one");
    assert_eq!(tcp.server().remoter(id).unwrap().rx().len(), 100);
    assert!(!matches!(beyond.read(&mut [0; 1]), Ok(1..)));

    // The other way: one that is sent too much.
    tcp.server_mut().tx(id, &[0; 101]).unwrap_err();
    tcp.service();
    tcp.service();
    assert_eq!(tcp.server().counters().closed.tx_full, 1);
}

#[cfg(feature = "dev-cert")]
#[test]
fn it_speaks_tls_where_it_is_told_to() {
    use tymist::net::tls::{DevCert, ServerTls, TlsTime};
    let cert = DevCert::new(["localhost"], &TlsTime::system()).unwrap();
    let tls = ServerTls::new(cert.server_config()).unwrap();
    let mut tcp = server();
    let plain = tcp.listen(ANY).unwrap();
    tcp.set_tls(Some(&tls));
    let sealed = tcp.bind(ANY).unwrap();
    tcp.start().unwrap();
    let (_one, _two) = (connect(inet(&plain)), connect(inet(&sealed)));
    until(&mut tcp, |tcp| tcp.server().len() == 1 && tcp.server().cxes() == 1);
    assert_eq!(tcp.streams().len(), 1);
}

/// Says that it has no filters.
struct Plain;

impl Service for Plain {
    fn received(&mut self, session: &mut Session<'_>) {
        let data = session.take();
        let _ = session.tx(&data);
    }

    fn incoming(&mut self, _: Id, _: &mut BytesMut) {
        panic!("it has none");
    }

    fn outgoing(&mut self, _: Id, _: &mut Bytes) {
        panic!("it has none");
    }

    fn filters(&self) -> bool {
        false
    }
}

#[test]
fn regression_streams_without_filters_are_not_asked_for_them() {
    let mut tcp = TcpServer::new(Config::new(), |_: &mut Session<'_>, _: &Addr| Plain);
    let mut client = connect(inet(&tcp.listen(ANY).unwrap()));
    send(&mut client, b"hello");
    for _ in 0..ROUNDS {
        if tcp.server().counters().bytes_out == 5 {
            break;
        }
        tcp.wait(Some(Duration::from_millis(5)));
        tcp.service();
    }
    assert_eq!(receive(&mut client, 5), b"hello");
}
