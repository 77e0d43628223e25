//! Attention against softmax in f64, for whole and ragged numbers of frames and heads.

use half::bf16;
use npu_backend::emulator::Arithmetic;
use npu_backend::schedule::{AttentionProblem, Queries, Region, pack};
use npu_backend::{Arch, BufferRole};

use super::random::Random;
use super::{engine, filled, run};

fn check(arch: Arch, arithmetic: Arithmetic, queries: Queries, heads: usize, frames: usize, size: f32) {
    let mut random = Random(heads as u64 * 1000 + frames as u64);
    let mut engine = engine(arch, arithmetic);
    let (grid, d) = (engine.grid(), heads * 64);
    let stride = d.next_multiple_of(grid.panel_columns()) * 2;
    let part = frames.next_multiple_of(grid.block_rows()) * stride;
    let at = |index: usize| Region { offset_bytes: index * part, row_stride_bytes: stride };
    let (q, k, v, out) = (at(0), at(1), at(2), at(0));
    let problem = AttentionProblem { heads, frames, rows: frames, queries, q, k, v, out };
    let qkv: [Vec<f32>; 3] = std::array::from_fn(|_| random.floats(frames * d, size));
    let input = filled(&mut engine, 3 * part, BufferRole::Input, |bytes| {
        for (values, bytes) in qkv.iter().zip(bytes.chunks_mut(part)) {
            pack::rows_to_bf16(values, d, bytes, stride);
            // Padding that must not matter: as a chain leaves biases there.
            for row in bytes.chunks_exact_mut(stride).skip(frames) {
                row.chunks_exact_mut(2).for_each(|b| b.copy_from_slice(&bf16::from_f32(7.0).to_le_bytes()));
            }
        }
    });
    let words = problem.params(grid);
    let params = filled(&mut engine, words.len(), BufferRole::Weight, |bytes| bytes.copy_from_slice(&words));
    let out = engine.buffer(part, BufferRole::Output).unwrap();
    let launch = engine.attention(&problem, input.id(), params.id(), out.id()).unwrap();
    run(&mut engine, launch);
    let mut got = vec![0.0; frames * d];
    engine
        .read(out.id(), 0..frames * stride, |bytes| pack::rows_from_bf16(bytes, stride, d, &mut got))
        .unwrap();

    let [q, k, v] =
        qkv.map(|values| values.into_iter().map(|x| bf16::from_f32(x).to_f64()).collect::<Vec<f64>>());
    // To exponents of two.
    let unit = if queries == Queries::Log2 { 1.0 } else { std::f64::consts::LOG2_E / 8.0 };
    for (head, row) in
        (0..heads).flat_map(|head| (0..frames).step_by(frames.div_ceil(40)).map(move |row| (head, row)))
    {
        let at = |row: usize, c: usize| row * d + head * 64 + c;
        let scores: Vec<f64> = (0..frames)
            .map(|key| (0..64).map(|c| q[at(row, c)] * k[at(key, c)]).sum::<f64>() * unit)
            .collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp2()).collect();
        let total: f64 = weights.iter().sum();
        for c in 0..64 {
            let (mut want, mut mass) = (0.0, 0.0);
            for (key, weight) in weights.iter().enumerate() {
                want += weight / total * v[at(key, c)];
                mass += weight / total * v[at(key, c)].abs();
            }
            let got = f64::from(got[at(row, c)]);
            // Weights and their sum, each of both off by half a unit of bf16 and by 2^t (kernels/src/exp2.h: 2.6e-3),
            // then one rounding of the result.
            let bound = want.abs() / 256.0 + mass * 2.0 * (1.0 / 256.0 + 2.6e-3) + 1e-6;
            assert!(
                (got - want).abs() <= bound,
                "{heads} heads, {frames} frames on {arch:?}, head {head}, [{row}, {c}]: got {got}, want {want}, bound {bound:e}"
            );
        }
    }
}

#[test]
fn attention_equals_softmax_in_f64() {
    check(Arch::Aie2, Arithmetic::Fast, Queries::Plain, 4, 64, 1.0);
    check(Arch::Aie2, Arithmetic::Fast, Queries::Plain, 6, 300, 3.0);
    check(Arch::Aie2, Arithmetic::Fast, Queries::Plain, 1, 33, 8.0);
    check(Arch::Aie2, Arithmetic::Fast, Queries::Plain, 2, 1, 1.0);
    check(Arch::Aie2p, Arithmetic::Fast, Queries::Plain, 8, 257, 3.0);
    check(Arch::Aie2, Arithmetic::Exact, Queries::Plain, 1, 40, 3.0);
    check(Arch::Aie2, Arithmetic::Fast, Queries::Log2, 6, 300, 1.0);
    check(Arch::Aie2, Arithmetic::Exact, Queries::Log2, 1, 40, 1.0);
}
