//! What a world is made from, and what it tells.

use core::fmt;

use crate::sim::topology::{HostId, Link};
use crate::sim::trace::Tracing;
use crate::tyme::Tyme;

/// What a world is to be like.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorldSpec {
    /// Where all that is random comes from.
    pub seed: u64,
    /// How much is written down. Default [`Tracing::Hash`].
    pub tracing: Tracing,
    /// The link between hosts that have none of their own. Default: 1 ms and perfect.
    pub link: Link,
    /// Where the clock starts. Default 0.
    pub start: Tyme,
}

impl WorldSpec {
    /// The defaults with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        WorldSpec { seed, tracing: Tracing::default(), link: Link::default(), start: Tyme::ZERO }
    }
}

/// What a [step](super::World::step) did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A packet arrived, or was lost on arrival.
    Packet,
    /// A timer of the network fired: a retransmission, a delayed acknowledgement, a keep-alive.
    Timer,
    /// A planned act came to pass.
    Act,
    /// A host has a turn: its program had it, or the caller is to give it.
    Turn(HostId),
    /// The host went down; its program is dropped.
    Crashed(HostId),
    /// The host came up again; its program has been made anew.
    Restarted(HostId),
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
