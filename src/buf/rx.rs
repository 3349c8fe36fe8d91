//! Bytes that came in and were not taken yet.

use core::mem;

use bytes::{Buf, Bytes, BytesMut};

use super::Pool;

/// One contiguous run of unread bytes, so that a parser sees them as a slice.
///
/// Holds memory only while there is something unread, and of a large buffer that has been read down to less than a quarter only
/// what is left.
#[derive(Debug, Default)]
pub(crate) struct RxQueue {
    bytes: BytesMut,
    /// What the buffer held when it was new.
    whole: u32,
}

/// A buffer up to this size is kept to its end, however little is left in it.
const SMALL: usize = 4096;

impl RxQueue {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn push(&mut self, data: &[u8], pool: &mut Pool) {
        if self.bytes.is_empty() {
            self.adopt(pool.copy(data));
        } else {
            self.bytes.extend_from_slice(data);
            self.note_whole();
        }
    }

    /// Takes in the first `count` bytes of `scratch`: a copy; or the buffer itself, where nothing is unread, it is at least half filled, and the pool has
    /// another one to go on with.
    #[inline]
    pub(crate) fn take_in(&mut self, scratch: &mut BytesMut, count: usize, pool: &mut Pool) {
        let size = scratch.len();
        let worth_keeping = self.is_empty() && count >= size / 2;
        match worth_keeping.then(|| pool.spare(size)).flatten() {
            Some(spare) => {
                let mut filled = mem::replace(scratch, spare);
                filled.truncate(count);
                self.adopt(filled);
            }
            None => self.push(&scratch[..count], pool),
        }
    }

    /// Takes a filled buffer as it is; there must be nothing unread.
    #[inline]
    fn adopt(&mut self, buf: BytesMut) {
        debug_assert!(self.is_empty(), "unread bytes would be lost");
        self.bytes = buf;
        self.note_whole();
    }

    #[inline]
    fn note_whole(&mut self) {
        self.whole = u32::try_from(self.bytes.capacity()).unwrap_or(u32::MAX);
    }

    /// Puts `data` before what is there.
    pub(crate) fn push_front(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let mut front = BytesMut::from(data);
        front.extend_from_slice(&self.bytes);
        self.bytes = front;
        self.note_whole();
    }

    /// Drops the first `count` bytes, or all if there are fewer; returns how many.
    pub(crate) fn consume(&mut self, count: usize) -> usize {
        let count = count.min(self.bytes.len());
        if count == self.bytes.len() {
            self.bytes = BytesMut::new();
        } else {
            self.bytes.advance(count);
            self.fit();
        }
        count
    }

    /// Moves a small rest out of a large buffer.
    fn fit(&mut self) {
        let whole = self.whole as usize;
        if whole > SMALL && self.bytes.len() < whole / 4 {
            self.bytes = BytesMut::from(&self.bytes[..]);
            self.note_whole();
        }
    }

    /// Takes all, without copying.
    #[inline]
    pub(crate) fn take(&mut self) -> Bytes {
        mem::take(&mut self.bytes).freeze()
    }

    /// Takes the last `count` bytes, or all if there are fewer, without copying.
    pub(crate) fn take_last(&mut self, count: usize) -> BytesMut {
        if count >= self.bytes.len() {
            return mem::take(&mut self.bytes);
        }
        self.bytes.split_off(self.bytes.len() - count)
    }

    /// Puts `data` behind what is there; without a copy where it was taken from there.
    pub(crate) fn push_back(&mut self, data: BytesMut) {
        if self.bytes.is_empty() {
            self.bytes = data;
        } else {
            self.bytes.unsplit(data);
        }
        self.note_whole();
    }

    /// Takes the first `count` bytes, or all if there are fewer, without copying.
    pub(crate) fn take_first(&mut self, count: usize) -> Bytes {
        if count >= self.bytes.len() {
            return self.take();
        }
        let first = self.bytes.split_to(count).freeze();
        self.fit();
        first
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<u8>),
        PushFront(Vec<u8>),
        Consume(usize),
        TakeFirst(usize),
        Take,
        /// Takes so many of the last and puts as many others there.
        Change(usize, Vec<u8>),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Op::Push),
            1 => prop::collection::vec(any::<u8>(), 0..50).prop_map(Op::PushFront),
            3 => (0..300usize).prop_map(Op::Consume),
            2 => (0..300usize).prop_map(Op::TakeFirst),
            1 => Just(Op::Take),
            2 => (0..300usize, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(a, b)| Op::Change(a, b)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_deque_and_holds_nothing_when_empty(ops in prop::collection::vec(op(), 0..60)) {
            let mut rx = RxQueue::default();
            let mut pool = Pool::default();
            let mut model: VecDeque<u8> = VecDeque::new();
            for op in ops {
                match op {
                    Op::Push(data) => {
                        rx.push(&data, &mut pool);
                        model.extend(&data);
                    }
                    Op::PushFront(data) => {
                        for &byte in data.iter().rev() {
                            model.push_front(byte);
                        }
                        rx.push_front(data.into());
                    }
                    Op::Consume(count) => {
                        let want = count.min(model.len());
                        model.drain(..want);
                        prop_assert_eq!(rx.consume(count), want);
                    }
                    Op::TakeFirst(count) => {
                        let want: Vec<u8> = model.drain(..count.min(model.len())).collect();
                        prop_assert_eq!(&rx.take_first(count)[..], &want[..]);
                    }
                    Op::Change(count, data) => {
                        let kept = model.len() - count.min(model.len());
                        let want: Vec<u8> = model.drain(kept..).collect();
                        let mut last = rx.take_last(count);
                        prop_assert_eq!(&last[..], &want[..]);
                        if data.len() % 2 == 1 {
                            last = BytesMut::from(&data[..]);
                        }
                        model.extend(&last);
                        rx.push_back(last);
                    }
                    Op::Take => {
                        let want: Vec<u8> = model.drain(..).collect();
                        prop_assert_eq!(&rx.take()[..], &want[..]);
                    }
                }
                prop_assert_eq!(rx.len(), model.len());
                prop_assert_eq!(rx.as_slice(), &model.make_contiguous()[..]);
                if rx.is_empty() {
                    prop_assert_eq!(rx.bytes.capacity(), 0);
                }
            }
        }
    }

    #[test]
    fn capacity_stays_within_twice_the_most_it_held() {
        let mut rx = RxQueue::default();
        let mut pool = Pool::default();
        for _ in 0..10_000 {
            rx.push(&[7; 1000], &mut pool);
            if rx.len() > 50_000 {
                rx.consume(49_999);
            }
            assert!(rx.bytes.capacity() <= 2 * 51_000, "{}", rx.bytes.capacity());
        }
    }

    /// However it came to be so large.
    #[test]
    fn a_buffer_is_let_go_below_a_quarter_and_not_before() {
        let large = 64 << 10;
        let mut pool = Pool::default();
        let grow: [fn(&mut RxQueue, &mut Pool, &[u8]); 3] = [
            |rx, pool, data| data.chunks(1 << 10).for_each(|data| rx.push(data, pool)),
            |rx, _, data| rx.push_front(Bytes::copy_from_slice(data)),
            |rx, _, data| rx.push_back(BytesMut::from(data)),
        ];
        for grow in grow {
            let mut rx = RxQueue::default();
            rx.push(b"x", &mut pool); // A small buffer first.
            grow(&mut rx, &mut pool, &vec![7; large]);
            let whole = rx.bytes.capacity();
            assert_eq!(rx.whole as usize, whole);
            rx.consume(rx.len() - whole / 4);
            assert!(rx.bytes.capacity() >= whole / 4 && rx.whole as usize == whole, "a quarter");
            rx.consume(1);
            assert!((rx.whole as usize) < whole, "less");
            assert_eq!(rx.len(), whole / 4 - 1);
        }
    }

    #[test]
    fn a_small_buffer_is_kept_to_its_end() {
        for (size, kept) in [(SMALL, true), (2 * SMALL, false)] {
            let mut rx = RxQueue::default();
            rx.adopt(BytesMut::zeroed(size));
            rx.consume(size - 1);
            assert_eq!(rx.whole as usize == size, kept, "of {size}");
        }
    }

    #[test]
    fn a_buffer_is_kept_that_is_half_filled_where_another_one_is_at_hand() {
        let size = 128 << 10;
        for (count, unread, spares, kept) in [
            (size, 0, 1, true),
            (size / 2, 0, 1, true),
            (size / 2 - 1, 0, 1, false),
            (size, 1, 1, false),
            (size, 0, 0, false),
        ] {
            let (mut rx, mut pool) = (RxQueue::default(), Pool::default());
            (0..spares).for_each(|_| pool.put_back_mut(BytesMut::zeroed(size)));
            rx.push(&[1; 1][..unread], &mut pool);
            let mut scratch = BytesMut::zeroed(size);
            scratch[..count].fill(2);
            let at = scratch.as_ptr();
            rx.take_in(&mut scratch, count, &mut pool);
            let case = format!("{count} bytes beside {unread}, {spares} more");
            assert_eq!(rx.as_slice().as_ptr() == at, kept, "{case}");
            assert_eq!(scratch.as_ptr() != at, kept, "{case}");
            assert_eq!((scratch.len(), rx.len()), (size, unread + count), "{case}");
            assert!(rx.as_slice()[unread..].iter().all(|byte| *byte == 2), "{case}");
        }
    }

    #[test]
    fn a_small_rest_does_not_hold_a_large_buffer() {
        let mut pool = Pool::default();
        for take in [RxQueue::consume, |rx: &mut RxQueue, count| rx.take_first(count).len()] {
            let mut rx = RxQueue::default();
            rx.adopt(pool.scratch(64 << 10));
            let last = rx.as_slice()[(64 << 10) - 10..].as_ptr();
            take(&mut rx, (64 << 10) - 10);
            assert_ne!(rx.as_slice().as_ptr(), last, "still in the large one");
            assert_eq!(rx.len(), 10);
            assert!(rx.bytes.capacity() < 100 && rx.whole < 100);
        }
    }
}
