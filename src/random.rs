//! The one generator of random numbers that all others here are made of, and that none of them writes out again.

/// What the state grows by from one number to the next.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number that belongs to a state.
pub(crate) fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A stream of random numbers: `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). Eight bytes of
/// state; the same everywhere and for ever, which a crate's generator does not promise. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    /// The stream of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        SplitMix(seed)
    }

    /// The stream called `name` of `seed`. Those of different names have nothing to do with each other.
    pub(crate) fn named(seed: u64, name: u64) -> Self {
        let start = Self::new(seed).next() ^ name;
        Self::new(Self::new(start).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 to `most`, each as likely as the others to within 2^-64 times `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        let wide = u128::from(self.next()) * (u128::from(most) + 1);
        u64::try_from(wide >> 64).unwrap_or(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // The first numbers for the seed 1234567, as in the reference implementation.
        let mut random = SplitMix::new(1_234_567);
        let numbers: [u64; 3] = core::array::from_fn(|_| random.next());
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn its_numbers_within_bounds_and_its_named_streams_are_so_for_ever() {
        let mut random = SplitMix::new(7);
        assert_eq!(core::array::from_fn(|_| random.up_to(9)), [3, 0, 9, 5, 4, 2, 4, 3]);
        assert_eq!(SplitMix::new(7).up_to(0), 0);
        assert_eq!(SplitMix::new(7).up_to(u64::MAX), SplitMix::new(7).next());
        let mut named = SplitMix::named(7, 3);
        let numbers = [named.next(), named.next()];
        assert_eq!(numbers, [11_248_596_980_798_508_817, 16_693_346_848_406_779_205]);
    }
}
