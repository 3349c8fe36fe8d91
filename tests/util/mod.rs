//! The vocabulary of the tests: servers with a clock in the hand, blocking clients at the other end, and loops that drive ticks until
//! something happens, bounded by count. Nothing here sleeps: waiting is `Server::wait`, which ends with the event.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]
#![allow(clippy::needless_pass_by_value, reason = "what is dropped is moved in")]
#![allow(clippy::cast_possible_truncation, reason = "patterns wrap")]
#![allow(clippy::disallowed_methods, reason = "the clients are plain blocking sockets")]

pub(crate) mod script;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use tymist::tyme::{Tyme, Tymist};
use tymist::{AcceptorId, CloseReason, Config, Event, Id, Server};

/// Rounds of at most 5 ms that something may take; a healthy machine needs one or two.
pub(crate) const ROUNDS: usize = 4000;
const ROUND: Duration = Duration::from_millis(5);

/// A server on loopback whose clock only the test advances.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) tymist: Tymist,
    pub(crate) acceptor: AcceptorId,
    pub(crate) addr: SocketAddr,
    /// All events so far, in order.
    pub(crate) log: Vec<Event>,
}

impl Rig {
    #[track_caller]
    pub(crate) fn new(config: Config) -> Rig {
        Rig::alone(1, config)
    }

    /// One on a loopback address (`127.0.0.last`) of this test alone, where that system has more than one, so that no other test takes a
    /// port which this one has given back.
    #[track_caller]
    pub(crate) fn alone(last: u8, config: Config) -> Rig {
        let last = if cfg!(target_os = "linux") { last } else { 1 };
        let tymist = Tymist::new();
        let mut server = Server::new(config);
        server.wind(tymist.tymth());
        let acceptor = server.listen(([127, 0, 0, last], 0)).unwrap();
        let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
        Rig { server, tymist, acceptor, addr, log: Vec::new() }
    }

    /// A rig with the defaults changed by `change`.
    #[track_caller]
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Rig {
        let mut config = Config::new();
        change(&mut config);
        Rig::new(config)
    }

    /// One tick at the current tyme, with a short wait for the network before it; the events it brought.
    pub(crate) fn tick(&mut self) -> Vec<Event> {
        self.server.wait(Some(ROUND));
        self.tick_now()
    }

    /// One tick without waiting for anything.
    pub(crate) fn tick_now(&mut self) -> Vec<Event> {
        self.server.service();
        let mut events = Vec::new();
        while let Some(event) = self.server.poll_event() {
            events.push(event);
        }
        self.log.extend(events.iter().cloned());
        events
    }

    /// Ticks until `done` says so of an event; that event.
    #[track_caller]
    pub(crate) fn until(&mut self, mut done: impl FnMut(&Event) -> bool) -> Event {
        for _ in 0..ROUNDS {
            let events = self.tick();
            if let Some(event) = events.into_iter().find(|event| done(event)) {
                return event;
            }
        }
        panic!("the awaited event did not come; these came: {:?}", self.log);
    }

    /// Ticks until `done` says so of the server.
    #[track_caller]
    pub(crate) fn until_server(&mut self, mut done: impl FnMut(&mut Server) -> bool) {
        for _ in 0..ROUNDS {
            if done(&mut self.server) {
                return;
            }
            self.tick();
        }
        panic!("the server did not get there; these events came: {:?}", self.log);
    }

    /// Ticks until this connection has closed, if it has not; why.
    #[track_caller]
    pub(crate) fn until_closed(&mut self, id: Id) -> CloseReason {
        let is_it = |event: &Event| matches!(event, Event::Closed(closed, _) if *closed == id);
        let told = self.log.iter().find(|event| is_it(event)).cloned();
        let event = told.unwrap_or_else(|| self.until(is_it));
        let Event::Closed(_, reason) = event else { unreachable!() };
        reason
    }

    /// Ticks until this connection has that many unread bytes.
    #[track_caller]
    pub(crate) fn until_unread(&mut self, id: Id, count: usize) {
        self.until_server(|server| {
            server.remoter(id).expect("the connection is gone").rx().len() >= count
        });
    }

    /// A blocking client and the id of its connection here.
    #[track_caller]
    pub(crate) fn client(&mut self) -> (TcpStream, Id) {
        let client = connect(self.addr);
        self.admit(client)
    }

    /// The same, from the server's own address and a port that nobody else has there, so that it can be bound again.
    #[track_caller]
    pub(crate) fn lone_client(&mut self) -> (TcpStream, Id) {
        let client = connect_from(SocketAddr::new(self.addr.ip(), 0), self.addr);
        self.admit(client)
    }

    #[track_caller]
    fn admit(&mut self, client: TcpStream) -> (TcpStream, Id) {
        let ours = client.local_addr().unwrap();
        let mut found = None;
        self.until_server(|server| {
            found = server.at(&ours.into());
            found.is_some()
        });
        (client, found.unwrap())
    }

    /// Sets the clock to `nanos` after its origin and does one tick there, without waiting.
    #[track_caller]
    pub(crate) fn tick_at(&mut self, tyme: Tyme) -> Vec<Event> {
        self.tymist.set(tyme).unwrap();
        self.tick_now()
    }

    /// Advances the clock and does one tick there, without waiting.
    pub(crate) fn tick_after(&mut self, time: Duration) -> Vec<Event> {
        self.tymist.tick_by(time);
        self.tick_now()
    }

    /// Reads from the client until its end, while the server goes on.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self, client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
        client.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        let mut buf = vec![0; 64 * 1024];
        for _ in 0..ROUNDS {
            match client.read(&mut buf) {
                Ok(0) => {
                    client.set_nonblocking(false).unwrap();
                    return Ok(all);
                }
                Ok(count) => all.extend_from_slice(&buf[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.tick();
                }
                Err(error) => return Err(error),
            }
        }
        panic!("the client met no end; it has {} bytes; events: {:?}", all.len(), self.log);
    }
}

/// A blocking client that gives up reading after ten seconds, so that a test fails instead of hanging.
#[track_caller]
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    client
}

/// A client with a local address of its own choice, so that another can come from the same one later.
#[track_caller]
pub(crate) fn connect_from(local: SocketAddr, to: SocketAddr) -> TcpStream {
    let domain = socket2::Domain::for_address(to);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&local.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let client = TcpStream::from(socket);
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    client
}

/// Makes the client's close a reset.
#[track_caller]
pub(crate) fn reset(client: TcpStream) {
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
}

#[track_caller]
pub(crate) fn send(client: &mut TcpStream, data: &[u8]) {
    client.write_all(data).unwrap();
}

#[track_caller]
pub(crate) fn receive(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut data = vec![0; count];
    client.read_exact(&mut data).unwrap();
    data
}

/// Ends the client's sending half.
#[track_caller]
pub(crate) fn end(client: &TcpStream) {
    client.shutdown(Shutdown::Write).unwrap();
}

/// Bytes that show where they are from: a different one at each place of a long cycle.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at / 65_521) as u8).collect()
}

/// Open descriptors of this process.
#[cfg(target_os = "linux")]
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether somebody listens at `addr`.
pub(crate) fn listens(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_ok()
}

/// Exactly `count` bytes of the client, while `go_on` drives the other end.
#[track_caller]
pub(crate) fn receive_while(
    client: &mut TcpStream,
    count: usize,
    mut go_on: impl FnMut(),
) -> Vec<u8> {
    client.set_nonblocking(true).unwrap();
    let mut data = vec![0; count];
    let mut got = 0;
    for _ in 0..ROUNDS {
        match client.read(&mut data[got..]) {
            Ok(0) => panic!("the end after {got} of {count} bytes"),
            Ok(more) => got += more,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => go_on(),
            Err(error) => panic!("after {got} of {count} bytes: {error}"),
        }
        if got == count {
            client.set_nonblocking(false).unwrap();
            return data;
        }
    }
    panic!("only {got} of {count} bytes came");
}
