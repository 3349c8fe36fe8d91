//! Listening Unix sockets, and connections: pairs of bounded queues.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::Shutdown;

use bytes::{Buf, Bytes};

use super::{Holder, Kind, Place, Unix};
use crate::net::{Addr, BufferSizes, Dial, Listen, SocketFile, SocketOptions};
use crate::sim::machine::socket::MAX_BACKLOG;
use crate::sim::machine::tcp::capacity;
use crate::sim::machine::{Core, END, Poll, READ, Source, WRITE, bits};
use crate::sim::topology::HostId;
use crate::sim::{Errno, Key, Op};

/// A listening socket.
pub(super) struct Queueing {
    pub(super) stamp: u32,
    pub(super) host: HostId,
    place: Option<Place>,
    backlog: usize,
    pending: VecDeque<Key>,
    options: SocketOptions,
    /// Its file is another's by now, and stays.
    left: bool,
    pub(super) poll: Poll,
}

impl Queueing {
    pub(super) fn ready_bits(&self) -> u8 {
        bits(!self.pending.is_empty(), false, false)
    }
}

/// One end of a connection.
///
/// Invariant: `in_len` is at most the other's `send_cap`: what is in a queue counts to who sent it, as on Linux.
pub(super) struct End {
    pub(super) stamp: u32,
    pub(super) host: HostId,
    conn: u32,
    /// Our own name, where we took one.
    place: Option<Place>,
    /// `None` once it is closed.
    peer: Option<Key>,
    peer_name: Addr,
    inbox: VecDeque<Bytes>,
    in_len: usize,
    send_cap: usize,
    recv_cap: usize,
    write_blocked: bool,
    /// Nothing more comes in.
    read_shut: bool,
    /// Nothing more goes out.
    write_shut: bool,
    /// Known to be connected: from then on it is asked whether it still is.
    up: bool,
    error: Option<Errno>,
    pub(super) poll: Poll,
}

impl End {
    pub(super) fn ready_bits(&self, unix: &Unix) -> u8 {
        let readable = self.in_len > 0 || self.read_shut;
        let room = self.write_shut || self.unread_of(unix) < self.send_cap;
        bits(readable, room, self.read_shut)
    }

    /// Bytes of ours that the peer has not read.
    fn unread_of(&self, unix: &Unix) -> usize {
        self.peer.and_then(|key| unix.end(key)).map_or(0, |at| unix.streams[at].in_len)
    }
}

impl Core {
    pub(in crate::sim) fn unix_listen(
        &mut self,
        host: HostId,
        spec: &Listen,
    ) -> Result<Key, Errno> {
        let result = self.with_socket(host, |core| core.try_unix_listen(host, spec));
        self.record_call(host, Op::Listen, 0, &result, |key| u64::from(key.stamp));
        result
    }

    fn try_unix_listen(&mut self, host: HostId, spec: &Listen) -> Result<Key, Errno> {
        let place = Place::new(host, Kind::Stream, &spec.addr)?;
        self.unix.may_take(&place, spec.file)?;
        let stamp = self.stamp();
        let key = Key::new(self.unix.listeners.vacant_key(), stamp);
        self.unix.names.insert(place.clone(), Holder::Listener(key));
        self.unix.listeners.insert(Queueing {
            stamp,
            host,
            place: Some(place),
            backlog: spec.backlog.min(MAX_BACKLOG) as usize,
            pending: VecDeque::new(),
            options: spec.socket.clone(),
            left: false,
            poll: Poll::default(),
        });
        Ok(key)
    }

    /// Connects, at once or not at all. `EAGAIN` is a full backlog.
    pub(in crate::sim) fn unix_connect(&mut self, host: HostId, dial: &Dial) -> Result<Key, Errno> {
        let conn = self.conns;
        let result = self.with_socket(host, |core| core.try_unix_connect(host, dial));
        self.record_call(host, Op::Connect, conn, &result, |_| 0);
        result
    }

    fn try_unix_connect(&mut self, host: HostId, dial: &Dial) -> Result<Key, Errno> {
        let target = Place::new(host, Kind::Stream, &dial.addr)?;
        let own = dial.local.as_ref().filter(|local| local.is_named());
        let own = own.map(|local| Place::new(host, Kind::Stream, local)).transpose()?;
        if let Some(own) = &own {
            self.unix.may_take(own, SocketFile::new())?;
        }
        let listener = match self.unix.find(&target)? {
            Holder::Listener(key) => self.unix.listener(key).ok_or(Errno::Econnrefused)?,
            Holder::Gram(_) => return Err(Errno::Eprototype),
            Holder::Stream(_) | Holder::Dead => return Err(Errno::Econnrefused),
        };
        let queueing = &self.unix.listeners[listener];
        // As on Linux: one more than the backlog says.
        if queueing.pending.len() > queueing.backlog {
            self.stats.backlog_drops += 1;
            return Err(Errno::Eagain);
        }
        let options = queueing.options.clone();
        let waits = Source::UnixListener(Key::new(listener, queueing.stamp));
        let conn = self.conns;
        self.conns += 1;
        self.stats.connections += 1;
        let near = self.new_end(host, conn, &dial.socket);
        let far = self.new_end(host, conn, &options);
        let (one, other) = (near.index(), far.index());
        if let Some(own) = own {
            self.unix.names.insert(own.clone(), Holder::Stream(near));
            self.unix.streams[other].peer_name = own.name.clone();
            self.unix.streams[one].place = Some(own);
        }
        self.unix.streams[one].peer = Some(far);
        self.unix.streams[one].up = false;
        self.unix.streams[other].peer = Some(near);
        self.unix.listeners[listener].pending.push_back(far);
        self.notify(waits, READ);
        Ok(near)
    }

    fn new_end(&mut self, host: HostId, conn: u32, options: &SocketOptions) -> Key {
        let stamp = self.stamp();
        let spec = &self.host(host).spec;
        let end = End {
            stamp,
            host,
            conn,
            place: None,
            peer: None,
            peer_name: Addr::Unnamed,
            inbox: VecDeque::new(),
            in_len: 0,
            send_cap: capacity(spec.send_buffer, options.send_buffer),
            recv_cap: capacity(spec.recv_buffer, options.recv_buffer),
            write_blocked: false,
            read_shut: false,
            write_shut: false,
            up: true,
            error: None,
            poll: Poll::default(),
        };
        Key::new(self.unix.streams.insert(end), stamp)
    }

    /// The next connection, and the name of who dialled.
    pub(in crate::sim) fn unix_accept(&mut self, key: Key) -> Result<(Key, Addr), Errno> {
        let index = self.unix.listener(key).ok_or(Errno::Ebadf)?;
        let host = self.unix.listeners[index].host;
        // The descriptor first, as with TCP.
        let result = self.with_socket(host, |core| {
            core.unix.listeners[index].pending.pop_front().ok_or(Errno::Eagain)
        });
        let conn = result.map_or(0, |end| self.unix.streams[end.index()].conn);
        self.record_call(host, Op::Accept, key.stamp, &result, |_| u64::from(conn));
        let end = result?;
        self.stats.accepted += 1;
        Ok((end, self.unix.streams[end.index()].peer_name.clone()))
    }

    pub(in crate::sim) fn unix_listener_sizes(&self, key: Key) -> Result<BufferSizes, Errno> {
        let index = self.unix.listener(key).ok_or(Errno::Ebadf)?;
        let Queueing { host, options, .. } = &self.unix.listeners[index];
        let spec = &self.host(*host).spec;
        Ok(BufferSizes {
            recv: 2 * capacity(spec.recv_buffer, options.recv_buffer),
            send: 2 * capacity(spec.send_buffer, options.send_buffer),
        })
    }

    pub(in crate::sim) fn leave_unix_file(&mut self, key: Key) {
        if let Some(index) = self.unix.listener(key) {
            self.unix.listeners[index].left = true;
        }
    }

    /// Who waits to be accepted is reset.
    pub(in crate::sim) fn close_unix_listener(&mut self, key: Key) {
        let Some(index) = self.unix.listener(key) else { return };
        let queueing = self.unix.listeners.remove(index);
        self.record_call(queueing.host, Op::Close, key.stamp, &Ok(()), |()| 0);
        self.give_socket(queueing.host);
        match queueing.place {
            // There are no other processes here: nobody has the socket any more.
            Some(place) if queueing.left && place.kind.is_none() => {
                self.unix.names.insert(place, Holder::Dead);
            }
            place => self.unix.release(place, Holder::Listener(key)),
        }
        for end in queueing.pending {
            self.drop_end(end, true);
        }
    }

    /// As by the operating system's side: what dialled is up, whatever came of it since; asked again, the error is told, once.
    pub(in crate::sim) fn unix_connected(&mut self, key: Key) -> Result<bool, Errno> {
        let index = self.unix.end(key).ok_or(Errno::Ebadf)?;
        let end = &mut self.unix.streams[index];
        let (host, conn) = (end.host, end.conn);
        let asked_again = core::mem::replace(&mut end.up, true);
        let error = if asked_again { end.error.take() } else { None };
        let result = error.map_or(Ok(true), Err);
        self.record_call(host, Op::Connected, conn, &result, |&up| u64::from(up));
        result
    }

    pub(in crate::sim) fn unix_write(
        &mut self,
        key: Key,
        bufs: &[IoSlice<'_>],
    ) -> Result<usize, Errno> {
        let index = self.unix.end(key).ok_or(Errno::Ebadf)?;
        let (host, conn) = (self.unix.streams[index].host, self.unix.streams[index].conn);
        let result = self.try_unix_write(index, bufs);
        self.record_call(host, Op::Write, conn, &result, |&count| count as u64);
        result
    }

    fn try_unix_write(&mut self, index: usize, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let end = &self.unix.streams[index];
        let peer = end.peer.filter(|_| !end.write_shut).ok_or(Errno::Epipe)?;
        let to = self.unix.end(peer).ok_or(Errno::Epipe)?;
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if total == 0 {
            return Ok(0);
        }
        let room = end.send_cap.saturating_sub(self.unix.streams[to].in_len);
        // A write that fits does not undo that one before it did not.
        self.unix.streams[index].write_blocked |= room < total;
        if room == 0 {
            return Err(Errno::Eagain);
        }
        let count = room.min(total);
        let piece = self.gather(bufs.iter().map(|buf| &**buf), count);
        let (host, conn) = (self.unix.streams[to].host, self.unix.streams[to].conn);
        self.record_local(host, conn, &piece);
        let other = &mut self.unix.streams[to];
        other.inbox.push_back(piece);
        other.in_len += count;
        self.stats.bytes += count as u64;
        self.notify(Source::UnixStream(peer), READ);
        Ok(count)
    }

    pub(in crate::sim) fn unix_read(&mut self, key: Key, buf: &mut [u8]) -> Result<usize, Errno> {
        let index = self.unix.end(key).ok_or(Errno::Ebadf)?;
        let (host, conn) = (self.unix.streams[index].host, self.unix.streams[index].conn);
        let result = self.try_unix_read(index, buf);
        self.record_call(host, Op::Read, conn, &result, |&count| count as u64);
        if result.is_ok() {
            self.tell_of_room(index);
        }
        result
    }

    /// In the order of `unix_stream_read_generic`: bytes, then the error, once, then the end.
    fn try_unix_read(&mut self, index: usize, buf: &mut [u8]) -> Result<usize, Errno> {
        let end = &mut self.unix.streams[index];
        let mut count = 0;
        while count < buf.len()
            && let Some(front) = end.inbox.front_mut()
        {
            let part = front.len().min(buf.len() - count);
            front.copy_to_slice(&mut buf[count..count + part]);
            count += part;
            if front.is_empty() {
                end.inbox.pop_front();
            }
        }
        end.in_len -= count;
        if count > 0 || buf.is_empty() {
            return Ok(count);
        }
        match end.error.take() {
            Some(error) => Err(error),
            None if end.read_shut => Ok(0),
            None => Err(Errno::Eagain),
        }
    }

    /// Linux tells of room when three quarters of the buffer are free (`unix_writable`).
    fn tell_of_room(&mut self, index: usize) {
        let unread = self.unix.streams[index].in_len;
        let Some(peer) = self.unix.streams[index].peer else { return };
        let Some(at) = self.unix.end(peer) else { return };
        let other = &mut self.unix.streams[at];
        if other.write_blocked && unread * 4 <= other.send_cap {
            other.write_blocked = false;
            self.notify(Source::UnixStream(peer), WRITE);
        }
    }

    /// As on Linux an end that will not read is one that its peer cannot write to, and nothing here fails.
    pub(in crate::sim) fn unix_shutdown(&mut self, key: Key, how: Shutdown) -> Result<(), Errno> {
        let index = self.unix.end(key).ok_or(Errno::Ebadf)?;
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let code = match how {
            Shutdown::Read => 0,
            Shutdown::Write => 1,
            Shutdown::Both => 2,
        };
        let end = &mut self.unix.streams[index];
        end.read_shut |= read;
        end.write_shut |= write;
        let (host, conn, peer) = (end.host, end.conn, end.peer);
        self.record_call(host, Op::Shutdown, conn, &Ok(()), |()| code);
        self.notify(Source::UnixStream(key), bits(read, write, read));
        if let Some((peer, at)) = peer.and_then(|peer| Some((peer, self.unix.end(peer)?))) {
            let other = &mut self.unix.streams[at];
            other.read_shut |= write;
            other.write_shut |= read;
            self.notify(Source::UnixStream(peer), bits(write, read, write));
        }
        Ok(())
    }

    pub(in crate::sim) fn unix_stream_sizes(&self, key: Key) -> Result<BufferSizes, Errno> {
        let end = &self.unix.streams[self.unix.end(key).ok_or(Errno::Ebadf)?];
        Ok(BufferSizes { recv: 2 * end.recv_cap, send: 2 * end.send_cap })
    }

    pub(in crate::sim) fn close_unix_stream(&mut self, key: Key) {
        let Some(index) = self.unix.end(key) else { return };
        let end = &mut self.unix.streams[index];
        let (host, conn, unread, place) = (end.host, end.conn, end.in_len as u64, end.place.take());
        self.record_call(host, Op::Close, conn, &Ok(unread), |&unread| unread);
        self.unix.release(place, Holder::Stream(key));
        self.give_socket(host);
        self.drop_end(key, false);
    }

    /// The peer reads what is left, and then the end; or a reset, where something of its was not read, or it was not even accepted.
    fn drop_end(&mut self, key: Key, unaccepted: bool) {
        let Some(index) = self.unix.end(key) else { return };
        let end = self.unix.streams.remove(index);
        let Some(peer) = end.peer else { return };
        let Some(at) = self.unix.end(peer) else { return };
        let other = &mut self.unix.streams[at];
        (other.peer, other.read_shut, other.write_shut) = (None, true, true);
        if unaccepted || end.in_len > 0 {
            other.error = Some(Errno::Econnreset);
        }
        self.notify(Source::UnixStream(peer), READ | WRITE | END);
    }
}
