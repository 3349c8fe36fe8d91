//! What all connections of an engine have in common: the sum of what they hold.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A request, but no upload.
const IN_NEED: usize = 4096;

/// Unread and unsent bytes of all, and their limit.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) buffered: AtomicUsize,
    pub(crate) buffered_limit: AtomicUsize,
}

impl Shared {
    pub(crate) fn room(&self) -> usize {
        let limit = self.buffered_limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.buffered.load(Ordering::Relaxed))
    }

    /// Room for bytes that come in: an eighth of all is kept for those that go out. Else unread bytes could fill everything, and who must
    /// send before it takes more would wait for ever.
    pub(crate) fn room_to_read(&self) -> usize {
        let limit = Self::readable(self.buffered_limit.load(Ordering::Relaxed));
        limit.saturating_sub(self.buffered.load(Ordering::Relaxed))
    }

    /// Room for a few bytes of one who holds none, where there is none for the others: half of what is kept for those that go out. Else some who take nothing
    /// would silence everybody.
    pub(crate) fn room_in_need(&self) -> usize {
        let limit = self.buffered_limit.load(Ordering::Relaxed);
        let room = (limit - limit / 16).saturating_sub(self.buffered.load(Ordering::Relaxed));
        if limit < 16 { 0 } else { room.min(IN_NEED) }
    }

    /// How much of a limit unread bytes may fill; of a limit of 1 all, or nothing would ever come in.
    pub(crate) fn readable(limit: usize) -> usize {
        if limit < 2 { limit } else { limit - (limit / 8).max(1) }
    }

    // Load and store instead of a locked instruction: whoever has a connection in hand has its engine borrowed, so there is only
    // one at a time.

    pub(crate) fn add(&self, bytes: usize) {
        let buffered = self.buffered.load(Ordering::Relaxed);
        self.buffered.store(buffered.wrapping_add(bytes), Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, bytes: usize) {
        let buffered = self.buffered.load(Ordering::Relaxed);
        self.buffered.store(buffered.wrapping_sub(bytes), Ordering::Relaxed);
    }
}
