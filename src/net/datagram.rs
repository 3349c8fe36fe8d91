//! Datagram sockets at the seam.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::{Addr, BufferSizes, Token, UNNAMED, unsupported};

/// A datagram socket. Middleware names the one [below](Datagram::below), which does what the wrapper does not do itself; but each way to send or to receive is
/// the wrapper's own, so that none goes past it unseen.
pub trait Datagram: Send {
    /// The socket that this one is wrapped around, if it is middleware.
    fn below(&self) -> Option<&dyn Datagram> {
        None
    }

    /// The same, to be used. Either both name one, or neither does.
    fn below_mut(&mut self) -> Option<&mut dyn Datagram> {
        None
    }

    /// Starts reporting readiness as `token`. Room to send need not be reported before a send has found none.
    ///
    /// # Errors
    /// What the poller says.
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.below_mut().map_or_else(unsupported, |below| below.register(token))
    }

    /// Takes the next datagram into `buf`: its length there, whether it was cut to fit, and who sent it. An empty datagram is one too.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; otherwise what the network reports of an earlier send.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram>;

    /// Takes the next datagrams, each into the buffer at its place, and appends to `grams` what [`receive`](Datagram::receive) says of
    /// each: one at least, and as many of the others as can be taken with it at no further cost. Returns whether it is known that
    /// there are no more by now. The default is a `receive` into the first buffer.
    ///
    /// # Errors
    /// As [`receive`](Datagram::receive), of the first one; then there are none.
    fn receive_many(&mut self, bufs: &mut [&mut [u8]], grams: &mut Vec<Gram>) -> io::Result<bool> {
        if let Some(buf) = bufs.first_mut() {
            grams.push(self.receive(buf)?);
        }
        Ok(false)
    }

    /// Sends one datagram, whole or not at all. In connected mode `to` is the peer.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room now; otherwise what the network says, of this datagram or of an earlier one.
    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()>;

    /// Sends the first of these datagrams, and as many of the others as can be sent with it at no further cost; returns how many went. Each goes whole or
    /// not at all. The default is a [`send`](Datagram::send) of the first.
    ///
    /// # Errors
    /// As [`send`](Datagram::send), of the first one.
    fn send_many(&mut self, grams: &[(&[u8], &Addr)]) -> io::Result<usize> {
        match grams.first() {
            Some((data, to)) => self.send(data, to).map(|()| 1),
            None => Ok(0),
        }
    }

    /// The address it is bound to.
    fn local_addr(&self) -> &Addr {
        self.below().map_or(&UNNAMED, <dyn Datagram>::local_addr)
    }

    /// Whether the network itself lets nobody but the peer send to it, in connected mode, from its first moment on and as long as the peer is there.
    /// Where it does not, senders are compared with the peer's address, which Unix paths do not stand: one file has many spellings.
    fn refuses_strangers(&self) -> bool {
        self.below().is_some_and(<dyn Datagram>::refuses_strangers)
    }

    /// Changes an option.
    ///
    /// # Errors
    /// What the network says; [`Unsupported`](io::ErrorKind::Unsupported) where it has no such option.
    fn set_option(&mut self, option: GramOption) -> io::Result<()> {
        self.below_mut().map_or_else(unsupported, |below| below.set_option(option))
    }

    /// Sizes of the socket's buffers.
    ///
    /// # Errors
    /// What the network says; [`Unsupported`](io::ErrorKind::Unsupported) where it has none.
    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.below().map_or_else(unsupported, <dyn Datagram>::buffer_sizes)
    }

    /// Its descriptor, for options that this crate does not know.
    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.below()?.as_fd()
    }

    /// As [`receive`](Datagram::receive), with the descriptors that came along put into `files`.
    ///
    /// # Errors
    /// As there.
    #[cfg(all(unix, feature = "uds"))]
    fn receive_files(
        &mut self,
        buf: &mut [u8],
        files: &mut Vec<std::os::fd::OwnedFd>,
    ) -> io::Result<Gram> {
        let _ = files;
        self.receive(buf)
    }

    /// As [`send`](Datagram::send), with copies of these descriptors.
    ///
    /// # Errors
    /// As there; [`Unsupported`](io::ErrorKind::Unsupported) where descriptors cannot be sent.
    #[cfg(all(unix, feature = "uds"))]
    fn send_files(
        &mut self,
        data: &[u8],
        to: &Addr,
        files: &[std::os::fd::OwnedFd],
    ) -> io::Result<()> {
        let _ = (data, to, files);
        unsupported()
    }
}

/// What [`Datagram::receive`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gram {
    /// Bytes put into the buffer.
    pub len: usize,
    /// Whether the datagram was longer than the buffer and its rest is lost. A network that cannot tell says so of each that fills
    /// the buffer to its last byte: give it one byte more than you want.
    pub truncated: bool,
    /// Who sent it.
    pub from: Addr,
}

/// An option of a datagram socket, and its value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GramOption {
    /// Whether it may send to broadcast addresses.
    Broadcast(bool),
    /// How many routers a datagram passes at most, 1 to 255.
    Ttl(u32),
    /// The same for multicast, 0 to 255. The system's default is 1: this network only (RFC 1112 section 6.1).
    MulticastTtl(u32),
    /// Whether multicast goes to receivers on this machine too. The system's default is yes.
    MulticastLoop(bool),
    /// Where multicast goes out.
    MulticastInterface(Interface),
    /// Receive what is sent to this multicast group.
    Join(IpAddr, Interface),
    /// No more of that.
    Leave(IpAddr, Interface),
}

/// A network interface.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The one that the system picks.
    #[default]
    Any,
    /// By its number, as `if_nametoindex` gives it. For IPv4 not on every system.
    Index(u32),
    /// By an address it has. IPv4 only.
    Addr(Ipv4Addr),
}
