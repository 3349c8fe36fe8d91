//! Ending a wait from elsewhere, and one descriptor for all.

use std::io::Write;
use std::time::Duration;

use tymist::net::Net;
use tymist::net::os::OsNet;

use super::{STREAM, pair, quiet, read, report};

/// Longer than any test may take; a wait that lasts so long has failed.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_waker_ends_a_wait_from_another_thread() {
    let mut net = OsNet::new();
    let waker = net.waker().unwrap();
    let start = net.now();
    let other = std::thread::spawn(move || waker.wake());
    let mut ready = Vec::new();
    net.harvest(Some(LONG), &mut ready).unwrap();
    assert!(net.now() - start < LONG / 2);
    assert_eq!(ready, [], "the waker itself is nobody's readiness");
    other.join().unwrap().unwrap();
}

#[test]
fn a_wake_before_the_wait_ends_it_and_many_count_as_one() {
    let mut net = OsNet::new();
    let (one, two) = (net.waker().unwrap(), net.waker().unwrap());
    for waker in [&one, &two, &one.clone()] {
        waker.wake().unwrap();
    }
    let mut ready = Vec::new();
    let start = net.now();
    net.harvest(Some(LONG), &mut ready).unwrap();
    assert!(net.now() - start < LONG / 2);

    let start = net.now();
    net.harvest(Some(Duration::from_millis(30)), &mut ready).unwrap();
    assert!(net.now() - start >= Duration::from_millis(30), "nothing is left of them");
    assert_eq!(ready, []);

    two.wake().unwrap();
    let start = net.now();
    net.harvest(None, &mut ready).unwrap();
    assert!(net.now() - start < LONG / 2, "and it works again");
}

/// Longer waits end by a timer that stays set from one to the next.
#[test]
fn a_wait_ends_at_its_time_whatever_was_waited_for_before() {
    const FAR: Duration = Duration::from_millis(110);
    let mut net = OsNet::new();
    let waker = net.waker().unwrap();
    let mut wait = |wait: Duration, wake: bool, ask: bool| {
        if wake {
            waker.wake().unwrap();
        }
        let mut ready = Vec::new();
        let start = net.now();
        if !ask {
            // As under a clock that is set by hand.
            net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
        }
        net.harvest(Some(wait), &mut ready).unwrap();
        assert_eq!(ready, [], "the timer is nobody's readiness");
        net.now() - start
    };
    for ask in [true, false] {
        assert!(wait(LONG, true, ask) < LONG / 2, "woken");
        let time = wait(FAR, false, ask);
        assert!(time >= FAR && time < LONG / 2, "behind a longer one: {time:?}");
        assert!(wait(FAR, true, ask) < LONG / 2, "woken");
        assert!(wait(3 * FAR, false, ask) >= 3 * FAR, "set for a shorter one");
        assert!(wait(FAR, true, ask) < LONG / 2, "woken");
        for _ in 0..5 {
            assert!(wait(FAR / 4, false, ask) >= FAR / 4, "it rings in the midst of a short one");
        }
        assert!(wait(FAR, false, ask) >= FAR, "and is set again");
    }
}

#[test]
fn what_another_wait_was_to_end_at_ends_none_without_an_end() {
    const FAR: Duration = Duration::from_millis(110);
    let mut net = OsNet::new();
    let waker = net.waker().unwrap();
    waker.wake().unwrap();
    net.harvest(Some(FAR), &mut Vec::new()).unwrap();
    let start = net.now();
    let other = std::thread::spawn(move || {
        let mut clock = OsNet::new();
        clock.harvest(Some(2 * FAR), &mut Vec::new()).unwrap();
        waker.wake()
    });
    net.harvest(None, &mut Vec::new()).unwrap();
    assert!(net.now() - start >= 2 * FAR);
    other.join().unwrap().unwrap();
}

#[test]
fn a_waker_outlives_its_network() {
    let mut net = OsNet::new();
    let waker = net.waker().unwrap();
    drop(net);
    assert!(waker.wake().is_ok());
}

#[test]
fn the_clock_starts_at_its_origin_and_goes_forward() {
    let mut net = OsNet::new();
    let mut last = net.now();
    assert!(last < tymist::tyme::Tyme::from_secs(60));
    for _ in 0..1_000 {
        let now = net.now();
        assert!(now >= last);
        last = now;
    }
}

/// Another loop that watches one descriptor of ours.
#[cfg(unix)]
struct Outer(mio::Poll, mio::net::TcpStream);

#[cfg(unix)]
impl Outer {
    fn around(net: &OsNet) -> Self {
        let fd = net.poll_fd().unwrap().try_clone_to_owned().unwrap();
        let poll = mio::Poll::new().unwrap();
        // No stream at all, but whatever holds a descriptor can be registered.
        let mut source = mio::net::TcpStream::from_std(fd.into());
        let interest = mio::Interest::READABLE;
        poll.registry().register(&mut source, mio::Token(0), interest).unwrap();
        Outer(poll, source)
    }

    /// Whether the descriptor is readable, now or within `wait`; asks as if for the first time.
    fn readable(&mut self, wait: Duration) -> bool {
        let Outer(poll, source) = self;
        poll.registry().reregister(source, mio::Token(0), mio::Interest::READABLE).unwrap();
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(wait)).unwrap();
        events.iter().any(mio::event::Event::is_readable)
    }
}

#[cfg(unix)]
#[test]
fn the_descriptor_polls_as_readable_while_something_is_pending() {
    let mut net = OsNet::new();
    assert!(net.poll_fd().is_none(), "nothing is open yet");
    let (_listener, mut near, mut far) = pair(&mut net);
    quiet(&mut net, STREAM);
    let mut outer = Outer::around(&net);
    assert!(!outer.readable(Duration::ZERO), "all is harvested");

    far.write_all(b"hello").unwrap();
    assert!(outer.readable(LONG));
    assert!(outer.readable(Duration::ZERO), "and stays so until the harvest");
    report(&mut net, STREAM, |report| report.readable);
    assert_eq!(read(&mut *near, 64), b"hello");
    assert!(!outer.readable(Duration::ZERO));

    let waker = net.waker().unwrap();
    waker.wake().unwrap();
    assert!(outer.readable(LONG), "a wake is pending too");
    net.harvest(Some(Duration::ZERO), &mut Vec::new()).unwrap();
    assert!(!outer.readable(Duration::ZERO));
}
