//! What became of a world.

use super::World;
use crate::sim::Stats;
use crate::sim::topology::HostId;
use crate::sim::trace::Trace;

/// # What became of it
impl World {
    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats
    }

    /// Whether the host is up.
    ///
    /// # Panics
    /// If `host` is of another world.
    #[must_use]
    pub fn is_up(&self, host: HostId) -> bool {
        self.known(host);
        self.shared.lock().host(host).up
    }

    /// Sockets that the host's programs hold.
    ///
    /// # Panics
    /// If `host` is of another world.
    #[must_use]
    pub fn sockets(&self, host: HostId) -> usize {
        self.known(host);
        self.shared.lock().host(host).sockets
    }

    /// Connections of the host that nobody holds any more and that have not finished closing; waiting pairs of ends (`TIME_WAIT`) aside.
    #[must_use]
    pub fn lingering(&self, host: HostId) -> usize {
        self.shared.lock().lingering(host)
    }

    /// The hash of all that has happened: equal for equal runs. 0 with [`Tracing::Off`](crate::sim::Tracing::Off).
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.shared.lock().recorder.hash()
    }

    /// How many records there have been, kept or not.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.shared.lock().recorder.count()
    }

    /// What has happened so far; with [`Tracing::Full`](crate::sim::Tracing::Full) all of it, with [`Tracing::Last`](crate::sim::Tracing::Last) its end. A
    /// copy.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let core = self.shared.lock();
        core.recorder.trace(core.seed)
    }
}
