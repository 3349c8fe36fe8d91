//! The operating system's network, through the traits alone: what a socket is like when it comes out, and the contract of
//! a backend. Loopback and port 0; loops are bounded by count, and nothing sleeps but `harvest`.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets and threads")]

mod adopting;
mod ending;
mod looking;
mod opening;
// Linux has all of them, and hands them down.
#[cfg(target_os = "linux")]
mod options;
mod readiness;
mod waiting;

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::{Addr, Listen, Listener, Net, Readiness, Stream, Token};

const LISTENER: Token = Token(1);
const STREAM: Token = Token(2);
/// How often a loop asks for what must come, and how long each time at most: 10 s in all.
const TRIES: usize = 500;
const SHORT: Duration = Duration::from_millis(20);

/// The soft limit of descriptors.
#[cfg(target_os = "linux")]
fn descriptor_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

fn loopback() -> Listen {
    "127.0.0.1:0".parse().unwrap()
}

/// A loopback address of this test alone, where that system has more than one, so that no other test takes a port
/// which this one has given back for a moment.
fn alone(last: u8) -> Addr {
    let last = if cfg!(target_os = "linux") { last } else { 1 };
    Addr::from(([127, 0, 0, last], 0))
}

fn connect(to: &Addr) -> TcpStream {
    TcpStream::connect(to.reachable().inet().unwrap()).unwrap()
}

/// Asks again until `step` gives something; harvests in between.
#[track_caller]
fn until<T>(
    net: &mut OsNet,
    what: &str,
    mut step: impl FnMut(&[Readiness]) -> io::Result<Option<T>>,
) -> T {
    let mut ready = Vec::new();
    for _ in 0..TRIES {
        if let Some(found) = step(&ready).unwrap() {
            return found;
        }
        ready.clear();
        net.harvest(Some(SHORT), &mut ready).unwrap();
    }
    panic!("{what} never came");
}

/// The first report about `token` that `wanted` likes.
#[track_caller]
fn report(net: &mut OsNet, token: Token, wanted: impl Fn(&Readiness) -> bool) -> Readiness {
    until(net, "the report", |ready| {
        Ok(ready.iter().find(|report| report.token == token && wanted(report)).copied())
    })
}

/// Nothing about `token` comes any more.
#[track_caller]
fn quiet(net: &mut OsNet, token: Token) {
    let mut ready = Vec::new();
    for _ in 0..3 {
        net.harvest(Some(Duration::from_millis(5)), &mut ready).unwrap();
    }
    ready.retain(|report| report.token == token);
    assert_eq!(ready, []);
}

#[track_caller]
fn accept(net: &mut OsNet, listener: &mut dyn Listener) -> Box<dyn Stream> {
    until(net, "a connection", |_| pending(listener.accept()))
}

/// `WouldBlock` as `None`.
fn pending<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// A listener, a registered connection accepted from it, and its far end.
fn pair(net: &mut OsNet) -> (Box<dyn Listener>, Box<dyn Stream>, TcpStream) {
    let mut listener = net.listen(&loopback()).unwrap();
    listener.register(LISTENER).unwrap();
    let far = connect(listener.local_addr());
    let mut near = accept(net, &mut *listener);
    near.register(STREAM).unwrap();
    report(net, STREAM, |report| report.writable);
    (listener, near, far)
}

#[track_caller]
fn would_block<T>(result: io::Result<T>) {
    assert_eq!(result.err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
}

/// What kind of error it is; fails where it is none.
#[track_caller]
fn refused<T>(result: io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("this should have failed"),
        Err(error) => error.kind(),
    }
}

/// Reads once; fails where there is nothing.
#[track_caller]
fn read(stream: &mut dyn Stream, room: usize) -> Vec<u8> {
    let mut buf = vec![0; room];
    let len = stream.read(&mut buf).unwrap();
    buf.truncate(len);
    buf
}

/// Waits until `wanted` bytes have come and reads them.
#[track_caller]
fn receive(net: &mut OsNet, stream: &mut dyn Stream, wanted: usize) -> Vec<u8> {
    let mut got = Vec::new();
    let mut buf = vec![0; 4096];
    until(net, "all bytes", |_| {
        if let Some(len) = pending(stream.read(&mut buf))? {
            assert_ne!(len, 0, "the end came after {} of {wanted} bytes", got.len());
            got.extend_from_slice(&buf[..len]);
        }
        Ok((got.len() >= wanted).then_some(()))
    });
    got
}

/// Its descriptor once more, to look at its options.
#[cfg(unix)]
fn socket(fd: Option<std::os::fd::BorrowedFd<'_>>) -> socket2::Socket {
    fd.unwrap().try_clone_to_owned().unwrap().into()
}
