//! Trying again what did not get through.
//!
//! A retry is armed only where something is known to be lost, or held up: a world has no use for timers that find that all is well.

use core::time::Duration;

use bytes::Bytes;

use super::Core;
use super::open::{FIRST_TIMEOUT, SYN_RETRIES, SYNACK_RETRIES};
use super::tcp::{Owner, State};
use crate::sim::queue::Event;
use crate::sim::trace::Flags;
use crate::sim::{Errno, Key};
use crate::tyme::Tyme;

/// Least and greatest retransmission time-out on Linux.
const MIN_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_TIMEOUT: Duration = Duration::from_secs(120);
/// When a connection is given up whose peer does not answer: 15 retransmissions (`net.ipv4.tcp_retries2`), 924.6 s.
const GIVE_UP: Duration = Duration::from_millis(924_600);

impl Core {
    pub(super) fn arm_retry_of(&mut self, key: Option<Key>) {
        if let Some(index) = key.and_then(|key| self.tcp(key)) {
            self.arm_retry(index);
        }
    }

    pub(super) fn arm_retry(&mut self, index: usize) {
        let now = self.now;
        let tcp = &self.tcps[index];
        if tcp.trouble.armed || tcp.state == State::Closed {
            return;
        }
        let tries = tcp.trouble.tries;
        let since = tcp.trouble.since.unwrap_or(now);
        let at = match tcp.state {
            State::SynSent | State::SynReceived => {
                tcp.last_try + FIRST_TIMEOUT * (1 << tries.min(16))
            }
            _ => {
                let usual = tcp.path.map_or(MIN_TIMEOUT, |path| 2 * self.round_trip(path));
                let wait = (usual.max(MIN_TIMEOUT) * (1 << tries.min(16))).min(MAX_TIMEOUT);
                (now + wait).min(since + self.patience(index)).max(now)
            }
        };
        let key = self.tcp_key(index);
        let trouble = &mut self.tcps[index].trouble;
        trouble.armed = true;
        trouble.since = Some(since);
        trouble.stamp = trouble.stamp.wrapping_add(1);
        let stamp = trouble.stamp;
        self.queue.push(at.max(now), Event::Retry(key, stamp));
    }

    fn patience(&self, index: usize) -> Duration {
        self.tcps[index].user_timeout.filter(|limit| !limit.is_zero()).unwrap_or(GIVE_UP)
    }

    /// The peer has answered: patience begins anew. A retry that is armed stays so, since what it is for may have been lost after the answer
    /// was sent; if all is settled by then, it does nothing.
    pub(super) fn calm(&mut self, index: usize) {
        let now = self.now;
        let trouble = &mut self.tcps[index].trouble;
        trouble.tries = 0;
        trouble.since = trouble.armed.then_some(now);
    }

    /// Whether there was something to try.
    pub(super) fn retry(&mut self, key: Key, stamp: u32) -> bool {
        let Some(index) = self.tcp(key) else { return false };
        let now = self.now;
        let limit = self.patience(index);
        let tcp = &mut self.tcps[index];
        if !tcp.trouble.armed || tcp.trouble.stamp != stamp {
            return false;
        }
        tcp.trouble.armed = false;
        tcp.trouble.stuck = false;
        tcp.trouble.tries += 1;
        let (tries, since) = (tcp.trouble.tries, tcp.trouble.since.unwrap_or(now));
        match tcp.state {
            State::SynSent if tries > SYN_RETRIES => self.fail(index, Errno::Etimedout),
            State::SynSent => self.send_syn(index),
            // Who has sent something sends it again, to where now nobody knows of it.
            State::SynReceived if tries > SYNACK_RETRIES && tcp.received > 1 => {
                tcp.owner = Owner::Nobody;
                self.reset(index);
            }
            State::SynReceived if tries > SYNACK_RETRIES => {
                self.close_down(index, false);
                self.remove_tcp(index);
            }
            State::SynReceived => self.send_synack(index),
            State::Open if now - since >= limit => self.fail(index, Errno::Etimedout),
            State::Open => {
                if !self.try_again(index) {
                    return false;
                }
            }
            State::Closed => return false,
        }
        self.stats.retries += 1;
        true
    }

    /// Sends what was lost, or asks where the answer to what got through is. Whether there was need for either.
    fn try_again(&mut self, index: usize) -> bool {
        let before = self.tcps[index].next;
        self.transmit(index);
        let tcp = &self.tcps[index];
        if tcp.next != before || tcp.trouble.stuck {
            return true;
        }
        if tcp.acked == tcp.next && tcp.out_len == 0 {
            self.tcps[index].trouble.since = None;
            return false;
        }
        if !self.probe(index) {
            self.arm_retry(index);
        }
        true
    }

    /// A segment with an old number, which the peer must answer.
    fn probe(&mut self, index: usize) -> bool {
        let seq = self.tcps[index].next - 1;
        self.send(index, Flags::ACK, seq, Bytes::new())
    }

    pub(super) fn keep_alive(&mut self, key: Key) -> bool {
        let Some(index) = self.tcp(key) else { return false };
        let now = self.now;
        let tcp = &mut self.tcps[index];
        let Some(keep) = tcp.keep_alive.filter(|_| tcp.state == State::Open) else { return false };
        let idle = keep.idle.max(Duration::from_secs(1));
        let interval = keep.interval.max(Duration::from_secs(1));
        let again: Tyme = if now - tcp.heard < idle {
            tcp.heard + idle
        } else if tcp.probes >= keep.retries {
            self.fail(index, Errno::Etimedout);
            return true;
        } else {
            tcp.probes += 1;
            self.probe(index);
            now + interval
        };
        self.queue.push(again, Event::KeepAlive(key));
        true
    }
}
