//! A small seeded source of random numbers: the same seed gives the same faults and evictions on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014): one word of state, good enough to choose lines and launches.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = (bound as u64).max(1);
        usize::try_from(self.word() % bound).unwrap_or(0)
    }

    /// True with this probability.
    #[allow(clippy::cast_precision_loss)] // 53 bits of the word are exact in an f64
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        ((self.word() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_first_words_of_seed_zero_are_the_published_ones() {
        // First outputs of the reference implementation for seed 0.
        let mut random = Random::new(0);
        assert_eq!(random.word(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.word(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn chances_and_bounds_hold() {
        let mut random = Random::new(7);
        let hits = (0..10_000).filter(|_| random.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits} of 10000 at 1/4");
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert_eq!(random.below(0), 0);
        assert!((0..1000).all(|_| random.chance(1.0)) && (0..1000).all(|_| !random.chance(0.0)));
    }
}
