//! A network in memory that keeps the seam's contract and is as unpleasant as it allows: edges only, short reads and writes
//! by seed, and all that happens at the far ends done by the test.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tymist::net::{Addr, BufferSizes, Listen, Listener, Net, Readiness, Stream, Token, Waker};
use tymist::tyme::Tyme;

/// Bytes that either way of a connection holds.
pub(crate) const WINDOW: usize = 96;

/// The handle of the test on the network: makes and drives the far ends, by number.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Mutex<World>>);

struct World {
    random: u64,
    /// Listener: its token and who waits.
    listener: Option<(Option<Token>, VecDeque<usize>)>,
    pipes: Vec<Pipe>,
    edges: BTreeMap<Token, Readiness>,
    harvests: usize,
    /// Streams of the server that were not dropped.
    open: usize,
}

#[derive(Default)]
struct Pipe {
    token: Option<Token>,
    inward: VecDeque<u8>,
    outward: VecDeque<u8>,
    client_fin: bool,
    /// The far end has closed for good: what is sent there meets a reset.
    client_gone: bool,
    reset: bool,
    write_blocked: bool,
    server_fin: bool,
    server_reset: bool,
    server_gone: bool,
}

fn client_addr(number: usize) -> Addr {
    Addr::from(([10, 0, 0, 1], 1000 + u16::try_from(number).unwrap()))
}

fn server_addr() -> Addr {
    Addr::from(([10, 0, 0, 2], 80))
}

impl World {
    /// xorshift64*: enough to cut bytes at odd places.
    fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }

    fn edge(&mut self, token: Option<Token>, readable: bool, writable: bool, ending: bool) {
        let Some(token) = token else { return };
        let none = Readiness { token, readable: false, writable: false, ending: false };
        let edge = self.edges.entry(token).or_insert(none);
        edge.readable |= readable;
        edge.writable |= writable;
        edge.ending |= ending;
    }

    fn pipe_edge(&mut self, number: usize, readable: bool, writable: bool, ending: bool) {
        self.edge(self.pipes[number].token, readable, writable, ending);
    }
}

impl Memory {
    pub(crate) fn new(seed: u64) -> Memory {
        Memory(Arc::new(Mutex::new(World {
            random: seed | 1,
            listener: None,
            pipes: Vec::new(),
            edges: BTreeMap::new(),
            harvests: 0,
            open: 0,
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn net(&self) -> Box<dyn Net> {
        Box::new(MemoryNet(self.clone()))
    }

    /// Whether the next harvest would have nothing to report.
    pub(crate) fn is_quiet(&self) -> bool {
        self.world().edges.is_empty()
    }

    pub(crate) fn harvests(&self) -> usize {
        self.world().harvests
    }

    /// Streams that the server holds.
    pub(crate) fn open(&self) -> usize {
        self.world().open
    }

    pub(crate) fn clients(&self) -> usize {
        self.world().pipes.len()
    }

    /// A new client; its number. `None` where nobody listens.
    pub(crate) fn connect(&self) -> Option<usize> {
        let mut world = self.world();
        let number = world.pipes.len();
        let (token, queue) = world.listener.as_mut()?;
        queue.push_back(number);
        let token = *token;
        world.pipes.push(Pipe::default());
        world.edge(token, true, false, false);
        Some(number)
    }

    pub(crate) fn addr_of(&self, number: usize) -> Addr {
        client_addr(number)
    }

    /// Sends what fits; how much that was.
    pub(crate) fn send(&self, number: usize, data: &[u8]) -> usize {
        let mut world = self.world();
        let pipe = &mut world.pipes[number];
        if pipe.client_fin || pipe.reset || pipe.server_reset || pipe.server_gone {
            return 0;
        }
        let count = data.len().min(WINDOW - pipe.inward.len());
        pipe.inward.extend(&data[..count]);
        if count > 0 {
            world.pipe_edge(number, true, false, false);
        }
        count
    }

    pub(crate) fn end(&self, number: usize) {
        let mut world = self.world();
        world.pipes[number].client_fin = true;
        world.pipe_edge(number, true, false, true);
    }

    pub(crate) fn close(&self, number: usize) {
        let unread = {
            let mut world = self.world();
            let pipe = &mut world.pipes[number];
            pipe.client_gone = true;
            !pipe.outward.is_empty()
        };
        if unread { self.reset(number) } else { self.end(number) }
    }

    pub(crate) fn reset(&self, number: usize) {
        let mut world = self.world();
        world.pipes[number].client_gone = true;
        world.pipes[number].reset = true;
        world.pipe_edge(number, true, true, true);
    }

    /// Takes up to `count` bytes that the server has sent.
    pub(crate) fn receive(&self, number: usize, count: usize) -> Vec<u8> {
        let mut world = self.world();
        let pipe = &mut world.pipes[number];
        if pipe.client_gone {
            return Vec::new();
        }
        let count = count.min(pipe.outward.len());
        let data: Vec<u8> = pipe.outward.drain(..count).collect();
        if count > 0 && std::mem::take(&mut pipe.write_blocked) {
            world.pipe_edge(number, false, true, false);
        }
        data
    }

    /// Whether the server has let go of it.
    pub(crate) fn is_dropped(&self, number: usize) -> bool {
        let world = self.world();
        world.pipes[number].server_gone || world.pipes[number].server_reset
    }

    /// Whether the client has closed for good, and takes nothing any more.
    pub(crate) fn is_gone(&self, number: usize) -> bool {
        self.world().pipes[number].client_gone
    }

    /// Whether the client has met the end of what the server sends: `Some(false)` by reset.
    pub(crate) fn end_met(&self, number: usize) -> Option<bool> {
        let world = self.world();
        let pipe = &world.pipes[number];
        if pipe.server_reset {
            return Some(false);
        }
        (pipe.server_fin && pipe.outward.is_empty()).then_some(true)
    }
}

struct MemoryNet(Memory);

impl Net for MemoryNet {
    fn now(&mut self) -> Tyme {
        Tyme::ZERO
    }

    fn listen(&mut self, _: &Listen) -> io::Result<Box<dyn Listener>> {
        let mut world = self.0.world();
        if world.listener.is_some() {
            return Err(ErrorKind::AddrInUse.into());
        }
        world.listener = Some((None, VecDeque::new()));
        Ok(Box::new(MemoryListener(self.0.clone(), server_addr())))
    }

    fn harvest(&mut self, _: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut world = self.0.world();
        world.harvests += 1;
        ready.extend(std::mem::take(&mut world.edges).into_values());
        Ok(())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Err(ErrorKind::Unsupported.into())
    }
}

struct MemoryListener(Memory, Addr);

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut world = self.0.world();
        let Some((token, queue)) = world.listener.take() else { return };
        if let Some(token) = token {
            world.edges.remove(&token);
        }
        for number in queue {
            world.pipes[number].server_reset = true;
        }
    }
}

impl Listener for MemoryListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.0.world().listener.as_mut().unwrap().0 = Some(token);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        let mut world = self.0.world();
        let number = world.listener.as_mut().unwrap().1.pop_front();
        let number = number.ok_or(ErrorKind::WouldBlock)?;
        world.open += 1;
        Ok(Box::new(MemoryStream {
            net: self.0.clone(),
            number,
            peer: client_addr(number),
            local: server_addr(),
            abortive: false,
        }))
    }

    fn local_addr(&self) -> &Addr {
        &self.1
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(BufferSizes::default())
    }
}

struct MemoryStream {
    net: Memory,
    number: usize,
    peer: Addr,
    local: Addr,
    abortive: bool,
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let mut world = self.net.world();
        world.open -= 1;
        let pipe = &mut world.pipes[self.number];
        let token = pipe.token.take();
        pipe.server_gone = true;
        pipe.server_fin = true;
        // As TCP does: what was not read is answered with a reset.
        pipe.server_reset |= self.abortive || !pipe.inward.is_empty();
        if let Some(token) = token {
            world.edges.remove(&token);
        }
    }
}

impl Stream for MemoryStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        let mut world = self.net.world();
        let pipe = &mut world.pipes[self.number];
        pipe.token = Some(token);
        let ending = pipe.client_fin || pipe.reset;
        let readable = ending || !pipe.inward.is_empty();
        world.edge(Some(token), readable, true, ending);
        Ok(())
    }

    fn connected(&mut self) -> io::Result<bool> {
        match self.net.world().pipes[self.number].reset {
            true => Err(ErrorKind::BrokenPipe.into()),
            false => Ok(true),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut world = self.net.world();
        let pipe = &world.pipes[self.number];
        let there = pipe.inward.len().min(buf.len());
        if there == 0 {
            return match (pipe.reset, pipe.client_fin) {
                (true, _) => Err(ErrorKind::ConnectionReset.into()),
                (_, true) => Ok(0),
                _ => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let count = 1 + world.random(there);
        for (place, byte) in buf.iter_mut().zip(world.pipes[self.number].inward.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut world = self.net.world();
        let pipe = &mut world.pipes[self.number];
        let wanted: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
        assert!(!wanted.is_empty(), "a write of nothing");
        assert!(!pipe.server_fin, "a write after the end");
        if pipe.reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if pipe.client_gone {
            pipe.reset = true;
            world.pipe_edge(self.number, true, true, true);
            return Ok(wanted.len());
        }
        let room = wanted.len().min(WINDOW - pipe.outward.len());
        if room == 0 {
            pipe.write_blocked = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = 1 + world.random(room);
        world.pipes[self.number].outward.extend(&wanted[..count]);
        Ok(count)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        assert_eq!(how, Shutdown::Write);
        let mut world = self.net.world();
        let pipe = &mut world.pipes[self.number];
        if pipe.reset {
            return Err(ErrorKind::NotConnected.into());
        }
        pipe.server_fin = true;
        Ok(())
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        self.abortive = true;
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
