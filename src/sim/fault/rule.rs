//! One rule: what, and when.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::sim::{Errno, Op, Side};
use crate::tyme::Tyme;

/// What a rule does to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// A read or write moves at most so many bytes (at least 1); a receive has a buffer of only so many, so the datagram is cut.
    Short(usize),
    /// The call says `WouldBlock` although it need not; readiness is reported again 100 µs later. If the next call that is let through blocks by
    /// itself, it counts as not fired.
    WouldBlock,
    /// As `WouldBlock`, but all such calls on this socket for so long. A look-up is asked only then.
    Stall(Duration),
    /// The call fails with this error; the socket lives on. `accept` with `ECONNABORTED` or `EPROTO` loses the connection that waited,
    /// with any other the connection stays in the queue.
    Fail(Errno),
    /// The connection is reset: this side gets `ECONNRESET` from the call, the other side a RST; between Unix sockets, which have none, an end.
    Reset,
    /// The peer's half ends here: this and all later reads give 0, whatever still comes.
    Eof,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Short(count) => write!(f, "at most {count} bytes"),
            Effect::WouldBlock => f.write_str("would block"),
            Effect::Stall(time) => write!(f, "stalls for {time:?}"),
            Effect::Fail(errno) => errno.fmt(f),
            Effect::Reset => f.write_str("reset"),
            Effect::Eof => f.write_str("end of file"),
        }
    }
}

impl Effect {
    /// The calls it is for, unless the rule says otherwise.
    fn usual(&self) -> &'static [Op] {
        match self {
            Effect::Short(_) | Effect::Fail(_) | Effect::Reset => &[Op::Read, Op::Write],
            Effect::WouldBlock | Effect::Stall(_) => &[Op::Read, Op::Write, Op::Accept],
            Effect::Eof => &[Op::Read],
        }
    }
}

/// A fault and its guards. Without guards it fires at each call that its effect is for.
///
/// ```
/// use tymist::sim::fault::{Effect, Rule};
/// use tymist::sim::{Errno, Op};
/// use tymist::tyme::Tyme;
///
/// // The server runs out of descriptors at its third accept.
/// Rule::new("emfile", Effect::Fail(Errno::Emfile)).on(&[Op::Accept]).host("server").nth(2);
/// // After the first 100 bytes of the second connection, the server reads a reset.
/// Rule::new("cut off", Effect::Reset).on(&[Op::Read]).host("server").conn(1).after(100).times(1);
/// // One write in ten is cut to 3 bytes, during the first minute.
/// Rule::new("dribble", Effect::Short(3)).on(&[Op::Write]).until(Tyme::from_secs(60)).chance(0.1);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rule does nothing until it is added"]
pub struct Rule {
    pub(super) name: Arc<str>,
    pub(super) effect: Effect,
    ops: Vec<Op>,
    host: Option<Box<str>>,
    side: Option<Side>,
    conn: Option<u64>,
    port: Option<u16>,
    pub(super) after: u64,
    pub(super) nth: Option<u64>,
    from: Tyme,
    until: Tyme,
    pub(super) probability: f64,
    pub(super) times: Option<u64>,
    pub(super) optional: bool,
}

impl Rule {
    /// A rule without guards. The name is for reports.
    pub fn new(name: impl Into<Arc<str>>, effect: Effect) -> Self {
        let ops = effect.usual().to_vec();
        Rule {
            name: name.into(),
            effect,
            ops,
            host: None,
            side: None,
            conn: None,
            port: None,
            after: 0,
            nth: None,
            from: Tyme::ZERO,
            until: Tyme::NEVER,
            probability: 1.0,
            times: None,
            optional: false,
        }
    }

    /// Only at these calls. At [`Op::Lookup`] the name is not found ([`Effect::Fail`]) or looked up later ([`Effect::Stall`]). [`Effect::Reset`] and
    /// [`Effect::Eof`] have a meaning only for reads and writes, and nothing has one for `shutdown`, closing and `harvest`.
    pub fn on(mut self, ops: &[Op]) -> Self {
        self.ops = ops.to_vec();
        self
    }

    /// Only on the host of this name.
    pub fn host(mut self, name: &str) -> Self {
        self.host = Some(name.into());
        self
    }

    /// Only on connections that this host dialled, or that it accepted.
    pub fn side(mut self, side: Side) -> Self {
        self.side = Some(side);
        self
    }

    /// Only on the connection with this number, counted on its host from 0 in the order of dialling and accepting.
    pub fn conn(mut self, number: u64) -> Self {
        self.conn = Some(number);
        self
    }

    /// Only on sockets of which one end has this port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Only from this byte on, counted per connection and direction from 0. A call that would go past it is cut to end there, so the
    /// fault comes after exactly so many bytes.
    pub fn after(mut self, bytes: u64) -> Self {
        self.after = bytes;
        self
    }

    /// Only at the call with this number among those that all other guards but the probability let through, from 0.
    pub fn nth(mut self, number: u64) -> Self {
        self.nth = Some(number);
        self
    }

    /// Only from this tyme on, by the clock of the host.
    pub fn from(mut self, tyme: Tyme) -> Self {
        self.from = tyme;
        self
    }

    /// Only before this tyme.
    pub fn until(mut self, tyme: Tyme) -> Self {
        self.until = tyme;
        self
    }

    /// Only with this probability, from 0 to 1. What is no number is 0.
    pub fn chance(mut self, probability: f64) -> Self {
        self.probability = if probability.is_nan() { 0.0 } else { probability };
        self
    }

    /// At most so often. With 0 it never fires, and unless it is [optional](Rule::optional) that is told.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// It is no failure if it never fires.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub(super) fn fits(&self, site: &Site<'_>) -> bool {
        self.ops.contains(&site.op)
            && self.from <= site.now
            && site.now < self.until
            && self.host.as_deref().is_none_or(|host| host == site.host)
            && self.side.is_none_or(|side| site.side == Some(side))
            && self.conn.is_none_or(|conn| site.conn == Some(conn))
            && self.port.is_none_or(|port| site.ports.contains(&Some(port)))
    }
}

/// A call about to be made.
pub(super) struct Site<'a> {
    pub(super) op: Op,
    pub(super) host: &'a str,
    pub(super) now: Tyme,
    pub(super) side: Option<Side>,
    pub(super) conn: Option<u64>,
    pub(super) ports: [Option<u16>; 2],
    pub(super) offset: u64,
}

/// What is to happen at it.
pub(super) struct Verdict {
    /// How many bytes it may move at most.
    pub(super) limit: usize,
    pub(super) fault: Option<super::Hit>,
}

impl Verdict {
    /// Nothing is.
    pub(super) const FREE: Verdict = Verdict { limit: usize::MAX, fault: None };
}
