//! What a world is made of: hosts, and the links between them.

use core::fmt;
use core::time::Duration;
use std::net::IpAddr;

use super::Rng;

/// Names a host of one world: 0 for the first that was added, and so on.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) u32);

impl HostId {
    /// Its place in the order in which hosts were added.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.0)
    }
}

/// What a host is to be like.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostSpec {
    /// Its name, by which others [resolve](super::World::resolve) it and rules select it. As in the DNS, case and a dot at the end make no other name
    /// of it; for rules it is as it is written.
    pub name: String,
    /// Its addresses; IPv4 addresses that IPv6 carries are those IPv4 addresses. Default empty: the world gives it `10.x.y.z` and `fd00::n` by the order
    /// of adding.
    pub addrs: Vec<IpAddr>,
    /// How far its clock is ahead of the world's from the start. Default zero.
    pub ahead: Duration,
    /// How much faster its clock runs, in parts in 10^9; slower if negative. Default 0. Crystals: ±50,000.
    pub drift_ppb: i32,
    /// The least time from one turn of its program to the next, which stands for the time that a turn takes. Default 1 µs.
    /// Never zero in effect (1 ns), so that a program that always wants another turn cannot stop time.
    pub turn: Duration,
    /// How many sockets it may hold; beyond, calls fail with `EMFILE`. Default 1,048,576.
    pub max_sockets: usize,
    /// Bytes that a TCP socket takes in before the program reads them: its greatest window. Default 65,536; it is *reported* as
    /// twice that, as Linux does. All buffers are at most 1 GiB.
    pub recv_buffer: usize,
    /// Bytes that a TCP socket takes from the program before the peer has acknowledged them, or a Unix stream before the peer has read them.
    /// Default 65,536, reported as twice that.
    pub send_buffer: usize,
    /// Bytes of datagrams that a UDP socket holds until they are read; what comes beyond is lost. Also what a Unix datagram socket may have sent that nobody
    /// has read yet; beyond, it would block. Default 212,992 as on Linux.
    pub gram_buffer: usize,
    /// Whether an unconnected UDP socket hears that nobody listens where it sent to. Default off, as on Linux; on is as on Windows.
    /// A socket in connected mode always hears it.
    pub unreachable_to_all: bool,
    /// The link from the host to itself. Default 10 µs.
    pub loopback: Link,
    /// The first and the last port that the host picks by itself. Default 32,768 to 60,999 as on Linux.
    pub ephemeral_ports: (u16, u16),
}

impl HostSpec {
    /// A host with this name and the defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        HostSpec {
            name: name.into(),
            addrs: Vec::new(),
            ahead: Duration::ZERO,
            drift_ppb: 0,
            turn: Duration::from_micros(1),
            max_sockets: 1 << 20,
            recv_buffer: 65_536,
            send_buffer: 65_536,
            gram_buffer: 212_992,
            unreachable_to_all: false,
            loopback: Link::new(Duration::from_micros(10)),
            ephemeral_ports: (32_768, 60_999),
        }
    }
}

impl HostSpec {
    /// Within what the machine can reckon with.
    pub(super) fn bounded(mut self) -> Self {
        self.recv_buffer = self.recv_buffer.min(LARGEST);
        self.send_buffer = self.send_buffer.min(LARGEST);
        self.gram_buffer = self.gram_buffer.min(LARGEST);
        self.loopback = self.loopback.bounded();
        self.addrs.iter_mut().for_each(|ip| *ip = ip.to_canonical());
        self
    }
}

impl<S: Into<String>> From<S> for HostSpec {
    fn from(name: S) -> Self {
        HostSpec::new(name)
    }
}

/// One direction of the way between two hosts.
///
/// TCP suffers loss only as delay (a retransmission time-out, 200 ms and doubling), stays in order and is never duplicated;
/// datagrams get the full treatment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// Time on the way, without that for sending. Default of a world: 1 ms. Times of a link beyond a century are a century.
    pub latency: Duration,
    /// At most so much more, drawn evenly for each packet. Default zero.
    pub jitter: Duration,
    /// Bytes per second, at least one. Default `None`: no limit.
    pub bandwidth: Option<u64>,
    /// Bytes that wait for their turn on a link with limited bandwidth; a datagram that does not fit any more is lost, except that one always fits
    /// where none waits. TCP, which its windows hold back, always waits. So many bytes of datagrams also pile up on a way that is
    /// [clogged](super::Act::Clog). Default 262,144.
    pub queue: usize,
    /// Probability that a packet is lost. Default 0.
    pub loss: f64,
    /// Probability that a datagram arrives twice. Default 0.
    pub duplicate: f64,
    /// Probability that a datagram is overtaken: it takes up to [`overtaken_by`](Link::overtaken_by) longer. Default 0.
    pub reorder: f64,
    /// See [`reorder`](Link::reorder). Default 10 ms.
    pub overtaken_by: Duration,
}

impl Link {
    /// A perfect link with this latency.
    #[must_use]
    pub fn new(latency: Duration) -> Self {
        Link {
            latency,
            jitter: Duration::ZERO,
            bandwidth: None,
            queue: 262_144,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            overtaken_by: Duration::from_millis(10),
        }
    }
}

/// Longest times of a link: sums of a few of them must not overflow.
const CENTURY: Duration = Duration::from_secs(36_525 * 86_400);
/// Largest buffers of a socket, as many bytes as a window can offer.
const LARGEST: usize = 1 << 30;

impl Link {
    /// Within what the machine can reckon with.
    pub(super) fn bounded(mut self) -> Self {
        self.latency = self.latency.min(CENTURY);
        self.jitter = self.jitter.min(CENTURY);
        self.overtaken_by = self.overtaken_by.min(CENTURY);
        self.bandwidth = self.bandwidth.map(|rate| rate.max(1));
        self
    }
}

impl Default for Link {
    fn default() -> Self {
        Link::new(Duration::from_millis(1))
    }
}

/// Which ways are cut by a [`Partition`](super::Act::Partition). Packets that would cross are lost; those already under way arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// Between these hosts and all others, both ways.
    Split(Vec<HostId>),
    /// Between this host and all others, both ways.
    Isolate(HostId),
    /// Between these two, both ways.
    Pair(HostId, HostId),
    /// From the first to the second only.
    OneWay {
        /// Whose packets are lost.
        from: HostId,
        /// Who does not get them.
        to: HostId,
    },
}

impl Cut {
    /// Puts each host on one of two sides, evenly drawn; of two or more hosts at least one on each.
    #[must_use]
    pub fn draw(rng: &mut Rng, hosts: &[HostId]) -> Cut {
        let mut group: Vec<HostId> = hosts.iter().copied().filter(|_| rng.chance(0.5)).collect();
        if group.len() == hosts.len() && group.len() > 1 {
            group.remove(rng.index(hosts.len()));
        } else if group.is_empty() && hosts.len() > 1 {
            group.push(hosts[rng.index(hosts.len())]);
        }
        Cut::Split(group)
    }

    /// The hosts that it names.
    pub(super) fn hosts(&self) -> Vec<HostId> {
        match self {
            Cut::Split(group) => group.clone(),
            Cut::Isolate(host) => vec![*host],
            Cut::Pair(a, b) | Cut::OneWay { from: a, to: b } => vec![*a, *b],
        }
    }

    /// Whether packets from one to the other are lost.
    #[must_use]
    pub fn severs(&self, from: HostId, to: HostId) -> bool {
        match self {
            Cut::Split(group) => group.contains(&from) != group.contains(&to),
            Cut::Isolate(host) => (from == *host) != (to == *host),
            Cut::Pair(a, b) => (from, to) == (*a, *b) || (from, to) == (*b, *a),
            Cut::OneWay { from: f, to: t } => (from, to) == (*f, *t),
        }
    }
}
