//! Unix sockets: within one host, so there is no way to take and no time. What is sent is there at once; only the turn in which it is
//! seen goes through the queue of the world, at the same tyme and after what is due already.
//!
//! * here — names: who is bound to which, and what a crash leaves behind
//! * `stream` — listeners and connections
//! * `gram` — datagram sockets

mod gram;
mod stream;

use std::collections::BTreeMap;

use bytes::Bytes;
use slab::Slab;

use self::gram::Mailbox;
use self::stream::{End, Queueing};
use super::{Core, Poll, Source};
use crate::net::{Addr, SocketFile};
use crate::sim::topology::HostId;
use crate::sim::trace::What;
use crate::sim::{Errno, Key};

/// The longest name: the 108 bytes that an address holds on Linux, less the zero at the end of a path or the beginning of an abstract name.
const MAX_NAME: usize = 107;

/// All Unix sockets of a world.
#[derive(Default)]
pub(super) struct Unix {
    streams: Slab<End>,
    listeners: Slab<Queueing>,
    grams: Slab<Mailbox>,
    names: BTreeMap<Place, Holder>,
}

/// What is bound by name. Streams and datagrams have abstract names of their own each (Linux hashes the type into them); paths they share.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Stream,
    Gram,
}

/// A name on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    host: HostId,
    /// Of an abstract name.
    kind: Option<Kind>,
    name: Addr,
}

impl Place {
    /// # Errors
    /// `EOPNOTSUPP` for what is no name of a Unix socket, `ENAMETOOLONG` for one that does not fit (or is empty, or has a zero byte).
    fn new(host: HostId, kind: Kind, name: &Addr) -> Result<Place, Errno> {
        let (len, whole, kind) = match name {
            Addr::Path(path) => {
                let bytes = path.as_os_str().as_encoded_bytes();
                (bytes.len(), !bytes.contains(&0), None)
            }
            Addr::Abstract(name) => (name.len(), true, Some(kind)),
            Addr::Inet(_) | Addr::Unnamed => return Err(Errno::Eopnotsupp),
        };
        if !whole || !(1..=MAX_NAME).contains(&len) {
            return Err(Errno::Enametoolong);
        }
        Ok(Place { host, kind, name: name.clone() })
    }
}

/// Who has a name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Holder {
    Listener(Key),
    Stream(Key),
    Gram(Key),
    /// Nobody any more: a file that was left behind.
    Dead,
}

impl Unix {
    /// Whether the name may be bound.
    fn may_take(&self, place: &Place, file: SocketFile) -> Result<(), Errno> {
        match self.names.get(place) {
            None => Ok(()),
            Some(Holder::Dead) if file.replace_stale => Ok(()),
            Some(Holder::Dead) => Err(Errno::Eexist),
            Some(_) => Err(Errno::Eaddrinuse),
        }
    }

    fn find(&self, place: &Place) -> Result<Holder, Errno> {
        match self.names.get(place) {
            Some(Holder::Dead) => Err(Errno::Econnrefused),
            Some(holder) => Ok(*holder),
            // Only a path can be missing.
            None if place.kind.is_none() => Err(Errno::Enoent),
            None => Err(Errno::Econnrefused),
        }
    }

    /// Gives a name back, unless it is another's.
    fn release(&mut self, place: Option<Place>, holder: Holder) {
        if let Some(place) = place.filter(|place| self.names.get(place) == Some(&holder)) {
            self.names.remove(&place);
        }
    }

    /// The host is gone, without a word to anybody: both ends of all its connections, and all of its names but files.
    pub(super) fn forget(&mut self, host: HostId) {
        self.streams.retain(|_, end| end.host != host);
        self.listeners.retain(|_, it| it.host != host);
        self.grams.retain(|_, it| it.host != host);
        self.names.retain(|place, _| place.host != host || place.kind.is_none());
        self.names
            .iter_mut()
            .filter(|(place, _)| place.host == host)
            .for_each(|(_, holder)| *holder = Holder::Dead);
    }

    pub(super) fn poll_mut(&mut self, source: Source) -> Option<(HostId, &mut Poll)> {
        match source {
            Source::UnixListener(key) => {
                let at = self.listener(key)?;
                let it = &mut self.listeners[at];
                Some((it.host, &mut it.poll))
            }
            Source::UnixStream(key) => {
                let at = self.end(key)?;
                let it = &mut self.streams[at];
                Some((it.host, &mut it.poll))
            }
            Source::UnixGram(key) => {
                let at = self.gram(key)?;
                let it = &mut self.grams[at];
                Some((it.host, &mut it.poll))
            }
            Source::Listener(_) | Source::Tcp(_) | Source::Udp(_) => None,
        }
    }

    pub(super) fn ready_bits(&self, source: Source) -> u8 {
        match source {
            Source::UnixListener(key) => self.listeners[key.index()].ready_bits(),
            Source::UnixStream(key) => self.streams[key.index()].ready_bits(self),
            Source::UnixGram(key) => self.grams[key.index()].ready_bits(),
            Source::Listener(_) | Source::Tcp(_) | Source::Udp(_) => 0,
        }
    }

    fn listener(&self, key: Key) -> Option<usize> {
        let index = key.index();
        self.listeners.get(index).is_some_and(|it| it.stamp == key.stamp).then_some(index)
    }

    fn end(&self, key: Key) -> Option<usize> {
        let index = key.index();
        self.streams.get(index).is_some_and(|it| it.stamp == key.stamp).then_some(index)
    }

    fn gram(&self, key: Key) -> Option<usize> {
        let index = key.index();
        self.grams.get(index).is_some_and(|it| it.stamp == key.stamp).then_some(index)
    }
}

impl Core {
    fn record_local(&mut self, host: HostId, on: u32, data: &Bytes) {
        if self.recorder.on() {
            self.record(&What::Local { host, on, data: data.clone() });
        }
    }

    /// What `open` makes of one more socket, which is given back where it makes nothing.
    fn with_socket<T>(
        &mut self,
        host: HostId,
        open: impl FnOnce(&mut Core) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.take_socket(host)?;
        open(self).inspect_err(|_| self.give_socket(host))
    }
}
