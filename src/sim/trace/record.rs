//! One thing that happened.

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::sim::{Errno, HostId, Op, Side};
use crate::tyme::Tyme;

/// One thing that happened in a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the trace, from 0.
    pub index: u64,
    /// When, by the world's clock.
    pub tyme: Tyme,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A host was added.
    Host {
        /// Who.
        host: HostId,
        /// Its name.
        name: String,
        /// Its addresses.
        addrs: Vec<IpAddr>,
    },
    /// A host got a turn.
    Turn {
        /// Who.
        host: HostId,
    },
    /// A program called its network. What a fault answered in the network's stead is a [`Fault`](What::Fault).
    Call {
        /// Who.
        host: HostId,
        /// What it called.
        op: Op,
        /// On what: the number of the connection, or the port of a listener or datagram socket; of one of Unix sockets a number
        /// that its `listen` or `bind` gave.
        on: u32,
        /// What came of it: bytes, a number of something, 0 or 1.
        result: Result<u64, Errno>,
    },
    /// A connection was begun.
    Conn {
        /// Its number, in the order of beginning.
        conn: u32,
        /// Who connects.
        from: HostId,
        /// Whose address it is that it connects to, if anybody's.
        to: Option<HostId>,
        /// The end that connects.
        dialler: SocketAddr,
        /// The end that is connected to.
        target: SocketAddr,
    },
    /// A TCP segment was sent.
    Segment {
        /// Of which connection.
        conn: u32,
        /// By which side.
        side: Side,
        /// Its flags.
        flags: Flags,
        /// Its sequence number, from 0 for SYN.
        seq: u64,
        /// Its acknowledgement number, from 0 for the peer's SYN.
        ack: u64,
        /// The window that it offers.
        window: u32,
        /// What became of it.
        fate: Fate,
        /// Its payload.
        data: Bytes,
    },
    /// A datagram was sent.
    Gram {
        /// By whom.
        from: HostId,
        /// Whose address it was sent to, if anybody's.
        to: Option<HostId>,
        /// From which end.
        source: SocketAddr,
        /// To which end.
        target: SocketAddr,
        /// What became of it.
        fate: Fate,
        /// Its payload.
        data: Bytes,
    },
    /// A host told another that nobody listens for its datagrams there (ICMP).
    Unreachable {
        /// Who tells it.
        from: HostId,
        /// Who sent the datagram.
        to: HostId,
        /// The end that sent it.
        source: SocketAddr,
        /// The end where nobody listens.
        target: SocketAddr,
        /// What became of the message.
        fate: Fate,
    },
    /// Bytes or a datagram went from one Unix socket to another, of the same host and at once.
    Local {
        /// Whose.
        host: HostId,
        /// From which: the number of the connection, or of the datagram socket.
        on: u32,
        /// What.
        data: Bytes,
    },
    /// A rule changed what a call did.
    Fault {
        /// On whose network.
        host: HostId,
        /// The rule's name.
        rule: String,
        /// The call.
        op: Op,
        /// What it did.
        effect: String,
    },
    /// Something befell the world: a partition, a crash, …
    Act {
        /// In words.
        text: String,
    },
    /// A host went down or came up.
    Up {
        /// Who.
        host: HostId,
        /// Whether it is up now.
        up: bool,
    },
    /// A packet has piled up at the end of a clogged way; it arrives when that is unclogged.
    Held {
        /// Who sent it.
        from: HostId,
        /// Whom it is for.
        to: HostId,
        /// The connection, of a TCP segment.
        conn: Option<u32>,
    },
    /// A packet got to its host and was dropped there.
    Dropped {
        /// Who sent it.
        from: HostId,
        /// Whom it was for.
        to: HostId,
        /// The connection, of a TCP segment.
        conn: Option<u32>,
        /// Why.
        why: Why,
    },
    /// A timer of a connection went off. Acknowledgements that wait for company are left out.
    Timer {
        /// Whose.
        host: HostId,
        /// The connection.
        conn: u32,
        /// For what.
        timer: Timer,
    },
    /// A program's own remark.
    Note {
        /// Whose.
        host: HostId,
        /// In its words.
        text: String,
    },
}

/// A timer of a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timer {
    /// It tries again what did not get through, or asks for an answer or for room.
    Retry,
    /// It has waited long enough, and is given up.
    GiveUp,
    /// It looks whether the peer is still there.
    KeepAlive,
}

/// What became of a packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at this tyme, unless the way is clogged or the host down by then.
    Arrives(Tyme),
    /// It is lost.
    Lost(Why),
}

/// Why a packet is lost.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The way is cut.
    Cut,
    /// By chance.
    Chance,
    /// The queue of the link was full.
    Queue,
    /// Nobody has that address.
    NoHost,
    /// It would arrive after the end of time.
    Never,
    /// The host was down.
    Down,
    /// The socket's buffer was full.
    Buffer,
}

/// Flags of a TCP segment, as on the wire (RFC 9293 section 3.1).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// FIN.
    pub const FIN: Flags = Flags(0x01);
    /// SYN.
    pub const SYN: Flags = Flags(0x02);
    /// RST.
    pub const RST: Flags = Flags(0x04);
    /// PSH.
    pub const PSH: Flags = Flags(0x08);
    /// ACK.
    pub const ACK: Flags = Flags(0x10);

    /// Whether all of `flags` are in here.
    #[must_use]
    pub const fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
}

/// As in `SYN ACK`.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Flags::SYN, "SYN"),
            (Flags::FIN, "FIN"),
            (Flags::RST, "RST"),
            (Flags::PSH, "PSH"),
            (Flags::ACK, "ACK"),
        ];
        let mut gap = "";
        for (_, name) in names.into_iter().filter(|&(flag, _)| self.has(flag)) {
            write!(f, "{gap}{name}")?;
            gap = " ";
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Cut => "the way is cut",
            Why::Chance => "by chance",
            Why::Queue => "the link's queue is full",
            Why::NoHost => "nobody has that address",
            Why::Never => "it would never arrive",
            Why::Down => "the host is down",
            Why::Buffer => "the socket's buffer is full",
        })
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Timer::Retry => "tries again",
            Timer::GiveUp => "gives up",
            Timer::KeepAlive => "looks after",
        })
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Arrives(tyme) => write!(f, "arrives {tyme}"),
            Fate::Lost(why) => write!(f, "lost: {why}"),
        }
    }
}

/// `#12 0.001000000 host 1 read conn 3: 64`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} {}", self.index, self.tyme, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Host { host, name, addrs } => write!(f, "{host:?} is {name}, at {addrs:?}"),
            What::Turn { host } => write!(f, "{host:?} turn"),
            What::Call { host, op, on, result: Ok(n) } => write!(f, "{host:?} {op} {on}: {n}"),
            What::Call { host, op, on, result: Err(errno) } => {
                write!(f, "{host:?} {op} {on}: {errno}")
            }
            What::Conn { conn, from, dialler, target, .. } => {
                write!(f, "{from:?} begins connection {conn}, {dialler} to {target}")
            }
            What::Segment { conn, side, flags, seq, ack, window, fate, data } => write!(
                f,
                "connection {conn} {side:?} sends {flags} seq {seq} ack {ack} window {window} \
                 and {} bytes, {fate}",
                data.len()
            ),
            What::Gram { from, source, target, fate, data, .. } => write!(
                f,
                "{from:?} sends a datagram, {source} to {target}, of {} bytes, {fate}",
                data.len()
            ),
            What::Unreachable { from, source, target, fate, .. } => {
                write!(f, "{from:?} tells {source} that {target} is unreachable, {fate}")
            }
            What::Local { host, on, data } => {
                write!(f, "{host:?} passes on {} bytes of {on}", data.len())
            }
            What::Fault { host, rule, op, effect } => {
                write!(f, "{host:?} fault {rule:?} on {op}: {effect}")
            }
            What::Act { text } => write!(f, "act: {text}"),
            What::Up { host, up: true } => write!(f, "{host:?} is up"),
            What::Up { host, up: false } => write!(f, "{host:?} is down"),
            What::Held { from, to, conn } => {
                write!(f, "{} from {from:?} piles up before {to:?}", Packet(*conn))
            }
            What::Dropped { from, to, conn, why } => {
                write!(f, "{} from {from:?} is dropped at {to:?}: {why}", Packet(*conn))
            }
            What::Timer { host, conn, timer } => write!(f, "{host:?} {timer} connection {conn}"),
            What::Note { host, text } => write!(f, "{host:?} notes: {text}"),
        }
    }
}

/// A packet in words.
struct Packet(Option<u32>);

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(conn) => write!(f, "a segment of connection {conn}"),
            None => f.write_str("a datagram"),
        }
    }
}
