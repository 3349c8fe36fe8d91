//! The contract of a backend: what is reported, when, and that it is never too seldom.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use tymist::net::os::OsNet;
use tymist::net::{Bind, Listener, Net, Readiness, SocketOptions, Stream, Token};

use super::{
    LISTENER, SHORT, STREAM, accept, connect, loopback, pair, pending, quiet, read, receive,
    refused, report, until, would_block,
};

#[test]
fn registering_reports_what_is_already_true() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&loopback()).unwrap();
    let mut far = connect(listener.local_addr());
    listener.register(LISTENER).unwrap();
    report(&mut net, LISTENER, |report| report.readable);

    far.write_all(b"early").unwrap();
    let mut near = accept(&mut net, &mut *listener);
    near.register(STREAM).unwrap();
    let ready = report(&mut net, STREAM, |report| report.readable);
    assert!(ready.writable && !ready.ending, "{ready:?}");
    assert_eq!(receive(&mut net, &mut *near, 5), b"early");
}

#[test]
fn an_end_that_came_before_registering_is_reported_too() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&loopback()).unwrap();
    listener.register(LISTENER).unwrap();
    drop(connect(listener.local_addr()));
    let mut near = accept(&mut net, &mut *listener);
    near.register(STREAM).unwrap();
    report(&mut net, STREAM, |report| report.readable && report.ending);
    assert_eq!(read(&mut *near, 9), b"");
}

#[test]
fn a_listener_is_reported_again_after_would_block() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&loopback()).unwrap();
    listener.register(LISTENER).unwrap();
    for _ in 0..3 {
        would_block(listener.accept().map(drop));
        quiet(&mut net, LISTENER);
        let _far = connect(listener.local_addr());
        report(&mut net, LISTENER, |report| report.readable);
        accept(&mut net, &mut *listener);
    }
}

/// More than one call takes; the engine must know, or it would sleep over the rest.
#[cfg(target_os = "linux")]
#[test]
fn what_one_harvest_leaves_is_told_and_comes_with_the_next() {
    // Where the limit of descriptors is low, the other tests must have theirs.
    let most = super::descriptor_limit().saturating_sub(500);
    for count in [10, 1023, 1024, 1030].into_iter().filter(|count| *count <= most) {
        let mut net = OsNet::new();
        let far = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sockets: Vec<_> = (0..count)
            .map(|number| {
                let mut socket = net.bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
                far.send_to(b"", socket.local_addr().inet().unwrap()).unwrap();
                socket.register(Token(number)).unwrap(); // Readable at once.
                socket
            })
            .collect();
        let mut ready = Vec::new();
        net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!((net.left_more(), ready.len()), (count >= 1024, count.min(1024)));
        net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!((net.left_more(), ready.len()), (false, sockets.len()));
    }
}

/// A network in which one connection, come in, makes `count` sources ready at once: they all are the same listener.
#[cfg(target_os = "linux")]
fn crowd(count: usize) -> (OsNet, Vec<Box<dyn Listener>>) {
    let mut net = OsNet::new();
    let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = (0..count).map(|number| {
        let again = bound.try_clone().unwrap();
        let mut listener = net.adopt_listener(again, &SocketOptions::default()).unwrap();
        listener.register(Token(number)).unwrap();
        listener
    });
    let listeners = listeners.collect();
    (net, listeners)
}

/// Harvests until nothing is left, and checks that each of the crowd was told of once. Who has come in is let go, so that the backlog never fills.
#[cfg(target_os = "linux")]
fn rest_of(net: &mut OsNet, mut ready: Vec<Readiness>, crowd: &mut [Box<dyn Listener>]) {
    while net.left_more() {
        net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
    }
    let mut tokens: Vec<_> = ready.iter().map(|report| report.token.0).collect();
    tokens.sort_unstable();
    assert!(tokens.into_iter().eq(0..crowd.len()));
    while crowd[0].accept().is_ok() {}
}

/// Who is back at once is told of few, so that what is read is soon answered; who was away in between, as to draw a frame, of all.
#[cfg(target_os = "linux")]
#[test]
fn who_is_back_at_once_is_told_of_a_few_and_who_was_away_of_all() {
    for count in [63, 64, 65, 200] {
        let (mut net, mut listeners) = crowd(count);
        let mut was_told_of_few = false;
        // Whoever holds the processor for a while makes us late: then once more.
        for _ in 0..200 {
            let _away = connect(listeners[0].local_addr());
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(5) {
                core::hint::spin_loop();
            }
            let mut ready = Vec::new();
            net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
            assert_eq!((net.left_more(), ready.len()), (false, count));

            let _at_once = connect(listeners[0].local_addr());
            ready.clear();
            net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
            was_told_of_few = net.left_more();
            assert_eq!(ready.len(), if was_told_of_few { 64 } else { count });
            rest_of(&mut net, ready, &mut listeners);
            if was_told_of_few || count < 64 {
                break;
            }
        }
        assert_eq!(was_told_of_few, count >= 64, "{count}");
    }
}

/// With the time asleep counted as time away a server went on in two ways, as the first harvest fell out.
#[cfg(target_os = "linux")]
#[test]
fn regression_who_has_slept_in_the_wait_before_is_back_at_once() {
    let (mut net, mut listeners) = crowd(200);
    for _ in 0..200 {
        let mut ready = Vec::new();
        net.harvest(Some(Duration::from_millis(2)), &mut ready).unwrap();
        let _far = connect(listeners[0].local_addr());
        net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
        let few = ready.len() == 64;
        rest_of(&mut net, ready, &mut listeners);
        if few {
            return;
        }
    }
    panic!("never told of a few");
}

#[test]
fn a_stream_is_readable_again_after_would_block() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    for round in 0..3 {
        would_block(near.read(&mut [0; 8]));
        quiet(&mut net, STREAM);
        far.write_all(&[round; 4]).unwrap();
        report(&mut net, STREAM, |report| report.readable);
        assert_eq!(receive(&mut net, &mut *near, 4), [round; 4]);
    }
}

#[test]
fn a_stream_is_writable_again_after_would_block() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    let block = vec![7; 256 * 1024];
    let mut sent = 0;
    for _ in 0..10_000 {
        match pending(near.write(&[IoSlice::new(&block)])).unwrap() {
            Some(len) => sent += len,
            None => break,
        }
    }
    would_block(near.write(&[IoSlice::new(&block)]));
    quiet(&mut net, STREAM);

    let mut buf = vec![0; sent];
    far.read_exact(&mut buf).unwrap();
    assert!(buf.iter().all(|&byte| byte == 7));
    report(&mut net, STREAM, |report| report.writable);
    assert!(near.write(&[IoSlice::new(b"more")]).unwrap() > 0);
}

/// What lets the engine save the read that would only say `WouldBlock`.
#[test]
fn after_a_short_read_what_comes_later_is_reported() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    assert_eq!(near.short_read_drains(), cfg!(unix));
    for round in 0..3 {
        far.write_all(&[round; 5]).unwrap();
        report(&mut net, STREAM, |report| report.readable);
        assert_eq!(read(&mut *near, 64), [round; 5], "short, and no read after it");
    }
    quiet(&mut net, STREAM);
    far.shutdown(Shutdown::Write).unwrap();
    let ready = report(&mut net, STREAM, |report| report.readable);
    assert!(ready.ending, "{ready:?}");
    assert_eq!(read(&mut *near, 64), b"");
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_announced() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    far.write_all(b"last").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    report(&mut net, STREAM, |report| report.readable && report.ending);
    assert_eq!(read(&mut *near, 64), b"last", "bytes first");
    assert_eq!(read(&mut *near, 64), b"");
    assert_eq!(read(&mut *near, 64), b"", "and the end stays");
    assert_eq!(near.write(&[IoSlice::new(b"still")]).unwrap(), 5, "our half is still open");
}

/// A short read met the bytes only; the end came after it, and says so by itself.
#[test]
fn an_end_that_comes_between_report_and_read_is_not_missed() {
    let mut net = OsNet::new();
    let (_listener, mut near, mut far) = pair(&mut net);
    far.write_all(b"last").unwrap();
    assert!(!report(&mut net, STREAM, |report| report.readable).ending);
    far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(&mut *near, 64), b"last");
    report(&mut net, STREAM, |report| report.readable && report.ending);
    assert_eq!(read(&mut *near, 64), b"");
}

#[test]
fn a_reset_is_ending_and_an_error() {
    let mut net = OsNet::new();
    let (_listener, mut near, far) = pair(&mut net);
    socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    report(&mut net, STREAM, |report| report.readable && report.writable && report.ending);
    assert_eq!(refused(near.read(&mut [0; 9])), ErrorKind::ConnectionReset);
}

/// The peer closes with bytes of ours unread: its system resets, and no read would ever tell.
#[test]
fn a_reset_while_only_writing_is_reported() {
    let mut net = OsNet::new();
    let (_listener, mut near, far) = pair(&mut net);
    near.write(&[IoSlice::new(b"never read")]).unwrap();
    until(&mut net, "the bytes at the far end", |_| Ok((far.peek(&mut [0])? > 0).then_some(())));
    drop(far);
    let ready = report(&mut net, STREAM, |report| report.ending);
    assert!(ready.readable && ready.writable, "{ready:?}");
    assert_eq!(refused(near.read(&mut [0])), ErrorKind::ConnectionReset);
}

#[test]
fn reports_name_their_source_and_add_to_what_is_there() {
    let mut net = OsNet::new();
    let mut listener = net.listen(&loopback()).unwrap();
    listener.register(LISTENER).unwrap();
    let mut far = Vec::new();
    let mut near: Vec<Box<dyn Stream>> = Vec::new();
    for n in 0..3 {
        far.push(connect(listener.local_addr()));
        near.push(accept(&mut net, &mut *listener));
        near[n].register(Token(100 + n)).unwrap();
        report(&mut net, Token(100 + n), |report| report.writable);
    }
    far[1].write_all(b"!").unwrap();
    let mut ready = vec![report(&mut net, Token(101), |report| report.readable)];
    far[2].write_all(b"!").unwrap();
    for _ in 0..super::TRIES {
        if ready.len() > 1 {
            break;
        }
        net.harvest(Some(SHORT), &mut ready).unwrap();
    }
    let tokens: Vec<_> = ready.iter().map(|report| report.token).collect();
    assert_eq!(tokens, [Token(101), Token(102)]);
}

#[test]
fn a_wait_ends_by_itself_and_a_wait_of_zero_is_none() {
    let mut net = OsNet::new();
    let _listener = net.listen(&loopback()).unwrap();
    let mut ready = Vec::new();
    let start = net.now();
    net.harvest(Some(Duration::from_millis(30)), &mut ready).unwrap();
    let waited = net.now() - start;
    assert!(waited >= Duration::from_millis(30), "{waited:?}");
    let start = net.now();
    for _ in 0..1_000 {
        net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
    }
    let waited = net.now() - start;
    assert!(waited < Duration::from_millis(1_000), "{waited:?} for a thousand looks");
    assert_eq!(ready, []);
}

/// A datagram that leaves makes room in its socket. Was that reported, a server that answers would be woken twice for each question.
#[test]
fn a_datagram_that_has_left_wakes_nobody() {
    let mut net = OsNet::new();
    let mut near = net.bind(&Bind::new(([127, 0, 0, 1], 0))).unwrap();
    near.register(STREAM).unwrap();
    let far = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let to = far.local_addr().unwrap().into();
    quiet(&mut net, STREAM);
    for _ in 0..3 {
        near.send(b"one", &to).unwrap();
        near.send_many(&[(b"two", &to), (b"three", &to)]).unwrap();
        let mut buf = [0; 8];
        far.recv(&mut buf).unwrap();
        quiet(&mut net, STREAM);
    }
    far.send_to(b"in", near.local_addr().inet().unwrap()).unwrap();
    report(&mut net, STREAM, |report| report.readable && !report.writable);
}
