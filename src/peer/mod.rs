//! Datagrams: [`Endpoint`] is a socket with its queues, [`Peer`] is one with a network, a clock and a tick of its own.
//!
//! [`config`] what it may take, [`queue`] what waits, [`pass`] what a tick does with it: [`send`] and [`receive`]. [`stall`] knows what the network holds up,
//! [`trouble`] sorts errors, [`outbox`] holds what is to tell.

mod config;
mod endpoint;
mod outbox;
mod pass;
mod queue;
mod receive;
mod send;
mod stall;
mod trouble;

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::io;

use crate::error::ListenError;
use crate::event::{Serviced, Wake};
use crate::net::{Addr, Bind, Descriptor, Net, Readiness, Token, Waker};
use crate::spin::{Sample, Spin, Work};
use crate::tyme::{Tyme, Tymth};

pub use crate::event::{GramCounters, GramError, GramEvent, RxGram};
pub use config::{GramConfig, GramsFull};
pub use endpoint::Endpoint;

/// What its one socket is called.
const SOCKET: Token = Token(0);
/// Most datagrams taken from the network, or handed to it, in one call. More gain next to nothing.
const TOGETHER: usize = 8;

/// A nonblocking datagram endpoint (UDP, or a Unix socket) driven by ticks.
///
/// It is an [`Endpoint`] (whose methods it has) with a network and a clock of its own. A program that has a [`Server`](crate::Server) too is better off with
/// [`Server::bind`](crate::Server::bind): one tick, one wait and one queue of events for all.
/// What is queued when it is dropped does not leave; [`close`](Peer::close) gives it one try.
///
/// ```
/// use tymist::{GramConfig, Peer};
///
/// let mut peer = Peer::new(GramConfig::new());
/// peer.open(([127, 0, 0, 1], 0))?;
/// let myself = peer.local_addr().clone();
/// peer.tx(b"hello", myself.clone())?; // leaves in the next tick
/// let gram = loop {
///     peer.wait(None);
///     peer.service();
///     peer.clear_events(); // or look at them: while one is not taken, `wait` does not sleep
///     if let Some(gram) = peer.take() {
///         break gram;
///     }
/// };
/// assert_eq!((&gram.data[..], gram.from), (&b"hello"[..], myself));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Peer {
    net: Box<dyn Net>,
    tymth: Option<Tymth>,
    now: Tyme,
    tick: u32,
    /// The tick was begun by a wait and goes on in the service that follows.
    begun: bool,
    /// And by a wait indeed.
    waited: bool,
    /// `harvested` is from that wait.
    fresh: bool,
    spin: Spin,
    harvested: Vec<Readiness>,
    scratch: Vec<u8>,
    serviced: Serviced,
    endpoint: Endpoint,
}

/// # Making one, opening it, its clock
impl Peer {
    /// A peer on the operating system's network, not open.
    #[cfg(feature = "os")]
    #[must_use]
    pub fn new(config: GramConfig) -> Self {
        Self::with_net(config, Box::new(crate::net::os::OsNet::new()))
    }

    /// A peer on another network, not open.
    #[must_use]
    pub fn with_net(config: GramConfig, mut net: Box<dyn Net>) -> Self {
        Peer {
            now: net.now(),
            net,
            tymth: None,
            tick: 0,
            begun: false,
            waited: false,
            fresh: false,
            spin: Spin::new(),
            harvested: Vec::new(),
            scratch: Vec::new(),
            serviced: Serviced::default(),
            endpoint: Endpoint::new(config),
        }
    }

    /// Opens the socket. One that is open is [closed](Peer::close) first.
    ///
    /// # Errors
    /// What the network says, with the address: in use, not ours, no permission, no descriptors left.
    pub fn open(&mut self, bind: impl Into<Bind>) -> Result<(), ListenError> {
        let bind = bind.into();
        let addr = bind.addr.clone();
        if self.opened() {
            self.close();
        }
        self.sample();
        let opened = self.endpoint.open(&mut *self.net, bind, SOCKET);
        opened.map_err(|error| ListenError::new(addr, error))
    }

    /// Opens it again where it was. Idempotent: one that is open stays so.
    ///
    /// # Errors
    /// As [`open`](Peer::open); of the kind `NotConnected` if it never was open.
    pub fn reopen(&mut self) -> Result<(), ListenError> {
        if self.opened() {
            return Ok(());
        }
        let error = || {
            let why = "it never was open: call open() first";
            ListenError::new(Addr::Unnamed, io::Error::new(io::ErrorKind::NotConnected, why))
        };
        let spec = self.endpoint.spec_again().ok_or_else(error)?;
        self.open(spec)
    }

    /// Closes the socket, as a tick of its own. What is queued gets one try to leave, whatever the budgets; what came in stays to be taken. Idempotent.
    pub fn close(&mut self) {
        self.begun = false;
        self.begin();
        self.endpoint.send_last(&mut self.serviced);
        self.endpoint.close();
        self.begun = false;
        // It is about the socket that is gone.
        self.harvested.clear();
        self.fresh = false;
    }

    /// Winds it to a clock. Without one it goes by its network's monotonic time.
    pub fn wind(&mut self, tymth: Tymth) {
        self.tymth = Some(tymth);
        self.now = Tyme::ZERO;
        self.sample();
        self.endpoint.rebase(self.now);
    }

    /// The tyme of the current (or else the last) tick.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.now
    }

    #[inline]
    fn sample(&mut self) {
        let now = match &self.tymth {
            Some(tymth) => tymth.tyme(),
            None => self.net.now(),
        };
        self.now = now.max(self.now);
        self.endpoint.now = self.now;
    }
}

/// # The tick
impl Peer {
    /// Does one tick: read the clock; send what was queued; harvest readiness (one system call; none if [`wait`](Peer::wait) has
    /// just done it, or where the last tick has left something to receive and nothing is blocked); send what was blocked; receive.
    /// Never blocks, never fails because of what others send, and is bounded by `tick_grams` and `tick_bytes`.
    pub fn service(&mut self) -> Serviced {
        self.begin();
        self.endpoint.send(&mut self.serviced);
        self.harvest_once();
        self.service_pass();
        self.begun = false;
        core::mem::take(&mut self.serviced)
    }

    /// Only receives, as a tick of its own that asks the network also where a [`wait`](Peer::wait) has just done so; returns how many datagrams came.
    pub fn service_receives(&mut self) -> usize {
        self.begun = false;
        self.begin();
        self.harvest(Some(Duration::ZERO));
        self.latch();
        self.receive();
        self.begun = false;
        core::mem::take(&mut self.serviced).grams_in
    }

    /// Only sends, as a tick of its own; returns how many datagrams the network took.
    pub fn service_sends(&mut self) -> usize {
        self.begun = false;
        self.begin();
        self.endpoint.send(&mut self.serviced);
        self.endpoint.drop_stalled();
        self.begun = false;
        core::mem::take(&mut self.serviced).grams_out
    }

    /// Takes the next event of those that have not been taken, oldest first.
    #[inline]
    pub fn poll_event(&mut self) -> Option<GramEvent> {
        self.endpoint.outbox.take()
    }

    /// Takes all events and drops them, for programs that only [take](Endpoint::take) datagrams.
    #[inline]
    pub fn clear_events(&mut self) {
        while self.poll_event().is_some() {}
    }

    #[inline]
    fn begin(&mut self) {
        self.sample();
        if !core::mem::replace(&mut self.begun, true) {
            self.tick = self.tick.wrapping_add(1);
            self.serviced = Serviced::default();
            self.waited = false;
        }
        self.endpoint.begin(self.now, self.tick);
    }

    #[inline]
    fn harvest_once(&mut self) {
        let known = self.endpoint.knows_readiness() && self.net.keeps_readiness();
        if !self.fresh && !known {
            self.harvest(Some(Duration::ZERO));
        }
        self.latch();
    }

    #[inline]
    fn latch(&mut self) {
        self.fresh = false;
        for readiness in self.harvested.drain(..) {
            if readiness.token == SOCKET {
                self.endpoint.latch(readiness.readable, readiness.writable);
            }
        }
    }

    #[inline]
    fn harvest(&mut self, wait: Option<Duration>) {
        self.harvest_by(|net, ready| net.harvest(wait, ready));
    }

    #[inline]
    fn harvest_by(
        &mut self,
        ask: impl FnOnce(&mut dyn Net, &mut Vec<Readiness>) -> io::Result<()>,
    ) {
        if let Err(error) = ask(&mut *self.net, &mut self.harvested) {
            let event = GramEvent::NetFailed { error: (&error).into() };
            if self.endpoint.outbox.last() != Some(&event) {
                self.endpoint.tell(event);
            }
        }
        self.fresh = true;
    }

    #[inline]
    fn service_pass(&mut self) {
        if self.endpoint.backlogged {
            self.endpoint.send(&mut self.serviced);
        }
        self.endpoint.drop_stalled();
        self.receive();
    }

    #[inline]
    fn receive(&mut self) {
        let burst = self.endpoint.config.burst_grams.max(1);
        let mut left = if self.waited { burst } else { usize::MAX };
        self.endpoint.receive(&mut self.scratch, &mut left, self.waited, &mut self.serviced);
    }
}

/// # When next
impl Peer {
    /// When it wants to be serviced next. An event that was not taken counts as pending.
    #[must_use]
    #[inline]
    pub fn wake(&self) -> Wake {
        let endpoint = &self.endpoint;
        if endpoint.outbox.waiting() > 0 || !self.harvested.is_empty() || endpoint.has_work() {
            return Wake::Now;
        }
        let net = self.net.due_in().map(|time| self.now + time);
        let next = endpoint.next_deadline().into_iter().chain(net).min();
        Wake::by(next.unwrap_or(Tyme::NEVER), self.now)
    }

    /// Sends what was queued, then sleeps until it wants to be serviced, `limit` has passed (`None`: no limit), a [`Waker`] calls or a signal
    /// comes (but see [`GramConfig::spin`]). Never sleeps while something is pending, nor on a simulated network, nor where the last tick found
    /// by a call for several datagrams that there were no more: the next one asks whether there are some by now.
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.begin();
        self.waited = true;
        self.endpoint.send(&mut self.serviced);
        let wake = self.wake();
        if wake == Wake::Now || self.endpoint.in_doubt {
            return;
        }
        let timeout = wake.timeout(self.now).into_iter().chain(limit).min();
        let (net, counters) = (&self.net, &self.endpoint.counters);
        let look = self.spin.begin(self.now, self.endpoint.config.spin, || {
            let work = Work { calls: counters.grams_in, bytes: counters.bytes_in };
            Some(Sample::new(net.cpu_time()?, work))
        });
        if look == Duration::ZERO {
            self.harvest(timeout);
        } else {
            self.harvest_by(|net, ready| net.harvest_looking(timeout, look, ready));
        }
    }

    /// A handle that ends [`wait`](Peer::wait) from any thread. Takes one descriptor, once.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.net.waker()
    }

    /// A descriptor that polls as readable while the network has something for it; see [`Server::poll_fd`](crate::Server::poll_fd).
    #[cfg(unix)]
    #[must_use]
    pub fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.net.poll_fd()
    }

    /// A handle to [`poll_fd`](Peer::poll_fd) that can be kept, without a system call.
    #[must_use]
    pub fn descriptor(&self) -> Option<Descriptor> {
        self.net.descriptor()
    }
}

/// A peer is an endpoint that ticks by itself.
impl Deref for Peer {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("tyme", &self.now).field("endpoint", &self.endpoint).finish()
    }
}
