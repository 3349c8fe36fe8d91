//! Handing sockets on, in one process: what may go wrong on the way.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tymist::run::{Inherited, Manager, Seat};
use tymist::{Config, Event, Server};

use crate::{Dir, LONG, answers, ask, connect};

fn old_one(dir: &Dir, engines: usize) -> (Manager, SocketAddr) {
    let mut manager = answers(engines);
    manager.listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    manager.offer(dir.path("offer")).unwrap();
    let addr = manager.addrs()[0].inet().unwrap();
    (manager, addr)
}

#[test]
fn where_nobody_offers_there_is_nothing_to_take_over() {
    let dir = Dir::new();
    let mut inherited = Inherited::take_over(dir.path("offer")).unwrap();
    assert!(inherited.is_empty());
    inherited.confirm().unwrap();
    // Nor where somebody died.
    drop(UnixListener::bind(dir.path("dead")).unwrap());
    assert!(Inherited::take_over(dir.path("dead")).unwrap().is_empty());
}

#[test]
fn what_is_something_else_is_told() {
    let dir = Dir::new();
    let other = UnixListener::bind(dir.path("other")).unwrap();
    for says in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"tymist sockets 2\n",
        b"tymist sockets 1\n\0\x01x\0\0",
    ] {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = other.accept().unwrap().0;
                stream.write_all(says).unwrap();
                let _ = stream.read(&mut [0; 1]);
            });
            let error = Inherited::take_over(dir.path("other")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        });
    }
    // One that breaks off, and one that tells of a socket and brings none.
    for (says, kind) in [
        (&b"tymist sockets 1\n\0\x02i\0"[..], ErrorKind::ConnectionAborted),
        (b"tymist sockets 1\n\0\x01u\0\0", ErrorKind::InvalidData),
    ] {
        std::thread::scope(|scope| {
            scope.spawn(|| other.accept().unwrap().0.write_all(says).unwrap());
            assert_eq!(Inherited::take_over(dir.path("other")).unwrap_err().kind(), kind);
        });
    }
}

#[test]
fn only_its_owner_may_come_to_the_offer() {
    let dir = Dir::new();
    let (_old, _) = old_one(&dir, 1);
    let mode = std::fs::metadata(dir.path("offer")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_successor_that_never_confirms_changes_nothing() {
    let dir = Dir::new();
    let (old, addr) = old_one(&dir, 2);
    for _ in 0..3 {
        let inherited = Inherited::take_over(dir.path("offer")).unwrap();
        assert_eq!(inherited.len(), 2, "one of each engine");
        assert!(inherited.addrs().all(|at| at.inet() == Some(addr)));
        drop(inherited);
        ask(&mut connect(addr).unwrap(), 1).unwrap();
    }
    // Nor one that says something else.
    let mut stream = UnixStream::connect(dir.path("offer")).unwrap();
    stream.write_all(b"readily").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(old.running(), 2);
    ask(&mut connect(addr).unwrap(), 1).unwrap();
}

#[test]
fn one_of_two_successors_wins_and_the_other_hears_of_it() {
    let dir = Dir::new();
    let (old, addr) = old_one(&dir, 1);
    let mut winner = Inherited::take_over(dir.path("offer")).unwrap();
    let mut loser = Inherited::take_over(dir.path("offer")).unwrap();
    let mut new = answers(1);
    new.listen(addr);
    new.inherit(&mut winner);
    new.start().unwrap();
    winner.confirm().unwrap();
    assert!(old.wait(Some(LONG)).unwrap());
    new.offer(dir.path("offer")).unwrap();
    assert_eq!(loser.confirm().unwrap_err().kind(), ErrorKind::ConnectionAborted);
    ask(&mut connect(addr).unwrap(), 1).unwrap();
}

#[test]
fn regression_who_offers_anew_waits_for_no_successor() {
    let dir = Dir::new();
    let (mut old, _) = old_one(&dir, 1);
    let mut undecided = Inherited::take_over(dir.path("offer")).unwrap();
    let elsewhere = dir.path("elsewhere");
    let (say, done) = channel();
    let offering = std::thread::spawn(move || {
        old.offer(elsewhere).unwrap();
        say.send(()).unwrap();
        old
    });
    done.recv_timeout(Duration::from_secs(15)).unwrap();
    assert_eq!(undecided.confirm().unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(Inherited::take_over(dir.path("elsewhere")).unwrap().len(), 1);
    assert_eq!(offering.join().unwrap().running(), 1);
}

/// A service that is stuck at its first connection until it may go on, and says so.
fn stuck(here: Sender<()>, gate: Receiver<()>) -> Manager {
    let both = Arc::new(Mutex::new(Some((here, gate))));
    let mut manager = Manager::new(Config::new(), move |_, _: Seat| {
        let both = both.lock().unwrap().take();
        Ok(move |_: &mut Server, event: Event| {
            if let (Event::Accepted(_), Some((here, gate))) = (event, &both) {
                here.send(()).unwrap();
                let _ = gate.recv();
            }
        })
    });
    manager.listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    manager
}

#[test]
fn who_waits_in_the_queue_of_the_old_one_is_served_by_the_new_one() {
    let dir = Dir::new();
    let ((here, is_stuck), (go_on, gate)) = (channel(), channel());
    let mut old = stuck(here, gate);
    let go_on = go_on; // Dropped before `old`, whatever happens.
    let addr = old.addrs()[0].inet().unwrap();
    let _first = connect(addr).unwrap();
    is_stuck.recv_timeout(LONG).unwrap();
    let mut queued: Vec<TcpStream> = (0..20).map(|_| connect(addr).unwrap()).collect();
    old.offer(dir.path("offer")).unwrap();

    let mut inherited = Inherited::take_over(dir.path("offer")).unwrap();
    let mut new = answers(1);
    new.listen(addr);
    new.inherit(&mut inherited);
    new.start().unwrap();
    inherited.confirm().unwrap();
    drop(go_on);
    for stream in &mut queued {
        ask(stream, 1).unwrap();
    }
    drop((queued, _first));
    assert!(old.wait(Some(LONG)).unwrap());
    assert_eq!((old.counters().accepted, new.counters().accepted), (1, 20));
}

#[test]
fn regression_a_successor_that_fails_takes_no_file_from_the_one_that_still_serves() {
    let dir = Dir::new();
    let path = dir.path("service");
    let mut old = answers(2);
    old.listen(path.clone());
    old.start().unwrap();
    old.offer(dir.path("offer")).unwrap();
    // One that has started and ends before it confirms, and one whose second engine cannot be started.
    for fails in [false, true] {
        let mut inherited = Inherited::take_over(dir.path("offer")).unwrap();
        let mut new = Manager::new(Config::new(), move |_, seat: Seat| match seat.engine {
            1 if fails => Err("not today".into()),
            _ => Ok(crate::Answers),
        });
        new.threads(2).listen(path.clone());
        new.inherit(&mut inherited);
        assert_eq!(new.start().is_err(), fails);
        drop(new);
        assert!(path.exists(), "the old one serves still");
        ask(&mut UnixStream::connect(&path).unwrap(), 1).unwrap();
    }
    // One that loses to another, which has the file from then on.
    let mut winner = Inherited::take_over(dir.path("offer")).unwrap();
    let mut loser = Inherited::take_over(dir.path("offer")).unwrap();
    let (mut new, mut late) = (answers(2), answers(2));
    for (manager, inherited) in [(&mut new, &mut winner), (&mut late, &mut loser)] {
        manager.listen(path.clone());
        manager.inherit(inherited).start().unwrap();
    }
    winner.confirm().unwrap();
    assert!(old.wait(Some(LONG)).unwrap());
    loser.confirm().unwrap_err();
    drop((late, old));
    assert!(path.exists(), "it is the winner's");
    ask(&mut UnixStream::connect(&path).unwrap(), 1).unwrap();
    drop(new);
    assert!(!path.exists(), "who has confirmed cleans up");
}

#[test]
fn a_file_that_was_not_the_old_ones_is_not_the_new_ones() {
    let dir = Dir::new();
    let path = dir.path("service");
    let mut given = Inherited::new();
    given.push_unix(UnixListener::bind(&path).unwrap(), false).unwrap();
    let mut old = answers(1);
    old.listen(path.clone());
    old.inherit(&mut given).start().unwrap();
    old.offer(dir.path("offer")).unwrap();
    let mut inherited = Inherited::take_over(dir.path("offer")).unwrap();
    let mut new = answers(1);
    new.listen(path.clone());
    new.inherit(&mut inherited).start().unwrap();
    inherited.confirm().unwrap();
    assert!(old.wait(Some(LONG)).unwrap());
    drop((old, new));
    assert!(path.exists(), "a service manager's, say");
}

#[test]
fn regression_sockets_that_were_asked_for_alike_stay_apart() {
    let dir = Dir::new();
    let two = || {
        let mut manager = answers(2);
        manager.listen(([127, 0, 0, 1], 0)).listen(([127, 0, 0, 1], 0));
        manager
    };
    let mut old = two();
    old.start().unwrap();
    old.offer(dir.path("offer")).unwrap();
    let mut inherited = Inherited::take_over(dir.path("offer")).unwrap();
    let mut new = two();
    new.inherit(&mut inherited).start().unwrap();
    assert!(inherited.is_empty());
    inherited.confirm().unwrap();
    assert_eq!(new.addrs(), old.addrs());
    assert_ne!(new.addrs()[0], new.addrs()[1]);
    assert!(old.wait(Some(LONG)).unwrap());
}
