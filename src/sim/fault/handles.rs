//! Listeners and datagram sockets that fail by rules.

use std::io;
use std::sync::Arc;

use super::Hit;
use super::chaos::{Link, Who};
use super::rule::Effect;
use super::way::Way;
use crate::net::{Addr, Datagram, Gram, Listener, Stream, Token};
use crate::sim::{Errno, Op, Side};

pub(super) struct ChaosListener {
    inner: Box<dyn Listener>,
    link: Arc<Link>,
    token: Option<Token>,
    who: Who,
    way: Way,
}

impl ChaosListener {
    pub(super) fn new(inner: Box<dyn Listener>, link: Arc<Link>) -> Self {
        let who = Who::socket(inner.local_addr());
        ChaosListener { inner, link, token: None, who, way: Way::default() }
    }
}

impl Listener for ChaosListener {
    fn below(&self) -> Option<&dyn Listener> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Listener> {
        Some(&mut *self.inner)
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        self.inner.register(token)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        if self.way.is_stalled(&self.link, Op::Accept) {
            return Err(Errno::Eagain.error());
        }
        if let Some(hit) = self.link.decide(Op::Accept, Some(&self.who), 0).fault {
            match hit.2 {
                Effect::WouldBlock | Effect::Stall(_) => {
                    return Err(self.way.block(&self.link, self.token, Op::Accept, hit));
                }
                Effect::Fail(errno @ (Errno::Econnaborted | Errno::Eproto)) => {
                    let taken = self.inner.accept();
                    let Ok(mut stream) = taken else {
                        self.link.faults.retract(hit.0);
                        return taken;
                    };
                    // What cannot be reset is closed; gone it is either way.
                    let _ = stream.set_abortive();
                    self.link.observe(&hit.1, Op::Accept, &hit.2);
                    return Err(errno.error());
                }
                Effect::Fail(errno) => {
                    self.link.observe(&hit.1, Op::Accept, &hit.2);
                    return Err(errno.error());
                }
                Effect::Short(_) | Effect::Reset | Effect::Eof => self.link.faults.retract(hit.0),
            }
        }
        let taken = self.inner.accept();
        self.way.settle(&self.link, &taken);
        Ok(self.link.wrap(taken?, Side::Accepted))
    }
}

impl Drop for ChaosListener {
    fn drop(&mut self) {
        self.link.forget(self.token);
    }
}

pub(super) struct ChaosDatagram {
    inner: Box<dyn Datagram>,
    link: Arc<Link>,
    who: Who,
    token: Option<Token>,
    /// In, and out.
    ways: [Way; 2],
}

impl ChaosDatagram {
    pub(super) fn new(inner: Box<dyn Datagram>, link: Arc<Link>) -> Self {
        let who = Who::socket(inner.local_addr());
        ChaosDatagram { inner, link, who, token: None, ways: Default::default() }
    }

    /// How many bytes the call may take, by which rule if not all; or what it says instead.
    fn plan(&mut self, op: Op, len: usize) -> io::Result<(usize, Option<Hit>)> {
        let way = &mut self.ways[usize::from(op == Op::Send)];
        if way.is_stalled(&self.link, op) {
            return Err(Errno::Eagain.error());
        }
        let fault = self.link.decide(op, Some(&self.who), 0).fault;
        let Some(hit) = fault else { return Ok((len, None)) };
        match hit.2 {
            Effect::Fail(errno) => {
                self.link.observe(&hit.1, op, &hit.2);
                Err(errno.error())
            }
            Effect::WouldBlock | Effect::Stall(_) => {
                Err(way.block(&self.link, self.token, op, hit))
            }
            Effect::Short(count) if op == Op::Receive && count.max(1) < len => {
                Ok((count.max(1), Some(hit)))
            }
            Effect::Short(_) | Effect::Reset | Effect::Eof => {
                self.link.faults.retract(hit.0);
                Ok((len, None))
            }
        }
    }

    /// A receive under the rules. A short buffer is a fault only if it cut something.
    fn receive_by(
        &mut self,
        buf: &mut [u8],
        receive: impl FnOnce(&mut dyn Datagram, &mut [u8]) -> io::Result<Gram>,
    ) -> io::Result<Gram> {
        let (len, hit) = self.plan(Op::Receive, buf.len())?;
        let result = receive(&mut *self.inner, &mut buf[..len]);
        self.ways[0].settle(&self.link, &result);
        if let Some((index, rule, effect)) = hit {
            match &result {
                Ok(gram) if gram.truncated => self.link.observe(&rule, Op::Receive, &effect),
                _ => self.link.faults.retract(index),
            }
        }
        result
    }

    fn send_by<T>(
        &mut self,
        len: usize,
        send: impl FnOnce(&mut dyn Datagram) -> io::Result<T>,
    ) -> io::Result<T> {
        self.plan(Op::Send, len)?;
        let result = send(&mut *self.inner);
        self.ways[1].settle(&self.link, &result);
        result
    }
}

impl Datagram for ChaosDatagram {
    fn below(&self) -> Option<&dyn Datagram> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Datagram> {
        Some(&mut *self.inner)
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        self.inner.register(token)
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram> {
        self.receive_by(buf, |inner, buf| inner.receive(buf))
    }

    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()> {
        self.send_by(data.len(), |inner| inner.send(data, to))
    }

    /// In one go only where no rule could be about one of them.
    fn send_many(&mut self, grams: &[(&[u8], &Addr)]) -> io::Result<usize> {
        if !self.link.faults.armed() && self.ways[1].is_free() {
            return self.inner.send_many(grams);
        }
        match grams.first() {
            Some((data, to)) => self.send(data, to).map(|()| 1),
            None => Ok(0),
        }
    }

    #[cfg(all(unix, feature = "uds"))]
    fn receive_files(
        &mut self,
        buf: &mut [u8],
        files: &mut Vec<std::os::fd::OwnedFd>,
    ) -> io::Result<Gram> {
        self.receive_by(buf, |inner, buf| inner.receive_files(buf, files))
    }

    #[cfg(all(unix, feature = "uds"))]
    fn send_files(
        &mut self,
        data: &[u8],
        to: &Addr,
        files: &[std::os::fd::OwnedFd],
    ) -> io::Result<()> {
        self.send_by(data.len(), |inner| inner.send_files(data, to, files))
    }
}

impl Drop for ChaosDatagram {
    fn drop(&mut self) {
        self.link.forget(self.token);
    }
}
