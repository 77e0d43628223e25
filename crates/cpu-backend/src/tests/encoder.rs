//! The encoder in one piece, against the same in f64.

use super::{U_BF16, check, contexts, gamma, numbers, wide};
use crate::{
    Block, Context, Convolution, Linear, Norm, Storage, Weights, Workspace, encode_blocks, encode_stem,
    reference,
};

const HEADS: usize = 2;
const D: usize = 128;
const FFN: usize = 160;

/// A layer, and its weights as they are kept.
struct Layer {
    linear: Linear,
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl Layer {
    fn new(seed: u64, outputs: usize, inputs: usize, storage: Storage) -> Self {
        let size = 1.0 / (inputs as f32).sqrt();
        let weights: Vec<f32> = numbers(seed, outputs * inputs).iter().map(|w| w * size).collect();
        let bias = numbers(seed + 1, outputs);
        let linear = Linear::new(Weights::F32(&weights), Some(&bias), outputs, inputs, storage).unwrap();
        let mut kept = vec![0.0; weights.len()];
        kept.chunks_exact_mut(inputs).enumerate().for_each(|(o, row)| linear.row(o, row));
        Self { linear, weights: wide(&kept), bias: wide(&bias) }
    }

    fn of(&self, x: &[f64]) -> Vec<f64> {
        reference::linear(x, &self.weights, &self.bias, self.linear.outputs(), self.linear.inputs())
    }
}

/// Query, key, value, out, fc1, fc2.
fn layers(seed: u64, storage: Storage) -> [Layer; 6] {
    let shapes = [(D, D), (D, D), (D, D), (D, D), (FFN, D), (D, FFN)];
    std::array::from_fn(|i| Layer::new(seed + 2 * i as u64, shapes[i].0, shapes[i].1, storage))
}

fn block<'a>(layers: &'a [Layer; 6], gamma: &'a [f32], beta: &'a [f32]) -> Block<'a> {
    let norm = Norm { gamma, beta };
    let [query, key, value, out, fc1, fc2] = layers.each_ref().map(|layer| &layer.linear);
    Block { heads: HEADS, attention_norm: norm, query, key, value, out, mlp_norm: norm, fc1, fc2 }
}

fn exactly(layers: &[Layer; 6], g: &[f64], b: &[f64], x: &[f64]) -> Vec<f64> {
    let norm = |x: &[f64]| -> Vec<f64> {
        x.chunks(D).flat_map(|row| reference::layer_norm(row, g, b, 1e-5)).collect()
    };
    let add = |x: &[f64], y: Vec<f64>| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x + y).collect() };
    let [query, key, value, out, fc1, fc2] = layers;
    let (h, keys) = (norm(x), x.len() / D);
    let (q, k, v) = (query.of(&h), key.of(&h), value.of(&h));
    let mixed =
        reference::attention(&q, &k, &v, HEADS, D / HEADS, |_| keys, 1.0 / (D as f64 / HEADS as f64).sqrt());
    let x = add(x, out.of(&mixed));
    let hidden: Vec<f64> = fc1.of(&norm(&x)).into_iter().map(reference::gelu).collect();
    add(&x, fc2.of(&hidden))
}

/// What the context's products round a number by, at most, relative to the largest beside it.
fn half_step(ctx: &Context, storage: Storage) -> f64 {
    match storage {
        // A 510th of a range that is at most twice the largest number.
        Storage::Int8 if ctx.int8_products() => 1.0 / 255.0,
        // Layers round less than attention's weights do.
        _ if ctx.i16_products() => 1.0 / 8190.0,
        _ if ctx.bf16_products() => U_BF16,
        _ => gamma(1),
    }
}

/// Two blocks, at row counts around those of tiles and tasks. Values, norms and sums of products here are a few units in
/// size; some twelve roundings of activations follow one another in a block, each spread over sums of ~100 random terms,
/// and the norms magnify by up to 4: 100 half steps are above what comes of it. In 8 bits that is wide; what a product of
/// bytes does with its zero points is held to half a step where it stands alone (`linear.rs`).
#[test]
fn blocks_in_one_piece() {
    let (g, b) = (numbers(40, D), numbers(41, D));
    for ctx in contexts().into_iter().flat_map(|ctx| [ctx.clone(), ctx.with_int8_activations()]) {
        for storage in [Storage::F32, Storage::Bf16, Storage::Int8] {
            let all = [layers(1, storage), layers(20, storage)];
            let blocks = all.each_ref().map(|layers| block(layers, &g, &b));
            let mut workspace = Workspace::new();
            for rows in [1, 11, 12, 13, 50, 131] {
                let mut x = numbers(50, rows * D);
                let mut want = wide(&x);
                for layers in &all {
                    want = exactly(layers, &wide(&g), &wide(&b), &want);
                }
                assert!(encode_blocks(&ctx, &blocks, D, &mut x, &mut workspace, || true));
                let bound = 100.0 * half_step(&ctx, storage);
                check(&format!("{ctx:?} {storage:?} {rows} rows"), &x, &want, |_| bound);
            }
        }
    }
}

#[test]
fn convolutions_in_one_piece() {
    for ctx in contexts() {
        for (storage, mels, frames) in [(Storage::F32, 8, 50), (Storage::Bf16, 80, 26), (Storage::F32, 36, 2)]
        {
            let (hidden, rows) = (64, frames / 2);
            let layers = [Layer::new(1, hidden, 3 * mels, storage), Layer::new(3, D, 3 * hidden, storage)];
            let (mel, positions) = (numbers(5, mels * frames), numbers(6, rows * D));
            let [first, second] = layers.each_ref().map(|layer| &layer.linear);
            let convolutions =
                [Convolution { layer: first, stride: 1 }, Convolution { layer: second, stride: 2 }];
            let mut y = vec![f32::NAN; rows * D];
            assert!(encode_stem(&ctx, convolutions, &mel, &positions, &mut y, &mut Workspace::new()));

            let by_frame: Vec<f64> =
                (0..frames * mels).map(|i| f64::from(mel[i % mels * frames + i / mels])).collect();
            let one = convolve(&layers[0], &by_frame, mels, 1);
            let mut want = convolve(&layers[1], &one, hidden, 2);
            want.iter_mut().zip(&positions).for_each(|(y, p)| *y += f64::from(*p));
            // Two products of at most 240 terms; sums of |x·w| stay below 16.
            let bound = 2.0 * 16.0 * (half_step(&ctx, storage) + gamma(240) + 1e-6);
            check(&format!("{ctx:?} {storage:?} {mels} × {frames}"), &y, &want, |_| bound);
        }
    }
}

fn convolve(layer: &Layer, x: &[f64], channels: usize, stride: usize) -> Vec<f64> {
    let frames = x.len() / channels;
    let mut rows = Vec::new();
    for t in (0..frames).step_by(stride) {
        for tap in 0..3 {
            match (t + tap).checked_sub(1) {
                Some(t) if t < frames => rows.extend_from_slice(&x[t * channels..(t + 1) * channels]),
                _ => rows.extend(vec![0.0; channels]),
            }
        }
    }
    layer.of(&rows).into_iter().map(reference::gelu).collect()
}

#[test]
fn what_does_not_fit_is_left_alone() {
    let ctx = &contexts()[0];
    let layers = layers(1, Storage::F32);
    let (g, b) = (numbers(40, D), numbers(41, D));
    let good = block(&layers, &g, &b);
    assert!(good.fits(D));
    assert!(!Block { heads: 3, ..good }.fits(D) && !Block { heads: 0, ..good }.fits(D));
    assert!(!Block { heads: 8, ..good }.fits(D), "heads of 16 are no whole panel");
    assert!(!Block { fc1: good.fc2, ..good }.fits(D) && !good.fits(2 * D));
    // Asked to stop, it does.
    let mut x = numbers(1, 12 * D);
    assert!(!encode_blocks(ctx, &[good], D, &mut x, &mut Workspace::new(), || false));
    assert_eq!(x, numbers(1, 12 * D));
}

/// Frames overlap in memory, so their numbers cannot be rounded row by row.
#[test]
fn convolutions_of_rounded_activations_are_left_alone() {
    let (mels, hidden, frames) = (8, 64, 20);
    let layers =
        [Layer::new(1, hidden, 3 * mels, Storage::Int8), Layer::new(3, D, 3 * hidden, Storage::Int8)];
    let (mel, positions) = (numbers(5, mels * frames), numbers(6, frames / 2 * D));
    for ctx in contexts() {
        let [first, second] = layers.each_ref().map(|layer| &layer.linear);
        let stem = |ctx: &Context| {
            let convolutions =
                [Convolution { layer: first, stride: 1 }, Convolution { layer: second, stride: 2 }];
            let mut y = vec![0.0; frames / 2 * D];
            encode_stem(ctx, convolutions, &mel, &positions, &mut y, &mut Workspace::new())
        };
        for rounding in [ctx.clone().with_int8_activations(), ctx.clone().with_int16_activations()] {
            let rounds = rounding.int8_products() || rounding.i16_products();
            assert_eq!(stem(&rounding), !rounds, "{rounding:?}");
        }
        assert!(stem(&ctx), "{ctx:?}");
    }
}

#[test]
fn nothing_is_allocated_once_it_has_grown() {
    let ctx = Context::single(crate::Level::detect());
    for (ctx, storage) in [
        (ctx.clone().with_f32_activations(), Storage::F32),
        (ctx.clone(), Storage::Bf16),
        (ctx.with_int8_activations(), Storage::Int8),
    ] {
        let layers = layers(1, storage);
        let (g, b) = (numbers(40, D), numbers(41, D));
        let blocks = [block(&layers, &g, &b); 2];
        let mut workspace = Workspace::new();
        let mut x = numbers(50, 100 * D);
        let mut run = || assert!(encode_blocks(&ctx, &blocks, D, &mut x, &mut workspace, || true));
        (0..8).for_each(|_| run());
        let info = allocation_counter::measure(run);
        assert_eq!(info.count_total, 0, "{ctx:?} {storage:?}: {info:?}");
    }
}
