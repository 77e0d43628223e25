//! Arithmetic on one row of logits: maximum, log-sum-exp, the best k.
//!
//! A row has 51 865 values and a beam search reads five of them a step, so `expf` from libm, or a loop for the processors of
//! 2003, would cost as much as a layer of the decoder: the passes over a row are `cpu-backend`'s. Sums run in f32
//! over blocks and in f64 over the row.

use cpu_backend::Level;

/// Values of which one look tells whether any is worth a closer one.
const BLOCK: usize = 256;

/// Largest value; −∞ of an empty row. NaNs are passed over.
pub(crate) fn max(level: Level, row: &[f32]) -> f32 {
    cpu_backend::largest(level, row)
}

/// First index of the largest value (`torch.argmax` breaks ties so); `None` if every value is −∞ or NaN.
pub(crate) fn argmax(level: Level, row: &[f32]) -> Option<usize> {
    let most = max(level, row);
    if most == f32::NEG_INFINITY {
        return None;
    }
    // A search that stops within a block is one comparison at a time.
    let has_most = |block: &[f32]| block.iter().fold(false, |found, &x| found | (x == most));
    let block = row.chunks(BLOCK).position(has_most)? * BLOCK;
    row[block..].iter().position(|&x| x == most).map(|at| block + at)
}

/// Σ e^(x − most) over the row, given that no x exceeds `most`; NaN if there is one in it.
fn sum_exp(level: Level, row: &[f32], most: f32) -> f64 {
    cpu_backend::sum_exp(level, row, most)
}

/// The largest value and the sum of exponentials about it; `None` if the row has a NaN or +∞, or nothing but −∞: no
/// distribution.
fn distribution(level: Level, row: &[f32]) -> Option<(f32, f64)> {
    let most = max(level, row);
    let sum = if most.is_finite() { sum_exp(level, row, most) } else { f64::NAN };
    (!sum.is_nan()).then_some((most, sum))
}

/// Whether the row has a NaN or +∞, or nothing but −∞.
pub(crate) fn is_broken(level: Level, row: &[f32]) -> bool {
    distribution(level, row).is_none()
}

/// `ln Σ e^x`; −∞ of an empty row or one of nothing but −∞.
pub(crate) fn log_sum_exp(level: Level, row: &[f32]) -> f32 {
    let most = max(level, row);
    if most == f32::NEG_INFINITY { most } else { most + ln(sum_exp(level, row, most)) }
}

#[allow(clippy::cast_possible_truncation)]
fn ln(x: f64) -> f32 {
    x.ln() as f32
}

/// What turns a row's logits into log-probabilities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSoftmax {
    most: f32,
    log_sum: f32,
}

impl LogSoftmax {
    /// `None` if the row [`is_broken`].
    pub(crate) fn of(level: Level, row: &[f32]) -> Option<Self> {
        distribution(level, row).map(|(most, sum)| Self { most, log_sum: ln(sum) })
    }

    /// Log-probability of a value of the row, subtracted in torch's order.
    pub(crate) fn of_logit(self, x: f32) -> f32 {
        (x - self.most) - self.log_sum
    }
}

/// The `k` largest values with their indices, best first, into `best`; ties go to the lower index.
///
/// torch leaves the order of ties in `topk` open.
pub(crate) fn top_k(level: Level, row: &[f32], k: usize, best: &mut Vec<(usize, f32)>) {
    best.clear();
    for (block_index, block) in row.chunks(BLOCK).enumerate() {
        // The floor rises quickly, so almost every block ends here.
        if best.len() == k && best.last().is_none_or(|&(_, floor)| max(level, block) <= floor) {
            continue;
        }
        for (offset, &x) in block.iter().enumerate() {
            if best.len() == k {
                if best.last().is_none_or(|&(_, floor)| x <= floor) {
                    continue;
                }
                best.pop();
            }
            let place = best.partition_point(|&(_, y)| y >= x);
            best.insert(place, (block_index * BLOCK + offset, x));
        }
    }
}

/// Softmax probability of `index`, in f64 from f32 exponentials; NaN of a broken row.
pub(crate) fn probability(level: Level, row: &[f32], index: usize) -> f64 {
    distribution(level, row).map_or(f64::NAN, |(most, sum)| f64::from(row[index] - most).exp() / sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn broken_rows_are_seen() {
        let inf = f32::INFINITY;
        for (row, want) in [
            (vec![0.0, -inf], false),
            (vec![-inf; 300], true),
            (vec![], true),
            (vec![0.0, inf], true),
            ([vec![0.0; 299], vec![f32::NAN]].concat(), true),
            ([vec![f32::NAN], vec![0.0; 299]].concat(), true),
        ] {
            assert_eq!(is_broken(Level::detect(), &row), want, "{row:?}");
            assert_eq!(LogSoftmax::of(Level::detect(), &row).is_none(), want);
        }
    }

    #[test]
    fn ties_go_to_the_first() {
        let mut row = vec![0.0; 1000];
        (row[700], row[300]) = (2.0, 2.0);
        assert_eq!(argmax(Level::detect(), &row), Some(300));
        let mut best = Vec::new();
        top_k(Level::detect(), &row, 4, &mut best);
        assert_eq!(best, [(300, 2.0), (700, 2.0), (0, 0.0), (1, 0.0)]);
        assert_eq!(argmax(Level::detect(), &[f32::NEG_INFINITY; 3]), None);
    }

    proptest! {
        #[test]
        fn top_k_is_a_sort(row in prop::collection::vec(-8i8..8, 6..2000), k in 1usize..7) {
            let row: Vec<f32> = row.into_iter().map(f32::from).collect();
            let mut want: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
            want.sort_by(|a, b| b.1.total_cmp(&a.1));
            want.truncate(k);
            let mut got = Vec::new();
            top_k(Level::detect(), &row, k, &mut got);
            prop_assert_eq!(got, want);
        }

        #[test]
        fn log_sum_exp_is_the_sum(row in prop::collection::vec(-40f32..40.0, 1..3000)) {
            let want = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let got = f64::from(log_sum_exp(Level::detect(), &row));
            // Half an ulp of the result (≤ 48) from the final addition, 1e-6 from exp and the block sums.
            prop_assert!((got - want).abs() < 5e-6, "got {got}, want {want}");
            let log_softmax = LogSoftmax::of(Level::detect(), &row).unwrap();
            let got = f64::from(log_softmax.of_logit(row[0]));
            prop_assert!((got - (f64::from(row[0]) - want)).abs() < 2e-5);
            prop_assert!((probability(Level::detect(), &row, 0) - (f64::from(row[0]) - want).exp()).abs() < 5e-6);
        }
    }
}
