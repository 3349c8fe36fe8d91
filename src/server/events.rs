//! What a server tells.

use super::Server;
use crate::event::Event;

/// # Events
impl Server {
    /// Takes the next event of those that have not been taken, oldest first.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event(|id, event| self.endpoints.taken(id, event))
    }

    /// Takes all events and drops them, for programs that look at [`remoters`](Server::remoters) instead.
    pub fn clear_events(&mut self) {
        while self.poll_event().is_some() {}
    }
}
