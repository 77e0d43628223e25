//! What does the host pay for 512×512×512 in int8: once a shape (plan, weights), and for each product (activations,
//! launch, results)?
//!
//! The device in the last bench does nothing, so that what is measured is ours.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "../tests/null_device/mod.rs"]
mod null_device;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use npu_backend::schedule::pack::{self, WeightValues, Weights};
use npu_backend::schedule::{GemmKind, GemmProblem, Grid, Region, gemm};
use npu_backend::{Batch, BufferRole};
use null_device::NullDevice;

const SIDE: usize = 512;

fn problem(grid: Grid) -> GemmProblem {
    let (a, c) = (Region::default(), Region::default());
    let kind = GemmKind::Int8Int32;
    let mut problem = GemmProblem { kind, m: SIDE, k: SIDE, n: SIDE, a, c, residual: None };
    problem.a.row_stride_bytes = problem.a_row_bytes();
    problem.c.row_stride_bytes = problem.c_row_bytes(grid);
    problem
}

/// int8 of every value.
fn values() -> Vec<i8> {
    (0..SIDE * SIDE).map(|at| (at * 31 % 251).to_le_bytes()[0].cast_signed()).collect()
}

fn host(criterion: &mut Criterion) {
    let grid = Grid { columns: 4, rows: 4 };
    let problem = problem(grid);
    let (a, c) = (problem.a.row_stride_bytes, problem.c.row_stride_bytes);
    let integers = values();
    criterion.bench_function("512³ int8: plan", |bencher| {
        bencher.iter(|| gemm::plan(grid, black_box(&problem)).unwrap());
    });
    criterion.bench_function("512³ int8: pack weights", |bencher| {
        let fill = |row: usize, to: &mut [i8]| {
            to.copy_from_slice(&integers[row * SIDE..(row + 1) * SIDE]);
            1.0
        };
        let values = WeightValues::Int8(&fill);
        let weights = Weights { values, bias: None, gelu: false, output_scale: 1.0 };
        bencher.iter(|| pack::weights(grid, black_box(&problem), &weights));
    });
    criterion.bench_function("512³ int8: pack activations", |bencher| {
        let mut bytes = vec![0; problem.a_len_bytes(grid)];
        bencher.iter(|| pack::rows_of_int8(black_box(&integers), SIDE, &mut bytes, a));
    });
    criterion.bench_function("512³ int8: quantise activations from f32", |bencher| {
        let rows: Vec<f32> = integers.iter().map(|&value| f32::from(value) * 0.37).collect();
        let scaled = GemmProblem { kind: GemmKind::Int8Bf16, ..problem };
        let (stride, tail) = (scaled.a_row_bytes(), scaled.kind.row_tail_bytes());
        let mut bytes = vec![0; SIDE * stride];
        bencher.iter(|| pack::rows_to_int8(black_box(&rows), SIDE, stride - tail, &mut bytes, stride));
    });
    criterion.bench_function("512³ int8: unpack int32", |bencher| {
        let (bytes, mut rows) = (vec![1; problem.c_len_bytes(grid)], vec![0; SIDE * SIDE]);
        bencher.iter(|| pack::rows_from_int32(black_box(&bytes), c, SIDE, &mut rows));
    });
}

fn launch(criterion: &mut Criterion) {
    let mut engine = NullDevice::engine();
    let grid = engine.grid();
    let problem = problem(grid);
    let fill = |_: usize, to: &mut [i8]| {
        to.fill(1);
        1.0
    };
    let values = WeightValues::Int8(&fill);
    let weights = Weights { values, bias: None, gelu: false, output_scale: 1.0 };
    let weights = engine.weights(&problem, &weights).unwrap();
    let a = engine.buffer(problem.a_len_bytes(grid), BufferRole::Input).unwrap();
    let c = engine.buffer(problem.c_len_bytes(grid), BufferRole::Output).unwrap();
    let (input, output) = (0..a.len_bytes(), 0..c.len_bytes());
    let batch = Batch::new(vec![engine.gemm(&problem, a.id(), &weights, c.id(), None).unwrap()]).unwrap();
    criterion.bench_function("512³ int8: a launch in steady state, without its bytes", |bencher| {
        bencher.iter(|| {
            engine.write(a.id(), input.clone(), |bytes| bytes[0] = 1).unwrap();
            engine.run(black_box(&batch)).unwrap();
            engine.read(c.id(), output.clone(), |bytes| bytes[0]).unwrap()
        });
    });
}

criterion_group!(benches, host, launch);
criterion_main!(benches);
