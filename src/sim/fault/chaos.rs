//! The middleware: a network that goes by rules.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handles::{ChaosDatagram, ChaosListener};
use super::rule::{Effect, Site};
use super::stream::ChaosStream;
use super::{Faults, Verdict};
use crate::net::{
    Addr, Bind, Datagram, Dial, Listen, Listener, Lookup, Net, Readiness, SocketOptions, Stream,
    Token,
};
use crate::sim::{Op, Side};
use crate::tyme::Tyme;

/// After how long a source is reported again that was made to say `WouldBlock`: not at once, or a storm of them would never let time pass.
const AGAIN: Duration = Duration::from_micros(100);

type Observe = dyn Fn(&Arc<str>, Op, &Effect, bool) + Send + Sync;

/// What a world wants to be told.
pub(in crate::sim) struct Hooks {
    /// The host needs a turn at this tyme of its clock.
    pub(in crate::sim) alarm: Box<dyn Fn(Tyme) + Send + Sync>,
    /// A fault has fired; or, if so marked, one that fired before has answered this call, too.
    pub(in crate::sim) observe: Box<Observe>,
}

/// A network that fails by rules: short reads and writes, `WouldBlock` storms, errors, resets, stalls.
///
/// It keeps the [contract of a backend](crate::net): where it made a call say `WouldBlock`, or move less than it could have, it reports the
/// source ready again by itself at a later [`harvest`](Net::harvest), cuts the wait there short for it, and says by [`due_in`](Net::due_in)
/// when that is. Without rules in force a call costs one load more.
pub struct ChaosNet {
    inner: Box<dyn Net>,
    link: Arc<Link>,
    /// Look-ups that are put off, and until when.
    lookups: Vec<(Tyme, Lookup)>,
}

/// What a network and its sockets share.
pub(super) struct Link {
    pub(super) faults: Faults,
    host: Box<str>,
    /// The network's clock as last seen.
    clock: AtomicU64,
    /// What is to be reported, and when.
    echoes: Mutex<Vec<(Tyme, Readiness)>>,
    /// Sources of which an end was reported: each further report says so again, as a poller's would.
    ended: Mutex<BTreeSet<Token>>,
    hooks: Option<Hooks>,
    conns: AtomicU64,
}

impl Link {
    /// The middleware around a new connection.
    pub(super) fn wrap(self: &Arc<Self>, stream: Box<dyn Stream>, side: Side) -> Box<dyn Stream> {
        let conn = self.conns.fetch_add(1, Ordering::Relaxed);
        let who = Who::stream(side, conn, &*stream);
        Box::new(ChaosStream::new(stream, Arc::clone(self), who))
    }

    pub(super) fn now(&self) -> Tyme {
        Tyme::from_nanos(self.clock.load(Ordering::Relaxed))
    }

    fn echoes(&self) -> MutexGuard<'_, Vec<(Tyme, Readiness)>> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, BTreeSet<Token>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever had the token is gone: the next one has not ended.
    pub(super) fn forget(&self, token: Option<Token>) {
        if let Some(token) = token {
            self.ended().remove(&token);
        }
    }

    /// Reports the source again soon.
    pub(super) fn echo(&self, token: Option<Token>, op: Op) {
        self.echo_at(self.now() + AGAIN, token, op);
    }

    /// Reports the source again at `at`.
    pub(super) fn echo_at(&self, at: Tyme, token: Option<Token>, op: Op) {
        let Some(token) = token else { return };
        let writable = matches!(op, Op::Write | Op::Connected | Op::Send);
        let readiness = Readiness { token, readable: !writable, writable, ending: false };
        self.echoes().push((at, readiness));
        self.alarm(at);
    }

    fn alarm(&self, at: Tyme) {
        if let Some(hooks) = &self.hooks {
            (hooks.alarm)(at);
        }
    }

    #[inline]
    pub(super) fn decide(&self, op: Op, who: Option<&Who>, offset: u64) -> Verdict {
        if !self.faults.armed() {
            return Verdict::FREE;
        }
        let site = Site {
            op,
            host: &self.host,
            now: self.now(),
            side: who.and_then(|who| who.side),
            conn: who.and_then(|who| who.conn),
            ports: who.map(|who| who.ports).unwrap_or_default(),
            offset,
        };
        self.faults.decide(&site)
    }

    pub(super) fn observe(&self, rule: &Arc<str>, op: Op, effect: &Effect) {
        if let Some(hooks) = &self.hooks {
            (hooks.observe)(rule, op, effect, false);
        }
    }

    /// A fault that has fired already answers one more call.
    pub(super) fn repeat(&self, rule: &Arc<str>, op: Op, effect: &Effect) {
        if let Some(hooks) = &self.hooks {
            (hooks.observe)(rule, op, effect, true);
        }
    }

    /// For calls that can only fail.
    fn check(&self, op: Op, port: Option<u16>) -> io::Result<()> {
        let who = Who { side: None, conn: None, ports: [port, None] };
        match self.decide(op, Some(&who), 0).fault {
            Some((_, rule, effect @ Effect::Fail(errno))) => {
                self.observe(&rule, op, &effect);
                Err(errno.error())
            }
            Some((index, ..)) => {
                self.faults.retract(index);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What rules go by that stays the same for a socket.
#[derive(Copy, Clone, Debug)]
pub(super) struct Who {
    pub(super) side: Option<Side>,
    pub(super) conn: Option<u64>,
    pub(super) ports: [Option<u16>; 2],
}

impl Who {
    fn stream(side: Side, conn: u64, stream: &dyn Stream) -> Who {
        let ports = [stream.local_addr().port(), stream.peer_addr().port()];
        Who { side: Some(side), conn: Some(conn), ports }
    }

    pub(super) fn socket(local: &Addr) -> Who {
        Who { side: None, conn: None, ports: [local.port(), None] }
    }
}

impl ChaosNet {
    /// Puts the rules around a network. `host` is the name that [`Rule::host`](super::Rule::host) goes by.
    #[must_use]
    pub fn new(inner: Box<dyn Net>, faults: Faults, host: &str) -> Self {
        Self::hooked(inner, faults, host, None)
    }

    pub(in crate::sim) fn hooked(
        inner: Box<dyn Net>,
        faults: Faults,
        host: &str,
        hooks: Option<Hooks>,
    ) -> Self {
        let link = Link {
            faults,
            host: host.into(),
            clock: AtomicU64::new(0),
            echoes: Mutex::new(Vec::new()),
            ended: Mutex::new(BTreeSet::new()),
            hooks,
            conns: AtomicU64::new(0),
        };
        let mut net = ChaosNet { inner, link: Arc::new(link), lookups: Vec::new() };
        net.tell_time();
        net
    }

    fn tell_time(&mut self) -> Tyme {
        let now = self.inner.now();
        self.link.clock.store(now.as_nanos(), Ordering::Relaxed);
        now
    }

    /// Passes on the look-ups that were put off long enough; when the next one is due.
    fn ask_names(&mut self, now: Tyme) -> Option<Tyme> {
        let mut at = 0;
        while let Some((until, _)) = self.lookups.get(at) {
            if *until <= now {
                let (_, lookup) = self.lookups.remove(at);
                self.inner.lookup(lookup);
            } else {
                at += 1;
            }
        }
        self.lookups.iter().map(|(until, _)| *until).min()
    }

    fn take_echoes(&mut self, now: Tyme, ready: &mut Vec<Readiness>) -> Option<Tyme> {
        let (mut echoes, ended) = (self.link.echoes(), self.link.ended());
        let mut next: Option<Tyme> = None;
        echoes.retain(|&(at, readiness)| {
            if at <= now {
                let ending = ended.contains(&readiness.token);
                ready.push(Readiness { ending, ..readiness });
                return false;
            }
            next = Some(next.map_or(at, |next| next.min(at)));
            true
        });
        next
    }
}

impl Net for ChaosNet {
    fn below(&self) -> Option<&dyn Net> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Net> {
        Some(&mut *self.inner)
    }

    fn now(&mut self) -> Tyme {
        self.tell_time()
    }

    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
        self.tell_time();
        self.link.check(Op::Listen, spec.addr.port())?;
        let inner = self.inner.listen(spec)?;
        Ok(Box::new(ChaosListener::new(inner, Arc::clone(&self.link))))
    }

    fn connect(&mut self, spec: &Dial) -> io::Result<Box<dyn Stream>> {
        self.tell_time();
        self.link.check(Op::Connect, spec.addr.port())?;
        let inner = self.inner.connect(spec)?;
        Ok(self.link.wrap(inner, Side::Dialled))
    }

    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        self.tell_time();
        self.link.check(Op::Bind, spec.addr.port())?;
        let inner = self.inner.bind(spec)?;
        Ok(Box::new(ChaosDatagram::new(inner, Arc::clone(&self.link))))
    }

    fn lookup(&mut self, lookup: Lookup) {
        let now = self.tell_time();
        match self.link.decide(Op::Lookup, None, 0).fault {
            Some((_, rule, effect @ Effect::Fail(errno))) => {
                self.link.observe(&rule, Op::Lookup, &effect);
                lookup.answer(Err(errno.error()));
            }
            Some((_, rule, effect @ Effect::Stall(time))) => {
                self.link.observe(&rule, Op::Lookup, &effect);
                self.link.alarm(now + time);
                self.lookups.push((now + time, lookup));
            }
            Some((index, ..)) => {
                self.link.faults.retract(index);
                self.inner.lookup(lookup);
            }
            None => self.inner.lookup(lookup),
        }
    }

    fn adopt_listener(
        &mut self,
        listener: std::net::TcpListener,
        options: &SocketOptions,
    ) -> Result<Box<dyn Listener>, (io::Error, std::net::TcpListener)> {
        let inner = self.inner.adopt_listener(listener, options)?;
        Ok(Box::new(ChaosListener::new(inner, Arc::clone(&self.link))))
    }

    #[cfg(all(unix, feature = "uds"))]
    fn adopt_unix_listener(
        &mut self,
        listener: std::os::unix::net::UnixListener,
        options: &SocketOptions,
        own_file: bool,
    ) -> Result<Box<dyn Listener>, (io::Error, std::os::unix::net::UnixListener)> {
        let inner = self.inner.adopt_unix_listener(listener, options, own_file)?;
        Ok(Box::new(ChaosListener::new(inner, Arc::clone(&self.link))))
    }

    fn adopt_stream(
        &mut self,
        stream: std::net::TcpStream,
        options: &SocketOptions,
    ) -> Result<Box<dyn Stream>, (io::Error, std::net::TcpStream)> {
        let inner = self.inner.adopt_stream(stream, options)?;
        Ok(self.link.wrap(inner, Side::Accepted))
    }

    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let now = self.tell_time();
        let before = ready.len();
        let names = self.ask_names(now);
        let next = self.take_echoes(now, ready).into_iter().chain(names).min();
        let until = if ready.len() > before { Some(now) } else { next };
        let wait = match (wait, until) {
            (wait, None) => wait,
            (None, Some(until)) => Some(until - now),
            (Some(wait), Some(until)) => Some(wait.min(until - now)),
        };
        let own = ready.len();
        self.inner.harvest(wait, ready)?;
        let ending = ready.iter().skip(own).filter(|readiness| readiness.ending);
        self.link.ended().extend(ending.map(|readiness| readiness.token));
        let now = self.tell_time();
        self.take_echoes(now, ready);
        Ok(())
    }

    fn due_in(&self) -> Option<Duration> {
        // A world gives turns by itself.
        let own = self.link.hooks.is_none().then(|| {
            let echoes = self.link.echoes();
            echoes.iter().map(|(at, _)| *at).chain(self.lookups.iter().map(|(at, _)| *at)).min()
        });
        let own = own.flatten().map(|at| at - self.link.now());
        own.into_iter().chain(self.inner.due_in()).min()
    }
}

impl fmt::Debug for ChaosNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosNet")
            .field("host", &self.link.host)
            .field("faults", &self.link.faults)
            .finish_non_exhaustive()
    }
}
