//! Streams that fail by rules.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;

use super::Hit;
use super::chaos::{Link, Who};
use super::rule::Effect;
use super::way::Way;
use crate::net::{Addr, BufferSizes, Stage, Stream, Token};
use crate::sim::{Errno, Op};

/// A stream that fails by rules. Holds its stream until a reset has dropped it.
pub(super) struct ChaosStream {
    inner: Option<Box<dyn Stream>>,
    link: Arc<Link>,
    who: Who,
    token: Option<Token>,
    local: Addr,
    peer: Addr,
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
        let (local, peer) = (inner.local_addr().clone(), inner.peer_addr().clone());
        ChaosStream {
            inner: Some(inner),
            link,
            who,
            token: None,
            local,
            peer,
            read: 0,
            written: 0,
            over: None,
            ways: Default::default(),
            up: Way::default(),
        }
    }

    fn is_plain(&self) -> bool {
        !self.link.faults.armed()
            && self.over.is_none()
            && self.ways.iter().all(Way::is_free)
            && self.inner.is_some()
    }

    /// Applies the rules to a call that would move up to `len` bytes.
    fn plan(&mut self, op: Op, offset: u64, len: usize) -> Plan {
        let way = &mut self.ways[usize::from(op == Op::Write)];
        if way.is_stalled(&self.link, op) {
            return Plan::Stop(Err(Errno::Eagain.error()));
        }
        let verdict = self.link.decide(op, Some(&self.who), offset, len);
        let limit = verdict.limit.unwrap_or(usize::MAX);
        let Some(hit) = verdict.fault else { return Plan::Move(limit, None) };
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
                if let Some(mut inner) = self.inner.take() {
                    (self.local, self.peer) =
                        (inner.local_addr().clone(), inner.peer_addr().clone());
                    // What cannot be reset is closed instead.
                    let _ = inner.set_abortive();
                }
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
        match self.plan(Op::Read, self.read, buf.len()) {
            Plan::Stop(result) => result,
            Plan::Move(limit, fault) => {
                let Some(inner) = &mut self.inner else { return Ok(0) };
                let len = buf.len();
                let result = read(&mut **inner, &mut buf[..len.min(limit)]);
                self.settle(Op::Read, limit, len, fault, &result);
                self.read += result.as_ref().map_or(0, |&count| count as u64);
                result
            }
        }
    }
}

fn gone() -> io::Error {
    Errno::Enotconn.error()
}

impl Stream for ChaosStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        self.inner.as_mut().ok_or_else(gone)?.register(token)
    }

    fn connected(&mut self) -> io::Result<bool> {
        let inner = self.inner.as_mut().ok_or_else(gone)?;
        if self.up.is_stalled(&self.link, Op::Connected) {
            return Ok(false);
        }
        if let Some(hit) = self.link.decide(Op::Connected, Some(&self.who), 0, 0).fault {
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
        let result = inner.connected();
        // Not up yet is what `WouldBlock` is elsewhere.
        let shown = match &result {
            Ok(false) => Err(Errno::Eagain.error()),
            _ => Ok(()),
        };
        self.up.settle(&self.link, &shown);
        result
    }

    fn advance(&mut self) -> io::Result<Stage> {
        self.inner.as_mut().ok_or_else(gone)?.advance()
    }

    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_plain()
            && let Some(inner) = &mut self.inner
        {
            let result = inner.read(buf);
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
        self.inner.as_ref().is_some_and(|inner| inner.short_read_drains())
    }

    #[inline]
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_plain()
            && let Some(inner) = &mut self.inner
        {
            let result = inner.write(bufs);
            self.written += result.as_ref().map_or(0, |&count| count as u64);
            return result;
        }
        if let Some((rule, effect @ Effect::Reset)) = &self.over {
            self.link.repeat(rule, Op::Write, effect);
            return Err(Errno::Epipe.error());
        }
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        match self.plan(Op::Write, self.written, len) {
            Plan::Stop(result) => result,
            Plan::Move(limit, fault) => {
                let Some(inner) = &mut self.inner else { return Err(Errno::Epipe.error()) };
                let mut left = limit;
                let cut: Vec<IoSlice<'_>> = bufs
                    .iter()
                    .map_while(|buf| {
                        let part = &buf[..buf.len().min(left)];
                        left -= part.len();
                        (!part.is_empty()).then(|| IoSlice::new(part))
                    })
                    .collect();
                let result = inner.write(&cut);
                self.settle(Op::Write, limit, len, fault, &result);
                self.written += result.as_ref().map_or(0, |&count| count as u64);
                result
            }
        }
    }

    fn held(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.held())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.flush())
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.inner.as_mut().ok_or_else(gone)?.shutdown(how)
    }

    fn says_goodbye(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.says_goodbye())
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<&crate::net::tls::TlsInfo> {
        self.inner.as_ref()?.tls()
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.set_abortive())
    }

    #[cfg(feature = "proxy-protocol")]
    fn proxied(&self) -> Option<&crate::net::proxy::Proxied> {
        self.inner.as_ref()?.proxied()
    }

    fn local_addr(&self) -> &Addr {
        self.inner.as_ref().map_or(&self.local, |inner| inner.local_addr())
    }

    fn peer_addr(&self) -> &Addr {
        self.inner.as_ref().map_or(&self.peer, |inner| inner.peer_addr())
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.inner.as_ref().ok_or_else(gone)?.buffer_sizes()
    }

    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.as_ref()?.as_fd()
    }

    #[cfg(all(unix, feature = "uds"))]
    fn unix(&mut self) -> Option<&mut dyn crate::net::UnixStream> {
        self.inner.as_mut()?.unix()
    }
}
