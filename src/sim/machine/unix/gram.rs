//! Unix datagram sockets. Nothing is lost, doubled or overtaken here: a receiver without room holds its senders up.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Holder, Kind, Place};
use crate::net::{Addr, Bind, BufferSizes};
use crate::sim::machine::tcp::capacity;
use crate::sim::machine::{Core, Poll, READ, Source, WRITE, bits};
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key, Op};

/// Datagrams that wait at most, and one more (the kernel's own default of `net.unix.max_dgram_qlen`; distributions raise it).
const MAX_QUEUE: usize = 10;
/// What a datagram costs its sender beside its payload, as Linux counts it.
const OVERHEAD: usize = 768;
/// What a datagram must leave free of its sender's buffer.
const SPARE: usize = 32;

/// A datagram socket.
pub(super) struct Mailbox {
    pub(super) stamp: u32,
    pub(super) host: HostId,
    place: Option<Place>,
    connected: bool,
    /// The only one that it talks with. `None` in connected mode: it was gone at the last send.
    peer: Option<Key>,
    inbox: VecDeque<Letter>,
    /// What it has sent and is not yet read, which counts to it and not to the receivers.
    sent: usize,
    cap: usize,
    /// A send found that to be all.
    blocked: bool,
    /// Senders in connected mode who found the inbox full.
    waiting: Vec<Key>,
    pub(super) poll: Poll,
}

struct Letter {
    from: Addr,
    sender: Key,
    data: Bytes,
}

impl Letter {
    fn size(&self) -> usize {
        self.data.len() + OVERHEAD
    }
}

impl Mailbox {
    pub(super) fn ready_bits(&self) -> u8 {
        bits(!self.inbox.is_empty(), self.sent < self.cap, false)
    }
}

/// What was received.
pub(in crate::sim) struct Delivered {
    pub(in crate::sim) len: usize,
    pub(in crate::sim) truncated: bool,
    pub(in crate::sim) from: Addr,
}

impl Core {
    pub(in crate::sim) fn unix_bind(&mut self, host: HostId, spec: &Bind) -> Result<Key, Errno> {
        let result = self.with_socket(host, |core| core.try_unix_bind(host, spec));
        self.record_call(host, Op::Bind, 0, &result, |key| u64::from(key.stamp));
        result
    }

    fn try_unix_bind(&mut self, host: HostId, spec: &Bind) -> Result<Key, Errno> {
        // Connected before it can be found, as by the operating system's side.
        let friend = spec.peer.as_ref().map(|peer| self.unix_friend(host, peer)).transpose()?;
        let place = match &spec.addr {
            Addr::Unnamed => None,
            name => Some(Place::new(host, Kind::Gram, name)?),
        };
        if let Some(place) = &place {
            self.unix.may_take(place, spec.file)?;
        }
        let stamp = self.stamp();
        let key = Key::new(self.unix.grams.vacant_key(), stamp);
        if let Some(place) = &place {
            self.unix.names.insert(place.clone(), Holder::Gram(key));
        }
        self.unix.grams.insert(Mailbox {
            stamp,
            host,
            place,
            connected: spec.peer.is_some(),
            peer: friend,
            inbox: VecDeque::new(),
            sent: 0,
            cap: capacity(self.host(host).spec.gram_buffer, spec.send_buffer),
            blocked: false,
            waiting: Vec::new(),
            poll: Poll::default(),
        });
        Ok(key)
    }

    /// Whom a new socket connects to: nobody that has a peer already, since that cannot be this one.
    fn unix_friend(&self, host: HostId, peer: &Addr) -> Result<Key, Errno> {
        let key = self.unix_receiver(host, peer)?;
        match self.unix.gram(key).map(|at| self.unix.grams[at].peer) {
            Some(None) => Ok(key),
            Some(Some(_)) => Err(Errno::Eperm),
            None => Err(Errno::Econnrefused),
        }
    }

    fn unix_receiver(&self, host: HostId, to: &Addr) -> Result<Key, Errno> {
        match self.unix.find(&Place::new(host, Kind::Gram, to)?)? {
            Holder::Gram(key) => Ok(key),
            Holder::Listener(_) | Holder::Stream(_) => Err(Errno::Eprototype),
            Holder::Dead => Err(Errno::Econnrefused),
        }
    }

    /// In connected mode `to` is the peer.
    pub(in crate::sim) fn unix_send(
        &mut self,
        key: Key,
        data: &[u8],
        to: &Addr,
    ) -> Result<(), Errno> {
        let index = self.unix.gram(key).ok_or(Errno::Ebadf)?;
        let host = self.unix.grams[index].host;
        let result = self.try_unix_send(index, key, data, to);
        self.record_call(host, Op::Send, key.stamp, &result, |()| data.len() as u64);
        result
    }

    fn try_unix_send(
        &mut self,
        index: usize,
        key: Key,
        data: &[u8],
        to: &Addr,
    ) -> Result<(), Errno> {
        let own = &mut self.unix.grams[index];
        if own.connected && own.peer.is_none() {
            return Err(Errno::Enotconn);
        }
        if data.len() + SPARE > own.cap {
            return Err(Errno::Emsgsize);
        }
        if own.sent >= own.cap {
            own.blocked = true;
            return Err(Errno::Eagain);
        }
        let (host, connected) = (own.host, own.connected);
        let target = match own.peer {
            Some(peer) => peer,
            None => self.unix_receiver(host, to)?,
        };
        let Some(at) = self.unix.gram(target) else {
            self.unix_disconnect(index);
            return Err(Errno::Econnrefused);
        };
        let other = &mut self.unix.grams[at];
        let ours = other.peer == Some(key);
        if other.peer.is_some() && !ours {
            return Err(Errno::Eperm);
        }
        if target != key && !ours && other.inbox.len() > MAX_QUEUE {
            // As on Linux nothing tells a sender without a peer when there is room.
            if connected && !other.waiting.contains(&key) {
                other.waiting.push(key);
            }
            return Err(Errno::Eagain);
        }
        let data = self.gather(core::iter::once(data), data.len());
        self.record_local(host, key.stamp, &data);
        let own = &mut self.unix.grams[index];
        let from = own.place.as_ref().map_or(Addr::Unnamed, |place| place.name.clone());
        let letter = Letter { from, sender: key, data };
        own.sent += letter.size();
        self.unix.grams[at].inbox.push_back(letter);
        self.stats.grams += 1;
        self.stats.grams_delivered += 1;
        self.notify(Source::UnixGram(target), READ);
        Ok(())
    }

    /// The peer is gone, and with it what it has sent (`unix_dgram_disconnected`); nobody else could.
    fn unix_disconnect(&mut self, index: usize) {
        let own = &mut self.unix.grams[index];
        own.peer = None;
        own.inbox.clear();
    }

    /// Whether it is connected, and its peer was not found gone.
    pub(in crate::sim) fn unix_has_peer(&self, key: Key) -> bool {
        self.unix.gram(key).is_some_and(|at| self.unix.grams[at].peer.is_some())
    }

    /// The datagram has left the queue: its sender has so much room again.
    fn give_back(&mut self, letter: &Letter) {
        let Some(at) = self.unix.gram(letter.sender) else { return };
        let sender = &mut self.unix.grams[at];
        sender.sent -= letter.size();
        if sender.blocked && sender.sent * 4 <= sender.cap {
            sender.blocked = false;
            self.notify(Source::UnixGram(letter.sender), WRITE);
        }
    }

    pub(in crate::sim) fn unix_receive(
        &mut self,
        key: Key,
        buf: &mut [u8],
    ) -> Result<Delivered, Errno> {
        let index = self.unix.gram(key).ok_or(Errno::Ebadf)?;
        let own = &mut self.unix.grams[index];
        let (host, letter) = (own.host, own.inbox.pop_front());
        let waiting = if letter.is_some() { core::mem::take(&mut own.waiting) } else { Vec::new() };
        let result = letter.ok_or(Errno::Eagain).map(|letter| {
            self.give_back(&letter);
            let len = letter.data.len().min(buf.len());
            buf[..len].copy_from_slice(&letter.data[..len]);
            Delivered { len, truncated: len < letter.data.len(), from: letter.from }
        });
        self.record_call(host, Op::Receive, key.stamp, &result, |gram| gram.len as u64);
        for sender in waiting {
            self.notify(Source::UnixGram(sender), WRITE);
        }
        result
    }

    pub(in crate::sim) fn unix_gram_sizes(&self, key: Key) -> Result<BufferSizes, Errno> {
        let own = &self.unix.grams[self.unix.gram(key).ok_or(Errno::Ebadf)?];
        // Of what is received nothing counts to the receiver, whatever size it has asked for.
        Ok(BufferSizes { recv: self.host(own.host).spec.gram_buffer, send: own.cap })
    }

    pub(in crate::sim) fn close_unix_gram(&mut self, key: Key) {
        let Some(index) = self.unix.gram(key) else { return };
        let own = self.unix.grams.remove(index);
        self.record_call(own.host, Op::Close, key.stamp, &Ok(()), |()| 0);
        self.unix.release(own.place, Holder::Gram(key));
        self.give_socket(own.host);
        own.inbox.iter().for_each(|letter| self.give_back(letter));
        for sender in own.waiting {
            self.notify(Source::UnixGram(sender), WRITE);
        }
    }
}
