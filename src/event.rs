//! What the engine tells its caller.

use crate::tyme::Tyme;

/// When something wants to be called again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once: there is work left over.
    Now,
    /// At this tyme of its own clock, or sooner if the network has something for it.
    At(Tyme),
    /// Only when the network has something for it.
    OnIo,
}
