//! After the first round, what stands between a model and its device allocates nothing.
//!
//! A window is written, run and read a hundred times or more an hour of speech, by buffers and launches made once. The
//! device here is a double that allocates nothing, so that every allocation would be ours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod null_device;

use npu_backend::schedule::pack::{self, WeightValues, Weights};
use npu_backend::schedule::{AttentionProblem, GemmKind, GemmProblem, Queries, Region};
use npu_backend::{Batch, BufferId, BufferRole};
use null_device::NullDevice;

const ROWS: usize = 300;
const K: usize = 200;
const N: usize = 130;

/// A product of a kind with its buffers, and what the host has for it.
struct Layer {
    problem: GemmProblem,
    input: BufferId,
    output: BufferId,
}

#[test]
fn writing_running_and_reading_allocate_nothing() {
    let mut engine = NullDevice::engine();
    let grid = engine.grid();
    let (mut layers, mut launches) = (Vec::new(), Vec::new());
    for kind in [GemmKind::Bf16, GemmKind::Int8Bf16, GemmKind::Int8Int32] {
        let (a, c) = (Region::default(), Region::default());
        let mut problem = GemmProblem { kind, m: ROWS, k: K, n: N, a, c, residual: None };
        problem.a.row_stride_bytes = problem.a_row_bytes();
        problem.c.row_stride_bytes = problem.c_row_bytes(grid);
        let fill = |_: usize, to: &mut [f32]| to.fill(0.5);
        let values = WeightValues::F32(&fill);
        let weights = Weights { values, bias: None, gelu: false, output_scale: 1.0 };
        let weights = engine.weights(&problem, &weights).unwrap();
        let input = engine.buffer(problem.a_len_bytes(grid), BufferRole::Input).unwrap().id();
        let output = engine.buffer(problem.c_len_bytes(grid), BufferRole::Output).unwrap().id();
        launches.push(engine.gemm(&problem, input, &weights, output, None).unwrap());
        layers.push(Layer { problem, input, output });
    }
    let at = |offset_bytes| Region { offset_bytes, row_stride_bytes: 1536 };
    let (q, k, v, out) = (at(0), at(512), at(1024), Region { offset_bytes: 0, row_stride_bytes: 512 });
    let attention =
        AttentionProblem { heads: 4, frames: ROWS, rows: ROWS, queries: Queries::Plain, q, k, v, out };
    let (qkv, params) = (layers[0].input, layers[0].output);
    launches.push(engine.attention(&attention, qkv, params, layers[1].output).unwrap());
    let batch = Batch::new(launches).unwrap();

    let (rows, small) = (vec![0.25f32; ROWS * K], vec![3i8; ROWS * K]);
    let (mut floats, mut integers) = (vec![0.0; ROWS * N], vec![0; ROWS * N]);
    let mut round = || {
        for Layer { problem, input, .. } in &layers {
            let (a, tail) = (problem.a.row_stride_bytes, problem.kind.row_tail_bytes());
            let write = |bytes: &mut [u8]| match problem.kind {
                GemmKind::Bf16 => pack::rows_to_bf16(&rows, K, bytes, a),
                GemmKind::Int8Bf16 => pack::rows_to_int8(&rows, K, a - tail, bytes, a),
                _ => pack::rows_of_int8(&small, K, bytes, a),
            };
            engine.write(*input, 0..ROWS * a, write).unwrap();
        }
        engine.run(&batch).unwrap();
        let ticket = engine.submit(&batch).unwrap();
        engine.wait(ticket).unwrap();
        for Layer { problem, output, .. } in &layers {
            let c = problem.c.row_stride_bytes;
            let read = |bytes: &[u8]| {
                if problem.kind == GemmKind::Int8Int32 {
                    pack::rows_from_int32(bytes, c, N, &mut integers);
                } else {
                    pack::rows_from_bf16(bytes, c, N, &mut floats);
                    pack::add_rows_from_bf16(bytes, c, N, &mut floats);
                }
            };
            engine.read(*output, 0..ROWS * c, read).unwrap();
        }
    };
    round();
    let rounds = allocation_counter::measure(|| (0..10).for_each(|_| round()));
    assert_eq!((rounds.count_total, rounds.bytes_total), (0, 0), "allocations and bytes in ten rounds");
    assert_eq!(engine.device().counters().launches, 11 * 2 * 4);
    let seen = allocation_counter::measure(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!((seen.count_total, seen.bytes_total), (1, 100), "the counter does not count");
}
