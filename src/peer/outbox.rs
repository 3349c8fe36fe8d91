//! Events on their way to whoever takes them.

use std::collections::VecDeque;

use super::GramEvent;

/// Bounded, but for the events that somebody may wait for: of these, one of each kind always gets in.
#[derive(Default)]
pub(super) struct Outbox {
    /// Told, and not handed on yet.
    queue: VecDeque<GramEvent>,
    /// Told, and not taken yet, wherever they are.
    waiting: usize,
    awaited: Awaited,
}

/// Which of the events that somebody may wait for are among those that were not taken.
#[derive(Copy, Clone, Debug, Default)]
struct Awaited {
    received: bool,
    drained: bool,
    paused: bool,
    lost: bool,
}

impl Awaited {
    /// Whether one of this event's kind is; `None` for those that may be left out.
    #[inline]
    fn kind_of(&mut self, event: &GramEvent) -> Option<&mut bool> {
        match event {
            GramEvent::Received => Some(&mut self.received),
            GramEvent::Drained => Some(&mut self.drained),
            GramEvent::Paused { .. } => Some(&mut self.paused),
            GramEvent::Lost { .. } => Some(&mut self.lost),
            _ => None,
        }
    }
}

impl Outbox {
    /// Tells it, unless `most` wait already. Returns false where it gets lost.
    #[inline]
    pub(super) fn push(&mut self, event: GramEvent, most: usize) -> bool {
        if let Some(told) = self.awaited.kind_of(&event) {
            if core::mem::replace(told, true) {
                return true; // One of them waits already, and says all there is to say.
            }
        } else if self.waiting >= most {
            return false;
        }
        self.waiting += 1;
        self.queue.push_back(event);
        true
    }

    /// The last one that was told and not handed on.
    pub(super) fn last(&self) -> Option<&GramEvent> {
        self.queue.back()
    }

    /// Hands all on; each still waits until [`taken`](Outbox::taken).
    pub(super) fn hand_on(&mut self) -> impl Iterator<Item = GramEvent> {
        self.queue.drain(..)
    }

    /// Gives the oldest to whoever takes it.
    #[inline]
    pub(super) fn take(&mut self) -> Option<GramEvent> {
        let event = self.queue.pop_front()?;
        self.taken(&event);
        Some(event)
    }

    /// One that was handed on was taken.
    #[inline]
    pub(super) fn taken(&mut self, event: &GramEvent) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(told) = self.awaited.kind_of(event) {
            *told = false;
        }
    }

    /// Nothing that was received is left: `Received` is taken back where it was not handed on yet, so that it keeps nobody awake who only takes datagrams.
    #[inline]
    pub(super) fn retract_received(&mut self) {
        if self.awaited.received {
            self.retract();
        }
    }

    fn retract(&mut self) {
        let before = self.queue.len();
        self.queue.retain(|event| *event != GramEvent::Received);
        if self.queue.len() < before {
            self.taken(&GramEvent::Received);
        }
    }

    /// How many were not taken.
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_costs_what_the_limit_of_them_says() {
        assert!(size_of::<GramEvent>() <= 48, "{}", size_of::<GramEvent>());
    }
}
