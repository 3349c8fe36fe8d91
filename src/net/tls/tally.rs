//! How many records there are in a stream of ciphertext.

/// Length of a record's header, of which the last two bytes are the length of what follows (RFC 8446 section 5.1).
const HEADER: u8 = 5;

/// Counts records, fed in whatever pieces.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Headers that have been seen whole.
    pub(super) records: usize,
    /// Bytes of a header that have been seen, and the last two of them.
    seen: u8,
    length: u16,
    /// Bytes of the record that are still to come.
    left: usize,
}

impl Tally {
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while let [byte, rest @ ..] = bytes {
            if self.left > 0 {
                let skipped = bytes.len().min(self.left);
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.length = self.length << 8 | u16::from(*byte);
            self.seen += 1;
            bytes = rest;
            if self.seen == HEADER {
                (self.seen, self.left) = (0, usize::from(self.length));
                self.records = self.records.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_in_whatever_pieces_they_come() {
        let mut bytes = Vec::new();
        for length in [0_u16, 1, 300, 0, 0, 16_640, u16::MAX] {
            bytes.extend([23, 3, 3]);
            bytes.extend(length.to_be_bytes());
            bytes.resize(bytes.len() + usize::from(length), 23);
        }
        for size in [1, 2, 3, 5, 6, 7, 4096, bytes.len()] {
            let mut tally = Tally::default();
            bytes.chunks(size).for_each(|piece| tally.add(piece));
            assert_eq!((tally.records, tally.seen, tally.left), (7, 0, 0), "in pieces of {size}");
        }
    }
}
