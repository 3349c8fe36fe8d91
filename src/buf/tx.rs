//! Bytes that are to go out.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::Pool;

/// What is smaller than this and not first in line is copied together with its neighbours.
const SMALL: usize = 1024;
/// The run of copied bytes is closed at this length and the next one begun.
const RUN: usize = 16 * 1024;

/// A queue of bytes to send: `front`, then `middle`, then `tail`.
///
/// Large pieces stay what they are; small ones are copied together, so that a thousand small writes become one. A
/// lone piece, the usual case, needs no allocation of the queue's own.
#[derive(Debug, Default)]
pub(crate) struct TxQueue {
    front: Bytes,
    /// How much of `front` is sent. It is not cut off, so that the whole buffer can be used again.
    sent: usize,
    // Boxed since most connections never have one; a third of the size.
    #[expect(clippy::box_collection, reason = "8 instead of 32 bytes in every idle connection")]
    middle: Option<Box<VecDeque<Bytes>>>,
    tail: BytesMut,
    len: usize,
}

impl TxQueue {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues a copy of `data`.
    pub(crate) fn push_slice(&mut self, data: &[u8]) {
        if data.len() > RUN {
            return self.push_bytes(Bytes::copy_from_slice(data));
        }
        self.len += data.len();
        if self.tail.len() + data.len() > RUN {
            self.close_tail();
        }
        if self.tail.is_empty() {
            self.tail = BytesMut::from(data);
        } else {
            self.tail.extend_from_slice(data);
        }
    }

    /// Queues `data` itself, except where copying it next to its neighbour is cheaper.
    #[inline]
    pub(crate) fn push_bytes(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if self.is_empty() {
            self.len = data.len();
            self.front = data;
            return;
        }
        if data.len() < SMALL {
            return self.push_slice(&data);
        }
        self.close_tail();
        self.len += data.len();
        self.append(data);
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let run = core::mem::take(&mut self.tail).freeze();
            self.append(run);
        }
    }

    fn append(&mut self, piece: Bytes) {
        if self.front.is_empty() && self.middle.is_none() {
            self.front = piece;
        } else {
            self.middle.get_or_insert_default().push_back(piece);
        }
    }

    /// The bytes, where they are one piece, as they mostly are.
    #[inline]
    pub(crate) fn only(&self) -> Option<&[u8]> {
        if self.middle.is_some() {
            None
        } else if self.tail.is_empty() {
            Some(&self.front[self.sent..])
        } else if self.front.is_empty() {
            Some(&self.tail)
        } else {
            None
        }
    }

    /// Fills `slices` with the first pieces in order, `limit` bytes of them at most; returns how many.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], limit: usize) -> usize {
        let middle = self.middle.iter().flat_map(|middle| middle.iter().map(|piece| &piece[..]));
        let pieces = [&self.front[self.sent..]].into_iter().chain(middle).chain([&self.tail[..]]);
        let mut count = 0;
        let mut left = limit;
        for (place, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            if left == 0 {
                break;
            }
            let piece = &piece[..piece.len().min(left)];
            *place = IoSlice::new(piece);
            left -= piece.len();
            count += 1;
        }
        count
    }

    /// Drops the first `count` bytes, which must not be more than there are: what was sent. Buffers that are done go to the pool.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize, pool: &mut Pool) {
        debug_assert!(count <= self.len, "{count} bytes sent of {}", self.len);
        if count < self.len || self.middle.is_some() {
            return self.consume_pieces(count, pool);
        }
        (self.len, self.sent) = (0, 0);
        if !self.front.is_empty() {
            pool.put_back(core::mem::take(&mut self.front));
        }
        if self.tail.capacity() > 0 {
            self.tail = BytesMut::new(); // Others may have a part of it, so it is not for the pool.
        }
    }

    #[inline(never)]
    fn consume_pieces(&mut self, count: usize, pool: &mut Pool) {
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0 {
            let unsent = self.front.len() - self.sent;
            if left < unsent {
                self.sent += left;
                return;
            }
            left -= unsent;
            pool.put_back(core::mem::take(&mut self.front));
            self.sent = 0;
            match self.middle.as_mut().and_then(|middle| middle.pop_front()) {
                Some(piece) => self.front = piece,
                None => {
                    self.middle = None;
                    break;
                }
            }
        }
        if left > 0 {
            self.tail.advance(left);
        }
        if self.len == 0 && self.tail.capacity() > 0 {
            pool.put_back_mut(core::mem::take(&mut self.tail));
        }
    }

    /// Takes all, as one piece.
    pub(crate) fn take(&mut self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.len);
        all.extend_from_slice(&self.front[self.sent..]);
        self.middle
            .iter()
            .flat_map(|middle| middle.iter())
            .for_each(|piece| all.extend_from_slice(piece));
        all.extend_from_slice(&self.tail);
        self.clear();
        all.freeze()
    }

    /// Takes the last `count` bytes, or all if there are fewer, out again, in order; pieces are cut, not copied.
    pub(crate) fn take_last(&mut self, count: usize, pieces: &mut Vec<Bytes>) {
        let mut keep = self.len - count.min(self.len);
        self.len = keep;
        let mut cut = |piece: &mut Bytes, done: usize| {
            let kept = keep.min(piece.len() - done);
            keep -= kept;
            let rest = piece.split_off(done + kept);
            if !rest.is_empty() {
                pieces.push(rest);
            }
        };
        cut(&mut self.front, self.sent);
        for piece in self.middle.iter_mut().flat_map(|middle| middle.iter_mut()) {
            cut(piece, 0);
        }
        if self.middle.as_mut().is_some_and(|middle| {
            middle.retain(|piece| !piece.is_empty());
            middle.is_empty()
        }) {
            self.middle = None;
        }
        let tail = self.tail.split_off(keep.min(self.tail.len()));
        if !tail.is_empty() {
            pieces.push(tail.freeze());
        }
        if self.len == 0 {
            *self = TxQueue::default();
        }
    }

    /// Throws all away; returns how much.
    pub(crate) fn clear(&mut self) -> usize {
        core::mem::take(self).len
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use proptest::prelude::*;

    use super::*;

    fn flat(tx: &TxQueue, most: usize, limit: usize) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); most];
        let count = tx.slices(&mut slices, limit);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[derive(Clone, Debug)]
    enum Op {
        Slice(usize),
        Bytes(usize),
        Consume(usize),
        Clear,
        Take,
        TakeLast(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let large = if cfg!(miri) { 2_000..3_000usize } else { 10_000..40_000 };
        let sizes = prop_oneof![0..40usize, 900..1100usize, large];
        prop_oneof![
            4 => sizes.clone().prop_map(Op::Slice),
            4 => sizes.clone().prop_map(Op::Bytes),
            6 => sizes.clone().prop_map(Op::Consume),
            2 => sizes.prop_map(Op::TakeLast),
            1 => Just(Op::Clear),
            1 => Just(Op::Take),
        ]
    }

    proptest! {
        #[test]
        fn keeps_bytes_in_order_and_leaves_exactly_the_unsent_suffix(ops in prop::collection::vec(op(), 0..40)) {
            let mut pool = Pool::default();
            let mut tx = TxQueue::default();
            let mut model: Vec<u8> = Vec::new();
            let mut next = 0u8;
            let mut data = |len: usize| -> Vec<u8> {
                (0..len).map(|_| { next = next.wrapping_add(1); next }).collect()
            };
            for op in ops {
                match op {
                    Op::Slice(len) => {
                        let data = data(len);
                        tx.push_slice(&data);
                        model.extend(&data);
                    }
                    Op::Bytes(len) => {
                        let data = data(len);
                        tx.push_bytes(Bytes::from(data.clone()));
                        model.extend(&data);
                    }
                    Op::Consume(count) => {
                        let count = count.min(model.len());
                        tx.consume(count, &mut pool);
                        model.drain(..count);
                    }
                    Op::TakeLast(count) => {
                        let mut pieces = Vec::new();
                        tx.take_last(count, &mut pieces);
                        prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
                        let last = model.split_off(model.len() - count.min(model.len()));
                        prop_assert_eq!(pieces.concat(), last);
                    }
                    Op::Take => {
                        prop_assert_eq!(&tx.take()[..], &model[..]);
                        model.clear();
                    }
                    Op::Clear => {
                        prop_assert_eq!(tx.clear(), model.len());
                        model.clear();
                    }
                }
                prop_assert_eq!(tx.len(), model.len());
                prop_assert_eq!(tx.is_empty(), model.is_empty());
                prop_assert_eq!(&flat(&tx, 10_000, usize::MAX), &model);
                if let Some(only) = tx.only() {
                    prop_assert_eq!(only, &model[..]);
                }
                let limit = model.len() / 3;
                prop_assert_eq!(&flat(&tx, 10_000, limit), &model[..limit]);
                let first = flat(&tx, 2, usize::MAX);
                prop_assert!(model.starts_with(&first));
                prop_assert_eq!(first.is_empty(), model.is_empty());
                if tx.is_empty() {
                    prop_assert_eq!(tx.tail.capacity(), 0);
                    prop_assert!(tx.middle.is_none());
                }
            }
        }
    }

    #[test]
    fn small_writes_become_one_piece() {
        let mut tx = TxQueue::default();
        for _ in 0..1000 {
            tx.push_slice(b"0123456789");
        }
        let mut slices = [IoSlice::new(&[]); 16];
        assert_eq!(tx.slices(&mut slices, usize::MAX), 1);
        for _ in 0..1000 {
            tx.push_bytes(Bytes::from_static(b"0123456789"));
        }
        let mut slices = [IoSlice::new(&[]); 16];
        assert_eq!(tx.slices(&mut slices, usize::MAX), 2);
    }

    #[test]
    fn runs_and_pieces_are_as_long_as_they_say() {
        let count = |tx: &TxQueue| tx.slices(&mut [IoSlice::new(&[]); 8], usize::MAX);
        let mut tx = TxQueue::default();
        tx.push_slice(&[1; RUN - 1]);
        tx.push_slice(&[1]);
        assert_eq!(count(&tx), 1, "a whole run");
        tx.push_slice(&[1]);
        assert_eq!(count(&tx), 2, "and the next one");

        for (len, pieces) in [(SMALL - 1, 2), (SMALL, 3)] {
            let mut tx = TxQueue::default();
            tx.push_bytes(Bytes::from_static(b"front"));
            tx.push_slice(b"tail");
            tx.push_bytes(Bytes::from(vec![1; len]));
            assert_eq!(count(&tx), pieces, "{len} bytes behind a tail");
        }
    }

    /// Nothing is kept of pieces that were taken out.
    #[test]
    fn what_is_left_in_one_piece_is_one() {
        let mut tx = TxQueue::default();
        tx.push_bytes(Bytes::from_static(b"front"));
        for _ in 0..2 {
            tx.push_bytes(Bytes::from(vec![1; SMALL]));
        }
        assert_eq!(tx.only(), None);
        tx.take_last(2 * SMALL, &mut Vec::new());
        assert_eq!(tx.only(), Some(&b"front"[..]));
    }

    /// Of a tail a piece may have been taken out again: its buffer is not the queue's alone.
    #[test]
    fn a_tail_that_was_sent_is_not_for_the_pool() {
        for taken_out in [0, 12_000] {
            let (mut tx, mut pool) = (TxQueue::default(), Pool::default());
            tx.push_slice(&[1; 2048]);
            tx.push_slice(&vec![1; taken_out]);
            tx.take_last(taken_out, &mut Vec::new());
            tx.consume(2048, &mut pool);
            assert!(tx.is_empty() && tx.tail.capacity() == 0);
            assert!(pool.spare(2048).is_none(), "{taken_out} bytes taken out before");
        }
    }

    #[test]
    fn a_large_piece_is_not_copied() {
        let piece = Bytes::from(vec![1; 100_000]);
        let at = piece.as_ptr();
        let mut tx = TxQueue::default();
        tx.push_slice(b"head");
        tx.push_bytes(piece);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(tx.slices(&mut slices, usize::MAX), 2);
        assert_eq!(slices[1].as_ptr(), at);
    }
}
