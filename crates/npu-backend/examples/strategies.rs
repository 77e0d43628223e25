//! Five ways to multiply int8 matrices on the emulator, side by side: `cargo run --release -p npu-backend --example
//! strategies [M K N]` (512 512 512 without them).
//!
//! Times are modelled, from published costs; no clock is read. They leave out making the context and putting the image on
//! the array, which every strategy does once.

#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::time::Duration;

use npu_backend::emulator::Emulator;
use npu_backend::kernel::image;
use npu_backend::ops::ModelledImages;
use npu_backend::ops::strategies::{self, Product, SEED_WRAPPER, Strategy};
use npu_backend::{Arch, Error, Result};

/// M, K and N from the command line.
fn shape() -> Result<(usize, usize, usize)> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    match (words.len(), &numbers[..]) {
        (0, _) => Ok((512, 512, 512)),
        (3, &[m, k, n]) => Ok((m, k, n)),
        _ => Err(Error::Shape { why: format!("M, K and N are expected, not {words:?}") }),
    }
}

fn milliseconds(span: Duration) -> String {
    format!("{:.3}", span.as_secs_f64() * 1e3)
}

fn main() -> Result<()> {
    let (m, k, n) = shape()?;
    let values = |len: usize| (0..len).map(|at| (at * 31 % 251).to_le_bytes()[0].cast_signed()).collect();
    let (a, b): (Vec<i8>, Vec<i8>) = (values(m * k), values(k * n));
    let product = Product { a: &a, b: &b, m, k, n };
    let seed = image::direct("seed_matmul", Arch::Aie2)?;
    let mut first: Option<Vec<i32>> = None;
    println!("{m} × {k} × {n}, int8 to int32, emulated XDNA 1; times are modelled, in ms");
    println!(
        "| strategy | launches | pushes | pulls | bytes moved | modelled | with the seed's Python wrapper |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for strategy in Strategy::ALL {
        let device = Box::new(Emulator::builder().open()?);
        let (got, counters) =
            strategies::multiply(strategy, device, &seed, Box::new(ModelledImages), &product)?;
        if first.get_or_insert_with(|| got.clone()) != &got {
            return Err(Error::Shape { why: format!("{} gives other numbers", strategy.name()) });
        }
        let modelled = counters.modelled.unwrap_or_default();
        let span = modelled.elapsed.saturating_sub(modelled.create + modelled.switch);
        let launches = u32::try_from(counters.launches).unwrap_or(u32::MAX);
        // Only the first way was ever run through it.
        let wrapped = (strategy == Strategy::Sequential).then(|| span + SEED_WRAPPER * launches);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            strategy.name(),
            counters.launches,
            counters.pushes,
            counters.pulls,
            counters.pushed_bytes + counters.pulled_bytes,
            milliseconds(span),
            wrapped.map_or("–".into(), milliseconds),
        );
    }
    println!("all five gave the same numbers");
    Ok(())
}
