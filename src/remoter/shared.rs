//! What all connections of an engine have in common: the sum of what they hold.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A request, but no upload.
const IN_NEED: usize = 4096;

/// For whose bytes that come in there is room.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    All,
    /// Those who hold none.
    InNeed,
    Nobody,
}

/// Unread and unsent bytes of all, and their limit.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) buffered: AtomicUsize,
    pub(crate) buffered_limit: AtomicUsize,
}

impl Shared {
    #[inline]
    pub(crate) fn room(&self) -> usize {
        let limit = self.buffered_limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.buffered.load(Ordering::Relaxed))
    }

    /// Room for bytes that come in: an eighth of all is kept for those that go out. Else unread bytes could fill everything, and who must
    /// send before it takes more would wait for ever.
    #[inline]
    pub(crate) fn room_to_read(&self) -> usize {
        let limit = Self::readable(self.buffered_limit.load(Ordering::Relaxed));
        limit.saturating_sub(self.buffered.load(Ordering::Relaxed))
    }

    /// Room for a few bytes of one who holds none, where there is none for the others: half of what is kept for those that go out. Else some who take nothing
    /// would silence everybody.
    pub(crate) fn room_in_need(&self) -> usize {
        let limit = Self::readable_in_need(self.buffered_limit.load(Ordering::Relaxed));
        limit.saturating_sub(self.buffered.load(Ordering::Relaxed)).min(IN_NEED)
    }

    #[inline]
    fn readable_in_need(limit: usize) -> usize {
        if limit < 16 { 0 } else { limit - limit / 16 }
    }

    /// For whom there is room below `limit` where so much is `buffered`.
    #[inline]
    pub(crate) fn room_below(limit: usize, buffered: usize) -> Room {
        if buffered < Self::readable(limit) {
            Room::All
        } else if buffered < Self::readable_in_need(limit) {
            Room::InNeed
        } else {
            Room::Nobody
        }
    }

    #[inline]
    pub(crate) fn room_now(&self) -> Room {
        let limit = self.buffered_limit.load(Ordering::Relaxed);
        Self::room_below(limit, self.buffered.load(Ordering::Relaxed))
    }

    /// How much of a limit unread bytes may fill; of a limit of 1 all, or nothing would ever come in.
    #[inline]
    fn readable(limit: usize) -> usize {
        if limit < 2 { limit } else { limit - (limit / 8).max(1) }
    }

    // Load and store instead of a locked instruction: whoever has a connection in hand has its engine borrowed, so there is only
    // one at a time.

    #[inline]
    pub(crate) fn add(&self, bytes: usize) {
        let buffered = self.buffered.load(Ordering::Relaxed);
        self.buffered.store(buffered.wrapping_add(bytes), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn sub(&self, bytes: usize) {
        let buffered = self.buffered.load(Ordering::Relaxed);
        self.buffered.store(buffered.wrapping_sub(bytes), Ordering::Relaxed);
    }
}
