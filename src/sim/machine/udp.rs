//! Datagrams.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::cast::{Cast, is_cast};
use super::path::Body;
use super::ports::Scope;
use super::{Core, Poll, READ, Source, WRITE, plain};
use crate::net::Bind;
use crate::sim::topology::HostId;
use crate::sim::trace::{Fate, What, Why};
use crate::sim::{Errno, Key, Op};

/// Greatest payload of a datagram over IPv4: 65,535 less the headers of IP and UDP.
const MAX_GRAM: usize = 65_507;
/// Bytes of headers on the wire: Ethernet, IPv4, UDP.
const HEADERS: usize = 42;
/// What a datagram costs beside its payload in the receive buffer, as Linux counts it.
const OVERHEAD: usize = 768;

/// A datagram socket.
pub(super) struct Udp {
    pub(super) stamp: u32,
    pub(super) host: HostId,
    pub(super) local: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
    pub(super) cast: Cast,
    inbox: VecDeque<(SocketAddr, Bytes)>,
    in_len: usize,
    pub(super) cap: usize,
    error: Option<Errno>,
    pub(super) poll: Poll,
}

impl Udp {
    pub(super) fn ready_bits(&self) -> u8 {
        let readable = !self.inbox.is_empty() || self.error.is_some();
        WRITE | (u8::from(readable) * READ)
    }

    /// An end in the form in which this socket sees ends.
    fn show(&self, end: SocketAddr) -> SocketAddr {
        match (self.local.ip(), end.ip()) {
            (IpAddr::V6(_), IpAddr::V4(ip)) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), end.port())
            }
            _ => end,
        }
    }
}

/// What was received.
pub(in crate::sim) struct Received {
    pub(in crate::sim) len: usize,
    pub(in crate::sim) truncated: bool,
    pub(in crate::sim) from: SocketAddr,
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
        self.may_bind_ip(host, addr.ip())?;
        let peer = peer.map(plain);
        let scope = Scope::of(addr.ip(), spec.only_v6);
        let own = self.host_mut(host);
        let port = match addr.port() {
            0 => {
                own.ports.pick(own.spec.ephemeral_ports, |ports, port| ports.may_bind(port, scope))
            }
            port => own.ports.may_bind(port, scope).then_some(port),
        };
        let port = port.ok_or(Errno::Eaddrinuse)?;
        // In connected mode the address is that from which the peer is reached.
        let ip = match peer {
            Some(peer) if addr.ip().is_unspecified() => self.source_ip(host, peer.ip())?,
            _ => addr.ip(),
        };
        self.take_socket(host)?;
        let local = SocketAddr::new(ip, port);
        let cap = super::tcp::capacity(self.host(host).spec.gram_buffer, spec.recv_buffer);
        let stamp = self.stamp();
        let udp = Udp {
            stamp,
            host,
            local,
            peer,
            cast: Cast::new(spec.broadcast),
            inbox: VecDeque::new(),
            in_len: 0,
            cap,
            error: None,
            poll: Poll::default(),
        };
        let key = Key::new(self.udps.insert(udp), stamp);
        self.host_mut(host).ports.bind(port, scope, key);
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
        let result = self.try_send(index, key, data, plain(target));
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
        if let Some(error) = self.udps[index].error.take() {
            return Err(error);
        }
        if data.len() > MAX_GRAM {
            return Err(Errno::Emsgsize);
        }
        if target.port() == 0 {
            return Err(Errno::Einval);
        }
        if is_cast(target.ip()) {
            return self.send_to_many(index, key, data, target);
        }
        let (host, local) = (self.udps[index].host, self.udps[index].local);
        let own = local.ip().to_canonical();
        if !own.is_unspecified() && own.is_ipv4() != target.is_ipv4() {
            return Err(Errno::Enetunreach);
        }
        let ip = if own.is_unspecified() { self.source_ip(host, target.ip())? } else { own };
        let source = SocketAddr::new(ip, local.port());
        let to = self.owner(host, target.ip());
        let data = self.gather(core::iter::once(data), data.len());
        self.stats.grams += 1;
        self.post(host, to, (source, target), key, &data);
        Ok(())
    }

    /// Sends a datagram on its way to one host.
    pub(super) fn post(
        &mut self,
        host: HostId,
        to: Option<HostId>,
        (source, target): (SocketAddr, SocketAddr),
        key: Key,
        data: &Bytes,
    ) {
        let path = to.map(|to| self.path(host, to));
        let copies = match path {
            Some(path) => {
                let twice = self.paths[path as usize].link.duplicate;
                1 + u32::from(twice > 0.0 && self.rng.chance(twice))
            }
            None => 1,
        };
        for _ in 0..copies {
            let fate = match path {
                Some(path) => self.gram_fate(path, data.len()),
                None => Fate::Lost(Why::NoHost),
            };
            if self.recorder.on() {
                let data = data.clone();
                self.record(&What::Gram { from: host, to, source, target, fate, data });
            }
            if let (Fate::Arrives(at), Some(path)) = (fate, path) {
                let data = data.clone();
                self.dispatch(at, path, Body::Gram { source, target, from: key, data });
            }
        }
    }

    fn gram_fate(&mut self, path: u32, len: usize) -> Fate {
        let fate = self.fate(path, HEADERS + len, false);
        let link = &self.paths[path as usize].link;
        let (reorder, by) = (link.reorder, link.overtaken_by);
        match fate {
            Fate::Arrives(at) if reorder > 0.0 && self.rng.chance(reorder) => {
                let extra = self.rng.between(1, crate::tyme::nanos(by).max(1));
                Fate::Arrives(at + Duration::from_nanos(extra))
            }
            fate => fate,
        }
    }

    pub(super) fn on_gram(
        &mut self,
        path: u32,
        source: SocketAddr,
        target: SocketAddr,
        from: Key,
        data: Bytes,
    ) {
        if is_cast(target.ip()) {
            return self.on_cast(path, source, target, &data);
        }
        let host = self.paths[path as usize].to;
        let bound = self.host(host).ports.bound(target).and_then(|key| self.udp(key));
        let Some(index) = bound.filter(|&at| self.udps[at].peer.is_none_or(|peer| peer == source))
        else {
            return self.send_unreachable(path, source, target, from);
        };
        self.put_in(index, source, data);
    }

    /// Into the receive buffer, if there is room.
    pub(super) fn put_in(&mut self, index: usize, source: SocketAddr, data: Bytes) {
        let udp = &mut self.udps[index];
        let size = data.len() + OVERHEAD;
        // As on Linux, one datagram always fits.
        if udp.in_len > 0 && udp.in_len + size > udp.cap {
            self.stats.lost += 1;
            return;
        }
        udp.in_len += size;
        udp.inbox.push_back((source, data));
        let key = Key::new(index, udp.stamp);
        self.stats.grams_delivered += 1;
        self.notify(Source::Udp(key), READ);
    }

    fn send_unreachable(&mut self, path: u32, source: SocketAddr, target: SocketAddr, to: Key) {
        let back = path ^ 1;
        let fate = self.fate(back, HEADERS, false);
        if self.recorder.on() {
            let (from, to) = (self.paths[back as usize].from, self.paths[back as usize].to);
            self.record(&What::Unreachable { from, to, source, target, fate });
        }
        if let Fate::Arrives(at) = fate {
            self.dispatch(at, back, Body::Unreachable { to });
        }
    }

    pub(super) fn on_unreachable(&mut self, key: Key) {
        let Some(index) = self.udp(key) else { return };
        let host = self.udps[index].host;
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
                Received { len, truncated: len < data.len(), from: udp.show(from) }
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
