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

    /// Adds a record and drops the oldest until all fit; one that is too large for the whole ring is itself dropped.
    pub(super) fn push(&mut self, record: Record) {
        self.used += size(&record);
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
