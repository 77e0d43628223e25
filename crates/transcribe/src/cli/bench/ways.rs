//! Five ways to cut an int8 product into launches, on the same device.

use std::io::Write;

use npu_backend::kernel::image;
use npu_backend::ops::strategies::{self, Seed, Strategy, whole_array};
use npu_backend::{Choice, Counters, Error, Obstacle, open, open_engine};

use super::{failed, wrong};
use crate::Result;
use crate::cli::product::Product;

/// One of them, and what it did.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) counters: Counters,
}

/// All five, each on a device opened for it; every result is compared with plain arithmetic, and so with the others.
///
/// # Errors
/// What the device gives, and wrong numbers.
pub(super) fn all(choice: Choice, product: &Product, err: &mut dyn Write) -> Result<Vec<Way>> {
    // Notes that nobody reads are no reason to stop.
    let _ = writeln!(err, "five ways to launch; the first four take a launch for every tile of 16×16×16");
    let mut ways = Vec::new();
    for strategy in Strategy::ALL {
        let _ = writeln!(err, "  {}", strategy.name());
        let (got, counters) = run(choice, strategy, product).map_err(|error| failed(&error, choice))?;
        if got != product.c {
            return Err(wrong(strategy.name(), "they differ from plain arithmetic"));
        }
        ways.push(Way { name: strategy.name(), counters });
    }
    Ok(ways)
}

fn run(choice: Choice, strategy: Strategy, product: &Product) -> npu_backend::Result<(Vec<i32>, Counters)> {
    let (m, k, n) = (product.shape.m, product.shape.k, product.shape.n);
    let product = strategies::Product { a: &product.a, b: &product.b, m, k, n };
    if strategy == Strategy::WholeArray {
        let mut engine = open_engine(choice)?;
        let got = whole_array(&mut engine, &product)?;
        return Ok((got, engine.device().counters()));
    }
    let mut device = open(choice)?.ok_or_else(|| Error::Unavailable {
        device: choice.name(),
        obstacle: Obstacle::Other,
        why: "this machine has no device that this build can drive".into(),
        hint: "give --device emulator".into(),
    })?;
    let image = image::direct("seed_matmul", device.info().arch)?;
    let got = Seed::load(&mut *device, &image)?.multiply(strategy, &product)?;
    Ok((got, device.counters()))
}
