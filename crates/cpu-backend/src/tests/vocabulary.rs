//! Rows that are only read.

use super::{U, numbers};
use crate::{Level, largest, sum_exp};

#[test]
fn rows_of_any_length_at_every_level() {
    for level in Level::available() {
        for n in [0, 1, 15, 16, 511, 512, 513, 51_865] {
            let row: Vec<f32> = numbers(4, n).iter().map(|v| v * 30.0).collect();
            let want = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(largest(level, &row), want, "{level} {n}");
            let got = sum_exp(level, &row, want);
            let exact: f64 = row.iter().map(|&v| (f64::from(v) - f64::from(want)).exp()).sum();
            // The difference is rounded once and then a power; 1.5 ulp of the exponential; sums of 512 in vectors.
            let bound = (60.0 * U + 3.0 * U + 48.0 * U) * exact;
            assert!((got - exact).abs() <= bound, "{level} {n}: {got} for {exact}");
        }
        let mut row = numbers(4, 1000);
        for at in [0, 700, 999] {
            let before = std::mem::replace(&mut row[at], f32::NAN);
            assert!(largest(level, &row).is_finite() && sum_exp(level, &row, 1.0).is_nan(), "{level} {at}");
            row[at] = before;
        }
        assert_eq!(sum_exp(level, &[f32::NEG_INFINITY, 0.0], 0.0), 1.0, "{level}");
    }
}
