//! Sampling a token at a temperature above 0, reproducibly from a seed.

use cpu_backend::Level;

use super::logits as row;

/// `SplitMix64` (Steele, Lea, Flood 2014): one 64-bit state, passes `BigCrush`; enough to draw tokens with.
#[derive(Clone, Debug)]
pub struct Sampler {
    state: u64,
}

impl Sampler {
    /// A sampler whose draws depend on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in [0, 1), 53 bits.
    #[allow(clippy::cast_precision_loss)]
    fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Draws an index with probability softmax(logits / temperature), by inverting the cumulative sum.
    ///
    /// The same distribution as OpenAI's `Categorical`, not the same draws: torch's generator is not reproduced.
    /// The row must not be broken (all −∞ or NaN).
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn draw(&mut self, level: Level, logits: &[f32], temperature: f64) -> usize {
        let most = row::max(level, logits);
        // Divided in f64: the inverse of a tiny temperature is infinite in f32, and 0 × ∞ is no number.
        let weight = |x: f32| (f64::from(x - most) / temperature).exp();
        let total: f64 = logits.iter().map(|&x| weight(x)).sum();
        let target = self.uniform() * total;
        let mut sum = 0.0;
        let mut drawn = 0;
        for (index, &x) in logits.iter().enumerate() {
            let share = weight(x);
            if share > 0.0 {
                sum += share;
                drawn = index;
                if sum > target {
                    break;
                }
            }
        }
        drawn
    }
}

/// The finaliser of `SplitMix64`: a bijection that scatters neighbouring numbers.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A seed for one attempt at one window, so that no two attempts of a file share their draws.
#[must_use]
pub fn seed_of_attempt(seed: u64, seek: usize, attempt: usize) -> u64 {
    mix(mix(seed ^ seek as u64).wrapping_add(attempt as u64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss)]
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // First outputs for seed 1234567, published with the reference implementation (Vigna, splitmix64.c).
        let mut sampler = Sampler::new(1_234_567);
        let got: Vec<u64> = (0..3).map(|_| sampler.next_u64()).collect();
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [f32::NEG_INFINITY, 0.0, 2.0, f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY];
        let (temperature, n) = (0.8, 100_000);
        let mut counts = [0u32; 6];
        let mut sampler = Sampler::new(7);
        for _ in 0..n {
            counts[sampler.draw(Level::detect(), &logits, temperature)] += 1;
        }
        let weights: Vec<f64> = logits.iter().map(|&x| (f64::from(x) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (index, weight) in weights.iter().enumerate() {
            let p = weight / total;
            let got = f64::from(counts[index]) / f64::from(n);
            // Five standard deviations of a binomial share; a masked token must never be drawn.
            let bound = 5.0 * (p * (1.0 - p) / f64::from(n)).sqrt();
            assert!((got - p).abs() <= bound, "token {index}: got {got}, want {p} ± {bound}");
        }
    }

    #[test]
    fn attempts_have_their_own_seeds() {
        let mut seeds: Vec<u64> = (0..100)
            .flat_map(|seek| (0..6).map(move |attempt| seed_of_attempt(0, seek * 3000, attempt)))
            .collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 600);
        assert_eq!(seed_of_attempt(5, 3000, 1), seed_of_attempt(5, 3000, 1));
    }
}
