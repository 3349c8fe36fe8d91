//! TCP connections coming up.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::group::is_many;
use super::host::{in_family_of, lacks_interface, plain};
use super::path::{Body, Segment, Syn};
use super::ports::{Holder, Pair, Ports, Scope};
use super::retry::{check_keep_alive, whole_seconds};
use super::tcp::{Owner, State};
use super::{Core, READ, Source, WRITE};
use crate::net::Dial;
use crate::sim::queue::Event;
use crate::sim::topology::HostId;
use crate::sim::trace::{Fate, Flags, What};
use crate::sim::{Errno, Key, Op, Side};
use bytes::Bytes;

/// `net.ipv4.tcp_syn_retries`: the seventh time-out, 127 s after the first SYN, is the end. As on kernels before 6.5, each waits twice as long as the one
/// before; newer ones begin with four waits of one second (`tcp_syn_linear_timeouts`), and give up after 67 s.
pub(super) const SYN_RETRIES: u32 = 6;
/// `net.ipv4.tcp_synack_retries`.
pub(super) const SYNACK_RETRIES: u32 = 5;
/// Initial retransmission time-out (RFC 6298 section 2.1).
pub(super) const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of headers of a segment on the wire: Ethernet, IPv4, TCP.
pub(super) const HEADERS: usize = 54;

impl Core {
    /// Begins a connection; returns its key and both ends.
    pub(in crate::sim) fn connect(
        &mut self,
        host: HostId,
        dial: &Dial,
        target: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Result<(Key, SocketAddr, SocketAddr), Errno> {
        let conn = self.conns;
        let result = self.try_connect(host, dial, target, local);
        self.record_call(host, Op::Connect, conn, &result, |(_, local, _)| u64::from(local.port()));
        if let Ok((key, ..)) = result {
            self.send_syn(key.index());
        }
        result
    }

    fn try_connect(
        &mut self,
        host: HostId,
        dial: &Dial,
        asked: SocketAddr,
        bind: Option<SocketAddr>,
    ) -> Result<(Key, SocketAddr, SocketAddr), Errno> {
        check_keep_alive(&dial.socket)?;
        if let Some(bind) = bind.filter(|bind| bind.is_ipv4() != asked.is_ipv4()) {
            return Err(if bind.is_ipv4() { Errno::Einval } else { Errno::Eafnosupport });
        }
        let own = bind.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |bind| bind.ip());
        let target = plain(asked, own);
        let ip = self.source_ip(host, target.ip())?;
        let (ip, wished) = match bind {
            Some(bind) => {
                self.may_bind_ip(host, bind.ip())?;
                let own = bind.ip().to_canonical();
                (if own.is_unspecified() { ip } else { own }, bind.port())
            }
            None => (ip, 0),
        };
        if ip.is_ipv4() != target.is_ipv4() || is_many(target.ip()) {
            return Err(Errno::Enetunreach);
        }
        if lacks_interface(asked) {
            return Err(Errno::Einval);
        }
        // A port that was asked for is shared, else the last connection from there would be in the way for a minute after its end.
        let reuse_addr = wished != 0;
        let holder =
            Holder { scope: Scope::One(ip), reuse_addr, reuse_port: false, listens: false };
        // It is bound before it is connected: as wide as was asked for.
        let scope = bind.map_or(holder.scope, |bind| Scope::of(bind.ip(), None));
        let asked_for = Holder { scope, ..holder };
        let to = self.owner(host, target.ip());
        let to = self.route(host, ip, to)?;
        self.sweep_orphans(host);
        let own = self.host_mut(host);
        let port = match wished {
            0 => {
                let fits = |ports: &Ports, port| ports.may_dial(SocketAddr::new(ip, port), target);
                own.ports.pick(own.spec.ephemeral_ports, fits).ok_or(Errno::Eaddrnotavail)?
            }
            port if !own.ports.may_hold(port, &asked_for) => return Err(Errno::Eaddrinuse),
            // One connection at a time is between two ends, shared or not.
            port if own.ports.pair(SocketAddr::new(ip, port), target).is_some() => {
                return Err(Errno::Eaddrnotavail);
            }
            port => port,
        };
        let local = SocketAddr::new(ip, port);
        self.take_socket(host)?;
        let conn = self.conns;
        self.conns += 1;
        self.stats.connections += 1;
        let ends = (local, target);
        let mut tcp =
            self.new_tcp(host, conn, Side::Dialled, Owner::Handle, ends, holder, &dial.socket);
        tcp.path = to.map(|to| self.path(host, to));
        tcp.keeps_port = wished != 0;
        let key = self.insert_tcp(tcp);
        let ports = &mut self.host_mut(host).ports;
        ports.hold(port, holder);
        ports.set_pair(local, target, key);
        self.record(&What::Conn { conn, from: host, to, dialler: local, target });
        Ok((key, in_family_of(local, asked), in_family_of(target, asked)))
    }

    /// Sends the SYN, or sends it again.
    pub(super) fn send_syn(&mut self, index: usize) {
        let key = self.tcp_key(index);
        let now = self.now;
        let tcp = &mut self.tcps[index];
        tcp.last_try = now;
        tcp.next = 1;
        tcp.edge = u64::from(tcp.window()) + 1;
        let (conn, window, path) = (tcp.conn, tcp.window(), tcp.path);
        let syn = Syn { from: key, conn, source: tcp.local, target: tcp.remote };
        let fate = match path {
            Some(path) => self.fate(path, HEADERS, true),
            None => self.nowhere(),
        };
        if self.recorder.on() {
            self.record(&What::Segment {
                conn,
                side: Side::Dialled,
                flags: Flags::SYN,
                seq: 0,
                ack: 0,
                window,
                fate,
                data: Bytes::new(),
            });
        }
        if let (Fate::Arrives(at), Some(path)) = (fate, path) {
            let tcp = &mut self.tcps[index];
            let at = at.max(tcp.last_arrival);
            tcp.last_arrival = at;
            self.dispatch(at, path, Body::Syn(syn));
            // What has a limit is looked after even where nothing is known to be lost.
            if !self.paths[path as usize].clogged && self.tcps[index].user_timeout.is_none() {
                return;
            }
        }
        self.arm_retry(index);
    }

    pub(super) fn on_syn(&mut self, path: u32, syn: &Syn) {
        if self.tcp(syn.from).is_none_or(|at| self.tcps[at].state != State::SynSent) {
            return; // The caller has given up; an answer would only be reset.
        }
        let host = self.paths[path as usize].to;
        self.sweep_orphans(host);
        if let Some(Pair::Conn(key)) = self.host(host).ports.pair(syn.target, syn.source)
            && let Some(index) = self.tcp(key)
        {
            if self.tcps[index].peer == Some(syn.from) {
                return self.send_synack(index);
            }
            if key == syn.from {
                // It has met itself: an engine on Linux makes of that what it is, nobody listens there.
                return self.send_reset(path ^ 1, syn.from, syn.conn, Side::Accepted, 0, 1);
            }
            // An old connection whose other end was forgotten there: that end resets it, and the caller tries again.
            self.fail(index, Errno::Econnreset);
            return self.arm_retry_of(Some(syn.from));
        }
        let Some(listener) = self.find_listener(host, syn.target, syn.conn) else {
            return self.send_reset(path ^ 1, syn.from, syn.conn, Side::Accepted, 0, 1);
        };
        let listening = &self.listeners[listener.index()];
        if listening.is_full() {
            self.stats.backlog_drops += 1;
            return self.arm_retry_of(Some(syn.from));
        }
        let options = listening.options.clone();
        let holder =
            Holder { scope: Scope::One(syn.target.ip()), listens: false, ..listening.holder };
        let ends = (syn.target, syn.source);
        let owner = Owner::Listener(listener);
        let mut tcp = self.new_tcp(host, syn.conn, Side::Accepted, owner, ends, holder, &options);
        tcp.state = State::SynReceived;
        tcp.peer = Some(syn.from);
        tcp.path = Some(path ^ 1);
        tcp.received = 1;
        let key = self.insert_tcp(tcp);
        let ports = &mut self.host_mut(host).ports;
        ports.hold(syn.target.port(), holder);
        ports.set_pair(syn.target, syn.source, key);
        self.send_synack(key.index());
    }

    pub(super) fn send_synack(&mut self, index: usize) {
        self.tcps[index].next = 1;
        self.tcps[index].last_try = self.now;
        if !self.send(index, Flags::SYN.with(Flags::ACK), 0, Bytes::new()) {
            self.arm_retry(index);
            let peer = self.tcps[index].peer;
            self.arm_retry_of(peer);
        }
    }

    /// The caller has its answer.
    pub(super) fn on_synack(&mut self, index: usize, segment: &Segment) {
        let tcp = &mut self.tcps[index];
        tcp.state = State::Open;
        // All that was to be tried again was the SYN.
        tcp.trouble.armed = false;
        tcp.peer = Some(segment.from);
        tcp.received = 1;
        tcp.acked = 1;
        tcp.limit = 1 + u64::from(segment.window);
        self.calm(index);
        self.start_keep_alive(index);
        self.send_ack(index);
        self.notify(Source::Tcp(self.tcp_key(index)), WRITE);
    }

    /// The caller has acknowledged: into the accept queue, if there is room. Else it is as if the acknowledgement was lost.
    pub(super) fn promote(&mut self, index: usize) {
        let Owner::Listener(listener) = self.tcps[index].owner else { return };
        let Some(at) = self.listener(listener).filter(|&at| !self.listeners[at].lost) else {
            return self.reset(index);
        };
        if self.listeners[at].is_full() {
            self.stats.backlog_drops += 1;
            return self.arm_retry(index);
        }
        self.tcps[index].state = State::Open;
        self.calm(index);
        self.start_keep_alive(index);
        let key = self.tcp_key(index);
        self.listeners[at].pending.push_back(key);
        if self.tcps[index].received > self.tcps[index].ack_sent {
            self.send_ack(index);
        }
        self.notify(Source::Listener(listener), READ);
    }

    fn start_keep_alive(&mut self, index: usize) {
        if let Some(keep) = self.tcps[index].keep_alive {
            let at = self.now + whole_seconds(keep.idle);
            self.queue.push(at, Event::KeepAlive(self.tcp_key(index)));
        }
    }

    /// Whether the connection has come up; an error is told once.
    pub(in crate::sim) fn connected(&mut self, key: Key) -> Result<bool, Errno> {
        let index = self.tcp(key).ok_or(Errno::Ebadf)?;
        let tcp = &mut self.tcps[index];
        let (host, conn) = (tcp.host, tcp.conn);
        let result = match tcp.error.take() {
            Some(error) => Err(error),
            None => Ok(matches!(tcp.state, State::Open)),
        };
        self.record_call(host, Op::Connected, conn, &result, |&up| u64::from(up));
        result
    }
}
