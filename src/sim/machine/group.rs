//! Datagrams for many: broadcast and multicast, and the options that go with them.
//!
//! All hosts are on one network, without routers and without masks: the one address of broadcast is 255.255.255.255, and a group is who has joined it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

use super::Core;
use super::ports::Scope;
use super::udp::Udp;
use crate::net::{BufferSizes, GramOption};
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key};

/// What a socket has said about datagrams for many.
pub(super) struct Groups {
    pub(super) broadcast: bool,
    joined: BTreeSet<IpAddr>,
    loops: bool,
    ttl: u32,
}

impl Groups {
    pub(super) fn new(broadcast: bool) -> Self {
        Groups { broadcast, joined: BTreeSet::new(), loops: true, ttl: 1 }
    }
}

/// Whether it is the address of many.
pub(super) fn is_many(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

impl Udp {
    /// Whether it gets what is sent to this address of many.
    fn is_among(&self, scope: Scope, target: IpAddr) -> bool {
        let bound = matches!(scope, Scope::AllV4 | Scope::AllV6 | Scope::All)
            && scope.covers(target)
            || scope == Scope::One(target);
        bound && (!target.is_multicast() || self.groups.joined.contains(&target))
    }
}

impl Core {
    pub(in crate::sim) fn set_gram_option(
        &mut self,
        key: Key,
        option: GramOption,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let groups = &mut self.udps[index].groups;
        match option {
            GramOption::Broadcast(on) => groups.broadcast = on,
            GramOption::MulticastLoop(on) => groups.loops = on,
            GramOption::MulticastTtl(ttl) if ttl <= 255 => groups.ttl = ttl,
            // There are no routers, and one network.
            GramOption::Ttl(1..=255) | GramOption::MulticastInterface(_) => {}
            GramOption::Ttl(_) | GramOption::MulticastTtl(_) => return Err(Errno::Einval),
            GramOption::Join(group, _) if !group.is_multicast() => return Err(Errno::Einval),
            GramOption::Join(group, _) => {
                if !groups.joined.insert(group) {
                    return Err(Errno::Eaddrinuse);
                }
            }
            GramOption::Leave(group, _) => {
                if !groups.joined.remove(&group) {
                    return Err(Errno::Eaddrnotavail);
                }
            }
        }
        Ok(())
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
        (source, target): (SocketAddr, SocketAddr),
        data: &Bytes,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let groups = &self.udps[index].groups;
        let ip = target.ip();
        let hosts: Vec<HostId> = if ip.is_multicast() {
            let joined = self.udps.iter().filter(|(_, udp)| udp.groups.joined.contains(&ip));
            let all: BTreeSet<HostId> = joined.map(|(_, udp)| udp.host).collect();
            let near = |to: HostId| if to == host { groups.loops } else { groups.ttl > 0 };
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
            self.send_copies((host, key), (source, target), None, data);
        }
        for to in hosts {
            self.send_copies((host, key), (source, target), Some(to), data);
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
        let held = self.host(host).ports.bound(target.port());
        let keys: Vec<Key> = held
            .iter()
            .filter_map(|bound| {
                let udp = &self.udps[self.udp(bound.key)?];
                let known = udp.peer.is_none_or(|peer| peer == source);
                (known && udp.is_among(bound.scope, target.ip())).then_some(bound.key)
            })
            .collect();
        for key in keys {
            self.put(path, key, (source, target), data.clone());
        }
    }
}
