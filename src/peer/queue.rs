//! Datagrams in line, with their bytes counted.

use std::collections::VecDeque;

use bytes::Bytes;

use super::RxGram;
use crate::net::Addr;
use crate::tyme::Tyme;

/// A datagram to send.
#[derive(Debug)]
pub(super) struct TxGram {
    pub(super) data: Bytes,
    pub(super) to: Addr,
    /// Since when the network has taken none, as far as it would be this one's turn; `NEVER` while it does, so that what was never tried is never too old.
    pub(super) held_since: Tyme,
    #[cfg(all(unix, feature = "uds"))]
    pub(super) files: Vec<std::os::fd::OwnedFd>,
}

impl TxGram {
    #[cfg(all(unix, feature = "uds"))]
    #[inline]
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    #[cfg(not(all(unix, feature = "uds")))]
    #[inline]
    pub(super) fn has_files(&self) -> bool {
        false
    }
}

pub(super) trait Item {
    fn bytes(&self) -> usize;
}

impl Item for RxGram {
    #[inline]
    fn bytes(&self) -> usize {
        self.data.len()
    }
}

impl Item for TxGram {
    #[inline]
    fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// `bytes` is the sum of the items' bytes.
#[derive(Debug)]
pub(super) struct Queue<T> {
    items: VecDeque<T>,
    bytes: usize,
}

impl<T: Item> Queue<T> {
    pub(super) fn new() -> Self {
        Queue { items: VecDeque::new(), bytes: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether `len` more bytes fit under these limits. Into an empty queue everything does.
    #[inline]
    pub(super) fn fits(&self, len: usize, grams: usize, bytes: usize) -> bool {
        self.items.is_empty()
            || (self.items.len() < grams && self.bytes.saturating_add(len) <= bytes)
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }

    #[inline]
    pub(super) fn remove(&mut self, at: usize) -> Option<T> {
        if at == 0 {
            return self.pop();
        }
        let item = self.items.remove(at)?;
        self.bytes -= item.bytes();
        Some(item)
    }

    /// The last in line.
    #[cfg(all(unix, feature = "uds"))]
    #[inline]
    pub(super) fn newest(&mut self) -> Option<&mut T> {
        self.items.back_mut()
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.items.get(at)
    }

    #[inline]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.items.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.items.iter_mut()
    }

    /// Forgets all; returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        self.bytes = 0;
        core::mem::take(&mut self.items).len()
    }
}
