//! The calls that a program makes on its network, by name, and the two sides of a connection.

use core::fmt;

/// A call through the seam.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Op {
    /// [`Net::listen`](crate::net::Net::listen).
    Listen,
    /// [`Net::connect`](crate::net::Net::connect).
    Connect,
    /// [`Stream::connected`](crate::net::Stream::connected).
    Connected,
    /// [`Listener::accept`](crate::net::Listener::accept).
    Accept,
    /// [`Stream::read`](crate::net::Stream::read).
    Read,
    /// [`Stream::write`](crate::net::Stream::write).
    Write,
    /// [`Stream::shutdown`](crate::net::Stream::shutdown).
    Shutdown,
    /// Dropping a stream, a listener or a datagram socket.
    Close,
    /// Dropping a stream after [`Stream::set_abortive`](crate::net::Stream::set_abortive).
    Abort,
    /// [`Net::bind`](crate::net::Net::bind).
    Bind,
    /// [`Datagram::receive`](crate::net::Datagram::receive).
    Receive,
    /// [`Datagram::send`](crate::net::Datagram::send).
    Send,
    /// [`Net::harvest`](crate::net::Net::harvest).
    Harvest,
    /// [`Net::lookup`](crate::net::Net::lookup).
    Lookup,
}

impl Op {
    /// All of them.
    pub const ALL: &[Op] = &[
        Op::Listen,
        Op::Connect,
        Op::Connected,
        Op::Accept,
        Op::Read,
        Op::Write,
        Op::Shutdown,
        Op::Close,
        Op::Abort,
        Op::Bind,
        Op::Receive,
        Op::Send,
        Op::Harvest,
        Op::Lookup,
    ];

    pub(super) fn from_code(code: u8) -> Option<Op> {
        Self::ALL.get(usize::from(code)).copied()
    }

    pub(super) const fn code(self) -> u8 {
        self as u8
    }
}

/// As in `read`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Op::Listen => "listen",
            Op::Connect => "connect",
            Op::Connected => "connected",
            Op::Accept => "accept",
            Op::Read => "read",
            Op::Write => "write",
            Op::Shutdown => "shutdown",
            Op::Close => "close",
            Op::Abort => "abort",
            Op::Bind => "bind",
            Op::Receive => "receive",
            Op::Send => "send",
            Op::Harvest => "harvest",
            Op::Lookup => "lookup",
        };
        f.write_str(name)
    }
}

/// Which end of a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one that connected.
    Dialled,
    /// The one that was accepted.
    Accepted,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Side {
        match self {
            Side::Dialled => Side::Accepted,
            Side::Accepted => Side::Dialled,
        }
    }
}
