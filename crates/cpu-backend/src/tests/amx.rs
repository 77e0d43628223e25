//! The AMX level as a whole, on the processor where it has a tile unit and on the model of one: against AVX-512, which
//! does the same arithmetic in other registers.

use super::{U_BF16, check, numbers, wide};
use crate::kernels::tiles_are_configured;
use crate::{Context, Epilogue, Level, LevelKind, Linear, Mask, Storage, Weights, attention, reference};
use half::bf16;

/// The AMX level on the processor and on the model, where this machine has what they need; says what it has not.
fn levels() -> Vec<Level> {
    let processor = Level::require(LevelKind::Amx);
    if let Err(error) = &processor {
        eprintln!("skipped on the processor: {error}");
    }
    let model = Level::modelled_amx();
    if model.is_none() {
        eprintln!("skipped on the model: no AVX-512 with VNNI and BF16 for what is not tiles");
    }
    processor.ok().into_iter().chain(model).collect()
}

fn forward(ctx: &Context, layer: &Linear, rows: usize, epilogue: Epilogue) -> Vec<f32> {
    let x = numbers(5, rows * layer.inputs());
    let mut y = numbers(6, rows * layer.outputs());
    layer.forward(ctx, &x, rows, &mut y, epilogue);
    y
}

/// Sums of bytes are exact, sums of f32 are made in the same order, and all else is the same code.
#[test]
fn bytes_and_f32_are_as_avx512_has_them_to_the_last_bit() {
    for level in levels() {
        let avx512 = Level::new(LevelKind::Avx512).unwrap();
        for (rows, inputs, outputs) in [(9, 3, 5), (32, 64, 32), (33, 530, 70), (100, 64, 33), (65, 256, 96)]
        {
            let w = numbers(7, outputs * inputs);
            for storage in [Storage::F32, Storage::Int8] {
                let layer =
                    Linear::new(Weights::F32(&w), Some(&numbers(3, outputs)), outputs, inputs, storage)
                        .unwrap();
                for epilogue in [Epilogue::None, Epilogue::Gelu, Epilogue::Residual] {
                    let at = |level| {
                        let ctx = Context::single(level).with_int8_activations();
                        forward(&ctx, &layer, rows, epilogue)
                    };
                    assert!(at(level) == at(avx512), "{level} {storage:?} [{rows}, {inputs}] → {outputs}");
                }
            }
        }
    }
}

/// Ones in the diagonal give back the activations, rounded to bf16 to nearest even: each sum is one number and zeros.
#[test]
fn bf16_products_round_the_activations_only() {
    for level in levels() {
        let eye: Vec<f32> = (0..70 * 70).map(|i| if i % 71 == 0 { 1.0 } else { 0.0 }).collect();
        let layer = Linear::new(Weights::F32(&eye), None, 70, 70, Storage::Bf16).unwrap();
        let x = numbers(1, 45 * 70);
        let mut y = vec![0.0; x.len()];
        layer.forward(&Context::single(level), &x, 45, &mut y, Epilogue::None);
        assert!(x.iter().zip(&y).all(|(x, y)| bf16::from_f32(*x).to_f32() == *y), "{level}");
    }
}

/// Attention in bf16: operands, and the weights of the values, are rounded to 8 bits, by up to 2⁻⁸ each. Scores of a
/// head of 64 numbers below 1 in size are below 8, and move by at most 2 · 2⁻⁸ of that.
#[test]
fn attention_within_the_rounding_of_bf16() {
    for level in levels() {
        for (queries, keys, mask) in [(1, 33, Mask::None), (33, 300, Mask::None), (70, 70, Mask::Causal)] {
            let (q, k, v) = (numbers(1, queries * 128), numbers(2, keys * 128), numbers(3, keys * 128));
            let mut got = vec![f32::NAN; q.len()];
            attention(&Context::single(level), &q, &k, &v, 2, 64, mask, 0.125, &mut got);
            let sees =
                |row: usize| if mask == Mask::None { keys } else { (keys + row + 1).saturating_sub(queries) };
            let want = reference::attention(&wide(&q), &wide(&k), &wide(&v), 2, 64, sees, 0.125);
            let rounding = U_BF16;
            let bound = 2.0 * (2.0 * rounding * 8.0) + 2.0 * rounding;
            check(&format!("{level} {mask:?}, {queries} queries, {keys} keys"), &got, &want, |_| bound);
        }
    }
}

#[test]
fn no_thread_keeps_its_tile_registers() {
    for level in levels() {
        let ctx = Context::new(level, 2).unwrap();
        let layer = Linear::new(Weights::F32(&numbers(1, 64 * 64)), None, 64, 64, Storage::Bf16).unwrap();
        forward(&ctx, &layer, 200, Epilogue::None);
        assert!(!tiles_are_configured(), "{level}: the caller's");
        ctx.run(2, |_| assert!(!tiles_are_configured(), "{level}: the pool's"));
    }
}
