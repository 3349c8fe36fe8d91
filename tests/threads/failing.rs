//! What goes wrong on a thread is delivered, once, and stays to be looked at.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tymist::run::{BoxError, Failure, Manager, Seat};
use tymist::{Config, Event, Server};

use crate::util::{connect, listens, send};
use crate::{LONG, addr, echo, is_served, until};

/// Panics at an exclamation mark.
fn nervous(server: &mut Server, event: Event) {
    if let Event::Received(id) = event {
        let remoter = server.remoter_mut(id).unwrap();
        let data = remoter.take();
        assert!(!data.contains(&b'!'), "shouted at");
        remoter.tx(&data).unwrap();
    }
}

fn nervous_manager(engines: usize) -> Manager {
    let mut manager = Manager::new(Config::new(), |_, _: Seat| Ok(nervous));
    manager.threads(engines).listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    manager
}

#[test]
fn a_panic_is_delivered_once_and_kept() {
    let manager = nervous_manager(1);
    let at = addr(&manager);
    let mut client = connect(at);
    send(&mut client, b"!");
    let failure = manager.wait(Some(LONG)).unwrap_err();
    assert!(
        matches!(&failure, Failure::Panicked { engine: 0, message } if &**message == "shouted at")
    );
    assert_eq!(failure.to_string(), "engine 0 panicked: shouted at");
    assert!(!manager.is_running() && !listens(at), "its sockets are closed");
    assert!(manager.wait(None).unwrap(), "told once");
    manager.stop(None).unwrap();
    assert_eq!(manager.failures().len(), 1, "and kept");
}

#[test]
fn the_other_engines_go_on() {
    let mut manager = nervous_manager(2);
    let at = addr(&manager);
    send(&mut connect(at), b"!");
    let first = manager.wait(Some(LONG)).unwrap_err();
    assert_eq!(manager.running(), 1);
    is_served(at);
    send(&mut connect(at), b"!");
    let second = manager.stop(None).err();
    // The second may have been stopped before it was shouted at.
    let engines: Vec<_> = [Some(first), second].iter().flatten().map(Failure::engine).collect();
    assert!(engines != [Some(0), Some(0)] && engines != [Some(1), Some(1)], "{engines:?}");
    assert_eq!(manager.failures().len(), engines.len());
    manager.start().unwrap();
    assert!(manager.failures().is_empty(), "a new start, a new account");
    is_served(at);
}

#[test]
fn a_failure_nobody_waited_for_comes_with_the_stop() {
    let manager = nervous_manager(1);
    send(&mut connect(addr(&manager)), b"!");
    until("it has failed", || !manager.failures().is_empty());
    assert!(matches!(manager.stop(None), Err(Failure::Panicked { .. })));
    manager.stop(None).unwrap();
}

#[test]
fn a_taken_port_is_told_by_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut manager = Manager::new(Config::new(), echo);
    manager.listen(taken.local_addr().unwrap());
    let failure = manager.start().unwrap_err();
    assert!(
        matches!(&failure, Failure::Listen { engine: 0, source } if source.kind() == std::io::ErrorKind::AddrInUse)
    );
    assert!(!manager.is_running());
    drop(taken);
    manager.start().unwrap();
    is_served(addr(&manager));
}

#[test]
fn a_service_that_cannot_be_made_is_told_by_the_start_and_stops_the_others() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let mut manager = Manager::new(Config::new(), move |_, seat: Seat| {
        if count.fetch_add(1, Ordering::Relaxed) == 1 {
            return Err::<fn(&mut Server, Event), BoxError>("no disk".into());
        }
        assert!(seat.engine < 9, "nine is too many");
        Ok(nervous)
    });
    manager.threads(3).listen(([127, 0, 0, 1], 0));
    let failure = manager.start().unwrap_err();
    assert_eq!(failure.to_string(), "engine 1: its service could not be made: no disk");
    assert!(!manager.is_running());
    assert_eq!(tries.load(Ordering::Relaxed), 2, "the third was not tried");
    assert!(!listens(addr(&manager)), "the first has ended");
    manager.start().unwrap();
    manager.stop(None).unwrap();
    // And a panic while it is made.
    manager.threads(10);
    assert!(matches!(manager.start(), Err(Failure::Panicked { engine: 9, .. })));
    assert!(!manager.is_running());
}

#[test]
fn a_service_may_give_up_and_say_why() {
    let mut manager = Manager::new(Config::new(), |_, seat: Seat| {
        Ok(move |_: &mut Server, event: Event| {
            if let Event::Accepted(_) = event {
                seat.stopper.fail("the disk is full", Some(std::time::Duration::ZERO));
            }
        })
    });
    manager.threads(2).listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    let _client = connect(addr(&manager));
    let failure = manager.wait(Some(LONG)).unwrap_err();
    assert!(matches!(failure, Failure::Service(_)));
    assert_eq!(failure.to_string(), "the disk is full");
    assert!(manager.wait(Some(LONG)).unwrap());
}

#[cfg(all(unix, feature = "uds"))]
#[test]
fn regression_a_start_after_one_that_failed_listens_where_it_can_be_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let fails = Arc::new(AtomicUsize::new(1));
    let once = Arc::clone(&fails);
    let mut manager = Manager::new(Config::new(), move |server, seat: Seat| {
        if seat.engine == 1 && once.swap(0, Ordering::SeqCst) == 1 {
            return Err("not yet".into());
        }
        echo(server, seat)
    });
    manager.threads(2).listen(path.clone());
    assert!(matches!(manager.start(), Err(Failure::Build { engine: 1, .. })));
    assert!(!path.exists(), "closed");
    manager.start().unwrap();
    assert!(path.exists(), "it is opened again");
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    manager.stop(None).unwrap();
    assert!(!path.exists());
}

#[cfg(all(unix, feature = "uds"))]
#[test]
fn regression_an_inherited_socket_keeps_its_file_over_a_start_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let fails = Arc::new(AtomicUsize::new(1));
    let once = Arc::clone(&fails);
    let mut manager = Manager::new(Config::new(), move |server, seat: Seat| {
        if seat.engine == 1 && once.swap(0, Ordering::SeqCst) == 1 {
            return Err("not yet".into());
        }
        echo(server, seat)
    });
    let mut inherited = tymist::run::Inherited::new();
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    inherited.push_unix(socket, true).unwrap();
    manager.threads(2).listen(path.clone());
    manager.inherit(&mut inherited).start().unwrap_err();
    assert!(path.exists(), "the next start needs it");
    manager.start().unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    manager.stop(None).unwrap();
    assert!(!path.exists());
}

#[cfg(all(unix, feature = "uds"))]
#[test]
fn regression_a_shared_unix_socket_is_found_until_the_last_engine_has_ended() {
    use std::os::unix::net::{UnixListener, UnixStream};
    use tymist::run::{Inherited, Mailbox};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    for inherits in [false, true] {
        let mut manager =
            Manager::with_mail(1, Config::new(), |_: &mut Server, seat| Ok(Told(seat)));
        manager.threads(2).listen(path.clone());
        if inherits {
            let mut inherited = Inherited::new();
            inherited.push_unix(UnixListener::bind(&path).unwrap(), true).unwrap();
            manager.inherit(&mut inherited);
        }
        manager.start().unwrap();
        let boxes: Vec<Mailbox<()>> = (0..2).map(|it| manager.mailbox(it).unwrap()).collect();
        boxes[0].send(()).unwrap();
        assert_eq!(manager.wait(Some(LONG)).unwrap_err().engine(), Some(0));
        until("the first has ended", || manager.running() == 1);
        UnixStream::connect(&path).unwrap();
        boxes[1].send(()).unwrap();
        assert_eq!(manager.wait(Some(LONG)).unwrap_err().engine(), Some(1));
        assert!(manager.wait(Some(LONG)).unwrap());
        assert!(!path.exists(), "nobody listens there");
    }
}

/// Panics when it gets mail.
#[cfg(all(unix, feature = "uds"))]
struct Told(Seat<()>);

#[cfg(all(unix, feature = "uds"))]
impl tymist::Service for Told {
    fn tick(&mut self, _: &mut Server) {
        assert!(self.0.inbox.take().is_none(), "told to");
    }
}

/// Panics in its first tick, if it is the first one's.
struct Short(usize);

impl tymist::Service for Short {
    fn tick(&mut self, _: &mut Server) {
        assert!(self.0 > 0, "too short");
    }

    fn wake(&self) -> tymist::Wake {
        if self.0 == 0 { tymist::Wake::Now } else { tymist::Wake::OnIo }
    }
}

#[test]
fn regression_a_start_tells_of_the_engine_that_did_not_start_and_loses_no_other() {
    let mut manager = Manager::new(Config::new(), |_: &mut Server, seat: Seat| {
        if seat.engine == 1 {
            until("the first has ended", || format!("{:?}", seat.stopper).contains("running: 1"));
            return Err("no disk".into());
        }
        Ok(Short(seat.engine))
    });
    manager.threads(2).listen(([127, 0, 0, 1], 0));
    let failure = manager.start().unwrap_err();
    assert!(matches!(failure, Failure::Build { engine: 1, .. }), "{failure}");
    let other = manager.wait(None).unwrap_err();
    assert!(matches!(other, Failure::Panicked { engine: 0, .. }), "{other}");
}

/// What a panic may carry.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "one more");
    }
}

#[test]
fn regression_an_engine_whose_panic_panics_when_it_is_dropped_has_ended() {
    let mut manager = Manager::new(Config::new(), |_, _: Seat| {
        Ok(|_: &mut Server, event: Event| {
            if let Event::Accepted(_) = event {
                std::panic::panic_any(Bomb);
            }
        })
    });
    manager.listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    let _client = connect(addr(&manager));
    let failure = manager.wait(Some(LONG)).unwrap_err();
    assert!(matches!(failure, Failure::Panicked { engine: 0, .. }), "{failure}");
    assert!(manager.wait(Some(LONG)).unwrap());
}

#[test]
fn regression_who_gives_up_where_nothing_runs_does_nothing() {
    let mut manager = Manager::new(Config::new(), echo);
    manager.listen(([127, 0, 0, 1], 0));
    let stopper = manager.stopper();
    stopper.fail("too early", None);
    assert!(manager.wait(None).unwrap());
    manager.start().unwrap();
    is_served(addr(&manager));
    manager.stop(None).unwrap();
    stopper.fail("too late", None);
    assert!(manager.wait(None).unwrap());
    assert!(manager.failures().is_empty());
}
