//! One end of a TCP connection.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use super::ports::Holder;
use super::{Core, Poll, bits};
use crate::net::KeepAlive;
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key, Side};
use crate::tyme::Tyme;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    SynSent,
    SynReceived,
    /// From established to where both halves have ended.
    Open,
    /// Gone from the network; a holder may still read what is left.
    Closed,
}

/// Who has this end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A handle of the program.
    Handle,
    /// The accept queue of this listener, or on the way there.
    Listener(Key),
    /// Nobody: closed, it finishes by itself.
    Nobody,
}

/// How far the end of our half is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    Open,
    Queued,
    Sent,
    Acked,
}

/// Trying again what did not get through.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) armed: bool,
    pub(super) stamp: u32,
    pub(super) tries: u32,
    pub(super) since: Option<Tyme>,
    /// Since when the peer has been asked for room, and has answered that there is none.
    pub(super) blocked: Option<Tyme>,
    /// What is next in `out` was lost: nothing goes out before the next try.
    pub(super) stuck: bool,
}

/// One end. Numbers `next`, `acked`, `received` count SYN as 0, so the first byte is 1.
///
/// Invariants: `acked` ≤ `next`; what has been sent arrives unless the peer's host goes down; `in_len` ≤ `recv_cap`.
pub(super) struct Tcp {
    pub(super) stamp: u32,
    pub(super) host: HostId,
    pub(super) conn: u32,
    pub(super) side: Side,
    pub(super) owner: Owner,
    pub(super) state: State,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) holder: Holder,
    /// Its port was asked for: it is held until the handle lets go, even if the connection ends before.
    pub(super) keeps_port: bool,
    /// The other end, once it has answered.
    pub(super) peer: Option<Key>,
    /// The way to the other end; `None` if nobody has that address.
    pub(super) path: Option<u32>,
    pub(super) poll: Poll,

    pub(super) out: VecDeque<Bytes>,
    pub(super) out_len: usize,
    pub(super) next: u64,
    pub(super) acked: u64,
    /// The first number beyond the peer's window.
    pub(super) limit: u64,
    pub(super) fin: Fin,
    pub(super) last_arrival: Tyme,
    pub(super) last_try: Tyme,
    pub(super) send_cap: usize,
    pub(super) write_blocked: bool,
    pub(super) trouble: Trouble,

    pub(super) inbox: VecDeque<Bytes>,
    pub(super) in_len: usize,
    pub(super) received: u64,
    pub(super) ack_sent: u64,
    /// The first number beyond the window that was offered last.
    pub(super) edge: u64,
    pub(super) ack_timer: bool,
    pub(super) recv_cap: usize,
    pub(super) peer_fin: bool,
    /// Whether our FIN went out before the peer's came in: this side then waits.
    pub(super) fin_first: bool,
    pub(super) read_shut: bool,
    pub(super) abortive: bool,
    pub(super) error: Option<Errno>,
    /// As an orphan with nothing left to say, it waits no longer than this for the peer's end.
    pub(super) orphan_until: Tyme,

    pub(super) heard: Tyme,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) probes: u32,
    pub(super) user_timeout: Option<Duration>,
}

impl Tcp {
    /// Bytes taken from the program that the peer has not acknowledged. Of one that is open; behind the end, which counts as a byte, nothing is written.
    pub(super) fn queued(&self) -> usize {
        self.out_len + usize::try_from(self.next - self.acked).unwrap_or(usize::MAX)
    }

    /// Whether bytes wait for nothing but room at the peer.
    pub(super) fn is_blocked(&self) -> bool {
        self.state == State::Open
            && self.acked == self.next
            && self.limit <= self.next
            && !self.out.is_empty()
    }

    /// What a segment acknowledges, and the window it offers. In the antechamber of the accept queue that is what the SYN got: bytes held there are not
    /// let in yet.
    pub(super) fn offer(&self) -> (u64, u32) {
        match self.state {
            State::SynReceived => (1, u32::try_from(self.recv_cap).unwrap_or(u32::MAX)),
            _ => (self.received, self.window()),
        }
    }

    pub(super) fn window(&self) -> u32 {
        u32::try_from(self.recv_cap.saturating_sub(self.in_len)).unwrap_or(u32::MAX)
    }

    pub(super) fn is_orphan(&self) -> bool {
        self.owner == Owner::Nobody
    }

    /// Whether nothing but the peer's end is missing.
    pub(super) fn is_waiting_for_fin(&self) -> bool {
        self.fin == Fin::Acked && !self.peer_fin
    }

    pub(super) fn ready_bits(&self) -> u8 {
        match self.state {
            State::SynSent | State::SynReceived => 0,
            State::Closed => bits(true, true, true),
            State::Open => {
                let ended = self.peer_fin || self.read_shut;
                let readable = self.in_len > 0 || ended;
                let writable = self.fin != Fin::Open || self.queued() < self.send_cap;
                bits(readable, writable, ended)
            }
        }
    }
}

/// A buffer size after `SO_RCVBUF` or `SO_SNDBUF`: it is doubled, capped, and only ever raised.
pub(super) fn capacity(usual: usize, wish: Option<usize>) -> usize {
    const MAX: usize = 212_992;
    match wish {
        Some(wish) if 2 * usual < wish => wish.min(MAX).max(usual),
        _ => usual,
    }
    .max(1)
}

impl Core {
    /// The place of an end that is still there.
    #[inline]
    pub(super) fn tcp(&self, key: Key) -> Option<usize> {
        let index = key.index();
        self.tcps.get(index).is_some_and(|tcp| tcp.stamp == key.stamp).then_some(index)
    }

    #[inline]
    pub(super) fn tcp_key(&self, index: usize) -> Key {
        Key::new(index, self.tcps[index].stamp)
    }

    pub(super) fn insert_tcp(&mut self, mut tcp: Tcp) -> Key {
        tcp.stamp = self.stamp();
        let stamp = tcp.stamp;
        Key::new(self.tcps.insert(tcp), stamp)
    }

    #[expect(clippy::too_many_arguments, reason = "what two ends differ in at birth")]
    pub(super) fn new_tcp(
        &self,
        host: HostId,
        conn: u32,
        side: Side,
        owner: Owner,
        (local, remote): (SocketAddr, SocketAddr),
        holder: Holder,
        options: &crate::net::SocketOptions,
    ) -> Tcp {
        let spec = &self.host(host).spec;
        Tcp {
            stamp: 0,
            host,
            conn,
            side,
            owner,
            state: State::SynSent,
            local,
            remote,
            holder,
            keeps_port: false,
            peer: None,
            path: None,
            poll: Poll::default(),
            out: VecDeque::new(),
            out_len: 0,
            next: 0,
            acked: 0,
            limit: 0,
            fin: Fin::Open,
            last_arrival: self.now,
            last_try: self.now,
            send_cap: capacity(spec.send_buffer, options.send_buffer),
            write_blocked: false,
            trouble: Trouble::default(),
            inbox: VecDeque::new(),
            in_len: 0,
            received: 0,
            ack_sent: 0,
            edge: 0,
            ack_timer: false,
            recv_cap: capacity(spec.recv_buffer, options.recv_buffer),
            peer_fin: false,
            fin_first: false,
            read_shut: false,
            abortive: false,
            error: None,
            orphan_until: Tyme::NEVER,
            heard: self.now,
            keep_alive: options.keep_alive,
            probes: 0,
            user_timeout: options.user_timeout,
        }
    }
}
