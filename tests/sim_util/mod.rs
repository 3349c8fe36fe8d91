//! Two hosts and helpers, for tests that call the seam by hand.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_debug_implementations, reason = "tests")]

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use tymist::net::{Addr, Dial, Listen, Listener, Net, Readiness, Stream, Token};
use tymist::sim::{HostId, HostSpec, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub fn at_millis(count: u64) -> Tyme {
    Tyme::ZERO + millis(count)
}

/// A world of a server and a client, 1 ms apart.
pub struct Pair {
    pub world: World,
    pub server: HostId,
    pub client: HostId,
    pub server_net: Box<dyn Net>,
    pub client_net: Box<dyn Net>,
}

impl Pair {
    pub fn new() -> Self {
        Self::with(WorldSpec::new(1), HostSpec::new("server"), HostSpec::new("client"))
    }

    pub fn traced() -> Self {
        let mut spec = WorldSpec::new(1);
        spec.tracing = Tracing::Full;
        Self::with(spec, HostSpec::new("server"), HostSpec::new("client"))
    }

    pub fn with(spec: WorldSpec, server: HostSpec, client: HostSpec) -> Self {
        let mut world = World::with(spec);
        let server = world.add_host(server);
        let client = world.add_host(client);
        let (server_net, client_net) = (world.host(server).net(), world.host(client).net());
        Pair { world, server, client, server_net, client_net }
    }

    pub fn target(&self, port: u16) -> Addr {
        Addr::from((self.world.host(self.server).addrs()[0], port))
    }

    pub fn listen(&mut self, port: u16) -> Box<dyn Listener> {
        self.try_listen(port, |_| {}).unwrap()
    }

    pub fn try_listen(
        &mut self,
        port: u16,
        change: impl FnOnce(&mut Listen),
    ) -> io::Result<Box<dyn Listener>> {
        let mut listen = Listen::new(([0, 0, 0, 0], port));
        change(&mut listen);
        self.server_net.listen(&listen)
    }

    pub fn dial(&mut self, port: u16) -> Box<dyn Stream> {
        let target = self.target(port);
        self.client_net.connect(&Dial::new(target)).unwrap()
    }

    pub fn run(&mut self, time: Duration) {
        self.world.run_for(time);
    }

    /// A connection, both ends.
    #[track_caller]
    pub fn connection(&mut self) -> (Box<dyn Listener>, Box<dyn Stream>, Box<dyn Stream>) {
        let mut listener = self.listen(80);
        let mut dialled = self.dial(80);
        self.run(millis(5));
        assert!(dialled.connected().unwrap());
        let accepted = listener.accept().unwrap();
        (listener, dialled, accepted)
    }
}

pub fn write(stream: &mut Box<dyn Stream>, data: &[u8]) -> io::Result<usize> {
    stream.write(&[IoSlice::new(data)])
}

#[track_caller]
pub fn write_all(stream: &mut Box<dyn Stream>, data: &[u8]) {
    assert_eq!(write(stream, data).unwrap(), data.len());
}

/// Reads until it would block; whether the end came.
pub fn drain(stream: &mut Box<dyn Stream>) -> io::Result<(Vec<u8>, bool)> {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return Ok((all, true)),
            Ok(count) => all.extend_from_slice(&buf[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((all, false)),
            Err(error) => return Err(error),
        }
    }
}

#[track_caller]
pub fn expect_read(stream: &mut Box<dyn Stream>, data: &[u8]) {
    assert_eq!(drain(stream).unwrap(), (data.to_vec(), false));
}

#[track_caller]
pub fn expect_end(stream: &mut Box<dyn Stream>, data: &[u8]) {
    assert_eq!(drain(stream).unwrap(), (data.to_vec(), true));
}

#[track_caller]
pub fn read_error(stream: &mut Box<dyn Stream>) -> ErrorKind {
    stream.read(&mut [0; 16]).unwrap_err().kind()
}

#[track_caller]
pub fn write_error(stream: &mut Box<dyn Stream>) -> ErrorKind {
    write(stream, b"x").unwrap_err().kind()
}

pub fn harvest(net: &mut Box<dyn Net>) -> Vec<Readiness> {
    let mut ready = Vec::new();
    net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
    ready
}

/// `(token, readable, writable, ending)` of each report.
pub fn reports(net: &mut Box<dyn Net>) -> Vec<(usize, bool, bool, bool)> {
    let ready = harvest(net);
    ready.iter().map(|r| (r.token.0, r.readable, r.writable, r.ending)).collect()
}

/// The address of a Unix socket with a name.
pub fn path(name: &str) -> Addr {
    Addr::from(std::path::Path::new(name))
}

pub fn token(number: usize) -> Token {
    Token(number)
}

pub fn inet(addr: &Addr) -> SocketAddr {
    addr.inet().unwrap()
}

pub mod ends;
pub mod lab;
pub mod programs;
