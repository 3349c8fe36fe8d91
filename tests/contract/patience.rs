//! How long a network waits for its peer, and where from it goes there.

use std::io::ErrorKind;
use std::time::Duration;

use tymist::net::{Addr, Bind, Dial, KeepAlive, Listen, Stream, Token};
use tymist::sim::Errno;

use super::bed::Bed;

const LIMIT: Duration = Duration::from_millis(500);

/// Whether this network knows `TCP_USER_TIMEOUT`.
fn knows_limits(bed: &Bed) -> bool {
    bed.arm.sim || cfg!(any(target_os = "linux", target_os = "android"))
}

fn impatient(bed: &mut Bed, target: &Addr) -> Box<dyn Stream> {
    let mut dial = Dial::new(target.clone());
    dial.socket.user_timeout = Some(LIMIT);
    let mut stream = bed.near.connect(&dial).unwrap();
    stream.register(Token(1000)).unwrap();
    stream
}

pub(crate) fn a_peer_that_does_not_read_is_given_up_in_time(mut bed: Bed) {
    if !knows_limits(&bed) {
        return;
    }
    let mut listener = bed.listen();
    let target = listener.local_addr().clone();
    let mut near = impatient(&mut bed, &target);
    bed.until("connect", |_| near.connected().unwrap().then_some(()));
    let _far = bed.accepted(&mut listener);
    let error = bed.until("the end", |_| {
        loop {
            match near.write(&[std::io::IoSlice::new(&[7; 65_536])]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => return Some(error),
            }
        }
    });
    bed.arm.is(&error, Errno::Etimedout);
}

pub(crate) fn an_attempt_to_connect_is_given_up_in_time(mut bed: Bed) {
    if !knows_limits(&bed) {
        return;
    }
    let listener = bed.listen_on(0, 0).unwrap();
    let target = listener.local_addr().clone();
    let mut first = bed.dial(&target).unwrap();
    bed.until("connect", |_| first.stream.connected().unwrap().then_some(()));
    for _ in 0..4 {
        bed.settle();
    }
    let mut near = impatient(&mut bed, &target);
    let error = bed.until("the end", |_| match near.connected() {
        Ok(up) => {
            assert!(!up, "the queue is full");
            None
        }
        Err(error) => Some(error),
    });
    bed.arm.is(&error, Errno::Etimedout);
}

pub(crate) fn a_loopback_address_reaches_no_other_host(mut bed: Bed) {
    if !bed.arm.sim && !cfg!(target_os = "linux") {
        return;
    }
    // Nobody's (RFC 5737). A machine without any route says that first.
    let target = Addr::from(([192, 0, 2, 1], 9));
    let known = [Errno::Einval, Errno::Enetunreach];
    let known = if bed.arm.sim { &known[..1] } else { &known[..] };
    let mut dial = Dial::new(target.clone());
    dial.local = Some("127.0.0.1:0".parse().unwrap());
    let error = bed.near.connect(&dial).err().unwrap();
    bed.arm.is_among(&error, known);
    let mut socket = bed.near.bind(&"127.0.0.1:0".parse::<Bind>().unwrap()).unwrap();
    let error = socket.send(b"x", &target).unwrap_err();
    bed.arm.is_among(&error, known);
}

/// A world took what the system refuses, so that a program which ran there could not listen here.
pub(crate) fn regression_keep_alive_that_cannot_be_is_refused(mut bed: Bed) {
    let second = Duration::from_secs(1);
    let usual = KeepAlive { idle: second, interval: second, retries: 1 };
    let mut good = vec![usual];
    let mut bad = vec![
        KeepAlive { idle: second / 2, ..usual },
        KeepAlive { interval: Duration::ZERO, ..usual },
        KeepAlive { retries: 0, ..usual },
    ];
    if cfg!(any(target_os = "linux", target_os = "android")) {
        let most = 32_767 * second;
        good.push(KeepAlive { idle: most, interval: most, retries: 127 });
        bad.push(KeepAlive { idle: Duration::MAX, ..usual });
        bad.push(KeepAlive { interval: most + second, ..usual });
        bad.push(KeepAlive { retries: 128, ..usual });
        bad.push(KeepAlive { retries: u32::MAX, ..usual });
    }
    let tries = good.into_iter().map(|keep| (keep, true));
    for (keep, taken) in tries.chain(bad.into_iter().map(|keep| (keep, false))) {
        let mut listen = Listen::new((bed.far_ip, 0));
        listen.socket.keep_alive = Some(keep);
        let listener = bed.far.listen(&listen);
        let target = bed.listen().local_addr().clone();
        let mut dial = Dial::new(target);
        dial.socket.keep_alive = Some(keep);
        for error in [listener.err(), bed.near.connect(&dial).err()] {
            match error {
                Some(error) if !taken => bed.arm.is(&error, Errno::Einval),
                other => assert!(taken && other.is_none(), "{keep:?}: {other:?}"),
            }
        }
    }
}
