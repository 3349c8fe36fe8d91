//! Listening sockets that another process has opened: a service manager, or the process that this one succeeds.

use core::fmt;
#[cfg(all(unix, feature = "uds"))]
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;
use std::net::TcpListener;
#[cfg(all(unix, feature = "uds"))]
use std::os::unix::net::UnixListener;
#[cfg(all(unix, feature = "uds"))]
use std::sync::Arc;

use crate::error::ListenError;
use crate::id::AcceptorId;
use crate::net::{Addr, Listen, SocketOptions};
use crate::server::Server;

/// Listening sockets from another process, to be listened on in the place of new ones. What nobody takes is closed with this, and with it goes whoever waits in
/// its queue: [`addrs`](Inherited::addrs) tells what is left.
///
/// The same code serves with and without: [`listen`](Inherited::listen) takes the socket that has the very address (`[::]:7000` is not `0.0.0.0:7000`), and
/// opens one where none has. A program that goes by its sockets instead takes them [all](Inherited::listen_all).
///
/// ```
/// use std::net::TcpListener;
/// use tymist::run::Inherited;
/// use tymist::{Config, Server};
///
/// let elsewhere = TcpListener::bind("127.0.0.1:0")?;
/// let addr = elsewhere.local_addr()?;
/// let mut inherited = Inherited::new();
/// inherited.push(elsewhere)?;
///
/// let mut server = Server::new(Config::new());
/// let first = inherited.listen(&mut server, addr)?;
/// let second = inherited.listen(&mut server, "127.0.0.1:0".parse::<tymist::net::Listen>()?)?;
/// assert_eq!(server.local_addr(first).unwrap().inet(), Some(addr));
/// assert_ne!(server.local_addr(second).unwrap().inet(), Some(addr));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Inherited {
    sockets: Vec<Heirloom>,
    /// The process that is to hear when they are in use.
    #[cfg(all(unix, feature = "uds"))]
    pub(super) heir: Option<Box<super::handover::Heir>>,
    /// Who tells the service manager once they are.
    #[cfg(all(unix, feature = "uds", feature = "systemd"))]
    pub(super) words: Words,
}

/// Those that tell the service manager once a successor has confirmed.
#[cfg(all(unix, feature = "uds", feature = "systemd"))]
pub(super) type Words = Arc<std::sync::Mutex<Vec<Box<dyn FnOnce() + Send>>>>;

/// One of them.
#[derive(Debug)]
pub(super) struct Heirloom {
    /// What its first owner asked for, where that is known: port 0, say.
    asked: Option<Addr>,
    addr: Addr,
    pub(super) socket: Listening,
}

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    #[cfg(all(unix, feature = "uds"))]
    Unix {
        socket: UnixListener,
        /// Its file, if that goes with it.
        file: Option<File>,
    },
}

/// A socket's file. As long as anybody holds it (another process or engine that serves still, a start that may fail), it stays although the socket is closed.
#[cfg(all(unix, feature = "uds"))]
#[derive(Clone, Debug, Default)]
pub(super) struct File(Arc<AtomicUsize>);

#[cfg(all(unix, feature = "uds"))]
impl File {
    pub(super) fn hold(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn release(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn holds(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }
}

impl Inherited {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// If it has no address, and so is no socket of this kind.
    pub fn push(&mut self, socket: TcpListener) -> io::Result<()> {
        self.push_heirloom(None, Listening::Tcp(socket))
    }

    /// Adds a Unix one; `own_file` says whether its file is removed when it is closed here. That of a service manager's socket is not ours. Feature `uds`.
    ///
    /// # Errors
    /// If it has no address, and so is no socket of this kind.
    #[cfg(all(unix, feature = "uds"))]
    pub fn push_unix(&mut self, socket: UnixListener, own_file: bool) -> io::Result<()> {
        self.push_heirloom(None, Listening::Unix { socket, file: own_file.then(File::default) })
    }

    pub(super) fn push_heirloom(
        &mut self,
        asked: Option<Addr>,
        socket: Listening,
    ) -> io::Result<()> {
        let addr = match &socket {
            Listening::Tcp(socket) => socket.local_addr()?.into(),
            #[cfg(all(unix, feature = "uds"))]
            Listening::Unix { socket, .. } => {
                crate::net::os::unix_addr(&socket2::SockRef::from(socket).local_addr()?)
            }
        };
        self.sockets.push(Heirloom { asked, addr, socket });
        Ok(())
    }

    /// Where to say that the service manager is to be told once these are confirmed; none where nothing is to be confirmed.
    #[cfg(all(unix, feature = "uds", feature = "systemd"))]
    pub(super) fn words(&self) -> Option<Words> {
        self.heir.is_some().then(|| Arc::clone(&self.words))
    }

    /// How many are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The addresses of those that are left.
    #[must_use]
    pub fn addrs(&self) -> impl ExactSizeIterator<Item = &Addr> {
        self.sockets.iter().map(|it| &it.addr)
    }

    /// That of the first that is left.
    pub(super) fn next_addr(&self) -> Option<Addr> {
        self.sockets.first().map(|it| it.addr.clone())
    }

    /// Listens there: on the socket that has that address, or was opened for it (as with port 0); on a new one where there is none.
    ///
    /// # Errors
    /// As [`Server::listen`]; a socket that cannot be taken over stays here.
    pub fn listen(
        &mut self,
        server: &mut Server,
        listen: impl Into<Listen>,
    ) -> Result<AcceptorId, ListenError> {
        let listen = listen.into();
        let found = self.sockets.iter().position(|it| it.is_for(&listen.addr));
        let Some(at) = found else { return server.listen(listen) };
        let Heirloom { asked, addr, socket } = self.sockets.remove(at);
        socket.adopt(server, &listen.socket).map_err(|(source, socket)| {
            self.sockets.insert(at, Heirloom { asked, addr: addr.clone(), socket });
            ListenError::new(addr, source)
        })
    }

    /// Listens on all that are left, whatever their addresses: for a program that serves where it is told to from outside.
    ///
    /// # Errors
    /// As [`Server::adopt_listener`], of the first that cannot be taken over; it and those after it stay here, those before it are listened on.
    pub fn listen_all(&mut self, server: &mut Server) -> Result<Vec<AcceptorId>, ListenError> {
        let mut ids = Vec::new();
        while let Some(addr) = self.next_addr() {
            ids.push(self.listen(server, addr)?);
        }
        Ok(ids)
    }

    /// Those for this address; of several that were opened for the same one (port 0, twice) those of the first, the rest is for who asks next.
    pub(super) fn take(&mut self, addr: &Addr) -> Vec<Heirloom> {
        let first = self.sockets.iter().find(|it| it.is_for(addr));
        let Some(bound) = first.map(|it| it.addr.clone()) else { return Vec::new() };
        self.sockets.extract_if(.., |it| it.addr == bound && it.is_for(addr)).collect()
    }
}

impl Heirloom {
    fn is_for(&self, addr: &Addr) -> bool {
        self.addr == *addr || self.asked.as_ref() == Some(addr)
    }

    pub(super) fn addr(&self) -> &Addr {
        &self.addr
    }
}

impl Listening {
    /// Lets a server listen on it.
    pub(super) fn adopt(
        self,
        server: &mut Server,
        options: &SocketOptions,
    ) -> Result<AcceptorId, (io::Error, Listening)> {
        match self {
            Listening::Tcp(socket) => server
                .adopt_listener(socket, options)
                .map_err(|error| (error.source, Listening::Tcp(error.socket))),
            #[cfg(all(unix, feature = "uds"))]
            Listening::Unix { socket, file } => {
                match server.adopt_unix_listener(socket, options, false) {
                    Ok(id) => {
                        if let Some(file) = file {
                            server.own_file(id, file.holds());
                        }
                        Ok(id)
                    }
                    Err(error) => {
                        Err((error.source, Listening::Unix { socket: error.socket, file }))
                    }
                }
            }
        }
    }

    /// A second handle, of which the same holds.
    pub(super) fn try_clone(&self) -> io::Result<Listening> {
        Ok(match self {
            Listening::Tcp(socket) => Listening::Tcp(socket.try_clone()?),
            #[cfg(all(unix, feature = "uds"))]
            Listening::Unix { socket, file } => {
                Listening::Unix { socket: socket.try_clone()?, file: file.clone() }
            }
        })
    }

    /// A second handle, with which no file goes.
    pub(super) fn share(&self) -> io::Result<Listening> {
        let copy = self.try_clone()?;
        #[cfg(all(unix, feature = "uds"))]
        if let Listening::Unix { socket, .. } = copy {
            return Ok(Listening::Unix { socket, file: None });
        }
        Ok(copy)
    }

    /// The file that goes with it.
    #[cfg(all(unix, feature = "uds"))]
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Listening::Tcp(_) => None,
            Listening::Unix { file, .. } => file.as_ref(),
        }
    }
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.addrs()).finish()
    }
}
