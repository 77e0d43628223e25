//! Plain arithmetic in f64, and how far from it a result may be.

/// The error function: its series, and 1 where that has lost its digits (erf(4) = 1 − 1.5e-8).
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// x·Φ(x).
pub(super) fn gelu(x: f64) -> f64 {
    x * 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// The kernels' GELU is off by 1.2e-3 of what is taken from max(x, 0), or of 2^-8 (gelu.h). Its slope is at most 1.13, so
/// an error of its argument grows by no more.
pub(super) fn gelu_bound(x: f64, error: f64) -> f64 {
    1.13 * error + 1.2e-3 * (gelu(x) - x.max(0.0)).abs().max(1.0 / 256.0)
}

/// Half a unit of a bf16 next to `x`: 8 bits of significand.
pub(super) fn half_unit(x: f64) -> f64 {
    x.abs() / 256.0
}

/// Sums of `terms` f32 products whose magnitudes add to `mass`, in any order, each rounded at most twice to 24 bits.
pub(super) fn sum_bound(terms: usize, mass: f64) -> f64 {
    2.0 * terms as f64 * mass / f64::from(1 << 24)
}

/// Fails with the worst element if any is out of its bound.
#[track_caller]
pub(super) fn close(about: &str, elements: impl Iterator<Item = (f64, f64, f64)>) {
    let mut worst = (0.0, String::new());
    let mut count = 0;
    for (at, (got, want, bound)) in elements.enumerate() {
        let ratio = (got - want).abs() / bound;
        // A NaN is as bad as can be.
        let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
        if ratio > worst.0 {
            worst = (ratio, format!("{at}: {got}, not {want} ± {bound}"));
        }
        count += 1;
    }
    assert!(count > 0, "{about}: nothing to compare");
    assert!(worst.0 <= 1.0, "{about}: element {}", worst.1);
}

#[test]
fn the_reference_knows_the_error_function() {
    // Abramowitz and Stegun, table 7.1.
    for (x, want) in [(0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
        assert!((erf(x) - want).abs() < 1e-10, "{x}");
    }
}
