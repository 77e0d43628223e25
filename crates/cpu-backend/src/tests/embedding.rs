//! Logits of a vocabulary whose most likely token is wanted: exact where it counts, estimates elsewhere.

use super::{contexts, numbers, wide};
use crate::kernels::PANEL;
use crate::{Context, Embedding, Epilogue, Level, Linear, Storage, Weights, reference};

/// Weights of −127 to 127, `[outputs, inputs]`, in the shape of trained ones: most are small.
fn weights(seed: u64, outputs: usize, inputs: usize) -> Vec<i8> {
    numbers(seed, outputs * inputs).iter().map(|v| (v * v.abs() * 127.0).round() as i8).collect()
}

fn layer(data: &[i8], outputs: usize, inputs: usize) -> Linear {
    let scale: Vec<f32> = numbers(3, outputs).iter().map(|v| 0.02 + 0.01 * v).collect();
    Linear::new(Weights::Int8 { data, scale: &scale }, None, outputs, inputs, Storage::Int8).unwrap()
}

/// A hidden state with some inputs far louder than the others, and how loud each is.
fn hidden(seed: u64, inputs: usize) -> (Vec<f32>, Vec<f32>) {
    let loudness = |k: usize| if k % 61 == 7 { 40.0 } else { 3.0 };
    let state = numbers(seed, inputs).iter().enumerate().map(|(k, v)| v * loudness(k)).collect();
    (state, (0..inputs).map(|k| loudness(k).powi(2)).collect())
}

/// The first of the largest.
fn best(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[test]
fn halves_are_multiplied_exactly_at_every_level() {
    for level in Level::available().into_iter().filter(|level| level.multiplies_halves()) {
        for depth in [8, 16, 24, 32, 40, 512, 1288] {
            for extreme in [false, true] {
                let x: Vec<i8> = if extreme { vec![-127; depth] } else { weights(1, 1, depth) };
                let halves: Vec<u8> = if extreme {
                    vec![15; depth * PANEL]
                } else {
                    weights(2, 1, depth * PANEL).iter().map(|&q| q as u8 >> 4).collect()
                };
                let mut panel = vec![0_u8; depth * PANEL / 2];
                for k in 0..depth {
                    for c in 0..PANEL {
                        let half = halves[k * PANEL + c];
                        panel[(k / 8 * PANEL + c) * 4 + k % 4] |= if k % 8 < 4 { half } else { half << 4 };
                    }
                }
                let mut sums = [1; PANEL];
                level.halves(&x, &panel, &mut sums);
                let want: [i32; PANEL] = std::array::from_fn(|c| {
                    (0..depth).map(|k| i32::from(x[k]) * i32::from(halves[k * PANEL + c])).sum()
                });
                assert_eq!(sums, want, "{level} {depth}");
            }
        }
    }
}

#[test]
fn what_may_be_largest_is_exact_and_the_rest_within_what_halves_leave_out() {
    for ctx in contexts().into_iter().flat_map(|ctx| [ctx.clone(), ctx.with_int16_activations()]) {
        for (outputs, inputs, text) in
            [(2000, 256, 1900), (1999, 200, 1999), (640, 64, 0), (70, 13, 40), (31, 8, 31), (999, 517, 961)]
        {
            let data = weights(5, outputs, inputs);
            let layer = layer(&data, outputs, inputs);
            for seed in 10..16 {
                check(&ctx, &layer, &data, text, seed);
            }
        }
    }
}

fn check(ctx: &Context, layer: &Linear, data: &[i8], text: usize, seed: u64) {
    let (outputs, inputs) = (layer.outputs(), layer.inputs());
    let (x, loudness) = hidden(seed, inputs);
    let what = format!("{ctx:?} [{inputs}] → {outputs}, text to {text}, seed {seed}");
    let mut exact = vec![0.0; outputs];
    layer.forward(ctx, &x, 1, &mut exact, Epilogue::None);
    // The largest of all is never taken, so that the next one must be found.
    let never = [best(&exact) as u32];
    exact[never[0] as usize] = f32::NEG_INFINITY;
    let embedding = Embedding::new(layer.clone()).with_estimates(loudness.clone());
    let mut got = vec![f32::NAN; outputs];
    embedding.likely_logits(ctx, &x, text, &never, &mut got);

    assert_eq!(got[text..], exact[text..], "{what}: special tokens");
    if text > 0 {
        let found = best(&got[..text]);
        assert_eq!((found, got[found]), (best(&exact[..text]), exact[best(&exact[..text])]), "{what}");
    }
    assert_eq!(got[never[0] as usize], f32::NEG_INFINITY, "{what}");
    if !ctx.level().multiplies_halves() {
        assert_eq!(got, exact, "{what}");
        return;
    }
    // A weight's half leaves out 7.5 at most, of the quiet inputs, and those are rounded to half a step; then the share of
    // the mean is taken off: half of a variance, which is less than that of 7.5 each.
    let (scales, loud) = (scales(layer, data), inputs.min(16));
    let mut order: Vec<usize> = (0..inputs).collect();
    order.sort_by(|&a, &b| loudness[b].total_cmp(&loudness[a]));
    let quiet: Vec<f64> = order[loud..].iter().map(|&k| f64::from(x[k])).collect();
    let most = quiet.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    let sum: f64 = quiet.iter().map(|v| v.abs()).sum();
    let square: f64 =
        quiet.iter().map(|v| v * v).sum::<f64>() + (most / 127.0).powi(2) * inputs as f64 * 300.0;
    for (o, scale) in scales.iter().enumerate().filter(|&(o, _)| o != never[0] as usize) {
        let off =
            scale * (7.5 * sum + most / 254.0 * 128.0 * inputs as f64) + (7.5 * scale).powi(2) * square / 2.0;
        let error = (f64::from(got[o]) - f64::from(exact[o])).abs();
        assert!(error <= off * 1.001 + 1e-4, "{what}: {o} is {} for {}, off {off}", got[o], exact[o]);
    }
}

/// The scale of each output.
fn scales(layer: &Linear, data: &[i8]) -> Vec<f64> {
    let inputs = layer.inputs();
    let mut row = vec![0.0; inputs];
    let scale = |o: usize| {
        layer.row(o, &mut row);
        let k = (0..inputs).find(|&k| data[o * inputs + k] != 0).unwrap();
        f64::from(row[k]) / f64::from(data[o * inputs + k])
    };
    (0..layer.outputs()).map(scale).collect()
}

/// The sum of exponentials, which log-probabilities are relative to, of a row whose largest logit outweighs the estimates.
#[test]
fn sums_of_exponentials_stay() {
    let (outputs, inputs) = (20_000, 512);
    let data = weights(6, outputs, inputs);
    let layer = layer(&data, outputs, inputs);
    for level in Level::available() {
        let ctx = Context::single(level);
        let (x, loudness) = hidden(9, inputs);
        // Of such a size that errors have a deviation of about a half.
        let x: Vec<f32> = x.iter().map(|v| v * 0.2).collect();
        let embedding = Embedding::new(layer.clone()).with_estimates(loudness);
        let (mut exact, mut got) = (vec![0.0; outputs], vec![0.0; outputs]);
        embedding.logits(&ctx, &x, &mut exact);
        embedding.likely_logits(&ctx, &x, outputs, &[], &mut got);
        let estimated = got.iter().zip(&exact).filter(|(got, exact)| got != exact).count();
        assert_eq!(estimated > outputs / 2, level.multiplies_halves(), "{level}: {estimated} estimates");
        let log_sum = |row: &[f32]| wide(row).iter().map(|v| v.exp()).sum::<f64>().ln();
        let off = log_sum(&got) - log_sum(&exact);
        assert!(off.abs() < 0.02, "{level}: {off}");
    }
}

#[test]
fn chosen_panels_are_those_of_the_whole_product() {
    for ctx in contexts().into_iter().flat_map(|ctx| [ctx.clone(), ctx.with_int16_activations()]) {
        let (outputs, inputs) = (333, 70);
        let layer = layer(&weights(7, outputs, inputs), outputs, inputs);
        let x = numbers(8, inputs);
        let mut whole = vec![0.0; outputs];
        layer.forward(&ctx, &x, 1, &mut whole, Epilogue::None);
        let mut got = vec![-1.0; outputs];
        layer.forward_panels(&ctx, &x, &[10, 0, 4], &mut got);
        for (o, (&got, &whole)) in got.iter().zip(&whole).enumerate() {
            let want = if [0, 4, 10].contains(&(o / PANEL)) { whole } else { -1.0 };
            assert_eq!(got, want, "{ctx:?}: {o}");
        }
        layer.forward_panels(&ctx, &x, &[], &mut got);
    }
}

#[test]
fn states_that_are_no_numbers_come_out_so() {
    let (outputs, inputs) = (100, 64);
    let layer = layer(&weights(8, outputs, inputs), outputs, inputs);
    for level in Level::available() {
        let ctx = Context::single(level);
        let (x, loudness) = hidden(2, inputs);
        let embedding = Embedding::new(layer.clone()).with_estimates(loudness);
        // A loud input and a quiet one.
        for at in [7, 8] {
            for bad in [f32::NAN, f32::INFINITY, 3e38] {
                let mut x = x.clone();
                x[at] = bad;
                let (mut exact, mut got) = (vec![0.0; outputs], vec![0.0; outputs]);
                embedding.logits(&ctx, &x, &mut exact);
                embedding.likely_logits(&ctx, &x, 90, &[], &mut got);
                let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                if bad != 3e38 || at == 8 {
                    assert_eq!(bits(&got), bits(&exact), "{level} {at} {bad}");
                }
            }
        }
        // Silence is likely everywhere.
        let mut got = vec![1.0; outputs];
        embedding.likely_logits(&ctx, &vec![0.0; inputs], 90, &[3], &mut got);
        assert!(got.iter().enumerate().all(|(o, &v)| v == if o == 3 { f32::NEG_INFINITY } else { 0.0 }));
    }
}

#[test]
fn rows_are_the_layers() {
    let (outputs, inputs) = (40, 12);
    let data = weights(4, outputs, inputs);
    let layer = layer(&data, outputs, inputs);
    let embedding = Embedding::new(layer.clone());
    let (mut row, mut want) = (vec![0.0; inputs], vec![0.0; inputs]);
    embedding.row(39, &mut row);
    layer.row(39, &mut want);
    assert_eq!(row, want);
    let ctx = Context::single(Level::detect());
    let (x, mut logits) = (numbers(1, 2 * inputs), vec![0.0; 2 * outputs]);
    embedding.logits(&ctx, &x, &mut logits);
    let all: Vec<f32> = (0..outputs).flat_map(|o| (layer.row(o, &mut row), row.clone()).1).collect();
    let want = reference::linear(&wide(&x), &wide(&all), &vec![0.0; outputs], outputs, inputs);
    super::check("two rows", &logits, &want, |_| 1e-3);
}

#[test]
fn nothing_is_allocated_once_it_has_grown() {
    let (outputs, inputs) = (640, 64);
    let layer = layer(&weights(8, outputs, inputs), outputs, inputs);
    for level in Level::available() {
        let ctx = Context::single(level).with_int16_activations();
        let (x, loudness) = hidden(2, inputs);
        let embedding = Embedding::new(layer.clone()).with_estimates(loudness);
        let mut got = vec![0.0; outputs];
        let mut run = || embedding.likely_logits(&ctx, &x, 600, &[3], &mut got);
        (0..4).for_each(|_| run());
        let info = allocation_counter::measure(run);
        assert_eq!(info.count_total, 0, "{level}: {info:?}");
    }
}
