//! The operating system's network, on mio and socket2: the only room that names them.
//!
//! One poller, edge-triggered. A socket is registered once, for its whole life; of those that would tell of room all the time (`room`) only what comes in is
//! watched, and room while there is none. A stream is written at once and never waited for first. `harvest` takes up to 1024 reports
//! a call, or 64 where the caller is back at once (`portion`).

#[cfg_attr(not(target_os = "linux"), path = "no_alarm.rs")]
mod alarm;
#[cfg(target_os = "linux")]
mod batch;
mod clock;
mod datagram;
mod listener;
mod lookups;
mod options;
mod poller;
mod portion;
mod room;
#[cfg(target_os = "linux")]
mod runs;
mod sleeper;
mod stream;
#[cfg(all(unix, feature = "uds"))]
mod unix;
#[cfg(feature = "tls")]
mod wall;

use core::fmt;
use core::hash::BuildHasher;
use core::time::Duration;
use std::hash::RandomState;
use std::io;
use std::sync::Arc;

use self::clock::Clock;
use self::datagram::OsDatagram;
use self::listener::OsListener;
use self::lookups::Lookups;
use self::poller::Poller;
pub(crate) use self::sleeper::Sleeper;
use self::stream::OsStream;
#[cfg(all(unix, feature = "uds"))]
pub(crate) use self::unix::from_system as unix_addr;
#[cfg(feature = "tls")]
pub(crate) use self::wall::WallClock;
#[cfg(unix)]
use crate::net::Descriptor;
use crate::net::{
    Bind, Datagram, Dial, Listen, Listener, Lookup, Net, Readiness, SocketOptions, Stream, Waker,
};
use crate::tyme::Tyme;

/// The most that a wait lasts where the poller has failed.
const REST: Duration = Duration::from_millis(10);

/// The operating system as a [`Net`].
///
/// Takes descriptors only once something is opened or waited for: the poller, a handle to it and on Linux a timer for waits, and one for the first
/// waker. Names are looked up by helper threads: none before the first name, four at most.
pub struct OsNet {
    clock: Clock,
    /// What the clock said when it was asked last, since the last harvest.
    read: Option<Tyme>,
    poller: Option<Poller>,
    /// From the first name on.
    lookups: Option<Lookups>,
}

impl OsNet {
    /// A network with nothing open, whose clock starts now.
    #[must_use]
    pub fn new() -> Self {
        OsNet { clock: Clock::new(), read: None, poller: None, lookups: None }
    }

    #[inline]
    fn poller(&mut self) -> io::Result<&mut Poller> {
        match &mut self.poller {
            Some(poller) => Ok(poller),
            none => open(none, self.clock),
        }
    }

    fn registry(&mut self) -> io::Result<Arc<mio::Registry>> {
        self.poller().map(|poller| Arc::clone(&poller.registry))
    }
}

#[cold]
fn open(place: &mut Option<Poller>, clock: Clock) -> io::Result<&mut Poller> {
    Ok(place.insert(Poller::open(clock)?))
}

/// Instead of the wait that a dead poller cannot do: a loop around it must not spin.
#[expect(clippy::disallowed_methods, reason = "this room may sleep")]
fn rest(wait: Option<Duration>) {
    std::thread::sleep(wait.unwrap_or(REST).min(REST)); // house: sleep, there is nothing to wait on
}

#[expect(clippy::disallowed_methods, reason = "this room is where chance comes from")]
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

impl Default for OsNet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OsNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OsNet").field("open", &self.poller.is_some()).finish_non_exhaustive()
    }
}

impl Net for OsNet {
    // What each tick calls comes first, so that it is next to one another in memory, too.

    fn now(&mut self) -> Tyme {
        let now = self.clock.now();
        self.read = Some(now);
        now
    }

    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        self.harvest_looking(wait, Duration::ZERO, ready)
    }

    /// Each system's poller does.
    fn keeps_readiness(&self) -> bool {
        self.due_in().is_none()
    }

    fn left_more(&self) -> bool {
        self.poller.as_ref().is_some_and(Poller::left_more)
    }

    fn due_in(&self) -> Option<Duration> {
        None
    }

    #[inline]
    fn harvest_looking(
        &mut self,
        wait: Option<Duration>,
        look: Duration,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        let waits = wait != Some(Duration::ZERO);
        if self.poller.is_none() && !waits {
            return Ok(()); // Nothing is open, and nothing is taken for that.
        }
        let read = self.read.take();
        let harvested = self.poller().and_then(|poller| poller.harvest(wait, look, read, ready));
        if harvested.is_err() && waits {
            rest(wait);
        }
        harvested
    }

    fn cpu_time(&self) -> Option<Duration> {
        Clock::cpu_time()
    }

    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
        let registry = self.registry()?;
        #[cfg(all(unix, feature = "uds"))]
        if unix::is_unix(&spec.addr) {
            return Ok(Box::new(unix::UnixListener::open(spec, registry)?));
        }
        let listener: std::net::TcpListener = options::listening(spec)?.into();
        let local = listener.local_addr()?;
        Ok(Box::new(OsListener::opened(listener, local, &spec.socket, registry)))
    }

    fn connect(&mut self, spec: &Dial) -> io::Result<Box<dyn Stream>> {
        #[cfg(all(unix, feature = "uds"))]
        if unix::is_unix(&spec.addr) {
            return Ok(Box::new(unix::UnixStream::dial(spec, self.registry()?)?));
        }
        let addr = options::inet(&spec.addr)?;
        let socket = options::connecting(spec, addr)?;
        let stream = std::net::TcpStream::from(socket);
        Ok(Box::new(OsStream::dialled(stream, spec.addr.clone(), self.registry()?)?))
    }

    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        let registry = self.registry()?;
        #[cfg(all(unix, feature = "uds"))]
        if unix::is_unix(&spec.addr) {
            return Ok(Box::new(unix::UnixDatagram::open(spec, registry)?));
        }
        Ok(Box::new(OsDatagram::open(spec, registry)?))
    }

    fn lookup(&mut self, lookup: Lookup) {
        self.lookups.get_or_insert_with(Lookups::new).look_up(lookup);
    }

    fn seed(&mut self) -> u64 {
        random()
    }

    fn adopt_listener(
        &mut self,
        listener: std::net::TcpListener,
        options: &SocketOptions,
    ) -> Result<Box<dyn Listener>, (io::Error, std::net::TcpListener)> {
        // What changes the socket comes last, so that it is given back as it was.
        let mut prepare = || {
            options::check_listening(&socket2::SockRef::from(&listener))?;
            let (local, registry) = (listener.local_addr()?, self.registry()?);
            options::apply(&socket2::SockRef::from(&listener), options)?;
            listener.set_nonblocking(true)?;
            Ok((local, registry))
        };
        match prepare() {
            Ok((local, registry)) => {
                Ok(Box::new(OsListener::adopted(listener, local, options, registry)))
            }
            Err(error) => Err((error, listener)),
        }
    }

    #[cfg(all(unix, feature = "uds"))]
    fn adopt_unix_listener(
        &mut self,
        listener: std::os::unix::net::UnixListener,
        options: &SocketOptions,
        own_file: bool,
    ) -> Result<Box<dyn Listener>, (io::Error, std::os::unix::net::UnixListener)> {
        let adopted = unix::UnixListener::adopt(listener, options, own_file, self.registry());
        adopted.map(|listener| Box::new(listener) as Box<dyn Listener>)
    }

    fn adopt_stream(
        &mut self,
        stream: std::net::TcpStream,
        options: &SocketOptions,
    ) -> Result<Box<dyn Stream>, (io::Error, std::net::TcpStream)> {
        let mut prepare = || {
            options::check_stream(&socket2::SockRef::from(&stream))?;
            let ends = (stream.local_addr()?, stream.peer_addr()?);
            let registry = self.registry()?;
            options::apply(&socket2::SockRef::from(&stream), options)?;
            stream.set_nonblocking(true)?;
            Ok((ends, registry))
        };
        match prepare() {
            Ok(((local, peer), registry)) => Ok(Box::new(OsStream::adopted(
                mio::net::TcpStream::from_std(stream),
                Arc::new(local.into()),
                peer.into(),
                registry,
            ))),
            Err(error) => Err((error, stream)),
        }
    }

    fn waker(&mut self) -> io::Result<Waker> {
        self.poller()?.waker()
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        self.poller.as_ref().map(|poller| poller.registry.as_fd())
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<Descriptor> {
        let registry = Arc::clone(&self.poller.as_ref()?.registry);
        Some(Descriptor::shared(registry))
    }
}
