//! A listening socket and the connections it has taken that nobody has looked at yet.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
#[cfg(any(feature = "tls", all(unix, feature = "uds")))]
use std::sync::Arc;

use crate::event::{Event, Refusal};
use crate::id::AcceptorId;
use crate::net::errno;
#[cfg(feature = "proxy-protocol")]
use crate::net::proxy::{ProxyProtocol, ProxyStream};
#[cfg(feature = "tls")]
use crate::net::tls::{ServerTls, Watch};
use crate::net::{Addr, BufferSizes, Layer, Listen, Listener, Stream};
use crate::tyme::Tyme;

/// A nonblocking listen socket that feeds a bounded deque of accepted connections (`axes`).
pub struct Acceptor {
    id: AcceptorId,
    /// How to open it (again); `None` for an adopted socket, which cannot be reopened.
    spec: Option<Listen>,
    local_addr: Addr,
    listener: Option<Box<dyn Listener>>,
    pub(crate) layer: Option<Layer>,
    /// Whether what it takes must shake hands before it is usable.
    pub(crate) handshake: bool,
    pub(crate) axes: VecDeque<Waiting>,
    /// Whose PROXY headers it reads, and from whom it takes none.
    #[cfg(feature = "proxy-protocol")]
    pub(crate) proxy: Option<ProxyProtocol>,
    /// Its TLS, and what was told of that.
    #[cfg(feature = "tls")]
    pub(crate) watch: Option<Watch>,
    /// Latch: set by readiness, cleared by `WouldBlock`.
    pub(crate) ready: bool,
    resting_until: Option<Tyme>,
    /// Accepts since the last good one that failed for one connection only.
    skipped: u32,
}

/// A connection that was accepted, and how many were before it, at whichever acceptor.
pub(crate) struct Waiting {
    pub(crate) number: u64,
    pub(crate) stream: Box<dyn Stream>,
}

/// A stream with all that its acceptor puts around it.
pub(crate) struct Fitted {
    pub(crate) stream: Box<dyn Stream>,
    /// A proxy is to tell whom it is for.
    pub(crate) proxied: bool,
}

/// So many connections in a row that were gone again are no accident: the accept itself is forbidden, as a sandbox does.
const SKIPS: u32 = 256;

/// How a round of accepting ended.
pub(crate) enum Accepted {
    /// The kernel's queue is empty, or the deque is full.
    Done,
    /// One came in.
    One,
    /// One was there and is gone again.
    Skipped,
    /// Something happened that is to be told; no more from this one now.
    Trouble(Event),
}

impl Acceptor {
    /// Takes the listener and lets it report readiness.
    pub(crate) fn new(
        id: AcceptorId,
        spec: Option<Listen>,
        mut listener: Box<dyn Listener>,
    ) -> io::Result<Self> {
        listener.register(id.token())?;
        let local_addr = listener.local_addr().clone();
        // The port that was picked is kept through a `reopen`.
        let spec = spec.map(|spec| Listen { addr: local_addr.clone(), ..spec });
        Ok(Acceptor {
            id,
            spec,
            local_addr,
            listener: Some(listener),
            layer: None,
            handshake: false,
            axes: VecDeque::new(),
            #[cfg(feature = "proxy-protocol")]
            proxy: None,
            #[cfg(feature = "tls")]
            watch: None,
            ready: false,
            resting_until: None,
            skipped: 0,
        })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> AcceptorId {
        self.id
    }

    /// Where it listens, with the port that was picked; after closing, where it did.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        &self.local_addr
    }

    /// Whether its socket is open.
    #[must_use]
    pub fn opened(&self) -> bool {
        self.listener.is_some()
    }

    /// The peers of connections that were accepted and wait to become remoters, oldest first.
    #[must_use]
    pub fn axes(&self) -> impl ExactSizeIterator<Item = &Addr> {
        self.axes.iter().map(|waiting| waiting.stream.peer_addr())
    }

    /// Until when it rests because descriptors or memory ran out.
    #[must_use]
    pub fn resting_until(&self) -> Option<Tyme> {
        self.resting_until
    }

    /// The listening socket, while it is open.
    #[must_use]
    pub fn listener(&self) -> Option<&dyn Listener> {
        self.listener.as_deref()
    }

    /// Sizes of the socket's kernel buffers; zeros when closed.
    ///
    /// # Errors
    /// What the network says.
    pub fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.listener
            .as_ref()
            .map_or(Ok(BufferSizes::default()), |listener| listener.buffer_sizes())
    }

    /// The TLS that it puts around what it admits, if it does.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(&self) -> Option<&ServerTls> {
        self.watch.as_ref().map(Watch::tls)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn set_tls(&mut self, tls: &ServerTls) {
        self.watch = Some(Watch::new(tls));
        self.handshake = true;
        let tls = tls.clone();
        self.layer = Some(Arc::new(move |stream| Box::new(tls.accept(stream))));
    }

    /// Whether what it takes may have to shake hands.
    pub(crate) fn has_handshakes(&self) -> bool {
        #[cfg(feature = "proxy-protocol")]
        if self.proxy.is_some() {
            return true;
        }
        self.handshake
    }

    /// Puts around a stream what it takes its connections through; or refuses it.
    pub(crate) fn fit(
        &self,
        stream: Box<dyn Stream>,
    ) -> Result<Fitted, (Box<dyn Stream>, Refusal)> {
        #[cfg(feature = "proxy-protocol")]
        let (stream, proxied) = match &self.proxy {
            None => (stream, false),
            Some(proxy) => match proxy.judge(stream.peer_addr()) {
                None => return Err((stream, Refusal::Untrusted)),
                Some(false) => (stream, false),
                Some(true) => {
                    let stream = ProxyStream::new(stream, proxy.header_max);
                    (Box::new(stream) as Box<dyn Stream>, true)
                }
            },
        };
        #[cfg(not(feature = "proxy-protocol"))]
        let proxied = false;
        let stream = match &self.layer {
            Some(layer) => layer(stream),
            None => stream,
        };
        Ok(Fitted { stream, proxied })
    }

    pub(crate) fn spec(&self) -> Option<&Listen> {
        self.spec.as_ref()
    }

    pub(crate) fn reopen(&mut self, mut listener: Box<dyn Listener>) -> io::Result<()> {
        listener.register(self.id.token())?;
        self.local_addr = listener.local_addr().clone();
        self.listener = Some(listener);
        self.ready = false;
        self.resting_until = None;
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        self.listener = None;
        self.axes = VecDeque::new();
        self.ready = false;
        self.resting_until = None;
    }

    /// Another process listens on its socket: closes it here, with nothing that belongs to it.
    pub(crate) fn leave_listener(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.leave_file();
        }
        self.close_listener();
    }

    /// What belongs to its socket goes with it, unless that is above zero then.
    #[cfg(all(unix, feature = "uds"))]
    pub(crate) fn own_file(&mut self, holds: Arc<core::sync::atomic::AtomicUsize>) {
        if let Some(listener) = &mut self.listener {
            listener.own_file(holds);
        }
    }

    /// Stops listening but keeps what was accepted.
    pub(crate) fn close_listener(&mut self) {
        self.listener = None;
        self.ready = false;
        self.resting_until = None;
    }

    /// Whether an accept could do something at `now`.
    pub(crate) fn can_accept(&self, now: Tyme, deque: usize) -> bool {
        self.ready
            && self.listener.is_some()
            && self.axes.len() < deque
            && self.resting_until.is_none_or(|until| until.has_come(now))
    }

    /// Whether it wants nothing before the network has something for it.
    #[inline]
    pub(crate) fn is_calm(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.watch.is_some() {
            return false;
        }
        !self.has_some()
    }

    /// Whether there is anything to accept or to admit.
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        self.ready || !self.axes.is_empty()
    }

    /// When it goes on by itself.
    #[inline]
    pub(crate) fn next_deadline(&self, deque: usize) -> Option<Tyme> {
        let waits = self.ready && self.listener.is_some() && self.axes.len() < deque;
        self.resting_until.filter(|_| waits)
    }

    /// The clock was changed: a rest ends.
    pub(crate) fn rebase(&mut self) {
        self.resting_until = None;
        #[cfg(feature = "tls")]
        if let Some(watch) = &mut self.watch {
            watch.rebase();
        }
    }

    /// Accepts one connection into the deque, that of this number.
    pub(crate) fn accept(
        &mut self,
        number: u64,
        now: Tyme,
        deque: usize,
        pause: Duration,
    ) -> Accepted {
        if !self.can_accept(now, deque) {
            return Accepted::Done;
        }
        self.resting_until = None;
        let Some(listener) = &mut self.listener else { return Accepted::Done };
        let error = match listener.accept() {
            Ok(stream) => {
                self.skipped = 0;
                self.axes.push_back(Waiting { number, stream });
                return Accepted::One;
            }
            Err(error) => error,
        };
        match Trouble::of(&error) {
            Trouble::None => {
                self.ready = false;
                self.skipped = 0;
                Accepted::Done
            }
            Trouble::OfOne if self.skipped < SKIPS => {
                self.skipped += 1;
                Accepted::Skipped
            }
            Trouble::OfOne | Trouble::Exhausted => {
                self.skipped = 0;
                let until = now + pause.max(Duration::from_millis(1));
                self.resting_until = Some(until);
                let (acceptor, error) = (self.id, (&error).into());
                Accepted::Trouble(Event::AcceptPaused { acceptor, error, until })
            }
            Trouble::Dead => {
                self.close_listener();
                let (acceptor, error) = (self.id, (&error).into());
                Accepted::Trouble(Event::ListenerLost { acceptor, error })
            }
        }
    }
}

/// What an error of `accept` is about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// Nobody there.
    None,
    /// Only the one connection that would have come.
    OfOne,
    /// Descriptors or memory: also whatever is unknown, since resting neither spins nor loses the listener.
    Exhausted,
    /// The listener itself.
    Dead,
}

impl Trouble {
    fn of(error: &io::Error) -> Trouble {
        use io::ErrorKind as Kind;
        // The errors of accept(2): Linux passes on pending network errors of the new connection.
        match error.kind() {
            Kind::WouldBlock => Trouble::None,
            Kind::Interrupted
            | Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::TimedOut
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::PermissionDenied => Trouble::OfOne,
            Kind::InvalidInput | Kind::NotConnected => Trouble::Dead,
            _ if errno::is_peer_trouble(error) => Trouble::OfOne,
            _ if errno::is_passed_on_by_accept(error) => Trouble::OfOne,
            _ if errno::is_dead_socket(error) => Trouble::Dead,
            _ => Trouble::Exhausted,
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("id", &self.id)
            .field("local_addr", &self.local_addr)
            .field("opened", &self.opened())
            .field("axes", &self.axes.len())
            .finish_non_exhaustive()
    }
}
