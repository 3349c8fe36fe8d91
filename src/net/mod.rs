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
//! Whatever wraps a `Box<dyn Stream>` and is a [`Stream`] is middleware: [`Tap`](crate::wire::Tap) is one. It names the stream [below](Stream::below),
//! which does all that the wrapper does not do itself, changes what it is about, and keeps the contract. `Stream` has [`Any`](core::any::Any) as its
//! supertrait, so a wrapper can be found again and taken off. Networks, listeners and datagram sockets are wrapped in the same way.
//!
//! What has nothing below does itself what a source must: where a method is left out that has a default, the answer is that of a thing that cannot do it,
//! [`Unsupported`](io::ErrorKind::Unsupported) mostly.

mod addr;
mod datagram;
mod descriptor;
pub(crate) mod errno;
mod lookup;
mod no_stream;
#[cfg(feature = "os")]
pub mod os;
#[cfg(feature = "proxy-protocol")]
pub mod proxy;
mod ready;
mod spec;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(all(unix, feature = "uds"))]
mod unix;

use core::sync::atomic::AtomicUsize;
use core::time::Duration;
use std::io;
use std::sync::Arc;

pub use crate::id::Token;
pub use addr::{Addr, AddrError};
pub use datagram::{Datagram, Gram, GramOption, Interface};
pub use descriptor::Descriptor;
pub(crate) use lookup::{Answer, Inbox, Wish};
pub use lookup::{Lookup, Resolve};
pub(crate) use no_stream::NoStream;
pub use ready::{Readiness, Waker};
pub use spec::{Bind, BufferSizes, Dial, KeepAlive, Listen, SocketFile, SocketOptions};
pub use stream::{Layer, Stage, Stream};
#[cfg(all(unix, feature = "uds"))]
pub use unix::{Credentials, Files, MAX_FILES};

use crate::tyme::Tyme;

/// What has no name of its own and nothing below that has one.
static UNNAMED: Addr = Addr::Unnamed;

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A network: makes sockets and waits until some of them are ready.
///
/// Middleware names the network [below](Net::below), which does what the wrapper does not do itself.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use tymist::net::{Dial, Listen, Listener, Net, Readiness, Stream};
/// use tymist::tyme::Tyme;
///
/// /// A network on which nobody is dialled who is not on this machine.
/// struct AtHome(Box<dyn Net>);
///
/// impl Net for AtHome {
///     fn below(&self) -> Option<&dyn Net> {
///         Some(&*self.0)
///     }
///     fn below_mut(&mut self) -> Option<&mut dyn Net> {
///         Some(&mut *self.0)
///     }
///     fn now(&mut self) -> Tyme {
///         self.0.now()
///     }
///     fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
///         self.0.listen(spec)
///     }
///     fn connect(&mut self, spec: &Dial) -> io::Result<Box<dyn Stream>> {
///         match spec.addr.ip() {
///             Some(ip) if !ip.is_loopback() => Err(io::ErrorKind::PermissionDenied.into()),
///             _ => self.0.connect(spec),
///         }
///     }
///     fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
///         self.0.harvest(wait, ready)
///     }
/// }
/// # #[cfg(feature = "os")] {
/// use tymist::net::os::OsNet;
/// use tymist::{Clients, CloseReason, Config, Event};
///
/// let mut clients = Clients::with_net(Config::new(), Box::new(AtHome(Box::new(OsNet::new()))));
/// let id = clients.connect(([192, 0, 2, 1], 80))?;
/// clients.service();
/// let last = std::iter::from_fn(|| clients.poll_event()).last();
/// let denied = io::ErrorKind::PermissionDenied.into();
/// assert_eq!(last, Some(Event::Closed(id, CloseReason::Connect(denied))));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Net: Send {
    /// The network that this one is wrapped around, if it is middleware.
    fn below(&self) -> Option<&dyn Net> {
        None
    }

    /// The same, to be used. Either both name one, or neither does.
    fn below_mut(&mut self) -> Option<&mut dyn Net> {
        None
    }

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
        self.below_mut().map_or_else(unsupported, |below| below.connect(spec))
    }

    /// Looks a name up, without blocking: keeps the [`Lookup`] and answers it whenever it can.
    fn lookup(&mut self, lookup: Lookup) {
        match self.below_mut() {
            Some(below) => below.lookup(lookup),
            None => lookup.answer(Err(io::Error::other("this network knows no names"))),
        }
    }

    /// A number that the jitter of waits is drawn from where [`Config::seed`](crate::Config::seed) gives none: nobody's guess on a real
    /// network, so that no two programs wait alike; of the seed of its world on a simulated one. 0 by default.
    fn seed(&mut self) -> u64 {
        self.below_mut().map_or(0, <dyn Net>::seed)
    }

    /// Opens a datagram socket.
    ///
    /// # Errors
    /// What the network says: address in use, no such address, no permission, no descriptors left;
    /// [`Unsupported`](io::ErrorKind::Unsupported) from a network without datagrams.
    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        self.below_mut().map_or_else(unsupported, |below| below.bind(spec))
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
        match self.below_mut() {
            Some(below) => below.adopt_listener(listener, options),
            None => Err((io::ErrorKind::Unsupported.into(), listener)),
        }
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
        match self.below_mut() {
            Some(below) => below.adopt_unix_listener(listener, options, own_file),
            None => Err((io::ErrorKind::Unsupported.into(), listener)),
        }
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
        match self.below_mut() {
            Some(below) => below.adopt_stream(stream, options),
            None => Err((io::ErrorKind::Unsupported.into(), stream)),
        }
    }

    /// Appends to `ready` what has become ready since the last time; if nothing has, waits for it up to `wait`
    /// (`None`: for ever, zero: not at all). Bounded: what does not fit in one go comes the next time.
    /// May return early with nothing, as when a [`Waker`] or a signal interrupted it.
    ///
    /// # Errors
    /// Only where the network as a whole has failed; what happens to one socket, that socket tells.
    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()>;

    /// The same, but looks again and again for up to `look` before it sleeps. Engines ask for that where it has lately taken less CPU time than to
    /// sleep; see [`Config::spin`](crate::Config::spin). By default it does not look.
    ///
    /// # Errors
    /// As [`harvest`](Net::harvest).
    fn harvest_looking(
        &mut self,
        wait: Option<Duration>,
        look: Duration,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        let _ = look;
        self.harvest(wait, ready)
    }

    /// The CPU time that the calling thread has taken, by which engines learn whether to look; `None`, the default, if nobody is to look.
    fn cpu_time(&self) -> Option<Duration> {
        None
    }

    /// Whether a harvest may be left out where what it could tell of is known already: what becomes ready meanwhile wakes whoever sleeps
    /// or watches all the same, and is told by a later one. By default it may not, nor for middleware, which may have things of its own to do.
    fn keeps_readiness(&self) -> bool {
        false
    }

    /// Whether the last [`harvest`](Net::harvest) may have left something for the next. The engine then does not sleep, nor take those for silent
    /// whose reports may be among it. A network that takes all there is, as by default, says no.
    fn left_more(&self) -> bool {
        self.below().is_some_and(<dyn Net>::left_more)
    }

    /// In what time, by its own clock as last read, the network wants to be harvested although its poller may show nothing until then; `None`, the
    /// default, if never. For middleware that reports by the clock. Engines make it part of when they want to be serviced.
    fn due_in(&self) -> Option<Duration> {
        self.below()?.due_in()
    }

    /// A handle that ends a wait in [`harvest`](Net::harvest) from another thread.
    ///
    /// # Errors
    /// If the network has no such thing or no descriptor for it.
    fn waker(&mut self) -> io::Result<Waker> {
        self.below_mut().map_or_else(unsupported, <dyn Net>::waker)
    }

    /// A descriptor that polls as readable while [`harvest`](Net::harvest) has something to report, if there is one.
    #[cfg(unix)]
    fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.below()?.poll_fd()
    }

    /// A handle to [`poll_fd`](Net::poll_fd) that can be kept. By default a duplicate of that, another one each time: a network that has it in a
    /// shareable shape better gives that.
    fn descriptor(&self) -> Option<Descriptor> {
        if let Some(below) = self.below() {
            return below.descriptor();
        }
        #[cfg(unix)]
        return self.poll_fd()?.try_clone_to_owned().ok().map(Descriptor::new);
        #[cfg(not(unix))]
        None
    }
}

/// A listening socket. Middleware names the one [below](Listener::below), which does what the wrapper does not do itself.
pub trait Listener: Send {
    /// The listener that this one is wrapped around, if it is middleware.
    fn below(&self) -> Option<&dyn Listener> {
        None
    }

    /// The same, to be used. Either both name one, or neither does.
    fn below_mut(&mut self) -> Option<&mut dyn Listener> {
        None
    }

    /// Starts reporting readiness as `token`.
    ///
    /// # Errors
    /// What the poller says.
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.below_mut().map_or_else(unsupported, |below| below.register(token))
    }

    /// Takes the next connection from the queue, not yet registered.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty; otherwise the trouble of one connection or of the listener.
    fn accept(&mut self) -> io::Result<Box<dyn Stream>>;

    /// The address it is bound to, with the port that was picked.
    fn local_addr(&self) -> &Addr {
        self.below().map_or(&UNNAMED, <dyn Listener>::local_addr)
    }

    /// Sizes of the socket's buffers, inherited by what it accepts.
    ///
    /// # Errors
    /// What the network says.
    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.below().map_or_else(unsupported, <dyn Listener>::buffer_sizes)
    }

    /// The socket goes on in another process: what belongs to it beside the descriptor, the file of a Unix socket, stays when this one is closed.
    fn leave_file(&mut self) {
        if let Some(below) = self.below_mut() {
            below.leave_file();
        }
    }

    /// The other way round: what belongs to it goes with it, unless `holds` is above zero when it is closed. For a socket that was taken over, whose file is
    /// somebody else's until that one has given it up.
    fn own_file(&mut self, holds: Arc<AtomicUsize>) {
        if let Some(below) = self.below_mut() {
            below.own_file(holds);
        }
    }

    /// Its descriptor, for options that this crate does not know and for handing it to another process.
    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.below()?.as_fd()
    }
}
