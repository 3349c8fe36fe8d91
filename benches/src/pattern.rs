//! The bytes that are sent, so that replies can be checked at the cost of a `memcmp`.

/// Longest run that [`Pattern::at`] gives in one piece.
pub const LONGEST: usize = 1 << 20;

/// Bytes after which the pattern repeats: a prime, so that what is lost, doubled or out of order shows whatever the
/// size of messages and buffers.
const PERIOD: usize = 1_048_583;

/// Every stream carries the same pseudo-random bytes, each from a place of its own.
#[derive(Debug)]
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// Makes the table; a megabyte or two, once per process.
    pub fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
            // xorshift64*: any fixed sequence without short repeats will do.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
        })
        .take(PERIOD)
        .collect();
        bytes.extend_from_within(..LONGEST);
        Pattern(bytes)
    }

    /// The bytes of stream `stream` from `position` on; `len` of them, at most [`LONGEST`].
    pub fn at(&self, stream: usize, position: u64, len: usize) -> &[u8] {
        let period = PERIOD as u64;
        let start = ((stream as u64 * 40_503 + position) % period) as usize;
        &self.0[start..start + len]
    }
}
