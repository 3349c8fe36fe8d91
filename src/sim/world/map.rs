//! What a world is made of: hosts, names, links.

use std::net::IpAddr;

use super::programs::Seat;
use super::{Host, World};
use crate::sim::topology::{HostId, HostSpec, Link};

/// # What it is made of
impl World {
    /// Adds a host without a program.
    ///
    /// # Panics
    /// If its name or one of its addresses is taken.
    pub fn add_host(&mut self, spec: impl Into<HostSpec>) -> HostId {
        let id = self.shared.lock().add_host(spec.into());
        self.seats.push(Seat::default());
        id
    }

    /// The host's side of the world, to hand to a program.
    ///
    /// # Panics
    /// If `host` is of another world.
    #[must_use]
    pub fn host(&self, host: HostId) -> Host {
        Host::new(self.shared.clone(), self.faults.clone(), host)
    }

    /// All hosts, in the order of adding.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        let count = self.seats.len();
        (0..count).map(|index| HostId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The host that has this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<HostId> {
        self.shared.lock().find(name)
    }

    /// The addresses behind a name, compared as in the DNS; none if nobody has it. Looking up takes no tyme, unless a
    /// [rule](crate::sim::Op::Lookup) says so.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.shared.lock().resolve(name)
    }

    /// Gives a host one more name; returns whether the name was free. If not, it means this host from now on.
    ///
    /// # Panics
    /// If `host` is of another world.
    pub fn add_name(&mut self, name: impl Into<String>, host: HostId) -> bool {
        self.known(host);
        self.shared.lock().add_name(&name.into(), host)
    }

    /// Sets the link between two hosts, both ways.
    ///
    /// # Panics
    /// If one of them is of another world.
    pub fn set_link(&mut self, one: HostId, other: HostId, link: &Link) {
        self.set_route(one, other, link.clone());
        self.set_route(other, one, link.clone());
    }

    /// Sets the link from one host to another, this way only.
    ///
    /// # Panics
    /// If one of them is of another world.
    pub fn set_route(&mut self, from: HostId, to: HostId, link: Link) {
        self.known(from);
        self.known(to);
        self.shared.lock().set_link(from, to, link);
    }

    /// The link from one host to another.
    ///
    /// # Panics
    /// If one of them is of another world.
    #[must_use]
    pub fn route(&self, from: HostId, to: HostId) -> Link {
        self.known(from);
        self.known(to);
        self.shared.lock().link(from, to).clone()
    }

    pub(super) fn known(&self, host: HostId) {
        assert!(host.index() < self.seats.len(), "a host of another world");
    }
}
