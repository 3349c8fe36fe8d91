//! Plain counts, free to read at any time. None ever goes down, except by being dropped with its owner.

use crate::error::{CloseReason, Deadline};
use crate::event::Refusal;

/// What an engine has done so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Calls of `service()`.
    pub ticks: u64,
    /// Connections taken from listeners.
    pub accepted: u64,
    /// Tries to connect that were begun, one for each address.
    pub dialled: u64,
    /// Those of them that failed; not those that lost against another address.
    pub dial_failures: u64,
    /// Names that were looked up.
    pub lookups: u64,
    /// Those of them that had no address, or no answer in time for anybody who had asked.
    pub lookup_failures: u64,
    /// Connections that became usable.
    pub opened: u64,
    /// Connections refused.
    pub refused: RefusedCounters,
    /// Accepts that failed for one connection only (it was gone again).
    pub accept_skipped: u64,
    /// Times that an acceptor had to rest because descriptors or memory had run out.
    pub accept_pauses: u64,
    /// Listeners lost.
    pub listeners_lost: u64,
    /// Live connections that went over to TLS with success.
    pub upgraded: u64,
    /// What became of certificates and keys.
    pub tls: TlsCounters,
    /// Connections closed, by reason; those that are made again by themselves once for each end, and once for each round in which none could
    /// be made.
    pub closed: ClosedCounters,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Read calls.
    pub reads: u64,
    /// Write calls.
    pub writes: u64,
    /// Ticks in which a budget ended before the work did.
    pub budget: BudgetCounters,
}

/// What became of the TLS configurations of acceptors. A configuration that several acceptors share counts at each.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsCounters {
    /// Replaced by a new set.
    pub reloads: u64,
    /// New sets that were refused; the old ones went on.
    pub reload_failures: u64,
    /// Warnings that a certificate expires soon, or has expired.
    pub expiry_warnings: u64,
}

/// Connections refused, by reason.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCounters {
    /// Too many connections.
    pub remoters: u64,
    /// Too many from one address.
    pub per_ip: u64,
    /// Too many handshakes from one address.
    pub handshakes_per_ip: u64,
    /// The poller would not take it.
    pub register: u64,
    /// Not from a network whose proxies are trusted.
    pub untrusted: u64,
    /// They waited in the deque of an acceptor that was closed. No event tells of them.
    pub dropped: u64,
}

impl RefusedCounters {
    pub(crate) fn count(&mut self, why: Refusal) {
        match why {
            Refusal::Remoters => self.remoters += 1,
            Refusal::PerIp => self.per_ip += 1,
            Refusal::HandshakesPerIp => self.handshakes_per_ip += 1,
            Refusal::Register => self.register += 1,
            #[cfg(feature = "proxy-protocol")]
            Refusal::Untrusted => self.untrusted += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let limits = self.remoters + self.per_ip + self.handshakes_per_ip;
        limits + self.register + self.untrusted + self.dropped
    }
}

/// Times that a budget ran out.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetCounters {
    /// `Limits::accepts_per_tick`.
    pub accepts: u64,
    /// `Limits::handshakes_per_tick`.
    pub handshakes: u64,
    /// `Limits::connects_per_tick`.
    pub connects: u64,
    /// `Limits::turns_per_tick`.
    pub turns: u64,
    /// `Limits::remoter_tick_bytes`, reading or writing, per connection and tick.
    pub remoter_bytes: u64,
    /// `Limits::tick_bytes`.
    pub tick_bytes: u64,
    /// `Limits::tick_bytes_out`.
    pub tick_bytes_out: u64,
    /// `Limits::grams_per_tick`.
    pub grams: u64,
    /// More had become ready than the network reports at once, on the operating system 1024, or 64 to a loop that is back at once; the rest came in
    /// the next tick.
    pub harvests: u64,
    /// Ticks in which reading stood still because of `Limits::buffered`.
    pub buffered: u64,
}

/// Connections closed, by reason.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedCounters {
    /// [`CloseReason::Eof`].
    pub eof: u64,
    /// [`CloseReason::Local`].
    pub local: u64,
    /// [`CloseReason::Aborted`].
    pub aborted: u64,
    /// [`CloseReason::Detached`].
    pub detached: u64,
    /// [`CloseReason::ServerClosed`].
    pub server_closed: u64,
    /// [`CloseReason::Connect`].
    pub connect: u64,
    /// [`CloseReason::Reset`].
    pub reset: u64,
    /// [`CloseReason::Expired`], by deadline.
    pub expired: ExpiredCounters,
    /// [`CloseReason::TooSlow`].
    pub too_slow: u64,
    /// [`CloseReason::RxFull`].
    pub rx_full: u64,
    /// [`CloseReason::TxFull`].
    pub tx_full: u64,
    /// [`CloseReason::Replaced`].
    pub replaced: u64,
    /// `CloseReason::Handshake`.
    pub handshake: u64,
    /// `CloseReason::Tls`.
    pub tls: u64,
    /// `CloseReason::TlsTruncated`.
    pub tls_truncated: u64,
    /// `CloseReason::Proxy`.
    pub proxy: u64,
    /// [`CloseReason::Io`].
    pub io: u64,
}

/// Connections closed by a deadline.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpiredCounters {
    /// [`Deadline::Connect`].
    pub connect: u64,
    /// [`Deadline::Handshake`].
    pub handshake: u64,
    /// [`Deadline::FirstByte`].
    pub first_byte: u64,
    /// [`Deadline::Idle`].
    pub idle: u64,
    /// [`Deadline::Lifetime`].
    pub lifetime: u64,
    /// [`Deadline::WriteStall`].
    pub write_stall: u64,
    /// [`Deadline::Linger`].
    pub linger: u64,
    /// [`Deadline::Drain`].
    pub drain: u64,
}

impl ClosedCounters {
    pub(crate) fn count(&mut self, reason: CloseReason) {
        *match reason {
            CloseReason::Eof => &mut self.eof,
            CloseReason::Local => &mut self.local,
            CloseReason::Aborted => &mut self.aborted,
            CloseReason::Detached => &mut self.detached,
            CloseReason::ServerClosed => &mut self.server_closed,
            CloseReason::Connect(_) => &mut self.connect,
            CloseReason::Reset => &mut self.reset,
            CloseReason::Expired(which) => self.expired.slot(which),
            CloseReason::TooSlow => &mut self.too_slow,
            CloseReason::RxFull => &mut self.rx_full,
            CloseReason::TxFull => &mut self.tx_full,
            CloseReason::Replaced => &mut self.replaced,
            #[cfg(feature = "tls")]
            CloseReason::Handshake(_) => &mut self.handshake,
            #[cfg(feature = "tls")]
            CloseReason::Tls(_) => &mut self.tls,
            #[cfg(feature = "tls")]
            CloseReason::TlsTruncated => &mut self.tls_truncated,
            #[cfg(feature = "proxy-protocol")]
            CloseReason::Proxy(_) => &mut self.proxy,
            CloseReason::Io(_) => &mut self.io,
        } += 1;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let expired = &self.expired;
        self.eof
            + self.local
            + self.aborted
            + self.detached
            + self.server_closed
            + self.connect
            + self.reset
            + expired.total()
            + self.too_slow
            + self.rx_full
            + self.tx_full
            + self.replaced
            + self.handshake
            + self.tls
            + self.tls_truncated
            + self.proxy
            + self.io
    }
}

impl ExpiredCounters {
    fn slot(&mut self, which: Deadline) -> &mut u64 {
        match which {
            Deadline::Connect => &mut self.connect,
            Deadline::Handshake => &mut self.handshake,
            Deadline::FirstByte => &mut self.first_byte,
            Deadline::Idle => &mut self.idle,
            Deadline::Lifetime => &mut self.lifetime,
            Deadline::WriteStall => &mut self.write_stall,
            Deadline::Linger => &mut self.linger,
            Deadline::Drain => &mut self.drain,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.connect
            + self.handshake
            + self.first_byte
            + self.idle
            + self.lifetime
            + self.write_stall
            + self.linger
            + self.drain
    }
}

/// What one connection has done so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoterCounters {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Read calls.
    pub reads: u64,
    /// Write calls.
    pub writes: u64,
    /// Ticks in which its budget ended before its work did.
    pub budget: u64,
}

/// Adds up field by field. One that is not named here does not compile.
macro_rules! add_up {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl core::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                let $name { $($field),* } = other;
                $(self.$field += $field;)*
            }
        }
    )*};
}

add_up! {
    Counters {
        ticks, accepted, dialled, dial_failures, lookups, lookup_failures, opened, refused,
        accept_skipped, accept_pauses, listeners_lost, upgraded, tls, closed, bytes_in,
        bytes_out, reads, writes, budget
    }
    TlsCounters {
        reloads, reload_failures, expiry_warnings
    }
    RefusedCounters {
        remoters, per_ip, handshakes_per_ip, register, untrusted, dropped
    }
    BudgetCounters {
        accepts, handshakes, connects, turns, remoter_bytes, tick_bytes, tick_bytes_out, grams, harvests, buffered
    }
    ClosedCounters {
        eof, local, aborted, detached, server_closed, connect, reset, expired, too_slow, rx_full,
        tx_full, replaced, proxy, handshake, tls, tls_truncated, io
    }
    ExpiredCounters {
        connect, handshake, first_byte, idle, lifetime, write_stall, linger, drain
    }
}
