//! TCP bytes, acknowledgements and windows.

use core::time::Duration;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::open::HEADERS;
use super::path::{Body, Segment};
use super::tcp::{Fin, Owner, State};
use super::{Core, END, READ, Source, WRITE};
use crate::sim::queue::Event;
use crate::sim::trace::{Fate, Flags, What};
use crate::sim::{Errno, Key, Op};

/// Payload of a full-sized segment over Ethernet.
pub(super) const MSS: u64 = 1460;
/// Payload handed over in one piece, as cards that cut segments themselves take it: 44 full-sized ones.
const MAX_SEGMENT: usize = 44 * 1460;
/// How long an acknowledgement may wait for company (Linux: 40 ms; RFC 1122 section 4.2.3.2 allows 500 ms).
const ACK_DELAY: Duration = Duration::from_millis(40);

impl Core {
    pub(in crate::sim) fn write(&mut self, key: Key, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let index = self.tcp(key).ok_or(Errno::Ebadf)?;
        let (host, conn) = (self.tcps[index].host, self.tcps[index].conn);
        let result = self.try_write(index, bufs);
        self.record_call(host, Op::Write, conn, &result, |&count| count as u64);
        if result.is_ok() {
            self.transmit(index);
        }
        result
    }

    fn try_write(&mut self, index: usize, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let tcp = &mut self.tcps[index];
        if let Some(error) = tcp.error.take() {
            return Err(error);
        }
        if tcp.state == State::Closed || tcp.fin != Fin::Open {
            return Err(Errno::Epipe);
        }
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if total == 0 {
            return Ok(0);
        }
        let room = tcp.send_cap.saturating_sub(tcp.queued());
        if tcp.state != State::Open || room == 0 {
            tcp.write_blocked = true;
            return Err(Errno::Eagain);
        }
        // A write that fits does not undo that one before it did not (Linux: `SOCK_NOSPACE` stays until there is room).
        tcp.write_blocked |= room < total;
        let count = room.min(total);
        let piece = self.gather(bufs.iter().map(|buf| &**buf), count);
        let tcp = &mut self.tcps[index];
        tcp.out.push_back(piece);
        tcp.out_len += count;
        Ok(count)
    }

    /// Sends what the window allows, and the end after it.
    pub(super) fn transmit(&mut self, index: usize) {
        loop {
            let tcp = &mut self.tcps[index];
            if tcp.state != State::Open || tcp.trouble.stuck {
                return;
            }
            let Some(front) = tcp.out.front_mut() else { break };
            let window = usize::try_from(tcp.limit.saturating_sub(tcp.next)).unwrap_or(usize::MAX);
            let count = front.len().min(window).min(MAX_SEGMENT);
            if count == 0 {
                // The window is closed and no answer is due that could open it: ask (RFC 9293 section 3.8.6.1), since the offer may
                // have been lost.
                if tcp.acked == tcp.next {
                    self.arm_retry(index);
                }
                return;
            }
            let piece = front.slice(..count);
            let last = tcp.out_len == count && tcp.fin == Fin::Queued;
            let end = if last { Flags::FIN } else { Flags::default() };
            let seq = tcp.next;
            if !self.send(index, Flags::PSH.with(Flags::ACK).with(end), seq, piece) {
                self.tcps[index].trouble.stuck = true;
                return self.arm_retry(index);
            }
            let tcp = &mut self.tcps[index];
            tcp.next += count as u64;
            tcp.out_len -= count;
            if let Some(front) = tcp.out.front_mut() {
                front.advance(count);
                if front.is_empty() {
                    tcp.out.pop_front();
                }
            }
            if last {
                self.fin_sent(index);
            }
        }
        if self.tcps[index].fin == Fin::Queued {
            let seq = self.tcps[index].next;
            if self.send(index, Flags::FIN.with(Flags::ACK), seq, Bytes::new()) {
                self.fin_sent(index);
            } else {
                self.tcps[index].trouble.stuck = true;
                self.arm_retry(index);
            }
        }
    }

    fn fin_sent(&mut self, index: usize) {
        let tcp = &mut self.tcps[index];
        tcp.next += 1;
        tcp.fin = Fin::Sent;
        tcp.fin_first = !tcp.peer_fin;
    }

    /// Sends one segment; whether it gets through. What it acknowledges is acknowledged then.
    pub(super) fn send(&mut self, index: usize, flags: Flags, seq: u64, data: Bytes) -> bool {
        let from = self.tcp_key(index);
        let tcp = &self.tcps[index];
        let (Some(to), Some(path)) = (tcp.peer, tcp.path) else { return false };
        let (conn, side, (ack, window)) = (tcp.conn, tcp.side, tcp.offer());
        let mut fate = self.fate(path, HEADERS + data.len(), true);
        if let Fate::Arrives(at) = &mut fate {
            let tcp = &mut self.tcps[index];
            *at = (*at).max(tcp.last_arrival);
            tcp.last_arrival = *at;
            tcp.ack_sent = ack;
            tcp.edge = ack + u64::from(window);
        }
        if self.recorder.on() {
            let data = data.clone();
            self.record(&What::Segment { conn, side, flags, seq, ack, window, fate, data });
        }
        let Fate::Arrives(at) = fate else { return false };
        if self.paths[path as usize].clogged {
            self.arm_retry(index);
        }
        let segment = Segment { from, to, conn, side, flags, seq, ack, window, data };
        self.dispatch(at, path, Body::Segment(segment));
        true
    }

    pub(super) fn send_ack(&mut self, index: usize) {
        let seq = self.tcps[index].next;
        if !self.send(index, Flags::ACK, seq, Bytes::new()) {
            // The peer would try again until it is acknowledged.
            let peer = self.tcps[index].peer;
            self.arm_retry_of(peer);
        }
    }

    pub(super) fn on_segment(&mut self, path: u32, segment: Segment) {
        let place = self.tcp(segment.to).filter(|&at| self.tcps[at].state != State::Closed);
        let Some(index) = place else { return self.on_stray(path, &segment) };
        if segment.flags.has(Flags::RST) {
            return self.on_reset(index);
        }
        let now = self.now;
        let tcp = &mut self.tcps[index];
        if tcp.orphan_until <= now {
            self.finish(index);
            return self.on_stray(path, &segment);
        }
        tcp.heard = now;
        tcp.probes = 0;
        match tcp.state {
            // Who is not up gets nothing else.
            State::SynSent => return self.on_synack(index, &segment),
            State::SynReceived => self.promote(index),
            State::Open | State::Closed => {}
        }
        if self.tcp(segment.to).is_none() {
            return; // Reset, for its listener is gone.
        }
        if self.tcps[index].state == State::SynReceived {
            return self.hold(index, segment);
        }
        if segment.flags.has(Flags::SYN) || segment.seq < self.tcps[index].received {
            // The answer first: what it acknowledges may be the last thing this end was there for.
            self.send_ack(index);
            return self.on_ack(index, &segment);
        }
        self.on_ack(index, &segment);
        if self.tcp(segment.to).is_some() && self.tcps[index].state != State::Closed {
            self.on_data(index, segment);
        }
    }

    fn on_ack(&mut self, index: usize, segment: &Segment) {
        let tcp = &mut self.tcps[index];
        let before = tcp.acked;
        tcp.acked = tcp.acked.max(segment.ack.min(tcp.next));
        tcp.limit = tcp.limit.max(segment.ack + u64::from(segment.window));
        // An answer that there is still no room shows that the peer lives, no more.
        if tcp.acked == before && tcp.is_blocked() {
            tcp.trouble.since = tcp.trouble.armed.then_some(self.now);
        } else {
            self.calm(index);
        }
        let tcp = &mut self.tcps[index];
        // Linux tells of room when a third of the buffer is free (`sk_stream_is_writeable`).
        if tcp.write_blocked && tcp.queued() * 3 <= tcp.send_cap * 2 {
            tcp.write_blocked = false;
            self.notify(Source::Tcp(segment.to), WRITE);
        }
        let tcp = &mut self.tcps[index];
        if tcp.fin == Fin::Sent && tcp.acked == tcp.next {
            tcp.fin = Fin::Acked;
            return self.finish_if_done(index);
        }
        self.transmit(index);
    }

    /// There is no room in the accept queue: what comes is dropped, to be sent again for as long as it is not acknowledged. It is kept here instead, so that
    /// nobody has to, and acknowledged once there is room.
    fn hold(&mut self, index: usize, segment: Segment) {
        let tcp = &mut self.tcps[index];
        let count = segment.data.len();
        if count > 0 {
            tcp.received += count as u64;
            tcp.in_len += count;
            tcp.inbox.push_back(segment.data);
            self.stats.bytes += count as u64;
            self.stats.segments += 1;
        }
        let tcp = &mut self.tcps[index];
        if segment.flags.has(Flags::FIN) {
            tcp.received += 1;
            tcp.peer_fin = true;
        }
    }

    fn on_data(&mut self, index: usize, segment: Segment) {
        let tcp = &mut self.tcps[index];
        let count = segment.data.len();
        if count > 0 {
            let deaf = tcp.is_orphan() || (tcp.read_shut && tcp.fin != Fin::Open);
            if deaf {
                return self.reset(index);
            }
            tcp.received += count as u64;
            tcp.in_len += count;
            tcp.inbox.push_back(segment.data);
            self.stats.bytes += count as u64;
            self.stats.segments += 1;
        }
        let ended = segment.flags.has(Flags::FIN);
        if ended {
            tcp.received += 1;
            tcp.peer_fin = true;
        }
        if count == 0 && !ended {
            return;
        }
        let owed = tcp.received - tcp.ack_sent;
        if ended || owed >= 2 * MSS {
            self.send_ack(index);
        } else if !tcp.ack_timer {
            tcp.ack_timer = true;
            self.queue.push(self.now + ACK_DELAY, Event::DelayedAck(segment.to));
        }
        let bits = if ended { READ | END } else { READ };
        self.notify(Source::Tcp(segment.to), bits);
        if ended {
            self.finish_if_done(index);
        }
    }

    /// Whether there was something to acknowledge.
    pub(super) fn delayed_ack(&mut self, key: Key) -> bool {
        let Some(index) = self.tcp(key) else { return false };
        let tcp = &mut self.tcps[index];
        tcp.ack_timer = false;
        if tcp.state == State::Closed || tcp.ack_sent == tcp.received {
            return false;
        }
        self.send_ack(index);
        true
    }

    pub(in crate::sim) fn read(&mut self, key: Key, buf: &mut [u8]) -> Result<usize, Errno> {
        let index = self.tcp(key).ok_or(Errno::Ebadf)?;
        let (host, conn) = (self.tcps[index].host, self.tcps[index].conn);
        let result = self.try_read(index, buf);
        self.record_call(host, Op::Read, conn, &result, |&count| count as u64);
        if result.is_ok() {
            self.offer_window(index);
        }
        result
    }

    /// In the order of `tcp_recvmsg`: bytes, then the clean end, then the error, once.
    fn try_read(&mut self, index: usize, buf: &mut [u8]) -> Result<usize, Errno> {
        let tcp = &mut self.tcps[index];
        let mut count = 0;
        while count < buf.len()
            && let Some(front) = tcp.inbox.front_mut()
        {
            let part = front.len().min(buf.len() - count);
            front.copy_to_slice(&mut buf[count..count + part]);
            count += part;
            if front.is_empty() {
                tcp.inbox.pop_front();
            }
        }
        tcp.in_len -= count;
        if count > 0 || buf.is_empty() || tcp.peer_fin {
            return Ok(count);
        }
        if let Some(error) = tcp.error.take() {
            return Err(error);
        }
        if tcp.read_shut || tcp.state == State::Closed {
            return Ok(0);
        }
        Err(Errno::Eagain)
    }

    /// Tells the peer of room once it has doubled, as `tcp_cleanup_rbuf` does.
    fn offer_window(&mut self, index: usize) {
        let tcp = &self.tcps[index];
        if tcp.state != State::Open || tcp.peer_fin || tcp.owner != Owner::Handle {
            return;
        }
        let offered = tcp.edge.saturating_sub(tcp.received);
        let now = u64::from(tcp.window());
        let cap = tcp.recv_cap as u64;
        // Less than this would only invite tiny segments (RFC 9293 section 3.8.6.2.2).
        let worth = now >= (cap / 2).clamp(1, MSS);
        if worth && now >= 2 * offered {
            self.send_ack(index);
        }
    }
}
