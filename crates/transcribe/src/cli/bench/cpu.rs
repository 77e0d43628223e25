//! The product on the processor, as the encoder's layers run there.

use std::time::{Duration, Instant};

use cpu_backend::{Context, Epilogue, Level, Linear, Storage, Weights};

use crate::cli::product::Product;
use crate::cli::values::Shape;
use crate::{Error, ErrorKind, Result};

/// Runs that are timed, at most.
const RUNS: usize = 50;
/// Time after which no further run is begun.
const ENOUGH: Duration = Duration::from_secs(1);

/// All figures of the processor.
pub(super) struct Report {
    pub(super) level: String,
    pub(super) threads: usize,
    pub(super) shape: Shape,
    pub(super) operations: f64,
    pub(super) products: Vec<OneProduct>,
}

/// Figures of one way to keep weights, measured.
pub(super) struct OneProduct {
    pub(super) weights: &'static str,
    pub(super) best: Duration,
    pub(super) median: Duration,
}

/// Times the product with weights in f32 and in bf16.
///
/// # Errors
/// Threads that do not start.
pub(super) fn measure(product: &Product, threads: usize) -> Result<Report> {
    let Shape { m, k, n } = product.shape;
    let level = Level::detect();
    let ctx = Context::new(level, threads).map_err(|error| failed(&error))?;
    let x: Vec<f32> = product.a.iter().copied().map(f32::from).collect();
    // A layer holds its weights by outputs.
    let w: Vec<f32> = (0..n).flat_map(|j| (0..k).map(move |l| f32::from(product.b[l * n + j]))).collect();
    let mut y = vec![0.0; m * n];
    let mut products = Vec::new();
    for (weights, storage) in [("f32", Storage::F32), ("bf16", Storage::Bf16)] {
        let layer = Linear::new(Weights::F32(&w), None, n, k, storage).map_err(|error| failed(&error))?;
        let mut times = Vec::new();
        // The first also takes the working memory.
        layer.forward(&ctx, &x, m, &mut y, Epilogue::None);
        let start = Instant::now();
        while times.is_empty() || (times.len() < RUNS && start.elapsed() < ENOUGH) {
            let begin = Instant::now();
            layer.forward(&ctx, &x, m, &mut y, Epilogue::None);
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        products.push(OneProduct { weights, best: times[0], median: times[times.len() / 2] });
    }
    let threads = ctx.threads();
    Ok(Report {
        level: level.to_string(),
        threads,
        shape: product.shape,
        operations: product.operations(),
        products,
    })
}

/// The threads' or the layer's error, for people.
pub(super) fn failed(error: &cpu_backend::Error) -> Error {
    Error::new(ErrorKind::Internal, "cannot time the processor", error.to_string(), "ask for fewer --threads")
}
