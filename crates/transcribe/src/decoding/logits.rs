//! Arithmetic on one row of logits: maximum, log-sum-exp, the best k. Loops that the compiler vectorises.
//!
//! A row has 51 865 values and a beam search reads five of them a step, so `expf` from libm would cost as much as a
//! layer of the decoder; [`exp`] is a polynomial good to 2 ulp. Sums run in f32 over blocks and in f64 over the row.

const LANES: usize = 16;
const BLOCK: usize = 16 * LANES;

/// Largest value; −∞ of an empty row. NaNs are passed over.
pub(crate) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    let most = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    rest.iter().copied().fold(most, f32::max)
}

/// First index of the largest value (`torch.argmax` breaks ties so); `None` if every value is −∞ or NaN.
pub(crate) fn argmax(row: &[f32]) -> Option<usize> {
    let most = max(row);
    if most == f32::NEG_INFINITY { None } else { row.iter().position(|&x| x == most) }
}

/// Whether the row has a NaN or +∞, or nothing but −∞: no distribution.
pub(crate) fn is_broken(row: &[f32]) -> bool {
    let nans = row.as_chunks::<BLOCK>();
    let nan = nans.0.iter().any(|block| block.iter().fold(false, |seen, x| seen | x.is_nan()))
        || nans.1.iter().any(|x| x.is_nan());
    nan || !max(row).is_finite()
}

/// `e^x` for x ≤ 0, within 2 ulp; 0 below −88.
///
/// Cody–Waite reduction by ln 2 and the degree-6 polynomial of Cephes' `expf`; the integer part is read from the
/// mantissa of a number pushed past 2²³, which needs no rounding instruction.
#[inline]
#[allow(clippy::excessive_precision, clippy::inline_always, reason = "Cephes' coefficients as published")]
fn exp(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 × 2²³
    const LN2_HI: f32 = 0.693_359_375;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let x = if x > -88.0 { x } else { -88.0 };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    let p = 1.987_569_15e-4;
    let p = p * r + 1.398_199_95e-3;
    let p = p * r + 8.333_451_9e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_55e-1;
    let p = p * r + 5.000_000_1e-1;
    let mantissa = p * (r * r) + r + 1.0;
    // At −88 the exponent field is 0 and the product with it is exactly 0.
    let exponent = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(127) << 23;
    mantissa * f32::from_bits(exponent)
}

/// Σ e^((x − most) · scale) over the row, given that no x exceeds `most`.
pub(crate) fn sum_exp(row: &[f32], most: f32, scale: f32) -> f64 {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    let mut total = 0.0;
    for block in blocks {
        let mut lanes = [0f32; LANES];
        for part in block.as_chunks::<LANES>().0 {
            for (lane, &x) in lanes.iter_mut().zip(part) {
                *lane += exp((x - most) * scale);
            }
        }
        total += f64::from(lanes.iter().sum::<f32>());
    }
    total + rest.iter().map(|&x| f64::from(exp((x - most) * scale))).sum::<f64>()
}

/// `ln Σ e^x`; −∞ of an empty row or one of nothing but −∞.
pub(crate) fn log_sum_exp(row: &[f32]) -> f32 {
    let most = max(row);
    if most == f32::NEG_INFINITY { most } else { most + ln(sum_exp(row, most, 1.0)) }
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
    /// Reads the whole row once; `None` if it [`is_broken`].
    pub(crate) fn of(row: &[f32]) -> Option<Self> {
        if is_broken(row) {
            return None;
        }
        let most = max(row);
        Some(Self { most, log_sum: ln(sum_exp(row, most, 1.0)) })
    }

    /// Log-probability of a value of the row, subtracted in torch's order.
    pub(crate) fn of_logit(self, x: f32) -> f32 {
        (x - self.most) - self.log_sum
    }
}

/// The `k` largest values with their indices, best first, into `best`; ties go to the lower index.
///
/// torch leaves the order of ties in `topk` open.
pub(crate) fn top_k(row: &[f32], k: usize, best: &mut Vec<(usize, f32)>) {
    best.clear();
    for (block_index, block) in row.chunks(BLOCK).enumerate() {
        // The floor rises quickly, so almost every block ends here.
        if best.len() == k && best.last().is_none_or(|&(_, floor)| max(block) <= floor) {
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
pub(crate) fn probability(row: &[f32], index: usize) -> f64 {
    if is_broken(row) {
        return f64::NAN;
    }
    let most = max(row);
    f64::from(row[index] - most).exp() / sum_exp(row, most, 1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = (0.0, 0.0);
        for i in 0..2_000_000 {
            let x = -87.0 * (i as f32 / 2_000_000.0);
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            let error = (got - want).abs() / want;
            worst = if error > worst.0 { (error, x) } else { worst };
        }
        // Two ulp at the bottom of a binade: 2 × 2⁻²³.
        assert!(worst.0 < 2.4e-7, "relative error {:e} at {}", worst.0, worst.1);
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY), exp(-1e30)), (1.0, 0.0, 0.0));
    }

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
            assert_eq!(is_broken(&row), want, "{row:?}");
            assert_eq!(LogSoftmax::of(&row).is_none(), want);
        }
    }

    #[test]
    fn ties_go_to_the_first() {
        let mut row = vec![0.0; 1000];
        (row[700], row[300]) = (2.0, 2.0);
        assert_eq!(argmax(&row), Some(300));
        let mut best = Vec::new();
        top_k(&row, 4, &mut best);
        assert_eq!(best, [(300, 2.0), (700, 2.0), (0, 0.0), (1, 0.0)]);
        assert_eq!(argmax(&[f32::NEG_INFINITY; 3]), None);
    }

    proptest! {
        #[test]
        fn top_k_is_a_sort(row in prop::collection::vec(-8i8..8, 6..2000), k in 1usize..7) {
            let row: Vec<f32> = row.into_iter().map(f32::from).collect();
            let mut want: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
            want.sort_by(|a, b| b.1.total_cmp(&a.1));
            want.truncate(k);
            let mut got = Vec::new();
            top_k(&row, k, &mut got);
            prop_assert_eq!(got, want);
        }

        #[test]
        fn log_sum_exp_is_the_sum(row in prop::collection::vec(-40f32..40.0, 1..3000)) {
            let want = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let got = f64::from(log_sum_exp(&row));
            // Half an ulp of the result (≤ 48) from the final addition, 1e-6 from exp and the block sums.
            prop_assert!((got - want).abs() < 5e-6, "got {got}, want {want}");
            let log_softmax = LogSoftmax::of(&row).unwrap();
            let got = f64::from(log_softmax.of_logit(row[0]));
            prop_assert!((got - (f64::from(row[0]) - want)).abs() < 2e-5);
            prop_assert!((probability(&row, 0) - (f64::from(row[0]) - want).exp()).abs() < 5e-6);
        }
    }
}
