//! Finds connections by their peer's address, and counts them by IP address.

use core::hash::{Hash, Hasher};
use std::borrow::Cow;
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, hash_map};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::id::Id;
use crate::net::Addr;
use crate::remoter::Remoter;

/// Ids by hash of the peer's address: 16 bytes a connection instead of the address itself a second time.
///
/// A tree, so that no choice of addresses makes it slow: what hashes alike stands side by side and is told apart by
/// looking at the connection, and it takes full 64-bit collisions to stand there.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_peer: BTreeSet<(u64, Id)>,
    by_ip: BTreeMap<IpAddr, usize>,
    /// The unfinished handshakes among them.
    shaking: BTreeMap<IpAddr, usize>,
}

/// The address as one writes it: an IPv4 peer of a socket for both is an IPv4 peer.
fn plain(peer: &Addr) -> Cow<'_, Addr> {
    let mapped = match peer {
        Addr::Inet(SocketAddr::V6(v6)) => v6.ip().to_ipv4_mapped().map(|ip| (ip, v6.port())),
        _ => None,
    };
    mapped.map_or(Cow::Borrowed(peer), |addr| Cow::Owned(Addr::from(addr)))
}

/// Whether both are the same peer, however written.
pub(super) fn is_same(one: &Addr, other: &Addr) -> bool {
    plain(one) == plain(other)
}

fn hash(peer: &Addr) -> u64 {
    let mut hasher = hash_map::DefaultHasher::new();
    plain(peer).hash(&mut hasher);
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

fn take_one(counts: &mut BTreeMap<IpAddr, usize>, peer: &Addr) {
    if let Some(ip) = source(peer)
        && let Entry::Occupied(mut entry) = counts.entry(ip)
    {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
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
        take_one(&mut self.by_ip, peer);
    }

    /// Forgets a connection, and that it is `shaking` if it is.
    pub(crate) fn forget(&mut self, remoter: &mut Remoter, shaking: bool) {
        if remoter.is_counted() {
            self.remove(remoter.counted_as(), remoter.id());
            if shaking {
                self.end_shaking(remoter.counted_as());
            }
        }
        remoter.count_as_peer();
    }

    /// Counts a connection, from now on, to the address that its peer has now.
    pub(crate) fn rename(&mut self, remoter: &mut Remoter) {
        let shaking = remoter.state.shaking;
        self.forget(remoter, shaking);
        self.insert(remoter.peer_addr(), remoter.id());
        if shaking {
            self.begin_shaking(remoter.peer_addr());
        }
    }

    /// A connection from there has begun to shake hands.
    pub(crate) fn begin_shaking(&mut self, peer: &Addr) {
        if let Some(ip) = source(peer) {
            *self.shaking.entry(ip).or_default() += 1;
        }
    }

    /// It has come to an end with that, whichever.
    pub(crate) fn end_shaking(&mut self, peer: &Addr) {
        take_one(&mut self.shaking, peer);
    }

    /// Unfinished handshakes from the same address as `peer`.
    pub(crate) fn shaking_from(&self, peer: &Addr) -> usize {
        source(peer).and_then(|ip| self.shaking.get(&ip)).copied().unwrap_or(0)
    }

    /// Whether nothing is left of anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_peer.is_empty() && self.by_ip.is_empty() && self.shaking.is_empty()
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test says so by failing")]
mod tests {
    use super::*;
    use crate::id::Slots;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    fn ids(count: usize) -> Vec<Id> {
        let mut slots = Slots::new();
        let mut ids = Vec::new();
        for _ in 0..count {
            let id = slots.reserve().unwrap();
            slots.fill(id, ());
            ids.push(id);
        }
        ids
    }

    #[test]
    fn a_64_of_ipv6_is_one_source_and_so_is_an_ipv4_address_however_written() {
        let mut index = Index::default();
        let ids = ids(3);
        index.insert(&addr("[2001:db8:1:2:3:4:5:6]:1000"), ids[0]);
        index.insert(&addr("[2001:db8:1:2:ffff::1]:1001"), ids[1]);
        index.insert(&addr("[::ffff:192.0.2.7]:1002"), ids[2]);
        assert_eq!(index.count_from(&addr("[2001:db8:1:2::]:1")), 2);
        assert_eq!(index.count_from(&addr("[2001:db8:1:3::]:1")), 0, "one bit further");
        assert_eq!(index.count_from(&addr("[2001:db8:1:1:ffff:ffff:ffff:ffff]:1")), 0);
        assert_eq!(index.count_from(&addr("192.0.2.7:1")), 1);
        assert_eq!(index.count_from(&addr("192.0.2.8:1")), 0);
        assert_eq!(index.count_from(&Addr::Unnamed), 0);
        index.remove(&addr("[2001:db8:1:2:ffff::1]:1001"), ids[1]);
        assert_eq!(index.count_from(&addr("[2001:db8:1:2::]:1")), 1);
        index.remove(&addr("[2001:db8:1:2:3:4:5:6]:1000"), ids[0]);
        index.remove(&addr("[::ffff:192.0.2.7]:1002"), ids[2]);
        assert!(index.by_ip.is_empty() && index.by_peer.is_empty(), "nothing is left");
    }

    #[test]
    fn the_oldest_of_the_same_peer_is_found_first() {
        let mut index = Index::default();
        let ids = ids(2);
        let peer = addr("192.0.2.7:1000");
        index.insert(&peer, ids[1]);
        index.insert(&peer, ids[0]);
        assert_eq!(index.find(&peer, |_| true), Some(ids[0]));
        assert_eq!(index.find(&peer, |id| id != ids[0]), Some(ids[1]));
        assert_eq!(index.find(&addr("192.0.2.7:1001"), |_| true), None);
        index.remove(&peer, ids[0]);
        assert_eq!(index.find(&peer, |_| true), Some(ids[1]));
    }
}
