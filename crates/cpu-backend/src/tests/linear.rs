//! Linear layers: every level, storage and epilogue, few rows and many.

use super::{U, U_BF16, check, contexts, gamma, numbers, wide};
use crate::kernels::Number;
use crate::{Context, Epilogue, Linear, Storage, Weights, reference};
use half::{bf16, f16};
use proptest::prelude::*;

const STORAGES: [Storage; 3] = [Storage::F32, Storage::Bf16, Storage::Int8];

/// The weights as stored, which the sums are held to.
fn stored(layer: &Linear) -> Vec<f32> {
    let mut all = vec![0.0; layer.outputs() * layer.inputs()];
    if layer.inputs() > 0 {
        all.chunks_exact_mut(layer.inputs()).enumerate().for_each(|(o, row)| layer.row(o, row));
    }
    all
}

/// Checks one product against f64. The bound: `in` products and sums, bias, residual and the scale of int8 are at
/// most `in + 4` roundings of numbers no larger than Σ|x·w| + |b| + |y₀|; GELU's slope is below 1.13 and its own
/// error below 2e-7 · max(1, |v|).
fn check_forward(ctx: &Context, layer: &Linear, bias: &[f32], rows: usize, epilogue: Epilogue, seed: u64) {
    let (outputs, inputs) = (layer.outputs(), layer.inputs());
    let x = numbers(seed, rows * inputs);
    let before = numbers(seed + 1, rows * outputs);
    let mut y = before.clone();
    layer.forward(ctx, &x, rows, &mut y, epilogue);

    let w = stored(layer);
    let mut want = reference::linear(&wide(&x), &wide(&w), &wide(bias), outputs, inputs);
    let size = |v: &[f32]| v.iter().map(|v| f64::from(v.abs())).collect::<Vec<_>>();
    let mut sizes = reference::linear(&size(&x), &size(&w), &size(bias), outputs, inputs);
    if inputs == 0 {
        want = (0..rows * outputs).map(|i| bias.get(i % outputs).map_or(0.0, |&b| f64::from(b))).collect();
        sizes = want.iter().map(|v| v.abs()).collect();
    }
    match epilogue {
        Epilogue::None => {}
        Epilogue::Gelu => want.iter_mut().for_each(|v| *v = reference::gelu(*v)),
        Epilogue::Residual => {
            want.iter_mut().zip(&before).for_each(|(v, b)| *v += f64::from(*b));
            sizes.iter_mut().zip(&before).for_each(|(v, b)| *v += f64::from(b.abs()));
        }
    }
    let what = format!("{ctx:?} {:?} {epilogue:?} [{rows}, {inputs}] → {outputs}", layer.storage());
    let narrow = rows > 8 && layer.storage() == Storage::Bf16 && ctx.bf16_products();
    let narrowing = if narrow { U_BF16 } else { 0.0 };
    // In 8 bits they are off by half a step of their row; the sums, their zero points' share and the scales round.
    let int8 = rows > 8 && layer.operand(ctx) == Number::U8;
    let spread = |row: &[f32]| {
        let (low, high) = row.iter().fold((0.0_f32, 0.0_f32), |(low, high), &v| (low.min(v), high.max(v)));
        f64::from(high - low) / 510.0 + 16.0 * U * f64::from(high.max(-low))
    };
    let off: Vec<f64> = if int8 { x.chunks(inputs.max(1)).map(spread).collect() } else { vec![0.0; rows] };
    let weigh = |o: usize| w[o * inputs..][..inputs].iter().map(|w| f64::from(w.abs())).sum::<f64>();
    let weight: Vec<f64> = (0..outputs).map(weigh).collect();
    check(&what, &y, &want, |i| {
        let half_step = off.get(i / outputs).map_or(0.0, |off| off * weight[i % outputs]);
        let sums = half_step + (gamma(inputs + 4) * (1.0 + narrowing) + narrowing) * sizes[i] + 1e-30;
        if epilogue == Epilogue::Gelu { 1.13 * sums + 2e-7 * sizes[i].max(1.0) } else { sums }
    });
}

fn layer(outputs: usize, inputs: usize, storage: Storage, bias: &[f32]) -> Linear {
    let w = numbers(7, outputs * inputs);
    let bias = (!bias.is_empty()).then_some(bias);
    Linear::new(Weights::F32(&w), bias, outputs, inputs, storage).unwrap()
}

/// Every context with every storage, and integer products where there are any.
fn cases() -> Vec<(Context, Storage)> {
    let int8 = contexts().into_iter().map(Context::with_int8_activations).filter(Context::int8_products);
    let int8 = int8.map(|ctx| (ctx, Storage::Int8));
    contexts()
        .into_iter()
        .flat_map(|ctx| STORAGES.map(|storage| (ctx.clone(), storage)))
        .chain(int8)
        .collect()
}

#[test]
fn every_edge_shape() {
    let sizes = [1, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65];
    for (ctx, storage) in cases() {
        for (i, outputs) in sizes.into_iter().enumerate() {
            for (j, inputs) in sizes.into_iter().enumerate() {
                let bias = if (i + j) % 3 == 0 { Vec::new() } else { numbers(3, outputs) };
                let layer = layer(outputs, inputs, storage, &bias);
                let rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 25][(i * 5 + j) % 12];
                let epilogue = [Epilogue::None, Epilogue::Gelu, Epilogue::Residual][(i + j) % 3];
                check_forward(&ctx, &layer, &bias, rows, epilogue, 11);
            }
        }
    }
}

#[test]
fn every_row_count_and_epilogue_over_several_depth_passes() {
    for (ctx, storage) in cases() {
        let bias = numbers(3, 70);
        let layer = layer(70, 530, storage, &bias);
        for rows in [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 95, 96, 97, 200] {
            for epilogue in [Epilogue::None, Epilogue::Gelu, Epilogue::Residual] {
                check_forward(&ctx, &layer, &bias, rows, epilogue, 5);
            }
        }
    }
}

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

/// Any count of rows, with activations off by at most half a step, a 65534th of a row's largest number. Whole numbers up to
/// ∓32767 are exact, and so are their sums up to 2²⁴.
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
            for rows in [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 47, 48, 49, 100] {
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

#[test]
fn nothing_in_or_out() {
    for ctx in contexts() {
        for storage in STORAGES {
            for rows in [1, 20] {
                let bias = numbers(3, 40);
                check_forward(&ctx, &layer(40, 0, storage, &bias), &bias, rows, Epilogue::None, 1);
            }
            layer(0, 8, storage, &[]).forward(&ctx, &[0.5; 16], 2, &mut [], Epilogue::None);
            layer(8, 8, storage, &[]).forward(&ctx, &[], 0, &mut [], Epilogue::Gelu);
        }
    }
}

#[test]
fn storing_rounds_to_nearest_even() {
    let w = numbers(9, 40 * 50);
    let narrow: Vec<f16> = w.iter().map(|&v| f16::from_f32(v)).collect();
    let mut row = vec![0.0; 50];
    let exact = Linear::new(Weights::F16(&narrow), None, 40, 50, Storage::F32).unwrap();
    exact.row(33, &mut row);
    assert!(row.iter().zip(&narrow[33 * 50..]).all(|(r, n)| *r == n.to_f32()));

    let rounded = Linear::new(Weights::F32(&w), None, 40, 50, Storage::Bf16).unwrap();
    rounded.row(39, &mut row);
    for (r, w) in row.iter().zip(&w[39 * 50..]) {
        assert_eq!(*r, bf16::from_f32(*w).to_f32());
        assert!((r - w).abs() <= w.abs() / 256.0);
    }

    // Ties: 0.5 and 1.5 steps of scale 1 go to the even number.
    let ties = [127.0, 0.5, 1.5, -0.5, -2.5, 3.49];
    let quantised = Linear::new(Weights::F32(&ties), None, 1, 6, Storage::Int8).unwrap();
    let mut row = [0.0; 6];
    quantised.row(0, &mut row);
    assert_eq!(row, [127.0, 0.0, 2.0, 0.0, -2.0, 3.0]);
}

#[test]
fn int8_weights_stay_as_they_are_and_zero_rows_are_zero() {
    let data: Vec<i8> = (0..40 * 20).map(|i| (i * 37 % 256 - 128) as i8).collect();
    let scale = numbers(2, 40);
    let weights = Weights::Int8 { data: &data, scale: &scale };
    let layer = Linear::new(weights, None, 40, 20, Storage::Int8).unwrap();
    let mut row = [0.0; 20];
    for o in 0..40 {
        layer.row(o, &mut row);
        for (i, v) in row.iter().enumerate() {
            assert_eq!(*v, f32::from(data[o * 20 + i]) * scale[o], "{o} {i}");
        }
    }
    let zero = Linear::new(Weights::F32(&[0.0; 12]), None, 3, 4, Storage::Int8).unwrap();
    let mut y = [1.0; 3];
    zero.forward(&contexts()[0], &[1.0; 4], 1, &mut y, Epilogue::None);
    assert_eq!(y, [0.0; 3]);
}

#[test]
fn wrong_lengths_and_infinities_are_errors() {
    let w = [1.0, f32::INFINITY];
    let error = |w, bias, o, i, s| Linear::new(w, bias, o, i, s).unwrap_err().to_string();
    assert!(error(Weights::F32(&w), None, 2, 2, Storage::F32).contains("holds 2 numbers"));
    assert!(error(Weights::F32(&w), None, usize::MAX, 2, Storage::F32).contains("holds 2 numbers"));
    assert!(error(Weights::F32(&w), Some(&[1.0]), 2, 1, Storage::F32).contains("bias holds 1"));
    assert!(error(Weights::F32(&w), None, 2, 1, Storage::Int8).contains("row 1"));
    let int8 = Weights::Int8 { data: &[1, 2], scale: &[1.0] };
    assert!(error(int8, None, 2, 1, Storage::Int8).contains("scale holds 1"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_shape(rows in 1usize..40, outputs in 1usize..100, inputs in 1usize..300, pick in 0usize..9, seed: u64) {
        let bias = numbers(seed, outputs);
        let layer = layer(outputs, inputs, STORAGES[pick % 3], &bias);
        let epilogue = [Epilogue::None, Epilogue::Gelu, Epilogue::Residual][pick / 3];
        for (ctx, _) in cases().into_iter().filter(|(_, storage)| *storage == layer.storage()) {
            check_forward(&ctx, &layer, &bias, rows, epilogue, seed / 2);
        }
    }
}
