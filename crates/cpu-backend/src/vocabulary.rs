//! One long row that is only read: the logits of a vocabulary.

use crate::level::Level;

/// Exponentials summed in f32 before the sum goes on in f64.
const BLOCK: usize = 512;

/// The largest of `row`, −∞ when there is none; NaNs are passed over.
#[must_use]
pub fn largest(level: Level, row: &[f32]) -> f32 {
    level.largest(row)
}

/// Σ e^(x − most) over `row`, where no x exceeds `most`: exponentials at most 1.5 ulp off, sums in f32 over 512 of them
/// and in f64 over the row. NaN if the row holds one.
#[must_use]
pub fn sum_exp(level: Level, row: &[f32], most: f32) -> f64 {
    let mut exponentials = [0.0_f32; BLOCK];
    let blocks = row.chunks(BLOCK).map(|block| {
        let of_block = &mut exponentials[..block.len()];
        of_block.copy_from_slice(block);
        f64::from(level.exp_sum(of_block, most))
    });
    blocks.sum()
}
