//! What a tick tells: a summary at once, events on asking, and when it wants to be called again.

mod gram;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::error::{Cause, CloseReason, Deadline};
use crate::id::{AcceptorId, EndpointId, Id};
use crate::net::Addr;
use crate::tyme::Tyme;

pub use gram::{GramCounters, GramError, GramEvent, RxGram};

/// Something that happened. Owned, so that nothing stays borrowed while you deal with it.
///
/// For one connection they come in this order: `Accepted`, then any of `Received`, `Drained`, `Upgraded`, at most one `Eof`, at most one `Expired`,
/// and last, always, one `Closed`.
///
/// For one that was dialled: any of `ConnectFailed` and `Unresolved` (an `Expired` comes before them if the time to connect is up), then `Connected` if it came
/// up, and on as above. If it comes again by
/// itself (see [`Connect::reconnect`](crate::Connect::reconnect)), `Disconnected` stands in the place of `Closed`, and all begins anew.
///
/// ```
/// use tymist::{Event, Server};
///
/// /// One tick of a server that greets, listens, and says how things end. A loop that takes no event is not put to sleep.
/// fn tick(server: &mut Server) {
///     server.service();
///     while let Some(event) = server.poll_event() {
///         match event {
///             Event::Accepted(id) => drop(server.tx(id, b"welcome\n")),
///             Event::Received(id) => {
///                 if let Some(remoter) = server.remoter_mut(id) {
///                     println!("{id} says {:?}", remoter.take());
///                 }
///             }
///             Event::Closed(id, reason) if !reason.is_clean() => println!("{id}: {reason}"),
///             Event::HandshakeFailed { peer, reason, .. } => println!("{peer}: {reason}"),
///             _ => {}
///         }
///     }
/// }
/// # tick(&mut Server::new(tymist::Config::new()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is there and usable (its handshake, if any, is done).
    Accepted(Id),
    /// A connection that was dialled is usable (its handshake, if any, is done), for the first time or again.
    Connected(Id),
    /// One address of a dialled connection could not be connected to. Another address may follow; if none does, `Disconnected` or `Closed`.
    ConnectFailed {
        /// The connection.
        id: Id,
        /// The address.
        addr: Addr,
        /// Why: refused, unreachable, timed out …
        error: Cause,
    },
    /// The name of a dialled connection could not be looked up, or has no address; `Disconnected` or `Closed` follows.
    Unresolved {
        /// The connection.
        id: Id,
        /// The name.
        host: Arc<str>,
        /// What the resolver says.
        why: Arc<str>,
    },
    /// A dialled connection is over, or none could be made, and it is tried again. What was unread can be taken until then; what was queued
    /// on a usable connection and not sent is gone, as a part of it may have arrived; until this event was taken nothing more can be queued on
    /// what is over. The new try waits for that, too.
    Disconnected {
        /// The connection, which keeps its id.
        id: Id,
        /// Why.
        reason: CloseReason,
        /// When it is tried again.
        retry_at: Tyme,
    },
    /// Bytes have come in; look at the remoter's `rx`. At most one per connection waits to be taken.
    Received(Id),
    /// All that was queued has been handed to the network, after a time when it could not be.
    Drained(Id),
    /// The peer has ended its half: nothing more comes in, but you can still send.
    Eof(Id),
    /// A deadline has passed; `Closed` or `Disconnected` follows, behind what the end of a try to connect has to say.
    Expired(Id, Deadline),
    /// The connection is over. Until the next `service()` (or one of its steps) after you took this event you can still look at the remoter, its
    /// unread bytes, counters and data.
    Closed(Id, CloseReason),
    /// A connection was closed before it became one.
    Refused {
        /// Where it came in.
        acceptor: AcceptorId,
        /// Who it was.
        peer: Addr,
        /// Why.
        why: Refusal,
    },
    /// A connection ended before its handshake was done; it was never usable. Of one that was dialled, `Closed` or `Disconnected` says so.
    HandshakeFailed {
        /// Where it came in; `None` for a stream that was adopted.
        acceptor: Option<AcceptorId>,
        /// Who it was.
        peer: Addr,
        /// Why.
        reason: CloseReason,
    },
    /// A live connection has gone over to TLS and is usable again; see `Remoter::upgrade_tls`. A failure comes as `Closed`.
    #[cfg(feature = "tls")]
    Upgraded(Id),
    /// New connections of this acceptor get a new set of certificates, keys, trust and lists.
    #[cfg(feature = "tls")]
    TlsReloaded {
        /// Which.
        acceptor: AcceptorId,
    },
    /// A new set was refused, and the old one goes on.
    #[cfg(feature = "tls")]
    TlsReloadFailed {
        /// Which.
        acceptor: AcceptorId,
        /// What is wrong: with which file, what was found and what was expected.
        why: Arc<str>,
    },
    /// A certificate expires within `ServerTlsConfig::expiry_warning`, or has expired. Told when that time begins and then once a day until it is replaced.
    #[cfg(feature = "tls")]
    TlsExpiring {
        /// Which.
        acceptor: AcceptorId,
        /// When, in seconds since the UNIX epoch.
        at: i64,
        /// How long until then; zero if it has passed.
        left: Duration,
    },
    /// Descriptors or memory have run out: this acceptor rests until the given tyme, then tries again. Connections wait in the backlog.
    AcceptPaused {
        /// Which.
        acceptor: AcceptorId,
        /// Why.
        error: Cause,
        /// When it goes on.
        until: Tyme,
    },
    /// This acceptor's socket is dead and was closed; the rest goes on.
    ListenerLost {
        /// Which.
        acceptor: AcceptorId,
        /// Why.
        error: Cause,
    },
    /// Draining goes on with so many connections left; told when that changes.
    Draining {
        /// Connections left.
        left: usize,
    },
    /// Draining is over and the server closed.
    DrainEnded {
        /// Connections that had to be cut.
        cut: usize,
    },
    /// Something happened at a datagram endpoint.
    Gram(EndpointId, GramEvent),
    /// The poller itself has failed; without it nothing becomes ready any more. On the operating system a wait then lasts 10 ms at most, so that a loop which
    /// goes on does not spin.
    NetFailed {
        /// Why.
        error: Cause,
    },
}

impl Event {
    /// The connection it is about, if it is about one.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        match self {
            Event::Accepted(id)
            | Event::Connected(id)
            | Event::ConnectFailed { id, .. }
            | Event::Unresolved { id, .. }
            | Event::Disconnected { id, .. }
            | Event::Received(id)
            | Event::Drained(id)
            | Event::Eof(id)
            | Event::Expired(id, _)
            | Event::Closed(id, _) => Some(*id),
            #[cfg(feature = "tls")]
            Event::Upgraded(id) => Some(*id),
            _ => None,
        }
    }
}

/// Why a connection was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `Limits::remoters` are there.
    Remoters,
    /// `Limits::remoters_per_ip` are there from this address.
    PerIp,
    /// `Limits::handshakes_per_ip` are unfinished from this address.
    HandshakesPerIp,
    /// The poller would not take it (it has a limit of its own, or no memory).
    Register,
    /// It came past the proxies that this acceptor trusts.
    #[cfg(feature = "proxy-protocol")]
    Untrusted,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Remoters => "there are as many connections as Limits::remoters allows",
            Refusal::PerIp => {
                "there are as many connections from this address as Limits::remoters_per_ip allows"
            }
            Refusal::HandshakesPerIp => {
                "there are as many handshakes from this address as Limits::handshakes_per_ip allows"
            }
            Refusal::Register => {
                "the poller would not take it: it has a limit of its own, or no memory"
            }
            #[cfg(feature = "proxy-protocol")]
            Refusal::Untrusted => "it came from outside the networks that ProxyProtocol trusts",
        })
    }
}

impl core::error::Error for Refusal {}

/// What one `service()` did, with what the `wait()` before it has sent.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Serviced {
    /// Connections taken from listeners.
    pub accepted: usize,
    /// Connections that were dialled and whose transport came up.
    pub connected: usize,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections closed.
    pub closed: usize,
    /// Datagrams received; their bytes are among `bytes_in`.
    pub grams_in: usize,
    /// Datagrams sent; their bytes are among `bytes_out`.
    pub grams_out: usize,
    /// Whether a budget ended the tick before the work did: call again soon.
    pub more: bool,
}

/// When an engine wants to be called again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// At once: something is pending.
    Now,
    /// At this tyme, or when the network has something, whichever is first. Never later than the next deadline; earlier by the time
    /// that traffic has since put it off, since a refresh costs nothing and is only noticed then.
    At(Tyme),
    /// When the network has something; until then there is nothing to do.
    OnIo,
}

impl Wake {
    /// How long a loop may sleep at `now`, as most system calls want it said: zero for at once, `None` for as long as the network has nothing, as also where
    /// the tyme is [`NEVER`](Tyme::NEVER).
    ///
    /// An engine's own tyme is that of its last tick: what you did since then has to come off, or deadlines are late by it. `run::Driver`
    /// reads the clock before it answers.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tymist::{Wake, tyme::Tyme};
    ///
    /// let now = Tyme::from_secs(10);
    /// assert_eq!(Wake::Now.timeout(now), Some(Duration::ZERO));
    /// assert_eq!(Wake::At(Tyme::from_secs(12)).timeout(now), Some(Duration::from_secs(2)));
    /// assert_eq!(Wake::OnIo.timeout(now), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn timeout(self, now: Tyme) -> Option<Duration> {
        match self {
            Wake::Now => Some(Duration::ZERO),
            // Such as a limit or a beat beyond all time: who waits for that waits for nothing.
            Wake::At(Tyme::NEVER) | Wake::OnIo => None,
            Wake::At(tyme) => Some(tyme - now),
        }
    }

    /// What somebody wants at `now` who has nothing to do before `deadline`; `NEVER`: at all.
    #[inline]
    pub(crate) fn by(deadline: Tyme, now: Tyme) -> Wake {
        match deadline {
            Tyme::NEVER => Wake::OnIo,
            tyme if tyme <= now => Wake::Now,
            tyme => Wake::At(tyme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_wanted_now_from_its_very_tyme_on() {
        let now = Tyme::from_secs(5);
        let next = Tyme::from_nanos(now.as_nanos() + 1);
        assert_eq!(Wake::by(now, now), Wake::Now);
        assert_eq!(Wake::by(next, now), Wake::At(next));
        assert_eq!(Wake::by(Tyme::NEVER, now), Wake::OnIo);
        assert_eq!(Wake::by(Tyme::NEVER, Tyme::NEVER), Wake::OnIo, "never is never due");
    }

    #[test]
    fn an_event_costs_what_the_limit_of_them_says() {
        assert!(size_of::<Event>() <= 56, "{}", size_of::<Event>());
    }
}
