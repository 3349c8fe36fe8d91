//! A network in memory for those who dial: every try to connect hangs until the test says what becomes of it. Keeps the seam's contract, edges only.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tymist::net::{
    Addr, BufferSizes, Dial, Listen, Listener, Net, Readiness, Stage, Stream, Token, Waker,
};
use tymist::tyme::{Tyme, Tymist};
use tymist::{Clients, Config, Event, Id};

/// The test's hand on the network: tries to connect, by number, and their far ends.
#[derive(Clone, Default)]
pub(crate) struct Far(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    no_wakers: usize,
    woken: usize,
    tries: Vec<Try>,
    ready: VecDeque<Readiness>,
    /// Errors that the next calls of `connect` give at once.
    at_once: VecDeque<i32>,
    /// All further ones give this.
    always: Option<i32>,
    harvests: usize,
    /// Waits that the last harvest was asked for.
    wait: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) dial: Dial,
    token: Option<Token>,
    up: Option<Result<(), i32>>,
    inward: VecDeque<u8>,
    end: bool,
    reset: bool,
    /// It takes nothing.
    full: bool,
    /// What was sent to it.
    pub(crate) got: Vec<u8>,
    pub(crate) got_end: bool,
    pub(crate) aborted: bool,
    pub(crate) dropped: bool,
    /// Times that `connected` was asked.
    pub(crate) asked: usize,
    pub(crate) reads: usize,
    /// What its handshake, where it has one, waits for.
    shaken: bool,
}

impl Far {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The next so many times there is no waker.
    pub(crate) fn refuse_wakers(&self, count: usize) {
        self.world().no_wakers = count;
    }

    /// How often it was woken.
    pub(crate) fn woken(&self) -> usize {
        self.world().woken
    }

    pub(crate) fn net(&self) -> Box<dyn Net> {
        Box::new(FarNet(self.clone()))
    }

    /// How many tries there have been.
    pub(crate) fn tries(&self) -> usize {
        self.world().tries.len()
    }

    #[track_caller]
    pub(crate) fn get(&self, number: usize) -> Try {
        self.world().tries[number].clone()
    }

    /// Where the tries went, in order.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.world().tries.iter().map(|it| it.dial.addr.port().unwrap()).collect()
    }

    /// Streams that were not dropped.
    pub(crate) fn open(&self) -> usize {
        self.world().tries.iter().filter(|it| !it.dropped).count()
    }

    pub(crate) fn harvests(&self) -> usize {
        self.world().harvests
    }

    /// What the last harvest was allowed to wait.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.world().wait
    }

    /// The next calls of `connect` fail at once.
    pub(crate) fn fail_at_once(&self, errnos: impl IntoIterator<Item = i32>) {
        self.world().at_once.extend(errnos);
    }

    /// All calls of `connect` fail at once from now on; `None`: no more.
    pub(crate) fn fail_always(&self, errno: Option<i32>) {
        self.world().always = errno;
    }

    /// It is up, of which a socket tells that it can be written to, and no more.
    #[track_caller]
    pub(crate) fn up(&self, number: usize) {
        let mut world = self.world();
        let it = &mut world.tries[number];
        it.up = Some(Ok(()));
        let token = it.token.unwrap();
        if !it.dropped {
            let report = Readiness { token, readable: false, writable: true, ending: false };
            world.ready.push_back(report);
        }
    }

    /// Says what its handshake waits for.
    #[track_caller]
    pub(crate) fn shake(&self, number: usize) {
        self.change(number, false, |it| it.shaken = true);
    }

    #[track_caller]
    pub(crate) fn fail(&self, number: usize, errno: i32) {
        self.change(number, true, |it| it.up = Some(Err(errno)));
    }

    #[track_caller]
    pub(crate) fn send(&self, number: usize, data: &[u8]) {
        self.change(number, false, |it| it.inward.extend(data));
    }

    #[track_caller]
    pub(crate) fn end(&self, number: usize) {
        self.change(number, true, |it| it.end = true);
    }

    #[track_caller]
    pub(crate) fn reset(&self, number: usize) {
        self.change(number, true, |it| it.reset = true);
    }

    /// It takes nothing from now on.
    pub(crate) fn block(&self, number: usize) {
        self.world().tries[number].full = true;
    }

    /// Reports it, with nothing new.
    #[track_caller]
    pub(crate) fn report(&self, number: usize) {
        self.change(number, false, |_| {});
    }

    #[track_caller]
    fn change(&self, number: usize, ending: bool, change: impl FnOnce(&mut Try)) {
        let mut world = self.world();
        let it = &mut world.tries[number];
        change(it);
        let token = it.token.unwrap();
        if !it.dropped {
            world.ready.push_back(Readiness { token, readable: true, writable: true, ending });
        }
    }
}

struct FarNet(Far);

impl Net for FarNet {
    fn now(&mut self) -> Tyme {
        Tyme::ZERO
    }

    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(Deaf(spec.addr.clone())))
    }

    fn connect(&mut self, spec: &Dial) -> io::Result<Box<dyn Stream>> {
        let mut world = self.0.world();
        let world = &mut *world;
        if let Some(errno) = world.at_once.pop_front().or(world.always) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let number = world.tries.len();
        world.tries.push(Try {
            dial: spec.clone(),
            token: None,
            up: None,
            inward: VecDeque::new(),
            end: false,
            reset: false,
            full: false,
            got: Vec::new(),
            got_end: false,
            aborted: false,
            dropped: false,
            asked: 0,
            reads: 0,
            shaken: false,
        });
        let port = 10_000 + u16::try_from(number % 50_000).unwrap();
        let local = spec.local.clone().unwrap_or_else(|| Addr::from(([10, 0, 0, 1], port)));
        Ok(Box::new(FarStream { far: self.0.clone(), number, local, peer: spec.addr.clone() }))
    }

    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut world = self.0.world();
        world.harvests += 1;
        world.wait = wait;
        ready.extend(world.ready.drain(..));
        Ok(())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        let mut world = self.0.world();
        if world.no_wakers > 0 {
            world.no_wakers -= 1;
            return Err(ErrorKind::OutOfMemory.into());
        }
        let far = self.0.clone();
        Ok(Waker::new(move || {
            far.world().woken += 1;
            Ok(())
        }))
    }
}

/// A listener whom nobody finds.
struct Deaf(Addr);

impl Listener for Deaf {
    fn register(&mut self, _: Token) -> io::Result<()> {
        Ok(())
    }
    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        Err(ErrorKind::WouldBlock.into())
    }
    fn local_addr(&self) -> &Addr {
        &self.0
    }
    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(BufferSizes::default())
    }
}

struct FarStream {
    far: Far,
    number: usize,
    local: Addr,
    peer: Addr,
}

impl FarStream {
    fn with<T>(&self, act: impl FnOnce(&mut Try) -> T) -> T {
        act(&mut self.far.world().tries[self.number])
    }
}

impl Stream for FarStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.with(|it| {
            assert_eq!(it.token.replace(token), None, "registered twice");
        });
        Ok(())
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.with(|it| {
            it.asked += 1;
            match it.up {
                None => Ok(false),
                Some(Ok(())) => Ok(true),
                Some(Err(errno)) => Err(io::Error::from_raw_os_error(errno)),
            }
        })
    }

    /// Called only where there is a layer: `shy` makes it one itself.
    fn advance(&mut self) -> io::Result<Stage> {
        match self.with(|it| (it.shaken, it.reset)) {
            (_, true) => Err(ErrorKind::ConnectionReset.into()),
            (true, _) => Ok(Stage::Live),
            _ => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|it| {
            it.reads += 1;
            assert_eq!(it.up, Some(Ok(())), "read before it was up");
            if it.reset {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let count = buf.len().min(it.inward.len());
            for (to, from) in buf.iter_mut().zip(it.inward.drain(..count)) {
                *to = from;
            }
            match count {
                0 if it.end => Ok(0),
                0 => Err(ErrorKind::WouldBlock.into()),
                _ => Ok(count),
            }
        })
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.with(|it| {
            assert_eq!(it.up, Some(Ok(())), "written before it was up");
            if it.reset {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if it.full {
                return Err(ErrorKind::WouldBlock.into());
            }
            bufs.iter().for_each(|buf| it.got.extend_from_slice(buf));
            Ok(bufs.iter().map(|buf| buf.len()).sum())
        })
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        assert_eq!(how, Shutdown::Write);
        self.with(|it| it.got_end = true);
        Ok(())
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        self.with(|it| it.aborted = true);
        Ok(())
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn peer_addr(&self) -> &Addr {
        &self.peer
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(BufferSizes::default())
    }
}

impl Drop for FarStream {
    fn drop(&mut self) {
        self.with(|it| it.dropped = true);
    }
}

/// Clients on such a network, whose clock only the test advances.
pub(crate) struct Desk {
    pub(crate) clients: Clients,
    pub(crate) tymist: Tymist,
    pub(crate) far: Far,
    pub(crate) log: Vec<Event>,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Desk {
        let mut config = Config::new();
        config.seed = Some(7);
        change(&mut config);
        let far = Far::default();
        let tymist = Tymist::new();
        let mut clients = Clients::with_net(config, far.net());
        clients.wind(tymist.tymth());
        Desk { clients, tymist, far, log: Vec::new() }
    }

    /// One tick; its events.
    pub(crate) fn tick(&mut self) -> Vec<Event> {
        self.clients.service();
        let events: Vec<Event> = std::iter::from_fn(|| self.clients.poll_event()).collect();
        self.log.extend(events.iter().cloned());
        events
    }

    /// One tick at that tyme.
    #[track_caller]
    pub(crate) fn tick_at(&mut self, tyme: Tyme) -> Vec<Event> {
        self.tymist.set(tyme).unwrap();
        self.tick()
    }

    /// One tick so much later.
    pub(crate) fn tick_after(&mut self, time: Duration) -> Vec<Event> {
        self.tymist.tick_by(time);
        self.tick()
    }

    /// Dials and does the first tick.
    #[track_caller]
    pub(crate) fn dial(&mut self, connect: impl Into<tymist::Connect>) -> Id {
        let id = self.clients.connect(connect).unwrap();
        self.tick();
        id
    }

    /// When the last `Disconnected` says that it is tried again.
    #[track_caller]
    pub(crate) fn retry_at(&self) -> Tyme {
        let found = self.log.iter().rev().find_map(|event| match event {
            Event::Disconnected { retry_at, .. } => Some(*retry_at),
            _ => None,
        });
        found.unwrap()
    }
}

/// An address for documentation, which nothing answers at.
pub(crate) fn addr(port: u16) -> Addr {
    Addr::from(([192, 0, 2, 1], port))
}

/// The same, with a handshake that waits for `Far::shake`.
pub(crate) fn shy(connect: tymist::Connect) -> tymist::Connect {
    let mut connect = connect;
    connect.layer = Some(Arc::new(|stream| stream));
    connect
}
