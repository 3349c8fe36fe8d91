//! Trying again what did not get through.
//!
//! A retry is armed only where something is known to be lost, or held up: a world has no use for timers that find that all is well.

use core::time::Duration;

use bytes::Bytes;

use super::Core;
use super::open::{FIRST_TIMEOUT, SYN_RETRIES, SYNACK_RETRIES};
use super::tcp::{Fin, State};
use crate::net::SocketOptions;
use crate::sim::queue::Event;
use crate::sim::trace::{Flags, Timer, What};
use crate::sim::{Errno, Key};
use crate::tyme::Tyme;

/// Least and greatest retransmission time-out on Linux.
const MIN_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_TIMEOUT: Duration = Duration::from_secs(120);
/// When a connection is given up whose peer does not answer: 15 retransmissions (`net.ipv4.tcp_retries2`), 924.6 s.
const GIVE_UP: Duration = Duration::from_millis(924_600);
/// The same where nobody holds it any more: 8 retransmissions (`net.ipv4.tcp_orphan_retries`), 102.2 s.
const ORPHAN_GIVE_UP: Duration = Duration::from_millis(102_200);

/// Whether Linux takes these options: keep-alive of 1 to 32,767 whole seconds, and 1 to 127 probes.
pub(super) fn check_keep_alive(options: &SocketOptions) -> Result<(), Errno> {
    let Some(keep) = options.keep_alive else { return Ok(()) };
    let secs = [keep.idle, keep.interval].map(|time| time.as_secs());
    let taken =
        secs.iter().all(|secs| (1..=32_767).contains(secs)) && (1..=127).contains(&keep.retries);
    taken.then_some(()).ok_or(Errno::Einval)
}

/// What Linux keeps of a time of keep-alive.
pub(super) fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

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
        let since = self.since(index);
        let at = match tcp.state {
            State::SynSent => {
                let wait = FIRST_TIMEOUT * (1 << tries.min(16));
                (tcp.last_try + wait).min(since + self.user_timeout(index))
            }
            State::SynReceived => tcp.last_try + FIRST_TIMEOUT * (1 << tries.min(16)),
            _ => {
                let wait = self.back_off(index, tries).min(MAX_TIMEOUT);
                let blocked = tcp
                    .trouble
                    .blocked
                    .map_or(Tyme::NEVER, |blocked| blocked + self.user_timeout(index));
                (now + wait).min(since + self.patience(index)).min(blocked)
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

    /// Since when there has been no answer.
    fn since(&self, index: usize) -> Tyme {
        self.tcps[index].trouble.since.unwrap_or(self.now)
    }

    /// How long the next answer may take, after so many tries.
    fn back_off(&self, index: usize, tries: u32) -> Duration {
        let path = self.tcps[index].path;
        let usual = path.map_or(MIN_TIMEOUT, |path| self.round_trip(path).saturating_mul(2));
        usual.max(MIN_TIMEOUT).saturating_mul(1 << tries.min(16))
    }

    fn user_timeout(&self, index: usize) -> Duration {
        let limit = self.tcps[index].user_timeout.filter(|limit| !limit.is_zero());
        limit.unwrap_or(Duration::MAX)
    }

    fn patience(&self, index: usize) -> Duration {
        let tcp = &self.tcps[index];
        match tcp.user_timeout.filter(|limit| !limit.is_zero()) {
            Some(limit) => limit,
            None if tcp.is_orphan() => ORPHAN_GIVE_UP,
            None => GIVE_UP,
        }
    }

    /// Whether a peer that answers but has no room has been asked often enough. A holder with patience is asked for ever; an orphan until the
    /// back-off has reached its greatest (`tcp_probe_timer`).
    fn has_asked_enough(&self, index: usize) -> bool {
        let tcp = &self.tcps[index];
        let Some(blocked) = tcp.trouble.blocked.filter(|_| tcp.is_blocked()) else { return false };
        let tries = tcp.trouble.tries.saturating_sub(1);
        self.now - blocked >= self.user_timeout(index)
            || (tcp.is_orphan() && self.back_off(index, tries) >= MAX_TIMEOUT)
    }

    /// The peer has answered: patience begins anew. A retry that is armed stays so, since what it is for may have been lost after the answer
    /// was sent; if all is settled by then, it does nothing.
    pub(super) fn calm(&mut self, index: usize) {
        let now = self.now;
        let trouble = &mut self.tcps[index].trouble;
        trouble.tries = 0;
        // With the window closed nothing was under way, and the next time it closes is not to wait for the end of this back-off.
        trouble.armed &= trouble.blocked.take().is_none();
        trouble.since = trouble.armed.then_some(now);
    }

    /// Whether there was something to try.
    pub(super) fn retry(&mut self, key: Key, stamp: u32) -> bool {
        let Some(index) = self.tcp(key) else { return false };
        let now = self.now;
        let waited = now - self.since(index);
        let tcp = &mut self.tcps[index];
        if !tcp.trouble.armed || tcp.trouble.stamp != stamp {
            return false;
        }
        tcp.trouble.armed = false;
        tcp.trouble.stuck = false;
        tcp.trouble.tries += 1;
        if tcp.is_blocked() {
            tcp.trouble.blocked.get_or_insert(now);
        }
        let (tries, state, received) = (tcp.trouble.tries, tcp.state, tcp.received);
        let (host, conn) = (tcp.host, tcp.conn);
        let again = match state {
            State::SynSent if tries > SYN_RETRIES || waited >= self.user_timeout(index) => {
                self.give_up(index);
                false
            }
            State::SynSent => {
                self.send_syn(index);
                true
            }
            // Who has sent something sends it again, to where now nobody knows of it.
            State::SynReceived if tries > SYNACK_RETRIES && received > 1 => {
                self.reset(index);
                false
            }
            State::SynReceived if tries > SYNACK_RETRIES => {
                self.fail(index, Errno::Etimedout);
                false
            }
            State::SynReceived => {
                self.send_synack(index);
                true
            }
            State::Open if waited >= self.patience(index) || self.has_asked_enough(index) => {
                self.give_up(index);
                false
            }
            State::Open if self.try_again(index) => true,
            State::Open | State::Closed => return false,
        };
        if again && self.recorder.on() {
            self.record(&What::Timer { host, conn, timer: Timer::Retry });
        }
        self.stats.retries += 1;
        true
    }

    /// The peer has not answered, or not made room, for too long.
    fn give_up(&mut self, index: usize) {
        let (host, conn) = (self.tcps[index].host, self.tcps[index].conn);
        self.record(&What::Timer { host, conn, timer: Timer::GiveUp });
        self.fail(index, Errno::Etimedout);
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
            // All is well: the next trouble is another.
            let trouble = &mut self.tcps[index].trouble;
            (trouble.since, trouble.tries) = (None, 0);
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
        let (idle, interval) = (whole_seconds(keep.idle), whole_seconds(keep.interval));
        // A user time-out takes the place of the count (`tcp_keepalive_timer`).
        let gone = match tcp.user_timeout.filter(|limit| !limit.is_zero()) {
            Some(limit) => tcp.probes > 0 && now - tcp.heard >= limit,
            None => tcp.probes >= keep.retries,
        };
        // What is under way has its retransmissions, and these alone say when it is too long.
        let again = if tcp.acked < tcp.next || tcp.out_len > 0 || tcp.fin == Fin::Queued {
            now + idle
        } else if now - tcp.heard < idle {
            tcp.heard + idle
        } else if gone {
            // The peer may hear what it could not answer.
            self.say_reset(index);
            self.give_up(index);
            return true;
        } else {
            tcp.probes += 1;
            let (host, conn) = (tcp.host, tcp.conn);
            self.record(&What::Timer { host, conn, timer: Timer::KeepAlive });
            self.probe(index);
            now + interval
        };
        self.queue.push(again, Event::KeepAlive(key));
        true
    }
}
