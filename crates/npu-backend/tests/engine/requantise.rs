//! int8 to int8: static requantising in the epilogue, two neighbouring tiles in one object of output.

use npu_backend::emulator::Arithmetic;
use npu_backend::schedule::pack::{WeightValues, Weights};
use npu_backend::schedule::{GemmKind, GemmProblem, Region};
use npu_backend::{Arch, BufferRole};

use super::random::Random;
use super::{engine, filled, run};

fn check(arch: Arch, (m, k, n): (usize, usize, usize), gelu: bool) {
    let mut random = Random(17);
    let mut engine = engine(arch, Arithmetic::Fast);
    let grid = engine.grid();
    let (kind, a, c) = (GemmKind::Int8Int8, Region::default(), Region::default());
    let mut problem = GemmProblem { kind, m, k, n, a, c, residual: None };
    problem.a.row_stride_bytes = problem.a_row_bytes();
    problem.c.row_stride_bytes = problem.c_row_bytes(grid);
    let x: Vec<i8> = (0..m * k).map(|_| random.int8()).collect();
    let w: Vec<i8> = (0..n * k).map(|_| random.int8()).collect();
    let scales: Vec<f32> = (0..n).map(|_| 1e-4 * (1.5 + random.float())).collect();
    let bias = random.floats(n, 3.0);
    // A third of the outputs saturate.
    #[allow(clippy::cast_precision_loss, reason = "K is small")]
    let output_scale = 400.0 / (k as f32).sqrt();
    let fill = |row: usize, to: &mut [i8]| {
        to.copy_from_slice(&w[row * k..(row + 1) * k]);
        scales[row]
    };
    let weights = Weights { values: WeightValues::Int8(&fill), bias: Some(&bias), gelu, output_scale };
    let packed = engine.weights(&problem, &weights).unwrap();
    let stride = problem.a.row_stride_bytes;
    let input = filled(&mut engine, problem.a_len_bytes(grid), BufferRole::Input, |bytes| {
        for (row, to) in x.chunks_exact(k).zip(bytes.chunks_mut(stride)) {
            to.iter_mut().zip(row).for_each(|(to, value)| *to = value.to_le_bytes()[0]);
        }
    });
    let output = engine.buffer(problem.c_len_bytes(grid), BufferRole::Output).unwrap();
    let launch = engine.gemm(&problem, input.id(), &packed, output.id(), None).unwrap();
    run(&mut engine, launch);
    let stride = problem.c.row_stride_bytes;
    let got = engine.read(output.id(), 0..m * stride, <[u8]>::to_vec).unwrap();

    let (mut saturated, mut off_by_one) = (0, 0);
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let pairs = x[row * k..(row + 1) * k].iter().zip(&w[column * k..(column + 1) * k]);
        let sum: i32 = pairs.map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        let value = f64::from(sum) * f64::from(scales[column]) + f64::from(bias[column]);
        let value = if gelu { super::gemm::gelu(value) } else { value };
        let want = (value * f64::from(output_scale)).round_ties_even().clamp(-128.0, 127.0);
        let got = f64::from(got[row * stride + column].cast_signed());
        saturated += usize::from(want.abs() >= 127.0);
        off_by_one += usize::from(got != want);
        // Near a half, f32 may round the other way.
        assert!(
            (got - want).abs() <= 1.0,
            "{m}×{k}×{n} on {arch:?}, [{row}, {column}]: got {got}, want {want}"
        );
    }
    assert!(saturated > 0 && saturated < m * n, "{saturated} of {} saturate", m * n);
    assert!(off_by_one * 50 <= m * n, "{off_by_one} of {} are off by one", m * n);
}

#[test]
fn int8_outputs_are_scaled_rounded_and_saturated() {
    check(Arch::Aie2, (70, 100, 130), false);
    check(Arch::Aie2, (300, 512, 600), false);
    check(Arch::Aie2, (64, 64, 512), true);
    check(Arch::Aie2p, (20, 300, 1100), false);
}
