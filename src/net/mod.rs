//! The seam to the network: the few traits that everything above is written against.
//!
//! A [`Net`] makes [`Listener`]s, [`Stream`]s and [`Datagram`] sockets and tells when they are ready. The engine
//! holds them boxed: one virtual call beside a system call is noise, and no user's code grows a type parameter.
//! [`os::OsNet`] is the operating system; the simulated network is another one; you can bring your own.
//!
//! # The contract of a backend
//!
//! * **Nothing blocks** except [`Net::harvest`] with a wait. What cannot go on says `WouldBlock`.
//! * **Readiness is an edge, and a hint.** A source is reported when it *becomes* ready. The engine latches that
//!   and keeps trying until `WouldBlock` (or a [short read](Stream::short_read_drains)) clears the latch, so a
//!   backend must report again after each `WouldBlock` it returned, and may report too often, never too seldom.
//! * **A token is a name, not a key.** Several sources may go by the same one: all that a dialled connection tries do. One that is dropped may
//!   be reported once more.
//! * **Registering reports what is already true.** A stream with bytes waiting is ready at the next harvest.
//! * **Dropping closes** and forgets the registration, at once and without blocking.
//! * **Errors are `io::Error`s** with the kind (and, where there is one, the errno) of the operating system.
//!
//! # Middleware
//!
//! Whatever wraps a `Box<dyn Stream>` and is a [`Stream`] is middleware: [`Tap`](crate::wire::Tap) is one. It passes
//! every method on, changes what it is about, and keeps the contract. `Stream` has [`Any`] as its supertrait, so a wrapper can be
//! found again and taken off.

mod addr;
mod datagram;
mod descriptor;
mod lookup;
#[cfg(feature = "os")]
pub mod os;
#[cfg(feature = "proxy-protocol")]
pub mod proxy;
mod spec;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(all(unix, feature = "uds"))]
mod unix;

use core::any::Any;
use core::fmt;
use core::sync::atomic::AtomicUsize;
use core::time::Duration;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;

pub use crate::id::Token;
pub use addr::{Addr, AddrError};
pub use datagram::{Datagram, Gram, GramOption, Interface};
pub use descriptor::Descriptor;
pub(crate) use lookup::{Answer, Inbox, Wish};
pub use lookup::{Lookup, Resolve};
pub use spec::{Bind, BufferSizes, Dial, KeepAlive, Listen, SocketFile, SocketOptions};
#[cfg(all(unix, feature = "uds"))]
pub use unix::{Credentials, MAX_FILES, UnixStream};

use crate::tyme::Tyme;

/// A network: makes sockets and waits until some of them are ready.
pub trait Net: Send {
    /// The monotonic time of this network, since an origin of its own; never goes back. An engine that is not wound
    /// to a clock goes by it.
    fn now(&mut self) -> Tyme;

    /// Opens a stream listener.
    ///
    /// # Errors
    /// What the network says: address in use, no such address, no permission, no descriptors left.
    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>>;

    /// Begins to connect a stream; [`Stream::connected`] tells when it is done.
    ///
    /// # Errors
    /// What the network says at once; most refusals come later, from [`Stream::connected`].
    fn connect(&mut self, spec: &Dial) -> io::Result<Box<dyn Stream>> {
        let _ = spec;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Looks a name up, without blocking: keeps the [`Lookup`] and answers it whenever it can.
    fn lookup(&mut self, lookup: Lookup) {
        lookup.answer(Err(io::Error::other("this network knows no names")));
    }

    /// A number that the jitter of waits is drawn from where [`Config::seed`](crate::Config::seed) gives none: nobody's guess on a real
    /// network, so that no two programs wait alike; of the seed of its world on a simulated one. 0 by default.
    fn seed(&mut self) -> u64 {
        0
    }

    /// Opens a datagram socket.
    ///
    /// # Errors
    /// What the network says: address in use, no such address, no permission, no descriptors left;
    /// [`Unsupported`](io::ErrorKind::Unsupported) from a network without datagrams.
    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        let _ = spec;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes over a listening socket made elsewhere, such as by a service manager.
    ///
    /// # Errors
    /// Gives the socket back, with [`Unsupported`](io::ErrorKind::Unsupported) from a network that has no such sockets.
    fn adopt_listener(
        &mut self,
        listener: std::net::TcpListener,
        options: &SocketOptions,
    ) -> Result<Box<dyn Listener>, (io::Error, std::net::TcpListener)> {
        let _ = options;
        Err((io::ErrorKind::Unsupported.into(), listener))
    }

    /// Takes over a listening Unix socket made elsewhere; `own_file` says whether its file goes with it when it is closed.
    ///
    /// # Errors
    /// Gives the socket back, with [`Unsupported`](io::ErrorKind::Unsupported) from a network that has no such sockets.
    #[cfg(all(unix, feature = "uds"))]
    fn adopt_unix_listener(
        &mut self,
        listener: std::os::unix::net::UnixListener,
        options: &SocketOptions,
        own_file: bool,
    ) -> Result<Box<dyn Listener>, (io::Error, std::os::unix::net::UnixListener)> {
        let _ = (options, own_file);
        Err((io::ErrorKind::Unsupported.into(), listener))
    }

    /// Takes over a connected stream made elsewhere.
    ///
    /// # Errors
    /// Gives the socket back, with [`Unsupported`](io::ErrorKind::Unsupported) from a network that has no such sockets.
    fn adopt_stream(
        &mut self,
        stream: std::net::TcpStream,
        options: &SocketOptions,
    ) -> Result<Box<dyn Stream>, (io::Error, std::net::TcpStream)> {
        let _ = options;
        Err((io::ErrorKind::Unsupported.into(), stream))
    }

    /// Appends to `ready` what has become ready since the last time; if nothing has, waits for it up to `wait`
    /// (`None`: for ever, zero: not at all). Bounded: what does not fit in one go comes the next time.
    /// May return early with nothing, as when a [`Waker`] or a signal interrupted it.
    ///
    /// # Errors
    /// Only where the network as a whole has failed; what happens to one socket, that socket tells.
    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()>;

    /// Whether the last [`harvest`](Net::harvest) may have left something for the next. The engine then does not sleep, nor take those for silent
    /// whose reports may be among it. A network that takes all there is, as by default, says no; middleware passes the answer on.
    fn left_more(&self) -> bool {
        false
    }

    /// In what time, by its own clock as last read, the network wants to be harvested although its poller may show nothing until then; `None`, the
    /// default, if never. For middleware that reports by the clock. Engines make it part of when they want to be serviced.
    fn due_in(&self) -> Option<Duration> {
        None
    }

    /// A handle that ends a wait in [`harvest`](Net::harvest) from another thread.
    ///
    /// # Errors
    /// If the network has no such thing or no descriptor for it.
    fn waker(&mut self) -> io::Result<Waker>;

    /// A descriptor that polls as readable while [`harvest`](Net::harvest) has something to report, if there is one.
    #[cfg(unix)]
    fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    /// A handle to [`poll_fd`](Net::poll_fd) that can be kept. By default a duplicate of that, another one each time: a network that has it in a
    /// shareable shape better gives that.
    fn descriptor(&self) -> Option<Descriptor> {
        #[cfg(unix)]
        return self.poll_fd()?.try_clone_to_owned().ok().map(Descriptor::new);
        #[cfg(not(unix))]
        None
    }
}

/// A listening socket.
pub trait Listener: Send {
    /// Starts reporting readiness as `token`.
    ///
    /// # Errors
    /// What the poller says.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Takes the next connection from the queue, not yet registered.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty; otherwise the trouble of one connection or of the listener.
    fn accept(&mut self) -> io::Result<Box<dyn Stream>>;

    /// The address it is bound to, with the port that was picked.
    fn local_addr(&self) -> &Addr;

    /// Sizes of the socket's buffers, inherited by what it accepts.
    ///
    /// # Errors
    /// What the network says.
    fn buffer_sizes(&self) -> io::Result<BufferSizes>;

    /// The socket goes on in another process: what belongs to it beside the descriptor, the file of a Unix socket, stays when this one is closed.
    fn leave_file(&mut self) {}

    /// The other way round: what belongs to it goes with it, unless `holds` is above zero when it is closed. For a socket that was taken over, whose file is
    /// somebody else's until that one has given it up.
    fn own_file(&mut self, holds: Arc<AtomicUsize>) {
        let _ = holds;
    }

    /// Its descriptor, for options that this crate does not know and for handing it to another process.
    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

/// One connection: an ordered stream of bytes each way.
pub trait Stream: Any + Send {
    /// Starts reporting readiness, both ways, as `token`. Called once.
    ///
    /// # Errors
    /// What the poller says.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Whether a connection begun by [`Net::connect`] has come up. Asked whenever its token was reported, until it has, or has failed; only then
    /// is it read and written. Both ends' addresses are known from then on. Asked again when something happens after the peer's end.
    ///
    /// # Errors
    /// Why it did not: refused, unreachable, timed out; or why it was lost since.
    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// Takes one bounded step towards being usable, as a TLS handshake does.
    ///
    /// # Errors
    /// `WouldBlock` while the peer has to say something first; otherwise why it failed for good.
    fn advance(&mut self) -> io::Result<Stage> {
        Ok(Stage::Live)
    }

    /// Reads what is there into `buf`. `Ok(0)` is the clean end of the peer's half, for a `buf` that is not empty.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; otherwise why the connection is lost.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Reads what is there to throw it away, in whatever state a layer's own protocol is: how the engine waits for the peer's end once there is nothing
    /// more to be said. `Ok(0)` is the end of the transport. The default is a [`read`](Stream::read).
    ///
    /// # Errors
    /// As [`read`](Stream::read).
    fn discard(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read(buf)
    }

    /// Whether a read that did not fill its buffer proves that nothing more was there, so that the read that would only say
    /// `WouldBlock` can be saved. Holds for edge-triggered kernel sockets; not for layers with records or buffers.
    fn short_read_drains(&self) -> bool {
        false
    }

    /// Writes some of `bufs`, in order; returns how many bytes were taken, at least one.
    ///
    /// # Errors
    /// `WouldBlock` when none was taken; otherwise why the connection is lost.
    fn write(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes that [`write`](Stream::write), [`shutdown`](Stream::shutdown) or [`advance`](Stream::advance) took and that still wait in here to go out,
    /// as sealed TLS records do. While it is not zero the engine calls [`flush`](Stream::flush) when writable.
    fn held(&self) -> usize {
        0
    }

    /// Sends on what is [held](Stream::held).
    ///
    /// # Errors
    /// `WouldBlock` when some is left; otherwise why the connection is lost.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends one half or both, in order: what was written before arrives before the end does.
    ///
    /// # Errors
    /// `NotConnected` where the peer is already gone; what else the network says.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()>;

    /// Whether `shutdown(Write)` tells the peer something that a mere drop would not, as TLS's `close_notify` does.
    fn says_goodbye(&self) -> bool {
        false
    }

    /// Makes the coming drop an abortive one: the peer sees a reset, and what was not sent is thrown away.
    ///
    /// # Errors
    /// What the network says; the drop then closes as usual.
    fn set_abortive(&mut self) -> io::Result<()>;

    /// What a TLS layer has agreed with the peer, once it is live. A layer above one passes this on.
    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<&tls::TlsInfo> {
        None
    }

    /// What a proxy has told of the connection, once its header was read. A layer above one that reads it passes this on.
    #[cfg(feature = "proxy-protocol")]
    fn proxied(&self) -> Option<&proxy::Proxied> {
        None
    }

    /// Our end.
    fn local_addr(&self) -> &Addr;

    /// The peer's end; behind a trusted proxy, from the end of its header on, that of whom the connection is for.
    fn peer_addr(&self) -> &Addr;

    /// Sizes of the socket's buffers.
    ///
    /// # Errors
    /// What the network says.
    fn buffer_sizes(&self) -> io::Result<BufferSizes>;

    /// Its descriptor, for options that this crate does not know.
    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    /// What only a Unix socket can do; `None` of all others.
    #[cfg(all(unix, feature = "uds"))]
    fn unix(&mut self) -> Option<&mut dyn UnixStream> {
        None
    }
}

/// Middleware put around each stream that an acceptor takes, or that is dialled.
pub type Layer = Arc<dyn Fn(Box<dyn Stream>) -> Box<dyn Stream> + Send + Sync>;

/// How far a stream is on its way to being usable.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Made a step; has more to do.
    Handshaking,
    /// Usable.
    Live,
}

/// That a source has become ready, and for what. All of it is a hint; the call that follows tells the truth.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Who.
    pub token: Token,
    /// A read (an accept, a receive) would do something.
    pub readable: bool,
    /// A write would do something.
    pub writable: bool,
    /// An end, a reset or an error is on the way in: reads must go on until they have met it, short ones too.
    pub ending: bool,
}

/// Ends the wait of an engine from any thread; see `Server::waker`.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() -> io::Result<()> + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`.
    pub fn new(wake: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        Waker(Arc::new(wake))
    }

    /// Makes the wait under way, or else the next one, return at once. Several calls before that count as one.
    ///
    /// # Errors
    /// What the operating system says; in practice none while the process has memory.
    pub fn wake(&self) -> io::Result<()> {
        (self.0)()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
