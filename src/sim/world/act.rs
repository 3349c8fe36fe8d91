//! What may befall a world, and whether all of it has.

use core::fmt;
use core::time::Duration;

use super::World;
use crate::sim::fault::{Faults, Rule};
use crate::sim::topology::{Cut, HostId, Link};
use crate::tyme::Tyme;

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
    /// A pause ends before its time.
    Resume(HostId),
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
            | Act::Resume(host)
            | Act::LoseListener(host, _) => vec![*host],
        }
    }
}

/// # What befalls it
impl World {
    /// The rules by which calls fail. They apply to all hosts; each [`Rule`] says where.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Adds a rule.
    pub fn rule(&mut self, rule: Rule) {
        self.faults.add(rule);
    }

    /// Plans an act for this tyme; if that has passed, for the next step.
    ///
    /// # Panics
    /// If it names a host of another world.
    pub fn plan(&mut self, at: Tyme, act: Act) {
        act.hosts().into_iter().for_each(|host| self.known(host));
        self.shared.lock().plan(at, act);
    }

    /// Does an act now. One that finds nothing to act on (a crash of a host that is down, a partition that severs no way) counts as unfired.
    ///
    /// # Panics
    /// If it names a host of another world.
    pub fn act(&mut self, act: &Act) {
        act.hosts().into_iter().for_each(|host| self.known(host));
        let step = self.shared.lock().perform(act);
        self.follow(step);
    }

    /// Whether all that was planned has come to pass: every rule fired, every act found something to act on.
    ///
    /// # Errors
    /// The names of those that did not. A test that passes without its faults has tested nothing.
    pub fn all_fired(&self) -> Result<(), Unfired> {
        let rules = self.faults.unfired();
        let acts = self.shared.lock().unfired_acts();
        if rules.is_empty() && acts.is_empty() {
            return Ok(());
        }
        Err(Unfired { rules, acts })
    }
}

/// Faults that were planned and never happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfired {
    /// Names of rules.
    pub rules: Vec<String>,
    /// Acts, in words.
    pub acts: Vec<String>,
}

impl fmt::Display for Unfired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("planned faults that never happened:")?;
        for rule in &self.rules {
            write!(f, "\n  rule {rule:?}")?;
        }
        for act in &self.acts {
            write!(f, "\n  {act}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unfired {}
