//! No descriptor is left behind. A program of its own, with one test: others would open some meanwhile.
#![cfg(feature = "os")]
#![cfg(all(feature = "os", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets")]

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::{Addr, Dial, Listen, Net, SocketOptions, Stream, Token};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Opens one of each kind, uses it and drops it.
fn round() {
    let mut net = OsNet::new();
    let waker = net.waker().unwrap();
    let mut ready = Vec::new();
    let mut listener = net.listen(&"127.0.0.1:0".parse().unwrap()).unwrap();
    listener.register(Token(1)).unwrap();
    let addr = listener.local_addr().clone();

    let mut dialled = net.connect(&Dial::new(addr.clone())).unwrap();
    dialled.register(Token(2)).unwrap();
    let far = TcpStream::connect(addr.inet().unwrap()).unwrap();
    let mut accepted: Vec<Box<dyn Stream>> = Vec::new();
    for _ in 0..500 {
        net.harvest(Some(Duration::from_millis(20)), &mut ready).unwrap();
        accepted.extend(listener.accept().ok());
        if accepted.len() == 2 {
            break;
        }
    }
    assert_eq!(accepted.len(), 2);
    accepted[0].register(Token(3)).unwrap();
    accepted[1].set_abortive().unwrap();
    let _adopted = net.adopt_stream(far, &SocketOptions::new()).map_err(|e| e.0).unwrap();
    let made = TcpListener::bind("127.0.0.1:0").unwrap();
    let _also = net.adopt_listener(made, &SocketOptions::new()).map_err(|e| e.0).unwrap();

    let mut gram = net.bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    gram.register(Token(4)).unwrap();
    let gram_addr = gram.local_addr().clone();
    assert!(net.bind(&gram_addr.into()).is_err());
    #[cfg(feature = "uds")]
    unix_round(&mut net);

    // What fails leaves nothing either.
    assert!(net.listen(&Listen::new(addr)).is_err());
    assert!(net.listen(&"192.0.2.1:0".parse().unwrap()).is_err());
    assert!(net.connect(&Dial::new(Addr::Unnamed)).is_err());
    assert!(net.listen(&bad_option()).is_err());
    waker.wake().unwrap();
    net.harvest(Some(Duration::from_secs(60)), &mut ready).unwrap();
    assert!(descriptors() > 10, "or this counts the wrong thing");
}

/// The same of Unix sockets, with descriptors on the way that nobody takes.
#[cfg(feature = "uds")]
fn unix_round(net: &mut OsNet) {
    use std::io::IoSlice;
    use tymist::net::Bind;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut listen = Listen::new(path.as_path());
    listen.socket.files = 1;
    let mut listener = net.listen(&listen).unwrap();
    listener.register(Token(5)).unwrap();
    let mut stream = net.connect(&Dial::new(path.as_path())).unwrap();
    stream.register(Token(6)).unwrap();
    let files = (0..3).map(|_| std::io::pipe().unwrap().0.into()).collect();
    stream.files().unwrap().queue(files).unwrap();
    stream.write(&[IoSlice::new(b"x")]).unwrap();
    let files = vec![std::io::pipe().unwrap().0.into()];
    stream.files().unwrap().queue(files).unwrap();
    let mut accepted = listener.accept().unwrap();
    accepted.register(Token(7)).unwrap();
    assert_eq!(accepted.read(&mut [0; 10]).unwrap(), 1);

    // Neither a probe of what is there, nor what fails, leaves one.
    assert!(net.listen(&Listen::new(path.as_path())).is_err());
    assert!(net.bind(&Bind::new(path.as_path())).is_err());
    assert!(net.connect(&Dial::new(std::path::Path::new("no-such-socket"))).is_err());
    let mut bind = Bind::new(Addr::Unnamed);
    bind.files = 5;
    let mut gram = net.bind(&bind).unwrap();
    gram.register(Token(8)).unwrap();
    drop(listener);
    assert!(!path.exists());
}

/// Fails after the socket was made.
fn bad_option() -> Listen {
    let mut listen: Listen = "127.0.0.1:0".parse().unwrap();
    let zero = Duration::ZERO;
    listen.socket.keep_alive =
        Some(tymist::net::KeepAlive { idle: zero, interval: zero, retries: 0 });
    listen
}

#[test]
fn all_descriptors_are_given_back() {
    let before = descriptors();
    let mut net = OsNet::new();
    net.harvest(Some(Duration::ZERO), &mut Vec::new()).unwrap();
    assert_eq!(descriptors(), before, "a network with nothing open takes none");
    drop(net);
    for _ in 0..20 {
        round();
        assert_eq!(descriptors(), before);
    }
}
