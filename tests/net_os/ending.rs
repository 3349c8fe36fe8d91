//! Writing, shutting down, resetting, dropping.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tymist::net::os::OsNet;
use tymist::net::{Net, SocketOptions, Stream};

use super::{
    LISTENER, STREAM, accept, connect, loopback, pair, pending, quiet, refused, report, until,
};

#[test]
fn a_vectored_write_goes_out_in_order() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    let bufs = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
    assert_eq!(near.write(&bufs).unwrap(), 7);
    let mut buf = [0; 7];
    far.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"one two");
}

/// More slices than the system takes at once (1,024): as many as it does take, and no error.
#[test]
fn a_write_of_very_many_slices_takes_some() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let bufs: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
    let mut sent = 0;
    until(&mut net, "room for all", |_| {
        while sent < bufs.len() {
            let Some(len) = pending(near.write(&bufs[sent..]))? else { return Ok(None) };
            assert_ne!(len, 0);
            sent += len;
        }
        Ok(Some(()))
    });
    let mut got = vec![0; bytes.len()];
    far.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
}

/// A connection that the peer has reset, and whose reset has been read.
fn broken(net: &mut OsNet) -> Box<dyn Stream> {
    let (_listener, mut near, far) = pair(net);
    socket2::SockRef::from(&far).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(far);
    report(net, STREAM, |report| report.ending);
    assert_eq!(refused(near.read(&mut [0])), ErrorKind::ConnectionReset);
    near
}

/// A library may be in a process whose main program left SIGPIPE as it is, and would end it.
#[cfg(unix)]
#[test]
fn a_write_to_a_dead_connection_is_an_error_and_no_signal() {
    let mut net = OsNet::new();
    let signalled = Arc::new(AtomicBool::new(false));
    let sigpipe = signal_hook::consts::SIGPIPE;
    let hook = signal_hook::flag::register(sigpipe, Arc::clone(&signalled)).unwrap();
    for bufs in [&[IoSlice::new(b"one")][..], &[IoSlice::new(b"or"), IoSlice::new(b"two")]] {
        assert_eq!(refused(broken(&mut net).write(bufs)), ErrorKind::BrokenPipe);
        assert!(!signalled.load(Ordering::SeqCst), "SIGPIPE at {} slices", bufs.len());
    }
    // The hook works, or the above shows nothing.
    signal_hook::low_level::raise(sigpipe).unwrap();
    assert!(signalled.load(Ordering::SeqCst));
    signal_hook::low_level::unregister(hook);
}

#[test]
fn what_was_written_arrives_before_the_end() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    near.write(&[IoSlice::new(b"last words")]).unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    let mut got = String::new();
    far.read_to_string(&mut got).unwrap();
    assert_eq!(got, "last words");
    assert_eq!(refused(near.write(&[IoSlice::new(b"more")])), ErrorKind::BrokenPipe);

    // The other half goes on.
    far.write_all(b"reply").unwrap();
    assert_eq!(super::receive(&mut net, &mut *near, 5), b"reply");
}

#[test]
fn a_shutdown_after_the_peer_is_gone_says_not_connected() {
    let mut net = OsNet::new();
    let mut near = broken(&mut net);
    assert_eq!(refused(near.shutdown(Shutdown::Write)), ErrorKind::NotConnected);
}

#[test]
fn an_abortive_drop_resets() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    near.set_abortive().unwrap();
    drop(near);
    assert_eq!(refused(far.read(&mut [0])), ErrorKind::ConnectionReset);
}

#[test]
fn a_plain_drop_ends_cleanly() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    near.write(&[IoSlice::new(b"bye")]).unwrap();
    drop(near);
    let mut got = Vec::new();
    far.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"bye");
}

#[test]
fn a_dropped_listener_refuses() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&tymist::net::Listen::new(super::alone(84))).unwrap();
    listener.register(LISTENER).unwrap();
    let addr = listener.local_addr().inet().unwrap();
    drop(listener);
    let gone = std::net::TcpStream::connect(addr);
    assert_eq!(refused(gone), ErrorKind::ConnectionRefused);
    quiet(&mut net, LISTENER);
}

#[test]
fn streams_live_on_without_their_listener_and_their_network() {
    let mut net = OsNet::new();
    let (listener, mut near, mut far) = pair(&mut net);
    drop(listener);
    drop(net);
    near.write(&[IoSlice::new(b"alone")]).unwrap();
    let mut buf = [0; 5];
    far.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"alone");
}

/// epoll forgets a socket when its last descriptor goes, and somebody else has one here.
#[cfg(unix)]
#[test]
fn a_dropped_listener_whose_descriptor_was_shared_is_forgotten() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&loopback()).unwrap();
    listener.register(LISTENER).unwrap();
    let addr = listener.local_addr().clone();
    let shared = listener.as_fd().unwrap().try_clone_to_owned().unwrap();
    drop(listener);
    let _far = connect(&addr); // the copy still listens
    quiet(&mut net, LISTENER);
    drop(shared);
}

#[cfg(unix)]
#[test]
fn a_dropped_stream_whose_descriptor_was_shared_is_forgotten() {
    let mut net = OsNet::new();
    let (_listener, near, mut far) = pair(&mut net);
    let shared = near.as_fd().unwrap().try_clone_to_owned().unwrap();
    drop(near);
    far.write_all(b"anyone?").unwrap();
    quiet(&mut net, STREAM);
    drop(shared);
}

#[test]
fn a_dropped_stream_adopted_with_a_copy_elsewhere_is_forgotten() {
    let mut net = OsNet::new();
    let (mut listener, first, _first) = pair(&mut net);
    drop(first);
    let far = connect(listener.local_addr());
    let mut other = accept(&mut net, &mut *listener);
    let copy = far.try_clone().unwrap();
    let mut near = net.adopt_stream(far, &SocketOptions::new()).map_err(|e| e.0).unwrap();
    near.register(STREAM).unwrap();
    report(&mut net, STREAM, |report| report.writable);
    drop(near);
    other.write(&[IoSlice::new(b"anyone?")]).unwrap();
    quiet(&mut net, STREAM);
    drop(copy);
}
