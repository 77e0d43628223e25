//! Each kernel of the encoder at Whisper-base's shapes beside what the machine can do at most, measured in the same
//! process, on one thread and on all: best of several runs.
//!
//! `cargo bench -p cpu-backend --bench kernels [-- LEVEL]`
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a program that prints rates")]

mod limits;

use cpu_backend::{
    Block, Context, Epilogue, Level, Linear, Mask, Norm, Storage, Weights, Workspace, attention,
    encode_blocks, gelu, layer_norm,
};
use std::time::Instant;

/// Positions of a window, features of each, and those between the perceptron's layers.
const T: usize = 1500;
const D: usize = 512;
const FFN: usize = 2048;
const HEADS: usize = 8;

fn numbers(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

fn layer(outputs: usize, inputs: usize, storage: Storage) -> Linear {
    let size = (3.0 / inputs as f32).sqrt();
    let weights: Vec<f32> = numbers(inputs * outputs).iter().map(|w| w * size).collect();
    Linear::new(Weights::F32(&weights), None, outputs, inputs, storage).unwrap()
}

/// Least seconds of the calls within a second and a half, after one to warm up.
fn best(mut f: impl FnMut()) -> f64 {
    f();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed().as_secs_f64() < 1.0 {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// A context for each count of threads that is compared: one, and all.
struct Table {
    contexts: [Context; 2],
}

/// How much a kernel does.
#[derive(Clone, Copy)]
enum Work {
    /// Operations of products with weights kept so.
    Operations(usize, Storage),
    /// Numbers read, and as many written.
    Numbers(usize),
}

impl Table {
    fn line(&self, what: &str, work: Work, mut f: impl FnMut(&Context)) {
        let mut cells = Vec::new();
        let mut seconds = Vec::new();
        for ctx in &self.contexts {
            let took = best(|| f(ctx));
            let threads = ctx.threads();
            let (done, limit) = match work {
                Work::Operations(n, storage) => (n as f64, limits::products(ctx.level(), storage, threads)),
                Work::Numbers(n) => (8.0 * n as f64, Some(limits::copies(n, threads))),
            };
            let unit = if matches!(work, Work::Numbers(_)) { "GB/s" } else { "GFLOP/s" };
            let rate = done / took;
            let share = limit.map_or("no limit known".into(), |limit| {
                format!("{:3.0} % of {:6.1}", 100.0 * rate / limit, limit / 1e9)
            });
            cells.push(format!("{:8.3} ms {:7.1} {unit} {share}", took * 1e3, rate / 1e9));
            seconds.push(took);
        }
        println!("{what:<34} {} | {} | × {:.2}", cells[0], cells[1], seconds[0] / seconds[1]);
    }

    /// The products of a block and of the stem, in numbers of one kind.
    fn products(&self, storage: Storage) {
        for (rows, inputs, outputs, epilogue) in [
            (T, D, D, Epilogue::None),
            (T, D, FFN, Epilogue::Gelu),
            (T, FFN, D, Epilogue::Residual),
            (2 * T, 240, D, Epilogue::Gelu),
            (T, 3 * D, D, Epilogue::Gelu),
        ] {
            let layer = layer(outputs, inputs, storage);
            let (x, mut y) = (numbers(rows * inputs), vec![0.0; rows * outputs]);
            let work = Work::Operations(2 * rows * inputs * outputs, storage);
            self.line(&format!("{storage:?} {rows}×{inputs}→{outputs} {epilogue:?}"), work, |ctx| {
                layer.forward(ctx, &x, rows, &mut y, epilogue);
            });
        }
    }

    fn attention(&self, storage: Storage) {
        let [q, k, v] = [1, 2, 3].map(|_| numbers(T * D));
        let mut out = vec![0.0; T * D];
        let work = Work::Operations(4 * T * T * D, storage);
        self.line(&format!("{storage:?} attention {T} × {HEADS} heads"), work, |ctx| {
            attention(ctx, &q, &k, &v, HEADS, D / HEADS, Mask::None, 0.125, &mut out);
        });
    }

    /// One residual block in one piece.
    fn block(&self, storage: Storage) {
        let [square, fc1, fc2] = [(D, D), (FFN, D), (D, FFN)].map(|(o, i)| layer(o, i, storage));
        let (gamma, beta) = (vec![1.0; D], vec![0.0; D]);
        let norm = Norm { gamma: &gamma, beta: &beta };
        let block = Block {
            heads: HEADS,
            attention_norm: norm,
            query: &square,
            key: &square,
            value: &square,
            out: &square,
            mlp_norm: norm,
            fc1: &fc1,
            fc2: &fc2,
        };
        let (mut workspace, start) = (Workspace::new(), numbers(T * D));
        let mut x = start.clone();
        let work = Work::Operations(2 * T * (4 * D * D + 2 * D * FFN) + 4 * T * T * D, storage);
        self.line(&format!("{storage:?} block"), work, |ctx| {
            x.copy_from_slice(&start);
            assert!(encode_blocks(ctx, &[block], D, &mut x, &mut workspace, || true));
        });
    }

    fn rows(&self) {
        let (x, gamma, beta) = (numbers(T * D), numbers(D), numbers(D));
        let mut y = vec![0.0; T * D];
        self.line("layer norm 1500×512", Work::Numbers(T * D), |ctx| {
            layer_norm(ctx, &x, &gamma, &beta, 1e-5, &mut y);
        });
        let start = numbers(T * FFN);
        let mut x = start.clone();
        self.line("GELU 1500×2048", Work::Numbers(T * FFN), |ctx| {
            gelu(ctx, &mut x);
        });
    }
}

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let level = match &wanted {
        Some(name) => Level::available().into_iter().find(|level| level.kind().to_string() == *name),
        None => Some(Level::detect()),
    };
    let Some(level) = level else {
        println!("no level {wanted:?} on this machine");
        return;
    };
    let contexts = [Context::single(level), Context::new(level, 0).unwrap()];
    println!(
        "{level}, 1 and {} threads: time, rate, share of the limit; 1 against all",
        contexts[1].threads()
    );
    let exact = Table { contexts: contexts.clone().map(Context::with_f32_activations) };
    exact.products(Storage::F32);
    exact.attention(Storage::F32);
    exact.block(Storage::F32);
    exact.rows();
    if level.has_bf16() {
        let table = Table { contexts: contexts.clone() };
        table.products(Storage::Bf16);
        table.attention(Storage::Bf16);
        table.block(Storage::Bf16);
    }
    if level.has_vnni() {
        let table = Table { contexts: contexts.map(Context::with_int8_activations) };
        table.products(Storage::Int8);
        table.attention(Storage::Int8);
        table.block(Storage::Int8);
    }
}
