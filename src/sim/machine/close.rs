//! How TCP connections end.

use core::time::Duration;
use std::net::Shutdown;

use bytes::Bytes;

use super::open::HEADERS;
use super::path::{Body, Segment};
use super::ports::Pair;
use super::tcp::{Fin, Owner, State};
use super::{Core, END, READ, Source, WRITE};
use crate::net::BufferSizes;
use crate::sim::topology::HostId;
use crate::sim::trace::{Fate, Flags, What};
use crate::sim::{Errno, Key, Op, Side};

/// How long a pair of ends is kept after its connection was closed (Linux: `TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);
/// How long an orphan waits for its peer's end (`net.ipv4.tcp_fin_timeout`).
pub(super) const FIN_TIMEOUT: Duration = Duration::from_secs(60);
impl Core {
    pub(in crate::sim) fn shutdown(&mut self, key: Key, how: Shutdown) -> Result<(), Errno> {
        let index = self.tcp(key).ok_or(Errno::Ebadf)?;
        let (host, conn) = (self.tcps[index].host, self.tcps[index].conn);
        let result = match self.tcps[index].state {
            State::Closed => Err(Errno::Enotconn),
            _ => Ok(()),
        };
        let code = match how {
            Shutdown::Read => 0,
            Shutdown::Write => 1,
            Shutdown::Both => 2,
        };
        self.record_call(host, Op::Shutdown, conn, &result, |()| code);
        result?;
        if self.tcps[index].state == State::SynSent {
            self.fail(index, Errno::Econnreset);
            return Ok(());
        }
        if how != Shutdown::Write {
            self.tcps[index].read_shut = true;
            self.notify(Source::Tcp(key), READ | END);
        }
        if how != Shutdown::Read && self.tcps[index].fin == Fin::Open {
            self.tcps[index].fin = Fin::Queued;
            self.transmit(index);
        }
        Ok(())
    }

    pub(in crate::sim) fn set_abortive(&mut self, key: Key) -> Result<(), Errno> {
        let index = self.tcp(key).ok_or(Errno::Ebadf)?;
        self.tcps[index].abortive = true;
        Ok(())
    }

    pub(in crate::sim) fn stream_sizes(&self, key: Key) -> Result<BufferSizes, Errno> {
        let index = self.tcp(key).ok_or(Errno::Ebadf)?;
        let tcp = &self.tcps[index];
        Ok(BufferSizes { recv: 2 * tcp.recv_cap, send: 2 * tcp.send_cap })
    }

    /// The holder lets go. With unread bytes, or if so asked, that is a reset (RFC 2525 section 2.17).
    pub(in crate::sim) fn close_stream(&mut self, key: Key) {
        let Some(index) = self.tcp(key) else { return };
        let tcp = &mut self.tcps[index];
        let (host, conn) = (tcp.host, tcp.conn);
        let op = if tcp.abortive { Op::Abort } else { Op::Close };
        tcp.owner = Owner::Nobody;
        let unread = tcp.in_len as u64;
        self.record_call(host, op, conn, &Ok(unread), |&unread| unread);
        self.give_socket(host);
        let tcp = &mut self.tcps[index];
        match tcp.state {
            State::Closed => self.remove_tcp(index),
            State::SynSent => {
                self.close_down(index, false);
                self.remove_tcp(index);
            }
            _ if tcp.abortive || unread > 0 => self.reset(index),
            _ => {
                if tcp.fin == Fin::Open {
                    tcp.fin = Fin::Queued;
                }
                if tcp.is_waiting_for_fin() {
                    self.expect_fin(index);
                }
                self.transmit(index);
            }
        }
    }

    /// Frees orphans whose peers have not ended in time, and ports of the host that have waited long enough.
    pub(super) fn sweep_orphans(&mut self, host: HostId) {
        let now = self.now;
        while let Some(&(until, key)) = self.orphans.front()
            && until <= now
        {
            self.orphans.pop_front();
            if let Some(index) = self.tcp(key)
                && self.tcps[index].orphan_until <= now
            {
                self.finish(index);
            }
        }
        self.host_mut(host).ports.expire(now);
    }

    /// Sends a reset and is gone; a holder hears `ECONNRESET` no more than after its own abort.
    pub(super) fn reset(&mut self, index: usize) {
        self.say_reset(index);
        self.fail(index, Errno::Econnreset);
    }

    pub(super) fn say_reset(&mut self, index: usize) {
        let tcp = &self.tcps[index];
        let (seq, conn, side, ack) = (tcp.next, tcp.conn, tcp.side, tcp.received);
        if let (Some(to), Some(path)) = (tcp.peer, tcp.path) {
            self.send_reset(path, to, conn, side, seq, ack);
        }
    }

    pub(super) fn send_reset(
        &mut self,
        path: u32,
        to: Key,
        conn: u32,
        side: Side,
        seq: u64,
        ack: u64,
    ) {
        let mut fate = self.fate(path, HEADERS, true);
        if let Fate::Arrives(at) = &mut fate {
            // Not before what was sent ahead of it.
            let own = self.tcp(to).and_then(|at| self.tcps[at].peer).and_then(|key| self.tcp(key));
            if let Some(own) = own {
                *at = (*at).max(self.tcps[own].last_arrival);
            }
        }
        let flags = Flags::RST.with(Flags::ACK);
        if self.recorder.on() {
            let data = Bytes::new();
            self.record(&What::Segment { conn, side, flags, seq, ack, window: 0, fate, data });
        }
        match fate {
            Fate::Arrives(at) => {
                let (from, data) = (Key::NOBODY, Bytes::new());
                let segment = Segment { from, to, conn, side, flags, seq, ack, window: 0, data };
                self.dispatch(at, path, Body::Segment(segment));
            }
            // Who still waits for an answer asks again, and is reset then.
            Fate::Lost(_) => self.arm_retry_of(Some(to)),
        }
    }

    /// A segment for an end that is gone.
    pub(super) fn on_stray(&mut self, path: u32, segment: &Segment) {
        if segment.flags.has(Flags::RST) {
            return;
        }
        let Some(from) = self.tcp(segment.from) else { return };
        let host = self.paths[path as usize].to;
        let now = self.now;
        self.host_mut(host).ports.expire(now);
        let ends = (self.tcps[from].remote, self.tcps[from].local);
        let end = segment.seq + segment.data.len() as u64;
        let end = end + u64::from(segment.flags.has(Flags::FIN));
        let side = segment.side.other();
        if let Some(Pair::Waits(_)) = self.host(host).ports.pair(ends.0, ends.1) {
            // What waits acknowledges once more (RFC 9293 section 3.10.7.4).
            if segment.data.is_empty() {
                let ack = end.max(self.tcps[from].next);
                return self.ack_for_the_dead(path ^ 1, segment, side, ack);
            }
        }
        self.send_reset(path ^ 1, segment.from, segment.conn, side, segment.ack, end);
    }

    fn ack_for_the_dead(&mut self, path: u32, segment: &Segment, side: Side, ack: u64) {
        let fate = self.fate(path, HEADERS, true);
        let (conn, to, seq, data) = (segment.conn, segment.from, segment.ack, Bytes::new());
        if self.recorder.on() {
            let data = Bytes::new();
            let flags = Flags::ACK;
            self.record(&What::Segment { conn, side, flags, seq, ack, window: 0, fate, data });
        }
        match fate {
            Fate::Arrives(at) => {
                let (from, flags) = (Key::NOBODY, Flags::ACK);
                let segment = Segment { from, to, conn, side, flags, seq, ack, window: 0, data };
                self.dispatch(at, path, Body::Segment(segment));
            }
            Fate::Lost(_) => self.arm_retry_of(Some(to)),
        }
    }

    /// The peer has reset. The error is the one that `tcp_reset` picks.
    pub(super) fn on_reset(&mut self, index: usize) {
        let tcp = &self.tcps[index];
        match tcp.state {
            State::SynSent => self.fail(index, Errno::Econnrefused),
            _ if tcp.peer_fin && tcp.fin == Fin::Open => self.fail(index, Errno::Epipe),
            _ => self.fail(index, Errno::Econnreset),
        }
    }

    /// The connection is lost, for this reason.
    pub(super) fn fail(&mut self, index: usize, errno: Errno) {
        let incoming = self.tcps[index].state == State::SynReceived;
        self.close_down(index, false);
        if self.tcps[index].is_orphan() || incoming {
            return self.remove_tcp(index);
        }
        self.tcps[index].error = Some(errno);
        self.notify(Source::Tcp(self.tcp_key(index)), READ | WRITE | END);
    }

    /// Takes an end from the network; what was received can still be read.
    pub(super) fn close_down(&mut self, index: usize, wait: bool) {
        let key = self.tcp_key(index);
        let now = self.now;
        let tcp = &mut self.tcps[index];
        if tcp.state == State::Closed {
            return;
        }
        tcp.state = State::Closed;
        tcp.out.clear();
        tcp.out_len = 0;
        tcp.keeps_port &= !tcp.is_orphan();
        let keeps_port = tcp.keeps_port;
        let (host, local, remote, holder) = (tcp.host, tcp.local, tcp.remote, tcp.holder);
        let ports = &mut self.host_mut(host).ports;
        if wait {
            ports.wait(now + TIME_WAIT, (local, remote), holder);
        } else {
            ports.clear_pair(local, remote, key);
            ports.release(local.port(), holder);
        }
        if keeps_port {
            ports.hold(local.port(), holder);
        }
    }

    pub(super) fn remove_tcp(&mut self, index: usize) {
        let tcp = self.tcps.remove(index);
        if tcp.keeps_port {
            self.host_mut(tcp.host).ports.release(tcp.local.port(), tcp.holder);
        }
    }

    pub(super) fn finish_if_done(&mut self, index: usize) {
        let tcp = &self.tcps[index];
        if tcp.fin == Fin::Acked && tcp.peer_fin {
            self.finish(index);
        } else if tcp.is_orphan() && tcp.is_waiting_for_fin() {
            self.expect_fin(index);
        }
    }

    /// From here on an orphan waits only so long for its peer's end.
    fn expect_fin(&mut self, index: usize) {
        let until = self.now + FIN_TIMEOUT;
        self.tcps[index].orphan_until = until;
        self.orphans.push_back((until, self.tcp_key(index)));
    }

    /// Both halves have ended. Who ended first keeps the pair of ends for a while (`TIME_WAIT`).
    pub(super) fn finish(&mut self, index: usize) {
        let wait = self.tcps[index].fin_first && self.tcps[index].peer_fin;
        self.close_down(index, wait);
        if self.tcps[index].is_orphan() {
            self.remove_tcp(index);
        }
    }
}
