//! Whole worlds of hosts in simulated time, reproducible bit for bit.
//!
//! A [`World`] has hosts, and each host has a [`Net`](crate::net::Net): the seam that every engine of this crate is written against.
//! So the program that serves real sockets is put on a simulated host unchanged. Time moves only from one thing that is due to the next,
//! so an idle year costs nothing; order is (tyme, sequence) and nothing else; and everything random comes from one seed.
//!
//! # Walk
//!
//! * [`World`] — making it, stepping it, what befalls it ([`Act`])
//! * [`HostSpec`], [`Link`], [`Cut`] — what it is made of
//! * A [`Doer`](crate::doing::Doer) is what runs on a host, its program; or a caller holds its own engines and asks for turns by hand
//! * [`ServerDoer`](crate::doing::ServerDoer) — a [`Server`](crate::Server) and your code around it, as a program
//! * [`fault`] — rules that make calls fail, also on real sockets
//! * [`trace`] — what happened: hash, file, first difference, pcapng, timeline
//! * [`swarm`] — worlds by the thousand, each drawn from a seed, to find what nobody thought of
//! * [`Rng`], [`Errno`] — numbers
//!
//! # What TCP is here
//!
//! Streams with what a program can see of TCP on Linux: handshake, backlog, refusal, time-outs, windows, partial writes, half-close,
//! resets, `TIME_WAIT`, port rules, errors by number. Loss shows as delay. Below what a program can see it is simpler: no congestion control, no
//! Nagle, no urgent data, no simultaneous open; `TCP_NODELAY` is always on. SYNs are sent again after 1, 3, 7, … s and given up after 127 s, as on
//! Linux before 6.5. Retransmissions are made where something was lost, not where it is only slow. The tests make random calls, on TCP, UDP and Unix sockets,
//! in a world and on the Linux that they run on, side by side: each is answered alike, and the same is reported ready.
//!
//! # What UDP is here
//!
//! Datagrams that get lost, doubled, overtaken and cut, ports shared by `SO_REUSEADDR` or `SO_REUSEPORT`, `ECONNREFUSED` in connected mode, broadcast to
//! 255.255.255.255, and multicast to who has joined. All hosts are on one network without routers, interface 2 of each; interface 1 is the loopback. A
//! multicast TTL of 0 stays on the host, other TTLs mean nothing, and there are no broadcast addresses of subnets. As on Linux a copy goes to the sender's
//! own host too; each copy has the fate of its own path. Nothing waits in a send buffer.
//!
//! # What Unix sockets are here
//!
//! Streams and datagrams between programs of one host, by path, by abstract name or without a name; other hosts have names of their own. What is written is
//! there at once, whatever the links; what can be seen of backlogs, queues, resets and errors is as on Linux, where there is no way to ask for a reset. They
//! need no feature but `sim`, and are the same on every system. [`Rule`](fault::Rule)s apply to them as to all others.
//!
//! A path is only a name: all directories exist, none can be bound, [`SocketFile::mode`](crate::net::SocketFile::mode) has no effect, and a relative path is
//! another one than an absolute path. The file goes with its socket; a crash leaves it behind, and it is replaced on request only. With the feature `uds` the
//! peer's credentials are user and group 1000, and as the process the host's number, from 1. There are no descriptors to pass: streams give them back, datagram
//! sockets say `Unsupported`.
//!
//! # For example
//!
//! ```
//! use std::time::Duration;
//! use tymist::net::{Addr, Dial, Listen};
//! use tymist::sim::World;
//!
//! let mut world = World::new(7);
//! let (alice, bob) = (world.add_host("alice"), world.add_host("bob"));
//! let mut net = world.host(bob).net();
//! let mut listener = net.listen(&"0.0.0.0:80".parse::<Listen>()?)?;
//! let target = Addr::from((world.resolve("bob")[0], 80));
//! let mut stream = world.host(alice).net().connect(&Dial::new(target))?;
//! world.run_for(Duration::from_millis(10));
//! assert!(stream.connected()?);
//! let mut accepted = listener.accept()?;
//! stream.write(&[std::io::IoSlice::new(b"hello")])?;
//! world.run_for(Duration::from_millis(10));
//! let mut buf = [0; 16];
//! assert_eq!(accepted.read(&mut buf)?, 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calls;
mod errno;
pub mod fault;
mod machine;
mod net;
mod queue;
mod rng;
mod serve;
mod stats;
pub mod swarm;
mod topology;
pub mod trace;
mod unix;
mod world;

pub use calls::{Op, Side};
pub use errno::Errno;
pub use rng::Rng;
pub use stats::Stats;
pub use topology::{Cut, HostId, HostSpec, Link};
pub use trace::{Trace, Tracing};
pub use world::{Act, Host, Step, Unfired, World, WorldSpec};

/// Names a socket inside a world: a place and which use of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    index: u32,
    stamp: u32,
}

impl Key {
    /// No socket's.
    const NOBODY: Key = Key { index: u32::MAX, stamp: 0 };

    fn new(index: usize, stamp: u32) -> Key {
        Key { index: u32::try_from(index).unwrap_or(u32::MAX), stamp }
    }

    #[inline]
    fn index(self) -> usize {
        self.index as usize
    }
}
