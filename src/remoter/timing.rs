//! The timeouts of one connection.

use super::Remoter;
use crate::config::Timeouts;

/// # Its own timeouts
impl Remoter {
    /// Its own timeouts, where [`set_timeouts`](Remoter::set_timeouts) gave it some.
    #[must_use]
    pub fn timeouts(&self) -> Option<&Timeouts> {
        self.apart.as_ref()?.timeouts.as_ref()
    }

    /// Gives it timeouts of its own instead of the engine's. Those that apply to what it does now (`connect` while it is tried, `handshake` while it shakes
    /// hands) run anew, also where there was none before: `lifetime` from the start of the connection on, the others from the next tick on, whatever has
    /// passed of the old ones. Costs 170 bytes.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        let apart = self.apart.get_or_insert_default();
        (apart.timeouts, apart.new_timeouts) = (Some(timeouts), true);
        self.state.changed = true;
    }

    /// Whether the engine has not taken note of its timeouts yet.
    pub(crate) fn has_new_timeouts(&self) -> bool {
        self.apart.as_ref().is_some_and(|apart| apart.new_timeouts)
    }

    /// The engine takes note of them.
    pub(crate) fn take_timeouts(&mut self) {
        if let Some(apart) = &mut self.apart {
            apart.new_timeouts = false;
            self.state.changed = apart.counted_as.is_some();
        }
    }

    /// Whether traffic refreshes its idle timeout; see [`Config::refreshable`](crate::Config::refreshable).
    pub fn set_refreshable(&mut self, refreshable: bool) {
        self.state.refreshable = refreshable;
    }
}
