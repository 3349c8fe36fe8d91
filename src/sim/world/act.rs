//! What may befall a world.

use core::time::Duration;

use crate::sim::topology::{Cut, HostId, Link};

/// Something that befalls a world, [now](super::World::act) or at a [planned](super::World::plan) tyme.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Act {
    /// Cuts ways between hosts; adds to what is cut already. TCP tries again until healed, or for 15 minutes; datagrams are lost.
    Partition(Cut),
    /// Undoes all partitions.
    Heal,
    /// Packets from one host to the other pile up where they would arrive.
    Clog {
        /// Whose packets.
        from: HostId,
        /// Where they pile up.
        to: HostId,
    },
    /// What has piled up arrives, in order.
    Unclog {
        /// Whose packets.
        from: HostId,
        /// Where they piled up.
        to: HostId,
    },
    /// The host is gone, with all its connections and without a word; its program is dropped.
    Crash(HostId),
    /// The host is back, and its program is made anew.
    Restart(HostId),
    /// The host gets no turn for so long, as when the machine is busy elsewhere; its network goes on.
    Pause(HostId, Duration),
    /// The listeners of the host on this port stop listening under their holders: what waits is reset, `accept` says `EINVAL`.
    LoseListener(HostId, u16),
    /// Changes the link from one host to another, this way only, for packets sent from now on.
    Relink {
        /// From here.
        from: HostId,
        /// To there.
        to: HostId,
        /// What it is like from now on.
        link: Link,
    },
}

impl Act {
    /// The hosts that it names.
    pub(super) fn hosts(&self) -> Vec<HostId> {
        match self {
            Act::Partition(cut) => cut.hosts(),
            Act::Heal => Vec::new(),
            Act::Clog { from, to } | Act::Unclog { from, to } | Act::Relink { from, to, .. } => {
                vec![*from, *to]
            }
            Act::Crash(host)
            | Act::Restart(host)
            | Act::Pause(host, _)
            | Act::LoseListener(host, _) => vec![*host],
        }
    }
}
