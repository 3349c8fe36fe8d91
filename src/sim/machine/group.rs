//! Datagrams for many: broadcast and multicast, and the options that go with them.
//!
//! All hosts are on one network, without routers and without masks: the one address of broadcast is 255.255.255.255, and a group is who has joined it.
//! That network is interface 2 of each host; interface 1 is its loopback.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use super::Core;
use super::ports::Scope;
use super::udp::Udp;
use crate::net::{BufferSizes, GramOption, Interface};
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key};

/// Groups of IPv4 that a socket may be in (`net.ipv4.igmp_max_memberships`). IPv6 has no such number.
const MAX_GROUPS: usize = 20;

/// An interface.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wire {
    Loopback,
    Network,
}

impl Wire {
    /// That over which what has this source comes.
    fn of(source: IpAddr) -> Wire {
        if source.is_loopback() { Wire::Loopback } else { Wire::Network }
    }
}

/// What a socket has said about datagrams for many.
pub(super) struct Groups {
    pub(super) broadcast: bool,
    joined: BTreeSet<(IpAddr, Wire)>,
    loops: bool,
    ttl: u32,
    out: Wire,
}

impl Groups {
    pub(super) fn new(broadcast: bool) -> Self {
        Groups { broadcast, joined: BTreeSet::new(), loops: true, ttl: 1, out: Wire::Network }
    }

    fn join(&mut self, group: IpAddr, wire: Wire) -> Result<(), Errno> {
        if self.joined.contains(&(group, wire)) {
            return Err(Errno::Eaddrinuse);
        }
        let others = self.joined.iter().filter(|(other, _)| other.is_ipv4()).count();
        if group.is_ipv4() && others >= MAX_GROUPS {
            return Err(Errno::Enobufs);
        }
        self.joined.insert((group, wire));
        Ok(())
    }

    /// `None`: on whichever interface.
    fn leave(&mut self, group: IpAddr, wire: Option<Wire>) -> Result<(), Errno> {
        let fits =
            |&&(other, at): &&(IpAddr, Wire)| other == group && wire.is_none_or(|wire| wire == at);
        let left = self.joined.iter().find(fits).copied().ok_or(Errno::Eaddrnotavail)?;
        self.joined.remove(&left);
        Ok(())
    }
}

/// Whether it is the address of many.
pub(super) fn is_many(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

impl Udp {
    /// Whether it gets what is sent to this address of many.
    fn is_among(&self, scope: Scope, target: IpAddr, wire: Wire) -> bool {
        let bound = matches!(scope, Scope::AllV4 | Scope::AllV6 | Scope::All)
            && scope.covers(target)
            || scope == Scope::One(target);
        bound && (!target.is_multicast() || self.groups.joined.contains(&(target, wire)))
    }
}

impl Core {
    pub(in crate::sim) fn set_gram_option(
        &mut self,
        key: Key,
        option: GramOption,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let (host, v6) = (self.udps[index].host, self.udps[index].local.is_ipv6());
        let member = |group: IpAddr, at: Interface| match (group, at) {
            (IpAddr::V6(_), Interface::Addr(_)) => Err(Errno::Eopnotsupp),
            (IpAddr::V6(_), _) if !v6 => Err(Errno::Enoprotoopt),
            _ if !group.is_multicast() => Err(Errno::Einval),
            _ => self.wire(host, at).ok_or(Errno::Enodev),
        };
        match option {
            GramOption::Join(group, at) => {
                let wire = member(group, at)?;
                return self.udps[index].groups.join(group, wire);
            }
            GramOption::Leave(group @ IpAddr::V6(_), Interface::Index(index)) if index > 2 => {
                // Nobody is in a group there: IPv6 looks for nothing else.
                member(group, Interface::Any)?;
                return Err(Errno::Eaddrnotavail);
            }
            GramOption::Leave(group, at) => {
                let wire = Some(member(group, at)?);
                let any = group.is_ipv6() && matches!(at, Interface::Any | Interface::Index(0));
                let wire = wire.filter(|_| !any);
                return self.udps[index].groups.leave(group, wire);
            }
            GramOption::MulticastInterface(at) => {
                // IPv4 names an interface by its address, IPv6 by its number.
                let known = match at {
                    Interface::Any => true,
                    Interface::Index(_) => v6,
                    Interface::Addr(_) => !v6,
                };
                let missing = if v6 { Errno::Enodev } else { Errno::Eaddrnotavail };
                let wire = self.wire(host, at).ok_or(missing);
                self.udps[index].groups.out = if known { wire? } else { Err(Errno::Eopnotsupp)? };
            }
            GramOption::Broadcast(on) => self.udps[index].groups.broadcast = on,
            GramOption::MulticastLoop(on) => self.udps[index].groups.loops = on,
            GramOption::MulticastTtl(ttl @ 0..=255) => self.udps[index].groups.ttl = ttl,
            // There are no routers.
            GramOption::Ttl(1..=255) => {}
            GramOption::Ttl(_) | GramOption::MulticastTtl(_) => return Err(Errno::Einval),
        }
        Ok(())
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

    /// Sends a copy to each host that may have somebody for it.
    pub(super) fn send_to_many(
        &mut self,
        (host, key): (HostId, Key),
        (mut source, target): (SocketAddr, SocketAddr),
        data: &Bytes,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let (groups, own) = (&self.udps[index].groups, self.udps[index].local.ip());
        let ip = target.ip();
        let hosts: Vec<HostId> = if ip.is_multicast() {
            if groups.out == Wire::Loopback && (own.is_unspecified() || is_many(own)) {
                source.set_ip(match ip {
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                });
            }
            let membership = (ip, Wire::of(source.ip()));
            let joined = self.udps.iter();
            let joined = joined.filter(|(_, udp)| udp.groups.joined.contains(&membership));
            let all: BTreeSet<HostId> = joined.map(|(_, udp)| udp.host).collect();
            let far = groups.ttl > 0 && groups.out == Wire::Network;
            let near = |to: HostId| if to == host { groups.loops } else { far };
            all.into_iter().filter(|&to| near(to)).collect()
        } else if groups.broadcast {
            let ids = (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId);
            ids.filter(|&to| self.host(to).addrs.iter().any(IpAddr::is_ipv4)).collect()
        } else {
            return Err(Errno::Eacces);
        };
        self.stats.grams += 1;
        let reached = |to: &HostId| *to == host || !source.ip().is_loopback();
        let hosts: Vec<HostId> = hosts.into_iter().filter(reached).collect();
        if hosts.is_empty() {
            self.send_copies(host, (source, target), None, data);
        }
        for to in hosts {
            self.send_copies(host, (source, target), Some(to), data);
        }
        Ok(())
    }

    /// A datagram for many has come to a host: each socket there that it is for gets it, and nobody is told if there is none.
    pub(super) fn on_gram_for_many(
        &mut self,
        path: u32,
        (source, target): (SocketAddr, SocketAddr),
        data: &Bytes,
    ) {
        let host = self.paths[path as usize].to;
        let wire = Wire::of(source.ip());
        let held = self.host(host).ports.bound(target.port());
        let keys: Vec<Key> = held
            .iter()
            .filter_map(|bound| {
                let udp = &self.udps[self.udp(bound.key)?];
                let known = udp.peer.is_none_or(|peer| peer == source);
                (known && udp.is_among(bound.scope, target.ip(), wire)).then_some(bound.key)
            })
            .collect();
        for key in keys {
            self.put(path, key, (source, target), data.clone());
        }
    }
}
