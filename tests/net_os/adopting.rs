//! Sockets made elsewhere.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};

use tymist::net::os::OsNet;
use tymist::net::{Addr, Net, SocketOptions, Stream};

use super::{LISTENER, STREAM, accept, connect, receive, report, would_block};

fn unconnected() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

#[test]
fn an_adopted_listener_serves() {
    let mut net = OsNet::new();
    let made = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = Addr::from(made.local_addr().unwrap());
    let mut listener = net.adopt_listener(made, &SocketOptions::new()).map_err(|e| e.0).unwrap();
    assert_eq!(*listener.local_addr(), addr);
    #[cfg(unix)]
    assert!(super::socket(listener.as_fd()).nonblocking().unwrap(), "though it was made blocking");
    would_block(listener.accept().map(drop));
    listener.register(LISTENER).unwrap();
    let mut far = connect(&addr);
    report(&mut net, LISTENER, |report| report.readable);
    let mut near = accept(&mut net, &mut *listener);
    near.register(STREAM).unwrap();
    far.write_all(b"hello").unwrap();
    assert_eq!(receive(&mut net, &mut *near, 5), b"hello");
}

/// Whoever connected before the adoption must have the options too: the listener could not hand them down yet.
#[cfg(unix)]
#[test]
fn connections_queued_before_the_adoption_have_the_options_too() {
    let mut net = OsNet::new();
    let made = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = Addr::from(made.local_addr().unwrap());
    let _before = [connect(&addr), connect(&addr)];
    let mut listener = net.adopt_listener(made, &SocketOptions::new()).map_err(|e| e.0).unwrap();
    listener.register(LISTENER).unwrap();
    let no_delay = |near: &dyn Stream| super::socket(near.as_fd()).tcp_nodelay().unwrap();
    assert!(no_delay(&*accept(&mut net, &mut *listener)));
    let _after = connect(&addr);
    assert!(no_delay(&*accept(&mut net, &mut *listener)));
    assert!(no_delay(&*accept(&mut net, &mut *listener)));
    would_block(listener.accept().map(drop));
    let _last = connect(&addr);
    assert!(no_delay(&*accept(&mut net, &mut *listener)), "the listener hands them down now");
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
#[test]
fn a_socket_that_does_not_listen_is_given_back_as_it_was() {
    let mut net = OsNet::new();
    let socket = unconnected();
    socket.bind(&super::alone(83).inet().unwrap().into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();

    let Err((error, back)) = net.adopt_listener(socket.into(), &SocketOptions::new()) else {
        panic!("adopted a socket that does not listen");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("does not listen"), "{error}");
    assert_eq!(back.local_addr().unwrap(), addr, "the same socket");
    let socket = socket2::Socket::from(back);
    assert!(!socket.nonblocking().unwrap(), "still blocking");
    assert!(!socket.tcp_nodelay().unwrap(), "no option set");

    socket.listen(8).unwrap();
    assert!(net.adopt_listener(socket.into(), &SocketOptions::new()).is_ok());
}

#[cfg(unix)]
#[test]
fn what_fails_half_way_is_given_back_as_it_was() {
    let mut net = OsNet::new();
    let mut bad = SocketOptions::new();
    let zero = std::time::Duration::ZERO;
    bad.keep_alive = Some(tymist::net::KeepAlive { idle: zero, interval: zero, retries: 0 });

    let made = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = connect(&made.local_addr().unwrap().into());
    let Err((error, back)) = net.adopt_stream(far, &bad) else { panic!("adopted") };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!socket2::SockRef::from(&back).nonblocking().unwrap(), "still blocking");
    assert!(net.adopt_stream(back, &SocketOptions::new()).is_ok());

    let Err((error, back)) = net.adopt_listener(made, &bad) else { panic!("adopted") };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!socket2::SockRef::from(&back).nonblocking().unwrap(), "still blocking");
    assert!(net.adopt_listener(back, &SocketOptions::new()).is_ok());
}

#[test]
fn an_adopted_stream_talks() {
    let mut net = OsNet::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let made = listener.accept().unwrap().0;
    far.write_all(b"early").unwrap();

    let mut near = net.adopt_stream(made, &SocketOptions::new()).map_err(|e| e.0).unwrap();
    assert_eq!(*near.peer_addr(), Addr::from(far.local_addr().unwrap()));
    assert_eq!(*near.local_addr(), Addr::from(far.peer_addr().unwrap()));
    assert!(near.connected().unwrap());
    #[cfg(unix)]
    assert!(super::socket(near.as_fd()).nonblocking().unwrap(), "though it was made blocking");
    near.register(STREAM).unwrap();
    report(&mut net, STREAM, |report| report.readable && report.writable);
    assert_eq!(receive(&mut net, &mut *near, 5), b"early");
    would_block(near.read(&mut [0]));
    near.write(&[IoSlice::new(b"late")]).unwrap();
    let mut buf = [0; 4];
    far.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"late");
}

#[test]
fn a_stream_without_a_peer_is_given_back() {
    let mut net = OsNet::new();
    let Err((error, _back)) = net.adopt_stream(unconnected().into(), &SocketOptions::new()) else {
        panic!("adopted a stream without a peer");
    };
    assert_eq!(error.kind(), ErrorKind::NotConnected);
}

/// It was taken over where no option was asked for that only TCP has; then its datagrams were a stream, and an empty one was the peer's end.
#[cfg(unix)]
#[test]
fn regression_a_datagram_socket_is_no_stream() {
    use std::net::UdpSocket;
    let mut net = OsNet::new();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(other.local_addr().unwrap()).unwrap();
    let mut options = SocketOptions::new();
    options.no_delay = false;
    let socket = TcpStream::from(std::os::fd::OwnedFd::from(socket));
    let Err((error, back)) = net.adopt_stream(socket, &options) else {
        panic!("adopted a datagram socket");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!socket2::SockRef::from(&back).nonblocking().unwrap(), "still blocking");
}
