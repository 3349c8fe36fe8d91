//! What is still to happen, in the order in which it will.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::tyme::Tyme;

use super::Key;

/// What happens.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The packet at this place of the packet slab arrives.
    Arrive(u32),
    /// A TCP end tries again what did not get through. Stale if its stamp is another.
    Retry(Key, u32),
    /// A TCP end acknowledges what it has not acknowledged by then.
    DelayedAck(Key),
    /// A TCP end looks whether its peer is still there. At most one an end; after a close it stays until it is due, and does nothing.
    KeepAlive(Key),
    /// The host gets a turn. Stale if its stamp is another.
    Turn(u32, u32),
    /// The host's own deadline may have come.
    Alarm(u32),
    /// The host gets an extra turn. Stale if the host has gone down since.
    Nudge(u32, u32),
    /// A planned act.
    Act(u32),
}

/// Ordered by tyme, then by sequence, of which no two have the same; so the order of events never counts.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Tyme,
    sequence: u64,
    event: Event,
}

/// A queue ordered by (tyme, sequence of putting in), the only order there is in a world. O(log n) in and out.
#[derive(Default)]
pub(super) struct Queue {
    /// Reversed, since a heap gives the greatest first.
    heap: BinaryHeap<Reverse<Due>>,
    sequence: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Tyme, event: Event) {
        if at == Tyme::NEVER {
            return;
        }
        self.sequence += 1;
        self.heap.push(Reverse(Due { at, sequence: self.sequence, event }));
    }

    pub(super) fn next(&self) -> Option<Tyme> {
        self.heap.peek().map(|Reverse(due)| due.at)
    }

    pub(super) fn pop(&mut self, limit: Tyme) -> Option<(Tyme, Event)> {
        if self.heap.peek()?.0.at > limit {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| (due.at, due.event))
    }
}
