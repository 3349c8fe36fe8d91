//! Two ends on one network or the other, plain or under TLS, with the usual buffers or tiny ones.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::tls::{ClientTls, ServerTls};
use tymist::net::{Addr, Dial, Listen, Listener, Net, Readiness, Stage, Stream, Token};
use tymist::sim::{Errno, HostSpec, World};

use super::tls_support::pki;

/// Rounds of at most 5 ms that something may take; the longest is a second try to connect, after a second.
const ROUNDS: usize = 4000;
const ROUND: Duration = Duration::from_millis(5);

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arm {
    pub(crate) sim: bool,
    pub(crate) tls: bool,
    pub(crate) tiny: bool,
}

/// What of an error must be the same on both networks: its kind and, on Linux, its number.
pub(crate) type Told = (ErrorKind, Option<i32>);

pub(crate) fn told(error: &io::Error) -> Told {
    (error.kind(), error.raw_os_error().filter(|_| cfg!(target_os = "linux")))
}

pub(crate) fn as_told(errno: Errno) -> Told {
    told(&errno.error())
}

impl Arm {
    /// That it is this very error. Under TLS some are in the layer's own words, and have no number.
    #[track_caller]
    pub(crate) fn is(self, error: &io::Error, errno: Errno) {
        let (is, must) = (told(error), as_told(errno));
        let own = self.tls && is.1.is_none() && is.0 == must.0;
        assert!(is == must || own, "{error:?} is not {errno}");
    }

    /// That it is one of these errors.
    #[track_caller]
    pub(crate) fn is_among(self, error: &io::Error, errnos: &[Errno]) {
        let kind = |errno: &&Errno| errno.error().kind() == error.kind();
        let errno = errnos.iter().find(kind);
        self.is(error, *errno.unwrap_or_else(|| panic!("{error:?} is none of {errnos:?}")));
    }
}

pub(crate) struct Bed {
    pub(crate) arm: Arm,
    /// Whose side dials.
    pub(crate) near: Box<dyn Net>,
    /// Whose side listens.
    pub(crate) far: Box<dyn Net>,
    pub(crate) far_ip: IpAddr,
    pub(crate) world: Option<World>,
    tls: Option<(ClientTls, ServerTls)>,
    tokens: usize,
    /// Where the names of Unix sockets are, if these are what it is about; in a world just a name.
    pub(crate) dir: Option<tempfile::TempDir>,
    pub(crate) near_ready: Vec<Readiness>,
    pub(crate) far_ready: Vec<Readiness>,
}

/// A stream with its handshake.
pub(crate) struct End {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) token: Token,
    live: bool,
}

impl End {
    /// Gets on with the handshake, and with what is held.
    pub(crate) fn pump(&mut self) -> io::Result<bool> {
        if !self.live {
            loop {
                match self.stream.advance() {
                    Ok(Stage::Handshaking) => {}
                    Ok(Stage::Live) => break self.live = true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        if self.stream.held() > 0 {
            match self.stream.flush() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(self.live)
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.stream.write(&[IoSlice::new(data)])
    }

    /// Reads until it would block, in bites; whether the end came.
    pub(crate) fn drain(&mut self, bite: usize, all: &mut Vec<u8>) -> io::Result<bool> {
        let mut buf = vec![0; bite];
        loop {
            match self.stream.read(&mut buf) {
                Ok(0) => return Ok(true),
                Ok(count) => all.extend_from_slice(&buf[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Bed {
    pub(crate) fn new(arm: Arm) -> Bed {
        let tls = arm.tls.then(|| pki::world().ends());
        let (near_ready, far_ready) = (Vec::new(), Vec::new());
        if !arm.sim {
            let (near, far) = (Box::new(OsNet::new()), Box::new(OsNet::new()));
            let far_ip = Ipv4Addr::LOCALHOST.into();
            return Bed {
                arm,
                near,
                far,
                far_ip,
                world: None,
                tls,
                tokens: 0,
                dir: None,
                near_ready,
                far_ready,
            };
        }
        let mut world = World::new(1);
        let mut add = |name: &str| {
            let mut spec = HostSpec::new(name);
            if arm.tiny {
                (spec.send_buffer, spec.recv_buffer) = (2304, 1152);
            }
            world.add_host(spec)
        };
        let (far, near) = (add("far"), add("near"));
        let far_ip = world.host(far).addrs()[0];
        let (near, far) = (world.host(near).net(), world.host(far).net());
        let world = Some(world);
        Bed { arm, near, far, far_ip, world, tls, tokens: 0, dir: None, near_ready, far_ready }
    }

    /// Bytes for one call.
    pub(crate) fn bite(&self) -> usize {
        if self.arm.tiny { 7 } else { 16 * 1024 }
    }

    /// Lets the network do what it has to do, and takes its reports.
    pub(crate) fn settle(&mut self) {
        if let Some(world) = &mut self.world {
            world.run_for(ROUND);
        }
        let wait = Some(ROUND / 2);
        self.near.harvest(wait, &mut self.near_ready).unwrap();
        self.far.harvest(wait, &mut self.far_ready).unwrap();
    }

    #[track_caller]
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Bed) -> Option<T>,
    ) -> T {
        for _ in 0..ROUNDS {
            if let Some(value) = done(self) {
                return value;
            }
            self.settle();
        }
        panic!("{what}: did not happen");
    }

    pub(crate) fn server_tls(&self) -> Option<ServerTls> {
        self.tls.as_ref().map(|(_, server)| server.clone())
    }

    pub(crate) fn client_tls(&self) -> Option<ClientTls> {
        self.tls.as_ref().map(|(client, _)| client.clone())
    }

    /// What puts TLS around a stream that an engine has dialled, in the arms that have it.
    pub(crate) fn client_layer(&self) -> Option<tymist::Layer> {
        let (client, _) = self.tls.as_ref()?;
        let client = client.clone();
        Some(Arc::new(move |stream| Box::new(client.connect(stream, "server.test").unwrap())))
    }

    pub(crate) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    #[cfg(unix)]
    fn shrink(&self, fd: Option<std::os::fd::BorrowedFd<'_>>) {
        if let Some(fd) = fd.filter(|_| self.arm.tiny) {
            // The kernel has least sizes of its own.
            let socket = socket2::SockRef::from(&fd);
            socket.set_send_buffer_size(1).unwrap();
            socket.set_recv_buffer_size(1).unwrap();
        }
    }

    pub(crate) fn listen_on(&mut self, port: u16, backlog: u32) -> io::Result<Box<dyn Listener>> {
        let mut spec = match &self.dir {
            Some(dir) => Listen::new(dir.path().join(format!("listener-{}", self.tokens))),
            None => Listen::new((self.far_ip, port)),
        };
        spec.backlog = backlog;
        let mut listener = self.far.listen(&spec)?;
        #[cfg(unix)]
        self.shrink(listener.as_fd());
        listener.register(self.token())?;
        Ok(listener)
    }

    pub(crate) fn listen(&mut self) -> Box<dyn Listener> {
        self.listen_on(0, 1024).unwrap()
    }

    pub(crate) fn dial(&mut self, target: &Addr) -> io::Result<End> {
        let stream = self.near.connect(&Dial::new(target.clone()))?;
        #[cfg(unix)]
        self.shrink(stream.as_fd());
        let mut stream = match &self.tls {
            Some((client, _)) => Box::new(client.connect(stream, "server.test").unwrap()),
            None => stream,
        };
        let token = self.token();
        stream.register(token)?;
        Ok(End { stream, token, live: !self.arm.tls })
    }

    pub(crate) fn accept(&mut self, listener: &mut Box<dyn Listener>) -> io::Result<End> {
        let stream = listener.accept()?;
        let mut stream = match &self.tls {
            Some((_, server)) => Box::new(server.accept(stream)),
            None => stream,
        };
        let token = self.token();
        stream.register(token)?;
        Ok(End { stream, token, live: !self.arm.tls })
    }

    #[track_caller]
    pub(crate) fn accepted(&mut self, listener: &mut Box<dyn Listener>) -> End {
        self.until("accept", |bed| match bed.accept(listener) {
            Ok(end) => Some(end),
            Err(error) => {
                bed.arm.is(&error, Errno::Eagain);
                None
            }
        })
    }

    /// Both ends of a fresh connection: the one that dialled, and the one that was accepted.
    #[track_caller]
    pub(crate) fn connection(&mut self) -> (End, End, Box<dyn Listener>) {
        let mut listener = self.listen();
        let target = listener.local_addr().clone();
        let (near, far) = self.connection_to(&mut listener, &target);
        (near, far, listener)
    }

    #[track_caller]
    pub(crate) fn connection_to(
        &mut self,
        listener: &mut Box<dyn Listener>,
        target: &Addr,
    ) -> (End, End) {
        let mut near = self.dial(target).unwrap();
        self.until("connect", |_| near.stream.connected().unwrap().then_some(()));
        // A TLS client speaks first, and must before it can be answered.
        near.pump().unwrap();
        let mut far = self.accepted(listener);
        self.until("handshake", |_| {
            let both = (near.pump().unwrap(), far.pump().unwrap());
            (both == (true, true)).then_some(())
        });
        (near, far)
    }

    /// Writes all of it at one end and reads it at the other, in bites.
    #[track_caller]
    pub(crate) fn transfer(&mut self, from: &mut End, to: &mut End, data: &[u8]) {
        let bite = self.bite();
        let (mut sent, mut got) = (0, Vec::new());
        self.until("transfer", |bed| {
            while sent < data.len() {
                match from.write(&data[sent..(sent + bite).min(data.len())]) {
                    Ok(count) => sent += count,
                    Err(error) => {
                        bed.arm.is(&error, Errno::Eagain);
                        break;
                    }
                }
            }
            from.pump().unwrap();
            assert!(!to.drain(bite, &mut got).unwrap(), "an end instead of bytes");
            (got.len() >= data.len()).then_some(())
        });
        assert!(got == data, "the bytes changed on the way");
    }

    /// Reads until the end or an error.
    #[track_caller]
    pub(crate) fn rest(&mut self, end: &mut End) -> (Vec<u8>, io::Result<()>) {
        let (bite, mut all) = (self.bite(), Vec::new());
        let result = self.until("the end", |_| match end.drain(bite, &mut all) {
            Ok(false) => None,
            Ok(true) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        (all, result)
    }
}

pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at / 65_521) as u8).collect()
}
