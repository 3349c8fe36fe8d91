//! Several managers at once.

use std::net::TcpListener;
use std::time::Duration;

use tymist::run::{Failure, Group, Manager, Seat};
use tymist::{Config, Event, Server};

use crate::util::{connect, listens};
use crate::{LONG, addr, echo, echoes, is_served, until};

#[test]
fn they_start_wait_and_stop_together() {
    let (mut group, mut stoppers) = (Group::new(), Vec::new());
    for engines in [1, 2] {
        let mut manager = echoes(engines);
        manager.start().unwrap(); // Some may run already.
        stoppers.push((manager.stopper(), addr(&manager)));
        group.add(manager);
    }
    // Managers of other messages, too.
    let silent = Manager::with_mail(1, Config::new(), |_, _: Seat<String>| {
        Ok(|_: &mut Server, _: Event| ())
    });
    assert_eq!(group.add(silent), 2);
    group.start_all().unwrap();
    assert_eq!(group.running(), 3);
    stoppers.iter().for_each(|(_, at)| is_served(*at));
    assert!(!group.wait_all(Some(Duration::ZERO)).unwrap());
    group.stop_all(None).unwrap();
    assert_eq!((group.running(), group.counters().accepted), (0, 2));
    assert!(group.wait_all(None).unwrap());

    group.start_all().unwrap();
    stoppers[0].0.stop(None);
    assert!(!group.wait_all(Some(Duration::from_millis(1))).unwrap(), "two go on");
    drop(group);
    assert!(stoppers.iter().all(|(_, at)| !listens(*at)));
}

/// It was bound to the thread that made it, though the managers in it are not.
#[test]
fn regression_a_group_goes_to_another_thread() {
    let mut group = Group::new();
    let manager = echoes(1);
    let stopper = manager.stopper();
    group.add(manager);
    group.start_all().unwrap();
    let waits = std::thread::spawn(move || group.wait_all(None).map(|all| (all, group.running())));
    stopper.stop(None);
    assert_eq!(waits.join().unwrap().unwrap(), (true, 0));
}

#[test]
fn one_that_cannot_start_stops_those_that_could() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut group = Group::new();
    for at in [first, taken.local_addr().unwrap()] {
        let mut manager = Manager::new(Config::new(), echo);
        manager.listen(at);
        group.add(manager);
    }
    let failure = group.start_all().unwrap_err();
    assert!(matches!(failure.failures[..], [(1, Failure::Listen { .. })]), "{failure}");
    assert!(group.running() == 0 && !listens(first));
}

#[test]
fn all_that_went_wrong_is_told() {
    let mut group = Group::new();
    let mut addrs = Vec::new();
    for name in ["one", "two"] {
        let mut manager = Manager::new(Config::new(), move |_, _: Seat| {
            Ok(move |_: &mut Server, event: Event| {
                assert!(!matches!(event, Event::Accepted(_)), "{name} does not like it");
            })
        });
        manager.listen(([127, 0, 0, 1], 0));
        manager.start().unwrap();
        addrs.push(addr(&manager));
        group.add(manager);
    }
    let _clients: Vec<_> = addrs.into_iter().map(connect).collect();
    until("both have failed", || group.running() == 0);
    let failure = group.wait_all(Some(LONG)).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "manager 0: engine 0 panicked: one does not like it; manager 1: engine 0 panicked: two does not like it"
    );
    group.stop_all(None).unwrap();
}

#[test]
fn regression_a_failure_of_the_second_is_told_while_the_first_goes_on() {
    let mut group = Group::new();
    group.add(echoes(1));
    let mut failing = Manager::new(Config::new(), |_, _: Seat| {
        Ok(|_: &mut Server, event: Event| assert!(!matches!(event, Event::Accepted(_)), "no"))
    });
    failing.listen(([127, 0, 0, 1], 0));
    failing.start().unwrap();
    let at = addr(&failing);
    group.add(failing);
    group.start_all().unwrap();
    let _client = connect(at);
    let failure = group.wait_all(None).unwrap_err();
    assert!(matches!(failure.failures[..], [(1, Failure::Panicked { .. })]), "{failure}");
    assert_eq!(group.running(), 1, "the first goes on");
    assert!(!group.wait_all(Some(Duration::ZERO)).unwrap(), "told once");
    group.stop_all(None).unwrap();
}

#[test]
fn regression_the_time_to_wait_is_that_of_the_group() {
    let mut group = Group::new();
    let members: Vec<usize> = (0..4).map(|_| group.add(echoes(1))).collect();
    assert_eq!(members, [0, 1, 2, 3]);
    group.start_all().unwrap();
    let (each, clock) = (Duration::from_millis(300), tymist::tyme::Tymist::realtime());
    let (mut clock, begun) = (clock, tymist::tyme::Tyme::ZERO);
    assert!(!group.wait_all(Some(each)).unwrap());
    let took = clock.tick() - begun;
    assert!(took >= each && took < 3 * each, "{took:?} for all of them");
    group.stop_all(None).unwrap();
}
