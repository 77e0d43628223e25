//! Attention launches against plain softmax.

use std::f32::consts::LOG2_E;

use super::launch::{Launch, Parameters, Random, a_rows, before_reorder, bf16_bytes, bf16_values};
use super::reference::{close, half_unit};
use super::*;

const ROWS: usize = 256;
const WIDTH: usize = 64;

/// Q, K, V of one head as numbers, row-major, rows of 64.
struct Head {
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
}

impl Head {
    /// Output and its bound for one query and channel: `slack` of each weight relative to itself, and `step` relative
    /// to the largest.
    fn element(&self, row: usize, channel: usize, n_valid: usize, slack: f64, step: f64) -> (f64, f64) {
        let dot = |key: usize| {
            (0..WIDTH).map(|d| self.q[row * WIDTH + d] * self.k[key * WIDTH + d]).sum::<f64>() / 8.0
        };
        let scores: Vec<f64> = (0..n_valid).map(dot).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut value, mut mass, mut steps) = (0.0, 0.0, 0.0, 0.0);
        for (key, score) in scores.iter().enumerate() {
            let (weight, v) = ((score - most).exp(), self.v[key * WIDTH + channel]);
            sum += weight;
            value += weight * v;
            mass += weight * v.abs();
            steps += v.abs();
        }
        let want = value / sum;
        // Of the weights in the value, and of the weights in the sum.
        let weights = slack * (mass / sum + want.abs());
        let levels = step * (steps + n_valid as f64 * want.abs()) / sum;
        (want, weights + levels + half_unit(want) + 1e-6)
    }
}

fn attend(launch: &mut Launch, parameters: &Parameters, column: u32, blocks: &[Vec<u8>]) {
    let mut objects = parameters.object();
    blocks.iter().for_each(|block| objects.extend(block));
    launch.feed_b(column, &objects);
    launch.drain(column, 128 * column as usize, 512);
}

/// A weight is 2^t with t = (score − maximum)·log2 e: 2.6e-3 of itself (exp2.h), half a unit of bf16, and the
/// scores' own error, which f32 sums of 64 products below 4 and the pairs keep under 2^-14.
const WEIGHT_SLACK: f64 = 2.6e-3 + 1.0 / 256.0 + 1.0 / 16384.0;

#[test]
fn bf16_attention_is_softmax_over_the_valid_keys() {
    for (keys, n_valid, arithmetic) in [
        (96, 70, Arithmetic::Fast),
        (64, 64, Arithmetic::Fast),
        (32, 1, Arithmetic::Fast),
        (96, 70, Arithmetic::Exact),
    ] {
        let mut random = Random(20);
        let q = random.bf16s(ROWS * 4 * WIDTH);
        let mut launch = Launch::new(4, bf16_bytes(&q), ROWS * 512);
        for row in 0..4 {
            launch.feed_a(row, a_rows(64 * row as usize * 512, 512, 512), 1);
        }
        let mut heads = Vec::new();
        for column in 0..4 {
            // Keys that do not count are huge: any weight of theirs would be seen.
            let grow = |at: usize, x: half::bf16| {
                if at / WIDTH < n_valid { x } else { half::bf16::from_f32(1000.0) }
            };
            let k: Vec<_> =
                random.bf16s(keys * WIDTH).into_iter().enumerate().map(|(at, x)| grow(at, x)).collect();
            let v: Vec<_> =
                random.bf16s(keys * WIDTH).into_iter().enumerate().map(|(at, x)| grow(at, x)).collect();
            let mut parameters = Parameters::new(5, 0, keys / 32);
            (parameters.n_valid, parameters.scale) = (n_valid as u32, LOG2_E / 8.0);
            let blocks = k.chunks_exact(32 * WIDTH).zip(v.chunks_exact(32 * WIDTH));
            let blocks: Vec<_> = blocks.flat_map(|(k, v)| [bf16_bytes(k), bf16_bytes(v)]).collect();
            attend(&mut launch, &parameters, column, &blocks);
            let own = q.chunks_exact(WIDTH).skip(column as usize).step_by(4).flatten();
            let numbers = |values: &[half::bf16]| values.iter().map(|x| x.to_f64()).collect();
            heads.push(Head { q: own.map(|x| x.to_f64()).collect(), k: numbers(&k), v: numbers(&v) });
        }
        let (work, c) = launch.run(&array(Arch::Aie2, arithmetic)).unwrap();
        assert_eq!(work.macs, (2 * 4 * ROWS * keys * WIDTH) as u64);
        let elements = bf16_values(&c).into_iter().enumerate().map(|(at, got)| {
            let (row, column) = (at / 256, at % 256);
            let (want, bound) =
                heads[column / WIDTH].element(row, column % WIDTH, n_valid, WEIGHT_SLACK, 0.0);
            (got, want, bound)
        });
        close(&format!("{n_valid} of {keys} keys, {arithmetic:?}"), elements);
    }
}

#[test]
fn int8_attention_is_softmax_over_the_valid_keys() {
    for (keys, n_valid) in [(192, 150), (64, 64), (64, 3)] {
        let mut random = Random(21);
        let q: Vec<i8> = (0..ROWS * 4 * WIDTH).map(|_| random.int8()).collect();
        let q_scale: Vec<f32> = random.floats(ROWS * 4).iter().map(|x| (1.0 + 0.5 * x) / 127.0).collect();
        // A row: 64 bytes of each head, then 64 bytes of each head's scale, of which four count.
        let mut a = Vec::new();
        for row in 0..ROWS {
            a.extend(q[row * 256..][..256].iter().map(|&x| x as u8));
            for column in 0..4 {
                a.extend(q_scale[4 * row + column].to_le_bytes());
                a.resize(a.len() + 60, 0xEE);
            }
        }
        let mut launch = Launch::new(4, a, ROWS * 512);
        for row in 0..4 {
            launch.feed_a(row, a_rows(64 * row as usize * 512, 512, 512), 1);
        }
        let mut heads = Vec::new();
        for column in 0..4 {
            let mut int8s = || (0..keys * WIDTH).map(|_| random.int8()).collect::<Vec<_>>();
            let (k, v) = (int8s(), int8s());
            let k_scale: Vec<f32> = (0..keys)
                .map(|key| if key < n_valid { (1.0 + 0.5 * random.float()) / 127.0 } else { 1000.0 })
                .collect();
            let mut parameters = Parameters::new(6, 0, keys / 64);
            (parameters.n_valid, parameters.scale) = (n_valid as u32, LOG2_E / 8.0);
            parameters.column_scale = random.floats(64).iter().map(|x| (1.0 + 0.5 * x) / 127.0).collect();
            let mut blocks = Vec::new();
            for block in 0..keys / 64 {
                let object =
                    |values: &[i8]| values[block * 4096..][..4096].iter().map(|&x| x as u8).collect();
                let mut scales: Vec<u8> =
                    k_scale[64 * block..][..64].iter().flat_map(|x| x.to_le_bytes()).collect();
                scales.resize(4096, 0);
                blocks.extend([object(&k), object(&v), before_reorder(&scales)]);
            }
            attend(&mut launch, &parameters, column, &blocks);
            let head = column as usize;
            let scaled = |values: &[i8], scale: &dyn Fn(usize) -> f32| {
                values.iter().enumerate().map(|(at, &x)| f64::from(x) * f64::from(scale(at))).collect()
            };
            let own: Vec<i8> = q.chunks_exact(WIDTH).skip(head).step_by(4).flatten().copied().collect();
            heads.push(Head {
                q: scaled(&own, &|at| q_scale[at / WIDTH * 4 + head]),
                k: scaled(&k, &|at| k_scale[at / WIDTH]),
                v: scaled(&v, &|at| parameters.column_scale[at % WIDTH]),
            });
        }
        let (work, c) = launch.run(&array(Arch::Aie2, Arithmetic::Exact)).unwrap();
        assert_eq!(work.macs, (2 * 4 * ROWS * keys * WIDTH) as u64);
        let elements = bf16_values(&c).into_iter().enumerate().map(|(at, got)| {
            let (row, column) = (at / 256, at % 256);
            // A weight is rounded to one of 256 levels of the power of two above the largest so far.
            let levels = 0.5 / 128.0;
            let (want, bound) =
                heads[column / WIDTH].element(row, column % WIDTH, n_valid, WEIGHT_SLACK, levels);
            (got, want, bound)
        });
        close(&format!("{n_valid} of {keys} keys"), elements);
    }
}
