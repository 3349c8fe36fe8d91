//! Listeners and datagram sockets that fail by rules.

use std::io;
use std::sync::Arc;

use super::chaos::{Link, Who};
use super::rule::Effect;
use crate::net::{Addr, BufferSizes, Datagram, Gram, GramOption, Listener, Stream, Token};
use crate::sim::{Errno, Op, Side};
use crate::tyme::Tyme;

pub(super) struct ChaosListener {
    inner: Box<dyn Listener>,
    link: Arc<Link>,
    token: Option<Token>,
    who: Who,
    stalled: Tyme,
}

impl ChaosListener {
    pub(super) fn new(inner: Box<dyn Listener>, link: Arc<Link>) -> Self {
        let who = Who::socket(inner.local_addr());
        ChaosListener { inner, link, token: None, who, stalled: Tyme::ZERO }
    }

    fn block(&mut self, until: Option<Tyme>) -> io::Error {
        match until {
            Some(until) => {
                self.stalled = until;
                self.link.echo_at(until, self.token, Op::Accept);
            }
            None => self.link.echo(self.token, Op::Accept),
        }
        Errno::Eagain.error()
    }
}

impl Listener for ChaosListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        self.inner.register(token)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        if self.link.now() < self.stalled {
            return Err(Errno::Eagain.error());
        }
        match self.link.decide(Op::Accept, Some(&self.who), 0, 0).fault {
            None => {}
            Some((index, rule, effect)) => match effect {
                Effect::WouldBlock | Effect::Stall(_) => {
                    self.link.observe(&rule, Op::Accept, &effect);
                    let until = match effect {
                        Effect::Stall(time) => Some(self.link.now() + time),
                        _ => None,
                    };
                    return Err(self.block(until));
                }
                Effect::Fail(errno @ (Errno::Econnaborted | Errno::Eproto)) => {
                    let taken = self.inner.accept();
                    let Ok(mut stream) = taken else {
                        self.link.faults.retract(index);
                        return taken;
                    };
                    // What cannot be reset is closed; gone it is either way.
                    let _ = stream.set_abortive();
                    self.link.observe(&rule, Op::Accept, &effect);
                    return Err(errno.error());
                }
                Effect::Fail(errno) => {
                    self.link.observe(&rule, Op::Accept, &effect);
                    return Err(errno.error());
                }
                Effect::Short(_) | Effect::Reset | Effect::Eof => self.link.faults.retract(index),
            },
        }
        let stream = self.inner.accept()?;
        Ok(self.link.wrap(stream, Side::Accepted))
    }

    fn local_addr(&self) -> &Addr {
        self.inner.local_addr()
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.inner.buffer_sizes()
    }

    fn leave_file(&mut self) {
        self.inner.leave_file();
    }

    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.as_fd()
    }
}

pub(super) struct ChaosDatagram {
    inner: Box<dyn Datagram>,
    link: Arc<Link>,
    who: Who,
    token: Option<Token>,
    stalled: [Tyme; 2],
}

impl ChaosDatagram {
    pub(super) fn new(inner: Box<dyn Datagram>, link: Arc<Link>) -> Self {
        let who = Who::socket(inner.local_addr());
        ChaosDatagram { inner, link, who, token: None, stalled: [Tyme::ZERO; 2] }
    }

    /// How many bytes the call may take, or what it says instead.
    fn plan(&mut self, op: Op, len: usize) -> io::Result<usize> {
        let way = usize::from(op == Op::Send);
        if self.link.now() < self.stalled[way] {
            return Err(Errno::Eagain.error());
        }
        let fault = self.link.decide(op, Some(&self.who), 0, len).fault;
        let Some((index, rule, effect)) = fault else { return Ok(len) };
        let result = match &effect {
            Effect::Fail(errno) => Err(errno.error()),
            Effect::WouldBlock => {
                self.link.echo(self.token, op);
                Err(Errno::Eagain.error())
            }
            Effect::Stall(time) => {
                let until = self.link.now() + *time;
                self.stalled[way] = until;
                self.link.echo_at(until, self.token, op);
                Err(Errno::Eagain.error())
            }
            Effect::Short(count) if op == Op::Receive => Ok(len.min((*count).max(1))),
            Effect::Short(_) | Effect::Reset | Effect::Eof => {
                self.link.faults.retract(index);
                return Ok(len);
            }
        };
        self.link.observe(&rule, op, &effect);
        result
    }
}

impl Datagram for ChaosDatagram {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        self.inner.register(token)
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram> {
        let len = self.plan(Op::Receive, buf.len())?;
        self.inner.receive(&mut buf[..len])
    }

    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()> {
        self.plan(Op::Send, data.len())?;
        self.inner.send(data, to)
    }

    fn local_addr(&self) -> &Addr {
        self.inner.local_addr()
    }

    fn set_option(&mut self, option: GramOption) -> io::Result<()> {
        self.inner.set_option(option)
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.inner.buffer_sizes()
    }

    #[cfg(unix)]
    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.as_fd()
    }

    #[cfg(all(unix, feature = "uds"))]
    fn receive_files(
        &mut self,
        buf: &mut [u8],
        files: &mut Vec<std::os::fd::OwnedFd>,
    ) -> io::Result<Gram> {
        let len = self.plan(Op::Receive, buf.len())?;
        self.inner.receive_files(&mut buf[..len], files)
    }

    #[cfg(all(unix, feature = "uds"))]
    fn send_files(
        &mut self,
        data: &[u8],
        to: &Addr,
        files: &[std::os::fd::OwnedFd],
    ) -> io::Result<()> {
        self.plan(Op::Send, data.len())?;
        self.inner.send_files(data, to, files)
    }
}
