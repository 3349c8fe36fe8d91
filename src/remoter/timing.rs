//! The timeouts of one connection.

use super::Remoter;
use crate::config::Timeouts;

/// # Its own timeouts
impl Remoter {
    /// Its own timeouts, where [`set_timeouts`](Remoter::set_timeouts) gave it some.
    #[must_use]
    pub fn timeouts(&self) -> Option<&Timeouts> {
        self.timeouts.as_deref()
    }

    /// Gives it timeouts of its own instead of the engine's. Those that run now are started anew, `lifetime` from
    /// the start of the connection on, the others from the next tick on. Costs 150 bytes.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.timeouts = Some(Box::new(timeouts));
        self.state.timeouts_changed = true;
    }

    /// Whether traffic refreshes its idle timeout; see [`Config::refreshable`](crate::Config::refreshable).
    pub fn set_refreshable(&mut self, refreshable: bool) {
        self.state.refreshable = refreshable;
    }
}
