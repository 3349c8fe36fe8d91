//! Streams that fail by rules.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::Hit;
use super::chaos::{Link, Who};
use super::rule::{Effect, Verdict};
use super::way::Way;
use crate::net::{NoStream, Stream, Token};
use crate::sim::{Errno, Op};

/// A stream that fails by rules. A reset drops the stream below, and puts one in its place that says `NotConnected`.
pub(super) struct ChaosStream {
    inner: Box<dyn Stream>,
    link: Arc<Link>,
    who: Who,
    token: Option<Token>,
    read: u64,
    written: u64,
    /// The rule that has ended it, for reads or for good.
    over: Option<(Arc<str>, Effect)>,
    /// In, and out.
    ways: [Way; 2],
    /// Coming up.
    up: Way,
}

/// What is to be done with a read or write.
enum Plan {
    /// Move at most so many bytes; if the rule with this index cut it.
    Move(usize, Option<Hit>),
    Stop(io::Result<usize>),
}

impl ChaosStream {
    pub(super) fn new(inner: Box<dyn Stream>, link: Arc<Link>, who: Who) -> Self {
        ChaosStream {
            inner,
            link,
            who,
            token: None,
            read: 0,
            written: 0,
            over: None,
            ways: Default::default(),
            up: Way::default(),
        }
    }

    fn is_plain(&self) -> bool {
        !self.link.faults.armed() && self.over.is_none() && self.ways.iter().all(Way::is_free)
    }

    /// Applies the rules to a call that would move bytes from `offset` on.
    fn plan(&mut self, op: Op, offset: u64) -> Plan {
        let way = &mut self.ways[usize::from(op == Op::Write)];
        if way.is_stalled(&self.link, op) {
            return Plan::Stop(Err(Errno::Eagain.error()));
        }
        let Verdict { limit, fault } = self.link.decide(op, Some(&self.who), offset);
        let Some(hit) = fault else { return Plan::Move(limit, None) };
        let stop = match &hit.2 {
            Effect::Short(count) => {
                let limit = limit.min((*count).max(1));
                return Plan::Move(limit, Some(hit));
            }
            Effect::Eof if op != Op::Read => {
                self.link.faults.retract(hit.0);
                return Plan::Move(limit, None);
            }
            Effect::WouldBlock | Effect::Stall(_) => {
                return Plan::Stop(Err(way.block(&self.link, self.token, op, hit)));
            }
            Effect::Fail(errno) => Err(errno.error()),
            Effect::Reset => {
                // What cannot be reset is closed instead.
                let _ = self.inner.set_abortive();
                self.inner = Box::new(NoStream::instead_of(&mut *self.inner));
                self.over = Some((Arc::clone(&hit.1), Effect::Reset));
                Err(Errno::Econnreset.error())
            }
            Effect::Eof => {
                self.over = Some((Arc::clone(&hit.1), Effect::Eof));
                Ok(0)
            }
        };
        self.link.observe(&hit.1, op, &hit.2);
        Plan::Stop(stop)
    }

    /// After a call that may have been cut: looks again later, and counts the fault only if it was one.
    fn settle(
        &mut self,
        op: Op,
        limit: usize,
        len: usize,
        fault: Option<Hit>,
        result: &io::Result<usize>,
    ) {
        self.ways[usize::from(op == Op::Write)].settle(&self.link, result);
        let cut = len > limit && result.as_ref().is_ok_and(|&count| count == limit);
        if cut {
            self.link.echo(self.token, op);
        }
        if let Some((index, rule, effect)) = fault {
            if cut {
                self.link.observe(&rule, op, &effect);
            } else {
                self.link.faults.retract(index);
            }
        }
    }

    /// A read under the rules, by whichever call.
    fn read_by(
        &mut self,
        buf: &mut [u8],
        read: impl FnOnce(&mut dyn Stream, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if let Some((rule, effect)) = &self.over {
            self.link.repeat(rule, Op::Read, effect);
            return Ok(0);
        }
        match self.plan(Op::Read, self.read) {
            Plan::Stop(result) => result,
            Plan::Move(limit, fault) => {
                let len = buf.len();
                let result = read(&mut *self.inner, &mut buf[..len.min(limit)]);
                self.settle(Op::Read, limit, len, fault, &result);
                self.read += result.as_ref().map_or(0, |&count| count as u64);
                result
            }
        }
    }
}

impl Stream for ChaosStream {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        Some(&mut *self.inner)
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        self.inner.register(token)
    }

    fn connected(&mut self) -> io::Result<bool> {
        if self.up.is_stalled(&self.link, Op::Connected) {
            return Ok(false);
        }
        if let Some(hit) = self.link.decide(Op::Connected, Some(&self.who), 0).fault {
            match hit.2 {
                Effect::Fail(errno) => {
                    self.link.observe(&hit.1, Op::Connected, &hit.2);
                    return Err(errno.error());
                }
                Effect::WouldBlock | Effect::Stall(_) => {
                    let _ = self.up.block(&self.link, self.token, Op::Connected, hit);
                    return Ok(false);
                }
                _ => self.link.faults.retract(hit.0),
            }
        }
        let result = self.inner.connected();
        // Not up yet is what `WouldBlock` is elsewhere.
        let shown = match &result {
            Ok(false) => Err(Errno::Eagain.error()),
            _ => Ok(()),
        };
        self.up.settle(&self.link, &shown);
        result
    }

    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_plain() {
            let result = self.inner.read(buf);
            self.read += result.as_ref().map_or(0, |&count| count as u64);
            return result;
        }
        self.read_by(buf, <dyn Stream>::read)
    }

    /// The rules for reads are for this as well.
    fn discard(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_by(buf, <dyn Stream>::discard)
    }

    fn short_read_drains(&self) -> bool {
        // A read that a rule cut is followed by an echo.
        self.inner.short_read_drains()
    }

    #[inline]
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_plain() {
            let result = self.inner.write(bufs);
            self.written += result.as_ref().map_or(0, |&count| count as u64);
            return result;
        }
        if let Some((rule, effect @ Effect::Reset)) = &self.over {
            self.link.repeat(rule, Op::Write, effect);
            return Err(Errno::Epipe.error());
        }
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        match self.plan(Op::Write, self.written) {
            Plan::Stop(result) => result,
            Plan::Move(limit, fault) => {
                let mut left = limit;
                let cut: Vec<IoSlice<'_>> = bufs
                    .iter()
                    .map(|buf| {
                        let part = &buf[..buf.len().min(left)];
                        left -= part.len();
                        IoSlice::new(part)
                    })
                    .collect();
                let result = self.inner.write(&cut);
                self.settle(Op::Write, limit, len, fault, &result);
                self.written += result.as_ref().map_or(0, |&count| count as u64);
                result
            }
        }
    }
}

impl Drop for ChaosStream {
    fn drop(&mut self) {
        self.link.forget(self.token);
    }
}
