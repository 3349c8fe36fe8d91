//! What a program is told is ready.

use std::collections::VecDeque;

use super::Core;
use crate::net::{Readiness, Token};
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key};

/// Readiness reports taken at one harvest; more wait for the next one, as with a real poller.
const HARVEST: usize = 1024;

pub(super) const READ: u8 = 1;
pub(super) const WRITE: u8 = 2;
pub(super) const END: u8 = 4;

/// What a socket that is registered has to report.
pub(super) fn bits(readable: bool, writable: bool, ending: bool) -> u8 {
    let all = [(readable, READ), (writable, WRITE), (ending, END)];
    all.into_iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum()
}

/// What a host polls.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Source {
    Listener(Key),
    Tcp(Key),
    Udp(Key),
    UnixListener(Key),
    UnixStream(Key),
    UnixGram(Key),
}

/// Whether and as what a socket is polled, and what is to be reported.
#[derive(Debug, Default)]
pub(super) struct Poll {
    pub(super) token: Option<Token>,
    poller: u32,
    bits: u8,
    listed: bool,
}

/// One program's poller: what is ready and not yet harvested.
pub(super) struct Poller {
    pub(super) host: HostId,
    pub(super) ready: VecDeque<Source>,
    /// Its network was dropped: nobody asks it any more.
    gone: bool,
}

impl Core {
    fn poll_mut(&mut self, source: Source) -> Option<(HostId, &mut Poll)> {
        match source {
            Source::Listener(key) => {
                let listening = self.listeners.get_mut(key.index())?;
                (listening.stamp == key.stamp).then_some((listening.host, &mut listening.poll))
            }
            Source::Tcp(key) => {
                let tcp = self.tcps.get_mut(key.index())?;
                (tcp.stamp == key.stamp).then_some((tcp.host, &mut tcp.poll))
            }
            Source::Udp(key) => {
                let udp = self.udps.get_mut(key.index())?;
                (udp.stamp == key.stamp).then_some((udp.host, &mut udp.poll))
            }
            Source::UnixListener(_) | Source::UnixStream(_) | Source::UnixGram(_) => {
                self.unix.poll_mut(source)
            }
        }
    }

    /// A poller for one program of the host. 40 bytes, for the life of the world.
    pub(in crate::sim) fn add_poller(&mut self, host: HostId) -> u32 {
        self.pollers.push(Poller { host, ready: VecDeque::new(), gone: false });
        u32::try_from(self.pollers.len() - 1).unwrap_or(u32::MAX)
    }

    /// Lets go of all but those bytes.
    pub(in crate::sim) fn close_poller(&mut self, poller: u32) {
        let poller = &mut self.pollers[poller as usize];
        (poller.ready, poller.gone) = (VecDeque::new(), true);
    }

    /// Reports that the source has become ready, at the next harvest of its poller, and gives the host a turn for it.
    pub(super) fn notify(&mut self, source: Source, bits: u8) {
        let Some((host, poll)) = self.poll_mut(source) else { return };
        if poll.token.is_none() || bits == 0 {
            return;
        }
        poll.bits |= bits;
        if !poll.listed {
            poll.listed = true;
            let poller = poll.poller as usize;
            if !self.pollers[poller].gone {
                self.pollers[poller].ready.push_back(source);
                self.schedule_turn(host);
            }
        }
    }

    pub(in crate::sim) fn register(
        &mut self,
        source: Source,
        poller: u32,
        token: Token,
    ) -> Result<(), Errno> {
        let (_, poll) = self.poll_mut(source).ok_or(Errno::Ebadf)?;
        poll.token = Some(token);
        poll.poller = poller;
        let bits = match source {
            Source::Listener(key) => self.listeners[key.index()].ready_bits(),
            Source::Tcp(key) => self.tcps[key.index()].ready_bits(),
            Source::Udp(key) => self.udps[key.index()].ready_bits(),
            Source::UnixListener(_) | Source::UnixStream(_) | Source::UnixGram(_) => {
                self.unix.ready_bits(source)
            }
        };
        self.notify(source, bits);
        Ok(())
    }

    pub(in crate::sim) fn harvest(&mut self, poller: u32, ready: &mut Vec<Readiness>) {
        let index = poller as usize;
        for _ in 0..HARVEST {
            let Some(source) = self.pollers[index].ready.pop_front() else { return };
            if let Some((_, poll)) = self.poll_mut(source) {
                let bits = core::mem::take(&mut poll.bits);
                poll.listed = false;
                if let Some(token) = poll.token {
                    ready.push(Readiness {
                        token,
                        readable: bits & (READ | END) != 0,
                        writable: bits & WRITE != 0,
                        ending: bits & END != 0,
                    });
                }
            }
        }
        if !self.pollers[index].ready.is_empty() {
            self.schedule_turn(self.pollers[index].host);
        }
    }
}
