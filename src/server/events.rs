//! What a server tells.

use super::Server;
use crate::event::Event;

/// # Events
impl Server {
    /// Takes the next event of those that have not been taken, oldest first.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.engine.core.events.is_empty() {
            None
        } else {
            self.engine.poll_received().or_else(|| self.poll_other())
        }
    }

    #[inline(never)]
    fn poll_other(&mut self) -> Option<Event> {
        let event = self.engine.poll_event()?;
        if let Event::Gram(id, event) = &event {
            self.endpoints.taken(*id, event);
        }
        Some(event)
    }

    /// Takes all events and drops them, for programs that look at [`remoters`](Server::remoters) instead.
    pub fn clear_events(&mut self) {
        while self.poll_event().is_some() {}
    }
}
