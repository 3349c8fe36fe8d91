//! The ways between hosts: what becomes of a packet.

use core::time::Duration;
use std::net::SocketAddr;

use bytes::Bytes;

use super::Core;
use crate::sim::queue::Event;
use crate::sim::topology::{HostId, Link};
use crate::sim::trace::{Fate, Flags, What, Why};
use crate::sim::{Key, Rng, Side};
use crate::tyme::Tyme;

/// One direction of the way between two hosts. Ways come in pairs: that back has the number with the lowest bit turned.
pub(super) struct Path {
    pub(super) from: HostId,
    pub(super) to: HostId,
    pub(super) link: Link,
    /// When the link has sent all that was given to it.
    busy: Tyme,
    /// Its own, so that leaving out one host changes nothing on the ways between the others.
    pub(super) rng: Rng,
    pub(super) cut: bool,
    pub(super) clogged: bool,
    /// What has arrived while it was clogged.
    pub(super) held: Vec<u32>,
    /// Bytes of datagrams among it.
    pub(super) held_bytes: usize,
}

impl Path {
    /// From now on it is like this. What waits for its turn stays so many bytes, which take as long as they do on the new link.
    fn relink(&mut self, link: Link, now: Tyme) {
        if self.link.bandwidth != link.bandwidth {
            let left = self.busy.max(now) - now;
            let waiting = self.link.bandwidth.map_or(0, |rate| bytes_in(left, rate));
            let time = link.bandwidth.map_or(Duration::ZERO, |rate| time_for(waiting, rate));
            self.busy = now + time;
        }
        self.link = link;
    }
}

/// What is under way.
pub(super) struct Packet {
    pub(super) path: u32,
    pub(super) body: Body,
}

pub(super) enum Body {
    Syn(Syn),
    Segment(Segment),
    Gram { source: SocketAddr, target: SocketAddr, data: Bytes },
    Unreachable { source: SocketAddr, target: SocketAddr },
}

impl Body {
    /// The connection that it belongs to, if any.
    fn conn(&self) -> Option<u32> {
        match self {
            Body::Syn(Syn { conn, .. }) | Body::Segment(Segment { conn, .. }) => Some(*conn),
            Body::Gram { .. } | Body::Unreachable { .. } => None,
        }
    }
}

/// The segment that asks for a connection; it finds its listener by address.
#[derive(Clone)]
pub(super) struct Syn {
    pub(super) from: Key,
    pub(super) conn: u32,
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
}

/// Any other segment; it knows its end. Sequence numbers count from 0 for SYN.
pub(super) struct Segment {
    pub(super) from: Key,
    pub(super) to: Key,
    pub(super) conn: u32,
    pub(super) side: Side,
    pub(super) flags: Flags,
    pub(super) seq: u64,
    pub(super) ack: u64,
    pub(super) window: u32,
    pub(super) data: Bytes,
}

impl Core {
    /// The way from one host to another, made when it is first needed.
    pub(super) fn path(&mut self, from: HostId, to: HostId) -> u32 {
        if let Some(&path) = self.path_index.get(&(from, to)) {
            return path;
        }
        let index = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        for (a, b, back) in [(from, to, ""), (to, from, " back")] {
            let back = if from == to { back } else { "" };
            let (one, other) = (&self.host(a).spec.name, &self.host(b).spec.name);
            let rng = Rng::stream(self.seed, &format!("wire {one} to {other}{back}"));
            let path = Path {
                from: a,
                to: b,
                link: self.link(a, b).clone(),
                busy: self.now,
                rng,
                cut: self.is_cut(a, b),
                clogged: self.clogs.contains(&(a, b)),
                held: Vec::new(),
                held_bytes: 0,
            };
            self.paths.push(path);
        }
        self.path_index.insert((from, to), index);
        if from != to {
            self.path_index.insert((to, from), index + 1);
        }
        index
    }

    pub(in crate::sim) fn link(&self, from: HostId, to: HostId) -> &Link {
        if from == to {
            return &self.host(from).spec.loopback;
        }
        self.links.get(&(from, to)).unwrap_or(&self.default_link)
    }

    pub(in crate::sim) fn set_link(&mut self, from: HostId, to: HostId, link: Link) {
        let link = link.bounded();
        if from == to {
            self.host_mut(from).spec.loopback = link.clone();
        }
        for path in self.ways(from, to) {
            self.paths[path as usize].relink(link.clone(), self.now);
        }
        self.links.insert((from, to), link);
    }

    /// The ways from one host to another that have been made: one, but from a host to itself the pair.
    pub(super) fn ways(&self, from: HostId, to: HostId) -> core::ops::Range<u32> {
        match self.path_index.get(&(from, to)) {
            Some(&path) => path..path + 1 + u32::from(from == to),
            None => 0..0,
        }
    }

    fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts.iter().any(|cut| cut.severs(from, to))
    }

    pub(super) fn recut(&mut self) {
        for index in 0..self.paths.len() {
            let (from, to) = (self.paths[index].from, self.paths[index].to);
            self.paths[index].cut = self.is_cut(from, to);
        }
    }

    /// What becomes of a packet to an address that nobody has.
    pub(super) fn nowhere(&mut self) -> Fate {
        self.stats.packets += 1;
        self.stats.lost += 1;
        Fate::Lost(Why::NoHost)
    }

    /// Decides what becomes of a packet of `size` bytes. One that is `patient` waits however long the link's queue is.
    pub(super) fn fate(&mut self, path: u32, size: usize, patient: bool) -> Fate {
        self.stats.packets += 1;
        let now = self.now;
        let Path { link, busy, cut, rng, .. } = &mut self.paths[path as usize];
        if *cut {
            self.stats.lost += 1;
            return Fate::Lost(Why::Cut);
        }
        if link.loss > 0.0 && rng.chance(link.loss) {
            self.stats.lost += 1;
            return Fate::Lost(Why::Chance);
        }
        let mut at = now;
        let mut free = *busy;
        if let Some(rate) = link.bandwidth {
            let start = now.max(*busy);
            let waiting = bytes_in(start - now, rate);
            if !patient && waiting > 0 && waiting + size as u128 > link.queue as u128 {
                self.stats.lost += 1;
                return Fate::Lost(Why::Queue);
            }
            free = start + time_for(size as u128, rate);
            at = free;
        }
        at += link.latency;
        if link.jitter > Duration::ZERO {
            at += Duration::from_nanos(rng.between(0, crate::tyme::nanos(link.jitter)));
        }
        if at == Tyme::NEVER {
            self.stats.lost += 1;
            return Fate::Lost(Why::Never);
        }
        *busy = free;
        Fate::Arrives(at)
    }

    /// Puts a packet on its way; `at` is not [`NEVER`](Tyme::NEVER).
    pub(super) fn dispatch(&mut self, at: Tyme, path: u32, body: Body) {
        let index = self.packets.insert(Packet { path, body });
        self.queue.push(at, Event::Arrive(u32::try_from(index).unwrap_or(u32::MAX)));
    }

    pub(super) fn arrive(&mut self, index: u32) {
        let path = self.packets[index as usize].path;
        if self.paths[path as usize].clogged {
            return self.pile_up(path, index);
        }
        let packet = self.packets.remove(index as usize);
        if !self.host(self.paths[path as usize].to).up {
            self.drop_arrived(path, &packet.body, Why::Down);
            if let Body::Syn(Syn { from, .. }) | Body::Segment(Segment { from, .. }) = packet.body {
                self.arm_retry_of(Some(from));
            }
            return;
        }
        match packet.body {
            Body::Syn(syn) => self.on_syn(path, &syn),
            Body::Segment(segment) => self.on_segment(path, segment),
            Body::Gram { source, target, data } => self.on_gram(path, source, target, data),
            Body::Unreachable { source, target } => self.on_unreachable(path, source, target),
        }
    }

    /// Keeps what arrives on a clogged way; of datagrams as many as the link's queue holds.
    fn pile_up(&mut self, path: u32, index: u32) {
        let way = &mut self.paths[path as usize];
        if let Body::Gram { data, .. } = &self.packets[index as usize].body {
            if way.held_bytes > 0 && way.held_bytes + data.len() > way.link.queue {
                let packet = self.packets.remove(index as usize);
                return self.drop_arrived(path, &packet.body, Why::Queue);
            }
            way.held_bytes += data.len().max(1);
        }
        way.held.push(index);
        if self.recorder.on() {
            let (from, to) = (way.from, way.to);
            let conn = self.packets[index as usize].body.conn();
            self.record(&What::Held { from, to, conn });
        }
        let sender = self.sender(index);
        self.arm_retry_of(sender);
    }

    /// A packet got there and no further.
    pub(super) fn drop_arrived(&mut self, path: u32, body: &Body, why: Why) {
        self.stats.lost += 1;
        if self.recorder.on() {
            let Path { from, to, .. } = self.paths[path as usize];
            self.record(&What::Dropped { from, to, conn: body.conn(), why });
        }
    }

    /// The TCP end that waits for an answer to this packet.
    fn sender(&self, index: u32) -> Option<Key> {
        match &self.packets[index as usize].body {
            Body::Syn(syn) => Some(syn.from),
            Body::Segment(segment) => Some(segment.from),
            _ => None,
        }
    }

    /// Twice the time that a packet takes without queueing, there and back.
    pub(super) fn round_trip(&self, path: u32) -> Duration {
        let there = &self.paths[path as usize].link;
        let back = &self.paths[(path ^ 1) as usize].link;
        // No overflow: links are bounded.
        there.latency + there.jitter + back.latency + back.jitter
    }
}

fn bytes_in(time: Duration, rate: u64) -> u128 {
    time.as_nanos() * u128::from(rate) / 1_000_000_000
}

fn time_for(size: u128, rate: u64) -> Duration {
    let nanos = (size * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
