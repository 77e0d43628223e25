//! Attention in int8 against softmax in f64 over the numbers before they were rounded to int8.

use npu_backend::emulator::Arithmetic;
use npu_backend::schedule::{Int8AttentionProblem, Region, pack};
use npu_backend::{Arch, BufferRole};

use super::random::Random;
use super::{engine, filled, run};

/// A number of a normal distribution, nearly: twelve uniform ones less their mean.
fn normal(random: &mut Random) -> f32 {
    (0..12).map(|_| random.float()).sum::<f32>() / 2.0
}

/// `[frames, d]` in which channels differ as in a trained model: factors between a half and two, and two channels of each
/// head four times as large.
fn spread(random: &mut Random, frames: usize, d: usize) -> Vec<f32> {
    let factors: Vec<f32> =
        (0..d).map(|channel| random.float().exp2() * if channel % 32 == 5 { 4.0 } else { 1.0 }).collect();
    (0..frames * d).map(|at| normal(random) * factors[at % d]).collect()
}

/// Operands of one attention and what the device makes of them.
struct Case {
    heads: usize,
    frames: usize,
    qkv: [Vec<f32>; 3],
    got: Vec<f32>,
}

impl Case {
    fn run(arch: Arch, arithmetic: Arithmetic, heads: usize, frames: usize) -> Self {
        let mut random = Random(heads as u64 * 1000 + frames as u64);
        let mut engine = engine(arch, arithmetic);
        let (grid, d) = (engine.grid(), heads * 64);
        let row_stride_bytes = d.next_multiple_of(grid.panel_columns()) * 2;
        let out = Region { offset_bytes: 128, row_stride_bytes };
        let problem = Int8AttentionProblem { heads, frames, out };
        let qkv: [Vec<f32>; 3] = std::array::from_fn(|_| spread(&mut random, frames, d));
        let queries = filled(&mut engine, problem.queries_len_bytes(grid), BufferRole::Input, |bytes| {
            problem.pack_queries(grid, &qkv[0], bytes).unwrap();
        });
        let keys = filled(&mut engine, problem.keys_len_bytes(), BufferRole::Input, |bytes| {
            problem.pack_keys(grid, &qkv[1], &qkv[2], bytes).unwrap();
        });
        let len = out.offset_bytes + problem.padded_frames(grid) * row_stride_bytes;
        let output = engine.buffer(len, BufferRole::Output).unwrap();
        let launch = engine.attention_int8(&problem, queries.id(), keys.id(), output.id()).unwrap();
        run(&mut engine, launch);
        let mut got = vec![0.0; frames * d];
        let rows = out.offset_bytes..out.offset_bytes + frames * row_stride_bytes;
        engine
            .read(output.id(), rows, |bytes| pack::rows_from_bf16(bytes, row_stride_bytes, d, &mut got))
            .unwrap();
        Self { heads, frames, qkv, got }
    }

    /// Softmax in f64 of every `step`-th query of a head, with what the device has for it: `(got, want)`.
    fn pairs(&self, head: usize, step: usize) -> Vec<(f64, f64)> {
        let d = self.heads * 64;
        let of = |index: usize, frame: usize| {
            self.qkv[index][frame * d + head * 64..][..64].iter().map(|&x| f64::from(x))
        };
        let [keys, values]: [Vec<f64>; 2] =
            [1, 2].map(|index| (0..self.frames).flat_map(|frame| of(index, frame)).collect());
        let mut pairs = Vec::new();
        for row in (0..self.frames).step_by(step) {
            let query: Vec<f64> = of(0, row).collect();
            let dot = |key: &[f64]| key.iter().zip(&query).map(|(k, q)| k * q).sum::<f64>() / 8.0;
            let scores: Vec<f64> = keys.chunks_exact(64).map(dot).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut out) = (0.0, [0.0; 64]);
            for (score, value) in scores.iter().zip(values.chunks_exact(64)) {
                let weight = (score - most).exp();
                sum += weight;
                out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
            }
            let got = self.got[row * d + head * 64..][..64].iter().map(|&x| f64::from(x));
            pairs.extend(got.zip(out.map(|out| out / sum)));
        }
        pairs
    }
}

/// Pearson's coefficient.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "some hundred thousand pairs")]
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|&(a, b)| of(a - x, b - y)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn int8_attention_of_a_window_is_nearly_softmax() {
    let case = Case::run(Arch::Aie2, Arithmetic::Fast, 8, 1500);
    let pairs: Vec<(f64, f64)> = (0..case.heads).flat_map(|head| case.pairs(head, 5)).collect();
    let got = correlation(&pairs);
    assert!(got >= 0.999, "correlation {got:.6}, wanted 0.999");
}

#[test]
fn int8_attention_of_any_number_of_heads_and_frames() {
    for (arch, arithmetic, heads, frames) in [
        (Arch::Aie2, Arithmetic::Fast, 1, 1),
        (Arch::Aie2, Arithmetic::Fast, 5, 300),
        (Arch::Aie2, Arithmetic::Exact, 3, 65),
        (Arch::Aie2p, Arithmetic::Fast, 9, 257),
    ] {
        let case = Case::run(arch, arithmetic, heads, frames);
        for head in 0..heads {
            let got = correlation(&case.pairs(head, 1));
            assert!(
                got >= 0.998,
                "{heads} heads, {frames} frames on {arch:?}, head {head}: correlation {got:.6}"
            );
        }
    }
}
