//! Linear layers: every level, storage and epilogue, few rows and many.

use super::{U, U_BF16, check, contexts, gamma, numbers, wide};
use crate::kernels::Number;
use crate::{Context, Epilogue, Linear, Storage, Weights, reference};
use half::{bf16, f16};
use proptest::prelude::*;

const STORAGES: [Storage; 3] = [Storage::F32, Storage::Bf16, Storage::Int8];

/// The weights as stored, which the sums are held to.
pub(super) fn stored(layer: &Linear) -> Vec<f32> {
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

pub(super) fn layer(outputs: usize, inputs: usize, storage: Storage, bias: &[f32]) -> Linear {
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
fn every_weight_is_kept_in_its_place() {
    let mut seed = 7_u32;
    let mut value = move |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as i8
    };
    for (outputs, inputs) in [1, 31, 32, 33, 64, 97]
        .into_iter()
        .flat_map(|outputs| [1, 3, 4, 31, 32, 33, 63, 64, 65, 67, 130, 195].map(|inputs| (outputs, inputs)))
    {
        let data: Vec<i8> = (0..outputs * inputs).map(&mut value).collect();
        let want: Vec<f32> = data.iter().map(|&q| f32::from(q)).collect();
        let scale = vec![1.0; outputs];
        for storage in STORAGES {
            let whole = Weights::Int8 { data: &data, scale: &scale };
            let layer = Linear::new(whole, None, outputs, inputs, storage).unwrap();
            assert_eq!(stored(&layer), want, "[{outputs}, {inputs}] as {storage:?}");
        }
        // Each row's largest is 127, so that its scale is 1.
        let clamped: Vec<f32> = want
            .iter()
            .enumerate()
            .map(|(i, &v)| if i % inputs == 0 { 127.0 } else { v.max(-127.0) })
            .collect();
        for storage in STORAGES {
            let layer = Linear::new(Weights::F32(&clamped), None, outputs, inputs, storage).unwrap();
            assert_eq!(stored(&layer), clamped, "floats [{outputs}, {inputs}] as {storage:?}");
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
