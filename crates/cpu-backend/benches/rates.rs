//! Prints the rates of the products and of attention at Whisper-base's shapes: best and median of several runs.
//!
//! `cargo bench -p cpu-backend --bench rates [-- THREADS [FILTER]]`
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a program that prints rates")]

use cpu_backend::{
    Block, Context, Epilogue, Keys, KvCache, KvStorage, Level, Linear, Mask, Norm, Storage, Weights,
    Workspace, attend, attention, encode_blocks, gelu, layer_norm,
};
use std::time::Instant;

fn numbers(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

/// Best and median seconds of up to `runs` calls within two seconds, after one to warm up.
fn time(runs: usize, mut f: impl FnMut()) -> (f64, f64) {
    f();
    let begin = Instant::now();
    let mut seconds = Vec::new();
    while seconds.is_empty() || (seconds.len() < runs && begin.elapsed().as_secs_f64() < 2.0) {
        let start = Instant::now();
        f();
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    (seconds[0], seconds[seconds.len() / 2])
}

fn report(what: &str, (best, median): (f64, f64), work: f64, unit: &str) {
    let rate = |s: f64| work / s / 1e9;
    println!(
        "{what:<58} best {:9.1} µs {:7.1} {unit}   median {:9.1} µs {:7.1} {unit}",
        best * 1e6,
        rate(best),
        median * 1e6,
        rate(median)
    );
}

struct Bench {
    filter: String,
}

impl Bench {
    fn wants(&self, what: &str) -> bool {
        what.contains(&self.filter)
    }

    fn linear(
        &self,
        ctx: &Context,
        storage: Storage,
        rows: usize,
        inputs: usize,
        outputs: usize,
        epilogue: Epilogue,
    ) {
        let what = format!("{ctx:?} {storage:?} {rows}×{inputs}→{outputs} {epilogue:?}");
        if !self.wants(&what) {
            return;
        }
        let w = numbers(inputs * outputs);
        let layer = Linear::new(Weights::F32(&w), None, outputs, inputs, storage).unwrap();
        let x = numbers(rows * inputs);
        let mut y = vec![0.0; rows * outputs];
        if rows <= 8 {
            let seconds = time(200, || layer.forward(ctx, &x, rows, &mut y, epilogue));
            report(&what, seconds, layer.bytes() as f64, "GB/s");
        } else {
            let seconds = time(15, || layer.forward(ctx, &x, rows, &mut y, epilogue));
            report(&what, seconds, 2.0 * (rows * inputs * outputs) as f64, "GFLOP/s");
        }
    }

    fn others(&self, ctx: &Context) {
        let (heads, d, t) = (8, 64, 1500);
        let (q, k, v) = (numbers(t * 512), numbers(t * 512), numbers(t * 512));
        let mut out = vec![0.0; t * 512];
        let what = format!("{ctx:?} attention 1500 × 8 heads");
        if self.wants(&what) {
            let seconds = time(15, || attention(ctx, &q, &k, &v, heads, d, Mask::None, 0.125, &mut out));
            report(&what, seconds, 4.0 * (t * t * 512) as f64, "GFLOP/s");
        }
        for storage in [KvStorage::F32, KvStorage::F16, KvStorage::Bf16] {
            for rows in [1, 5] {
                let what = format!("{ctx:?} attend {storage:?} {rows} rows");
                if self.wants(&what) {
                    let mut cache = KvCache::new(heads, d, t, storage);
                    cache.extend(&k, &v).unwrap();
                    let n = rows * 512;
                    let seconds = time(200, || {
                        attend(ctx, &q[..n], Keys::Shared(&cache), Mask::None, 0.125, None, &mut out[..n]);
                    });
                    report(&what, seconds, (t * cache.bytes_per_position()) as f64, "GB/s");
                }
            }
        }
        let what = format!("{ctx:?} encoder blocks");
        if self.wants(&what) {
            self.blocks(ctx);
        }
        let what = format!("{ctx:?} rows: layer norm 1500×512");
        if self.wants(&what) {
            let seconds = time(50, || layer_norm(ctx, &q, &k[..512], &v[..512], 1e-5, &mut out));
            report(&what, seconds, (t * 512) as f64, "Gelem/s");
        }
        let what = format!("{ctx:?} rows: gelu 1500×2048");
        if self.wants(&what) {
            let mut x = numbers(t * 2048);
            let seconds = time(50, || gelu(ctx, &mut x));
            report(&what, seconds, (t * 2048) as f64, "Gelem/s");
        }
    }

    /// One residual block of Whisper-base in one piece.
    fn blocks(&self, ctx: &Context) {
        let (d, ffn, t) = (512, 2048, 1500);
        for storage in [Storage::F32, Storage::Bf16, Storage::Int8] {
            let layer = |outputs: usize, inputs: usize| {
                let w = numbers(inputs * outputs);
                Linear::new(Weights::F32(&w), None, outputs, inputs, storage).unwrap()
            };
            let (square, fc1, fc2) = (layer(d, d), layer(ffn, d), layer(d, ffn));
            let (gamma, beta) = (vec![1.0; d], vec![0.0; d]);
            let norm = Norm { gamma: &gamma, beta: &beta };
            let (query, key, value, out) = (&square, &square, &square, &square);
            let (fc1, fc2) = (&fc1, &fc2);
            let block =
                Block { heads: 8, attention_norm: norm, query, key, value, out, mlp_norm: norm, fc1, fc2 };
            let mut workspace = Workspace::new();
            let mut x = numbers(t * d);
            let seconds = time(15, || {
                assert!(encode_blocks(ctx, &[block], d, &mut x, &mut workspace, || true));
            });
            let work = 2 * t * (4 * d * d + 2 * d * ffn) + 4 * t * t * d;
            report(&format!("{ctx:?} {storage:?} encoder block"), seconds, work as f64, "GFLOP/s");
        }
    }

    /// The `gemm` crate on the same product, for comparison.
    fn rival(&self, threads: usize, rows: usize, inputs: usize, outputs: usize) {
        let what = format!("gemm crate, {threads} threads {rows}×{inputs}→{outputs}");
        if !self.wants(&what) {
            return;
        }
        let (x, w) = (numbers(rows * inputs), numbers(inputs * outputs));
        let mut y = vec![0.0_f32; rows * outputs];
        let parallel = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
        let seconds = time(15, || {
            // SAFETY: the three matrices are as large as their shapes and strides say.
            unsafe {
                gemm::gemm(
                    rows,
                    outputs,
                    inputs,
                    y.as_mut_ptr(),
                    1,
                    outputs as isize,
                    false,
                    x.as_ptr(),
                    1,
                    inputs as isize,
                    w.as_ptr(),
                    inputs as isize,
                    1,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallel,
                );
            }
        });
        report(&what, seconds, 2.0 * (rows * inputs * outputs) as f64, "GFLOP/s");
    }
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let threads: usize = args.next().and_then(|a| a.parse().ok()).unwrap_or(2);
    let bench = Bench { filter: args.next().unwrap_or_default() };
    for level in Level::available() {
        let ctx = Context::new(level, threads).unwrap();
        for storage in [Storage::F32, Storage::Bf16, Storage::Int8] {
            for (rows, inputs, outputs) in [
                (1, 512, 512),
                (1, 512, 2048),
                (1, 2048, 512),
                (1, 512, 51865),
                (5, 512, 51865),
                (8, 512, 2048),
            ] {
                bench.linear(&ctx, storage, rows, inputs, outputs, Epilogue::None);
            }
            for (inputs, outputs, epilogue) in
                [(512, 512, Epilogue::None), (512, 2048, Epilogue::Gelu), (2048, 512, Epilogue::Residual)]
            {
                bench.linear(&ctx, storage, 96, inputs, outputs, epilogue);
                bench.linear(&ctx, storage, 1500, inputs, outputs, epilogue);
            }
        }
        if level.has_vnni() {
            println!("int8 activations:");
            bench.others(&ctx.clone().with_f32_activations());
            bench.others(&ctx.clone().with_int8_activations());
            let ctx = ctx.clone().with_int8_activations();
            for (inputs, outputs) in [(512, 512), (512, 2048), (2048, 512)] {
                bench.linear(&ctx, Storage::Int8, 96, inputs, outputs, Epilogue::None);
                bench.linear(&ctx, Storage::Int8, 1500, inputs, outputs, Epilogue::None);
            }
        }
        bench.others(&ctx);
    }
    for (inputs, outputs) in [(512, 512), (512, 2048), (2048, 512)] {
        bench.rival(threads, 1500, inputs, outputs);
    }
}
