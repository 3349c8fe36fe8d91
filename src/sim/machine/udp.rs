//! Datagrams.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use super::group::{Groups, is_many};
use super::host::{in_family_of, lacks_interface, plain};
use super::path::Body;
use super::ports::{Bound, Ports, Scope};
use super::{Core, Poll, READ, Source, bits};
use crate::net::Bind;
use crate::sim::topology::HostId;
use crate::sim::trace::{Fate, What, Why};
use crate::sim::{Errno, Key, Op};
use crate::tyme::Tyme;

/// Greatest payload of a datagram over IPv4: 65,535 less the headers of IP and UDP. That of IPv6 does not count.
const MAX_GRAM: usize = 65_507;
const MAX_GRAM_V6: usize = 65_527;
/// Bytes of headers on the wire: Ethernet, IPv4, UDP.
const HEADERS: usize = 42;
/// What a datagram costs beside its payload in the receive buffer, as Linux counts it.
const OVERHEAD: usize = 768;

/// `net.core.wmem_default`, and `wmem_max`, which `SO_SNDBUF` doubles.
const SEND_BUFFER: usize = 212_992;

/// A datagram socket.
pub(super) struct Udp {
    pub(super) stamp: u32,
    pub(super) host: HostId,
    pub(super) local: SocketAddr,
    scope: Scope,
    pub(super) peer: Option<SocketAddr>,
    pub(super) groups: Groups,
    inbox: VecDeque<(SocketAddr, Bytes)>,
    in_len: usize,
    pub(super) cap: usize,
    pub(super) send_cap: usize,
    error: Option<Errno>,
    pub(super) poll: Poll,
}

impl Udp {
    pub(super) fn ready_bits(&self) -> u8 {
        let readable = !self.inbox.is_empty() || self.error.is_some();
        bits(readable, true, false)
    }
}

/// What was received.
pub(in crate::sim) struct Received {
    pub(in crate::sim) len: usize,
    pub(in crate::sim) truncated: bool,
    pub(in crate::sim) from: SocketAddr,
}

/// Whether a socket that is bound so can be connected to that peer, which may need another family or another address.
fn may_speak(scope: Scope, addr: SocketAddr, peer: SocketAddr) -> Result<(), Errno> {
    let speaks = scope.speaks_to(peer.ip().to_canonical());
    match (addr.is_ipv4(), peer.is_ipv4()) {
        (true, false) => Err(Errno::Eafnosupport),
        _ if lacks_interface(peer) => Err(Errno::Einval),
        (false, true) if !speaks => Err(Errno::Eafnosupport),
        _ if !speaks => Err(Errno::Enetunreach),
        _ => Ok(()),
    }
}

impl Core {
    pub(in crate::sim) fn bind(
        &mut self,
        host: HostId,
        spec: &Bind,
        addr: SocketAddr,
        peer: Option<SocketAddr>,
    ) -> Result<(Key, SocketAddr), Errno> {
        let result = self.try_bind(host, spec, addr, peer);
        self.record_call(host, Op::Bind, u32::from(addr.port()), &result, |(_, local)| {
            u64::from(local.port())
        });
        result
    }

    fn try_bind(
        &mut self,
        host: HostId,
        spec: &Bind,
        addr: SocketAddr,
        peer: Option<SocketAddr>,
    ) -> Result<(Key, SocketAddr), Errno> {
        Self::fits_family(addr.ip(), spec.only_v6)?;
        if lacks_interface(addr) {
            return Err(Errno::Einval);
        }
        if !is_many(addr.ip()) {
            self.may_bind_ip(host, addr.ip())?;
        }
        let scope = Scope::of(addr.ip(), spec.only_v6);
        let (reuse_addr, reuse_port) = (spec.reuse_addr, spec.reuse_port);
        let bound = Bound { scope, key: Key::NOBODY, reuse_addr, reuse_port };
        let own = self.host_mut(host);
        let port = match addr.port() {
            0 => {
                // A port that was not asked for is shared with nobody.
                let alone = Bound { reuse_addr: false, reuse_port: false, ..bound };
                let fits = |ports: &Ports, port| ports.may_bind(port, &alone);
                own.ports.pick(own.spec.ephemeral_ports, fits)
            }
            port => own.ports.may_bind(port, &bound).then_some(port),
        };
        let port = port.ok_or(Errno::Eaddrinuse)?;
        if let Some(peer) = peer {
            may_speak(scope, addr, peer)?;
        }
        let peer = peer.map(|peer| plain(peer, addr.ip()));
        // In connected mode the address is that from which the peer is reached.
        let ip = match peer {
            Some(peer) if addr.ip().to_canonical().is_unspecified() => {
                self.source_ip(host, peer.ip())?
            }
            _ => addr.ip(),
        };
        let scope = if peer.is_some() { Scope::One(ip.to_canonical()) } else { scope };
        match peer {
            // For all: whoever is there, but not for everybody.
            Some(peer) if is_many(peer.ip()) => {
                let allowed = peer.ip().is_multicast() || spec.broadcast;
                allowed.then_some(()).ok_or(Errno::Eacces)?;
            }
            Some(peer) => {
                let to = self.owner(host, peer.ip());
                self.route(host, ip.to_canonical(), to)?;
            }
            None => {}
        }
        self.take_socket(host)?;
        let local = in_family_of(SocketAddr::new(ip, port), addr);
        let cap = super::tcp::capacity(self.host(host).spec.gram_buffer, spec.recv_buffer);
        let stamp = self.stamp();
        let udp = Udp {
            stamp,
            host,
            local,
            scope,
            peer,
            groups: Groups::new(spec.broadcast),
            inbox: VecDeque::new(),
            in_len: 0,
            cap,
            send_cap: spec
                .send_buffer
                .map_or(SEND_BUFFER, |wish| wish.clamp(SEND_BUFFER, 2 * SEND_BUFFER)),
            error: None,
            poll: Poll::default(),
        };
        let key = Key::new(self.udps.insert(udp), stamp);
        self.host_mut(host).ports.bind(port, Bound { key, scope, ..bound });
        Ok((key, local))
    }

    pub(super) fn udp(&self, key: Key) -> Option<usize> {
        let index = key.index();
        self.udps.get(index).is_some_and(|udp| udp.stamp == key.stamp).then_some(index)
    }

    pub(in crate::sim) fn send_gram(
        &mut self,
        key: Key,
        data: &[u8],
        target: SocketAddr,
    ) -> Result<(), Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let (host, port) = (self.udps[index].host, self.udps[index].local.port());
        let result = self.try_send(index, key, data, target);
        self.record_call(host, Op::Send, u32::from(port), &result, |()| data.len() as u64);
        result
    }

    fn try_send(
        &mut self,
        index: usize,
        key: Key,
        data: &[u8],
        target: SocketAddr,
    ) -> Result<(), Errno> {
        let Udp { host, local, peer, .. } = self.udps[index];
        let target = match peer {
            // As over the seam to the system: in connected mode there is nobody else.
            Some(peer) => peer,
            None if target.port() == 0 => return Err(Errno::Einval),
            None if local.is_ipv4() && target.is_ipv6() => return Err(Errno::Eafnosupport),
            None => plain(target, local.ip()),
        };
        if !self.udps[index].scope.speaks_to(target.ip()) {
            return Err(Errno::Enetunreach);
        }
        let own = local.ip().to_canonical();
        let ip = if own.is_unspecified() || is_many(own) {
            self.source_ip(host, target.ip())?
        } else {
            own
        };
        let source = SocketAddr::new(ip, local.port());
        let most = if target.is_ipv4() { MAX_GRAM } else { MAX_GRAM_V6 };
        if data.len() > most {
            return Err(Errno::Emsgsize);
        }
        // Only what could be sent hears what became of the one before.
        if let Some(error) = self.udps[index].error.take() {
            return Err(error);
        }
        if is_many(target.ip()) {
            let data = Bytes::copy_from_slice(data);
            return self.send_to_many((host, key), (source, target), &data);
        }
        let to = self.owner(host, target.ip());
        let to = self.route(host, ip, to)?;
        let data = self.gather(core::iter::once(data), data.len());
        self.stats.grams += 1;
        self.send_copies(host, (source, target), to, &data);
        Ok(())
    }

    /// Sends it to one host, once or twice.
    pub(super) fn send_copies(
        &mut self,
        host: HostId,
        (source, target): (SocketAddr, SocketAddr),
        to: Option<HostId>,
        data: &Bytes,
    ) {
        let path = to.map(|to| self.path(host, to));
        let copies = match path {
            Some(path) => {
                let way = &mut self.paths[path as usize];
                let twice = way.link.duplicate;
                1 + u32::from(twice > 0.0 && way.rng.chance(twice))
            }
            None => 1,
        };
        for _ in 0..copies {
            let fate = match path {
                Some(path) => self.gram_fate(path, data.len()),
                None => self.nowhere(),
            };
            if self.recorder.on() {
                let data = data.clone();
                self.record(&What::Gram { from: host, to, source, target, fate, data });
            }
            if let (Fate::Arrives(at), Some(path)) = (fate, path) {
                let data = data.clone();
                self.dispatch(at, path, Body::Gram { source, target, data });
            }
        }
    }

    fn gram_fate(&mut self, path: u32, len: usize) -> Fate {
        let fate = self.fate(path, HEADERS + len, false);
        let way = &mut self.paths[path as usize];
        let (reorder, by) = (way.link.reorder, way.link.overtaken_by);
        match fate {
            Fate::Arrives(at) if reorder > 0.0 && way.rng.chance(reorder) => {
                let extra = way.rng.between(1, crate::tyme::nanos(by).max(1));
                match at + Duration::from_nanos(extra) {
                    Tyme::NEVER => Fate::Lost(Why::Never),
                    at => Fate::Arrives(at),
                }
            }
            fate => fate,
        }
    }

    pub(super) fn on_gram(
        &mut self,
        path: u32,
        source: SocketAddr,
        target: SocketAddr,
        data: Bytes,
    ) {
        if is_many(target.ip()) {
            return self.on_gram_for_many(path, (source, target), &data);
        }
        let host = self.paths[path as usize].to;
        match self.receiver(host, source, target) {
            Some(key) => self.put(path, key, (source, target), data),
            None => self.send_unreachable(path, source, target),
        }
    }

    /// Who gets it, as on Linux (6.13 and later): the latest socket that is connected to its sender, else one for that very address before one for all, one
    /// of IPv4 before one of both families, and of those that share a port the latest, or with `SO_REUSEPORT` one by the sender.
    fn receiver(&self, host: HostId, source: SocketAddr, target: SocketAddr) -> Option<Key> {
        let held = self.host(host).ports.bound(target.port());
        let rank = |bound: &Bound| {
            let Udp { peer, local, .. } = self.udps[self.udp(bound.key)?];
            let fits = bound.scope.covers(target.ip()) && peer.is_none_or(|peer| peer == source);
            let (connected, one) = (peer.is_some(), matches!(bound.scope, Scope::One(_)));
            fits.then_some((connected, connected || one, connected || local.is_ipv4()))
        };
        let best = held.iter().filter_map(rank).max()?;
        let mut all = held.iter().filter(|bound| rank(bound) == Some(best));
        let last = all.clone().next_back()?;
        let (connected, ..) = best;
        if connected || !last.reuse_port {
            return Some(last.key);
        }
        let count = all.clone().count();
        all.nth(usize::from(source.port()) % count).map(|bound| bound.key)
    }

    /// Puts a datagram into a socket's buffer, if there is room.
    pub(super) fn put(
        &mut self,
        path: u32,
        key: Key,
        (source, target): (SocketAddr, SocketAddr),
        data: Bytes,
    ) {
        let Some(index) = self.udp(key) else { return };
        let udp = &mut self.udps[index];
        let size = data.len() + OVERHEAD;
        // As on Linux, one datagram always fits.
        if udp.in_len > 0 && udp.in_len + size > udp.cap {
            let body = Body::Gram { source, target, data };
            return self.drop_arrived(path, &body, Why::Buffer);
        }
        udp.in_len += size;
        udp.inbox.push_back((source, data));
        self.stats.grams_delivered += 1;
        self.notify(Source::Udp(key), READ);
    }

    fn send_unreachable(&mut self, path: u32, source: SocketAddr, target: SocketAddr) {
        let back = path ^ 1;
        let fate = self.fate(back, HEADERS, false);
        if self.recorder.on() {
            let (from, to) = (self.paths[back as usize].from, self.paths[back as usize].to);
            self.record(&What::Unreachable { from, to, source, target, fate });
        }
        if let Fate::Arrives(at) = fate {
            self.dispatch(at, back, Body::Unreachable { source, target });
        }
    }

    /// The report names only the datagram's addresses: as on Linux it is for whom an answer would be for, who need not be the sender where several share a
    /// port.
    pub(super) fn on_unreachable(&mut self, path: u32, source: SocketAddr, target: SocketAddr) {
        let host = self.paths[path as usize].to;
        let Some(key) = self.receiver(host, target, source) else { return };
        let Some(index) = self.udp(key) else { return };
        if self.udps[index].peer.is_some() || self.host(host).spec.unreachable_to_all {
            self.udps[index].error = Some(Errno::Econnrefused);
            self.notify(Source::Udp(key), READ);
        }
    }

    pub(in crate::sim) fn receive(&mut self, key: Key, buf: &mut [u8]) -> Result<Received, Errno> {
        let index = self.udp(key).ok_or(Errno::Ebadf)?;
        let udp = &mut self.udps[index];
        let (host, port) = (udp.host, udp.local.port());
        let result = match udp.error.take() {
            Some(error) => Err(error),
            None => udp.inbox.pop_front().ok_or(Errno::Eagain).map(|(from, data)| {
                udp.in_len -= data.len() + OVERHEAD;
                let len = data.len().min(buf.len());
                buf[..len].copy_from_slice(&data[..len]);
                Received { len, truncated: len < data.len(), from: in_family_of(from, udp.local) }
            }),
        };
        self.record_call(host, Op::Receive, u32::from(port), &result, |gram| gram.len as u64);
        result
    }

    pub(in crate::sim) fn close_gram(&mut self, key: Key) {
        let Some(index) = self.udp(key) else { return };
        let (host, port) = (self.udps[index].host, self.udps[index].local.port());
        self.record_call(host, Op::Close, u32::from(port), &Ok(()), |()| 0);
        self.host_mut(host).ports.unbind(port, key);
        self.udps.remove(index);
        self.give_socket(host);
    }
}
