//! What this processor can do: products by `cpu-backend`'s kernels, and reading from memory. All measured.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_backend::{Context, Epilogue, Level, Linear, Storage, Weights};
use rayon::prelude::*;

use super::cpu::failed;
use crate::{Error, ErrorKind, Result};

/// The first layer of Whisper base's perceptron over a window: rows, inputs, outputs.
const SHAPE: [usize; 3] = [1500, 512, 2048];
/// Read at a time: more than any cache holds.
const BYTES: usize = 256 << 20;
/// Time for each figure, once the first run has taken its memory.
const ENOUGH: Duration = Duration::from_millis(400);

/// All figures.
pub(super) struct Limits {
    pub(super) level: String,
    pub(super) threads: usize,
    /// By the type that is multiplied, thousand millions of operations a second.
    pub(super) products: [(&'static str, f64); 3],
    /// The first of `products` on one thread.
    pub(super) single_thread: f64,
    /// Thousand millions of bytes a second.
    pub(super) read: f64,
}

/// Measures them on `threads` threads; 0 is one per core.
///
/// # Errors
/// Threads that do not start.
pub(super) fn measure(threads: usize) -> Result<Limits> {
    let level = Level::detect();
    let ctx = Context::new(level, threads).map_err(|error| failed(&error))?;
    let one = Context::single(level);
    let int8 = ctx.clone().with_int8_activations();
    Ok(Limits {
        level: crate::cli::version::level(),
        threads: ctx.threads(),
        products: [
            ("f32", product(&ctx, Storage::F32)?),
            ("bf16", product(&ctx, Storage::Bf16)?),
            ("int8", product(&int8, Storage::Int8)?),
        ],
        single_thread: product(&one, Storage::F32)?,
        read: read(ctx.threads())?,
    })
}

/// The best of some products, thousand millions of operations a second.
#[allow(clippy::cast_precision_loss, reason = "a rate is printed with four digits")]
fn product(ctx: &Context, storage: Storage) -> Result<f64> {
    let [rows, inputs, outputs] = SHAPE;
    let wave = |count: usize| (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect::<Vec<f32>>();
    let (x, w, mut y) = (wave(rows * inputs), wave(inputs * outputs), vec![0.0; rows * outputs]);
    let layer =
        Linear::new(Weights::F32(&w), None, outputs, inputs, storage).map_err(|error| failed(&error))?;
    let best = best_of(|| layer.forward(ctx, &x, rows, &mut y, Epilogue::None));
    Ok(2.0 * (rows * inputs * outputs) as f64 / best.as_secs_f64() / 1e9)
}

#[allow(clippy::cast_precision_loss, reason = "a rate is printed with four digits")]
fn read(threads: usize) -> Result<f64> {
    let numbers = vec![1_u64; BYTES / 8];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| {
        Error::new(ErrorKind::Usage, "cannot start the threads", error.to_string(), "give fewer --threads")
    })?;
    let share = numbers.len().div_ceil(threads);
    let best = best_of(|| {
        // One stretch for each thread, as the decoder's products share out their weights.
        let sum: u64 = pool.install(|| numbers.par_chunks(share).map(|part| part.iter().sum::<u64>()).sum());
        black_box(sum);
    });
    Ok(BYTES as f64 / best.as_secs_f64() / 1e9)
}

fn best_of(mut run: impl FnMut()) -> Duration {
    run();
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while best == Duration::MAX || start.elapsed() < ENOUGH {
        let begin = Instant::now();
        run();
        best = best.min(begin.elapsed());
    }
    best
}
