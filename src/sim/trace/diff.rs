//! Where two runs part.

use core::fmt;

use super::{Record, Trace, codec, fields};

/// The first record in which two traces differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How many records are the same before it.
    pub index: u64,
    /// What the one has there; `None` if it has ended. Neither has anything where only hashes were kept, and those differ.
    pub left: Option<Record>,
    /// What the other has there.
    pub right: Option<Record>,
    /// The last record that both have.
    pub before: Option<Record>,
}

pub(super) fn first(left: &Trace, right: &Trace) -> Option<Difference> {
    let (mut a, mut b) = (left.log.as_slice(), right.log.as_slice());
    let mut before = None;
    let mut index = 0_u64;
    let record = |body: Option<&[u8]>, index| {
        let (tyme, what) = codec::decode(body?)?;
        Some(Record { index, tyme, what })
    };
    loop {
        let (one, two) = (fields::take_bytes(&mut a), fields::take_bytes(&mut b));
        if one != two {
            let before = index.checked_sub(1).and_then(|index| record(before, index));
            return Some(Difference {
                index,
                left: record(one, index),
                right: record(two, index),
                before,
            });
        }
        if one.is_none() {
            // Nothing written down differs; what was not may.
            let parts = left.hash != right.hash;
            return parts.then(|| Difference { index, left: None, right: None, before: None });
        }
        before = one;
        index += 1;
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |record: &Option<Record>| {
            record.as_ref().map_or_else(|| "(the end)".to_owned(), ToString::to_string)
        };
        if self.left.is_none() && self.right.is_none() {
            return f.write_str(
                "the runs part somewhere: their hashes differ, and the rest was not written down",
            );
        }
        writeln!(f, "the runs part at record {}", self.index)?;
        if self.before.is_some() {
            writeln!(f, "  both  {}", line(&self.before))?;
        }
        writeln!(f, "  left  {}", line(&self.left))?;
        write!(f, "  right {}", line(&self.right))
    }
}
