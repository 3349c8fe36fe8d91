//! Buffers that have been used, for those who need one next.
//!
//! A busy connection takes a buffer for what it received and gives it back when that was sent, thousands of times a second. Handing them round
//! spares the allocator, which would otherwise return memory to the system and fetch it again at each turn.

use bytes::{Bytes, BytesMut};

/// What is smaller is left to the allocator, which is quick with it.
const SMALLEST: usize = 2 << 10;
/// Sizes kept: powers of two from 2 KiB to 128 KiB.
const SHELVES: usize = 7;
/// Largest size kept.
const LARGEST: usize = SMALLEST << (SHELVES - 1);
/// Bytes kept of each size, or `SHELF_LEAST` buffers where those are more.
const SHELF_BYTES: usize = 256 << 10;
const SHELF_LEAST: usize = 4;

/// At most 2 MiB of used buffers, an engine's.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shelves: [Vec<BytesMut>; SHELVES],
}

/// The shelf for buffers of exactly this size, if there is one.
fn shelf(size: usize) -> Option<usize> {
    let shelf = (size / SMALLEST).checked_ilog2()? as usize;
    (size.is_power_of_two() && shelf < SHELVES).then_some(shelf)
}

impl Pool {
    /// A buffer with a copy of `data`.
    #[inline]
    pub(crate) fn copy(&mut self, data: &[u8]) -> BytesMut {
        if !(SMALLEST..=LARGEST).contains(&data.len()) {
            return BytesMut::from(data);
        }
        let size = data.len().next_power_of_two();
        let mut buf = self.take(size).unwrap_or_else(|| BytesMut::with_capacity(size));
        buf.clear();
        buf.extend_from_slice(data);
        buf
    }

    /// A buffer of `size` bytes whose content is of no meaning.
    pub(crate) fn scratch(&mut self, size: usize) -> BytesMut {
        self.spare(size).unwrap_or_else(|| BytesMut::zeroed(size))
    }

    /// The same, if there is one to be used again.
    pub(crate) fn spare(&mut self, size: usize) -> Option<BytesMut> {
        let mut buf = self.take(size)?;
        buf.resize(size, 0);
        Some(buf)
    }

    fn take(&mut self, size: usize) -> Option<BytesMut> {
        self.shelves[shelf(size)?].pop()
    }

    /// Takes back what is of use: nobody else has a part of it, and its size is one of ours.
    #[inline]
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        if bytes.len() > SMALLEST / 2
            && let Ok(buf) = bytes.try_into_mut()
        {
            self.put_back_mut(buf);
        }
    }

    pub(crate) fn put_back_mut(&mut self, buf: BytesMut) {
        let Some(shelf) = shelf(buf.capacity()) else { return };
        let shelf = &mut self.shelves[shelf];
        if shelf.len() < SHELF_LEAST.max(SHELF_BYTES / buf.capacity()) {
            shelf.push(buf);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_is_used_again() {
        let mut pool = Pool::default();
        let buf = pool.copy(&[1; 3000]);
        assert_eq!(&buf[..], &[1; 3000]);
        let at = buf.as_ptr();
        pool.put_back(buf.freeze());
        assert_eq!(pool.shelves.iter().flatten().count(), 1);
        let again = pool.copy(&[2; 4000]);
        assert_eq!(pool.shelves.iter().flatten().count(), 0);
        assert_eq!(again.as_ptr(), at);
        assert_eq!(&again[..], &[2; 4000]);
        assert_ne!(pool.copy(&[3; 4000]).as_ptr(), at);
    }

    #[test]
    fn what_somebody_still_has_does_not_come_back() {
        let mut pool = Pool::default();
        let bytes = pool.copy(&[1; 3000]).freeze();
        let kept = bytes.clone();
        pool.put_back(bytes);
        pool.copy(&[2; 3000]);
        assert_eq!(kept, [1; 3000][..]);
        assert_eq!(pool.shelves.iter().flatten().count(), 0);
    }

    #[test]
    fn it_keeps_no_more_than_its_shelves_hold() {
        let mut pool = Pool::default();
        for size in [100, 2 << 10, 3000, 4 << 10, 64 << 10, 128 << 10, 256 << 10] {
            let all: Vec<_> = (0..1000).map(|_| pool.copy(&vec![0; size])).collect();
            for buf in all {
                pool.put_back(buf.freeze());
            }
        }
        let kept = pool.shelves.each_ref().map(Vec::len);
        // 3000 bytes are in a buffer of 4 KiB; the smallest and the largest are the allocator's.
        assert_eq!(kept, [128, 64, 0, 0, 0, 4, 4], "256 KiB of each, or four");
    }

    #[test]
    fn what_is_smaller_or_larger_than_its_shelves_is_left_to_the_allocator() {
        for (size, kept) in
            [(SMALLEST - 1, 0), (SMALLEST, 1), (LARGEST, 1), (LARGEST + 1, 0), (2 * LARGEST, 0)]
        {
            let mut pool = Pool::default();
            let buf = pool.copy(&vec![0; size]);
            pool.put_back(buf.freeze());
            assert_eq!(pool.shelves.iter().flatten().count(), kept, "{size} bytes");
        }
    }

    #[test]
    fn what_little_is_left_of_a_buffer_is_not_looked_at() {
        for (rest, kept) in [(SMALLEST / 2, 0), (SMALLEST / 2 + 1, 1)] {
            let mut pool = Pool::default();
            let mut buf = pool.copy(&[1; 2 * SMALLEST]);
            buf.truncate(rest);
            pool.put_back(buf.freeze());
            assert_eq!(pool.shelves.iter().flatten().count(), kept, "{rest} bytes");
        }
    }

    #[test]
    fn a_scratch_has_its_full_length_whatever_was_in_it() {
        let mut pool = Pool::default();
        let mut buf = pool.scratch(64 << 10);
        buf.truncate(50_000);
        let at = buf.as_ptr();
        pool.put_back(buf.freeze());
        let spare = pool.spare(64 << 10).unwrap();
        assert_eq!((spare.as_ptr(), spare.len()), (at, 64 << 10));
        assert!(pool.spare(64 << 10).is_none(), "there was one");
        pool.put_back(spare.freeze());
        assert_eq!(pool.scratch(64 << 10).len(), 64 << 10);
        assert_eq!(pool.scratch(1000).len(), 1000);
    }
}
