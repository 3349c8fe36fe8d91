//! Who holds which port of a host, and whether another may have it too.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::sim::Key;
use crate::tyme::Tyme;

/// For which addresses a port is held.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    AllV4,
    AllV6,
    All,
    One(IpAddr),
}

impl Scope {
    pub(super) fn of(ip: IpAddr, only_v6: Option<bool>) -> Scope {
        match ip.to_canonical() {
            IpAddr::V4(ip) if ip.is_unspecified() => Scope::AllV4,
            IpAddr::V6(ip) if ip.is_unspecified() && only_v6 == Some(true) => Scope::AllV6,
            IpAddr::V6(ip) if ip.is_unspecified() => Scope::All,
            ip => Scope::One(ip),
        }
    }

    pub(super) fn covers(self, ip: IpAddr) -> bool {
        match self {
            Scope::AllV4 => ip.is_ipv4(),
            Scope::AllV6 => ip.is_ipv6(),
            Scope::All => true,
            Scope::One(own) => own == ip,
        }
    }

    /// Whether a socket that is bound so can send there: within its family, or to both from all addresses.
    pub(super) fn speaks_to(self, ip: IpAddr) -> bool {
        match self {
            Scope::One(own) => own.is_ipv4() == ip.is_ipv4(),
            all => all.covers(ip),
        }
    }

    fn overlaps(self, other: Scope) -> bool {
        match (self, other) {
            (Scope::One(ip), scope) | (scope, Scope::One(ip)) => scope.covers(ip),
            (Scope::AllV4, Scope::AllV6) | (Scope::AllV6, Scope::AllV4) => false,
            _ => true,
        }
    }
}

/// What holds a port.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub(super) scope: Scope,
    pub(super) reuse_addr: bool,
    pub(super) reuse_port: bool,
    pub(super) listens: bool,
}

impl Holder {
    /// As Linux decides it (`inet_bind_conflict`): both must agree to share, and what listens shares only by `SO_REUSEPORT`.
    fn conflicts(&self, new: &Holder) -> bool {
        self.scope.overlaps(new.scope)
            && !(self.reuse_addr && new.reuse_addr && !self.listens)
            && !(self.reuse_port && new.reuse_port)
    }
}

/// What a pair of ends belongs to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    Conn(Key),
    /// The connection is closed; stray packets of it may still be about.
    Waits(Tyme),
}

/// A datagram socket that is bound to a port.
#[derive(Copy, Clone, Debug)]
pub(super) struct Bound {
    pub(super) scope: Scope,
    pub(super) key: Key,
    pub(super) reuse_addr: bool,
    pub(super) reuse_port: bool,
}

/// The ports of one host.
#[derive(Debug, Default)]
pub(super) struct Ports {
    tcp: BTreeMap<u16, BTreeMap<Holder, u32>>,
    udp: BTreeMap<u16, Vec<Bound>>,
    pairs: BTreeMap<(SocketAddr, SocketAddr), Pair>,
    waits: VecDeque<(Tyme, SocketAddr, SocketAddr, Holder)>,
    next: u16,
}

impl Ports {
    pub(super) fn starting_at(next: u16) -> Self {
        Ports { next, ..Ports::default() }
    }

    /// Forgets everything but the port to pick next, as a host that starts anew does.
    pub(super) fn clear(&mut self) {
        *self = Ports::starting_at(self.next);
    }

    /// Frees what has waited long enough.
    pub(super) fn expire(&mut self, now: Tyme) {
        while let Some(&(until, local, peer, holder)) = self.waits.front()
            && until <= now
        {
            self.waits.pop_front();
            if self.pairs.get(&(local, peer)) == Some(&Pair::Waits(until)) {
                self.pairs.remove(&(local, peer));
            }
            self.release(local.port(), holder);
        }
    }

    pub(super) fn may_hold(&self, port: u16, new: &Holder) -> bool {
        self.tcp.get(&port).is_none_or(|held| held.keys().all(|holder| !holder.conflicts(new)))
    }

    pub(super) fn hold(&mut self, port: u16, holder: Holder) {
        *self.tcp.entry(port).or_default().entry(holder).or_default() += 1;
    }

    pub(super) fn release(&mut self, port: u16, holder: Holder) {
        let Some(held) = self.tcp.get_mut(&port) else { return };
        if let Some(count) = held.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&holder);
            }
        }
        if held.is_empty() {
            self.tcp.remove(&port);
        }
    }

    pub(super) fn pair(&self, local: SocketAddr, peer: SocketAddr) -> Option<Pair> {
        self.pairs.get(&(local, peer)).copied()
    }

    pub(super) fn set_pair(&mut self, local: SocketAddr, peer: SocketAddr, key: Key) {
        self.pairs.insert((local, peer), Pair::Conn(key));
    }

    pub(super) fn clear_pair(&mut self, local: SocketAddr, peer: SocketAddr, key: Key) {
        if self.pair(local, peer) == Some(Pair::Conn(key)) {
            self.pairs.remove(&(local, peer));
        }
    }

    /// Keeps the pair and the port until `until`; `until` never decreases from call to call.
    pub(super) fn wait(&mut self, until: Tyme, ends: (SocketAddr, SocketAddr), holder: Holder) {
        self.pairs.insert(ends, Pair::Waits(until));
        self.waits.push_back((until, ends.0, ends.1, holder));
    }

    /// The next port of the range that `fits`.
    pub(super) fn pick(
        &mut self,
        (low, high): (u16, u16),
        fits: impl Fn(&Ports, u16) -> bool,
    ) -> Option<u16> {
        let low = low.max(1);
        for _ in low..=high {
            if self.next < low || self.next > high {
                self.next = low;
            }
            let port = self.next;
            self.next = self.next.wrapping_add(1);
            if fits(self, port) {
                return Some(port);
            }
        }
        None
    }

    /// Whether a connection to `peer` may have this port, picked by the host.
    pub(super) fn may_dial(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        self.pair(local, peer).is_none()
            && self.tcp.get(&local.port()).is_none_or(|held| {
                held.keys().all(|holder| !holder.listens || !holder.scope.covers(local.ip()))
            })
    }

    /// Whether a datagram socket may have this port: both must agree to share.
    pub(super) fn may_bind(&self, port: u16, new: &Bound) -> bool {
        let shared = |own: &Bound| {
            !own.scope.overlaps(new.scope)
                || (own.reuse_addr && new.reuse_addr)
                || (own.reuse_port && new.reuse_port)
        };
        self.bound(port).iter().all(shared)
    }

    pub(super) fn bind(&mut self, port: u16, bound: Bound) {
        self.udp.entry(port).or_default().push(bound);
    }

    pub(super) fn unbind(&mut self, port: u16, key: Key) {
        if let Some(held) = self.udp.get_mut(&port) {
            held.retain(|own| own.key != key);
            if held.is_empty() {
                self.udp.remove(&port);
            }
        }
    }

    /// The datagram sockets on this port, in the order of binding.
    pub(super) fn bound(&self, port: u16) -> &[Bound] {
        self.udp.get(&port).map_or(&[], Vec::as_slice)
    }
}
