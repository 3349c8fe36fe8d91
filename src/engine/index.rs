//! Finds connections by their peer's address, and counts them by IP address.

use core::hash::{Hash, Hasher};
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, hash_map};
use std::net::{IpAddr, Ipv6Addr};

use crate::id::Id;
use crate::net::Addr;

/// Ids by hash of the peer's address: 16 bytes a connection instead of the address itself a second time.
///
/// A tree, so that no choice of addresses makes it slow: what hashes alike stands side by side and is told apart by
/// looking at the connection, and it takes full 64-bit collisions to stand there.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_peer: BTreeSet<(u64, Id)>,
    by_ip: BTreeMap<IpAddr, usize>,
}

fn hash(peer: &Addr) -> u64 {
    let mut hasher = hash_map::DefaultHasher::new();
    peer.hash(&mut hasher);
    hasher.finish()
}

/// What counts as one address: an IPv6 user has a /64 at least, so all of it is one.
fn source(peer: &Addr) -> Option<IpAddr> {
    match peer.ip()? {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
        ip => Some(ip),
    }
}

impl Index {
    pub(crate) fn insert(&mut self, peer: &Addr, id: Id) {
        if peer.is_named() {
            self.by_peer.insert((hash(peer), id));
        }
        if let Some(ip) = source(peer) {
            *self.by_ip.entry(ip).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, peer: &Addr, id: Id) {
        if peer.is_named() {
            self.by_peer.remove(&(hash(peer), id));
        }
        if let Some(ip) = source(peer)
            && let Entry::Occupied(mut entry) = self.by_ip.entry(ip)
        {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// The oldest connection for which `fits`, among those that may have this peer.
    pub(crate) fn find(&self, peer: &Addr, fits: impl Fn(Id) -> bool) -> Option<Id> {
        let hash = hash(peer);
        let same = self.by_peer.range((hash, Id::MIN)..=(hash, Id::MAX));
        same.map(|&(_, id)| id).find(|&id| fits(id))
    }

    /// Connections from the same address as `peer`.
    pub(crate) fn count_from(&self, peer: &Addr) -> usize {
        source(peer).and_then(|ip| self.by_ip.get(&ip)).copied().unwrap_or(0)
    }
}
