//! The queue of events, and what is done as they are taken.

use std::collections::VecDeque;

use super::Engine;
use crate::event::{Event, GramEvent};
use crate::id::{EndpointId, Id};

/// Events in the order they happened. Holds no memory beyond a small queue once emptied.
#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: VecDeque<Event>,
}

/// A queue no larger than this is kept when it has run empty.
const KEEP: usize = 1024;

impl Events {
    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    /// Adds it unless the very same event already is the last one, so that a trouble that goes on is told once.
    pub(crate) fn push_once(&mut self, event: Event) {
        if self.queue.back() != Some(&event) {
            self.queue.push_back(event);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.fit();
        Some(event)
    }

    #[inline]
    fn fit(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > KEEP {
            self.queue = VecDeque::new();
        }
    }

    /// The next one, where that says that a connection has received something, as most do.
    #[inline]
    pub(crate) fn next_received(&self) -> Option<Id> {
        match self.queue.front() {
            Some(Event::Received(id)) => Some(*id),
            _ => None,
        }
    }

    /// Drops that one, which holds nothing, without a look at it.
    #[inline]
    pub(crate) fn drop_received(&mut self) {
        debug_assert!(self.next_received().is_some(), "something else would be lost");
        let _ = core::mem::ManuallyDrop::new(self.queue.pop_front());
        self.fit();
    }

    /// Those that have come in and were not told.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = Id> {
        self.queue.iter().filter_map(|event| match event {
            Event::Accepted(id) => Some(*id),
            _ => None,
        })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl Engine {
    /// Takes the next event, and does what its being taken means; `gram` is told of those of endpoints.
    #[inline]
    pub(crate) fn poll_event(
        &mut self,
        gram: impl FnOnce(EndpointId, &GramEvent),
    ) -> Option<Event> {
        if self.core.events.is_empty() {
            None
        } else {
            self.poll_received().or_else(|| self.poll_other(gram))
        }
    }

    /// The same, where it says that a connection has received something.
    #[inline]
    fn poll_received(&mut self) -> Option<Event> {
        let id = self.core.events.next_received()?;
        if let Some(remoter) = self.slots.get_mut(id) {
            remoter.state.received = false;
        }
        self.core.events.drop_received();
        Some(Event::Received(id))
    }

    #[inline(never)]
    fn poll_other(&mut self, gram: impl FnOnce(EndpointId, &GramEvent)) -> Option<Event> {
        let event = self.core.events.pop()?;
        match event {
            Event::Gram(id, ref event) => gram(id, event),
            Event::Eof(id) => {
                if let Some(remoter) = self.get_mut(id) {
                    remoter.state.eof_told = true;
                }
            }
            Event::Drained(id) => {
                if let Some(remoter) = self.get_mut(id) {
                    remoter.state.drained_owed = false;
                }
            }
            Event::Closed(id, _) => self.closed_taken(id),
            Event::Disconnected { id, .. } => self.disconnected_taken(id),
            _ => {}
        }
        Some(event)
    }
}
