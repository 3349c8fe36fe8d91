//! Streams and listeners.

use std::io::ErrorKind;
use std::net::Shutdown;

use tymist::net::Addr;
use tymist::sim::Errno;

use super::bed::{Bed, pattern};

pub(crate) fn accepts_and_names_both_ends(mut bed: Bed) {
    let (near, far, mut listener) = bed.connection();
    assert_eq!(near.stream.peer_addr(), listener.local_addr());
    assert_eq!(far.stream.local_addr(), listener.local_addr());
    assert_eq!(near.stream.local_addr(), far.stream.peer_addr());
    assert_ne!(near.stream.local_addr().port(), Some(0));
    bed.arm.is(&listener.accept().err().unwrap(), Errno::Eagain);
    let sizes = near.stream.buffer_sizes().unwrap();
    assert!(sizes.recv > 0 && sizes.send > 0, "{sizes:?}");
}

pub(crate) fn refuses_where_nobody_listens(mut bed: Bed) {
    let listener = bed.listen();
    let target = listener.local_addr().clone();
    drop(listener);
    let error = match bed.dial(&target) {
        Err(error) => error,
        Ok(mut end) => bed.until("refusal", |_| match end.stream.connected() {
            Ok(up) => {
                assert!(!up, "connected to nobody");
                None
            }
            Err(error) => Some(error),
        }),
    };
    bed.arm.is(&error, Errno::Econnrefused);
}

pub(crate) fn half_closes_both_ways(mut bed: Bed) {
    let (mut near, mut far, _listener) = bed.connection();
    let data = pattern(3000);
    bed.transfer(&mut near, &mut far, &data);
    near.write(b"last").unwrap();
    near.stream.shutdown(Shutdown::Write).unwrap();
    bed.arm.is(&near.write(b"more").unwrap_err(), Errno::Epipe);
    let (last, end) = bed.rest(&mut far);
    assert_eq!((last.as_slice(), end.is_ok()), (&b"last"[..], true));
    bed.transfer(&mut far, &mut near, &data);
    far.stream.shutdown(Shutdown::Write).unwrap();
    let (last, end) = bed.rest(&mut near);
    assert_eq!((last.as_slice(), end.is_ok()), (&b""[..], true));
}

pub(crate) fn aborts_as_a_reset(mut bed: Bed) {
    let (mut near, mut far, _listener) = bed.connection();
    far.stream.set_abortive().unwrap();
    drop(far);
    let (last, end) = bed.rest(&mut near);
    assert_eq!(last, b"");
    bed.arm.is(&end.unwrap_err(), Errno::Econnreset);
}

pub(crate) fn closing_with_unread_bytes_is_a_reset(mut bed: Bed) {
    let (mut near, far, _listener) = bed.connection();
    near.write(b"nobody reads this").unwrap();
    near.pump().unwrap();
    let token = far.token;
    bed.until("arrival", |bed| {
        bed.far_ready.iter().any(|it| it.token == token && it.readable).then_some(())
    });
    bed.settle();
    drop(far);
    let (_, end) = bed.rest(&mut near);
    bed.arm.is(&end.unwrap_err(), Errno::Econnreset);
}

pub(crate) fn moves_bytes_in_order_in_pieces(mut bed: Bed) {
    let (mut near, mut far, _listener) = bed.connection();
    let data = pattern(50_000);
    bed.transfer(&mut near, &mut far, &data);
    bed.transfer(&mut far, &mut near, &data);
}

pub(crate) fn pushes_back_and_reports_room(mut bed: Bed) {
    let (mut near, mut far, _listener) = bed.connection();
    let piece = pattern(16 * 1024);
    let mut sent = 0;
    let mut blocked = 0;
    // Until it is blocked for good: what has left in the meantime is room once more.
    bed.until("back pressure", |bed| match near.write(&piece[sent % 1000..]) {
        Ok(count) => {
            (sent, blocked) = (sent + count, 0);
            assert!(sent < 64 << 20, "no end to it");
            None
        }
        Err(error) => {
            bed.arm.is(&error, Errno::Eagain);
            let _ = near.pump();
            blocked += 1;
            (blocked > 20).then_some(())
        }
    });
    bed.near_ready.clear();
    bed.settle();
    let token = near.token;
    assert!(!bed.near_ready.iter().any(|it| it.token == token && it.writable), "no room yet");
    let mut got = Vec::new();
    bed.until("room", |bed| {
        far.drain(16 * 1024, &mut got).unwrap();
        bed.near_ready.iter().any(|it| it.token == token && it.writable).then_some(())
    });
    bed.until("the rest", |_| {
        near.pump().unwrap();
        far.drain(16 * 1024, &mut got).unwrap();
        (got.len() == sent).then_some(())
    });
}

pub(crate) fn reports_each_arrival_after_it_would_have_blocked(mut bed: Bed) {
    let (mut near, mut far, _listener) = bed.connection();
    let mut all = Vec::new();
    assert!(!far.drain(64, &mut all).unwrap());
    for round in 0..5 {
        bed.settle();
        bed.far_ready.clear();
        near.write(b"hello").unwrap();
        near.pump().unwrap();
        let token = far.token;
        bed.until("report", |bed| {
            bed.far_ready.iter().any(|it| it.token == token && it.readable).then_some(())
        });
        assert!(!far.drain(64, &mut all).unwrap());
        assert_eq!(all.len(), 5 * (round + 1));
    }
    bed.far_ready.clear();
    near.stream.shutdown(Shutdown::Write).unwrap();
    drop(near);
    let token = far.token;
    bed.until("report of the end", |bed| {
        bed.far_ready.iter().any(|it| it.token == token && it.readable && it.ending).then_some(())
    });
    let (rest, end) = bed.rest(&mut far);
    assert_eq!((rest.len(), end.is_ok()), (0, true));
}

pub(crate) fn writes_to_a_closed_peer_fail_after_the_first(mut bed: Bed) {
    let (mut near, mut far, _listener) = bed.connection();
    near.stream.shutdown(Shutdown::Write).unwrap();
    drop(near);
    let (_, end) = bed.rest(&mut far);
    assert!(end.is_ok());
    let error = bed.until("failure", |_| far.write(b"into the void").err());
    bed.arm.is_among(&error, &[Errno::Epipe, Errno::Econnreset]);
}

pub(crate) fn a_full_backlog_makes_callers_wait(mut bed: Bed) {
    let mut listener = bed.listen_on(0, 1).unwrap();
    let target = listener.local_addr().clone();
    let mut callers = Vec::new();
    for _ in 0..6 {
        callers.push(bed.dial(&target).unwrap());
        for _ in 0..4 {
            bed.settle();
        }
    }
    let up = callers.iter_mut().filter_map(|it| it.stream.connected().unwrap().then_some(()));
    assert_eq!(up.count(), 2, "the queue holds one more than the backlog");
    let mut taken = Vec::new();
    for _ in 0..6 {
        taken.push(bed.accepted(&mut listener));
    }
    bed.until("all to be up", |_| {
        callers.iter_mut().all(|it| it.stream.connected().unwrap()).then_some(())
    });
}

pub(crate) fn a_port_can_be_listened_on_again(mut bed: Bed) {
    let mut listener = bed.listen();
    let target = listener.local_addr().clone();
    let port = target.port().unwrap();
    bed.arm.is(&bed.listen_on(port, 8).err().unwrap(), Errno::Eaddrinuse);
    let (mut near, mut far) = bed.connection_to(&mut listener, &target);
    // Who ends first has the port in TIME_WAIT.
    far.stream.shutdown(Shutdown::Write).unwrap();
    drop(listener);
    assert!(bed.rest(&mut near).1.is_ok());
    near.stream.shutdown(Shutdown::Write).unwrap();
    assert!(bed.rest(&mut far).1.is_ok());
    drop((near, far));
    let mut listener = bed.listen_on(port, 8).unwrap();
    let target = Addr::from((bed.far_ip, port));
    let (mut near, mut far) = bed.connection_to(&mut listener, &target);
    bed.transfer(&mut near, &mut far, b"again");
}

pub(crate) fn closing_a_listener_resets_who_waits(mut bed: Bed) {
    let listener = bed.listen();
    let target = listener.local_addr().clone();
    let mut near = bed.dial(&target).unwrap();
    bed.until("connect", |_| near.stream.connected().unwrap().then_some(()));
    bed.settle();
    drop(listener);
    let error = bed.until("reset", |bed| {
        let read = if bed.arm.tls { near.pump().map(|_| 0) } else { near.stream.read(&mut [0; 8]) };
        read.err().filter(|error| error.kind() != ErrorKind::WouldBlock)
    });
    // A reset that the first write has heard is an end to the read behind it.
    if !(bed.arm.tls && error.kind() == ErrorKind::UnexpectedEof) {
        bed.arm.is_among(&error, &[Errno::Econnreset, Errno::Epipe]);
    }
}
