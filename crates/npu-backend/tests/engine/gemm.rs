//! Products of every kind, over edges, loop orders and generations.

use half::bf16;
use npu_backend::emulator::Arithmetic;
use npu_backend::schedule::pack::{self, WeightValues, Weights};
use npu_backend::schedule::{GemmKind, GemmProblem};
use npu_backend::{Arch, BufferRole};

use super::random::Random;
use super::{engine, filled, run};

struct Case {
    arch: Arch,
    arithmetic: Arithmetic,
    kind: GemmKind,
    m: usize,
    k: usize,
    n: usize,
    gelu: bool,
    residual: bool,
}

fn round(value: f32) -> f64 {
    bf16::from_f32(value).to_f64()
}

/// x·Φ(x) by Simpson's rule on the density: nothing shared with what is tested.
pub(crate) fn gelu(x: f64) -> f64 {
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let steps = 400;
    let h = x / f64::from(steps);
    let inner: f64 = (1..steps).map(|i| density(h * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    x * (0.5 + h / 3.0 * (density(0.0) + inner + density(x)))
}

fn check(case: &Case) {
    let Case { arch, arithmetic, kind, m, k, n, gelu: with_gelu, residual } = *case;
    let mut random = Random(m as u64 * 31 + k as u64 * 7 + n as u64);
    let mut engine = engine(arch, arithmetic);
    let grid = engine.grid();
    let mut problem = GemmProblem::dense(grid, kind, (m, k, n));
    problem.residual = residual.then_some(problem.c);

    let (x, w) = (random.floats(m * k, 2.0), random.floats(n * k, 0.5));
    let bias = random.floats(n, 1.0);
    let add = random.floats(m * n, 3.0);
    let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&w[row * k..(row + 1) * k]);
    let weights =
        Weights { values: WeightValues::F32(&fill), bias: Some(&bias), gelu: with_gelu, output_scale: 1.0 };
    let packed = engine.weights(&problem, &weights).unwrap();
    let stride = problem.a.row_stride_bytes;
    let a = filled(&mut engine, problem.a_len_bytes(grid), BufferRole::Input, |bytes| match kind {
        GemmKind::Bf16 => pack::rows_to_bf16(&x, k, bytes, stride),
        _ => pack::rows_to_int8(&x, k, stride - kind.row_tail_bytes(), bytes, stride),
    });
    let c = engine.buffer(problem.c_len_bytes(grid), BufferRole::Output).unwrap();
    let c_stride = problem.c.row_stride_bytes;
    let added = residual.then(|| {
        filled(&mut engine, problem.c_len_bytes(grid), BufferRole::Input, |bytes| {
            pack::rows_to_bf16(&add, n, bytes, c_stride);
        })
    });
    let launch = engine.gemm(&problem, a.id(), &packed, c.id(), added.as_ref().map(|b| b.id())).unwrap();
    run(&mut engine, launch);
    let mut y = vec![0.0; m * n];
    engine.read(c.id(), 0..m * c_stride, |bytes| pack::rows_from_bf16(bytes, c_stride, n, &mut y)).unwrap();

    // What the device multiplies, in f64.
    let (mut xq, mut wq) = (vec![0.0; m * k], vec![0.0; n * k]);
    for (from, to) in [(&x, &mut xq), (&w, &mut wq)] {
        for (from, to) in from.chunks_exact(k).zip(to.chunks_exact_mut(k)) {
            if kind == GemmKind::Bf16 {
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = round(from));
            } else {
                let mut quantised = vec![0; k];
                let scale = f64::from(pack::quantise_row(from, &mut quantised));
                to.iter_mut().zip(&quantised).for_each(|(to, &q)| *to = f64::from(q) * scale);
            }
        }
    }
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let pairs = xq[row * k..(row + 1) * k].iter().zip(&wq[column * k..(column + 1) * k]);
        let (mut sum, mut mass) = (f64::from(bias[column]), 0.0);
        for (a, b) in pairs {
            sum += a * b;
            mass += (a * b).abs();
        }
        let mut want = if with_gelu { gelu(sum) } else { sum };
        if residual {
            want += round(add[row * n + column]);
        }
        let got = f64::from(y[row * n + column]);
        // K roundings of f32 sums and products, GELU's slope, one rounding to bf16 (half of 2⁻⁷ of the value), and the
        // kernels' own GELU (kernels/src/gelu.h: 1.2e-3 of what is taken from max(x, 0), at most 0.17, or of 2⁻⁸).
        let own = if with_gelu { 1.2e-3 * (sum.max(0.0) - gelu(sum)).max(1.0 / 256.0) } else { 0.0 };
        #[allow(clippy::cast_precision_loss, reason = "K is small")]
        let bound =
            want.abs() / 256.0 + 1.13 * (mass + 1.0) * (k as f64 + 16.0) / f64::from(1 << 24) + own + 1e-7;
        assert!(
            (got - want).abs() <= bound,
            "{kind:?} {m}×{k}×{n} on {arch:?}, [{row}, {column}]: got {got}, want {want}, bound {bound:e}"
        );
    }
}

#[test]
fn products_equal_plain_arithmetic_over_edges_and_loop_orders() {
    let plain = |kind, m, k, n| Case {
        arch: Arch::Aie2,
        arithmetic: Arithmetic::Fast,
        kind,
        m,
        k,
        n,
        gelu: false,
        residual: false,
    };
    for case in [
        // One tile; edges in every direction; more blocks than one; more panels than one.
        plain(GemmKind::Bf16, 1, 1, 1),
        plain(GemmKind::Bf16, 100, 70, 130),
        plain(GemmKind::Bf16, 300, 512, 300),
        Case { gelu: true, ..plain(GemmKind::Bf16, 64, 240, 256) },
        Case { residual: true, ..plain(GemmKind::Bf16, 300, 96, 300) },
        Case { residual: true, gelu: true, ..plain(GemmKind::Bf16, 20, 64, 64) },
        plain(GemmKind::Int8Bf16, 100, 70, 130),
        Case { gelu: true, ..plain(GemmKind::Int8Bf16, 300, 512, 300) },
        Case { arch: Arch::Aie2p, ..plain(GemmKind::Bf16, 300, 70, 600) },
        Case { arch: Arch::Aie2p, ..plain(GemmKind::Int8Bf16, 10, 300, 70) },
        Case { arithmetic: Arithmetic::Exact, ..plain(GemmKind::Bf16, 30, 70, 70) },
        // K = 2048 fits the memtiles in no other order than the one that keeps a panel of weights.
        plain(GemmKind::Bf16, 70, 2048, 64),
        // Nothing of K = 4096 is kept: blocks and panels, each read again.
        Case { residual: true, gelu: true, ..plain(GemmKind::Bf16, 260, 4096, 260) },
        Case { arch: Arch::Aie2p, ..plain(GemmKind::Int8Bf16, 10, 8000, 70) },
    ] {
        check(&case);
    }
}
