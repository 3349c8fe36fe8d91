//! The latest records, in bounded memory.

use std::collections::VecDeque;

use super::Record;

#[derive(Debug)]
pub(super) struct Ring {
    records: VecDeque<Record>,
    cap: usize,
    used: usize,
    dropped: u64,
}

/// What a record takes, its bytes included.
fn size(record: &Record) -> usize {
    size_of::<Record>() + record.data.len()
}

impl Ring {
    pub(super) fn new(cap: usize) -> Self {
        Ring { records: VecDeque::new(), cap, used: 0, dropped: 0 }
    }

    /// Adds a record and drops the oldest until all fit; one that is too large for the whole ring is itself dropped, and no other for it.
    pub(super) fn push(&mut self, record: Record) {
        let size_of_it = size(&record);
        if size_of_it > self.cap {
            self.dropped += 1;
            return;
        }
        self.used += size_of_it;
        self.records.push_back(record);
        while self.used > self.cap {
            let Some(oldest) = self.records.pop_front() else { break };
            self.used -= size(&oldest);
            self.dropped += 1;
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::net::Addr;
    use crate::wire::Direction;

    /// One long read wiped the log.
    #[test]
    fn regression_what_fits_in_no_way_drops_nothing_else() {
        let (tyme, direction, peer) = (None, Direction::Rx, Addr::Unnamed);
        let record = Record { tyme, direction, peer, len: 3, data: Bytes::from_static(b"abc") };
        let large = Record { len: 1000, data: Bytes::from(vec![0; 1000]), ..record.clone() };
        let mut ring = Ring::new(2 * size(&record));
        ring.push(record.clone());
        ring.push(large);
        ring.push(record.clone());
        assert_eq!((ring.records().count(), ring.dropped()), (2, 1));
    }

    #[test]
    fn what_just_fits_stays() {
        let (tyme, direction, peer) = (None, Direction::Rx, Addr::Unnamed);
        let record = Record { tyme, direction, peer, len: 3, data: Bytes::from_static(b"abc") };
        for (cap, kept) in [(2 * size(&record), 2), (2 * size(&record) - 1, 1)] {
            let mut ring = Ring::new(cap);
            (0..3).for_each(|_| ring.push(record.clone()));
            assert_eq!((ring.records().count(), ring.dropped()), (kept, 3 - kept as u64));
        }
    }
}
