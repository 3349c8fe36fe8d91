//! What must hold in every loop.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tymist::doing::{DoError, Doer, Doist, Echo, Finish, Handle, PeerDoer, Recur, ServerDoer};
use tymist::net::Descriptor;
use tymist::run::Driver;
use tymist::tyme::Tyme;
use tymist::{CloseReason, Config, Deadline, Event, GramConfig, Peer, Server, Service, Wake};

use crate::loops::{BEATS, COUNT, Ran};
use crate::util::connect;

const LONG: Duration = Duration::from_secs(60);

type Run = fn(Driver<Doist>) -> Ran;

fn listening(config: Config) -> (Server, SocketAddr) {
    let mut server = Server::new(config);
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    (server, addr)
}

/// Runs it in that loop to its end, which is not that of its patience.
#[track_caller]
fn ends(run: Run, mut doist: Doist) -> Finish {
    doist.limit = Some(LONG);
    let (driver, result) = run(Driver::new(doist));
    result.unwrap();
    assert!(!driver.is_running());
    assert_ne!(driver.finish(), Some(Finish::Limit), "nothing woke it");
    driver.finish().unwrap()
}

/// Echoes, counts its ticks, and stops all when a connection has closed for this reason.
struct Until {
    reason: CloseReason,
    echo: Echo,
    stop: Handle,
    ticks: Rc<Cell<u64>>,
    times: Rc<RefCell<Times>>,
}

impl Until {
    fn new(doist: &Doist, reason: CloseReason) -> (Self, Rc<Cell<u64>>) {
        let ticks = Rc::default();
        let (echo, stop) = (Echo::new(), doist.handle());
        let times = Rc::default();
        (Until { reason, echo, stop, ticks: Rc::clone(&ticks), times }, ticks)
    }
}

impl Service for Until {
    fn event(&mut self, server: &mut Server, event: Event) {
        match &event {
            Event::Accepted(_) => self.times.borrow_mut().accepted = Some(server.tyme()),
            Event::Closed(_, reason) if *reason == self.reason => {
                self.times.borrow_mut().closed = Some(server.tyme());
                self.stop.stop();
            }
            _ => {}
        }
        self.echo.event(server, event);
    }

    fn tick(&mut self, server: &mut Server) {
        self.ticks.set(server.counters().ticks);
        self.times.borrow_mut().ticks.push(server.tyme());
    }
}

pub(crate) fn a_deadline_wakes_it_and_nothing_else(run: Run) {
    let mut config = Config::new();
    config.timeouts.idle = Some(Duration::from_millis(300));
    let (server, addr) = listening(config);
    let _client = connect(addr);
    let mut doist = Doist::new();
    let (until, ticks) = Until::new(&doist, CloseReason::Expired(Deadline::Idle));
    let times = Rc::clone(&until.times);
    doist.add(ServerDoer::new(server, until));
    let asked = Rc::new(Cell::new(0));
    doist.add(Asked(Rc::clone(&asked)));
    assert_eq!(ends(run, doist), Finish::Stopped);
    assert!((2..=12).contains(&ticks.get()), "{} ticks while nothing happened", ticks.get());
    // Each round of the loop asks when the next turn is due; its own beats are some fifty. One that spins does so a hundred thousand times.
    assert!(asked.get() <= 1000, "{} times asked while nothing happened", asked.get());
    let times = times.borrow();
    let deadline = times.accepted.unwrap() + Duration::from_millis(300);
    let before = times.ticks[times.ticks.len() - 2];
    assert!(times.closed.unwrap() >= deadline, "early");
    assert!(before < deadline, "there was a tick after the deadline that did not see it");
}

/// Counts how often it is asked when it wants its turn, which it never does.
struct Asked(Rc<Cell<u64>>);

impl Doer for Asked {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.0.set(self.0.get() + 1);
        Wake::OnIo
    }
}

/// When what happened, by the server's clock.
#[derive(Default)]
struct Times {
    accepted: Option<Tyme>,
    closed: Option<Tyme>,
    ticks: Vec<Tyme>,
}

pub(crate) fn a_byte_wakes_it_each_time(run: Run) {
    let (server, addr) = listening(Config::new());
    let client = thread::spawn(move || {
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
    let (until, ticks) = Until::new(&doist, CloseReason::Eof);
    doist.add(ServerDoer::new(server, until));
    assert_eq!(ends(run, doist), Finish::Stopped);
    client.join().unwrap();
    assert!((100..=600).contains(&ticks.get()), "{} ticks for 100 rounds", ticks.get());
}

/// Has a turn with the others, and does something in it.
struct Beside<F>(F, Wake);

impl<F: FnMut() -> Result<Recur, DoError> + 'static> Doer for Beside<F> {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        (self.0)()
    }

    fn wake(&self) -> Wake {
        self.1
    }
}

pub(crate) fn a_waker_wakes_it_from_another_thread(run: Run) {
    let (mut server, _) = listening(Config::new());
    let waker = server.waker().unwrap();
    let mut doist = Doist::new();
    let (until, ticks) = Until::new(&doist, CloseReason::Eof);
    doist.add(ServerDoer::new(server, until));
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
    let stop = doist.handle();
    let look = move || {
        let asked = count.load(Ordering::Acquire);
        // Nobody listens any more after the last.
        let _ = seen.send(asked);
        if asked == 50 {
            stop.stop();
        }
        Ok(Recur::Again)
    };
    doist.add(Beside(look, Wake::OnIo));
    assert_eq!(ends(run, doist), Finish::Stopped);
    far.join().unwrap();
    assert!(ticks.get() <= 300, "{} ticks for 50 calls", ticks.get());
}

/// Takes one event a turn: the others wait in the engine, and nothing else tells of them.
struct Slow {
    server: Server,
    accepted: usize,
}

impl Doer for Slow {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.server.service();
        self.accepted += usize::from(matches!(self.server.poll_event(), Some(Event::Accepted(_))));
        Ok(if self.accepted == 30 { Recur::Done } else { Recur::Again })
    }

    fn wake(&self) -> Wake {
        self.server.wake()
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        into.extend(self.server.descriptor());
    }
}

pub(crate) fn what_was_not_taken_is_told_again(run: Run) {
    let (server, addr) = listening(Config::new());
    let _clients: Vec<_> = (0..30).map(|_| connect(addr)).collect();
    let mut doist = Doist::new();
    doist.add(Slow { server, accepted: 0 });
    assert_eq!(ends(run, doist), Finish::Done);
}

/// Takes one byte a turn, and leaves the rest where it is.
struct Sipper {
    from: Arc<UnixStream>,
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
        // Twice is once.
        into.push(Descriptor::shared(Arc::clone(&self.from) as Arc<_>));
    }
}

/// As of an engine with more to harvest than fits in one go.
pub(crate) fn what_was_left_in_a_descriptor_is_told_again(run: Run) {
    let (mut near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    near.write_all(&[7; 100]).unwrap();
    let mut doist = Doist::new();
    doist.add(Sipper { from: Arc::new(far), left: 100 });
    assert_eq!(ends(run, doist), Finish::Done);
}

/// An engine that has no descriptor at first opens a port when a deadline comes.
struct Late {
    server: Server,
    opens_at: Option<Tyme>,
    tell: mpsc::Sender<SocketAddr>,
    turns: Rc<Cell<usize>>,
}

impl Doer for Late {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.turns.set(self.turns.get() + 1);
        let opens_at = *self.opens_at.get_or_insert(now + Duration::from_millis(100));
        if now >= opens_at && !self.server.opened() {
            let acceptor = self.server.listen(([127, 0, 0, 1], 0))?;
            self.tell.send(self.server.local_addr(acceptor).unwrap().inet().unwrap())?;
        }
        self.server.service();
        let accepted = matches!(self.server.poll_event(), Some(Event::Accepted(_)));
        Ok(if accepted { Recur::Done } else { Recur::Again })
    }

    fn wake(&self) -> Wake {
        match self.opens_at {
            Some(opens_at) if !self.server.opened() => Wake::At(opens_at).min(self.server.wake()),
            _ => self.server.wake(),
        }
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        into.extend(self.server.descriptor());
    }
}

pub(crate) fn what_is_opened_later_is_waited_on(run: Run) {
    let (tell, told) = mpsc::channel();
    let client = thread::spawn(move || connect(told.recv_timeout(LONG).unwrap()));
    let turns = Rc::default();
    let server = Server::new(Config::new());
    assert!(server.descriptor().is_none());
    let mut doist = Doist::new();
    doist.add(Late { server, opens_at: None, tell, turns: Rc::clone(&turns) });
    assert_eq!(ends(run, doist), Finish::Done);
    assert!(turns.get() <= 12, "{} turns", turns.get());
    client.join().unwrap();
}

/// Has a beat of its own.
struct Beat<F>(F);

impl<F: FnMut() -> Result<Recur, DoError> + 'static> Doer for Beat<F> {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        (self.0)()
    }

    fn tock(&self) -> Duration {
        Duration::from_millis(2)
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

/// What is waited on changes from wait to wait, and numbers come again.
pub(crate) fn descriptors_come_and_go(run: Run) {
    let mut doist = Doist::new();
    let (handle, ends_at) = (doist.handle(), Rc::new(RefCell::new(None)));
    let (mut round, mut current) = (0, None);
    let kept = Rc::clone(&ends_at);
    doist.keep = 0;
    doist.add(Beat(move || {
        if let Some(old) = current.take() {
            handle.remove(old);
        }
        round += 1;
        if round > 30 {
            handle.stop();
        }
        let (mut near, far) = UnixStream::pair()?;
        far.set_nonblocking(true)?;
        if round % 3 == 0 {
            near.write_all(&[1, 2])?;
        }
        *kept.borrow_mut() = Some(near);
        current = handle.add(Sipper { from: Arc::new(far), left: 3 });
        Ok(Recur::Again)
    }));
    assert_eq!(ends(run, doist), Finish::Stopped);
}

pub(crate) fn several_engines_wait_together(run: Run) {
    let (server, addr) = listening(Config::new());
    let (other, other_addr) = listening(Config::new());
    let mut peer = Peer::new(GramConfig::new());
    peer.open(([127, 0, 0, 1], 0)).unwrap();
    let peer_addr = peer.local_addr().inet().unwrap();
    let far = thread::spawn(move || {
        let mut streams = [connect(addr), connect(other_addr)];
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(peer_addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        for round in 0..20_u8 {
            let mut back = [0];
            for stream in &mut streams {
                stream.write_all(&[round]).unwrap();
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, [round]);
            }
            // A datagram may be lost, even here.
            let answered = (0..50).any(|_| {
                socket.send(&[round]).unwrap();
                matches!(socket.recv(&mut back), Ok(1)) && back == [round]
            });
            assert!(answered);
        }
    });
    let mut doist = Doist::new();
    doist.add(ServerDoer::new(other, Echo::new()));
    doist.add(PeerDoer::echo(peer));
    let mut inner = Doist::new();
    let (until, ticks) = Until::new(&doist, CloseReason::Eof);
    inner.add(ServerDoer::new(server, until));
    doist.add(inner);
    assert_eq!(ends(run, doist), Finish::Stopped);
    far.join().unwrap();
    assert!(ticks.get() <= 2_000, "{} ticks for 60 rounds", ticks.get());
}

pub(crate) fn an_error_is_given_out_and_the_doer_left(run: Run) {
    let left = Rc::new(Cell::new(0));
    struct Fails(Rc<Cell<u32>>);
    impl Doer for Fails {
        fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
            if now > Tyme::ZERO + Duration::from_millis(20) {
                return Err("no more".into());
            }
            Ok(Recur::Again)
        }
        fn exit(&mut self) -> Result<(), DoError> {
            self.0.set(self.0.get() + 1);
            Ok(())
        }
        fn wake(&self) -> Wake {
            Wake::At(Tyme::ZERO + Duration::from_millis(21))
        }
    }
    let mut doist = Doist::new();
    doist.add(Fails(Rc::clone(&left)));
    let (driver, result) = run(Driver::new(doist));
    assert_eq!(result.unwrap_err().to_string(), "doer 1: no more");
    assert_eq!(left.get(), 1);
    drop(driver);
    assert_eq!(left.get(), 1, "once");
}

pub(crate) fn a_doer_that_always_wants_its_turn_leaves_others_theirs(run: Run) {
    COUNT.with(|count| count.set(0));
    let until = || {
        let counted = COUNT.with(Cell::get);
        Ok(if counted == BEATS { Recur::Done } else { Recur::Again })
    };
    let mut doist = Doist::new();
    doist.add(Beside(until, Wake::Now));
    assert_eq!(ends(run, doist), Finish::Done);
}

pub(crate) fn regression_one_that_was_left_before_is_over_at_once(run: Run) {
    let mut doist = Doist::new();
    doist.always = true; // Nothing else ends it.
    let mut driver = Driver::new(doist);
    driver.exit().unwrap();
    let (mut driver, result) = run(driver);
    result.unwrap();
    assert!(driver.rest().is_now());
    assert_eq!(driver.turn().unwrap(), Recur::Done, "and stays so");
}
