//! Bytes that came in and were not taken yet.

use core::mem;

use bytes::{Buf, Bytes, BytesMut};

/// One contiguous run of unread bytes, so that a parser sees them as a slice.
///
/// Holds memory only while there is something unread: at most twice its length.
#[derive(Debug, Default)]
pub(crate) struct RxQueue {
    bytes: BytesMut,
}

impl RxQueue {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        if self.bytes.is_empty() {
            // Exactly as large as needed: `take` then gives it away without another allocation.
            self.bytes = BytesMut::from(data);
        } else {
            self.bytes.extend_from_slice(data);
        }
    }

    /// Puts `data` before what is there.
    pub(crate) fn push_front(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let mut front = BytesMut::from(data);
        front.extend_from_slice(&self.bytes);
        self.bytes = front;
    }

    /// Drops the first `count` bytes, or all if there are fewer; returns how many.
    pub(crate) fn consume(&mut self, count: usize) -> usize {
        let count = count.min(self.bytes.len());
        if count == self.bytes.len() {
            self.bytes = BytesMut::new();
        } else {
            self.bytes.advance(count);
        }
        count
    }

    /// Takes all, without copying.
    pub(crate) fn take(&mut self) -> Bytes {
        mem::take(&mut self.bytes).freeze()
    }

    /// Takes the first `count` bytes, or all if there are fewer, without copying.
    pub(crate) fn take_first(&mut self, count: usize) -> Bytes {
        if count >= self.bytes.len() {
            return self.take();
        }
        self.bytes.split_to(count).freeze()
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
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Op::Push),
            1 => prop::collection::vec(any::<u8>(), 0..50).prop_map(Op::PushFront),
            3 => (0..300usize).prop_map(Op::Consume),
            2 => (0..300usize).prop_map(Op::TakeFirst),
            1 => Just(Op::Take),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_deque_and_holds_nothing_when_empty(ops in prop::collection::vec(op(), 0..60)) {
            let mut rx = RxQueue::default();
            let mut model: VecDeque<u8> = VecDeque::new();
            for op in ops {
                match op {
                    Op::Push(data) => {
                        rx.push(&data);
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
        for _ in 0..10_000 {
            rx.push(&[7; 1000]);
            if rx.len() > 50_000 {
                rx.consume(49_999);
            }
            assert!(rx.bytes.capacity() <= 2 * 51_000, "{}", rx.bytes.capacity());
        }
    }
}
