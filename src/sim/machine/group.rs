//! Datagrams for many: broadcast and multicast, and the options that go with them.
//!
//! All hosts are on one network, which is interface 2 of each; interface 1 is its loopback. There are no routers and no masks, so any hops at all are
//! enough, and the one address of broadcast is 255.255.255.255. A copy goes to each host that has a receiver when it is sent, each with the fate of its own
//! path; and as on Linux to the sender's own host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use super::Core;
use super::ports::{Bound, Scope};
use super::udp::Udp;
use crate::net::{BufferSizes, GramOption, Interface};
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key};

/// Groups that a socket may be in (`net.ipv4.igmp_max_memberships`).
const MAX_GROUPS: usize = 20;

/// An interface.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wire {
    Loopback,
    Network,
}

/// What a socket has said about datagrams for many.
pub(super) struct Groups {
    broadcast: bool,
    joined: Vec<(IpAddr, Wire)>,
    loops: bool,
    hops: u32,
    out: Wire,
}

impl Groups {
    pub(super) fn new(broadcast: bool) -> Self {
        Groups { broadcast, joined: Vec::new(), loops: true, hops: 1, out: Wire::Network }
    }
}

fn is_broadcast(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether it is the address of many.
pub(super) fn is_many(ip: IpAddr) -> bool {
    ip.is_multicast() || is_broadcast(ip)
}

impl Udp {
    /// Whether it gets what is sent from there to this address of many.
    fn is_among(&self, scope: Scope, source: SocketAddr, target: IpAddr) -> bool {
        let bound = matches!(scope, Scope::AllV4 | Scope::AllV6 | Scope::All)
            && scope.covers(target)
            || scope == Scope::One(target);
        let wire = if source.ip().is_loopback() { Wire::Loopback } else { Wire::Network };
        let member = is_broadcast(target) || self.groups.joined.contains(&(target, wire));
        bound && member && self.peer.is_none_or(|peer| peer == source)
    }
}

impl Core {
    pub(in crate::sim) fn set_gram_option(
        &mut self,
        key: Key,
        option: GramOption,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let wire = self.wire_of(index, option)?;
        let groups = &mut self.udps[index].groups;
        match option {
            GramOption::Broadcast(on) => groups.broadcast = on,
            GramOption::Ttl(1..=255) => {}
            GramOption::MulticastTtl(hops @ 0..=255) => groups.hops = hops,
            GramOption::Ttl(_) | GramOption::MulticastTtl(_) => return Err(Errno::Einval),
            GramOption::MulticastLoop(on) => groups.loops = on,
            GramOption::MulticastInterface(_) => groups.out = wire,
            GramOption::Join(group, _) if groups.joined.contains(&(group, wire)) => {
                return Err(Errno::Eaddrinuse);
            }
            GramOption::Join(..) if groups.joined.len() >= MAX_GROUPS => {
                return Err(Errno::Enobufs);
            }
            GramOption::Join(group, _) => groups.joined.push((group, wire)),
            GramOption::Leave(group, _) => {
                let found = groups.joined.iter().position(|own| *own == (group, wire));
                groups.joined.remove(found.ok_or(Errno::Eaddrnotavail)?);
            }
        }
        Ok(())
    }

    /// The interface that an option names: IPv4 names one by its address, IPv6 by its index.
    fn wire_of(&self, index: usize, option: GramOption) -> Result<Wire, Errno> {
        let (host, v6) = (self.udps[index].host, self.udps[index].local.is_ipv6());
        let (group, at) = match option {
            GramOption::MulticastInterface(at) => (None, at),
            GramOption::Join(group, at) | GramOption::Leave(group, at) => (Some(group), at),
            _ => return Ok(Wire::Network),
        };
        match (group, at) {
            (None, Interface::Index(_)) if !v6 => Err(Errno::Eopnotsupp),
            (None, Interface::Addr(_)) if v6 => Err(Errno::Eopnotsupp),
            (Some(IpAddr::V6(_)), Interface::Addr(_)) => Err(Errno::Eopnotsupp),
            (Some(IpAddr::V6(_)), _) if !v6 => Err(Errno::Enoprotoopt),
            (Some(group), _) if matches!(option, GramOption::Join(..)) && !group.is_multicast() => {
                Err(Errno::Einval)
            }
            (None, _) => self.wire(host, at).ok_or(Errno::Eaddrnotavail),
            (Some(_), _) => self.wire(host, at).ok_or(Errno::Enodev),
        }
    }

    fn wire(&self, host: HostId, at: Interface) -> Option<Wire> {
        match at {
            Interface::Any | Interface::Index(0 | 2) => Some(Wire::Network),
            Interface::Index(1) => Some(Wire::Loopback),
            Interface::Index(_) => None,
            Interface::Addr(ip) if ip.is_unspecified() => Some(Wire::Network),
            Interface::Addr(ip) if ip.is_loopback() => Some(Wire::Loopback),
            Interface::Addr(ip) => {
                self.host(host).addrs.contains(&ip.into()).then_some(Wire::Network)
            }
        }
    }

    /// As Linux reports them. Nothing waits in a send buffer here.
    pub(in crate::sim) fn gram_sizes(&self, key: Key) -> Result<BufferSizes, Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let Udp { cap, send_cap, .. } = self.udps[index];
        Ok(BufferSizes { recv: cap, send: send_cap })
    }

    /// Sends a copy to each host that has somebody for it.
    pub(super) fn send_to_many(
        &mut self,
        (host, key): (HostId, Key),
        (mut source, target): (SocketAddr, SocketAddr),
        data: &Bytes,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let (groups, own) = (&self.udps[index].groups, self.udps[index].local.ip());
        let all = is_broadcast(target.ip());
        if all && !groups.broadcast {
            return Err(Errno::Eacces);
        }
        let inside = source.ip().is_loopback() || (groups.out == Wire::Loopback && !all);
        let near = all || groups.loops;
        let far = !inside && (all || groups.hops > 0);
        if inside && own.is_unspecified() {
            source.set_ip(match target {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        self.stats.grams += 1;
        let mut reached = false;
        for number in 0..self.hosts.len() {
            let to = HostId(u32::try_from(number).unwrap_or(u32::MAX));
            let goes = if to == host { near } else { far };
            if goes && self.among(to, source, target).next().is_some() {
                reached = true;
                self.send_copies((host, key), (source, target), Some(to), data);
            }
        }
        if !reached {
            self.send_copies((host, key), (source, target), None, data);
        }
        Ok(())
    }

    /// The sockets of a host that get it, in the order of binding.
    fn among(
        &self,
        host: HostId,
        source: SocketAddr,
        target: SocketAddr,
    ) -> impl Iterator<Item = Key> {
        let held = self.host(host).ports.bound(target.port()).iter();
        let udp = |bound: &Bound| Some(&self.udps[self.udp(bound.key)?]);
        held.filter(move |bound| {
            udp(bound).is_some_and(|udp| udp.is_among(bound.scope, source, target.ip()))
        })
        .map(|bound| bound.key)
    }

    /// A datagram for many has come to a host: each socket there that it is for gets it, and nobody is told if there is none.
    pub(super) fn on_gram_for_many(
        &mut self,
        path: u32,
        (source, target): (SocketAddr, SocketAddr),
        data: &Bytes,
    ) {
        let host = self.paths[path as usize].to;
        let keys: Vec<Key> = self.among(host, source, target).collect();
        for key in keys {
            self.put(path, key, (source, target), data.clone());
        }
    }
}
