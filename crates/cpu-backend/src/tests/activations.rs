//! What linear layers round activations to, in each type, and that they do no more.

use super::linear::{layer, stored};
use super::{check, contexts, gamma, numbers, wide};
use crate::{Context, Epilogue, Linear, Storage, Weights, reference};
use half::bf16;

/// The rounding of activations must be there where it is said to be, and nowhere else.
#[test]
fn bf16_activations_are_rounded_to_nearest_even() {
    let Some(ctx) = contexts().into_iter().find(Context::bf16_products) else {
        eprintln!("skipped: this machine has no bf16 products");
        return;
    };
    // Ones in the diagonal give back the activations.
    let eye: Vec<f32> = (0..70 * 70).map(|i| if i % 71 == 0 { 1.0 } else { 0.0 }).collect();
    let layer = Linear::new(Weights::F32(&eye), None, 70, 70, Storage::Bf16).unwrap();
    let x = numbers(1, 12 * 70);
    let mut y = vec![0.0; 12 * 70];
    layer.forward(&ctx, &x, 12, &mut y, Epilogue::None);
    assert!(x.iter().zip(&y).all(|(x, y)| bf16::from_f32(*x).to_f32() == *y));
    layer.forward(&ctx.with_f32_activations(), &x, 12, &mut y, Epilogue::None);
    assert_eq!(x, y);
}

/// Any count of rows, at AVX2 a few, with activations off by at most half a step, a 65534th of a row's largest number. Whole
/// numbers up to ∓32767 are exact, and so are their sums up to 2²⁴.
#[test]
fn int16_activations_are_rounded_to_half_a_step() {
    let contexts = contexts().into_iter().map(Context::with_int16_activations);
    let contexts: Vec<_> = contexts.filter(Context::word_products).collect();
    if contexts.is_empty() {
        eprintln!("skipped: this machine has no integer products");
    }
    for ctx in contexts {
        for (inputs, outputs) in [(1, 1), (3, 5), (16, 32), (17, 31), (64, 33), (1030, 70), (2048, 40)] {
            let bias = numbers(9, outputs);
            let layer = layer(outputs, inputs, Storage::Int8, &bias);
            let w = wide(&stored(&layer));
            let most_rows = if ctx.level().multiplies_many_words() { 100 } else { 8 };
            let counts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 47, 48, 49, 100];
            for rows in counts.into_iter().filter(|&rows| rows <= most_rows) {
                let whole = |i: usize| {
                    if i.is_multiple_of(inputs) { -32767.0 } else { (i * 377 % 65535) as f32 - 32767.0 }
                };
                let whole: Vec<f32> = (0..rows * inputs).map(whole).collect();
                for (x, exact) in [(whole, true), (numbers(5, rows * inputs), false)] {
                    for epilogue in [Epilogue::None, Epilogue::Gelu, Epilogue::Residual] {
                        let before = numbers(6, rows * outputs);
                        let mut y = before.clone();
                        layer.forward(&ctx, &x, rows, &mut y, epilogue);
                        let mut want = reference::linear(&wide(&x), &w, &wide(&bias), outputs, inputs);
                        match epilogue {
                            Epilogue::None => {}
                            Epilogue::Gelu => want.iter_mut().for_each(|v| *v = reference::gelu(*v)),
                            Epilogue::Residual => {
                                want.iter_mut().zip(&before).for_each(|(v, b)| *v += f64::from(*b));
                            }
                        }
                        check(
                            &format!("{ctx:?} {epilogue:?} [{rows}, {inputs}] → {outputs}"),
                            &y,
                            &want,
                            |i| {
                                let row = &x[i / outputs * inputs..][..inputs];
                                let most = row.iter().fold(0.0_f64, |m, &v| m.max(f64::from(v).abs()));
                                let size: f64 =
                                    w[i % outputs * inputs..][..inputs].iter().map(|w| w.abs()).sum();
                                // Either byte's sum rounds, up to the size and to a 256th of it; then their sum, two scales,
                                // bias and residual, and the step and its inverse did.
                                let rounding = 10.0 * super::U * (size * most + 2.0);
                                let bound = rounding + if exact { 0.0 } else { size * most / 65534.0 };
                                if epilogue == Epilogue::Gelu {
                                    1.13 * bound + 2e-7 * want[i].abs().max(1.0)
                                } else {
                                    bound
                                }
                            },
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn int16_activations_that_are_no_numbers_give_none() {
    for ctx in contexts().into_iter().map(Context::with_int16_activations) {
        let layer = layer(33, 20, Storage::Int8, &[]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = numbers(1, 3 * 20);
            x[20 + 17] = bad;
            let mut y = vec![0.0; 3 * 33];
            layer.forward(&ctx, &x, 3, &mut y, Epilogue::None);
            assert!(
                y.chunks(33).enumerate().all(|(row, y)| y.iter().all(|v| v.is_finite() == (row != 1))),
                "{ctx:?} {bad}"
            );
        }
        let mut y = vec![f32::NAN; 2 * 33];
        layer.forward(&ctx, &[0.0; 40], 2, &mut y, Epilogue::None);
        assert!(y.iter().all(|&v| v == 0.0), "{ctx:?}: nothing gives nothing");
    }
}

/// At the AVX2 level: off by at most half of the steps that sums of 32 bits leave; whole numbers that steps of one make are
/// exact, and so are the largest sums.
#[test]
fn short_activations_are_rounded_to_half_a_step() {
    let contexts = contexts()
        .into_iter()
        .flat_map(|ctx| [ctx.clone().with_int8_activations(), ctx.with_int16_activations()]);
    for ctx in contexts.filter(Context::i16_products) {
        for (rows, inputs, outputs) in
            [(9, 1, 1), (10, 3, 5), (12, 64, 32), (13, 515, 70), (25, 2048, 33), (9, 8191, 2), (9, 8192, 2)]
        {
            let steps = (i32::MAX / 128 / inputs as i32).min(32767) as f32;
            let whole: Vec<f32> = (0..rows * inputs)
                .map(|i| if i % inputs == 0 { -steps } else { (i * 377) as f32 % (2.0 * steps) - steps })
                .collect();
            let layer = layer(outputs, inputs, Storage::Int8, &[]);
            let w = wide(&stored(&layer));
            for (x, exact) in [(whole, true), (numbers(5, rows * inputs), false)] {
                let mut y = vec![f32::NAN; rows * outputs];
                layer.forward(&ctx, &x, rows, &mut y, Epilogue::None);
                let want = reference::linear(&wide(&x), &w, &[], outputs, inputs);
                check(&format!("{ctx:?} [{rows}, {inputs}] → {outputs}, exact {exact}"), &y, &want, |i| {
                    let row = &x[i / outputs * inputs..][..inputs];
                    let most = row.iter().fold(0.0_f64, |m, &v| m.max(f64::from(v).abs()));
                    let size: f64 = w[i % outputs * inputs..][..inputs].iter().map(|w| w.abs()).sum();
                    // The sum, a scale twice, and the step and its inverse round.
                    let rounding = 8.0 * super::U * size * most;
                    if exact { rounding } else { rounding + size * most / (2.0 * f64::from(steps)) }
                });
            }
        }
        for inputs in [512, 513, 2048, 8192, 8193] {
            let (least, scale) = (vec![-128_i8; inputs], [1.0]);
            let weights = Weights::Int8 { data: &least, scale: &scale };
            let layer = Linear::new(weights, None, 1, inputs, Storage::Int8).unwrap();
            for (rows, sign) in [1, 2, 3, 9].into_iter().flat_map(|rows| [(rows, 1.0), (rows, -1.0)]) {
                let mut y = vec![0.0; rows];
                layer.forward(&ctx, &vec![sign; rows * inputs], rows, &mut y, Epilogue::None);
                let want = vec![-128.0 * f64::from(sign) * inputs as f64; rows];
                check(&format!("{ctx:?} {inputs}"), &y, &want, |_| gamma(inputs) * 128.0 * inputs as f64);
            }
        }
        let layer = layer(33, 20, Storage::Int8, &[]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [3, 17] {
                let mut x = numbers(1, 10 * 20);
                x[20 + at] = bad;
                let mut y = vec![0.0; 10 * 33];
                layer.forward(&ctx, &x, 10, &mut y, Epilogue::None);
                let finite = |(row, y): (usize, &[f32])| y.iter().all(|v| v.is_finite() == (row != 1));
                assert!(y.chunks(33).enumerate().all(finite), "{ctx:?} {bad} at {at}");
            }
        }
        for size in [0.0_f32, 1e-45, 1e-38, 1e36] {
            let x: Vec<f32> = numbers(1, 9 * 20).iter().map(|x| x * size).collect();
            let mut y = vec![f32::NAN; 9 * 33];
            layer.forward(&ctx, &x, 9, &mut y, Epilogue::None);
            let w = wide(&stored(&layer));
            let want = reference::linear(&wide(&x), &w, &[], 33, 20);
            let bound = |i: usize| {
                let weights: f64 = w[i % 33 * 20..][..20].iter().map(|w| w.abs()).sum();
                weights * (f64::from(size) / 65534.0 + f64::from(f32::MIN_POSITIVE))
            };
            check(&format!("{ctx:?} numbers of {size:e}"), &y, &want, bound);
        }
    }
}

/// Whole activations in −128…127 are exact in 8 bits; others are off by at most half a step, a 510th of their range.
#[test]
fn int8_activations_are_rounded_to_half_a_step() {
    let contexts = contexts().into_iter().map(Context::with_int8_activations);
    let Some(ctx) = contexts.into_iter().find(Context::int8_products) else {
        eprintln!("skipped: this machine has no integer products");
        return;
    };
    for (rows, inputs, outputs) in [(9, 3, 5), (12, 64, 32), (100, 1030, 70), (25, 2048, 33)] {
        let layer = layer(outputs, inputs, Storage::Int8, &[]);
        let w = wide(&stored(&layer));
        let whole: Vec<f32> = (0..rows * inputs).map(|i| (i * 37 % 256) as f32 - 128.0).collect();
        let any = numbers(5, rows * inputs);
        for (x, exact) in [(whole, true), (any, false)] {
            let mut x = x;
            if exact {
                x.chunks_exact_mut(inputs).for_each(|row| (row[0], row[1]) = (-128.0, 127.0));
            }
            let mut y = vec![0.0; rows * outputs];
            layer.forward(&ctx, &x, rows, &mut y, Epilogue::None);
            let want = reference::linear(&wide(&x), &w, &[], outputs, inputs);
            check(&format!("{ctx:?} [{rows}, {inputs}] → {outputs}, exact {exact}"), &y, &want, |i| {
                let row = &x[i / outputs * inputs..][..inputs];
                let most = row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                let size: f64 = w[i % outputs * inputs..][..inputs].iter().map(|w| w.abs()).sum();
                // The sums, the zero points' share of them (each up to twice the size) and the scales round.
                let rounding = 16.0 * super::U * size * f64::from(most);
                let range =
                    row.iter().fold(0.0_f32, |m, v| m.max(*v)) - row.iter().fold(0.0_f32, |m, v| m.min(*v));
                if exact { rounding } else { rounding + size * f64::from(range) / 510.0 }
            });
        }
    }
    // Ranges near both ends of f32: 1e-45 is its least number. Weights are such that sums of its largest stay in it.
    let small: Vec<f32> = numbers(7, 5 * 64).iter().map(|w| w / 64.0).collect();
    let layer = Linear::new(Weights::F32(&small), None, 5, 64, Storage::Int8).unwrap();
    let w = wide(&stored(&layer));
    let reaching = |low: f32, high: f32| {
        (0..9 * 64).map(|i| [low, high, 0.0, high * 0.5][i % 64 % 4]).collect::<Vec<f32>>()
    };
    for (low, high) in [1e-30, 1e-36, 5e-37, 1e-38, 1e-40, 1e-45].map(|high| (0.0, high)).into_iter().chain([
        (-1e-37, 0.0),
        (-1e-37, 1e-37),
        (-3e38, 3e38),
        (-f32::MAX, f32::MAX),
        (0.0, 0.0),
    ]) {
        let (x, mut y) = (reaching(low, high), vec![0.0; 9 * 5]);
        layer.forward(&ctx, &x, 9, &mut y, Epilogue::None);
        let want = reference::linear(&wide(&x), &w, &[], 5, 64);
        check(&format!("{ctx:?} {low:e}…{high:e}"), &y, &want, |i| {
            let size: f64 = w[i % 5 * 64..][..64].iter().map(|w| w.abs()).sum();
            let half_step =
                ((f64::from(high) - f64::from(low)) / 510.0).max(f64::from(f32::MIN_POSITIVE) / 2.0);
            size * (half_step + 16.0 * super::U * f64::from(high.max(-low))) + f64::from(f32::MIN_POSITIVE)
        });
    }

    let mut x = vec![1.0; 9 * 64];
    x[64 + 3] = f32::INFINITY;
    let mut y = vec![0.0; 9 * 5];
    layer.forward(&ctx, &x, 9, &mut y, Epilogue::None);
    assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i / 5 == 1)), "{y:?}");
}

/// The largest sums that 8 bits make, at the last depth whose sums 32 bits hold and beyond it.
#[test]
fn int8_products_do_not_overflow() {
    for inputs in [65_792, 65_793, 70_000] {
        let (whole, scale, rows) = (vec![-128_i8; inputs], [1.0], 9);
        let weights = Weights::Int8 { data: &whole, scale: &scale };
        let layer = Linear::new(weights, None, 1, inputs, Storage::Int8).unwrap();
        let narrow = |ctx: Context| [ctx.clone().with_int8_activations(), ctx.with_int16_activations()];
        for ctx in contexts().into_iter().flat_map(narrow) {
            let mut y = vec![0.0; rows];
            layer.forward(&ctx, &vec![1.0; rows * inputs], rows, &mut y, Epilogue::None);
            let want = vec![-128.0 * inputs as f64; rows];
            check(&format!("{ctx:?} {inputs}"), &y, &want, |_| gamma(inputs) * 128.0 * inputs as f64);
        }
    }
}

/// A few numbers that tower over the rest of a row keep their size, and the rest keeps steps of its own range.
#[test]
fn int8_steps_are_those_of_a_row_without_its_outliers() {
    let contexts = contexts().into_iter().map(Context::with_int8_activations);
    for ctx in contexts.filter(Context::int8_products) {
        let (rows, inputs, outputs) = (40, 515, 35);
        let layer = layer(outputs, inputs, Storage::Int8, &[]);
        let w = wide(&stored(&layer));
        let mut x = numbers(7, rows * inputs);
        for (i, row) in x.chunks_exact_mut(inputs).enumerate() {
            // The least, the greatest or both; one lies in the last, half empty group of weights.
            row[i] = [-400.0, 1000.0][i % 2];
            row[17 + i] = 300.0;
            row[inputs - 1] = -50.0;
        }
        let mut y = vec![0.0; rows * outputs];
        layer.forward(&ctx, &x, rows, &mut y, Epilogue::None);
        let want = reference::linear(&wide(&x), &w, &[], outputs, inputs);
        check(&format!("{ctx:?}"), &y, &want, |i| {
            let row = &w[i % outputs * inputs..][..inputs];
            let (size, most) =
                row.iter().fold((0.0, 0.0_f64), |(sum, most), w| (sum + w.abs(), most.max(w.abs())));
            // Half a step of the range −1…1, and rounding of the outliers' own products in f32.
            size * 2.0 / 510.0 + 16.0 * super::U * (size * 2.0 + most * 1750.0)
        });
    }
}

/// Rows whose numbers are mostly zeros have no narrower range than their own.
#[test]
fn int8_rows_of_little_else_than_zeros() {
    let contexts = contexts().into_iter().map(Context::with_int8_activations);
    for ctx in contexts.filter(Context::int8_products) {
        let (rows, inputs, outputs) = (12, 64, 32);
        let layer = layer(outputs, inputs, Storage::Int8, &[]);
        let w = wide(&stored(&layer));
        let mut x = vec![0.0; rows * inputs];
        x.chunks_exact_mut(inputs).enumerate().for_each(|(i, row)| row[i] = i as f32 - 3.0);
        let mut y = vec![f32::NAN; rows * outputs];
        layer.forward(&ctx, &x, rows, &mut y, Epilogue::None);
        let want = reference::linear(&wide(&x), &w, &[], outputs, inputs);
        check(&format!("{ctx:?}"), &y, &want, |i| 16.0 * super::U * want[i].abs() + 1e-30);
    }
}
