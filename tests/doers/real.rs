//! In real time: sleeping until somebody wants something, and no sooner. What is counted is turns, never time.
#![allow(clippy::disallowed_methods, reason = "the far ends are threads with blocking sockets")]

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tymist::doing::{
    DoError, Doer, DoerId, Doist, Echo, Finish, Handle, PeerDoer, Recur, RunError, ServerDoer,
};
use tymist::net::Descriptor;
use tymist::tyme::{Tyme, Tymist};
use tymist::{
    CloseReason, Config, Deadline, Event, GramConfig, GramEvent, Peer, Server, Service, Wake,
};

use crate::util::connect;

const LONG: Duration = Duration::from_secs(60);

pub(crate) fn listening(config: Config) -> (Server, SocketAddr) {
    let mut server = Server::new(config);
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    (server, addr)
}

/// Runs, and ends the test if nothing wakes it for a minute.
#[track_caller]
fn run(doist: &mut Doist) -> Finish {
    doist.limit = Some(LONG);
    let finish = doist.run(&mut Tymist::realtime()).unwrap();
    assert_ne!(finish, Finish::Limit, "nothing woke it");
    finish
}

/// Counts its turns, asks for none, and is done when `done` says so.
struct Watch<F> {
    turns: Rc<Cell<usize>>,
    done: F,
}

impl<F: FnMut() -> bool + 'static> Doer for Watch<F> {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.turns.set(self.turns.get() + 1);
        Ok(if (self.done)() { Recur::Done } else { Recur::Again })
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

/// Stops all when a connection has expired.
struct UntilExpired(Handle);

impl Service for UntilExpired {
    fn event(&mut self, _: &mut Server, event: Event) {
        if matches!(event, Event::Closed(_, CloseReason::Expired(Deadline::Idle))) {
            self.0.stop();
        }
    }
}

fn ticks<S: Service>(doist: &Doist, id: DoerId) -> u64 {
    doist.get::<ServerDoer<S>>(id).unwrap().server.counters().ticks
}

#[test]
fn a_deadline_wakes_it_and_nothing_else() {
    let mut config = Config::new();
    config.timeouts.idle = Some(Duration::from_millis(300));
    let (server, addr) = listening(config);
    let _client = connect(addr);
    let mut doist = Doist::new();
    let handler = UntilExpired(doist.handle());
    let id = doist.add(ServerDoer::new(server, handler));
    assert_eq!(run(&mut doist), Finish::Stopped);
    // The first, the connection, its admission, its deadline, and a few for rounding.
    let ticks = ticks::<UntilExpired>(&doist, id);
    assert!((2..=12).contains(&ticks), "{ticks} ticks while nothing happened");
}

#[test]
fn a_byte_wakes_it_each_time() {
    let (server, addr) = listening(Config::new());
    let (idle, idle_addr) = listening(Config::new());
    let client = thread::spawn(move || {
        let _silent = connect(idle_addr);
        let mut stream = connect(addr);
        for round in 0..100_u8 {
            // The other end has nothing to do until this is sent.
            stream.write_all(&[round]).unwrap();
            let mut back = [0];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, [round]);
        }
    });
    let mut doist = Doist::new();
    let idle = doist.add(ServerDoer::new(idle, Echo::new()));
    let id = doist.add(ServerDoer::new(server, Echo::new()));
    let stop = doist.handle();
    let turns = Rc::default();
    let done = move || {
        if client.is_finished() {
            stop.stop();
        }
        false
    };
    // Its last turn is that for the end of the connection, or the next cycle's.
    doist.add(Watch { turns: Rc::clone(&turns), done });
    doist.add(Pulse(Duration::from_millis(50)));
    assert_eq!(run(&mut doist), Finish::Stopped);
    let echo = doist.get::<ServerDoer<Echo>>(id).unwrap();
    assert_eq!(echo.service.bytes, 100);
    let (ticks, idle) = (echo.server.counters().ticks, ticks::<Echo>(&doist, idle));
    assert_eq!((ticks, turns.get() as u64), (idle, ticks), "a cycle is a turn of each");
    // Two or three a round, and those of the pulse, of which there is one in each 50 ms.
    assert!((100..=2_000).contains(&ticks), "{ticks} ticks for 100 rounds");
}

/// Has a turn now and then, so that others look whether a thread has ended.
struct Pulse(Duration);

impl Doer for Pulse {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        Ok(Recur::Again)
    }

    fn tock(&self) -> Duration {
        self.0
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

#[test]
fn a_waker_of_its_own_or_of_an_engine_wakes_it_from_another_thread() {
    for of_the_server in [false, true] {
        let (mut server, _) = listening(Config::new());
        let mut doist = Doist::new();
        let waker = if of_the_server { server.waker() } else { doist.waker() }.unwrap();
        let id = doist.add(ServerDoer::new(server, Echo::new()));
        let (seen, next) = mpsc::channel();
        let count = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&count);
        let far = thread::spawn(move || {
            for asking in 1..=50 {
                asked.store(asking, Ordering::Release);
                waker.wake().unwrap();
                // It answers once it has had a turn; only then comes the next call.
                while next.recv_timeout(LONG).unwrap() < asking {}
            }
        });
        let (stop, turns) = (doist.handle(), Rc::default());
        let done = move || {
            let asked = count.load(Ordering::Acquire);
            // Nobody listens any more after the last.
            let _ = seen.send(asked);
            if asked == 50 {
                stop.stop();
            }
            false
        };
        doist.add(Watch { turns: Rc::clone(&turns), done });
        assert_eq!(run(&mut doist), Finish::Stopped);
        far.join().unwrap();
        let ticks = ticks::<Echo>(&doist, id);
        assert!(ticks <= 300, "{ticks} ticks for 50 calls");
    }
}

#[test]
fn one_that_nothing_can_wake_ends() {
    let turns = Rc::default();
    let mut doist = Doist::new();
    doist.add(Watch { turns: Rc::clone(&turns), done: || false });
    assert_eq!(doist.run(&mut Tymist::realtime()).unwrap(), Finish::Stalled);
    assert_eq!(turns.get(), 1);
}

#[test]
fn regression_a_limit_or_a_beat_beyond_all_time_wakes_nobody() {
    let turns = Rc::default();
    let mut doist = Doist::new();
    doist.limit = Some(Duration::MAX);
    doist.add(Watch { turns: Rc::clone(&turns), done: || false });
    let mut seldom = Doist::new();
    (seldom.always, seldom.tock) = (true, Duration::MAX);
    doist.add(seldom);
    let mut tymist = Tymist::realtime();
    doist.enter(&tymist.tymth()).unwrap();
    assert_eq!(doist.recur(tymist.tyme()).unwrap(), Recur::Again);
    assert_eq!(Doer::wake(&doist).timeout(tymist.tyme()), None);
    assert_eq!(doist.run(&mut tymist).unwrap(), Finish::Stalled);
    assert_eq!(turns.get(), 2);
}

/// Takes one byte a turn, and leaves the rest where it is.
struct Sipper {
    from: Arc<std::os::unix::net::UnixStream>,
    left: usize,
}

impl Doer for Sipper {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        match (&*self.from).read(&mut [0]) {
            Ok(count) => self.left -= count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(if self.left == 0 { Recur::Done } else { Recur::Again })
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        into.push(Descriptor::shared(Arc::clone(&self.from) as Arc<_>));
    }
}

/// Reports are edges below; what was left must be told again all the same, as for an engine with more to harvest than fits in one go.
#[test]
fn what_was_left_is_told_again() {
    let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    near.write_all(&[7; 100]).unwrap();
    let mut doist = Doist::new();
    doist.add(Sipper { from: Arc::new(far), left: 100 });
    assert_eq!(run(&mut doist), Finish::Done);
}

/// Waits on a file, which epoll does not take.
#[cfg(target_os = "linux")]
struct Deaf {
    file: Descriptor,
    exits: Rc<Cell<u32>>,
}

#[cfg(target_os = "linux")]
impl Doer for Deaf {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        Ok(Recur::Again)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.exits.set(self.exits.get() + 1);
        Ok(())
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        into.push(self.file.clone());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_waited_on_ends_the_run_with_an_error_once_all_are_left() {
    let exits = Rc::new(Cell::new(0));
    let mut doist = Doist::new();
    for _ in 0..2 {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        doist.add(Deaf { file: Descriptor::new(file), exits: Rc::clone(&exits) });
    }
    let error = doist.run(&mut Tymist::realtime()).unwrap_err();
    assert!(matches!(error, RunError::Io(_)), "{error}");
    assert!(error.to_string().contains("cannot wait"), "{error}");
    assert_eq!((exits.get(), doist.finish()), (2, Some(Finish::Stopped)));
}

/// Two doers may wait on one thing, and a thing may go by another number than before.
#[test]
fn one_descriptor_for_two_is_watched_once() {
    let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let far = Arc::new(far);
    let mut doist = Doist::new();
    doist.add(Sipper { from: Arc::clone(&far), left: 1 });
    doist.add(Sipper { from: far, left: 1 });
    near.write_all(&[7; 2]).unwrap();
    assert_eq!(run(&mut doist), Finish::Done);
}

/// What is waited on changes from sleep to sleep: doers come and go, and numbers come again.
#[test]
fn descriptors_come_and_go() {
    let mut doist = Doist::new();
    let handle = doist.handle();
    let mut round = 0;
    let mut current: Option<DoerId> = None;
    doist.always = true;
    // A beat, so that it goes on when the one before has ended.
    struct Maker<F>(F);
    impl<F: FnMut() -> bool + 'static> Doer for Maker<F> {
        fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
            Ok(if (self.0)() { Recur::Done } else { Recur::Again })
        }
        fn tock(&self) -> Duration {
            Duration::from_millis(2)
        }
        fn wake(&self) -> Wake {
            Wake::OnIo
        }
    }
    let stop = doist.handle();
    doist.add(Maker(move || {
        if let Some(old) = current.take() {
            handle.remove(old);
        }
        round += 1;
        if round > 30 {
            stop.stop();
            return true;
        }
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        if round % 3 == 0 {
            near.write_all(&[1, 2]).unwrap();
        }
        current = handle.add(Sipper { from: Arc::new(far), left: 2 });
        false
    }));
    assert_eq!(run(&mut doist), Finish::Stopped);
}

#[test]
fn engines_of_all_kinds_wait_together() {
    let (server, addr) = listening(Config::new());
    let mut peer = Peer::new(GramConfig::new());
    peer.open(([127, 0, 0, 1], 0)).unwrap();
    let peer_addr = peer.local_addr().inet().unwrap();
    let far = thread::spawn(move || {
        let mut stream = connect(addr);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(peer_addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        for round in 0..20_u8 {
            stream.write_all(&[round]).unwrap();
            let mut back = [0];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, [round]);
            // A datagram may be lost, even here.
            let answered = (0..50).any(|_| {
                socket.send(&[round]).unwrap();
                matches!(socket.recv(&mut back), Ok(1)) && back == [round]
            });
            assert!(answered);
        }
    });
    let mut doist = Doist::new();
    let server = doist.add(ServerDoer::new(server, UntilGone { echo: Echo::new(), gone: false }));
    let peer = doist.add(PeerDoer::echo(peer));
    let handle = doist.handle();
    doist.set_report(move |id, _| {
        if id == server {
            handle.stop();
        }
    });
    assert_eq!(run(&mut doist), Finish::Stopped);
    far.join().unwrap();
    let peer: &PeerDoer<fn(&mut Peer, GramEvent)> = doist.get(peer).unwrap();
    assert!(peer.peer.counters().bytes_out >= 20);
    let ticks = ticks::<UntilGone>(&doist, server);
    assert!(ticks <= 2_000, "{ticks} ticks for 40 rounds");
}

/// Echoes, and is done when a connection has closed.
struct UntilGone {
    echo: Echo,
    gone: bool,
}

impl Service for UntilGone {
    fn event(&mut self, server: &mut Server, event: Event) {
        self.gone |= matches!(event, Event::Closed(..));
        self.echo.event(server, event);
    }

    fn is_done(&self) -> bool {
        self.gone
    }
}

#[test]
fn beats_in_real_time_are_not_more_than_there_are() {
    let turns = Rc::new(Cell::new(0_u32));
    struct Beat(Rc<Cell<u32>>);
    impl Doer for Beat {
        fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
            self.0.set(self.0.get() + 1);
            Ok(Recur::Again)
        }
        fn tock(&self) -> Duration {
            Duration::from_millis(20)
        }
        fn wake(&self) -> Wake {
            Wake::Now
        }
    }
    let (server, addr) = listening(Config::new());
    let mut client = connect(addr);
    // There is something to read all the time, which the server is not there to take: it has a beat, too.
    client.write_all(b"unread").unwrap();
    let mut slow = Doist::new();
    slow.tock = Duration::from_millis(200);
    let id = slow.add(ServerDoer::new(server, Echo::new()));
    let mut doist = Doist::new();
    doist.add(Beat(Rc::clone(&turns)));
    let slow = doist.add(slow);
    let cycles = Rc::default();
    doist.add(Watch { turns: Rc::clone(&cycles), done: || false });
    doist.limit = Some(Duration::from_millis(300));
    assert_eq!(doist.run(&mut Tymist::realtime()).unwrap(), Finish::Limit);
    assert!((1..=15).contains(&turns.get()), "{} turns of 15", turns.get());
    let ticks = ticks::<Echo>(doist.get::<Doist>(slow).unwrap(), id);
    assert!((1..=2).contains(&ticks), "{ticks} ticks of 2");
    assert!(cycles.get() <= 25, "{} cycles", cycles.get());
}
