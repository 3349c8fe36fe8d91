//! Looking before sleeping: a wait is what it is without.

use std::io::Write;
use std::time::Duration;

use tymist::net::Net;
use tymist::net::os::OsNet;

use super::{STREAM, pair, quiet};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_look_finds_what_comes_before_its_end() {
    let mut net = OsNet::new();
    let (_listener, _near, mut far) = pair(&mut net);
    quiet(&mut net, STREAM);
    let start = net.now();
    let other = std::thread::spawn(move || {
        far.write_all(b"now").unwrap();
        far
    });
    // It cannot sleep before the test is over, so it is the look that finds it.
    let mut ready = Vec::new();
    net.harvest_looking(None, LONG, &mut ready).unwrap();
    assert!(net.now() - start < LONG / 2);
    assert!(ready.iter().any(|report| report.token == STREAM && report.readable));
    drop(other.join().unwrap());
}

#[test]
fn a_look_that_finds_nothing_goes_over_into_sleep() {
    let mut net = OsNet::new();
    let (_listener, _near, _far) = pair(&mut net);
    quiet(&mut net, STREAM);
    let mut ready = Vec::new();
    for look in [Duration::ZERO, Duration::from_micros(50), Duration::from_millis(5)] {
        let start = net.now();
        net.harvest_looking(Some(Duration::from_millis(20)), look, &mut ready).unwrap();
        assert!(net.now() - start >= Duration::from_millis(20), "{look:?}");
        assert_eq!(ready, []);
    }
    let waker = net.waker().unwrap();
    let other = std::thread::spawn(move || waker.wake());
    let start = net.now();
    net.harvest_looking(None, Duration::from_micros(50), &mut ready).unwrap();
    assert!(net.now() - start < LONG / 2);
    other.join().unwrap().unwrap();
}

#[test]
fn a_look_lasts_no_longer_than_the_wait() {
    let mut net = OsNet::new();
    let _open = net.waker().unwrap();
    for wait in [Duration::from_micros(300), Duration::from_millis(3), Duration::from_millis(110)] {
        let start = net.now();
        net.harvest_looking(Some(wait), LONG, &mut Vec::new()).unwrap();
        let took = net.now() - start;
        assert!(took >= wait && took < LONG / 2, "{took:?} for {wait:?}");
    }
    // Nor does it make the wait longer; where others need the machine, one that was not held up is enough.
    let wait = Duration::from_millis(30);
    let mut took = || {
        let start = net.now();
        net.harvest_looking(Some(wait), wait * 2 / 3, &mut Vec::new()).unwrap();
        net.now() - start
    };
    assert!((0..30).any(|_| took() < wait * 3 / 2), "what was looked is gone from the wait");
    // None at all, where nothing is to be waited for.
    let start = net.now();
    net.harvest_looking(Some(Duration::ZERO), LONG, &mut Vec::new()).unwrap();
    assert!(net.now() - start < LONG / 2);
}

#[test]
fn a_waker_ends_a_look() {
    let mut net = OsNet::new();
    let waker = net.waker().unwrap();
    waker.wake().unwrap();
    let start = net.now();
    net.harvest_looking(None, LONG, &mut Vec::new()).unwrap();
    assert!(net.now() - start < LONG / 2, "one that called before");

    waker.wake().unwrap();
    net.harvest(Some(Duration::ZERO), &mut Vec::new()).unwrap();
    let start = net.now();
    net.harvest_looking(None, LONG, &mut Vec::new()).unwrap();
    assert!(net.now() - start < LONG / 2, "one that was seen before");

    let start = net.now();
    let other = std::thread::spawn(move || waker.wake());
    net.harvest_looking(None, LONG, &mut Vec::new()).unwrap();
    assert!(net.now() - start < LONG / 2, "one that calls meanwhile");
    other.join().unwrap().unwrap();
}

/// The timer of a longer wait before, which rings in the midst of a look, ends it for nobody.
#[test]
#[cfg(target_os = "linux")]
fn the_end_of_another_wait_ends_no_look() {
    const FAR: Duration = Duration::from_millis(110);
    let mut net = OsNet::new();
    let waker = net.waker().unwrap();
    waker.wake().unwrap();
    net.harvest(Some(FAR), &mut Vec::new()).unwrap(); // Set, and woken before it rings.
    let start = net.now();
    net.harvest_looking(Some(3 * FAR), 2 * FAR, &mut Vec::new()).unwrap();
    assert!(net.now() - start >= 3 * FAR);
}

/// Elsewhere it is not known, and nobody looks.
#[test]
#[cfg(target_os = "linux")]
fn the_cpu_time_is_that_of_the_thread() {
    let mut net = OsNet::new();
    let before = net.cpu_time().unwrap();
    let start = net.now();
    net.harvest(Some(Duration::from_millis(50)), &mut Vec::new()).unwrap();
    let slept = net.now() - start;
    let took = net.cpu_time().unwrap() - before;
    assert!(took < slept / 2, "{took:?} of CPU time in {slept:?} of sleep");
    net.harvest_looking(Some(Duration::from_millis(50)), LONG, &mut Vec::new()).unwrap();
    assert!(net.cpu_time().unwrap() > before + took, "a look is work");
}
