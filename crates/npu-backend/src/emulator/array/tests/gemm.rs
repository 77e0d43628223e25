//! GEMM launches.

use half::bf16;

use super::launch::{Launch, Parameters, Random, a_rows, bf16_bytes, bf16_values};
use super::*;

/// C = A·B + bias in bf16: M × K times K × N, on `columns` of four cores.
pub(super) fn bf16_launch(columns: u32, shape: [usize; 3], a: &[bf16], b: &[bf16], bias: &[f32]) -> Launch {
    let [m, k, n] = shape;
    let mut launch = Launch::new(columns, bf16_bytes(a), m * n * 2);
    let width = 64 * columns as usize;
    for rows in (0..m).step_by(256) {
        for row in 0..4 {
            let tap = a_rows(rows + 64 * row as usize, 2 * k, 2 * k);
            launch.feed_a(row, tap, (n / width) as u32);
        }
        for first in (0..n).step_by(width) {
            for column in 0..columns {
                let left = first + 64 * column as usize;
                let mut parameters = Parameters::new(1, 0, k / 32);
                parameters.bias.copy_from_slice(&bias[left..left + 64]);
                let mut objects = parameters.object();
                // Row-major blocks of 32 × 64.
                for depth in 0..k {
                    objects.extend(bf16_bytes(&b[depth * n + left..][..64]));
                }
                launch.feed_b(column, &objects);
                launch.drain(column, rows * n * 2 + left * 2, n * 2);
            }
        }
    }
    launch
}

#[test]
fn bf16_is_the_product() {
    let [m, k, n] = [256, 256, 512];
    let mut random = Random(1);
    let a: Vec<bf16> = (0..m * k).map(|_| random.bf16()).collect();
    let b: Vec<bf16> = (0..k * n).map(|_| random.bf16()).collect();
    let bias: Vec<f32> = (0..n).map(|_| random.float()).collect();
    for arithmetic in [Arithmetic::Exact, Arithmetic::Fast] {
        let launch = bf16_launch(4, [m, k, n], &a, &b, &bias);
        let (work, c) = launch.run(&array(Arch::Aie2, arithmetic)).unwrap();
        assert_eq!(work.macs, (m * k * n) as u64);
        for (at, got) in bf16_values(&c).into_iter().enumerate() {
            let (row, column) = (at / n, at % n);
            let products = (0..k).map(|i| a[row * k + i].to_f64() * b[i * n + column].to_f64());
            let mass: f64 = products.clone().map(f64::abs).sum();
            let want = products.sum::<f64>() + f64::from(bias[column]);
            let bound = want.abs() / 256.0 + 2.0 * k as f64 * mass / f64::from(1 << 24);
            assert!(
                (got - want).abs() <= bound,
                "{arithmetic:?} ({row}, {column}): {got}, not {want} ± {bound}"
            );
        }
    }
}
