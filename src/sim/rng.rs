//! Random numbers that are the same everywhere, for ever.

use crate::random::SplitMix;

/// A stream of random numbers: xoshiro256++ (Blackman and Vigna, 2019), seeded by `SplitMix64`.
///
/// Written out here because reproducing an old run from its seed must not depend on the version of another crate.
/// Not for secrets. 32 bytes; a number costs about a nanosecond.
///
/// ```
/// use tymist::sim::Rng;
///
/// let mut dice = Rng::stream(7, "dice");
/// let throws: Vec<u64> = (0..5).map(|_| 1 + dice.below(6)).collect();
/// assert!(throws.iter().all(|throw| (1..=6).contains(throw)));
/// assert_eq!(Rng::stream(7, "dice").below(6) + 1, throws[0]); // same seed and name, same numbers
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut seeds = SplitMix::new(seed);
        Rng { state: core::array::from_fn(|_| seeds.next()) }
    }

    /// The stream called `name` of `seed`. Streams of different names are independent, so drawing more from one
    /// does not change what another gives.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        // FNV-1a, 64 bits: spreads the name over the seed; SplitMix64 does the rest.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Rng::new(SplitMix::new(seed).next() ^ hash)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A number from 0 to `bound` − 1, each as likely as the others to within 2^-64 × `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included; `low` if they are the wrong way round.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            Some(u64::MAX) => self.next_u64(),
            Some(span) => low + self.below(span + 1),
            None => low,
        }
    }

    /// An index into something of `len` items; 0 if there are none.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// True with this probability: never at 0 or less, always at 1 or more. Draws one number in any case.
    pub fn chance(&mut self, probability: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
        let unit = (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64);
        unit < probability
    }

    /// One of the items, or `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// Puts the items into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference() {
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let words: Vec<u64> = (0..5).map(|_| rng.next_u64()).collect();
        let reference = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
        ];
        assert_eq!(words, reference);
    }

    /// Runs of years ago hang on each of them. The numbers are those of another program.
    #[test]
    fn what_a_stream_gives_is_so_for_ever() {
        let dice = || Rng::stream(7, "dice");
        let mut rng = dice();
        assert_eq!(rng.next_u64(), 2_987_668_501_106_856_074);
        let later = (0..100).map(|_| rng.next_u64()).last();
        assert_eq!(later, Some(10_479_330_830_350_801_177));
        let drawn = |draw: fn(&mut Rng) -> u64| {
            let mut rng = dice();
            (0..8).map(|_| draw(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(|rng| rng.between(10, 20)), [11, 17, 18, 12, 19, 15, 19, 19]);
        let tenths = [1, 6, 7, 2, 8, 4, 8, 8];
        assert_eq!(drawn(|rng| rng.below(10)), tenths);
        assert_eq!(drawn(|rng| rng.index(10) as u64), tenths);
        let digits: Vec<u64> = (0..10).collect();
        let mut rng = dice();
        assert!(tenths.iter().all(|tenth| rng.pick(&digits) == Some(tenth)));
        assert_eq!(rng.pick::<u64>(&[]), None);
        let mut cards = [0, 1, 2, 3, 4, 5, 6, 7];
        dice().shuffle(&mut cards);
        assert_eq!(cards, [0, 2, 5, 3, 7, 6, 4, 1]);
        let mut bytes = [0; 11];
        dice().fill(&mut bytes);
        assert_eq!(bytes, [138, 16, 25, 35, 172, 84, 118, 41, 204, 8, 6]);
    }

    #[test]
    fn bounds_hold_and_streams_differ() {
        let mut rng = Rng::stream(1, "one");
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert!((0..1000).all(|_| (5..=7).contains(&rng.between(5, 7))));
        assert_eq!((rng.below(0), rng.between(9, 3), rng.index(0)), (0, 9, 0));
        assert!((0..100).all(|_| !rng.chance(0.0) && rng.chance(1.0)));
        // Even where the least number there is was drawn.
        assert!(!Rng { state: [0; 4] }.chance(0.0));
        let heads = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2_300..2_700).contains(&heads), "{heads}");
        assert_ne!(Rng::stream(1, "one").next_u64(), Rng::stream(1, "two").next_u64());
        assert_ne!(Rng::stream(1, "one").next_u64(), Rng::stream(2, "one").next_u64());
        let mut cards: Vec<u32> = (0..52).collect();
        rng.shuffle(&mut cards);
        assert_ne!(cards, (0..52).collect::<Vec<_>>());
        cards.sort_unstable();
        assert_eq!(cards, (0..52).collect::<Vec<_>>());
    }
}
