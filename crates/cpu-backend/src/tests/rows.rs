//! Row operations.

use super::{U, check, contexts, gamma, levels, numbers, wide};
use crate::kernels::{Columns, Ending, PANEL, RowScale};
use crate::{add, gelu, layer_norm, reference, softmax};

const SIZES: [usize; 14] = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1500];

#[test]
fn the_oracle_knows_the_error_function() {
    // Abramowitz and Stegun, table 7.1, and erfc(5) from the DLMF.
    for (x, want) in
        [(0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0), (2.9, 0.999_958_902_1)]
    {
        assert!((reference::erf(x) - want).abs() < 1e-10, "{x}: {}", reference::erf(x));
        assert_eq!(reference::erf(-x), -reference::erf(x));
    }
    assert!((1.0 - reference::erf(5.0) - 1.537_459_794e-12).abs() < 1e-15);
    assert!((reference::erf(2.999_999) - reference::erf(3.000_001)).abs() < 1e-9);
}

/// The exponential alone is seen through a softmax of two: e^x / (1 + e^x), where for x < −18 the sum is 1.
#[test]
fn exponential_within_one_and_a_half_ulp() {
    for ctx in contexts() {
        let mut worst = (0.0_f64, 0.0);
        for i in 0..400_000 {
            let x = -18.0 - f64::from(i) * 1.7e-4;
            let mut row = [0.0, x as f32];
            softmax(&ctx, &mut row, 2);
            let want = f64::from(x as f32).exp();
            let ulp = 2.0_f64.powi(want.log2().floor() as i32 - 23);
            let off = (f64::from(row[1]) - want).abs() / ulp;
            if off > worst.0 {
                worst = (off, x);
            }
        }
        eprintln!("{ctx:?}: exponential at most {:.3} ulp off, at {}", worst.0, worst.1);
        assert!(worst.0 <= 1.5, "{ctx:?}: {} ulp at {}", worst.0, worst.1);
        // Subnormal results, and none at all.
        for (x, want) in [(-88.0, 6.054_601e-39), (-103.0, 1.4e-45), (-110.0, 0.0), (f32::NEG_INFINITY, 0.0)]
        {
            let mut row = [0.0, x];
            softmax(&ctx, &mut row, 2);
            assert!((row[1] - want).abs() <= 2e-45, "{ctx:?}: e^{x} got {} want {want}", row[1]);
        }
    }
}

/// Softmax: the exponentials are 1.5 ulp (3u) off after a subtraction whose rounding (u·|x − max|) they magnify;
/// the sum of n adds γₙ, the inverse and the product 2u.
#[test]
fn softmax_of_every_length() {
    for ctx in contexts() {
        for n in SIZES {
            let rows = 20;
            let x: Vec<f32> = numbers(4, rows * n).iter().map(|v| v * 20.0).collect();
            let mut y = x.clone();
            softmax(&ctx, &mut y, n);
            let want: Vec<f64> = wide(&x).chunks(n).flat_map(reference::softmax).collect();
            check(&format!("{ctx:?} softmax of {n}"), &y, &want, |i| {
                want[i] * (gamma(n + 6) + 2.0 * 41.0 * U)
            });
        }
        softmax(&ctx, &mut [], 5);
        let mut odd = [f32::NAN, 1.0, 2.0];
        softmax(&ctx, &mut odd, 3);
        assert!(odd[0].is_nan(), "{ctx:?}: a NaN got lost: {odd:?}");
    }
}

#[test]
fn gelu_is_the_exact_one() {
    for ctx in contexts() {
        let x: Vec<f32> = (-140_000..140_000).map(|i| i as f32 * 1e-4).collect();
        let mut y = x.clone();
        gelu(&ctx, &mut y);
        let want: Vec<f64> = x.iter().map(|&v| reference::gelu(f64::from(v))).collect();
        let worst = y
            .iter()
            .zip(&want)
            .zip(&x)
            .map(|((g, w), x)| (f64::from(*g) - w).abs() / f64::from(x.abs().max(1.0)));
        eprintln!("{ctx:?}: GELU at most {:.2e} · max(1, |x|) off", worst.fold(0.0, f64::max));
        check(&format!("{ctx:?} gelu"), &y, &want, |i| 2e-7 * f64::from(x[i].abs().max(1.0)));
        for n in SIZES {
            let mut part = x[100_000..100_000 + n].to_vec();
            gelu(&ctx, &mut part);
            assert_eq!(part, y[100_000..100_000 + n], "{ctx:?}: gelu of {n}");
        }
    }
}

#[test]
fn the_coarse_gelu_is_as_near_as_it_says() {
    let columns = Columns { scale: &[1.0; PANEL], sums: &[0.0; PANEL], bias: &[0.0; PANEL] };
    for level in levels() {
        let coarse = |x: &[f32]| {
            let mut y = x.to_vec();
            for row in y.as_chunks_mut::<PANEL>().0 {
                let sums = *row;
                level.finish_into(&sums, &[RowScale::ONE], columns, Ending::CoarseGelu, row, PANEL);
            }
            y
        };
        let x: Vec<f32> = (-160_000..160_000).map(|i| i as f32 * 1e-4).collect();
        let want: Vec<f64> = x.iter().map(|&x| reference::gelu(f64::from(x))).collect();
        let bound = |i: usize| if x[i].abs() <= 3.75 { 1e-4 } else { 2.5e-4 };
        check(&format!("{level:?} coarse gelu"), &coarse(&x), &want, bound);
        let mut odd = [0.0; PANEL];
        odd[..5].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN]);
        let got = coarse(&odd);
        assert!(got[0].is_nan() && got[1] == f32::INFINITY && got[3] == f32::MAX, "{level:?}: {got:?}");
        assert!(got[2].abs() <= 2.5e-4 && got[4].abs() <= 2.5e-4, "{level:?}: {got:?}");
    }
}

/// Layer norm: mean and variance carry γₙ each relative to the row's size, which the division by the deviation
/// magnifies; rows here have |mean| ≤ 3 · deviation.
#[test]
fn layer_norm_of_every_length() {
    for ctx in contexts() {
        for n in SIZES {
            let rows = 33;
            let x: Vec<f32> = numbers(6, rows * n).iter().map(|v| v * 3.0 + 1.0).collect();
            let (g, b) = (numbers(1, n), numbers(2, n));
            let mut y = vec![0.0; rows * n];
            layer_norm(&ctx, &x, &g, &b, 1e-5, &mut y);
            let (g64, b64) = (wide(&g), wide(&b));
            let rows64 = wide(&x);
            let want: Vec<f64> =
                rows64.chunks(n).flat_map(|row| reference::layer_norm(row, &g64, &b64, 1e-5)).collect();
            check(&format!("{ctx:?} layer norm of {n}"), &y, &want, |i| {
                let row = &rows64[i / n * n..][..n];
                let mean = row.iter().sum::<f64>() / n as f64;
                let deviation =
                    (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64 + 1e-5).sqrt();
                let largest = row.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                let normal = (row[i % n] - mean).abs() / deviation;
                // The mean's error over the deviation, the variance's relative error, the last three operations.
                let mean_error = gamma(n + 1) * largest / deviation;
                let variance_error = normal * (gamma(n + 6) + 2.0 * mean_error);
                (mean_error + variance_error + 4.0 * U * normal) * g64[i % n].abs()
                    + 2.0 * U * want[i].abs()
                    + 2.0 * U * b64[i % n].abs()
            });
        }
        layer_norm(&ctx, &[], &[1.0], &[0.0], 1e-5, &mut []);
    }
}

#[test]
fn sums_are_exact() {
    for ctx in contexts() {
        for n in [0, 1, 5, 16, 100, 50_001] {
            let (x, y) = (numbers(1, n), numbers(2, n));
            let mut got = x.clone();
            add(&ctx, &mut got, &y);
            assert!(got.iter().zip(x.iter().zip(&y)).all(|(g, (a, b))| *g == a + b), "{ctx:?} {n}");
        }
    }
}
