//! Datagrams to many: broadcast and multicast.
//!
//! All hosts are on one network, which is interface 2 of each; interface 1 is its loopback. No router is between them, so any hops at all
//! are enough. A copy goes to each host that has a receiver when it is sent, each with the fate of its own path; and as on Linux
//! to the sender's own host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use super::Core;
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

/// What a datagram socket has to do with broadcast and multicast.
pub(super) struct Cast {
    broadcast: bool,
    hops: u32,
    loops: bool,
    out: Wire,
    groups: Vec<(IpAddr, Wire)>,
}

impl Cast {
    pub(super) fn new(broadcast: bool) -> Cast {
        Cast { broadcast, hops: 1, loops: true, out: Wire::Network, groups: Vec::new() }
    }
}

fn is_broadcast(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether this, in its plain form, is for many.
pub(super) fn is_cast(ip: IpAddr) -> bool {
    is_broadcast(ip) || ip.is_multicast()
}

impl Core {
    pub(in crate::sim) fn set_gram_option(
        &mut self,
        key: Key,
        option: GramOption,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let v6 = self.udps[index].local.is_ipv6();
        let wire = match option {
            // IPv4 names an interface by its address, IPv6 by its index.
            GramOption::MulticastInterface(Interface::Index(_)) if !v6 => {
                return Err(Errno::Eopnotsupp);
            }
            GramOption::MulticastInterface(Interface::Addr(_)) if v6 => {
                return Err(Errno::Eopnotsupp);
            }
            GramOption::Join(IpAddr::V6(_), Interface::Addr(_))
            | GramOption::Leave(IpAddr::V6(_), Interface::Addr(_)) => {
                return Err(Errno::Eopnotsupp);
            }
            GramOption::Join(IpAddr::V6(_), _) | GramOption::Leave(IpAddr::V6(_), _) if !v6 => {
                return Err(Errno::Enoprotoopt);
            }
            GramOption::Join(group, _) if !group.is_multicast() => return Err(Errno::Einval),
            GramOption::MulticastInterface(at) => {
                self.wire(self.udps[index].host, at).ok_or(Errno::Eaddrnotavail)?
            }
            GramOption::Join(_, at) | GramOption::Leave(_, at) => {
                self.wire(self.udps[index].host, at).ok_or(Errno::Enodev)?
            }
            _ => Wire::Network,
        };
        let cast = &mut self.udps[index].cast;
        match option {
            GramOption::Broadcast(on) => cast.broadcast = on,
            GramOption::Ttl(1..=255) => {}
            GramOption::MulticastTtl(hops @ 0..=255) => cast.hops = hops,
            GramOption::Ttl(_) | GramOption::MulticastTtl(_) => return Err(Errno::Einval),
            GramOption::MulticastLoop(on) => cast.loops = on,
            GramOption::MulticastInterface(_) => cast.out = wire,
            GramOption::Join(group, _) if cast.groups.contains(&(group, wire)) => {
                return Err(Errno::Eaddrinuse);
            }
            GramOption::Join(..) if cast.groups.len() >= MAX_GROUPS => return Err(Errno::Enobufs),
            GramOption::Join(group, _) => cast.groups.push((group, wire)),
            GramOption::Leave(group, _) => {
                let found = cast.groups.iter().position(|own| *own == (group, wire));
                cast.groups.remove(found.ok_or(Errno::Eaddrnotavail)?);
            }
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

    pub(super) fn send_to_many(
        &mut self,
        index: usize,
        key: Key,
        data: &[u8],
        target: SocketAddr,
    ) -> Result<(), Errno> {
        let udp = &self.udps[index];
        let (host, own, all) = (udp.host, udp.local.ip().to_canonical(), is_broadcast(target.ip()));
        if all && !udp.cast.broadcast {
            return Err(Errno::Eacces);
        }
        if !own.is_unspecified() && own.is_ipv4() != target.is_ipv4() {
            return Err(Errno::Enetunreach);
        }
        let wire = if own.is_loopback() { Wire::Loopback } else { udp.cast.out };
        let wire = if all { Wire::Network } else { wire };
        let (near, far) = (all || udp.cast.loops, all || udp.cast.hops > 0);
        let ip = match wire {
            _ if !own.is_unspecified() => own,
            Wire::Network => self.source_ip(host, target.ip())?,
            Wire::Loopback if target.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            Wire::Loopback => Ipv6Addr::LOCALHOST.into(),
        };
        let source = SocketAddr::new(ip, self.udps[index].local.port());
        let data = self.gather(core::iter::once(data), data.len());
        self.stats.grams += 1;
        for number in 0..self.hosts.len() {
            let to = HostId(u32::try_from(number).unwrap_or(u32::MAX));
            let goes = if to == host { near } else { far && wire == Wire::Network };
            if goes && self.receiver(to, source, target, 0).is_some() {
                self.post(host, Some(to), (source, target), key, &data);
            }
        }
        Ok(())
    }

    /// The socket with this number, from 0 in the order of binding, among those of the host that are to get it.
    fn receiver(
        &self,
        host: HostId,
        source: SocketAddr,
        target: SocketAddr,
        number: usize,
    ) -> Option<usize> {
        let wire = if source.ip().is_loopback() { Wire::Loopback } else { Wire::Network };
        let wanted = (target.ip(), wire);
        let here = self.host(host).ports.all_bound(target).filter_map(|key| self.udp(key));
        here.filter(|&at| {
            let udp = &self.udps[at];
            (is_broadcast(target.ip()) || udp.cast.groups.contains(&wanted))
                && udp.peer.is_none_or(|peer| peer == source)
        })
        .nth(number)
    }

    /// Each receiver gets it; where there is none (any more) nobody is told.
    pub(super) fn on_cast(
        &mut self,
        path: u32,
        source: SocketAddr,
        target: SocketAddr,
        data: &Bytes,
    ) {
        let host = self.paths[path as usize].to;
        let mut number = 0;
        while let Some(index) = self.receiver(host, source, target, number) {
            self.put_in(index, source, data.clone());
            number += 1;
        }
    }

    pub(in crate::sim) fn gram_sizes(&self, key: Key) -> Result<BufferSizes, Errno> {
        let cap = self.udps[self.udp(key).ok_or(Errno::Ebadf)?].cap;
        Ok(BufferSizes { recv: cap, send: cap })
    }
}
