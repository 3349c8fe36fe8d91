//! A network whose every answer is written down beforehand, for what a real one does not do on demand. Counts each call, and fails the
//! test if a part of the script was never asked for.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tymist::net::{
    Addr, Bind, BufferSizes, Datagram, Dial, Gram, Listen, Listener, Net, Readiness, Stage, Stream,
    Token, Waker,
};
use tymist::tyme::{Tyme, Tymist};
use tymist::{AcceptorId, Config, Event, Id, Server};

/// What a read answers.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    Bytes(Vec<u8>),
    /// Fills the buffer, for ever: never used up, and need not be asked for.
    Endless,
    /// The clean end; needs nothing after it.
    End,
    Fails(i32),
    /// Claims a byte more than there is room for.
    Lies,
}

/// What a write answers; where the script has ended, all is taken.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Takes so many bytes at the most.
    Takes(usize),
    Blocks,
    Fails(i32),
    /// Claims a byte more than it was given.
    Lies,
    /// `WouldBlock` for ever.
    Never,
}

/// What an accept answers; where the script has ended, nobody is there.
pub(crate) enum Accept {
    Peer(Peer),
    Fails(i32),
    /// The same error for ever.
    Always(i32),
}

/// The far end of a scripted stream: what it does, and what was done to it.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Mutex<Far>>);

pub(crate) struct Far {
    pub(crate) name: Addr,
    token: Option<Token>,
    net: Option<Arc<Mutex<Shared>>>,
    pub(crate) reads: VecDeque<Read>,
    pub(crate) writes: VecDeque<Write>,
    /// Steps of a handshake: whether there is a next one (`Ok`), the peer must speak first (`WouldBlock`) or it failed.
    pub(crate) handshake: VecDeque<io::Result<Stage>>,
    pub(crate) read_calls: usize,
    pub(crate) write_calls: usize,
    /// All bytes that were taken.
    pub(crate) written: Vec<u8>,
    pub(crate) ended: bool,
    /// What a shutdown answers instead.
    pub(crate) end_fails: Option<io::ErrorKind>,
    pub(crate) abortive: bool,
    pub(crate) dropped: bool,
    /// How often it was to take all that is left.
    pub(crate) lifts: usize,
}

impl Far {
    fn log(&self, call: &str) {
        if let (Some(net), Some(name)) = (&self.net, self.name.inet()) {
            lock(net).calls.push(format!("{call} {}", name.port()));
        }
    }
}

impl Peer {
    /// A peer on that port, which does `reads`; each write takes all.
    pub(crate) fn new(port: u16, reads: impl IntoIterator<Item = Read>) -> Peer {
        Peer(Arc::new(Mutex::new(Far {
            name: Addr::from(([192, 0, 2, 1], port)),
            token: None,
            net: None,
            reads: reads.into_iter().collect(),
            writes: VecDeque::new(),
            handshake: VecDeque::new(),
            read_calls: 0,
            write_calls: 0,
            written: Vec::new(),
            ended: false,
            end_fails: None,
            abortive: false,
            dropped: false,
            lifts: 0,
        })))
    }

    pub(crate) fn writing(self, writes: impl IntoIterator<Item = Write>) -> Peer {
        self.far().writes.extend(writes);
        self
    }

    pub(crate) fn far(&self) -> MutexGuard<'_, Far> {
        lock(&self.0)
    }

    pub(crate) fn addr(&self) -> Addr {
        self.far().name.clone()
    }

    /// Adds to what it does, and lets the network report it.
    pub(crate) fn then(&self, reads: impl IntoIterator<Item = Read>) {
        self.far().reads.extend(reads);
        self.report(true, false);
    }

    /// Lets the network report that it is ready.
    pub(crate) fn report(&self, readable: bool, writable: bool) {
        let far = self.far();
        let token = far.token.expect("not registered");
        let report = Readiness { token, readable, writable, ending: false };
        lock(far.net.as_ref().expect("not registered")).ready.push_back(report);
    }
}

#[derive(Default)]
struct Shared {
    ready: VecDeque<Readiness>,
    accepts: VecDeque<Accept>,
    listener: Option<Token>,
    datagram: Option<Token>,
    accept_calls: usize,
    harvests: usize,
    /// The last one took as many as it can.
    full: bool,
    /// What was called, and on the stream of which port.
    calls: Vec<String>,
    harvest_error: Option<i32>,
    harvest_cap: Option<usize>,
}

/// A server on a scripted network, with one listener, whose clock only the test advances.
pub(crate) struct Script {
    pub(crate) server: Server,
    pub(crate) tymist: Tymist,
    pub(crate) acceptor: AcceptorId,
    pub(crate) log: Vec<Event>,
    net: Arc<Mutex<Shared>>,
    peers: Vec<Peer>,
}

impl Script {
    #[track_caller]
    pub(crate) fn new(config: Config) -> Script {
        let net = Arc::new(Mutex::new(Shared::default()));
        let tymist = Tymist::new();
        let mut server = Server::with_net(config, Box::new(ScriptNet(Arc::clone(&net))));
        server.wind(tymist.tymth());
        let acceptor = server.listen(([192, 0, 2, 9], 0)).unwrap();
        Script { server, tymist, acceptor, log: Vec::new(), net, peers: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Script {
        let mut config = Config::new();
        change(&mut config);
        Script::new(config)
    }

    /// What the accepts to come answer, reported as readiness of the listener.
    pub(crate) fn accepts(&mut self, accepts: impl IntoIterator<Item = Accept>) {
        let mut net = lock(&self.net);
        for accept in accepts {
            if let Accept::Peer(peer) = &accept {
                self.peers.push(peer.clone());
            }
            net.accepts.push_back(accept);
        }
        let token = net.listener.expect("not registered");
        net.ready.push_back(Readiness { token, readable: true, writable: false, ending: false });
    }

    /// Accepts a peer; its id here.
    #[track_caller]
    pub(crate) fn admits(&mut self, peer: &Peer) -> Id {
        self.accepts([Accept::Peer(peer.clone())]);
        self.tick();
        self.server.at(&peer.addr()).expect("not admitted")
    }

    /// One tick; the events it brought.
    pub(crate) fn tick(&mut self) -> Vec<Event> {
        self.server.service();
        let mut events = Vec::new();
        while let Some(event) = self.server.poll_event() {
            events.push(event);
        }
        self.log.extend(events.iter().cloned());
        events
    }

    pub(crate) fn ticks(&mut self, count: usize) -> Vec<Event> {
        (0..count).flat_map(|_| self.tick()).collect()
    }

    pub(crate) fn tick_after(&mut self, time: Duration) -> Vec<Event> {
        self.tymist.tick_by(time);
        self.tick()
    }

    /// Reports that the datagram socket has something, which is not so.
    pub(crate) fn datagram_is_ready(&self) {
        let mut net = lock(&self.net);
        let token = net.datagram.expect("not bound");
        net.ready.push_back(Readiness { token, readable: true, writable: false, ending: false });
    }

    /// What was called since the last time that this was asked, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.net).calls)
    }

    pub(crate) fn accept_calls(&self) -> usize {
        lock(&self.net).accept_calls
    }

    pub(crate) fn harvests(&self) -> usize {
        lock(&self.net).harvests
    }

    /// Lets a harvest take no more than that many reports.
    pub(crate) fn harvest_takes(&mut self, cap: usize) {
        lock(&self.net).harvest_cap = Some(cap);
    }

    /// Lets every harvest fail, or none.
    pub(crate) fn harvest_fails(&mut self, errno: Option<i32>) {
        lock(&self.net).harvest_error = errno;
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let accepts = &lock(&self.net).accepts;
        let left = accepts.iter().filter(|accept| !matches!(accept, Accept::Always(_))).count();
        assert_eq!(left, 0, "accepts that were never made");
        for peer in &self.peers {
            let far = peer.far();
            let unread: Vec<_> =
                far.reads.iter().filter(|read| !matches!(read, Read::Endless)).collect();
            assert!(unread.is_empty(), "{}: never read: {unread:?}", far.name);
            let unwritten: Vec<_> =
                far.writes.iter().filter(|write| !matches!(write, Write::Never)).collect();
            assert!(unwritten.is_empty(), "{}: never written: {unwritten:?}", far.name);
            assert!(far.handshake.is_empty(), "{}: handshake not finished", far.name);
        }
    }
}

/// After a failure too, so that what fails first is what is seen.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn would_block<T>() -> io::Result<T> {
    Err(io::ErrorKind::WouldBlock.into())
}

struct ScriptNet(Arc<Mutex<Shared>>);

impl Net for ScriptNet {
    fn now(&mut self) -> Tyme {
        Tyme::ZERO
    }

    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
        let net = Arc::clone(&self.0);
        Ok(Box::new(ScriptListener { net, local: spec.addr.clone(), token: None }))
    }

    fn connect(&mut self, _: &Dial) -> io::Result<Box<dyn Stream>> {
        lock(&self.0).calls.push("connect".to_owned());
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        Ok(Box::new(ScriptDatagram { net: Arc::clone(&self.0), local: spec.addr.clone() }))
    }

    fn harvest(&mut self, _: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut net = lock(&self.0);
        net.harvests += 1;
        net.calls.push("harvest".to_owned());
        let count = net.harvest_cap.unwrap_or(usize::MAX).min(net.ready.len());
        net.full = net.harvest_cap == Some(count);
        ready.extend(net.ready.drain(..count));
        net.harvest_error.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    fn left_more(&self) -> bool {
        lock(&self.0).full
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct ScriptListener {
    net: Arc<Mutex<Shared>>,
    local: Addr,
    token: Option<Token>,
}

impl Drop for ScriptListener {
    fn drop(&mut self) {
        let mut net = lock(&self.net);
        if net.listener == self.token {
            net.listener = None;
        }
    }
}

impl Listener for ScriptListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        lock(&self.net).listener = Some(token);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        let mut net = lock(&self.net);
        net.accept_calls += 1;
        net.calls.push("accept".to_owned());
        match net.accepts.pop_front() {
            Some(Accept::Peer(peer)) => {
                peer.far().net = Some(Arc::clone(&self.net));
                let addr = peer.addr();
                Ok(Box::new(ScriptStream { far: peer, local: self.local.clone(), peer: addr }))
            }
            Some(Accept::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Accept::Always(errno)) => {
                net.accepts.push_front(Accept::Always(errno));
                Err(io::Error::from_raw_os_error(errno))
            }
            None => would_block(),
        }
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(BufferSizes::default())
    }
}

/// A datagram socket to which nothing comes.
struct ScriptDatagram {
    net: Arc<Mutex<Shared>>,
    local: Addr,
}

impl Datagram for ScriptDatagram {
    fn register(&mut self, token: Token) -> io::Result<()> {
        let report = Readiness { token, readable: true, writable: true, ending: false };
        let mut net = lock(&self.net);
        net.datagram = Some(token);
        net.ready.push_back(report);
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8]) -> io::Result<Gram> {
        lock(&self.net).calls.push("receive datagram".to_owned());
        would_block()
    }

    fn send(&mut self, _: &[u8], _: &Addr) -> io::Result<()> {
        lock(&self.net).calls.push("send datagram".to_owned());
        Ok(())
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }
}

struct ScriptStream {
    far: Peer,
    local: Addr,
    peer: Addr,
}

impl Drop for ScriptStream {
    fn drop(&mut self) {
        let mut far = self.far.far();
        far.log("drop");
        far.dropped = true;
    }
}

impl Stream for ScriptStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.far.far().token = Some(token);
        let readable = !self.far.far().reads.is_empty();
        self.far.report(readable, true);
        Ok(())
    }

    fn advance(&mut self) -> io::Result<Stage> {
        let mut far = self.far.far();
        far.log("advance");
        far.handshake.pop_front().unwrap_or_else(would_block)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut far = self.far.far();
        far.read_calls += 1;
        far.log("read");
        match far.reads.pop_front() {
            None => would_block(),
            Some(Read::Bytes(mut data)) => {
                let count = data.len().min(buf.len());
                buf[..count].copy_from_slice(&data[..count]);
                let rest = data.split_off(count);
                if !rest.is_empty() {
                    far.reads.push_front(Read::Bytes(rest));
                }
                Ok(count)
            }
            Some(Read::Endless) => {
                far.reads.push_front(Read::Endless);
                buf.fill(b'~');
                Ok(buf.len())
            }
            Some(Read::End) => Ok(0),
            Some(Read::Lies) => Ok(buf.len() + 1),
            Some(Read::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn write(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut far = self.far.far();
        far.write_calls += 1;
        far.log("write");
        let most = match far.writes.pop_front() {
            None => usize::MAX,
            Some(Write::Takes(most)) => most,
            Some(Write::Blocks) => return would_block(),
            Some(Write::Lies) => return Ok(bufs.iter().map(|buf| buf.len()).sum::<usize>() + 1),
            Some(Write::Fails(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Write::Never) => {
                far.writes.push_front(Write::Never);
                return would_block();
            }
        };
        let mut data: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        data.truncate(most);
        far.written.extend_from_slice(&data);
        Ok(data.len())
    }

    fn lift_unsent(&mut self) -> bool {
        self.far.far().lifts += 1;
        false
    }

    fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
        let mut far = self.far.far();
        far.ended = true;
        far.end_fails.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        self.far.far().abortive = true;
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
