//! What a world is made from.

use crate::sim::topology::Link;
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
