//! Hosts: their names and addresses, and which of these reaches which.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Core;
use super::group::is_many;
use super::ports::Ports;
use crate::sim::topology::{HostId, HostSpec};
use crate::sim::trace::What;
use crate::sim::{Errno, Op, Rng};
use crate::tyme::{Tyme, Tymth};

/// One host's state. `up` and `epoch` tell whether what is addressed to it still finds it.
pub(in crate::sim) struct Host {
    pub(in crate::sim) spec: HostSpec,
    pub(in crate::sim) addrs: Vec<IpAddr>,
    pub(in crate::sim) tymth: Tymth,
    pub(in crate::sim) up: bool,
    pub(super) epoch: u32,
    pub(super) turn_at: Option<Tyme>,
    pub(super) turn_stamp: u32,
    /// When its last turn is over.
    pub(super) free_at: Tyme,
    pub(super) paused_until: Tyme,
    pub(super) deadline: Option<Tyme>,
    /// Alarms under way, the latest first; see `set_alarm`.
    pub(super) alarms: Vec<Tyme>,
    /// Networks made since it came up.
    pub(super) nets: u32,
    pub(super) ports: Ports,
    pub(in crate::sim) sockets: usize,
}

impl Core {
    pub(in crate::sim) fn host(&self, host: HostId) -> &Host {
        &self.hosts[host.index()]
    }

    pub(super) fn host_mut(&mut self, host: HostId) -> &mut Host {
        &mut self.hosts[host.index()]
    }

    /// # Panics
    /// If one of the addresses or the name is taken.
    pub(in crate::sim) fn add_host(&mut self, spec: HostSpec) -> HostId {
        let mut spec = spec.bounded();
        let index = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let id = HostId(index);
        let mut addrs = core::mem::take(&mut spec.addrs);
        if addrs.is_empty() {
            let [_, high, mid, low] = (index + 1).to_be_bytes();
            let six = Ipv6Addr::from((0xfd00_u128 << 112) | u128::from(index + 1));
            addrs.push(IpAddr::from([10, high, mid, low]));
            addrs.push(six.into());
        }
        // Looked at first, so that a panic leaves nothing half done.
        let taken = addrs.iter().find(|ip| self.by_ip.contains_key(ip));
        assert!(taken.is_none(), "two hosts with the address {taken:?}");
        let mut own = addrs.iter().enumerate();
        let twice = own.find(|(at, ip)| addrs[..*at].contains(ip)).map(|(_, ip)| ip);
        assert!(twice.is_none(), "a host with the address {twice:?} twice");
        let name = folded(&spec.name);
        assert!(!self.names.contains_key(&name), "two hosts with the name {:?}", spec.name);
        self.names.insert(name, id);
        self.by_ip.extend(addrs.iter().map(|&ip| (ip, id)));
        self.record(&What::Host { host: id, name: spec.name.clone(), addrs: addrs.clone() });
        let (low, high) = spec.ephemeral_ports;
        let mut rng = Rng::stream(self.seed, &format!("ports {}", spec.name));
        let first = rng.between(low.into(), high.into());
        let first = u16::try_from(first).unwrap_or(low);
        self.hosts.push(Host {
            tymth: self.tymth().skewed(spec.ahead, spec.drift_ppb),
            spec,
            addrs,
            up: true,
            epoch: 0,
            turn_at: None,
            turn_stamp: 0,
            free_at: self.now,
            paused_until: self.now,
            deadline: None,
            alarms: Vec::new(),
            nets: 0,
            ports: Ports::starting_at(first),
            sockets: 0,
        });
        id
    }

    pub(in crate::sim) fn resolve(&self, name: &str) -> Vec<IpAddr> {
        let host = self.names.get(&folded(name));
        host.map(|&host| self.host(host).addrs.clone()).unwrap_or_default()
    }

    /// Another name for addresses of a host.
    pub(in crate::sim) fn add_name(&mut self, name: &str, host: HostId) -> bool {
        self.names.insert(folded(name), host).is_none()
    }

    pub(in crate::sim) fn find(&self, name: &str) -> Option<HostId> {
        self.names.get(&folded(name)).copied()
    }

    /// As [`resolve`](Core::resolve), asked by a program.
    pub(in crate::sim) fn look_up(&mut self, host: HostId, name: &str) -> Vec<IpAddr> {
        let ips = self.resolve(name);
        self.record_call(host, Op::Lookup, 0, &Ok(()), |()| ips.len() as u64);
        ips
    }

    /// What another network of the host draws from: neither other hosts nor their networks have a part in it.
    pub(in crate::sim) fn engine_seed(&mut self, id: HostId) -> u64 {
        let seed = self.seed;
        let host = self.host_mut(id);
        host.nets += 1;
        let name = format!("engine {} {} {}", host.nets, host.epoch, host.spec.name);
        Rng::stream(seed, &name).next_u64()
    }

    /// The host that has this address, as seen from `from`.
    pub(super) fn owner(&self, from: HostId, ip: IpAddr) -> Option<HostId> {
        let ip = ip.to_canonical();
        if ip.is_loopback() { Some(from) } else { self.by_ip.get(&ip).copied() }
    }

    /// To whom a packet from this address goes that is for `to`: from a loopback address to nobody but the host itself (RFC 1122 section 3.2.1.3). As on
    /// Linux, that is an error with IPv4, and a packet lost with IPv6.
    pub(super) fn route(
        &self,
        host: HostId,
        source: IpAddr,
        to: Option<HostId>,
    ) -> Result<Option<HostId>, Errno> {
        match source {
            _ if to == Some(host) || !source.is_loopback() => Ok(to),
            IpAddr::V4(_) => Err(Errno::Einval),
            IpAddr::V6(_) => Ok(None),
        }
    }

    /// An address of the host from which it reaches `target`.
    pub(super) fn source_ip(&self, host: HostId, target: IpAddr) -> Result<IpAddr, Errno> {
        match target {
            // From the one address, whichever it is for.
            IpAddr::V4(ip) if ip.is_loopback() => return Ok(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_loopback() => return Ok(target),
            _ => {}
        }
        let addrs = &self.host(host).addrs;
        if addrs.contains(&target) {
            return Ok(target);
        }
        let same = addrs.iter().find(|ip| ip.is_ipv4() == target.is_ipv4());
        same.copied().ok_or(Errno::Enetunreach)
    }
}

/// A name as it is compared (RFC 4343): small letters, and no dot at the end.
fn folded(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The plain form of an end: an IPv4 address that IPv6 carries is the IPv4 address, and "any" as a target is the host itself, over IPv4 at the address
/// `own` that it is sent from, if that is one.
pub(super) fn plain(end: SocketAddr, own: IpAddr) -> SocketAddr {
    let ip = match end.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => match own.to_canonical() {
            IpAddr::V4(own) if !own.is_unspecified() && !is_many(own.into()) => own.into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        },
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, end.port())
}

/// An end in the form in which a socket of `own`'s family sees it.
pub(super) fn in_family_of(end: SocketAddr, own: SocketAddr) -> SocketAddr {
    match end.ip() {
        IpAddr::V4(ip) if own.is_ipv6() => SocketAddr::new(ip.to_ipv6_mapped().into(), end.port()),
        _ => end,
    }
}

/// Whether it is an address of each link (RFC 4007 section 6), and does not say of which.
pub(super) fn lacks_interface(addr: SocketAddr) -> bool {
    let SocketAddr::V6(addr) = addr else { return false };
    let [first, second, ..] = addr.ip().octets();
    let of_link = match first {
        0xff => matches!(second & 0xf, 1 | 2),
        _ => addr.ip().is_unicast_link_local(),
    };
    of_link && addr.scope_id() == 0
}
