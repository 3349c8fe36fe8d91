//! What a server has, and what it has done, in numbers.

use super::Server;
use crate::counters::Counters;

/// # Numbers
impl Server {
    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.engine.core.counters
    }

    /// Number of live connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.engine.live()
    }

    /// Whether there is no live connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of connections that are still shaking hands (`cxes`).
    #[must_use]
    pub fn cxes(&self) -> usize {
        self.engine.handshaking()
    }

    /// Number of connections that were accepted and wait to be admitted (`axes`), all acceptors together.
    #[must_use]
    pub fn axes(&self) -> usize {
        self.acceptors.iter().map(|acceptor| acceptor.axes.len()).sum()
    }

    /// Number of dialled connections that are still to be made, or to be made again.
    #[must_use]
    pub fn dialling(&self) -> usize {
        self.engine.dialling()
    }

    /// Unread and unsent bytes of all connections.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.engine.buffered()
    }

    /// Deadlines in the wheel: at most one per connection.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.engine.core.wheel.len()
    }
}
