//! A UDP socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::options;
use super::room::Room;
use crate::net::{Addr, Bind, BufferSizes, Datagram, Gram, GramOption, Interface, Token};

pub(super) struct OsDatagram {
    inner: mio::net::UdpSocket,
    local: Addr,
    connected: bool,
    /// Where the peer is named by the unspecified address: whom the system has taken for it, who is the sender then; and that name.
    reached: Option<(SocketAddr, Addr)>,
    registry: Arc<mio::Registry>,
    room: Room,
    #[cfg(target_os = "linux")]
    runs: super::runs::Runs,
}

/// A bound socket with its options, nonblocking, and connected if so wanted.
fn bound(spec: &Bind, addr: SocketAddr) -> io::Result<Socket> {
    let peer = spec.peer.as_ref().map(options::inet).transpose()?;
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if spec.reuse_addr && (cfg!(not(windows)) || spec.reuse_port) {
        socket.set_reuse_address(true)?;
    }
    if spec.reuse_port {
        options::reuse_port(&socket)?;
    }
    if let (Some(only), SocketAddr::V6(_)) = (spec.only_v6, addr) {
        socket.set_only_v6(only)?;
    }
    if spec.broadcast {
        socket.set_broadcast(true)?;
    }
    only_joined_groups(&socket, addr)?;
    options::raise_buffers(&SockRef::from(&socket), spec.recv_buffer, spec.send_buffer)?;
    socket.bind(&addr.into())?;
    if let Some(peer) = peer {
        socket.connect(&peer.into())?;
    }
    Ok(socket)
}

/// Linux would deliver what is sent to any group that any socket on the machine has joined; everywhere else one gets what one asked for.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn only_joined_groups(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    match addr {
        SocketAddr::V4(_) => socket.set_multicast_all_v4(false),
        SocketAddr::V6(_) => socket.set_multicast_all_v6(false),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn only_joined_groups(_: &Socket, _: SocketAddr) -> io::Result<()> {
    Ok(())
}

impl OsDatagram {
    pub(super) fn open(spec: &Bind, registry: Arc<mio::Registry>) -> io::Result<Self> {
        let socket = bound(spec, options::inet(&spec.addr)?)?;
        let inner = mio::net::UdpSocket::from_std(socket.into());
        let local = Addr::Inet(inner.local_addr()?);
        let connected = spec.peer.is_some();
        let reached = match &spec.peer {
            Some(peer) if is_unspecified(peer) => Some((inner.peer_addr()?, peer.clone())),
            _ => None,
        };
        #[cfg(target_os = "linux")]
        let runs = super::runs::Runs::of(&inner);
        Ok(OsDatagram {
            inner,
            local,
            connected,
            reached,
            registry,
            room: Room::given(),
            #[cfg(target_os = "linux")]
            runs,
        })
    }

    fn is_v6(&self) -> bool {
        self.local.inet().is_some_and(|addr| addr.is_ipv6())
    }

    fn sender(&self, from: SocketAddr) -> Addr {
        match &self.reached {
            Some((reached, name)) if *reached == from => name.clone(),
            _ => from.into(),
        }
    }
}

/// Also as IPv6 carries it.
fn is_unspecified(addr: &Addr) -> bool {
    addr.ip().is_some_and(|ip| ip.to_canonical().is_unspecified())
}

/// While another descriptor for the socket is about, closing this one does not end its registration.
impl Drop for OsDatagram {
    fn drop(&mut self) {
        // Fails only where it was never registered.
        let _ = self.registry.deregister(&mut self.inner);
    }
}

impl Datagram for OsDatagram {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.room.register(&mut self.inner, &self.registry, token)
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram> {
        match self.inner.recv_from(buf) {
            Ok((len, from)) => {
                Ok(Gram { len, truncated: len == buf.len(), from: self.sender(from) })
            }
            // Windows fills the buffer, and says only that there was more.
            #[cfg(windows)]
            Err(error) if error.raw_os_error() == Some(WSAEMSGSIZE) => {
                Ok(Gram { len: buf.len(), truncated: true, from: Addr::Unnamed })
            }
            Err(error) => Err(error),
        }
    }

    #[cfg(target_os = "linux")]
    fn receive_many(&mut self, bufs: &mut [&mut [u8]], grams: &mut Vec<Gram>) -> io::Result<bool> {
        let before = grams.len();
        let all = super::batch::receive(&self.inner, self.is_v6(), bufs, grams)?;
        if self.reached.is_some() {
            for gram in &mut grams[before..] {
                if let Addr::Inet(from) = gram.from {
                    gram.from = self.sender(from);
                }
            }
        }
        Ok(all)
    }

    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()> {
        let to = options::inet(to)?;
        // BSD refuses an address on a connected socket.
        let sent =
            if self.connected { self.inner.send(data) } else { self.inner.send_to(data, to) };
        self.room.after(&mut self.inner, &self.registry, sent.map(|_| ()))
    }

    #[cfg(target_os = "linux")]
    fn send_many(&mut self, grams: &[(&[u8], &Addr)]) -> io::Result<usize> {
        match grams {
            [] => Ok(0),
            // An error of an earlier datagram, which only connected sockets are told of, would be lost in the middle of several.
            [(data, to), rest @ ..] if self.connected || rest.is_empty() => {
                self.send(data, to).map(|()| 1)
            }
            _ => {
                let socket = &self.inner;
                let each = |grams: &[(&[u8], &Addr)]| super::batch::send(socket, grams);
                let sent = self.runs.send(grams, |run| run.send(socket), each);
                self.room.after(&mut self.inner, &self.registry, sent)
            }
        }
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn set_option(&mut self, option: GramOption) -> io::Result<()> {
        let (socket, v6) = (SockRef::from(&self.inner), self.is_v6());
        match (option, v6) {
            (GramOption::Broadcast(on), _) => socket.set_broadcast(on),
            (GramOption::Ttl(hops), false) => socket.set_ttl_v4(in_int(hops)),
            (GramOption::Ttl(hops), true) => {
                also_v4(|| socket.set_ttl_v4(in_int(hops)))?;
                socket.set_unicast_hops_v6(in_int(hops))
            }
            (GramOption::MulticastTtl(hops), false) => socket.set_multicast_ttl_v4(in_int(hops)),
            (GramOption::MulticastTtl(hops), true) => {
                also_v4(|| socket.set_multicast_ttl_v4(in_int(hops)))?;
                socket.set_multicast_hops_v6(in_int(hops))
            }
            (GramOption::MulticastLoop(on), false) => socket.set_multicast_loop_v4(on),
            (GramOption::MulticastLoop(on), true) => {
                also_v4(|| socket.set_multicast_loop_v4(on))?;
                socket.set_multicast_loop_v6(on)
            }
            (GramOption::MulticastInterface(at), false) => {
                socket.set_multicast_if_v4(&addr_of(at).ok_or_else(no_such_interface)?)
            }
            (GramOption::MulticastInterface(at), true) => {
                socket.set_multicast_if_v6(index_of(at).ok_or_else(no_such_interface)?)
            }
            (GramOption::Join(group, at), _) => member(&socket, group, at, true),
            (GramOption::Leave(group, at), _) => member(&socket, group, at, false),
        }
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        options::buffer_sizes(&SockRef::from(&self.inner))
    }

    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.inner))
    }
}

#[cfg(windows)]
const WSAEMSGSIZE: i32 = 10_040;

/// Hops that an `int` holds, so that the system refuses too many: of the most it would see -1, which stands for its default.
fn in_int(hops: u32) -> u32 {
    hops.min(256)
}

/// The same for what an IPv6 socket sends to IPv4 addresses, where the system has it apart. Elsewhere it does not take it there.
fn also_v4(set: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if cfg!(any(target_os = "linux", target_os = "android")) { set() } else { Ok(()) }
}

fn no_such_interface() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "IPv4 names an interface by its address, IPv6 by its index",
    )
}

/// How IPv4 names an interface; `None` if it cannot.
fn addr_of(at: Interface) -> Option<Ipv4Addr> {
    match at {
        Interface::Any => Some(Ipv4Addr::UNSPECIFIED),
        Interface::Addr(addr) => Some(addr),
        Interface::Index(_) => None,
    }
}

/// How IPv6 names an interface; `None` if it cannot.
fn index_of(at: Interface) -> Option<u32> {
    match at {
        Interface::Any => Some(0),
        Interface::Index(index) => Some(index),
        Interface::Addr(_) => None,
    }
}

/// Joins a group or leaves it.
fn member(socket: &SockRef<'_>, group: IpAddr, at: Interface, join: bool) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => match addr_of(at) {
            Some(addr) if join => socket.join_multicast_v4(&group, &addr),
            Some(addr) => socket.leave_multicast_v4(&group, &addr),
            None => member_by_index(socket, group, at, join),
        },
        IpAddr::V6(group) => {
            let index = index_of(at).ok_or_else(no_such_interface)?;
            if join {
                socket.join_multicast_v6(&group, index)
            } else {
                socket.leave_multicast_v6(&group, index)
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos"))]
fn member_by_index(
    socket: &SockRef<'_>,
    group: Ipv4Addr,
    at: Interface,
    join: bool,
) -> io::Result<()> {
    let index = index_of(at).ok_or_else(no_such_interface)?;
    let interface = socket2::InterfaceIndexOrAddress::Index(index);
    if join {
        socket.join_multicast_v4_n(&group, &interface)
    } else {
        socket.leave_multicast_v4_n(&group, &interface)
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "macos"
)))]
fn member_by_index(_: &SockRef<'_>, _: Ipv4Addr, _: Interface, _: bool) -> io::Result<()> {
    Err(no_such_interface())
}
