//! How a manager ends.

use std::io::Read;
use std::time::Duration;

use tymist::run::{Group, Manager, Seat, Stopper};
use tymist::{Config, Event, Server, Service, Session};

use crate::util::{connect, listens};
use crate::{LONG, addr, echo, echoes, exchange, is_served, until};

#[test]
fn a_stop_lets_connections_finish() {
    let mut manager = echoes(2);
    manager.start().unwrap();
    let at = addr(&manager);
    let mut client = connect(at);
    exchange(&mut client, b"hello");
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| manager.stop(Some(LONG)));
        until("nobody listens", || !listens(at));
        assert!(manager.is_running());
        exchange(&mut client, b"still there");
        drop(client);
        stopping.join().unwrap().unwrap();
    });
    // This one, and whatever of the looks for a listener was still let in.
    let closed = manager.counters().closed;
    assert!(closed.eof >= 1 && closed.expired.drain == 0, "{closed:?}");
}

#[test]
fn those_that_do_not_finish_are_cut_at_the_deadline() {
    let mut manager = echoes(1);
    manager.start().unwrap();
    let mut client = connect(addr(&manager));
    exchange(&mut client, b"hello");
    manager.stop(Some(Duration::from_millis(1))).unwrap();
    assert_eq!(manager.counters().closed.expired.drain, 1);
    assert!(!matches!(client.read(&mut [0; 1]), Ok(1..)));
}

#[test]
fn the_configuration_says_how_long_if_nobody_does() {
    let mut config = Config::new();
    config.timeouts.drain = Some(Duration::from_millis(1));
    let mut manager = Manager::new(config, echo);
    manager.listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    let mut client = connect(addr(&manager));
    exchange(&mut client, b"hello");
    manager.stop(None).unwrap();
    assert_eq!(manager.counters().closed.expired.drain, 1);
}

#[test]
fn zero_cuts_at_once_and_a_second_stop_is_heeded() {
    let mut manager = echoes(1);
    manager.start().unwrap();
    let mut client = connect(addr(&manager));
    exchange(&mut client, b"hello");
    manager.stopper().stop(Some(LONG));
    assert!(!manager.wait(Some(Duration::from_millis(1))).unwrap(), "it drains");
    manager.stop(Some(Duration::ZERO)).unwrap();
    assert_eq!(manager.counters().closed.server_closed, 1);
}

/// Closes what is silent when its server begins to drain.
struct Hurried;

impl Service for Hurried {
    fn event(&mut self, server: &mut Server, event: Event) {
        if let Event::Draining { .. } = event {
            server.close_remoters();
        }
        tymist::call_back(self, server, &event);
    }

    fn opened(&mut self, session: &mut Session<'_>) {
        session.tx(b"hello").unwrap();
    }
}

#[test]
fn a_service_may_hurry_its_connections() {
    let mut manager = Manager::new(Config::new(), |_, _: Seat| Ok(Hurried));
    manager.listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    let mut client = connect(addr(&manager));
    let mut hello = [0; 5];
    client.read_exact(&mut hello).unwrap();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| manager.stop(Some(LONG)));
        assert_eq!(client.read(&mut hello).unwrap(), 0, "a clean end");
        drop(client);
        stopping.join().unwrap().unwrap();
    });
    assert_eq!(manager.counters().closed.local, 1);
}

#[test]
fn dropping_it_stops_it() {
    let at = {
        let mut manager = echoes(2);
        manager.start().unwrap();
        is_served(addr(&manager));
        addr(&manager)
    };
    assert!(!listens(at));
}

#[test]
fn others_may_stop_it_and_it_may_be_awaited() {
    let mut manager = echoes(2);
    let stopper = manager.stopper();
    stopper.stop(None); // Not running: nothing.
    manager.start().unwrap();
    let at = addr(&manager);
    is_served(at);
    assert!(!manager.wait(Some(Duration::from_millis(1))).unwrap(), "nobody has stopped it");
    let stopping = std::thread::spawn(move || stopper.stop(None));
    assert!(manager.wait(Some(LONG)).unwrap());
    stopping.join().unwrap();
    assert!(!manager.is_running() && !listens(at));
    // The same handle is good for the next start.
    let stopper = manager.stopper();
    manager.start().unwrap();
    stopper.stop(None);
    assert!(manager.wait(Some(LONG)).unwrap());
}

/// Ends its manager after so many bytes.
struct Tired {
    left: usize,
    stopper: Stopper,
}

impl Service for Tired {
    fn received(&mut self, session: &mut Session<'_>) {
        self.left = self.left.saturating_sub(session.take().len());
        if self.left == 0 {
            session.close();
            self.stopper.stop(None);
        }
    }
}

#[test]
fn a_service_may_end_its_manager() {
    let mut manager =
        Manager::new(Config::new(), |_, seat: Seat| Ok(Tired { left: 10, stopper: seat.stopper }));
    manager.threads(2).listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    let mut client = connect(addr(&manager));
    std::io::Write::write_all(&mut client, b"0123456789").unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    drop(client);
    assert!(manager.wait(Some(LONG)).unwrap());
}

#[test]
fn regression_who_is_dropped_on_its_way_to_an_end_gets_no_more_time() {
    let mut manager = echoes(1);
    manager.start().unwrap();
    let mut alone = connect(addr(&manager));
    exchange(&mut alone, b"hello");
    let mut member = echoes(1);
    member.start().unwrap();
    let mut together = connect(addr(&member));
    exchange(&mut together, b"hello");
    let (say, done) = std::sync::mpsc::channel();
    let within = Some(Duration::from_secs(1));
    std::thread::spawn(move || {
        manager.stopper().stop(within);
        drop(manager);
        say.send("a manager").unwrap();
        let stopper = member.stopper();
        let mut group = Group::new();
        group.add(member);
        stopper.stop(within);
        drop(group);
        say.send("a group").unwrap();
    });
    // Both clients stay.
    assert_eq!(done.recv_timeout(LONG / 4), Ok("a manager"));
    assert_eq!(done.recv_timeout(LONG / 4), Ok("a group"));
}
