//! Listeners: opening, finding, accepting, closing.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::host::in_family_of;
use super::ports::{Holder, Scope};
use super::retry::check_keep_alive;
use super::tcp::{Owner, State, capacity};
use super::{Core, END, Poll, READ, bits};
use crate::net::{BufferSizes, Listen, SocketOptions};
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key, Op};

/// `net.core.somaxconn`.
pub(super) const MAX_BACKLOG: u32 = 4096;

/// A listening socket.
pub(super) struct Listening {
    pub(super) stamp: u32,
    pub(super) host: HostId,
    pub(super) local: SocketAddr,
    pub(super) holder: Holder,
    backlog: usize,
    pub(super) pending: VecDeque<Key>,
    pub(super) options: SocketOptions,
    /// Taken away: it accepts nothing any more.
    pub(super) lost: bool,
    pub(super) poll: Poll,
}

impl Listening {
    pub(super) fn ready_bits(&self) -> u8 {
        bits(self.lost || !self.pending.is_empty(), false, self.lost)
    }

    /// As on Linux: one more than the backlog says.
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() > self.backlog
    }
}

/// A connection that was taken from the accept queue.
pub(in crate::sim) struct Taken {
    pub(in crate::sim) key: Key,
    pub(in crate::sim) local: SocketAddr,
    pub(in crate::sim) remote: SocketAddr,
}

impl Core {
    /// Counts one more socket of the host, if it may have one.
    pub(super) fn take_socket(&mut self, host: HostId) -> Result<(), Errno> {
        let host = self.host_mut(host);
        if !host.up {
            return Err(Errno::Enetdown);
        }
        if host.sockets >= host.spec.max_sockets {
            return Err(Errno::Emfile);
        }
        host.sockets += 1;
        Ok(())
    }

    pub(super) fn give_socket(&mut self, host: HostId) {
        let host = self.host_mut(host);
        host.sockets = host.sockets.saturating_sub(1);
    }

    /// Whether the host may bind this address.
    pub(super) fn may_bind_ip(&self, host: HostId, ip: IpAddr) -> Result<(), Errno> {
        let ip = ip.to_canonical();
        let own = ip.is_unspecified() || ip.is_loopback() || self.host(host).addrs.contains(&ip);
        if own { Ok(()) } else { Err(Errno::Eaddrnotavail) }
    }

    /// Whether a socket of IPv6 may have that address at all: one of IPv4 is none for IPv6 alone.
    pub(super) fn fits_family(ip: IpAddr, only_v6: Option<bool>) -> Result<(), Errno> {
        let mapped = ip.is_ipv6() && ip.to_canonical().is_ipv4();
        if mapped && only_v6 == Some(true) { Err(Errno::Einval) } else { Ok(()) }
    }

    pub(in crate::sim) fn listen(
        &mut self,
        host: HostId,
        spec: &Listen,
        addr: SocketAddr,
    ) -> Result<(Key, SocketAddr), Errno> {
        let result = self.try_listen(host, spec, addr);
        self.record_call(host, Op::Listen, u32::from(addr.port()), &result, |(_, local)| {
            u64::from(local.port())
        });
        result
    }

    fn try_listen(
        &mut self,
        host: HostId,
        spec: &Listen,
        addr: SocketAddr,
    ) -> Result<(Key, SocketAddr), Errno> {
        check_keep_alive(&spec.socket)?;
        Self::fits_family(addr.ip(), spec.only_v6)?;
        self.may_bind_ip(host, addr.ip())?;
        let holder = Holder {
            scope: Scope::of(addr.ip(), spec.only_v6),
            reuse_addr: spec.reuse_addr,
            reuse_port: spec.reuse_port,
            listens: true,
        };
        self.sweep_orphans(host);
        let own = self.host_mut(host);
        let port = match addr.port() {
            0 => own
                .ports
                .pick(own.spec.ephemeral_ports, |ports, port| ports.may_hold(port, &holder)),
            port => own.ports.may_hold(port, &holder).then_some(port),
        };
        let port = port.ok_or(Errno::Eaddrinuse)?;
        self.take_socket(host)?;
        self.host_mut(host).ports.hold(port, holder);
        let local = SocketAddr::new(addr.ip(), port);
        let stamp = self.stamp();
        let listening = Listening {
            stamp,
            host,
            local,
            holder,
            backlog: spec.backlog.min(MAX_BACKLOG) as usize,
            pending: VecDeque::new(),
            options: spec.socket.clone(),
            lost: false,
            poll: Poll::default(),
        };
        let key = Key::new(self.listeners.insert(listening), stamp);
        self.listening.entry((host, port)).or_default().push(key);
        Ok((key, local))
    }

    pub(super) fn listener(&self, key: Key) -> Option<usize> {
        let index = key.index();
        self.listeners.get(index).is_some_and(|it| it.stamp == key.stamp).then_some(index)
    }

    /// Who listens there: the one for that very address before one for all; of several that share, one by the number of the connection.
    pub(super) fn find_listener(&self, host: HostId, end: SocketAddr, conn: u32) -> Option<Key> {
        let keys = self.listening.get(&(host, end.port()))?;
        let rank = |key: &&Key| {
            let scope = self.listeners[key.index()].holder.scope;
            match scope {
                _ if !scope.covers(end.ip()) => None,
                Scope::One(_) => Some(0),
                Scope::AllV4 | Scope::AllV6 => Some(1),
                Scope::All => Some(2),
            }
        };
        let best = keys.iter().filter_map(|key| rank(&key)).min()?;
        let count = keys.iter().filter(|key| rank(key) == Some(best)).count();
        let chosen = conn as usize % count;
        keys.iter().filter(|key| rank(key) == Some(best)).nth(chosen).copied()
    }

    pub(in crate::sim) fn accept(&mut self, key: Key) -> Result<Taken, Errno> {
        let index = self.listener(key).ok_or(Errno::Ebadf)?;
        let (host, port) = (self.listeners[index].host, self.listeners[index].local.port());
        let result = self.try_accept(index);
        let number = |core: &Core, taken: &Taken| u64::from(core.tcps[taken.key.index()].conn);
        let conn = result.as_ref().map_or(0, |taken| number(self, taken));
        self.record_call(host, Op::Accept, u32::from(port), &result, |_| conn);
        result
    }

    fn try_accept(&mut self, index: usize) -> Result<Taken, Errno> {
        let listening = &self.listeners[index];
        let host = listening.host;
        if listening.lost {
            return Err(Errno::Einval);
        }
        // As on Linux the descriptor is taken first, so a full table fails even where nobody waits.
        self.take_socket(host)?;
        let Some(key) = self.listeners[index].pending.pop_front() else {
            self.give_socket(host);
            return Err(Errno::Eagain);
        };
        let tcp = &mut self.tcps[key.index()];
        tcp.owner = Owner::Handle;
        self.stats.accepted += 1;
        let own = self.listeners[index].local;
        let tcp = &self.tcps[key.index()];
        let show = |end| in_family_of(end, own);
        Ok(Taken { key, local: show(tcp.local), remote: show(tcp.remote) })
    }

    pub(in crate::sim) fn listener_sizes(&self, key: Key) -> Result<BufferSizes, Errno> {
        let index = self.listener(key).ok_or(Errno::Ebadf)?;
        let Listening { host, options, .. } = &self.listeners[index];
        let spec = &self.host(*host).spec;
        Ok(BufferSizes {
            recv: 2 * capacity(spec.recv_buffer, options.recv_buffer),
            send: 2 * capacity(spec.send_buffer, options.send_buffer),
        })
    }

    pub(in crate::sim) fn close_listener(&mut self, key: Key) {
        let Some(index) = self.listener(key) else { return };
        let (host, port) = (self.listeners[index].host, self.listeners[index].local.port());
        self.record_call(host, Op::Close, u32::from(port), &Ok(()), |()| 0);
        self.stop_listening(index);
        self.listeners.remove(index);
        self.give_socket(host);
    }

    /// Resets what waits to be accepted, and refuses what comes.
    fn stop_listening(&mut self, index: usize) {
        let key = Key::new(index, self.listeners[index].stamp);
        let listening = &mut self.listeners[index];
        let (host, port, holder) = (listening.host, listening.local.port(), listening.holder);
        let pending = core::mem::take(&mut listening.pending);
        if listening.lost {
            return;
        }
        listening.lost = true;
        if let Some(keys) = self.listening.get_mut(&(host, port)) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.listening.remove(&(host, port));
            }
        }
        self.host_mut(host).ports.release(port, holder);
        for child in pending {
            if let Some(child) = self.tcp(child) {
                self.tcps[child].owner = Owner::Nobody;
                if self.tcps[child].state == State::Closed {
                    self.remove_tcp(child);
                } else {
                    self.reset(child);
                }
            }
        }
    }

    /// Takes the listeners on this port away from under their holders; returns whether there was one.
    pub(super) fn lose_listeners(&mut self, host: HostId, port: u16) -> bool {
        let keys = self.listening.get(&(host, port)).cloned().unwrap_or_default();
        for &key in &keys {
            self.stop_listening(key.index());
            self.notify(super::Source::Listener(key), READ | END);
        }
        !keys.is_empty()
    }

    /// Forgets every socket of a host without a word to anybody.
    pub(super) fn forget_sockets(&mut self, host: HostId) {
        self.tcps.retain(|_, tcp| tcp.host != host);
        self.listeners.retain(|_, listening| listening.host != host);
        self.udps.retain(|_, udp| udp.host != host);
        self.unix.forget(host);
        self.listening.retain(|&(owner, _), _| owner != host);
        let host = self.host_mut(host);
        host.ports.clear();
        host.sockets = 0;
    }
}
